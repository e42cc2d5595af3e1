//! Finding a user or group by what a person calls it.

use muster_model::directory::{Group, User};
use muster_model::{GroupId, TenantId, UserId};
use muster_store::{StoreError, Tx, groups, users};

use super::nearest::nearest;
use super::property::quoted;
use super::upsert::ambiguous;
use crate::{AppError, Ctx};

/// Objects that are looked at for a suggestion at most.
const SUGGESTIONS_FROM: u32 = 2000;

/// The user with this id (soft-deleted or not) or this sign-in name.
pub async fn find_user(ctx: &Ctx, text: &str) -> Result<User, AppError> {
    let (tenant, text) = (ctx.tenant, text.trim().to_owned());
    ctx.store
        .read(|tx| {
            Box::pin(async move {
                if let Some(user) = named_user(tx, tenant, &text).await? {
                    return Ok(user);
                }
                let known = users::page(tx, tenant, None, SUGGESTIONS_FROM).await?;
                let known = known.iter().filter(|user| user.deleted.is_none());
                let near = nearest(&text, known.map(|user| user.user_principal_name.as_str()));
                Err(AppError::NotFound(nobody(&text, near)))
            })
        })
        .await
}

/// The group with this id, or the only one with this display name.
pub async fn find_group(ctx: &Ctx, text: &str) -> Result<Group, AppError> {
    let (tenant, text) = (ctx.tenant, text.trim().to_owned());
    ctx.store
        .read(|tx| {
            Box::pin(async move {
                if let Some(group) = named_group(tx, tenant, &text).await? {
                    return Ok(group);
                }
                let known = groups::page(tx, tenant, None, SUGGESTIONS_FROM).await?;
                let near = nearest(&text, known.iter().map(|group| group.display_name.as_str()));
                Err(AppError::NotFound(match near {
                    Some(near) => {
                        format!(
                            "there is no group {}; did you mean {}?",
                            quoted(&text),
                            quoted(near)
                        )
                    }
                    None => format!(
                        "there is no group {}; name it by its id or its displayName",
                        quoted(&text)
                    ),
                }))
            })
        })
        .await
}

fn nobody(text: &str, near: Option<&str>) -> String {
    match near {
        Some(near) => format!(
            "there is no user {}; did you mean {}?",
            quoted(text),
            quoted(near)
        ),
        None => format!(
            "there is no user {}; name the user by id or userPrincipalName",
            quoted(text)
        ),
    }
}

/// The user with this id or this sign-in name.
pub(crate) async fn named_user(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    text: &str,
) -> Result<Option<User>, StoreError> {
    if let Ok(id) = text.parse::<UserId>()
        && let Some(user) = users::find(tx, tenant, id).await?
    {
        return Ok(Some(user));
    }
    users::find_by_name(tx, tenant, text).await
}

/// The group with this id, or the only one with this display name.
pub(crate) async fn named_group(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    text: &str,
) -> Result<Option<Group>, AppError> {
    if let Ok(id) = text.parse::<GroupId>()
        && let Some(group) = groups::find(tx, tenant, id).await?
    {
        return Ok(Some(group));
    }
    let mut named = groups::find_by_name(tx, tenant, text).await?;
    if named.len() > 1 {
        let ids = named.iter().map(|group| group.id);
        return Err(AppError::Invalid(ambiguous(text, ids)));
    }
    Ok(named.pop())
}

/// The user with this id, which must exist.
pub(crate) async fn get_user(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: UserId,
) -> Result<User, AppError> {
    let user = users::find(tx, tenant, id).await?;
    user.ok_or_else(|| AppError::NotFound(format!("there is no user with the id {id}")))
}

/// The group with this id, which must exist.
pub(crate) async fn get_group(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: GroupId,
) -> Result<Group, AppError> {
    let group = groups::find(tx, tenant, id).await?;
    group.ok_or_else(|| AppError::NotFound(format!("there is no group with the id {id}")))
}
