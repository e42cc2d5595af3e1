//! What a target is shown: a token, a password, or an access token that is got for a client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use muster_engine::port::{Keeper, TargetError};
use muster_model::job::{Allowed, Credentials, OAuth, Scheme};
use muster_model::{Clock, ObjectId, Secret, SystemClock};
use reqwest::RequestBuilder;
use serde_json::{Value as Json, json};
use tokio::sync::Mutex;

use super::answer::{self, Answer};
use crate::http::{ANSWER, Http};

/// An access token is renewed so long before it expires.
const EARLY: Duration = Duration::from_mins(1);
/// For how long an access token is taken that does not say it (RFC 6749, 5.1).
const USUAL: Duration = Duration::from_mins(5);

#[derive(Debug)]
pub(super) struct Auth {
    scheme: Scheme,
    secret: Secret<String>,
    next: Option<Secret<String>>,
    keeper: Arc<dyn Keeper>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts up whenever something else is shown from now on.
    shown: u64,
    /// The first secret was refused, and the next one is used.
    moved_on: bool,
    access: Option<AccessToken>,
    /// What somebody has allowed, as it is by now.
    allowed: Option<Allowed>,
    /// It could not be kept: nobody else has it.
    is_unkept: bool,
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
    pub(super) fn new(
        http: &Http,
        credentials: &Credentials,
        keeper: Arc<dyn Keeper>,
    ) -> Result<Self, TargetError> {
        let access = &credentials.access;
        let secret = checked(&credentials.secret_token, &access.scheme)?;
        let next = access.next.as_ref();
        let next = next.map(|next| checked(next, &access.scheme)).transpose()?;
        match &access.scheme {
            Scheme::OAuth(oauth) => {
                let check = http.policy().check(&oauth.token_url);
                check.map_err(|error| TargetError::NotAllowed(error.to_string()))?;
                for secret in [Some(&secret), next.as_ref()].into_iter().flatten() {
                    if is_key(secret) {
                        signing_key(secret)?;
                    }
                }
            }
            Scheme::Basic { user } if user.contains(':') || user.chars().any(char::is_control) => {
                return Err(TargetError::NotAllowed(
                    "the user name holds a colon or a control character (RFC 7617)".to_owned(),
                ));
            }
            Scheme::Basic { .. } | Scheme::Bearer => {}
        }
        let allowed = match &access.scheme {
            Scheme::OAuth(oauth) => oauth.allowed.clone(),
            Scheme::Basic { .. } | Scheme::Bearer => None,
        };
        Ok(Self {
            scheme: access.scheme.clone(),
            secret,
            next,
            keeper,
            state: Mutex::new(State {
                allowed,
                ..State::default()
            }),
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
        let oauth = match &self.scheme {
            Scheme::Bearer => {
                return Ok((request.bearer_auth(self.secret(&state).expose()), shown));
            }
            Scheme::Basic { user } => {
                let password = Some(self.secret(&state).expose());
                return Ok((request.basic_auth(user, password), shown));
            }
            Scheme::OAuth(oauth) => oauth,
        };
        let is_good = |it: &&AccessToken| it.until > Instant::now();
        if let Some(known) = state.access.as_ref().filter(is_good) {
            return Ok((request.bearer_auth(known.token.expose()), shown));
        }
        let errand = Errand {
            http: http.clone(),
            oauth: oauth.clone(),
            secret: self.secret(&state).clone(),
            next: self.next.clone().filter(|_| !state.moved_on),
            keeper: Arc::clone(&self.keeper),
            allowed: state.allowed.clone(),
            is_unkept: state.is_unkept,
        };
        // It comes to its end, whoever stops waiting for it: what was exchanged is kept.
        let done = tokio::spawn(errand.run()).await;
        let (errand, got) = done.map_err(|error| TargetError::OutOfOrder(error.to_string()))?;
        (state.allowed, state.is_unkept) = (errand.allowed, errand.is_unkept);
        let (access, moved_on) = got?;
        state.shown += 1;
        state.moved_on |= moved_on;
        let request = request.bearer_auth(access.token.expose());
        state.access = Some(access);
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

    /// What may be shown and must not be told.
    pub(super) fn secrets(&self) -> Vec<String> {
        let secrets = std::iter::once(&self.secret).chain(&self.next);
        let secrets = secrets.map(|secret| secret.expose().clone());
        secrets.filter(|secret| secret.len() >= 4).collect()
    }

    /// Forgets the access token, as when it has expired.
    #[cfg(test)]
    pub(super) async fn expire(&self) {
        self.state.lock().await.access = None;
    }

    fn secret(&self, state: &State) -> &Secret<String> {
        match &self.next {
            Some(next) if state.moved_on => next,
            _ => &self.secret,
        }
    }
}

/// Getting an access token.
struct Errand {
    http: Http,
    oauth: OAuth,
    secret: Secret<String>,
    /// A secret that was staged and not tried yet.
    next: Option<Secret<String>>,
    keeper: Arc<dyn Keeper>,
    allowed: Option<Allowed>,
    is_unkept: bool,
}

impl Errand {
    /// Also when it fails: what became of what was allowed.
    async fn run(mut self) -> (Self, Result<(AccessToken, bool), TargetError>) {
        let got = self.go().await;
        (self, got)
    }

    /// An access token, and whether it was got with the secret that was staged.
    async fn go(&mut self) -> Result<(AccessToken, bool), TargetError> {
        let door = self.keeper.door();
        let _alone = match &self.allowed {
            Some(_) => Some(door.lock().await),
            None => None,
        };
        self.look().await?;
        let (tokens, moved_on) = match self.ask().await {
            Ok(tokens) => tokens,
            Err(Denied::Client(error)) => return Err(error),
            // Another process may have exchanged it in between.
            Err(Denied::Other(error)) => {
                let before = self.allowed.clone();
                self.look().await?;
                if self.allowed == before {
                    return Err(error);
                }
                self.ask().await.map_err(Denied::into_error)?
            }
        };
        if let (Some(allowed), Some(other)) = (&mut self.allowed, tokens.refresh) {
            self.is_unkept |= allowed.refresh != other;
            allowed.refresh = other;
        }
        self.keep().await;
        Ok((tokens.access, moved_on))
    }

    /// What stands for what was allowed, as it is kept by now.
    async fn look(&mut self) -> Result<(), TargetError> {
        // What nobody else has is newer than what is kept.
        self.keep().await;
        if let Some(allowed) = self.allowed.as_mut().filter(|_| !self.is_unkept) {
            let kept = self.keeper.kept(&allowed.id).await;
            let kept = kept.map_err(|detail| TargetError::Unreachable {
                host: "our own store".to_owned(),
                detail,
            })?;
            if let Some(kept) = kept {
                allowed.refresh = kept;
            }
        }
        Ok(())
    }

    async fn keep(&mut self) {
        let Some(allowed) = self.allowed.as_ref().filter(|_| self.is_unkept) else {
            return;
        };
        match self.keeper.keep(&allowed.id, &allowed.refresh).await {
            Ok(()) => self.is_unkept = false,
            Err(error) => tracing::error!(
                error,
                "a refresh token could not be kept; if this process ends before it is, somebody has to \
                 allow it again"
            ),
        }
    }

    /// Asks with the secret that is used; when the client is refused, with the one that was staged.
    async fn ask(&self) -> Result<(Tokens, bool), Denied> {
        let refresh = self.allowed.as_ref().map(|allowed| &allowed.refresh);
        let got = get(&self.http, &self.oauth, &self.secret, refresh).await;
        match (got, &self.next) {
            (Err(Denied::Client(_)), Some(next)) => {
                let tokens = get(&self.http, &self.oauth, next, refresh).await?;
                Ok((tokens, true))
            }
            (got, _) => Ok((got?, false)),
        }
    }
}

/// Why there is no access token.
pub(crate) enum Denied {
    /// The client is not known by what it showed.
    Client(TargetError),
    /// Anything else.
    Other(TargetError),
}

impl Denied {
    pub(crate) fn into_error(self) -> TargetError {
        match self {
            Self::Client(error) | Self::Other(error) => error,
        }
    }
}

impl From<TargetError> for Denied {
    fn from(error: TargetError) -> Self {
        Self::Other(error)
    }
}

/// A secret that can be sent.
fn checked(secret: &Secret<String>, scheme: &Scheme) -> Result<Secret<String>, TargetError> {
    let text = secret.expose().trim();
    let is_token = *scheme == Scheme::Bearer;
    if let Scheme::OAuth(oauth) = scheme {
        // A client that others can read has no secret, and acts for somebody.
        let is_public = text.is_empty() && oauth.allowed.is_some();
        if is_public || is_key(secret) {
            return Ok(Secret::new(text.to_owned()));
        }
    }
    let is_good = |byte: u8| byte.is_ascii_graphic() || (!is_token && !byte.is_ascii_control());
    if text.is_empty() || !text.bytes().all(is_good) {
        return Err(TargetError::NotAllowed(
            "the secret token is empty or holds characters that no token has; copy it again"
                .to_owned(),
        ));
    }
    Ok(Secret::new(text.to_owned()))
}

/// What an authorization server gives (RFC 6749, 5.1).
pub(crate) struct Tokens {
    access: AccessToken,
    /// Stands for what somebody has allowed, from now on.
    pub(crate) refresh: Option<Secret<String>>,
}

/// Is this secret a private key?
fn is_key(secret: &Secret<String>) -> bool {
    secret.expose().trim_start().starts_with("-----BEGIN")
}

/// A private key in PEM, and what is signed with it: RSA, P-256, Ed25519.
fn signing_key(secret: &Secret<String>) -> Result<(Algorithm, EncodingKey), TargetError> {
    let pem = secret.expose().as_bytes();
    let keys = [
        (Algorithm::RS256, EncodingKey::from_rsa_pem(pem)),
        (Algorithm::ES256, EncodingKey::from_ec_pem(pem)),
        (Algorithm::EdDSA, EncodingKey::from_ed_pem(pem)),
    ];
    let usable = keys
        .into_iter()
        .find_map(|(with, key)| Some((with, key.ok()?)));
    usable.ok_or_else(|| {
        TargetError::NotAllowed(
            "the secret looks like a private key and is none that can sign: it is PEM, RSA or in \
             PKCS #8 with P-256 or Ed25519, without a passphrase"
                .to_owned(),
        )
    })
}

/// For so long a client's assertion is good, in seconds.
const ASSERTED: i64 = 300;

/// The words of a client who says who it is, signed (RFC 7523, 2.2 and 3).
fn assertion(oauth: &OAuth, secret: &Secret<String>) -> Result<String, TargetError> {
    let (algorithm, key) = signing_key(secret)?;
    let now = SystemClock.now().as_micros() / 1_000_000;
    let claims = json!({
        "iss": oauth.client_id, "sub": oauth.client_id, "aud": oauth.token_url,
        "jti": ObjectId::new().to_string(), "iat": now, "nbf": now - 30, "exp": now + ASSERTED
    });
    let mut header = Header::new(algorithm);
    header.kid.clone_from(&oauth.key_id);
    let unsigned = |error| TargetError::NotAllowed(format!("the private key cannot sign: {error}"));
    jsonwebtoken::encode(&header, &claims, &key).map_err(unsigned)
}

/// Gets an access token for a client (RFC 6749, 4.4), or for somebody who has allowed it (6).
async fn get(
    http: &Http,
    oauth: &OAuth,
    secret: &Secret<String>,
    refresh: Option<&Secret<String>>,
) -> Result<Tokens, Denied> {
    let mut form = Vec::new();
    if let Some(refresh) = refresh {
        // As much as was allowed: no scope is named again.
        form.push(("grant_type", "refresh_token"));
        form.push(("refresh_token", refresh.expose().as_str()));
    } else {
        form.push(("grant_type", "client_credentials"));
        form.extend(oauth.scope.as_deref().map(|scope| ("scope", scope)));
    }
    redeem(http, oauth, secret, form).await
}

/// Gets tokens for what a form says. The client says who it is in the body (2.3.1), which is what services that
/// send SCIM do.
pub(crate) async fn redeem(
    http: &Http,
    oauth: &OAuth,
    secret: &Secret<String>,
    mut form: Vec<(&str, &str)>,
) -> Result<Tokens, Denied> {
    let url = oauth.token_url.as_str();
    form.push(("client_id", &oauth.client_id));
    let assertion = is_key(secret)
        .then(|| assertion(oauth, secret))
        .transpose()?;
    match &assertion {
        Some(assertion) => form.extend([
            (
                "client_assertion_type",
                "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            ),
            ("client_assertion", assertion),
        ]),
        None if secret.expose().is_empty() => {}
        None => form.push(("client_secret", secret.expose())),
    }
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
        .map_err(|error| answer::transport(&host, ANSWER, &error))?;
    let answer = Answer::read(answer).await;
    if !answer.status().is_success() {
        return Err(refusal(&host, answer));
    }
    // None of what follows has to do with an object, and none has arrived.
    let wrong = |what: &str| TargetError::Unauthorized {
        status: 401,
        detail: format!("{host} answered {what} (RFC 6749, 5.1)"),
    };
    let answer = answer
        .secret_object()
        .ok_or_else(|| wrong("with no JSON"))?;
    let token = answer.get("access_token").and_then(Json::as_str);
    let Some(token) = token.filter(|it| !it.is_empty() && it.bytes().all(|b| b.is_ascii_graphic()))
    else {
        return Err(wrong("without an access_token").into());
    };
    let lasts = answer.get("expires_in").and_then(seconds).unwrap_or(USUAL);
    // One that lasts only a moment is used for half of it.
    let used = lasts.checked_sub(EARLY).unwrap_or_default().max(lasts / 2);
    let refresh = answer.get("refresh_token").and_then(Json::as_str);
    Ok(Tokens {
        access: AccessToken {
            token: Secret::new(token.to_owned()),
            until: Instant::now() + used,
        },
        refresh: refresh.map(|refresh| Secret::new(refresh.to_owned())),
    })
}

/// Some say the number as a text.
fn seconds(json: &Json) -> Option<Duration> {
    let number = json.as_u64().or_else(|| json.as_str()?.parse().ok())?;
    Some(Duration::from_secs(number.min(86_400)))
}

/// Whatever keeps us from an access token has to do with our credentials, and never with an object: a client
/// that is refused is told by 400, too (RFC 6749, 5.2), and a wrong address by 404.
fn refusal(host: &str, answer: Answer) -> Denied {
    let status = answer.status();
    if status.is_server_error() || status.as_u16() == 429 {
        return answer::refusal(host, answer).into();
    }
    let said = answer.secret_object().unwrap_or_default();
    let text = |name: &str| said.get(name).and_then(Json::as_str);
    let error = text("error").unwrap_or("no reason given");
    let is_client = status.as_u16() == 401 || error == "invalid_client";
    let more = text("error_description").map_or_else(String::new, |more| format!(": {more}"));
    let said: String = format!("{error}{more}")
        .chars()
        .filter(|c| !c.is_control())
        .take(200)
        .collect();
    let error = TargetError::Unauthorized {
        status: 401,
        detail: format!(
            "{host} gives no access token to the client (HTTP {}): {said}",
            status.as_u16()
        ),
    };
    if is_client {
        Denied::Client(error)
    } else {
        Denied::Other(error)
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
