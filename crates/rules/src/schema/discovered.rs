//! Attributes that a target says it has, as its `/Schemas` and `/ResourceTypes` have them (2.5; RFC 7643, 6 and 7).

use serde_json::Value as Json;

use super::{AttributeDefinition, Mutability, ReferencedObject, Schema};
use crate::TargetType;

/// Attributes of one kind of object at most.
const MOST: usize = 2000;
/// Longest name, in bytes.
const LONGEST: usize = 500;

impl Schema {
    /// Adds what the definition of the target does not have yet, and answers the names of that, with the kind of
    /// object before each. Nothing that is there is changed.
    pub fn add_discovered(&mut self, schemas: &[Json], resource_types: &[Json]) -> Vec<String> {
        let mut added = Vec::new();
        for (source, endpoint) in [("User", "/Users"), ("Group", "/Groups")] {
            let Some(mapping) = self.object_mapping(source) else {
                continue;
            };
            let name = mapping.target_object.clone();
            let rules = &self.rules;
            let targets: Vec<&str> = rules
                .iter()
                .map(|rule| rule.target_directory.as_str())
                .collect();
            let found = attributes(schemas, resource_types, (source, endpoint));
            let mut objects = self
                .directories
                .iter_mut()
                .filter(|directory| targets.contains(&directory.name.as_str()))
                .flat_map(|directory| &mut directory.objects);
            let Some(object) = objects.find(|object| object.name == name) else {
                continue;
            };
            for attribute in found {
                let is_new = object.attribute(&attribute.name).is_none();
                if is_new && object.attributes.len() < MOST {
                    added.push(format!("{source}: {}", attribute.name));
                    object.attributes.push(attribute);
                }
            }
        }
        added
    }
}

/// The attributes of a resource type, by the names that mappings have for them.
fn attributes(
    schemas: &[Json],
    resource_types: &[Json],
    (name, endpoint): (&str, &str),
) -> Vec<AttributeDefinition> {
    let is_it = |it: &&Json| it["endpoint"] == endpoint || it["name"] == name;
    let of_type = resource_types.iter().find(is_it);
    let core = of_type.and_then(|it| it["schema"].as_str()).map_or_else(
        || format!("urn:ietf:params:scim:schemas:core:2.0:{name}"),
        str::to_owned,
    );
    let extensions: Vec<&str> = if let Some(of_type) = of_type {
        let all = of_type["schemaExtensions"].as_array().into_iter().flatten();
        all.filter_map(|it| it["schema"].as_str()).collect()
    } else {
        // Whoever says nothing of types says of an extension what it belongs to by its name.
        let ids = schemas.iter().filter_map(|it| it["id"].as_str());
        let suffix = format!(":{name}");
        ids.filter(|id| *id != core && id.ends_with(&suffix))
            .collect()
    };
    let mut found = Vec::new();
    let mut read = |id: &str, prefix: &str| {
        let schema = schemas.iter().find(|it| it["id"] == id);
        let all = schema.and_then(|it| it["attributes"].as_array());
        for attribute in all.into_iter().flatten().take(MOST) {
            definitions(attribute, prefix, &mut found);
        }
    };
    read(&core, "");
    for extension in extensions {
        read(extension, &format!("{extension}:"));
    }
    found.retain(|it| it.name.len() <= LONGEST);
    found
}

/// Those that nobody maps: they say what a resource is, or belong to the target alone.
const OWN: [&str; 4] = ["id", "meta", "schemas", "groups"];

/// An attribute, by itself or by its parts.
fn definitions(attribute: &Json, prefix: &str, found: &mut Vec<AttributeDefinition>) {
    let Some(name) = attribute["name"].as_str() else {
        return;
    };
    if prefix.is_empty() && OWN.contains(&name) {
        return;
    }
    let path = format!("{prefix}{name}");
    let is_multi_valued = attribute["multiValued"] == true;
    let parts: Vec<&Json> = match attribute["subAttributes"].as_array() {
        Some(parts) if attribute["type"] == "complex" => parts.iter().collect(),
        _ => Vec::new(),
    };
    let part = |wanted: &str| parts.iter().copied().find(|it| it["name"] == wanted);
    // Members and managers are named by what they refer to.
    let refers =
        part("$ref").is_some_and(|it| referenced(it).iter().any(|of| of.name != "External"));
    if parts.is_empty() || (refers && part("value").is_some()) {
        let mut definition = definition(&path, attribute);
        if refers {
            definition.kind = TargetType::Reference;
            definition.referenced = part("$ref").map(referenced).unwrap_or_default();
        }
        found.push(definition);
        return;
    }
    if !is_multi_valued {
        for of in &parts {
            if let Some(name) = of["name"].as_str().filter(|name| *name != "$ref") {
                found.push(definition(&format!("{path}.{name}"), of));
            }
        }
        return;
    }
    let types = part("type").and_then(|it| it["canonicalValues"].as_array());
    for kind in types.into_iter().flatten().filter_map(Json::as_str) {
        if kind.contains(['"', '\\']) {
            continue;
        }
        for of in &parts {
            let name = of["name"].as_str().unwrap_or_default();
            if !["", "type", "primary", "display", "$ref"].contains(&name) {
                found.push(definition(
                    &format!("{path}[type eq \"{kind}\"].{name}"),
                    of,
                ));
            }
        }
    }
}

fn definition(path: &str, of: &Json) -> AttributeDefinition {
    let kind = match of["type"].as_str().unwrap_or_default() {
        "boolean" => TargetType::Boolean,
        "integer" => TargetType::Integer,
        "dateTime" => TargetType::DateTime,
        "binary" => TargetType::Binary,
        _ => TargetType::String,
    };
    AttributeDefinition {
        case_exact: of["caseExact"] == true,
        multi_valued: of["multiValued"] == true,
        mutability: match of["mutability"].as_str().unwrap_or_default() {
            "readOnly" => Mutability::ReadOnly,
            "immutable" => Mutability::Immutable,
            "writeOnly" => Mutability::WriteOnly,
            _ => Mutability::ReadWrite,
        },
        ..AttributeDefinition::new(path, kind)
    }
}

/// What a reference can point at.
fn referenced(of: &Json) -> Vec<ReferencedObject> {
    let types = of["referenceTypes"].as_array().into_iter().flatten();
    types
        .filter_map(Json::as_str)
        .filter(|name| ["User", "Group"].contains(name))
        .map(|name| ReferencedObject {
            name: name.to_owned(),
            ..ReferencedObject::default()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gallery::Gallery;

    #[test]
    fn what_a_target_has_is_added_by_the_names_of_mappings() {
        let gallery = Gallery::parse(
            include_str!("../../../../gallery/apps.json"),
            include_str!("../../../../gallery/default-mappings.json"),
        );
        let mut schema = gallery.unwrap().custom_app_schema("Target");
        let before = schema.clone();
        let user = json!({
            "id": "urn:ietf:params:scim:schemas:core:2.0:User",
            "attributes": [
                { "name": "id", "type": "string" },
                { "name": "userName", "type": "string" },
                { "name": "badge", "type": "integer", "mutability": "immutable" },
                { "name": "seat", "type": "complex", "subAttributes": [
                    { "name": "floor", "type": "string", "caseExact": true }
                ]},
                { "name": "pagers", "type": "complex", "multiValued": true, "subAttributes": [
                    { "name": "value", "type": "string" },
                    { "name": "type", "type": "string", "canonicalValues": ["work", "x\"y"] }
                ]},
                { "name": "tags", "type": "string", "multiValued": true }
            ]
        });
        let extension = json!({
            "id": "urn:example:2.0:User",
            "attributes": [
                { "name": "buddy", "type": "complex", "subAttributes": [
                    { "name": "value", "type": "string" },
                    { "name": "$ref", "type": "reference", "referenceTypes": ["User"] }
                ]},
                { "name": "id", "type": "string" }
            ]
        });
        let schemas = [user, extension];
        let types = [json!({
            "name": "User", "endpoint": "/Users", "schema": "urn:ietf:params:scim:schemas:core:2.0:User",
            "schemaExtensions": [{ "schema": "urn:example:2.0:User" }]
        })];
        let added = schema.add_discovered(&schemas, &types);
        let expected = [
            "User: badge",
            "User: seat.floor",
            "User: pagers[type eq \"work\"].value",
            "User: tags",
            "User: urn:example:2.0:User:buddy",
            "User: urn:example:2.0:User:id",
        ];
        assert_eq!(added, expected);
        assert!(schema.check().is_empty(), "{:?}", schema.check());
        let object = &schema.directories[1].objects[0];
        let of = |name: &str| object.attribute(name).unwrap();
        assert_eq!(of("badge").kind, TargetType::Integer);
        assert_eq!(of("badge").mutability, Mutability::Immutable);
        assert!(of("seat.floor").case_exact && of("tags").multi_valued);
        let buddy = of("urn:example:2.0:User:buddy");
        assert_eq!(buddy.kind, TargetType::Reference);
        assert_eq!(buddy.referenced[0].name, "User");

        // A second time there is nothing new, and nothing that was there has changed.
        let once = schema.clone();
        assert_eq!(
            schema.add_discovered(&schemas, &types),
            Vec::<String>::new()
        );
        assert_eq!(schema, once);
        assert_eq!(schema.rules, before.rules);
        // Without resource types the name of the extension says what it is of.
        let mut other = before;
        assert_eq!(other.add_discovered(&schemas, &[]), expected);
    }
}
