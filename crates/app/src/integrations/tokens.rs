//! Tokens of integrations: for the sender, and for the application that reads.

use muster_model::integration::{Purpose, Token};
use muster_model::secret::new_token;
use muster_model::{IntegrationId, Secret, Timestamp, TokenId};
use muster_store::integrations;

use crate::integrations::{Issued, find, token_hash};
use crate::{AppError, Ctx};

/// Tokens of one integration and purpose that may be live at a time.
const LIVE: usize = 2;

pub(super) fn issue(
    now: Timestamp,
    integration: IntegrationId,
    purpose: Purpose,
    expires: Option<Timestamp>,
) -> Result<(Token, Secret<String>), AppError> {
    let token = Token {
        id: TokenId::new(),
        integration,
        purpose,
        client: None,
        created: now,
        expires,
        revoked: None,
        last_used: None,
    };
    Ok((token, new_secret()?))
}

/// 256 random bits with the prefix of a token.
pub(super) fn new_secret() -> Result<Secret<String>, AppError> {
    new_token()
        .map_err(|error| AppError::Refused(format!("no randomness from the system: {error}")))
}

/// Is it live, and made by an administrator?
fn counts(token: &Token, purpose: Purpose, now: Timestamp) -> bool {
    let over = token.revoked.is_some() || token.expires.is_some_and(|at| at <= now);
    !over && token.client.is_none() && token.purpose == purpose
}

/// Another token for an integration, so that the one before can be replaced without a gap. Of more than
/// two live ones with this purpose the oldest is revoked; answers how many were.
pub async fn rotate(
    ctx: &Ctx,
    name: &str,
    purpose: Purpose,
    expires: Option<Timestamp>,
) -> Result<(Issued, usize), AppError> {
    let integration = find(ctx, name).await?;
    let now = ctx.clock.now();
    if expires.is_some_and(|at| at <= now) {
        return Err(AppError::Invalid(
            "the token would have expired already; choose a later time".to_owned(),
        ));
    }
    let (token, secret) = issue(now, integration.id, purpose, expires)?;
    let (tenant, id) = (ctx.tenant, integration.id);
    let hash = token_hash(secret.expose());
    let revoked = ctx
        .store
        .write(move |tx| {
            Box::pin(async move {
                integrations::add_token(tx, tenant, &token, &hash).await?;
                let live: Vec<TokenId> = integrations::tokens(tx, tenant, id)
                    .await?
                    .into_iter()
                    .filter(|(token, _)| counts(token, purpose, now))
                    .map(|(token, _)| token.id)
                    .collect();
                let too_many = live.len().saturating_sub(LIVE);
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
