//! Links in the hands of an administrator (CY-7): looked at, dropped, and set by hand.
//!
//! Nothing is changed on either side. The next cycle looks at the object once more, and does what a cycle does:
//! without a link it matches, with another one it compares.

use muster_model::audit::Audited;
use muster_model::directory::Kind;
use muster_model::link::{Link, LinkState, SourceAnchor, TargetId};
use muster_model::{Attributes, JobId, TenantId, Value};
use muster_store::feed::{self, Change};
use muster_store::jobs::Lease;
use muster_store::{StoreError, audit, escrows, intents, links, references};

use crate::engine::{Engine, Kept, Opened};
use crate::error::EngineError;
use crate::port::TargetError;
use crate::record::Referrer;
use crate::rehearsal::REDACTED;
use crate::restart::unless_on;
use crate::turn::PATIENCE;

/// A link, and what the target says of the object now.
#[derive(Clone, Debug)]
pub struct Inspected {
    /// The link.
    pub link: Link,
    /// Its values by the paths that mappings use; what a mapping redacts is masked.
    pub at_target: Result<Attributes, TargetError>,
}

impl Engine {
    /// Looks at a link and at the object that it leads to; `None` when there is no link.
    pub async fn inspect(
        &self,
        tenant: TenantId,
        job: JobId,
        anchor: SourceAnchor,
    ) -> Result<Option<Inspected>, EngineError> {
        let read = self.store().read::<_, StoreError, _>(|tx| {
            Box::pin(async move { links::of(tx, tenant, job, &[anchor]).await })
        });
        let Some(link) = read.await?.pop() else {
            return Ok(None);
        };
        let loaded = self.load(tenant, job).await?;
        let mut kept = Kept::default();
        let opened = self.open(tenant, &loaded, &mut kept).await?;
        let at_target = object(opened, link.kind, &link.target).await;
        Ok(Some(Inspected { link, at_target }))
    }

    /// Drops the link of an object, or sets it to another object of the target; answers what it was. The job must
    /// not be on (CY-7).
    ///
    /// # Errors
    ///
    /// [`EngineError::Refused`] when the job is on, the target has no such object, or somebody else is linked to
    /// it; [`EngineError::Busy`] when a cycle of the job runs and does not end soon.
    pub async fn relink(
        &self,
        tenant: TenantId,
        job: JobId,
        (kind, anchor): (Kind, SourceAnchor),
        target: Option<TargetId>,
        entry: Audited,
    ) -> Result<Option<Link>, EngineError> {
        let running = self.running(job);
        let turn = tokio::time::timeout(PATIENCE, running.turn.lock());
        let mut kept = turn.await.map_err(|_| EngineError::Busy)?;
        let lease = self.claim(tenant, job).await?;
        let relinked = async {
            let loaded = self.load(tenant, job).await?;
            let source = self.options.connector.source(tenant, &loaded.job);
            let referrers = source.referrers(&[anchor]).await?;
            if let Some(target) = &target {
                let opened = self.open(tenant, &loaded, &mut kept).await?;
                match object(opened, kind, target).await {
                    Ok(_) => {}
                    Err(TargetError::NotFound) => {
                        return Err(EngineError::Refused(format!(
                            "the target has no {kind} with the id {target}; nothing was changed"
                        )));
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            self.write_link(lease, (kind, anchor), (target, referrers), entry)
                .await
        };
        let relinked = Box::pin(relinked);
        self.leased(lease, relinked).await
    }

    async fn write_link(
        &self,
        lease: Lease,
        (kind, anchor): (Kind, SourceAnchor),
        (target, referrers): (Option<TargetId>, Vec<Referrer>),
        entry: Audited,
    ) -> Result<Option<Link>, EngineError> {
        let (Lease { tenant, job, .. }, now) = (lease, self.clock().now());
        let write = self.store().write::<_, EngineError, _>(move |tx| {
            Box::pin(async move {
                lease.check(tx).await?;
                unless_on(tx, tenant, job).await?;
                let intent = intents::of(tx, tenant, job, &[anchor]).await?.pop();
                // Whoever was tried since is known not to get anywhere.
                let is_tried = escrows::find(tx, tenant, job, anchor).await?.is_some();
                if intent.is_some() && !is_tried {
                    return Err(EngineError::Refused(format!(
                        "{kind} {anchor} has a request to the target that was not answered; run a cycle \
                         first (muster job run), which finds out what came of it"
                    )));
                }
                let before = links::of(tx, tenant, job, &[anchor]).await?.pop();
                match target {
                    Some(target) => {
                        let holder = links::find_by_target(tx, tenant, job, &target).await?;
                        if let Some(holder) = holder.filter(|it| it.anchor != anchor) {
                            return Err(EngineError::Refused(format!(
                                "{} {} is linked to it; drop that link first",
                                holder.kind, holder.anchor
                            )));
                        }
                        let link = Link {
                            kind,
                            anchor,
                            target,
                            state: LinkState::Managed,
                            since: now,
                        };
                        links::put(tx, tenant, job, &[link]).await?;
                        // Which account was made is said now; what is to be taken away still is.
                        if intent.is_some_and(|it| it.target.is_none()) {
                            intents::remove(tx, tenant, job, &[anchor]).await?;
                        }
                        references::send_again(tx, tenant, job, anchor).await?;
                        references::wake(tx, tenant, job, &referrers).await?;
                    }
                    None if before.is_none() => {
                        return Err(EngineError::Refused(format!(
                            "{kind} {anchor} is not linked to anything"
                        )));
                    }
                    None => {
                        links::remove(tx, tenant, job, anchor).await?;
                        references::forget(tx, tenant, job, anchor).await?;
                    }
                }
                let looked_at = match kind {
                    Kind::User => Change::User(anchor),
                    Kind::Group => Change::Group(anchor),
                };
                feed::append(tx, tenant, now, &[looked_at]).await?;
                audit::append(tx, tenant, &entry).await?;
                Ok(before)
            })
        });
        write.await
    }
}

/// What the target says of an object.
async fn object(opened: &Opened, kind: Kind, id: &TargetId) -> Result<Attributes, TargetError> {
    let gate = opened.gate();
    let mut values = gate.read(kind, id).await?.values;
    let mapping = match kind {
        Kind::User => Some(&opened.rules.user),
        Kind::Group => opened.rules.group.as_ref(),
    };
    let attributes = mapping.map_or(&[][..], |it| it.attributes.as_slice());
    for attribute in attributes.iter().filter(|it| it.redacted()) {
        if values.get(&attribute.target).is_some() {
            values.set(attribute.target.as_str(), Value::from(REDACTED));
        }
    }
    Ok(values)
}
