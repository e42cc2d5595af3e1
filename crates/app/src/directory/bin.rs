//! Deleted users: kept for a while, restored, or gone for good.

use std::time::Duration;

use muster_model::directory::User;
use muster_model::{Timestamp, UserId};
use muster_store::users;

use super::property::quoted;
use crate::{AppError, Ctx};

/// So many days a deleted user can be restored (5.5).
pub const KEPT_DAYS: i64 = 30;
/// Users that go at once.
const PORTION: u32 = 100;
/// How often it is looked.
const EVERY: Duration = Duration::from_hours(1);

/// When a user who was deleted then is gone for good.
pub const fn gone_at(deleted: Timestamp) -> Timestamp {
    deleted.plus_seconds(KEPT_DAYS * 86_400)
}

/// Deleted users, those first that were deleted first.
pub async fn deleted_users(ctx: &Ctx, limit: u32) -> Result<Vec<User>, AppError> {
    let (tenant, now) = (ctx.tenant, ctx.clock.now());
    let read = ctx
        .store
        .read(|tx| Box::pin(async move { Ok(users::deleted(tx, tenant, now, limit).await?) }));
    read.await
}

/// The deleted user with this id, or the only one with this sign-in name.
pub async fn find_deleted(ctx: &Ctx, text: &str) -> Result<User, AppError> {
    let (tenant, text) = (ctx.tenant, text.trim().to_owned());
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        let text = text.clone();
        Box::pin(async move {
            if let Ok(id) = text.parse::<UserId>() {
                return Ok(Vec::from_iter(users::find(tx, tenant, id).await?));
            }
            Ok(users::deleted_by_name(tx, tenant, &text).await?)
        })
    });
    let mut found = read.await?;
    found.retain(|user| user.deleted.is_some());
    match (found.pop(), found.len()) {
        (Some(user), 0) => Ok(user),
        (Some(user), _) => {
            let ids = found.iter().map(|it| it.id).chain([user.id]);
            let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
            Err(AppError::Invalid(format!(
                "several deleted users are named {}; name one by id: {}",
                quoted(&text),
                ids.join(", ")
            )))
        }
        (None, _) => Err(AppError::NotFound(format!(
            "there is no deleted user {}; see: muster user deleted",
            quoted(&text)
        ))),
    }
}

/// Removes a deleted user for good, with memberships and assignments.
pub async fn purge(ctx: &Ctx, id: UserId) -> Result<(), AppError> {
    let (tenant, now) = (ctx.tenant, ctx.clock.now());
    let write = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move { Ok(users::purge(tx, tenant, id, Some(now), now).await?) })
    });
    if write.await? {
        return Ok(());
    }
    Err(AppError::Refused(format!(
        "the user {id} was restored, or purged, in this moment; look again with: muster user deleted"
    )))
}

/// Removes for good whoever was deleted long enough ago; answers how many.
pub async fn purge_expired(ctx: &Ctx) -> Result<u64, AppError> {
    let (tenant, now) = (ctx.tenant, ctx.clock.now());
    let before = now.plus_seconds(-KEPT_DAYS * 86_400);
    let mut gone = 0;
    loop {
        let portion = ctx.store.write::<_, AppError, _>(move |tx| {
            Box::pin(async move {
                let expired = users::deleted(tx, tenant, before, PORTION).await?;
                let mut gone = 0;
                for user in &expired {
                    let purged = users::purge(tx, tenant, user.id, Some(before), now).await?;
                    gone += u64::from(purged);
                    tracing::info!(id = %user.id, "deleted {KEPT_DAYS} days ago, gone for good");
                }
                Ok((gone, expired.len() as u64))
            })
        });
        let (purged, portion) = portion.await?;
        gone += purged;
        if portion < u64::from(PORTION) {
            return Ok(gone);
        }
    }
}

/// Does so again and again.
pub async fn keep_purging(ctx: &Ctx) {
    loop {
        match purge_expired(ctx).await {
            Ok(0) => {}
            Ok(gone) => {
                tracing::info!(gone, "users deleted {KEPT_DAYS} days ago are gone for good");
            }
            Err(error) => tracing::warn!(%error, "deleted users could not be purged; trying again"),
        }
        tokio::time::sleep(EVERY).await;
    }
}
