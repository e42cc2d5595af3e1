//! One event of a directory, as `changes.jsonl` tells it.

use muster_model::ObjectId;
use muster_store::users;
use serde_json::{Map, Value as Json};

use super::json::properties;
use super::nearest::nearest;
use super::patch::{GroupPatch, UserPatch, read_id};
use super::property::quoted;
use super::upsert::Outcome;
use super::{groups, users as user_cases};
use crate::{AppError, Ctx};

const KINDS: [&str; 6] = [
    "created",
    "updated",
    "deleted",
    "memberAdded",
    "memberRemoved",
    "groupUpdated",
];

/// Makes one event happen here too. Answers whether that changed anything, so that the same event
/// may come twice.
pub async fn apply_change(ctx: &Ctx, change: &Json) -> Result<bool, AppError> {
    let Some(event) = change.as_object() else {
        return Err(AppError::Invalid(
            "a change is a JSON object with a `change`".to_owned(),
        ));
    };
    match text(event, "change")? {
        "created" => created(ctx, event).await,
        "updated" => {
            let set = properties(object(event, "set")?.clone()).collect();
            user_cases::update_user(ctx, id(event, "id")?, set).await
        }
        "groupUpdated" => {
            let set = properties(object(event, "set")?.clone()).collect();
            groups::update_group(ctx, id(event, "id")?, set).await
        }
        "deleted" => deleted(ctx, id(event, "id")?).await,
        "memberAdded" => {
            groups::add_member(ctx, id(event, "groupId")?, id(event, "memberId")?).await
        }
        "memberRemoved" => {
            groups::remove_member(ctx, id(event, "groupId")?, id(event, "memberId")?).await
        }
        other => {
            let kind = quoted(other);
            Err(AppError::Invalid(match nearest(other, KINDS) {
                Some(near) => format!("change: {kind} is unknown; did you mean `{near}`?"),
                None => format!("change: {kind} is unknown; known are {}", KINDS.join(", ")),
            }))
        }
    }
}

async fn created(ctx: &Ctx, event: &Map<String, Json>) -> Result<bool, AppError> {
    let (tenant, at) = (ctx.tenant, ctx.clock.now());
    let outcome = if event.contains_key("group") {
        let patch = GroupPatch::read(properties(object(event, "group")?.clone()).collect())?;
        let write = ctx.store.write(move |tx| {
            Box::pin(async move { groups::upsert_group(tx, tenant, &patch, at).await })
        });
        write.await?
    } else {
        let patch = UserPatch::read(properties(object(event, "user")?.clone()).collect())?;
        let write = ctx.store.write(move |tx| {
            Box::pin(async move { user_cases::upsert_user(tx, tenant, &patch, at).await })
        });
        write.await?
    };
    Ok(outcome != Outcome::Unchanged)
}

/// A user is soft-deleted, a group goes for good. What is gone already is no error.
async fn deleted(ctx: &Ctx, id: ObjectId) -> Result<bool, AppError> {
    let tenant = ctx.tenant;
    let find = ctx.store.read(|tx| {
        Box::pin(async move { Ok::<_, AppError>(users::find(tx, tenant, id.user()).await?) })
    });
    if find.await?.is_some() {
        return user_cases::soft_delete_user(ctx, id.user()).await;
    }
    match groups::delete_group(ctx, id.group()).await {
        Ok(()) => Ok(true),
        Err(AppError::NotFound(_)) => Ok(false),
        Err(other) => Err(other),
    }
}

fn text<'a>(event: &'a Map<String, Json>, name: &str) -> Result<&'a str, AppError> {
    let missing = || AppError::Invalid(format!("{name}: is missing or not a text"));
    event.get(name).and_then(Json::as_str).ok_or_else(missing)
}

fn object<'a>(event: &'a Map<String, Json>, name: &str) -> Result<&'a Map<String, Json>, AppError> {
    let missing = || AppError::Invalid(format!("{name}: is missing or not an object"));
    event
        .get(name)
        .and_then(Json::as_object)
        .ok_or_else(missing)
}

fn id<I: std::str::FromStr>(event: &Map<String, Json>, name: &str) -> Result<I, AppError>
where
    I::Err: std::fmt::Display,
{
    let given = text(event, name)?;
    let wrong = |reason: &str| AppError::Invalid(format!("{name}: {reason}"));
    read_id(&given.into())
        .map_err(|reason| wrong(&reason))?
        .ok_or_else(|| wrong("is missing"))
}
