//! `/groups` (6.2).

use std::collections::BTreeSet;

use muster_app::directory::read::Key;
use muster_app::directory::{self, read};
use muster_model::GroupId;
use muster_model::directory::{Group, Kind as Of};
use serde_json::{Map, Value as Json, json};

use crate::answer::{Answer, Fault};
use crate::directory::{group_object, object_id, read as read_body, tail};
use crate::members;
use crate::page::{Page, of_all, open};
use crate::query::{DIRECTORY, Query, Takes, shown};
use crate::request::Call;
use crate::rows::{self, By, Rows};
use crate::shape::{GROUP, USER};

/// What a list of groups takes.
const LIST: Takes = Takes {
    expand: &["members", "memberOf", "owners"],
    ..DIRECTORY
};
/// Members that come along with a group (3.1).
const EXPANDED: u32 = 20;

/// The group with this id.
pub(crate) async fn find(call: &Call, text: &str) -> Result<Group, Fault> {
    let id: GroupId = text.parse().map_err(|_| Fault::not_found(text))?;
    let found = read::group(&call.ctx, id).await?;
    found.ok_or_else(|| Fault::not_found(text))
}

struct Groups<'c> {
    call: &'c Call,
    by: Option<By>,
}

impl Rows for Groups<'_> {
    async fn after(
        &self,
        after: Option<Json>,
        portion: u32,
    ) -> Result<(Vec<Map<String, Json>>, Option<Json>), Fault> {
        if let Some(by) = &self.by {
            let listing = by.after(after.as_ref())?;
            let groups = read::groups_by(&self.call.ctx, &listing, portion).await?;
            let objects: Vec<_> = groups.iter().map(group_object).collect();
            let is_whole = objects.len() == portion as usize;
            let next = objects.last().filter(|_| is_whole).map(|it| by.place(it));
            return Ok((objects, next));
        }
        let after = after.and_then(|place| place["id"].as_str()?.parse().ok());
        let (groups, next) = read::groups_after(&self.call.ctx, after, portion).await?;
        let objects = groups.iter().map(group_object).collect();
        Ok((objects, next.map(|id| json!({ "id": id.to_string() }))))
    }

    fn by(&self) -> Option<&By> {
        self.by.as_ref()
    }

    async fn one(&self, id: &str) -> Result<Option<Map<String, Json>>, Fault> {
        let Ok(id) = id.parse() else { return Ok(None) };
        let group = read::group(&self.call.ctx, id).await?;
        Ok(group.map(|group| group_object(&group)))
    }

    async fn total(&self) -> Result<Option<u64>, Fault> {
        if self.by.as_ref().is_some_and(By::is_narrow) {
            return Ok(None);
        }
        Ok(Some(directory::counts(&self.call.ctx).await?.groups))
    }
}

/// `GET /groups`
pub(crate) async fn list(call: Call) -> Result<Answer, Fault> {
    let query = call.query(&GROUP, &LIST)?;
    let page = groups(&call, &query).await?;
    Ok(Answer::ok(page.answer(&call, &query, "groups")))
}

async fn groups(call: &Call, query: &Query) -> Result<Page, Fault> {
    let ids = query.filter.as_ref().and_then(|filter| filter.one_of("id"));
    let mut page = if let Some(ids) = ids {
        let mut found = Vec::new();
        let ids: BTreeSet<GroupId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
        for id in ids {
            let group = read::group(&call.ctx, id).await?;
            found.extend(group.map(|group| Json::Object(group_object(&group))));
        }
        of_all(found, query)?
    } else {
        let by = By::of(query, &[("displayName", Key::DisplayName)]);
        rows::page(&Groups { call, by }, query).await?
    };
    page.value = show(call, query, page.value).await?;
    Ok(page)
}

async fn show(call: &Call, query: &Query, found: Vec<Json>) -> Result<Vec<Json>, Fault> {
    let mut value = Vec::with_capacity(found.len());
    for object in found {
        let Json::Object(mut object) = object else {
            continue;
        };
        for expand in &query.expand {
            let id = object.get("id").and_then(Json::as_str).unwrap_or_default();
            let id: GroupId = id.parse().map_err(|_| Fault::not_found(id))?;
            let select = expand.select.as_deref();
            let come = match expand.name.as_str() {
                "members" => {
                    let members = read::members_after(&call.ctx, id, None, EXPANDED).await?;
                    let ids: Vec<_> = members.into_iter().map(|(member, _)| member).collect();
                    members::all(call, &read::objects(&call.ctx, &ids).await?, select)
                }
                "memberOf" => {
                    let groups = read::groups_of(&call.ctx, id.into(), false).await?;
                    let groups: Vec<_> = groups.into_iter().map(read::Object::Group).collect();
                    members::all(call, &groups, select)
                }
                // Nobody owns anything here.
                _ => json!([]),
            };
            object.insert(expand.name.clone(), come);
        }
        value.push(query.shown(object, &GROUP));
    }
    Ok(value)
}

/// `GET /groups/$count`
pub(crate) async fn count(call: Call) -> Result<Answer, Fault> {
    members::needs_eventual(&call)?;
    let query = Query {
        count: true,
        top: 1,
        ..call.query(&GROUP, &LIST)?
    };
    let page = groups(&call, &query).await?;
    Ok(Answer::count(page.count.unwrap_or(0)))
}

/// `GET /groups/{id}`
pub(crate) async fn get(call: Call) -> Result<Answer, Fault> {
    let query = call.query(&GROUP, &LIST)?;
    let group = find(&call, call.arg(0)).await?;
    let object = Json::Object(group_object(&group));
    let shown = show(&call, &query, vec![object]).await?.remove(0);
    let context = format!("groups{}/$entity", query.selected());
    Ok(Answer::ok(call.entity(&context, shown)))
}

/// Required when a group is made (6.2).
const REQUIRED: &[&str] = &[
    "displayName",
    "mailEnabled",
    "mailNickname",
    "securityEnabled",
];

/// `POST /groups`
pub(crate) async fn create(call: Call) -> Result<Answer, Fault> {
    let mut said = read_body(call.object()?, Of::Group)?;
    for name in REQUIRED {
        if !said.has(name) {
            return Err(Fault::invalid(name, "a value is required for it"));
        }
    }
    // All of them are there, or nothing is made.
    for member in &said.members {
        exists(&call, &member.to_string()).await?;
    }
    let now = call.ctx.clock.now().to_string();
    said.set.push(("createdDateTime".to_owned(), now.into()));
    let group = directory::create_group_with(&call.ctx, said.set, &said.members).await?;
    let shown = shown(group_object(&group), None, &[], &GROUP);
    let location = format!("{}/groups/{}", call.base, group.id);
    Ok(Answer::created(
        call.entity("groups/$entity", shown),
        location,
    ))
}

async fn exists(call: &Call, text: &str) -> Result<read::Object, Fault> {
    let id = object_id(text)?;
    let mut found = read::objects(&call.ctx, &[id]).await?;
    found.pop().ok_or_else(|| Fault::not_found(text))
}

/// `PATCH /groups/{id}`
pub(crate) async fn update(call: Call) -> Result<Answer, Fault> {
    let said = read_body(call.object()?, Of::Group)?;
    let group = find(&call, call.arg(0)).await?;
    for (name, value) in &said.set {
        if REQUIRED.contains(&name.as_str()) && value.is_empty() {
            return Err(Fault::invalid(name, "a value is required for it"));
        }
    }
    for member in &said.members {
        exists(&call, &member.to_string()).await?;
    }
    directory::update_group_with(&call.ctx, group.id, said.set, &said.members).await?;
    if !call.wants_back {
        return Ok(Answer::done());
    }
    let group = find(&call, &group.id.to_string()).await?;
    let shown = shown(group_object(&group), None, &[], &GROUP);
    Ok(Answer::ok(call.entity("groups/$entity", shown)))
}

/// `DELETE /groups/{id}`
pub(crate) async fn delete(call: Call) -> Result<Answer, Fault> {
    let group = find(&call, call.arg(0)).await?;
    directory::delete_group(&call.ctx, group.id).await?;
    Ok(Answer::done())
}

/// `GET /groups/{id}/members`
pub(crate) async fn members(call: Call) -> Result<Answer, Fault> {
    let query = call.query(&USER, &DIRECTORY)?;
    let group = find(&call, call.arg(0)).await?;
    let is_plain = query.filter.is_none() && query.search.is_none() && query.order.is_empty();
    if !is_plain || query.count {
        let all = every(&call, group.id).await?;
        return Ok(Answer::ok(members::list(&call, &query, all)?));
    }
    let after = match &query.skiptoken {
        Some(token) => open(token, "skiptoken")?["id"]
            .as_str()
            .and_then(|id| id.parse().ok()),
        None => None,
    };
    let page = read::members_after(&call.ctx, group.id, after, query.top + 1).await?;
    let has_more = page.len() > query.top as usize;
    let ids: Vec<_> = page
        .into_iter()
        .take(query.top as usize)
        .map(|(id, _)| id)
        .collect();
    let objects = read::objects(&call.ctx, &ids).await?;
    let page = Page {
        value: match members::all(&call, &objects, query.select.as_deref()) {
            Json::Array(value) => value,
            _ => Vec::new(),
        },
        next: ids
            .last()
            .filter(|_| has_more)
            .map(|id| json!({ "id": id.to_string() })),
        count: None,
    };
    Ok(Answer::ok(page.answer(&call, &query, "directoryObjects")))
}

async fn every(call: &Call, group: GroupId) -> Result<Vec<read::Object>, Fault> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let page = read::members_after(&call.ctx, group, after, 1000).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(*last);
        let ids: Vec<_> = page.into_iter().map(|(id, _)| id).collect();
        all.extend(read::objects(&call.ctx, &ids).await?);
    }
    Ok(all)
}

/// `GET /groups/{id}/members/user` and `…/group`
pub(crate) async fn members_of_type(call: Call) -> Result<Answer, Fault> {
    let is_user = call
        .path
        .to_ascii_lowercase()
        .trim_end_matches("()")
        .ends_with("user");
    let group = find(&call, call.arg(0)).await?;
    let mut all = every(&call, group.id).await?;
    all.retain(|it| matches!(it, read::Object::User(_)) == is_user);
    members::answer(&call, all, if is_user { &USER } else { &GROUP })
}

/// `GET /groups/{id}/members/$count`
pub(crate) async fn count_members(call: Call) -> Result<Answer, Fault> {
    members::needs_eventual(&call)?;
    let group = find(&call, call.arg(0)).await?;
    Ok(Answer::count(every(&call, group.id).await?.len() as u64))
}

/// `GET /groups/{id}/members/$ref`
pub(crate) async fn member_references(call: Call) -> Result<Answer, Fault> {
    let group = find(&call, call.arg(0)).await?;
    let all = every(&call, group.id).await?.into_iter().map(|object| {
        let (id, of) = match object {
            read::Object::User(user) => (user.id.to_string(), "User"),
            read::Object::Group(group) => (group.id.to_string(), "Group"),
        };
        let url = format!(
            "{}/directoryObjects/{id}/Microsoft.DirectoryServices.{of}",
            call.base
        );
        json!({ "@odata.id": url })
    });
    Ok(Answer::ok(call.list("Collection($ref)", all.collect())))
}

/// `POST /groups/{id}/members/$ref`
pub(crate) async fn add_member(call: Call) -> Result<Answer, Fault> {
    let group = find(&call, call.arg(0)).await?;
    let url = call.object()?.get("@odata.id").and_then(Json::as_str);
    let named = tail(url.unwrap_or_default())?;
    let member = if named.contains('@') {
        crate::users::find(&call, &named).await?.id.into()
    } else {
        exists(&call, &named).await?;
        object_id(&named)?
    };
    if !directory::add_member(&call.ctx, group.id, member).await? {
        return Err(Fault::bad_request(
            "One or more added object references already exist for the following modified properties: 'members'.",
        ));
    }
    Ok(Answer::done())
}

/// `DELETE /groups/{id}/members/{member}/$ref`
pub(crate) async fn remove_member(call: Call) -> Result<Answer, Fault> {
    remove(&call, call.arg(1)).await
}

/// `DELETE /groups/{id}/members/$ref?@id=URL`
pub(crate) async fn remove_member_by_url(call: Call) -> Result<Answer, Fault> {
    let url = call.pairs.iter().find(|(name, _)| name == "@id");
    let url = url.map_or("", |(_, url)| url.as_str());
    let member = tail(url)?;
    remove(&call, &member).await
}

async fn remove(call: &Call, member: &str) -> Result<Answer, Fault> {
    let group = find(call, call.arg(0)).await?;
    if !directory::remove_member(&call.ctx, group.id, object_id(member)?).await? {
        return Err(Fault::not_found(member));
    }
    Ok(Answer::done())
}

/// `GET /groups/{id}/transitiveMembers`
pub(crate) async fn transitive_members(call: Call) -> Result<Answer, Fault> {
    let group = find(&call, call.arg(0)).await?;
    let ids = read::transitive_members(&call.ctx, group.id).await?;
    let mut all = Vec::with_capacity(ids.len());
    for ids in ids.chunks(1000) {
        all.extend(read::objects(&call.ctx, ids).await?);
    }
    members::answer(&call, all, &USER)
}

/// `GET /groups/{id}/memberOf`
pub(crate) async fn member_of(call: Call) -> Result<Answer, Fault> {
    above(call, false).await
}

/// `GET /groups/{id}/transitiveMemberOf`
pub(crate) async fn transitive_member_of(call: Call) -> Result<Answer, Fault> {
    above(call, true).await
}

async fn above(call: Call, transitive: bool) -> Result<Answer, Fault> {
    let group = find(&call, call.arg(0)).await?;
    let groups = read::groups_of(&call.ctx, group.id.into(), transitive).await?;
    let groups = groups.into_iter().map(read::Object::Group).collect();
    members::answer(&call, groups, &GROUP)
}

/// `GET /groups/{id}/owners`: nobody owns a group here.
pub(crate) async fn owners(call: Call) -> Result<Answer, Fault> {
    find(&call, call.arg(0)).await?;
    members::answer(&call, Vec::new(), &USER)
}
