//! Plans: what a cycle would do, worked out by running it without a write, and done later as it is or not
//! at all.
//!
//! The cycle is the same as any other. It runs on a copy of what the engine keeps of the job, reads the
//! real source, asks the real target, and its writes are noted ([`crate::rehearsal`]). Before a plan is
//! followed it is made once more; only when that comes out the same does a cycle run, and it may write
//! what was noted and nothing else.

use std::sync::Arc;

use data_encoding::HEXLOWER;
use muster_model::cycle::{Counts, Cycle};
use muster_model::plan::Plan;
use muster_model::{JobId, Position, Secret, TenantId};
use muster_store::plans::{self, At, Digester, Placed};
use muster_store::{Scratch, StoreError, jobs};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::basis::Basis;
use crate::cycle::FEED;
use crate::engine::{Engine, Kept, LEASE_SECONDS, Loaded, Opened, Parts, Terms};
use crate::error::EngineError;
use crate::gate::{Mode, Permit};
use crate::port::{Changed, Source};
use crate::progress::Progress;
use crate::record::REHEARSED;
use crate::rehearsal::Rehearsal;
use crate::scope::Policy;

/// Plans of a job that are kept.
const KEPT: u32 = 10;
/// Operations that are read at once.
const PAGE: u32 = 500;

/// A cycle that was run without a write.
struct Rehearsed {
    scratch: Scratch,
    plan: Plan,
    permit: Permit,
}

impl Engine {
    /// Works out what the next cycle of a job would do, without a write at the target, and keeps it.
    /// Answers the plan's id.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::run`], but what the guard would hold back stands in the plan.
    pub async fn plan(
        &self,
        tenant: TenantId,
        job: JobId,
        progress: &watch::Sender<Option<Progress>>,
    ) -> Result<String, EngineError> {
        let loaded = self.load(tenant, job).await?;
        let mut kept = Kept::default();
        let opened = self.open(tenant, &loaded, &mut kept).await?;
        let source: Arc<dyn Source> = Arc::from(self.options.connector.source(tenant, &loaded.job));
        let basis = Basis {
            at: Some(self.options.clock.now()),
            ..Basis::fresh()
        };
        let until = source.end().await?;
        let rehearsed = self
            .rehearse(&loaded, opened, &source, (basis, until), tenant, progress)
            .await?;
        self.keep_plan(tenant, rehearsed, basis).await
    }

    /// Runs the cycle that a plan says, and exactly that.
    ///
    /// # Errors
    ///
    /// [`EngineError::Moved`] when the source, the configuration or the target's answers are not as they
    /// were; those of [`Engine::run`].
    pub async fn apply(&self, tenant: TenantId, plan: &plans::Kept) -> Result<Cycle, EngineError> {
        self.turn(tenant, plan.plan.job, Some(plan)).await
    }

    /// Makes a plan once more; says on what terms it is to be followed when that comes out the same.
    pub(crate) async fn prove(
        &self,
        kept: &plans::Kept,
        loaded: &Loaded,
        opened: &Opened,
        source: &Arc<dyn Source>,
        (tenant, progress): (TenantId, &watch::Sender<Option<Progress>>),
    ) -> Result<(Mode, Terms), EngineError> {
        let plan = &kept.plan;
        let moved = |what: &str| Err(EngineError::Moved(what.to_owned()));
        if loaded.job.watermark != plan.from {
            return moved("another cycle has run since the plan was made");
        }
        let policy = Policy::new(&loaded.job.settings, source.has_roles().await?);
        if configuration(policy, opened) != plan.configuration {
            return moved(
                "mappings, settings or the tenant URL are not those for which the plan was made",
            );
        }
        if has_changed(&**source, plan.until).await? {
            return moved("the directory has changed since the plan was made");
        }
        let seed = kept.seed(self.options.store.key())?;
        let seed = HEXLOWER
            .decode(seed.expose().as_bytes())
            .ok()
            .and_then(|seed| seed.try_into().ok())
            .ok_or_else(|| EngineError::Moved("the plan cannot be read".to_owned()))?;
        let basis = Basis {
            at: Some(plan.made),
            seed,
        };
        let Rehearsed {
            plan: again,
            permit,
            ..
        } = self
            .rehearse(
                loaded,
                opened,
                source,
                (basis, plan.until),
                tenant,
                progress,
            )
            .await?;
        if again.operations != plan.operations {
            return moved("the target answers otherwise than when the plan was made");
        }
        let terms = Terms {
            basis,
            until: Some(plan.until),
        };
        Ok((Mode::Planned(permit), terms))
    }

    async fn rehearse(
        &self,
        loaded: &Loaded,
        opened: &Opened,
        source: &Arc<dyn Source>,
        (basis, until): (Basis, Position),
        tenant: TenantId,
        progress: &watch::Sender<Option<Progress>>,
    ) -> Result<Rehearsed, EngineError> {
        let job = loaded.job.id;
        let scratch = Scratch::open()?;
        scratch.copy(&self.options.store, tenant, job).await?;
        let now = self.options.clock.now();
        let claim = scratch.store().write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                let until = now.plus_seconds(LEASE_SECONDS);
                jobs::claim(tx, tenant, job, "plan", now, until).await
            })
        });
        let lease = claim.await?.ok_or(EngineError::NoSuchJob)?;
        let rehearsal = Box::new(Rehearsal::new(&opened.rules, basis.seed));
        let mode = Mode::Rehearsed(rehearsal);
        let parts = Parts {
            store: scratch.store(),
            source,
            opened,
            mode: &mode,
            terms: Terms {
                basis,
                until: Some(until),
            },
            lease,
            progress,
        };
        let mut run = self.begin(loaded, parts).await?;
        Box::pin(run.go(loaded.job.watermark)).await?;
        let (policy, cycle) = (run.policy, run.cycle.clone());
        drop(run);
        progress.send_replace(None);
        let Mode::Rehearsed(rehearsal) = mode else {
            return Err(EngineError::NoSuchJob);
        };
        let (permit, requests, held) = rehearsal.end();
        let plan = Plan {
            job,
            kind: cycle.kind,
            made: basis.at.unwrap_or(now),
            from: loaded.job.watermark,
            until,
            configuration: configuration(policy, opened),
            operations: digest(&scratch, tenant).await?,
            counts: Counts {
                requests,
                ..cycle.counts
            },
            held,
        };
        Ok(Rehearsed {
            scratch,
            plan,
            permit,
        })
    }

    /// Keeps a plan; answers its id.
    async fn keep_plan(
        &self,
        tenant: TenantId,
        Rehearsed { scratch, plan, .. }: Rehearsed,
        basis: Basis,
    ) -> Result<String, EngineError> {
        let id = plans::id_of(&plans::to_json(&plan));
        let store = &self.options.store;
        let (key, name) = (store.clone(), id.clone());
        let seed = Secret::new(HEXLOWER.encode(&basis.seed));
        let is_new = store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                plans::begin(tx, key.key(), tenant, (&name, &plan, &seed), KEPT).await
            })
        });
        if !is_new.await? {
            return Ok(id);
        }
        let mut at = At::default();
        loop {
            let page = operations(&scratch, tenant, &at).await?;
            let Some(last) = page.last() else { break };
            at = last.at.clone();
            let name = id.clone();
            let append = store.write::<_, StoreError, _>(move |tx| {
                Box::pin(async move { plans::append(tx, tenant, &name, page).await })
            });
            append.await?;
        }
        let name = id.clone();
        let complete = store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move { plans::complete(tx, tenant, &name).await })
        });
        complete.await?;
        Ok(id)
    }
}

async fn operations(
    scratch: &Scratch,
    tenant: TenantId,
    after: &At,
) -> Result<Vec<Placed>, StoreError> {
    let page = scratch.store().read(|tx| {
        Box::pin(async move { plans::operations(tx, tenant, REHEARSED, after, PAGE).await })
    });
    page.await
}

/// The digest of all operations.
async fn digest(scratch: &Scratch, tenant: TenantId) -> Result<String, StoreError> {
    let (mut digest, mut at) = (Digester::default(), At::default());
    loop {
        let page = operations(scratch, tenant, &at).await?;
        let Some(last) = page.last() else {
            return Ok(digest.end());
        };
        at = last.at.clone();
        for it in &page {
            digest.add(&it.body);
        }
    }
}

/// A digest of everything that decides, besides the source and the target.
fn configuration(policy: Policy, opened: &Opened) -> String {
    let parts = format!(
        "{policy:?}\n{}\n{}",
        opened.credentials.tenant_url, opened.schema
    );
    HEXLOWER.encode(&Sha256::digest(parts))
}

/// Has anything changed in the source that concerns the application?
async fn has_changed(source: &dyn Source, since: Position) -> Result<bool, EngineError> {
    let mut at = since;
    loop {
        let entries = source.changes(at, FEED).await?;
        let Some(last) = entries.last() else {
            return Ok(false);
        };
        at = last.position;
        if entries.iter().any(|it| it.what != Changed::Elsewhere) {
            return Ok(true);
        }
    }
}
