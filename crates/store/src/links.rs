//! Links: which object at the target belongs to which object of the source. Written by the engine.

use std::fmt::Write as _;

use muster_model::directory::Kind;
use muster_model::link::{Link, LinkState, SourceAnchor, TargetId};
use muster_model::{JobId, TenantId, Timestamp};

use crate::lists::of_job;
use crate::{FromRow, FromVal, Row, StoreError, Tx, Val};

const COLUMNS: &str = "kind, anchor, target, state, since";

impl From<LinkState> for Val {
    fn from(state: LinkState) -> Self {
        Self::Int(match state {
            LinkState::Managed => 1,
            LinkState::Disabled => 2,
            LinkState::Released => 3,
            LinkState::Leaving => 4,
        })
    }
}

impl FromVal for LinkState {
    fn from_val(val: Val) -> Result<Self, String> {
        match i64::from_val(val)? {
            1 => Ok(Self::Managed),
            2 => Ok(Self::Disabled),
            3 => Ok(Self::Released),
            4 => Ok(Self::Leaving),
            other => Err(format!("{other} is no state of a link")),
        }
    }
}

impl FromRow for Link {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            kind: row.take()?,
            anchor: row.take()?,
            target: TargetId(row.take()?),
            state: row.take()?,
            since: row.take()?,
        })
    }
}

/// Keeps links, new ones and changed ones. A group is to be filled when it is new, another object at the
/// target, or managed again: see [`unfilled`].
pub async fn put(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    links: &[Link],
) -> Result<(), StoreError> {
    let rows = links
        .iter()
        .map(|link| {
            vec![
                tenant.into(),
                job.into(),
                link.anchor.into(),
                link.kind.into(),
                link.target.0.clone().into(),
                link.state.into(),
                link.since.into(),
                false.into(),
            ]
        })
        .collect();
    let head = "INSERT INTO links (tenant, job, anchor, kind, target, state, since, filled)";
    let tail = "ON CONFLICT (tenant, job, anchor) DO UPDATE SET \
                target = excluded.target, state = excluded.state, since = excluded.since, \
                filled = links.filled AND links.state = 1 AND links.target = excluded.target";
    tx.insert_many(head, tail, rows).await.map(|_| ())
}

/// The links of these objects, in no order.
pub async fn of(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    anchors: &[SourceAnchor],
) -> Result<Vec<Link>, StoreError> {
    let select = format!("SELECT {COLUMNS} FROM links");
    of_job(tx, &select, (tenant, job), "anchor", anchors).await
}

/// The link that holds this object of the target.
pub async fn find_by_target(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    target: &TargetId,
) -> Result<Option<Link>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM links WHERE tenant = $1 AND job = $2 AND target = $3 LIMIT 1"
    );
    tx.one(&sql, &[tenant.into(), job.into(), target.0.as_str().into()])
        .await
}

/// Which links.
#[derive(Clone, Debug, Default)]
pub struct LinkQuery {
    /// Of one kind, or of both.
    pub kind: Option<Kind>,
    /// In one state, or in any.
    pub state: Option<LinkState>,
    /// The one that holds this object of the target, or all.
    pub target: Option<TargetId>,
}

impl LinkQuery {
    /// Those of one kind, or all.
    pub fn of(kind: Option<Kind>) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }
}

/// Links in the order of their anchors, after `after`.
pub async fn page(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    after: Option<SourceAnchor>,
    query: &LinkQuery,
    limit: u32,
) -> Result<Vec<Link>, StoreError> {
    let after = after.unwrap_or(SourceAnchor::from_bytes([0; 16]));
    let mut sql =
        format!("SELECT {COLUMNS} FROM links WHERE tenant = $1 AND job = $2 AND anchor > $3");
    let mut params: Vec<Val> = vec![tenant.into(), job.into(), after.into()];
    let wanted: [(&str, Option<Val>); 3] = [
        ("kind", query.kind.map(Val::from)),
        ("state", query.state.map(Val::from)),
        (
            "target",
            query.target.as_ref().map(|id| id.0.as_str().into()),
        ),
    ];
    for (column, value) in wanted {
        if let Some(value) = value {
            params.push(value);
            let _ = write!(sql, " AND {column} = ${}", params.len());
        }
    }
    params.push(limit.into());
    let _ = write!(sql, " ORDER BY anchor LIMIT ${}", params.len());
    tx.all(&sql, &params).await
}

/// Managed groups after `after` whose members were not brought over as a whole since they were linked.
pub async fn unfilled(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    after: Option<SourceAnchor>,
    limit: u32,
) -> Result<Vec<Link>, StoreError> {
    let after = after.unwrap_or(SourceAnchor::from_bytes([0; 16]));
    let hint = tx.indexed_by("links_unfilled");
    let sql = format!(
        "SELECT {COLUMNS} FROM links {hint} WHERE tenant = $1 AND job = $2 AND anchor > $3 \
         AND kind = 2 AND state = 1 AND NOT filled ORDER BY anchor LIMIT $4"
    );
    let params = [tenant.into(), job.into(), after.into(), limit.into()];
    tx.all(&sql, &params).await
}

/// Objects that left before an instant and are to be deleted, those first that left first. What failed
/// before is left out: it has an attempt of its own.
pub async fn leaving(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    before: Timestamp,
    limit: u32,
) -> Result<Vec<(Kind, SourceAnchor)>, StoreError> {
    let sql = "SELECT kind, anchor FROM links WHERE tenant = $1 AND job = $2 AND state = 4 \
               AND since <= $3 AND NOT EXISTS (SELECT 1 FROM escrows e WHERE e.tenant = $1 \
               AND e.job = $2 AND e.anchor = links.anchor) ORDER BY since, anchor LIMIT $4";
    let params = [tenant.into(), job.into(), before.into(), limit.into()];
    tx.all(sql, &params).await
}

/// When the first of those left, after an instant, that are to be deleted; those that failed before left out.
pub async fn first_leaving(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    after: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT since FROM links WHERE tenant = $1 AND job = $2 AND state = 4 \
               AND since > $3 AND NOT EXISTS (SELECT 1 FROM escrows e WHERE e.tenant = $1 \
               AND e.job = $2 AND e.anchor = links.anchor) ORDER BY since LIMIT 1";
    let params = [tenant.into(), job.into(), after.into()];
    Ok(tx.one(sql, &params).await?.map(|(since,)| since))
}

/// The members of a group were brought over as a whole; from now on only changes are.
pub async fn set_filled(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    group: SourceAnchor,
) -> Result<(), StoreError> {
    let sql = "UPDATE links SET filled = TRUE WHERE tenant = $1 AND job = $2 AND anchor = $3";
    tx.exec(sql, &[tenant.into(), job.into(), group.into()])
        .await
        .map(|_| ())
}

/// Drops a link.
pub async fn remove(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    anchor: SourceAnchor,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM links WHERE tenant = $1 AND job = $2 AND anchor = $3";
    tx.exec(sql, &[tenant.into(), job.into(), anchor.into()])
        .await
        .map(|_| ())
}

/// Drops the links of a job but those of objects that failed, who may have to lose access; answers how many they
/// were.
pub async fn clear(tx: &mut Tx<'_>, tenant: TenantId, job: JobId) -> Result<u64, StoreError> {
    let sql = "DELETE FROM links WHERE tenant = $1 AND job = $2 AND NOT EXISTS \
               (SELECT 1 FROM escrows e WHERE e.tenant = $1 AND e.job = $2 AND e.anchor = links.anchor)";
    tx.exec(sql, &[tenant.into(), job.into()]).await
}

/// How many objects are managed, or were until something was taken away from them lately.
pub async fn count_managed_or_withdrawn(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
) -> Result<u64, StoreError> {
    let sql = "SELECT (SELECT count(*) FROM links WHERE tenant = $1 AND job = $2 AND state = $3) \
               + (SELECT count(*) FROM withdrawn w WHERE w.tenant = $1 AND w.job = $2 \
               AND NOT EXISTS (SELECT 1 FROM links l WHERE l.tenant = $1 AND l.job = $2 \
               AND l.anchor = w.anchor AND l.state = $3))";
    let params = [tenant.into(), job.into(), LinkState::Managed.into()];
    let row: Option<(u64,)> = tx.one(sql, &params).await?;
    Ok(row.map_or(0, |(count,)| count))
}

/// How many linked objects are as they should be, as far as is known: not released, and without a failure.
pub async fn count_well(tx: &mut Tx<'_>, tenant: TenantId, job: JobId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM links l WHERE l.tenant = $1 AND l.job = $2 AND l.state <> $3 \
               AND NOT EXISTS (SELECT 1 FROM escrows e WHERE e.tenant = $1 AND e.job = $2 \
               AND e.anchor = l.anchor)";
    let params = [tenant.into(), job.into(), LinkState::Released.into()];
    let row: Option<(u64,)> = tx.one(sql, &params).await?;
    Ok(row.map_or(0, |(count,)| count))
}

/// How many objects of a kind are linked, by state.
pub async fn counts(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
) -> Result<Vec<(Kind, LinkState, u64)>, StoreError> {
    let sql = "SELECT kind, state, count(*) FROM links WHERE tenant = $1 AND job = $2 \
               GROUP BY kind, state ORDER BY kind, state";
    tx.all(sql, &[tenant.into(), job.into()]).await
}
