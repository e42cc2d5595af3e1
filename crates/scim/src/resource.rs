//! Bringing the body of a create or replace into canonical form (RFC 7644 sections 3.3 and 3.5.1).

#[cfg(test)]
pub(crate) mod tests;

use serde_json::{Value, json};

use crate::Map;
use crate::error::ScimError;
use crate::member::{Member, parse_members};
use crate::schema::{Attribute, Attributes, Mutability, ResourceType};
use crate::value::{Form, check_required, in_spelling, shape};

/// What the body is for.
#[derive(Debug, Clone, Copy)]
pub enum Purpose<'a> {
    /// POST.
    Create,
    /// PUT onto this document, whose immutable values must stay (RFC 7644 section 3.5.1).
    Replace(&'a Map),
}

/// A body in canonical form.
#[derive(Debug, Clone, PartialEq)]
pub struct Normalised {
    /// The document to store: `schemas` first, without `id`, `meta`, computed attributes and password.
    pub document: Map,
    /// The members of a group, when the body had the attribute at all; `null` and `[]` are an empty list.
    pub members: Option<Vec<Member>>,
}

/// Brings a body into canonical form, or says what is wrong with it.
///
/// Names take the schema's spelling, unassigned and unknown attributes go (profile section 4.1), so does all that a
/// client may not write; `schemas` is computed from what is there, so forgotten extension URNs do no harm.
pub fn normalise(
    body: Map,
    kind: &ResourceType,
    purpose: Purpose<'_>,
) -> Result<Normalised, ScimError> {
    let mut document = Map::with_capacity(body.len() + 1);
    document.insert("schemas".into(), Value::Null);
    let mut members = None;
    for (name, value) in body {
        if name.contains(':') {
            if let Some(extension) = kind.extension(&name) {
                take_extension(&mut document, &extension.id, &extension.attributes, value)?;
            }
            continue;
        }
        let Some(attribute) = kind.attribute(&name) else {
            continue;
        };
        if attribute.name == "schemas" {
            check_schemas(&value, kind)?;
        } else if kind.is_members(attribute) {
            members = Some(parse_members(&value)?);
        } else {
            take(&mut document, attribute, (name, value))?;
        }
    }
    require(&document, &kind.schema.attributes, kind)?;
    for extension in &kind.extensions {
        match document.get(&extension.schema.id) {
            Some(Value::Object(values)) => require(values, &extension.schema.attributes, kind)?,
            _ if extension.required => {
                return Err(ScimError::invalid_value(format!(
                    "{} is required",
                    extension.schema.id
                )));
            }
            _ => {}
        }
    }
    if let Purpose::Replace(before) = purpose {
        keep_immutable(before, &document, &kind.schema.attributes)?;
    }
    write_schemas(&mut document, kind);
    Ok(Normalised { document, members })
}

/// Takes an attribute over, by whatever name in whatever case it came.
fn take(
    target: &mut Map,
    attribute: &Attribute,
    (name, value): (String, Value),
) -> Result<(), ScimError> {
    if attribute.is_read_only() {
        return Ok(());
    }
    let shaped = shape(attribute, value, Form::Document)?;
    if attribute.is_secret() {
        return Ok(());
    }
    match shaped {
        Some(value) => {
            check_required(attribute, &value)?;
            target.insert(in_spelling(name, attribute), value);
        }
        None => {
            target.shift_remove(&attribute.name);
        }
    }
    Ok(())
}

fn take_extension(
    document: &mut Map,
    urn: &str,
    attributes: &Attributes,
    value: Value,
) -> Result<(), ScimError> {
    let values = match value {
        Value::Null => return Ok(()),
        Value::Array(items) if items.is_empty() => return Ok(()),
        Value::Object(values) => values,
        _ => return Err(ScimError::invalid_value(format!("{urn} must be an object"))),
    };
    let mut extension = match document.shift_remove(urn) {
        Some(Value::Object(map)) => map,
        _ => Map::with_capacity(values.len()),
    };
    for (name, value) in values {
        if let Some(attribute) = attributes.find(&name) {
            take(&mut extension, attribute, (name, value))?;
        }
    }
    if !extension.is_empty() {
        document.insert(urn.to_owned(), Value::Object(extension));
    }
    Ok(())
}

/// Refuses `schemas` that name only other types; an empty list and URNs unknown to us do no harm (profile section 5).
fn check_schemas(value: &Value, kind: &ResourceType) -> Result<(), ScimError> {
    let wrong = || ScimError::invalid_value("schemas must be a list of URNs");
    let urns = match value {
        Value::Null => return Ok(()),
        Value::Array(urns) => urns.as_slice(),
        Value::String(_) => std::slice::from_ref(value),
        _ => return Err(wrong()),
    };
    let mut ours = urns.is_empty();
    for urn in urns {
        let urn = urn.as_str().ok_or_else(wrong)?;
        ours |= urn.eq_ignore_ascii_case(&kind.schema.id) || kind.extension(urn).is_some();
    }
    if ours {
        return Ok(());
    }
    Err(ScimError::invalid_value(format!(
        "schemas must name {}",
        kind.schema.id
    )))
}

fn require(values: &Map, attributes: &Attributes, kind: &ResourceType) -> Result<(), ScimError> {
    for attribute in attributes.iter().filter(|attribute| attribute.required) {
        let kept = !attribute.is_secret() && !kind.is_members(attribute);
        if kept && !attribute.is_read_only() && !values.contains_key(&attribute.name) {
            return Err(ScimError::invalid_value(format!(
                "{} is required",
                attribute.name
            )));
        }
    }
    Ok(())
}

fn keep_immutable(before: &Map, after: &Map, attributes: &Attributes) -> Result<(), ScimError> {
    let immutable = attributes
        .iter()
        .filter(|one| one.mutability == Mutability::Immutable);
    for attribute in immutable {
        let old = before.get(&attribute.name);
        if old.is_some() && old != after.get(&attribute.name) {
            return Err(ScimError::mutability(format!(
                "{} cannot be changed",
                attribute.name
            )));
        }
    }
    Ok(())
}

/// Writes `schemas`: the core URN and those of the extensions that have values (RFC 7643 section 3).
pub(crate) fn write_schemas(document: &mut Map, kind: &ResourceType) {
    let used = kind
        .extensions
        .iter()
        .map(|extension| extension.schema.id.as_str());
    let used = used.filter(|urn| document.contains_key(*urn));
    let urns: Vec<&str> = std::iter::once(kind.schema.id.as_str())
        .chain(used)
        .collect();
    let urns = json!(urns);
    match document.get_mut("schemas") {
        Some(slot) => *slot = urns,
        None => {
            document.shift_insert(0, "schemas".into(), urns);
        }
    }
}
