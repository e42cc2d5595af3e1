//! On demand: one object now, whatever the job is at (section 9).
//!
//! The object takes the way of every cycle. Nothing else is looked at, and the watermark stays where it is:
//! the next cycle finds the object as it should be.

use std::collections::BTreeMap;
use std::sync::Arc;

use muster_model::cycle::{Cycle, CycleKind, CycleState};
use muster_model::directory::Kind;
use muster_model::exchange::Keep;
use muster_model::link::SourceAnchor;
use muster_model::{JobId, TenantId};
use muster_store::jobs::Lease;
use muster_store::{StoreError, cycles};
use tokio::sync::watch;

use crate::basis::Basis;
use crate::cycle::{Run, path_of};
use crate::decide::Cause;
use crate::engine::{Engine, Kept, Parts, Terms, code};
use crate::error::EngineError;
use crate::gate::Mode;
use crate::guard::Cleared;
use crate::port::Source;
use crate::turn::PATIENCE;

/// Whom to provision.
#[derive(Clone, Debug)]
pub struct Demand {
    /// User or group.
    pub kind: Kind,
    /// The object in the source.
    pub anchor: SourceAnchor,
    /// Of a group: the users who are looked at, too, and whose membership is brought over. At most
    /// [`MEMBERS`].
    pub members: Vec<SourceAnchor>,
}

/// Members of one demand at most (OD-1).
pub const MEMBERS: usize = 5;

impl Engine {
    /// Provisions one object now. The guard of the job is not asked: whoever names somebody means it.
    /// What came of it stands in the log under the cycle that is answered.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::run`]; [`EngineError::Busy`] when a cycle of the job runs and does not end soon.
    pub async fn provision(
        &self,
        tenant: TenantId,
        job: JobId,
        demand: &Demand,
    ) -> Result<Cycle, EngineError> {
        let running = self.running(job);
        let turn = tokio::time::timeout(PATIENCE, running.turn.lock());
        let mut kept = turn.await.map_err(|_| EngineError::Busy)?;
        let lease = self.claim(tenant, job).await?;
        let demanded = Box::pin(self.demanded(lease, &mut kept, demand));
        self.leased(lease, demanded).await
    }

    async fn demanded(
        &self,
        lease: Lease,
        kept: &mut Kept,
        demand: &Demand,
    ) -> Result<Cycle, EngineError> {
        let Lease { tenant, job, .. } = lease;
        let loaded = self.load(tenant, job).await?;
        let opened = self.open(tenant, &loaded, kept).await?;
        let source: Arc<dyn Source> = Arc::from(self.options.connector.source(tenant, &loaded.job));
        if demand.kind == Kind::Group && opened.rules.group.is_none() {
            return Err(EngineError::Mappings(
                "groups are not provisioned: their mapping is switched off".to_owned(),
            ));
        }
        let requests = opened.target.requests();
        // Nobody watches: it is one object.
        let progress = watch::channel(None).0;
        let parts = Parts {
            store: &self.options.store,
            source: &source,
            opened,
            mode: &Mode::Live,
            prefetch: &self.prefetch(opened),
            terms: Terms {
                basis: Basis::fresh(),
                until: None,
            },
            lease,
            progress: &progress,
        };
        let mut run = self.begin(&loaded, parts).await?;
        run.cycle.kind = CycleKind::OnDemand;
        if run.gate.keep == Keep::Failures {
            // Somebody wants to see what happens.
            run.gate.keep = Keep::All;
        }
        // An interrupted cycle goes on later from where it was.
        run.checkpoint = None;
        let outcome = run.demanded(demand).await;
        let mut cycle = run.cycle;
        cycle.counts.requests = opened.target.requests() - requests;
        cycle.ended = Some(self.options.clock.now());
        cycle.state = match &outcome {
            Ok(()) if cycle.counts.failed > 0 => CycleState::EntryLevelErrors,
            Ok(()) => CycleState::Succeeded,
            Err(error) => CycleState::Failed {
                code: code(error).to_owned(),
                detail: error.to_string(),
            },
        };
        let told = cycle.clone();
        let put = self.options.store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move { cycles::put(tx, tenant, &told).await })
        });
        put.await?;
        outcome.map(|()| cycle)
    }
}

impl Run<'_> {
    async fn demanded(&mut self, demand: &Demand) -> Result<(), EngineError> {
        let named = |anchors: &[SourceAnchor]| -> BTreeMap<SourceAnchor, Cause> {
            let named = anchors.iter().map(|anchor| (*anchor, Cause::Attributes));
            named.collect()
        };
        // Whoever names some means those: who else has left waits for the next cycle, and its guard.
        self.cleared = Cleared::Named(demand.members.iter().copied().collect());
        self.some(Kind::User, named(&demand.members)).await?;
        self.some(demand.kind, named(&[demand.anchor])).await?;
        if demand.kind == Kind::Group && self.maps_members() {
            let members = demand.members.iter();
            let memberships = members.map(|member| (demand.anchor, *member)).collect();
            self.memberships(memberships).await?;
        }
        let path = |kind: Kind, attribute: &str| path_of(self.rules, kind, attribute);
        let counts = self.pass(&path).of_owner(demand.anchor).await?;
        self.cycle.counts.failed += counts.failed;
        self.cycle.counts.updated += counts.updated;
        Ok(())
    }
}
