//! Received resources: the SCIM documents of each integration as their senders sent them.
//!
//! A document is kept in wire form without `id`, `meta`, `members` and `groups`; what must be
//! found by is kept beside it. `integration` is the integration's number within its tenant.

mod kept;
mod lookup;
mod members;
mod waiting;

use std::borrow::Cow;
use std::collections::HashSet;

use muster_model::integration::{Happening, ResourceKind};
use muster_model::{ResourceId, TenantId, Timestamp};
use serde_json::json;

use crate::received::{self, NewEvent};
use crate::{FromRow, FromVal, Row, StoreError, Tx, Val};

pub(crate) use kept::{Known, Recent, is_belief, known, write_at_once};
pub(crate) use lookup::find_with_groups;
pub use lookup::{By, find_by};
pub use members::{
    GroupDoc, Member, NewMember, add_members, clear_members, groups_holding, groups_of,
    groups_of_each, members, remove_members,
};
pub use waiting::{About, wait_for_everything};
pub(crate) use waiting::{Held, wait, wait_in_belief};

use kept::touch;
use waiting::{holders_of, wait_beside_others};

/// Whose resources: the tenant and the integration's number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The tenant.
    pub tenant: TenantId,
    /// The number of the integration.
    pub integration: i64,
}

impl Place {
    pub(crate) fn params<const N: usize>(self, more: [Val; N]) -> Vec<Val> {
        let mut params = vec![self.tenant.into(), self.integration.into()];
        params.extend(more);
        params
    }
}

/// An id as PostgreSQL's `decode(…, 'hex')` reads it.
pub(crate) fn hex(id: ResourceId) -> String {
    id.to_string().replace('-', "")
}

impl From<ResourceKind> for Val {
    fn from(kind: ResourceKind) -> Self {
        Self::Int(kind.number())
    }
}

impl FromVal for ResourceKind {
    fn from_val(val: Val) -> Result<Self, String> {
        i64::from_val(val).map(Self::from_number)
    }
}

/// A received resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its id.
    pub id: ResourceId,
    /// What it is.
    pub kind: ResourceKind,
    /// `userName` or `displayName` in the form that is compared.
    pub name_key: String,
    /// The sender's own id for it.
    pub external_id: Option<String>,
    /// False only when the sender said `active: false`.
    pub active: bool,
    /// Grows with every change.
    pub version: i64,
    /// When it arrived.
    pub created: Timestamp,
    /// When it last changed.
    pub modified: Timestamp,
    /// The document as JSON text.
    pub doc: String,
}

pub(crate) const COLUMNS: &str =
    "id, kind, name_key, external_id, active, version, created, modified, doc";

impl FromRow for Resource {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.take()?,
            kind: row.take()?,
            name_key: row.take()?,
            external_id: row.take()?,
            active: row.take()?,
            version: row.take()?,
            created: row.take()?,
            modified: row.take()?,
            doc: row.take()?,
        })
    }
}

/// Longest name that is compared as it is; a longer one is compared by its digest.
const KEY: usize = 400;

/// The form in which `userName` and `displayName` are compared: without case. Each character is lowered on
/// its own, as filters do it; otherwise a sigma at the end of a word would be another letter.
pub fn name_key(name: &str) -> String {
    // Each character on its own, as filters do: a final sigma is a sigma.
    key(name.chars().flat_map(char::to_lowercase).collect())
}

/// The form in which a name is compared that minds case.
pub fn exact_name_key(name: &str) -> String {
    key(name.to_owned())
}

fn key(key: String) -> String {
    if key.len() <= KEY {
        return key;
    }
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(key.as_bytes());
    digest
        .iter()
        .fold(String::from("#"), |key, byte| format!("{key}{byte:02x}"))
}

/// Adds a resource; [`StoreError::Duplicate`] when its name is taken, where that is hoped not to be so at the commit at
/// the latest.
pub async fn create(tx: &mut Tx<'_>, place: Place, resource: &Resource) -> Result<(), StoreError> {
    let sql = "INSERT INTO resources (tenant, integration, id, kind, name_key, external_id, \
               active, version, created, modified, doc) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
    let params = place.params([
        resource.id.into(),
        resource.kind.into(),
        (&resource.name_key).into(),
        resource.external_id.clone().into(),
        resource.active.into(),
        resource.version.into(),
        resource.created.into(),
        resource.modified.into(),
        (&resource.doc).into(),
    ]);
    if let Some(is_there) = tx.held.foreseen.remove(&resource.id) {
        if !is_there {
            return Err(StoreError::Duplicate("resources".to_owned()));
        }
    } else if tx.held.is_hopeful {
        tx.exec_along(sql, params).await?;
    } else {
        // On PostgreSQL a statement that fails undoes the whole transaction, and this need not fail.
        let sql = format!("{sql} ON CONFLICT DO NOTHING");
        if tx.exec(&sql, &params).await? == 0 {
            return Err(StoreError::Duplicate("resources".to_owned()));
        }
    }
    add_to_total(tx, place, resource.kind, 1);
    let event = NewEvent {
        what: Happening::Created,
        kind: resource.kind,
        resource: resource.id,
        version: resource.version,
        at: resource.created,
    };
    received::append(tx, place, event, Vec::new());
    Ok(())
}

/// Writes new resources on PostgreSQL by one statement, as far as their names are free, before each is created by
/// [`create`] in the same transaction: that each of them is, no matter what becomes of the others, is the caller's
/// affair. Nothing may have been written before.
pub async fn foresee(
    tx: &mut Tx<'_>,
    place: Place,
    resources: &[&Resource],
) -> Result<(), StoreError> {
    if !tx.is_postgres() || resources.is_empty() {
        return Ok(());
    }
    let sql = "INSERT INTO resources (tenant, integration, id, kind, name_key, external_id, \
               active, version, created, modified, doc) \
               SELECT $1, $2, decode(r.id, 'hex'), r.kind, r.name_key, r.external_id, r.active, \
               r.version, r.created, r.modified, r.doc FROM ROWS FROM (json_to_recordset($3::json) \
               AS (id text, kind bigint, name_key text, external_id text, active boolean, \
               version bigint, created bigint, modified bigint, doc text)) WITH ORDINALITY AS r \
               (id, kind, name_key, external_id, active, version, created, modified, doc, place) \
               ORDER BY r.place ON CONFLICT DO NOTHING RETURNING id";
    // In the order of lanes, so that nobody waits in a circle for a name.
    let mut ordered = resources.to_vec();
    ordered.sort_by_key(|it| About::creation(it).lane());
    let rows = ordered.iter().map(|it| {
        json!({
            "id": hex(it.id), "kind": it.kind.number(),
            "name_key": it.name_key, "external_id": it.external_id, "active": it.active,
            "version": it.version, "created": it.created.as_micros(),
            "modified": it.modified.as_micros(), "doc": it.doc,
        })
    });
    let rows: serde_json::Value = rows.collect();
    let params = place.params([rows.to_string().into()]);
    // Beside others who create, and beside nobody who has the integration alone.
    wait_beside_others(tx, place).await?;
    let made: Vec<(ResourceId,)> = match tx.all(sql, &params).await {
        Err(StoreError::Deadlock) => {
            // Somebody who renames waited for a name, too.
            tx.begin_anew().await?;
            wait_for_everything(tx, place).await?;
            tx.all(sql, &params).await?
        }
        made => made?,
    };
    let made: HashSet<ResourceId> = made.into_iter().map(|(id,)| id).collect();
    let foreseen = resources.iter().map(|it| (it.id, made.contains(&it.id)));
    tx.held.foreseen.extend(foreseen);
    Ok(())
}

fn add_to_total(tx: &mut Tx<'_>, place: Place, kind: ResourceKind, more: i64) {
    tx.totals.push((place, kind, more));
}

/// Slots of each total, as many as may be written at the same time.
const SLOTS: u32 = 64;

/// The statements that write down what the totals have grown by, once for all that is committed together.
pub(crate) fn settle_totals(tx: &mut Tx<'_>) -> Vec<(Cow<'static, str>, Vec<Val>)> {
    let mut all: Vec<(Place, ResourceKind, i64)> = Vec::new();
    for (place, kind, more) in std::mem::take(&mut tx.totals) {
        match all
            .iter_mut()
            .find(|(at, of, _)| *at == place && *of == kind)
        {
            Some((_, _, sum)) => *sum += more,
            None => all.push((place, kind, more)),
        }
    }
    // Always in the same order, so that no two transactions wait for each other.
    all.sort_by_key(|(place, kind, _)| (place.tenant.0, place.integration, *kind));
    let slot = if tx.is_postgres() {
        format!("pg_backend_pid() % {SLOTS}")
    } else {
        "0".to_owned()
    };
    let sql = format!(
        "INSERT INTO resource_totals (tenant, integration, kind, slot, total) \
         VALUES ($1, $2, $3, {slot}, $4) ON CONFLICT (tenant, integration, kind, slot) \
         DO UPDATE SET total = resource_totals.total + excluded.total"
    );
    let changed = all.into_iter().filter(|(_, _, more)| *more != 0);
    changed
        .map(|(place, kind, more)| (sql.clone().into(), place.params([kind.into(), more.into()])))
        .collect()
}

/// How many resources of a kind there are.
pub async fn total(tx: &mut Tx<'_>, place: Place, kind: ResourceKind) -> Result<u64, StoreError> {
    let sql = "SELECT CAST(coalesce(sum(total), 0) AS BIGINT) FROM resource_totals \
               WHERE tenant = $1 AND integration = $2 AND kind = $3";
    let kept: Option<(i64,)> = tx.one(sql, &place.params([kind.into()])).await?;
    let own = tx
        .totals
        .iter()
        .filter(|(at, of, _)| *at == place && *of == kind);
    let own: i64 = own.map(|(_, _, more)| more).sum();
    let total = kept.map_or(0, |(total,)| total) + own;
    Ok(u64::try_from(total).unwrap_or_default())
}

fn by_id() -> String {
    format!(
        "SELECT {COLUMNS} FROM resources \
         WHERE tenant = $1 AND integration = $2 AND kind = $3 AND id = $4"
    )
}

/// The resource with this id.
pub async fn find(
    tx: &mut Tx<'_>,
    place: Place,
    kind: ResourceKind,
    id: ResourceId,
) -> Result<Option<Resource>, StoreError> {
    tx.one(&by_id(), &place.params([kind.into(), id.into()]))
        .await
}

/// The resource with this id, to be changed. On PostgreSQL the transaction must hold it already ([`About`],
/// [`wait_for_everything`]); a lock of the row would be another write, of a row that is about to be written.
pub async fn find_to_change(
    tx: &mut Tx<'_>,
    place: Place,
    kind: ResourceKind,
    id: ResourceId,
) -> Result<Option<Resource>, StoreError> {
    let recent = tx.recent.as_ref();
    if let Some(group) = recent.and_then(|recent| recent.find(place, kind, id)) {
        return Ok(Some(group.clone()));
    }
    if let Some(held) = tx.held.resources.get(&id).filter(|held| held.kind == kind) {
        let held = held.clone();
        if kind == ResourceKind::GROUP {
            tx.settle().await?;
            tx.recent = Some(Recent::new(place, held.clone()));
        }
        return Ok(Some(held));
    }
    let found = find(tx, place, kind, id).await?;
    if kind == ResourceKind::GROUP {
        tx.recent = found.clone().map(|group| Recent::new(place, group));
    }
    Ok(found)
}

/// Resources in the order of their ids: `limit` of them after `after`, `skip` left out first.
pub async fn page(
    tx: &mut Tx<'_>,
    place: Place,
    kind: ResourceKind,
    after: Option<ResourceId>,
    skip: u64,
    limit: u32,
) -> Result<Vec<Resource>, StoreError> {
    let after = after.unwrap_or(ResourceId::from_bytes([0; 16]));
    let sql = format!(
        "SELECT {COLUMNS} FROM resources WHERE tenant = $1 AND integration = $2 AND kind = $3 \
         AND id > $4 ORDER BY id LIMIT $5 OFFSET $6"
    );
    tx.all(
        &sql,
        &place.params([kind.into(), after.into(), limit.into(), skip.into()]),
    )
    .await
}

/// Writes the new form of a resource; [`StoreError::Duplicate`] when its new name is taken. Nothing is
/// written then. What happened to it, the caller writes to the event feed.
pub async fn update(
    tx: &mut Tx<'_>,
    place: Place,
    before: &Resource,
    resource: &Resource,
) -> Result<(), StoreError> {
    if before.doc == resource.doc {
        return update_version(tx, place, resource).await;
    }
    write(tx, place, before, resource).await?;
    if let Some(held) = tx.held.resources.get_mut(&resource.id) {
        *held = resource.clone();
    }
    Ok(())
}

/// Writes the version and the time of a resource of which nothing else has changed, as [`update`] does.
pub async fn update_version(
    tx: &mut Tx<'_>,
    place: Place,
    resource: &Resource,
) -> Result<(), StoreError> {
    if let Some(held) = tx.held.resources.get_mut(&resource.id) {
        (held.version, held.modified) = (resource.version, resource.modified);
    }
    let recent = tx.recent.as_mut();
    if recent.is_some_and(|recent| recent.touch(place, resource)) {
        tx.kept += 1;
        return Ok(());
    }
    let (sql, params) = touch(place, resource);
    tx.exec_along(sql, params).await
}

async fn write(
    tx: &mut Tx<'_>,
    place: Place,
    before: &Resource,
    resource: &Resource,
) -> Result<(), StoreError> {
    let (sql, mut params) =
        if before.name_key == resource.name_key && before.external_id == resource.external_id {
            // An index is written when its column is named, whether the value changes or not.
            let sql = "UPDATE resources SET active = $1, version = $2, modified = $3, doc = $4 \
                   WHERE tenant = $5 AND integration = $6 AND kind = $7 AND id = $8";
            let params: Vec<Val> = vec![
                resource.active.into(),
                resource.version.into(),
                resource.modified.into(),
                (&resource.doc).into(),
            ];
            (sql, params)
        } else {
            // On PostgreSQL a statement that fails undoes the whole transaction, and this need not fail.
            let sql = "UPDATE resources SET name_key = $1, external_id = $2, active = $3, \
                   version = $4, modified = $5, doc = $6 \
                   WHERE tenant = $7 AND integration = $8 AND kind = $9 AND id = $10 \
                   AND NOT EXISTS (SELECT 1 FROM resources o WHERE o.tenant = $7 \
                   AND o.integration = $8 AND o.kind = $9 AND o.name_key = $1 AND o.id <> $10)";
            let params: Vec<Val> = vec![
                (&resource.name_key).into(),
                resource.external_id.clone().into(),
                resource.active.into(),
                resource.version.into(),
                resource.modified.into(),
                (&resource.doc).into(),
            ];
            (sql, params)
        };
    params.extend(place.params([resource.kind.into(), resource.id.into()]));
    if before.name_key == resource.name_key && tx.held.resources.contains_key(&resource.id) {
        // Nothing is in its way.
        return tx.exec_along(sql, params).await;
    }
    if tx.exec(sql, &params).await? == 0 {
        return Err(StoreError::Duplicate("resources".to_owned()));
    }
    Ok(())
}

/// Removes a resource, its members and its memberships, and writes that to the event feed; answers whether
/// it was there. A membership in a group that is not held came later, and stays as one of somebody unknown.
pub async fn delete(
    tx: &mut Tx<'_>,
    place: Place,
    resource: &Resource,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let (kind, id) = (resource.kind, resource.id);
    let sql = "DELETE FROM resources \
               WHERE tenant = $1 AND integration = $2 AND kind = $3 AND id = $4";
    let params = place.params([kind.into(), id.into()]);
    if tx.held.resources.remove(&id).is_some() {
        tx.exec_along(sql, params).await?;
    } else if tx.exec(sql, &params).await? == 0 {
        return Ok(false);
    }
    add_to_total(tx, place, kind, -1);
    // Groups without one of their members have changed.
    let groups = holders_of(tx, place, id).await?;
    let member = [id.to_string()];
    for group in groups {
        if !remove_members(tx, place, group, &member).await?.is_empty() {
            moved(tx, place, group, &member, at).await?;
        }
    }
    if kind == ResourceKind::GROUP {
        clear_members(tx, place, id).await?;
    }
    let event = NewEvent {
        what: Happening::Deleted,
        kind,
        resource: id,
        version: resource.version,
        at,
    };
    received::append(tx, place, event, Vec::new());
    Ok(true)
}

/// Keeps what was sent with a resource that no schema declares, as JSON text, in place of what was kept.
pub async fn set_extras(
    tx: &mut Tx<'_>,
    place: Place,
    (kind, id): (ResourceKind, ResourceId),
    extras: Option<String>,
) -> Result<(), StoreError> {
    let sql = "UPDATE resources SET extras = $1 \
               WHERE tenant = $2 AND integration = $3 AND kind = $4 AND id = $5";
    let mut params: Vec<Val> = vec![extras.into()];
    params.extend(place.params([kind.into(), id.into()]));
    tx.exec(sql, &params).await.map(|_| ())
}

/// What was sent with a resource that no schema declares, as JSON text.
pub async fn extras(
    tx: &mut Tx<'_>,
    place: Place,
    (kind, id): (ResourceKind, ResourceId),
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT extras FROM resources \
               WHERE tenant = $1 AND integration = $2 AND kind = $3 AND id = $4";
    let found = tx.one(sql, &place.params([kind.into(), id.into()])).await?;
    Ok(found.and_then(|(extras,)| extras))
}

/// Gives a group another version and time, because a member is gone; the time always moves forward.
async fn moved(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
    member: &[String],
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE resources SET version = version + 1, \
               modified = CASE WHEN modified + 1000 > $1 THEN modified + 1000 ELSE $1 END \
               WHERE tenant = $2 AND integration = $3 AND kind = $4 AND id = $5 \
               RETURNING version";
    tx.held.resources.remove(&group);
    let mut params: Vec<Val> = vec![at.into()];
    params.extend(place.params([ResourceKind::GROUP.into(), group.into()]));
    let Some((version,)) = tx.one(sql, &params).await? else {
        return Ok(());
    };
    let event = NewEvent {
        what: Happening::MembersRemoved,
        kind: ResourceKind::GROUP,
        resource: group,
        version,
        at,
    };
    received::append(tx, place, event, member.to_vec());
    Ok(())
}
