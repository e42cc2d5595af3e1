//! What was taken away lately without having been allowed: what a guard counts besides the cycle that it
//! judges (6.5). Written by the engine.

use std::collections::{HashMap, HashSet};

use muster_model::link::SourceAnchor;
use muster_model::{JobId, TenantId, Timestamp};

use crate::lists::of_job;
use crate::{StoreError, Tx, Val};

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
    let both = among(tx, tenant, job, without).await?;
    let all = row.map_or(0, |(count,)| count);
    Ok(all.saturating_sub(both.len() as u64))
}

/// From which of these something was taken away.
pub async fn among(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    anchors: &[SourceAnchor],
) -> Result<Vec<SourceAnchor>, StoreError> {
    let select = "SELECT anchor FROM withdrawn";
    let rows: Vec<(SourceAnchor,)> = of_job(tx, select, (tenant, job), "anchor", anchors).await?;
    Ok(rows.into_iter().map(|(anchor,)| anchor).collect())
}

/// Adds members who were removed from groups.
pub async fn add_members(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    at: Timestamp,
    memberships: &[(SourceAnchor, SourceAnchor)],
) -> Result<(), StoreError> {
    let row = |(owner, member): &(SourceAnchor, SourceAnchor)| {
        let (owner, member) = (*owner, *member);
        let row: [Val; 5] = [
            tenant.into(),
            job.into(),
            owner.into(),
            member.into(),
            at.into(),
        ];
        row.to_vec()
    };
    let head = "INSERT INTO withdrawn_members (tenant, job, owner, member, at)";
    let tail = "ON CONFLICT (tenant, job, owner, member) DO UPDATE SET at = excluded.at";
    let rows = memberships.iter().map(row).collect();
    tx.insert_many(head, tail, rows).await.map(|_| ())
}

/// Who was removed, by group.
pub async fn members(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
) -> Result<HashMap<SourceAnchor, HashSet<SourceAnchor>>, StoreError> {
    let sql = "SELECT owner, member FROM withdrawn_members WHERE tenant = $1 AND job = $2";
    let rows: Vec<(SourceAnchor, SourceAnchor)> = tx.all(sql, &[tenant.into(), job.into()]).await?;
    let mut members: HashMap<SourceAnchor, HashSet<SourceAnchor>> = HashMap::new();
    for (owner, member) in rows {
        members.entry(owner).or_default().insert(member);
    }
    Ok(members)
}

/// Forgets what was taken away before an instant.
pub async fn forget(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    before: Timestamp,
) -> Result<(), StoreError> {
    for table in ["withdrawn", "withdrawn_members"] {
        let sql = format!("DELETE FROM {table} WHERE tenant = $1 AND job = $2 AND at < $3");
        let params = [tenant.into(), job.into(), before.into()];
        tx.exec(&sql, &params).await?;
    }
    Ok(())
}
