//! Users of the directory.

use muster_model::directory::User;
use muster_model::{Attributes, ObjectId, TenantId, Timestamp, UserId};

use crate::feed::{self, Change};
use crate::listing::{Key, Listing};
use crate::lists::{self, LIST, id_list};
use crate::{FromRow, Row, StoreError, Tx, attributes_from_json, attributes_to_json};

const COLUMNS: &str = "id, user_principal_name, enabled, manager, deleted, doc";

impl FromRow for User {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.take()?,
            user_principal_name: row.take()?,
            account_enabled: row.take()?,
            manager: row.take()?,
            deleted: row.take()?,
            attributes: read_doc(row)?,
        })
    }
}

pub(crate) fn read_doc(row: &mut Row) -> Result<Attributes, StoreError> {
    let doc: String = row.take()?;
    attributes_from_json(&doc).map_err(|error| row.corrupt(error.to_string()))
}

/// Sign-in names are unique ignoring case; this is the form in which they are compared.
pub fn name_key(name: &str) -> String {
    name.to_lowercase()
}

/// Characters of a key at most: databases index no text of any length.
const KEY: usize = 200;

/// What lists are in the order of: a text in the form in which it is compared, or how that begins.
pub(crate) fn list_key(text: &str) -> String {
    let mut key = name_key(text);
    if let Some((end, _)) = key.char_indices().nth(KEY) {
        key.truncate(end);
    }
    key
}

/// The user with this id, soft-deleted or not.
pub async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: UserId,
) -> Result<Option<User>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM users WHERE tenant = $1 AND id = $2");
    tx.one(&sql, &[tenant.into(), id.into()]).await
}

/// The living user with this sign-in name, ignoring case.
pub async fn find_by_name(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    user_principal_name: &str,
) -> Result<Option<User>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM users WHERE tenant = $1 AND name_key = $2 AND deleted IS NULL"
    );
    tx.one(&sql, &[tenant.into(), name_key(user_principal_name).into()])
        .await
}

/// Users that were soft-deleted at an instant or earlier, those first that were deleted first.
pub async fn deleted(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<User>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM users WHERE tenant = $1 AND deleted IS NOT NULL AND deleted <= $2 \
         ORDER BY deleted, id LIMIT $3"
    );
    tx.all(&sql, &[tenant.into(), until.into(), limit.into()])
        .await
}

/// The soft-deleted users with this sign-in name, ignoring case; there may be several.
pub async fn deleted_by_name(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    user_principal_name: &str,
) -> Result<Vec<User>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM users WHERE tenant = $1 AND name_key = $2 AND deleted IS NOT NULL \
         ORDER BY deleted, id"
    );
    tx.all(&sql, &[tenant.into(), name_key(user_principal_name).into()])
        .await
}

/// Users in the order of their ids, soft-deleted ones included, after `after`.
pub async fn page(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    after: Option<UserId>,
    limit: u32,
) -> Result<Vec<User>, StoreError> {
    let after = after.unwrap_or(UserId::from_bytes([0; 16]));
    let sql =
        format!("SELECT {COLUMNS} FROM users WHERE tenant = $1 AND id > $2 ORDER BY id LIMIT $3");
    tx.all(&sql, &[tenant.into(), after.into(), limit.into()])
        .await
}

/// Living users in the order of a key of theirs.
pub async fn listed(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    listing: &Listing,
    limit: u32,
) -> Result<Vec<User>, StoreError> {
    let column = match listing.key {
        Key::DisplayName => "display_key",
        Key::SignInName => "name_key",
        Key::Mail => "mail_key",
    };
    let (rest, params) = listing.sql(tenant, column, limit);
    let sql = format!("SELECT {COLUMNS} FROM users {rest}");
    tx.all(&sql, &params).await
}

/// The users with these ids, in no order; ids of nobody are left out.
pub async fn by_ids(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    ids: &[UserId],
) -> Result<Vec<User>, StoreError> {
    let mut users = Vec::with_capacity(ids.len());
    for ids in ids.chunks(LIST) {
        let (list, mut params) = id_list(2, ids.iter().map(|id| (*id).into()));
        params.insert(0, tenant.into());
        let sql = format!("SELECT {COLUMNS} FROM users WHERE tenant = $1 AND id IN ({list})");
        users.extend(tx.all::<User>(&sql, &params).await?);
    }
    Ok(users)
}

/// Those of these ids that are there, deleted or not, in no order.
pub async fn known(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    ids: &[UserId],
) -> Result<Vec<UserId>, StoreError> {
    lists::known(tx, "users", tenant, ids).await
}

/// Creates the user or replaces it wholly.
pub async fn put(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    user: &User,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO users \
               (tenant, id, name_key, display_key, mail_key, user_principal_name, enabled, \
               manager, doc, deleted) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
               ON CONFLICT (tenant, id) DO UPDATE SET name_key = excluded.name_key, \
               display_key = excluded.display_key, mail_key = excluded.mail_key, \
               user_principal_name = excluded.user_principal_name, enabled = excluded.enabled, \
               manager = excluded.manager, doc = excluded.doc, deleted = excluded.deleted";
    let params = [
        tenant.into(),
        user.id.into(),
        name_key(&user.user_principal_name).into(),
        list_key(user.attributes.text("displayName").unwrap_or_default()).into(),
        user.attributes.text("mail").map(list_key).into(),
        (&user.user_principal_name).into(),
        user.account_enabled.into(),
        user.manager.into(),
        attributes_to_json(&user.attributes).into(),
        user.deleted.into(),
    ];
    tx.exec(sql, &params).await?;
    feed::append(tx, tenant, at, &[Change::User(user.id.into())]).await
}

/// Removes the user for good, with its memberships and assignments; only one that was soft-deleted until an instant,
/// where it is given. Answers whether it was there.
pub async fn purge(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: UserId,
    deleted_until: Option<Timestamp>,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let (sql, params) = match deleted_until {
        None => (
            "DELETE FROM users WHERE tenant = $1 AND id = $2",
            vec![tenant.into(), id.into()],
        ),
        // Somebody may have been restored since they were looked for.
        Some(until) => (
            "DELETE FROM users WHERE tenant = $1 AND id = $2 AND deleted IS NOT NULL \
             AND deleted <= $3",
            vec![tenant.into(), id.into(), until.into()],
        ),
    };
    let gone = tx.exec(sql, &params).await? > 0;
    if gone {
        crate::memberships::remove_member(tx, tenant, id.into(), at).await?;
        crate::assignments::remove_principal(tx, tenant, id.into(), at).await?;
        feed::append(tx, tenant, at, &[Change::UserPurged(id.into())]).await?;
    }
    Ok(gone)
}

/// The sign-in names of these users, in no order.
pub async fn names(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    ids: &[ObjectId],
) -> Result<Vec<(ObjectId, String)>, StoreError> {
    let mut names = Vec::with_capacity(ids.len());
    for ids in ids.chunks(LIST) {
        let (list, mut params) = id_list(2, ids.iter().map(|id| (*id).into()));
        params.insert(0, tenant.into());
        let sql = format!(
            "SELECT id, user_principal_name FROM users WHERE tenant = $1 AND id IN ({list})"
        );
        names.extend(tx.all::<(ObjectId, String)>(&sql, &params).await?);
    }
    Ok(names)
}

/// The managers of these users, in no order.
pub async fn managers(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    ids: &[ObjectId],
) -> Result<Vec<(ObjectId, Option<ObjectId>)>, StoreError> {
    let mut managers = Vec::with_capacity(ids.len());
    for ids in ids.chunks(LIST) {
        let (list, mut params) = id_list(2, ids.iter().map(|id| (*id).into()));
        params.insert(0, tenant.into());
        let sql = format!("SELECT id, manager FROM users WHERE tenant = $1 AND id IN ({list})");
        managers.extend(
            tx.all::<(ObjectId, Option<ObjectId>)>(&sql, &params)
                .await?,
        );
    }
    Ok(managers)
}

/// Who reports to these people: user and manager, in no order.
pub async fn reports(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    managers: &[ObjectId],
) -> Result<Vec<(ObjectId, ObjectId)>, StoreError> {
    let mut reports = Vec::new();
    for ids in managers.chunks(LIST) {
        let (list, mut params) = id_list(2, ids.iter().map(|id| (*id).into()));
        params.insert(0, tenant.into());
        let sql =
            format!("SELECT id, manager FROM users WHERE tenant = $1 AND manager IN ({list})");
        reports.extend(tx.all::<(ObjectId, ObjectId)>(&sql, &params).await?);
    }
    Ok(reports)
}

/// How many users there are, soft-deleted ones left out.
pub async fn count(tx: &mut Tx<'_>, tenant: TenantId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM users WHERE tenant = $1 AND deleted IS NULL";
    Ok(tx
        .one(sql, &[tenant.into()])
        .await?
        .map_or(0, |(count,)| count))
}
