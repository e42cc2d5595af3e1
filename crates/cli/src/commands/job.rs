//! `muster job …`

use muster_app::AppError;
use muster_app::jobs::{self, JobReport};
use muster_engine::Progress;
use muster_model::code::{self, Code};
use muster_model::cycle::{Cycle, CycleState};
use muster_model::job::{
    DefaultAccess, Departure, Guard, JobStatus, ResetScope, Retries, Withdrawal,
};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::args::{Job, ResetArg, WriteArg};
use crate::commands::job_words::{
    MIB, about, dialect_json, dialect_text, every_text, exchanges_text, guard_json, guard_text,
    held_line, time_text,
};
use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;
use muster_app::told::link_state;

pub(super) async fn perform(node: &Node, task: Job, out: &Out) -> Result<Exit, AppError> {
    let ctx = &node.ctx;
    let told = match task {
        Job::Start { app } => {
            let app = jobs::start(ctx, &app).await?;
            format!("Provisioning Status of {}: On", app.display_name)
        }
        Job::Pause { app } => {
            let app = jobs::pause(ctx, &app).await?;
            format!("Provisioning Status of {}: Off", app.display_name)
        }
        Job::Restart { app, scope, yes } => return restart(node, &app, (&scope, yes), out).await,
        Job::Interval { app, every } => {
            let app = jobs::set_interval(ctx, &app, every).await?;
            format!(
                "A cycle of {} begins at least every {}",
                app.display_name,
                every_text(every)
            )
        }
        Job::Guard {
            app,
            most,
            share,
            memberships,
            members_share,
            within,
            off,
        } => {
            let (app, guard) = jobs::set_guard(ctx, &app, move |guard| {
                if off {
                    *guard = Guard::OFF;
                }
                guard.most = most.or(guard.most);
                guard.share = share.or(guard.share);
                guard.memberships = memberships.or(guard.memberships);
                guard.members_share = members_share.or(guard.members_share);
                guard.within_seconds = within.unwrap_or(guard.within_seconds);
            })
            .await?;
            if out.json {
                out.line(guard_json(guard).to_string()).await;
                return Ok(Exit::Done);
            }
            format!("{}: {}", app.display_name, guard_text(guard))
        }
        Job::Leaving {
            app,
            unassigned,
            disabled,
            deleted,
            grace,
            skip_out_of_scope,
        } => {
            let (app, leaving, skips) = jobs::set_leaving(ctx, &app, move |leaving, skips| {
                *skips = skip_out_of_scope.unwrap_or(*skips);
                leaving.unassigned = unassigned.map_or(leaving.unassigned, Into::into);
                leaving.disabled = disabled.map_or(leaving.disabled, Into::into);
                leaving.deleted = deleted.map_or(leaving.deleted, Into::into);
                leaving.grace_seconds = grace.unwrap_or(leaving.grace_seconds);
            })
            .await?;
            let [unassigned, disabled, deleted] =
                [leaving.unassigned, leaving.disabled, leaving.deleted].map(Departure::as_str);
            if out.json {
                let told = json!({
                    "unassigned": unassigned, "disabled": disabled, "deleted": deleted,
                    "graceSeconds": leaving.grace_seconds, "skipOutOfScope": skips
                });
                out.line(told.to_string()).await;
                return Ok(Exit::Done);
            }
            let grace = match leaving.grace_seconds {
                0 => String::new(),
                seconds => format!(
                    "; what is to be deleted is disabled for {} before",
                    time_text(seconds)
                ),
            };
            format!(
                "{}: who is unassigned: {unassigned}; whose account is disabled: {disabled}; whose \
                 account is deleted: {deleted}{grace}{}",
                app.display_name,
                if skips {
                    "; who falls out of scope is left alone"
                } else {
                    ""
                }
            )
        }
        Job::Retries { app, schedule } => {
            let app = jobs::set_retries(ctx, &app, schedule.into()).await?;
            format!(
                "What fails at {} is tried again on the {} schedule",
                app.display_name,
                Retries::from(schedule).as_str()
            )
        }
        Job::Log { app, for_seconds } => {
            let app = jobs::set_log(ctx, &app, for_seconds).await?;
            format!(
                "The log of {} is kept for {}",
                app.display_name,
                time_text(for_seconds)
            )
        }
        Job::Dialect {
            app,
            patch,
            write,
            members,
            bulk,
            group_filter,
            at_once,
            per_second,
            timeout,
        } => {
            let (app, dialect) = jobs::set_dialect(ctx, &app, move |dialect| {
                dialect.patch = patch.map_or(dialect.patch, Into::into);
                dialect.puts = write.map_or(dialect.puts, |write| write == WriteArg::Put);
                dialect.members = members.unwrap_or(dialect.members);
                dialect.bulk = bulk.unwrap_or(dialect.bulk);
                dialect.filters_groups = group_filter.unwrap_or(dialect.filters_groups);
                dialect.at_once = at_once.unwrap_or(dialect.at_once);
                dialect.per_second = per_second.unwrap_or(dialect.per_second);
                dialect.timeout_seconds = timeout.unwrap_or(dialect.timeout_seconds);
            })
            .await?;
            if out.json {
                out.line(dialect_json(dialect).to_string()).await;
                return Ok(Exit::Done);
            }
            format!("{}: {}", app.display_name, dialect_text(dialect))
        }
        Job::Exchanges {
            app,
            keep,
            for_seconds,
            size,
            hide,
            hide_none,
        } => {
            let (app, log, held) = jobs::set_exchanges(ctx, &app, move |log| {
                log.keep = keep.map_or(log.keep, Into::into);
                log.seconds = for_seconds.unwrap_or(log.seconds);
                log.bytes = size.map_or(log.bytes, |size| u64::from(size) * MIB);
                if hide_none {
                    log.hidden.clear();
                }
                log.hidden.extend(hide);
                log.hidden.sort();
                log.hidden.dedup();
            })
            .await?;
            if out.json {
                let shown = json!({
                    "keep": log.keep.as_str(), "forSeconds": log.seconds, "bytes": log.bytes,
                    "hidden": log.hidden, "heldEvents": held.events, "heldBytes": held.bytes
                });
                out.line(shown.to_string()).await;
                return Ok(Exit::Done);
            }
            format!("{}: {}", app.display_name, exchanges_text(&log, held))
        }
        Job::Held { app, limit } => {
            let (held, all) = jobs::held_back(ctx, &app, None, limit).await?;
            for one in &held {
                out.line(if out.json {
                    muster_app::told::withdrawal(one).to_string()
                } else {
                    held_line(one)
                })
                .await;
            }
            let shown = held.iter().filter(|one| !one.allowed);
            let shown: u64 = shown.map(Withdrawal::size).sum();
            if held.is_empty() && !out.json {
                out.line("Nothing is held back".to_owned()).await;
            } else if shown < all {
                let rest = all - shown;
                out.note(format!("and {rest} more; --limit shows more of them"))
                    .await;
            }
            return Ok(Exit::Done);
        }
        Job::Allow { app, expect } => {
            let (app, allowed) = jobs::allow(ctx, &app, expect).await?;
            if out.json {
                out.line(json!({ "allowed": allowed }).to_string()).await;
                return Ok(Exit::Done);
            }
            match allowed {
                0 => format!("Nothing of {} is held back", app.display_name),
                1 => format!("The next cycle of {} takes this away", app.display_name),
                _ => format!(
                    "The next cycle of {} takes away these {allowed}",
                    app.display_name
                ),
            }
        }
        Job::Status { app } => {
            report(&jobs::status(ctx, &app).await?, out).await;
            return Ok(Exit::Done);
        }
        Job::Run { app } => {
            let cycle = watched(node, &app, out).await?;
            return Ok(ended(&cycle, out).await);
        }
    };
    out.line(if out.json {
        json!({ "ok": true }).to_string()
    } else {
        told
    })
    .await;
    Ok(Exit::Done)
}

/// Says how a cycle ended.
pub(super) async fn ended(cycle: &Cycle, out: &Out) -> Exit {
    out.line(if out.json {
        cycle_json(cycle).to_string()
    } else {
        cycle_line(cycle)
    })
    .await;
    if cycle.counts.failed > 0 {
        Exit::PartlyFailed
    } else {
        Exit::Done
    }
}

/// Runs one cycle and moves the progress bar meanwhile.
pub(super) async fn watched(node: &Node, app: &str, out: &Out) -> Result<Cycle, AppError> {
    let progress = jobs::progress(&node.ctx, app).await?;
    shown(progress, jobs::run(&node.ctx, app), out).await
}

/// Waits for something and moves the progress bar meanwhile.
pub(super) async fn shown<T>(
    mut progress: watch::Receiver<Option<Progress>>,
    work: impl Future<Output = T>,
    out: &Out,
) -> T {
    let watch = async {
        while progress.changed().await.is_ok() {
            let told = *progress.borrow_and_update();
            if let Some(told) = told {
                out.progress(told.phase.as_str(), told.done, told.total);
            }
        }
        std::future::pending::<std::convert::Infallible>().await
    };
    let done = tokio::select! {
        done = work => done,
        never = watch => match never {},
    };
    out.progress_end().await;
    done
}

/// A cycle as JSON, in the shape of the demo's result.
pub(super) fn cycle_json(cycle: &Cycle) -> Value {
    let counts = &cycle.counts;
    let duration = cycle
        .ended
        .map_or(0, |ended| ended.millis_since(cycle.began));
    let error = match &cycle.state {
        CycleState::Failed { code, detail } => Some(json!({ "code": code, "message": detail })),
        _ => None,
    };
    json!({
        "id": cycle.id.to_string(), "kind": cycle.kind.as_str(), "state": cycle.state.as_str(),
        "began": cycle.began.to_string(), "ended": cycle.ended.map(|at| at.to_string()),
        "error": error,
        "created": counts.created, "updated": counts.updated, "disabled": counts.disabled,
        "deleted": counts.deleted, "skipped": counts.skipped, "failed": counts.failed,
        "requests": counts.requests, "durationMs": duration
    })
}

/// A cycle in one line.
pub(super) fn cycle_line(cycle: &Cycle) -> String {
    let counts = &cycle.counts;
    let duration = cycle
        .ended
        .map_or(0, |ended| ended.millis_since(cycle.began));
    format!(
        "{} cycle: {} created, {} updated, {} disabled, {} deleted, {} skipped, {} failed \
         in {} requests and {}.{:03} s",
        cycle.kind.as_str(),
        counts.created,
        counts.updated,
        counts.disabled,
        counts.deleted,
        counts.skipped,
        counts.failed,
        counts.requests,
        duration / 1000,
        duration % 1000
    )
}

/// What is kept of the requests, in a sentence.
async fn restart(
    node: &Node,
    app: &str,
    (scope, yes): (&[ResetArg], bool),
    out: &Out,
) -> Result<Exit, AppError> {
    let (ctx, reset) = (&node.ctx, ResetArg::scope(scope));
    let forces = scope.contains(&ResetArg::ForceDeletes);
    if reset.links && forces {
        return Err(AppError::Invalid(
            "whose link is forgotten cannot be deleted: say ForceDeletes alone, and forget links when \
             a cycle has done it"
                .to_owned(),
        ));
    }
    if reset.links && !yes {
        return Err(AppError::Invalid(
            "nobody looks any more after accounts of those who are not in scope; say --yes if that \
             is meant"
                .to_owned(),
        ));
    }
    let (mut told, mut allowed, mut forgotten) = (Vec::new(), 0, 0);
    let mut app = jobs::status(ctx, app).await?.application;
    if forces {
        (app, allowed) = jobs::allow(ctx, &app.id.to_string(), None).await?;
        told.push(format!("{allowed} of what the guard held back may be done"));
    }
    if reset != ResetScope::default() {
        (app, forgotten) = jobs::restart(ctx, &app.id.to_string(), reset).await?;
    }
    if reset.links {
        told.push(format!("{forgotten} links are forgotten"));
    }
    if reset.watermark || reset.links {
        told.push("the next cycle evaluates every object".to_owned());
    }
    if reset.escrows {
        told.push("failures are not tried again for their own sake".to_owned());
    }
    if reset.quarantine {
        told.push("a quarantine is lifted".to_owned());
    }
    out.line(if out.json {
        json!({ "linksForgotten": forgotten, "allowed": allowed }).to_string()
    } else {
        format!("{}: {}", app.display_name, told.join("; "))
    })
    .await;
    Ok(Exit::Done)
}

async fn report(report: &JobReport, out: &Out) {
    let JobReport {
        application,
        job,
        progress,
        cycles,
        milestones,
        linked,
        held_back,
        escrows,
        next_retry,
        failing_since,
        backlog,
        waiting_since,
        totals: _,
        at: _,
    } = report;
    let quarantine = match &job.status {
        JobStatus::Quarantined {
            since,
            looked,
            count,
            reason,
            code,
            detail,
            next_attempt,
        } => Some(json!({
            "reason": reason, "seriesBegan": since.to_string(), "seriesCount": count,
            "currentBegan": looked.to_string(), "nextAttempt": next_attempt.to_string(),
            "error": {
                "code": code, "message": detail,
                "tenantActionable": code::find(code).is_some_and(Code::is_actionable)
            }
        })),
        _ => None,
    };
    if out.json {
        let linked: Vec<_> = linked
            .iter()
            .map(|(kind, state, count)| {
                json!({ "type": kind.as_str(), "state": link_state(*state), "count": count })
            })
            .collect();
        let running = progress.map(|progress| {
            json!({
                "kind": progress.kind.as_str(), "phase": progress.phase.as_str(),
                "done": progress.done, "total": progress.total,
                "phaseSecondsLeft": progress.left().map(|left| left.as_secs())
            })
        });
        let cycles: Vec<_> = cycles.iter().map(cycle_json).collect();
        let all = json!({
            "application": application.display_name, "job": job.id.to_string(),
            "status": job.code(), "quarantine": quarantine, "running": running,
            "watermark": job.watermark.map(|at| at.to_string()),
            "lastCycle": job.last_cycle.map(|at| at.to_string()),
            "steadyStateFirstAchieved": job.steady.map(|(first, _)| first.to_string()),
            "steadyStateLastAchieved": job.steady.map(|(_, last)| last.to_string()),
            "lastSuccessful": milestones.successful.as_ref().map(cycle_json),
            "lastSuccessfulWithExports": milestones.exporting.as_ref().map(cycle_json),
            "countSuccessiveCompleteFailures": report.failures_in_a_row(),
            "intervalSeconds": job.settings.interval_seconds, "linked": linked,
            "retries": job.settings.retries.as_str(), "logSeconds": job.settings.log_seconds,
            "skipOutOfScope": job.settings.skip_out_of_scope_deletions,
            "defaultAccess": job.settings.default_access == DefaultAccess::Included,
            "heldBack": held_back,
            "guard": guard_json(job.settings.guard),
            "escrows": escrows, "nextRetry": next_retry.map(|at| at.to_string()),
            "failingSince": failing_since.map(|at| at.to_string()),
            "backlog": backlog, "waitingSince": waiting_since.map(|at| at.to_string()),
            "behindSeconds": report.behind_seconds(), "cycles": cycles
        });
        out.line(all.to_string()).await;
        return;
    }
    out.line(format!(
        "{}: {}, a cycle at least every {}",
        application.display_name,
        job.code(),
        every_text(job.settings.interval_seconds)
    ))
    .await;
    if let JobStatus::Quarantined {
        since,
        detail,
        code,
        next_attempt,
        ..
    } = &job.status
    {
        out.line(format!("  in quarantine since {since}: {detail}"))
            .await;
        if let Some(code) = code::find(code) {
            out.line(format!("  {}: {}", code.name, code.advice)).await;
        }
        out.line(format!(
            "  next attempt {next_attempt}; at once with: muster job start"
        ))
        .await;
    }
    if let Some(progress) = progress {
        let (kind, phase) = (progress.kind.as_str(), progress.phase.as_str());
        let (done, total) = (progress.done, progress.total);
        out.line(format!(
            "  {kind} cycle running: {phase}, {done} of about {total}{}",
            progress.left().map_or_else(String::new, |left| format!(
                ", done with that in about {}",
                about(left)
            ))
        ))
        .await;
    }
    match (*backlog, waiting_since) {
        (0, _) | (_, None) => {
            out.line("  nothing in the directory waits for it".to_owned())
                .await;
        }
        (changes, Some(since)) => {
            out.line(format!(
                "  {changes} changes of the directory wait for it, the oldest since {since}"
            ))
            .await;
        }
    }
    for (kind, state, count) in linked {
        out.line(format!("  {count} {kind}s {}", link_state(*state)))
            .await;
    }
    if *held_back > 0 {
        out.line(format!(
            "  {held_back} disables, deletions and removals of members held back: muster job held"
        ))
        .await;
    }
    if *escrows > 0 {
        let next = next_retry.map(|at| at.to_string()).unwrap_or_default();
        out.line(format!(
            "  {escrows} objects failed, the first since {}, and are tried again, next {next}",
            failing_since.map(|at| at.to_string()).unwrap_or_default()
        ))
        .await;
    }
    for cycle in cycles {
        out.line(format!("  {}  {}", cycle.began, cycle_line(cycle)))
            .await;
        if let CycleState::Failed { code, detail } = &cycle.state {
            out.line(format!("    failed: {code}: {detail}")).await;
        }
    }
}
