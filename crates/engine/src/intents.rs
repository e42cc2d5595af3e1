//! What gives access, or takes it away, is noted before it is sent, many together, so that no account is
//! forgotten should we not live to hear the answer.

use muster_store::intents::{self, Intent};
use muster_store::jobs::Lease;
use muster_store::{Store, StoreError};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::error::EngineError;
use crate::record::under;

/// Intents that are noted together at most.
const TOGETHER: usize = 64;

/// An intent, and who waits until it is noted.
type Waiting = (Intent, oneshot::Sender<()>);

/// Takes intents.
#[derive(Debug)]
pub(crate) enum Intents {
    /// For somebody who writes many of them down together.
    Together(mpsc::Sender<Waiting>),
    /// Writes each of them down at once.
    Alone(Store, Lease),
}

/// Writes them down.
#[derive(Debug)]
pub(crate) struct Noting(mpsc::Receiver<Waiting>);

/// A place for intents, and who notes them.
pub(crate) fn intents() -> (Intents, Noting) {
    let (sender, receiver) = mpsc::channel(TOGETHER);
    (Intents::Together(sender), Noting(receiver))
}

impl Intents {
    /// Comes back when the intent is noted. When it cannot be, [`Noting::run`] says why.
    pub(crate) async fn note(&self, intent: Intent) -> Result<(), EngineError> {
        let sender = match self {
            Self::Together(sender) => sender,
            Self::Alone(store, lease) => {
                let (tenant, job) = (lease.tenant, lease.job);
                let noted = under(store, *lease, move |tx| {
                    Box::pin(async move { intents::put(tx, tenant, job, &[intent]).await })
                });
                return Ok(noted.await?);
            }
        };
        let (tell, told) = oneshot::channel();
        let sent = sender.send((intent, tell)).await;
        if sent.is_err() || told.await.is_err() {
            return Err(EngineError::Interrupted);
        }
        Ok(())
    }
}

impl Noting {
    /// Notes intents until there will be no more.
    pub(crate) async fn run(
        mut self,
        store: &Store,
        lease: Lease,
        ended: &CancellationToken,
    ) -> Result<(), StoreError> {
        loop {
            let mut taken: Vec<Waiting> = Vec::new();
            let received = tokio::select! {
                received = self.0.recv_many(&mut taken, TOGETHER) => received,
                () = ended.cancelled() => 0,
            };
            if received == 0 {
                return Ok(());
            }
            let (noted, waiting): (Vec<Intent>, Vec<_>) = taken.into_iter().unzip();
            let Lease { tenant, job, .. } = lease;
            under(store, lease, move |tx| {
                Box::pin(async move { intents::put(tx, tenant, job, &noted).await })
            })
            .await?;
            for tell in waiting {
                let _ = tell.send(());
            }
        }
    }
}
