//! The status of a job: how it changes, and who is told (6.2 to 6.4, 12).

use muster_model::cycle::CycleState;
use muster_model::job::{Job, JobStatus, QUARANTINED_AT_MOST, TOO_MANY_DELETES, too_many_fail};
use muster_model::link::LinkState;
use muster_model::notice::{Notice, Topic};
use muster_model::{JobId, TenantId, Timestamp};
use muster_store::jobs::Lease;
use muster_store::{StoreError, Tx, escrows, held_back, jobs, links, notices, references};

use crate::error::EngineError;

/// The reason code of a job that was in quarantine for too long.
const TOO_LONG: &str = "QuarantinedTooLong";

/// Changes the status of a job. Going into quarantine raises a notice, and coming out of it ends that (NT-2).
pub async fn set_status(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    status: &JobStatus,
    now: Timestamp,
) -> Result<(), StoreError> {
    jobs::set_status(tx, tenant, job, status).await?;
    match status {
        JobStatus::Quarantined { reason, detail, .. } => {
            let what = (Topic::Quarantine, reason.as_str(), detail.as_str());
            notices::raise(tx, tenant, job, what, now, Notice::TOGETHER).await
        }
        JobStatus::NotConfigured | JobStatus::Paused | JobStatus::Active => {
            notices::end(tx, tenant, job, Topic::Quarantine, now).await
        }
    }
}

/// After a cycle that came to its end, or was interrupted.
pub(crate) async fn after_cycle(
    tx: &mut Tx<'_>,
    lease: Lease,
    state: &CycleState,
    now: Timestamp,
) -> Result<(), EngineError> {
    lease.check(tx).await?;
    if matches!(state, CycleState::Running) {
        return Ok(());
    }
    let Lease {
        tenant, job: id, ..
    } = lease;
    held_back::settle(tx, tenant, id).await?;
    let (failed, _) = escrows::outlook(tx, tenant, id).await?;
    if failed > 0 {
        let told = format!("{failed} objects fail, and are tried again less and less often");
        let what = (Topic::Failures, "EntryLevelErrors", told.as_str());
        notices::raise(tx, tenant, id, what, now, Notice::PATIENCE).await?;
    } else {
        notices::end(tx, tenant, id, Topic::Failures, now).await?;
    }
    let job = jobs::find(tx, tenant, id).await?;
    let Some(job) = job.filter(|job| {
        matches!(
            job.status,
            JobStatus::Active | JobStatus::Quarantined { .. }
        )
    }) else {
        return Ok(());
    };
    if let Some((reason, detail)) = too_many(tx, tenant, id, failed).await? {
        let status = quarantined(&job, now, reason, &detail);
        set_status(tx, tenant, id, &status, now).await?;
    } else if job.status != JobStatus::Active {
        // Any success lifts quarantine (EH-9).
        set_status(tx, tenant, id, &JobStatus::Active, now).await?;
    }
    Ok(())
}

/// Must the job be quarantined because so much of it fails (6.3)? In an initial cycle as well: nothing is
/// pruned (section 15, 21).
async fn too_many(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    failed: u64,
) -> Result<Option<(&'static str, String)>, StoreError> {
    let references = references::count_refused(tx, tenant, job).await?;
    // To count what is well takes a look at everything.
    if too_many_fail(failed, references, 0).is_none() {
        return Ok(None);
    }
    let counts = links::counts(tx, tenant, job).await?;
    let well = counts
        .into_iter()
        .filter(|(_, state, _)| *state != LinkState::Released);
    let well: u64 = well.map(|(_, _, count)| count).sum();
    let reason = too_many_fail(failed, references, well.saturating_sub(failed));
    Ok(reason.map(|reason| {
        let told = format!(
            "{failed} objects and {references} references fail, which is too many of all: look at \
             the log for what they have in common (muster log list --status failure), mend it, and \
             start the job"
        );
        (reason, told)
    }))
}

/// The target as a whole failed, or the guard holds the job: it goes into quarantine, unless it was switched
/// off meanwhile (6.2), and is switched off when it has been there for too long (EH-10).
pub(crate) async fn failed(
    tx: &mut Tx<'_>,
    lease: Lease,
    reason: &str,
    detail: &str,
    now: Timestamp,
) -> Result<(), EngineError> {
    let Lease {
        tenant, job: id, ..
    } = lease;
    lease.check(tx).await?;
    let job = jobs::find(tx, tenant, id)
        .await?
        .ok_or(EngineError::NoSuchJob)?;
    if matches!(job.status, JobStatus::Paused | JobStatus::NotConfigured) {
        return Ok(());
    }
    if reason == TOO_MANY_DELETES && held_back::count(tx, tenant, id).await? == 0 {
        // It was allowed in the meantime.
        return Ok(());
    }
    let status = quarantined(&job, now, reason, detail);
    match &status {
        JobStatus::Quarantined { since, .. } if now >= since.plus_seconds(QUARANTINED_AT_MOST) => {
            set_status(tx, tenant, id, &JobStatus::Paused, now).await?;
            let told = format!(
                "it was in quarantine for 28 days and is switched off now; nothing is provisioned \
                 until it is started again. The last reason: {detail}"
            );
            let what = (Topic::Quarantine, TOO_LONG, told.as_str());
            notices::raise(tx, tenant, id, what, now, Notice::TOGETHER).await?;
        }
        status => set_status(tx, tenant, id, status, now).await?,
    }
    Ok(())
}

/// The status of a job after the whole target failed: tried again soon, then less and less often.
fn quarantined(job: &Job, now: Timestamp, reason: &str, detail: &str) -> JobStatus {
    let since = match &job.status {
        JobStatus::Quarantined { since, .. } => *since,
        _ => now,
    };
    let waited = (now.millis_since(since) / 1000) as i64;
    JobStatus::Quarantined {
        since,
        reason: reason.to_owned(),
        detail: detail.to_owned(),
        next_attempt: now.plus_seconds(waited.clamp(60, 6 * 3600)),
    }
}
