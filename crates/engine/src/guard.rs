//! The guard: what a cycle would take away is judged as a whole before the first write (6.5).
//!
//! To withdraw an object needs nothing of the target ([`Onlooker`]). So all objects that the cycle will look
//! at are decided once before, and only what was counted here is withdrawn by this cycle, and before it
//! does anything else. Whatever leaves scope meanwhile stands in the feed behind the place that was judged:
//! there the lane beside the cycle finds it, or the next cycle.

use std::collections::{HashMap, HashSet};

use muster_model::directory::Kind;
use muster_model::event::{Action, Event, Status, Step, StepName};
use muster_model::job::{Guard, Held, TOO_MANY_DELETES, Withdrawal};
use muster_model::link::{Link, LinkState, SourceAnchor, TargetId};
use muster_model::{EventId, Position, Timestamp};
use muster_store::jobs::Lease;
use muster_store::{StoreError, Tx, events, held_back, intents, links, withdrawn};

use crate::changes::ChangeSet;
use crate::cycle::{PAGE, Run};
use crate::decide::Cause;
use crate::error::EngineError;
use crate::removals::{self, Removals};
use crate::withdrawals::Onlooker;

/// What a cycle would withdraw, by object.
pub(crate) type Found = HashMap<SourceAnchor, Withdrawal>;

/// From whom something was taken away a while ago without having been allowed, and of how many objects; the
/// objects of `new` left out, which are about to be counted. What was counted when something was held back
/// counts as long as that is so: somebody lets it go, not the time.
pub(crate) async fn withdrawn_lately(
    tx: &mut Tx<'_>,
    Lease { tenant, job, .. }: Lease,
    window: Window,
    new: &[SourceAnchor],
) -> Result<(u64, u64), StoreError> {
    if held_back::count(tx, tenant, job).await? == 0 {
        let seconds = i64::from(window.guard.within_seconds);
        let since = window.began.min(window.now.plus_seconds(-seconds));
        withdrawn::forget(tx, tenant, job, since).await?;
    }
    let recent = withdrawn::count(tx, tenant, job, new).await?;
    let managed = links::count_managed_or_withdrawn(tx, tenant, job).await?;
    // Who was disabled long ago and is to be deleted is one of those of whom they are a share.
    let linked = links::of(tx, tenant, job, new).await?;
    let others = linked.iter().filter(|it| it.state != LinkState::Managed);
    let others: Vec<SourceAnchor> = others.map(|it| it.anchor).collect();
    let known = withdrawn::among(tx, tenant, job, &others).await?.len();
    Ok((recent, managed + (others.len() - known) as u64))
}

/// Up to where it is counted what was taken away.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    pub(crate) guard: Guard,
    /// When the cycle began, all of which counts.
    pub(crate) began: Timestamp,
    pub(crate) now: Timestamp,
}

/// Writes down what is held back, if it is too much. Answers what the cycle may take away, and whether that
/// was allowed before; and an error when the cycle is held. What was allowed stays so until it is done, or its
/// cause is gone; what came on top is judged (EH-18).
async fn hold_back(
    tx: &mut Tx<'_>,
    lease: Lease,
    window: Window,
    (mut found, looked_at, mut staged): (
        Found,
        Option<HashSet<SourceAnchor>>,
        HashMap<SourceAnchor, Event>,
    ),
) -> Result<(Judged, Removals, Option<Held>), EngineError> {
    let Lease { tenant, job, .. } = lease;
    let mut before = Found::new();
    loop {
        let after = before.keys().max().copied();
        let page = held_back::page(tx, tenant, job, after, PAGE).await?;
        if page.is_empty() {
            break;
        }
        before.extend(page.into_iter().map(|it| (it.anchor, it)));
    }
    for (anchor, one) in &mut found {
        // Whoever may be deleted may be disabled, and not the other way round.
        one.allowed = before.get(anchor).is_some_and(|it| {
            let is_enough = it.action == one.action || it.action == Action::Delete;
            let members: HashSet<&SourceAnchor> = it.members.iter().collect();
            let all = one.members.iter().all(|member| members.contains(member));
            it.allowed && is_enough && all && it.target == one.target
        });
    }
    let is_object = |it: &Withdrawal| it.members.is_empty();
    let counted = found.values().filter(|it| !it.allowed && is_object(it));
    let counted: Vec<SourceAnchor> = counted.map(|it| it.anchor).collect();
    let new = counted.len() as u64;
    let (recent, managed) = withdrawn_lately(tx, lease, window, &counted).await?;
    let members = removals::count(tx, lease, window.guard, &found, &before).await?;
    let is_held =
        members.is_too_much || (new > 0 && window.guard.holds_back(recent + new, managed));
    let objects = found.values().filter(|it| is_object(it));
    let cleared = objects.map(|it| (it.anchor, (it.action, it.allowed)));
    let cleared = cleared.collect();
    let known: HashSet<SourceAnchor> = before.keys().copied().collect();
    let waits = |it: &Withdrawal| {
        let will_look = looked_at
            .as_ref()
            .is_none_or(|all| all.contains(&it.anchor));
        is_object(it) && it.allowed && !will_look && !found.contains_key(&it.anchor)
    };
    let mut after: Vec<Withdrawal> = before.values().filter(|it| waits(it)).cloned().collect();
    after.extend(found.into_values().filter_map(|mut it| {
        if is_held || it.allowed {
            return Some(it);
        }
        // Of the members who leave, some were allowed, and are until they are gone.
        let known = before.get(&it.anchor);
        let known = known.filter(|known| known.allowed && known.target == it.target)?;
        let known: HashSet<&SourceAnchor> = known.members.iter().collect();
        it.members.retain(|member| known.contains(member));
        it.allowed = true;
        (!it.members.is_empty()).then_some(it)
    }));
    let told = after
        .iter()
        .filter(|it| !it.allowed && !known.contains(&it.anchor));
    let told: Vec<Event> = told.filter_map(|it| staged.remove(&it.anchor)).collect();
    let is_as_before =
        after.len() == before.len() && after.iter().all(|it| before.get(&it.anchor) == Some(it));
    if !is_as_before {
        events::append(tx, tenant, &told).await?;
        held_back::replace(tx, tenant, job, after).await?;
    }
    let held = Held {
        objects: new,
        memberships: members.new,
        recent,
        managed,
    };
    Ok((cleared, members.removals, is_held.then_some(held)))
}

/// What a cycle may withdraw.
#[derive(Debug, Default)]
pub(crate) enum Cleared {
    /// Anything: the job has no guard.
    #[default]
    Everything,
    /// Anything but members: of those, these.
    Named(HashSet<SourceAnchor>),
    /// What was judged; any membership, when nobody guards those.
    These(Judged, Option<Removals>),
}

/// What may be taken away from whom, and whether it had been allowed before.
pub(crate) type Judged = HashMap<SourceAnchor, (Action, bool)>;

impl Cleared {
    /// May this be taken away? Who may be deleted may be disabled, and not the other way round.
    pub(crate) fn holds(&self, anchor: SourceAnchor, wanted: Action) -> bool {
        let is_enough =
            |(action, _): &(Action, bool)| *action == wanted || *action == Action::Delete;
        match self {
            Self::Everything | Self::Named(_) => true,
            Self::These(judged, _) => judged.get(&anchor).is_some_and(is_enough),
        }
    }

    /// May this member be removed from this group?
    pub(crate) fn removes(&self, group: SourceAnchor, member: SourceAnchor) -> bool {
        match self {
            Self::Everything | Self::These(_, None) => true,
            Self::Named(members) => members.contains(&member),
            Self::These(judged, Some(removals)) => {
                // Who may delete the group may empty it.
                let is_deleted = judged
                    .get(&group)
                    .is_some_and(|(action, _)| *action == Action::Delete);
                let members = removals.get(&group);
                is_deleted || members.is_some_and(|members| members.contains_key(&member))
            }
        }
    }

    /// Does it count when the guard judges next that this member was removed?
    pub(crate) fn counts_removal(&self, group: SourceAnchor, member: SourceAnchor) -> bool {
        match self {
            Self::Everything | Self::Named(_) | Self::These(_, None) => false,
            Self::These(_, Some(removals)) => removals
                .get(&group)
                .and_then(|members| members.get(&member))
                .is_some_and(|counts| *counts),
        }
    }

    /// Does it count when the guard judges next?
    pub(crate) fn counts(&self, anchor: SourceAnchor) -> bool {
        match self {
            Self::Everything | Self::Named(_) => false,
            Self::These(judged, _) => judged.get(&anchor).is_some_and(|(_, allowed)| !allowed),
        }
    }
}

impl<'a> Run<'a> {
    /// Judges what an initial cycle would take away;
    /// [`Run::withdraw`] then takes it from the users first of all.
    pub(crate) async fn guard_everything(&mut self) -> Result<(), EngineError> {
        let (mut found, mut after) = (self.given_in_doubt().await?, None);
        loop {
            let page = self.links_page(after, None).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.anchor);
            for kind in [Kind::User, Kind::Group] {
                let links = page.iter().filter(|link| link.kind == kind).cloned();
                self.add_withdrawals(kind, links.collect(), &mut found)
                    .await?;
            }
            if self.guards_members() {
                let groups = page.into_iter().filter(|link| link.kind == Kind::Group);
                Box::pin(self.add_departed(groups.collect(), &mut found)).await?;
            }
            self.goes_on()?;
        }
        self.judge(found, None).await
    }

    /// Judges what an incremental cycle would take away; answers up to where it may read the feed.
    pub(crate) async fn guard_changes(
        &mut self,
        due: &[(Kind, SourceAnchor)],
        after: Position,
    ) -> Result<Position, EngineError> {
        let mut changes = ChangeSet::default();
        for (kind, anchor) in due {
            changes.object(*kind, *anchor, Cause::Attributes);
        }
        let mut at = after;
        loop {
            let (entries, more) = self.changes(at).await?;
            at = entries.last().map_or(at, |entry| entry.position);
            changes
                .note(&**self.source, &entries, Cause::Entitlement)
                .await?;
            self.goes_on()?;
            if !more {
                break;
            }
        }
        let mut found = self.given_in_doubt().await?;
        let mut looked_at = HashSet::new();
        for (kind, named) in [(Kind::User, changes.users), (Kind::Group, changes.groups)] {
            let anchors: Vec<SourceAnchor> = named.into_keys().collect();
            for part in anchors.chunks(PAGE as usize) {
                let links = self.links_of(part).await?;
                let links = links.into_values().filter(|link| link.kind == kind);
                self.add_withdrawals(kind, links.collect(), &mut found)
                    .await?;
            }
            looked_at.extend(anchors);
        }
        if self.guards_members() {
            let changed = changes.memberships.into_iter().collect();
            Box::pin(self.add_changed(changed, &mut found)).await?;
        }
        self.judge(found, Some(looked_at)).await?;
        Ok(at)
    }

    /// What would be taken back of what a cycle was about to give when it was broken off: an account that
    /// nobody may know of, or one that was there before.
    async fn given_in_doubt(&self) -> Result<Found, EngineError> {
        let Lease { tenant, job, .. } = self.lease;
        let (mut found, mut after) = (Found::new(), None);
        loop {
            let page = self.store.read::<_, StoreError, _>(|tx| {
                Box::pin(async move { intents::page(tx, tenant, job, after, PAGE).await })
            });
            let page = page.await?;
            let Some(last) = page.last() else {
                return Ok(found);
            };
            after = Some(last.anchor);
            let anchors: Vec<SourceAnchor> = page.iter().map(|it| it.anchor).collect();
            let mut linked = self.links_of(&anchors).await?;
            for kind in [Kind::User, Kind::Group] {
                let links = page.iter().filter(|it| it.kind == kind).map(|it| {
                    let link = linked.remove(&it.anchor);
                    Link {
                        kind,
                        anchor: it.anchor,
                        target: link.map_or_else(|| TargetId(String::new()), |link| link.target),
                        state: LinkState::Managed,
                        since: self.cycle.began,
                    }
                });
                let links = links.collect();
                self.add_withdrawals(kind, links, &mut found).await?;
            }
        }
    }

    fn goes_on(&self) -> Result<(), EngineError> {
        if self.stop.is_cancelled() {
            return Err(EngineError::Interrupted);
        }
        Ok(())
    }

    /// Adds what would be taken away from these objects.
    async fn add_withdrawals(
        &self,
        kind: Kind,
        links: Vec<Link>,
        found: &mut Found,
    ) -> Result<(), EngineError> {
        for withdrawal in self.onlooker().withdrawals(kind, links).await? {
            found.entry(withdrawal.anchor).or_insert(withdrawal);
        }
        Ok(())
    }

    /// Looks at objects as this cycle does.
    pub(crate) fn onlooker(&self) -> Onlooker<'a> {
        Onlooker {
            source: self.source,
            rules: self.rules,
            policy: self.policy,
            basis: self.basis,
            clock: self.clock,
        }
    }

    /// Withdraws the users that were found, before anything else is done.
    pub(crate) async fn withdraw(&mut self) -> Result<(), EngineError> {
        let found = std::mem::take(&mut self.first);
        let named = found.iter().map(|anchor| (*anchor, Cause::Attributes));
        self.some(Kind::User, named.collect()).await?;
        self.withdrawn.extend(found);
        Ok(())
    }

    /// Lets the cycle go on with what was found, or holds all of it back (EH-17, EH-20). `looked_at` is what the
    /// cycle looks at; everything, when it is not named.
    async fn judge(
        &mut self,
        found: Found,
        looked_at: Option<HashSet<SourceAnchor>>,
    ) -> Result<(), EngineError> {
        let users = found.values().filter(|it| it.kind == Kind::User);
        self.first = users.map(|it| it.anchor).collect();
        if !self.guard.is_off() {
            let staged: HashMap<SourceAnchor, Event> = found
                .iter()
                .map(|(anchor, it)| (*anchor, self.staged(it)))
                .collect();
            let (lease, window) = (self.lease, self.window());
            let judged = self.store.write::<_, EngineError, _>(move |tx| {
                Box::pin(async move {
                    lease.check(tx).await?;
                    hold_back(tx, lease, window, (found, looked_at, staged)).await
                })
            });
            let (cleared, removals, held) = judged.await?;
            let counted = cleared.iter().filter(|(_, (_, allowed))| !allowed);
            self.to_go = counted.map(|(anchor, _)| *anchor).collect();
            match (held, self.gate.rehearsal()) {
                (Some(held), None) => return Err(EngineError::HeldBack(held)),
                // A plan says so, and what it is.
                (Some(held), Some(rehearsal)) => rehearsal.held(held),
                (None, _) => {}
            }
            let removals = self.guards_members().then_some(removals);
            self.cleared = Cleared::These(cleared, removals);
        }
        Ok(())
    }

    /// What counts for the guard now.
    pub(crate) fn window(&self) -> Window {
        let now = self.basis.present(self.clock.now());
        Window {
            guard: self.guard,
            began: self.cycle.began.min(now),
            now,
        }
    }

    /// What the log says of something that is held back.
    fn staged(&self, it: &Withdrawal) -> Event {
        let what = match it.action {
            Action::Delete => "it would be deleted at the target",
            Action::Update => "members would be removed at the target",
            _ => "it would be disabled at the target",
        };
        let detail = format!("held back by the guard of the job; {what}: {}", it.reason);
        Event {
            id: EventId::new(),
            job: self.lease.job,
            cycle: self.cycle.id,
            at: self.clock.now(),
            duration_ms: 0,
            action: Action::StagedDelete,
            status: Status::Skipped,
            code: TOO_MANY_DELETES.to_owned(),
            detail: detail.clone(),
            kind: it.kind,
            source: it.anchor,
            source_name: it.name.clone(),
            target: Some(it.target.clone()),
            steps: vec![Step {
                name: StepName::Skip,
                status: Status::Skipped,
                description: detail,
                details: Vec::new(),
            }],
            modified: Vec::new(),
        }
    }
}
