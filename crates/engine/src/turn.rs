//! One at a time: the turn of a job in this process, and its lease among processes.

use std::sync::Arc;
use std::time::Duration;

use muster_model::{JobId, TenantId};
use muster_store::StoreError;
use muster_store::jobs::{self, Lease};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::engine::{Engine, Kept};
use crate::error::EngineError;
use crate::progress::Progress;

/// How long a lease lasts without being extended.
pub(crate) const LEASE_SECONDS: i64 = 30;
/// How often the lease is extended while a cycle runs.
const BEAT: Duration = Duration::from_secs(LEASE_SECONDS as u64 / 3);

/// How long somebody who asks for something else waits for a cycle that runs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of a job in this process.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) turn: tokio::sync::Mutex<Kept>,
    pub(crate) progress: watch::Sender<Option<Progress>>,
    /// When what it keeps only for a while was last looked through.
    pub(crate) tidied: Mutex<Option<Instant>>,
    /// Held while a refresh token is exchanged for the next one.
    pub(crate) refresh: Arc<tokio::sync::Mutex<()>>,
}

impl Engine {
    pub(crate) fn running(&self, job: JobId) -> Arc<Running> {
        let new = || {
            let (progress, _) = watch::channel(None);
            Arc::new(Running {
                turn: tokio::sync::Mutex::default(),
                progress,
                tidied: Mutex::default(),
                refresh: Arc::default(),
            })
        };
        Arc::clone(self.jobs.lock().entry(job).or_insert_with(new))
    }

    /// Does something while a lease is held, and gives it back.
    pub(crate) async fn leased<T>(
        &self,
        lease: Lease,
        work: impl Future<Output = Result<T, EngineError>>,
    ) -> Result<T, EngineError> {
        let ended = tokio::select! {
            ended = work => ended,
            lost = self.hold(lease) => Err(lost),
        };
        let release = self
            .options
            .store
            .write::<_, StoreError, _>(move |tx| Box::pin(async move { lease.release(tx).await }));
        let released = release.await;
        let done = ended?;
        released?;
        Ok(done)
    }

    /// Extends the lease while a cycle runs; comes back only when it is lost.
    async fn hold(&self, lease: Lease) -> EngineError {
        loop {
            tokio::time::sleep(BEAT).await;
            let until = self.options.clock.now().plus_seconds(LEASE_SECONDS);
            let extended = self.options.store.write::<_, StoreError, _>(move |tx| {
                Box::pin(async move { lease.extend(tx, until).await })
            });
            // The cycle meets other errors itself, should they last.
            if let Err(lost @ StoreError::LeaseLost) = extended.await {
                return lost.into();
            }
        }
    }

    /// Claims the lease; waits a little for another process to give it back.
    pub(crate) async fn claim(&self, tenant: TenantId, job: JobId) -> Result<Lease, EngineError> {
        if self.stop.is_cancelled() {
            return Err(EngineError::Interrupted);
        }
        for _ in 0..(LEASE_SECONDS + 5) {
            let (now, owner) = (self.options.clock.now(), self.options.owner.clone());
            let lease = self
                .options
                .store
                .write::<_, StoreError, _>(move |tx| {
                    Box::pin(async move {
                        let until = now.plus_seconds(LEASE_SECONDS);
                        jobs::claim(tx, tenant, job, &owner, now, until).await
                    })
                })
                .await?;
            if let Some(lease) = lease {
                return Ok(lease);
            }
            tokio::select! {
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
                () = self.stop.cancelled() => return Err(EngineError::Interrupted),
            }
        }
        Err(EngineError::Busy)
    }
}
