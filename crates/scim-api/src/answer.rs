//! Answers on the wire.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use muster_scim::ScimError;
use muster_scim::message::MEDIA_TYPE;
use muster_scim::meta::entity_tag;
use muster_web::RequestId;

/// What a request is answered with.
#[derive(Debug)]
pub(crate) enum Answer {
    /// 200 with a list or a discovery document.
    Json(String),
    /// 200 with a resource, or 201 when it was created just now.
    Resource {
        body: String,
        version: i64,
        created: bool,
        /// The resource's address.
        location: Option<String>,
    },
    /// 204: it is gone.
    Gone,
    /// 204: it is changed, has this version now, and stands at this address.
    Changed(i64, String),
    /// 304.
    NotModified(i64),
    /// 204 with the methods that the path takes.
    Options(&'static str),
    /// 405 with the methods that the path takes.
    MethodNotAllowed(&'static str),
    /// A SCIM error.
    Error(ScimError),
}

/// Builds the response; a HEAD gets everything but the body.
pub(crate) fn into_response(answer: Answer, id: RequestId, head_only: bool) -> Response {
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    headers.insert(
        header::CACHE_CONTROL,
        HeaderValue::from_static("private, no-cache"),
    );
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        headers.insert("x-request-id", id);
    }
    let (mut version, mut place) = (None, None);
    let (status, body) = match answer {
        Answer::Json(body) => (StatusCode::OK, Some(body)),
        Answer::Resource {
            body,
            version: now,
            created,
            location,
        } => {
            (version, place) = (Some(now), location);
            let status = if created {
                StatusCode::CREATED
            } else {
                StatusCode::OK
            };
            (status, Some(body))
        }
        Answer::Gone => (StatusCode::NO_CONTENT, None),
        Answer::Changed(now, location) => {
            (version, place) = (Some(now), Some(location));
            (StatusCode::NO_CONTENT, None)
        }
        Answer::NotModified(now) => {
            version = Some(now);
            (StatusCode::NOT_MODIFIED, None)
        }
        Answer::Options(methods) => {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
            (StatusCode::NO_CONTENT, None)
        }
        Answer::MethodNotAllowed(methods) => {
            headers.insert(header::ALLOW, HeaderValue::from_static(methods));
            let error = ScimError::method_not_allowed(format!("this path takes {methods}"));
            (
                StatusCode::METHOD_NOT_ALLOWED,
                Some(error.to_json().to_string()),
            )
        }
        Answer::Error(error) => {
            let status =
                StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
            if status == StatusCode::UNAUTHORIZED {
                let scheme = HeaderValue::from_static("Bearer realm=\"scim\"");
                headers.insert(header::WWW_AUTHENTICATE, scheme);
            }
            if [
                StatusCode::TOO_MANY_REQUESTS,
                StatusCode::SERVICE_UNAVAILABLE,
            ]
            .contains(&status)
            {
                // Rates are counted by the second.
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
            }
            (status, Some(error.to_json().to_string()))
        }
    };
    if let Some(Ok(tag)) = version.map(|version| HeaderValue::from_str(&entity_tag(version))) {
        headers.insert(header::ETAG, tag);
    }
    if let Some(Ok(place)) = place.map(|place| HeaderValue::from_str(&place)) {
        headers.insert(header::LOCATION, place);
    }
    if let Some(body) = body {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
        headers.insert(header::CONTENT_LENGTH, HeaderValue::from(body.len()));
        if !head_only {
            *response.body_mut() = Body::from(body);
        }
    }
    *response.status_mut() = status;
    response
}
