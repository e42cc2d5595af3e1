//! Tokens of integrations: for the sender, and for the application that reads.

use muster_model::integration::{Purpose, Token};
use muster_model::secret::new_token;
use muster_model::{IntegrationId, Secret, TenantId, Timestamp, TokenId};
use muster_store::{StoreError, Tx, audit as audit_log, clients, integrations};

use crate::integrations::{Issued, audited, find, token_hash};
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
pub(crate) fn new_secret() -> Result<Secret<String>, AppError> {
    new_token()
        .map_err(|error| AppError::Refused(format!("no randomness from the system: {error}")))
}

/// Is it live, and made by an administrator?
fn counts(token: &Token, purpose: Purpose, now: Timestamp) -> bool {
    let over = token.revoked.is_some() || token.expires.is_some_and(|at| at <= now);
    !over && token.client.is_none() && token.purpose == purpose
}

/// Adds a token. Of more than two live ones with its purpose some are revoked: first those that were never
/// used, then the oldest; answers how many were.
pub(super) async fn add(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    token: Token,
    hash: &[u8; 32],
    now: Timestamp,
) -> Result<usize, StoreError> {
    integrations::add_token(tx, tenant, &token, hash).await?;
    let all = integrations::tokens(tx, tenant, token.integration).await?;
    let live = all
        .into_iter()
        .map(|(one, _)| one)
        .filter(|one| counts(one, token.purpose, now) && one.id != token.id);
    let mut live: Vec<Token> = live.collect();
    live.sort_by_key(|one| (one.last_used.is_some(), one.created));
    let too_many = (live.len() + 1).saturating_sub(LIVE);
    for old in live.iter().take(too_many) {
        integrations::revoke_token(tx, tenant, old.id, now).await?;
    }
    Ok(too_many)
}

/// Another token for an integration, so that the one before can be replaced without a gap. Of more than
/// two live ones with this purpose one that was never used, or else the oldest, is revoked; answers how
/// many were.
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
    let tenant = ctx.tenant;
    let hash = token_hash(secret.expose());
    let entry = audited(ctx, &integration.name, &format!("token {} made", token.id));
    let revoked = ctx
        .store
        .write(move |tx| {
            Box::pin(async move {
                let revoked = add(tx, tenant, token, &hash, now).await?;
                audit_log::append(tx, tenant, &entry).await?;
                Ok::<_, AppError>(revoked)
            })
        })
        .await?;
    let issued = Issued {
        integration,
        token: secret,
    };
    Ok((issued, revoked))
}

/// Shuts everybody out of an integration: revokes every token, and removes OAuth clients and setup links.
/// Answers how many tokens were live.
pub async fn revoke(ctx: &Ctx, name: &str) -> Result<u64, AppError> {
    let integration = find(ctx, name).await?;
    let (tenant, now) = (ctx.tenant, ctx.clock.now());
    let entry = audited(ctx, &integration.name, "all tokens and clients revoked");
    ctx.store
        .write(move |tx| {
            Box::pin(async move {
                let mut revoked = 0;
                for (token, _) in integrations::tokens(tx, tenant, integration.id).await? {
                    let was_live = token.expires.is_none_or(|at| now < at);
                    let ended = integrations::revoke_token(tx, tenant, token.id, now).await?;
                    revoked += u64::from(ended && was_live);
                }
                clients::remove_all(tx, tenant, integration.id).await?;
                audit_log::append(tx, tenant, &entry).await?;
                Ok(revoked)
            })
        })
        .await
}
