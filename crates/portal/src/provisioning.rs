//! Provisioning of an application: mode, admin credentials, notification, mappings, settings.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use muster_app::applications::{self, Shown};
use muster_app::{AppError, jobs};
use muster_model::Secret;
use muster_model::administrator::Role;
use muster_model::job::{Access, Credentials, JobStatus, Scope};
use muster_rules::Schema;

use crate::Face;
use crate::application::{Tabs, find};
use crate::failure::{Failure, capital};
use crate::form::{Fields, Form};
use crate::shell::{Shell, page};
use crate::who::Who;

/// A mapping of one kind of object.
struct Mapping {
    object: String,
    name: String,
    enabled: bool,
    attributes: usize,
}

/// What came of a test, or why something was not saved.
enum Told {
    Nothing,
    Works,
    Fails(String),
    Problem(String),
}

#[derive(Template)]
#[template(path = "provisioning.html")]
struct Provisioning {
    shell: Shell,
    tabs: Tabs,
    tenant_url: String,
    has_token: bool,
    email: String,
    mappings: Vec<Mapping>,
    is_configured: bool,
    is_on: bool,
    is_all: bool,
    told: Told,
    may_change: bool,
    may_run: bool,
}

fn built(who: &Who, shown: &Shown) -> Provisioning {
    let schema = Schema::from_json(&shown.schema).unwrap_or_default();
    let mappings = schema.rules.iter().flat_map(|rule| &rule.object_mappings);
    let settings = &shown.job.settings;
    Provisioning {
        shell: Shell::new("Provisioning", "applications", who),
        tabs: Tabs::of(shown, "provisioning"),
        tenant_url: shown.tenant_url.clone().unwrap_or_default(),
        has_token: shown.tenant_url.is_some(),
        email: settings.notification_email.clone().unwrap_or_default(),
        mappings: mappings
            .map(|mapping| Mapping {
                object: mapping.source_object.clone(),
                name: mapping.name.clone(),
                enabled: mapping.enabled,
                attributes: mapping.attribute_mappings.len(),
            })
            .collect(),
        is_configured: shown.job.status != JobStatus::NotConfigured,
        is_on: matches!(
            shown.job.status,
            JobStatus::Active | JobStatus::Quarantined { .. }
        ),
        is_all: settings.scope == Scope::All,
        told: Told::Nothing,
        may_change: who.may(Role::Administrator),
        may_run: who.may(Role::Operator),
    }
}

/// `GET /applications/{id}/provisioning`
pub(crate) async fn show(who: Who, Path(id): Path<String>) -> Result<Response, Failure> {
    let shown = find(&who, &id).await?;
    Ok(page(&built(&who, &shown)))
}

/// The credentials of a form; none when they are those that are saved.
async fn given(who: &Who, shown: &Shown, fields: &Fields) -> Result<Option<Credentials>, Failure> {
    let (url, token) = (fields.text("tenant_url"), fields.text("secret_token"));
    let saved = applications::saved_credentials(&who.ctx, &shown.application).await?;
    let access = match &saved {
        Some(saved) if saved.tenant_url == url => {
            if token.is_empty() {
                return Ok(None);
            }
            saved.access.clone()
        }
        _ => Access::default(),
    };
    Ok(Some(Credentials {
        tenant_url: url.to_owned(),
        secret_token: Secret::new(token.to_owned()),
        access,
    }))
}

/// `POST /applications/{id}/provisioning`: *Test Connection* or *Save*.
pub(crate) async fn save(
    axum::extract::State(face): axum::extract::State<Face>,
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let shown = find(&who, &id).await?;
    let told = if fields.text("act") == "test" {
        let given = given(&who, &shown, &fields).await?;
        match applications::test_connection(&who.ctx, &id, given).await {
            Ok(Ok(())) => Told::Works,
            Ok(Err(failure)) => Told::Fails(failure.message),
            Err(AppError::Refused(said) | AppError::Invalid(said)) => Told::Fails(capital(&said)),
            Err(error) => return Err(error.into()),
        }
    } else {
        match saved(&who, &shown, &fields).await {
            Ok(()) => {
                face.poke.notify_one();
                let to = format!("/applications/{id}/provisioning?done=saved");
                return Ok(Redirect::to(&to).into_response());
            }
            Err(error) if error.is_ours() => return Err(error.into()),
            Err(error) => Told::Problem(capital(&error.to_string())),
        }
    };
    let status = match told {
        Told::Problem(_) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    let mut response = page(&Provisioning {
        tenant_url: fields.text("tenant_url").to_owned(),
        email: fields.text("email").to_owned(),
        told,
        ..built(&who, &shown)
    });
    *response.status_mut() = status;
    Ok(response)
}

async fn saved(who: &Who, shown: &Shown, fields: &Fields) -> Result<(), AppError> {
    let (ctx, id) = (&who.ctx, shown.application.id.to_string());
    let given = given(who, shown, fields)
        .await
        .map_err(|_| AppError::Refused("the credentials cannot be read; try again".to_owned()))?;
    if let Some(credentials) = given
        && !(credentials.tenant_url.is_empty() && credentials.secret_token.expose().is_empty())
    {
        applications::save_credentials(ctx, &id, credentials).await?;
    }
    let email = if fields.is_on("notify") {
        let email = fields.text("email");
        if email.is_empty() {
            return Err(AppError::Invalid(
                "enter the address in Notification Email, or uncheck the box below it".to_owned(),
            ));
        }
        email
    } else {
        ""
    };
    applications::set_notification(ctx, &id, email).await?;
    let scope = if fields.text("scope") == "all" {
        Scope::All
    } else {
        Scope::AssignedOnly
    };
    applications::set_scope(ctx, &id, scope).await?;
    let is_on = matches!(
        shown.job.status,
        JobStatus::Active | JobStatus::Quarantined { .. }
    );
    match (fields.text("status"), is_on) {
        ("on", false) => drop(jobs::start(ctx, &id).await?),
        ("off", true) => drop(jobs::pause(ctx, &id).await?),
        _ => {}
    }
    Ok(())
}
