//! What a target is shown: a token, a password, or an access token that is got for a client secret.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use muster_engine::port::TargetError;
use muster_model::Secret;
use muster_model::job::{Credentials, Scheme};
use reqwest::RequestBuilder;
use serde_json::{Map, Value as Json};
use tokio::sync::Mutex;

use super::answer;
use crate::http::Http;

/// An access token is renewed so long before it expires.
const EARLY: Duration = Duration::from_mins(1);
/// For how long an access token is taken that does not say it (RFC 6749, 5.1).
const USUAL: Duration = Duration::from_mins(5);

#[derive(Debug)]
pub(super) struct Auth {
    scheme: Scheme,
    secret: Secret<String>,
    next: Option<Secret<String>>,
    /// The target has refused the first secret and taken the next one.
    moved_on: AtomicBool,
    access: Mutex<Option<AccessToken>>,
}

#[derive(Debug)]
struct AccessToken {
    token: Secret<String>,
    until: Instant,
}

impl Auth {
    pub(super) fn new(http: &Http, credentials: &Credentials) -> Result<Self, TargetError> {
        let access = &credentials.access;
        let secret = checked(&credentials.secret_token, &access.scheme)?;
        let next = access.next.as_ref();
        let next = next.map(|next| checked(next, &access.scheme)).transpose()?;
        match &access.scheme {
            Scheme::ClientCredentials { token_url, .. } => {
                let check = http.policy().check(token_url);
                check.map_err(|error| TargetError::NotAllowed(error.to_string()))?;
            }
            Scheme::Basic { user } if user.contains(':') || user.chars().any(char::is_control) => {
                return Err(TargetError::NotAllowed(
                    "the user name holds a colon or a control character (RFC 7617)".to_owned(),
                ));
            }
            Scheme::Basic { .. } | Scheme::Bearer => {}
        }
        Ok(Self {
            scheme: access.scheme.clone(),
            secret,
            next,
            moved_on: AtomicBool::new(false),
            access: Mutex::default(),
        })
    }

    /// Adds what gives access to a request.
    pub(super) async fn show(
        &self,
        http: &Http,
        request: RequestBuilder,
    ) -> Result<RequestBuilder, TargetError> {
        let secret = self.secret();
        Ok(match &self.scheme {
            Scheme::Bearer => request.bearer_auth(secret.expose()),
            Scheme::Basic { user } => request.basic_auth(user, Some(secret.expose())),
            Scheme::ClientCredentials {
                token_url,
                client_id,
                scope,
            } => {
                let mut access = self.access.lock().await;
                let is_good = |it: &&AccessToken| it.until > Instant::now();
                if let Some(known) = access.as_ref().filter(is_good) {
                    return Ok(request.bearer_auth(known.token.expose()));
                }
                let got = get(http, token_url, (client_id, secret), scope.as_deref()).await?;
                let request = request.bearer_auth(got.token.expose());
                *access = Some(got);
                request
            }
        })
    }

    /// The target refused what it was shown. Is there something else to show it?
    pub(super) async fn refused(&self, error: &TargetError) -> bool {
        let TargetError::Unauthorized { status: 401, .. } = error else {
            return false;
        };
        // An access token may be taken back before it expires.
        if self.access.lock().await.take().is_some() {
            return true;
        }
        self.next.is_some() && !self.moved_on.swap(true, Ordering::Relaxed)
    }

    fn secret(&self) -> &Secret<String> {
        match &self.next {
            Some(next) if self.moved_on.load(Ordering::Relaxed) => next,
            _ => &self.secret,
        }
    }
}

/// A secret that can be sent.
fn checked(secret: &Secret<String>, scheme: &Scheme) -> Result<Secret<String>, TargetError> {
    let text = secret.expose().trim();
    let is_token = *scheme == Scheme::Bearer;
    let is_good = |byte: u8| byte.is_ascii_graphic() || (!is_token && !byte.is_ascii_control());
    if text.is_empty() || !text.bytes().all(is_good) {
        return Err(TargetError::NotAllowed(
            "the secret token is empty or holds characters that no token has; copy it again"
                .to_owned(),
        ));
    }
    Ok(Secret::new(text.to_owned()))
}

/// Gets an access token for a client (RFC 6749, 4.4); the client says who it is in the body (2.3.1), which is
/// what services that send SCIM do.
async fn get(
    http: &Http,
    url: &str,
    (client, secret): (&str, &Secret<String>),
    scope: Option<&str>,
) -> Result<AccessToken, TargetError> {
    let mut form = vec![
        ("grant_type", "client_credentials"),
        ("client_id", client),
        ("client_secret", secret.expose()),
    ];
    form.extend(scope.map(|scope| ("scope", scope)));
    let body = form_text(&form);
    let host = reqwest::Url::parse(url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_default();
    let answer = http
        .client()
        .post(url)
        .header("content-type", "application/x-www-form-urlencoded")
        .header("accept", "application/json")
        .body(body)
        .send()
        .await
        .map_err(|error| answer::transport(&host, &error))?;
    if !answer.status().is_success() {
        return Err(refusal(&host, answer).await);
    }
    let answer = answer::object(&host, answer).await?;
    let token = answer.get("access_token").and_then(Json::as_str);
    let Some(token) = token.filter(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_graphic()))
    else {
        return Err(TargetError::Incompatible(format!(
            "{host} answered without an access_token (RFC 6749, 5.1)"
        )));
    };
    let lasts = answer.get("expires_in").and_then(seconds).unwrap_or(USUAL);
    // One that lasts only a moment is used for half of it.
    let used = lasts.checked_sub(EARLY).unwrap_or_default().max(lasts / 2);
    Ok(AccessToken {
        token: Secret::new(token.to_owned()),
        until: Instant::now() + used,
    })
}

/// Some say the number as a text.
fn seconds(json: &Json) -> Option<Duration> {
    let number = json.as_u64().or_else(|| json.as_str()?.parse().ok())?;
    Some(Duration::from_secs(number.min(86_400)))
}

/// A client that is refused is told by 400, too (RFC 6749, 5.2).
async fn refusal(host: &str, response: reqwest::Response) -> TargetError {
    let status = response.status().as_u16();
    if !matches!(status, 400 | 401 | 403) {
        return answer::refusal(host, response).await;
    }
    let said: Map<String, Json> = answer::object(host, response).await.unwrap_or_default();
    let text = |name: &str| said.get(name).and_then(Json::as_str);
    let error = text("error").unwrap_or("no reason given");
    let more = text("error_description").map_or_else(String::new, |more| format!(": {more}"));
    let said: String = format!("{error}{more}")
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    TargetError::Unauthorized {
        status,
        detail: format!("no access token for the client: {said}"),
    }
}

fn form_text(form: &[(&str, &str)]) -> String {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
    let pairs: Vec<String> = form
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    pairs.join("&")
}
