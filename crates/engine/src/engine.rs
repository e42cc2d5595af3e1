//! Runs cycles: one at a time for each job, whoever asks.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use muster_model::cycle::{Counts, Cycle, CycleKind, CycleState, Totals};
use muster_model::directory::Kind;
use muster_model::exchange::Keep;
use muster_model::job::{Credentials, Dialect, Job, JobStatus, TOO_MANY_DELETES};
use muster_model::link::SourceAnchor;
use muster_model::{Clock, JobId, Position, TenantId, Timestamp};
use muster_rules::schema::{CompiledSchema, Schema};
use muster_store::jobs::Lease;
use muster_store::{Store, cycles, escrows, jobs, plans, schemas};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::basis::Basis;
use crate::cycle::{self, Run};
use crate::error::EngineError;
use crate::gate::{Gate, Mode};
use crate::guard::Cleared;
use crate::limit::{Limiter, Rank};
use crate::port::{Connector, Keeper, Shape, Source, Target, TargetError};
use crate::prefetch::Prefetch;
use crate::progress::{Checkpoint, Progress};
use crate::scope::Policy;
use crate::status;
use crate::turn::Running;

/// What an engine is made of.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// The store.
    pub store: Store,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Opens sources and targets.
    pub connector: Arc<dyn Connector>,
    /// Names this process in leases.
    pub owner: String,
    /// After so many objects that a cycle asked for one by one it is looked whether reading all of them by pages
    /// takes fewer requests: [`AFTER`](crate::AFTER).
    pub prefetch_after: u64,
}

/// Runs cycles.
#[derive(Debug)]
pub struct Engine {
    pub(crate) options: EngineOptions,
    pub(crate) jobs: Mutex<HashMap<JobId, Arc<Running>>>,
    pub(crate) stop: CancellationToken,
    totals: Mutex<HashMap<JobId, Totals>>,
}

/// What one cycle of a job leaves for the next: compiled mappings and open connections.
#[derive(Debug, Default)]
pub(crate) struct Kept(Option<Opened>);

#[derive(Clone)]
pub(crate) struct Opened {
    pub(crate) schema: String,
    pub(crate) dialect: Dialect,
    pub(crate) hidden: Vec<String>,
    pub(crate) credentials: Credentials,
    pub(crate) rules: Arc<CompiledSchema>,
    pub(crate) target: Arc<dyn Target>,
    pub(crate) limiter: Arc<Limiter>,
}

/// What a cycle begins with.
#[derive(Clone)]
pub(crate) struct Loaded {
    pub(crate) job: Job,
    pub(crate) schema: String,
    checkpoint: Option<String>,
    has_escrows: bool,
}

/// On what terms a cycle runs.
#[derive(Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) basis: Basis,
    /// Up to where it reads the feed of the source; to the end, when it is not given.
    pub(crate) until: Option<Position>,
}

/// What a cycle is run with.
pub(crate) struct Parts<'a> {
    pub(crate) store: &'a Store,
    pub(crate) source: &'a Arc<dyn Source>,
    pub(crate) opened: &'a Opened,
    pub(crate) mode: &'a Mode,
    pub(crate) prefetch: &'a Prefetch,
    pub(crate) terms: Terms,
    pub(crate) lease: Lease,
    pub(crate) progress: &'a watch::Sender<Option<Progress>>,
}

impl Opened {
    /// The way to the target for a question of its own, beside any cycle.
    pub(crate) fn gate(&self) -> Gate<'_> {
        Gate {
            target: &*self.target,
            limiter: &self.limiter,
            rank: Rank::Ordinary,
            mode: &Mode::Live,
            keep: Keep::None,
            prefetch: None,
        }
    }
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Opened")
    }
}

impl Engine {
    /// An engine; nothing runs yet.
    pub fn new(options: EngineOptions) -> Self {
        Self {
            options,
            jobs: Mutex::new(HashMap::new()),
            totals: Mutex::default(),
            stop: CancellationToken::new(),
        }
    }

    /// Makes running cycles stop between objects, and keeps new ones from starting.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Tells when the engine was asked to stop.
    pub(crate) fn stopped(&self) -> &CancellationToken {
        &self.stop
    }

    pub(crate) fn store(&self) -> &Store {
        &self.options.store
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.options.clock
    }

    /// How far the running cycle of a job has come; `None` while none runs.
    pub fn progress(&self, job: JobId) -> watch::Receiver<Option<Progress>> {
        self.running(job).progress.subscribe()
    }

    /// Runs one cycle of a job now and waits for its end: an initial one when the job has no
    /// watermark, otherwise an incremental one. Waits for its turn when a cycle is running.
    ///
    /// # Errors
    ///
    /// [`EngineError::Restarted`] when the job was restarted, or its settings changed, meanwhile: what
    /// was done is written down, and the next cycle begins anew.
    pub async fn run(&self, tenant: TenantId, job: JobId) -> Result<Cycle, EngineError> {
        self.turn(tenant, job, None).await
    }

    /// Runs one cycle, which may have to follow a plan, when no other one runs.
    pub(crate) async fn turn(
        &self,
        tenant: TenantId,
        job: JobId,
        plan: Option<&plans::Kept>,
    ) -> Result<Cycle, EngineError> {
        let running = self.running(job);
        let mut kept = running.turn.lock().await;
        let lease = self.claim(tenant, job).await?;
        let cycle = Box::pin(self.cycle(lease, &mut kept, &running.progress, plan));
        let ended = self.leased(lease, cycle).await;
        running.progress.send_replace(None);
        drop(kept);
        if let Err(error) = self.tidy(tenant, job).await {
            tracing::warn!(error = %error, "old exchanges cannot be thrown away; trying again");
        }
        ended
    }

    async fn cycle(
        &self,
        lease: Lease,
        kept: &mut Kept,
        progress: &watch::Sender<Option<Progress>>,
        plan: Option<&plans::Kept>,
    ) -> Result<Cycle, EngineError> {
        let Lease {
            tenant, job: id, ..
        } = lease;
        let EngineOptions { store, clock, .. } = &self.options;
        let loaded = self.load(tenant, id).await?;
        let opened = match self.open(tenant, &loaded, kept).await {
            Ok(opened) => {
                let opened = opened.clone();
                probe(&loaded.job, &opened).await.map(|()| opened)
            }
            Err(error) => Err(error),
        };
        let opened = match opened {
            Ok(opened) => opened,
            Err(error @ EngineError::Target(_)) => {
                kept.0 = None;
                self.fail(lease, &error).await?;
                return Err(error);
            }
            Err(error) => return Err(error),
        };
        let source: Arc<dyn Source> = Arc::from(self.options.connector.source(tenant, &loaded.job));
        let (mode, terms) = match plan {
            None => (
                Mode::Live,
                Terms {
                    basis: Basis::fresh(),
                    until: None,
                },
            ),
            Some(plan) => {
                let progress = (tenant, progress);
                Box::pin(self.prove(plan, loaded.clone(), &opened, &source, progress)).await?
            }
        };
        let requests = opened.target.requests();
        let parts = Parts {
            store,
            source: &source,
            opened: &opened,
            mode: &mode,
            prefetch: &self.prefetch(&opened),
            terms,
            lease,
            progress,
        };
        let mut run = self.begin(&loaded, parts).await?;
        let before = run.checkpoint.as_ref().map(|it| it.counts);
        let begun = clock.now();
        let outcome = Box::pin(run.go(loaded.job.watermark)).await;
        let mut cycle = run.cycle;
        cycle.counts.requests += opened.target.requests() - requests;
        cycle.ended = Some(clock.now());
        cycle.state = match &outcome {
            Ok(()) if cycle.counts.failed > 0 => CycleState::EntryLevelErrors,
            Ok(()) => CycleState::Succeeded,
            // The checkpoint stays; the next run goes on from it under the same id.
            Err(EngineError::Interrupted) => CycleState::Running,
            Err(error) => CycleState::Failed {
                code: code(error).to_owned(),
                detail: error.to_string(),
            },
        };
        self.add_up(&cycle, &before.unwrap_or_default(), begun);
        self.finish(lease, &cycle, opened.credentials.access.expires)
            .await?;
        match outcome {
            Ok(()) => Ok(cycle),
            Err(error) => {
                kept.0 = None;
                if matches!(error, EngineError::Target(_) | EngineError::HeldBack(_)) {
                    self.fail(lease, &error).await?;
                }
                Err(error)
            }
        }
    }

    /// What a job is at.
    pub(crate) async fn load(&self, tenant: TenantId, id: JobId) -> Result<Loaded, EngineError> {
        self.options
            .store
            .read::<_, EngineError, _>(|tx| {
                Box::pin(async move {
                    let job = jobs::find(tx, tenant, id)
                        .await?
                        .ok_or(EngineError::NoSuchJob)?;
                    let schema = schemas::current(tx, tenant, id).await?;
                    let (escrows, _) = escrows::outlook(tx, tenant, id).await?;
                    Ok(Loaded {
                        job,
                        schema,
                        checkpoint: jobs::progress(tx, tenant, id).await?,
                        has_escrows: escrows > 0,
                    })
                })
            })
            .await
    }

    /// The names of objects of a job's source, for people to read; those that are gone are left out.
    pub async fn names(
        &self,
        tenant: TenantId,
        job: &Job,
        kind: Kind,
        anchors: &[SourceAnchor],
    ) -> Result<Vec<(SourceAnchor, String)>, EngineError> {
        let source = self.options.connector.source(tenant, job);
        Ok(source.names(kind, anchors).await?)
    }

    /// What a cycle knows of its target ahead of asking: nothing yet.
    pub(crate) fn prefetch(&self, opened: &Opened) -> Prefetch {
        Prefetch::new(&opened.rules, self.options.prefetch_after)
    }

    /// A cycle that is about to run.
    pub(crate) async fn begin<'a>(
        &'a self,
        loaded: &Loaded,
        parts: Parts<'a>,
    ) -> Result<Run<'a>, EngineError> {
        let (job, clock) = (&loaded.job, &self.options.clock);
        let kind = match job.watermark {
            None => CycleKind::Initial,
            Some(_) => CycleKind::Incremental,
        };
        let checkpoint = loaded.checkpoint.as_deref();
        Ok(Run {
            store: parts.store,
            clock,
            source: parts.source,
            gate: Gate {
                target: &*parts.opened.target,
                limiter: &parts.opened.limiter,
                rank: Rank::Ordinary,
                mode: parts.mode,
                keep: job.settings.exchanges.keep,
                prefetch: Some(parts.prefetch),
            },
            rules: &parts.opened.rules,
            policy: Policy::new(&job.settings, parts.source.has_roles().await?),
            basis: parts.terms.basis,
            lease: parts.lease,
            progress: parts.progress,
            stop: &self.stop,
            cycle: cycle::begin(job, kind, clock),
            checkpoint: checkpoint
                .filter(|_| kind == CycleKind::Initial)
                .and_then(Checkpoint::from_json),
            no_users_yet: false,
            has_escrows: loaded.has_escrows,
            guard: job.settings.guard,
            until: parts.terms.until,
            cleared: Cleared::default(),
            first: Vec::new(),
            to_go: Vec::new(),
            withdrawn: HashSet::new(),
            hands: Arc::default(),
        })
    }

    /// What the cycles of a job did since this process began.
    pub fn totals(&self, job: JobId) -> Totals {
        self.totals.lock().get(&job).cloned().unwrap_or_default()
    }

    /// Adds what a cycle did; what it had done before it was broken off was added then.
    fn add_up(&self, cycle: &Cycle, before: &Counts, begun: Timestamp) {
        let mut totals = self.totals.lock();
        let totals = totals.entry(cycle.job).or_default();
        totals.counts.add(&cycle.counts.without(before));
        let took = cycle.ended.map_or(0, |ended| ended.millis_since(begun));
        totals.seconds += took as f64 / 1000.0;
        if cycle.state != CycleState::Running {
            let how = (cycle.kind.as_str(), cycle.state.as_str());
            *totals.cycles.entry(how).or_default() += 1;
        }
    }

    /// Keeps what is worth it of a cycle that ended.
    async fn finish(
        &self,
        lease: Lease,
        cycle: &Cycle,
        expires: Option<Timestamp>,
    ) -> Result<(), EngineError> {
        let (cycle, now) = (cycle.clone(), self.options.clock.now());
        let kept = self.options.store.write::<_, EngineError, _>(move |tx| {
            Box::pin(async move {
                if !matches!(cycle.state, CycleState::Failed { .. }) {
                    status::after_cycle(tx, lease, &cycle.state, expires, now).await?;
                }
                Ok(cycles::end(tx, lease.tenant, &cycle, worth_keeping(&cycle), now).await?)
            })
        });
        kept.await
    }

    /// The target as a whole failed, or the guard holds the job.
    async fn fail(&self, lease: Lease, error: &EngineError) -> Result<(), EngineError> {
        let (now, detail) = (self.options.clock.now(), error.to_string());
        let reason = match error {
            EngineError::HeldBack(_) => TOO_MANY_DELETES,
            _ => "EncounteredQuarantineException",
        };
        let code = code(error);
        let failed = self.options.store.write::<_, EngineError, _>(move |tx| {
            Box::pin(async move { status::failed(tx, lease, (reason, code), &detail, now).await })
        });
        failed.await
    }

    /// Compiles the mappings and opens the target, unless the last cycle left both as needed.
    pub(crate) async fn open<'k>(
        &self,
        tenant: TenantId,
        Loaded { job, schema, .. }: &Loaded,
        kept: &'k mut Kept,
    ) -> Result<&'k Opened, EngineError> {
        let credentials = self
            .credentials(tenant, job.id)
            .await?
            .ok_or(EngineError::NotConfigured)?;
        let fits = kept.0.as_ref().is_some_and(|kept| {
            kept.schema == *schema
                && kept.credentials.are_as(&credentials)
                && kept.dialect == job.settings.dialect
                && kept.hidden == job.settings.exchanges.hidden
        });
        let (dialect, hidden) = (job.settings.dialect, &job.settings.exchanges.hidden);
        if !fits {
            let rules = compile(schema)?;
            let target = self.options.connector.target(
                &credentials,
                &shape(&rules, dialect, hidden),
                self.keeper(tenant, job.id),
            )?;
            kept.0 = Some(Opened {
                schema: schema.clone(),
                dialect,
                hidden: hidden.clone(),
                credentials,
                rules: Arc::new(rules),
                target: Arc::from(target),
                limiter: Arc::new(Limiter::of(dialect)),
            });
        }
        kept.0.as_ref().ok_or(EngineError::NotConfigured)
    }

    /// Opens the target of a job with the given credentials, to test the connection.
    pub fn target(
        &self,
        credentials: &Credentials,
        schema: &str,
        dialect: Dialect,
        keeper: Arc<dyn Keeper>,
    ) -> Result<Box<dyn Target>, EngineError> {
        let rules = compile(schema)?;
        let shape = shape(&rules, dialect, &[]);
        let connector = &self.options.connector;
        Ok(connector.target(credentials, &shape, keeper)?)
    }
}

/// A target that was out of order is asked one thing before everybody asks it.
async fn probe(job: &Job, opened: &Opened) -> Result<(), EngineError> {
    let is_quarantined = matches!(job.status, JobStatus::Quarantined { .. });
    if is_quarantined && !job.status.is_held_by_guard() {
        let gate = opened.gate();
        match gate.is_empty(Kind::User).await {
            Err(TargetError::NotFound) => {
                let said = "HTTP 404, even to the list of users".to_owned();
                return Err(TargetError::OutOfOrder(said).into());
            }
            Err(error) if error.stops_the_cycle() => return Err(error.into()),
            Err(error) if error.is_the_targets() => {
                return Err(TargetError::OutOfOrder(error.to_string()).into());
            }
            _ => {}
        }
    }
    Ok(())
}

/// Compiles a schema document.
pub(crate) fn compile(schema: &str) -> Result<CompiledSchema, EngineError> {
    let problems = |problems: Vec<muster_rules::schema::SchemaProblem>| {
        let told: Vec<String> = problems.iter().take(3).map(ToString::to_string).collect();
        EngineError::Mappings(told.join("; "))
    };
    let mut rules = Schema::from_json(schema)
        .and_then(|schema| schema.compile())
        .map_err(problems)?;
    rules.group = rules.group.filter(|group| group.enabled);
    Ok(rules)
}

fn shape(rules: &CompiledSchema, dialect: Dialect, hidden: &[String]) -> Shape {
    let paths = |mapping: &muster_rules::ObjectMapping| -> Vec<String> {
        mapping
            .attributes
            .iter()
            .map(|attribute| attribute.target.clone())
            .collect()
    };
    let first = |mapping: &muster_rules::ObjectMapping| {
        mapping
            .matching()
            .first()
            .map(|attribute| attribute.target.clone())
    };
    let mappings = [Some(&rules.user), rules.group.as_ref()];
    let attributes = mappings.into_iter().flatten().flat_map(|it| &it.attributes);
    let redacted = attributes.filter(|attribute| attribute.redacted());
    let redacted = redacted.map(|attribute| attribute.target.clone());
    Shape {
        user_paths: paths(&rules.user),
        group_paths: rules.group.as_ref().map(paths).unwrap_or_default(),
        user_match: first(&rules.user).unwrap_or_else(|| "userName".to_owned()),
        group_match: rules.group.as_ref().and_then(first),
        dialect,
        hidden: redacted.chain(hidden.iter().cloned()).collect(),
    }
}

/// A cycle that did nothing and met nothing is not worth a row.
fn worth_keeping(cycle: &Cycle) -> bool {
    cycle.kind == CycleKind::Initial
        || cycle.counts.objects() > 0
        || cycle.counts.requests > 0
        || !matches!(cycle.state, CycleState::Succeeded)
}

pub(crate) fn code(error: &EngineError) -> &'static str {
    match error {
        EngineError::Target(error) => TargetError::code(error),
        EngineError::Restarted | EngineError::Busy | EngineError::Interrupted => "Interrupted",
        EngineError::Store(_) | EngineError::Source(_) => "InternalError",
        EngineError::Mappings(_) => "InvalidMappings",
        EngineError::HeldBack(_) => TOO_MANY_DELETES,
        EngineError::Moved(_) => "Moved",
        EngineError::Refused(_) => "Refused",
        EngineError::NoSuchJob | EngineError::NotConfigured => "NotConfigured",
    }
}

/// Used by the worker to find the next moment at which a job wants to run.
pub(crate) fn due_at(job: &Job) -> Option<Timestamp> {
    match &job.status {
        JobStatus::Active => Some(match (job.watermark, job.last_cycle) {
            (Some(_), Some(last)) => last.plus_seconds(job.settings.interval_seconds.into()),
            _ => Timestamp::from_micros(0),
        }),
        JobStatus::Quarantined { next_attempt, .. } => Some(*next_attempt),
        JobStatus::Paused | JobStatus::NotConfigured => None,
    }
}

#[cfg(test)]
mod tests {
    use muster_model::job::JobSettings;
    use muster_model::{ApplicationId, Position};

    use super::*;

    #[test]
    fn a_cycle_is_due_when_the_pause_of_its_job_is_over() {
        let mut job = Job {
            id: JobId::new(),
            application: ApplicationId::new(),
            status: JobStatus::Active,
            settings: JobSettings::default(),
            watermark: Some(Position::default()),
            last_cycle: Some(Timestamp::from_micros(1_000_000)),
            steady: None,
            offered: true,
        };
        // Section 5: about every 40 minutes.
        assert_eq!(due_at(&job), Some(Timestamp::from_micros(2_401_000_000)));
        job.settings.interval_seconds = 90;
        assert_eq!(due_at(&job), Some(Timestamp::from_micros(91_000_000)));
        job.watermark = None;
        assert_eq!(due_at(&job), Some(Timestamp::from_micros(0)));
        job.status = JobStatus::Paused;
        assert_eq!(due_at(&job), None);
    }
}
