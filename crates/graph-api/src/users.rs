//! `/users` (6.1).

use std::collections::BTreeSet;

use muster_app::directory::read::Key;
use muster_app::directory::{self, read};
use muster_model::directory::{Kind as Of, User};
use muster_model::{UserId, Value};
use serde_json::{Map, Value as Json, json};

use crate::answer::{Answer, Fault};
use crate::directory::{conflict, read as read_body, tail, user_object};
use crate::members::{self, typed};
use crate::page::Page;
use crate::query::{DIRECTORY, Query, Takes, shown};
use crate::request::Call;
use crate::rows::{self, By, Rows};
use crate::shape::USER;

/// What a list of users takes.
const LIST: Takes = Takes {
    expand: &["manager", "directReports", "memberOf"],
    ..DIRECTORY
};

/// The living user with this id or sign-in name.
pub(crate) async fn find(call: &Call, text: &str) -> Result<User, Fault> {
    let found = read::user(&call.ctx, text).await?;
    found.ok_or_else(|| Fault::not_found(text))
}

/// `GET /users`
pub(crate) async fn list(call: Call) -> Result<Answer, Fault> {
    let query = call.query(&USER, &LIST)?;
    let page = users(&call, &query, false).await?;
    Ok(Answer::ok(page.answer(&call, &query, "users")))
}

/// A page of users, living or deleted ones.
pub(crate) async fn users(call: &Call, query: &Query, deleted: bool) -> Result<Page, Fault> {
    if let Some(found) = named(call, query, deleted).await? {
        let objects = found.iter().map(|user| Json::Object(user_object(user)));
        let mut page = crate::page::of_all(objects.collect(), query)?;
        page.value = show(call, query, page.value).await?;
        return Ok(page);
    }
    let by = By::of(query, KEYS).filter(|_| !deleted);
    let rows = Users { call, deleted, by };
    let mut page = rows::page(&rows, query).await?;
    page.value = show(call, query, page.value).await?;
    Ok(page)
}

/// What the store finds users by.
const KEYS: &[(&str, Key)] = &[
    ("userPrincipalName", Key::SignInName),
    ("mail", Key::Mail),
    ("displayName", Key::DisplayName),
];

/// Users, living or deleted ones.
struct Users<'c> {
    call: &'c Call,
    deleted: bool,
    by: Option<By>,
}

impl Rows for Users<'_> {
    async fn after(
        &self,
        after: Option<Json>,
        portion: u32,
    ) -> Result<(Vec<Map<String, Json>>, Option<Json>), Fault> {
        if let Some(by) = &self.by {
            let listing = by.after(after.as_ref())?;
            let users = read::users_by(&self.call.ctx, &listing, portion).await?;
            let objects: Vec<_> = users.iter().map(user_object).collect();
            let is_whole = objects.len() == portion as usize;
            let next = objects.last().filter(|_| is_whole).map(|it| by.place(it));
            return Ok((objects, next));
        }
        let after = after.and_then(|place| place["id"].as_str()?.parse().ok());
        let found = read::users_after(&self.call.ctx, after, self.deleted, portion);
        let (users, next) = found.await?;
        let objects = users.iter().map(user_object).collect();
        Ok((objects, next.map(|id| json!({ "id": id.to_string() }))))
    }

    fn by(&self) -> Option<&By> {
        self.by.as_ref()
    }

    async fn one(&self, id: &str) -> Result<Option<Map<String, Json>>, Fault> {
        let Ok(id) = id.parse() else { return Ok(None) };
        let user = read::any_user(&self.call.ctx, id).await?;
        Ok(user.map(|user| user_object(&user)))
    }

    async fn total(&self) -> Result<Option<u64>, Fault> {
        if self.deleted || self.by.as_ref().is_some_and(By::is_narrow) {
            return Ok(None);
        }
        Ok(Some(directory::counts(&self.call.ctx).await?.users))
    }
}

/// Those whom the filter names by id or by sign-in name.
async fn named(call: &Call, query: &Query, deleted: bool) -> Result<Option<Vec<User>>, Fault> {
    let Some(filter) = &query.filter else {
        return Ok(None);
    };
    let ids = filter.one_of("id");
    let mut found = Vec::new();
    if let Some(ids) = ids {
        let ids: BTreeSet<UserId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        for id in ids {
            found.extend(read::any_user(&call.ctx, id).await?);
        }
    } else if let (Some(name), false) = (filter.demands("userPrincipalName"), deleted) {
        found.extend(read::user(&call.ctx, name).await?);
    } else {
        return Ok(None);
    }
    found.retain(|user| user.deleted.is_some() == deleted);
    Ok(Some(found))
}

/// The objects with what was asked for of them, and what is to come along.
async fn show(call: &Call, query: &Query, found: Vec<Json>) -> Result<Vec<Json>, Fault> {
    let mut value = Vec::with_capacity(found.len());
    for object in found {
        let Json::Object(mut object) = object else {
            continue;
        };
        for expand in &query.expand {
            let id = object.get("id").and_then(Json::as_str).unwrap_or_default();
            let id: UserId = id.parse().map_err(|_| Fault::not_found(id))?;
            let select = expand.select.as_deref();
            let come = match expand.name.as_str() {
                "manager" => match manager_of(call, id).await? {
                    Some(manager) => typed(call, &read::Object::User(manager), select),
                    None => continue,
                },
                "directReports" => members::all(call, &read::reports(&call.ctx, id).await?, select),
                _ => {
                    let groups = read::groups_of(&call.ctx, id.into(), false).await?;
                    let groups: Vec<read::Object> =
                        groups.into_iter().map(read::Object::Group).collect();
                    members::all(call, &groups, select)
                }
            };
            object.insert(expand.name.clone(), come);
        }
        value.push(query.shown(object, &USER));
    }
    Ok(value)
}

async fn manager_of(call: &Call, id: UserId) -> Result<Option<User>, Fault> {
    let user = read::any_user(&call.ctx, id).await?;
    let Some(manager) = user.and_then(|user| user.manager) else {
        return Ok(None);
    };
    let manager = read::any_user(&call.ctx, manager).await?;
    Ok(manager.filter(|manager| manager.deleted.is_none()))
}

/// `GET /users/$count`
pub(crate) async fn count(call: Call) -> Result<Answer, Fault> {
    members::needs_eventual(&call)?;
    let query = call.query(&USER, &LIST)?;
    if query.filter.is_none() && query.search.is_none() {
        return Ok(Answer::count(directory::counts(&call.ctx).await?.users));
    }
    let counted = Query {
        count: true,
        top: 1,
        ..query
    };
    let page = users(&call, &counted, false).await?;
    Ok(Answer::count(page.count.unwrap_or(0)))
}

/// `GET /users/{id}`
pub(crate) async fn get(call: Call) -> Result<Answer, Fault> {
    let query = call.query(&USER, &LIST)?;
    let user = find(&call, call.arg(0)).await?;
    let object = Json::Object(user_object(&user));
    let shown = show(&call, &query, vec![object]).await?.remove(0);
    let context = format!("users{}/$entity", query.selected());
    Ok(Answer::ok(call.entity(&context, shown)))
}

/// Required when a user is made (6.1).
const REQUIRED: &[&str] = &[
    "accountEnabled",
    "displayName",
    "mailNickname",
    "userPrincipalName",
];

/// `POST /users`
pub(crate) async fn create(call: Call) -> Result<Answer, Fault> {
    let mut said = read_body(call.object()?, Of::User)?;
    for name in REQUIRED {
        if !said.has(name) {
            return Err(missing(name));
        }
    }
    if !said.has_password {
        return Err(missing("passwordProfile"));
    }
    check(&said.set)?;
    if let Some(manager) = said.manager.take() {
        said.set.push((
            "manager".to_owned(),
            find(&call, &manager).await?.id.to_string().into(),
        ));
    }
    if !said.has("userType") {
        said.set.push(("userType".to_owned(), "Member".into()));
    }
    let now = call.ctx.clock.now().to_string();
    said.set.push(("createdDateTime".to_owned(), now.into()));
    let user = directory::create_user(&call.ctx, said.set)
        .await
        .map_err(conflict)?;
    let shown = shown(user_object(&user), None, &[], &USER);
    let location = format!("{}/users/{}", call.base, user.id);
    Ok(Answer::created(
        call.entity("users/$entity", shown),
        location,
    ))
}

fn missing(name: &str) -> Fault {
    Fault::invalid(name, "a value is required for it")
}

/// What Graph wants of some values beyond their type (6.1).
fn check(set: &[(String, Value)]) -> Result<(), Fault> {
    for (name, value) in set {
        let Some(text) = value.as_text() else {
            if matches!(
                name.as_str(),
                "userPrincipalName" | "displayName" | "accountEnabled" | "mailNickname"
            ) && value.is_empty()
            {
                return Err(missing(name));
            }
            if name == "businessPhones" && matches!(value, Value::List(items) if items.len() > 1) {
                return Err(Fault::invalid(name, "at most one is allowed"));
            }
            continue;
        };
        let wrong = match name.as_str() {
            "userPrincipalName" => match text.split_once('@') {
                Some((local, domain)) => {
                    local.is_empty() || domain.is_empty() || domain.contains('@')
                }
                None => true,
            },
            "mailNickname" => text.is_empty() || text.chars().count() > 64 || text.contains('@'),
            "displayName" => text.is_empty() || text.chars().count() > 256,
            "userType" => !matches!(text, "Member" | "Guest" | ""),
            "usageLocation" => !text.is_empty() && text.chars().count() != 2,
            _ => false,
        };
        if wrong {
            let wants = match name.as_str() {
                "userPrincipalName" => "it is written local@domain",
                "mailNickname" => "it has 1 to 64 characters and no @",
                "displayName" => "it has 1 to 256 characters",
                "userType" => "it is Member or Guest",
                _ => "it has two letters",
            };
            return Err(Fault::invalid(name, wants));
        }
    }
    Ok(())
}

/// `PATCH /users/{id}`
pub(crate) async fn update(call: Call) -> Result<Answer, Fault> {
    let mut said = read_body(call.object()?, Of::User)?;
    let user = find(&call, call.arg(0)).await?;
    check(&said.set)?;
    if let Some(manager) = said.manager.take() {
        said.set.push((
            "manager".to_owned(),
            find(&call, &manager).await?.id.to_string().into(),
        ));
    }
    directory::update_user(&call.ctx, user.id, said.set)
        .await
        .map_err(conflict)?;
    if !call.wants_back {
        return Ok(Answer::done());
    }
    let user = find(&call, &user.id.to_string()).await?;
    let shown = shown(user_object(&user), None, &[], &USER);
    Ok(Answer::ok(call.entity("users/$entity", shown)))
}

/// `DELETE /users/{id}`
pub(crate) async fn delete(call: Call) -> Result<Answer, Fault> {
    let user = find(&call, call.arg(0)).await?;
    directory::soft_delete_user(&call.ctx, user.id).await?;
    Ok(Answer::done())
}

/// `GET /users/{id}/manager`
pub(crate) async fn manager(call: Call) -> Result<Answer, Fault> {
    let query = call.query(&USER, &LIST)?;
    let user = find(&call, call.arg(0)).await?;
    let manager = manager_of(&call, user.id).await?;
    let manager = manager.ok_or_else(|| Fault::not_found("manager"))?;
    let shown = typed(&call, &read::Object::User(manager), query.select.as_deref());
    Ok(Answer::ok(call.entity("directoryObjects/$entity", shown)))
}

/// `PUT /users/{id}/manager/$ref`
pub(crate) async fn set_manager(call: Call) -> Result<Answer, Fault> {
    let user = find(&call, call.arg(0)).await?;
    let url = call.object()?.get("@odata.id").and_then(Json::as_str);
    let manager = find(&call, &tail(url.unwrap_or_default())?).await?;
    let set = vec![("manager".to_owned(), manager.id.to_string().into())];
    directory::update_user(&call.ctx, user.id, set).await?;
    Ok(Answer::done())
}

/// `DELETE /users/{id}/manager/$ref`
pub(crate) async fn remove_manager(call: Call) -> Result<Answer, Fault> {
    let user = find(&call, call.arg(0)).await?;
    if user.manager.is_none() {
        return Err(Fault::not_found("manager"));
    }
    let set = vec![("manager".to_owned(), Value::Null)];
    directory::update_user(&call.ctx, user.id, set).await?;
    Ok(Answer::done())
}

/// `GET /users/{id}/directReports`
pub(crate) async fn reports(call: Call) -> Result<Answer, Fault> {
    let user = find(&call, call.arg(0)).await?;
    let reports = read::reports(&call.ctx, user.id).await?;
    members::answer(&call, reports, &USER)
}

/// `GET /users/{id}/memberOf`
pub(crate) async fn member_of(call: Call) -> Result<Answer, Fault> {
    groups(call, false).await
}

/// `GET /users/{id}/transitiveMemberOf`
pub(crate) async fn transitive_member_of(call: Call) -> Result<Answer, Fault> {
    groups(call, true).await
}

async fn groups(call: Call, transitive: bool) -> Result<Answer, Fault> {
    let user = find(&call, call.arg(0)).await?;
    let groups = read::groups_of(&call.ctx, user.id.into(), transitive).await?;
    let groups = groups.into_iter().map(read::Object::Group).collect();
    members::answer(&call, groups, &crate::shape::GROUP)
}

/// `POST /users/{id}/getMemberGroups`
pub(crate) async fn member_groups(call: Call) -> Result<Answer, Fault> {
    let user = find(&call, call.arg(0)).await?;
    let only = call.object()?.get("securityEnabledOnly") == Some(&Json::Bool(true));
    let groups = read::groups_of(&call.ctx, user.id.into(), true).await?;
    let groups = groups
        .into_iter()
        .filter(|group| !only || group.security_enabled);
    let ids = groups
        .map(|group| Json::String(group.id.to_string()))
        .collect();
    Ok(Answer::ok(call.list("Collection(Edm.String)", ids)))
}
