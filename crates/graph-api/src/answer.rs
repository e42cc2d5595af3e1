//! Answers and refusals, and how they look on the wire (2.3 to 2.5).

use axum::body::Body;
use axum::response::Response;
use http::{HeaderName, HeaderValue, StatusCode, header};
use muster_app::AppError;
use serde_json::{Value as Json, json};

/// The type of a JSON body (1.3).
const TYPE: &str = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8";

/// What was done.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Content,
    pub(crate) headers: Vec<(HeaderName, String)>,
}

#[derive(Debug)]
pub(crate) enum Content {
    None,
    Json(Json),
    Text(String),
}

impl Answer {
    /// 200 with a body.
    pub(crate) const fn ok(body: Json) -> Self {
        Self::of(StatusCode::OK, body)
    }

    /// 201 with the object, and where it is.
    pub(crate) fn created(body: Json, location: String) -> Self {
        let mut answer = Self::of(StatusCode::CREATED, body);
        answer.headers.push((header::LOCATION, location));
        answer
    }

    /// 204.
    pub(crate) const fn done() -> Self {
        Self {
            status: StatusCode::NO_CONTENT,
            body: Content::None,
            headers: Vec::new(),
        }
    }

    /// A number as text.
    pub(crate) fn count(number: u64) -> Self {
        Self {
            status: StatusCode::OK,
            body: Content::Text(number.to_string()),
            headers: Vec::new(),
        }
    }

    const fn of(status: StatusCode, body: Json) -> Self {
        Self {
            status,
            body: Content::Json(body),
            headers: Vec::new(),
        }
    }
}

/// Why something was not done.
#[derive(Debug)]
pub(crate) struct Fault {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
    /// Code, target and message of what is wrong in detail.
    pub(crate) details: Vec<(String, String, String)>,
    pub(crate) headers: Vec<(HeaderName, String)>,
}

impl Fault {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            details: Vec::new(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Request_BadRequest", message)
    }

    /// A query that is not supported, or not without the advanced parameters (3.3).
    pub(crate) fn unsupported(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Request_UnsupportedQuery", message)
    }

    pub(crate) fn not_found(id: &str) -> Self {
        let id: String = id.chars().take(100).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            "Request_ResourceNotFound",
            format!(
                "Resource '{id}' does not exist or one of its queried reference-property objects are \
                 not present."
            ),
        )
    }

    /// Something of synchronization is not there.
    pub(crate) fn missing(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "ResourceNotFound", what)
    }

    /// A value of one property is wrong.
    pub(crate) fn invalid(property: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        let mut fault = Self::bad_request(format!(
            "Invalid value specified for property '{property}' of the resource: {message}"
        ));
        fault
            .details
            .push(("InvalidValue".to_owned(), property.to_owned(), message));
        fault
    }

    #[must_use]
    pub(crate) fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The body (2.4).
    pub(crate) fn body(&self, ids: &Ids) -> Json {
        let details: Vec<Json> = self
            .details
            .iter()
            .map(|(code, target, message)| {
                json!({ "code": code, "target": target, "message": message })
            })
            .collect();
        let date = ids.at.to_string();
        json!({ "error": {
            "code": self.code, "message": self.message, "details": details,
            "innerError": {
                "date": date.get(..19).unwrap_or(&date),
                "request-id": ids.request, "client-request-id": ids.client
            }
        }})
    }
}

impl From<AppError> for Fault {
    fn from(error: AppError) -> Self {
        match error {
            AppError::NotFound(message) => {
                Self::new(StatusCode::NOT_FOUND, "Request_ResourceNotFound", message)
            }
            AppError::Invalid(message) | AppError::Refused(message) => Self::bad_request(message),
            AppError::Taken(message) => {
                let mut fault = Self::bad_request(message.clone());
                fault
                    .details
                    .push(("ObjectConflict".to_owned(), String::new(), message));
                fault
            }
            error if error.is_ours() => {
                tracing::error!(error = %error, "a request of the control API failed");
                Self::unavailable("The database does not answer; try again.")
            }
            error if error.is_busy() => Self::unavailable(&error.to_string()),
            error => Self::bad_request(error.to_string()),
        }
    }
}

impl Fault {
    fn unavailable(message: &str) -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "ServiceUnavailable",
            message,
        )
        .with(header::RETRY_AFTER, "5")
    }
}

/// The ids of a request.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    pub(crate) request: String,
    pub(crate) client: String,
    pub(crate) at: muster_model::Timestamp,
}

/// The answer on the wire.
pub(crate) fn render(answer: Result<Answer, Fault>, ids: &Ids) -> Response {
    let answer = answer.unwrap_or_else(|fault| {
        let body = Content::Json(fault.body(ids));
        Answer {
            status: fault.status,
            body,
            headers: fault.headers,
        }
    });
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status;
    let mut set = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(HeaderName::from_static("request-id"), &ids.request);
    set(HeaderName::from_static("client-request-id"), &ids.client);
    set(header::CACHE_CONTROL, "no-cache");
    let body = match answer.body {
        Content::None => None,
        Content::Json(body) => {
            let is_error = answer.status.as_u16() >= 400;
            set(
                header::CONTENT_TYPE,
                if is_error { "application/json" } else { TYPE },
            );
            set(HeaderName::from_static("odata-version"), "4.0");
            Some(body.to_string())
        }
        Content::Text(text) => {
            set(header::CONTENT_TYPE, "text/plain");
            Some(text)
        }
    };
    for (name, value) in answer.headers {
        set(name, &value);
    }
    if let Some(body) = body {
        *response.body_mut() = Body::from(body);
    }
    response
}
