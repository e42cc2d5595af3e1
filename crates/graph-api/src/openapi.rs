//! The OpenAPI 3.1 description of this API, made from the table of its routes.

use http::Method;
use serde_json::{Map, Value as Json, json};

use crate::answer::{Answer, Fault};
use crate::request::Call;
use crate::route::Route;
use crate::routes::all;

/// `GET /openapi.json`
pub(crate) async fn get(_: Call) -> Result<Answer, Fault> {
    Ok(Answer::ok(document()))
}

/// The description.
pub(crate) fn document() -> Json {
    let mut paths: Map<String, Json> = Map::new();
    for route in all() {
        let path = paths.entry(route.path).or_insert_with(|| json!({}));
        path[route.method.as_str().to_ascii_lowercase()] = operation(route);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Muster control API", "version": env!("CARGO_PKG_VERSION"),
            "description": "The control API of Muster, in the shapes of Microsoft Graph.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" }
        },
        "servers": [{ "url": "/v1.0" }],
        "security": [{ "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
            "schemas": {
                "error": {
                    "type": "object", "required": ["error"],
                    "properties": { "error": {
                        "type": "object", "required": ["code", "message", "innerError"],
                        "properties": {
                            "code": { "type": "string", "minLength": 1 },
                            "message": { "type": "string", "minLength": 1 },
                            "details": { "type": "array", "items": {
                                "type": "object", "properties": {
                                    "code": { "type": "string" }, "target": { "type": "string" },
                                    "message": { "type": "string" }
                                }
                            }},
                            "innerError": { "type": "object", "required": ["request-id", "date"] }
                        }
                    }}
                },
                "object": { "type": "object" }
            },
            "responses": { "refused": {
                "description": "It was not done, and why.",
                "content": { "application/json": {
                    "schema": { "$ref": "#/components/schemas/error" }
                }}
            }}
        }
    })
}

/// What one operation takes and answers.
fn operation(route: &Route) -> Json {
    let mut parameters: Vec<Json> = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| {
            json!({
                "name": name, "in": "path", "required": true,
                "schema": { "type": "string", "minLength": 1 }
            })
        })
        .collect();
    let is_list = route.method == Method::GET
        && !route.path.ends_with('}')
        && !route.path.ends_with("$count");
    if is_list {
        parameters.extend(
            [
                "$select",
                "$filter",
                "$orderby",
                "$expand",
                "$search",
                "$skiptoken",
            ]
            .map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } })),
        );
        let top = json!({ "type": "integer", "minimum": 1, "maximum": 999 });
        parameters.push(json!({ "name": "$top", "in": "query", "schema": top }));
        parameters
            .push(json!({ "name": "$count", "in": "query", "schema": { "type": "boolean" } }));
    }
    if route.method == Method::GET {
        parameters.push(json!({
            "name": "ConsistencyLevel", "in": "header", "schema": { "type": "string", "enum": ["eventual"] }
        }));
    }
    let mut responses = Map::new();
    let body = |description: &str, kind: &str| {
        json!({
            "description": description,
            "content": { (kind): { "schema": { "$ref": "#/components/schemas/object" } } }
        })
    };
    let json_type = "application/json";
    match route.method {
        Method::GET if route.path.ends_with("$count") => {
            let text = json!({ "schema": { "type": "string", "pattern": "^[0-9]+$" } });
            let of =
                json!({ "description": "How many there are.", "content": { "text/plain": text } });
            responses.insert("200".to_owned(), of);
        }
        Method::GET => drop(responses.insert("200".to_owned(), body(route.does, json_type))),
        Method::POST => {
            for (status, what) in [("200", "Done, with a result."), ("201", "Created.")] {
                responses.insert(status.to_owned(), body(what, json_type));
            }
            responses.insert("204".to_owned(), json!({ "description": "Done." }));
        }
        _ => {
            responses.insert(
                "200".to_owned(),
                body("Done, with the object as it is now.", json_type),
            );
            responses.insert("204".to_owned(), json!({ "description": "Done." }));
        }
    }
    for status in [
        "400", "401", "403", "404", "405", "413", "429", "501", "503",
    ] {
        responses.insert(
            status.to_owned(),
            json!({ "$ref": "#/components/responses/refused" }),
        );
    }
    let mut operation = json!({
        "summary": route.does, "parameters": parameters, "responses": responses
    });
    if !route.right.permissions().is_empty() {
        let needs = route.right.permissions().join(", ");
        operation["description"] = format!("The token needs one of: {needs}.").into();
    }
    if route.reads_body() {
        operation["requestBody"] = json!({
            "content": { (json_type): { "schema": { "$ref": "#/components/schemas/object" } } }
        });
    }
    operation
}

#[cfg(test)]
mod tests {
    use super::document;

    /// What is committed is what the table says: write it anew with `MUSTER_WRITE_OPENAPI=1`.
    #[test]
    fn the_description_that_is_committed_is_fresh() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let now = format!("{:#}\n", document());
        if std::env::var_os("MUSTER_WRITE_OPENAPI").is_some() {
            std::fs::write(path, &now).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap();
        assert!(
            kept == now,
            "crates/graph-api/openapi.json is not what the routes say"
        );
    }
}
