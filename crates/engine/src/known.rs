//! What the store knows of objects.

use std::collections::HashMap;

use muster_model::link::{Link, SourceAnchor};
use muster_store::intents::{self, Intent};
use muster_store::jobs::Lease;
use muster_store::{Store, StoreError, links};

/// The links of these objects.
pub(crate) async fn links_of(
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

/// What was about to be done for these objects.
pub(crate) async fn intents_of(
    store: &Store,
    lease: Lease,
    anchors: &[SourceAnchor],
) -> Result<HashMap<SourceAnchor, Intent>, StoreError> {
    let Lease { tenant, job, .. } = lease;
    let intents = store.read::<_, StoreError, _>(|tx| {
        Box::pin(async move { intents::of(tx, tenant, job, anchors).await })
    });
    Ok(intents
        .await?
        .into_iter()
        .map(|it| (it.anchor, it))
        .collect())
}
