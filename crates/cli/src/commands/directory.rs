//! `muster user …` and `muster group …`

use muster_app::directory::{self, bin};
use muster_app::{AppError, Ctx};
use muster_model::ObjectId;
use muster_model::directory::{Group, Kind, User};
use serde_json::{Value as Json, json};

use crate::args::{Group as GroupTask, MemberArg, User as UserTask};
use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;
use muster_app::told::value as value_json;

pub(super) async fn users(node: &Node, task: UserTask, out: &Out) -> Result<Exit, AppError> {
    let ctx = &node.ctx;
    let (user, changed, told, otherwise) = match task {
        UserTask::Show { user } => {
            let user = directory::find_user(ctx, &user).await?;
            show(user_json(&user), out).await;
            return Ok(Exit::Done);
        }
        UserTask::Set { user, properties } => {
            let user = directory::find_user(ctx, &user).await?;
            let set = directory::properties(Kind::User, &properties)?;
            let changed = directory::update_user(ctx, user.id, set).await?;
            let user = directory::find_user(ctx, &user.id.to_string()).await?;
            (user, changed, "changed", "was so already")
        }
        UserTask::Delete { user } => {
            let user = directory::find_user(ctx, &user).await?;
            let deleted = directory::soft_delete_user(ctx, user.id).await?;
            let told = "deleted; muster user restore brings the user back, for 30 days";
            (
                user,
                deleted,
                told,
                "was deleted already: muster user deleted",
            )
        }
        UserTask::Deleted { limit } => {
            let deleted = bin::deleted_users(ctx, limit).await?;
            for user in &deleted {
                out.line(if out.json {
                    user_json(user).to_string()
                } else {
                    deleted_line(user)
                })
                .await;
            }
            if deleted.is_empty() && !out.json {
                out.line("Nobody is deleted").await;
            }
            return Ok(Exit::Done);
        }
        UserTask::Restore { user } => {
            let user = bin::find_deleted(ctx, &user).await?;
            let restored = directory::restore_user(ctx, user.id).await?;
            (user, restored, "restored", "was there already")
        }
        UserTask::Purge { user, yes } => {
            let user = bin::find_deleted(ctx, &user).await?;
            meant(yes)?;
            bin::purge(ctx, user.id).await?;
            (user, true, "gone for good", "")
        }
    };
    out.line(if out.json {
        json!({
            "id": user.id.to_string(), "userPrincipalName": user.user_principal_name,
            "changed": changed
        })
        .to_string()
    } else {
        let told = if changed { told } else { otherwise };
        format!("{} ({}): {told}", user.user_principal_name, user.id)
    })
    .await;
    Ok(Exit::Done)
}

pub(super) async fn groups(node: &Node, task: GroupTask, out: &Out) -> Result<Exit, AppError> {
    let ctx = &node.ctx;
    let (group, changed, told, otherwise) = match task {
        GroupTask::Show { group } => {
            let group = directory::find_group(ctx, &group).await?;
            show(group_json(&group), out).await;
            return Ok(Exit::Done);
        }
        GroupTask::Set { group, properties } => {
            let group = directory::find_group(ctx, &group).await?;
            let set = directory::properties(Kind::Group, &properties)?;
            let changed = directory::update_group(ctx, group.id, set).await?;
            let group = directory::find_group(ctx, &group.id.to_string()).await?;
            (group, changed, "changed", "was so already")
        }
        GroupTask::Add { group, member } => {
            let group = directory::find_group(ctx, &group).await?;
            let member = find(ctx, &member).await?;
            let added = directory::add_member(ctx, group.id, member).await?;
            (group, added, "one member more", "was a member already")
        }
        GroupTask::Remove { group, member } => {
            let group = directory::find_group(ctx, &group).await?;
            let member = find(ctx, &member).await?;
            let removed = directory::remove_member(ctx, group.id, member).await?;
            (group, removed, "one member less", "was no member")
        }
        GroupTask::Delete { group, yes } => {
            let group = directory::find_group(ctx, &group).await?;
            meant(yes)?;
            directory::delete_group(ctx, group.id).await?;
            (group, true, "deleted", "")
        }
    };
    out.line(if out.json {
        json!({
            "id": group.id.to_string(), "displayName": group.display_name, "changed": changed
        })
        .to_string()
    } else {
        let told = if changed { told } else { otherwise };
        format!("{} ({}): {told}", group.display_name, group.id)
    })
    .await;
    Ok(Exit::Done)
}

/// What cannot be undone is said twice.
fn meant(yes: bool) -> Result<(), AppError> {
    if yes {
        return Ok(());
    }
    Err(AppError::Invalid(
        "that cannot be undone, and memberships and assignments go, too; say --yes if it is meant"
            .to_owned(),
    ))
}

async fn find(ctx: &Ctx, member: &MemberArg) -> Result<ObjectId, AppError> {
    match (&member.user, &member.group) {
        (Some(user), _) => Ok(directory::find_user(ctx, user).await?.id.into()),
        (None, Some(group)) => Ok(directory::find_group(ctx, group).await?.id.into()),
        (None, None) => Err(AppError::Invalid("name a member".to_owned())),
    }
}

fn user_json(user: &User) -> Json {
    let mut told = json!({
        "id": user.id.to_string(), "userPrincipalName": user.user_principal_name,
        "accountEnabled": user.account_enabled
    });
    if let Some(manager) = user.manager {
        told["manager"] = manager.to_string().into();
    }
    if let Some(deleted) = user.deleted {
        told["deletedDateTime"] = deleted.to_string().into();
        told["goneDateTime"] = bin::gone_at(deleted).to_string().into();
    }
    for (name, value) in &user.attributes {
        told[name] = value_json(value);
    }
    told
}

fn group_json(group: &Group) -> Json {
    let mut told = json!({
        "id": group.id.to_string(), "displayName": group.display_name,
        "securityEnabled": group.security_enabled
    });
    for (name, value) in &group.attributes {
        told[name] = value_json(value);
    }
    told
}

fn deleted_line(user: &User) -> String {
    let deleted = user.deleted.unwrap_or_default();
    format!(
        "{}  {}  deleted {deleted}, gone for good {}",
        user.id,
        user.user_principal_name,
        bin::gone_at(deleted)
    )
}

/// JSON, or a line for each property.
async fn show(object: Json, out: &Out) {
    if out.json {
        out.line(object.to_string()).await;
        return;
    }
    for (name, value) in object.as_object().into_iter().flatten() {
        let value = match value.as_str() {
            Some(text) => text.to_owned(),
            None => value.to_string(),
        };
        out.line(format!("{name}  {value}")).await;
    }
}
