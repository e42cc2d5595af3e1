//! Who waits for whom on PostgreSQL, so that the events of a resource are in order; SQLite has one writer.
//!
//! What a transaction may change it holds before it does anything else. So the events of a resource are written by
//! transactions in the order in which PostgreSQL numbers them: it gives a number at the first write, and without
//! this somebody with a lower number could still wait behind one with a higher one. Everybody takes what they hold
//! in the same order: the integration, what is no group, groups; so nobody waits in a circle.

use std::collections::{BTreeSet, HashMap};
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

/// Groups that are held one by one at most, for locks of all sessions together are limited; what changes more of
/// them is alone.
const LOCKED: usize = 50;

/// What a transaction holds that is about to delete a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nobody else changes anything.
    Everything,
    /// The resource, and these groups that it is a member of.
    Groups(Vec<ResourceId>),
}

/// Waits until nobody else changes anything that is there already.
pub async fn wait_for_everything(tx: &mut Tx<'_>, place: Place) -> Result<(), StoreError> {
    if tx.is_postgres() {
        let sql = "SELECT 1 FROM (SELECT pg_advisory_xact_lock($1)) waited";
        let _: Option<(i64,)> = tx.one(sql, &[everything(place).into()]).await?;
    }
    Ok(())
}

/// Waits until a transaction may make these writes; answers what it holds for each.
pub(crate) async fn wait(
    tx: &mut Tx<'_>,
    place: Place,
    writes: &[About],
) -> Result<Vec<Held>, StoreError> {
    let alone = || vec![Held::Everything; writes.len()];
    let (mut others, mut groups) = (BTreeSet::new(), BTreeSet::new());
    let mut deleted = Vec::new();
    for write in writes {
        match *write {
            About::New(_) => {}
            // Groups may hold each other, and then two that are deleted would wait for each other.
            About::Deletion(ResourceKind::GROUP, _) => {
                wait_for_everything(tx, place).await?;
                return Ok(alone());
            }
            About::Change(ResourceKind::GROUP, id) => drop(groups.insert(number(id))),
            About::Change(_, id) => drop(others.insert(number(id))),
            About::Deletion(_, id) => {
                others.insert(number(id));
                deleted.push(id);
            }
        }
    }
    let nothing = vec![Held::Groups(Vec::new()); writes.len()];
    if deleted.is_empty() {
        hold(tx, place, others.into_iter().chain(groups)).await?;
        return Ok(nothing);
    }
    hold(tx, place, others).await?;
    let mut holding = groups_of_deleted(tx, place, &deleted).await?;
    groups.extend(holding.values().flatten().copied().map(number));
    if groups.len() > LOCKED {
        tx.begin_anew().await?;
        wait_for_everything(tx, place).await?;
        return Ok(alone());
    }
    hold(tx, place, groups).await?;
    let held = writes.iter().map(|write| match write {
        About::Deletion(_, id) => Held::Groups(holding.remove(id).unwrap_or_default()),
        _ => Held::Groups(Vec::new()),
    });
    Ok(held.collect())
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

/// The groups that hold what is about to be deleted.
async fn groups_of_deleted(
    tx: &mut Tx<'_>,
    place: Place,
    deleted: &[ResourceId],
) -> Result<HashMap<ResourceId, Vec<ResourceId>>, StoreError> {
    let names: Vec<String> = deleted.iter().map(ToString::to_string).collect();
    let mut holding: HashMap<ResourceId, Vec<ResourceId>> = HashMap::new();
    for part in names.chunks(LOOKED_UP) {
        let (list, params) = in_list(place.params([]), part);
        let sql = format!(
            "SELECT member, group_id FROM resource_members \
             WHERE tenant = $1 AND integration = $2 AND member IN {list} ORDER BY member, group_id"
        );
        let rows: Vec<(String, ResourceId)> = tx.all(&sql, &params).await?;
        for (member, group) in rows {
            if let Ok(member) = member.parse() {
                holding.entry(member).or_default().push(group);
            }
        }
    }
    Ok(holding)
}

/// The ids of the groups that hold a resource, in their order.
pub(super) async fn ids_of_groups(
    tx: &mut Tx<'_>,
    place: Place,
    id: ResourceId,
) -> Result<Vec<ResourceId>, StoreError> {
    let mut holding = groups_of_deleted(tx, place, &[id]).await?;
    Ok(holding.remove(&id).unwrap_or_default())
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
