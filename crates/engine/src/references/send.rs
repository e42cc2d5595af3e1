//! Sending references: in chunks that the target accepts, the one to blame found when it refuses.

use std::sync::atomic::Ordering;

use muster_model::link::{SourceAnchor, TargetId};
use muster_store::StoreError;
use muster_store::jobs::Lease;
use muster_store::references::{self, State};

use super::{Batch, Pass, Referred, Settled};
use crate::error::EngineError;
use crate::gate::{Concerned, Unwritten};
use crate::known::links_of;
use crate::port::{References, TargetError, Write};

/// Requests of one batch that may be refused before it is given up for this time: half of a refused
/// request is sent again and again until the one that is to blame is found.
const REFUSALS: usize = 50;
/// Rows of one attribute that has one value.
const ROWS: u32 = 100;
/// Was the request refused because of what is in it?
const fn is_refusal(error: &TargetError) -> bool {
    matches!(
        error,
        TargetError::Refused { .. }
            | TargetError::NoTarget(_)
            | TargetError::NotFound
            | TargetError::Conflict(_)
    )
}

/// What to do with references.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Add,
    Remove,
}

impl Operation {
    const fn write(self, references: References<'_>) -> Write<'_> {
        match self {
            Self::Add => Write::AddReferences(references),
            Self::Remove => Write::RemoveReferences(references),
        }
    }
}

impl Pass<'_> {
    /// Sends the requests of one batch, one after the other: never two on the same object.
    pub(crate) async fn send(&self, batch: Batch) -> Result<Settled, EngineError> {
        let sent = Box::pin(self.send_batch(batch));
        let (settled, said) = self.gate.along(self.clock, sent).await;
        Ok(Settled { said, ..settled? })
    }

    async fn send_batch(&self, batch: Batch) -> Result<Settled, EngineError> {
        let _held = self.hands.hold(batch.owner).await;
        let is_over = self.over.load(Ordering::Relaxed);
        let began = self.clock.now();
        let mut batch = batch;
        let is_nameless = |(_, id): &Referred| id.0.is_empty();
        if batch.remove.iter().any(is_nameless) && self.is_replaced(&batch).await? {
            let nameless = std::mem::take(&mut batch.remove);
            batch.obsolete = nameless.into_iter().map(|(one, _)| one).collect();
        }
        let add = batch.add.clone();
        let may_go =
            |(one, _): &Referred| batch.is_single() || self.cleared.removes(batch.owner, *one);
        let (remove, later): (Vec<Referred>, Vec<Referred>) =
            batch.remove.iter().cloned().partition(may_go);
        let mut settled = Settled {
            batch,
            added: Vec::new(),
            removed: Vec::new(),
            refused: Vec::new(),
            counted: Vec::new(),
            doubted: Vec::new(),
            put_off: later.into_iter().map(|(one, _)| one).collect(),
            lost: Vec::new(),
            error: None,
            began,
            noted: Vec::new(),
            said: Vec::new(),
        };
        if is_over {
            // Another request has stopped the cycle: this stays due.
            return Ok(settled);
        }
        // Removals first: a new manager then replaces the old one, and not the other way round.
        let replaced = settled.batch.is_single() && !add.is_empty();
        if !replaced {
            self.send_parts(Operation::Remove, remove.clone(), &mut settled)
                .await?;
        }
        let is_lost = |it: &Settled| it.lost.iter().any(|link| link.anchor == it.batch.owner);
        let is_harmless =
            |error: &TargetError| is_refusal(error) || *error == TargetError::NotPlanned;
        let goes_on = settled.error.as_ref().is_none_or(is_harmless) && !is_lost(&settled);
        if goes_on {
            self.send_parts(Operation::Add, add, &mut settled).await?;
        }
        if replaced && settled.error.is_none() {
            settled.removed = remove;
        }
        Ok(settled)
    }

    /// Does the owner refer to somebody else by now, or is to? Then an attribute that has one value is not emptied.
    async fn is_replaced(&self, batch: &Batch) -> Result<bool, EngineError> {
        let Lease { tenant, job, .. } = self.lease;
        let (owner, attribute) = (batch.owner, batch.attribute.as_str());
        let read = self.store.read::<_, StoreError, _>(|tx| {
            Box::pin(
                async move { references::of(tx, tenant, job, owner, attribute, None, ROWS).await },
            )
        });
        let others = read.await?.into_iter();
        let mut others = others.filter(|(one, _)| !batch.remove.iter().any(|(it, _)| it == one));
        Ok(others.any(|(_, standing)| {
            matches!(
                standing.state,
                State::Add | State::Sending | State::Exported
            )
        }))
    }

    /// Sends references in chunks that the target accepts. A chunk that it refuses is halved until the
    /// reference to blame is found, so that it keeps no other one from being sent.
    async fn send_parts(
        &self,
        operation: Operation,
        referred: Vec<Referred>,
        settled: &mut Settled,
    ) -> Result<(), EngineError> {
        let (kind, anchor) = (settled.batch.kind, settled.batch.owner);
        let owner = settled.batch.target.clone();
        let Some(path) = (self.path)(kind, &settled.batch.attribute) else {
            return Ok(());
        };
        let none = Concerned {
            kind,
            anchor,
            referred: &[],
        };
        let kept = operation.write(References {
            owner: &owner,
            path: &path,
            referred: &[],
        });
        // Those that are not in the plan that is followed keep no others from being sent.
        let (referred, unplanned): (Vec<Referred>, Vec<Referred>) = referred
            .into_iter()
            .partition(|(one, _)| self.gate.allows(none, &kept, one));
        if !unplanned.is_empty() {
            settled.error.get_or_insert(TargetError::NotPlanned);
        }
        let chunk = self.gate.target.chunk().max(1);
        let mut parts: Vec<Vec<Referred>> = referred.chunks(chunk).map(<[_]>::to_vec).collect();
        parts.reverse();
        let mut refusals = 0;
        while let Some(mut part) = parts.pop() {
            let ids: Vec<TargetId> = part.iter().map(|(_, id)| id.clone()).collect();
            let anchors: Vec<SourceAnchor> = part.iter().map(|(anchor, _)| *anchor).collect();
            let concerned = Concerned {
                referred: &anchors,
                ..none
            };
            let write = operation.write(References {
                owner: &owner,
                path: &path,
                referred: &ids,
            });
            let error = match self.gate.write(concerned, &write).await {
                Ok(written) => {
                    settled.noted.extend(written.noted);
                    match operation {
                        Operation::Add => settled.added.append(&mut part),
                        Operation::Remove => settled.removed.append(&mut part),
                    }
                    continue;
                }
                Err(error) => error,
            };
            let Unwritten { error, in_doubt } = error;
            if in_doubt && operation == Operation::Add {
                settled.doubted.extend(part.iter().cloned());
            }
            if error.stops_the_cycle() {
                // What is known is written down first.
                self.over.store(true, Ordering::Relaxed);
                settled.error = Some(error);
                return Ok(());
            }
            refusals += 1;
            let is_refused = is_refusal(&error);
            if is_refused && part.len() > 1 && refusals < REFUSALS {
                let second = part.split_off(part.len() / 2);
                parts.extend([second, part]);
                continue;
            }
            settled.error = Some(error);
            if !is_refused || part.len() > 1 {
                return Ok(());
            }
            // It may be the owner that the target has no more; then nothing else can be sent to it.
            if self.lost(settled.batch.owner, &owner, settled).await? {
                return Ok(());
            }
            for (anchor, id) in part {
                let is_lost = self.lost(anchor, &id, settled).await?;
                match operation {
                    Operation::Add => settled.refused.push(anchor),
                    // Who is not there is removed already.
                    Operation::Remove if is_lost => settled.removed.push((anchor, id)),
                    Operation::Remove => {}
                }
            }
        }
        Ok(())
    }

    /// Has the target lost an object that is linked to it?
    async fn lost(
        &self,
        anchor: SourceAnchor,
        id: &TargetId,
        settled: &mut Settled,
    ) -> Result<bool, EngineError> {
        let linked = links_of(self.store, self.lease, &[anchor]).await?;
        let Some(link) = linked.into_values().find(|link| link.target == *id) else {
            return Ok(false);
        };
        match self.gate.read(link.kind, id).await {
            Err(TargetError::NotFound) => {
                settled.lost.push(link);
                Ok(true)
            }
            Err(error) if error.stops_the_cycle() => Err(error.into()),
            Ok(_) | Err(_) => Ok(false),
        }
    }
}
