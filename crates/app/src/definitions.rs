//! Schemas and resource types that an integration brings, beside User and Group (RFC 7643 sections 6 and 7).
//!
//! A document holds `schemas` and `resourceTypes` as SCIM's discovery documents have them, and `extensions`
//! of the standard types: `{"resourceType": "User", "schema": "urn:…", "required": false}`. It is kept with
//! a number for each resource type, which stays the same while the type is there.

use std::collections::{BTreeMap, HashSet};

use muster_model::integration::ResourceKind;
use muster_scim::schema::{
    AttributeType, Attributes, ExtensionDefinition, ResourceTypeDefinition, Uniqueness,
};
use muster_scim::{ResourceType, Schema, Schemas};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::AppError;
use crate::received::unique_name;

/// Longest document, in bytes.
const LONGEST: usize = 1024 * 1024;
/// Schemas of a document at most.
const SCHEMAS: usize = 50;
/// Attributes of a schema at most, those within others not counted.
const ATTRIBUTES: usize = 500;
/// What no resource type may be found under.
const RESERVED: [&str; 8] = [
    "users",
    "groups",
    "bulk",
    "me",
    "schemas",
    "resourcetypes",
    "serviceproviderconfig",
    "events",
];

/// The definitions of an integration, joined with the standard ones.
#[derive(Debug)]
pub(crate) struct Definitions {
    /// What they were read from.
    pub(crate) text: String,
    pub(crate) schemas: Schemas,
    /// The kinds of its resource types, in their order.
    pub(crate) kinds: Vec<ResourceKind>,
}

/// A document as a person writes it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Document {
    #[serde(default)]
    schemas: Vec<Value>,
    #[serde(default)]
    extensions: Vec<Extension>,
    #[serde(default)]
    resource_types: Vec<Value>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Extension {
    resource_type: String,
    schema: String,
    #[serde(default)]
    required: bool,
}

/// A document as it is kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Kept {
    document: Document,
    /// The numbers of the resource types, also of those that went.
    numbers: BTreeMap<String, i64>,
}

/// Reads what a person wrote, and numbers its types; `before` is what is kept so far.
pub(crate) fn accept(text: &str, before: Option<&str>) -> Result<String, AppError> {
    if text.len() > LONGEST {
        return Err(invalid(format!("they are longer than {LONGEST} bytes")));
    }
    let document: Document =
        serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    let before: Option<Kept> = before
        .map(|text| serde_json::from_str(text).map_err(damaged))
        .transpose()?;
    let mut numbers = before.map(|kept| kept.numbers).unwrap_or_default();
    for name in names(&document)? {
        let next = 1 + numbers.values().copied().max().unwrap_or(2);
        numbers.entry(name.to_lowercase()).or_insert(next);
    }
    let kept = Kept { document, numbers };
    check(&join(&kept)?)?;
    serde_json::to_string(&kept).map_err(|error| invalid(error.to_string()))
}

/// The document of a person, as it was accepted.
pub(crate) fn written(kept: &str) -> Result<Value, AppError> {
    let kept: Kept = serde_json::from_str(kept).map_err(damaged)?;
    serde_json::to_value(kept.document).map_err(damaged)
}

/// Reads what is kept.
pub(crate) fn read(kept: &str) -> Result<Definitions, AppError> {
    let read = join(&serde_json::from_str(kept).map_err(damaged)?)?;
    Ok(Definitions {
        text: kept.to_owned(),
        ..read
    })
}

/// What is kept when a person takes the definitions away: the numbers, so that no other type gets them.
pub(crate) fn cleared(before: &str) -> Result<String, AppError> {
    let mut kept: Kept = serde_json::from_str(before).map_err(damaged)?;
    kept.document = Document::default();
    serde_json::to_string(&kept).map_err(damaged)
}

/// Is there nothing in them?
pub(crate) fn are_empty(kept: &str) -> Result<bool, AppError> {
    let kept: Kept = serde_json::from_str(kept).map_err(damaged)?;
    let Document {
        schemas,
        extensions,
        resource_types,
    } = &kept.document;
    Ok(schemas.is_empty() && extensions.is_empty() && resource_types.is_empty())
}

fn damaged(error: serde_json::Error) -> AppError {
    AppError::Refused(format!("the kept definitions are damaged: {error}"))
}

fn invalid(reason: impl Into<String>) -> AppError {
    AppError::Invalid(format!("the definitions cannot be used: {}", reason.into()))
}

fn names(document: &Document) -> Result<Vec<String>, AppError> {
    let types = parse_types(document)?;
    Ok(types.into_iter().map(|one| one.name).collect())
}

fn parse_types(document: &Document) -> Result<Vec<ResourceTypeDefinition>, AppError> {
    let parse = |value: &Value| {
        ResourceTypeDefinition::deserialize(value)
            .map_err(|error| invalid(format!("resourceTypes: {error}")))
    };
    document.resource_types.iter().map(parse).collect()
}

fn join(kept: &Kept) -> Result<Definitions, AppError> {
    let standard = Schemas::standard();
    let mut schemas: Vec<Schema> = standard.schemas().cloned().collect();
    for value in &kept.document.schemas {
        let schema =
            Schema::deserialize(value).map_err(|error| invalid(format!("schemas: {error}")))?;
        schemas.push(schema);
    }
    let mut types: Vec<ResourceTypeDefinition> =
        standard.resource_types().iter().map(definition).collect();
    for extension in &kept.document.extensions {
        let known = types
            .iter_mut()
            .find(|one| one.name.eq_ignore_ascii_case(&extension.resource_type));
        let one = known.ok_or_else(|| {
            invalid(format!(
                "extensions: {} is not User or Group; give a resource type of your own its \
                 schemaExtensions",
                extension.resource_type
            ))
        })?;
        one.schema_extensions.push(ExtensionDefinition {
            schema: extension.schema.clone(),
            required: extension.required,
        });
    }
    let mut kinds = ResourceKind::STANDARD.to_vec();
    for mut own in parse_types(&kept.document)? {
        let number = kept.numbers.get(&own.name.to_lowercase());
        let number = number.ok_or_else(|| invalid(format!("{} has no number", own.name)))?;
        kinds.push(ResourceKind::from_number(*number));
        own.members_apart = false;
        types.push(own);
    }
    let schemas = Schemas::new(schemas, types).map_err(|error| invalid(error.to_string()))?;
    Ok(Definitions {
        text: String::new(),
        schemas,
        kinds,
    })
}

fn definition(kind: &ResourceType) -> ResourceTypeDefinition {
    let extensions = kind.extensions.iter().map(|one| ExtensionDefinition {
        schema: one.schema.id.clone(),
        required: one.required,
    });
    ResourceTypeDefinition {
        name: kind.name.clone(),
        endpoint: kind.endpoint.clone(),
        description: kind.description.clone(),
        schema: kind.schema.id.clone(),
        schema_extensions: extensions.collect(),
        members_apart: kind.members_apart,
    }
}

fn check(definitions: &Definitions) -> Result<(), AppError> {
    let mut urns = HashSet::new();
    for schema in definitions.schemas.schemas() {
        check_schema(schema)?;
        if !urns.insert(schema.id.to_lowercase()) {
            return Err(invalid(format!("{} is defined twice", schema.id)));
        }
    }
    if urns.len() > SCHEMAS {
        return Err(invalid(format!("there are more than {SCHEMAS} schemas")));
    }
    let (mut names, mut endpoints) = (HashSet::new(), HashSet::new());
    let all = definitions.schemas.resource_types();
    for (at, kind) in all.iter().enumerate() {
        let (name, endpoint) = (kind.name.to_lowercase(), kind.endpoint.to_lowercase());
        if !names.insert(name) || !endpoints.insert(endpoint) {
            return Err(invalid(format!(
                "two resource types are named {} or found at {}",
                kind.name, kind.endpoint
            )));
        }
        check_type(kind, at >= ResourceKind::STANDARD.len())?;
    }
    Ok(())
}

fn check_type(kind: &ResourceType, own: bool) -> Result<(), AppError> {
    let mut extensions = HashSet::new();
    for extension in &kind.extensions {
        let urn = extension.schema.id.to_lowercase();
        if urn == kind.schema.id.to_lowercase() || !extensions.insert(urn) {
            let urn = &extension.schema.id;
            return Err(invalid(format!("{} has {urn} twice", kind.name)));
        }
        let mut attributes = extension.schema.attributes.iter();
        if let Some(unique) = attributes.find(|one| one.uniqueness != Uniqueness::None) {
            return Err(invalid(format!(
                "{} of {} says that it is unique, which an extension cannot promise; set its \
                 uniqueness to none",
                unique.name, extension.schema.id
            )));
        }
    }
    if !own {
        return Ok(());
    }
    let path = kind.endpoint.strip_prefix('/').unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if path.is_empty() || !path.chars().all(plain) || RESERVED.contains(&&*path.to_lowercase()) {
        return Err(invalid(format!(
            "{} needs an endpoint of its own such as /Devices, not {:?}",
            kind.name, kind.endpoint
        )));
    }
    if !is_name(&kind.name) {
        return Err(invalid(format!("{:?} is no name of a type", kind.name)));
    }
    let unique = unique_name(kind).map(|one| &one.name);
    let mut attributes = kind.schema.attributes.iter();
    let other =
        attributes.find(|one| one.uniqueness != Uniqueness::None && Some(&one.name) != unique);
    other.map_or(Ok(()), |one| {
        Err(invalid(format!(
            "{} has more than one unique attribute, or {} is no single text; only the first can be \
             kept unique",
            kind.name, one.name
        )))
    })
}

fn check_schema(schema: &Schema) -> Result<(), AppError> {
    let urn = &schema.id;
    let message = urn.to_lowercase().starts_with("urn:ietf:params:scim:api:");
    if !urn.to_lowercase().starts_with("urn:") || message || urn.chars().any(char::is_whitespace) {
        return Err(invalid(format!(
            "{urn:?} is no URN of a schema; take one such as urn:example:scim:schemas:2.0:Device"
        )));
    }
    check_attributes(urn, &schema.attributes, true)
}

fn check_attributes(place: &str, attributes: &Attributes, top: bool) -> Result<(), AppError> {
    if attributes.iter().count() > ATTRIBUTES {
        return Err(invalid(format!(
            "{place} has more than {ATTRIBUTES} attributes"
        )));
    }
    let mut names = HashSet::new();
    for attribute in attributes {
        let name = &attribute.name;
        let common = ResourceType::common().find(name).is_some();
        if !(is_name(name) || name == "$ref") || top && common {
            return Err(invalid(format!(
                "{place} may not have an attribute {name:?}"
            )));
        }
        if !names.insert(name.to_lowercase()) {
            return Err(invalid(format!("{place} has {name} twice")));
        }
        let complex = attribute.kind == AttributeType::Complex;
        if complex == attribute.sub_attributes.is_empty() || complex && !top {
            return Err(invalid(format!(
                "{name} of {place}: a complex attribute has subAttributes, which are not complex \
                 themselves, and no other has any"
            )));
        }
        check_attributes(&format!("{place}:{name}"), &attribute.sub_attributes, false)?;
    }
    Ok(())
}

/// A name of RFC 7643 section 2.1: a letter, then letters, digits, `-` and `_`.
fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        && name.len() <= 100
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn device() -> Value {
        json!({
            "schemas": [
                {"id": "urn:example:Device", "name": "Device", "attributes": [
                    {"name": "serial", "required": true, "uniqueness": "server", "caseExact": true},
                    {"name": "owner", "type": "complex", "subAttributes": [{"name": "value"}]},
                ]},
                {"id": "urn:example:Badge", "attributes": [{"name": "colour"}]},
            ],
            "extensions": [{"resourceType": "User", "schema": "urn:example:Badge"}],
            "resourceTypes": [{"name": "Device", "endpoint": "/Devices", "schema": "urn:example:Device"}],
        })
    }

    #[test]
    fn a_document_is_joined_with_the_standard() {
        let kept = accept(&device().to_string(), None).unwrap();
        let definitions = read(&kept).unwrap();
        let numbers: Vec<i64> = definitions.kinds.iter().map(|kind| kind.number()).collect();
        assert_eq!(numbers, [1, 2, 3]);
        let user = definitions.schemas.resource_type("User").unwrap();
        assert!(user.extension("urn:example:badge").is_some());
        assert_eq!(
            written(&kept).unwrap()["extensions"],
            json!([
                {"resourceType": "User", "schema": "urn:example:Badge", "required": false}
            ])
        );
    }

    #[test]
    fn a_type_keeps_its_number_while_others_come_and_go() {
        let kept = accept(&device().to_string(), None).unwrap();
        let mut more = device();
        let site = json!({"name": "Site", "endpoint": "/Sites", "schema": "urn:example:Badge"});
        more["resourceTypes"] = json!([site.clone()]);
        let kept = accept(&more.to_string(), Some(&kept)).unwrap();
        more["resourceTypes"] = json!([device()["resourceTypes"][0], site]);
        let kept = accept(&more.to_string(), Some(&kept)).unwrap();
        let numbers: Vec<i64> = read(&kept)
            .unwrap()
            .kinds
            .iter()
            .map(|it| it.number())
            .collect();
        assert_eq!(numbers, [1, 2, 3, 4]);
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Value), part: &str) {
        let mut document = device();
        change(&mut document);
        let error = accept(&document.to_string(), None).unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        refused(|it| it["types"] = json!([]), "unknown field");
        let twice = |it: &mut Value| {
            let again = it["schemas"][1].clone();
            if let Some(all) = it["schemas"].as_array_mut() {
                all.push(again);
            }
        };
        refused(twice, "defined twice");
        let renamed = |it: &mut Value, urn: &str| {
            it["schemas"][1]["id"] = json!(urn);
            it["extensions"][0]["schema"] = json!(urn);
        };
        refused(|it| renamed(it, "Badge"), "no URN");
        refused(|it| renamed(it, muster_scim::schema::USER), "twice");
        refused(
            |it| it["schemas"][0]["attributes"][0]["name"] = json!("meta"),
            "may not have",
        );
        refused(
            |it| it["schemas"][0]["attributes"][0]["name"] = json!("a b"),
            "may not have",
        );
        refused(
            |it| it["schemas"][0]["attributes"][1]["name"] = json!("SERIAL"),
            "twice",
        );
        refused(
            |it| it["schemas"][0]["attributes"][1]["subAttributes"] = json!([]),
            "subAttributes",
        );
        refused(
            |it| it["schemas"][1]["attributes"][0]["uniqueness"] = json!("server"),
            "unique",
        );
        refused(
            |it| it["schemas"][1]["attributes"][0]["type"] = json!("colour"),
            "unknown variant",
        );
        refused(
            |it| it["extensions"][0]["resourceType"] = json!("Device"),
            "not User or Group",
        );
        refused(
            |it| it["extensions"][0]["schema"] = json!("urn:example:None"),
            "unknown schema",
        );
        refused(
            |it| it["resourceTypes"][0]["endpoint"] = json!("/Users"),
            "found at",
        );
        refused(
            |it| it["resourceTypes"][0]["endpoint"] = json!("/Me"),
            "endpoint of its own",
        );
        refused(
            |it| it["resourceTypes"][0]["endpoint"] = json!("Devices"),
            "endpoint of its own",
        );
        refused(
            |it| it["resourceTypes"][0]["name"] = json!("user"),
            "two resource types",
        );
    }
}
