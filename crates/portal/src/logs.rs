//! Provisioning logs: what happened to whom, and one event with its steps.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;
use muster_app::log::{self, EventQuery};
use muster_model::Value;
use muster_model::code;
use muster_model::event::{Event, Status};

use crate::Face;
use crate::application::{Tabs, find};
use crate::details::Happened;
use crate::failure::Failure;
use crate::form::query;
use crate::shell::{Shell, page};
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
    next: Option<String>,
}

async fn list(who: &Who, uri: &Uri, tabs: Option<Tabs>) -> Result<Response, Failure> {
    let fields = query(uri)?;
    let text = |name: &str| Some(fields.text(name).to_owned()).filter(|it| !it.is_empty());
    let wanted = EventQuery {
        identity: text("identity"),
        status: text("status"),
        action: text("action"),
        beyond: text("beyond").and_then(|id| id.parse().ok()),
        ..EventQuery::default()
    };
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
    let next = last.map(|last| {
        let repeated = ["identity", "status", "action"].map(encoded).join("&");
        format!("?{repeated}&beyond={}", last.id)
    });
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
    }))
}
