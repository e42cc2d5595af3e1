//! The lane for what cannot wait: who is to lose access while a long cycle runs loses it at once, ahead of
//! everything that the cycle still has to do.
//!
//! The lane reads the feed beside its cycle, from where the cycle does not read any more. It withdraws
//! users and does nothing else, and moves no watermark: the next cycle reads the same entries, and finds
//! done what is done. Should it be too much for the guard, nothing is withdrawn here, and the next cycle
//! judges it as a whole. What an object has become meanwhile is told to the cycle ([`Hands`]), which may
//! have read it before.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use muster_model::cycle::Counts;
use muster_model::directory::Kind;
use muster_model::job::Guard;
use muster_model::link::SourceAnchor;
use muster_model::{Clock, CycleId, Position};
use muster_store::Store;
use muster_store::jobs::Lease;
use tokio_util::sync::CancellationToken;

use crate::changes::ChangeSet;
use crate::claims::Claims;
use crate::cycle::{FEED, PAGE, Run, intents_of, links_of};
use crate::decide::Cause;
use crate::error::EngineError;
use crate::gate::Gate;
use crate::guard::{Cleared, withdrawn_lately};
use crate::hands::Hands;
use crate::intents::intents as intent_channel;
use crate::limit::Rank;
use crate::object::{Path, Work};
use crate::port::SourceChange;
use crate::record::keep;
use crate::withdrawals::Onlooker;

/// Objects that wait for their turn, or are on their way, before it is looked for others.
const MOST: usize = 64;
/// How long it sleeps when nothing wakes it: another process may have changed the source.
const LONGEST: Duration = Duration::from_secs(1);

/// A lane beside one cycle.
pub(crate) struct Lane<'a> {
    store: &'a Store,
    clock: &'a Arc<dyn Clock>,
    onlooker: Onlooker<'a>,
    gate: Gate<'a>,
    lease: Lease,
    cycle: CycleId,
    guard: Guard,
    hands: Arc<Hands>,
    /// Up to where the feed is the cycle's.
    at: Position,
}

impl<'a> Run<'a> {
    /// The lane beside this cycle, which reads the feed up to `at`.
    pub(crate) fn lane(&self, at: Position) -> Lane<'a> {
        Lane {
            store: self.store,
            clock: self.clock,
            onlooker: self.onlooker(),
            gate: Gate {
                rank: Rank::Urgent,
                ..self.gate
            },
            lease: self.lease,
            cycle: self.cycle.id,
            guard: self.guard,
            hands: Arc::clone(&self.hands),
            at,
        }
    }
}

impl Lane<'_> {
    /// Works until `cycle` has ended; answers what the cycle did, and what was done here.
    pub(crate) async fn beside<T>(self, cycle: impl Future<Output = T>) -> (T, Counts) {
        let ended = CancellationToken::new();
        let cycle = async {
            let _ended = ended.clone().drop_guard();
            cycle.await
        };
        tokio::join!(cycle, self.run(&ended))
    }

    async fn run(self, ended: &CancellationToken) -> Counts {
        let mut counts = Counts::default();
        // Beside a plan nothing is done that it does not say.
        if !self.gate.is_live() {
            return counts;
        }
        match self.work(ended, &mut counts).await {
            Ok(()) => {}
            // The cycle meets the same error, and says so.
            Err(error) => tracing::debug!(error = %error, "the lane beside a cycle has ended"),
        }
        counts
    }

    /// Looks whenever something has changed. Who is waited for, because the cycle has them in hand, keeps
    /// nobody else waiting.
    async fn work(
        &self,
        ended: &CancellationToken,
        counts: &mut Counts,
    ) -> Result<(), EngineError> {
        let mut changed = self.store.changed();
        let mut place = self.at;
        let mut under_way = FuturesUnordered::new();
        loop {
            changed.mark_unchanged();
            while under_way.len() < MOST && !ended.is_cancelled() {
                let entries = self.onlooker.source.changes(place, FEED).await?;
                let Some(last) = entries.last() else { break };
                let named = self.look(&entries, under_way.len()).await?;
                under_way.extend(named.into_iter().map(|anchor| self.turn(anchor, ended)));
                place = last.position;
            }
            let is_full = under_way.len() >= MOST;
            tokio::select! {
                Some(done) = under_way.next() => counts.add(&done?),
                () = ended.cancelled(), if under_way.is_empty() => return Ok(()),
                Ok(()) = changed.changed(), if !is_full && !ended.is_cancelled() => {}
                () = tokio::time::sleep(LONGEST), if !is_full && !ended.is_cancelled() => {}
            }
        }
    }

    /// Whom something is to be taken away from, or may be: who is in hand is not known yet.
    async fn look(
        &self,
        entries: &[SourceChange],
        waiting: usize,
    ) -> Result<BTreeSet<SourceAnchor>, EngineError> {
        let mut changes = ChangeSet::default();
        let source = &**self.onlooker.source;
        changes.note(source, entries, Cause::Entitlement).await?;
        let users: Vec<SourceAnchor> = changes.users.into_keys().collect();
        // Said before it is looked who has them in hand: who takes one later reads it anew.
        let held = self.hands.changed(&users);
        let mut named = BTreeSet::from_iter(held);
        for part in users.chunks(PAGE as usize) {
            let linked = links_of(self.store, self.lease, part).await?;
            let links = linked.into_values().filter(|link| link.kind == Kind::User);
            let found = self.onlooker.withdrawals(Kind::User, links.collect());
            named.extend(found.await?.into_iter().map(|it| it.anchor));
        }
        if !named.is_empty() && self.is_too_much((named.len() + waiting) as u64).await? {
            named.clear();
        }
        Ok(named)
    }

    /// Withdraws one object as soon as nobody has it in hand.
    async fn turn(
        &self,
        anchor: SourceAnchor,
        ended: &CancellationToken,
    ) -> Result<Counts, EngineError> {
        let _held = tokio::select! {
            held = self.hands.hold(anchor) => held,
            // A cycle that was broken off gives nothing back.
            () = ended.cancelled() => return Ok(Counts::default()),
        };
        self.withdraw(anchor).await
    }

    /// Would the guard hold back so many?
    async fn is_too_much(&self, new: u64) -> Result<bool, EngineError> {
        if self.guard.is_off() {
            return Ok(false);
        }
        let (lease, guard, now) = (self.lease, self.guard, self.clock.now());
        let counted = self.store.read::<_, muster_store::StoreError, _>(|tx| {
            Box::pin(async move { withdrawn_lately(tx, lease, guard, now).await })
        });
        let (recent, managed) = counted.await?;
        Ok(self.guard.holds_back(recent + new, managed))
    }

    /// Withdraws one object, if that is still to be done.
    async fn withdraw(&self, anchor: SourceAnchor) -> Result<Counts, EngineError> {
        let nothing = Counts::default();
        let mut linked = links_of(self.store, self.lease, &[anchor]).await?;
        let Some(link) = linked.remove(&anchor).filter(|it| it.kind == Kind::User) else {
            return Ok(nothing);
        };
        let found = self
            .onlooker
            .withdrawals(Kind::User, vec![link.clone()])
            .await?;
        if found.is_empty() {
            return Ok(nothing);
        }
        let record = self.onlooker.source.read(Kind::User, &[anchor]).await?;
        let mut intents = intents_of(self.store, self.lease, &[anchor]).await?;
        let work = Work {
            kind: Kind::User,
            anchor,
            record: record.into_iter().next(),
            link: Some(link),
            cause: Cause::Attributes,
            intent: intents.remove(&anchor),
        };
        let (claims, (intents, _noting)) = (Claims::default(), intent_channel());
        let cleared = if self.guard.is_off() {
            Cleared::Everything
        } else {
            Cleared::These(HashMap::from([(anchor, false)]))
        };
        let path = Path {
            store: self.store,
            clock: self.clock,
            gate: &self.gate,
            policy: self.onlooker.policy,
            basis: &self.onlooker.basis,
            tenant: self.lease.tenant,
            job: self.lease.job,
            cycle: self.cycle,
            no_users_yet: false,
            claims: &claims,
            cleared: &cleared,
            intents,
        };
        let outcome = path.carry(work, &self.onlooker.rules.user).await?;
        let (counts, now) = (outcome.counts, self.clock.now());
        // Nobody else has it in hand: an escrow of it may be there.
        let written = keep(
            self.store,
            self.lease,
            now,
            vec![outcome],
            Vec::new(),
            None,
            true,
        );
        written.await?;
        Ok(counts)
    }
}
