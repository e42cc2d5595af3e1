//! Webhooks of an integration: where its events are sent, how far each has come, and going on from elsewhere.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use muster_app::webhooks::{self, From};
use muster_app::{AppError, integrations};
use muster_model::administrator::Role;
use muster_model::integration::{Integration, Webhook};

use crate::ask::{Question, ask, is_sure};
use crate::failure::{Failure, capital};
use crate::form::Form;
use crate::service::{Tabs, find};
use crate::shell::{Shell, page, refused_page};
use crate::who::Who;
use crate::words::ago;

struct Row {
    id: String,
    url: String,
    state: &'static str,
    tone: &'static str,
    place: String,
    success: String,
    error: Option<String>,
}

impl Row {
    fn of(it: &Webhook, now: muster_model::Timestamp) -> Self {
        let (state, tone) = match it {
            it if it.stopped => ("given up", "danger"),
            it if it.failures > 0 => ("trying again", "warning"),
            _ => ("delivering", "success"),
        };
        Self {
            id: it.id.to_string(),
            url: it.url.clone(),
            state,
            tone,
            place: it.position.to_string(),
            success: it
                .last_success
                .map_or_else(|| "never".to_owned(), |at| ago(at, now)),
            error: it.last_error.clone().filter(|_| it.failures > 0),
        }
    }
}

#[derive(Template)]
#[template(path = "webhooks.html")]
struct Webhooks {
    shell: Shell,
    tabs: Tabs,
    rows: Vec<Row>,
    /// Shown this once.
    secret: Option<String>,
    url: String,
    problem: Option<String>,
    may_change: bool,
}

async fn built(who: &Who, of: &Integration) -> Result<Webhooks, Failure> {
    let now = who.ctx.clock.now();
    let all = webhooks::list(&who.ctx, &of.name).await?;
    Ok(Webhooks {
        shell: Shell::new("Webhooks", "service", who),
        tabs: Tabs::of(of, "webhooks"),
        rows: all.iter().map(|it| Row::of(it, now)).collect(),
        secret: None,
        url: String::new(),
        problem: None,
        may_change: who.may(Role::Administrator),
    })
}

/// `GET /service/{id}/webhooks`
pub(crate) async fn show(who: Who, Path(id): Path<String>) -> Result<Response, Failure> {
    Ok(page(&built(&who, &find(&who, &id).await?).await?))
}

/// `POST /service/{id}/webhooks`: a new one, one goes on, or goes.
pub(crate) async fn act(
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let of = find(&who, &id).await?;
    let one = || {
        fields
            .text("webhook")
            .parse()
            .map_err(|_| Failure::not_found())
    };
    let act = fields.text("act");
    let replays = act == "resume" && fields.text("from") == "start";
    let skips = act == "resume" && fields.text("from") == "now";
    if (act == "remove" || replays || skips) && !is_sure(&fields) {
        let all = webhooks::list(&who.ctx, &of.name).await?;
        let wanted = fields.text("webhook");
        let webhook = all.into_iter().find(|it| it.id.to_string() == wanted);
        let webhook = webhook.ok_or_else(Failure::not_found)?;
        let (url, place) = (webhook.url, webhook.position);
        let last = integrations::newest_event(&who.ctx, &of.name).await?;
        let path = format!("/service/{id}/webhooks");
        let question = Question {
            section: "service",
            title: if replays {
                format!("Send everything to {url} again?")
            } else if skips {
                format!("Leave out what {url} was not sent?")
            } else {
                format!("Remove the webhook to {url}?")
            },
            says: if replays {
                vec![format!(
                    "Every event of the feed, up to {last}, is sent once more, from the first one."
                )]
            } else if skips {
                vec![format!(
                    "It was sent everything up to {place}, and the last event is {last}: what lies between is never sent \
                     there."
                )]
            } else {
                vec!["Nothing is sent there any more. Events stay in the feed.".to_owned()]
            },
            crowd: None,
            button: if replays {
                "Send everything again"
            } else if skips {
                "Go on with the next event"
            } else {
                "Remove the webhook"
            },
            action: &path,
            back: &path,
        };
        return Ok(ask(&who, &fields, question));
    }
    let done = match act {
        "add" => {
            let from = match fields.text("from") {
                "start" => From::Start,
                _ => From::Now,
            };
            match webhooks::add(&who.ctx, &of.name, fields.text("url"), from).await {
                Ok((_, secret)) => {
                    let mut built = built(&who, &of).await?;
                    built.secret = Some(secret.expose().clone());
                    return Ok(page(&built));
                }
                Err(error) => Err(error),
            }
        }
        "remove" => webhooks::remove(&who.ctx, &of.name, one()?)
            .await
            .map(|()| "removed"),
        "resume" => {
            let from = match fields.text("from") {
                "start" => Some(From::Start),
                "now" => Some(From::Now),
                _ => None,
            };
            let resumed = webhooks::resume(&who.ctx, &of.name, one()?, from).await;
            resumed.map(|_| "saved")
        }
        _ => return Err(Failure::not_found()),
    };
    match done {
        Ok(word) => {
            Ok(Redirect::to(&format!("/service/{id}/webhooks?done={word}")).into_response())
        }
        Err(AppError::Invalid(said) | AppError::Refused(said)) => {
            let mut built = built(&who, &of).await?;
            fields.text("url").clone_into(&mut built.url);
            built.problem = Some(capital(&said));
            Ok(refused_page(&built))
        }
        Err(error) => Err(error.into()),
    }
}
