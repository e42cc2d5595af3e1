//! `muster check`

use muster_app::{AppError, check};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;

pub(super) async fn perform(node: &Node, out: &Out) -> Result<Exit, AppError> {
    let report = check::run(&node.ctx).await?;
    if out.json {
        let problems: Vec<Value> = report
            .problems
            .iter()
            .map(|problem| json!({"what": problem.what, "count": problem.count}))
            .collect();
        let shown = json!({
            "integrations": report.integrations, "resources": report.resources,
            "members": report.members, "events": report.events, "problems": problems,
        });
        out.line(shown.to_string()).await;
    } else {
        for problem in &report.problems {
            out.line(format!("{} ({})", problem.what, problem.count))
                .await;
        }
        out.line(format!(
            "{} problems; looked at the directory and all jobs, {} integrations, {} received resources, \
             {} members, {} events",
            report.problems.len(),
            report.integrations,
            report.resources,
            report.members,
            report.events
        ))
        .await;
    }
    Ok(if report.problems.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}
