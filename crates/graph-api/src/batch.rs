//! `$batch` (4.4): up to twenty requests in one.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use serde_json::{Map, Value as Json, json};

use crate::answer::{Answer, Content, Fault, Ids};
use crate::query::pairs;
use crate::request::{Call, bad_json, is_eventual, prefers, versioned};
use crate::route;

/// Requests of a batch at most.
const MOST: usize = 20;

/// One of the requests.
struct Inner<'b> {
    id: &'b str,
    method: Method,
    url: &'b str,
    headers: HeaderMap,
    body: Option<Json>,
    depends_on: Vec<&'b str>,
}

/// `POST /$batch`
pub(crate) async fn run(call: Call) -> Result<Answer, Fault> {
    let body = call.object()?;
    let requests = body.get("requests").and_then(Json::as_array);
    let requests = requests.ok_or_else(|| bad_json("'requests' is a list."))?;
    if requests.len() > MOST {
        return Err(bad_json(&format!("A batch has at most {MOST} requests.")));
    }
    let inner: Result<Vec<Inner<'_>>, Fault> = requests.iter().map(read).collect();
    let inner = inner?;
    let mut known: HashMap<&str, Option<StatusCode>> = HashMap::new();
    for one in &inner {
        if known.insert(one.id, None).is_some() {
            return Err(bad_json(&format!("The id '{}' stands twice.", one.id)));
        }
    }
    for dependency in inner.iter().flat_map(|one| &one.depends_on) {
        if !known.contains_key(dependency) {
            return Err(bad_json(&format!(
                "There is no request '{dependency}' to depend on."
            )));
        }
    }
    let mut responses = Vec::with_capacity(inner.len());
    for one in inner {
        let id = one.id;
        let fails =
            |dependency: &&str| known[*dependency].is_none_or(|status| status.as_u16() >= 400);
        let answer = if one.depends_on.iter().any(fails) {
            Err(Fault::new(
                StatusCode::FAILED_DEPENDENCY,
                "FailedDependency",
                "A request on which this one depends failed, or comes after it.",
            ))
        } else {
            answer(&call, &one).await
        };
        let (status, response) = response(&call, id, answer);
        known.insert(id, Some(status));
        responses.push(response);
    }
    Ok(Answer::ok(json!({ "responses": responses })))
}

fn read(request: &Json) -> Result<Inner<'_>, Fault> {
    let text = |name: &str| request[name].as_str().filter(|text| !text.is_empty());
    let (Some(id), Some(method), Some(url)) = (text("id"), text("method"), text("url")) else {
        return Err(bad_json(
            "Each request of a batch has an id, a method and a url.",
        ));
    };
    let method = Method::from_bytes(method.to_ascii_uppercase().as_bytes())
        .map_err(|_| bad_json(&format!("'{method}' is no method.")))?;
    let mut headers = HeaderMap::new();
    for (name, value) in request["headers"].as_object().into_iter().flatten() {
        let name = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes());
        let value = value
            .as_str()
            .and_then(|value| HeaderValue::from_str(value).ok());
        if let (Ok(name), Some(value)) = (name, value) {
            headers.insert(name, value);
        }
    }
    let mut depends_on = ["dependsOn", "depends_on"].iter();
    let depends_on = depends_on.find_map(|name| request[*name].as_array());
    let body = match &request["body"] {
        Json::Null => None,
        // What is no JSON comes as base64.
        Json::String(text) => {
            let bytes = base64::prelude::BASE64_STANDARD.decode(text).ok();
            let json = bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok());
            // It is refused where it is asked for.
            Some(json.unwrap_or(Json::String(String::new())))
        }
        body => Some(body.clone()),
    };
    Ok(Inner {
        id,
        method,
        url,
        headers,
        body,
        depends_on: depends_on
            .into_iter()
            .flatten()
            .filter_map(Json::as_str)
            .collect(),
    })
}

async fn answer(outer: &Call, one: &Inner<'_>) -> Result<Answer, Fault> {
    let (path, query) = one.url.split_once('?').unwrap_or((one.url, ""));
    // The host is that of whoever wrote it.
    let path = match path.split_once("://") {
        Some((_, rest)) => rest.split_once('/').map_or("", |(_, path)| path),
        None => path,
    };
    let path = match versioned(path) {
        Ok((_, path)) => path,
        Err(_) => format!("/{}", path.trim_matches('/')),
    };
    let found = route::find(&one.method, &path)?;
    if found.route.path == "/$batch" {
        return Err(Fault::bad_request("A batch has no batch within it."));
    }
    found.allow(&outer.token)?;
    if one.body.as_ref().is_some_and(Json::is_string) {
        return Err(bad_json("It is neither an object nor JSON in base64."));
    }
    let text = |name: &str| one.headers.get(name)?.to_str().ok();
    let call = Call {
        ctx: outer.ctx.clone(),
        args: found.args.clone(),
        pairs: pairs(query)?,
        body: one.body.clone().filter(|_| found.route.reads_body()),
        base: outer.base.clone(),
        path,
        is_eventual: is_eventual(text("consistencylevel")),
        wants_back: prefers(&one.headers, "return=representation"),
        token: Arc::clone(&outer.token),
    };
    (found.route.answer)(call).await
}

fn response(call: &Call, id: &str, answer: Result<Answer, Fault>) -> (StatusCode, Json) {
    let ids = Ids {
        request: muster_model::EventId::new().to_string(),
        client: id.to_owned(),
        at: call.ctx.clock.now(),
    };
    let (status, body, headers) = match answer {
        Ok(answer) => (answer.status, answer.body, answer.headers),
        Err(fault) => (fault.status, Content::Json(fault.body(&ids)), fault.headers),
    };
    let mut shown = Map::new();
    shown.insert("Cache-Control".to_owned(), "no-cache".into());
    for (name, value) in headers {
        // The JavaScript client looks for headers by their usual spelling.
        let name = match name.as_str() {
            "location" => "Location".to_owned(),
            "retry-after" => "Retry-After".to_owned(),
            other => other.to_owned(),
        };
        shown.insert(name, value.into());
    }
    let mut response = Map::new();
    response.insert("id".to_owned(), id.into());
    response.insert("status".to_owned(), status.as_u16().into());
    let body = match body {
        Content::None => None,
        Content::Json(body) => {
            shown.insert("Content-Type".to_owned(), "application/json".into());
            Some(body)
        }
        Content::Text(text) => {
            shown.insert("Content-Type".to_owned(), "text/plain".into());
            Some(text.into())
        }
    };
    response.insert("headers".to_owned(), shown.into());
    response.extend(body.map(|body| ("body".to_owned(), body)));
    (status, response.into())
}
