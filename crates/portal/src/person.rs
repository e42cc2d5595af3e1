//! One person of the directory: properties, hierarchy, and what they belong to.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use muster_app::directory::read;
use muster_app::{AppError, directory};
use muster_model::Value;
use muster_model::administrator::Role;
use muster_model::directory::User;

use crate::Face;
use crate::ask::{Question, ask, is_sure};
use crate::directory::{BESIDE, id_of, named, reached};
use crate::failure::{Failure, capital};
use crate::form::Form;
use crate::shell::{Shell, page, refused_page};
use crate::who::Who;
use crate::words::many;

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

pub(crate) async fn found(who: &Who, id: &str) -> Result<User, Failure> {
    let user = read::any_user(&who.ctx, id_of(id)?).await?;
    user.ok_or_else(Failure::not_found)
}

/// Managers above somebody that are shown.
const HIGHEST: usize = 12;

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
pub(crate) async fn show(who: Who, Path(id): Path<String>) -> Result<Response, Failure> {
    let user = found(&who, &id).await?;
    Ok(page(&built(&who, &user).await?))
}

/// `POST /directory/users/{id}`: save, disable, enable, delete, restore.
pub(crate) async fn change(
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
            Ok(refused_page(&one))
        }
        Err(error) => Err(error.into()),
    }
}
