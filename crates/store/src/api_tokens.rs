//! Tokens of the control API. Only their hashes are kept.

use muster_model::api_token::ApiToken;
use muster_model::{TenantId, Timestamp, TokenId};

use crate::{FromRow, Row, StoreError, Tx};

const COLUMNS: &str = "id, name, scopes, created, expires, revoked, last_used";

impl FromRow for ApiToken {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        let (id, name) = (row.take()?, row.take()?);
        let scopes: String = row.take()?;
        Ok(Self {
            id,
            name,
            scopes: scopes.split_whitespace().map(str::to_owned).collect(),
            created: row.take()?,
            expires: row.take()?,
            revoked: row.take()?,
            last_used: row.take()?,
        })
    }
}

/// Keeps a new token.
///
/// # Errors
///
/// [`StoreError::Duplicate`] when a token that is not revoked has its name.
pub async fn add(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    token: &ApiToken,
    hash: &[u8; 32],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO api_tokens (tenant, id, name, hash, scopes, created, expires) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let params = [
        tenant.into(),
        token.id.into(),
        (&token.name).into(),
        hash.to_vec().into(),
        token.scopes.join(" ").into(),
        token.created.into(),
        token.expires.into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// The token with this hash.
pub async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    hash: &[u8; 32],
) -> Result<Option<ApiToken>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM api_tokens WHERE tenant = $1 AND hash = $2");
    tx.one(&sql, &[tenant.into(), hash.to_vec().into()]).await
}

/// All tokens, by name.
pub async fn list(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Vec<ApiToken>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM api_tokens WHERE tenant = $1 ORDER BY name, created, id");
    tx.all(&sql, &[tenant.into()]).await
}

/// Revokes the token with this name; answers whether there was one.
pub async fn revoke(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    name: &str,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE api_tokens SET revoked = $1 \
               WHERE tenant = $2 AND name = $3 AND revoked IS NULL";
    Ok(tx
        .exec(sql, &[at.into(), tenant.into(), name.into()])
        .await?
        > 0)
}

/// Notes when a token was last used.
pub async fn touch(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: TokenId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE api_tokens SET last_used = $1 WHERE tenant = $2 AND id = $3";
    tx.exec(sql, &[at.into(), tenant.into(), id.into()])
        .await
        .map(|_| ())
}
