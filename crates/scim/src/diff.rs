//! The operations that turn one document into another, in the strict form of the RFC (RFC 7644 section 3.5.2).

#[cfg(test)]
mod roundtrip;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::Map;
use crate::patch::{Op, Operation};
use crate::path::Path;

/// The operations that turn `before` into `after`: `apply(diff(a, b), a) = b` for documents in canonical form.
///
/// What a client cannot write is left out: `schemas`, `id`, `meta` and `groups`. Parts of complex attributes get
/// operations of their own, lists are replaced as a whole, and members come and go one by one.
pub fn diff(before: &Map, after: &Map) -> Vec<Operation> {
    let mut operations = Vec::new();
    for name in before
        .keys()
        .filter(|name| !after.contains_key(*name) && is_writable(name))
    {
        operations.extend(operation(Op::Remove, name, None));
    }
    for (name, new) in after.iter().filter(|(name, _)| is_writable(name)) {
        match (before.get(name), new) {
            (Some(old), new) if old == new => {}
            (old, Value::Object(new)) if name.contains(':') => {
                let old = old.and_then(Value::as_object);
                extension(&mut operations, name, old, new);
            }
            (old, new) => attribute(&mut operations, name, old, new),
        }
    }
    operations
}

fn is_writable(name: &str) -> bool {
    !["schemas", "id", "meta", "groups"].contains(&name)
}

fn extension(operations: &mut Vec<Operation>, urn: &str, old: Option<&Map>, new: &Map) {
    for name in old
        .into_iter()
        .flat_map(Map::keys)
        .filter(|name| !new.contains_key(*name))
    {
        operations.extend(operation(Op::Remove, &format!("{urn}:{name}"), None));
    }
    for (name, new) in new {
        let old = old.and_then(|map| map.get(name));
        if old != Some(new) {
            attribute(operations, &format!("{urn}:{name}"), old, new);
        }
    }
}

fn attribute(operations: &mut Vec<Operation>, path: &str, old: Option<&Value>, new: &Value) {
    match (old, new) {
        // An add leaves out what is there already, so a list that repeats a value is put in place as a whole.
        (None, Value::Array(items)) if repeats_a_value(items) => {
            operations.extend(operation(Op::Replace, path, Some(new)));
        }
        (None, new) => operations.extend(operation(Op::Add, path, Some(new))),
        (Some(Value::Object(old)), Value::Object(new)) if new.contains_key("value") => {
            reference(operations, path, old, new);
        }
        // Without its value it is no reference any more, and no part of it may linger.
        (Some(Value::Object(old)), Value::Object(_)) if old.contains_key("value") => {
            operations.extend(operation(Op::Remove, path, None));
            operations.extend(operation(Op::Add, path, Some(new)));
        }
        (Some(Value::Object(old)), Value::Object(new)) => parts(operations, path, old, new),
        (Some(Value::Array(old)), Value::Array(new)) if path == "members" => {
            members(operations, old, new);
        }
        (Some(_), new) => operations.extend(operation(Op::Replace, path, Some(new))),
    }
}

fn repeats_a_value(items: &[Value]) -> bool {
    items.iter().enumerate().any(|(at, item)| {
        let value = item.get("value");
        items[..at]
            .iter()
            .any(|other| other == item || value.is_some() && other.get("value") == value)
    })
}

/// A reference such as `manager` is replaced as one, since its parts belong together; what is gone is removed.
fn reference(operations: &mut Vec<Operation>, path: &str, old: &Map, new: &Map) {
    operations.extend(operation(
        Op::Replace,
        path,
        Some(&Value::Object(new.clone())),
    ));
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        operations.extend(operation(Op::Remove, &format!("{path}.{name}"), None));
    }
}

fn parts(operations: &mut Vec<Operation>, path: &str, old: &Map, new: &Map) {
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        operations.extend(operation(Op::Remove, &format!("{path}.{name}"), None));
    }
    for (name, value) in new {
        let op = match old.get(name) {
            Some(same) if same == value => continue,
            Some(_) => Op::Replace,
            None => Op::Add,
        };
        operations.extend(operation(op, &format!("{path}.{name}"), Some(value)));
    }
}

fn members(operations: &mut Vec<Operation>, old: &[Value], new: &[Value]) {
    let id = |member: &Value| {
        member
            .get("value")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let ids = |list: &[Value]| {
        list.iter()
            .filter_map(id)
            .collect::<std::collections::HashSet<_>>()
    };
    let (before, after) = (ids(old), ids(new));
    for gone in old.iter().filter_map(id).filter(|id| !after.contains(id)) {
        let path = format!("members[value eq {}]", Value::from(gone));
        operations.extend(operation(Op::Remove, &path, None));
    }
    let added: Vec<&Value> = new
        .iter()
        .filter(|one| id(one).is_some_and(|id| !before.contains(&id)))
        .collect();
    if !added.is_empty() {
        operations.extend(operation(Op::Add, "members", Some(&json!(added))));
    }
}

/// An operation at a path; a name that cannot be a path goes without one, as far as the RFC allows.
fn operation(op: Op, path: &str, value: Option<&Value>) -> Option<Operation> {
    match (Path::parse(path), op) {
        (Ok(parsed), _) => Some(Operation::new(op, parsed, value.cloned())),
        (Err(_), Op::Remove) => None,
        (Err(_), _) => Some(Operation {
            op,
            path: None,
            value: Some(json!({ path: value })),
        }),
    }
}
