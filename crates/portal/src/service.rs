//! Service, Account Maintenance, Integrations: the receiving side.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use muster_app::AppError;
use muster_app::integrations::{self, Issued, scim_path};
use muster_model::Timestamp;
use muster_model::administrator::Role;
use muster_model::integration::{Integration, Purpose, Settings, Token};

use crate::Face;
use crate::ask::{Question, ask, is_sure};
use crate::failure::{Failure, capital};
use crate::form::{Fields, Form};
use crate::shell::{Shell, page, refused_page};
use crate::who::Who;
use crate::words::{ago, many, number};

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

fn is_live(token: &Token, now: Timestamp) -> bool {
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

/// Which page of an integration it is, and whose.
pub(crate) struct Tabs {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) at: &'static str,
}

/// The pages of an integration: word, the end of the path, name.
pub(crate) const TABS: [(&str, &str, &str); 6] = [
    ("overview", "", "Overview"),
    ("users", "/users", "Received users"),
    ("groups", "/groups", "Received groups"),
    ("events", "/events", "Event feed"),
    ("webhooks", "/webhooks", "Webhooks"),
    ("settings", "/settings", "Settings"),
];

impl Tabs {
    pub(crate) fn of(integration: &Integration, at: &'static str) -> Self {
        Self {
            id: integration.id.to_string(),
            name: integration.name.clone(),
            at,
        }
    }
}

/// A token as it is listed.
struct Listed {
    state: &'static str,
    tone: &'static str,
    purpose: &'static str,
    made: String,
    used: String,
    ends: String,
}

impl Listed {
    fn of(token: &Token, now: Timestamp) -> Self {
        let (state, tone) = match token {
            it if it.revoked.is_some() => ("revoked", "secondary"),
            it if !is_live(it, now) => ("expired", "secondary"),
            _ => ("live", "success"),
        };
        Self {
            state,
            tone,
            purpose: match token.purpose {
                Purpose::Provision => "for the sender",
                Purpose::Read => "for the application, to read",
            },
            made: token.created.readable(),
            used: token.last_used.map_or_else(
                || "never used".to_owned(),
                |at| format!("used {}", ago(at, now)),
            ),
            ends: token
                .expires
                .map_or_else(String::new, |at| format!("until {}", at.readable())),
        }
    }
}

/// What is shown this once.
enum Once {
    Nothing,
    Token(String),
    Client { id: String, secret: String },
    Link { url: String, until: String },
}

#[derive(Template)]
#[template(path = "integration.html")]
struct One {
    shell: Shell,
    tabs: Tabs,
    url: String,
    token_url: String,
    once: Once,
    tokens: Vec<Listed>,
    clients: Vec<(String, String)>,
    people: String,
    groups: String,
    deviations: Vec<(String, String, String, String)>,
    may_change: bool,
}

async fn one(face: &Face, who: &Who, of: &Integration, once: Once) -> Result<Response, Failure> {
    let now = who.ctx.clock.now();
    let all = integrations::list(&who.ctx).await?;
    let tokens = all.into_iter().find(|(it, _)| it.id == of.id);
    let mut tokens = tokens.map(|(_, tokens)| tokens).unwrap_or_default();
    tokens.retain(|token| token.client.is_none());
    tokens.sort_by_key(|token| (!is_live(token, now), std::cmp::Reverse(token.created)));
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
            format!(
                "{} times, first {}, last {}",
                number(seen.count),
                ago(seen.first, now),
                ago(seen.last, now)
            ),
        )
    });
    let clients = integrations::clients(&who.ctx, &of.name).await?;
    Ok(page(&One {
        shell: Shell::new(&of.name, "service", who),
        tabs: Tabs::of(of, "overview"),
        url: format!("{}{}", face.public_url, scim_path(of.id)),
        token_url: format!("{}/oauth/{}/token", face.public_url, of.id),
        once,
        tokens: tokens
            .iter()
            .take(TOKENS)
            .map(|token| Listed::of(token, now))
            .collect(),
        clients: clients
            .into_iter()
            .map(|it| (it.id.to_string(), it.created.readable()))
            .collect(),
        people: number(people),
        groups: number(groups),
        deviations: deviations.collect(),
        may_change: who.may(Role::Administrator),
    }))
}

/// Tokens that a page shows: those that are live, and the latest of the others.
const TOKENS: usize = 10;

/// `POST /service`
pub(crate) async fn create(
    State(face): State<Face>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let name = fields.text("name");
    match integrations::create(&who.ctx, name).await {
        Ok(Issued { integration, token }) => {
            let once = Once::Token(token.expose().clone());
            one(&face, &who, &integration, once).await
        }
        Err(AppError::Taken(said) | AppError::Invalid(said)) => Ok(refused_page(&New {
            shell: Shell::new("New Integration", "service", &who),
            name: name.to_owned(),
            problem: Some(capital(&said)),
        })),
        Err(error) => Err(error.into()),
    }
}

/// The integration in the path.
pub(crate) async fn find(who: &Who, id: &str) -> Result<Integration, Failure> {
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
    one(&face, &who, &of, Once::Nothing).await
}

/// A number of days that was chosen, 0 for none.
fn days(fields: &Fields) -> Result<u32, Failure> {
    let wrong = || Failure::Said(StatusCode::BAD_REQUEST, "Choose how long.".to_owned());
    let days = fields.text("days").parse().map_err(|_| wrong())?;
    if days > 3650 {
        return Err(wrong());
    }
    Ok(days)
}

/// `POST /service/{id}`: another token, or none any more; OAuth clients; a setup link.
pub(crate) async fn act(
    State(face): State<Face>,
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let of = find(&who, &id).await?;
    let ctx = &who.ctx;
    let act = fields.text("act");
    if matches!(act, "revoke" | "forget") && !is_sure(&fields) {
        let all = integrations::list(ctx).await?;
        let tokens = all.into_iter().find(|(it, _)| it.id == of.id);
        let (tokens, now) = (
            tokens.map(|(_, it)| it).unwrap_or_default(),
            ctx.clock.now(),
        );
        let live = tokens.iter().filter(|it| is_live(it, now));
        let path = format!("/service/{id}");
        let question = if act == "revoke" {
            let clients = integrations::clients(ctx, &of.name).await?;
            Question {
                section: "service",
                title: format!("Shut everybody out of {}?", of.name),
                says: vec![
                    format!(
                        "{} and {} stop at once, and setup links with them.",
                        many(live.count() as u64, "live token"),
                        many(clients.len() as u64, "OAuth client")
                    ),
                    "Nobody can send or read anything until there is a new token.".to_owned(),
                ],
                crowd: None,
                button: "Revoke all",
                action: &path,
                back: &path,
            }
        } else {
            let client = fields.text("client");
            let of_client = |it: &&Token| it.client.is_some_and(|id| id.to_string() == client);
            Question {
                section: "service",
                title: format!("Remove the OAuth client {client}?"),
                says: vec![format!(
                    "{} that it was given stop at once.",
                    many(live.filter(of_client).count() as u64, "access token")
                )],
                crowd: None,
                button: "Remove the client",
                action: &path,
                back: &path,
            }
        };
        return Ok(ask(&who, &fields, question));
    }
    match act {
        "rotate" => {
            let purpose = match fields.text("purpose") {
                "read" => Purpose::Read,
                _ => Purpose::Provision,
            };
            let (all, now) = (integrations::list(ctx).await?, ctx.clock.now());
            let tokens = all.into_iter().find(|(it, _)| it.id == of.id);
            let live = tokens.into_iter().flat_map(|(_, tokens)| tokens);
            let live =
                live.filter(|it| is_live(it, now) && it.client.is_none() && it.purpose == purpose);
            let live = live.count() as u64;
            if live >= 2 && !is_sure(&fields) {
                let path = format!("/service/{id}");
                let question = Question {
                    section: "service",
                    title: "Make a third token?".to_owned(),
                    says: vec![format!(
                        "{} of this kind are live, and two may be: one that was never used, or else the oldest, stops \
                         at once.",
                        many(live, "token")
                    )],
                    crowd: None,
                    button: "New token",
                    action: &path,
                    back: &path,
                };
                return Ok(ask(&who, &fields, question));
            }
            let ends = match days(&fields)? {
                0 => None,
                days => Some(ctx.clock.now().plus_seconds(i64::from(days) * 86_400)),
            };
            let (issued, _) = integrations::rotate(ctx, &of.name, purpose, ends).await?;
            let once = Once::Token(issued.token.expose().clone());
            one(&face, &who, &of, once).await
        }
        "client" => {
            let issued = integrations::add_client(ctx, &of.name).await?;
            let once = Once::Client {
                id: issued.client.id.to_string(),
                secret: issued.secret.expose().clone(),
            };
            one(&face, &who, &of, once).await
        }
        "link" => {
            let days = days(&fields)?.clamp(1, 30);
            let (code, until) = integrations::setup_link(ctx, &of.name, days).await?;
            let once = Once::Link {
                url: format!("{}/setup/{}", face.public_url, code.expose()),
                until: until.readable(),
            };
            one(&face, &who, &of, once).await
        }
        "forget" => {
            let client = fields.text("client").parse();
            let client = client.map_err(|_| Failure::not_found())?;
            integrations::remove_client(ctx, &of.name, client).await?;
            Ok(Redirect::to(&format!("/service/{id}?done=removed")).into_response())
        }
        "revoke" => {
            integrations::revoke(ctx, &of.name).await?;
            Ok(Redirect::to(&format!("/service/{id}?done=revoked")).into_response())
        }
        _ => Err(Failure::not_found()),
    }
}

#[derive(Template)]
#[template(path = "integration_settings.html")]
struct Accepts {
    shell: Shell,
    tabs: Tabs,
    strict: bool,
    rate: String,
    resources: String,
    body: String,
    networks: String,
    problem: Option<String>,
    may_change: bool,
}

fn accepts(who: &Who, of: &Integration) -> Accepts {
    let settings = &of.settings;
    let text = |number: Option<u64>| number.map_or_else(String::new, |it| it.to_string());
    Accepts {
        shell: Shell::new(format!("Settings of {}", of.name), "service", who),
        tabs: Tabs::of(of, "settings"),
        strict: settings.strict,
        rate: text(settings.requests_per_second.map(u64::from)),
        resources: text(settings.max_resources),
        body: text(settings.max_body),
        networks: settings.allowed_networks.join("\n"),
        problem: None,
        may_change: who.may(Role::Administrator),
    }
}

/// `GET /service/{id}/settings`
pub(crate) async fn settings(who: Who, Path(id): Path<String>) -> Result<Response, Failure> {
    Ok(page(&accepts(&who, &find(&who, &id).await?)))
}

/// A limit: a number, or nothing for none.
fn limit<T: std::str::FromStr>(
    fields: &Fields,
    name: &str,
    what: &str,
) -> Result<Option<T>, AppError> {
    match fields.text(name) {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            AppError::Invalid(format!(
                "{what}: {text} is no number; leave it empty for no limit"
            ))
        }),
    }
}

async fn set(who: &Who, of: &Integration, fields: &Fields) -> Result<(), AppError> {
    let rate = limit(fields, "rate", "Requests a second")?;
    let resources = limit(fields, "resources", "Users and groups")?;
    let body = limit(fields, "body", "Bytes of a request")?;
    let (strict, networks) = (fields.is_on("strict"), fields.text("networks"));
    let networks: Vec<String> = networks
        .split(|it: char| it.is_whitespace() || it == ',')
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect();
    let change = |settings: &mut Settings| {
        settings.strict = strict;
        settings.requests_per_second = rate;
        settings.max_resources = resources;
        settings.max_body = body;
        settings.allowed_networks = networks;
    };
    integrations::set_settings(&who.ctx, &of.name, change).await?;
    Ok(())
}

/// `POST /service/{id}/settings`
pub(crate) async fn set_settings(
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let of = find(&who, &id).await?;
    match set(&who, &of, &fields).await {
        Ok(()) => Ok(Redirect::to(&format!("/service/{id}/settings?done=saved")).into_response()),
        Err(AppError::Invalid(said) | AppError::Refused(said)) => Ok(refused_page(&Accepts {
            strict: fields.is_on("strict"),
            rate: fields.text("rate").to_owned(),
            resources: fields.text("resources").to_owned(),
            body: fields.text("body").to_owned(),
            networks: fields.text("networks").to_owned(),
            problem: Some(capital(&said)),
            ..accepts(&who, &of)
        })),
        Err(error) => Err(error.into()),
    }
}
