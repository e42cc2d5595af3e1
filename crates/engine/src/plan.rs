//! Plans: what a cycle would do, worked out by running it without a write, and done later as it is or not
//! at all.
//!
//! The cycle is the same as any other. It runs on a copy of what the engine keeps of the job, reads the
//! real source, asks the real target, and its writes are noted ([`crate::rehearsal`]). Before a plan is
//! followed it is made once more; only when that comes out the same does a cycle run, and it may write
//! what was noted and nothing else.

use std::collections::VecDeque;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use muster_model::cycle::{Counts, Cycle};
use muster_model::event::Status;
use muster_model::plan::Plan;
use muster_model::{JobId, Position, Secret, TenantId};
use muster_store::plans::{self, At, Digester, Placed};
use muster_store::{Scratch, Store, StoreError, escrows, jobs};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use crate::basis::Basis;
use crate::cycle::FEED;
use crate::engine::{Engine, Kept, Loaded, Opened, Parts, Terms};
use crate::error::EngineError;
use crate::gate::{Mode, Permit};
use crate::port::{Changed, Source};
use crate::progress::Progress;
use crate::record::REHEARSED;
use crate::rehearsal::Rehearsal;
use crate::scope::Policy;
use crate::turn::{LEASE_SECONDS, PATIENCE};

/// Plans of a job that are kept.
const KEPT: u32 = 10;
/// Operations that are read at once.
const PAGE: u32 = 500;

/// A job, and a copy of what is kept of it.
struct Copied {
    loaded: Loaded,
    scratch: Scratch,
}

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
    /// Those of [`Engine::run`], but what the guard would hold back stands in the plan;
    /// [`EngineError::Busy`] when a cycle runs, and does not end soon.
    pub async fn plan(
        &self,
        tenant: TenantId,
        job: JobId,
        progress: &watch::Sender<Option<Progress>>,
    ) -> Result<String, EngineError> {
        let Copied { loaded, scratch } = Box::pin(self.copy(tenant, job)).await?;
        let mut kept = Kept::default();
        let opened = self.open(tenant, &loaded, &mut kept).await?;
        let source: Arc<dyn Source> = Arc::from(self.options.connector.source(tenant, &loaded.job));
        let basis = Basis {
            at: Some(self.options.clock.now()),
            ..Basis::fresh()
        };
        let terms = Terms {
            basis,
            until: Some(source.end().await?),
        };
        let copied = Copied { loaded, scratch };
        let rehearsed = self.rehearse(copied, opened, &source, terms, (tenant, progress));
        let rehearsed = rehearsed.await?;
        self.keep_plan(tenant, rehearsed, basis).await
    }

    /// A copy of what is kept of a job, taken while no cycle of it runs.
    async fn copy(&self, tenant: TenantId, job: JobId) -> Result<Copied, EngineError> {
        let running = self.running(job);
        let turn = tokio::time::timeout(PATIENCE, running.turn.lock());
        let _turn = turn.await.map_err(|_| EngineError::Busy)?;
        let lease = self.claim(tenant, job).await?;
        let copied = async {
            let loaded = self.load(tenant, job).await?;
            let scratch = Scratch::open(&self.options.store)?;
            scratch.copy(&self.options.store, tenant, job).await?;
            Ok(Copied { loaded, scratch })
        };
        self.leased(lease, copied).await
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
        loaded: Loaded,
        opened: &Opened,
        source: &Arc<dyn Source>,
        (tenant, progress): (TenantId, &watch::Sender<Option<Progress>>),
    ) -> Result<(Mode, Terms), EngineError> {
        let plan = &kept.plan;
        let moved = |what: String| Err(EngineError::Moved(what));
        let (id, settings) = (loaded.job.id, &loaded.job.settings);
        if loaded.job.watermark != plan.from {
            return moved("another cycle has run since the plan was made".to_owned());
        }
        let policy = Policy::new(settings, source.has_roles().await?);
        if configuration(policy, opened) != plan.configuration {
            let what =
                "mappings, settings or the tenant URL are not those for which the plan was made";
            return moved(what.to_owned());
        }
        unless_changed(&**source, plan.until).await?;
        let seed = kept.seed(self.options.store.key())?;
        let seed = HEXLOWER
            .decode(seed.expose().as_bytes())
            .ok()
            .and_then(|seed| seed.try_into().ok())
            .ok_or_else(|| EngineError::Moved("the plan cannot be read".to_owned()))?;
        let terms = Terms {
            basis: Basis {
                at: Some(plan.made),
                seed,
            },
            until: Some(plan.until),
        };
        let scratch = Scratch::open(&self.options.store)?;
        scratch.copy(&self.options.store, tenant, id).await?;
        let copied = Copied { loaded, scratch };
        let Rehearsed {
            scratch, permit, ..
        } = self
            .rehearse(copied, opened, source, terms, (tenant, progress))
            .await?;
        unless_changed(&**source, plan.until).await?;
        if let Some(what) = self.difference(tenant, &kept.id, &scratch).await? {
            return moved(format!(
                "what would be done to {what} is not what the plan says, because the target answers \
                 otherwise or something has changed meanwhile"
            ));
        }
        Ok((Mode::Planned(permit), terms))
    }

    async fn rehearse(
        &self,
        Copied { loaded, scratch }: Copied,
        opened: &Opened,
        source: &Arc<dyn Source>,
        terms: Terms,
        (tenant, progress): (TenantId, &watch::Sender<Option<Progress>>),
    ) -> Result<Rehearsed, EngineError> {
        let (job, now) = (loaded.job.id, self.options.clock.now());
        let claim = scratch.store().write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                let until = now.plus_seconds(LEASE_SECONDS);
                jobs::claim(tx, tenant, job, "plan", now, until).await
            })
        });
        let lease = claim.await?.ok_or(EngineError::NoSuchJob)?;
        let rehearsal = Box::new(Rehearsal::new(&opened.rules, terms.basis.seed));
        let mode = Mode::Rehearsed(rehearsal);
        let parts = Parts {
            store: scratch.store(),
            source,
            opened,
            mode: &mode,
            prefetch: &self.prefetch(opened),
            terms,
            lease,
            progress,
        };
        let mut run = self.begin(&loaded, parts).await?;
        // What an interrupted cycle has done is done.
        let done = run.checkpoint.as_ref().map(|it| it.counts);
        Box::pin(run.go(loaded.job.watermark)).await?;
        let (policy, cycle) = (run.policy, run.cycle.clone());
        drop(run);
        progress.send_replace(None);
        let Mode::Rehearsed(rehearsal) = mode else {
            return Err(EngineError::NoSuchJob);
        };
        let (permit, requests, held) = rehearsal.end();
        let (made, store) = (terms.basis.present(now), &self.options.store);
        let waiting = store.read::<_, StoreError, _>(|tx| {
            Box::pin(async move { escrows::waiting(tx, tenant, job, made).await })
        });
        let plan = Plan {
            job,
            kind: cycle.kind,
            made,
            from: loaded.job.watermark,
            until: terms.until.unwrap_or_default(),
            configuration: configuration(policy, opened),
            operations: digest(&scratch, tenant).await?,
            counts: Counts {
                requests,
                ..cycle.counts.without(&done.unwrap_or_default())
            },
            waiting: waiting.await?,
            held,
        };
        Ok(Rehearsed {
            scratch,
            plan,
            permit,
        })
    }

    /// Whom the first operation is about that is another one now; in the order of the plan.
    async fn difference(
        &self,
        tenant: TenantId,
        plan: &str,
        scratch: &Scratch,
    ) -> Result<Option<String>, EngineError> {
        let (mut before, mut now) = (VecDeque::new(), VecDeque::new());
        let (mut before_at, mut now_at) = (At::default(), At::default());
        loop {
            if before.is_empty() {
                let (store, after) = (&self.options.store, &before_at);
                let page = operations(store, tenant, plan, after).await?;
                before_at = page.last().map_or(before_at, |last| last.at.clone());
                before.extend(page);
            }
            if now.is_empty() {
                let page = operations(scratch.store(), tenant, REHEARSED, &now_at).await?;
                now_at = page.last().map_or(now_at, |last| last.at.clone());
                now.extend(page);
            }
            match (before.pop_front(), now.pop_front()) {
                (None, None) => return Ok(None),
                (Some(before), Some(now)) if is_same(&before, &now) => {}
                (Some(one), None) | (None, Some(one)) => return Ok(Some(subject(&one))),
                (Some(before), Some(now)) => {
                    let first = if before.at.place <= now.at.place {
                        before
                    } else {
                        now
                    };
                    return Ok(Some(subject(&first)));
                }
            }
        }
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
            let page = operations(scratch.store(), tenant, REHEARSED, &at).await?;
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
    store: &Store,
    tenant: TenantId,
    plan: &str,
    after: &At,
) -> Result<Vec<Placed>, StoreError> {
    store
        .read(|tx| Box::pin(async move { plans::operations(tx, tenant, plan, after, PAGE).await }))
        .await
}

/// Is it the same operation? In which words a failure was told makes no difference.
fn is_same(before: &Placed, now: &Placed) -> bool {
    if before.at.place != now.at.place {
        return false;
    }
    let failure = |body: &str| {
        let operation = plans::operation_from_json(body)?;
        let failed = operation.status == Status::Failure;
        failed.then_some((operation.code, operation.action))
    };
    before.body == now.body
        || failure(&before.body).is_some_and(|it| failure(&now.body) == Some(it))
}

fn subject(placed: &Placed) -> String {
    plans::operation_from_json(&placed.body).map_or_else(
        || placed.at.place.clone(),
        |it| format!("{} {}", it.kind, it.name),
    )
}

/// The digest of all operations.
async fn digest(scratch: &Scratch, tenant: TenantId) -> Result<String, StoreError> {
    let (mut digest, mut at) = (Digester::default(), At::default());
    loop {
        let page = operations(scratch.store(), tenant, REHEARSED, &at).await?;
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
        "{policy:?}\n{:?}\n{}\n{}",
        opened.dialect, opened.credentials.tenant_url, opened.schema
    );
    HEXLOWER.encode(&Sha256::digest(parts))
}

/// Refuses when anything has changed in the source that concerns the application.
async fn unless_changed(source: &dyn Source, since: Position) -> Result<(), EngineError> {
    let mut at = since;
    loop {
        let entries = source.changes(at, FEED).await?;
        let Some(last) = entries.last() else {
            return Ok(());
        };
        at = last.position;
        if entries.iter().any(|it| it.what != Changed::Elsewhere) {
            let what = "the directory has changed since the plan was made";
            return Err(EngineError::Moved(what.to_owned()));
        }
    }
}
