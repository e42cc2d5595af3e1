//! Integrations and their tokens.

use muster_model::integration::{Integration, Token};
use muster_model::{IntegrationId, TenantId, Timestamp, TokenId};

use crate::users::name_key;
use crate::{FromRow, Row, StoreError, Tx};

impl FromRow for Integration {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.take()?,
            name: row.take()?,
            created: row.take()?,
        })
    }
}

impl FromRow for Token {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.take()?,
            integration: row.take()?,
            created: row.take()?,
            expires: row.take()?,
            revoked: row.take()?,
            last_used: row.take()?,
        })
    }
}

/// Adds an integration; answers its number within the tenant, the short key of what it receives.
pub async fn create(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    integration: &Integration,
) -> Result<i64, StoreError> {
    let sql = "INSERT INTO integrations (tenant, number, id, name, name_key, created) \
               SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5 \
               FROM integrations WHERE tenant = $6 RETURNING number";
    let params = [
        tenant.into(),
        integration.id.into(),
        (&integration.name).into(),
        name_key(&integration.name).into(),
        integration.created.into(),
        tenant.into(),
    ];
    let row: Option<(i64,)> = tx.one(sql, &params).await?;
    Ok(row.map_or(0, |(number,)| number))
}

/// All integrations by name.
pub async fn list(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Vec<Integration>, StoreError> {
    let sql = "SELECT id, name, created FROM integrations WHERE tenant = $1 ORDER BY name_key";
    tx.all(sql, &[tenant.into()]).await
}

/// The integration with this name, ignoring case.
pub async fn find_by_name(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    name: &str,
) -> Result<Option<Integration>, StoreError> {
    let sql = "SELECT id, name, created FROM integrations WHERE tenant = $1 AND name_key = $2";
    tx.one(sql, &[tenant.into(), name_key(name).into()]).await
}

/// The number of an integration within its tenant.
pub async fn number(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: IntegrationId,
) -> Result<Option<i64>, StoreError> {
    let sql = "SELECT number FROM integrations WHERE tenant = $1 AND id = $2";
    Ok(tx
        .one(sql, &[tenant.into(), id.into()])
        .await?
        .map(|(number,)| number))
}

/// Keeps the hash of a new token.
pub async fn add_token(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    token: &Token,
    hash: &[u8; 32],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO integration_tokens \
               (tenant, id, integration, hash, created, expires) \
               SELECT $1, $2, number, $3, $4, $5 FROM integrations WHERE tenant = $6 AND id = $7";
    let params = [
        tenant.into(),
        token.id.into(),
        hash.to_vec().into(),
        token.created.into(),
        token.expires.into(),
        tenant.into(),
        token.integration.into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// The tokens of an integration, oldest first, with their hashes.
pub async fn tokens(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    integration: IntegrationId,
) -> Result<Vec<(Token, Vec<u8>)>, StoreError> {
    struct Both(Token, Vec<u8>);
    impl FromRow for Both {
        fn from_row(row: &mut Row) -> Result<Self, StoreError> {
            Ok(Self(Token::from_row(row)?, row.take()?))
        }
    }
    let sql = "SELECT t.id, i.id, t.created, t.expires, t.revoked, t.last_used, t.hash \
               FROM integrations i JOIN integration_tokens t \
               ON t.tenant = i.tenant AND t.integration = i.number \
               WHERE i.tenant = $1 AND i.id = $2 ORDER BY t.created, t.id";
    let rows: Vec<Both> = tx.all(sql, &[tenant.into(), integration.into()]).await?;
    Ok(rows
        .into_iter()
        .map(|Both(token, hash)| (token, hash))
        .collect())
}

/// Revokes a token; answers whether it was live.
pub async fn revoke_token(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: TokenId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE integration_tokens SET revoked = $1 \
               WHERE tenant = $2 AND id = $3 AND revoked IS NULL";
    Ok(tx.exec(sql, &[at.into(), tenant.into(), id.into()]).await? > 0)
}

/// Notes when a token was last used.
pub async fn touch_token(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: TokenId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE integration_tokens SET last_used = $1 WHERE tenant = $2 AND id = $3";
    tx.exec(sql, &[at.into(), tenant.into(), id.into()])
        .await
        .map(|_| ())
}
