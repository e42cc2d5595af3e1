//! What an integration has received: users, groups, and the event feed.

use askama::Template;
use axum::extract::Path;
use axum::response::Response;
use http::Uri;
use muster_app::integrations::{self, name_of};
use muster_model::integration::ResourceKind;
use muster_model::{Position, ResourceId};
use serde_json::Value as Json;

use crate::failure::Failure;
use crate::form::query;
use crate::service::{Tabs, find};
use crate::shell::{Shell, page};
use crate::who::Who;
use crate::words::ago;

/// Resources, or events, of a page.
const PAGE: u32 = 50;
/// Paths, or members, that are shown of an event.
const DETAILS: usize = 20;

struct Row {
    id: String,
    name: String,
    shown: String,
    external: String,
    is_active: bool,
    changed: String,
}

#[derive(Template)]
#[template(path = "received.html")]
struct Received {
    shell: Shell,
    tabs: Tabs,
    /// `users` or `groups`.
    what: &'static str,
    q: String,
    rows: Vec<Row>,
    next: Option<String>,
}

fn kind_of(what: &str) -> Result<(ResourceKind, &'static str), Failure> {
    match what {
        "users" => Ok((ResourceKind::USER, "users")),
        "groups" => Ok((ResourceKind::GROUP, "groups")),
        _ => Err(Failure::not_found()),
    }
}

/// `GET /service/{id}/{what}?q=…`: in the order of their ids, or those of a name, id or `externalId`.
pub(crate) async fn list(
    who: Who,
    Path((id, what)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, Failure> {
    let (kind, what) = kind_of(&what)?;
    let of = find(&who, &id).await?;
    let fields = query(&uri)?;
    let q = fields.text("q").to_owned();
    let (ctx, after) = (&who.ctx, fields.text("after").parse::<ResourceId>().ok());
    let found = if q.is_empty() {
        integrations::held(ctx, &of.name, kind, after, PAGE).await?
    } else {
        integrations::held_by_name(ctx, &of.name, kind, &q).await?
    };
    let now = ctx.clock.now();
    let last = found
        .last()
        .filter(|_| q.is_empty() && found.len() == PAGE as usize);
    let next = last.map(|last| format!("?after={}", last.id));
    let rows = found.iter().map(|it| {
        let doc: Json = serde_json::from_str(&it.doc).unwrap_or_default();
        Row {
            id: it.id.to_string(),
            name: name_of(it),
            shown: match kind {
                ResourceKind::USER => doc["displayName"].as_str().unwrap_or_default().to_owned(),
                _ => String::new(),
            },
            external: it.external_id.clone().unwrap_or_default(),
            is_active: it.active,
            changed: ago(it.modified, now),
        }
    });
    let title = if what == "users" {
        "Received users"
    } else {
        "Received groups"
    };
    Ok(page(&Received {
        shell: Shell::new(title, "service", &who),
        tabs: Tabs::of(&of, what),
        what,
        rows: rows.collect(),
        q,
        next,
    }))
}

#[derive(Template)]
#[template(path = "resource.html")]
struct One {
    shell: Shell,
    tabs: Tabs,
    id: String,
    name: String,
    is_active: bool,
    external: String,
    version: String,
    created: String,
    modified: String,
    document: String,
    extras: Option<String>,
    groups: Vec<(String, String)>,
    members: Vec<(Option<String>, String)>,
}

/// `GET /service/{id}/{what}/{resource}`
pub(crate) async fn one(
    who: Who,
    Path((id, what, resource)): Path<(String, String, String)>,
) -> Result<Response, Failure> {
    let (kind, what) = kind_of(&what)?;
    let of = find(&who, &id).await?;
    let resource: ResourceId = resource.parse().map_err(|_| Failure::not_found())?;
    let found = integrations::held_one(&who.ctx, &of.name, kind, resource).await?;
    let whole = found.ok_or_else(Failure::not_found)?;
    let it = &whole.resource;
    let pretty = |text: &str| {
        let json: Json = serde_json::from_str(text).unwrap_or_default();
        serde_json::to_string_pretty(&json).unwrap_or_default()
    };
    Ok(page(&One {
        shell: Shell::new(name_of(it), "service", &who),
        tabs: Tabs::of(&of, what),
        id: it.id.to_string(),
        name: name_of(it),
        is_active: it.active,
        external: it.external_id.clone().unwrap_or_default(),
        version: it.version.to_string(),
        created: it.created.readable(),
        modified: it.modified.readable(),
        document: pretty(&it.doc),
        extras: whole.extras.as_deref().map(pretty),
        groups: whole
            .groups
            .iter()
            .map(|(group, name)| (format!("/service/{id}/groups/{group}"), name.clone()))
            .collect(),
        members: whole
            .members
            .iter()
            .map(|(member, name)| {
                let folder = match member.kind {
                    ResourceKind::USER => Some("users"),
                    ResourceKind::GROUP => Some("groups"),
                    _ => None,
                };
                let link = folder.map(|folder| format!("/service/{id}/{folder}/{}", member.value));
                (link, name.clone())
            })
            .collect(),
    }))
}

struct Event {
    what: String,
    resource: String,
    link: Option<String>,
    details: String,
    version: String,
    when: String,
    at: String,
    place: String,
}

#[derive(Template)]
#[template(path = "events.html")]
struct Feed {
    shell: Shell,
    tabs: Tabs,
    events: Vec<Event>,
    next: Option<String>,
}

/// `GET /service/{id}/events?before=…`: what happened, newest first.
pub(crate) async fn events(
    who: Who,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Failure> {
    let of = find(&who, &id).await?;
    let before = query(&uri)?.text("before").parse::<Position>().ok();
    let found = integrations::newest_events(&who.ctx, &of.name, before, PAGE).await?;
    let now = who.ctx.clock.now();
    let last = found.last().filter(|_| found.len() == PAGE as usize);
    let next = last.map(|(place, _)| format!("?before={place}"));
    let events = found.iter().map(|(place, event)| {
        let text = |name: &str| event[name].as_str().unwrap_or_default().to_owned();
        let details = event.get("paths").or_else(|| event.get("members"));
        let all = details
            .and_then(Json::as_array)
            .map_or(&[][..], Vec::as_slice);
        let shown = all.iter().filter_map(Json::as_str).take(DETAILS);
        let more = all.len().saturating_sub(DETAILS);
        let more = (more > 0).then(|| format!("and {more} more"));
        let details: Vec<String> = shown.map(str::to_owned).chain(more).collect();
        let folder = match text("resourceType").as_str() {
            "User" => Some("users"),
            "Group" => Some("groups"),
            _ => None,
        };
        let is_gone = text("type").ends_with(".deleted");
        let folder = folder.filter(|_| !is_gone);
        let at = text("at").parse().unwrap_or(now);
        Event {
            link: folder.map(|folder| format!("/service/{id}/{folder}/{}", text("resource"))),
            what: text("type"),
            resource: text("resource"),
            details: details.join(", "),
            version: event["version"].to_string(),
            when: ago(at, now),
            at: at.readable(),
            place: place.to_string(),
        }
    });
    Ok(page(&Feed {
        shell: Shell::new("Event feed", "service", &who),
        tabs: Tabs::of(&of, "events"),
        events: events.collect(),
        next,
    }))
}
