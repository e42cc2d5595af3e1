//! Home: what needs a decision, and all applications with their health.

use askama::Template;
use axum::response::Response;
use muster_app::jobs::{self, JobReport};
use muster_app::{directory, notices};
use muster_model::Timestamp;
use muster_model::directory::Kind;
use muster_model::job::JobStatus;
use muster_model::link::LinkState;

use crate::failure::Failure;
use crate::shell::{Shell, page};
use crate::who::Who;
use crate::words::{ago, number};

/// Something to decide.
pub(crate) struct Decision {
    pub(crate) id: String,
    pub(crate) application: String,
    pub(crate) what: String,
    pub(crate) detail: String,
}

/// An application as its health is shown.
pub(crate) struct Health {
    pub(crate) id: String,
    pub(crate) name: String,
    /// `success`, `warning`, `danger` or `secondary`, as the stylesheet calls them.
    pub(crate) tone: &'static str,
    pub(crate) status: &'static str,
    pub(crate) fresh: String,
    pub(crate) last: String,
    pub(crate) people: String,
    pub(crate) groups: String,
    pub(crate) failing: u64,
    pub(crate) is_running: bool,
}

impl Health {
    pub(crate) fn of(report: &JobReport, now: Timestamp) -> Self {
        let managed = |kind: Kind| -> u64 {
            let of_kind = report.linked.iter();
            of_kind
                .filter(|(it, state, _)| *it == kind && *state == LinkState::Managed)
                .map(|(_, _, count)| count)
                .sum()
        };
        let (tone, status) = match &report.job.status {
            JobStatus::NotConfigured => ("secondary", "Not configured"),
            JobStatus::Paused => ("secondary", "Off"),
            JobStatus::Active if report.escrows > 0 => ("warning", "On, with failures"),
            JobStatus::Active => ("success", "On"),
            JobStatus::Quarantined { .. } => ("danger", "Quarantine"),
        };
        let last = report.cycles.first();
        let last = last.map_or_else(
            || "no cycle yet".to_owned(),
            |cycle| {
                let ended = cycle.ended.unwrap_or(cycle.began);
                format!("{} cycle {}", cycle.kind.as_str(), ago(ended, now))
            },
        );
        let fresh = match (&report.job.status, report.backlog, report.behind_seconds()) {
            (JobStatus::NotConfigured | JobStatus::Paused, ..) => "—".to_owned(),
            (_, 0, _) => "up to date".to_owned(),
            (_, waiting, behind) => {
                format!("{} changes waiting, {behind} s behind", number(waiting))
            }
        };
        Self {
            id: report.application.id.to_string(),
            name: report.application.display_name.clone(),
            tone,
            status,
            fresh,
            last,
            people: number(managed(Kind::User)),
            groups: number(managed(Kind::Group)),
            failing: report.escrows,
            is_running: report.progress.is_some(),
        }
    }
}

/// What somebody must decide about an application.
fn decisions(report: &JobReport) -> Vec<Decision> {
    let mut decisions = Vec::new();
    let mut decide = |what: String, detail: &str| {
        decisions.push(Decision {
            id: report.application.id.to_string(),
            application: report.application.display_name.clone(),
            what,
            detail: detail.to_owned(),
        });
    };
    if report.held_back > 0 {
        decide(
            format!("{} withdrawals are held back", number(report.held_back)),
            "More than its guard lets through at once. Look at them, and allow them or mend the cause.",
        );
    } else if let JobStatus::Quarantined { detail, .. } = &report.job.status {
        decide("Quarantine".to_owned(), detail);
    }
    decisions
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    shell: Shell,
    decisions: Vec<Decision>,
    applications: Vec<Health>,
    users: String,
    groups: String,
    notices: usize,
}

/// `GET /`
pub(crate) async fn show(who: Who) -> Result<Response, Failure> {
    let now = who.ctx.clock.now();
    let reports = jobs::all(&who.ctx).await?;
    let counts = directory::counts(&who.ctx).await?;
    Ok(page(&Home {
        shell: Shell::new("Home", "home", &who),
        decisions: reports.iter().flat_map(decisions).collect(),
        applications: reports.iter().map(|it| Health::of(it, now)).collect(),
        users: number(counts.users),
        groups: number(counts.groups),
        notices: notices::list(&who.ctx).await?.len(),
    }))
}
