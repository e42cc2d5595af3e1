//! `muster audit`

use muster_app::audit::{self, Filter};
use muster_app::{AppError, told};
use muster_model::audit::Audited;
use serde_json::json;

use crate::args::Audit;
use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;

pub(super) async fn perform(node: &Node, asked: Audit, out: &Out) -> Result<Exit, AppError> {
    let now = node.ctx.clock.now();
    let wrong =
        |_| AppError::Invalid("--before is the id of an entry (muster audit --json)".to_owned());
    let before = asked.before.map(|id| id.parse().map_err(wrong));
    let filter = Filter {
        application: asked.app,
        actor: asked.actor,
        since: asked.since.map(|ago| now.plus_seconds(-i64::from(ago))),
        before: before.transpose()?,
    };
    let entries = audit::list(&node.ctx, filter, asked.limit).await?;
    for (entry, application) in &entries {
        out.line(line(entry, application, out.json)).await;
    }
    if entries.is_empty() && !out.json {
        out.line("Nothing was changed").await;
    }
    Ok(Exit::Done)
}

fn line(entry: &Audited, application: &str, is_json: bool) -> String {
    let Audited {
        id,
        at,
        actor,
        activity,
        job,
        target,
        detail,
        changes,
    } = entry;
    if !is_json {
        let about = match (application, job) {
            ("", None) => String::new(),
            (name, _) => format!("{name}: "),
        };
        return format!("{at}  {actor}  {about}{activity}: {detail}");
    }
    json!({
        "id": id.to_string(), "activityDateTime": at.to_string(), "activityDisplayName": activity,
        "initiatedBy": actor, "application": application,
        "jobId": job.map(|job| job.to_string()),
        "target": target.as_ref().map(|it| json!({
            "type": it.kind, "id": it.id, "displayName": it.name
        })),
        "detail": detail, "modifiedProperties": told::modified(changes)
    })
    .to_string()
}
