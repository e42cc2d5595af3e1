//! Schemas and resource types as data, with look-up that ignores case (RFC 7643 sections 6 and 7).

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

/// URN of the core User schema.
pub const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// URN of the core Group schema.
pub const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
/// URN of the enterprise extension of User.
pub const ENTERPRISE_USER: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// The data type of an attribute (RFC 7643 section 2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AttributeType {
    /// Text.
    #[default]
    String,
    /// True or false.
    Boolean,
    /// A number.
    Decimal,
    /// A number without fraction.
    Integer,
    /// An `xsd:dateTime`.
    DateTime,
    /// Bytes as base64.
    Binary,
    /// A URI.
    Reference,
    /// An object of sub-attributes.
    Complex,
}

/// When an attribute may be written (RFC 7643 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mutability {
    /// Never by a client.
    ReadOnly,
    /// At any time.
    #[default]
    ReadWrite,
    /// Once.
    Immutable,
    /// At any time, but it cannot be read.
    WriteOnly,
}

/// When an attribute is shown (RFC 7643 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Returned {
    /// In every answer.
    Always,
    /// In no answer.
    Never,
    /// Unless the client asks for others.
    #[default]
    Default,
    /// Only when asked for.
    Request,
}

/// Over what a value must be unique (RFC 7643 section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Uniqueness {
    /// Nothing.
    #[default]
    None,
    /// The resources of this server.
    Server,
    /// All resources anywhere.
    Global,
}

/// One attribute or sub-attribute; what a definition leaves out has the default of RFC 7643 section 7.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attribute {
    /// The canonical spelling.
    pub name: String,
    /// The data type.
    #[serde(rename = "type", default)]
    pub kind: AttributeType,
    /// Whether it holds a list.
    #[serde(default)]
    pub multi_valued: bool,
    /// A sentence for people.
    #[serde(default)]
    pub description: String,
    /// Whether a resource needs it.
    #[serde(default)]
    pub required: bool,
    /// Whether comparison minds upper and lower case.
    #[serde(default)]
    pub case_exact: bool,
    /// When it may be written.
    #[serde(default)]
    pub mutability: Mutability,
    /// When it is shown.
    #[serde(default)]
    pub returned: Returned,
    /// Over what its value is unique.
    #[serde(default)]
    pub uniqueness: Uniqueness,
    /// Suggested values; others are stored too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub canonical_values: Vec<String>,
    /// What a reference may point at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reference_types: Vec<String>,
    /// The parts of a complex attribute.
    #[serde(default, skip_serializing_if = "Attributes::is_empty")]
    pub sub_attributes: Attributes,
}

impl Attribute {
    /// Whether the attribute is one object that refers by its `value`, as `manager` does.
    ///
    /// Such an attribute is accepted as a plain string, and an empty `value` unassigns it (profile section 12.3).
    pub fn is_reference_object(&self) -> bool {
        self.kind == AttributeType::Complex
            && !self.multi_valued
            && self.sub_attributes.find("value").is_some()
    }

    /// Whether a client may learn nothing about the value, as with `password`.
    pub fn is_secret(&self) -> bool {
        self.returned == Returned::Never || self.mutability == Mutability::WriteOnly
    }

    /// Whether clients cannot write it.
    pub fn is_read_only(&self) -> bool {
        self.mutability == Mutability::ReadOnly
    }
}

/// A list of attributes with a table for finding one by name in any case.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(from = "Vec<Attribute>")]
pub struct Attributes {
    list: Vec<Attribute>,
    /// What begins each name, and its position in `list`, in order: what a search compares lies side by side.
    by_name: Vec<(u64, usize)>,
}

/// The length of a name and its first seven letters in lower case, which tell most names apart.
fn beginning(name: &str) -> u64 {
    let letters = name.bytes().chain(std::iter::repeat(0)).take(7);
    letters.fold(name.len() as u64, |sum, byte| {
        sum << 8 | u64::from(byte.to_ascii_lowercase())
    })
}

impl Attributes {
    /// The attribute of that name, in any case (RFC 7643 section 2.1).
    pub fn find(&self, name: &str) -> Option<&Attribute> {
        let beginning = beginning(name);
        let first = self.by_name.partition_point(|&(of, _)| of < beginning);
        self.by_name[first..]
            .iter()
            .take_while(|(of, _)| *of == beginning)
            .map(|&(_, at)| &self.list[at])
            .find(|attribute| attribute.name.eq_ignore_ascii_case(name))
    }

    /// All of them, in the order of the definition.
    pub fn iter(&self) -> std::slice::Iter<'_, Attribute> {
        self.list.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

impl<'a> IntoIterator for &'a Attributes {
    type Item = &'a Attribute;
    type IntoIter = std::slice::Iter<'a, Attribute>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Vec<Attribute>> for Attributes {
    fn from(list: Vec<Attribute>) -> Self {
        let names = list.iter().map(|attribute| beginning(&attribute.name));
        let mut by_name: Vec<(u64, usize)> = names.zip(0..).collect();
        by_name.sort_unstable();
        Self { list, by_name }
    }
}

impl Serialize for Attributes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.list.serialize(serializer)
    }
}

/// A schema: a URN and its attributes (RFC 7643 section 7).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schema {
    /// The URN.
    pub id: String,
    /// A name for people.
    #[serde(default)]
    pub name: String,
    /// A sentence for people.
    #[serde(default)]
    pub description: String,
    /// The attributes, without the common ones.
    pub attributes: Attributes,
}

/// How a resource type is written down, before its schemas are looked up (RFC 7643 section 6).
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceTypeDefinition {
    /// The name, such as `User`.
    pub name: String,
    /// The path below the base URL, such as `/Users`.
    pub endpoint: String,
    /// A sentence for people.
    #[serde(default)]
    pub description: String,
    /// URN of the core schema.
    pub schema: String,
    /// The extensions.
    #[serde(default)]
    pub schema_extensions: Vec<ExtensionDefinition>,
    /// See [`ResourceType::members_apart`].
    #[serde(default)]
    pub members_apart: bool,
}

/// One extension in a [`ResourceTypeDefinition`].
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct ExtensionDefinition {
    /// URN of the extension's schema.
    pub schema: String,
    /// Whether each resource must have it.
    #[serde(default)]
    pub required: bool,
}

/// One extension of a resource type.
#[derive(Debug, Clone)]
pub struct Extension {
    /// Its schema.
    pub schema: Arc<Schema>,
    /// Whether each resource must have it.
    pub required: bool,
}

/// A kind of resource with its core schema and extensions (RFC 7643 section 6).
#[derive(Debug, Clone)]
pub struct ResourceType {
    /// The name, such as `User`.
    pub name: String,
    /// The path below the base URL, such as `/Users`.
    pub endpoint: String,
    /// A sentence for people.
    pub description: String,
    /// The core schema.
    pub schema: Arc<Schema>,
    /// The extensions, in the order they are declared.
    pub extensions: Vec<Extension>,
    /// Whether `members` is kept outside the document, since a group may have a hundred thousand of them.
    pub members_apart: bool,
}

static COMMON: LazyLock<Attributes> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../schemas/common.json"))
        .expect("the embedded common attributes are tested")
});

impl ResourceType {
    /// The attributes that every resource has: `schemas`, `id`, `externalId`, `meta` (RFC 7643 section 3.1).
    pub fn common() -> &'static Attributes {
        &COMMON
    }

    /// A core or common attribute by name.
    pub fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.schema
            .attributes
            .find(name)
            .or_else(|| COMMON.find(name))
    }

    /// An extension by URN, in any case.
    pub fn extension(&self, urn: &str) -> Option<&Schema> {
        self.extensions
            .iter()
            .map(|extension| &*extension.schema)
            .find(|schema| schema.id.eq_ignore_ascii_case(urn))
    }

    /// Whether an attribute name stands for the members that are kept apart.
    pub fn is_members(&self, attribute: &Attribute) -> bool {
        self.members_apart && attribute.name == "members"
    }
}

/// Why a set of definitions does not fit together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A resource type names a schema that is not among those given.
    #[error("resource type {resource_type} names the unknown schema {urn}")]
    UnknownSchema {
        /// The resource type.
        resource_type: String,
        /// The missing URN.
        urn: String,
    },
}

/// The schemas and resource types that a server offers.
#[derive(Debug, Clone)]
pub struct Schemas {
    schemas: Vec<Arc<Schema>>,
    resource_types: Vec<ResourceType>,
}

static STANDARD: LazyLock<Schemas> = LazyLock::new(|| {
    let schemas = [
        include_str!("../schemas/user.json"),
        include_str!("../schemas/enterprise-user.json"),
        include_str!("../schemas/group.json"),
    ]
    .map(|text| serde_json::from_str(text).expect("the embedded schemas are tested"));
    let types: Vec<ResourceTypeDefinition> =
        serde_json::from_str(include_str!("../schemas/resource-types.json"))
            .expect("the embedded resource types are tested");
    Schemas::new(schemas.into(), types).expect("the embedded definitions are tested")
});

impl Schemas {
    /// User with the enterprise extension, and Group (RFC 7643 section 8.7.1).
    pub fn standard() -> &'static Schemas {
        &STANDARD
    }

    /// Joins definitions, so that an integration can bring extensions and resource types of its own.
    pub fn new(
        schemas: Vec<Schema>,
        types: Vec<ResourceTypeDefinition>,
    ) -> Result<Self, SchemaError> {
        let schemas: Vec<Arc<Schema>> = schemas.into_iter().map(Arc::new).collect();
        let resource_types = types
            .into_iter()
            .map(|definition| join(definition, &schemas))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            schemas,
            resource_types,
        })
    }

    /// All schemas.
    pub fn schemas(&self) -> impl Iterator<Item = &Schema> {
        self.schemas.iter().map(|schema| &**schema)
    }

    /// A schema by URN, in any case.
    pub fn schema(&self, urn: &str) -> Option<&Schema> {
        self.schemas()
            .find(|schema| schema.id.eq_ignore_ascii_case(urn))
    }

    /// All resource types.
    pub fn resource_types(&self) -> &[ResourceType] {
        &self.resource_types
    }

    /// A resource type by name, in any case.
    pub fn resource_type(&self, name: &str) -> Option<&ResourceType> {
        self.resource_types
            .iter()
            .find(|kind| kind.name.eq_ignore_ascii_case(name))
    }
}

fn join(
    definition: ResourceTypeDefinition,
    schemas: &[Arc<Schema>],
) -> Result<ResourceType, SchemaError> {
    let find = |urn: &str| {
        schemas
            .iter()
            .find(|schema| schema.id.eq_ignore_ascii_case(urn))
            .cloned()
            .ok_or_else(|| SchemaError::UnknownSchema {
                resource_type: definition.name.clone(),
                urn: urn.to_owned(),
            })
    };
    let schema = find(&definition.schema)?;
    let extensions = definition
        .schema_extensions
        .iter()
        .map(|one| {
            Ok(Extension {
                schema: find(&one.schema)?,
                required: one.required,
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(ResourceType {
        name: definition.name,
        endpoint: definition.endpoint,
        description: definition.description,
        schema,
        extensions,
        members_apart: definition.members_apart,
    })
}

/// The standard User resource type.
pub fn user() -> &'static ResourceType {
    STANDARD
        .resource_type("User")
        .expect("the standard definitions hold User")
}

/// The standard Group resource type.
pub fn group() -> &'static ResourceType {
    STANDARD
        .resource_type("Group")
        .expect("the standard definitions hold Group")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_in_any_case() {
        for name in ["userName", "USERNAME", "username"] {
            assert_eq!(user().attribute(name).unwrap().name, "userName");
        }
        assert_eq!(user().attribute("META").unwrap().name, "meta");
        assert!(user().attribute("userNam").is_none());
        assert!(user().attribute("").is_none());
        let enterprise = user().extension(&ENTERPRISE_USER.to_uppercase()).unwrap();
        assert_eq!(
            enterprise.attributes.find("DEPARTMENT").unwrap().name,
            "department"
        );
    }

    #[test]
    fn every_attribute_finds_itself() {
        for schema in Schemas::standard().schemas() {
            for attribute in &schema.attributes {
                assert_eq!(schema.attributes.find(&attribute.name), Some(attribute));
                for sub in &attribute.sub_attributes {
                    assert_eq!(attribute.sub_attributes.find(&sub.name), Some(sub));
                }
                assert_eq!(
                    attribute.kind == AttributeType::Complex,
                    !attribute.sub_attributes.is_empty(),
                    "{}",
                    attribute.name
                );
            }
        }
    }

    // Integrations bring schemas of their own, in which names may begin alike.
    #[test]
    fn names_that_begin_alike_are_told_apart() {
        let mut names: Vec<String> = (1..=15).map(|n| format!("extensionAttribute{n}")).collect();
        names.extend([300, 44].map(|length| format!("xxxxxxx{}", "y".repeat(length - 7))));
        names.extend(["", "a", "É", "Straße"].map(str::to_owned));
        let named = |name: &String| serde_json::from_value(serde_json::json!({ "name": name }));
        let list: Vec<Attribute> = names.iter().map(|name| named(name).unwrap()).collect();
        let attributes = Attributes::from(list);
        for name in &names {
            for spelt in [name.clone(), name.to_ascii_uppercase()] {
                assert_eq!(&attributes.find(&spelt).unwrap().name, name);
            }
        }
        let longer = "x".repeat(300);
        for none in [
            "extensionAttributeX",
            "extensionAttribute16",
            "b",
            "é",
            "STRASSE",
            &longer,
        ] {
            assert_eq!(attributes.find(none), None, "{none}");
        }
    }

    // Profile sections 4.2, 4.3 and 11.
    #[test]
    fn the_standard_schemas_say_what_the_profile_says() {
        let name = user().attribute("userName").unwrap();
        assert!(name.required && !name.case_exact && name.uniqueness == Uniqueness::Server);
        let password = user().attribute("password").unwrap();
        assert!(password.is_secret() && password.returned == Returned::Never);
        assert!(user().attribute("groups").unwrap().is_read_only());
        let display = group().attribute("displayName").unwrap();
        assert!(display.required && display.uniqueness == Uniqueness::Server);
        assert!(user().attribute("externalId").unwrap().case_exact);
        assert!(group().is_members(group().attribute("members").unwrap()));
        let manager = user()
            .extension(ENTERPRISE_USER)
            .unwrap()
            .attributes
            .find("manager")
            .unwrap();
        assert!(manager.is_reference_object());
        assert!(!user().attribute("name").unwrap().is_reference_object());
        let names: Vec<_> = user()
            .schema
            .attributes
            .iter()
            .map(|attribute| attribute.name.as_str())
            .collect();
        assert_eq!(names.len(), 21);
    }

    #[test]
    fn a_definition_with_an_unknown_schema_is_refused() {
        let definition = ResourceTypeDefinition {
            name: "Device".into(),
            endpoint: "/Devices".into(),
            description: String::new(),
            schema: "urn:example:Device".into(),
            schema_extensions: Vec::new(),
            members_apart: false,
        };
        let error = Schemas::new(Vec::new(), vec![definition]).unwrap_err();
        assert!(error.to_string().contains("urn:example:Device"));
    }
}
