//! The provisioning log. Written by the engine, never changed.

use std::fmt::Write as _;

use muster_model::directory::Kind;
use muster_model::event::{Event, Modified, Status, Step, StepName};
use muster_model::link::{SourceAnchor, TargetId};
use muster_model::{CycleId, EventId, JobId, TenantId, Timestamp, Value};
use serde_json::Value as Json;

use crate::json::{print, print_text, value_from_json};
use crate::{FromRow, Row, StoreError, Tx, Val, cycles};

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

/// The scoping flags of an object that is in scope: all of them hold, so they are not stored.
const fn in_scope(kind: Kind) -> [(&'static str, &'static str); 5] {
    let role = match kind {
        Kind::User => "User has the required role",
        Kind::Group => "Group has the required role",
    };
    [
        ("Active in the source system", "True"),
        ("Assigned to the application", "True"),
        (role, "True"),
        ("Scoping filter evaluation passed", "True"),
        ("ScopeEvaluationResult", "{}"),
    ]
}

/// A body is `{"detail", "steps": [[name, status, description, {details}]], "set": {name: new},
/// "changed": [[name, old, new]]}`: short, because every object of a cycle writes one.
fn read_body(body: &str, event: &mut Event) -> Option<()> {
    let mut body: Json = serde_json::from_str(body).ok()?;
    body["detail"].as_str()?.clone_into(&mut event.detail);
    for step in body["steps"].as_array()? {
        let mut step = Step {
            name: step[0].as_str()?.parse().ok()?,
            status: step[1].as_str()?.parse().ok()?,
            description: step[2].as_str()?.to_owned(),
            details: step[3]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, text)| (name.clone(), text.as_str().unwrap_or_default().to_owned()))
                .collect(),
        };
        if step.name == StepName::Scoping && step.status == Status::Success {
            for (at, (name, text)) in in_scope(event.kind).into_iter().enumerate() {
                if !step.details.iter().any(|(known, _)| known == name) {
                    let at = at.min(step.details.len());
                    step.details.insert(at, (name.to_owned(), text.to_owned()));
                }
            }
        }
        event.steps.push(step);
    }
    if let Some(set) = body["set"].as_object_mut() {
        for (name, new) in std::mem::take(set) {
            let new = value_from_json(new);
            event.modified.push(Modified {
                name,
                old: Value::Null,
                new,
            });
        }
    }
    for changed in body["changed"].as_array_mut().into_iter().flatten() {
        event.modified.push(Modified {
            name: changed[0].as_str()?.to_owned(),
            old: value_from_json(changed[1].take()),
            new: value_from_json(changed[2].take()),
        });
    }
    Some(())
}

fn body(event: &Event) -> String {
    let mut out = String::with_capacity(256 + event.modified.len() * 64);
    out.push_str("{\"detail\":");
    print_text(&event.detail, &mut out);
    out.push_str(",\"steps\":[");
    for (index, step) in event.steps.iter().enumerate() {
        let separator = if index > 0 { "," } else { "" };
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "{separator}[\"{}\",\"{}\",",
            step.name.as_str(),
            step.status.as_str()
        );
        print_text(&step.description, &mut out);
        let holds = |(name, text): &&(String, String)| {
            !(step.name == StepName::Scoping
                && step.status == Status::Success
                && in_scope(event.kind).contains(&(name.as_str(), text.as_str())))
        };
        let mut opened = false;
        for (name, text) in step.details.iter().filter(holds) {
            out.push_str(if opened { "," } else { ",{" });
            opened = true;
            print_text(name, &mut out);
            out.push(':');
            print_text(text, &mut out);
        }
        out.push_str(if opened { "}]" } else { "]" });
    }
    out.push(']');
    let (set, changed): (Vec<&Modified>, Vec<&Modified>) =
        event.modified.iter().partition(|it| it.old.is_null());
    for (index, it) in set.iter().enumerate() {
        out.push_str(if index == 0 { ",\"set\":{" } else { "," });
        print_text(&it.name, &mut out);
        out.push(':');
        print(&it.new, &mut out);
    }
    out.push_str(if set.is_empty() { "" } else { "}" });
    for (index, it) in changed.iter().enumerate() {
        out.push_str(if index == 0 { ",\"changed\":[[" } else { ",[" });
        print_text(&it.name, &mut out);
        out.push(',');
        print(&it.old, &mut out);
        out.push(',');
        print(&it.new, &mut out);
        out.push(']');
    }
    out.push_str(if changed.is_empty() { "}" } else { "]}" });
    out
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
    tx.insert_many(head, "", rows).await?;
    let mut told: Option<(JobId, CycleId)> = None;
    for event in events {
        let of = (event.job, event.cycle);
        if told.replace(of) != Some(of) {
            cycles::note_running(tx, tenant, of, event.at).await?;
        }
    }
    Ok(())
}

/// Which events to list; everything that is set must hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Of one cycle.
    pub cycle: Option<CycleId>,
    /// About one object.
    pub source: Option<SourceAnchor>,
    /// About whoever is called so, or has this id at the target: a part of the name suffices.
    pub identity: Option<String>,
    /// `success`, `failure`, `skipped`, `warning`.
    pub status: Option<String>,
    /// `create`, `update`, …
    pub action: Option<String>,
    /// The error or reason code.
    pub code: Option<String>,
    /// Not before this instant.
    pub since: Option<Timestamp>,
    /// Before this instant.
    pub until: Option<Timestamp>,
    /// Beyond this event; for the next page.
    pub beyond: Option<EventId>,
    /// The oldest ones first, and not the newest.
    pub oldest_first: bool,
    /// Only those whose exchanges are kept.
    pub has_exchanges: bool,
}

/// How many events a stretch of time has of an action and a status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally {
    /// When the stretch begins.
    pub begin: Timestamp,
    /// `create`, `update`, …
    pub action: String,
    /// `success`, `failure`, …
    pub status: String,
    /// How many.
    pub count: u64,
}

/// No event that was told at this instant or later has a lower id: ids begin with the time, to the
/// millisecond. The clock may have been set back an hour meanwhile.
pub(crate) fn lowest(since: Timestamp) -> EventId {
    first_of(since.plus_seconds(-3600))
}

/// The lowest id of a millisecond.
pub(crate) fn first_of(instant: Timestamp) -> EventId {
    let millis = (instant.as_micros() / 1000).max(0) as u64;
    let mut id = [0; 16];
    id[..6].copy_from_slice(&millis.to_be_bytes()[2..]);
    EventId::from_bytes(id)
}

/// Has a job events before an instant?
pub async fn has_before(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    before: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "SELECT id FROM events WHERE tenant = $1 AND job = $2 AND id < $3 LIMIT 1";
    let params = [tenant.into(), job.into(), first_of(before).into()];
    Ok(tx.one::<(EventId,)>(sql, &params).await?.is_some())
}

/// Throws away the events of a job before an instant, with their exchanges and their cycles, some at a time; answers whether there may be
/// more.
pub async fn throw_away(
    tx: &mut Tx<'_>,
    (tenant, job): (TenantId, JobId),
    before: Timestamp,
) -> Result<bool, StoreError> {
    let first = first_of(before);
    let sql = "DELETE FROM exchanges WHERE tenant = $1 AND job = $2 AND event IN \
               (SELECT id FROM events WHERE tenant = $1 AND job = $2 AND id < $3 \
               ORDER BY id LIMIT $4)";
    let params = [tenant.into(), job.into(), first.into(), AT_ONCE.into()];
    tx.exec(sql, &params).await?;
    let sql = "DELETE FROM events WHERE tenant = $1 AND job = $2 AND id IN \
               (SELECT id FROM events WHERE tenant = $1 AND job = $2 AND id < $3 \
               ORDER BY id LIMIT $4)";
    let thrown = tx.exec(sql, &params).await?;
    // Whatever such a cycle did it did before it ended.
    let sql = "DELETE FROM cycles WHERE tenant = $1 AND job = $2 AND ended < $3";
    if thrown < u64::from(AT_ONCE) {
        tx.exec(sql, &[tenant.into(), job.into(), before.into()])
            .await?;
    }
    Ok(thrown == u64::from(AT_ONCE))
}

/// Events that are thrown away at once.
const AT_ONCE: u32 = 500;

/// Counts the events of a job since an instant, in stretches of so many seconds, oldest first.
pub async fn tally(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    since: Timestamp,
    stretch_seconds: u32,
) -> Result<Vec<Tally>, StoreError> {
    let sql = "SELECT at - at % $1 AS begin, action, status, count(*) FROM events \
               WHERE tenant = $2 AND job = $3 AND id >= $4 AND at >= $5 \
               GROUP BY at - at % $1, action, status ORDER BY 1, action, status";
    let params = [
        (i64::from(stretch_seconds) * 1_000_000).into(),
        tenant.into(),
        job.into(),
        lowest(since).into(),
        since.into(),
    ];
    let rows: Vec<(Timestamp, String, String, u64)> = tx.all(sql, &params).await?;
    let tally = |(begin, action, status, count)| Tally {
        begin,
        action,
        status,
        count,
    };
    Ok(rows.into_iter().map(tally).collect())
}

/// Events of a job, newest first unless asked for otherwise.
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
    let (beyond, order) = if query.oldest_first {
        ("id >", "ASC")
    } else {
        ("id <", "DESC")
    };
    condition(beyond, query.beyond.map(Val::from));
    condition("cycle =", query.cycle.map(Val::from));
    condition("source =", query.source.map(Val::from));
    condition("status =", query.status.clone().map(Val::from));
    condition("action =", query.action.clone().map(Val::from));
    condition("code =", query.code.clone().map(Val::from));
    condition("id >=", query.since.map(|since| lowest(since).into()));
    condition("at >=", query.since.map(Val::from));
    condition("at <", query.until.map(Val::from));
    if let Some(text) = &query.identity {
        // A database lowers the letters of ASCII alone, so that a name is also looked for as it is written.
        params.extend([
            like(&text.to_lowercase()).into(),
            like(text).into(),
            text.into(),
        ]);
        let last = params.len();
        let _ = write!(
            sql,
            " AND (lower(source_name) LIKE ${} ESCAPE '!' OR source_name LIKE ${} ESCAPE '!' \
             OR target = ${last}",
            last - 2,
            last - 1
        );
        if let Ok(id) = text.parse::<SourceAnchor>() {
            params.push(id.into());
            let _ = write!(sql, " OR source = ${}", params.len());
        }
        sql.push(')');
    }
    if query.has_exchanges {
        sql.push_str(
            " AND EXISTS (SELECT 1 FROM exchanges x WHERE x.tenant = events.tenant \
             AND x.job = events.job AND x.event = events.id)",
        );
    }
    params.push(limit.into());
    let _ = write!(sql, " ORDER BY id {order} LIMIT ${}", params.len());
    tx.all(&sql, &params).await
}

/// A pattern for names that hold this text.
fn like(text: &str) -> String {
    let mut pattern = String::with_capacity(text.len() + 2);
    pattern.push('%');
    for letter in text.chars() {
        if matches!(letter, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(letter);
    }
    pattern.push('%');
    pattern
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
