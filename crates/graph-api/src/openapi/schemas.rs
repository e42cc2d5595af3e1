//! The schemas of the description: resources by their shapes, and what is sent and answered beside them (chapter 12).

use serde_json::{Map, Value as Json, json};

use super::reference;
use crate::shape::{
    APPLICATION, ASSIGNMENT, AUDIT, GROUP, Kind, PROVISIONING, SERVICE_PRINCIPAL, Shape, TEMPLATE,
    USER,
};

/// The resources that have a shape.
const RESOURCES: [&Shape; 8] = [
    &USER,
    &GROUP,
    &APPLICATION,
    &SERVICE_PRINCIPAL,
    &ASSIGNMENT,
    &TEMPLATE,
    &PROVISIONING,
    &AUDIT,
];

/// Has it a shape, and an id?
pub(super) fn is_resource(name: &str) -> bool {
    RESOURCES.iter().any(|shape| shape.type_name == name)
}

/// All of them, by name.
pub(super) fn all() -> Json {
    let mut schemas = Map::new();
    for shape in RESOURCES {
        schemas.insert(shape.type_name.to_owned(), resource(shape));
    }
    schemas["user"]["properties"]["manager"] = json!({ "type": ["object", "null"] });
    schemas["group"]["properties"]["members"] = json!({ "type": "array" });
    let others = sent()
        .into_iter()
        .chain(answered())
        .chain(synchronization());
    for (name, schema) in others.chain(of_muster()) {
        schemas.insert(name.to_owned(), schema);
    }
    schemas.into()
}

fn texts() -> Json {
    json!({ "type": "array", "items": { "type": "string" } })
}

/// A resource, with what it consists of; what is within another property stands in it.
fn resource(shape: &Shape) -> Json {
    let mut properties = Map::new();
    for (path, kind) in shape.properties {
        let schema = match kind {
            Kind::Text | Kind::Guid => json!({ "type": ["string", "null"] }),
            Kind::Bool => json!({ "type": ["boolean", "null"] }),
            Kind::Int => json!({ "type": ["integer", "null"] }),
            Kind::Time => json!({ "type": ["string", "null"], "format": "date-time" }),
            Kind::Texts => texts(),
            Kind::Object => json!({ "type": ["object", "null"], "properties": {} }),
            Kind::Objects => {
                json!({ "type": "array", "items": { "type": "object", "properties": {} } })
            }
        };
        let mut parts = path.split('/');
        let first = parts.next().unwrap_or_default();
        let rest: Vec<&str> = parts.collect();
        if rest.is_empty() {
            properties.insert(first.to_owned(), schema);
            continue;
        }
        let Some(mut outer) = properties.get_mut(first) else {
            continue;
        };
        for (at, name) in rest.iter().enumerate() {
            let within = if outer["items"].is_object() {
                &mut outer["items"]["properties"]
            } else {
                &mut outer["properties"]
            };
            if at + 1 == rest.len() {
                within[*name] = schema;
                break;
            }
            outer = &mut within[*name];
        }
    }
    json!({ "type": "object", "properties": properties })
}

/// An object with these properties, of which the first are required.
fn object(properties: Json, required: &[&str]) -> Json {
    json!({ "type": "object", "properties": properties, "required": required })
}

fn text() -> Json {
    json!({ "type": "string" })
}

/// A resource with what it must have when it is made.
fn new(of: &str, besides: Json, required: &[&str]) -> Json {
    json!({ "allOf": [reference(of), object(besides, required)] })
}

/// Bodies of requests.
fn sent() -> Vec<(&'static str, Json)> {
    let password = object(
        json!({ "password": text(), "forceChangePasswordNextSignIn": { "type": "boolean" } }),
        &["password"],
    );
    let subject = object(
        json!({
            "objectId": text(), "objectTypeName": { "type": "string", "enum": ["User", "Group"] },
            "links": { "type": ["object", "null"] }
        }),
        &["objectId", "objectTypeName"],
    );
    let parameters = object(
        json!({
            "ruleId": text(),
            "subjects": { "type": "array", "items": subject, "minItems": 1, "maxItems": 1 }
        }),
        &["ruleId", "subjects"],
    );
    let list = |name: &str| json!({ "type": "array", "items": reference(name) });
    vec![
        (
            "newUser",
            new(
                "user",
                json!({
                    "accountEnabled": { "type": "boolean" },
                    "displayName": { "type": "string", "minLength": 1, "maxLength": 256 },
                    "mailNickname": { "type": "string", "pattern": "^[a-z0-9.]{1,64}$" },
                    "userPrincipalName": { "type": "string", "pattern": "^[a-z0-9.]{1,60}@[a-z0-9.]{1,60}$" },
                    "passwordProfile": password
                }),
                &[
                    "accountEnabled",
                    "displayName",
                    "mailNickname",
                    "userPrincipalName",
                    "passwordProfile",
                ],
            ),
        ),
        (
            "newGroup",
            new(
                "group",
                json!({
                    "displayName": { "type": "string", "minLength": 1, "maxLength": 256 },
                    "mailEnabled": { "type": "boolean" },
                    "mailNickname": { "type": "string", "pattern": "^[a-z0-9.]{1,64}$" },
                    "securityEnabled": { "type": "boolean" }
                }),
                &[
                    "displayName",
                    "mailEnabled",
                    "mailNickname",
                    "securityEnabled",
                ],
            ),
        ),
        (
            "reference",
            object(json!({ "@odata.id": text() }), &["@odata.id"]),
        ),
        (
            "memberGroups",
            object(
                json!({ "securityEnabledOnly": { "type": "boolean" } }),
                &["securityEnabledOnly"],
            ),
        ),
        (
            "ids",
            object(json!({ "ids": texts(), "types": texts() }), &["ids"]),
        ),
        (
            "newAssignment",
            object(
                json!({ "principalId": text(), "resourceId": text(), "appRoleId": text() }),
                &["principalId", "resourceId", "appRoleId"],
            ),
        ),
        (
            "named",
            object(
                json!({ "displayName": { "type": "string", "minLength": 1 } }),
                &["displayName"],
            ),
        ),
        (
            "newIntegration",
            object(
                json!({ "name": { "type": "string", "minLength": 1, "maxLength": 200 } }),
                &["name"],
            ),
        ),
        ("linked", object(json!({ "target": text() }), &["target"])),
        (
            "allowed",
            object(
                json!({ "count": { "type": "integer", "minimum": 0 } }),
                &["count"],
            ),
        ),
        (
            "newJob",
            object(json!({ "templateId": text() }), &["templateId"]),
        ),
        (
            "credentials",
            object(
                json!({
                    "applicationIdentifier": text(), "templateId": text(),
                    "useSavedCredentials": { "type": ["boolean", "null"] }, "credentials": list("secret")
                }),
                &[],
            ),
        ),
        (
            "schedule",
            object(
                json!({ "schedule": object(json!({ "interval": text() }), &[]) }),
                &["schedule"],
            ),
        ),
        (
            "restart",
            object(
                json!({ "criteria": object(json!({ "resetScope": text() }), &[]) }),
                &["criteria"],
            ),
        ),
        (
            "onDemand",
            object(
                json!({ "parameters": { "type": "array", "items": parameters, "minItems": 1, "maxItems": 1 } }),
                &["parameters"],
            ),
        ),
        (
            "expression",
            object(
                json!({ "expression": text(), "testInputObject": { "type": ["object", "null"] } }),
                &["expression"],
            ),
        ),
        (
            "secrets",
            object(json!({ "value": list("secret") }), &["value"]),
        ),
        (
            "secret",
            object(
                json!({ "key": text(), "value": { "type": ["string", "null"] } }),
                &["key", "value"],
            ),
        ),
        (
            "batch",
            object(
                json!({ "requests": { "type": "array", "maxItems": 20, "items": object(
                    json!({
                        "id": text(), "method": text(), "url": text(), "headers": { "type": "object" },
                        "body": {}, "dependsOn": texts()
                    }),
                    &["id", "method", "url"],
                ) } }),
                &["requests"],
            ),
        ),
    ]
}

/// Bodies of answers.
fn answered() -> Vec<(&'static str, Json)> {
    let details = object(
        json!({ "code": text(), "target": text(), "message": text() }),
        &[],
    );
    let inner = object(
        json!({ "date": text(), "request-id": text(), "client-request-id": text() }),
        &["date", "request-id", "client-request-id"],
    );
    let filled = json!({ "type": "string", "minLength": 1 });
    let error = object(
        json!({
            "code": filled, "message": filled, "innerError": inner,
            "details": { "type": "array", "items": details }
        }),
        &["code", "message", "innerError"],
    );
    vec![
        ("error", object(json!({ "error": error }), &["error"])),
        ("object", json!({ "type": "object" })),
        (
            "directoryObject",
            object(
                json!({ "@odata.type": text(), "id": text() }),
                &["@odata.type", "id"],
            ),
        ),
        (
            "organization",
            object(
                json!({ "id": text(), "displayName": text() }),
                &["id", "displayName"],
            ),
        ),
        (
            "instance",
            object(
                json!({
                    "application": reference("application"),
                    "servicePrincipal": reference("servicePrincipal")
                }),
                &["application", "servicePrincipal"],
            ),
        ),
        (
            "batchAnswer",
            object(
                json!({ "responses": { "type": "array", "items": object(
                    json!({ "id": text(), "status": { "type": "integer" }, "headers": { "type": "object" } }),
                    &["id", "status"],
                ) } }),
                &["responses"],
            ),
        ),
    ]
}

/// What Graph has no shape for.
fn of_muster() -> Vec<(&'static str, Json)> {
    let integration = |besides: &str, schema: Json| {
        let mut properties = json!({ "id": text(), "name": text(), "scimUrl": text() });
        properties[besides] = schema;
        object(properties, &["id", "name", "scimUrl", besides])
    };
    let link = json!({
        "type": { "type": "string", "enum": ["User", "Group"] }, "source": text(), "target": text(),
        "state": { "type": "string", "enum": ["managed", "disabled", "leaving", "released"] },
        "since": { "type": "string", "format": "date-time" }, "name": text()
    });
    let tokens = json!({ "type": "array", "items": { "type": "object" } });
    vec![
        ("integration", integration("tokens", tokens)),
        ("issued", integration("token", text())),
        (
            "plan",
            object(
                json!({ "id": text(), "plan": { "type": "object" } }),
                &["id", "plan"],
            ),
        ),
        (
            "link",
            object(link, &["type", "source", "target", "state", "since"]),
        ),
    ]
}

/// Templates, jobs and schemas (12.1 to 12.18).
fn synchronization() -> Vec<(&'static str, Json)> {
    let nullable = json!({ "type": ["string", "null"] });
    let objects = json!({ "type": "array", "items": { "type": "object" } });
    vec![
        (
            "synchronizationTemplate",
            object(
                json!({
                    "id": text(), "applicationId": text(), "factoryTag": text(), "metadata": objects,
                    "schema": reference("synchronizationSchema")
                }),
                &["id"],
            ),
        ),
        (
            "synchronizationJob",
            object(
                json!({
                    "id": text(), "templateId": text(),
                    "schedule": object(
                        json!({
                            "interval": text(), "expiration": nullable,
                            "state": { "type": "string", "enum": ["Active", "Disabled", "Paused"] }
                        }),
                        &["interval", "state"],
                    ),
                    "status": { "type": "object" }, "synchronizationJobSettings": objects
                }),
                &["id", "templateId", "schedule", "status"],
            ),
        ),
        (
            "synchronizationSchema",
            object(
                json!({
                    "id": text(), "version": text(),
                    "directories": { "type": "array", "items": reference("directoryDefinition") },
                    "synchronizationRules": objects
                }),
                &[],
            ),
        ),
        (
            "directoryDefinition",
            object(
                json!({ "id": text(), "name": text(), "objects": objects, "version": nullable }),
                &["name"],
            ),
        ),
        (
            "filterOperatorSchema",
            object(
                json!({
                    "id": text(), "name": text(),
                    "arity": { "type": "string", "enum": ["Binary", "Unary"] },
                    "multivaluedComparisonType": { "type": "string", "enum": ["All", "Any"] },
                    "supportedAttributeTypes": texts()
                }),
                &["name", "arity"],
            ),
        ),
        (
            "attributeMappingFunctionSchema",
            object(
                json!({ "name": text(), "parameters": objects }),
                &["name", "parameters"],
            ),
        ),
        (
            "parseExpressionResponse",
            object(
                json!({
                    "parsingSucceeded": { "type": "boolean" },
                    "evaluationSucceeded": { "type": "boolean" }, "evaluationResult": texts(),
                    "parsedExpression": { "type": ["object", "null"] },
                    "error": { "type": ["object", "null"] }
                }),
                &[
                    "parsingSucceeded",
                    "evaluationSucceeded",
                    "evaluationResult",
                ],
            ),
        ),
    ]
}
