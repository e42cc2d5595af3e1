//! The lane for what cannot wait: who is to lose access while a long cycle runs loses it at once, ahead of
//! everything that the cycle still has to do.
//!
//! The lane reads the feed beside its cycle, from where the cycle does not read any more. It withdraws
//! users and does nothing else, and moves no watermark: the next cycle reads the same entries, and finds
//! done what is done. Should it be too much for the guard, nobody is withdrawn here any more, and the next
//! cycle judges all of them as a whole. What an object has become meanwhile is told to the cycle ([`Hands`]), which may
//! have read it before.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{FuturesUnordered, StreamExt};
use muster_model::cycle::Counts;
use muster_model::directory::Kind;
use muster_model::link::{Link, LinkState, SourceAnchor, TargetId};
use muster_model::{Clock, CycleId, Position};
use muster_store::jobs::Lease;
use muster_store::{Store, StoreError};
use tokio_util::sync::CancellationToken;

use crate::changes::ChangeSet;
use crate::claims::Claims;
use crate::cycle::{FEED, PAGE, Run};
use crate::decide::Cause;
use crate::error::EngineError;
use crate::gate::Gate;
use crate::guard::{Cleared, Window, withdrawn_lately};
use crate::hands::Hands;
use crate::intents::Intents;
use crate::known::{intents_of, links_of};
use crate::limit::Rank;
use crate::object::{Path, Work};
use crate::record::keep;
use crate::withdrawals::Onlooker;

/// How long it waits for answers that are on their way when the process is to end.
const GRACE: Duration = Duration::from_secs(4);
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
    window: Window,
    /// From whom the cycle takes something away, or this lane does: whether it is done or not.
    to_go: BTreeSet<SourceAnchor>,
    hands: Arc<Hands>,
    stop: &'a CancellationToken,
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
            window: self.window(),
            to_go: self.to_go.iter().copied().collect(),
            hands: Arc::clone(&self.hands),
            stop: self.stop,
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
        let stopped = async {
            self.stop.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            () = self.work(ended, &mut counts) => {}
            () = stopped => {}
        }
        counts
    }

    /// Looks whenever something has changed. Who is waited for, because the cycle has them in hand, keeps
    /// nobody else waiting.
    async fn work(&self, ended: &CancellationToken, counts: &mut Counts) {
        let mut changed = self.store.changed();
        let mut under_way = FuturesUnordered::new();
        let (mut at, mut to_go) = (Some(self.at), self.to_go.clone());
        loop {
            changed.mark_unchanged();
            if let (Some(place), false) = (at, ended.is_cancelled()) {
                match self.look(place, &to_go).await {
                    Ok((named, place)) => {
                        at = place;
                        to_go.extend(&named);
                        under_way.extend(named.into_iter().map(|anchor| self.turn(anchor, ended)));
                    }
                    Err(error) => {
                        // It is looked again in a moment; what is not seen here the next cycle sees.
                        tracing::warn!(error = %error, "it could not be looked who loses access");
                        tokio::time::sleep(LONGEST).await;
                    }
                }
            }
            let looks = at.is_some() && !ended.is_cancelled();
            tokio::select! {
                Some(done) = under_way.next() => match done {
                    Ok(done) => counts.add(&done),
                    Err(error) => {
                        tracing::warn!(error = %error, "somebody could not be withdrawn beside a cycle");
                    }
                },
                () = ended.cancelled(), if under_way.is_empty() => return,
                Ok(()) = changed.changed(), if looks => {}
                () = tokio::time::sleep(LONGEST), if looks => {}
            }
        }
    }

    /// Whom something is to be taken away from, of all that has changed after a place; and where to go on.
    /// Nobody, should they be too many for the guard: then nobody at all is withdrawn beside this cycle any
    /// more, and the next one judges all of them (EH-20).
    async fn look(
        &self,
        mut place: Position,
        to_go: &BTreeSet<SourceAnchor>,
    ) -> Result<(BTreeSet<SourceAnchor>, Option<Position>), EngineError> {
        let mut changes = ChangeSet::default();
        let source = &**self.onlooker.source;
        loop {
            let entries = source.changes(place, FEED).await?;
            let Some(last) = entries.last() else { break };
            place = last.position;
            changes.note(source, &entries, Cause::Entitlement).await?;
        }
        let users: Vec<SourceAnchor> = changes.users.into_keys().collect();
        let mut named = BTreeSet::new();
        for part in users.chunks(PAGE as usize) {
            // Said before it is looked who has them in hand: who takes one later reads it anew.
            let held = self.hands.changed(part);
            let mut linked = links_of(self.store, self.lease, part).await?;
            // Who is in hand may have an account in a moment.
            for anchor in held {
                linked.entry(anchor).or_insert(Link {
                    kind: Kind::User,
                    anchor,
                    target: TargetId(String::new()),
                    state: LinkState::Managed,
                    since: self.clock.now(),
                });
            }
            let links = linked.into_values().filter(|link| link.kind == Kind::User);
            let found = self.onlooker.withdrawals(Kind::User, links.collect());
            named.extend(found.await?.into_iter().map(|it| it.anchor));
        }
        if self.is_too_much(&named, to_go).await? {
            return Ok((BTreeSet::new(), None));
        }
        Ok((named, Some(place)))
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

    /// Would the guard hold back these, together with those from whom something is about to be taken away?
    async fn is_too_much(
        &self,
        named: &BTreeSet<SourceAnchor>,
        to_go: &BTreeSet<SourceAnchor>,
    ) -> Result<bool, EngineError> {
        if self.window.guard.is_off() || named.is_empty() {
            return Ok(false);
        }
        let new: Vec<SourceAnchor> = named.union(to_go).copied().collect();
        let (lease, count) = (self.lease, new.len() as u64);
        let window = Window {
            now: self.clock.now(),
            ..self.window
        };
        let counted = self.store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                lease.check(tx).await?;
                withdrawn_lately(tx, lease, window, &new).await
            })
        });
        let (recent, managed) = counted.await?;
        Ok(window.guard.holds_back(recent + count, managed))
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
        let intents = Intents::Alone(self.store.clone(), self.lease);
        let claims = Claims::default();
        let cleared = if self.window.guard.is_off() {
            Cleared::Everything
        } else {
            let judged = found.iter().map(|it| (it.anchor, (it.action, false)));
            Cleared::These(judged.collect(), None)
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
            withdraws_only: true,
            is_asked_for: false,
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
