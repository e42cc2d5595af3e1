//! `muster explain`.

use std::fmt::Write as _;

use muster_app::{AppError, explain};
use muster_engine::explain::{Explanation, MappedTo};
use muster_model::event::{Action, Status, StepName};
use muster_model::job::JobStatus;
use muster_model::link::LinkState;
use muster_model::{Attributes, Value};
use muster_rules::Apply;
use muster_store::references::State;
use serde_json::{Value as Json, json};

use crate::args::Explain;
use crate::commands::plan::sign;
use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;
use muster_app::told::{self, life, state, value as value_json};

pub(super) async fn perform(node: &Node, task: Explain, out: &Out) -> Result<Exit, AppError> {
    let explained = explain::explain(&node.ctx, &task.app, &task.subject);
    let (application, subject, explanation) = Box::pin(explained).await?;
    if out.json {
        let mut told = explanation
            .as_ref()
            .map_or_else(|| json!({}), told::explanation);
        told["application"] = application.display_name.into();
        told["event"] = subject.event.as_ref().map_or(Json::Null, told::event);
        out.line(told.to_string()).await;
        return Ok(Exit::Done);
    }
    if let Some(event) = &subject.event {
        out.line("Then, as the log has it".to_owned()).await;
        super::log::show(event, out).await;
        out.line("Now".to_owned()).await;
    }
    let Some(explanation) = explanation else {
        let gone = "It is gone: neither in the directory nor linked to an account";
        out.line(gone.to_owned()).await;
        return Ok(Exit::Done);
    };
    let operation = &explanation.operation;
    out.line(format!(
        "{} {} ({}) and {}",
        operation.kind, operation.name, operation.source, application.display_name
    ))
    .await;
    for text in steps(&explanation) {
        out.line(text).await;
    }
    decision(&explanation, out).await;
    Ok(Exit::Done)
}

/// The steps up to the decision, each a text of several lines.
pub(super) fn steps(it: &Explanation) -> Vec<String> {
    let all = [
        import(it),
        scope(it),
        matching(it),
        mapping(it),
        references(it),
    ];
    let told = all.iter().filter(|text| !text.is_empty());
    told.map(|text| text.trim_end().to_owned()).collect()
}

fn lines(head: &str, rest: impl IntoIterator<Item = String>) -> String {
    let mut text = format!("{head}\n");
    for line in rest {
        text.push_str("           ");
        text.push_str(&line);
        text.push('\n');
    }
    text
}

fn import(it: &Explanation) -> String {
    let Some(record) = &it.record else {
        return lines("Import     gone from the directory for good", []);
    };
    let head = format!("Import     read from the directory: {}", life(record.life));
    let attributes = attributes(&record.attributes);
    lines(
        &head,
        attributes.map(|(name, value)| format!("{name}: {value}")),
    )
}

/// Attributes that have a value.
fn attributes(all: &Attributes) -> impl Iterator<Item = (&String, Json)> {
    let told = all.iter().filter(|(_, value)| !value.is_empty());
    told.map(|(name, value)| (name, value_json(value)))
}

fn scope(it: &Explanation) -> String {
    let Some(judged) = &it.judged else {
        return String::new();
    };
    if it.left_out {
        let head = "Scope      left out by the input filters of the mapping";
        return lines(head, []);
    }
    if let Some(problem) = &judged.filter.problem {
        let head = format!("Scope      not decided, and nothing is done: {problem}");
        return lines(&head, []);
    }
    let head = if judged.in_scope() {
        "Scope      in scope".to_owned()
    } else {
        format!("Scope      not in scope: {}", judged.reason())
    };
    let yes = |on: bool| if on { "yes" } else { "no" };
    let by = match it.entitled_by.as_slice() {
        [] => String::new(),
        by => format!(", by {}", by.join(" and ")),
    };
    let mut rest = vec![
        format!("active in the directory: {}", yes(judged.active)),
        format!("assigned to the application: {}{by}", yes(judged.assigned)),
        format!("has a role that counts: {}", yes(judged.role)),
        format!("passes the scoping filters: {}", yes(judged.filter.passed)),
    ];
    for clause in &judged.filter.clauses {
        rest.push(format!(
            "  {}: {} (it is {})",
            clause.label,
            yes(clause.passed),
            value_json(&clause.seen)
        ));
    }
    lines(&head, rest)
}

fn matching(it: &Explanation) -> String {
    let mut rest = Vec::new();
    let steps = it
        .steps
        .iter()
        .filter(|step| step.name == StepName::Matching);
    for step in steps {
        rest.extend(
            step.details
                .iter()
                .map(|(path, said)| format!("{path} = {said}")),
        );
        rest.push(step.description.clone());
    }
    let head = match &it.link {
        None => "Match      not linked".to_owned(),
        Some(link) => {
            let state = match link.state {
                LinkState::Managed => "managed",
                LinkState::Disabled => "it left scope, its account in use or not",
                LinkState::Leaving => "it left scope, and is deleted when its grace is over",
                LinkState::Released => "not managed any more, because it left scope",
            };
            format!(
                "Match      linked to {} since {}: {state}",
                link.target, link.since
            )
        }
    };
    lines(&head, rest)
}

fn when(mapped: &MappedTo) -> &'static str {
    match mapped.apply {
        Apply::Always => "",
        Apply::OnlyDuringCreation => " (only when it is created)",
        Apply::MultiValueAddOnly => " (only added to)",
        Apply::OnlyWhileEmpty => " (only while it is empty there)",
    }
}

fn mapping(it: &Explanation) -> String {
    if it.record.is_none() {
        return String::new();
    }
    let has_none = |mapped: &&MappedTo| matches!(mapped.value, Ok(Value::Null));
    let one = |mapped: &MappedTo| {
        let value = match &mapped.value {
            Ok(value) => value_json(value).to_string(),
            Err(why) => why.clone(),
        };
        let MappedTo { target, source, .. } = mapped;
        format!("{target} ← {source}: {value}{}", when(mapped))
    };
    let mut rest: Vec<String> = it
        .mapped
        .iter()
        .filter(|it| !has_none(it))
        .map(one)
        .collect();
    let empty = it.mapped.iter().filter(has_none);
    let empty: Vec<&str> = empty.map(|it| it.target.as_str()).collect();
    if !empty.is_empty() {
        rest.push(format!("no value for {}", empty.join(", ")));
    }
    lines("Map        what the target should have", rest)
}

fn references(it: &Explanation) -> String {
    if it.references.is_empty() {
        return String::new();
    }
    let one = |(attribute, standing, count): &(String, State, u64)| {
        format!("{attribute}: {count} {}", state(*standing))
    };
    lines(
        "Refer      managers and members",
        it.references.iter().map(one),
    )
}

pub(super) async fn decision(it: &Explanation, out: &Out) {
    let operation = &it.operation;
    let what = match (operation.status, operation.action) {
        (Status::Failure, _) => "fails",
        (_, Action::Create) => "create it",
        (_, Action::Update) => "update it",
        (_, Action::Disable) => "disable it",
        (_, Action::Delete) => "delete it",
        (_, Action::Other | Action::StagedDelete) => "nothing to send",
    };
    let sign = sign(operation.status, operation.action);
    let code = if operation.code.is_empty() {
        String::new()
    } else {
        format!(" [{}]", operation.code)
    };
    let mut told = format!("Decide   {what}: {}{code}", operation.reason);
    for change in &operation.modified {
        let (old, new) = (value_json(&change.old), value_json(&change.new));
        // Writing to a string cannot fail.
        let _ = write!(told, "\n           {}: {old} → {new}", change.name);
    }
    for request in &operation.requests {
        let body = request.body.as_deref().unwrap_or_default();
        let (method, path) = (&request.method, &request.path);
        let _ = write!(told, "\n           {method} {path} {body}");
    }
    out.change(sign, told).await;
    if let Some(held) = &it.held {
        out.line(format!(
            "           The guard of the job holds this back: {}; see muster job held",
            held.reason
        ))
        .await;
    }
    if let Some(escrow) = &it.escrow {
        let failed = match escrow.attempts {
            0 => "It was in the way of a plan".to_owned(),
            times => format!("It failed {times} times, first {}", escrow.first_failed),
        };
        let (code, next) = (&escrow.code, escrow.next_attempt);
        out.line(format!(
            "         {failed} [{code}]; looked at again {next}"
        ))
        .await;
    }
    let turns = match &it.judged {
        Some(judged) if judged.in_scope() && !it.left_out => "Takes it out of scope",
        _ => "Brings it in",
    };
    for flip in &it.flips {
        out.line(format!("  {turns}: {flip}")).await;
    }
    let waits = match &it.status {
        JobStatus::Active => None,
        JobStatus::Paused => Some("Provisioning Status is Off: no cycle looks at it"),
        JobStatus::NotConfigured => Some("The job has no credentials: no cycle looks at it"),
        JobStatus::Quarantined { .. } => Some("The job is in quarantine; see muster job status"),
    };
    if let Some(waits) = waits {
        out.line(format!("  {waits}")).await;
    }
}
