//! Lists of users and groups together: members, groups, reports (6.2, 2.3).

use http::StatusCode;
use muster_app::directory::read::Object;
use serde_json::{Map, Value as Json, json};

use crate::answer::{Answer, Fault};
use crate::directory::{group_object, user_object};
use crate::page::of_all;
use crate::query::{DIRECTORY, Query, shown};
use crate::request::Call;
use crate::route::Right;
use crate::shape::{GROUP, Shape, USER};

/// A count as text needs the header (3.3).
pub(crate) fn needs_eventual(call: &Call) -> Result<(), Fault> {
    if call.is_eventual {
        return Ok(());
    }
    Err(Fault::new(
        StatusCode::BAD_REQUEST,
        "Request_BadRequest",
        "$count is not currently supported without the header 'ConsistencyLevel: eventual'.",
    ))
}

/// An object with its type, and what was asked for of it; of one that the token may not read, its id alone.
pub(crate) fn typed(call: &Call, object: &Object, select: Option<&[String]>) -> Json {
    if !may_read(call, object) {
        return hidden(object);
    }
    let (name, object, shape) = whole(object);
    // Some are of another type, and have other properties.
    let known = |names: &[String]| names.iter().filter_map(|name| shape.top(name)).collect();
    let select: Option<Vec<String>> = select.map(known);
    let mut named = Map::new();
    named.insert("@odata.type".to_owned(), name.into());
    named.extend(object);
    shown(named, select.as_deref(), &[], shape)
}

fn may_read(call: &Call, object: &Object) -> bool {
    let right = match object {
        Object::User(_) => Right::ReadUsers,
        Object::Group(_) => Right::ReadGroups,
    };
    call.token.allows(right.permissions())
}

fn hidden(object: &Object) -> Json {
    let (name, object, _) = whole(object);
    json!({ "@odata.type": name, "id": object["id"] })
}

fn whole(object: &Object) -> (&'static str, Map<String, Json>, &'static Shape) {
    match object {
        Object::User(user) => ("#microsoft.graph.user", user_object(user), &USER),
        Object::Group(group) => ("#microsoft.graph.group", group_object(group), &GROUP),
    }
}

/// Some objects with their types.
pub(crate) fn all(call: &Call, objects: &[Object], select: Option<&[String]>) -> Json {
    objects.iter().map(|it| typed(call, it, select)).collect()
}

/// A list of objects, of which the options speak as of this shape.
pub(crate) fn answer(
    call: &Call,
    objects: Vec<Object>,
    shape: &'static Shape,
) -> Result<Answer, Fault> {
    let query = call.query(shape, &DIRECTORY)?;
    Ok(Answer::ok(list(call, &query, objects)?))
}

/// A page of these objects.
pub(crate) fn list(call: &Call, query: &Query, objects: Vec<Object>) -> Result<Json, Fault> {
    let whole = objects.iter().map(|object| {
        if !may_read(call, object) {
            return hidden(object);
        }
        let (name, object, _) = whole(object);
        let mut named = Map::new();
        named.insert("@odata.type".to_owned(), name.into());
        named.extend(object);
        Json::Object(named)
    });
    let mut page = of_all(whole.collect(), query)?;
    page.value = page
        .value
        .into_iter()
        .map(|object| match object {
            Json::Object(object) if object.len() > 2 => {
                let is_user = object["@odata.type"] == "#microsoft.graph.user";
                let shape = if is_user { &USER } else { &GROUP };
                shown(object, query.select.as_deref(), &[], shape)
            }
            other => other,
        })
        .collect();
    Ok(page.answer(call, query, "directoryObjects"))
}
