//! Reading what a SCIM server answers, and telling its failures apart.

use std::error::Error as _;
use std::time::{Duration, UNIX_EPOCH};

use muster_engine::port::{Over, TargetError, speaks_of_licences};
use muster_model::link::TargetId;
use muster_model::{Clock, SystemClock};
use muster_scim::{ScimError, ScimType};
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use serde_json::{Map, Value as Json};

use crate::http::HttpError;
use crate::target::LARGEST;

/// The longest wait for whom may only seem to be throttled.
const FORBIDDEN: Duration = Duration::from_mins(1);
/// Characters of an answer that an error quotes.
const QUOTED: usize = 200;

/// A request that got no answer.
pub(super) fn transport(host: &str, waited: Duration, error: &reqwest::Error) -> TargetError {
    let detail = root_cause(error);
    if error.is_timeout() {
        TargetError::Timeout(waited)
    } else if let Some(refused) = policy_error(error) {
        TargetError::NotAllowed(refused)
    } else {
        TargetError::Unreachable {
            host: host.to_owned(),
            detail,
        }
    }
}

fn policy_error(error: &reqwest::Error) -> Option<String> {
    let mut cause = error.source();
    while let Some(next) = cause {
        if let Some(refused) = next.downcast_ref::<HttpError>() {
            return Some(refused.to_string());
        }
        cause = next.source();
    }
    None
}

fn root_cause(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// An answer, read to its end: only then does its connection go back to the pool.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Result<Vec<u8>, Unread>,
}

impl Answer {
    /// Reads what comes, up to a limit.
    pub(super) async fn read(mut response: Response) -> Self {
        Self {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: bytes(response).await,
        }
    }

    /// One that came as a part of another.
    pub(super) fn of(status: StatusCode, body: String) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            body: Ok(body.into_bytes()),
        }
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    pub(super) const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body, or why it was not read.
    pub(super) fn body(&self) -> Result<&[u8], String> {
        match &self.body {
            Ok(body) => Ok(body),
            Err(Unread::TooLarge) => Err(format!("the answer is larger than {LARGEST} bytes")),
            Err(Unread::Broken(detail)) => Err(detail.clone()),
        }
    }

    /// A JSON object that nobody is to see a word of, should it be none.
    pub(super) fn secret_object(self) -> Option<Map<String, Json>> {
        serde_json::from_slice(&self.body.ok()?).ok()
    }
}

/// An answer that is not 2xx.
pub(super) fn refusal(host: &str, answer: Answer) -> TargetError {
    let status = answer.status;
    let wait = retry_after(&answer.headers);
    let body = answer.body.unwrap_or_default();
    let detail = detail(&body);
    match (status, status.as_u16()) {
        // Some throttle with 403, too; others say so to whoever may not.
        (StatusCode::FORBIDDEN, _) if wait.is_some() => TargetError::Throttled {
            wait: wait.map(|wait| wait.min(FORBIDDEN)),
            said: Some(format!(" (HTTP 403: {detail})")),
        },
        (StatusCode::SERVICE_UNAVAILABLE, _) if wait.is_some() => {
            TargetError::Throttled { wait, said: None }
        }
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, status) => {
            TargetError::Unauthorized { status, detail }
        }
        (StatusCode::NOT_FOUND, _) => TargetError::NotFound,
        (StatusCode::CONFLICT, _) => TargetError::Conflict(detail),
        (StatusCode::TOO_MANY_REQUESTS, _) => TargetError::Throttled { wait, said: None },
        (status, number) if status.is_server_error() => TargetError::Failed {
            status: number,
            detail,
        },
        (StatusCode::BAD_REQUEST, _) if is_no_target(&body) => TargetError::NoTarget(detail),
        (status, number) if status.is_redirection() => TargetError::Refused {
            status: number,
            over: Over::Other,
            detail: format!("{host} redirects elsewhere, and redirects are not followed"),
        },
        (_, status) => TargetError::Refused {
            status,
            over: over(status, &body, &detail),
            detail,
        },
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get("retry-after")?.to_str().ok()?.trim();
    wait_of(value, u64::try_from(SystemClock.now().as_micros()).ok()?)
}

/// What Retry-After says, at a time in microseconds.
fn wait_of(value: &str, now: u64) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // Until an instant (RFC 9110, 10.2.3); one that is over is no time at all.
    let until = httpdate::parse_http_date(value).ok()?;
    let until = until.duration_since(UNIX_EPOCH).ok()?;
    Some(until.saturating_sub(Duration::from_micros(now)))
}

fn is_no_target(body: &[u8]) -> bool {
    scim_type(400, body) == Some(ScimType::NoTarget)
}

fn scim_type(status: u16, body: &[u8]) -> Option<ScimType> {
    let body: Json = serde_json::from_slice(body).ok()?;
    ScimError::from_answer(status, &body).scim_type
}

/// What a request was refused over: by the scimType, and by the words of the answer where RFC 7644 has none for it
/// (10.6). It is told, and nothing is done otherwise because of it.
fn over(status: u16, body: &[u8], detail: &str) -> Over {
    let said = detail.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if status == 402 || speaks_of_licences(detail) {
        return Over::Licence;
    }
    if !matches!(status, 400 | 422) {
        return Over::Other;
    }
    match scim_type(status, body) {
        Some(ScimType::InvalidPath) => Over::UnknownAttribute,
        Some(ScimType::Uniqueness) => Over::Taken,
        None | Some(ScimType::InvalidValue) => match () {
            () if says(&["domain"]) => Over::Domain,
            () if says(&MISSING) => Over::MissingValue,
            () if says(&["attribute", "field", "property"]) && says(&UNKNOWN) => {
                Over::UnknownAttribute
            }
            () => Over::Other,
        },
        Some(_) => Over::Other,
    }
}

/// How servers say that a value is not there, and that an attribute is not known.
const MISSING: [&str; 5] = [
    "required",
    "mandatory",
    "missing",
    "must not be empty",
    "must be set",
];
const UNKNOWN: [&str; 6] = [
    "unknown",
    "not found",
    "not exist",
    "undefined",
    "not defined",
    "unrecognized",
];

/// What a SCIM error says, or the beginning of whatever came instead.
fn detail(body: &[u8]) -> String {
    let said = serde_json::from_slice::<Map<String, Json>>(body)
        .ok()
        .and_then(|error| {
            error
                .get("detail")
                .and_then(Json::as_str)
                .map(str::to_owned)
        });
    let text = said.unwrap_or_else(|| String::from_utf8_lossy(body).trim().to_owned());
    let short: String = text
        .chars()
        .filter(|c| !c.is_control())
        .take(QUOTED)
        .collect();
    if short.is_empty() {
        "no reason given".to_owned()
    } else {
        short
    }
}

/// Why a body was not read to its end.
#[derive(Debug)]
enum Unread {
    TooLarge,
    Broken(String),
}

impl Unread {
    /// One that is too large concerns one object; one that broke off, the target.
    fn of(self, host: &str) -> TargetError {
        match self {
            Self::TooLarge => {
                TargetError::Incompatible(format!("its answer is larger than {LARGEST} bytes"))
            }
            Self::Broken(detail) => TargetError::Unreachable {
                host: host.to_owned(),
                detail,
            },
        }
    }
}

/// A body, up to a limit.
async fn bytes(mut response: Response) -> Result<Vec<u8>, Unread> {
    let mut body = Vec::new();
    let broken = |error: reqwest::Error| Unread::Broken(root_cause(&error));
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len() + chunk.len() > LARGEST {
            return Err(Unread::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// An answer that must be a JSON object.
pub(super) fn object(host: &str, answer: Answer) -> Result<Map<String, Json>, TargetError> {
    let body = answer.body.map_err(|unread| unread.of(host))?;
    serde_json::from_slice(&body).map_err(|_| {
        let looks_like = if body.trim_ascii_start().starts_with(b"<") {
            "HTML"
        } else {
            "no JSON"
        };
        TargetError::Incompatible(format!(
            "it is {looks_like} and begins with: {}",
            detail(&body)
        ))
    })
}

/// The id of a resource.
pub(super) fn id(resource: &Map<String, Json>) -> Result<TargetId, TargetError> {
    match resource.get("id").and_then(Json::as_str) {
        Some(id) if !id.is_empty() => Ok(TargetId(id.to_owned())),
        _ => Err(TargetError::Incompatible(
            "a resource has no `id`".to_owned(),
        )),
    }
}

/// The id of a resource that was created just now: only that is read of the answer.
pub(super) fn created(host: &str, answer: Answer) -> Result<TargetId, TargetError> {
    id(&object(host, answer)?)
}

/// Is an answer a ListResponse?
pub(super) fn is_list(answer: &Map<String, Json>) -> bool {
    let schemas = answer.get("schemas").and_then(Json::as_array);
    let is_it = |urn: &Json| urn == muster_scim::message::LIST_RESPONSE;
    schemas.is_some_and(|schemas| schemas.iter().any(is_it))
}

/// A ListResponse: how many there are in all, and those on this page.
pub(super) fn list(mut answer: Map<String, Json>) -> Result<(u64, Vec<Json>), TargetError> {
    let wrong = |what: &str| TargetError::Incompatible(format!("it is no ListResponse: {what}"));
    if !is_list(&answer) {
        return Err(wrong("`schemas` does not name it"));
    }
    let total = answer
        .get("totalResults")
        .and_then(Json::as_u64)
        .ok_or_else(|| wrong("`totalResults` is not a number"))?;
    let resources = match answer.remove("Resources") {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(resources)) => resources,
        Some(_) => return Err(wrong("`Resources` is not an array")),
    };
    Ok((total, resources))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 10.6: what a target says is told by a code. InsufficientRights, MethodNotAllowed, NotImplemented and the
    /// others go by the status alone.
    #[test]
    fn an_answer_is_told_by_a_code() {
        let scim = |scim_type: &str, detail: &str| {
            format!(
                r#"{{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],"status":"400",{scim_type}"detail":"{detail}"}}"#
            )
        };
        let plain = |detail: &str| scim("", detail);
        for (status, body, code) in [
            (401, String::new(), "Unauthorized"),
            (403, plain("read only"), "InsufficientRights"),
            (403, plain("No licenses are left"), "LicenseLimitExceeded"),
            (402, String::new(), "LicenseLimitExceeded"),
            (404, String::new(), "InvalidAnchor"),
            (405, String::new(), "MethodNotAllowed"),
            (409, plain("userName is taken"), "Conflict"),
            (413, String::new(), "UnprocessableEntity"),
            (422, plain("no"), "UnprocessableEntity"),
            (429, String::new(), "TooManyRequests"),
            (500, String::new(), "InternalServerError"),
            (501, String::new(), "NotImplemented"),
            (302, String::new(), "UnprocessableEntity"),
            (
                400,
                scim(r#""scimType":"invalidPath","#, "x"),
                "SchemaAttributeNotFound",
            ),
            (
                400,
                scim(r#""scimType":"noTarget","#, "x"),
                "UnprocessableEntity",
            ),
            (
                400,
                scim(
                    r#""scimType":"invalidValue","#,
                    "name.familyName is required",
                ),
                "MandatoryFieldsMissing",
            ),
            (
                400,
                plain("Unknown attribute: nick"),
                "SchemaAttributeNotFound",
            ),
            (
                400,
                plain("the domain of the email is not verified"),
                "InvalidDomain",
            ),
            (
                400,
                plain("licenseType is required"),
                "MandatoryFieldsMissing",
            ),
            (
                400,
                plain("unknown attribute licenseType"),
                "SchemaAttributeNotFound",
            ),
            (400, plain("no"), "UnprocessableEntity"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = refusal("scim.example.com", Answer::of(status, body.clone()));
            assert_eq!(error.code(), code, "{status} {body}");
            assert!(muster_model::code::find(code).is_some(), "{code}");
        }
    }

    #[test]
    fn a_wait_is_a_number_of_seconds_or_a_day_and_a_time() {
        // Sun, 06 Nov 1994 08:48:37 GMT, a minute before the example of RFC 9110.
        let now = 784_111_717 * 1_000_000;
        let wait = |value: &str| wait_of(value, now).map(|it| it.as_secs());
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(60));
        assert_eq!(wait("Fri, 31 Dec 1993 23:59:59 GMT"), Some(0));
        assert_eq!(wait("soon"), None);
    }
}
