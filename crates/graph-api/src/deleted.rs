//! `/directory/deletedItems` (6.4) and `/directoryObjects` (6.3).

use muster_app::directory::{self, read};
use muster_model::UserId;
use serde_json::{Value as Json, json};

use crate::answer::{Answer, Fault};
use crate::directory::{conflict, object_id};
use crate::members::typed;
use crate::query::DIRECTORY;
use crate::request::Call;
use crate::shape::{GROUP, USER};

/// `GET /directory/deletedItems`
pub(crate) async fn without_type(_: Call) -> Result<Answer, Fault> {
    Err(Fault::bad_request(
        "Name the type of the deleted items: /directory/deletedItems/microsoft.graph.user.",
    ))
}

/// `GET /directory/deletedItems/user`
pub(crate) async fn users(call: Call) -> Result<Answer, Fault> {
    let mut query = call.query(&USER, &DIRECTORY)?;
    if query.select.is_none() {
        let mut names: Vec<String> = USER.usual.iter().map(|name| (*name).to_owned()).collect();
        names.push("deletedDateTime".to_owned());
        query.select = Some(names);
    }
    let mut page = crate::users::users(&call, &query, true).await?;
    for user in &mut page.value {
        user["@odata.type"] = "#microsoft.graph.user".into();
    }
    query.select = None;
    Ok(Answer::ok(page.answer(&call, &query, "directoryObjects")))
}

/// `GET /directory/deletedItems/group`: groups here are security groups, whose deletion is final (6.2).
pub(crate) async fn groups(call: Call) -> Result<Answer, Fault> {
    crate::members::answer(&call, Vec::new(), &GROUP)
}

async fn find(call: &Call) -> Result<muster_model::directory::User, Fault> {
    let text = call.arg(0);
    let id: UserId = text.parse().map_err(|_| Fault::not_found(text))?;
    let user = read::any_user(&call.ctx, id).await?;
    let user = user.filter(|user| user.deleted.is_some());
    user.ok_or_else(|| Fault::not_found(text))
}

/// `GET /directory/deletedItems/{id}`
pub(crate) async fn get(call: Call) -> Result<Answer, Fault> {
    let user = read::Object::User(find(&call).await?);
    let mut names: Vec<String> = USER.usual.iter().map(|name| (*name).to_owned()).collect();
    names.push("deletedDateTime".to_owned());
    let shown = typed(&call, &user, Some(&names));
    Ok(Answer::ok(call.entity("directoryObjects/$entity", shown)))
}

/// `POST /directory/deletedItems/{id}/restore`
pub(crate) async fn restore(call: Call) -> Result<Answer, Fault> {
    let user = find(&call).await?;
    directory::restore_user(&call.ctx, user.id)
        .await
        .map_err(conflict)?;
    let user = crate::users::find(&call, &user.id.to_string()).await?;
    let shown = typed(&call, &read::Object::User(user), None);
    Ok(Answer::ok(call.entity("directoryObjects/$entity", shown)))
}

/// `DELETE /directory/deletedItems/{id}`
pub(crate) async fn purge(call: Call) -> Result<Answer, Fault> {
    let user = find(&call).await?;
    directory::purge_user(&call.ctx, user.id).await?;
    Ok(Answer::done())
}

/// `GET /directoryObjects/{id}`
pub(crate) async fn object(call: Call) -> Result<Answer, Fault> {
    let id = object_id(call.arg(0))?;
    let mut found = read::objects(&call.ctx, &[id]).await?;
    let found = found.pop().ok_or_else(|| Fault::not_found(call.arg(0)))?;
    Ok(Answer::ok(call.entity(
        "directoryObjects/$entity",
        typed(&call, &found, None),
    )))
}

/// Ids of one request at most.
const MOST: usize = 1000;

/// `POST /directoryObjects/getByIds`
pub(crate) async fn by_ids(call: Call) -> Result<Answer, Fault> {
    let body = call.object()?;
    let ids = body
        .get("ids")
        .and_then(Json::as_array)
        .filter(|ids| ids.len() <= MOST);
    let ids = ids.ok_or_else(|| {
        Fault::invalid("ids", format!("a list of at most {MOST} ids is expected"))
    })?;
    let mut wanted = Vec::with_capacity(ids.len());
    for id in ids {
        let id = id.as_str().unwrap_or_default();
        wanted.push(
            id.parse()
                .map_err(|_| Fault::invalid("ids", format!("'{id}' is no id")))?,
        );
    }
    let types = body.get("types").and_then(Json::as_array);
    let is_wanted =
        |name: &str| types.is_none_or(|types| types.is_empty() || types.contains(&json!(name)));
    let mut value = Vec::new();
    for object in read::objects(&call.ctx, &wanted).await? {
        let name = match &object {
            read::Object::User(_) => "user",
            read::Object::Group(_) => "group",
        };
        if is_wanted(name) || is_wanted("directoryObject") {
            value.push(typed(&call, &object, None));
        }
    }
    Ok(Answer::ok(call.list("directoryObjects", value)))
}
