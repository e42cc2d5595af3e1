//! Provisioning jobs: switch on and off, restart, run now, watch.

use muster_engine::{Entitled, Progress};
use muster_model::application::Application;
use muster_model::audit::activity;
use muster_model::cycle::{Cycle, Totals};
use muster_model::directory::Kind;
use muster_model::exchange::ExchangeLog;
use muster_model::job::{
    Dialect, Guard, Job, JobSettings, JobStatus, Leaving, ResetScope, Retries, Withdrawal,
};
use muster_model::link::{LinkState, SourceAnchor};
use muster_model::{JobId, Timestamp};
use muster_store::cycles::Milestones;
use muster_store::exchanges::{self, Held};
use muster_store::{audit as audit_log, cycles, escrows, feed, held_back, jobs, links};
use tokio::sync::watch;

use crate::applications::{change_settings, find, job_of};
use crate::{AppError, Ctx, audit, directory};

async fn with_job(ctx: &Ctx, application: &str) -> Result<(Application, Job), AppError> {
    let application = find(ctx, application).await?;
    let job = job_of(ctx, &application).await?;
    Ok((application, job))
}

/// Moves the job from the status it has now to another one.
async fn set_status(
    ctx: &Ctx,
    job: JobId,
    activity: &str,
    next: impl FnOnce(&JobStatus) -> Option<JobStatus> + Send + 'static,
) -> Result<bool, AppError> {
    let (tenant, at) = (ctx.tenant, ctx.clock.now());
    let mut entry = audit::entry(ctx, activity, job, "");
    ctx.store
        .write(move |tx| {
            Box::pin(async move {
                let now = jobs::find_to_change(tx, tenant, job).await?;
                let Some((before, status)) = now.and_then(|job| {
                    let status = next(&job.status)?;
                    Some((job.status, status))
                }) else {
                    return Ok(false);
                };
                entry.detail = format!("{} → {}", before.code(), status.code());
                audit_log::append(tx, tenant, &entry).await?;
                muster_engine::set_status(tx, tenant, job, &status, at).await?;
                Ok(true)
            })
        })
        .await
}

/// Provisioning Status On. A paused job goes on where it stopped; quarantine is cleared (5.9).
pub async fn start(ctx: &Ctx, application: &str) -> Result<Application, AppError> {
    let application = find(ctx, application).await?;
    let started = set_status(ctx, application.job, activity::START, |now| {
        (*now != JobStatus::NotConfigured).then_some(JobStatus::Active)
    })
    .await?;
    if !started {
        return Err(AppError::Refused(format!(
            "{} has no credentials yet; save them first with: muster app credentials",
            application.display_name
        )));
    }
    Ok(application)
}

/// Provisioning Status Off. The running cycle comes to its end; state is kept (5.9).
pub async fn pause(ctx: &Ctx, application: &str) -> Result<Application, AppError> {
    let application = find(ctx, application).await?;
    set_status(ctx, application.job, activity::STOP, |now| {
        (*now != JobStatus::NotConfigured).then_some(JobStatus::Paused)
    })
    .await?;
    Ok(application)
}

/// Does something that is done while a job is off. When it fails, the job is as it was before.
pub(crate) async fn while_off<T>(
    ctx: &Ctx,
    application: &Application,
    work: impl Future<Output = Result<T, AppError>>,
) -> Result<T, AppError> {
    let before = job_of(ctx, application).await?.status;
    pause(ctx, &application.id.to_string()).await?;
    let done = work.await;
    if done.is_err() {
        set_status(ctx, application.job, activity::START, move |now| {
            (*now == JobStatus::Paused && before != *now).then_some(before)
        })
        .await?;
    }
    done
}

/// Restart of a job that is on, or off: it is on afterwards. When it is refused, the job is as it was before.
pub async fn restart_and_start(
    ctx: &Ctx,
    application: &str,
    scope: ResetScope,
) -> Result<(), AppError> {
    let found = find(ctx, application).await?;
    if scope.links {
        // Links are forgotten while the job is off, and while nobody may have to lose access by them.
        Box::pin(while_off(ctx, &found, restart(ctx, application, scope))).await?;
    } else if scope != ResetScope::default() {
        restart(ctx, application, scope).await?;
    }
    start(ctx, application).await.map(drop)
}

/// Restart: forgets what the scope names (5.8); answers how many links that were.
pub async fn restart(
    ctx: &Ctx,
    application: &str,
    scope: ResetScope,
) -> Result<(Application, u64), AppError> {
    let (application, job) = with_job(ctx, application).await?;
    let said = [
        (
            scope.watermark || scope.links,
            "the next cycle evaluates everything",
        ),
        (scope.escrows, "failures wait for no further attempt"),
        (scope.quarantine, "a quarantine is lifted"),
    ];
    let said = said
        .into_iter()
        .filter(|(is_so, _)| *is_so)
        .map(|(_, said)| said);
    let detail = said.collect::<Vec<_>>().join("; ");
    let entry = audit::entry(ctx, activity::RESTART, job.id, detail);
    let forgotten = ctx.engine.restart(ctx.tenant, job.id, scope, entry).await?;
    Ok((application, forgotten))
}

/// The shortest and the longest pause between two cycles, in seconds: ten seconds, and thirty days.
pub const INTERVALS: std::ops::RangeInclusive<u32> = 10..=30 * 86_400;

/// Sets how long the job waits at most between two cycles when nothing changes: changes of the
/// directory are looked at at once anyway.
pub async fn set_interval(
    ctx: &Ctx,
    application: &str,
    seconds: u32,
) -> Result<Application, AppError> {
    if !INTERVALS.contains(&seconds) {
        return Err(AppError::Invalid(
            "the pause between two cycles is at least 10 seconds and at most 30 days".to_owned(),
        ));
    }
    let application = find(ctx, application).await?;
    change_settings(ctx, application.job, false, move |settings| {
        settings.interval_seconds = seconds;
    })
    .await?;
    Ok(application)
}

/// Sets how much a job may take away before it asks; answers what holds from now on (6.5).
pub async fn set_guard(
    ctx: &Ctx,
    application: &str,
    change: impl FnOnce(&mut Guard) + Send + 'static,
) -> Result<(Application, Guard), AppError> {
    let application = find(ctx, application).await?;
    let changed = change_settings(ctx, application.job, false, move |settings| {
        change(&mut settings.guard);
    });
    if changed.await? {
        // A job that it held looks again at once.
        set_status(ctx, application.job, activity::SETTINGS, |now| {
            now.is_held_by_guard().then_some(JobStatus::Active)
        })
        .await?;
    }
    let job = job_of(ctx, &application).await?;
    Ok((application, job.settings.guard))
}

/// Sets what becomes of the accounts of those who leave (5.5), and whether those who fall out of scope are left
/// alone (5.6); answers what holds from now on.
pub async fn set_leaving(
    ctx: &Ctx,
    application: &str,
    change: impl FnOnce(&mut Leaving, &mut bool) + Send + 'static,
) -> Result<(Application, Leaving, bool), AppError> {
    let application = find(ctx, application).await?;
    change_settings(ctx, application.job, false, move |settings| {
        change(
            &mut settings.leaving,
            &mut settings.skip_out_of_scope_deletions,
        );
    })
    .await?;
    let JobSettings {
        leaving,
        skip_out_of_scope_deletions,
        ..
    } = job_of(ctx, &application).await?.settings;
    Ok((application, leaving, skip_out_of_scope_deletions))
}

/// Sets when what failed is tried again (6.1, 6.4).
pub async fn set_retries(
    ctx: &Ctx,
    application: &str,
    retries: Retries,
) -> Result<Application, AppError> {
    let application = find(ctx, application).await?;
    change_settings(ctx, application.job, false, move |settings| {
        settings.retries = retries;
    })
    .await?;
    Ok(application)
}

/// For how long the log of a job is kept, in seconds: a day to ten years.
pub const LOG_KEPT: std::ops::RangeInclusive<u32> = 86_400..=3650 * 86_400;

/// Sets for how long the provisioning log of a job is kept (10.4).
pub async fn set_log(ctx: &Ctx, application: &str, seconds: u32) -> Result<Application, AppError> {
    if !LOG_KEPT.contains(&seconds) {
        return Err(AppError::Invalid(
            "a log is kept for at least one day and at most ten years".to_owned(),
        ));
    }
    let application = find(ctx, application).await?;
    change_settings(ctx, application.job, false, move |settings| {
        settings.log_seconds = seconds;
    })
    .await?;
    Ok(application)
}

/// Sets how the target wants to be spoken to; answers what holds from now on (7.6).
pub async fn set_dialect(
    ctx: &Ctx,
    application: &str,
    change: impl FnOnce(&mut Dialect) + Send + 'static,
) -> Result<(Application, Dialect), AppError> {
    let application = find(ctx, application).await?;
    change_settings(ctx, application.job, false, move |settings| {
        change(&mut settings.dialect);
    })
    .await?;
    let job = job_of(ctx, &application).await?;
    Ok((application, job.settings.dialect))
}

/// Sets what is kept of the requests to the target; answers what holds from now on, and how much there is.
pub async fn set_exchanges(
    ctx: &Ctx,
    application: &str,
    change: impl FnOnce(&mut ExchangeLog) + Send + 'static,
) -> Result<(Application, ExchangeLog, Held), AppError> {
    let application = find(ctx, application).await?;
    change_settings(ctx, application.job, false, move |settings| {
        change(&mut settings.exchanges);
    })
    .await?;
    let job = job_of(ctx, &application).await?;
    let (tenant, id) = (ctx.tenant, job.id);
    let held = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(exchanges::held(tx, tenant, id).await?) })
    });
    let held = held.await?;
    Ok((application, job.settings.exchanges, held))
}

/// What the guard of a job holds back, or may be done now: `limit` objects of it after one, in the order of their ids,
/// and how much is held back in all, memberships counted one by one.
pub async fn held_back(
    ctx: &Ctx,
    application: &str,
    after: Option<SourceAnchor>,
    limit: u32,
) -> Result<(Vec<Withdrawal>, u64), AppError> {
    let (_, job) = with_job(ctx, application).await?;
    let (tenant, id) = (ctx.tenant, job.id);
    ctx.store
        .read(|tx| {
            Box::pin(async move {
                let some = held_back::page(tx, tenant, id, after, limit).await?;
                Ok((some, held_back::count(tx, tenant, id).await?))
            })
        })
        .await
}

/// Lets the job do what its guard holds back, and nothing more of the kind than its guard allows (EH-18).
/// Answers how much that is. Refuses when they are not as many as were `expected`: another cycle has
/// looked since they were listed.
pub async fn allow(
    ctx: &Ctx,
    application: &str,
    expected: Option<u64>,
) -> Result<(Application, u64), AppError> {
    let (application, job) = with_job(ctx, application).await?;
    let (tenant, id, at) = (ctx.tenant, job.id, ctx.clock.now());
    let mut entry = audit::entry(ctx, activity::ALLOW, id, "");
    let allowed = ctx
        .store
        .write::<_, AppError, _>(move |tx| {
            Box::pin(async move {
                let now = jobs::find_to_change(tx, tenant, id).await?;
                let held = held_back::count(tx, tenant, id).await?;
                if expected.is_some_and(|expected| expected != held) {
                    return Err(AppError::Refused(format!(
                        "{held} disables, deletions and removals of members are held back now; look at \
                         them again (muster job held)"
                    )));
                }
                let allowed = held_back::allow(tx, tenant, id).await?;
                entry.detail = format!("{allowed} disables, deletions and removals of members");
                if allowed > 0 {
                    audit_log::append(tx, tenant, &entry).await?;
                }
                let is_quarantined =
                    |job: &Job| matches!(job.status, JobStatus::Quarantined { .. });
                if allowed > 0 && now.as_ref().is_some_and(is_quarantined) {
                    muster_engine::set_status(tx, tenant, id, &JobStatus::Active, at).await?;
                }
                Ok(allowed)
            })
        })
        .await?;
    Ok((application, allowed))
}

/// One cycle now; waits for its end.
pub async fn run(ctx: &Ctx, application: &str) -> Result<Cycle, AppError> {
    let (_, job) = with_job(ctx, application).await?;
    // Where no server runs, nobody else does that.
    directory::bin::purge_expired(ctx).await?;
    Ok(ctx.engine.run(ctx.tenant, job.id).await?)
}

/// How far the running cycle has come, to watch beside [`run`].
pub async fn progress(
    ctx: &Ctx,
    application: &str,
) -> Result<watch::Receiver<Option<Progress>>, AppError> {
    let (_, job) = with_job(ctx, application).await?;
    Ok(ctx.engine.progress(job.id))
}

/// Who is in scope right now, counted in the directory.
pub async fn entitled(ctx: &Ctx, application: &str) -> Result<Entitled, AppError> {
    let (_, job) = with_job(ctx, application).await?;
    Ok(ctx.engine.entitled(ctx.tenant, job.id).await?)
}

/// How many changes of the directory the job has not looked at yet.
pub async fn backlog(ctx: &Ctx, application: &str) -> Result<u64, AppError> {
    let (_, job) = with_job(ctx, application).await?;
    let (tenant, after) = (ctx.tenant, job.watermark.unwrap_or_default());
    ctx.store
        .read(|tx| Box::pin(async move { Ok(feed::backlog(tx, tenant, after).await?) }))
        .await
}

/// The latest cycles of a job, oldest first.
pub async fn cycles(ctx: &Ctx, application: &str, limit: u32) -> Result<Vec<Cycle>, AppError> {
    let (_, job) = with_job(ctx, application).await?;
    let (tenant, id) = (ctx.tenant, job.id);
    let mut cycles: Vec<Cycle> = ctx
        .store
        .read::<_, AppError, _>(|tx| {
            Box::pin(async move { Ok(muster_store::cycles::latest(tx, tenant, id, limit).await?) })
        })
        .await?;
    cycles.reverse();
    Ok(cycles)
}

/// Cycles that are read of a stretch of time.
const OF_A_STRETCH: u32 = 10_000;

/// The cycles of a job that ended at an instant or later, newest first; at most 10,000.
pub async fn cycles_since(
    ctx: &Ctx,
    of: &Application,
    since: Timestamp,
) -> Result<Vec<Cycle>, AppError> {
    let (tenant, id) = (ctx.tenant, of.job);
    let read = ctx.store.read(|tx| {
        Box::pin(async move {
            Ok(muster_store::cycles::since(tx, tenant, id, since, OF_A_STRETCH).await?)
        })
    });
    read.await
}

/// What the status of a job shows (section 11).
#[derive(Clone, Debug)]
pub struct JobReport {
    /// The application.
    pub application: Application,
    /// The job.
    pub job: Job,
    /// How far the running cycle has come.
    pub progress: Option<Progress>,
    /// The latest cycles, newest first.
    pub cycles: Vec<Cycle>,
    /// What its cycles have come to.
    pub milestones: Milestones,
    /// Linked objects by kind and state.
    pub linked: Vec<(Kind, LinkState, u64)>,
    /// Withdrawals that the guard holds back.
    pub held_back: u64,
    /// Failures awaiting a retry.
    pub escrows: u64,
    /// When the next of them is tried again.
    pub next_retry: Option<Timestamp>,
    /// When the first of them failed first.
    pub failing_since: Option<Timestamp>,
    /// Changes of the directory that the job has not looked at yet.
    pub backlog: u64,
    /// When the first of these was made.
    pub waiting_since: Option<Timestamp>,
    /// What its cycles did since this process began.
    pub totals: Totals,
    /// When this was so.
    pub at: Timestamp,
}

impl JobReport {
    /// How many cycles failed as a whole since one came to its end.
    pub fn failures_in_a_row(&self) -> u32 {
        match &self.job.status {
            // What too many objects fail in comes to its end all the same (6.3).
            JobStatus::Quarantined { reason, .. } if reason.ends_with("Threshold") => 0,
            JobStatus::Quarantined { count, .. } => *count,
            _ => 0,
        }
    }

    /// The age in seconds of the oldest change that the job has not looked at; 0 when there is none.
    pub fn behind_seconds(&self) -> u64 {
        let age = |since| self.at.millis_since(since) / 1000;
        self.waiting_since.map_or(0, age)
    }
}

/// Cycles that a report shows.
const SHOWN: u32 = 10;

/// The status of a job.
pub async fn status(ctx: &Ctx, application: &str) -> Result<JobReport, AppError> {
    let (application, job) = with_job(ctx, application).await?;
    report(ctx, application, job).await
}

/// The status of all jobs.
pub async fn all(ctx: &Ctx) -> Result<Vec<JobReport>, AppError> {
    let mut reports = Vec::new();
    for application in crate::applications::list(ctx).await? {
        let job = job_of(ctx, &application).await?;
        reports.push(report(ctx, application, job).await?);
    }
    Ok(reports)
}

async fn report(ctx: &Ctx, application: Application, job: Job) -> Result<JobReport, AppError> {
    let (tenant, id, watermark) = (ctx.tenant, job.id, job.watermark.unwrap_or_default());
    let progress = *ctx.engine.progress(id).borrow();
    let (cycles, linked, held_back, (escrows, next_retry), failing_since, (backlog, waiting_since)) =
        ctx.store
            .read::<_, AppError, _>(|tx| {
                Box::pin(async move {
                    Ok((
                        (
                            cycles::latest(tx, tenant, id, SHOWN).await?,
                            cycles::milestones(tx, tenant, id).await?,
                        ),
                        links::counts(tx, tenant, id).await?,
                        held_back::count(tx, tenant, id).await?,
                        escrows::outlook(tx, tenant, id).await?,
                        escrows::oldest(tx, tenant, id).await?,
                        (
                            feed::backlog(tx, tenant, watermark).await?,
                            feed::oldest(tx, tenant, watermark).await?,
                        ),
                    ))
                })
            })
            .await?;
    Ok(JobReport {
        application,
        job,
        progress,
        cycles: cycles.0,
        milestones: cycles.1,
        linked,
        held_back,
        escrows,
        next_retry,
        failing_since,
        backlog,
        waiting_since,
        totals: ctx.engine.totals(id),
        at: ctx.clock.now(),
    })
}
