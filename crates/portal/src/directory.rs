//! Directory: users and groups, listed by name, searched by how a name begins, changed one by one.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{StatusCode, Uri};
use muster_app::directory::read::{self, Key, Keys, Listing};
use muster_app::{AppError, directory};
use muster_model::administrator::Role;
use muster_model::directory::{Group, User};
use muster_model::{GroupId, ObjectId, UserId, Value};

use crate::Face;
use crate::ask::{Question, ask, is_sure};
use crate::failure::{Failure, capital};
use crate::form::{Fields, Form, query};
use crate::shell::{Shell, page};
use crate::who::Who;
use crate::words::{many, number};

/// Objects of a page.
const PAGE: u32 = 50;

struct Row {
    id: String,
    name: String,
    sign_in: String,
    department: String,
    title: String,
    is_enabled: bool,
}

#[derive(Template)]
#[template(path = "directory.html")]
struct List {
    shell: Shell,
    what: &'static str,
    q: String,
    rows: Vec<Row>,
    total: String,
    next: Option<String>,
    /// What was typed for somebody new, and why it was not taken.
    typed: (String, String),
    problem: Option<String>,
    may_change: bool,
}

/// What the directory shows.
pub(crate) const TABS: [(&str, &str, &str); 4] = [
    ("users", "/directory/users", "Users"),
    ("groups", "/directory/groups", "Groups"),
    ("deleted", "/directory/deleted", "Deleted users"),
    ("import", "/directory/import", "Import"),
];

/// A part of a list: what begins so, after a place.
fn listing(uri: &Uri, key: Key) -> Result<(String, Listing), Failure> {
    let fields = query(uri)?;
    let q = fields.text("q").to_owned();
    let keys = if q.is_empty() {
        Keys::All
    } else {
        Keys::Beginning(q.clone())
    };
    let after = fields.text("after").split_once(' ');
    let after = after.and_then(|(id, key)| Some((key.to_owned(), id.parse().ok()?)));
    Ok((
        q,
        Listing {
            keys,
            after,
            ..Listing::by(key)
        },
    ))
}

fn link(q: &str, id: &str, key: &str) -> String {
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    format!("?q={}&after={}", encode(q), encode(&format!("{id} {key}")))
}

/// `GET /directory/users?q=…`: by display name; when nobody is called so, by sign-in name.
pub(crate) async fn users(who: Who, uri: Uri) -> Result<Response, Failure> {
    Ok(page(&users_page(&who, &uri).await?))
}

async fn users_page(who: &Who, uri: &Uri) -> Result<List, Failure> {
    let (q, listing) = listing(uri, Key::DisplayName)?;
    let mut found = read::users_by(&who.ctx, &listing, PAGE).await?;
    let mut next = found
        .last()
        .filter(|_| found.len() == PAGE as usize)
        .map(|last| {
            let name = last.attributes.text("displayName").unwrap_or_default();
            link(&q, &last.id.to_string(), name)
        });
    if found.is_empty() && !q.is_empty() {
        let by_name = Listing {
            key: Key::SignInName,
            after: None,
            ..listing
        };
        found = read::users_by(&who.ctx, &by_name, PAGE).await?;
        next = None;
    }
    let rows = found.iter().map(|user| {
        let text = |name: &str| user.attributes.text(name).unwrap_or_default().to_owned();
        Row {
            id: user.id.to_string(),
            name: text("displayName"),
            sign_in: user.user_principal_name.clone(),
            department: text("department"),
            title: text("jobTitle"),
            is_enabled: user.account_enabled,
        }
    });
    let counts = directory::counts(&who.ctx).await?;
    Ok(List {
        shell: Shell::new("Users", "directory", who),
        what: "users",
        rows: rows.collect(),
        q,
        total: number(counts.users),
        next,
        typed: Default::default(),
        problem: None,
        may_change: who.may(Role::Administrator),
    })
}

/// `GET /directory/groups?q=…`
pub(crate) async fn groups(who: Who, uri: Uri) -> Result<Response, Failure> {
    Ok(page(&groups_page(&who, &uri).await?))
}

async fn groups_page(who: &Who, uri: &Uri) -> Result<List, Failure> {
    let (q, listing) = listing(uri, Key::DisplayName)?;
    let found = read::groups_by(&who.ctx, &listing, PAGE).await?;
    let next = found
        .last()
        .filter(|_| found.len() == PAGE as usize)
        .map(|last| link(&q, &last.id.to_string(), &last.display_name));
    let rows = found.iter().map(|group| Row {
        id: group.id.to_string(),
        name: group.display_name.clone(),
        sign_in: String::new(),
        department: group
            .attributes
            .text("description")
            .unwrap_or_default()
            .to_owned(),
        title: if group.security_enabled {
            "security group"
        } else {
            "not for access"
        }
        .to_owned(),
        is_enabled: true,
    });
    let counts = directory::counts(&who.ctx).await?;
    Ok(List {
        shell: Shell::new("Groups", "directory", who),
        what: "groups",
        rows: rows.collect(),
        q,
        total: number(counts.groups),
        next,
        typed: Default::default(),
        problem: None,
        may_change: who.may(Role::Administrator),
    })
}

/// Properties of a user that the page edits, with their labels.
const EDITED: [(&str, &str); 12] = [
    ("displayName", "Display name"),
    ("givenName", "First name"),
    ("surname", "Last name"),
    ("mail", "Email"),
    ("jobTitle", "Job title"),
    ("department", "Department"),
    ("employeeId", "Employee ID"),
    ("companyName", "Company"),
    ("officeLocation", "Office"),
    ("city", "City"),
    ("country", "Country"),
    ("mobilePhone", "Mobile phone"),
];

#[derive(Template)]
#[template(path = "user.html")]
struct One {
    shell: Shell,
    id: String,
    sign_in: String,
    is_enabled: bool,
    deleted: Option<String>,
    fields: Vec<(&'static str, &'static str, String)>,
    /// Those above: the highest first.
    above: Vec<(String, String)>,
    /// The sign-in name of the manager.
    manager: String,
    /// What is stored, by the names of the fields.
    was: Vec<(&'static str, String)>,
    reports: Vec<(String, String)>,
    groups: Vec<(String, String)>,
    applications: Vec<(String, String)>,
    others: Vec<(String, String)>,
    problem: Option<String>,
    may_change: bool,
}

fn id_of(text: &str) -> Result<UserId, Failure> {
    text.parse().map_err(|_| Failure::not_found())
}

async fn found(who: &Who, id: &str) -> Result<User, Failure> {
    let user = read::any_user(&who.ctx, id_of(id)?).await?;
    user.ok_or_else(Failure::not_found)
}

fn named(objects: Vec<read::Object>) -> Vec<(String, String)> {
    let named = objects.into_iter().map(|object| match object {
        read::Object::User(user) => {
            let name = user.attributes.text("displayName").map(str::to_owned);
            (
                format!("/directory/users/{}", user.id),
                name.unwrap_or(user.user_principal_name),
            )
        }
        read::Object::Group(group) => (
            format!("/directory/groups/{}", group.id),
            group.display_name,
        ),
    });
    named.collect()
}

/// Managers above somebody that are shown.
const HIGHEST: usize = 12;

/// Objects that a page lists beside another.
const BESIDE: usize = 100;

async fn built(who: &Who, user: &User) -> Result<One, Failure> {
    let ctx = &who.ctx;
    let text = |name: &str| user.attributes.text(name).unwrap_or_default().to_owned();
    let (mut above, mut next, mut seen) = (Vec::new(), user.manager, vec![user.id]);
    let mut manager = String::new();
    while let Some(id) = next.filter(|id| !seen.contains(id) && seen.len() <= HIGHEST) {
        seen.push(id);
        let Some(found) = read::any_user(ctx, id).await? else {
            break;
        };
        if above.is_empty() {
            manager.clone_from(&found.user_principal_name);
        }
        next = found.manager;
        above.extend(named(vec![read::Object::User(found)]));
    }
    above.reverse();
    let mut reports = named(read::reports(ctx, user.id).await?);
    reports.truncate(BESIDE);
    let groups = read::groups_of(ctx, user.id.into(), false).await?;
    let groups = groups.into_iter().take(BESIDE).map(read::Object::Group);
    let assigned = muster_app::applications::assignments_of(ctx, user.id.into()).await?;
    let others = user
        .attributes
        .iter()
        .filter(|(name, value)| !value.is_empty() && EDITED.iter().all(|(known, _)| known != name));
    let name = text("displayName");
    Ok(One {
        shell: Shell::new(
            if name.is_empty() {
                user.user_principal_name.clone()
            } else {
                name
            },
            "directory",
            who,
        ),
        id: user.id.to_string(),
        sign_in: user.user_principal_name.clone(),
        is_enabled: user.account_enabled,
        deleted: user.deleted.map(muster_model::Timestamp::readable),
        fields: EDITED
            .iter()
            .map(|(name, label)| (*name, *label, text(name)))
            .collect(),
        was: EDITED
            .iter()
            .map(|(name, _)| (*name, text(name)))
            .chain([
                ("sign_in", user.user_principal_name.clone()),
                ("manager", manager.clone()),
            ])
            .collect(),
        above,
        manager,
        reports,
        groups: named(groups.collect()),
        applications: assigned
            .into_iter()
            .map(|(it, name)| (format!("/applications/{}", it.application), name))
            .collect(),
        others: others
            .map(|(name, value)| {
                let value = match value {
                    Value::Text(text) => text.clone(),
                    other => muster_app::told::value(other).to_string(),
                };
                (name.clone(), value)
            })
            .collect(),
        problem: None,
        may_change: who.may(Role::Administrator),
    })
}

/// `GET /directory/users/{id}`
pub(crate) async fn user(who: Who, Path(id): Path<String>) -> Result<Response, Failure> {
    let user = found(&who, &id).await?;
    Ok(page(&built(&who, &user).await?))
}

/// The applications at which somebody has an account, be it a disabled one.
async fn reached(who: &Who, id: ObjectId) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for application in muster_app::applications::list(&who.ctx).await? {
        if muster_app::links::has_account(&who.ctx, &application, id).await? {
            names.push(application.display_name);
        }
    }
    Ok(names)
}

/// `POST /directory/users/{id}`: save, disable, enable, delete, restore.
pub(crate) async fn change_user(
    State(face): State<Face>,
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let user = found(&who, &id).await?;
    let ctx = &who.ctx;
    let enabled = |is: bool| vec![("accountEnabled".to_owned(), Value::from(is))];
    let act = fields.text("act");
    if matches!(act, "delete" | "disable") && !is_sure(&fields) {
        let has = reached(&who, user.id.into()).await?;
        let deletes = act == "delete";
        let name = &user.user_principal_name;
        let question = Question {
            section: "directory",
            title: if deletes {
                format!("Delete {name}?")
            } else {
                format!("Disable the account of {name}?")
            },
            says: vec![
                if has.is_empty() {
                    "They have no account at any application.".to_owned()
                } else {
                    format!(
                        "They lose access to {}, each with its next cycle: {}.",
                        many(has.len() as u64, "application"),
                        has.join(", ")
                    )
                },
                if deletes {
                    format!(
                        "They can be restored for {} days, with memberships and assignments; then they are gone, and \
                         their accounts there are deleted.",
                        directory::bin::KEPT_DAYS
                    )
                } else {
                    "Enabled again, they get it back.".to_owned()
                },
            ],
            crowd: None,
            button: if deletes { "Delete" } else { "Disable account" },
            action: &format!("/directory/users/{id}"),
            back: &format!("/directory/users/{id}"),
        };
        return Ok(ask(&who, &fields, question));
    }
    let (done, word) = match fields.text("act") {
        "disable" => (
            directory::update_user(ctx, user.id, enabled(false)).await,
            "saved",
        ),
        "enable" => (
            directory::update_user(ctx, user.id, enabled(true)).await,
            "saved",
        ),
        "delete" => (directory::soft_delete_user(ctx, user.id).await, "deleted"),
        "restore" => (directory::restore_user(ctx, user.id).await, "saved"),
        _ => {
            // Only what was changed on the page: others may have changed the rest meanwhile.
            let edited = EDITED.iter().map(|(name, _)| (*name, *name));
            let all = [("sign_in", "userPrincipalName"), ("manager", "manager")];
            let changed = edited
                .chain(all)
                .filter(|(field, _)| fields.is_changed(field));
            let set = changed.map(|(field, name)| {
                let value = match fields.text(field) {
                    "" => Value::Null,
                    text => text.into(),
                };
                (name.to_owned(), value)
            });
            let set = set.collect();
            (directory::update_user(ctx, user.id, set).await, "saved")
        }
    };
    match done {
        Ok(_) => {
            face.poke.notify_one();
            Ok(Redirect::to(&format!("/directory/users/{id}?done={word}")).into_response())
        }
        Err(AppError::Taken(said) | AppError::Invalid(said) | AppError::Refused(said)) => {
            let mut one = built(&who, &user).await?;
            one.problem = Some(capital(&said));
            // What was typed is not lost.
            if fields.has("sign_in") {
                fields.text("sign_in").clone_into(&mut one.sign_in);
                fields.text("manager").clone_into(&mut one.manager);
                for (name, _, value) in &mut one.fields {
                    fields.text(name).clone_into(value);
                }
            }
            let mut response = page(&one);
            *response.status_mut() = StatusCode::BAD_REQUEST;
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /directory/users`
pub(crate) async fn create_user(
    State(face): State<Face>,
    uri: Uri,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let set = vec![
        (
            "userPrincipalName".to_owned(),
            Value::from(fields.text("sign_in")),
        ),
        ("displayName".to_owned(), fields.text("name").into()),
        ("mail".to_owned(), fields.text("sign_in").into()),
        ("accountEnabled".to_owned(), true.into()),
    ];
    match directory::create_user(&who.ctx, set).await {
        Ok(user) => {
            face.poke.notify_one();
            let to = format!("/directory/users/{}?done=created", user.id);
            Ok(Redirect::to(&to).into_response())
        }
        Err(error) => refused(users_page(&who, &uri).await?, &fields, error),
    }
}

/// The list again, with what was typed, and why it was not taken.
fn refused(list: List, fields: &Fields, error: AppError) -> Result<Response, Failure> {
    let said = match error {
        AppError::Taken(said) | AppError::Invalid(said) | AppError::Refused(said) => said,
        error => return Err(error.into()),
    };
    let mut response = page(&List {
        typed: (
            fields.text("sign_in").to_owned(),
            fields.text("name").to_owned(),
        ),
        problem: Some(capital(&said)),
        ..list
    });
    *response.status_mut() = StatusCode::BAD_REQUEST;
    Ok(response)
}

/// `POST /directory/groups`
pub(crate) async fn create_group(uri: Uri, Form(who, fields): Form) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let mut set = vec![("displayName".to_owned(), Value::from(fields.text("name")))];
    if !fields.text("sign_in").is_empty() {
        set.push(("description".to_owned(), fields.text("sign_in").into()));
    }
    match directory::create_group(&who.ctx, set).await {
        Ok(group) => {
            let to = format!("/directory/groups/{}?done=created", group.id);
            Ok(Redirect::to(&to).into_response())
        }
        Err(error) => refused(groups_page(&who, &uri).await?, &fields, error),
    }
}

struct Gone {
    id: String,
    name: String,
    sign_in: String,
    deleted: String,
    until: String,
}

#[derive(Template)]
#[template(path = "deleted.html")]
struct Deleted {
    shell: Shell,
    what: &'static str,
    rows: Vec<Gone>,
    is_cut: bool,
    may_change: bool,
}

/// Deleted users that a page shows.
const DELETED: u32 = 200;

/// `GET /directory/deleted`: who can be restored.
pub(crate) async fn deleted(who: Who) -> Result<Response, Failure> {
    let found = directory::bin::deleted_users(&who.ctx, DELETED + 1).await?;
    let is_cut = found.len() > DELETED as usize;
    let rows = found.into_iter().take(DELETED as usize).map(|user| {
        let deleted = user.deleted.unwrap_or_default();
        Gone {
            id: user.id.to_string(),
            name: user
                .attributes
                .text("displayName")
                .unwrap_or(&user.user_principal_name)
                .to_owned(),
            deleted: deleted.readable(),
            until: directory::bin::gone_at(deleted).readable(),
            sign_in: user.user_principal_name,
        }
    });
    Ok(page(&Deleted {
        shell: Shell::new("Deleted users", "directory", &who),
        what: "deleted",
        rows: rows.collect(),
        is_cut,
        may_change: who.may(Role::Administrator),
    }))
}

/// `POST /directory/deleted`: restores somebody, or removes them for good.
pub(crate) async fn act_deleted(
    State(face): State<Face>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let id = id_of(fields.text("id"))?;
    let done = match fields.text("act") {
        "restore" => {
            directory::restore_user(&who.ctx, id).await?;
            "restored"
        }
        "purge" if !is_sure(&fields) => {
            let user = found(&who, &id.to_string()).await?;
            let assigned = muster_app::applications::assignments_of(&who.ctx, id.into()).await?;
            let has = reached(&who, id.into()).await?;
            let question = Question {
                section: "directory",
                title: format!("Remove {} for good?", user.user_principal_name),
                says: vec![
                    "Nobody can restore them afterwards.".to_owned(),
                    if has.is_empty() {
                        "They have no account at any application.".to_owned()
                    } else {
                        format!(
                            "Their accounts are deleted at {}, where it deletes at all: {}.",
                            many(has.len() as u64, "application"),
                            has.join(", ")
                        )
                    },
                    format!(
                        "With them go their memberships, and {}.",
                        many(assigned.len() as u64, "assignment")
                    ),
                ],
                crowd: None,
                button: "Remove for good",
                action: "/directory/deleted",
                back: "/directory/deleted",
            };
            return Ok(ask(&who, &fields, question));
        }
        "purge" => {
            directory::bin::purge(&who.ctx, id).await?;
            "purged"
        }
        _ => return Err(Failure::not_found()),
    };
    face.poke.notify_one();
    Ok(Redirect::to(&format!("/directory/deleted?done={done}")).into_response())
}

#[derive(Template)]
#[template(path = "group.html")]
struct OneGroup {
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

async fn found_group(who: &Who, id: &str) -> Result<Group, Failure> {
    let id: GroupId = id.parse().map_err(|_| Failure::not_found())?;
    read::group(&who.ctx, id)
        .await?
        .ok_or_else(Failure::not_found)
}

/// `GET /directory/groups/{id}`
pub(crate) async fn group(who: Who, Path(id): Path<String>) -> Result<Response, Failure> {
    let group = found_group(&who, &id).await?;
    Ok(page(&built_group(&who, group).await?))
}

async fn built_group(who: &Who, group: Group) -> Result<OneGroup, Failure> {
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
    Ok(OneGroup {
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
pub(crate) async fn change_group(
    State(face): State<Face>,
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let group = found_group(&who, &id).await?;
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
            let mut one = built_group(&who, group).await?;
            one.problem = Some(capital(&said));
            member.clone_into(&mut one.member);
            if fields.text("act") == "save" {
                fields.text("name").clone_into(&mut one.name);
                fields.text("description").clone_into(&mut one.description);
            }
            let mut response = page(&one);
            *response.status_mut() = StatusCode::BAD_REQUEST;
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}
