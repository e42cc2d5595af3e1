//! One group of the directory: properties, members, and what it gives access to.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use muster_app::directory::read;
use muster_app::{AppError, directory};
use muster_model::administrator::Role;
use muster_model::directory::Group;
use muster_model::{GroupId, Value};

use crate::Face;
use crate::ask::{Question, ask, is_sure};
use crate::directory::{BESIDE, named, reached};
use crate::failure::{Failure, capital};
use crate::form::Form;
use crate::shell::{Shell, page, refused_page};
use crate::who::Who;
use crate::words::many;

#[derive(Template)]
#[template(path = "group.html")]
struct One {
    shell: Shell,
    id: String,
    name: String,
    description: String,
    was_description: String,
    /// Applications that it is assigned to.
    applications: Vec<(String, String)>,
    /// What was typed, and why it was not taken.
    member: String,
    problem: Option<String>,
    is_security: bool,
    members: Vec<(String, String, String)>,
    is_cut: bool,
    may_change: bool,
}

async fn found(who: &Who, id: &str) -> Result<Group, Failure> {
    let id: GroupId = id.parse().map_err(|_| Failure::not_found())?;
    read::group(&who.ctx, id)
        .await?
        .ok_or_else(Failure::not_found)
}

/// `GET /directory/groups/{id}`
pub(crate) async fn show(who: Who, Path(id): Path<String>) -> Result<Response, Failure> {
    let group = found(&who, &id).await?;
    Ok(page(&built(&who, group).await?))
}

async fn built(who: &Who, group: Group) -> Result<One, Failure> {
    let members = read::members_after(&who.ctx, group.id, None, BESIDE as u32 + 1).await?;
    let is_cut = members.len() > BESIDE;
    let ids: Vec<_> = members.iter().take(BESIDE).map(|(id, _)| *id).collect();
    let objects = read::objects(&who.ctx, &ids).await?;
    let ids: Vec<String> = objects
        .iter()
        .map(|object| match object {
            read::Object::User(user) => user.id.to_string(),
            read::Object::Group(group) => group.id.to_string(),
        })
        .collect();
    let members = named(objects).into_iter().zip(ids);
    let assigned = muster_app::applications::assignments_of(&who.ctx, group.id.into()).await?;
    let applications = assigned.into_iter();
    let applications =
        applications.map(|(it, name)| (format!("/applications/{}", it.application), name));
    Ok(One {
        shell: Shell::new(&group.display_name, "directory", who),
        id: group.id.to_string(),
        was_description: group
            .attributes
            .text("description")
            .unwrap_or_default()
            .to_owned(),
        applications: applications.collect(),
        member: String::new(),
        problem: None,
        description: group
            .attributes
            .text("description")
            .unwrap_or_default()
            .to_owned(),
        is_security: group.security_enabled,
        name: group.display_name,
        members: members.map(|((link, name), id)| (link, name, id)).collect(),
        is_cut,
        may_change: who.may(Role::Administrator),
    })
}

/// The applications to which a group gives access: by itself, or by a group that it is in.
async fn gives(who: &Who, group: GroupId) -> Result<Vec<String>, Failure> {
    let own = muster_app::applications::assignments_of(&who.ctx, group.into()).await?;
    let mut names: Vec<String> = own.into_iter().map(|(_, name)| name).collect();
    for above in read::groups_of(&who.ctx, group.into(), true).await? {
        let all = muster_app::applications::assignments_of(&who.ctx, above.id.into()).await?;
        let far = all.into_iter().filter(|(it, _)| it.transitive);
        names.extend(far.map(|(_, name)| name));
    }
    names.sort();
    names.dedup();
    Ok(names)
}

/// `POST /directory/groups/{id}`: saves its properties, deletes it; somebody comes in, or goes.
pub(crate) async fn change(
    State(face): State<Face>,
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let group = found(&who, &id).await?;
    let (ctx, member) = (&who.ctx, fields.text("member"));
    let done = match fields.text("act") {
        "remove" => {
            let member = member.parse().map_err(|_| Failure::not_found())?;
            let names = gives(&who, group.id).await?;
            if !names.is_empty() && !is_sure(&fields) {
                let named = named(read::objects(ctx, &[member]).await?).pop();
                let (_, name) = named.ok_or_else(Failure::not_found)?;
                let question = Question {
                    section: "directory",
                    title: format!("Take {name} out of {}?", group.display_name),
                    says: vec![format!(
                        "The group gives access to {}: who has that by it alone loses it.",
                        names.join(", ")
                    )],
                    crowd: None,
                    button: "Take out",
                    action: &format!("/directory/groups/{id}"),
                    back: &format!("/directory/groups/{id}"),
                };
                return Ok(ask(&who, &fields, question));
            }
            directory::remove_member(ctx, group.id, member).await
        }
        "delete" if !is_sure(&fields) => {
            let members = muster_app::applications::included(ctx, &id, true, 0).await?;
            let (names, has) = (
                gives(&who, group.id).await?,
                reached(&who, group.id.into()).await?,
            );
            let question = Question {
                section: "directory",
                title: format!("Delete the group {}?", group.display_name),
                says: vec![
                    format!(
                        "It has {} as members, those of nested groups counted.",
                        many(members.count, "user")
                    ),
                    if names.is_empty() {
                        "It gives access to no application.".to_owned()
                    } else {
                        format!(
                            "It gives access to {}: who has that by it alone loses it.",
                            names.join(", ")
                        )
                    },
                    if has.is_empty() {
                        "It is provisioned to no application itself.".to_owned()
                    } else {
                        format!("The group itself is deleted at {}.", has.join(", "))
                    },
                    "A deleted group cannot be restored.".to_owned(),
                ],
                crowd: None,
                button: "Delete the group",
                action: &format!("/directory/groups/{id}"),
                back: &format!("/directory/groups/{id}"),
            };
            return Ok(ask(&who, &fields, question));
        }
        "delete" => {
            directory::delete_group(ctx, group.id).await?;
            face.poke.notify_one();
            return Ok(Redirect::to("/directory/groups?done=removed").into_response());
        }
        "save" => {
            let mut set = Vec::new();
            if fields.is_changed("name") {
                set.push(("displayName".to_owned(), fields.text("name").into()));
            }
            if fields.is_changed("description") {
                let description = match fields.text("description") {
                    "" => Value::Null,
                    text => text.into(),
                };
                set.push(("description".to_owned(), description));
            }
            if fields.is_changed("security") {
                let is_security = fields.is_on("security");
                if !is_security && !is_sure(&fields) {
                    let names = gives(&who, group.id).await?;
                    let members = muster_app::applications::included(ctx, &id, true, 0).await?;
                    let question = Question {
                        section: "directory",
                        title: format!("Is {} no security group any more?", group.display_name),
                        says: vec![if names.is_empty() {
                            "It gives access to no application: nobody loses anything.".to_owned()
                        } else {
                            format!(
                                "It gives access to nothing then: of its {}, who has access to {} by it \
                                 alone loses it.",
                                many(members.count, "user"),
                                names.join(", ")
                            )
                        }],
                        crowd: None,
                        button: "Save",
                        action: &format!("/directory/groups/{id}"),
                        back: &format!("/directory/groups/{id}"),
                    };
                    return Ok(ask(&who, &fields, question));
                }
                set.push(("securityEnabled".to_owned(), is_security.into()));
            }
            directory::update_group(ctx, group.id, set).await
        }
        _ => match directory::find_user(ctx, member).await {
            Ok(user) => directory::add_member(ctx, group.id, user.id.into()).await,
            Err(AppError::NotFound(nobody)) => match directory::find_group(ctx, member).await {
                Ok(nested) => directory::add_member(ctx, group.id, nested.id.into()).await,
                Err(AppError::NotFound(_)) => Err(AppError::Invalid(nobody)),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        },
    };
    match done {
        Ok(_) => {
            face.poke.notify_one();
            Ok(Redirect::to(&format!("/directory/groups/{id}?done=saved")).into_response())
        }
        Err(AppError::Taken(said) | AppError::Invalid(said) | AppError::Refused(said)) => {
            let mut one = built(&who, group).await?;
            one.problem = Some(capital(&said));
            member.clone_into(&mut one.member);
            if fields.text("act") == "save" {
                fields.text("name").clone_into(&mut one.name);
                fields.text("description").clone_into(&mut one.description);
            }
            Ok(refused_page(&one))
        }
        Err(error) => Err(error.into()),
    }
}
