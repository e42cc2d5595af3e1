//! What a target is shown: a token, a password, or an access token that is got for a client secret.

use std::time::{Duration, Instant};

use muster_engine::port::TargetError;
use muster_model::Secret;
use muster_model::job::{Credentials, Scheme};
use reqwest::RequestBuilder;
use serde_json::Value as Json;
use tokio::sync::Mutex;

use super::answer::{self, Answer};
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
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts up whenever something else is shown from now on.
    shown: u64,
    /// The first secret was refused, and the next one is used.
    moved_on: bool,
    access: Option<AccessToken>,
}

#[derive(Debug)]
struct AccessToken {
    token: Secret<String>,
    until: Instant,
}

/// What a request was shown with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shown(u64);

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
            state: Mutex::default(),
        })
    }

    /// Adds what gives access to a request. One request gets an access token for all that wait for it.
    pub(super) async fn show(
        &self,
        http: &Http,
        request: RequestBuilder,
    ) -> Result<(RequestBuilder, Shown), TargetError> {
        let mut state = self.state.lock().await;
        let shown = Shown(state.shown);
        let (token_url, client_id, scope) = match &self.scheme {
            Scheme::Bearer => {
                return Ok((request.bearer_auth(self.secret(&state).expose()), shown));
            }
            Scheme::Basic { user } => {
                let password = Some(self.secret(&state).expose());
                return Ok((request.basic_auth(user, password), shown));
            }
            Scheme::ClientCredentials {
                token_url,
                client_id,
                scope,
            } => (token_url, client_id, scope.as_deref()),
        };
        let is_good = |it: &&AccessToken| it.until > Instant::now();
        if let Some(known) = state.access.as_ref().filter(is_good) {
            return Ok((request.bearer_auth(known.token.expose()), shown));
        }
        let client = |secret| (client_id.as_str(), secret);
        let got = get(http, token_url, client(self.secret(&state)), scope).await;
        let got = match (got, &self.next) {
            // The client secret is refused: there may be one that was staged.
            (Err(TargetError::Unauthorized { .. }), Some(next)) if !state.moved_on => {
                state.moved_on = true;
                get(http, token_url, client(next), scope).await
            }
            (got, _) => got,
        }?;
        state.shown += 1;
        let request = request.bearer_auth(got.token.expose());
        state.access = Some(got);
        Ok((request, Shown(state.shown)))
    }

    /// The target refused what a request was shown with. Is there something else to show it?
    pub(super) async fn refused(&self, with: Shown, error: &TargetError) -> bool {
        let TargetError::Unauthorized { status: 401, .. } = error else {
            return false;
        };
        let mut state = self.state.lock().await;
        if Shown(state.shown) != with {
            // Somebody else was refused before, and has seen to it.
            return true;
        }
        // An access token may be taken back before it expires; it is got anew.
        let is_known = state.access.take().is_some();
        let moves_on = !is_known && self.next.is_some() && !state.moved_on;
        state.moved_on |= moves_on;
        state.shown += u64::from(is_known || moves_on);
        is_known || moves_on
    }

    fn secret(&self, state: &State) -> &Secret<String> {
        match &self.next {
            Some(next) if state.moved_on => next,
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
    let answer = Answer::read(answer).await;
    if !answer.status().is_success() {
        return Err(refusal(&host, answer));
    }
    let answer = answer.secret_object().ok_or_else(|| {
        TargetError::Incompatible(format!("{host} answered with no JSON (RFC 6749, 5.1)"))
    })?;
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

/// Whatever keeps us from an access token has to do with our credentials, and never with an object: a client
/// that is refused is told by 400, too (RFC 6749, 5.2), and a wrong address by 404.
fn refusal(host: &str, answer: Answer) -> TargetError {
    let status = answer.status();
    if status.is_server_error() || status.as_u16() == 429 {
        return answer::refusal(host, answer);
    }
    let said = answer.secret_object().unwrap_or_default();
    let text = |name: &str| said.get(name).and_then(Json::as_str);
    let error = text("error").unwrap_or("no reason given");
    let more = text("error_description").map_or_else(String::new, |more| format!(": {more}"));
    let said: String = format!("{error}{more}")
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    TargetError::Unauthorized {
        status: 401,
        detail: format!(
            "{host} gives no access token to the client (HTTP {}): {said}",
            status.as_u16()
        ),
    }
}

fn form_text(form: &[(&str, &str)]) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    /// What a form leaves as it is.
    const FORM: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'*')
        .remove(b'-')
        .remove(b'.')
        .remove(b'_');
    let encode = |text: &str| utf8_percent_encode(text, FORM).to_string();
    let pairs: Vec<String> = form
        .iter()
        .map(|(name, value)| format!("{}={}", encode(name), encode(value)))
        .collect();
    pairs.join("&")
}
