//! Who waits for whom on PostgreSQL, so that the events of a resource are in order; SQLite has one writer.

use muster_model::ResourceId;
use muster_model::integration::ResourceKind;

use crate::resources::{Place, Resource, by_id};
use crate::{StoreError, Tx, Val};

/// Who else may write while a transaction does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alone {
    /// Nobody who changes this resource.
    With(ResourceId),
    /// Nobody who changes anything of the integration that is there already.
    WithEverything,
}

/// Groups that are locked one by one at most; a deletion that changes more of them is alone.
const LOCKED: usize = 50;

/// What a transaction holds that is about to delete a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Held {
    /// Nobody else changes anything.
    Everything,
    /// The resource, and these groups that it is a member of.
    Groups(Vec<ResourceId>),
}

/// Waits until a transaction may delete a resource, and change the groups that hold it.
pub async fn wait_for_deletion(
    tx: &mut Tx<'_>,
    place: Place,
    kind: ResourceKind,
    id: ResourceId,
) -> Result<Held, StoreError> {
    if !tx.is_postgres() {
        return Ok(Held::Everything);
    }
    if kind == ResourceKind::GROUP {
        // Groups may hold each other, and then two that are deleted would wait for each other.
        wait_for(tx, place, Alone::WithEverything).await?;
        return Ok(Held::Everything);
    }
    // Read before anything is held; locks of all sessions together are limited.
    let many = ids_of_groups(tx, place, id).await?.len() > LOCKED;
    if many {
        wait_for(tx, place, Alone::WithEverything).await?;
        return Ok(Held::Everything);
    }
    wait_for(tx, place, Alone::With(id)).await?;
    // What is not of this kind will be refused, and must not make others wait.
    let is_there = (by_id(), place.params([kind.into(), id.into()]));
    let holding = (
        IDS_OF_GROUPS.to_owned(),
        place.params([id.to_string().into()]),
    );
    let (found, groups): (Vec<Resource>, Vec<(ResourceId,)>) = tx.two(is_there, holding).await?;
    if found.is_empty() {
        return Ok(Held::Groups(Vec::new()));
    }
    let groups: Vec<ResourceId> = groups.into_iter().map(|(group,)| group).collect();
    for group in &groups {
        wait_for(tx, place, Alone::With(*group)).await?;
    }
    Ok(Held::Groups(groups))
}

const IDS_OF_GROUPS: &str = "SELECT group_id FROM resource_members \
                             WHERE tenant = $1 AND integration = $2 AND member = $3 \
                             ORDER BY group_id";

/// The ids of the groups that hold a resource, in their order.
pub(super) async fn ids_of_groups(
    tx: &mut Tx<'_>,
    place: Place,
    id: ResourceId,
) -> Result<Vec<ResourceId>, StoreError> {
    let params = place.params([id.to_string().into()]);
    let groups: Vec<(ResourceId,)> = tx.all(IDS_OF_GROUPS, &params).await?;
    Ok(groups.into_iter().map(|(group,)| group).collect())
}

/// Waits until a transaction may change what it is about to, before it does anything else. So the events
/// of a resource are written by transactions in the order in which PostgreSQL numbers them: it gives a number at
/// the first write, and without this somebody with a lower number could still wait behind one with a higher
/// one. SQLite has one writer.
pub async fn wait_for(tx: &mut Tx<'_>, place: Place, alone: Alone) -> Result<(), StoreError> {
    if !tx.is_postgres() {
        return Ok(());
    }
    let (tenant, number) = (place.tenant.0 as u64, place.integration as u64);
    let everything = (tenant.rotate_left(32) ^ number ^ 0x6d75_7374_6572) as i64;
    let (sql, params): (_, Vec<Val>) = match alone {
        Alone::WithEverything => (
            "SELECT 1 FROM (SELECT pg_advisory_xact_lock($1)) waited",
            vec![everything.into()],
        ),
        Alone::With(id) => {
            let (high, low) = id.as_bytes().split_at(8);
            let half = |bytes: &[u8]| {
                bytes
                    .iter()
                    .fold(0_u64, |sum, it| sum << 8 | u64::from(*it))
            };
            let one = (half(high) ^ half(low).rotate_left(17)) as i64;
            let sql = "SELECT 1 FROM (SELECT pg_advisory_xact_lock_shared($1), \
                       pg_advisory_xact_lock($2)) waited";
            (sql, vec![everything.into(), one.into()])
        }
    };
    let _: Option<(i64,)> = tx.one(sql, &params).await?;
    Ok(())
}
