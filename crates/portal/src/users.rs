//! Users and groups of an application: who is assigned, with which role.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use muster_app::AppError;
use muster_app::applications::{self, Principal, Shown};
use muster_model::RoleId;
use muster_model::administrator::Role;
use muster_model::directory::Kind;

use crate::application::{Tabs, find};
use crate::failure::{Failure, capital};
use crate::form::{Fields, Form};
use crate::shell::{Shell, page};
use crate::who::Who;
use crate::words::number;

/// Assignments that a page shows.
const SHOWN: usize = 200;

struct Row {
    id: String,
    name: String,
    kind: &'static str,
    link: String,
    role: String,
    is_left_out: bool,
    reaches: &'static str,
}

#[derive(Template)]
#[template(path = "users.html")]
struct Assigned {
    shell: Shell,
    tabs: Tabs,
    rows: Vec<Row>,
    total: String,
    is_cut: bool,
    roles: Vec<String>,
    names: String,
    role: String,
    problems: Vec<String>,
    may_change: bool,
}

async fn built(who: &Who, shown: &Shown) -> Result<Assigned, Failure> {
    let all = applications::assignments(&who.ctx, &shown.application.id.to_string()).await?;
    let total = all.len();
    let rows = all.into_iter().take(SHOWN).map(|(assignment, name)| {
        let role = shown.roles.iter().find(|role| role.id == assignment.role);
        let is_default = assignment.role == RoleId::DEFAULT_ACCESS;
        let (kind, folder) = match assignment.kind {
            Kind::User => ("User", "users"),
            Kind::Group => ("Group", "groups"),
        };
        Row {
            id: assignment.id.to_string(),
            link: format!("/directory/{folder}/{}", assignment.principal),
            name,
            kind,
            role: match role {
                Some(role) => role.display_name.clone(),
                None if is_default => "Default Access".to_owned(),
                None => assignment.role.to_string(),
            },
            is_left_out: is_default && !shown.roles.is_empty(),
            reaches: match (assignment.kind, assignment.transitive) {
                (Kind::User, _) => "",
                (Kind::Group, true) => "members, nested ones too",
                (Kind::Group, false) => "direct members",
            },
        }
    });
    Ok(Assigned {
        shell: Shell::new("Users and groups", "applications", who),
        tabs: Tabs::of(shown, "users"),
        rows: rows.collect(),
        total: number(total as u64),
        is_cut: total > SHOWN,
        roles: shown
            .roles
            .iter()
            .map(|role| role.display_name.clone())
            .collect(),
        names: String::new(),
        role: String::new(),
        problems: Vec::new(),
        may_change: who.may(Role::Administrator),
    })
}

/// `GET /applications/{id}/users`
pub(crate) async fn show(who: Who, Path(id): Path<String>) -> Result<Response, Failure> {
    let shown = find(&who, &id).await?;
    Ok(page(&built(&who, &shown).await?))
}

/// Names that one form assigns at most.
const MOST: usize = 5000;

/// `POST /applications/{id}/users`: one name a line, as people type or paste them.
pub(crate) async fn assign(
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let shown = find(&who, &id).await?;
    let (problems, left) = assigned(&who, &shown, &fields).await?;
    if problems.is_empty() {
        let to = format!("/applications/{id}/users?done=assigned");
        return Ok(Redirect::to(&to).into_response());
    }
    let mut response = page(&Assigned {
        names: left.join("\n"),
        role: fields.text("role").to_owned(),
        problems,
        ..built(&who, &shown).await?
    });
    *response.status_mut() = StatusCode::BAD_REQUEST;
    Ok(response)
}

async fn assigned(
    who: &Who,
    shown: &Shown,
    fields: &Fields,
) -> Result<(Vec<String>, Vec<String>), Failure> {
    let names: Vec<&str> = fields
        .raw("names")
        .split(['\n', '\r', ',', ';'])
        .map(|name| name.trim().trim_matches('"'))
        .filter(|name| !name.is_empty())
        .collect();
    if names.is_empty() || names.len() > MOST {
        let said = format!("Name 1 to {MOST} people or groups, one a line.");
        return Ok((vec![said], Vec::new()));
    }
    let (mut problems, mut left) = (Vec::new(), Vec::new());
    let role = Some(fields.text("role")).filter(|role| !role.is_empty());
    let application = shown.application.id.to_string();
    for name in names {
        let nested = fields.is_on("nested");
        let group = || {
            if nested {
                Principal::GroupAndNested(name.to_owned())
            } else {
                Principal::Group(name.to_owned())
            }
        };
        let user = Principal::User(name.to_owned());
        let done = match applications::assign(&who.ctx, &application, &user, role).await {
            Err(AppError::NotFound(_)) => {
                applications::assign(&who.ctx, &application, &group(), role).await
            }
            done => done,
        };
        match done {
            Ok(_) => {}
            Err(error) if error.is_ours() => return Err(error.into()),
            Err(AppError::NotFound(_)) => {
                problems.push(format!("{name}: there is nobody of this name"));
                left.push(name.to_owned());
            }
            Err(error) => {
                problems.push(capital(&error.to_string()));
                left.push(name.to_owned());
            }
        }
    }
    Ok((problems, left))
}

/// `POST /applications/{id}/users/remove`
pub(crate) async fn unassign(
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let shown = find(&who, &id).await?;
    let all = applications::assignments(&who.ctx, &id).await?;
    let wanted = fields.text("id");
    let found = all.iter().find(|(it, _)| it.id.to_string() == wanted);
    let (assignment, _) = found.ok_or_else(Failure::not_found)?;
    applications::unassign_role(&who.ctx, &shown.application, assignment).await?;
    Ok(Redirect::to(&format!("/applications/{id}/users?done=unassigned")).into_response())
}
