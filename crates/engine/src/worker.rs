//! Keeps jobs running: a change in the source wakes them at once, the timer is only a safety net.
//!
//! The worker reads the state itself; a wake-up only shortens its wait. So the way after a restart is
//! the same as the way after a change.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use muster_model::job::JobStatus;
use muster_model::{JobId, TenantId, Timestamp};
use muster_store::{StoreError, escrows, feed, jobs, links, references};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

use crate::engine::{Engine, due_at};
use crate::error::EngineError;

/// The longest sleep: also other processes change the state.
const LONGEST: Duration = Duration::from_secs(30);
/// Pause after a cycle that could not run at all, so that a broken job does not spin.
const AFTER_ERROR: Duration = Duration::from_secs(5);

/// Runs every job that is switched on.
#[derive(Debug)]
pub struct Worker {
    engine: Arc<Engine>,
    poke: Arc<Notify>,
}

impl Worker {
    /// A worker for an engine; it starts with [`Worker::run`].
    pub fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            poke: Arc::new(Notify::new()),
        }
    }

    /// Makes the worker look at all jobs again; for changes that are not in the feed.
    pub fn poke(&self) -> Arc<Notify> {
        Arc::clone(&self.poke)
    }

    /// Runs jobs until the engine is stopped; then waits for the cycles that run.
    pub async fn run(self) {
        let engine = Arc::clone(&self.engine);
        let _tidy = AbortOnDropHandle::new(tokio::spawn(async move { engine.keep_tidy().await }));
        let mut changed = self.engine.store().changed();
        let mut busy: HashSet<JobId> = HashSet::new();
        // When a job's last cycle began here.
        let mut looked: HashMap<JobId, Timestamp> = HashMap::new();
        let mut cycles: JoinSet<(JobId, bool)> = JoinSet::new();
        loop {
            changed.mark_unchanged();
            let sleep = match self.due(&busy, &looked).await {
                Ok((due, next)) => {
                    for (tenant, job) in due {
                        busy.insert(job);
                        looked.insert(job, self.engine.clock().now());
                        let engine = Arc::clone(&self.engine);
                        cycles.spawn(async move { (job, run(&engine, tenant, job).await) });
                    }
                    next
                }
                Err(error) => {
                    tracing::error!(error = %error, "the jobs cannot be read; trying again");
                    AFTER_ERROR
                }
            };
            tokio::select! {
                () = self.engine.stopped().cancelled() => break,
                Ok(()) = changed.changed() => {}
                () = self.poke.notified() => {}
                () = tokio::time::sleep(sleep) => {}
                Some(ended) = cycles.join_next(), if !cycles.is_empty() => {
                    match ended {
                        Ok((job, _)) => { busy.remove(&job); }
                        Err(error) => {
                            tracing::error!(error = %error, "a cycle panicked");
                            busy.clear();
                        }
                    }
                }
            }
        }
        while cycles.join_next().await.is_some() {}
    }

    /// Jobs that want to run now, and how long until the next one will.
    async fn due(
        &self,
        busy: &HashSet<JobId>,
        looked: &HashMap<JobId, Timestamp>,
    ) -> Result<(Vec<(TenantId, JobId)>, Duration), StoreError> {
        let now = self.engine.clock().now();
        let store = self.engine.store();
        store
            .read(|tx| {
                Box::pin(async move {
                    let (mut due, mut next) =
                        (Vec::new(), now.plus_seconds(LONGEST.as_secs() as i64));
                    for (tenant, job) in jobs::all(tx).await? {
                        let Some(mut at) = due_at(&job) else { continue };
                        if busy.contains(&job.id) {
                            continue;
                        }
                        if let (JobStatus::Active, Some(watermark)) = (&job.status, job.watermark) {
                            let news = feed::read(tx, tenant, watermark, 1).await?;
                            if !news.is_empty() {
                                at = Timestamp::from_micros(0);
                            }
                            let (_, retry) = escrows::outlook(tx, tenant, job.id).await?;
                            let refused = references::next_retry(tx, tenant, job.id).await?;
                            at = retry.into_iter().chain(refused).fold(at, Timestamp::min);
                            // Whose grace was over when the last cycle began that one has looked at.
                            let grace = i64::from(job.settings.leaving.grace_seconds);
                            let looked = looked.get(&job.id).copied().unwrap_or_default();
                            let after = looked.plus_seconds(-grace);
                            let left = links::first_leaving(tx, tenant, job.id, after).await?;
                            let over = left.map(|since| since.plus_seconds(grace));
                            at = over.into_iter().fold(at, Timestamp::min);
                        }
                        if at <= now {
                            due.push((tenant, job.id));
                        } else {
                            next = next.min(at);
                        }
                    }
                    Ok((due, Duration::from_millis(next.millis_since(now).max(1))))
                })
            })
            .await
    }
}

/// Runs one cycle; false when it could not run.
async fn run(engine: &Engine, tenant: TenantId, job: JobId) -> bool {
    match engine.run(tenant, job).await {
        Ok(cycle) => {
            tracing::debug!(job.id = %job, cycle.id = %cycle.id, "a cycle ended");
            true
        }
        // What is due now is seen at once.
        Err(EngineError::Interrupted | EngineError::Restarted) => true,
        Err(error) => {
            tracing::warn!(job.id = %job, error = %error, "a cycle failed");
            if !matches!(error, EngineError::Target(_)) {
                tokio::select! {
                    () = tokio::time::sleep(AFTER_ERROR) => {}
                    () = engine.stopped().cancelled() => {}
                }
            }
            false
        }
    }
}
