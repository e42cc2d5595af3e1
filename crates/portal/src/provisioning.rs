//! Provisioning of an application: mode, admin credentials, notification, mappings, settings.

use std::str::FromStr;

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use muster_app::applications::{self, Shown};
use muster_app::{AppError, jobs, turnover};
use muster_model::Secret;
use muster_model::administrator::Role;
use muster_model::exchange::Keep;
use muster_model::job::{Access, Credentials, Guard, JobStatus, Scope};
use muster_rules::Schema;

use crate::Face;
use crate::application::{Tabs, find};
use crate::ask::is_sure;
use crate::crowd::{Crowd, turn};
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
    /// More withdrawals than these are held back: how many, and how many percent.
    most: String,
    share: String,
    /// Minutes between two cycles when nothing changes.
    minutes: String,
    /// Of which events the requests are kept.
    keep: String,
    crowd: Option<Crowd>,
    /// Is saving to be said once more?
    asks: bool,
    /// What was typed, and is not saved yet.
    secret_token: String,
    is_notified: bool,
    /// What is stored, by the names of the fields.
    was: Vec<(&'static str, String)>,
    told: Told,
    may_change: bool,
    may_run: bool,
}

fn built(who: &Who, shown: &Shown) -> Provisioning {
    let schema = Schema::from_json(&shown.schema).unwrap_or_default();
    let mappings = schema.rules.iter().flat_map(|rule| &rule.object_mappings);
    let settings = &shown.job.settings;
    let mut built = Provisioning {
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
        most: settings
            .guard
            .most
            .map_or_else(String::new, |it| it.to_string()),
        share: settings
            .guard
            .share
            .map_or_else(String::new, |it| it.to_string()),
        minutes: minutes(settings.interval_seconds),
        keep: settings.exchanges.keep.as_str().to_owned(),
        crowd: None,
        asks: false,
        secret_token: String::new(),
        is_notified: settings.notification_email.is_some(),
        was: Vec::new(),
        told: Told::Nothing,
        may_change: who.may(Role::Administrator),
        may_run: who.may(Role::Operator),
    };
    let on = |is: bool, word: &str| if is { word.to_owned() } else { String::new() };
    built.was = vec![
        ("email", built.email.clone()),
        ("notify", on(built.is_notified, "1")),
        ("scope", scope_word(built.is_all).to_owned()),
        ("most", built.most.clone()),
        ("share", built.share.clone()),
        ("minutes", built.minutes.clone()),
        ("keep", built.keep.clone()),
        ("status", status_word(built.is_on).to_owned()),
    ];
    built
}

const fn scope_word(is_all: bool) -> &'static str {
    if is_all { "all" } else { "assigned" }
}

const fn status_word(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}

/// Of which events the requests to the target are kept: as the form has it, and as it reads.
pub(crate) const KEEP: [(&str, &str); 3] = [
    (Keep::Failures.as_str(), "of failures"),
    (Keep::All.as_str(), "of every event"),
    (Keep::None.as_str(), "of none"),
];

/// Fields that others may change meanwhile.
const WAS: [&str; 8] = [
    "email", "notify", "scope", "most", "share", "minutes", "keep", "status",
];

/// Would saving look after fewer than before?
fn narrows(shown: &Shown, fields: &Fields) -> bool {
    let is_all = shown.job.settings.scope == Scope::All;
    fields.is_changed("scope") && is_all && scope(fields) != Scope::All
}

/// Seconds as minutes: `40`, `0.5`.
fn minutes(seconds: u32) -> String {
    let minutes = format!("{:.2}", f64::from(seconds) / 60.0);
    let minutes = minutes.trim_end_matches('0');
    minutes.trim_end_matches('.').to_owned()
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
    let (mut crowd, mut asks, mut sure) = (None, false, false);
    let told = if fields.text("act") == "scope" {
        let _turn = turn(&face.looks).await?;
        let turnover = turnover::of_scope(&who.ctx, &id, scope(&fields)).await?;
        crowd = Some(Crowd::of(turnover));
        Told::Nothing
    } else if fields.text("act") == "test" {
        let given = given(&who, &shown, &fields).await?;
        match applications::test_connection(&who.ctx, &id, given).await {
            Ok(Ok(())) => Told::Works,
            Ok(Err(failure)) => Told::Fails(failure.message),
            Err(AppError::Refused(said) | AppError::Invalid(said)) => Told::Fails(capital(&said)),
            Err(error) => return Err(error.into()),
        }
    } else if narrows(&shown, &fields) && !is_sure(&fields) {
        let _turn = turn(&face.looks).await?;
        let turnover = turnover::of_scope(&who.ctx, &id, scope(&fields)).await?;
        asks = turnover.leave.count() > 0;
        if !asks {
            sure = true;
        }
        crowd = Some(Crowd::of(turnover));
        Told::Nothing
    } else {
        sure = true;
        Told::Nothing
    };
    let told = if sure {
        crowd = None;
        match saved(&who, &shown, &fields).await {
            Ok(()) => {
                face.poke.notify_one();
                let to = format!("/applications/{id}/provisioning?done=saved");
                return Ok(Redirect::to(&to).into_response());
            }
            Err(error) if error.is_ours() => return Err(error.into()),
            Err(error) => Told::Problem(capital(&error.to_string())),
        }
    } else {
        told
    };
    // What was saved before something was not counts from now on.
    let was = match &told {
        Told::Problem(_) => built(&who, &find(&who, &id).await?).was,
        _ => WAS
            .into_iter()
            .map(|name| (name, fields.text(&format!("was_{name}")).to_owned()))
            .collect(),
    };
    let status = match told {
        Told::Problem(_) => StatusCode::BAD_REQUEST,
        _ => StatusCode::OK,
    };
    let mut response = page(&Provisioning {
        tenant_url: fields.text("tenant_url").to_owned(),
        email: fields.text("email").to_owned(),
        secret_token: fields.text("secret_token").to_owned(),
        is_notified: fields.is_on("notify"),
        is_on: fields.text("status") == "on",
        was,
        is_all: scope(&fields) == Scope::All,
        most: fields.text("most").to_owned(),
        share: fields.text("share").to_owned(),
        minutes: fields.text("minutes").to_owned(),
        keep: fields.text("keep").to_owned(),
        crowd,
        asks,
        told,
        ..built(&who, &shown)
    });
    *response.status_mut() = status;
    Ok(response)
}

fn scope(fields: &Fields) -> Scope {
    match fields.text("scope") {
        "all" => Scope::All,
        _ => Scope::AssignedOnly,
    }
}

/// A limit of the guard: a number, or nothing for none.
fn limit<T: FromStr + PartialOrd + From<u8>>(
    fields: &Fields,
    name: &str,
    (what, most): (&str, T),
) -> Result<Option<T>, AppError> {
    let text = fields.text(name);
    if text.is_empty() {
        return Ok(None);
    }
    let read = text
        .parse()
        .ok()
        .filter(|it: &T| *it >= T::from(1) && *it <= most);
    read.map(Some).ok_or_else(|| {
        AppError::Invalid(format!(
            "{what}: {text} is no such number; leave it empty for no limit"
        ))
    })
}

/// Saves what differs. What can be wrong in the form is looked at before anything is saved.
async fn saved(who: &Who, shown: &Shown, fields: &Fields) -> Result<(), AppError> {
    let (ctx, id) = (&who.ctx, shown.application.id.to_string());
    let most = limit(fields, "most", ("Withdrawals at once", u32::MAX))?;
    let share = limit(fields, "share", ("Percent at once", 100_u8))?;
    let pause: f64 = fields.text("minutes").parse().unwrap_or(-1.0);
    let pause = (pause * 60.0).round();
    if !(f64::from(*jobs::INTERVALS.start())..=f64::from(*jobs::INTERVALS.end())).contains(&pause) {
        return Err(AppError::Invalid(
            "between two cycles there are at least 10 seconds (0.17 minutes), and at most 30 days"
                .to_owned(),
        ));
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
    let given = given(who, shown, fields)
        .await
        .map_err(|_| AppError::Refused("the credentials cannot be read; try again".to_owned()))?;
    // Only what was changed on the page: others may have changed the rest meanwhile.
    if let Some(credentials) = given
        && !(credentials.tenant_url.is_empty() && credentials.secret_token.expose().is_empty())
    {
        applications::save_credentials(ctx, &id, credentials).await?;
    }
    if fields.is_changed("email") || fields.is_changed("notify") {
        applications::set_notification(ctx, &id, email).await?;
    }
    if fields.is_changed("scope") {
        applications::set_scope(ctx, &id, scope(fields)).await?;
    }
    if fields.is_changed("most") || fields.is_changed("share") {
        let change = move |guard: &mut Guard| {
            guard.most = most;
            guard.share = share;
        };
        jobs::set_guard(ctx, &id, change).await?;
    }
    if let Ok(keep) = fields.text("keep").parse()
        && fields.is_changed("keep")
    {
        jobs::set_exchanges(ctx, &id, move |exchanges| exchanges.keep = keep).await?;
    }
    if fields.is_changed("minutes") {
        jobs::set_interval(ctx, &id, pause as u32).await?;
    }
    if fields.is_changed("status") {
        match fields.text("status") {
            "on" => drop(jobs::start(ctx, &id).await?),
            _ => drop(jobs::pause(ctx, &id).await?),
        }
    }
    Ok(())
}
