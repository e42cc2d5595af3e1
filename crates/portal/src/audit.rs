//! The audit log: who changed what.

use askama::Template;
use axum::response::Response;
use http::Uri;
use muster_app::audit::{self, Filter};

use crate::failure::Failure;
use crate::form::query;
use crate::shell::{Shell, page};
use crate::who::Who;
use crate::words::ago;

/// Entries of a page.
const PAGE: u32 = 50;

struct Row {
    when: String,
    at: String,
    actor: String,
    activity: String,
    application: String,
    detail: String,
}

#[derive(Template)]
#[template(path = "audit.html")]
struct Audit {
    shell: Shell,
    rows: Vec<Row>,
    actor: String,
    next: Option<String>,
}

/// `GET /audit`
pub(crate) async fn show(who: Who, uri: Uri) -> Result<Response, Failure> {
    let fields = query(&uri)?;
    let text = |name: &str| Some(fields.text(name).to_owned()).filter(|it| !it.is_empty());
    let filter = Filter {
        actor: text("actor"),
        before: text("before").and_then(|id| id.parse().ok()),
        ..Filter::default()
    };
    let entries = audit::list(&who.ctx, filter, PAGE).await?;
    let now = who.ctx.clock.now();
    let actor = fields.text("actor").to_owned();
    let last = entries.last().filter(|_| entries.len() == PAGE as usize);
    let next = last.map(|(last, _)| {
        let actor =
            percent_encoding::utf8_percent_encode(&actor, percent_encoding::NON_ALPHANUMERIC);
        format!("?actor={actor}&before={}", last.id)
    });
    let rows = entries.iter().map(|(entry, application)| Row {
        when: ago(entry.at, now),
        at: entry.at.readable(),
        actor: entry.actor.clone(),
        activity: entry.activity.clone(),
        application: application.clone(),
        detail: entry.detail.clone(),
    });
    Ok(page(&Audit {
        shell: Shell::new("Audit log", "audit", &who),
        rows: rows.collect(),
        actor,
        next,
    }))
}
