//! The provisioning log. Written by the engine, never changed.

use std::fmt::Write as _;

use muster_model::event::{Event, Modified, Step};
use muster_model::link::{SourceAnchor, TargetId};
use muster_model::{CycleId, EventId, JobId, TenantId};
use serde_json::{Value as Json, json};

use crate::json::{value_from_json, value_to_json};
use crate::{FromRow, Row, StoreError, Tx, Val};

const COLUMNS: &str = "id, job, cycle, at, duration_ms, action, status, code, kind, source, \
                       source_name, target, body";

impl FromRow for Event {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        let mut event = Self {
            id: row.take()?,
            job: row.take()?,
            cycle: row.take()?,
            at: row.take()?,
            duration_ms: row.take()?,
            action: row.parse()?,
            status: row.parse()?,
            code: row.take()?,
            kind: row.take()?,
            source: row.take()?,
            source_name: row.take()?,
            target: row.take::<Option<String>>()?.map(TargetId),
            detail: String::new(),
            steps: Vec::new(),
            modified: Vec::new(),
        };
        let body: String = row.take()?;
        read_body(&body, &mut event).ok_or_else(|| row.corrupt("unknown event body"))?;
        Ok(event)
    }
}

fn read_body(body: &str, event: &mut Event) -> Option<()> {
    let mut body: Json = serde_json::from_str(body).ok()?;
    body["detail"].as_str()?.clone_into(&mut event.detail);
    for step in body["steps"].as_array()? {
        event.steps.push(Step {
            kind: step["kind"].as_str()?.parse().ok()?,
            status: step["status"].as_str()?.parse().ok()?,
            description: step["description"].as_str()?.to_owned(),
            details: step["details"]
                .as_object()?
                .iter()
                .map(|(name, text)| (name.clone(), text.as_str().unwrap_or_default().to_owned()))
                .collect(),
        });
    }
    for modified in body["modified"].as_array_mut()? {
        event.modified.push(Modified {
            name: modified["name"].as_str()?.to_owned(),
            old: value_from_json(modified["old"].take()),
            new: value_from_json(modified["new"].take()),
        });
    }
    Some(())
}

fn body(event: &Event) -> String {
    let steps: Vec<Json> = event
        .steps
        .iter()
        .map(|step| {
            let details: serde_json::Map<String, Json> = step
                .details
                .iter()
                .map(|(name, text)| (name.clone(), json!(text)))
                .collect();
            json!({
                "kind": step.kind.as_str(), "status": step.status.as_str(),
                "description": step.description, "details": details
            })
        })
        .collect();
    let mut text = json!({ "detail": event.detail, "steps": steps }).to_string();
    text.pop();
    text.push_str(",\"modified\":[");
    for (index, modified) in event.modified.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        text.push_str("{\"name\":");
        text.push_str(&json!(modified.name).to_string());
        text.push_str(",\"old\":");
        text.push_str(&value_to_json(&modified.old));
        text.push_str(",\"new\":");
        text.push_str(&value_to_json(&modified.new));
        text.push('}');
    }
    text.push_str("]}");
    text
}

/// Writes events.
pub async fn append(tx: &mut Tx<'_>, tenant: TenantId, events: &[Event]) -> Result<(), StoreError> {
    let rows = events
        .iter()
        .map(|event| {
            vec![
                tenant.into(),
                event.job.into(),
                event.id.into(),
                event.cycle.into(),
                event.at.into(),
                event.duration_ms.into(),
                event.action.as_str().into(),
                event.status.as_str().into(),
                (&event.code).into(),
                event.kind.into(),
                event.source.into(),
                (&event.source_name).into(),
                event.target.as_ref().map(|target| target.0.as_str()).into(),
                body(event).into(),
            ]
        })
        .collect();
    let head = "INSERT INTO events (tenant, job, id, cycle, at, duration_ms, action, status, code, \
                kind, source, source_name, target, body)";
    tx.insert_many(head, "", rows).await.map(|_| ())
}

/// Which events to list; everything that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Of one cycle.
    pub cycle: Option<CycleId>,
    /// About one object.
    pub source: Option<SourceAnchor>,
    /// `success`, `failure`, `skipped`, `warning`.
    pub status: Option<String>,
    /// `create`, `update`, …
    pub action: Option<String>,
    /// Older than this event; for the next page.
    pub before: Option<EventId>,
}

/// Events of a job, newest first.
pub async fn list(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    query: &EventQuery,
    limit: u32,
) -> Result<Vec<Event>, StoreError> {
    let mut sql = format!("SELECT {COLUMNS} FROM events WHERE tenant = $1 AND job = $2");
    let mut params: Vec<Val> = vec![tenant.into(), job.into()];
    let mut condition = |text: &str, val: Option<Val>| {
        if let Some(val) = val {
            params.push(val);
            let _ = write!(sql, " AND {text} ${}", params.len());
        }
    };
    condition("id <", query.before.map(Val::from));
    condition("cycle =", query.cycle.map(Val::from));
    condition("source =", query.source.map(Val::from));
    condition("status =", query.status.clone().map(Val::from));
    condition("action =", query.action.clone().map(Val::from));
    params.push(limit.into());
    let _ = write!(sql, " ORDER BY id DESC LIMIT ${}", params.len());
    tx.all(&sql, &params).await
}

/// The event with this id.
pub async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    id: EventId,
) -> Result<Option<Event>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE tenant = $1 AND job = $2 AND id = $3");
    tx.one(&sql, &[tenant.into(), job.into(), id.into()]).await
}
