//! What the references of an object should be, compared with what the target has of them.
//!
//! An initial cycle compares everything this way: managers page by page, members group by group. An
//! incremental cycle compares only groups that were linked just now.

use std::collections::HashMap;

use futures::stream::{self, StreamExt, TryStreamExt};
use muster_model::cycle::Counts;
use muster_model::directory::Kind;
use muster_model::link::{Link, SourceAnchor, TargetId};
use muster_store::jobs::Lease;
use muster_store::references::{Standing, State};
use muster_store::{StoreError, links, references};

use crate::error::EngineError;
use crate::limit::MOST;
use crate::record::under;
use crate::references::{Batch, Pass, Settled};

/// Members that are compared at once.
const PAGE: u32 = 1000;

impl Pass<'_> {
    /// Compares a group's members with what the target has, and brings the difference over.
    pub(crate) async fn fill(&self, group: Link, attribute: &str) -> Result<Counts, EngineError> {
        let mut counts = Counts::default();
        let mut next = Some(self.stretch_of(&group, attribute, None).await?);
        let mut before: Vec<Settled> = Vec::new();
        // One stretch is sent while the one before is written down and the next one is compared.
        while let Some((batch, end)) = next {
            let send = async {
                if batch.is_empty() {
                    Ok(None)
                } else {
                    self.send(batch).await.map(Some)
                }
            };
            let compare = async {
                match end {
                    Some(_) => self.stretch_of(&group, attribute, end).await.map(Some),
                    None => Ok(None),
                }
            };
            let (sent, kept, compared) = tokio::join!(send, self.keep(before), compare);
            before = sent?.into_iter().collect();
            match kept.and_then(|kept| Ok((kept, compared?))) {
                Ok((kept, compared)) => {
                    counts.add(&kept);
                    next = compared;
                }
                Err(error) => {
                    // What is answered is written down, whatever comes next.
                    self.keep(before).await?;
                    return Err(error);
                }
            }
        }
        counts.add(&self.keep(before).await?);
        let (Lease { tenant, job, .. }, anchor) = (self.lease, group.anchor);
        under(self.store, self.lease, move |tx| {
            Box::pin(async move { links::set_filled(tx, tenant, job, anchor).await })
        })
        .await?;
        Ok(counts)
    }

    /// Members whom the target may have and the source has no more.
    pub(crate) async fn departed(
        &self,
        group: &Link,
        attribute: &str,
    ) -> Result<Vec<SourceAnchor>, EngineError> {
        let (mut departed, mut after) = (Vec::new(), None);
        loop {
            let (batch, end) = self.compared(group, attribute, after).await?;
            departed.extend(batch.remove.into_iter().map(|(member, _)| member));
            if end.is_none() {
                return Ok(departed);
            }
            after = end;
        }
    }

    /// Writes down what is about to be sent, so that nothing is forgotten of what may have arrived
    /// should we not live to hear the answer.
    async fn announce(&self, batches: &[Batch]) -> Result<(), StoreError> {
        let named = |references: fn(&Batch) -> &[(SourceAnchor, TargetId)]| -> Vec<_> {
            let of = |it: &Batch| {
                let (owner, attribute) = (it.owner, it.attribute.clone());
                let ids = references(it).iter().map(|(referred, _)| *referred);
                ids.map(move |id| (owner, attribute.clone(), id))
                    .collect::<Vec<_>>()
            };
            batches.iter().flat_map(of).collect()
        };
        let (add, remove) = (named(|it| &it.add), named(|it| &it.remove));
        if add.is_empty() && remove.is_empty() {
            return Ok(());
        }
        let Lease { tenant, job, .. } = self.lease;
        under(self.store, self.lease, move |tx| {
            Box::pin(async move {
                for (references, state) in [(&add, State::Sending), (&remove, State::Remove)] {
                    let references: Vec<_> = references
                        .iter()
                        .map(|(owner, attribute, id)| ((*owner, attribute.as_str(), *id), None))
                        .collect();
                    references::settle(tx, tenant, job, &references, state).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// The difference in the stretch of members that begins after `after`, and where it ends; the
    /// last one has no end.
    async fn stretch_of(
        &self,
        group: &Link,
        attribute: &str,
        after: Option<SourceAnchor>,
    ) -> Result<(Batch, Option<SourceAnchor>), EngineError> {
        let (batch, end) = self.compared(group, attribute, after).await?;
        self.announce(std::slice::from_ref(&batch)).await?;
        Ok((batch, end))
    }

    async fn compared(
        &self,
        group: &Link,
        attribute: &str,
        after: Option<SourceAnchor>,
    ) -> Result<(Batch, Option<SourceAnchor>), EngineError> {
        let members = self.source.members(group.anchor, after, PAGE).await?;
        let is_last = members.len() < PAGE as usize;
        let end = members.last().copied().filter(|_| !is_last);
        let batch = self.compare(group, attribute, members, after, end).await?;
        Ok((batch, end))
    }

    /// The difference in one stretch of the members, from after `after` up to `end`.
    async fn compare(
        &self,
        group: &Link,
        attribute: &str,
        members: Vec<SourceAnchor>,
        after: Option<SourceAnchor>,
        end: Option<SourceAnchor>,
    ) -> Result<Batch, EngineError> {
        let Lease { tenant, job, .. } = self.lease;
        let owner = group.anchor;
        let (known, linked) = self
            .store
            .read::<_, StoreError, _>(|tx| {
                Box::pin(async move {
                    let (mut known, mut from) = (HashMap::new(), after);
                    'stretch: loop {
                        let page =
                            references::of(tx, tenant, job, owner, attribute, from, PAGE).await?;
                        let Some((last, _)) = page.last() else { break };
                        from = Some(*last);
                        for (member, standing) in page {
                            if end.is_some_and(|end| member > end) {
                                break 'stretch;
                            }
                            known.insert(member, standing);
                        }
                    }
                    let mut both: Vec<SourceAnchor> = known.keys().copied().collect();
                    both.extend(members.iter().filter(|member| !known.contains_key(member)));
                    let linked = by_anchor(links::of(tx, tenant, job, &both).await?);
                    Ok(((known, members), linked))
                })
            })
            .await?;
        let (known, members) = known;
        Ok(difference(group, attribute, members, known, &linked))
    }

    /// Compares the single-valued references of objects of one kind with what the target has, and
    /// brings the difference over.
    pub(crate) async fn fill_single(
        &self,
        kind: Kind,
        owners: Vec<Link>,
    ) -> Result<Counts, EngineError> {
        let anchors: Vec<SourceAnchor> = owners.iter().map(|link| link.anchor).collect();
        let Lease { tenant, job, .. } = self.lease;
        let wanted = self.source.references(kind, &anchors).await?;
        let (known, linked) = self
            .store
            .read::<_, StoreError, _>(|tx| {
                Box::pin(async move {
                    let known = references::of_owners(tx, tenant, job, &anchors).await?;
                    let mut both: Vec<SourceAnchor> = wanted
                        .iter()
                        .filter_map(|(_, _, referred)| *referred)
                        .chain(known.iter().map(|(_, _, referred, _)| *referred))
                        .collect();
                    both.sort_unstable();
                    both.dedup();
                    let linked = links::of(tx, tenant, job, &both).await?;
                    Ok(((known, wanted), by_anchor(linked)))
                })
            })
            .await?;
        let (known, wanted) = known;
        let mut has: HashMap<(SourceAnchor, String), HashMap<SourceAnchor, Standing>> =
            HashMap::new();
        for (owner, attribute, referred, standing) in known {
            let of = has.entry((owner, attribute)).or_default();
            of.insert(referred, standing);
        }
        let owners: HashMap<SourceAnchor, &Link> =
            owners.iter().map(|link| (link.anchor, link)).collect();
        let batches = wanted
            .into_iter()
            .filter_map(|(owner, attribute, referred)| {
                let known = has
                    .remove(&(owner, attribute.to_owned()))
                    .unwrap_or_default();
                let wanted = referred.into_iter().collect();
                let batch = difference(owners.get(&owner)?, attribute, wanted, known, &linked);
                (!batch.is_empty()).then_some(batch)
            });
        let batches: Vec<Batch> = batches.collect();
        self.announce(&batches).await?;
        let settled: Vec<Settled> = stream::iter(batches)
            .map(|batch| self.send(batch))
            .buffered(MOST)
            .try_collect()
            .await?;
        self.keep(settled).await
    }
}

fn by_anchor(links: Vec<Link>) -> HashMap<SourceAnchor, TargetId> {
    links
        .into_iter()
        .map(|link| (link.anchor, link.target))
        .collect()
}

/// What must be done so that `owner` refers to whom it should. Whom it refers to already is left
/// alone; a reference to an object without a link waits.
fn difference(
    owner: &Link,
    attribute: &str,
    wanted: Vec<SourceAnchor>,
    mut known: HashMap<SourceAnchor, Standing>,
    linked: &HashMap<SourceAnchor, TargetId>,
) -> Batch {
    let mut batch = Batch::new(owner.anchor, owner.kind, owner.target.clone(), attribute);
    for referred in wanted {
        match (known.remove(&referred), linked.get(&referred)) {
            (Some(standing), id) if standing.is_at_target(id) => {}
            (_, Some(target)) => batch.add.push((referred, target.clone())),
            (Some(standing), None) if standing.state == State::Waiting => {}
            (_, None) => batch.waiting.push(referred),
        }
    }
    let mut nameless = Vec::new();
    for (referred, standing) in known {
        match (standing.state, linked.get(&referred)) {
            // What was sent without an answer may have arrived.
            (State::Waiting, _) => batch.obsolete.push(referred),
            (_, Some(target)) => batch.remove.push((referred, target.clone())),
            (_, None) => nameless.push(referred),
        }
    }
    batch.without_names(nameless);
    // The same references make the same requests, whenever they are made.
    batch.remove.sort_unstable_by_key(|(referred, _)| *referred);
    batch.obsolete.sort_unstable();
    batch
}
