//! A cycle: everything (initial) or what changed since the watermark (incremental).
//!
//! Both put objects through the same path and differ only in which objects they look at. Order:
//! users, groups, objects that are gone, memberships, then references; the watermark last.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt;
use futures::stream::{self, StreamExt, TryStreamExt};
use muster_model::cycle::{Counts, Cycle, CycleKind, CycleState};
use muster_model::directory::Kind;
use muster_model::job::{Job, JobStatus};
use muster_model::link::{Link, LinkState, SourceAnchor};
use muster_model::{Clock, CycleId, Position, Timestamp};
use muster_rules::schema::CompiledSchema;
use muster_store::jobs::Lease;
use muster_store::{Store, StoreError, escrows, links, references};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::decide::{Cause, reads};
use crate::error::EngineError;
use crate::limit::{Limiter, MOST};
use crate::object::{Outcome, Path, Work, matches_uniquely};
use crate::port::{Changed, Record, Source, SourceChange, Target};
use crate::progress::{Checkpoint, Phase, Progress};
use crate::record::{BATCH, keep};
use crate::references::Pass;
use crate::scope::Policy;

/// Objects that are read from the source at once (section 15, 7).
const PAGE: u32 = 500;
/// Objects of one read while a cycle reads ahead; short, so that answers are not kept waiting.
const STRETCH: u32 = 100;
/// Objects that are read ahead at most.
const AHEAD: usize = 200;
/// Entries of the feed that are read at once.
const FEED: u32 = 1000;
/// Groups whose members are brought over beside each other.
const FILLED: usize = 16;
/// Batches that may wait for the database.
const WAITING: usize = 4;

/// One run of a job.
pub(crate) struct Run<'a> {
    pub(crate) store: &'a Store,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) source: &'a dyn Source,
    pub(crate) target: &'a dyn Target,
    pub(crate) limiter: &'a Limiter,
    pub(crate) rules: &'a CompiledSchema,
    pub(crate) policy: Policy,
    pub(crate) lease: Lease,
    pub(crate) progress: &'a watch::Sender<Option<Progress>>,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) cycle: Cycle,
    /// Kept while an initial cycle runs.
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) no_users_yet: bool,
    pub(crate) has_escrows: bool,
}

impl Run<'_> {
    /// Evaluates every object (5.1); goes on from the checkpoint of an interrupted cycle.
    pub(crate) async fn initial(&mut self) -> Result<(), EngineError> {
        let checkpoint = match self.checkpoint.take() {
            Some(checkpoint) => checkpoint,
            None => Checkpoint {
                cycle: self.cycle.id,
                // Taken before anything is read: what changes meanwhile is read again.
                watermark: self.source.end().await?,
                began: self.cycle.began,
                phase: Phase::Users,
                after: None,
                done: 0,
                counts: Counts::default(),
            },
        };
        (self.cycle.id, self.cycle.began) = (checkpoint.cycle, checkpoint.began);
        self.cycle.counts = checkpoint.counts;
        let (watermark, first) = (checkpoint.watermark, checkpoint.phase);
        self.checkpoint = Some(checkpoint);
        self.has_escrows = true;
        if first <= Phase::Users {
            self.everything(Phase::Users, Kind::User).await?;
        }
        if first <= Phase::Groups && self.rules.group.is_some() {
            self.everything(Phase::Groups, Kind::Group).await?;
        }
        if first <= Phase::Gone {
            self.gone().await?;
        }
        // A large group is one long chain of requests; managers are set beside it.
        self.enter(Phase::Members);
        let (members, managers) =
            tokio::join!(self.all_members(), self.references(Some(Kind::User), true));
        self.cycle.counts.failed += members?.failed + managers?.failed;
        self.enter(Phase::References);
        self.cycle.counts.failed += self.references(None, true).await?.failed;
        self.checkpoint = None;
        self.end(watermark).await
    }

    /// Evaluates what changed since the watermark (5.2), and what is due for another attempt.
    pub(crate) async fn incremental(&mut self, after: Position) -> Result<(), EngineError> {
        let now = self.clock.now();
        let Lease { tenant, job, .. } = self.lease;
        let due = self
            .store
            .read::<_, StoreError, _>(|tx| {
                Box::pin(async move { escrows::due(tx, tenant, job, now, PAGE).await })
            })
            .await?;
        self.has_escrows = true;
        let mut changes = ChangeSet::default();
        for escrow in due {
            changes.object(escrow.kind, escrow.anchor, Cause::Attributes);
        }
        let mut at = after;
        loop {
            let entries = self.source.changes(at, FEED).await?;
            let more = entries.len() as u32 == FEED;
            at = entries.last().map_or(at, |entry| entry.position);
            self.note(&mut changes, &entries).await?;
            self.work_off(std::mem::take(&mut changes)).await?;
            self.end(at).await?;
            if !more {
                return Ok(());
            }
        }
    }

    /// Sorts feed entries into what must be looked at.
    async fn note(
        &self,
        changes: &mut ChangeSet,
        entries: &[SourceChange],
    ) -> Result<(), EngineError> {
        let mut assigned = BTreeSet::new();
        for entry in entries {
            match entry.what {
                Changed::Object(kind, anchor) => changes.object(kind, anchor, Cause::Attributes),
                Changed::Membership { group, member } => {
                    changes.memberships.insert((group, member));
                    // The membership may have brought or cost an assignment.
                    changes.object(Kind::User, member, Cause::Entitlement);
                }
                Changed::Assignment(principal) => {
                    assigned.insert(principal);
                }
                Changed::Elsewhere => {}
            }
        }
        // Roles are attributes to a mapping that uses them.
        let attributes = &self.rules.user.attributes;
        let cause = if attributes.iter().any(|it| reads(it, "appRoleAssignments")) {
            Cause::Attributes
        } else {
            Cause::Entitlement
        };
        for principal in assigned {
            changes.object(Kind::User, principal, cause);
            changes.object(Kind::Group, principal, cause);
            let mut after = None;
            loop {
                let members = self.source.members(principal, after, PAGE).await?;
                let Some(last) = members.last() else { break };
                after = Some(*last);
                for member in members {
                    changes.object(Kind::User, member, cause);
                }
            }
        }
        Ok(())
    }

    /// Users, groups, memberships, references: only those named.
    async fn work_off(&mut self, changes: ChangeSet) -> Result<(), EngineError> {
        let ChangeSet {
            users,
            groups,
            memberships,
        } = changes;
        self.some(Kind::User, users).await?;
        let groups: BTreeMap<_, _> = match self.rules.group {
            Some(_) => groups,
            None => BTreeMap::new(),
        };
        let mut filled = BTreeSet::new();
        let fresh = self.some(Kind::Group, groups).await?;
        if self.maps_members() {
            for (group, link) in self.links_of(&fresh).await? {
                let path = |kind: Kind, attribute: &str| path_of(self.rules, kind, attribute);
                let counts = self.pass(&path).fill(link, MEMBERS).await?;
                // The group itself was counted when it was linked.
                self.cycle.counts.failed += counts.failed;
                filled.insert(group);
            }
        }
        if self.maps_members() {
            let rest = memberships
                .into_iter()
                .filter(|(group, _)| !filled.contains(group));
            self.memberships(rest.collect()).await?;
        }
        let counts = self.references(None, false).await?;
        self.cycle.counts.failed += counts.failed;
        self.cycle.counts.updated += counts.updated;
        Ok(())
    }

    /// Puts named objects through; answers those that were linked just now.
    async fn some(
        &mut self,
        kind: Kind,
        named: BTreeMap<SourceAnchor, Cause>,
    ) -> Result<Vec<SourceAnchor>, EngineError> {
        let mut fresh = Vec::new();
        let named: Vec<_> = named.into_iter().collect();
        for part in named.chunks(PAGE as usize) {
            let anchors: Vec<SourceAnchor> = part.iter().map(|(anchor, _)| *anchor).collect();
            let mut records: HashMap<SourceAnchor, Record> = self
                .source
                .read(kind, &anchors)
                .await?
                .into_iter()
                .map(|record| (record.anchor, record))
                .collect();
            let mut linked = self.links_of(&anchors).await?;
            let work: Vec<Work> = part
                .iter()
                .map(|(anchor, cause)| Work {
                    kind,
                    anchor: *anchor,
                    record: records.remove(anchor),
                    link: linked.remove(anchor).filter(|link| link.kind == kind),
                    cause: *cause,
                })
                // Neither in the source nor linked: an object of the other kind, or never ours.
                .filter(|work| work.record.is_some() || work.link.is_some())
                .collect();
            let before: BTreeSet<SourceAnchor> = work
                .iter()
                .filter(|work| work.link.as_ref().is_some_and(is_managed))
                .map(|work| work.anchor)
                .collect();
            self.put_through(kind, Feed::These(work), 0).await?;
            let after = self.links_of(&anchors).await?;
            fresh.extend(
                after
                    .into_values()
                    .filter(|link| link.kind == kind && is_managed(link))
                    .map(|link| link.anchor)
                    .filter(|anchor| !before.contains(anchor)),
            );
        }
        Ok(fresh)
    }

    /// Puts every object of a kind through, page after page.
    async fn everything(&mut self, phase: Phase, kind: Kind) -> Result<(), EngineError> {
        let after = self.enter(phase);
        let total = self.source.count(kind).await?;
        self.tell(total);
        self.put_through(kind, Feed::Everything { kind, after }, total)
            .await
    }

    /// Linked objects that the source has no more.
    async fn gone(&mut self) -> Result<(), EngineError> {
        let mut after = self.enter(Phase::Gone);
        loop {
            let page = self.links_page(after, None).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.anchor);
            for kind in [Kind::User, Kind::Group] {
                let links: Vec<&Link> = page.iter().filter(|link| link.kind == kind).collect();
                let anchors: Vec<SourceAnchor> = links.iter().map(|link| link.anchor).collect();
                let there: BTreeSet<SourceAnchor> = self
                    .source
                    .read(kind, &anchors)
                    .await?
                    .into_iter()
                    .map(|record| record.anchor)
                    .collect();
                let work = links
                    .into_iter()
                    .filter(|link| !there.contains(&link.anchor))
                    .map(|link| Work {
                        kind,
                        anchor: link.anchor,
                        record: None,
                        link: Some(link.clone()),
                        cause: Cause::Attributes,
                    })
                    .collect();
                self.put_through(kind, Feed::These(work), 0).await?;
            }
        }
    }

    /// Carries objects along their way, many at once, and writes down what came of them in order.
    /// Reading ahead, carrying and writing go on beside each other.
    async fn put_through(&mut self, kind: Kind, feed: Feed, total: u64) -> Result<(), EngineError> {
        let mapping = match (kind, &self.rules.group) {
            (Kind::User, _) => &self.rules.user,
            (Kind::Group, Some(group)) => group,
            (Kind::Group, None) => return Ok(()),
        };
        let path = Path {
            store: self.store,
            clock: self.clock,
            target: self.target,
            limiter: self.limiter,
            policy: self.policy,
            tenant: self.lease.tenant,
            job: self.lease.job,
            cycle: self.cycle.id,
            no_users_yet: self.no_users_yet,
        };
        let (objects, mut next) = mpsc::channel::<Work>(AHEAD);
        let (batches, mut waiting) = mpsc::channel::<Vec<Outcome>>(WAITING);
        let reader = Reader {
            store: self.store,
            source: self.source,
            lease: self.lease,
        };
        let read = reader.read(feed, objects);
        let stop = self.stop;
        let carry = async {
            let work = stream::poll_fn(|cx| next.poll_recv(cx));
            let mut outcomes = work.map(|work| path.carry(work, mapping)).buffered(MOST);
            let mut batch = Vec::with_capacity(BATCH);
            let mut failed = None;
            while let Some(outcome) = outcomes.next().await {
                match outcome {
                    Ok(outcome) => batch.push(outcome),
                    Err(error) => {
                        failed = Some(error);
                        break;
                    }
                }
                if batch.len() == BATCH && batches.send(std::mem::take(&mut batch)).await.is_err() {
                    break;
                }
                if stop.is_cancelled() {
                    failed = Some(EngineError::Interrupted);
                    break;
                }
            }
            drop(outcomes);
            // Nobody reads ahead for a carrier that has stopped.
            next.close();
            if !batch.is_empty() {
                let _ = batches.send(batch).await;
            }
            drop(batches);
            failed.map_or(Ok(()), Err)
        };
        let (store, clock, lease, has_escrows) =
            (self.store, self.clock, self.lease, self.has_escrows);
        let (cycle, checkpoint, progress) = (&mut self.cycle, &mut self.checkpoint, self.progress);
        let write = async {
            while let Some(outcomes) = waiting.recv().await {
                for outcome in &outcomes {
                    cycle.counts.add(&outcome.counts);
                }
                let place = checkpoint.as_mut().map(|checkpoint| {
                    checkpoint.counts = cycle.counts;
                    checkpoint.done += outcomes.len() as u64;
                    checkpoint.after = outcomes.last().map(|outcome| outcome.anchor);
                    tell(progress, cycle, checkpoint, total);
                    checkpoint.to_json()
                });
                keep(store, lease, clock.now(), outcomes, place, has_escrows).await?;
            }
            Ok::<(), EngineError>(())
        };
        let (read, carried, written) = tokio::join!(read, carry, write);
        written.and(carried).and(read)
    }

    fn maps_members(&self) -> bool {
        self.rules
            .group
            .as_ref()
            .is_some_and(|group| group.references().next().is_some())
    }

    /// Every managed group's members are brought over, several groups beside each other.
    async fn all_members(&self) -> Result<Counts, EngineError> {
        let mut sum = Counts::default();
        if !self.maps_members() {
            return Ok(sum);
        }
        let total = self.source.count(Kind::Group).await?;
        let path = |kind: Kind, attribute: &str| path_of(self.rules, kind, attribute);
        let pass = &self.pass(&path);
        let pages = stream::try_unfold(None, |after| async move {
            let page = self.links_page(after, Some(Kind::Group)).await?;
            let last = page.last().map(|link| link.anchor);
            Ok::<_, EngineError>(last.map(|last| (page, Some(last))))
        })
        .boxed();
        let filled = pages
            .map_ok(|page| stream::iter(page.into_iter().filter(is_managed).map(Ok)))
            .try_flatten()
            .map_ok(|link: Link| async move { pass.fill(link, MEMBERS).await }.boxed())
            .try_buffer_unordered(FILLED);
        let mut filled = std::pin::pin!(filled);
        let mut done = 0;
        while let Some(counts) = filled.try_next().await? {
            sum.add(&counts);
            done += 1;
            self.told(Phase::Members, done, total);
            if self.stop.is_cancelled() {
                return Err(EngineError::Interrupted);
            }
        }
        Ok(sum)
    }

    fn pass<'p>(&'p self, path: &'p (dyn Fn(Kind, &str) -> Option<String> + Sync)) -> Pass<'p> {
        Pass {
            store: self.store,
            clock: self.clock,
            source: self.source,
            target: self.target,
            limiter: self.limiter,
            lease: self.lease,
            cycle: self.cycle.id,
            path,
        }
    }

    fn told(&self, phase: Phase, done: u64, total: u64) {
        let Cycle {
            kind,
            began,
            counts,
            ..
        } = self.cycle;
        self.progress.send_replace(Some(Progress {
            kind,
            phase,
            done,
            total,
            counts,
            began,
        }));
    }

    /// Single memberships that changed.
    async fn memberships(
        &self,
        changed: Vec<(SourceAnchor, SourceAnchor)>,
    ) -> Result<(), EngineError> {
        let groups: BTreeSet<SourceAnchor> = changed.iter().map(|(group, _)| *group).collect();
        let linked = self
            .links_of(&groups.into_iter().collect::<Vec<_>>())
            .await?;
        let mut wanted = Vec::new();
        for (group, member) in changed {
            if linked.get(&group).is_some_and(is_managed) {
                wanted.push((group, member, self.source.is_member(group, member).await?));
            }
        }
        if wanted.is_empty() {
            return Ok(());
        }
        let lease = self.lease;
        self.store
            .write::<_, StoreError, _>(move |tx| {
                Box::pin(async move {
                    lease.check(tx, None).await?;
                    let Lease { tenant, job, .. } = lease;
                    for (group, member, is_member) in wanted {
                        if is_member {
                            let wanted = [(group, MEMBERS, member)];
                            references::want(tx, tenant, job, &wanted).await?;
                        } else {
                            references::unwant(tx, tenant, job, group, MEMBERS, member).await?;
                        }
                    }
                    Ok(())
                })
            })
            .await?;
        Ok(())
    }

    /// The second pass. In an initial cycle references belong to the objects counted already.
    async fn references(&self, kind: Option<Kind>, initial: bool) -> Result<Counts, EngineError> {
        let path = |kind: Kind, attribute: &str| path_of(self.rules, kind, attribute);
        let Lease { tenant, job, .. } = self.lease;
        let total = if initial {
            self.store
                .read::<_, StoreError, _>(|tx| {
                    Box::pin(async move { references::count_due(tx, tenant, job).await })
                })
                .await?
        } else {
            0
        };
        let done = AtomicU64::new(0);
        let told = |more: u64| {
            let done = done.fetch_add(more, Ordering::Relaxed) + more;
            if initial {
                self.told(Phase::References, done, total);
            }
            if self.stop.is_cancelled() {
                Err(EngineError::Interrupted)
            } else {
                Ok(())
            }
        };
        self.pass(&path).run(kind, &told).await
    }

    /// Goes into a phase; answers where to go on in it.
    fn enter(&mut self, phase: Phase) -> Option<SourceAnchor> {
        let checkpoint = self.checkpoint.as_mut()?;
        if checkpoint.phase != phase {
            (checkpoint.phase, checkpoint.after, checkpoint.done) = (phase, None, 0);
        }
        checkpoint.after
    }

    fn tell(&self, total: u64) {
        if let Some(checkpoint) = &self.checkpoint {
            tell(self.progress, &self.cycle, checkpoint, total);
        }
    }

    async fn links_of(
        &self,
        anchors: &[SourceAnchor],
    ) -> Result<HashMap<SourceAnchor, Link>, StoreError> {
        links_of(self.store, self.lease, anchors).await
    }

    async fn links_page(
        &self,
        after: Option<SourceAnchor>,
        kind: Option<Kind>,
    ) -> Result<Vec<Link>, StoreError> {
        let Lease { tenant, job, .. } = self.lease;
        self.store
            .read(|tx| {
                Box::pin(async move { links::page(tx, tenant, job, after, kind, PAGE).await })
            })
            .await
    }

    /// The watermark is the last thing written.
    async fn end(&self, watermark: Position) -> Result<(), EngineError> {
        let (lease, now) = (self.lease, self.clock.now());
        self.store
            .write::<_, StoreError, _>(move |tx| {
                Box::pin(async move {
                    lease.check(tx, None).await?;
                    lease.set_watermark(tx, watermark, now).await
                })
            })
            .await?;
        Ok(())
    }
}

/// The target's path of a reference attribute, when it is mapped.
fn path_of(rules: &CompiledSchema, kind: Kind, attribute: &str) -> Option<String> {
    let mapping = match kind {
        Kind::User => Some(&rules.user),
        Kind::Group => rules.group.as_ref(),
    }?;
    mapping
        .references()
        .find(|reference| reads(reference, attribute))
        .map(|reference| reference.target.clone())
}

async fn links_of(
    store: &Store,
    lease: Lease,
    anchors: &[SourceAnchor],
) -> Result<HashMap<SourceAnchor, Link>, StoreError> {
    let Lease { tenant, job, .. } = lease;
    let links = store
        .read::<_, StoreError, _>(|tx| {
            Box::pin(async move { links::of(tx, tenant, job, anchors).await })
        })
        .await?;
    Ok(links.into_iter().map(|link| (link.anchor, link)).collect())
}

fn tell(
    progress: &watch::Sender<Option<Progress>>,
    cycle: &Cycle,
    checkpoint: &Checkpoint,
    total: u64,
) {
    progress.send_replace(Some(Progress {
        kind: cycle.kind,
        phase: checkpoint.phase,
        done: checkpoint.done,
        total,
        counts: cycle.counts,
        began: cycle.began,
    }));
}

/// Which objects are put through.
enum Feed {
    /// All of a kind, page after page, from a place on.
    Everything {
        kind: Kind,
        after: Option<SourceAnchor>,
    },
    /// These.
    These(Vec<Work>),
}

/// Reads objects ahead of those that are being carried.
struct Reader<'a> {
    store: &'a Store,
    source: &'a dyn Source,
    lease: Lease,
}

impl Reader<'_> {
    async fn read(&self, feed: Feed, objects: mpsc::Sender<Work>) -> Result<(), EngineError> {
        let (kind, mut after) = match feed {
            Feed::These(work) => {
                for work in work {
                    if objects.send(work).await.is_err() {
                        break;
                    }
                }
                return Ok(());
            }
            Feed::Everything { kind, after } => (kind, after),
        };
        loop {
            let records = self.source.page(kind, after, STRETCH).await?;
            let Some(last) = records.last() else {
                return Ok(());
            };
            after = Some(last.anchor);
            let anchors: Vec<SourceAnchor> = records.iter().map(|record| record.anchor).collect();
            let mut linked = links_of(self.store, self.lease, &anchors).await?;
            for record in records {
                let work = Work {
                    kind,
                    anchor: record.anchor,
                    link: linked.remove(&record.anchor),
                    record: Some(record),
                    cause: Cause::Attributes,
                };
                if objects.send(work).await.is_err() {
                    return Ok(());
                }
            }
        }
    }
}

/// The source attribute of group members.
const MEMBERS: &str = "members";

fn is_managed(link: &Link) -> bool {
    link.state == LinkState::Managed
}

/// What an incremental cycle must look at.
#[derive(Debug, Default)]
struct ChangeSet {
    users: BTreeMap<SourceAnchor, Cause>,
    groups: BTreeMap<SourceAnchor, Cause>,
    memberships: BTreeSet<(SourceAnchor, SourceAnchor)>,
}

impl ChangeSet {
    fn object(&mut self, kind: Kind, anchor: SourceAnchor, cause: Cause) {
        let named = match kind {
            Kind::User => &mut self.users,
            Kind::Group => &mut self.groups,
        };
        let known = named.entry(anchor).or_insert(cause);
        *known = (*known).max(cause);
    }
}

/// Is matching superfluous in this cycle, because the target says that it holds no users and no two
/// source users share their matching value? A target that learns of a user meanwhile answers a
/// create with a conflict, and then it is matched after all.
pub(crate) async fn no_users_yet(
    source: &dyn Source,
    target: &dyn Target,
    limiter: &Limiter,
    rules: &CompiledSchema,
) -> Result<bool, EngineError> {
    let unique = matches_uniquely(&rules.user, |name| source.is_unique(Kind::User, name));
    Ok(unique && limiter.run(|| target.is_empty(Kind::User)).await?)
}

/// A cycle that begins now.
pub(crate) fn begin(job: &Job, kind: CycleKind, clock: &Arc<dyn Clock>) -> Cycle {
    Cycle {
        id: CycleId::new(),
        job: job.id,
        kind,
        state: CycleState::Running,
        began: clock.now(),
        ended: None,
        counts: Counts::default(),
    }
}

/// The status of a job after the whole target failed: tried again soon, then less and less often.
pub(crate) fn quarantined(job: &Job, now: Timestamp, reason: &str, detail: &str) -> JobStatus {
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
