//! `muster plan` and `muster apply`.

use std::fmt::Write as _;

use muster_app::{AppError, plans};
use muster_engine::EngineError;
use muster_model::Value;
use muster_model::event::{Action, Status};
use muster_model::plan::Operation;
use muster_store::plans::{At, Kept, operation_from_json, to_json};
use tokio::sync::watch;

use crate::args::{Apply, Plan};
use crate::commands::job::{ended, shown};
use crate::exit::Exit;
use crate::node::Node;
use crate::output::{Out, Sign};

/// Operations that are read at once.
const PAGE: u32 = 500;
/// Digits of an id that people need.
const SHORT: usize = 12;

pub(super) async fn plan(node: &Node, task: Plan, out: &Out) -> Result<Exit, AppError> {
    let ctx = &node.ctx;
    let (progress, watched) = watch::channel(None);
    let made = plans::make(ctx, &task.app, &progress);
    let (application, kept) = shown(watched, made, out).await?;
    let short = &kept.id[..SHORT];
    if !out.json {
        out.line(summary(&kept, &application.display_name)).await;
    }
    if out.json || task.out.is_some() {
        document(to_json(&kept.plan), task.out.is_some(), out).await;
    }
    let (mut at, mut left) = (At::default(), u64::from(task.limit));
    let mut more = 0_u64;
    loop {
        let page = plans::operations(ctx, &kept, &at, PAGE).await?;
        let Some(last) = page.last() else { break };
        at = last.at.clone();
        for placed in page {
            if out.json || task.out.is_some() {
                document(placed.body.clone(), task.out.is_some(), out).await;
            }
            let Some(operation) = operation_from_json(&placed.body) else {
                continue;
            };
            if out.json || (operation.status == Status::Skipped && !task.all) {
                continue;
            }
            if left == 0 {
                more += 1;
                continue;
            }
            left -= 1;
            tell(&operation, out).await;
        }
    }
    if out.json {
        return Ok(Exit::Done);
    }
    if more > 0 {
        out.line(format!(
            "… and {more} more: --limit shows more of them, --out FILE keeps all"
        ))
        .await;
    }
    if let Some((new, managed)) = kept.plan.held {
        let would = EngineError::HeldBack { new, managed };
        out.line(format!("The guard of the job would hold it: {would}"))
            .await;
    }
    if kept.plan.counts.requests > 0 {
        out.line(format!("Do exactly this with: muster apply {short}"))
            .await;
    }
    Ok(Exit::Done)
}

/// A line of the plan as a document, for a file or for programs.
async fn document(line: String, to_file: bool, out: &Out) {
    if to_file {
        out.file(line).await;
    } else {
        out.line(line).await;
    }
}

/// A plan in one line.
fn summary(kept: &Kept, application: &str) -> String {
    let (plan, counts) = (&kept.plan, &kept.plan.counts);
    let short = &kept.id[..SHORT];
    let what = if counts.requests == 0 && counts.failed == 0 {
        "nothing to do".to_owned()
    } else {
        format!(
            "{} to create, {} to update, {} to disable, {} to delete in {} requests; {} would fail",
            counts.created,
            counts.updated,
            counts.disabled,
            counts.deleted,
            counts.requests,
            counts.failed
        )
    };
    format!(
        "Plan {short}: {} cycle of {application}: {what}; {} skipped",
        plan.kind.as_str(),
        counts.skipped
    )
}

/// What would be done to one object: a line, and a line for each attribute.
async fn tell(operation: &Operation, out: &Out) {
    let (sign, what) = match (operation.status, operation.action) {
        (Status::Failure, _) => (Sign::Fails, "fails"),
        (Status::Skipped, _) | (_, Action::Other | Action::StagedDelete) => (Sign::Skips, "skip"),
        (_, Action::Create) => (Sign::Adds, "create"),
        (_, Action::Update) => (Sign::Changes, "update"),
        (_, Action::Disable) => (Sign::Removes, "disable"),
        (_, Action::Delete) => (Sign::Removes, "delete"),
    };
    let code = if operation.code.is_empty() {
        String::new()
    } else {
        format!(" [{}]", operation.code)
    };
    let Operation {
        kind, name, reason, ..
    } = operation;
    let mut told = format!("{what} {kind} {name}: {reason}{code}");
    for it in &operation.modified {
        let (old, new) = (shown_value(&it.old), shown_value(&it.new));
        // Writing to a string cannot fail.
        let _ = match it.old {
            Value::Null => write!(told, "\n      {}: {new}", it.name),
            _ => write!(told, "\n      {}: {old} → {new}", it.name),
        };
    }
    out.change(sign, told).await;
}

fn shown_value(value: &Value) -> String {
    super::log::value_json(value).to_string()
}

pub(super) async fn apply(node: &Node, task: Apply, out: &Out) -> Result<Exit, AppError> {
    let ctx = &node.ctx;
    let kept = plans::find(ctx, &task.plan).await?;
    let progress = plans::progress(ctx, &kept);
    let cycle = shown(progress, plans::apply(ctx, &kept), out).await?;
    Ok(ended(&cycle, out).await)
}
