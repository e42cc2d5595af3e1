//! What a cycle would take away and the guard of its job holds back (6.5). Written by the engine.

use muster_model::job::Withdrawal;
use muster_model::link::{SourceAnchor, TargetId};
use muster_model::{JobId, TenantId};

use crate::{FromRow, Row, StoreError, Tx, Val};

impl FromRow for Withdrawal {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        let (kind, anchor, name, target) = (row.take()?, row.take()?, row.take()?, row.take()?);
        let action: String = row.take()?;
        Ok(Self {
            kind,
            anchor,
            name,
            target: TargetId(target),
            members: members(row)?,
            action: action.parse().map_err(|_| row.corrupt("unknown action"))?,
            reason: row.take()?,
            allowed: row.take()?,
        })
    }
}

const COLUMNS: &str = "kind, anchor, name, target, action, members, reason, allowed";

/// Ids, one after the other.
fn members(row: &mut Row) -> Result<Vec<SourceAnchor>, StoreError> {
    let bytes: Vec<u8> = row.take()?;
    let (ids, rest) = bytes.as_chunks();
    if !rest.is_empty() {
        return Err(row.corrupt("the members are not ids"));
    }
    Ok(ids.iter().copied().map(SourceAnchor::from_bytes).collect())
}

/// Replaces what is held back.
pub async fn replace(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    withdrawals: Vec<Withdrawal>,
) -> Result<(), StoreError> {
    clear(tx, tenant, job).await?;
    let rows = withdrawals.into_iter().map(|it| {
        let size = it.size() as i64;
        vec![
            tenant.into(),
            job.into(),
            it.anchor.into(),
            it.kind.into(),
            it.name.into(),
            it.target.0.into(),
            it.action.as_str().into(),
            Val::Bytes(it.members.iter().flat_map(|id| *id.as_bytes()).collect()),
            size.into(),
            it.reason.into(),
            it.allowed.into(),
        ]
    });
    let head = "INSERT INTO held_back \
                (tenant, job, anchor, kind, name, target, action, members, size, reason, allowed)";
    tx.insert_many(head, "", rows.collect()).await.map(|_| ())
}

/// What is held back, or allowed and not done yet, in the order of the anchors, after `after`.
pub async fn page(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    after: Option<SourceAnchor>,
    limit: u32,
) -> Result<Vec<Withdrawal>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM held_back WHERE tenant = $1 AND job = $2 AND anchor > $3 \
         ORDER BY anchor LIMIT $4"
    );
    let after = after.unwrap_or(SourceAnchor::from_bytes([0; 16]));
    let params = [tenant.into(), job.into(), after.into(), limit.into()];
    tx.all(&sql, &params).await
}

/// What is held back, or allowed and not done yet, of one object.
pub async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    anchor: SourceAnchor,
) -> Result<Option<Withdrawal>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM held_back WHERE tenant = $1 AND job = $2 AND anchor = $3");
    tx.one(&sql, &[tenant.into(), job.into(), anchor.into()])
        .await
}

/// How much is held back: objects, and memberships.
pub async fn count(tx: &mut Tx<'_>, tenant: TenantId, job: JobId) -> Result<u64, StoreError> {
    let sql = "SELECT CAST(COALESCE(sum(size), 0) AS BIGINT) FROM held_back \
               WHERE tenant = $1 AND job = $2 AND NOT allowed";
    let row: Option<(u64,)> = tx.one(sql, &[tenant.into(), job.into()]).await?;
    Ok(row.map_or(0, |(count,)| count))
}

/// Allows all that is held back now; answers how much it is (EH-18, EH-20).
pub async fn allow(tx: &mut Tx<'_>, tenant: TenantId, job: JobId) -> Result<u64, StoreError> {
    let sql = "UPDATE held_back SET allowed = $1 WHERE tenant = $2 AND job = $3 AND NOT allowed";
    let held = count(tx, tenant, job).await?;
    let params = [true.into(), tenant.into(), job.into()];
    tx.exec(sql, &params).await?;
    Ok(held)
}

/// Forgets what is done: after a cycle that came to its end. What was allowed and failed stays allowed.
pub async fn settle(tx: &mut Tx<'_>, tenant: TenantId, job: JobId) -> Result<(), StoreError> {
    let sql = "DELETE FROM held_back WHERE tenant = $1 AND job = $2 AND (NOT allowed \
               OR NOT EXISTS (SELECT 1 FROM links l WHERE l.tenant = $1 AND l.job = $2 \
               AND l.anchor = held_back.anchor AND (l.state = 1 OR held_back.action = 'delete')) \
               OR (action = 'update' AND NOT EXISTS (SELECT 1 FROM reference_links r \
               WHERE r.tenant = $1 AND r.job = $2 AND r.owner = held_back.anchor AND r.state = 3)))";
    tx.exec(sql, &[tenant.into(), job.into()]).await.map(|_| ())
}

async fn clear(tx: &mut Tx<'_>, tenant: TenantId, job: JobId) -> Result<(), StoreError> {
    let sql = "DELETE FROM held_back WHERE tenant = $1 AND job = $2";
    tx.exec(sql, &[tenant.into(), job.into()]).await.map(|_| ())
}
