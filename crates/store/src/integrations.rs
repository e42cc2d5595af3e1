//! Integrations and their tokens.

use muster_model::integration::{Integration, Purpose, Settings, Token};
use muster_model::{IntegrationId, TenantId, Timestamp, TokenId};

use crate::resources::Place;
use crate::users::name_key;
use crate::{FromRow, FromVal, Row, StoreError, Tx, Val};

impl FromRow for Integration {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.take()?,
            name: row.take()?,
            created: row.take()?,
            settings: Settings::from_row(row)?,
        })
    }
}

const SETTINGS: &str = "strict, requests_per_second, max_resources, max_body, allowed_networks";

impl FromRow for Settings {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        let strict = row.take()?;
        let rate: Option<i64> = row.take()?;
        let (max_resources, max_body) = (row.take()?, row.take()?);
        let networks: String = row.take()?;
        Ok(Self {
            strict,
            requests_per_second: rate.and_then(|rate| u32::try_from(rate).ok()),
            max_resources,
            max_body,
            allowed_networks: networks.split_whitespace().map(str::to_owned).collect(),
        })
    }
}

impl From<Purpose> for Val {
    fn from(purpose: Purpose) -> Self {
        Self::Int(match purpose {
            Purpose::Provision => 1,
            Purpose::Read => 2,
        })
    }
}

impl FromVal for Purpose {
    fn from_val(val: Val) -> Result<Self, String> {
        match i64::from_val(val)? {
            1 => Ok(Self::Provision),
            2 => Ok(Self::Read),
            other => Err(format!("{other} is no purpose of a token")),
        }
    }
}

impl FromRow for Token {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.take()?,
            integration: row.take()?,
            purpose: row.take()?,
            client: row.take()?,
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
    let sql = "INSERT INTO integrations (tenant, number, id, name, name_key, created, strict, \
               allowed_networks) \
               SELECT $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6, '' \
               FROM integrations WHERE tenant = $7 RETURNING number";
    let params = [
        tenant.into(),
        integration.id.into(),
        (&integration.name).into(),
        name_key(&integration.name).into(),
        integration.created.into(),
        integration.settings.strict.into(),
        tenant.into(),
    ];
    let row: Option<(i64,)> = tx.one(sql, &params).await?;
    Ok(row.map_or(0, |(number,)| number))
}

/// All integrations by name.
pub async fn list(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Vec<Integration>, StoreError> {
    let sql = format!(
        "SELECT id, name, created, {SETTINGS} FROM integrations WHERE tenant = $1 ORDER BY name_key"
    );
    tx.all(&sql, &[tenant.into()]).await
}

/// The integration with this name, ignoring case.
pub async fn find_by_name(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    name: &str,
) -> Result<Option<Integration>, StoreError> {
    let sql = format!(
        "SELECT id, name, created, {SETTINGS} FROM integrations WHERE tenant = $1 AND name_key = $2"
    );
    tx.one(&sql, &[tenant.into(), name_key(name).into()]).await
}

/// What a request to an integration needs to know of it.
#[derive(Clone, Debug)]
pub struct Basics {
    /// Its number within the tenant.
    pub number: i64,
    /// Its schemas and resource types, as JSON text.
    pub definitions: Option<String>,
    /// What it accepts.
    pub settings: Settings,
}

impl FromRow for Basics {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            number: row.take()?,
            definitions: row.take()?,
            settings: Settings::from_row(row)?,
        })
    }
}

/// The basics of the integration with this id.
pub async fn basics(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: IntegrationId,
) -> Result<Option<Basics>, StoreError> {
    let sql = format!(
        "SELECT number, definitions, {SETTINGS} FROM integrations WHERE tenant = $1 AND id = $2"
    );
    tx.one(&sql, &[tenant.into(), id.into()]).await
}

/// The basics of the integration with this number.
pub async fn basics_at(tx: &mut Tx<'_>, place: Place) -> Result<Option<Basics>, StoreError> {
    let sql = format!(
        "SELECT number, definitions, {SETTINGS} FROM integrations WHERE tenant = $1 AND number = $2"
    );
    tx.one(&sql, &place.params([])).await
}

/// Keeps the settings of an integration.
pub async fn set_settings(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: IntegrationId,
    settings: &Settings,
) -> Result<(), StoreError> {
    let sql = "UPDATE integrations SET strict = $1, requests_per_second = $2, \
               max_resources = $3, max_body = $4, allowed_networks = $5 \
               WHERE tenant = $6 AND id = $7";
    let params = [
        settings.strict.into(),
        settings.requests_per_second.into(),
        settings.max_resources.into(),
        settings.max_body.into(),
        settings.allowed_networks.join(" ").into(),
        tenant.into(),
        id.into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// Keeps the schemas and resource types of an integration, as JSON text.
pub async fn set_definitions(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: IntegrationId,
    definitions: Option<String>,
) -> Result<(), StoreError> {
    let sql = "UPDATE integrations SET definitions = $1 WHERE tenant = $2 AND id = $3";
    tx.exec(sql, &[definitions.into(), tenant.into(), id.into()])
        .await
        .map(|_| ())
}

/// Keeps the hash of a new token.
pub async fn add_token(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    token: &Token,
    hash: &[u8; 32],
) -> Result<(), StoreError> {
    let sql = "INSERT INTO integration_tokens \
               (tenant, id, integration, hash, purpose, client, created, expires) \
               SELECT $1, $2, number, $3, $4, $5, $6, $7 FROM integrations \
               WHERE tenant = $8 AND id = $9";
    let params = [
        tenant.into(),
        token.id.into(),
        hash.to_vec().into(),
        token.purpose.into(),
        token.client.into(),
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
    let sql = "SELECT t.id, i.id, t.purpose, t.client, t.created, t.expires, t.revoked, t.last_used, t.hash \
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
