//! Objects in the JSON of Microsoft Graph, read as properties.

use muster_model::{Attributes, Value};
use serde_json::Value as Json;

/// The properties of a Graph object, in its order. Annotations (`@odata.type`) say nothing about
/// the object and are left out; so is a null where a property cannot be cleared.
pub(crate) fn properties(
    members: serde_json::Map<String, Json>,
) -> impl Iterator<Item = (String, Value)> {
    members
        .into_iter()
        .filter(|(name, _)| !name.contains("@odata."))
        .map(|(name, json)| (name, value(json)))
        .filter(|(name, value)| !(value.is_null() && keeps_its_value(name)))
}

/// Is "nothing" said of this property the same as not naming it?
pub(crate) fn keeps_its_value(property: &str) -> bool {
    matches!(property, "accountEnabled" | "securityEnabled")
}

fn value(json: Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(flag),
        // No property is a number, so every number is refused, whichever it is.
        Json::Number(number) => Value::Int(number.as_i64().unwrap_or_default()),
        Json::String(text) => Value::Text(text),
        Json::Array(items) => Value::List(items.into_iter().map(value).collect()),
        Json::Object(members) => {
            let members = members.into_iter().map(|(name, json)| (name, value(json)));
            Value::Object(members.collect::<Attributes>())
        }
    }
}
