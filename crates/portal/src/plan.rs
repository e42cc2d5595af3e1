//! Plan: what the next cycle would do, and doing exactly that.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::Uri;
use muster_app::plans::{self, At};
use muster_model::administrator::Role;
use serde_json::Value as Json;
use tokio::sync::watch;

use crate::application::{Tabs, find};
use crate::demand::{Pair, changes, tone};
use crate::failure::{Failure, capital};
use crate::form::{Form, query};
use crate::shell::{Shell, page};
use crate::who::Who;
use crate::words::number;

/// Operations of a page, and how many are read at once.
const SHOWN: usize = 50;
const PORTION: u32 = 500;
/// Portions that one page looks through.
const PORTIONS: u32 = 8;

/// What would be done to one object.
struct Row {
    action: String,
    tone: &'static str,
    kind: String,
    name: String,
    reason: String,
    changes: Vec<Pair>,
    requests: Vec<String>,
}

impl Row {
    fn of(operation: &Json) -> Self {
        let text = |name: &str| operation[name].as_str().unwrap_or_default().to_owned();
        let requests = crate::demand::list(&operation["requests"]);
        Self {
            action: if operation["status"] == "failure" {
                "fails".to_owned()
            } else {
                text("action")
            },
            tone: tone(operation),
            kind: text("type"),
            name: text("name"),
            reason: capital(&text("reason")),
            changes: changes(operation),
            requests: requests
                .map(|it| {
                    let part = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
                    format!("{} {} {}", part("method"), part("path"), part("body"))
                })
                .collect(),
        }
    }
}

/// What a plan says in all.
struct Said {
    id: String,
    kind: &'static str,
    made: String,
    counts: Vec<(&'static str, String)>,
    is_held: bool,
    does_nothing: bool,
    rows: Vec<Row>,
    next: Option<String>,
    action: String,
}

#[derive(Template)]
#[template(path = "plan.html")]
struct Plan {
    shell: Shell,
    tabs: Tabs,
    said: Option<Said>,
    may_run: bool,
}

/// `GET /applications/{id}/plan?plan=…&action=…`
pub(crate) async fn show(who: Who, Path(id): Path<String>, uri: Uri) -> Result<Response, Failure> {
    let shown = find(&who, &id).await?;
    let fields = query(&uri)?;
    let said = if fields.is_on("plan") {
        let kept = plans::find(&who.ctx, fields.text("plan")).await?;
        if kept.plan.job != shown.application.job {
            return Err(Failure::not_found());
        }
        let action = fields.text("action").to_owned();
        let after = fields.text("after").split_once(' ');
        let mut at = after.map_or_else(At::default, |(number, place)| At {
            place: place.to_owned(),
            number: number.parse().unwrap_or(0),
        });
        let (mut rows, mut next, mut portions) = (Vec::new(), None, 0);
        'all: loop {
            portions += 1;
            if portions > PORTIONS {
                next = Some(format!("{} {}", at.number, at.place));
                break;
            }
            let part = plans::operations(&who.ctx, &kept, &at, PORTION).await?;
            let is_last = part.len() < PORTION as usize;
            for placed in part {
                let operation: Json = serde_json::from_str(&placed.body).unwrap_or_default();
                let is_wanted = match action.as_str() {
                    "" => operation["status"] != "skipped",
                    "fails" => operation["status"] == "failure",
                    "skipped" => operation["status"] == "skipped",
                    wanted => operation["action"] == wanted && operation["status"] == "success",
                };
                if is_wanted {
                    if rows.len() == SHOWN {
                        next = Some(format!("{} {}", at.number, at.place));
                        break 'all;
                    }
                    rows.push(Row::of(&operation));
                }
                at = placed.at;
            }
            if is_last {
                break;
            }
        }
        let plan = &kept.plan;
        let counts = &plan.counts;
        let encode = |text: &str| {
            percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC)
                .to_string()
        };
        Some(Said {
            kind: plan.kind.as_str(),
            made: plan.made.readable(),
            counts: vec![
                ("Create", number(counts.created)),
                ("Update", number(counts.updated)),
                ("Disable", number(counts.disabled)),
                ("Delete", number(counts.deleted)),
                ("Fail", number(counts.failed)),
                ("Requests", number(counts.requests)),
            ],
            is_held: plan.held.is_some(),
            does_nothing: counts.requests == 0,
            rows,
            next: next.map(|at| {
                format!(
                    "?plan={}&action={}&after={}",
                    kept.id,
                    encode(&action),
                    encode(&at)
                )
            }),
            action,
            id: kept.id,
        })
    } else {
        None
    };
    Ok(page(&Plan {
        shell: Shell::new("Plan", "applications", &who),
        tabs: Tabs::of(&shown, "plan"),
        said,
        may_run: who.may(Role::Operator),
    }))
}

/// `POST /applications/{id}/plan`: makes one, or applies it.
pub(crate) async fn act(
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Operator)?;
    if matches!(fields.text("act"), "apply" | "refuse") {
        let shown = find(&who, &id).await?;
        let kept = plans::find(&who.ctx, fields.text("plan")).await?;
        if kept.plan.job != shown.application.job {
            return Err(Failure::not_found());
        }
        if fields.text("act") == "refuse" {
            plans::refuse(&who.ctx, &kept).await?;
            let to = format!("/applications/{id}/plan?done=refused");
            return Ok(Redirect::to(&to).into_response());
        }
        Box::pin(plans::apply(&who.ctx, &kept)).await?;
        return Ok(
            Redirect::to(&format!("/applications/{id}/details?done=applied")).into_response(),
        );
    }
    let (progress, _) = watch::channel(None);
    let (_, kept) = Box::pin(plans::make(&who.ctx, &id, &progress)).await?;
    Ok(Redirect::to(&format!("/applications/{id}/plan?plan={}", kept.id)).into_response())
}
