//! Somebody allows us to act for them at a target: authorization code with PKCE (RFC 6749, 4.1; RFC 7636).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use muster_engine::port::TargetError;
use muster_model::Secret;
use muster_model::job::{Allowed, OAuth};
use muster_model::secret::random_bytes;
use sha2::{Digest, Sha256};

use crate::http::Http;
use crate::target::auth::{self, Denied};

/// What was asked of somebody, until they answer.
#[derive(Debug)]
pub struct Asked {
    /// The address that they open in a browser.
    pub url: String,
    /// Comes back with their answer; another one is not theirs.
    pub state: String,
    verifier: Secret<String>,
    redirect: String,
}

/// Asks somebody at `authorization_url`; the answer comes to `redirect`.
pub fn ask(
    http: &Http,
    authorization_url: &str,
    oauth: &OAuth,
    redirect: &str,
) -> Result<Asked, TargetError> {
    let refused = |error: crate::HttpError| TargetError::NotAllowed(error.to_string());
    let mut url = http.policy().check(authorization_url).map_err(refused)?;
    let (state, verifier) = (random()?, random()?);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()));
    url.query_pairs_mut()
        .append_pair("response_type", "code")
        .append_pair("client_id", &oauth.client_id)
        .append_pair("redirect_uri", redirect)
        .append_pair("state", &state)
        .append_pair("code_challenge", &challenge)
        .append_pair("code_challenge_method", "S256");
    if let Some(scope) = &oauth.scope {
        url.query_pairs_mut().append_pair("scope", scope);
    }
    Ok(Asked {
        url: url.into(),
        state,
        verifier: Secret::new(verifier),
        redirect: redirect.to_owned(),
    })
}

/// Exchanges the code that came back for what stands for what was allowed.
pub async fn redeem(
    http: &Http,
    oauth: &OAuth,
    secret: &Secret<String>,
    asked: &Asked,
    code: &str,
) -> Result<Allowed, TargetError> {
    let refused = |error: crate::HttpError| TargetError::NotAllowed(error.to_string());
    http.policy().check(&oauth.token_url).map_err(refused)?;
    let form = vec![
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &asked.redirect),
        ("code_verifier", asked.verifier.expose()),
    ];
    let tokens = auth::redeem(http, oauth, secret, form).await;
    let tokens = tokens.map_err(Denied::into_error)?;
    let refresh = tokens.refresh.ok_or_else(|| {
        TargetError::Incompatible(
            "there is no refresh_token in the answer, without which access ends within the hour; \
             many servers give one only for a scope such as offline_access"
                .to_owned(),
        )
    })?;
    Ok(Allowed {
        id: random()?,
        refresh,
    })
}

fn random() -> Result<String, TargetError> {
    let bytes = random_bytes().map_err(|error| TargetError::NotAllowed(error.to_string()))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
