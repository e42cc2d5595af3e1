//! What was taken away lately without having been allowed: what a guard counts besides the cycle that it
//! judges (6.5). Written by the engine.

use muster_model::link::SourceAnchor;
use muster_model::{JobId, TenantId, Timestamp};

use crate::lists::of_job;
use crate::{StoreError, Tx};

/// Adds objects from which something was taken away.
pub async fn add(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    at: Timestamp,
    anchors: &[SourceAnchor],
) -> Result<(), StoreError> {
    let rows = anchors
        .iter()
        .map(|anchor| vec![tenant.into(), job.into(), (*anchor).into(), at.into()]);
    let head = "INSERT INTO withdrawn (tenant, job, anchor, at)";
    let tail = "ON CONFLICT (tenant, job, anchor) DO UPDATE SET at = excluded.at";
    tx.insert_many(head, tail, rows.collect()).await.map(|_| ())
}

/// From how many objects of a job something was taken away, these left out.
pub async fn count(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    without: &[SourceAnchor],
) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM withdrawn WHERE tenant = $1 AND job = $2";
    let row: Option<(u64,)> = tx.one(sql, &[tenant.into(), job.into()]).await?;
    let select = "SELECT anchor FROM withdrawn";
    let both: Vec<(SourceAnchor,)> = of_job(tx, select, (tenant, job), "anchor", without).await?;
    let all = row.map_or(0, |(count,)| count);
    Ok(all.saturating_sub(both.len() as u64))
}

/// Forgets what was taken away before an instant.
pub async fn forget(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    before: Timestamp,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM withdrawn WHERE tenant = $1 AND job = $2 AND at < $3";
    tx.exec(sql, &[tenant.into(), job.into(), before.into()])
        .await
        .map(|_| ())
}
