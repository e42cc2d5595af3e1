//! The OpenAPI 3.1 description of this API, made from the table of its routes and the shapes of its resources.

mod schemas;

use http::Method;
use serde_json::{Map, Value as Json, json};

use crate::answer::{Answer, Fault};
use crate::request::Call;
use crate::route::{Gives, Route};
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
            "schemas": schemas::all(),
            "responses": { "refused": {
                "description": "It was not done, and why.",
                "headers": {
                    "request-id": { "schema": { "type": "string" }, "required": true },
                    "client-request-id": { "schema": { "type": "string" }, "required": true }
                },
                "content": { "application/json": { "schema": reference("error") } }
            }}
        }
    })
}

fn reference(schema: &str) -> Json {
    json!({ "$ref": format!("#/components/schemas/{schema}") })
}

/// What one operation takes and answers.
fn operation(route: &Route) -> Json {
    let mut statuses = vec![400, 401, 403, 404, 405, 429, 503];
    let (status, success) = success(route.gives);
    let mut responses = Map::new();
    responses.insert(status.to_owned(), success);
    if let Gives::Kept(of) = route.gives {
        let kept = with_body("Done, with what it is now.", answered(of));
        responses.insert("200".to_owned(), kept);
    }
    if route.gives == Gives::Cycle {
        let goes_on = json!({ "description": "It goes on." });
        responses.insert("202".to_owned(), goes_on);
    }
    if matches!(route.gives, Gives::Delta(_)) {
        statuses.push(410);
    }
    if route.gives == Gives::Cycle || route.path.ends_with("/allow") {
        statuses.push(409);
    }
    if route.reads_body() {
        statuses.push(413);
    }
    for status in statuses {
        responses.insert(
            status.to_string(),
            json!({ "$ref": "#/components/responses/refused" }),
        );
    }
    let mut operation = json!({
        "summary": route.does, "parameters": parameters(route), "responses": responses
    });
    if !route.right.permissions().is_empty() {
        let needs = route.right.permissions().join(", ");
        operation["description"] = format!("The token needs one of: {needs}.").into();
    }
    if let Some(takes) = route.takes {
        operation["requestBody"] = json!({
            "required": true, "content": { "application/json": { "schema": reference(takes) } }
        });
    }
    operation
}

/// What is answered of this kind: a resource always has its id.
fn answered(of: &str) -> Json {
    if schemas::is_resource(of) {
        json!({ "allOf": [reference(of), { "required": ["id"] }] })
    } else {
        reference(of)
    }
}

/// The status of a success, and what comes with it.
fn success(gives: Gives) -> (&'static str, Json) {
    let page = |items: Json, links: &[&str]| {
        let mut properties = json!({
            "@odata.context": { "type": "string" }, "@odata.count": { "type": "integer" },
            "value": { "type": "array", "items": items }
        });
        for link in links {
            properties[link] = json!({ "type": "string" });
        }
        let page = json!({
            "type": "object", "required": ["@odata.context", "value"], "properties": properties
        });
        with_body("A page.", page)
    };
    let found = match gives {
        Gives::One(of) => with_body("It.", answered(of)),
        Gives::List(of) => page(answered(of), &["@odata.nextLink"]),
        Gives::Delta(of) => page(answered(of), &["@odata.nextLink", "@odata.deltaLink"]),
        Gives::Cycle => with_body("The cycle.", reference("object")),
        Gives::Ids => page(json!({ "type": "string" }), &[]),
        Gives::Count => {
            let text = json!({ "schema": { "type": "string", "pattern": "^[0-9]+$" } });
            json!({ "description": "How many there are.", "content": { "text/plain": text } })
        }
        Gives::Made(of) => return ("201", with_body("It, as it is now.", answered(of))),
        Gives::Kept(_) | Gives::Done => return ("204", json!({ "description": "Done." })),
    };
    ("200", found)
}

fn with_body(description: &str, schema: Json) -> Json {
    json!({
        "description": description, "content": { "application/json": { "schema": schema } }
    })
}

fn parameters(route: &Route) -> Vec<Json> {
    let in_path = route
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let mut parameters: Vec<Json> = in_path
        .map(|name| {
            json!({
                "name": name, "in": "path", "required": true,
                "schema": { "type": "string", "minLength": 1 }
            })
        })
        .collect();
    let text = json!({ "type": "string" });
    let mut takes = |name: &str, schema: &Json| {
        parameters.push(json!({ "name": name, "in": "query", "schema": schema }));
    };
    let is_of_directory =
        !route.path.contains("synchronization") && !route.path.starts_with("/muster");
    match route.gives {
        Gives::List(of) if route.path.starts_with("/muster") => {
            if of == "link" {
                for name in ["type", "state", "target"] {
                    takes(name, &text);
                }
            }
            if route.path.matches('{').count() > 0 {
                takes("$skiptoken", &text);
                takes(
                    "$top",
                    &json!({ "type": "integer", "minimum": 1, "maximum": 499 }),
                );
            }
        }
        Gives::List(_) if route.method == Method::GET && is_of_directory => {
            for name in [
                "$select",
                "$filter",
                "$orderby",
                "$expand",
                "$search",
                "$skiptoken",
            ] {
                takes(name, &text);
            }
            takes(
                "$top",
                &json!({ "type": "integer", "minimum": 1, "maximum": 999 }),
            );
            takes("$count", &json!({ "type": "boolean" }));
        }
        Gives::Delta(_) => {
            for name in ["$select", "$filter", "$skiptoken", "$deltatoken"] {
                takes(name, &text);
            }
            takes(
                "$top",
                &json!({ "type": "integer", "minimum": 1, "maximum": 999 }),
            );
        }
        Gives::One(_) if route.method == Method::GET && is_of_directory => {
            takes("$select", &text);
            takes("$expand", &text);
        }
        Gives::Count => {
            takes("$filter", &text);
            takes("$search", &text);
        }
        _ if route.path.ends_with("/explanation") => takes("subject", &text),
        _ if route.path.ends_with("members/$ref") => takes("@id", &text),
        _ => {}
    }
    if matches!(route.gives, Gives::Kept(_)) {
        parameters.push(json!({
            "name": "Prefer", "in": "header",
            "schema": { "type": "string", "enum": ["return=representation", "return=minimal"] }
        }));
    }
    if route.method == Method::GET && is_of_directory {
        parameters.push(json!({
            "name": "ConsistencyLevel", "in": "header",
            "schema": { "type": "string", "enum": ["eventual"] }
        }));
    }
    parameters
}

#[cfg(test)]
mod tests {
    use super::document;
    use crate::route::Gives;
    use crate::routes::all;

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

    #[test]
    fn every_schema_that_a_route_names_is_described() {
        let document = document();
        for route in all() {
            let gives = match route.gives {
                Gives::One(of)
                | Gives::List(of)
                | Gives::Delta(of)
                | Gives::Made(of)
                | Gives::Kept(of) => Some(of),
                Gives::Ids | Gives::Count | Gives::Cycle | Gives::Done => None,
            };
            for name in gives.into_iter().chain(route.takes) {
                let schema = &document["components"]["schemas"][name];
                assert!(schema.is_object(), "{route:?}: {name}");
            }
        }
    }
}
