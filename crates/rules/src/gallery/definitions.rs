//! The schema document of a template: both directories, one rule, its mappings.

use muster_model::directory::{GROUP_ATTRIBUTES, Shape, USER_ATTRIBUTES};
use serde_json::{Map, Value as Json, json};

use super::AppAttribute;
use super::rows::Row;
use crate::mapping::Actions;
use crate::schema::{
    AttributeDefinition, AttributeMappingText, Directory, FlowType, Mutability, ObjectDefinition,
    ObjectMappingText, ReferencedObject, Rule, SOURCE_DIRECTORY, Schema, ScopeText, Source,
};
use crate::types::TargetType;

/// What a schema is made from.
pub(super) struct Template<'t> {
    pub(super) id: &'t str,
    pub(super) display_name: &'t str,
    pub(super) user_object: &'t str,
    pub(super) group_object: &'t str,
    pub(super) user_attributes: &'t [AppAttribute],
    pub(super) group_attributes: &'t [AppAttribute],
    pub(super) user_rows: &'t [Row],
    pub(super) group_rows: &'t [Row],
}

/// Names that the mapping screen offers besides those of the directory's own properties.
const USER_EXTRAS: &[(&str, TargetType)] = &[
    ("IsSoftDeleted", TargetType::Boolean),
    ("appRoleAssignments", TargetType::String),
    ("employeeOrgData.costCenter", TargetType::String),
    ("employeeOrgData.division", TargetType::String),
    ("facsimileTelephoneNumber", TargetType::String),
    ("mobile", TargetType::String),
    ("netId", TargetType::String),
    ("originalUserPrincipalName", TargetType::String),
    ("physicalDeliveryOfficeName", TargetType::String),
    ("telephoneNumber", TargetType::String),
];

/// Attributes of SCIM that have several values when they are mapped as a whole.
const MULTI_VALUED: [&str; 10] = [
    "addresses",
    "emails",
    "entitlements",
    "groups",
    "ims",
    "members",
    "phoneNumbers",
    "photos",
    "roles",
    "x509Certificates",
];

/// The schema of a template.
pub(super) fn schema(template: &Template<'_>) -> Schema {
    let mut target_objects = vec![target_object(
        template.user_object,
        template.user_attributes,
        template.user_rows,
    )];
    let mut mappings = vec![object_mapping(
        "User",
        template.user_object,
        template,
        template.user_rows,
    )];
    if !template.group_rows.is_empty() {
        target_objects.push(target_object(
            template.group_object,
            template.group_attributes,
            template.group_rows,
        ));
        mappings.push(object_mapping(
            "Group",
            template.group_object,
            template,
            template.group_rows,
        ));
    }
    Schema {
        id: template.id.to_owned(),
        version: "1.0".to_owned(),
        directories: vec![
            Directory {
                id: stable_id("directory", "source"),
                name: SOURCE_DIRECTORY.to_owned(),
                read_only: true,
                discoverabilities: "None".to_owned(),
                objects: source_objects(),
                ..Directory::default()
            },
            Directory {
                id: stable_id("directory", template.id),
                name: target_directory(template.display_name),
                discoverabilities: "AttributeNames, AttributeDataTypes".to_owned(),
                objects: target_objects,
                ..Directory::default()
            },
        ],
        rules: vec![Rule {
            id: stable_id("rule", template.id),
            name: "USER_OUTBOUND_USER".to_owned(),
            priority: 1,
            editable: true,
            source_directory: SOURCE_DIRECTORY.to_owned(),
            target_directory: target_directory(template.display_name),
            container_filter: Json::Null,
            group_filter: Json::Null,
            metadata: vec![json!({ "key": "supportsProvisionOnDemand", "value": "true" })],
            object_mappings: mappings,
            other: Map::new(),
        }],
        other: Map::new(),
    }
}

/// Directories are told apart by name, also when the application is called like the source.
fn target_directory(display_name: &str) -> String {
    if display_name == SOURCE_DIRECTORY {
        format!("{display_name} (target)")
    } else {
        display_name.to_owned()
    }
}

fn object_mapping(
    source: &str,
    target: &str,
    template: &Template<'_>,
    rows: &[Row],
) -> ObjectMappingText {
    ObjectMappingText {
        name: format!(
            "Synchronize {SOURCE_DIRECTORY} {source}s to {}",
            template.display_name
        ),
        enabled: true,
        actions: Actions::ALL,
        source_object: source.to_owned(),
        target_object: target.to_owned(),
        metadata: Vec::new(),
        scope: Some(ScopeText::default()),
        attribute_mappings: rows.iter().map(attribute_mapping).collect(),
        other: Map::new(),
    }
}

fn attribute_mapping(row: &Row) -> AttributeMappingText {
    let source = match (&row.source, &row.expression) {
        (Some(name), _) => Some(Source::attribute(name)),
        (None, Some(text)) => Some(Source::parse_or_keep(text)),
        (None, None) => None,
    };
    AttributeMappingText {
        matching_priority: row.matching_precedence.unwrap_or(0),
        flow_type: match row.apply.as_str() {
            "onlyDuringCreation" => FlowType::ObjectAddOnly,
            _ => FlowType::Always,
        },
        ..AttributeMappingText::new(&*row.target, source)
    }
}

fn target_object(name: &str, attributes: &[AppAttribute], rows: &[Row]) -> ObjectDefinition {
    let mut definitions = vec![AttributeDefinition {
        anchor: true,
        mutability: Mutability::ReadOnly,
        case_exact: true,
        required: false,
        ..AttributeDefinition::new("id", TargetType::String)
    }];
    for attribute in attributes {
        if definitions.iter().all(|known| known.name != attribute.name) {
            definitions.push(target_attribute(
                &attribute.name,
                attribute.kind(),
                attribute.required,
            ));
        }
    }
    for row in rows {
        if definitions.iter().all(|known| known.name != row.target) {
            let kind = row.target_type.as_deref().and_then(TargetType::find);
            definitions.push(target_attribute(
                &row.target,
                kind.unwrap_or_default(),
                false,
            ));
        }
    }
    ObjectDefinition {
        name: name.to_owned(),
        attributes: definitions,
        ..ObjectDefinition::default()
    }
}

/// Sign-in names ignore case as SCIM says, everything else is exact, so that a corrected spelling
/// reaches the target (15 #8).
fn target_attribute(name: &str, kind: TargetType, required: bool) -> AttributeDefinition {
    let members = name.eq_ignore_ascii_case("members");
    AttributeDefinition {
        case_exact: kind == TargetType::String && name != "userName",
        multi_valued: members || MULTI_VALUED.contains(&name),
        required,
        referenced: match (kind, members) {
            (TargetType::Reference, true) => vec![referenced("User"), referenced("Group")],
            (TargetType::Reference, false) => vec![referenced("User")],
            _ => Vec::new(),
        },
        ..AttributeDefinition::new(name, kind)
    }
}

fn referenced(name: &str) -> ReferencedObject {
    ReferencedObject {
        name: name.to_owned(),
        ..ReferencedObject::default()
    }
}

fn source_objects() -> Vec<ObjectDefinition> {
    let mut user = source_attributes(USER_ATTRIBUTES);
    for (name, kind) in USER_EXTRAS {
        user.push(AttributeDefinition {
            multi_valued: *name == "appRoleAssignments",
            mutability: Mutability::ReadOnly,
            ..AttributeDefinition::new(*name, *kind)
        });
    }
    let mut group = source_attributes(GROUP_ATTRIBUTES);
    for name in ["members", "owners"] {
        group.push(AttributeDefinition {
            multi_valued: true,
            referenced: vec![referenced("User"), referenced("Group")],
            ..AttributeDefinition::new(name, TargetType::Reference)
        });
    }
    let object = |name: &str, attributes| ObjectDefinition {
        name: name.to_owned(),
        attributes,
        ..ObjectDefinition::default()
    };
    vec![object("User", user), object("Group", group)]
}

fn source_attributes(known: &[(&str, Shape)]) -> Vec<AttributeDefinition> {
    let anchor = AttributeDefinition {
        anchor: true,
        required: true,
        mutability: Mutability::ReadOnly,
        ..AttributeDefinition::new("objectId", TargetType::String)
    };
    let properties = known.iter().map(|(name, shape)| {
        let kind = match shape {
            Shape::Text | Shape::Texts => TargetType::String,
            Shape::Bool => TargetType::Boolean,
            Shape::Time => TargetType::DateTime,
            Shape::Reference => TargetType::Reference,
        };
        AttributeDefinition {
            multi_valued: *shape == Shape::Texts,
            referenced: match kind {
                TargetType::Reference => vec![referenced("User")],
                _ => Vec::new(),
            },
            ..AttributeDefinition::new(*name, kind)
        }
    });
    std::iter::once(anchor).chain(properties).collect()
}

/// An id in the form of a GUID that is always the same for the same template: rules keep their ids
/// when mappings are restored.
fn stable_id(kind: &str, name: &str) -> String {
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let mut hash: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    for byte in kind.bytes().chain([0]).chain(name.bytes()) {
        hash = (hash ^ u128::from(byte)).wrapping_mul(PRIME);
    }
    // Version 8: an id of one's own making.
    let hash = (hash & !(0xf000_u128 << 64) & !(0xc000_u128 << 48))
        | (0x8000_u128 << 64)
        | (0x8000_u128 << 48);
    let digits = format!("{hash:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..]
    )
}
