//! The discovery documents: what a server can do, its resource types and its schemas (RFC 7644 section 4).

use serde_json::{Value, json};

use crate::message::LIST_RESPONSE;
use crate::schema::{ResourceType, Schema, Schemas};

/// URN of the configuration document.
pub const SERVICE_PROVIDER_CONFIG: &str =
    "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig";
/// URN of a resource type document.
pub const RESOURCE_TYPE: &str = "urn:ietf:params:scim:schemas:core:2.0:ResourceType";
/// URN of a schema document.
pub const SCHEMA: &str = "urn:ietf:params:scim:schemas:core:2.0:Schema";

/// What a server offers; PATCH and filters are always there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Bulk requests, with their limits.
    pub bulk: Option<BulkLimits>,
    /// Sorting.
    pub sort: bool,
    /// Entity tags.
    pub etag: bool,
    /// Changing a password.
    pub change_password: bool,
    /// The largest page.
    pub max_results: u64,
    /// Paging by cursor (RFC 9865); only mentioned when offered.
    pub cursor_paging: bool,
    /// Where a person can read more.
    pub documentation_uri: Option<String>,
}

/// How much one bulk request may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BulkLimits {
    /// Operations.
    pub max_operations: u64,
    /// Bytes.
    pub max_payload_size: u64,
}

/// The document of `/ServiceProviderConfig` (RFC 7643 section 5).
pub fn service_provider_config(base: &str, capabilities: &Capabilities) -> Value {
    let limits = capabilities.bulk.unwrap_or(BulkLimits {
        max_operations: 0,
        max_payload_size: 0,
    });
    let mut config = json!({
        "schemas": [SERVICE_PROVIDER_CONFIG],
        "patch": {"supported": true},
        "bulk": {
            "supported": capabilities.bulk.is_some(),
            "maxOperations": limits.max_operations,
            "maxPayloadSize": limits.max_payload_size,
        },
        "filter": {"supported": true, "maxResults": capabilities.max_results},
        "changePassword": {"supported": capabilities.change_password},
        "sort": {"supported": capabilities.sort},
        "etag": {"supported": capabilities.etag},
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "The secret token of the integration, in the Authorization header",
            "primary": true,
        }],
        "meta": meta(base, "ServiceProviderConfig", "/ServiceProviderConfig"),
    });
    if capabilities.cursor_paging {
        config["pagination"] = json!({
            "cursor": true,
            "index": true,
            "defaultPaginationMethod": "index",
            "defaultPageSize": capabilities.max_results,
            "maxPageSize": capabilities.max_results,
        });
    }
    if let Some(uri) = &capabilities.documentation_uri {
        config["documentationUri"] = Value::from(uri.as_str());
    }
    config
}

/// One document of `/ResourceTypes` (RFC 7643 section 6).
pub fn resource_type(base: &str, kind: &ResourceType) -> Value {
    let extensions: Vec<Value> = kind
        .extensions
        .iter()
        .map(|extension| json!({"schema": extension.schema.id, "required": extension.required}))
        .collect();
    let mut document = json!({
        "schemas": [RESOURCE_TYPE],
        "id": kind.name,
        "name": kind.name,
        "endpoint": kind.endpoint,
        "description": kind.description,
        "schema": kind.schema.id,
        "meta": meta(base, "ResourceType", &format!("/ResourceTypes/{}", kind.name)),
    });
    if !extensions.is_empty() {
        document["schemaExtensions"] = Value::Array(extensions);
    }
    document
}

/// One document of `/Schemas` (RFC 7643 section 7); every characteristic is spelt out, nothing is null.
pub fn schema(base: &str, schema: &Schema) -> Value {
    json!({
        "schemas": [SCHEMA],
        "id": schema.id,
        "name": schema.name,
        "description": schema.description,
        "attributes": schema.attributes,
        "meta": meta(base, "Schema", &format!("/Schemas/{}", schema.id)),
    })
}

/// The list of `/ResourceTypes`.
pub fn resource_types(base: &str, schemas: &Schemas) -> Value {
    list(
        schemas
            .resource_types()
            .iter()
            .map(|kind| resource_type(base, kind))
            .collect(),
    )
}

/// The list of `/Schemas`.
pub fn schemas(base: &str, schemas: &Schemas) -> Value {
    list(schemas.schemas().map(|one| schema(base, one)).collect())
}

fn list(resources: Vec<Value>) -> Value {
    json!({
        "schemas": [LIST_RESPONSE],
        "totalResults": resources.len(),
        "startIndex": 1,
        "itemsPerPage": resources.len(),
        "Resources": resources,
    })
}

fn meta(base: &str, kind: &str, path: &str) -> Value {
    json!({"resourceType": kind, "location": format!("{}{path}", base.trim_end_matches('/'))})
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "https://id.example.net/scim/v2/";

    fn capabilities() -> Capabilities {
        Capabilities {
            bulk: Some(BulkLimits {
                max_operations: 1_000,
                max_payload_size: 1_048_576,
            }),
            sort: true,
            etag: true,
            change_password: false,
            max_results: 200,
            cursor_paging: false,
            documentation_uri: None,
        }
    }

    #[track_caller]
    fn check_no_null(value: &Value) {
        match value {
            Value::Null => panic!("a null in a discovery document"),
            Value::Array(items) => items.iter().for_each(check_no_null),
            Value::Object(map) => map.values().for_each(check_no_null),
            _ => {}
        }
    }

    // Profile section 11.
    #[test]
    fn the_configuration_is_complete() {
        let config = service_provider_config(BASE, &capabilities());
        check_no_null(&config);
        for feature in ["patch", "bulk", "filter", "changePassword", "sort", "etag"] {
            assert!(config[feature]["supported"].is_boolean(), "{feature}");
        }
        assert_eq!(config["bulk"]["maxOperations"], 1_000);
        assert_eq!(config["filter"]["maxResults"], 200);
        assert_eq!(
            config["authenticationSchemes"][0]["type"],
            "oauthbearertoken"
        );
        assert_eq!(
            config["meta"]["location"],
            "https://id.example.net/scim/v2/ServiceProviderConfig"
        );
        let without = Capabilities {
            bulk: None,
            cursor_paging: true,
            ..capabilities()
        };
        let config = service_provider_config(BASE, &without);
        assert_eq!(
            config["bulk"],
            json!({"supported": false, "maxOperations": 0, "maxPayloadSize": 0})
        );
        assert_eq!(config["pagination"]["index"], true);
    }

    #[test]
    fn the_resource_types_are_listed() {
        let list = resource_types(BASE, Schemas::standard());
        check_no_null(&list);
        assert_eq!(list["totalResults"], 2);
        let user = &list["Resources"][0];
        assert_eq!(
            (&user["id"], &user["endpoint"]),
            (&json!("User"), &json!("/Users"))
        );
        assert_eq!(user["schemaExtensions"][0]["required"], false);
        assert_eq!(
            user["meta"]["location"],
            "https://id.example.net/scim/v2/ResourceTypes/User"
        );
        assert_eq!(list["Resources"][1]["schema"], crate::schema::GROUP);
    }

    #[test]
    fn every_attribute_declares_legal_characteristics() {
        let list = schemas(BASE, Schemas::standard());
        check_no_null(&list);
        assert_eq!(list["totalResults"], 3);
        for schema in list["Resources"].as_array().unwrap() {
            let location = format!(
                "https://id.example.net/scim/v2/Schemas/{}",
                schema["id"].as_str().unwrap()
            );
            assert_eq!(schema["meta"]["location"], location);
            check_attributes(&schema["attributes"]);
        }
    }

    #[track_caller]
    fn check_attributes(attributes: &Value) {
        for attribute in attributes.as_array().unwrap() {
            let one_of = |name: &str, legal: &[&str]| {
                let value = attribute[name].as_str().unwrap();
                assert!(legal.contains(&value), "{name}: {value}");
            };
            let types = [
                "string",
                "boolean",
                "decimal",
                "integer",
                "dateTime",
                "binary",
                "reference",
                "complex",
            ];
            one_of("type", &types);
            one_of(
                "mutability",
                &["readOnly", "readWrite", "immutable", "writeOnly"],
            );
            one_of("returned", &["always", "never", "default", "request"]);
            one_of("uniqueness", &["none", "server", "global"]);
            for name in ["multiValued", "required", "caseExact"] {
                assert!(attribute[name].is_boolean(), "{name}");
            }
            assert_eq!(
                attribute["type"] == "complex",
                attribute.get("subAttributes").is_some()
            );
            if let Some(subs) = attribute.get("subAttributes") {
                check_attributes(subs);
            }
        }
    }

    #[test]
    fn each_schema_can_be_read_back() {
        for one in Schemas::standard().schemas() {
            let again: Schema = serde_json::from_value(schema(BASE, one)).unwrap();
            assert_eq!(&again, one);
        }
    }
}
