//! OAuth clients of an integration: senders that get their tokens by client credentials (RFC 6749 section
//! 4.4), as Entra and others can.

use muster_model::integration::{Purpose, Token};
use muster_model::{IntegrationId, Secret, TenantId, Timestamp, TokenId};
use muster_store::clients::{self as store_clients, Kept};
use muster_store::{Store, StoreError, audit as audit_log, integrations};
use subtle::ConstantTimeEq;

use crate::integrations::tokens::{issue, new_secret};
use crate::integrations::{audited, find, token_hash};
use crate::{AppError, Ctx};

/// How long an access token is good for, in seconds.
const LIFETIME: i64 = 3600;
/// Access tokens of one client that may be live at a time.
const LIVE: usize = 20;
/// Clients of one integration at most.
const CLIENTS: usize = 20;

/// An OAuth client; its secret is shown once and never kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// Its `client_id`.
    pub id: TokenId,
    /// When it was made.
    pub created: Timestamp,
}

/// A client with the secret that is shown this once.
#[derive(Clone, Debug)]
pub struct IssuedClient {
    /// The client.
    pub client: Client,
    /// The integration that it opens.
    pub integration: IntegrationId,
    /// Its `client_secret`.
    pub secret: Secret<String>,
}

/// A new client of an integration.
pub async fn add_client(ctx: &Ctx, name: &str) -> Result<IssuedClient, AppError> {
    let integration = find(ctx, name).await?.id;
    if clients(ctx, name).await?.len() >= CLIENTS {
        return Err(AppError::Refused(format!(
            "an integration has {CLIENTS} OAuth clients at most; remove one first"
        )));
    }
    let secret = new_secret()?;
    let client = Client {
        id: TokenId::new(),
        created: ctx.clock.now(),
    };
    let kept = Kept {
        id: client.id,
        created: client.created,
        hash: token_hash(secret.expose()).to_vec(),
    };
    let tenant = ctx.tenant;
    let entry = audited(ctx, name, &format!("OAuth client {} made", client.id));
    ctx.store
        .write::<_, AppError, _>(move |tx| {
            Box::pin(async move {
                store_clients::create(tx, tenant, integration, &kept).await?;
                Ok(audit_log::append(tx, tenant, &entry).await?)
            })
        })
        .await?;
    Ok(IssuedClient {
        client,
        integration,
        secret,
    })
}

/// The clients of an integration, oldest first.
pub async fn clients(ctx: &Ctx, name: &str) -> Result<Vec<Client>, AppError> {
    let (tenant, integration) = (ctx.tenant, find(ctx, name).await?.id);
    let kept = ctx
        .store
        .read::<_, AppError, _>(|tx| {
            Box::pin(async move { Ok(store_clients::list(tx, tenant, integration).await?) })
        })
        .await?;
    let shown = |kept: Kept| Client {
        id: kept.id,
        created: kept.created,
    };
    Ok(kept.into_iter().map(shown).collect())
}

/// Removes a client and revokes its access tokens.
pub async fn remove_client(ctx: &Ctx, name: &str, id: TokenId) -> Result<(), AppError> {
    let (tenant, integration) = (ctx.tenant, find(ctx, name).await?.id);
    let entry = audited(ctx, name, &format!("OAuth client {id} removed"));
    let removed = ctx
        .store
        .write::<_, AppError, _>(move |tx| {
            Box::pin(async move {
                let removed = store_clients::remove(tx, tenant, integration, id).await?;
                if removed {
                    store_clients::forget_tokens(tx, tenant, id, 0).await?;
                    audit_log::append(tx, tenant, &entry).await?;
                }
                Ok(removed)
            })
        })
        .await?;
    if removed {
        return Ok(());
    }
    Err(AppError::NotFound(format!(
        "{name} has no OAuth client {id}; see: muster integration client list {name:?}"
    )))
}

/// Gives an access token for a client's credentials, and the seconds that it is good for; `None` when they
/// are wrong. An unknown integration, an unknown client and a wrong secret are told apart by nothing.
pub(crate) async fn exchange(
    store: &Store,
    now: Timestamp,
    integration: IntegrationId,
    (client, secret): (&str, &str),
) -> Result<Option<(Secret<String>, i64)>, AppError> {
    let hash = token_hash(secret);
    let Ok(id) = client.parse::<TokenId>() else {
        return Ok(None);
    };
    let tenant = TenantId::FIRST;
    if !proven(store, tenant, integration, id, &hash).await? {
        return Ok(None);
    }
    let expires = now.plus_seconds(LIFETIME);
    let (token, access) = issue(now, integration, Purpose::Provision, Some(expires))?;
    let token = Token {
        client: Some(id),
        ..token
    };
    let hash = token_hash(access.expose());
    store
        .write::<_, AppError, _>(move |tx| {
            Box::pin(async move {
                integrations::add_token(tx, tenant, &token, &hash).await?;
                Ok(store_clients::forget_tokens(tx, tenant, id, LIVE).await?)
            })
        })
        .await?;
    Ok(Some((access, LIFETIME)))
}

async fn proven(
    store: &Store,
    tenant: TenantId,
    integration: IntegrationId,
    id: TokenId,
    hash: &[u8; 32],
) -> Result<bool, StoreError> {
    let clients = store
        .read::<_, StoreError, _>(|tx| {
            Box::pin(async move { store_clients::list(tx, tenant, integration).await })
        })
        .await?;
    let mut same = false;
    for client in clients.iter().filter(|client| client.id == id) {
        same |= bool::from(client.hash.ct_eq(hash));
    }
    Ok(same)
}
