//! A cycle: everything (initial) or what changed since the watermark (incremental).
//!
//! Both put objects through the same path and differ only in which objects they look at. Order:
//! users, groups, objects that are gone, memberships, then references; the watermark last.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures::FutureExt;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use muster_model::cycle::{Counts, Cycle, CycleKind, CycleState};
use muster_model::directory::Kind;
use muster_model::job::{Guard, Job};
use muster_model::link::{Link, LinkState, SourceAnchor};
use muster_model::{Clock, CycleId, Position};
use muster_rules::schema::CompiledSchema;
use muster_store::jobs::Lease;
use muster_store::links::LinkQuery;
use muster_store::{Store, StoreError, escrows, links, references};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::basis::Basis;
use crate::changes::ChangeSet;
use crate::conveyor::Feed;
use crate::decide::{Cause, reads};
use crate::error::EngineError;
use crate::gate::Gate;
use crate::guard::Cleared;
use crate::hands::Hands;
use crate::known::{intents_of, links_of};
use crate::matching::no_users_yet;
use crate::object::Work;
use crate::port::{Source, SourceChange, SourceError};
use crate::progress::{Checkpoint, Phase, Progress};
use crate::record::under;
use crate::references::{MEMBERS, Pass};
use crate::scope::Policy;

/// Objects that are read from the source at once (section 15, 7).
pub(crate) const PAGE: u32 = 500;
/// Entries of the feed that are read at once.
pub(crate) const FEED: u32 = 1000;
/// Objects whose grace is over that one cycle deletes at most.
const LEAVING: u32 = 10_000;
/// Groups whose members are brought over beside each other.
const FILLED: usize = 16;
/// Pages of users whose managers are brought over beside each other.
const PAGES: usize = 3;

/// One run of a job.
pub(crate) struct Run<'a> {
    pub(crate) store: &'a Store,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) source: &'a Arc<dyn Source>,
    pub(crate) gate: Gate<'a>,
    pub(crate) rules: &'a CompiledSchema,
    pub(crate) policy: Policy,
    pub(crate) basis: Basis,
    pub(crate) lease: Lease,
    pub(crate) progress: &'a watch::Sender<Option<Progress>>,
    pub(crate) stop: &'a CancellationToken,
    pub(crate) cycle: Cycle,
    /// Kept while an initial cycle runs.
    pub(crate) checkpoint: Option<Checkpoint>,
    pub(crate) no_users_yet: bool,
    pub(crate) has_escrows: bool,
    pub(crate) guard: Guard,
    /// Up to where it reads the feed of the source; to the end, when it is not given.
    pub(crate) until: Option<Position>,
    /// What this cycle may take away.
    pub(crate) cleared: Cleared,
    /// Users from which it takes that before it does anything else.
    pub(crate) first: Vec<SourceAnchor>,
    /// From whom it takes something away that nobody had allowed.
    pub(crate) to_go: Vec<SourceAnchor>,
    /// Users from which it has taken that already.
    pub(crate) withdrawn: HashSet<SourceAnchor>,
    pub(crate) hands: Arc<Hands>,
}

impl Run<'_> {
    /// Runs from the watermark, or from the beginning.
    pub(crate) async fn go(&mut self, watermark: Option<Position>) -> Result<(), EngineError> {
        match watermark {
            None => {
                self.no_users_yet = no_users_yet(&**self.source, &self.gate, self.rules).await?;
                self.initial().await
            }
            Some(watermark) => self.incremental(watermark).await,
        }
    }

    /// Evaluates every object (5.1); goes on from the checkpoint of an interrupted cycle.
    async fn initial(&mut self) -> Result<(), EngineError> {
        let checkpoint = match self.checkpoint.take() {
            Some(checkpoint) => checkpoint,
            None => Checkpoint {
                cycle: self.cycle.id,
                // Taken before anything is read: what changes meanwhile is read again.
                watermark: match self.until {
                    Some(until) => until,
                    None => self.source.end().await?,
                },
                began: self.cycle.began,
                phase: Phase::Users,
                after: None,
                done: 0,
                counts: Counts::default(),
            },
        };
        (self.cycle.id, self.cycle.began) = (checkpoint.cycle, checkpoint.began);
        self.cycle.counts = checkpoint.counts;
        self.guard_everything().await?;
        let lane = self.lane(checkpoint.watermark);
        let (done, counts) = lane.beside(Box::pin(self.all_phases(checkpoint))).await;
        self.cycle.counts.add(&counts);
        self.end(done?).await
    }

    /// Looks at everything; answers the watermark.
    async fn all_phases(&mut self, checkpoint: Checkpoint) -> Result<Position, EngineError> {
        self.withdraw().await?;
        self.recover().await?;
        let (watermark, first) = (checkpoint.watermark, checkpoint.phase);
        self.checkpoint = Some(checkpoint);
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
        let (members, managers) = tokio::join!(self.all_members(), self.all_managers());
        self.cycle.counts.failed += members?.failed + managers?.failed;
        self.enter(Phase::References);
        self.cycle.counts.failed += self.references(true).await?.failed;
        self.checkpoint = None;
        Ok(watermark)
    }

    /// Evaluates what changed since the watermark (5.2), and what is due for another attempt.
    async fn incremental(&mut self, after: Position) -> Result<(), EngineError> {
        let now = self.basis.present(self.clock.now());
        let Lease { tenant, job, .. } = self.lease;
        let grace = i64::from(self.policy.leaving.grace_seconds);
        let (due, left) = self
            .store
            .read::<_, StoreError, _>(|tx| {
                Box::pin(async move {
                    let due = escrows::due(tx, tenant, job, now, PAGE).await?;
                    let before = now.plus_seconds(-grace);
                    Ok((due, links::leaving(tx, tenant, job, before, LEAVING).await?))
                })
            })
            .await?;
        // Roles are attributes to a mapping that uses them.
        let attributes = &self.rules.user.attributes;
        let assigned = if attributes.iter().any(|it| reads(it, "appRoleAssignments")) {
            Cause::Attributes
        } else {
            Cause::Entitlement
        };
        let escrowed = due.iter().map(|it| (it.kind, it.anchor));
        let named: Vec<_> = escrowed.chain(left).collect();
        // What comes after the guard has looked is the next cycle's.
        let until = self.guard_changes(&named, after).await?;
        self.until = Some(until);
        let mut changes = ChangeSet::default();
        for (kind, anchor) in named {
            changes.object(kind, anchor, Cause::Attributes);
        }
        let lane = self.lane(until);
        let work = Box::pin(async {
            self.withdraw().await?;
            self.recover().await?;
            self.retry_references(now).await?;
            self.work_off_changes(changes, after, assigned).await
        });
        let (done, counts) = lane.beside(work).await;
        self.cycle.counts.add(&counts);
        done
    }

    /// Works off what is named already and the feed after a place, up to where this cycle reads.
    async fn work_off_changes(
        &mut self,
        mut changes: ChangeSet,
        mut at: Position,
        assigned: Cause,
    ) -> Result<(), EngineError> {
        loop {
            let (entries, more) = self.changes(at).await?;
            at = entries.last().map_or(at, |entry| entry.position);
            changes.note(&**self.source, &entries, assigned).await?;
            self.work_off(std::mem::take(&mut changes)).await?;
            self.end(at).await?;
            if !more {
                return Ok(());
            }
        }
    }

    /// The next changes after a place, up to where this cycle reads; and whether there may be more.
    pub(crate) async fn changes(
        &self,
        after: Position,
    ) -> Result<(Vec<SourceChange>, bool), SourceError> {
        let mut entries = self.source.changes(after, FEED).await?;
        let read = entries.len();
        if let Some(until) = self.until {
            entries.retain(|entry| entry.position <= until);
        }
        let more = entries.len() as u32 == FEED && entries.len() == read;
        Ok((entries, more))
    }

    /// Users, groups, memberships, references: only those named.
    async fn work_off(&mut self, changes: ChangeSet) -> Result<(), EngineError> {
        let ChangeSet {
            users,
            groups,
            memberships,
        } = changes;
        self.some(Kind::User, users).await?;
        if self.rules.group.is_none() {
            // Nothing retries a group that is not provisioned any more.
            self.give_up(Kind::Group, groups.into_keys().collect())
                .await?;
            return self.references_changed().await;
        }
        self.some(Kind::Group, groups).await?;
        if self.maps_members() {
            self.fill_groups().await?;
            self.memberships(memberships.into_iter().collect()).await?;
        }
        self.references_changed().await
    }

    async fn references_changed(&mut self) -> Result<(), EngineError> {
        let counts = self.references(false).await?;
        self.cycle.counts.failed += counts.failed;
        self.cycle.counts.updated += counts.updated;
        Ok(())
    }

    /// Brings over the members of groups that were linked just now, or in a cycle that was broken off.
    async fn fill_groups(&mut self) -> Result<(), EngineError> {
        let Lease { tenant, job, .. } = self.lease;
        let mut after = None;
        loop {
            let page = self
                .store
                .read::<_, StoreError, _>(|tx| {
                    Box::pin(async move { links::unfilled(tx, tenant, job, after, PAGE).await })
                })
                .await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.anchor);
            for group in page {
                let path = |kind: Kind, attribute: &str| path_of(self.rules, kind, attribute);
                let counts = self.pass(&path).fill(group, MEMBERS).await?;
                // The group itself was counted when it was linked.
                self.cycle.counts.failed += counts.failed;
            }
        }
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
        self.enter(Phase::Gone);
        let mut after = None;
        loop {
            let page = self.links_page(after, None).await?;
            let Some(last) = page.last() else {
                return Ok(());
            };
            after = Some(last.anchor);
            for kind in [Kind::User, Kind::Group] {
                let links: Vec<&Link> = page.iter().filter(|link| link.kind == kind).collect();
                let anchors: Vec<SourceAnchor> = links.iter().map(|link| link.anchor).collect();
                let mut intents = intents_of(self.store, self.lease, &anchors).await?;
                let there: BTreeSet<SourceAnchor> = self
                    .source
                    .names(kind, &anchors)
                    .await?
                    .into_iter()
                    .map(|(anchor, _)| anchor)
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
                        intent: intents.remove(&link.anchor),
                    })
                    .collect();
                self.put_through(kind, Feed::These(work), 0).await?;
            }
        }
    }

    pub(crate) fn maps_members(&self) -> bool {
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
        let filled = self
            .managed(Kind::Group)
            .map_ok(|page| stream::iter(page.into_iter().map(Ok)))
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

    /// Every managed user's manager is brought over, page by page.
    async fn all_managers(&self) -> Result<Counts, EngineError> {
        let mut sum = Counts::default();
        if self.rules.user.references().next().is_none() {
            return Ok(sum);
        }
        let path = |kind: Kind, attribute: &str| path_of(self.rules, kind, attribute);
        let pass = &self.pass(&path);
        let filled = self
            .managed(Kind::User)
            .map_ok(|page| async move { pass.fill_single(Kind::User, page).await }.boxed())
            .try_buffer_unordered(PAGES);
        let mut filled = std::pin::pin!(filled);
        while let Some(counts) = filled.try_next().await? {
            sum.add(&counts);
            if self.stop.is_cancelled() {
                return Err(EngineError::Interrupted);
            }
        }
        Ok(sum)
    }

    /// The links of all managed objects of a kind, page by page.
    fn managed(&self, kind: Kind) -> BoxStream<'_, Result<Vec<Link>, EngineError>> {
        stream::try_unfold(None, move |after| async move {
            let mut page = self.links_page(after, Some(kind)).await?;
            let last = page.last().map(|link| link.anchor);
            page.retain(is_managed);
            Ok::<_, EngineError>(last.map(|last| (page, Some(last))))
        })
        .boxed()
    }

    pub(crate) fn pass<'p>(
        &'p self,
        path: &'p (dyn Fn(Kind, &str) -> Option<String> + Sync),
    ) -> Pass<'p> {
        Pass {
            store: self.store,
            clock: self.clock,
            source: &**self.source,
            gate: &self.gate,
            lease: self.lease,
            cycle: self.cycle.id,
            path,
            hands: &self.hands,
            cleared: &self.cleared,
            over: AtomicBool::new(false),
        }
    }

    fn told(&self, phase: Phase, done: u64, total: u64) {
        let Cycle {
            kind,
            began,
            counts,
            ..
        } = self.cycle;
        let progress = Progress {
            kind,
            phase,
            done,
            total,
            counts,
            began,
            entered: None,
        };
        progress.publish(self.progress);
    }

    /// Single memberships that changed.
    pub(crate) async fn memberships(
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
        let Lease { tenant, job, .. } = self.lease;
        under(self.store, self.lease, move |tx| {
            Box::pin(async move {
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
    async fn references(&self, initial: bool) -> Result<Counts, EngineError> {
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
        self.pass(&path).run(&told).await
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

    pub(crate) async fn links_of(
        &self,
        anchors: &[SourceAnchor],
    ) -> Result<HashMap<SourceAnchor, Link>, StoreError> {
        links_of(self.store, self.lease, anchors).await
    }

    pub(crate) async fn links_page(
        &self,
        after: Option<SourceAnchor>,
        kind: Option<Kind>,
    ) -> Result<Vec<Link>, StoreError> {
        let (Lease { tenant, job, .. }, of) = (self.lease, LinkQuery::of(kind));
        self.store
            .read(|tx| {
                let of = &of;
                Box::pin(async move { links::page(tx, tenant, job, after, of, PAGE).await })
            })
            .await
    }

    /// The watermark is the last thing written.
    async fn end(&self, watermark: Position) -> Result<(), EngineError> {
        let (lease, now) = (self.lease, self.clock.now());
        under(self.store, lease, move |tx| {
            Box::pin(async move { lease.set_watermark(tx, watermark, now).await })
        })
        .await?;
        Ok(())
    }
}

/// The target's path of a reference attribute, when it is mapped.
pub(crate) fn path_of(rules: &CompiledSchema, kind: Kind, attribute: &str) -> Option<String> {
    let mapping = match kind {
        Kind::User => Some(&rules.user),
        Kind::Group => rules.group.as_ref(),
    }?;
    mapping
        .references()
        .find(|reference| reads(reference, attribute))
        .map(|reference| reference.target.clone())
}

pub(crate) fn tell(
    progress: &watch::Sender<Option<Progress>>,
    cycle: &Cycle,
    checkpoint: &Checkpoint,
    total: u64,
) {
    let now = Progress {
        kind: cycle.kind,
        phase: checkpoint.phase,
        done: checkpoint.done,
        total,
        counts: cycle.counts,
        began: cycle.began,
        entered: None,
    };
    now.publish(progress);
}

fn is_managed(link: &Link) -> bool {
    link.state == LinkState::Managed
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
