//! What may be done with users.

use muster_model::audit::activity;
use muster_model::directory::User;
use muster_model::{TenantId, Timestamp, UserId, Value};
use muster_store::{StoreError, Tx, audit as audit_log, users};

use super::find::{get_user, named_user};
use super::patch::{Manager, Named, UserPatch};
use super::property::quoted;
use super::upsert::{Outcome, outcome, user_after, whom};
use crate::audit::Hand;
use crate::{AppError, Ctx};

/// Creates a user from Graph properties: `userPrincipalName` must be among them, `id` may be.
pub async fn create_user(ctx: &Ctx, set: Vec<(String, Value)>) -> Result<User, AppError> {
    let (tenant, at, hand) = (ctx.tenant, ctx.clock.now(), Hand::of(ctx));
    let patch = UserPatch::read(set)?;
    let body = ctx.store.write(move |tx| {
        Box::pin(async move {
            free_name(tx, tenant, required_name(&patch)?, None).await?;
            if let Some(id) = patch.id
                && users::find(tx, tenant, id).await?.is_some()
            {
                return Err(AppError::Taken(format!(
                    "a user with the id {id} exists already"
                )));
            }
            let manager = manager(tx, tenant, &patch.manager).await?;
            let user = user_after(&patch, None, manager);
            users::put(tx, tenant, &user, at).await?;
            let entry = hand.user(activity::ADD_USER, None, Some(&user));
            audit_log::append(tx, tenant, &entry).await?;
            Ok(user)
        })
    });
    body.await.map_err(taken)
}

/// Changes what is named and nothing else; null clears. Answers whether anything changed.
pub async fn update_user(
    ctx: &Ctx,
    id: UserId,
    set: Vec<(String, Value)>,
) -> Result<bool, AppError> {
    let (tenant, at, hand) = (ctx.tenant, ctx.clock.now(), Hand::of(ctx));
    let patch = UserPatch::read(set)?;
    if patch.id.is_some_and(|given| given != id) {
        return Err(AppError::Invalid(
            "the id of a user never changes; leave it out".to_owned(),
        ));
    }
    let body = ctx.store.write(move |tx| {
        Box::pin(async move {
            let old = get_user(tx, tenant, id).await?;
            if let Some(name) = &patch.name
                && old.deleted.is_none()
            {
                free_name(tx, tenant, name, Some(id)).await?;
            }
            let manager = manager(tx, tenant, &patch.manager).await?;
            let mut user = old.clone();
            patch.apply(&mut user, manager);
            let changed = (activity::UPDATE_USER, &old, &user);
            change(tx, tenant, &hand, changed, at).await
        })
    });
    body.await.map_err(taken).map(changed)
}

/// Marks a user as deleted; it can be restored. Answers whether it was there until now.
pub async fn soft_delete_user(ctx: &Ctx, id: UserId) -> Result<bool, AppError> {
    let (tenant, at, hand) = (ctx.tenant, ctx.clock.now(), Hand::of(ctx));
    let body = ctx.store.write(move |tx| {
        Box::pin(async move {
            let old = get_user(tx, tenant, id).await?;
            let deleted = Some(old.deleted.unwrap_or(at));
            let user = User {
                deleted,
                ..old.clone()
            };
            let changed = (activity::DELETE_USER, &old, &user);
            change(tx, tenant, &hand, changed, at).await
        })
    });
    body.await.map(changed)
}

/// Undoes a soft deletion. Answers whether there was one.
pub async fn restore_user(ctx: &Ctx, id: UserId) -> Result<bool, AppError> {
    let (tenant, at, hand) = (ctx.tenant, ctx.clock.now(), Hand::of(ctx));
    let body = ctx.store.write(move |tx| {
        Box::pin(async move {
            let old = get_user(tx, tenant, id).await?;
            free_name(tx, tenant, &old.user_principal_name, Some(id)).await?;
            let user = User {
                deleted: None,
                ..old.clone()
            };
            let changed = (activity::RESTORE_USER, &old, &user);
            change(tx, tenant, &hand, changed, at).await
        })
    });
    body.await.map_err(taken).map(changed)
}

/// Removes a user for good, with its memberships and assignments.
pub async fn purge_user(ctx: &Ctx, id: UserId) -> Result<(), AppError> {
    let (tenant, at, hand) = (ctx.tenant, ctx.clock.now(), Hand::of(ctx));
    let body = ctx.store.write(move |tx| {
        Box::pin(async move {
            let user = get_user(tx, tenant, id).await?;
            users::purge(tx, tenant, id, None, at).await?;
            let entry = hand.user(activity::PURGE_USER, Some(&user), None);
            Ok(audit_log::append(tx, tenant, &entry).await?)
        })
    });
    body.await
}

/// Creates the user or makes it what is said, by the rules of an import.
pub(super) async fn upsert_user(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    patch: &UserPatch,
    at: Timestamp,
) -> Result<Outcome, AppError> {
    let by_name = users::find_by_name(tx, tenant, required_name(patch)?).await?;
    let by_id = match patch.id {
        Some(id) => users::find(tx, tenant, id).await?,
        None => None,
    };
    let old = whom(patch, by_id, by_name)?;
    let manager = manager(tx, tenant, &patch.manager).await?;
    let user = user_after(patch, old.as_ref(), manager);
    put_if_changed(tx, tenant, old.as_ref(), &user, at).await
}

/// Writes a user who was changed by hand, with its entry in the audit log.
async fn change(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    hand: &Hand,
    (activity, old, new): (&str, &User, &User),
    at: Timestamp,
) -> Result<Outcome, AppError> {
    let outcome = put_if_changed(tx, tenant, Some(old), new, at).await?;
    if changed(outcome) {
        let entry = hand.user(activity, Some(old), Some(new));
        audit_log::append(tx, tenant, &entry).await?;
    }
    Ok(outcome)
}

async fn put_if_changed(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    old: Option<&User>,
    user: &User,
    at: Timestamp,
) -> Result<Outcome, AppError> {
    let outcome = outcome(old, user);
    if outcome != Outcome::Unchanged {
        users::put(tx, tenant, user, at).await?;
    }
    Ok(outcome)
}

fn changed(outcome: Outcome) -> bool {
    outcome != Outcome::Unchanged
}

fn required_name(patch: &UserPatch) -> Result<&str, AppError> {
    let missing = || AppError::Invalid("userPrincipalName: is missing".to_owned());
    patch.name.as_deref().ok_or_else(missing)
}

/// Refuses a sign-in name that another living user has.
async fn free_name(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    name: &str,
    own: Option<UserId>,
) -> Result<(), AppError> {
    match users::find_by_name(tx, tenant, name).await? {
        Some(holder) if Some(holder.id) != own => Err(AppError::Taken(format!(
            "{} is the user {} already; choose another userPrincipalName",
            quoted(name),
            holder.id
        ))),
        _ => Ok(()),
    }
}

/// The name was free when looked at, and taken when written.
fn taken(error: AppError) -> AppError {
    match error {
        AppError::Store(StoreError::Duplicate(_)) => AppError::Taken(
            "another user got this userPrincipalName just now; choose another one".to_owned(),
        ),
        other => other,
    }
}

/// The manager that is named, who must exist.
async fn manager(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    manager: &Manager,
) -> Result<Manager<UserId>, AppError> {
    let text = match manager {
        Manager::Keep => return Ok(Manager::Keep),
        Manager::Clear => return Ok(Manager::Clear),
        Manager::Set(Named::Id(id)) => id.to_string(),
        Manager::Set(Named::Name(name)) => name.clone(),
    };
    let found = named_user(tx, tenant, &text).await?;
    let unknown = || AppError::Invalid(format!("manager: there is no user {}", quoted(&text)));
    Ok(Manager::Set(found.ok_or_else(unknown)?.id))
}
