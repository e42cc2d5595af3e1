//! Messages of the protocol: their URNs, reading a body, and lists of resources (RFC 7644 sections 3.4.2 and 8).

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::Map;
use crate::error::ScimError;
use crate::patch::Operation;
use crate::text::find_member;

/// URN of an answer with several resources.
pub const LIST_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// URN of a query in a body.
pub const SEARCH_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
/// URN of a PATCH.
pub const PATCH_OP: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// URN of a bulk request.
pub const BULK_REQUEST: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
/// URN of the answer to a bulk request.
pub const BULK_RESPONSE: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";
/// URN of an error.
pub const ERROR: &str = "urn:ietf:params:scim:api:messages:2.0:Error";
/// The media type of SCIM (RFC 7644 section 8.1).
pub const MEDIA_TYPE: &str = "application/scim+json";

/// Reads a request body, which must be one JSON object; anything else is `invalidSyntax` (profile section 5).
///
/// Nesting is bounded by the JSON reader, which refuses more than 128 levels.
pub fn parse_body(bytes: &[u8]) -> Result<Map, ScimError> {
    match serde_json::from_slice(bytes) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(ScimError::invalid_syntax("the body must be a JSON object")),
        Err(_) if bytes.trim_ascii().is_empty() => {
            Err(ScimError::invalid_syntax("the body is empty"))
        }
        Err(error) => Err(ScimError::invalid_syntax(format!(
            "the body is not JSON: {error}"
        ))),
    }
}

/// Whether a message names a URN among its `schemas`.
pub fn names_schema(body: &Map, urn: &str) -> bool {
    match find_member(body, "schemas") {
        Some(Value::Array(urns)) => urns
            .iter()
            .filter_map(Value::as_str)
            .any(|one| one.eq_ignore_ascii_case(urn)),
        Some(Value::String(one)) => one.eq_ignore_ascii_case(urn),
        _ => false,
    }
}

/// Refuses a message whose `schemas` name something else; they may be missing.
pub(crate) fn names_nothing_else(body: &Map, urn: &str) -> Result<(), ScimError> {
    let given = find_member(body, "schemas").is_some_and(|urns| !urns.is_null());
    if given && !names_schema(body, urn) {
        return Err(ScimError::invalid_value(format!("schemas must name {urn}")));
    }
    Ok(())
}

/// Where a page of a list stands, as its answer tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// By index (RFC 7644 section 3.4.2.4): the number of its first resource, from 1.
    Index(u64),
    /// By cursor (RFC 9865): where the next page starts, when there is one.
    Cursor(Option<String>),
}

/// Writes a list from resources that are JSON text already, without reading them again.
///
/// There are no other members than those of the RFCs, since strict clients refuse more (profile section 6.1).
/// Only a page by cursor may come without a total.
pub fn list_response<S: AsRef<str>>(
    total_results: Option<u64>,
    paging: &Paging,
    resources: &[S],
) -> String {
    let length: usize = resources
        .iter()
        .map(|resource| resource.as_ref().len() + 1)
        .sum();
    let mut text = String::with_capacity(length + 200);
    // Writing to a string cannot fail.
    let _ = write!(text, r#"{{"schemas":["{LIST_RESPONSE}"]"#);
    if let Some(total) = total_results {
        let _ = write!(text, r#","totalResults":{total}"#);
    }
    match paging {
        Paging::Index(start) => {
            let _ = write!(text, r#","startIndex":{start}"#);
        }
        // Cursors hold nothing that would have to be escaped.
        Paging::Cursor(Some(next)) => {
            let _ = write!(text, r#","nextCursor":"{next}""#);
        }
        Paging::Cursor(None) => {}
    }
    let _ = write!(text, r#","itemsPerPage":{},"Resources":["#, resources.len());
    for (at, resource) in resources.iter().enumerate() {
        if at > 0 {
            text.push(',');
        }
        text.push_str(resource.as_ref());
    }
    text.push_str("]}");
    text
}

/// A list that another server answered.
#[derive(Debug, Clone, PartialEq)]
pub struct ListResponse {
    /// How many match in all.
    pub total_results: u64,
    /// Where this page starts, 1-based.
    pub start_index: u64,
    /// The resources of this page.
    pub resources: Vec<Map>,
    /// Where the next page starts, when the server pages by cursor (RFC 9865).
    pub next_cursor: Option<String>,
}

impl ListResponse {
    /// Reads a list tolerantly: names in any case, counters missing or as text.
    pub fn parse(body: Map) -> Result<Self, ScimError> {
        let number = |name| match find_member(&body, name) {
            Some(Value::Number(number)) => number.as_u64(),
            Some(Value::String(text)) => text.parse().ok(),
            _ => None,
        };
        let total = number("totalResults");
        let start_index = number("startIndex").unwrap_or(1);
        let next_cursor = find_member(&body, "nextCursor")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let resources: Vec<Map> = body
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("Resources"))
            .map(|(_, value)| value)
            .map_or(Ok(Vec::new()), |value| match value {
                Value::Array(items) => items
                    .into_iter()
                    .map(|item| match item {
                        Value::Object(resource) => Ok(resource),
                        _ => Err(ScimError::invalid_syntax(
                            "a resource in the list is not an object",
                        )),
                    })
                    .collect(),
                Value::Null => Ok(Vec::new()),
                _ => Err(ScimError::invalid_syntax("Resources is not a list")),
            })?;
        if total.is_none() && resources.is_empty() {
            return Err(ScimError::invalid_syntax(
                "the answer is not a list of resources",
            ));
        }
        let total_results = total.unwrap_or(resources.len() as u64);
        Ok(Self {
            total_results,
            start_index,
            resources,
            next_cursor,
        })
    }
}

/// The body of a PATCH in the strict form of the RFC.
pub fn patch_op(operations: &[Operation]) -> Value {
    let operations: Vec<Value> = operations.iter().map(Operation::to_json).collect();
    json!({"schemas": [PATCH_OP], "Operations": operations})
}

#[cfg(test)]
mod tests {
    use super::*;

    // Profile section 5: malformed JSON, empty body, array or scalar body.
    #[test]
    fn bodies_that_are_no_object_are_refused() {
        let deep = "[".repeat(100_000);
        let deep_object = format!(r#"{{"a":{deep}"#);
        for body in [
            "",
            "  ",
            "{",
            "[]",
            "5",
            "null",
            r#""x""#,
            "{\"a\":\"\u{1}\"}",
            &deep,
            &deep_object,
            r#"{"a":"\ud800"}"#,
        ] {
            let error = parse_body(body.as_bytes()).unwrap_err();
            assert_eq!(
                (error.status, error.scim_type),
                (400, Some(crate::ScimType::InvalidSyntax))
            );
        }
        assert!(parse_body(b"{\"a\":\"\xff\"}").is_err());
        assert_eq!(parse_body(br#"{"a":1,"a":2}"#).unwrap().len(), 1);
        assert!(parse_body(br#"{"a":1e400}"#).is_err());
    }

    // Profile section 6.1.
    #[test]
    fn a_list_has_exactly_the_members_of_the_rfc() {
        let text = list_response(
            Some(7),
            &Paging::Index(3),
            &[r#"{"id":"a"}"#, r#"{"id":"b"}"#],
        );
        let want = json!({
            "schemas": [LIST_RESPONSE], "totalResults": 7, "startIndex": 3, "itemsPerPage": 2,
            "Resources": [{"id": "a"}, {"id": "b"}]
        });
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), want);
        let none: [&str; 0] = [];
        let empty = list_response(Some(0), &Paging::Index(1), &none);
        let empty: Value = serde_json::from_str(&empty).unwrap();
        assert_eq!(empty["Resources"], json!([]));
    }

    // RFC 9865 section 2.
    #[test]
    fn a_page_by_cursor_tells_the_next_one_and_no_index() {
        let page = |next: Option<&str>| -> Value {
            let paging = Paging::Cursor(next.map(str::to_owned));
            serde_json::from_str(&list_response(None, &paging, &[r#"{"id":"a"}"#])).unwrap()
        };
        assert_eq!(
            page(Some("x-1")),
            json!({"schemas": [LIST_RESPONSE], "nextCursor": "x-1", "itemsPerPage": 1, "Resources": [{"id": "a"}]})
        );
        assert_eq!(page(None).get("nextCursor"), None);
    }

    #[track_caller]
    fn check_list(body: Value, want: Option<(u64, usize)>) {
        let Value::Object(body) = body else {
            panic!("an object")
        };
        let got = ListResponse::parse(body)
            .ok()
            .map(|list| (list.total_results, list.resources.len()));
        assert_eq!(got, want);
    }

    #[test]
    fn lists_of_other_servers_are_read_tolerantly() {
        check_list(
            json!({"totalResults": 1, "Resources": [{"id": "a"}]}),
            Some((1, 1)),
        );
        check_list(
            json!({"totalresults": "1", "resources": [{"id": "a"}]}),
            Some((1, 1)),
        );
        check_list(json!({"Resources": [{"id": "a"}, {}]}), Some((2, 2)));
        check_list(json!({"totalResults": 0}), Some((0, 0)));
        check_list(json!({"totalResults": 0, "Resources": null}), Some((0, 0)));
        check_list(json!({}), None);
        check_list(json!({"totalResults": 1, "Resources": {}}), None);
        check_list(json!({"totalResults": 1, "Resources": [5]}), None);
    }
}
