//! Provision on demand, and why somebody is, or is not, provisioned: one person at a time.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::{StatusCode, Uri};
use muster_app::{AppError, explain, provision, told};
use muster_model::administrator::Role;
use serde_json::Value as Json;

use crate::application::{Tabs, find};
use crate::failure::{Failure, capital};
use crate::form::{Form, query};
use crate::shell::{Shell, page};
use crate::who::Who;

/// A value before and after, or a value and where it comes from.
pub(crate) struct Pair {
    pub(crate) name: String,
    pub(crate) first: String,
    pub(crate) second: String,
}

/// What a cycle that looks at somebody now would see, step by step.
struct Explained {
    name: String,
    import: String,
    attributes: Vec<Pair>,
    scope: String,
    in_scope: bool,
    clauses: Vec<Pair>,
    matched: String,
    mapped: Vec<Pair>,
    action: String,
    tone: &'static str,
    reason: String,
    changes: Vec<Pair>,
    flips: Vec<String>,
}

fn text(of: &Json) -> String {
    match of {
        Json::Null => "—".to_owned(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

pub(crate) fn list(of: &Json) -> impl Iterator<Item = &Json> {
    of.as_array().into_iter().flatten()
}

/// Properties before and after.
pub(crate) fn changes(operation: &Json) -> Vec<Pair> {
    let changes = list(&operation["modified"]).map(|it| Pair {
        name: text(&it["name"]),
        first: text(&it["before"]),
        second: text(&it["after"]),
    });
    changes.collect()
}

/// The colour of what is done.
pub(crate) fn tone(operation: &Json) -> &'static str {
    match (operation["status"].as_str(), operation["action"].as_str()) {
        (Some("failure"), _) => "danger",
        (Some("skipped"), _) | (_, Some("other" | "stagedDelete")) => "secondary",
        (_, Some("create")) => "success",
        (_, Some("update")) => "info",
        _ => "warning",
    }
}

impl Explained {
    fn of(it: &Json) -> Self {
        let (import, scope, decision) = (&it["import"], &it["scope"], &it["decision"]);
        let attributes = import["attributes"].as_object().into_iter().flatten();
        let in_scope = scope["inScope"] == true;
        Self {
            name: text(&decision["name"]),
            import: if import.is_null() {
                "Gone from the directory.".to_owned()
            } else {
                format!("Read from the directory: {}.", text(&import["life"]))
            },
            attributes: attributes
                .map(|(name, value)| Pair {
                    name: name.clone(),
                    first: text(value),
                    second: String::new(),
                })
                .collect(),
            scope: match scope["reason"].as_str() {
                Some(reason) => capital(reason),
                None if in_scope => "In scope.".to_owned(),
                None => "Not in scope.".to_owned(),
            },
            in_scope,
            clauses: list(&scope["clauses"])
                .map(|clause| Pair {
                    name: text(&clause["clause"]),
                    first: text(&clause["seen"]),
                    second: if clause["passed"] == true {
                        "passes"
                    } else {
                        "does not pass"
                    }
                    .to_owned(),
                })
                .collect(),
            matched: match (
                it["match"]["result"].as_str(),
                it["match"]["link"]["target"].as_str(),
            ) {
                (Some(result), _) => capital(result),
                (None, Some(target)) => format!("Linked to {target}."),
                (None, None) => "Nobody at the target is theirs yet.".to_owned(),
            },
            mapped: list(&it["map"])
                .map(|mapped| Pair {
                    name: text(&mapped["target"]),
                    first: text(&mapped["source"]),
                    second: match mapped["problem"].as_str() {
                        Some(problem) => problem.to_owned(),
                        None => text(&mapped["value"]),
                    },
                })
                .collect(),
            action: match decision["action"].as_str() {
                Some("other") | None => "nothing to do".to_owned(),
                Some(action) => action.to_owned(),
            },
            tone: tone(decision),
            reason: capital(&text(&decision["reason"])),
            changes: changes(decision),
            flips: list(&it["turnsAround"]).map(text).collect(),
        }
    }
}

#[derive(Template)]
#[template(path = "demand.html")]
struct Demand {
    shell: Shell,
    tabs: Tabs,
    subject: String,
    explained: Option<Explained>,
    problem: Option<String>,
    may_run: bool,
}

/// `GET /applications/{id}/demand?subject=…`
pub(crate) async fn show(who: Who, Path(id): Path<String>, uri: Uri) -> Result<Response, Failure> {
    let shown = find(&who, &id).await?;
    let fields = query(&uri)?;
    let subject = fields.text("subject").to_owned();
    let (mut explained, mut problem) = (None, None);
    if !subject.is_empty() {
        match Box::pin(explain::explain(&who.ctx, &id, &subject)).await {
            Ok((_, _, Some(it))) => explained = Some(Explained::of(&told::explanation(&it))),
            Ok((_, _, None)) => {
                problem = Some("They are gone: neither in the directory nor linked.".to_owned());
            }
            Err(error) if error.is_ours() => return Err(error.into()),
            Err(error) => problem = Some(capital(&error.to_string())),
        }
    }
    let status = if problem.is_some() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    let mut response = page(&Demand {
        shell: Shell::new("Provision on demand", "applications", &who),
        tabs: Tabs::of(&shown, "demand"),
        subject,
        explained,
        problem,
        may_run: who.may(Role::Operator),
    });
    *response.status_mut() = status;
    Ok(response)
}

/// `POST /applications/{id}/demand`: provisions them now, and goes to what the log says of it.
pub(crate) async fn run(
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Operator)?;
    let subject = fields.text("subject");
    let (application, demand) = provision::demand(&who.ctx, &id, subject, &[]).await?;
    provision::test(&who.ctx, &application, &demand).await?;
    let provisioned = Box::pin(provision::provision(&who.ctx, &application, &demand));
    let (_, events) = provisioned
        .await
        .map_err(|error: AppError| Failure::from(error))?;
    let to = match events.first() {
        Some(event) => format!("/applications/{id}/logs/{}", event.id),
        None => format!("/applications/{id}/logs"),
    };
    Ok(Redirect::to(&to).into_response())
}
