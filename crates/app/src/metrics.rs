//! Figures for those who watch, in the text format of Prometheus (section 11).
//!
//! What is so at the moment is read from the store each time; what its cycles did is counted since the process
//! began, as counters are.

use muster_model::job::JobStatus;
use muster_model::link::LinkState;
use prometheus::{Encoder, GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder};

use crate::jobs::{self, JobReport};
use crate::{AppError, Ctx};

/// The codes of a job's status.
const CODES: [&str; 5] = ["NotConfigured", "NotRun", "Active", "Paused", "Quarantine"];

/// All figures.
///
/// # Errors
///
/// Those of the store.
pub async fn text(ctx: &Ctx) -> Result<String, AppError> {
    let reports = jobs::all(ctx).await?;
    figures(&reports).map_err(|error| AppError::Refused(format!("no figures: {error}")))
}

fn figures(reports: &[JobReport]) -> Result<String, prometheus::Error> {
    let all = Registry::new();
    let gauge = |name: &str, help: &str, labels: &[&str]| {
        let gauge = IntGaugeVec::new(Opts::new(format!("muster_{name}"), help), labels)?;
        all.register(Box::new(gauge.clone()))?;
        Ok::<_, prometheus::Error>(gauge)
    };
    let counter = |name: &str, help: &str, labels: &[&str]| {
        let counter = IntCounterVec::new(Opts::new(format!("muster_{name}"), help), labels)?;
        all.register(Box::new(counter.clone()))?;
        Ok::<_, prometheus::Error>(counter)
    };
    let status = gauge(
        "job_status",
        "1 for the status that the job has.",
        &["app", "status"],
    )?;
    let behind = gauge(
        "job_behind_seconds",
        "Age of the oldest change of the directory that the job has not looked at.",
        &["app"],
    )?;
    let backlog = gauge(
        "job_backlog",
        "Changes of the directory that the job has not looked at.",
        &["app"],
    )?;
    let linked = gauge(
        "job_linked_objects",
        "Objects of the target that are linked, by type and state.",
        &["app", "type", "state"],
    )?;
    let failing = gauge(
        "job_failing_objects",
        "Objects that fail and are tried again.",
        &["app"],
    )?;
    let failing_for = gauge(
        "job_failing_seconds",
        "For how long the object has failed that fails longest.",
        &["app"],
    )?;
    let held = gauge(
        "job_held_back",
        "Disables, deletions and removals of members that the guard holds back.",
        &["app"],
    )?;
    let running = gauge("job_cycle_running", "1 while a cycle runs here.", &["app"])?;
    let (done, total) = (
        gauge(
            "job_phase_done",
            "Done of the phase that a cycle is in.",
            &["app", "phase"],
        )?,
        gauge(
            "job_phase_total",
            "In the phase that a cycle is in, about.",
            &["app", "phase"],
        )?,
    );
    let last = GaugeVec::new(
        Opts::new(
            "muster_job_last_cycle_timestamp_seconds",
            "When the last cycle ended.",
        ),
        &["app"],
    )?;
    all.register(Box::new(last.clone()))?;
    let objects = counter(
        "job_objects_total",
        "What cycles did to objects since the process began.",
        &["app", "action"],
    )?;
    let requests = counter(
        "job_requests_total",
        "Requests to the target since the process began.",
        &["app"],
    )?;
    let cycles = counter(
        "job_cycles_total",
        "Cycles that ended since the process began, by kind and by how.",
        &["app", "kind", "state"],
    )?;
    let seconds = prometheus::CounterVec::new(
        Opts::new(
            "muster_job_cycle_seconds_total",
            "How long cycles took since the process began.",
        ),
        &["app"],
    )?;
    all.register(Box::new(seconds.clone()))?;
    for report in reports {
        let app = report.application.display_name.as_str();
        for code in CODES {
            let is_it = report.job.code() == code;
            status.with_label_values(&[app, code]).set(is_it.into());
        }
        let set = |gauge: &IntGaugeVec, value: u64| {
            gauge
                .with_label_values(&[app])
                .set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        // Nobody waits for a job that does not run.
        let runs = matches!(
            report.job.status,
            JobStatus::Active | JobStatus::Quarantined { .. }
        );
        set(&behind, if runs { report.behind_seconds() } else { 0 });
        set(&backlog, report.backlog);
        set(&failing, report.escrows);
        let long = |since| report.at.millis_since(since) / 1000;
        set(&failing_for, report.failing_since.map_or(0, long));
        set(&held, report.held_back);
        set(&running, report.progress.is_some().into());
        for (kind, state, count) in &report.linked {
            linked
                .with_label_values(&[app, kind.as_str(), word(*state)])
                .set(i64::try_from(*count).unwrap_or(i64::MAX));
        }
        if let Some(progress) = &report.progress {
            let at = [app, progress.phase.as_str()];
            done.with_label_values(&at).set(progress.done as i64);
            total.with_label_values(&at).set(progress.total as i64);
        }
        if let Some(at) = report.job.last_cycle {
            last.with_label_values(&[app])
                .set(at.as_micros() as f64 / 1_000_000.0);
        }
        let counts = &report.totals.counts;
        for (action, count) in [
            ("created", counts.created),
            ("updated", counts.updated),
            ("disabled", counts.disabled),
            ("deleted", counts.deleted),
            ("skipped", counts.skipped),
            ("failed", counts.failed),
        ] {
            objects.with_label_values(&[app, action]).inc_by(count);
        }
        requests.with_label_values(&[app]).inc_by(counts.requests);
        seconds
            .with_label_values(&[app])
            .inc_by(report.totals.seconds.max(0.0));
        for ((kind, state), count) in &report.totals.cycles {
            cycles
                .with_label_values(&[app, *kind, *state])
                .inc_by(*count);
        }
    }
    let mut text = Vec::new();
    TextEncoder::new().encode(&all.gather(), &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

const fn word(state: LinkState) -> &'static str {
    match state {
        LinkState::Managed => "managed",
        LinkState::Disabled => "disabled",
        LinkState::Leaving => "leaving",
        LinkState::Released => "released",
    }
}
