//! Home: what needs a decision, and all applications with their health.

use askama::Template;
use axum::response::Response;
use muster_app::jobs::{self, JobReport};
use muster_app::{api_tokens, directory, integrations, notices};
use muster_model::Timestamp;
use muster_model::directory::Kind;
use muster_model::integration::Token;
use muster_model::job::JobStatus;
use muster_model::link::LinkState;

use crate::chart::Chart;
use crate::failure::{Failure, capital, on_pages};
use crate::shell::{Shell, page};
use crate::who::Who;
use crate::words::{ago, number};

/// Something to decide.
pub(crate) struct Decision {
    /// Where it is decided.
    pub(crate) link: String,
    /// Of what it is.
    pub(crate) name: String,
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
    /// All applications, each with what its cycles did lately.
    pub(crate) async fn all(
        who: &Who,
        reports: &[JobReport],
    ) -> Result<Vec<(Self, Chart)>, Failure> {
        let mut all = Vec::with_capacity(reports.len());
        for report in reports {
            let chart = Chart::of(who, report, None).await?;
            all.push((Self::of(report, who.ctx.clock.now()), chart));
        }
        Ok(all)
    }

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
            link: format!("/applications/{}/details", report.application.id),
            name: report.application.display_name.clone(),
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
        decide("Quarantine".to_owned(), &on_pages(&capital(detail)));
    }
    decisions
}

/// A token that ends within so many days is told.
const SOON_DAYS: i64 = 30;

/// Tokens that end soon, or have ended while they were in use.
async fn ending(who: &Who) -> Result<Vec<Decision>, Failure> {
    let now = who.ctx.clock.now();
    let soon = now.plus_seconds(SOON_DAYS * 86_400);
    let mut all = Vec::new();
    for (integration, tokens) in integrations::list(&who.ctx).await? {
        // Those of OAuth clients are made anew by themselves.
        let of_people = |it: &&Token| it.client.is_none() && it.revoked.is_none();
        let live: Vec<&Token> = tokens.iter().filter(of_people).collect();
        let lasts = |it: &&&Token| it.expires.is_none_or(|at| at > soon);
        let ends = live.iter().filter_map(|it| it.expires).max();
        let (None, Some(ends)) = (live.iter().find(lasts), ends) else {
            continue;
        };
        all.push(Decision {
            link: format!("/service/{}", integration.id),
            name: integration.name,
            what: if ends <= now {
                format!("its last token ended on {}", ends.readable())
            } else {
                format!("its last token ends on {}", ends.readable())
            },
            detail: "Make another one, and give it to the sender before that.".to_owned(),
        });
    }
    for token in api_tokens::list(&who.ctx).await? {
        if let Some(ends) = token.expires
            && token.revoked.is_none()
            && now < ends
            && ends < soon
        {
            all.push(Decision {
                link: "/audit".to_owned(),
                name: format!("Control API token {}", token.name),
                what: format!("ends on {}", ends.readable()),
                detail: "Make another one: muster token create.".to_owned(),
            });
        }
    }
    Ok(all)
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    shell: Shell,
    decisions: Vec<Decision>,
    applications: Vec<(Health, Chart)>,
    users: String,
    groups: String,
    notices: usize,
}

/// `GET /`
pub(crate) async fn show(who: Who) -> Result<Response, Failure> {
    let reports = jobs::all(&who.ctx).await?;
    let counts = directory::counts(&who.ctx).await?;
    Ok(page(&Home {
        shell: Shell::new("Home", "home", &who),
        decisions: reports
            .iter()
            .flat_map(decisions)
            .chain(ending(&who).await?)
            .collect(),
        applications: Health::all(&who, &reports).await?,
        users: number(counts.users),
        groups: number(counts.groups),
        notices: notices::list(&who.ctx).await?.len(),
    }))
}
