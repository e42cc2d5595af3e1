//! `muster log …`

use muster_app::told::value as value_json;
use muster_app::{AppError, applications, directory, log, log_csv, told};
use muster_model::Timestamp;
use muster_model::code;
use muster_model::event::{Event, Status};
use muster_model::link::SourceAnchor;
use muster_store::events::EventQuery;
use serde_json::{Value as Json, json};

use super::log_exchanges;
use super::log_exchanges::Form;
use crate::args::{Log, LogFilter, Stretch, seconds};
use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;

pub(super) async fn perform(node: &Node, task: Log, out: &Out) -> Result<Exit, AppError> {
    match task {
        Log::List { app, filter, limit } => {
            let query = query(node, filter).await?;
            let events = log::list(&node.ctx, app.as_deref(), query, limit).await?;
            if out.json {
                let shown: Vec<Json> = events.iter().map(told::event).collect();
                out.line(json!(shown).to_string()).await;
            } else {
                let all = applications::list(&node.ctx).await?;
                for event in &events {
                    let of = all.iter().find(|it| app.is_none() && it.job == event.job);
                    let of = of.map(|it| format!("  ({}, {})", it.display_name, event.id));
                    let line = event_line(event) + &of.unwrap_or_default();
                    out.line(line).await;
                }
            }
        }
        Log::Show { app, event } => {
            let event = log::show(&node.ctx, &app, &event).await?;
            if out.json {
                out.line(told::event(&event).to_string()).await;
            } else {
                show(&event, out).await;
                let said = log::exchanges(&node.ctx, &event).await?;
                if !said.is_empty() {
                    let requests = match said.len() {
                        1 => "1 request".to_owned(),
                        many => format!("{many} requests"),
                    };
                    let command = format!("muster log exchanges \"{app}\" {}", event.id);
                    out.line(format!("  {requests}; see: {command}")).await;
                }
            }
        }
        Log::Exchanges {
            app,
            event,
            filter,
            limit,
            har,
            curl,
        } => {
            let events = if let Some(event) = event {
                vec![log::show(&node.ctx, &app, &event).await?]
            } else {
                let query = EventQuery {
                    has_exchanges: true,
                    ..query(node, filter).await?
                };
                log::list(&node.ctx, Some(&app), query, limit).await?
            };
            let form = match (har, curl) {
                (true, _) => Form::Har,
                (_, true) => Form::Curl,
                _ if out.json => Form::Json,
                _ => Form::Text,
            };
            log_exchanges::print(node, &events, form, out).await?;
        }
        Log::Counts { app, since, by } => {
            counts(node, (&app, since, by), out).await?;
        }
        Log::Export { app, filter, csv } => {
            let mut query = query(node, filter).await?;
            if let Some(table) = csv {
                out.line(log_csv::head(table.into())).await;
            }
            loop {
                let of = app.as_deref();
                let page = log::list(&node.ctx, of, query.clone(), log::PAGE).await?;
                let Some(last) = page.last() else { break };
                query.beyond = Some(last.id);
                for event in &page {
                    match csv {
                        Some(table) => {
                            for line in log_csv::lines(table.into(), event) {
                                out.line(line).await;
                            }
                        }
                        None => out.line(told::event(event).to_string()).await,
                    }
                }
            }
        }
    }
    Ok(Exit::Done)
}

async fn query(node: &Node, filter: LogFilter) -> Result<EventQuery, AppError> {
    let known = |what: &str, given: Option<String>, words: &[&str]| match given {
        Some(word) if !words.contains(&word.as_str()) => Err(AppError::Invalid(format!(
            "`{word}` is no {what}; choose from: {}",
            words.join(", ")
        ))),
        given => Ok(given),
    };
    let source = match (&filter.user, &filter.group) {
        (Some(text), _) => {
            let found = directory::find_user(&node.ctx, text).await;
            Some(or_gone(found.map(|user| user.id.into()), text)?)
        }
        (None, Some(text)) => {
            let found = directory::find_group(&node.ctx, text).await;
            Some(or_gone(found.map(|group| group.id.into()), text)?)
        }
        (None, None) => None,
    };
    let now = node.ctx.clock.now();
    let instant = |text: Option<String>| text.map(|text| instant(&text, now)).transpose();
    let cycle = filter.cycle.map(|text| {
        let wrong = |_| AppError::Invalid(format!("`{text}` is no id of a cycle"));
        text.parse().map_err(wrong)
    });
    Ok(EventQuery {
        status: known(
            "status",
            filter.status,
            &["success", "failure", "skipped", "warning"],
        )?,
        action: known(
            "action",
            filter.action,
            &[
                "create",
                "update",
                "delete",
                "stageddelete",
                "disable",
                "other",
            ],
        )?,
        source,
        identity: filter.identity,
        code: filter.code,
        cycle: cycle.transpose()?,
        since: instant(filter.since)?,
        until: instant(filter.until)?,
        beyond: None,
        oldest_first: false,
        has_exchanges: false,
    })
}

/// An object of the directory, or the id of one that is gone from it.
fn or_gone(found: Result<SourceAnchor, AppError>, text: &str) -> Result<SourceAnchor, AppError> {
    match (found, text.trim().parse()) {
        (Err(AppError::NotFound(_)), Ok(id)) => Ok(id),
        (found, _) => found,
    }
}

/// So long ago, or an instant.
fn instant(text: &str, now: Timestamp) -> Result<Timestamp, AppError> {
    if let Ok(ago) = seconds(text) {
        return Ok(now.plus_seconds(-i64::from(ago)));
    }
    text.parse().map_err(|_| {
        AppError::Invalid(format!(
            "`{text}` is neither a time such as 2h or 7d, nor an instant such as 2024-05-01T00:00:00Z"
        ))
    })
}

/// Counts by action and status, a line for each stretch of time in which something happened.
async fn counts(
    node: &Node,
    (app, since, by): (&str, u32, Stretch),
    out: &Out,
) -> Result<(), AppError> {
    let stretch = match by {
        Stretch::Hour => 3600,
        Stretch::Day => 86_400,
    };
    let since = node.ctx.clock.now().plus_seconds(-i64::from(since));
    let tally = log::tally(&node.ctx, app, since, stretch).await?;
    if out.json {
        let all: Vec<Json> = tally
            .iter()
            .map(|it| {
                json!({
                    "begin": it.begin.to_string(), "provisioningAction": it.action,
                    "status": it.status, "count": it.count
                })
            })
            .collect();
        out.line(json!(all).to_string()).await;
        return Ok(());
    }
    for stretch in tally.chunk_by(|one, next| one.begin == next.begin) {
        let counts: Vec<String> = stretch
            .iter()
            .map(|it| format!("{} {} {}", it.count, it.action, it.status))
            .collect();
        let begin = stretch.first().map(|it| it.begin.to_string());
        let line = format!("{}  {}", begin.unwrap_or_default(), counts.join(", "));
        out.line(line).await;
    }
    if tally.is_empty() {
        out.line(format!("Nothing happened since {since}")).await;
    }
    Ok(())
}

/// An event in one line.
pub(super) fn event_line(event: &Event) -> String {
    let code = if event.code.is_empty() {
        String::new()
    } else {
        format!(" [{}]", event.code)
    };
    format!(
        "{}  {:<7} {:<7} {:<5} {}: {}{code}",
        event.at, event.action, event.status, event.kind, event.source_name, event.detail
    )
}

pub(super) async fn show(event: &Event, out: &Out) {
    out.line(event_line(event)).await;
    if let Some(code) = code::find(&event.code).filter(|_| event.status != Status::Success) {
        out.line(format!("  {}: {}", code.name, code.advice)).await;
    }
    out.line(format!("  source {}", event.source)).await;
    if let Some(target) = &event.target {
        out.line(format!("  target {target}")).await;
    }
    for step in &event.steps {
        out.line(format!(
            "  {:<20} {:<8} {}",
            step.kind(),
            step.status,
            step.description
        ))
        .await;
        for (name, text) in &step.details {
            out.line(format!("      {name}: {text}")).await;
        }
    }
    for it in &event.modified {
        let (old, new) = (value_json(&it.old), value_json(&it.new));
        out.line(format!("  {}: {old} → {new}", it.name)).await;
    }
}
