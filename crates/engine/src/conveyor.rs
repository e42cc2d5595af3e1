//! Objects on their way, many at once: reading ahead, carrying and writing go on beside each other.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use muster_model::cycle::CycleKind;
use muster_model::directory::Kind;
use muster_model::link::SourceAnchor;
use muster_store::Store;
use muster_store::jobs::Lease;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::claims::Claims;
use crate::cycle::{Run, tell};
use crate::decide::Cause;
use crate::error::EngineError;
use crate::hands::Hands;
use crate::intents::intents;
use crate::known::{intents_of, links_of};
use crate::limit::MOST;
use crate::matching::matches_uniquely;
use crate::object::{Path, Work};
use crate::outcome::{LinkChange, Outcome};
use crate::port::{Source, SourceError};
use crate::progress::Phase;
use crate::record::{BATCH, keep};
use crate::rehearsal::selects_unique_value;

/// Objects of one read while a cycle reads ahead; short, so that answers are not kept waiting.
const STRETCH: u32 = 100;
/// Objects that are read ahead at most.
const AHEAD: usize = 200;

/// Objects on their way at once, many more than requests may be in flight: outcomes are taken in
/// order, and a slow answer must not keep others from being asked for.
const UNDER_WAY: usize = 4 * MOST;
/// How long a cycle that is to end waits for answers that are on their way.
const GRACE: Duration = Duration::from_secs(4);
/// How long an outcome waits for others to be written down with.
const SOON: Duration = Duration::from_millis(100);
/// Batches that may wait for the database.
const WAITING: usize = 4;

/// Which objects are put through.
pub(crate) enum Feed {
    /// All of a kind, page after page, from a place on.
    Everything {
        kind: Kind,
        after: Option<SourceAnchor>,
    },
    /// These.
    These(Vec<Work>),
}

impl Run<'_> {
    /// Carries objects along their way, many at once, and writes down what came of them in order.
    /// Reading ahead, carrying and writing go on beside each other.
    pub(crate) async fn put_through(
        &mut self,
        kind: Kind,
        feed: Feed,
        total: u64,
    ) -> Result<(), EngineError> {
        let mapping = match (kind, &self.rules.group) {
            (Kind::User, _) => &self.rules.user,
            (Kind::Group, Some(group)) => group,
            (Kind::Group, None) => return Ok(()),
        };
        let claims = Claims::default();
        let (intents, noting) = intents();
        let path = Path {
            store: self.store,
            clock: self.clock,
            gate: &self.gate,
            policy: self.policy,
            basis: &self.basis,
            tenant: self.lease.tenant,
            job: self.lease.job,
            cycle: self.cycle.id,
            no_users_yet: self.no_users_yet,
            claims: &claims,
            cleared: &self.cleared,
            withdraws_only: false,
            is_asked_for: self.cycle.kind == CycleKind::OnDemand,
            intents,
        };
        // Who is answered first would decide who gets a value, or an account, that several want.
        let unique = matches_uniquely(mapping, |name| self.source.is_unique(kind, name));
        let vies = !unique || mapping.attributes.iter().any(selects_unique_value);
        let under_way = if vies && !self.gate.is_live() {
            1
        } else {
            UNDER_WAY
        };
        let (objects, mut next) = mpsc::channel::<Work>(AHEAD);
        let (batches, mut waiting) = mpsc::channel::<(Vec<Outcome>, Option<SourceAnchor>)>(WAITING);
        let reader = Reader {
            store: self.store.clone(),
            source: Arc::clone(self.source),
            lease: self.lease,
            hands: Arc::clone(&self.hands),
        };
        let (at_hand, path) = (reader.clone(), &path);
        let withdrawn = &self.withdrawn;
        // Reading keeps a thread busy for milliseconds; answers must not wait for that.
        let read = AbortOnDropHandle::new(tokio::spawn(reader.read(feed, objects)));
        let carried_all = CancellationToken::new();
        let halt = self.stop.child_token();
        let carry = async {
            let halted = halt.cancelled();
            let work = stream::poll_fn(|cx| next.poll_recv(cx)).take_until(halted);
            let others = work.filter(|work| {
                // What was withdrawn first of all is not looked at once more.
                std::future::ready(!withdrawn.contains(&work.anchor))
            });
            let reader = &at_hand;
            // As they are answered: a slow one keeps no other one from being written down.
            let outcomes = others
                .enumerate()
                .map(|(number, work)| async move {
                    let work = reader.take(work).await?;
                    let outcome = path.carry(work, mapping).await?;
                    Ok::<_, EngineError>((number, outcome))
                })
                .buffer_unordered(under_way);
            let mut outcomes = Box::pin(outcomes);
            // Who is under way when no more are sent is waited for, but not for ever.
            let grace = async {
                halt.cancelled().await;
                tokio::time::sleep(GRACE).await;
            };
            let mut grace = std::pin::pin!(grace);
            let mut batch = Vec::with_capacity(BATCH);
            let mut since = Instant::now();
            let mut failed = None;
            let mut place = Prefix::default();
            loop {
                let late = tokio::time::sleep_until(since + SOON);
                let outcome = tokio::select! {
                    outcome = outcomes.next() => Some(outcome),
                    () = late, if !batch.is_empty() => None,
                    () = &mut grace => Some(None),
                };
                let is_full = match outcome {
                    None => true,
                    Some(Some(Ok((number, outcome)))) => {
                        place.done(number, outcome.anchor);
                        if batch.is_empty() {
                            since = Instant::now();
                        }
                        batch.push(outcome);
                        batch.len() == BATCH
                    }
                    // What comes after it is written down, but nothing goes on behind it.
                    Some(Some(Err(error))) => {
                        let before = (std::mem::take(&mut batch), place.take());
                        if !before.0.is_empty() {
                            let _ = batches.send(before).await;
                        }
                        halt.cancel();
                        failed.get_or_insert(error);
                        false
                    }
                    Some(None) => break,
                };
                if is_full {
                    let full = (std::mem::take(&mut batch), place.take());
                    if batches.send(full).await.is_err() {
                        break;
                    }
                }
            }
            drop(outcomes);
            carried_all.cancel();
            // Nobody reads ahead for a carrier that has stopped.
            next.close();
            if !batch.is_empty() {
                let _ = batches.send((batch, place.take())).await;
            }
            drop(batches);
            match failed {
                Some(error) => Err(error),
                None if self.stop.is_cancelled() => Err(EngineError::Interrupted),
                None => Ok(()),
            }
        };
        let (store, clock, source, lease) = (self.store, self.clock, self.source, self.lease);
        let (cycle, checkpoint, progress) = (&mut self.cycle, &mut self.checkpoint, self.progress);
        let (has_escrows, hands) = (&mut self.has_escrows, &self.hands);
        let write = async {
            let mut written = Ok(());
            while let Some((mut outcomes, up_to)) = waiting.recv().await {
                for outcome in &mut outcomes {
                    cycle.counts.add(&outcome.counts);
                    *has_escrows |= outcome.failed.is_some();
                    if checkpoint.is_some() {
                        // An initial cycle compares all references once everything is linked.
                        outcome.references.clear();
                    }
                }
                let place = checkpoint.as_mut().map(|checkpoint| {
                    checkpoint.counts = cycle.counts;
                    checkpoint.done += outcomes.len() as u64;
                    // Looking for what is gone begins anew after a crash: it asks little.
                    if checkpoint.phase != Phase::Gone {
                        checkpoint.after = up_to.or(checkpoint.after);
                    }
                    tell(progress, cycle, checkpoint, total);
                    checkpoint.to_json()
                });
                let anew = linked_anew(&outcomes, checkpoint.is_some());
                let anchors: HashSet<_> = outcomes.iter().map(|outcome| outcome.anchor).collect();
                let kept = async {
                    let referrers = source.referrers(&anew).await?;
                    let now = clock.now();
                    keep(store, lease, now, outcomes, referrers, place, *has_escrows).await?;
                    Ok(())
                };
                let kept = kept.await;
                hands.give_back(&anchors);
                match kept {
                    Ok(()) => claims.give_back(&anchors),
                    // This one and what is under way is written down all the same.
                    Err(EngineError::Restarted) => {
                        claims.give_back(&anchors);
                        written = Err(EngineError::Restarted);
                        halt.cancel();
                    }
                    Err(error) => {
                        // Nobody waits for a writer that has stopped.
                        waiting.close();
                        halt.cancel();
                        return Err(error);
                    }
                }
            }
            written
        };
        let note = noting.run(self.store, self.lease, &carried_all);
        let (read, carried, noted, written) = tokio::join!(read, carry, note, write);
        let read = read.map_err(|_| SourceError("reading ahead was broken off".to_owned()));
        written?;
        noted?;
        carried.and(read?)
    }
}

/// How far all have come, although they do not come in order: up to the first that is missing. A cycle that
/// was broken off goes on from there.
#[derive(Debug, Default)]
struct Prefix {
    next: usize,
    beyond: BTreeMap<usize, SourceAnchor>,
    last: Option<SourceAnchor>,
}

impl Prefix {
    fn done(&mut self, number: usize, anchor: SourceAnchor) {
        self.beyond.insert(number, anchor);
        while let Some(anchor) = self.beyond.remove(&self.next) {
            self.next += 1;
            self.last = Some(anchor);
        }
    }

    /// The last one up to which all have come, if it is another one than before.
    fn take(&mut self) -> Option<SourceAnchor> {
        self.last.take()
    }
}

/// Objects to which references must be sent (again): those that have a link now which they had not
/// before, and those that are not the same at the target any more. An initial cycle compares all
/// references in the end, and finds the former by itself.
fn linked_anew(outcomes: &[Outcome], initial: bool) -> Vec<SourceAnchor> {
    outcomes
        .iter()
        .filter(|outcome| match outcome.link {
            LinkChange::New(_) => !initial,
            LinkChange::Moved(_) => true,
            LinkChange::Keep | LinkChange::Changed(_) | LinkChange::Drop => false,
        })
        .map(|outcome| outcome.anchor)
        .collect()
}

/// Reads objects ahead of those that are being carried.
#[derive(Clone)]
struct Reader {
    store: Store,
    source: Arc<dyn Source>,
    lease: Lease,
    hands: Arc<Hands>,
}

impl Reader {
    /// Takes an object in hand; reads it anew when it has changed since the cycle began.
    async fn take(&self, work: Work) -> Result<Work, EngineError> {
        let (kind, anchor) = (work.kind, work.anchor);
        self.hands.take(anchor).await;
        if !self.hands.has_changed(anchor) {
            return Ok(work);
        }
        let record = self.source.read(kind, &[anchor]).await?;
        let mut linked = links_of(&self.store, self.lease, &[anchor]).await?;
        let mut intents = intents_of(&self.store, self.lease, &[anchor]).await?;
        Ok(Work {
            record: record.into_iter().next(),
            link: linked.remove(&anchor).filter(|link| link.kind == kind),
            intent: intents.remove(&anchor).filter(|it| it.kind == kind),
            ..work
        })
    }

    async fn read(self, feed: Feed, objects: mpsc::Sender<Work>) -> Result<(), EngineError> {
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
            let mut linked = links_of(&self.store, self.lease, &anchors).await?;
            let mut intents = intents_of(&self.store, self.lease, &anchors).await?;
            for record in records {
                let work = Work {
                    kind,
                    anchor: record.anchor,
                    link: linked.remove(&record.anchor),
                    intent: intents.remove(&record.anchor),
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
