//! The receiving side: integrations and their tokens.

use muster_model::integration::{Integration, Token};
use muster_model::secret::new_token;
use muster_model::{IntegrationId, Secret, TokenId};
use muster_store::{StoreError, integrations};
use sha2::{Digest, Sha256};

use crate::{AppError, Ctx};

/// Longest name of anything that a person names.
pub(crate) const LONGEST_NAME: usize = 200;
/// Tokens of one integration that may be live at a time.
const LIVE_TOKENS: usize = 2;

/// An integration with the token that is shown this once.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The integration.
    pub integration: Integration,
    /// Its new token.
    pub token: Secret<String>,
}

/// The path of an integration's SCIM service below the server's address.
pub fn scim_path(id: IntegrationId) -> String {
    format!("/scim/{id}/v2")
}

/// A name without blanks around it, neither empty nor endless.
pub(crate) fn valid_name(what: &str, name: &str) -> Result<String, AppError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control)
    {
        return Err(AppError::Invalid(format!(
            "the name of the {what} must have 1 to {LONGEST_NAME} characters, none of them a \
             control character"
        )));
    }
    Ok(name.to_owned())
}

/// SHA-256 of a token: the only form in which it is kept.
pub(crate) fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn issue(ctx: &Ctx, integration: IntegrationId) -> Result<(Token, Secret<String>), AppError> {
    let secret = new_token()
        .map_err(|error| AppError::Refused(format!("no randomness from the system: {error}")))?;
    let token = Token {
        id: TokenId::new(),
        integration,
        created: ctx.clock.now(),
        expires: None,
        revoked: None,
        last_used: None,
    };
    Ok((token, secret))
}

/// A new integration of the kind "Third-party Users & Groups Sync", with its first token.
pub async fn create(ctx: &Ctx, name: &str) -> Result<Issued, AppError> {
    let name = valid_name("integration", name)?;
    let integration = Integration {
        id: IntegrationId::new(),
        name,
        created: ctx.clock.now(),
    };
    let (token, secret) = issue(ctx, integration.id)?;
    let (tenant, kept, hash) = (ctx.tenant, integration.clone(), token_hash(secret.expose()));
    ctx.store
        .write(move |tx| {
            Box::pin(async move {
                integrations::create(tx, tenant, &kept).await.map_err(|error| match error {
                    StoreError::Duplicate(_) => AppError::Taken(format!(
                        "there is an integration named {} already; choose another name, or get a \
                         new token for it with: muster integration rotate",
                        kept.name
                    )),
                    other => other.into(),
                })?;
                integrations::add_token(tx, tenant, &token, &hash).await?;
                Ok::<_, AppError>(())
            })
        })
        .await?;
    Ok(Issued {
        integration,
        token: secret,
    })
}

/// All integrations with their tokens (never the secrets).
pub async fn list(ctx: &Ctx) -> Result<Vec<(Integration, Vec<Token>)>, AppError> {
    let tenant = ctx.tenant;
    ctx.store
        .read(|tx| {
            Box::pin(async move {
                let mut all = Vec::new();
                for integration in integrations::list(tx, tenant).await? {
                    let tokens = integrations::tokens(tx, tenant, integration.id).await?;
                    all.push((
                        integration,
                        tokens.into_iter().map(|(token, _)| token).collect(),
                    ));
                }
                Ok(all)
            })
        })
        .await
}

/// A second token for an integration, so that the first can be replaced without a gap. Of more than
/// two live ones the oldest is revoked; answers how many were.
pub async fn rotate(ctx: &Ctx, name: &str) -> Result<(Issued, usize), AppError> {
    let integration = find(ctx, name).await?;
    let (token, secret) = issue(ctx, integration.id)?;
    let (tenant, id, now) = (ctx.tenant, integration.id, ctx.clock.now());
    let hash = token_hash(secret.expose());
    let revoked = ctx
        .store
        .write(move |tx| {
            Box::pin(async move {
                integrations::add_token(tx, tenant, &token, &hash).await?;
                let live: Vec<TokenId> = integrations::tokens(tx, tenant, id)
                    .await?
                    .into_iter()
                    .filter(|(token, _)| token.revoked.is_none())
                    .map(|(token, _)| token.id)
                    .collect();
                let too_many = live.len().saturating_sub(LIVE_TOKENS);
                for old in live.iter().take(too_many) {
                    integrations::revoke_token(tx, tenant, *old, now).await?;
                }
                Ok::<_, AppError>(too_many)
            })
        })
        .await?;
    let issued = Issued {
        integration,
        token: secret,
    };
    Ok((issued, revoked))
}

/// Revokes every token of an integration; answers how many were live.
pub async fn revoke(ctx: &Ctx, name: &str) -> Result<u64, AppError> {
    let integration = find(ctx, name).await?;
    let (tenant, now) = (ctx.tenant, ctx.clock.now());
    ctx.store
        .write(move |tx| {
            Box::pin(async move {
                let mut revoked = 0;
                for (token, _) in integrations::tokens(tx, tenant, integration.id).await? {
                    revoked +=
                        u64::from(integrations::revoke_token(tx, tenant, token.id, now).await?);
                }
                Ok(revoked)
            })
        })
        .await
}

/// The integration with this name.
pub async fn find(ctx: &Ctx, name: &str) -> Result<Integration, AppError> {
    let (tenant, wanted) = (ctx.tenant, name.trim().to_owned());
    let found: Option<Integration> = ctx
        .store
        .read(|tx| {
            Box::pin(async move {
                Ok::<_, AppError>(integrations::find_by_name(tx, tenant, &wanted).await?)
            })
        })
        .await?;
    found.ok_or_else(|| {
        AppError::NotFound(format!(
            "there is no integration named {name}; see: muster integration list"
        ))
    })
}
