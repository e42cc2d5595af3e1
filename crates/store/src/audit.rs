//! The audit log. Written with what it tells of, in the same transaction; never changed.

use std::fmt::Write as _;

use muster_model::audit::{Audited, Target};
use muster_model::event::Modified;
use muster_model::{EventId, JobId, TenantId, Timestamp};

use serde_json::Value as Json;

use crate::events::lowest;
use crate::json::{print, print_text, value_from_json};
use crate::{FromRow, Row, StoreError, Tx, Val};

impl FromRow for Audited {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.take()?,
            at: row.take()?,
            actor: row.take()?,
            activity: row.take()?,
            job: row.take()?,
            target: {
                let kind: Option<String> = row.take()?;
                let (id, name): (Option<String>, Option<String>) = (row.take()?, row.take()?);
                let whole = kind.zip(id).zip(name);
                whole.map(|((kind, id), name)| Target { kind, id, name })
            },
            detail: row.take()?,
            changes: match row.take::<Option<String>>()? {
                Some(text) => read(&text).ok_or_else(|| row.corrupt("unknown changes"))?,
                None => Vec::new(),
            },
        })
    }
}

/// Writes an entry.
pub async fn append(tx: &mut Tx<'_>, tenant: TenantId, entry: &Audited) -> Result<(), StoreError> {
    let sql = "INSERT INTO audit (tenant, id, at, actor, activity, job, target_kind, target, \
               target_name, detail, changes) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let target = entry.target.as_ref();
    let params = [
        tenant.into(),
        entry.id.into(),
        entry.at.into(),
        (&entry.actor).into(),
        (&entry.activity).into(),
        entry.job.into(),
        target.map(|it| it.kind.as_str()).into(),
        target.map(|it| it.id.as_str()).into(),
        target.map(|it| it.name.as_str()).into(),
        (&entry.detail).into(),
        printed(&entry.changes).into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// `[[property, before, after]]`; nothing when nothing changed.
fn printed(changes: &[Modified]) -> Option<String> {
    if changes.is_empty() {
        return None;
    }
    let mut out = String::from("[");
    for (at, it) in changes.iter().enumerate() {
        out.push_str(if at > 0 { ",[" } else { "[" });
        print_text(&it.name, &mut out);
        out.push(',');
        print(&it.old, &mut out);
        out.push(',');
        print(&it.new, &mut out);
        out.push(']');
    }
    out.push(']');
    Some(out)
}

fn read(text: &str) -> Option<Vec<Modified>> {
    let rows: Vec<(String, Json, Json)> = serde_json::from_str(text).ok()?;
    let changes = rows.into_iter().map(|(name, old, new)| Modified {
        name,
        old: value_from_json(old),
        new: value_from_json(new),
    });
    Some(changes.collect())
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
    /// About one object of the directory (its id).
    pub target: Option<String>,
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
        "SELECT id, at, actor, activity, job, target_kind, target, target_name, detail, changes \
         FROM audit WHERE tenant = $1"
            .to_owned();
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
    condition("target =", query.target.clone().map(Val::from));
    condition("id >=", query.since.map(|since| lowest(since).into()));
    condition("at >=", query.since.map(Val::from));
    params.push(limit.into());
    let _ = write!(sql, " ORDER BY id DESC LIMIT ${}", params.len());
    tx.all(&sql, &params).await
}
