//! Service, Account Maintenance, Integrations: the receiving side.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use muster_app::AppError;
use muster_app::integrations::{self, Issued, scim_path};
use muster_model::administrator::Role;
use muster_model::integration::{Integration, Purpose, Token};

use crate::Face;
use crate::failure::{Failure, capital};
use crate::form::Form;
use crate::shell::{Shell, page};
use crate::who::Who;
use crate::words::{ago, number};

struct Row {
    id: String,
    name: String,
    live: usize,
    used: String,
}

#[derive(Template)]
#[template(path = "integrations.html")]
struct List {
    shell: Shell,
    rows: Vec<Row>,
    may_change: bool,
}

fn is_live(token: &Token, now: muster_model::Timestamp) -> bool {
    token.revoked.is_none() && token.expires.is_none_or(|at| now < at)
}

/// `GET /service`
pub(crate) async fn list(who: Who) -> Result<Response, Failure> {
    let now = who.ctx.clock.now();
    let all = integrations::list(&who.ctx).await?;
    let rows = all.iter().map(|(it, tokens)| {
        let used = tokens.iter().filter_map(|token| token.last_used).max();
        Row {
            id: it.id.to_string(),
            name: it.name.clone(),
            live: tokens.iter().filter(|token| is_live(token, now)).count(),
            used: used.map_or_else(|| "never".to_owned(), |at| ago(at, now)),
        }
    });
    Ok(page(&List {
        shell: Shell::new("Integrations", "service", &who),
        rows: rows.collect(),
        may_change: who.may(Role::Administrator),
    }))
}

#[derive(Template)]
#[template(path = "new_integration.html")]
struct New {
    shell: Shell,
    name: String,
    problem: Option<String>,
}

/// `GET /service/new`
pub(crate) async fn new(who: Who) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    Ok(page(&New {
        shell: Shell::new("New Integration", "service", &who),
        name: "Third-party Users & Groups Sync".to_owned(),
        problem: None,
    }))
}

#[derive(Template)]
#[template(path = "integration.html")]
struct One {
    shell: Shell,
    id: String,
    name: String,
    url: String,
    /// Shown this once.
    token: Option<String>,
    tokens: Vec<(Token, bool, String)>,
    people: String,
    groups: String,
    deviations: Vec<(String, String, String, String)>,
    may_change: bool,
}

async fn one(
    face: &Face,
    who: &Who,
    of: &Integration,
    token: Option<String>,
) -> Result<Response, Failure> {
    let now = who.ctx.clock.now();
    let all = integrations::list(&who.ctx).await?;
    let tokens = all.into_iter().find(|(it, _)| it.id == of.id);
    let tokens = tokens.map(|(_, tokens)| tokens).unwrap_or_default();
    let (people, groups) = integrations::received(&who.ctx, &of.name).await?;
    let seen = integrations::dialect(&who.ctx, &of.name).await?;
    let deviations = seen.into_iter().map(|(deviation, seen)| {
        (
            deviation.clause().to_owned(),
            deviation.says().to_owned(),
            if seen.client.is_empty() {
                "a client without a name".to_owned()
            } else {
                seen.client
            },
            format!("{} times, last {}", number(seen.count), ago(seen.last, now)),
        )
    });
    Ok(page(&One {
        shell: Shell::new(&of.name, "service", who),
        id: of.id.to_string(),
        name: of.name.clone(),
        url: format!("{}{}", face.public_url, scim_path(of.id)),
        token,
        tokens: tokens
            .into_iter()
            .filter(|token| token.client.is_none())
            .map(|token| {
                let used = token.last_used;
                let used = used.map_or_else(|| "never".to_owned(), |at| ago(at, now));
                let is_live = is_live(&token, now);
                (token, is_live, used)
            })
            .collect(),
        people: number(people),
        groups: number(groups),
        deviations: deviations.collect(),
        may_change: who.may(Role::Administrator),
    }))
}

/// `POST /service`
pub(crate) async fn create(
    State(face): State<Face>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let name = fields.text("name");
    match integrations::create(&who.ctx, name).await {
        Ok(Issued { integration, token }) => {
            one(&face, &who, &integration, Some(token.expose().clone())).await
        }
        Err(AppError::Taken(said) | AppError::Invalid(said)) => {
            let mut response = page(&New {
                shell: Shell::new("New Integration", "service", &who),
                name: name.to_owned(),
                problem: Some(capital(&said)),
            });
            *response.status_mut() = StatusCode::BAD_REQUEST;
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

async fn find(who: &Who, id: &str) -> Result<Integration, Failure> {
    let all = integrations::list(&who.ctx).await?;
    let mut all = all.into_iter().map(|(it, _)| it);
    all.find(|it| it.id.to_string() == id)
        .ok_or_else(Failure::not_found)
}

/// `GET /service/{id}`
pub(crate) async fn show(
    State(face): State<Face>,
    who: Who,
    Path(id): Path<String>,
) -> Result<Response, Failure> {
    let of = find(&who, &id).await?;
    one(&face, &who, &of, None).await
}

/// `POST /service/{id}`: another token, or none any more.
pub(crate) async fn act(
    State(face): State<Face>,
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let of = find(&who, &id).await?;
    match fields.text("act") {
        "rotate" => {
            let rotated = integrations::rotate(&who.ctx, &of.name, Purpose::Provision, None);
            let (issued, _) = rotated.await?;
            one(&face, &who, &of, Some(issued.token.expose().clone())).await
        }
        "revoke" => {
            integrations::revoke(&who.ctx, &of.name).await?;
            Ok(Redirect::to(&format!("/service/{id}?done=revoked")).into_response())
        }
        _ => Err(Failure::not_found()),
    }
}
