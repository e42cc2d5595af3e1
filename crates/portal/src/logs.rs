//! Provisioning logs: what happened to whom, and one event with its steps.

use askama::Template;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use futures::stream;
use http::{HeaderValue, Uri, header};
use muster_app::log::{self, EventQuery};
use muster_app::log_csv::{self, Table};
use muster_app::{har, told};
use muster_model::event::{Event, Status};
use muster_model::exchange::{self, Exchange};
use muster_model::{Timestamp, Value, code};

use crate::Face;
use crate::application::{Tabs, find};
use crate::details::Happened;
use crate::failure::Failure;
use crate::form::{Fields, query};
use crate::shell::{Shell, page, protect};
use crate::who::Who;

/// Events of a page.
const PAGE: u32 = 50;

/// An event in the list, and where its page is.
struct Row {
    happened: Happened,
    application: String,
    kind: &'static str,
}

#[derive(Template)]
#[template(path = "logs.html")]
struct Logs {
    shell: Shell,
    tabs: Option<Tabs>,
    rows: Vec<Row>,
    identity: String,
    status: String,
    action: String,
    since: String,
    until: String,
    /// Where the list is, and the filters in an address.
    path: String,
    export: String,
    next: Option<String>,
}

/// Filters of the list, by their names in the address.
const FILTERS: [&str; 5] = ["identity", "status", "action", "since", "until"];

/// What is asked for. Days are those of UTC, as everything in the log is.
fn wanted(fields: &Fields) -> EventQuery {
    let text = |name: &str| Some(fields.text(name).to_owned()).filter(|it| !it.is_empty());
    let day = |name: &str| -> Option<Timestamp> {
        let day = fields.text(name);
        format!("{day}T00:00:00Z").parse().ok()
    };
    EventQuery {
        identity: text("identity"),
        status: text("status"),
        action: text("action"),
        since: day("since"),
        // To the end of that day.
        until: day("until").map(|it| it.plus_seconds(86_400)),
        beyond: text("beyond").and_then(|id| id.parse().ok()),
        ..EventQuery::default()
    }
}

async fn list(who: &Who, uri: &Uri, tabs: Option<Tabs>) -> Result<Response, Failure> {
    let fields = query(uri)?;
    let wanted = wanted(&fields);
    let of = tabs.as_ref().map(|tabs| tabs.id.as_str());
    let events = log::list(&who.ctx, of, wanted, PAGE).await?;
    let applications = muster_app::applications::list(&who.ctx).await?;
    let now = who.ctx.clock.now();
    let encoded = |name: &str| {
        let value = fields.text(name);
        let value =
            percent_encoding::utf8_percent_encode(value, percent_encoding::NON_ALPHANUMERIC);
        format!("{name}={value}")
    };
    let last = events.last().filter(|_| events.len() == PAGE as usize);
    let next = last.map(|last| format!("?{}&beyond={}", FILTERS.map(encoded).join("&"), last.id));
    let export = FILTERS.map(encoded).join("&");
    let rows = events.iter().map(|event| Row {
        happened: Happened::of(event, now),
        application: applications
            .iter()
            .find(|it| it.job == event.job)
            .map(|it| it.id.to_string())
            .unwrap_or_default(),
        kind: event.kind.as_str(),
    });
    Ok(page(&Logs {
        shell: Shell::new(
            "Provisioning logs",
            if tabs.is_some() {
                "applications"
            } else {
                "logs"
            },
            who,
        ),
        rows: rows.collect(),
        tabs,
        identity: fields.text("identity").to_owned(),
        status: fields.text("status").to_owned(),
        action: fields.text("action").to_owned(),
        since: fields.text("since").to_owned(),
        until: fields.text("until").to_owned(),
        path: uri.path().to_owned(),
        export,
        next,
    }))
}

/// `GET /logs`
pub(crate) async fn all(who: Who, uri: Uri) -> Result<Response, Failure> {
    list(&who, &uri, None).await
}

/// `GET /applications/{id}/logs`
pub(crate) async fn of_application(
    State(_): State<Face>,
    who: Who,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Failure> {
    let shown = find(&who, &id).await?;
    list(&who, &uri, Some(Tabs::of(&shown, "logs"))).await
}

/// `GET /logs/export?format=…`
pub(crate) async fn export_all(who: Who, uri: Uri) -> Result<Response, Failure> {
    export(who, &uri, None)
}

/// `GET /applications/{id}/logs/export?format=…`
pub(crate) async fn export_of(
    who: Who,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Failure> {
    find(&who, &id).await?;
    export(who, &uri, Some(id))
}

/// Everything that the filters let through, newest first: JSON Lines, or a table of CSV (10.5). It is read as fast as
/// it is taken.
fn export(who: Who, uri: &Uri, of: Option<String>) -> Result<Response, Failure> {
    let fields = query(uri)?;
    let table = match fields.text("format") {
        "events" => Some(Table::Events),
        "steps" => Some(Table::Steps),
        "properties" => Some(Table::Properties),
        "json" => None,
        _ => return Err(Failure::not_found()),
    };
    let wanted = wanted(&fields);
    let head = table.map_or_else(String::new, |it| log_csv::head(it) + "\n");
    let begin = (who, of, Some(wanted), Some(head));
    let parts = stream::unfold(begin, move |(who, of, wanted, head)| async move {
        let mut wanted = wanted?;
        let events = log::list(&who.ctx, of.as_deref(), wanted.clone(), log::PAGE).await;
        let events = match events {
            Ok(events) => events,
            // What is there is no whole file, and is not to look like one.
            Err(error) => {
                let failed = std::io::Error::other(error.to_string());
                return Some((Err(failed), (who, of, None, None)));
            }
        };
        let mut text = head.unwrap_or_default();
        for event in &events {
            let lines = match table {
                Some(table) => log_csv::lines(table, event),
                None => vec![told::event(event).to_string()],
            };
            for line in lines {
                text += &line;
                text.push('\n');
            }
        }
        let next = events.last().map(|last| {
            wanted.beyond = Some(last.id);
            wanted
        });
        Some((Ok(text), (who, of, next, None)))
    });
    let mut response = Body::from_stream(parts).into_response();
    protect(&mut response);
    let (kind, file) = match table {
        Some(_) => ("text/csv; charset=utf-8", "csv"),
        None => ("application/x-ndjson", "jsonl"),
    };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let name = format!("attachment; filename=\"provisioning-log.{file}\"");
    if let Ok(value) = HeaderValue::from_str(&name) {
        headers.insert(header::CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

/// A request to the target and its answer.
struct Said {
    request: String,
    outcome: String,
    tone: &'static str,
    sent: String,
    answered: String,
    curl: String,
}

impl Said {
    fn of(exchange: &Exchange, attempt: usize) -> Self {
        let body = |it: &Option<exchange::Body>| {
            let text = it.as_ref().map_or("", |body| body.text.as_str());
            let json: Result<serde_json::Value, _> = serde_json::from_str(text);
            json.ok()
                .and_then(|json| serde_json::to_string_pretty(&json).ok())
                .unwrap_or_else(|| text.to_owned())
        };
        Self {
            request: format!("{} {}", exchange.method, exchange.url),
            outcome: har::outcome(exchange, attempt),
            tone: if exchange.status.is_some_and(|status| status < 400) {
                "success"
            } else {
                "danger"
            },
            sent: body(&exchange.sent),
            answered: body(&exchange.answered),
            curl: har::curl(exchange),
        }
    }
}

struct Step {
    name: String,
    tone: &'static str,
    status: &'static str,
    description: String,
    details: Vec<(String, String)>,
}

struct Change {
    name: String,
    old: String,
    new: String,
}

#[derive(Template)]
#[template(path = "event.html")]
struct One {
    shell: Shell,
    tabs: Tabs,
    happened: Happened,
    kind: &'static str,
    source: String,
    target: String,
    cycle: String,
    took: String,
    code: String,
    advice: Option<&'static str>,
    steps: Vec<Step>,
    changes: Vec<Change>,
    said: Vec<Said>,
}

fn value(of: &Value) -> String {
    match of {
        Value::Null => "—".to_owned(),
        Value::Text(text) => text.clone(),
        other => muster_app::told::value(other).to_string(),
    }
}

/// `GET /applications/{id}/logs/{event}`
pub(crate) async fn event(
    who: Who,
    Path((id, event)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let shown = find(&who, &id).await?;
    let event: Event = log::show(&who.ctx, &id, &event).await?;
    let steps = event.steps.iter().map(|step| Step {
        name: step.name.shown().to_owned(),
        tone: match step.status {
            Status::Success => "success",
            Status::Failure => "danger",
            Status::Skipped => "secondary",
            Status::Warning => "warning",
        },
        status: step.status.as_str(),
        description: step.description.clone(),
        details: event
            .details(step)
            .into_iter()
            .map(|(name, text)| (name.to_owned(), text.to_owned()))
            .collect(),
    });
    let changes = event.modified.iter().map(|it| Change {
        name: it.name.clone(),
        old: value(&it.old),
        new: value(&it.new),
    });
    let is_wrong = matches!(event.status, Status::Failure | Status::Warning);
    let exchanges = log::exchanges(&who.ctx, &event).await?;
    let attempts = Exchange::attempts(&exchanges);
    let said = exchanges.iter().zip(attempts);
    let said = said.map(|(it, attempt)| Said::of(it, attempt)).collect();
    Ok(page(&One {
        shell: Shell::new(
            format!("{} {}", event.action.as_str(), event.source_name),
            "applications",
            &who,
        ),
        tabs: Tabs::of(&shown, "logs"),
        happened: Happened::of(&event, who.ctx.clock.now()),
        kind: event.kind.as_str(),
        source: event.source.to_string(),
        target: event
            .target
            .as_ref()
            .map(|it| it.0.clone())
            .unwrap_or_default(),
        cycle: event.cycle.to_string(),
        took: format!("{} ms", event.duration_ms),
        advice: code::find(&event.code)
            .filter(|_| is_wrong)
            .map(|it| it.advice),
        code: event.code.clone(),
        steps: steps.collect(),
        changes: changes.collect(),
        said,
    }))
}
