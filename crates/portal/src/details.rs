//! Synchronization Details: how the current cycle comes on, what the last ones did, what is held back.

use std::convert::Infallible;
use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::sse::{Event as Message, KeepAlive, Sse};
use axum::response::{IntoResponse, Redirect, Response};
use futures::stream;
use muster_app::administrators;
use muster_app::jobs::{self, JobReport};
use muster_app::log::{self, EventQuery};
use muster_model::administrator::Role;
use muster_model::cycle::{Cycle, CycleState};
use muster_model::event::Action;
use muster_model::event::{Event, Status};
use muster_model::job::{JobStatus, ResetScope, Withdrawal};
use tokio::time::Instant;

use crate::Face;
use crate::application::{Tabs, find};
use crate::ask::{Question, ask, is_sure};
use crate::chart::Chart;
use crate::failure::{Failure, capital, on_pages};
use crate::form::Form;
use crate::home::Health;
use crate::shell::{Shell, page, protect};
use crate::who::Who;
use crate::words::{ago, many, number, took};

/// Events and withdrawals that are shown.
const SHOWN: u32 = 12;
/// How often a page that stays open is told what is new: while a cycle runs, and while none does.
const EVERY: Duration = Duration::from_millis(700);
const SELDOM: Duration = Duration::from_millis(1500);
/// How long a page is told; the browser asks again then, and is looked at again.
const LONGEST: Duration = Duration::from_mins(10);

/// How long a session is believed in.
const KNOWN: Duration = Duration::from_secs(5);

/// A cycle in a table.
struct Past {
    kind: &'static str,
    state: &'static str,
    why: Option<String>,
    tone: &'static str,
    when: String,
    took: String,
    created: String,
    updated: String,
    disabled: String,
    deleted: String,
    failed: String,
}

impl Past {
    fn of(cycle: &Cycle, now: muster_model::Timestamp) -> Self {
        let (state, tone) = match &cycle.state {
            CycleState::Running => ("running", "info"),
            CycleState::Succeeded => ("succeeded", "success"),
            CycleState::EntryLevelErrors => ("some objects failed", "warning"),
            CycleState::Failed { .. } => ("failed", "danger"),
        };
        let why = match &cycle.state {
            CycleState::Failed { detail, .. } => Some(on_pages(&capital(detail))),
            _ => None,
        };
        let counts = &cycle.counts;
        Self {
            kind: cycle.kind.as_str(),
            state,
            why,
            tone,
            when: ago(cycle.began, now),
            took: took(cycle.began, cycle.ended.unwrap_or(now)),
            created: number(counts.created),
            updated: number(counts.updated),
            disabled: number(counts.disabled),
            deleted: number(counts.deleted),
            failed: number(counts.failed),
        }
    }
}

/// How far the current cycle has come.
struct Current {
    kind: &'static str,
    phase: &'static str,
    done: u64,
    total: u64,
    done_text: String,
    total_text: String,
    left: String,
}

/// Something that happened lately.
pub(crate) struct Happened {
    pub(crate) id: String,
    pub(crate) what: String,
    pub(crate) tone: &'static str,
    pub(crate) name: String,
    pub(crate) detail: String,
    pub(crate) when: String,
    pub(crate) at: String,
}

impl Happened {
    pub(crate) fn of(event: &Event, now: muster_model::Timestamp) -> Self {
        Self {
            id: event.id.to_string(),
            what: event.action.as_str().to_owned(),
            tone: match event.status {
                Status::Success => "success",
                Status::Failure => "danger",
                Status::Skipped => "secondary",
                Status::Warning => "warning",
            },
            name: event.source_name.clone(),
            detail: event.detail.clone(),
            when: ago(event.at, now),
            at: event.at.readable(),
        }
    }
}

/// What changes while somebody looks.
#[derive(Template)]
#[template(path = "details_partial.html")]
struct Live {
    id: String,
    health: Health,
    current: Option<Current>,
    cycles: Vec<Past>,
    lately: Vec<Happened>,
    quarantine: Option<(String, String)>,
    held: Vec<Withdrawal>,
    held_back: String,
    escrows: String,
    next_retry: String,
    chart: Chart,
}

async fn live(who: &Who, report: &JobReport, before: Option<Chart>) -> Result<Live, Failure> {
    let now = who.ctx.clock.now();
    let id = report.application.id.to_string();
    let lately = log::list(&who.ctx, Some(&id), EventQuery::default(), SHOWN).await?;
    let held = if report.held_back > 0 {
        jobs::held_back(&who.ctx, &id, None, SHOWN).await?.0
    } else {
        Vec::new()
    };
    let current = report.progress.map(|it| Current {
        kind: it.kind.as_str(),
        phase: it.phase.as_str(),
        done: it.done,
        total: it.total.max(it.done).max(1),
        done_text: number(it.done),
        total_text: number(it.total),
        left: it.left().map_or_else(String::new, |left| {
            format!("about {} s left of this phase", left.as_secs())
        }),
    });
    Ok(Live {
        health: Health::of(report, now),
        current,
        cycles: report.cycles.iter().map(|it| Past::of(it, now)).collect(),
        lately: lately.iter().map(|it| Happened::of(it, now)).collect(),
        quarantine: match &report.job.status {
            JobStatus::Quarantined {
                detail,
                next_attempt,
                ..
            } => Some((on_pages(&capital(detail)), next_attempt.readable())),
            _ => None,
        },
        held,
        held_back: number(report.held_back),
        escrows: number(report.escrows),
        next_retry: report
            .next_retry
            .map(muster_model::Timestamp::readable)
            .unwrap_or_default(),
        chart: Chart::of(who, report, before).await?,
        id,
    })
}

#[derive(Template)]
#[template(path = "details.html")]
struct Details {
    shell: Shell,
    tabs: Tabs,
    live: String,
    held_back: u64,
    is_configured: bool,
    is_on: bool,
    may_run: bool,
}

/// `GET /applications/{id}/details`
pub(crate) async fn show(who: Who, Path(id): Path<String>) -> Result<Response, Failure> {
    let shown = find(&who, &id).await?;
    let report = jobs::status(&who.ctx, &id).await?;
    let live = live(&who, &report, None).await?;
    let live = live.render().unwrap_or_default();
    Ok(page(&Details {
        shell: Shell::new("Synchronization Details", "applications", &who),
        tabs: Tabs::of(&shown, "details"),
        live,
        held_back: report.held_back,
        is_configured: report.job.status != JobStatus::NotConfigured,
        is_on: matches!(
            report.job.status,
            JobStatus::Active | JobStatus::Quarantined { .. }
        ),
        may_run: who.may(Role::Operator),
    }))
}

/// `GET /applications/{id}/details/stream`: the same again whenever it has changed.
pub(crate) async fn stream(who: Who, Path(id): Path<String>) -> Result<Response, Failure> {
    find(&who, &id).await?;
    let begun = Instant::now();
    let messages = stream::unfold(
        (who, id, String::new(), None, begun),
        move |(who, id, before, mut chart, mut known)| async move {
            let mut first = before.is_empty();
            loop {
                if begun.elapsed() > LONGEST {
                    return None;
                }
                if !std::mem::take(&mut first) {
                    let running = jobs::progress(&who.ctx, &id).await.ok()?.borrow().is_some();
                    tokio::time::sleep(if running { EVERY } else { SELDOM }).await;
                }
                // Who was signed out sees no more.
                if known.elapsed() > KNOWN {
                    let sessions = administrators::sessions(&who.ctx, who.administrator.id);
                    let (sessions, now) = (sessions.await.ok()?, who.ctx.clock.now());
                    let mut good = sessions.iter().filter(|it| now < it.expires);
                    good.find(|it| it.id == who.session.id)?;
                    known = Instant::now();
                }
                let report = jobs::status(&who.ctx, &id).await.ok()?;
                let live = live(&who, &report, chart).await.ok()?;
                let now = live.render().ok()?;
                chart = Some(live.chart);
                if now != before {
                    let lines = now.replace('\r', "");
                    let message = Message::default().event("live").data(lines);
                    let next = (who, id, now, chart, known);
                    return Some((Ok::<_, Infallible>(message), next));
                }
            }
        },
    );
    let mut response = Sse::new(messages)
        .keep_alive(KeepAlive::default())
        .into_response();
    protect(&mut response);
    Ok(response)
}

/// `POST /applications/{id}/details`: start, pause, restart, run, allow.
pub(crate) async fn act(
    State(face): State<Face>,
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Operator)?;
    let act = fields.text("act");
    if matches!(act, "restart" | "allow") && !is_sure(&fields) {
        let report = jobs::status(&who.ctx, &id).await?;
        let name = &report.application.display_name;
        let path = format!("/applications/{id}/details");
        let question = if act == "restart" {
            let managed: u64 = report.linked.iter().map(|(_, _, count)| count).sum();
            Question {
                section: "applications",
                title: format!("Restart provisioning of {name}?"),
                says: vec![
                    format!(
                        "{} accounts and groups at the target are looked at again, and everybody in scope.",
                        number(managed)
                    ),
                    format!(
                        "What failed is tried again at once: {}. The watermark is forgotten; links are kept.",
                        many(report.escrows, "object")
                    ),
                ],
                crowd: None,
                button: "Restart provisioning",
                action: &path,
                back: &path,
            }
        } else {
            let (mut deleted, mut after) = (0_u64, None);
            loop {
                let (page, _) = jobs::held_back(&who.ctx, &id, after, 500).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.anchor);
                let deletes = page.iter().filter(|it| it.action == Action::Delete);
                deleted += deletes.count() as u64;
            }
            Question {
                section: "applications",
                title: format!("Allow what is held back for {name}?"),
                says: vec![format!(
                    "The next cycle carries out {}, of accounts and memberships; {} of the accounts.",
                    many(report.held_back, "withdrawal"),
                    if deleted == 1 {
                        "it deletes 1".to_owned()
                    } else {
                        format!("it deletes {}", number(deleted))
                    }
                )],
                crowd: None,
                button: "Allow them",
                action: &path,
                back: &path,
            }
        };
        return Ok(ask(&who, &fields, question));
    }
    let done = match act {
        "start" => {
            jobs::start(&who.ctx, &id).await?;
            "started"
        }
        "pause" => {
            jobs::pause(&who.ctx, &id).await?;
            "paused"
        }
        "restart" => {
            jobs::restart_and_start(&who.ctx, &id, ResetScope::USUAL).await?;
            "restarted"
        }
        "allow" => {
            let expected = fields.text("count").parse().ok();
            jobs::allow(&who.ctx, &id, expected).await?;
            "allowed"
        }
        _ => return Err(Failure::not_found()),
    };
    face.poke.notify_one();
    Ok(Redirect::to(&format!("/applications/{id}/details?done={done}")).into_response())
}
