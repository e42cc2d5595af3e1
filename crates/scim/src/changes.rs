//! Which paths differ between two forms of a document.

use serde_json::Value;

use crate::Map;
use crate::schema::ResourceType;

/// The paths whose values differ, in the schema's spelling and in the order of the names: `active`,
/// `name.givenName`, `urn:…:User:department`. Lists are told as a whole; `schemas` follows from the rest.
pub fn changed_paths(before: &Map, after: &Map, kind: &ResourceType) -> Vec<String> {
    let mut paths = Vec::new();
    for name in differing(before, after) {
        if name == "schemas" {
            continue;
        }
        let separator = if kind.extension(name).is_some() {
            ':'
        } else {
            '.'
        };
        match (before.get(name), after.get(name)) {
            (Some(Value::Object(old)), Some(Value::Object(new))) => {
                let parts = differing(old, new);
                paths.extend(parts.map(|part| format!("{name}{separator}{part}")));
            }
            (None, Some(Value::Object(only))) | (Some(Value::Object(only)), None)
                if separator == ':' =>
            {
                paths.extend(only.keys().map(|part| format!("{name}:{part}")));
            }
            _ => paths.push(name.clone()),
        }
    }
    paths
}

/// The names whose values differ.
fn differing<'m>(before: &'m Map, after: &'m Map) -> impl Iterator<Item = &'m String> {
    let changed = before
        .iter()
        .filter(|(name, value)| after.get(*name) != Some(value));
    let added = after.keys().filter(|name| !before.contains_key(*name));
    changed.map(|(name, _)| name).chain(added)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::schema::{ENTERPRISE_USER, user};

    #[track_caller]
    fn check(before: Value, after: Value, expected: &[&str]) {
        let (Value::Object(before), Value::Object(after)) = (before, after) else {
            panic!("two objects");
        };
        assert_eq!(changed_paths(&before, &after, user()), expected);
    }

    #[test]
    fn paths_are_as_deep_as_the_change() {
        check(json!({"title": "a"}), json!({"title": "a"}), &[]);
        check(
            json!({"title": "a"}),
            json!({"nickName": "b"}),
            &["title", "nickName"],
        );
        check(
            json!({"name": {"givenName": "a", "familyName": "b"}}),
            json!({"name": {"givenName": "c", "familyName": "b"}}),
            &["name.givenName"],
        );
        check(
            json!({"emails": [{"value": "a"}]}),
            json!({"emails": [{"value": "b"}]}),
            &["emails"],
        );
    }

    #[test]
    fn an_extension_is_told_attribute_by_attribute() {
        let with = json!({"schemas": ["x"], ENTERPRISE_USER: {"department": "R"}});
        let path = format!("{ENTERPRISE_USER}:department");
        check(json!({}), with.clone(), &[&path]);
        check(with.clone(), json!({}), &[&path]);
        check(
            with,
            json!({ENTERPRISE_USER: {"department": "S"}}),
            &[&path],
        );
    }
}
