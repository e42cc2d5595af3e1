//! Who waits for whom on PostgreSQL, so that the events of a resource are in order; SQLite has one writer.
//!
//! What a transaction may change it holds before it does anything else. So the events of a resource are written by
//! transactions in the order in which PostgreSQL numbers them: it gives a number at the first write, and without
//! this somebody with a lower number could still wait behind one with a higher one. Everybody takes what they hold
//! in the same order: the integration, what is no group, groups; so nobody waits in a circle.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};

use muster_model::ResourceId;
use muster_model::integration::ResourceKind;

use crate::resources::members::{LOOKED_UP, in_list};
use crate::resources::{Place, Resource};
use crate::{StoreError, Tx};

/// What a write of one resource is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    /// A new one, by a number that the same name always has. Nobody else knows its id, and nothing is held.
    New(u64),
    /// A change.
    Change(ResourceKind, ResourceId),
    /// A deletion, which changes the groups that hold it as well.
    Deletion(ResourceKind, ResourceId),
}

impl About {
    /// What the creation of a resource is about.
    pub fn creation(resource: &Resource) -> Self {
        let mut hasher = DefaultHasher::new();
        (resource.kind, &resource.name_key).hash(&mut hasher);
        Self::New(hasher.finish())
    }

    /// The same for what is about the same resource, and for creations that may be in each other's way.
    pub(crate) fn lane(self) -> u64 {
        match self {
            Self::New(name) => name,
            Self::Change(_, id) | Self::Deletion(_, id) => number(id),
        }
    }
}

/// By what a transaction is about to delete: the groups that hold it, and which it holds.
pub(crate) type Holders = HashMap<ResourceId, Vec<ResourceId>>;

/// Groups that are held one by one at most, for locks of all sessions together are limited; what changes more of
/// them is alone.
const LOCKED: usize = 50;

/// Waits until nobody else changes anything that is there already.
pub async fn wait_for_everything(tx: &mut Tx<'_>, place: Place) -> Result<(), StoreError> {
    if tx.is_postgres() {
        let sql = "SELECT 1 FROM (SELECT pg_advisory_xact_lock($1)) waited";
        let _: Option<(i64,)> = tx.one(sql, &[everything(place).into()]).await?;
    }
    Ok(())
}

/// Waits until a transaction may make these writes, and tells it which groups hold what it is about to delete.
pub(crate) async fn wait(
    tx: &mut Tx<'_>,
    place: Place,
    writes: &[About],
) -> Result<(), StoreError> {
    let (mut others, mut groups) = (BTreeSet::new(), BTreeSet::new());
    let mut deleted: BTreeMap<ResourceKind, BTreeSet<ResourceId>> = BTreeMap::new();
    for write in writes {
        match *write {
            About::New(_) => {}
            // Groups may hold each other, and then two that are deleted would wait for each other.
            About::Deletion(ResourceKind::GROUP, _) => {
                return wait_for_everything(tx, place).await;
            }
            About::Change(ResourceKind::GROUP, id) => drop(groups.insert(number(id))),
            About::Change(_, id) => drop(others.insert(number(id))),
            About::Deletion(kind, id) => {
                others.insert(number(id));
                deleted.entry(kind).or_default().insert(id);
            }
        }
    }
    let mut holders = HashMap::new();
    if deleted.is_empty() {
        hold(tx, place, others.into_iter().chain(groups)).await?;
    } else {
        hold(tx, place, others).await?;
        groups_of_deleted(tx, place, &deleted, &mut holders).await?;
        groups.extend(holders.values().flatten().copied().map(number));
        if groups.len() > LOCKED {
            tx.begin_anew().await?;
            return wait_for_everything(tx, place).await;
        }
        if !groups.is_empty() {
            hold(tx, place, groups.iter().copied()).await?;
            // Who was waited for may have changed it; of what is not held, the deletion knows nothing.
            holders.clear();
            groups_of_deleted(tx, place, &deleted, &mut holders).await?;
            for holding in holders.values_mut() {
                holding.retain(|group| groups.contains(&number(*group)));
            }
        }
    }
    tx.holders = Some(holders);
    Ok(())
}

/// Takes locks in their order, after the shared one of the integration.
async fn hold(
    tx: &mut Tx<'_>,
    place: Place,
    numbers: impl IntoIterator<Item = u64>,
) -> Result<(), StoreError> {
    let numbers: Vec<String> = numbers
        .into_iter()
        .map(|number| (number as i64).to_string())
        .collect();
    if numbers.is_empty() {
        return Ok(());
    }
    let sql = "SELECT 1 FROM (SELECT pg_advisory_xact_lock_shared($1), pg_advisory_xact_lock(one::bigint) \
               FROM unnest(string_to_array($2, ',')) WITH ORDINALITY AS them(one, at) ORDER BY at) waited";
    let params = [everything(place).into(), numbers.join(",").into()];
    let _: Vec<(i64,)> = tx.all(sql, &params).await?;
    Ok(())
}

/// The groups that hold what is about to be deleted, as far as it is there and of this kind.
async fn groups_of_deleted(
    tx: &mut Tx<'_>,
    place: Place,
    deleted: &BTreeMap<ResourceKind, BTreeSet<ResourceId>>,
    holders: &mut Holders,
) -> Result<(), StoreError> {
    for (kind, ids) in deleted {
        let ids: Vec<ResourceId> = ids.iter().copied().collect();
        for part in ids.chunks(LOOKED_UP) {
            for id in part {
                holders.entry(*id).or_default();
            }
            let (list, params) = in_list(place.params([(*kind).into()]), part);
            let sql = format!(
                "SELECT r.id, m.group_id FROM resources r JOIN resource_members m \
                 ON m.tenant = r.tenant AND m.integration = r.integration \
                 AND m.member = encode(r.id, 'hex')::uuid::text \
                 WHERE r.tenant = $1 AND r.integration = $2 AND r.kind = $3 AND r.id IN {list}"
            );
            let rows: Vec<(ResourceId, ResourceId)> = tx.all(&sql, &params).await?;
            for (id, group) in rows {
                holders.entry(id).or_default().push(group);
            }
        }
    }
    Ok(())
}

/// The groups that hold a resource that is about to be deleted, as far as the transaction holds them.
pub(super) async fn holders_of(
    tx: &mut Tx<'_>,
    place: Place,
    id: ResourceId,
) -> Result<Vec<ResourceId>, StoreError> {
    if let Some(holders) = &tx.holders {
        return Ok(holders.get(&id).cloned().unwrap_or_default());
    }
    let sql = "SELECT group_id FROM resource_members \
               WHERE tenant = $1 AND integration = $2 AND member = $3 ORDER BY group_id";
    let groups: Vec<(ResourceId,)> = tx.all(sql, &place.params([id.to_string().into()])).await?;
    Ok(groups.into_iter().map(|(group,)| group).collect())
}

/// The lock of an integration.
fn everything(place: Place) -> i64 {
    let (tenant, number) = (place.tenant.0 as u64, place.integration as u64);
    (tenant.rotate_left(32) ^ number ^ 0x6d75_7374_6572) as i64
}

/// The lock of a resource.
fn number(id: ResourceId) -> u64 {
    let (high, low) = id.as_bytes().split_at(8);
    let half = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0_u64, |sum, it| sum << 8 | u64::from(*it))
    };
    half(high) ^ half(low).rotate_left(17)
}
