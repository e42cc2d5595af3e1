//! Cycles and what they did. Written by the engine.

use muster_model::cycle::{Counts, Cycle, CycleKind, CycleState};
use muster_model::{CycleId, JobId, TenantId, Timestamp};
use serde_json::{Value as Json, json};

use crate::{FromRow, Row, StoreError, Tx};

const COLUMNS: &str = "id, job, kind, state, error, began, ended, counts";

impl FromRow for Cycle {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        let (id, job) = (row.take()?, row.take()?);
        let kind = row.parse()?;
        let (state, error): (String, Option<String>) = (row.take()?, row.take()?);
        let state = match state.as_str() {
            "Running" => CycleState::Running,
            "Succeeded" => CycleState::Succeeded,
            "EntryLevelErrors" => CycleState::EntryLevelErrors,
            "Failed" => {
                let error = error.unwrap_or_default();
                let (code, detail) = error.split_once('\n').unwrap_or((&error, ""));
                CycleState::Failed {
                    code: code.to_owned(),
                    detail: detail.to_owned(),
                }
            }
            _ => return Err(row.corrupt("unknown state of a cycle")),
        };
        let (began, ended) = (row.take()?, row.take()?);
        let counts: String = row.take()?;
        let counts = counts_from_json(&counts).ok_or_else(|| row.corrupt("unknown counts"))?;
        Ok(Self {
            id,
            job,
            kind,
            state,
            began,
            ended,
            counts,
        })
    }
}

/// Counts as JSON text.
pub fn counts_to_json(counts: &Counts) -> String {
    json!({
        "created": counts.created, "updated": counts.updated, "disabled": counts.disabled,
        "deleted": counts.deleted, "skipped": counts.skipped, "failed": counts.failed,
        "requests": counts.requests
    })
    .to_string()
}

/// Counts from JSON text.
pub fn counts_from_json(text: &str) -> Option<Counts> {
    let json: Json = serde_json::from_str(text).ok()?;
    Some(Counts {
        created: json["created"].as_u64()?,
        updated: json["updated"].as_u64()?,
        disabled: json["disabled"].as_u64()?,
        deleted: json["deleted"].as_u64()?,
        skipped: json["skipped"].as_u64()?,
        failed: json["failed"].as_u64()?,
        requests: json["requests"].as_u64()?,
    })
}

/// Keeps a cycle, new or changed.
pub async fn put(tx: &mut Tx<'_>, tenant: TenantId, cycle: &Cycle) -> Result<(), StoreError> {
    let (state, error) = match &cycle.state {
        CycleState::Running => ("Running", None),
        CycleState::Succeeded => ("Succeeded", None),
        CycleState::EntryLevelErrors => ("EntryLevelErrors", None),
        CycleState::Failed { code, detail } => ("Failed", Some(format!("{code}\n{detail}"))),
    };
    let sql = "INSERT INTO cycles (tenant, id, job, kind, state, error, began, ended, counts, exported) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
               ON CONFLICT (tenant, job, id) DO UPDATE SET kind = excluded.kind, \
               began = excluded.began, state = excluded.state, \
               error = excluded.error, ended = excluded.ended, counts = excluded.counts, \
               exported = excluded.exported";
    let params = [
        tenant.into(),
        cycle.id.into(),
        cycle.job.into(),
        cycle.kind.as_str().into(),
        state.into(),
        error.into(),
        cycle.began.into(),
        cycle.ended.into(),
        counts_to_json(&cycle.counts).into(),
        (cycle.counts.exported() > 0).into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// Keeps that a cycle runs which has done something worth telling, unless that is kept already: what it has told of
/// belongs to something also when the process ends before the cycle does.
pub(crate) async fn note_running(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    (job, id): (JobId, CycleId),
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM cycles WHERE tenant = $1 AND job = $2 AND id = $3";
    let known: Option<(i64,)> = tx.one(sql, &[tenant.into(), job.into(), id.into()]).await?;
    if known.is_some() {
        return Ok(());
    }
    let running = Cycle {
        id,
        job,
        // What it is, and when it began, is said when it ends.
        kind: CycleKind::Incremental,
        state: CycleState::Running,
        began: at,
        ended: None,
        counts: Counts::default(),
    };
    put(tx, tenant, &running).await
}

/// A cycle has ended: it is not kept unless it told of something, and others that were running are no more.
pub async fn end(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    cycle: &Cycle,
    is_kept: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let of = [tenant.into(), cycle.job.into(), cycle.id.into()];
    let sql = "SELECT 1 FROM cycles WHERE tenant = $1 AND job = $2 AND id = $3";
    let told = tx.one::<(i64,)>(sql, &of).await?.is_some();
    if is_kept || told {
        put(tx, tenant, cycle).await?;
    }
    if cycle.state == CycleState::Running {
        return Ok(());
    }
    let sql = "UPDATE cycles SET state = 'Failed', error = $1, ended = $2 \
               WHERE tenant = $3 AND job = $4 AND state = 'Running' AND id < $5";
    let params = [
        BROKEN_OFF.into(),
        now.into(),
        tenant.into(),
        cycle.job.into(),
        cycle.id.into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// What is kept of a cycle that came to no end.
const BROKEN_OFF: &str = "Interrupted\nthe process ended, or the job began anew, while it ran";

/// The latest cycles of a job, newest first.
pub async fn latest(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    limit: u32,
) -> Result<Vec<Cycle>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM cycles WHERE tenant = $1 AND job = $2 ORDER BY id DESC LIMIT $3"
    );
    tx.all(&sql, &[tenant.into(), job.into(), limit.into()])
        .await
}

/// The cycles of a job that ended at an instant or later, or run, newest first; of those that began in the week
/// before it.
pub async fn since(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    since: Timestamp,
    limit: u32,
) -> Result<Vec<Cycle>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM cycles WHERE tenant = $1 AND job = $2 AND id >= $3 \
         AND (ended IS NULL OR ended >= $4) \
         ORDER BY id DESC LIMIT $5"
    );
    // Ids begin with the time, as those of events do.
    let lowest =
        CycleId::from_bytes(*crate::events::lowest(since.plus_seconds(-7 * 86_400)).as_bytes());
    let params = [
        tenant.into(),
        job.into(),
        lowest.into(),
        since.into(),
        limit.into(),
    ];
    tx.all(&sql, &params).await
}

/// What the cycles of a job that are kept have come to (11.2); one that found nothing to do is not kept. Cycles that
/// somebody asked for count for nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Milestones {
    /// The latest one without an error.
    pub successful: Option<Cycle>,
    /// The latest one without an error that changed something at the target.
    pub exporting: Option<Cycle>,
}

/// What the cycles of a job have come to.
pub async fn milestones(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
) -> Result<Milestones, StoreError> {
    let latest = |condition: &str| {
        format!(
            "SELECT {COLUMNS} FROM cycles WHERE tenant = $1 AND job = $2 AND state = 'Succeeded' \
             AND kind <> 'onDemand'{condition} ORDER BY id DESC LIMIT 1"
        )
    };
    let of = [tenant.into(), job.into()];
    Ok(Milestones {
        successful: tx.one(&latest(""), &of).await?,
        exporting: tx.one(&latest(" AND exported"), &of).await?,
    })
}
