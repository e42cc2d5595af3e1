//! A job begun anew, and a job removed with all that is kept of it.

use muster_model::application::Application;
use muster_model::audit::Audited;
use muster_model::directory::Kind;
use muster_model::job::{Job, JobStatus, ResetScope};
use muster_model::notice::Topic;
use muster_model::{JobId, TenantId, Timestamp};
use muster_store::feed::{self, Change};
use muster_store::jobs;
use muster_store::links::LinkQuery;
use muster_store::schemas::SchemaVersion;
use muster_store::{
    Tx, applications, audit, escrows, events, held_back, links, notices, references, schemas,
};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::status;
use crate::turn::PATIENCE;

impl Engine {
    /// Forgets what a scope names (5.8); answers how many links that were. A cycle that runs is not broken off: it
    /// writes down what it has done, and begins anew when its watermark is forgotten. Links are forgotten while the
    /// job is off.
    ///
    /// # Errors
    ///
    /// For links: [`EngineError::Refused`] when the job is on, [`EngineError::Busy`] when a cycle runs and does not
    /// end soon.
    pub async fn restart(
        &self,
        tenant: TenantId,
        job: JobId,
        scope: ResetScope,
        entry: Audited,
    ) -> Result<u64, EngineError> {
        if !scope.links {
            return self.reset(tenant, job, scope, entry).await;
        }
        // No cycle writes links meanwhile.
        let running = self.running(job);
        let turn = tokio::time::timeout(PATIENCE, running.turn.lock());
        let _turn = turn.await.map_err(|_| EngineError::Busy)?;
        let lease = self.claim(tenant, job).await?;
        let reset = self.reset(tenant, job, scope, entry);
        self.leased(lease, reset).await
    }

    async fn reset(
        &self,
        tenant: TenantId,
        job: JobId,
        scope: ResetScope,
        mut entry: Audited,
    ) -> Result<u64, EngineError> {
        let now = self.options.clock.now();
        self.options
            .store
            .write::<_, EngineError, _>(move |tx| {
                Box::pin(async move {
                    if scope.links {
                        unless_on(tx, tenant, job).await?;
                        unless_owed(tx, tenant, job).await?;
                    }
                    let found = jobs::find_to_change(tx, tenant, job).await?;
                    let mut forgotten = 0;
                    if scope.links {
                        forgotten = links::clear(tx, tenant, job).await?;
                        references::clear(tx, tenant, job).await?;
                        let said = format!("; {forgotten} links are forgotten");
                        entry.detail.push_str(&said);
                    }
                    if scope.watermark || scope.links {
                        jobs::clear_watermark(tx, tenant, job).await?;
                    }
                    if scope.escrows {
                        if !scope.watermark && !scope.links {
                            // Somebody who was to lose access is looked at once more.
                            let linked = escrows::linked(tx, tenant, job).await?;
                            let looked_at = linked.into_iter().map(|(kind, anchor)| match kind {
                                Kind::User => Change::User(anchor),
                                Kind::Group => Change::Group(anchor),
                            });
                            let looked_at: Vec<Change> = looked_at.collect();
                            feed::append(tx, tenant, now, &looked_at).await?;
                        }
                        // Those who keep their link keep their attempts.
                        escrows::clear(tx, tenant, job, scope.links).await?;
                        notices::end(tx, tenant, job, Topic::Failures, now).await?;
                    }
                    if let (true, Some(JobStatus::Quarantined { .. })) =
                        (scope.quarantine, found.map(|it| it.status))
                    {
                        status::set_status(tx, tenant, job, &JobStatus::Active, now).await?;
                    }
                    audit::append(tx, tenant, &entry).await?;
                    Ok(forgotten)
                })
            })
            .await
    }

    /// Removes an application with its job and everything that is kept of it; or the job alone, in whose place comes
    /// another one, with its schema document. The job must not be on.
    ///
    /// # Errors
    ///
    /// [`EngineError::Refused`] when the job is on; [`EngineError::Busy`] when a cycle runs and does not end soon.
    pub async fn remove(
        &self,
        tenant: TenantId,
        application: &Application,
        next: Option<(Job, SchemaVersion, String)>,
        entry: Audited,
    ) -> Result<(), EngineError> {
        let (job, id) = (application.job, application.id);
        let running = self.running(job);
        let turn = tokio::time::timeout(PATIENCE, running.turn.lock());
        let _turn = turn.await.map_err(|_| EngineError::Busy)?;
        let lease = self.claim(tenant, job).await?;
        // The log in small portions: others want to write, too.
        let log = async {
            let mut goes_on = true;
            while goes_on {
                let thrown = self.store().write::<_, EngineError, _>(move |tx| {
                    Box::pin(async move {
                        lease.check(tx).await?;
                        unless_on(tx, tenant, job).await?;
                        let all = Timestamp::from_micros(((1 << 48) - 1) * 1000);
                        Ok(events::throw_away(tx, (tenant, job), all).await?)
                    })
                });
                goes_on = thrown.await?;
            }
            Ok::<(), EngineError>(())
        };
        let removed = async {
            log.await?;
            let removed = self.store().write::<_, EngineError, _>(move |tx| {
                Box::pin(async move {
                    lease.check(tx).await?;
                    unless_on(tx, tenant, job).await?;
                    jobs::remove(tx, tenant, job).await?;
                    match next {
                        Some((next, version, document)) => {
                            jobs::create(tx, tenant, &next).await?;
                            schemas::add(tx, tenant, next.id, &version, &document).await?;
                            applications::set_job(tx, tenant, id, next.id).await?;
                        }
                        None => jobs::remove_application(tx, tenant, id).await?,
                    }
                    Ok(audit::append(tx, tenant, &entry).await?)
                })
            });
            removed.await
        };
        self.leased(lease, Box::pin(removed)).await?;
        self.jobs.lock().remove(&job);
        Ok(())
    }
}

/// A job that is on is left alone.
pub(crate) async fn unless_on(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
) -> Result<(), EngineError> {
    let found = jobs::find_to_change(tx, tenant, job).await?;
    match found.ok_or(EngineError::NoSuchJob)?.status {
        JobStatus::Active => Err(EngineError::Refused(
            "this is done while the job is off (muster job pause); nothing was changed".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// Links are not forgotten while somebody may have to lose access by them: everything that was changed was looked at,
/// and nothing is held back.
pub(crate) async fn unless_owed(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
) -> Result<(), EngineError> {
    let found = jobs::find_to_change(tx, tenant, job).await?;
    let watermark = found.ok_or(EngineError::NoSuchJob)?.watermark;
    let all = LinkQuery::default();
    let is_linked = !links::page(tx, tenant, job, None, &all, 1)
        .await?
        .is_empty();
    let waiting = match watermark {
        Some(watermark) => match feed::backlog(tx, tenant, watermark).await? {
            0 => None,
            changes => Some(format!(
                "{changes} changes of the directory wait for the job"
            )),
        },
        None => is_linked.then(|| "the job has to evaluate everything".to_owned()),
    };
    let is_held = !held_back::page(tx, tenant, job, None, 1).await?.is_empty();
    let held = is_held.then(|| "something is held back, or allowed and not done yet".to_owned());
    match waiting.or(held) {
        None => Ok(()),
        Some(why) => Err(EngineError::Refused(format!(
            "{why}: who has to lose access would keep it. Let a cycle do that first (muster job \
             allow, muster job run); nothing was changed"
        ))),
    }
}
