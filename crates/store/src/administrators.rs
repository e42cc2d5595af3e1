//! Who may use the pages, who is signed in, and the links with which the first one comes in. Of passwords, sessions and
//! links only hashes are kept.

use muster_model::administrator::{Administrator, Role, Session};
use muster_model::{AdministratorId, SessionId, TenantId, Timestamp};

use crate::users::name_key;
use crate::{FromRow, Row, StoreError, Tx};

const COLUMNS: &str = "id, name, role, created, last_signed_in";
const OF_SESSION: &str = "id, administrator, csrf, created, last_seen, expires, agent";

impl FromRow for Administrator {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.take()?,
            name: row.take()?,
            role: {
                let role: String = row.take()?;
                let role: Result<Role, ()> = role.parse();
                role.map_err(|()| row.corrupt("unknown role"))?
            },
            created: row.take()?,
            last_signed_in: row.take()?,
        })
    }
}

impl FromRow for Session {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.take()?,
            administrator: row.take()?,
            csrf: row.take()?,
            created: row.take()?,
            last_seen: row.take()?,
            expires: row.take()?,
            agent: row.take()?,
        })
    }
}

/// Adds somebody, with the hash of their password.
///
/// # Errors
///
/// [`StoreError::Duplicate`] when somebody has this name, ignoring case.
pub async fn add(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    who: &Administrator,
    password: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO administrators (tenant, id, name, name_key, role, password, created) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let params = [
        tenant.into(),
        who.id.into(),
        (&who.name).into(),
        name_key(&who.name).into(),
        who.role.as_str().into(),
        password.into(),
        who.created.into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// Everybody, by name.
pub async fn list(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Vec<Administrator>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM administrators WHERE tenant = $1 ORDER BY name_key, id");
    tx.all(&sql, &[tenant.into()]).await
}

/// Everybody, held against others who would change them until the transaction ends.
pub async fn list_to_change(
    tx: &mut Tx<'_>,
    tenant: TenantId,
) -> Result<Vec<Administrator>, StoreError> {
    // SQLite has one writer.
    if tx.is_postgres() {
        let sql = "SELECT id FROM administrators WHERE tenant = $1 ORDER BY id FOR UPDATE";
        let _: Vec<(AdministratorId,)> = tx.all(sql, &[tenant.into()]).await?;
    }
    list(tx, tenant).await
}

/// Somebody by id.
pub async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: AdministratorId,
) -> Result<Option<Administrator>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM administrators WHERE tenant = $1 AND id = $2");
    tx.one(&sql, &[tenant.into(), id.into()]).await
}

/// The id of who has a name, ignoring case, and the hash of their password.
pub async fn password(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    name: &str,
) -> Result<Option<(AdministratorId, String)>, StoreError> {
    let sql = "SELECT id, password FROM administrators WHERE tenant = $1 AND name_key = $2";
    tx.one(sql, &[tenant.into(), name_key(name).into()]).await
}

/// Gives somebody another password, by its hash; answers whether they are there.
pub async fn set_password(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: AdministratorId,
    password: &str,
) -> Result<bool, StoreError> {
    let sql = "UPDATE administrators SET password = $1 WHERE tenant = $2 AND id = $3";
    let params = [password.into(), tenant.into(), id.into()];
    Ok(tx.exec(sql, &params).await? > 0)
}

/// Gives somebody another role; answers whether they are there.
pub async fn set_role(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: AdministratorId,
    role: Role,
) -> Result<bool, StoreError> {
    let sql = "UPDATE administrators SET role = $1 WHERE tenant = $2 AND id = $3";
    let params = [role.as_str().into(), tenant.into(), id.into()];
    Ok(tx.exec(sql, &params).await? > 0)
}

/// Removes somebody, and ends their sessions; answers whether they were there.
pub async fn remove(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: AdministratorId,
) -> Result<bool, StoreError> {
    end_sessions(tx, tenant, id, None).await?;
    let sql = "DELETE FROM administrators WHERE tenant = $1 AND id = $2";
    Ok(tx.exec(sql, &[tenant.into(), id.into()]).await? > 0)
}

/// Begins a session, by the hash of its token.
pub async fn begin_session(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    session: &Session,
    hash: &[u8; 32],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO sessions \
               (tenant, id, administrator, hash, csrf, created, last_seen, expires, agent) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    let params = [
        tenant.into(),
        session.id.into(),
        session.administrator.into(),
        hash.to_vec().into(),
        (&session.csrf).into(),
        session.created.into(),
        session.last_seen.into(),
        session.expires.into(),
        (&session.agent).into(),
    ];
    tx.exec(sql, &params).await?;
    let sql = "UPDATE administrators SET last_signed_in = $1 WHERE tenant = $2 AND id = $3";
    let params = [
        session.created.into(),
        tenant.into(),
        session.administrator.into(),
    ];
    tx.exec(sql, &params).await?;
    // What is over is looked at by nobody.
    let sql = "DELETE FROM sessions WHERE tenant = $1 AND expires <= $2";
    tx.exec(sql, &[tenant.into(), session.created.into()])
        .await?;
    Ok(())
}

/// The session whose token has this hash.
pub async fn session(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    hash: &[u8; 32],
) -> Result<Option<Session>, StoreError> {
    let sql = format!("SELECT {OF_SESSION} FROM sessions WHERE tenant = $1 AND hash = $2");
    tx.one(&sql, &[tenant.into(), hash.to_vec().into()]).await
}

/// The sessions of somebody, newest first.
pub async fn sessions(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    of: AdministratorId,
) -> Result<Vec<Session>, StoreError> {
    let sql = format!(
        "SELECT {OF_SESSION} FROM sessions WHERE tenant = $1 AND administrator = $2 \
         ORDER BY created DESC, id"
    );
    tx.all(&sql, &[tenant.into(), of.into()]).await
}

/// Notes that a session was used, and until when it is good.
pub async fn touch(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: SessionId,
    (seen, expires): (Timestamp, Timestamp),
) -> Result<(), StoreError> {
    let sql = "UPDATE sessions SET last_seen = $1, expires = $2 WHERE tenant = $3 AND id = $4";
    let params = [seen.into(), expires.into(), tenant.into(), id.into()];
    tx.exec(sql, &params).await.map(|_| ())
}

/// Ends one session of somebody, or all of them; answers how many.
pub async fn end_sessions(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    of: AdministratorId,
    only: Option<SessionId>,
) -> Result<u64, StoreError> {
    match only {
        None => {
            let sql = "DELETE FROM sessions WHERE tenant = $1 AND administrator = $2";
            tx.exec(sql, &[tenant.into(), of.into()]).await
        }
        Some(id) => {
            let sql = "DELETE FROM sessions WHERE tenant = $1 AND administrator = $2 AND id = $3";
            tx.exec(sql, &[tenant.into(), of.into(), id.into()]).await
        }
    }
}

/// Keeps the hash of the link with which somebody makes the first administrator; the one before is good no more.
pub async fn keep_welcome(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    hash: &[u8; 32],
    expires: Timestamp,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM welcome_links WHERE tenant = $1";
    tx.exec(sql, &[tenant.into()]).await?;
    let sql = "INSERT INTO welcome_links (tenant, hash, expires) VALUES ($1, $2, $3)";
    let params = [tenant.into(), hash.to_vec().into(), expires.into()];
    tx.exec(sql, &params).await.map(|_| ())
}

/// Is a link good?
pub async fn is_welcome(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "SELECT expires FROM welcome_links WHERE tenant = $1 AND hash = $2";
    let found: Option<(Timestamp,)> = tx.one(sql, &[tenant.into(), hash.to_vec().into()]).await?;
    Ok(found.is_some_and(|(expires,)| now < expires))
}

/// Uses a link up; answers whether it was good.
pub async fn take_welcome(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM welcome_links WHERE tenant = $1 AND hash = $2 AND expires > $3";
    let params = [tenant.into(), hash.to_vec().into(), now.into()];
    Ok(tx.exec(sql, &params).await? > 0)
}
