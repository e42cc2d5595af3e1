//! The status of a job: how it changes, and who is told (6.2 to 6.4, 12).

use muster_model::audit::{Audited, SERVICE, activity};
use muster_model::cycle::CycleState;
use muster_model::job::{Job, JobStatus, QUARANTINED_AT_MOST, TOO_MANY_DELETES, too_many_fail};
use muster_model::notice::{Notice, Topic};
use muster_model::{EventId, JobId, TenantId, Timestamp};
use muster_store::jobs::Lease;
use muster_store::notices::News;
use muster_store::{StoreError, Tx, audit, escrows, held_back, jobs, links, notices, references};

use crate::error::EngineError;

/// The reason code of a job that was in quarantine for too long.
const TOO_LONG: &str = "QuarantinedTooLong";

/// Changes the status of a job. Going into quarantine raises a notice, and coming out of it ends that (NT-2);
/// both stand in the audit log (EH-13).
pub async fn set_status(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    status: &JobStatus,
    now: Timestamp,
) -> Result<(), StoreError> {
    let before = jobs::find(tx, tenant, job).await?.map(|job| job.status);
    jobs::set_status(tx, tenant, job, status).await?;
    let is_quarantined = |status: &JobStatus| matches!(status, JobStatus::Quarantined { .. });
    let entry = match (before.as_ref().is_some_and(is_quarantined), status) {
        (false, JobStatus::Quarantined { reason, detail, .. }) => {
            Some(format!("entered: {reason}: {detail}"))
        }
        (true, status) if !is_quarantined(status) => Some(format!("left: {}", status.code())),
        _ => None,
    };
    if let Some(detail) = entry {
        let entry = Audited {
            id: EventId::new(),
            at: now,
            actor: SERVICE.to_owned(),
            activity: activity::QUARANTINE.to_owned(),
            job: Some(job),
            target: None,
            detail,
            changes: Vec::new(),
        };
        audit::append(tx, tenant, &entry).await?;
    }
    match status {
        JobStatus::Quarantined { reason, detail, .. } => {
            let size = match reason.as_str() {
                TOO_MANY_DELETES => held_back::count(tx, tenant, job).await?,
                _ => 0,
            };
            let news = News {
                topic: Topic::Quarantine,
                reason,
                detail,
                size,
            };
            notices::raise(tx, tenant, job, news, now).await
        }
        JobStatus::Active => notices::end(tx, tenant, job, Topic::Quarantine, now).await,
        // Whoever switches it off knows.
        JobStatus::NotConfigured | JobStatus::Paused => notices::forget(tx, tenant, job).await,
    }
}

/// Quarantines a job, or switches it off when it was there for too long (EH-10).
async fn quarantine(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: &Job,
    (reason, code, detail): (&str, &str, &str),
    now: Timestamp,
) -> Result<(), StoreError> {
    let status = quarantined(job, now, (reason, code), detail);
    let JobStatus::Quarantined { since, .. } = &status else {
        return Ok(());
    };
    if now < since.plus_seconds(QUARANTINED_AT_MOST) {
        return set_status(tx, tenant, job.id, &status, now).await;
    }
    set_status(tx, tenant, job.id, &JobStatus::Paused, now).await?;
    let detail = format!(
        "it was in quarantine for 28 days and is switched off now; nothing is provisioned until it \
         is started again. The last reason: {detail}"
    );
    let news = News {
        topic: Topic::Quarantine,
        reason: TOO_LONG,
        detail: &detail,
        size: 0,
    };
    notices::raise(tx, tenant, job.id, news, now).await
}

/// After a cycle that came to its end, or was interrupted.
pub(crate) async fn after_cycle(
    tx: &mut Tx<'_>,
    lease: Lease,
    state: &CycleState,
    expires: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), EngineError> {
    lease.check(tx).await?;
    tell_expiry(tx, lease, expires, now).await?;
    if matches!(state, CycleState::Running) {
        return Ok(());
    }
    let Lease {
        tenant, job: id, ..
    } = lease;
    held_back::settle(tx, tenant, id).await?;
    let (failed, _) = escrows::outlook(tx, tenant, id).await?;
    if failed == 0 {
        let is_held = held_back::count(tx, tenant, id).await? > 0;
        if !is_held && references::count_refused(tx, tenant, id).await? == 0 {
            lease.set_steady(tx, now).await?;
        }
        notices::end(tx, tenant, id, Topic::Failures, now).await?;
    } else {
        let long_ago = now.plus_seconds(-Notice::PATIENCE);
        let size = escrows::count_since(tx, tenant, id, long_ago).await?;
        let detail = format!(
            "{size} objects have failed for ten minutes and more, and are tried again less and less \
             often"
        );
        let news = News {
            topic: Topic::Failures,
            reason: "EntryLevelErrors",
            detail: &detail,
            size,
        };
        if size > 0 {
            notices::raise(tx, tenant, id, news, now).await?;
        }
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
        quarantine(tx, tenant, &job, (reason, reason, &detail), now).await?;
    } else if job.status != JobStatus::Active {
        // Any success lifts quarantine (EH-9).
        set_status(tx, tenant, id, &JobStatus::Active, now).await?;
    }
    Ok(())
}

/// Days before credentials expire at which somebody is told, each with its reason code.
const SOON: [(i64, &str); 4] = [
    (0, "CredentialsExpired"),
    (1, "CredentialsExpireInOneDay"),
    (7, "CredentialsExpireInSevenDays"),
    (30, "CredentialsExpireInThirtyDays"),
];

/// Credentials that expire within a month raise a notice, and another one a week and a day before.
async fn tell_expiry(
    tx: &mut Tx<'_>,
    Lease { tenant, job, .. }: Lease,
    expires: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let due = |at: Timestamp| {
        let is_soon = |(days, _): &&(i64, &str)| at <= now.plus_seconds(days * 86_400);
        SOON.iter().find(is_soon).map(|(_, reason)| (at, *reason))
    };
    let Some((at, reason)) = expires.and_then(due) else {
        return notices::end(tx, tenant, job, Topic::Expiry, now).await;
    };
    let detail = format!(
        "the credentials for the target expire at {at}; get new ones from the target and save them, or \
         stage them in advance (--next-secret-token-file), before provisioning stands still"
    );
    let news = News {
        topic: Topic::Expiry,
        reason,
        detail: &detail,
        size: 0,
    };
    notices::raise(tx, tenant, job, news, now).await
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
    let well = links::count_well(tx, tenant, job).await?;
    let reason = too_many_fail(failed, references, well);
    Ok(reason.map(|reason| {
        let told = format!(
            "{failed} objects and {references} references fail, which is too many of all: look at \
             the log for what they have in common, mend it, and \
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
    (reason, code): (&str, &str),
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
    quarantine(tx, tenant, &job, (reason, code, detail), now).await?;
    Ok(())
}

/// The status of a job after the whole target failed: tried again soon, then less and less often.
fn quarantined(job: &Job, now: Timestamp, (reason, code): (&str, &str), detail: &str) -> JobStatus {
    let (since, count) = match &job.status {
        JobStatus::Quarantined { since, count, .. } => (*since, count.saturating_add(1)),
        _ => (now, 1),
    };
    JobStatus::Quarantined {
        since,
        looked: now,
        count,
        reason: reason.to_owned(),
        code: code.to_owned(),
        detail: detail.to_owned(),
        next_attempt: job.settings.retries.next_look(since, now),
    }
}
