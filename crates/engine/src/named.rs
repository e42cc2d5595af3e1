//! Objects that a cycle looks at by name: because they changed, because they failed before, or because a
//! cycle was broken off while it was about to do something for them.

use std::collections::{BTreeMap, HashMap, HashSet};

use muster_model::Timestamp;
use muster_model::cycle::CycleKind;
use muster_model::directory::Kind;
use muster_model::link::SourceAnchor;
use muster_store::jobs::Lease;
use muster_store::{StoreError, escrows, intents, references};

use crate::conveyor::Feed;
use crate::cycle::{PAGE, Run};
use crate::decide::Cause;
use crate::error::EngineError;
use crate::known::intents_of;
use crate::object::Work;
use crate::port::Record;
use crate::record::under;

impl Run<'_> {
    /// Puts named objects through.
    pub(crate) async fn some(
        &mut self,
        kind: Kind,
        named: BTreeMap<SourceAnchor, Cause>,
    ) -> Result<(), EngineError> {
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
            let escrowed = self.escrowed(&anchors).await?;
            let mut intents = intents_of(self.store, self.lease, &anchors).await?;
            let mut nowhere = Vec::new();
            let mut work = Vec::with_capacity(part.len());
            for (anchor, cause) in part {
                let (record, link) = (records.remove(anchor), linked.remove(anchor));
                let link = link.filter(|link| link.kind == kind);
                let intent = intents.remove(anchor).filter(|it| it.kind == kind);
                let is_escrowed = escrowed.contains(anchor);
                if record.is_none() && link.is_none() && intent.is_none() {
                    // An object of the other kind, never ours, or gone before it ever succeeded.
                    nowhere.extend(is_escrowed.then_some(*anchor));
                    continue;
                }
                work.push(Work {
                    kind,
                    anchor: *anchor,
                    record,
                    link,
                    // What failed is tried as a whole.
                    cause: if is_escrowed {
                        Cause::Attributes
                    } else {
                        *cause
                    },
                    intent,
                });
            }
            self.put_through(kind, Feed::These(work), 0).await?;
            self.give_up(kind, nowhere).await?;
        }
        Ok(())
    }

    /// Those of these objects that failed and await their retry.
    async fn escrowed(
        &self,
        anchors: &[SourceAnchor],
    ) -> Result<HashSet<SourceAnchor>, StoreError> {
        if !self.has_escrows {
            return Ok(HashSet::new());
        }
        let Lease { tenant, job, .. } = self.lease;
        let escrowed = self.store.read::<_, StoreError, _>(|tx| {
            Box::pin(async move { escrows::of(tx, tenant, job, anchors).await })
        });
        Ok(escrowed.await?.into_iter().collect())
    }

    /// Drops the escrows of objects of a kind that are neither in the source nor at the target.
    pub(crate) async fn give_up(
        &self,
        kind: Kind,
        gone: Vec<SourceAnchor>,
    ) -> Result<(), StoreError> {
        if gone.is_empty() {
            return Ok(());
        }
        let Lease { tenant, job, .. } = self.lease;
        under(self.store, self.lease, move |tx| {
            Box::pin(async move {
                for anchor in gone {
                    escrows::remove(tx, tenant, job, kind, anchor).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Sees to what a cycle that was broken off was about to do: somebody may have an account of which
    /// nobody knows, and no right to it any more.
    pub(crate) async fn recover(&mut self) -> Result<(), EngineError> {
        let Lease { tenant, job, .. } = self.lease;
        let mut after = None;
        loop {
            let left = self
                .store
                .read::<_, StoreError, _>(|tx| {
                    Box::pin(async move { intents::page(tx, tenant, job, after, PAGE).await })
                })
                .await?;
            let Some(last) = left.last() else {
                return Ok(());
            };
            after = Some(last.anchor);
            let anchors: Vec<SourceAnchor> = left.iter().map(|it| it.anchor).collect();
            // Those that failed are tried again when it is their turn; an initial cycle tries all.
            let escrowed = match self.cycle.kind {
                CycleKind::Initial => HashSet::new(),
                CycleKind::Incremental | CycleKind::OnDemand => self.escrowed(&anchors).await?,
            };
            for kind in [Kind::User, Kind::Group] {
                let named = left
                    .iter()
                    .filter(|it| it.kind == kind && !escrowed.contains(&it.anchor))
                    .map(|it| (it.anchor, Cause::Attributes))
                    .collect();
                self.some(kind, named).await?;
            }
        }
    }

    /// Makes references due again that were put aside long enough.
    pub(crate) async fn retry_references(&self, now: Timestamp) -> Result<(), StoreError> {
        let lease = self.lease;
        let Lease { tenant, job, .. } = lease;
        let next = self.store.read::<_, StoreError, _>(|tx| {
            Box::pin(async move { references::next_retry(tx, tenant, job).await })
        });
        if next.await?.is_none_or(|at| at > now) {
            return Ok(());
        }
        under(self.store, lease, move |tx| {
            Box::pin(async move { references::retry(tx, tenant, job, now).await })
        })
        .await
    }
}
