//! Received resources: the SCIM documents of each integration as their senders sent them.
//!
//! A document is kept in wire form without `id`, `meta`, `members` and `groups`; what must be
//! found by is kept beside it. `integration` is the integration's number within its tenant.

use muster_model::directory::Kind;
use muster_model::{ResourceId, TenantId, Timestamp};

use crate::feed::{self, Received};
use crate::{FromRow, Row, StoreError, Tx, Val};

/// Whose resources: the tenant and the integration's number in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    /// The tenant.
    pub tenant: TenantId,
    /// The number of the integration.
    pub integration: i64,
}

impl Place {
    fn params<const N: usize>(self, more: [Val; N]) -> Vec<Val> {
        let mut params = vec![self.tenant.into(), self.integration.into()];
        params.extend(more);
        params
    }
}

/// A received resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Its id.
    pub id: ResourceId,
    /// User or group.
    pub kind: Kind,
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

const COLUMNS: &str = "id, kind, name_key, external_id, active, version, created, modified, doc";

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

/// The form in which `userName` and `displayName` are compared: without case.
pub fn name_key(name: &str) -> String {
    let key = name.to_lowercase();
    if key.len() <= KEY {
        return key;
    }
    use sha2::{Digest, Sha256};
    let digest = Sha256::digest(key.as_bytes());
    digest
        .iter()
        .fold(String::from("#"), |key, byte| format!("{key}{byte:02x}"))
}

/// Adds a resource; [`StoreError::Duplicate`] when its name is taken.
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
    tx.exec(sql, &params).await?;
    add_to_total(tx, place, resource.kind, 1).await?;
    changed(tx, place, resource.created, Received::Created, resource.id).await
}

async fn changed(
    tx: &mut Tx<'_>,
    place: Place,
    at: Timestamp,
    what: Received,
    id: ResourceId,
) -> Result<(), StoreError> {
    feed::append_received(tx, place.tenant, place.integration, at, what, id).await
}

async fn add_to_total(
    tx: &mut Tx<'_>,
    place: Place,
    kind: Kind,
    more: i64,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO resource_totals (tenant, integration, kind, total) \
               VALUES ($1, $2, $3, $4) ON CONFLICT (tenant, integration, kind) \
               DO UPDATE SET total = resource_totals.total + excluded.total";
    tx.exec(sql, &place.params([kind.into(), more.into()]))
        .await
        .map(|_| ())
}

/// How many resources of a kind there are.
pub async fn total(tx: &mut Tx<'_>, place: Place, kind: Kind) -> Result<u64, StoreError> {
    let sql = "SELECT total FROM resource_totals \
               WHERE tenant = $1 AND integration = $2 AND kind = $3";
    Ok(tx
        .one(sql, &place.params([kind.into()]))
        .await?
        .map_or(0, |(total,)| total))
}

/// The resource with this id.
pub async fn find(
    tx: &mut Tx<'_>,
    place: Place,
    kind: Kind,
    id: ResourceId,
) -> Result<Option<Resource>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM resources \
         WHERE tenant = $1 AND integration = $2 AND kind = $3 AND id = $4"
    );
    tx.one(&sql, &place.params([kind.into(), id.into()])).await
}

/// The resource with this id, held against other writers until the transaction ends.
pub async fn find_for_update(
    tx: &mut Tx<'_>,
    place: Place,
    kind: Kind,
    id: ResourceId,
) -> Result<Option<Resource>, StoreError> {
    // SQLite has one writer; nobody else can change the row meanwhile.
    let lock = if tx.is_postgres() { "FOR UPDATE" } else { "" };
    let sql = format!(
        "SELECT {COLUMNS} FROM resources \
         WHERE tenant = $1 AND integration = $2 AND kind = $3 AND id = $4 {lock}"
    );
    tx.one(&sql, &place.params([kind.into(), id.into()])).await
}

/// The resource with this `userName` or `displayName`, ignoring case.
pub async fn find_by_name(
    tx: &mut Tx<'_>,
    place: Place,
    kind: Kind,
    name: &str,
) -> Result<Option<Resource>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM resources \
         WHERE tenant = $1 AND integration = $2 AND kind = $3 AND name_key = $4"
    );
    tx.one(&sql, &place.params([kind.into(), name_key(name).into()]))
        .await
}

/// The resources of a kind with this `externalId`, at most `limit`.
pub async fn find_by_external_id(
    tx: &mut Tx<'_>,
    place: Place,
    kind: Kind,
    external_id: &str,
    limit: u32,
) -> Result<Vec<Resource>, StoreError> {
    let index = tx.indexed_by("resources_external");
    let sql = format!(
        "SELECT {COLUMNS} FROM resources {index} WHERE tenant = $1 AND integration = $2 \
         AND external_id = $3 AND kind = $4 ORDER BY id LIMIT $5"
    );
    tx.all(
        &sql,
        &place.params([external_id.into(), kind.into(), limit.into()]),
    )
    .await
}

/// Resources in the order of their ids: `limit` of them after `after`, `skip` left out first.
pub async fn page(
    tx: &mut Tx<'_>,
    place: Place,
    kind: Kind,
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
/// written then.
pub async fn update(
    tx: &mut Tx<'_>,
    place: Place,
    before: &Resource,
    resource: &Resource,
) -> Result<(), StoreError> {
    let (sql, mut params) = if before.doc == resource.doc {
        let sql = "UPDATE resources SET version = $1, modified = $2 \
                   WHERE tenant = $3 AND integration = $4 AND kind = $5 AND id = $6";
        (sql, vec![resource.version.into(), resource.modified.into()])
    } else if before.name_key == resource.name_key && before.external_id == resource.external_id {
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
        let sql = "UPDATE resources SET name_key = $1, external_id = $2, active = $3, \
                   version = $4, modified = $5, doc = $6 \
                   WHERE tenant = $7 AND integration = $8 AND kind = $9 AND id = $10";
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
    tx.exec(sql, &params).await?;
    changed(tx, place, resource.modified, Received::Changed, resource.id).await
}

/// Removes a resource, its members and its memberships; answers whether it was there.
pub async fn delete(
    tx: &mut Tx<'_>,
    place: Place,
    kind: Kind,
    id: ResourceId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM resources \
               WHERE tenant = $1 AND integration = $2 AND kind = $3 AND id = $4";
    if tx
        .exec(sql, &place.params([kind.into(), id.into()]))
        .await?
        == 0
    {
        return Ok(false);
    }
    add_to_total(tx, place, kind, -1).await?;
    // Groups without one of their members have changed.
    let held = "SELECT group_id FROM resource_members \
                WHERE tenant = $1 AND integration = $2 AND member = $3";
    let groups: Vec<(ResourceId,)> = tx.all(held, &place.params([id.to_string().into()])).await?;
    for (group,) in groups {
        moved(tx, place, group, at).await?;
    }
    let index = tx.indexed_by("resource_members_member");
    let sql = format!(
        "DELETE FROM resource_members {index} \
         WHERE tenant = $1 AND integration = $2 AND member = $3"
    );
    tx.exec(&sql, &place.params([id.to_string().into()]))
        .await?;
    if kind == Kind::Group {
        clear_members(tx, place, id).await?;
    }
    changed(tx, place, at, Received::Deleted, id).await?;
    Ok(true)
}

/// Gives a group another version and time, because a member is gone; the time always moves forward.
async fn moved(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE resources SET version = version + 1, \
               modified = CASE WHEN modified + 1000 > $1 THEN modified + 1000 ELSE $1 END \
               WHERE tenant = $2 AND integration = $3 AND kind = $4 AND id = $5";
    let mut params: Vec<Val> = vec![at.into()];
    params.extend(place.params([Kind::Group.into(), group.into()]));
    tx.exec(sql, &params).await?;
    changed(tx, place, at, Received::Changed, group).await
}

/// Is there a group with this id?
pub async fn is_group(tx: &mut Tx<'_>, place: Place, id: ResourceId) -> Result<bool, StoreError> {
    let sql = "SELECT version FROM resources \
               WHERE tenant = $1 AND integration = $2 AND kind = $3 AND id = $4";
    let found: Option<(i64,)> = tx
        .one(sql, &place.params([Kind::Group.into(), id.into()]))
        .await?;
    Ok(found.is_some())
}

/// A member of a received group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The member's id as the sender gave it.
    pub value: String,
    /// User or group.
    pub kind: Kind,
    /// The name that the sender gave with it.
    pub display: Option<String>,
}

impl FromRow for Member {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            value: row.take()?,
            kind: row.take()?,
            display: row.take()?,
        })
    }
}

/// Adds members that are not there yet; answers how many were new.
pub async fn add_members(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
    members: Vec<Member>,
) -> Result<u64, StoreError> {
    let rows = members
        .into_iter()
        .map(|member| {
            let Member {
                value,
                kind,
                display,
            } = member;
            place.params([group.into(), value.into(), kind.into(), display.into()])
        })
        .collect();
    let head = "INSERT INTO resource_members \
                (tenant, integration, group_id, member, kind, display)";
    tx.insert_many(head, "ON CONFLICT DO NOTHING", rows).await
}

/// Removes members; answers how many were there.
pub async fn remove_members(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
    members: &[String],
) -> Result<u64, StoreError> {
    let sql = "DELETE FROM resource_members \
               WHERE tenant = $1 AND integration = $2 AND group_id = $3 AND member = $4";
    let mut gone = 0;
    for member in members {
        gone += tx
            .exec(sql, &place.params([group.into(), member.into()]))
            .await?;
    }
    Ok(gone)
}

/// Removes all members of a group; answers how many there were.
pub async fn clear_members(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
) -> Result<u64, StoreError> {
    let sql = "DELETE FROM resource_members \
               WHERE tenant = $1 AND integration = $2 AND group_id = $3";
    tx.exec(sql, &place.params([group.into()])).await
}

/// Members of a group in the order of their values, after `after`.
pub async fn members(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Member>, StoreError> {
    let sql = "SELECT member, kind, display FROM resource_members \
               WHERE tenant = $1 AND integration = $2 AND group_id = $3 AND member > $4 \
               ORDER BY member LIMIT $5";
    let params = place.params([group.into(), after.unwrap_or("").into(), limit.into()]);
    tx.all(sql, &params).await
}

/// The groups that hold this member, in the order of their ids; at most `limit`.
pub async fn groups_holding(
    tx: &mut Tx<'_>,
    place: Place,
    member: &str,
    limit: u32,
) -> Result<Vec<Resource>, StoreError> {
    let sql = "SELECT r.id, r.kind, r.name_key, r.external_id, r.active, r.version, r.created, \
               r.modified, r.doc FROM resource_members m CROSS JOIN resources r \
               WHERE m.tenant = $1 AND m.integration = $2 AND m.member = $3 \
               AND r.tenant = m.tenant AND r.integration = m.integration \
               AND r.kind = 2 AND r.id = m.group_id ORDER BY m.group_id LIMIT $4";
    tx.all(sql, &place.params([member.into(), limit.into()]))
        .await
}

/// The groups that a resource is a direct member of, with their documents; at most `limit`.
pub async fn groups_of(
    tx: &mut Tx<'_>,
    place: Place,
    member: &str,
    limit: u32,
) -> Result<Vec<(ResourceId, String)>, StoreError> {
    let sql = "SELECT r.id, r.doc FROM resource_members m CROSS JOIN resources r \
               WHERE m.tenant = $1 AND m.integration = $2 AND m.member = $3 \
               AND r.tenant = m.tenant AND r.integration = m.integration \
               AND r.kind = 2 AND r.id = m.group_id ORDER BY m.group_id LIMIT $4";
    tx.all(sql, &place.params([member.into(), limit.into()]))
        .await
}
