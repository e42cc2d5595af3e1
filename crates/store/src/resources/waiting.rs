//! Who waits for whom on PostgreSQL, so that the events of a resource are in order; SQLite has one writer.
//!
//! What a transaction may change it holds before it does anything else. So the events of a resource are written by
//! transactions in the order in which PostgreSQL numbers them: it gives a number at the first write, and without
//! this somebody with a lower number could still wait behind one with a higher one. Everybody takes what they hold
//! in the same order: the integration, what is no group, groups; so nobody waits in a circle.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use muster_model::ResourceId;
use muster_model::integration::ResourceKind;

use crate::resources::kept::{Recent, Roster, believe};
use crate::resources::lookup::find_each;
use crate::resources::members::{LOOKED_UP, in_list};
use crate::resources::{COLUMNS, Place, Resource};
use crate::{FromRow, Row, StoreError, Tx, Val};

/// What a write of one resource is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// A new one, by a number that the same name always has. Nobody else knows its id, and nothing is held.
    New(u64),
    /// A change.
    Change(ResourceKind, ResourceId),
    /// A change of a group by which these come or go.
    Members(ResourceId, Arc<[String]>),
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
    pub(crate) fn lane(&self) -> u64 {
        match self {
            Self::New(name) => *name,
            Self::Change(_, id) | Self::Members(id, _) | Self::Deletion(_, id) => number(*id),
        }
    }
}

/// What a transaction of PostgreSQL knows while nobody else may change it, and what it hopes.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// While others may write beside it: what it deletes, and from which groups.
    pub(super) holders: Option<Holders>,
    /// Resources that it holds, as they are now.
    pub(super) resources: HashMap<ResourceId, Resource>,
    /// While it holds a group: who is a member of it.
    pub(crate) roster: Option<Roster>,
    /// New resources that were written already, or could not be because their names were taken.
    pub(super) foreseen: HashMap<ResourceId, bool>,
    /// Names of new resources are taken to be free, and when one is not, all of it is undone.
    pub(crate) is_hopeful: bool,
}

/// By what a transaction is about to delete: the groups that hold it, and which it holds.
pub(super) type Holders = HashMap<ResourceId, Vec<ResourceId>>;

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

/// Waits until nobody has the integration alone.
pub(super) async fn wait_beside_others(tx: &mut Tx<'_>, place: Place) -> Result<(), StoreError> {
    let sql = "SELECT 1 FROM (SELECT pg_advisory_xact_lock_shared($1)) waited";
    tx.exec_along(sql, vec![everything(place).into()]).await
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
        match write {
            About::New(_) => {}
            // Groups may hold each other, and then two that are deleted would wait for each other.
            About::Deletion(ResourceKind::GROUP, _) => {
                return wait_for_everything(tx, place).await;
            }
            About::Change(ResourceKind::GROUP, id) | About::Members(id, _) => {
                groups.insert(number(*id));
            }
            About::Change(_, id) => drop(others.insert(number(*id))),
            About::Deletion(kind, id) => {
                others.insert(number(*id));
                deleted.entry(*kind).or_default().insert(*id);
            }
        }
    }
    let mut holders = HashMap::new();
    if deleted.is_empty() {
        hold(tx, place, others.into_iter().chain(groups)).await?;
    } else {
        hold(tx, place, others).await?;
        look_at_deleted(tx, place, &deleted, &mut holders).await?;
        groups.extend(holders.values().flatten().copied().map(number));
        if groups.len() > LOCKED {
            tx.held.resources.clear();
            tx.begin_anew().await?;
            return wait_for_everything(tx, place).await;
        }
        if !groups.is_empty() {
            hold(tx, place, groups.iter().copied()).await?;
            // Who was waited for may have changed it; of what is not held, the deletion knows nothing.
            holders.clear();
            look_at_deleted(tx, place, &deleted, &mut holders).await?;
            for holding in holders.values_mut() {
                holding.retain(|group| groups.contains(&number(*group)));
            }
        }
    }
    tx.held.holders = Some(holders);
    if !look_at_members(tx, place, writes).await? {
        read_held(tx, place, writes).await?;
    }
    Ok(())
}

/// Waits, without asking, until a transaction may change the members of a group that is believed to be as it was after
/// an earlier commit.
pub(crate) async fn wait_in_belief(
    tx: &mut Tx<'_>,
    place: Place,
    group: Resource,
) -> Result<(), StoreError> {
    hold(tx, place, [number(group.id)]).await?;
    believe(tx, place, group);
    Ok(())
}

/// Reads what is held and was not read yet, by one statement for each kind.
async fn read_held(tx: &mut Tx<'_>, place: Place, writes: &[About]) -> Result<(), StoreError> {
    let mut kinds: BTreeMap<ResourceKind, BTreeSet<ResourceId>> = BTreeMap::new();
    for write in writes {
        let (kind, id) = match write {
            About::New(_) | About::Deletion(..) => continue,
            About::Change(kind, id) => (*kind, *id),
            About::Members(id, _) => (ResourceKind::GROUP, *id),
        };
        kinds.entry(kind).or_default().insert(id);
    }
    for (kind, ids) in kinds {
        let ids: Vec<ResourceId> = ids.into_iter().collect();
        for resource in find_each(tx, place, kind, &ids).await? {
            tx.held.resources.insert(resource.id, resource);
        }
    }
    Ok(())
}

/// Members of one group that are looked up before they come or go, at most.
const LOOKED_AT: usize = 1000;

/// Looks up a group and who is a member, when this is all that is changed; answers whether it is.
async fn look_at_members(
    tx: &mut Tx<'_>,
    place: Place,
    writes: &[About],
) -> Result<bool, StoreError> {
    let moves = writes.iter().map(|write| match write {
        About::Members(group, members) => Some((*group, members)),
        _ => None,
    });
    let Some(moves) = moves.collect::<Option<Vec<_>>>() else {
        return Ok(false);
    };
    let Some((group, _)) = moves.first().copied() else {
        return Ok(false);
    };
    let members: Vec<&str> = moves
        .iter()
        .flat_map(|(_, members)| members.iter().map(String::as_str))
        .collect();
    if moves.iter().any(|(other, _)| *other != group) || members.len() > LOOKED_AT {
        return Ok(false);
    }
    let sql = format!(
        "SELECT {COLUMNS}, (SELECT json_agg(m.member)::text \
         FROM json_array_elements_text($1::json) AS them(one) CROSS JOIN LATERAL \
         (SELECT member FROM resource_members WHERE tenant = $2 AND integration = $3 \
         AND group_id = $4 AND member = them.one LIMIT 1) m) \
         FROM resources WHERE tenant = $2 AND integration = $3 AND id = $4 AND kind = $5"
    );
    let mut params: Vec<Val> = vec![serde_json::Value::from(members.clone()).to_string().into()];
    params.extend(place.params([group.into(), ResourceKind::GROUP.into()]));
    let Some(Known(resource, there)) = tx.one(&sql, &params).await? else {
        return Ok(true);
    };
    let there: HashSet<String> = there.into_iter().collect();
    let members = members
        .into_iter()
        .map(|member| (member.to_owned(), there.contains(member)));
    tx.held.roster = Some(Roster::new(place, group, members));
    tx.recent = Some(Recent::new(place, resource));
    Ok(true)
}

/// A resource, and a list that was looked up with it.
struct Known(Resource, Vec<String>);

impl FromRow for Known {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        let resource = Resource::from_row(row)?;
        let list: Option<String> = row.take()?;
        let list = list.as_deref().map_or(Ok(Vec::new()), |text| {
            serde_json::from_str(text).map_err(|error| row.corrupt(error.to_string()))
        })?;
        Ok(Self(resource, list))
    }
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
    let params = vec![everything(place).into(), numbers.join(",").into()];
    tx.exec_along(sql, params).await
}

/// What is about to be deleted, as far as it is there and of this kind, and the groups that hold it.
async fn look_at_deleted(
    tx: &mut Tx<'_>,
    place: Place,
    deleted: &BTreeMap<ResourceKind, BTreeSet<ResourceId>>,
    holders: &mut Holders,
) -> Result<(), StoreError> {
    for (kind, ids) in deleted {
        let ids: Vec<ResourceId> = ids.iter().copied().collect();
        for part in ids.chunks(LOOKED_UP) {
            let (list, params) = in_list(place.params([(*kind).into()]), part);
            let sql = format!(
                "SELECT {COLUMNS}, (SELECT json_agg(encode(m.group_id, 'hex')::uuid)::text \
                 FROM resource_members m WHERE m.tenant = $1 AND m.integration = $2 \
                 AND m.member = encode(r.id, 'hex')::uuid::text) FROM resources r \
                 WHERE tenant = $1 AND integration = $2 AND kind = $3 AND id IN {list}"
            );
            for Known(resource, groups) in tx.all(&sql, &params).await? {
                let groups = groups.iter().filter_map(|group| group.parse().ok());
                holders.insert(resource.id, groups.collect());
                tx.held.resources.insert(resource.id, resource);
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
    if let Some(holders) = &tx.held.holders {
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
