//! All applications, and the properties of one.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use muster_app::applications::{self, Shown};
use muster_app::jobs;
use muster_model::administrator::Role;

use crate::chart::Chart;
use crate::failure::Failure;
use crate::form::Form;
use crate::home::Health;
use crate::shell::{Shell, page};
use crate::who::Who;
use crate::words::number;

#[derive(Template)]
#[template(path = "applications.html")]
struct List {
    shell: Shell,
    applications: Vec<(Health, Chart)>,
}

/// `GET /applications`
pub(crate) async fn list(who: Who) -> Result<Response, Failure> {
    let reports = jobs::all(&who.ctx).await?;
    Ok(page(&List {
        shell: Shell::new("All applications", "applications", &who),
        applications: Health::all(&who, &reports).await?,
    }))
}

/// Which page of an application it is, and whose.
#[derive(Clone, Debug)]
pub(crate) struct Tabs {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) at: &'static str,
}

impl Tabs {
    pub(crate) fn of(shown: &Shown, at: &'static str) -> Self {
        Self {
            id: shown.application.id.to_string(),
            name: shown.application.display_name.clone(),
            at,
        }
    }

    pub(crate) fn is_at(&self, at: &str) -> bool {
        self.at == at
    }
}

/// The application in the path.
pub(crate) async fn find(who: &Who, id: &str) -> Result<Shown, Failure> {
    Ok(applications::show(&who.ctx, id).await?)
}

#[derive(Template)]
#[template(path = "application.html")]
struct Properties {
    shell: Shell,
    tabs: Tabs,
    health: Health,
    object_id: String,
    template: String,
    created: String,
    roles: Vec<String>,
    tenant_url: Option<String>,
    assigned: String,
    may_change: bool,
}

/// `GET /applications/{id}`
pub(crate) async fn show(who: Who, Path(id): Path<String>) -> Result<Response, Failure> {
    let shown = find(&who, &id).await?;
    let report = jobs::status(&who.ctx, &id).await?;
    let application = &shown.application;
    let (_, assigned) = applications::assigned(&who.ctx, application, None, 1).await?;
    Ok(page(&Properties {
        shell: Shell::new(&application.display_name, "applications", &who),
        tabs: Tabs::of(&shown, "properties"),
        health: Health::of(&report, who.ctx.clock.now()),
        object_id: application.id.to_string(),
        template: application
            .template
            .clone()
            .unwrap_or_else(|| "none: any SCIM application".to_owned()),
        created: application.created.readable(),
        roles: shown
            .roles
            .iter()
            .map(|role| role.display_name.clone())
            .collect(),
        tenant_url: shown.tenant_url.clone(),
        assigned: number(assigned),
        may_change: who.may(Role::Administrator),
    }))
}

/// `POST /applications/{id}`: another name.
pub(crate) async fn change(
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    applications::change(&who.ctx, &id, Some(fields.text("name")), None).await?;
    Ok(Redirect::to(&format!("/applications/{id}?done=saved")).into_response())
}

#[derive(Template)]
#[template(path = "remove.html")]
struct Remove {
    shell: Shell,
    tabs: Tabs,
    assigned: String,
    people: String,
    groups: String,
    is_on: bool,
}

/// `GET /applications/{id}/remove`: what it would do, in numbers.
pub(crate) async fn ask(who: Who, Path(id): Path<String>) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let shown = find(&who, &id).await?;
    let report = jobs::status(&who.ctx, &id).await?;
    let health = Health::of(&report, who.ctx.clock.now());
    let (_, assigned) = applications::assigned(&who.ctx, &shown.application, None, 1).await?;
    Ok(page(&Remove {
        shell: Shell::new("Remove application", "applications", &who),
        tabs: Tabs::of(&shown, "properties"),
        assigned: number(assigned),
        people: health.people,
        groups: health.groups,
        is_on: health.status.starts_with("On"),
    }))
}

/// `POST /applications/{id}/remove`
pub(crate) async fn remove(
    Path(id): Path<String>,
    Form(who, _): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let shown = find(&who, &id).await?;
    applications::remove_anyhow(&who.ctx, &shown.application).await?;
    Ok(Redirect::to("/applications?done=removed").into_response())
}
