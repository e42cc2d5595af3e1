//! `muster plan` and `muster apply`.

use std::fmt::Write as _;

use muster_app::{AppError, plans};
use muster_model::Value;
use muster_model::event::{Action, Status};
use muster_model::plan::Operation;
use muster_store::plans::{At, Kept, operation_from_json, to_json};
use serde_json::json;
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
    let (application, kept) = Box::pin(shown(watched, made, out)).await?;
    let to_file = task.out.is_some();
    if out.json {
        out.line(json!({ "id": kept.id, "plan": plans::told(&kept) }).to_string())
            .await;
    } else {
        out.line(summary(&kept, &application.display_name)).await;
    }
    if to_file {
        out.file(to_json(&kept.plan)).await;
    }
    let (mut at, mut left, mut more) = (At::default(), u64::from(task.limit), 0_u64);
    loop {
        let page = plans::operations(ctx, &kept, &at, PAGE).await?;
        let Some(last) = page.last() else { break };
        at = last.at.clone();
        for placed in page {
            let unreadable = || AppError::Refused("the plan cannot be read; plan again".to_owned());
            let operation = operation_from_json(&placed.body).ok_or_else(unreadable)?;
            if to_file {
                out.file(placed.body).await;
            } else if out.json {
                out.line(placed.body).await;
            }
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
    if !out.json {
        farewell(&kept, more, out).await;
    }
    Ok(Exit::Done)
}

/// What there is to say after the operations.
async fn farewell(kept: &Kept, more: u64, out: &Out) {
    let (plan, short) = (&kept.plan, &kept.id[..SHORT]);
    if more > 0 {
        let told = format!("… and {more} more: --limit shows more of them, --out FILE keeps all");
        out.line(told).await;
    }
    if let Some((count, next)) = plan.waiting {
        let told = format!("{count} objects failed before and are tried again later, first {next}");
        out.line(told).await;
    }
    if let Some(held) = plan.held {
        out.line(format!(
            "The guard of the job will hold it: it would {held}. muster apply {short} then lists them (muster job held); allow them \
             (muster job allow), and apply it again"
        ))
        .await;
    } else if plan.counts.requests > 0 {
        out.line(format!("Do exactly this with: muster apply {short}"))
            .await;
    }
}

/// A plan in one line.
fn summary(kept: &Kept, application: &str) -> String {
    let (plan, counts) = (&kept.plan, &kept.plan.counts);
    let short = &kept.id[..SHORT];
    let what = if counts.requests == 0 && counts.failed == 0 {
        "nothing to send".to_owned()
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

/// The sign of what is done.
pub(super) const fn sign(status: Status, action: Action) -> Sign {
    match (status, action) {
        (Status::Failure, _) => Sign::Fails,
        (Status::Skipped, _) | (_, Action::Other | Action::StagedDelete) => Sign::Skips,
        (_, Action::Create) => Sign::Adds,
        (_, Action::Update) => Sign::Changes,
        (_, Action::Disable | Action::Delete) => Sign::Removes,
    }
}

/// What would be done to one object: a line, and a line for each attribute.
async fn tell(operation: &Operation, out: &Out) {
    let what = match (operation.status, operation.action) {
        (Status::Failure, _) => "fails",
        (Status::Skipped, _) | (_, Action::Other | Action::StagedDelete) => "skip",
        (_, action) => action.as_str(),
    };
    let sign = sign(operation.status, operation.action);
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
    muster_app::told::value(value).to_string()
}

pub(super) async fn apply(node: &Node, task: Apply, out: &Out) -> Result<Exit, AppError> {
    let ctx = &node.ctx;
    let kept = plans::find(ctx, &task.plan).await?;
    let progress = plans::progress(ctx, &kept);
    let cycle = shown(progress, plans::apply(ctx, &kept), out).await?;
    Ok(ended(&cycle, out).await)
}
