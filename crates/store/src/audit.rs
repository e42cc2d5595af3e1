//! The audit log. Written with what it tells of, in the same transaction; never changed.

use std::fmt::Write as _;

use muster_model::audit::Audited;
use muster_model::{EventId, JobId, TenantId, Timestamp};

use crate::events::lowest;
use crate::{FromRow, Row, StoreError, Tx, Val};

impl FromRow for Audited {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.take()?,
            at: row.take()?,
            actor: row.take()?,
            activity: row.take()?,
            job: row.take()?,
            detail: row.take()?,
        })
    }
}

/// Writes an entry.
pub async fn append(tx: &mut Tx<'_>, tenant: TenantId, entry: &Audited) -> Result<(), StoreError> {
    let sql = "INSERT INTO audit (tenant, id, at, actor, activity, job, detail) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let params = [
        tenant.into(),
        entry.id.into(),
        entry.at.into(),
        (&entry.actor).into(),
        (&entry.activity).into(),
        entry.job.into(),
        (&entry.detail).into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// Which entries to list; everything that is set must hold.
#[derive(Clone, Debug, Default)]
pub struct AuditQuery {
    /// Of one job.
    pub job: Option<JobId>,
    /// By somebody.
    pub actor: Option<String>,
    /// Of one activity.
    pub activity: Option<String>,
    /// Not before this instant.
    pub since: Option<Timestamp>,
    /// Older than this entry; for the next page.
    pub before: Option<EventId>,
}

/// Entries, newest first.
pub async fn list(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    query: &AuditQuery,
    limit: u32,
) -> Result<Vec<Audited>, StoreError> {
    let mut sql =
        "SELECT id, at, actor, activity, job, detail FROM audit WHERE tenant = $1".to_owned();
    let mut params: Vec<Val> = vec![tenant.into()];
    let mut condition = |text: &str, val: Option<Val>| {
        if let Some(val) = val {
            params.push(val);
            // Writing to a string cannot fail.
            let _ = write!(sql, " AND {text} ${}", params.len());
        }
    };
    condition("id <", query.before.map(Val::from));
    condition("job =", query.job.map(Val::from));
    condition("actor =", query.actor.clone().map(Val::from));
    condition("activity =", query.activity.clone().map(Val::from));
    condition("id >=", query.since.map(|since| lowest(since).into()));
    condition("at >=", query.since.map(Val::from));
    params.push(limit.into());
    let _ = write!(sql, " ORDER BY id DESC LIMIT ${}", params.len());
    tx.all(&sql, &params).await
}
