//! Tokens of the control API: made once, shown once, kept as a hash.

use data_encoding::BASE64URL_NOPAD;
pub use muster_model::api_token::{ApiToken, PERMISSIONS};
use muster_model::audit::activity;
use muster_model::secret::random_bytes;
use muster_model::{Secret, Timestamp, TokenId};
use muster_store::{StoreError, api_tokens, audit as audit_log};

use crate::integrations::{token_hash, valid_name};
use crate::{AppError, Ctx, audit};

/// How exactly the last use is known, in seconds.
const TOUCHED: i64 = 60;

/// Makes a token with these permissions; all of them, when none is named. Nobody is told it a second time.
pub async fn create(
    ctx: &Ctx,
    name: &str,
    scopes: &[String],
    expires: Option<Timestamp>,
) -> Result<(ApiToken, Secret<String>), AppError> {
    let name = valid_name("token", name)?;
    let mut allowed: Vec<String> = Vec::new();
    for scope in scopes {
        let known = PERMISSIONS
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(scope.trim()));
        let Some((known, _)) = known else {
            let all: Vec<&str> = PERMISSIONS.iter().map(|(name, _)| *name).collect();
            return Err(AppError::Invalid(format!(
                "`{scope}` is no permission; choose from: {}",
                all.join(", ")
            )));
        };
        if !allowed.iter().any(|it| it == known) {
            allowed.push((*known).to_owned());
        }
    }
    if allowed.is_empty() {
        allowed = PERMISSIONS
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
    }
    let now = ctx.clock.now();
    if expires.is_some_and(|expires| expires <= now) {
        return Err(AppError::Invalid(
            "the token would be over already".to_owned(),
        ));
    }
    let bytes = random_bytes()
        .map_err(|error| AppError::Refused(format!("no randomness from the system: {error}")))?;
    let secret = Secret::new(format!("mst_{}", BASE64URL_NOPAD.encode(&bytes)));
    let token = ApiToken {
        id: TokenId::new(),
        name,
        scopes: allowed,
        created: now,
        expires,
        revoked: None,
        last_used: None,
    };
    let (tenant, hash, kept) = (ctx.tenant, token_hash(secret.expose()), token.clone());
    let entry = audit::general(
        ctx,
        activity::TOKEN,
        format!("{} made: {}", token.name, token.scopes.join(" ")),
    );
    let added = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move {
            api_tokens::add(tx, tenant, &kept, &hash).await.map_err(|error| match error {
                StoreError::Duplicate(_) => AppError::Taken(format!(
                    "there is a token named {} already; revoke it first, or give this one another name",
                    kept.name
                )),
                other => other.into(),
            })?;
            Ok(audit_log::append(tx, tenant, &entry).await?)
        })
    });
    added.await?;
    Ok((token, secret))
}

/// All tokens, by name.
pub async fn list(ctx: &Ctx) -> Result<Vec<ApiToken>, AppError> {
    let tenant = ctx.tenant;
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(api_tokens::list(tx, tenant).await?) })
    });
    read.await
}

/// Revokes a token; it is good no more from this moment on.
pub async fn revoke(ctx: &Ctx, name: &str) -> Result<(), AppError> {
    let (tenant, now, name) = (ctx.tenant, ctx.clock.now(), name.trim().to_owned());
    let entry = audit::general(ctx, activity::TOKEN, format!("{name} revoked"));
    let revoked = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move {
            if !api_tokens::revoke(tx, tenant, &name, now).await? {
                return Err(AppError::NotFound(format!(
                    "there is no token named {name}; see: muster token list"
                )));
            }
            Ok(audit_log::append(tx, tenant, &entry).await?)
        })
    });
    revoked.await
}

/// The token, if it is good. It is looked up by its hash: what the time of that says is about the hash, of which
/// nobody can choose a byte.
pub async fn authenticate(ctx: &Ctx, token: &str) -> Result<Option<ApiToken>, AppError> {
    if token.len() > 200 {
        return Ok(None);
    }
    let (tenant, hash, now) = (ctx.tenant, token_hash(token), ctx.clock.now());
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(api_tokens::find(tx, tenant, &hash).await?) })
    });
    let Some(found) = read.await?.filter(|found| found.is_live(now)) else {
        return Ok(None);
    };
    let seen = found.last_used;
    let is_new = seen.is_none_or(|seen| now > seen.plus_seconds(TOUCHED));
    if is_new {
        let id = found.id;
        let noted = ctx.store.write::<_, AppError, _>(move |tx| {
            Box::pin(async move { Ok(api_tokens::touch(tx, tenant, id, now).await?) })
        });
        noted.await?;
    }
    Ok(Some(found))
}
