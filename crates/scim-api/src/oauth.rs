//! Access tokens for OAuth clients: the client credentials grant (RFC 6749 section 4.4).

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use muster_web::{Peer, read_body};
use serde_json::{Value, json};

use crate::Here;
use crate::request::pairs;

/// Time to send the body.
const TIME: Duration = Duration::from_secs(10);
/// Largest body, in bytes.
const LARGEST: usize = 16 * 1024;

/// `POST /oauth/{integration}/token`
pub(crate) async fn token(
    State(face): Here,
    Path(integration): Path<String>,
    headers: HeaderMap,
    peer: Option<Extension<Peer>>,
    body: Body,
) -> Response {
    let Ok(integration) = integration.parse() else {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    let body = read_body(body, LARGEST, TIME).await;
    let text = body.ok().and_then(|it| String::from_utf8(it.to_vec()).ok());
    let Some(form) = text.and_then(|text| pairs(&text).ok()) else {
        return refused(StatusCode::BAD_REQUEST, "invalid_request");
    };
    let field = |name: &str| {
        form.iter()
            .find(|(key, _)| key == name)
            .map(|(_, it)| it.clone())
    };
    match field("grant_type").as_deref() {
        Some("client_credentials") => {}
        Some(_) => return refused(StatusCode::BAD_REQUEST, "unsupported_grant_type"),
        None => return refused(StatusCode::BAD_REQUEST, "invalid_request"),
    }
    let credentials =
        basic(&headers).or_else(|| Some((field("client_id")?, field("client_secret")?)));
    let Some((client, secret)) = credentials else {
        return refused(StatusCode::UNAUTHORIZED, "invalid_client");
    };
    let address = peer.map(|peer| peer.0.0);
    match face
        .provider
        .access_token(integration, address, (&client, &secret))
        .await
    {
        Ok(Some((access, seconds))) => {
            let body = json!({
                "access_token": access.expose(), "token_type": "Bearer", "expires_in": seconds
            });
            answer(StatusCode::OK, &body)
        }
        Ok(None) => refused(StatusCode::UNAUTHORIZED, "invalid_client"),
        Err(error) => {
            tracing::error!(error = %error, "an access token could not be given");
            refused(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
        }
    }
}

/// The credentials of `Authorization: Basic …`, each part form-encoded (RFC 6749 section 2.3.1).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, encoded) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (client, secret) = text.split_once(':')?;
    let decoded = |part: &str| Some(pairs(part).ok()?.into_iter().next()?.0);
    Some((decoded(client)?, decoded(secret)?))
}

/// An error of RFC 6749 section 5.2.
fn refused(status: StatusCode, error: &str) -> Response {
    answer(status, &json!({ "error": error }))
}

fn answer(status: StatusCode, body: &Value) -> Response {
    let mut response = (status, body.to_string()).into_response();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Basic realm=\"scim\"");
        headers.insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}
