//! People who sign in elsewhere: OpenID Connect Core 1.0, authorization code with PKCE.

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use muster_engine::port::{Begun, Issuer};
use muster_model::Secret;
use muster_model::secret::random_bytes;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value as Json;
use sha2::{Digest, Sha256};
use tokio::time::Instant;

use crate::http::{Http, HttpError};

/// How long what an issuer says of itself is believed.
const KNOWN: Duration = Duration::from_hours(1);
/// How soon its keys are asked for again, when a token is signed by one that is not among them.
const AGAIN: Duration = Duration::from_secs(30);
/// Bytes of an answer at most.
const LARGEST: usize = 1024 * 1024;
/// How tokens may be signed: not by a secret that the client knows, too.
const SIGNED: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// By which claim people are known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Claim {
    /// `email`, when the issuer says that it is verified.
    #[default]
    Email,
    /// `preferred_username`, for issuers that let nobody choose it.
    PreferredUsername,
    /// `sub`
    Subject,
}

impl std::str::FromStr for Claim {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "email" => Ok(Self::Email),
            "preferred_username" => Ok(Self::PreferredUsername),
            "sub" => Ok(Self::Subject),
            other => Err(format!(
                "`{other}` is no claim to know people by; choose email, preferred_username or sub"
            )),
        }
    }
}

/// Where people sign in, and as which client.
#[derive(Clone, Debug)]
pub struct OidcSettings {
    /// The issuer's address, as it stands in its tokens.
    pub issuer: String,
    /// The client that was registered there.
    pub client_id: String,
    /// Its secret.
    pub client_secret: Secret<String>,
    /// By what people are known.
    pub claim: Claim,
    /// What pages call it.
    pub name: String,
}

/// What an issuer says of itself (Discovery 1.0, 3), and its keys.
#[derive(Clone, Debug)]
struct Known {
    at: Instant,
    authorization: String,
    token: String,
    user_info: Option<String>,
    /// Is the client's secret sent in the form, because it is taken nowhere else?
    in_form: bool,
    keys: JwkSet,
}

/// An issuer of OpenID Connect.
#[derive(Debug)]
pub struct Oidc {
    settings: OidcSettings,
    http: Http,
    known: tokio::sync::Mutex<Option<Known>>,
}

fn random() -> Result<String, String> {
    let bytes =
        random_bytes().map_err(|error| format!("no randomness from the system: {error}"))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

/// A member that must be there.
fn text(json: &Json, name: &str) -> Result<String, String> {
    let found = json[name].as_str();
    found
        .map(str::to_owned)
        .ok_or_else(|| format!("its answer has no {name}"))
}

fn failed(error: &HttpError) -> String {
    format!("it cannot be asked: {error}")
}

impl Oidc {
    /// An issuer that is asked when somebody signs in.
    pub fn new(settings: OidcSettings, http: Http) -> Self {
        Self {
            settings,
            http,
            known: tokio::sync::Mutex::new(None),
        }
    }

    /// The answer to a request, as JSON, whatever its status.
    async fn ask(&self, request: reqwest::RequestBuilder) -> Result<(u16, Json), String> {
        let wrong = |error: reqwest::Error| failed(&HttpError::Client(error.to_string()));
        let mut answer = request.send().await.map_err(wrong)?;
        let (status, mut body) = (answer.status().as_u16(), Vec::new());
        while let Some(part) = answer.chunk().await.map_err(wrong)? {
            if body.len() + part.len() > LARGEST {
                return Err("its answer is too long".to_owned());
            }
            body.extend_from_slice(&part);
        }
        Ok((status, serde_json::from_slice(&body).unwrap_or_default()))
    }

    async fn get(&self, url: &str, token: Option<&str>) -> Result<Json, String> {
        let url = self.http.policy().check(url);
        let url = url.map_err(|error| failed(&error))?;
        let mut request = self.http.client().get(url.clone());
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        match self.ask(request).await? {
            (200, json) => Ok(json),
            (status, _) => Err(format!("{url} answered HTTP {status}")),
        }
    }

    async fn known(&self, at_least: Duration) -> Result<Known, String> {
        let mut known = self.known.lock().await;
        if let Some(known) = known.as_ref()
            && known.at.elapsed() < at_least
        {
            return Ok(known.clone());
        }
        let issuer = &self.settings.issuer;
        let place = issuer.trim_end_matches('/');
        let place = format!("{place}/.well-known/openid-configuration");
        let said = self.get(&place, None).await?;
        let own = text(&said, "issuer")?;
        // Discovery 1.0, 4.3: otherwise somebody else speaks for it.
        if own != *issuer {
            return Err(format!("it calls itself {own}, and {issuer} is configured"));
        }
        let keys = self.get(&text(&said, "jwks_uri")?, None).await?;
        let keys = serde_json::from_value(keys);
        let methods = said["token_endpoint_auth_methods_supported"].as_array();
        let found = Known {
            at: Instant::now(),
            authorization: text(&said, "authorization_endpoint")?,
            token: text(&said, "token_endpoint")?,
            user_info: said["userinfo_endpoint"].as_str().map(str::to_owned),
            // Without a word of it, it is in the header (Discovery 1.0, 3).
            in_form: methods.is_some_and(|all| all.iter().all(|it| it != "client_secret_basic")),
            keys: keys.map_err(|error| format!("its keys cannot be read: {error}"))?,
        };
        *known = Some(found.clone());
        Ok(found)
    }

    /// The claims of an ID token, when it is good (Core 1.0, 3.1.3.7).
    async fn claims(&self, token: &str, nonce: &str) -> Result<Json, String> {
        let bad = |error: jsonwebtoken::errors::Error| format!("its ID token is not good: {error}");
        let head = jsonwebtoken::decode_header(token).map_err(bad)?;
        if !SIGNED.contains(&head.alg) {
            return Err(format!("its ID token is signed by {:?}", head.alg));
        }
        let mut known = self.known(KNOWN).await?;
        let is_among = |known: &Known| match &head.kid {
            Some(kid) => known.keys.find(kid).is_some(),
            None => true,
        };
        if !is_among(&known) {
            // It may have a new one since.
            known = self.known(AGAIN).await?;
        }
        let key = match (&head.kid, known.keys.keys.as_slice()) {
            (Some(kid), _) => known.keys.find(kid),
            (None, [only]) => Some(only),
            (None, _) => None,
        };
        let key = key.ok_or("its ID token is signed by a key that it does not publish")?;
        let key = DecodingKey::from_jwk(key).map_err(bad)?;
        let mut good = Validation::new(head.alg);
        good.set_audience(&[&self.settings.client_id]);
        good.set_issuer(&[&self.settings.issuer]);
        good.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        let claims = jsonwebtoken::decode::<Json>(token, &key, &good);
        let claims = claims.map_err(bad)?.claims;
        if claims["nonce"].as_str() != Some(nonce) {
            return Err("its ID token is not for this attempt".to_owned());
        }
        let others = claims["aud"].as_array().is_some_and(|all| all.len() > 1);
        let party = claims["azp"].as_str();
        if party.map_or(others, |party| party != self.settings.client_id) {
            return Err("its ID token was given to somebody else".to_owned());
        }
        Ok(claims)
    }
}

/// By what claims know somebody; `None` when they do not say it.
fn name(claims: &Json, claim: Claim) -> Result<Option<String>, String> {
    let said = |name: &str| claims[name].as_str().map(str::to_owned);
    match claim {
        Claim::Subject => Ok(said("sub")),
        Claim::PreferredUsername => Ok(said("preferred_username")),
        Claim::Email => {
            let Some(email) = said("email") else {
                return Ok(None);
            };
            let verified = &claims["email_verified"];
            if *verified == true || *verified == "true" {
                Ok(Some(email))
            } else {
                Err(format!("it does not say that {email} is verified"))
            }
        }
    }
}

#[async_trait]
impl Issuer for Oidc {
    fn name(&self) -> &str {
        &self.settings.name
    }

    async fn begin(&self, redirect: &str) -> Result<Begun, String> {
        let known = self.known(KNOWN).await?;
        let (state, nonce, verifier) = (random()?, random()?, random()?);
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
        let url = self.http.policy().check(&known.authorization);
        let mut url = url.map_err(|error| failed(&error))?;
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.settings.client_id)
            .append_pair("redirect_uri", redirect)
            .append_pair("scope", "openid email profile")
            .append_pair("state", &state)
            .append_pair("nonce", &nonce)
            .append_pair("code_challenge", &challenge)
            .append_pair("code_challenge_method", "S256");
        Ok(Begun {
            url: url.into(),
            redirect: redirect.to_owned(),
            state,
            nonce,
            verifier: Secret::new(verifier),
        })
    }

    async fn finish(&self, begun: &Begun, code: &str) -> Result<String, String> {
        let known = self.known(KNOWN).await?;
        let (client, secret) = (
            &self.settings.client_id,
            self.settings.client_secret.expose(),
        );
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &begun.redirect),
            ("code_verifier", begun.verifier.expose()),
        ];
        if known.in_form {
            fields.extend([("client_id", client.as_str()), ("client_secret", secret)]);
        }
        let encode = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let body: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}={}", encode(value)))
            .collect();
        let url = self.http.policy().check(&known.token);
        let mut request = self
            .http
            .client()
            .post(url.map_err(|error| failed(&error))?)
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(body.join("&"));
        if !known.in_form {
            // RFC 6749, 2.3.1: both are encoded first.
            request = request.basic_auth(encode(client), Some(encode(secret)));
        }
        let (status, tokens) = self.ask(request).await?;
        if status != 200 {
            let why = tokens["error"].as_str().unwrap_or("without saying why");
            return Err(format!("it refused the code: {why} (HTTP {status})"));
        }
        let claims = self
            .claims(&text(&tokens, "id_token")?, &begun.nonce)
            .await?;
        if let Some(name) = name(&claims, self.settings.claim)? {
            return Ok(name);
        }
        // Many say it only when they are asked.
        let place = known.user_info.as_deref();
        let place = place.ok_or("its ID token does not say by what people are known here")?;
        let info = self.get(place, tokens["access_token"].as_str()).await?;
        // Core 1.0, 5.3.2
        if info["sub"] != claims["sub"] {
            return Err("it spoke of somebody else".to_owned());
        }
        name(&info, self.settings.claim)?
            .ok_or_else(|| "it does not say by what people are known here".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_address_counts_when_it_is_verified() {
        let of = |claims: Json| name(&claims, Claim::Email);
        let ada = || Ok(Some("ada@x.example".to_owned()));
        let email = "ada@x.example";
        assert_eq!(of(json!({ "email": email, "email_verified": true })), ada());
        assert_eq!(
            of(json!({ "email": email, "email_verified": "true" })),
            ada()
        );
        assert_eq!(of(json!({ "sub": "a" })), Ok(None));
        for claims in [
            json!({ "email": email }),
            json!({ "email": email, "email_verified": false }),
            json!({ "email": email, "email_verified": "no" }),
        ] {
            assert!(of(claims).is_err());
        }
    }
}
