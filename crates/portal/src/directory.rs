//! Directory: users and groups, listed by name, searched by how a name begins, changed one by one.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{StatusCode, Uri};
use muster_app::directory::read::{self, Key, Keys, Listing};
use muster_app::{AppError, directory};
use muster_model::administrator::Role;
use muster_model::directory::{Group, User};
use muster_model::{GroupId, UserId, Value};

use crate::Face;
use crate::failure::{Failure, capital};
use crate::form::{Form, query};
use crate::shell::{Shell, page};
use crate::who::Who;
use crate::words::number;

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
    may_change: bool,
}

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
    let (q, listing) = listing(&uri, Key::DisplayName)?;
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
    Ok(page(&List {
        shell: Shell::new("Users", "directory", &who),
        what: "users",
        rows: rows.collect(),
        q,
        total: number(counts.users),
        next,
        may_change: who.may(Role::Administrator),
    }))
}

/// `GET /directory/groups?q=…`
pub(crate) async fn groups(who: Who, uri: Uri) -> Result<Response, Failure> {
    let (q, listing) = listing(&uri, Key::DisplayName)?;
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
    Ok(page(&List {
        shell: Shell::new("Groups", "directory", &who),
        what: "groups",
        rows: rows.collect(),
        q,
        total: number(counts.groups),
        next,
        may_change: who.may(Role::Administrator),
    }))
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
    manager: Option<(String, String)>,
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

/// Objects that a page lists beside another.
const BESIDE: usize = 100;

async fn built(who: &Who, user: &User) -> Result<One, Failure> {
    let ctx = &who.ctx;
    let text = |name: &str| user.attributes.text(name).unwrap_or_default().to_owned();
    let manager = match user.manager {
        Some(manager) => named(read::objects(ctx, &[manager.into()]).await?).pop(),
        None => None,
    };
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
            let mut set = vec![(
                "userPrincipalName".to_owned(),
                Value::from(fields.text("sign_in")),
            )];
            for (name, _) in EDITED {
                let text = fields.text(name);
                let is_as_before = user.attributes.text(name).unwrap_or_default() == text;
                if !is_as_before {
                    let value = if text.is_empty() {
                        Value::Null
                    } else {
                        text.into()
                    };
                    set.push((name.to_owned(), value));
                }
            }
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
            let mut response = page(&one);
            *response.status_mut() = StatusCode::BAD_REQUEST;
            Ok(response)
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /directory/users`
pub(crate) async fn create_user(Form(who, fields): Form) -> Result<Response, Failure> {
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
    let user = directory::create_user(&who.ctx, set).await?;
    Ok(Redirect::to(&format!("/directory/users/{}?done=created", user.id)).into_response())
}

#[derive(Template)]
#[template(path = "group.html")]
struct OneGroup {
    shell: Shell,
    id: String,
    description: String,
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
    Ok(page(&OneGroup {
        shell: Shell::new(&group.display_name, "directory", &who),
        id: group.id.to_string(),
        description: group
            .attributes
            .text("description")
            .unwrap_or_default()
            .to_owned(),
        is_security: group.security_enabled,
        members: members.map(|((link, name), id)| (link, name, id)).collect(),
        is_cut,
        may_change: who.may(Role::Administrator),
    }))
}

/// `POST /directory/groups/{id}`: somebody comes in, or goes.
pub(crate) async fn change_group(
    State(face): State<Face>,
    Path(id): Path<String>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let group = found_group(&who, &id).await?;
    let member = fields.text("member");
    if fields.text("act") == "remove" {
        let member = member.parse().map_err(|_| Failure::not_found())?;
        directory::remove_member(&who.ctx, group.id, member).await?;
    } else {
        let user = read::user(&who.ctx, member).await?;
        let user = user.ok_or_else(|| {
            Failure::Said(
                StatusCode::BAD_REQUEST,
                format!("There is nobody with the sign-in name {member}."),
            )
        })?;
        directory::add_member(&who.ctx, group.id, user.id.into()).await?;
    }
    face.poke.notify_one();
    Ok(Redirect::to(&format!("/directory/groups/{id}?done=saved")).into_response())
}
