//! `muster provision`: on demand.

use muster_app::{AppError, explain, provision};
use muster_engine::demand::Demand;
use muster_model::event::{Action, Event, Status};
use serde_json::json;

use crate::args::Provision;
use crate::commands::explain::{decision, steps};
use crate::commands::plan::sign;
use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;
use muster_app::told::{self, explanation as as_json, value as value_json};

pub(super) async fn perform(node: &Node, task: Provision, out: &Out) -> Result<Exit, AppError> {
    let ctx = &node.ctx;
    let Provision {
        app,
        subject,
        members,
        dry_run,
    } = task;
    let (application, demand) = provision::demand(ctx, &app, &subject, &members).await?;
    let Demand {
        anchor, members, ..
    } = &demand;
    provision::test(ctx, &application, &demand).await?;
    let mut explained = Vec::new();
    for anchor in members.iter().chain([anchor]) {
        let id = anchor.to_string();
        let explanation = explain::explain(ctx, &app, &id);
        let (_, _, explanation) = Box::pin(explanation).await?;
        let Some(explanation) = explanation else {
            continue;
        };
        if !out.json {
            let operation = &explanation.operation;
            out.line(format!("{} {}", operation.kind, operation.name))
                .await;
            for text in steps(&explanation) {
                out.line(text).await;
            }
            if dry_run {
                decision(&explanation, out).await;
            }
        }
        explained.push(explanation);
    }
    let steps: Vec<_> = explained.iter().map(as_json).collect();
    if dry_run {
        if out.json {
            out.line(json!({ "dryRun": true, "explained": steps }).to_string())
                .await;
        }
        return Ok(Exit::Done);
    }
    let (cycle, events) = provision::provision(ctx, &application, &demand).await?;
    if out.json {
        let events: Vec<_> = events.iter().map(told::event).collect();
        let told = json!({
            "result": result(&cycle.counts), "cycleId": cycle.id.to_string(),
            "explained": steps, "events": events
        });
        out.line(told.to_string()).await;
    } else if events.is_empty() {
        out.line("Action     nothing to do".to_owned()).await;
    }
    if !out.json {
        for event in &events {
            action(event, out).await;
        }
    }
    Ok(if cycle.counts.failed > 0 {
        Exit::PartlyFailed
    } else {
        Exit::Done
    })
}

/// In one word (9.3).
const fn result(counts: &muster_model::cycle::Counts) -> &'static str {
    if counts.failed > 0 {
        "Failure"
    } else if counts.created + counts.updated + counts.disabled + counts.deleted > 0 {
        "Success"
    } else {
        "Skipped"
    }
}

/// What was done, with what changed; what was to change when it failed.
async fn action(event: &Event, out: &Out) {
    let code = if event.code.is_empty() {
        String::new()
    } else {
        format!(" [{}]", event.code)
    };
    let failed = if event.status == Status::Failure {
        "failed to "
    } else {
        ""
    };
    let action = match event.action {
        Action::Other => "nothing for",
        action => action.as_str(),
    };
    let Event {
        kind,
        source_name,
        detail,
        ..
    } = event;
    let mut lines = vec![format!(
        "Action   {failed}{action} {kind} {source_name}: {detail}{code}"
    )];
    for change in &event.modified {
        let (old, new) = (value_json(&change.old), value_json(&change.new));
        lines.push(format!("           {}: {old} → {new}", change.name));
    }
    out.change(sign(event.status, event.action), lines.join("\n"))
        .await;
}
