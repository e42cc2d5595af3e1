//! Directory: users and groups, listed by name, searched by how a name begins, changed one by one.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use http::Uri;
use muster_app::directory::read::{self, Key, Keys, Listing};
use muster_app::{AppError, directory};
use muster_model::administrator::Role;
use muster_model::{ObjectId, UserId, Value};

use crate::Face;
use crate::ask::{Question, ask, is_sure};
use crate::failure::{Failure, capital};
use crate::form::{Fields, Form, query};
use crate::person;
use crate::shell::{Shell, page, refused_page};
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

pub(crate) fn id_of(text: &str) -> Result<UserId, Failure> {
    text.parse().map_err(|_| Failure::not_found())
}

/// Names and pages of objects.
pub(crate) fn named(objects: Vec<read::Object>) -> Vec<(String, String)> {
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
pub(crate) const BESIDE: usize = 100;

/// The applications at which somebody has an account, be it a disabled one.
pub(crate) async fn reached(who: &Who, id: ObjectId) -> Result<Vec<String>, Failure> {
    let mut names = Vec::new();
    for application in muster_app::applications::list(&who.ctx).await? {
        if muster_app::links::has_account(&who.ctx, &application, id).await? {
            names.push(application.display_name);
        }
    }
    Ok(names)
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
    Ok(refused_page(&List {
        typed: (
            fields.text("sign_in").to_owned(),
            fields.text("name").to_owned(),
        ),
        problem: Some(capital(&said)),
        ..list
    }))
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
            let user = person::found(&who, &id.to_string()).await?;
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
