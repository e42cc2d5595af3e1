//! Escrows: failures of single objects that are tried again later (6.1). Written by the engine.

use muster_model::directory::Kind;
use muster_model::link::SourceAnchor;
use muster_model::{JobId, TenantId, Timestamp};

use crate::lists::of_job;
use crate::{FromRow, Row, StoreError, Tx};

/// A failure awaiting its retry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Escrow {
    /// The object that failed.
    pub anchor: SourceAnchor,
    /// What it is.
    pub kind: Kind,
    /// Its latest error code (10.6).
    pub code: String,
    /// When it failed first.
    pub first_failed: Timestamp,
    /// How often it failed.
    pub attempts: u32,
    /// When it is tried again.
    pub next_attempt: Timestamp,
}

impl FromRow for Escrow {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            anchor: row.take()?,
            kind: row.take()?,
            code: row.take()?,
            first_failed: row.take()?,
            attempts: row.take()?,
            next_attempt: row.take()?,
        })
    }
}

const COLUMNS: &str = "anchor, kind, code, first_failed, attempts, next_attempt";

/// The escrow of an object.
pub async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    anchor: SourceAnchor,
) -> Result<Option<Escrow>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM escrows WHERE tenant = $1 AND job = $2 AND anchor = $3");
    tx.one(&sql, &[tenant.into(), job.into(), anchor.into()])
        .await
}

/// Keeps an escrow, new or changed.
pub async fn put(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    escrow: &Escrow,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO escrows \
               (tenant, job, anchor, kind, code, first_failed, attempts, next_attempt) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
               ON CONFLICT (tenant, job, anchor) DO UPDATE SET code = excluded.code, \
               attempts = excluded.attempts, next_attempt = excluded.next_attempt";
    let params = [
        tenant.into(),
        job.into(),
        escrow.anchor.into(),
        escrow.kind.into(),
        (&escrow.code).into(),
        escrow.first_failed.into(),
        escrow.attempts.into(),
        escrow.next_attempt.into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// Those of these objects that have an escrow.
pub async fn of(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    anchors: &[SourceAnchor],
) -> Result<Vec<SourceAnchor>, StoreError> {
    let select = "SELECT anchor FROM escrows";
    let found: Vec<(SourceAnchor,)> = of_job(tx, select, (tenant, job), "anchor", anchors).await?;
    Ok(found.into_iter().map(|(anchor,)| anchor).collect())
}

/// Drops the escrow of an object that succeeded.
pub async fn remove(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    kind: Kind,
    anchor: SourceAnchor,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM escrows WHERE tenant = $1 AND job = $2 AND anchor = $3 AND kind = $4";
    let params = [tenant.into(), job.into(), anchor.into(), kind.into()];
    tx.exec(sql, &params).await.map(|_| ())
}

/// Whose failures are in escrow, of those that are linked.
pub async fn linked(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
) -> Result<Vec<(Kind, SourceAnchor)>, StoreError> {
    let sql = "SELECT e.kind, e.anchor FROM escrows e WHERE e.tenant = $1 AND e.job = $2 \
               AND EXISTS (SELECT 1 FROM links l WHERE l.tenant = $1 AND l.job = $2 \
               AND l.anchor = e.anchor) ORDER BY e.anchor";
    tx.all(sql, &[tenant.into(), job.into()]).await
}

/// Drops every escrow of a job, or those of objects without a link.
pub async fn clear(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    unlinked_only: bool,
) -> Result<(), StoreError> {
    let sql = if unlinked_only {
        "DELETE FROM escrows WHERE tenant = $1 AND job = $2 AND NOT EXISTS \
         (SELECT 1 FROM links l WHERE l.tenant = $1 AND l.job = $2 AND l.anchor = escrows.anchor)"
    } else {
        "DELETE FROM escrows WHERE tenant = $1 AND job = $2"
    };
    tx.exec(sql, &[tenant.into(), job.into()]).await.map(|_| ())
}

/// Escrows that are due by `now`, oldest first.
pub async fn due(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Escrow>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM escrows WHERE tenant = $1 AND job = $2 AND next_attempt <= $3 \
         ORDER BY next_attempt, anchor LIMIT $4"
    );
    tx.all(&sql, &[tenant.into(), job.into(), now.into(), limit.into()])
        .await
}

/// How many objects of a job have failed at least since an instant.
pub async fn count_since(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    since: Timestamp,
) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM escrows WHERE tenant = $1 AND job = $2 AND first_failed <= $3";
    let row: Option<(u64,)> = tx
        .one(sql, &[tenant.into(), job.into(), since.into()])
        .await?;
    Ok(row.map_or(0, |(count,)| count))
}

/// How many escrows of a job are not due at an instant, and when the next one of them is.
pub async fn waiting(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    at: Timestamp,
) -> Result<Option<(u64, Timestamp)>, StoreError> {
    let sql = "SELECT count(*), min(next_attempt) FROM escrows \
               WHERE tenant = $1 AND job = $2 AND next_attempt > $3";
    let row: Option<(u64, Option<Timestamp>)> =
        tx.one(sql, &[tenant.into(), job.into(), at.into()]).await?;
    Ok(row.and_then(|(count, next)| Some((count, next?))))
}

/// When the first of the objects that still fail failed first.
pub async fn oldest(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT min(first_failed) FROM escrows WHERE tenant = $1 AND job = $2";
    let row: Option<(Option<Timestamp>,)> = tx.one(sql, &[tenant.into(), job.into()]).await?;
    Ok(row.and_then(|(at,)| at))
}

/// How many escrows a job has, and when the next one is due.
pub async fn outlook(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
) -> Result<(u64, Option<Timestamp>), StoreError> {
    let sql = "SELECT count(*), min(next_attempt) FROM escrows WHERE tenant = $1 AND job = $2";
    Ok(tx
        .one(sql, &[tenant.into(), job.into()])
        .await?
        .unwrap_or((0, None)))
}
