//! Errors as SCIM tells them: a status, a registered type and a sentence (RFC 7644 section 3.12).

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::message::ERROR;
use crate::text::find_member;

/// The registered detail error types (RFC 7644 table 9, RFC 9865 section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ScimType {
    /// The filter cannot be read or compares what cannot be compared.
    InvalidFilter,
    /// The answer would be larger than the server is willing to compute.
    TooMany,
    /// A value that must be unique is taken.
    Uniqueness,
    /// A read-only, immutable or required attribute would be changed.
    Mutability,
    /// The body is not JSON of the expected structure.
    InvalidSyntax,
    /// The path of an operation is malformed or names nothing.
    InvalidPath,
    /// The path of an operation selects nothing to work on.
    NoTarget,
    /// A required value is missing, or has the wrong type.
    InvalidValue,
    /// The protocol version is not supported.
    InvalidVers,
    /// The request carries personal data in the URL.
    Sensitive,
    /// The cursor was not issued by this server.
    InvalidCursor,
    /// The cursor is too old.
    ExpiredCursor,
    /// The count does not fit the cursor.
    InvalidCount,
}

/// What goes wrong, for the client to read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct ScimError {
    /// The HTTP status, also printed in the body.
    pub status: u16,
    /// The registered type, only with status 400 and 409.
    pub scim_type: Option<ScimType>,
    /// A sentence for people.
    pub detail: String,
}

impl ScimError {
    /// An error with any status and type.
    pub fn new(status: u16, scim_type: Option<ScimType>, detail: impl Into<String>) -> Self {
        Self {
            status,
            scim_type,
            detail: detail.into(),
        }
    }

    fn bad_request(scim_type: ScimType, detail: impl Into<String>) -> Self {
        Self::new(400, Some(scim_type), detail)
    }

    /// The body cannot be read or has the wrong structure (profile section 10).
    pub fn invalid_syntax(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidSyntax, detail)
    }

    /// A required value is missing, or a value has the wrong type.
    pub fn invalid_value(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidValue, detail)
    }

    /// The filter is broken.
    pub fn invalid_filter(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidFilter, detail)
    }

    /// The path of a PATCH operation is broken or unknown.
    pub fn invalid_path(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidPath, detail)
    }

    /// A PATCH operation finds nothing to work on, or a remove has no path.
    pub fn no_target(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::NoTarget, detail)
    }

    /// A read-only or required attribute would be changed.
    pub fn mutability(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::Mutability, detail)
    }

    /// The cursor of RFC 9865 is not one of ours.
    pub fn invalid_cursor(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::InvalidCursor, detail)
    }

    /// The cursor of RFC 9865 has expired.
    pub fn expired_cursor(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::ExpiredCursor, detail)
    }

    /// The query would cost more than the server allows.
    pub fn too_many(detail: impl Into<String>) -> Self {
        Self::bad_request(ScimType::TooMany, detail)
    }

    /// A name is in use.
    pub fn uniqueness(detail: impl Into<String>) -> Self {
        Self::new(409, Some(ScimType::Uniqueness), detail)
    }

    /// A conflict that is not about names, such as references that cannot be resolved in a bulk request.
    pub fn conflict(detail: impl Into<String>) -> Self {
        Self::new(409, None, detail)
    }

    /// The bearer token is missing or not valid; says no more than that.
    pub fn unauthorized() -> Self {
        Self::new(401, None, "The bearer token is missing or not valid.")
    }

    /// Not allowed, such as a filter on a discovery endpoint.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(403, None, detail)
    }

    /// Unknown resource or endpoint.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(404, None, detail)
    }

    /// The path does not offer the method.
    pub fn method_not_allowed(detail: impl Into<String>) -> Self {
        Self::new(405, None, detail)
    }

    /// The version in `If-Match` is stale.
    pub fn precondition_failed(detail: impl Into<String>) -> Self {
        Self::new(412, None, detail)
    }

    /// The body or the number of operations is over a limit, which the detail names.
    pub fn too_large(detail: impl Into<String>) -> Self {
        Self::new(413, None, detail)
    }

    /// The body is of a type that is not JSON.
    pub fn unsupported_media_type(detail: impl Into<String>) -> Self {
        Self::new(415, None, detail)
    }

    /// The client is asked to slow down.
    pub fn too_many_requests(detail: impl Into<String>) -> Self {
        Self::new(429, None, detail)
    }

    /// Something broke on our side; the detail must not say what.
    pub fn internal(detail: impl Into<String>) -> Self {
        Self::new(500, None, detail)
    }

    /// Not offered by this server, such as `/Me`.
    pub fn not_implemented(detail: impl Into<String>) -> Self {
        Self::new(501, None, detail)
    }

    /// The body of the answer: the status is a string and nothing else is added, since strict clients refuse more.
    pub fn to_json(&self) -> Value {
        let mut body = json!({"schemas": [ERROR], "status": self.status.to_string()});
        if let Some(scim_type) = self.scim_type {
            body["scimType"] = json!(scim_type);
        }
        body["detail"] = Value::from(self.detail.as_str());
        body
    }

    /// Reads what another server answered, however incomplete; the HTTP status counts, not the one in the body.
    pub fn from_answer(status: u16, body: &Value) -> Self {
        let text = |name| {
            body.as_object()
                .and_then(|map| find_member(map, name))
                .and_then(Value::as_str)
        };
        let scim_type = text("scimType")
            .and_then(|name| ScimType::deserialize(serde_json::Value::from(name)).ok());
        let detail = text("detail").unwrap_or("the server gave no reason");
        Self::new(status, scim_type, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(error: &ScimError, status: u16, scim_type: Option<&str>) {
        let body = error.to_json();
        assert_eq!(error.status, status);
        assert_eq!(
            body["schemas"],
            json!(["urn:ietf:params:scim:api:messages:2.0:Error"])
        );
        assert_eq!(body["status"], json!(status.to_string()));
        assert_eq!(body.get("scimType").and_then(Value::as_str), scim_type);
        assert!(!body["detail"].as_str().unwrap().is_empty());
        assert_eq!(
            body.as_object().unwrap().len(),
            3 + usize::from(scim_type.is_some())
        );
        assert_eq!(&ScimError::from_answer(status, &body), error);
    }

    // Profile section 10, row by row.
    #[test]
    fn each_situation_has_its_status_and_type() {
        check(&ScimError::invalid_syntax("x"), 400, Some("invalidSyntax"));
        check(&ScimError::invalid_value("x"), 400, Some("invalidValue"));
        check(&ScimError::invalid_filter("x"), 400, Some("invalidFilter"));
        check(&ScimError::invalid_path("x"), 400, Some("invalidPath"));
        check(&ScimError::no_target("x"), 400, Some("noTarget"));
        check(&ScimError::mutability("x"), 400, Some("mutability"));
        check(&ScimError::invalid_cursor("x"), 400, Some("invalidCursor"));
        check(&ScimError::expired_cursor("x"), 400, Some("expiredCursor"));
        check(&ScimError::too_many("x"), 400, Some("tooMany"));
        check(&ScimError::uniqueness("x"), 409, Some("uniqueness"));
        check(&ScimError::conflict("x"), 409, None);
        check(&ScimError::unauthorized(), 401, None);
        check(&ScimError::forbidden("x"), 403, None);
        check(&ScimError::not_found("x"), 404, None);
        check(&ScimError::method_not_allowed("x"), 405, None);
        check(&ScimError::precondition_failed("x"), 412, None);
        check(&ScimError::too_large("x"), 413, None);
        check(&ScimError::unsupported_media_type("x"), 415, None);
        check(&ScimError::too_many_requests("x"), 429, None);
        check(&ScimError::internal("x"), 500, None);
        check(&ScimError::not_implemented("x"), 501, None);
    }

    #[test]
    fn answers_of_other_servers_are_read_with_what_they_have() {
        let odd = ScimError::from_answer(409, &json!({"scimtype": "nonsense", "Detail": 5}));
        assert_eq!((odd.status, odd.scim_type), (409, None));
        let text = ScimError::from_answer(400, &json!({"ScimType": "noTarget", "Detail": "gone"}));
        assert_eq!(
            (text.scim_type, text.detail.as_str()),
            (Some(ScimType::NoTarget), "gone")
        );
        assert_eq!(ScimError::from_answer(502, &json!("<html>")).status, 502);
    }
}
