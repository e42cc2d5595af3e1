//! Groups of the directory.

use muster_model::directory::Group;
use muster_model::{GroupId, ObjectId, TenantId, Timestamp};

use crate::feed::{self, Change};
use crate::listing::Listing;
use crate::lists::{self, LIST, id_list};
use crate::users::{list_key, name_key, read_doc};
use crate::{FromRow, Row, StoreError, Tx, attributes_to_json};

const COLUMNS: &str = "id, display_name, security_enabled, deleted, doc";

impl FromRow for Group {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.take()?,
            display_name: row.take()?,
            security_enabled: row.take()?,
            deleted: row.take()?,
            attributes: read_doc(row)?,
        })
    }
}

/// The group with this id, soft-deleted or not.
pub async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: GroupId,
) -> Result<Option<Group>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM groups WHERE tenant = $1 AND id = $2");
    tx.one(&sql, &[tenant.into(), id.into()]).await
}

/// The living groups with this display name, ignoring case; names need not be unique. At most ten.
pub async fn find_by_name(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    display_name: &str,
) -> Result<Vec<Group>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM groups \
         WHERE tenant = $1 AND name_key = $2 AND deleted IS NULL ORDER BY id LIMIT 10"
    );
    let mut found: Vec<Group> = tx
        .all(&sql, &[tenant.into(), list_key(display_name).into()])
        .await?;
    // Names of more than 200 characters may begin as this one.
    found.retain(|it| name_key(&it.display_name) == name_key(display_name));
    Ok(found)
}

/// Groups in the order of their ids, soft-deleted ones included, after `after`.
pub async fn page(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    after: Option<GroupId>,
    limit: u32,
) -> Result<Vec<Group>, StoreError> {
    let after = after.unwrap_or(GroupId::from_bytes([0; 16]));
    let sql =
        format!("SELECT {COLUMNS} FROM groups WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3");
    tx.all(&sql, &[tenant.into(), after.into(), limit.into()])
        .await
}

/// Living groups in the order of their names, whatever the key.
pub async fn listed(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    listing: &Listing,
    limit: u32,
) -> Result<Vec<Group>, StoreError> {
    let (rest, params) = listing.sql(tenant, "name_key", limit);
    let sql = format!("SELECT {COLUMNS} FROM groups {rest}");
    tx.all(&sql, &params).await
}

/// The groups with these ids, in no order; ids of nothing are left out.
pub async fn by_ids(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    ids: &[GroupId],
) -> Result<Vec<Group>, StoreError> {
    let mut groups = Vec::with_capacity(ids.len());
    for ids in ids.chunks(LIST) {
        let (list, mut params) = id_list(2, ids.iter().map(|id| (*id).into()));
        params.insert(0, tenant.into());
        let sql = format!("SELECT {COLUMNS} FROM groups WHERE tenant = $1 AND id IN ({list})");
        groups.extend(tx.all::<Group>(&sql, &params).await?);
    }
    Ok(groups)
}

/// Those of these ids that are there, deleted or not, in no order.
pub async fn known(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    ids: &[GroupId],
) -> Result<Vec<GroupId>, StoreError> {
    lists::known(tx, "groups", tenant, ids).await
}

/// Creates the group or replaces it wholly (its members stay).
pub async fn put(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    group: &Group,
    at: Timestamp,
) -> Result<(), StoreError> {
    let grants = |enabled: bool, deleted: Option<Timestamp>| enabled && deleted.is_none();
    let sql = "SELECT security_enabled, deleted FROM groups WHERE tenant = $1 AND id = $2";
    let before: Option<(bool, Option<Timestamp>)> =
        tx.one(sql, &[tenant.into(), group.id.into()]).await?;
    let granted = before.map(|(enabled, deleted)| grants(enabled, deleted));
    let sql = "INSERT INTO groups \
               (tenant, id, display_name, name_key, security_enabled, doc, deleted) \
               VALUES ($1, $2, $3, $4, $5, $6, $7) \
               ON CONFLICT (tenant, id) DO UPDATE SET display_name = excluded.display_name, \
               name_key = excluded.name_key, security_enabled = excluded.security_enabled, \
               doc = excluded.doc, deleted = excluded.deleted";
    let params = [
        tenant.into(),
        group.id.into(),
        (&group.display_name).into(),
        list_key(&group.display_name).into(),
        group.security_enabled.into(),
        attributes_to_json(&group.attributes).into(),
        group.deleted.into(),
    ];
    tx.exec(sql, &params).await?;
    feed::append(tx, tenant, at, &[Change::Group(group.id.into())]).await?;
    match granted {
        // Its assignments begin or cease to entitle its members (OM-3).
        Some(granted) if granted != grants(group.security_enabled, group.deleted) => {
            crate::assignments::touch_principal(tx, tenant, group.id.into(), at).await?;
        }
        _ => {}
    }
    if before.is_some_and(|(_, deleted)| deleted.is_some() != group.deleted.is_some()) {
        // And so do those of the groups that it is nested in.
        crate::memberships::touch_member(tx, tenant, group.id.into(), at).await?;
    }
    Ok(())
}

/// Removes the group for good, with its memberships and assignments.
pub async fn purge(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: GroupId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM groups WHERE tenant = $1 AND id = $2";
    let gone = tx.exec(sql, &[tenant.into(), id.into()]).await? > 0;
    if gone {
        crate::memberships::remove_group(tx, tenant, id, at).await?;
        crate::memberships::remove_member(tx, tenant, id.into(), at).await?;
        crate::assignments::remove_principal(tx, tenant, id.into(), at).await?;
        feed::append(tx, tenant, at, &[Change::GroupPurged(id.into())]).await?;
    }
    Ok(gone)
}

/// The display names of these groups, in no order.
pub async fn names(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    ids: &[ObjectId],
) -> Result<Vec<(ObjectId, String)>, StoreError> {
    let mut names = Vec::with_capacity(ids.len());
    for ids in ids.chunks(LIST) {
        let (list, mut params) = id_list(2, ids.iter().map(|id| (*id).into()));
        params.insert(0, tenant.into());
        let sql =
            format!("SELECT id, display_name FROM groups WHERE tenant = $1 AND id IN ({list})");
        names.extend(tx.all::<(ObjectId, String)>(&sql, &params).await?);
    }
    Ok(names)
}

/// How many groups there are, soft-deleted ones left out.
pub async fn count(tx: &mut Tx<'_>, tenant: TenantId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM groups WHERE tenant = $1 AND deleted IS NULL";
    Ok(tx
        .one(sql, &[tenant.into()])
        .await?
        .map_or(0, |(count,)| count))
}
