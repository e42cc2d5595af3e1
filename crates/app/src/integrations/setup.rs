//! A link for the administrator of the customer, who sets up the sender: it shows the SCIM URL and gives a
//! token, once.

use muster_model::integration::Purpose;
use muster_model::{Secret, Timestamp};
use muster_store::{audit as audit_log, clients};

use crate::integrations::tokens::{add, issue, new_secret};
use crate::integrations::{Issued, audited, find, token_hash};
use crate::{AppError, Ctx};

/// What a link shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setup {
    /// The integration.
    pub integration: String,
    /// Until when the link can be used.
    pub expires: Timestamp,
}

/// A new link for an integration: its code, which is never kept, and until when it can be used.
pub async fn setup_link(
    ctx: &Ctx,
    name: &str,
    days: u32,
) -> Result<(Secret<String>, Timestamp), AppError> {
    let integration = find(ctx, name).await?.id;
    let code = new_secret()?;
    let (tenant, hash) = (ctx.tenant, token_hash(code.expose()));
    let expires = ctx.clock.now().plus_seconds(i64::from(days) * 86_400);
    let entry = audited(ctx, name, &format!("setup link made, good until {expires}"));
    ctx.store
        .write::<_, AppError, _>(move |tx| {
            Box::pin(async move {
                clients::create_link(tx, tenant, integration, &hash, expires).await?;
                Ok(audit_log::append(tx, tenant, &entry).await?)
            })
        })
        .await?;
    Ok((code, expires))
}

/// What a link is for; `None` when it has expired, was used, or never was.
pub async fn open_setup(ctx: &Ctx, code: &str) -> Result<Option<Setup>, AppError> {
    let (tenant, hash, now) = (ctx.tenant, token_hash(code), ctx.clock.now());
    let found = ctx
        .store
        .read::<_, AppError, _>(|tx| {
            Box::pin(async move { Ok(clients::find_link(tx, tenant, &hash, now).await?) })
        })
        .await?;
    Ok(found.map(|(integration, expires)| Setup {
        integration,
        expires,
    }))
}

/// Uses a link up and gives a token for its integration.
pub async fn take_setup(ctx: &Ctx, code: &str) -> Result<Option<Issued>, AppError> {
    let Some(setup) = open_setup(ctx, code).await? else {
        return Ok(None);
    };
    let integration = find(ctx, &setup.integration).await?;
    let (tenant, hash, now) = (ctx.tenant, token_hash(code), ctx.clock.now());
    let (token, secret) = issue(now, integration.id, Purpose::Provision, None)?;
    let kept = token_hash(secret.expose());
    let entry = audited(ctx, &integration.name, "a token was taken by a setup link");
    let taken = ctx
        .store
        .write::<_, AppError, _>(move |tx| {
            Box::pin(async move {
                let taken = clients::take_link(tx, tenant, &hash, now).await?;
                if taken {
                    add(tx, tenant, token, &kept, now).await?;
                    audit_log::append(tx, tenant, &entry).await?;
                }
                Ok(taken)
            })
        })
        .await?;
    Ok(taken.then_some(Issued {
        integration,
        token: secret,
    }))
}
