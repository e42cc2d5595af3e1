//! `muster user …` and `muster group …`

use muster_app::directory::{self, bin};
use muster_app::{AppError, Ctx};
use muster_model::directory::{Group, User};
use muster_model::{ObjectId, Value};
use serde_json::{Value as Json, json};

use crate::args::{Group as GroupTask, MemberArg, User as UserTask};
use crate::commands::log::value_json;
use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;

pub(super) async fn users(node: &Node, task: UserTask, out: &Out) -> Result<Exit, AppError> {
    let ctx = &node.ctx;
    let (user, told) = match task {
        UserTask::Show { user } => {
            let user = directory::find_user(ctx, &user).await?;
            show(user_json(&user), out).await;
            return Ok(Exit::Done);
        }
        UserTask::Set { user, properties } => {
            let user = directory::find_user(ctx, &user).await?;
            let changed = directory::update_user(ctx, user.id, read(&properties)?).await?;
            (user, if changed { "changed" } else { "was so already" })
        }
        UserTask::Delete { user } => {
            let user = directory::find_user(ctx, &user).await?;
            directory::soft_delete_user(ctx, user.id).await?;
            (
                user,
                "deleted; muster user restore brings it back, for 30 days",
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
            directory::restore_user(ctx, user.id).await?;
            (user, "restored")
        }
        UserTask::Purge { user } => {
            let user = bin::find_deleted(ctx, &user).await?;
            directory::purge_user(ctx, user.id).await?;
            (user, "gone for good")
        }
    };
    out.line(if out.json {
        json!({ "id": user.id.to_string(), "userPrincipalName": user.user_principal_name })
            .to_string()
    } else {
        format!("{} ({}): {told}", user.user_principal_name, user.id)
    })
    .await;
    Ok(Exit::Done)
}

pub(super) async fn groups(node: &Node, task: GroupTask, out: &Out) -> Result<Exit, AppError> {
    let ctx = &node.ctx;
    let (group, told) = match task {
        GroupTask::Show { group } => {
            let group = directory::find_group(ctx, &group).await?;
            show(group_json(&group), out).await;
            return Ok(Exit::Done);
        }
        GroupTask::Set { group, properties } => {
            let group = directory::find_group(ctx, &group).await?;
            let changed = directory::update_group(ctx, group.id, read(&properties)?).await?;
            (group, if changed { "changed" } else { "was so already" })
        }
        GroupTask::Add { group, member } => {
            let group = directory::find_group(ctx, &group).await?;
            let member = find(ctx, &member).await?;
            let added = directory::add_member(ctx, group.id, member).await?;
            (
                group,
                if added {
                    "one member more"
                } else {
                    "was a member already"
                },
            )
        }
        GroupTask::Remove { group, member } => {
            let group = directory::find_group(ctx, &group).await?;
            let member = find(ctx, &member).await?;
            let removed = directory::remove_member(ctx, group.id, member).await?;
            (
                group,
                if removed {
                    "one member less"
                } else {
                    "was no member"
                },
            )
        }
        GroupTask::Delete { group } => {
            let group = directory::find_group(ctx, &group).await?;
            directory::delete_group(ctx, group.id).await?;
            (group, "deleted")
        }
    };
    out.line(if out.json {
        json!({ "id": group.id.to_string(), "displayName": group.display_name }).to_string()
    } else {
        format!("{} ({}): {told}", group.display_name, group.id)
    })
    .await;
    Ok(Exit::Done)
}

/// Properties as they are given: a name, =, and a value; none clears.
fn read(properties: &[String]) -> Result<Vec<(String, Value)>, AppError> {
    let one = |text: &String| {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            AppError::Invalid(format!("`{text}` is no property; write NAME=VALUE"))
        })?;
        let value = match value {
            "" => Value::Null,
            text => Value::from(text),
        };
        Ok((name.trim().to_owned(), value))
    };
    properties.iter().map(one).collect()
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
