//! OAuth clients of integrations, and links to set one up.

use muster_model::{IntegrationId, TenantId, Timestamp, TokenId};

use crate::{FromRow, Row, StoreError, Tx};

/// A client and the hash of its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its `client_id`.
    pub id: TokenId,
    /// When it was made.
    pub created: Timestamp,
    /// SHA-256 of its secret.
    pub hash: Vec<u8>,
}

impl FromRow for Kept {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.take()?,
            created: row.take()?,
            hash: row.take()?,
        })
    }
}

/// Keeps a client of an integration.
pub async fn create(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    integration: IntegrationId,
    client: &Kept,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO integration_clients (tenant, id, integration, hash, created) \
               SELECT $1, $2, number, $3, $4 FROM integrations WHERE tenant = $5 AND id = $6";
    let params = [
        tenant.into(),
        client.id.into(),
        client.hash.clone().into(),
        client.created.into(),
        tenant.into(),
        integration.into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// The clients of an integration, oldest first.
pub async fn list(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    integration: IntegrationId,
) -> Result<Vec<Kept>, StoreError> {
    let sql = "SELECT c.id, c.created, c.hash FROM integrations i JOIN integration_clients c \
               ON c.tenant = i.tenant AND c.integration = i.number \
               WHERE i.tenant = $1 AND i.id = $2 ORDER BY c.created, c.id";
    tx.all(sql, &[tenant.into(), integration.into()]).await
}

/// Removes a client; answers whether it was there.
pub async fn remove(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    integration: IntegrationId,
    id: TokenId,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM integration_clients WHERE tenant = $1 AND id = $2 AND integration = \
               (SELECT number FROM integrations WHERE tenant = $3 AND id = $4)";
    let params = [tenant.into(), id.into(), tenant.into(), integration.into()];
    Ok(tx.exec(sql, &params).await? > 0)
}

/// Removes every client and every link of an integration.
pub async fn remove_all(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    integration: IntegrationId,
) -> Result<(), StoreError> {
    for table in ["integration_clients", "setup_links"] {
        let sql = format!(
            "DELETE FROM {table} WHERE tenant = $1 AND integration = \
             (SELECT number FROM integrations WHERE tenant = $2 AND id = $3)"
        );
        let params = [tenant.into(), tenant.into(), integration.into()];
        tx.exec(&sql, &params).await?;
    }
    Ok(())
}

/// Removes the access tokens of a client but for the newest few.
pub async fn forget_tokens(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    client: TokenId,
    but: usize,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM integration_tokens WHERE tenant = $1 AND client = $2 AND id NOT IN \
               (SELECT id FROM integration_tokens WHERE tenant = $3 AND client = $4 \
               ORDER BY created DESC, id DESC LIMIT $5)";
    let params = [
        tenant.into(),
        client.into(),
        tenant.into(),
        client.into(),
        (but as i64).into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// Keeps the hash of a link's code.
pub async fn create_link(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    integration: IntegrationId,
    hash: &[u8; 32],
    expires: Timestamp,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO setup_links (tenant, hash, integration, expires) \
               SELECT $1, $2, number, $3 FROM integrations WHERE tenant = $4 AND id = $5";
    let params = [
        tenant.into(),
        hash.to_vec().into(),
        expires.into(),
        tenant.into(),
        integration.into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// The name of the integration that a link sets up, if it has not expired and was not used.
pub async fn find_link(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<Option<(String, Timestamp)>, StoreError> {
    let sql = "SELECT i.name, l.expires FROM setup_links l JOIN integrations i \
               ON i.tenant = l.tenant AND i.number = l.integration \
               WHERE l.tenant = $1 AND l.hash = $2 AND l.expires > $3";
    let params = [tenant.into(), hash.to_vec().into(), now.into()];
    tx.one(sql, &params).await
}

/// Uses a link up; answers whether it could still be used. What has expired goes with it.
pub async fn take_link(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<bool, StoreError> {
    let expired = "DELETE FROM setup_links WHERE tenant = $1 AND expires <= $2";
    tx.exec(expired, &[tenant.into(), now.into()]).await?;
    let sql = "DELETE FROM setup_links WHERE tenant = $1 AND hash = $2";
    let params = [tenant.into(), hash.to_vec().into()];
    Ok(tx.exec(sql, &params).await? > 0)
}
