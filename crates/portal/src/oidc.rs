//! Signing in elsewhere, by OpenID Connect: there, and back.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Redirect, Response};
use muster_app::administrators::{self, Begun};
use parking_lot::Mutex;
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use crate::Face;
use crate::failure::{Failure, capital};
use crate::form::query;
use crate::sign_in::{agent, refused, set_cookie, signed_in, within};
use crate::who::cookie;

/// People who are there and not back yet, at most.
const AWAY: usize = 1000;
/// How long somebody may take.
const PATIENCE: Duration = Duration::from_mins(10);
/// The cookie by which a browser is known again.
const COOKIE: &str = "muster_sign_in";

/// Somebody who is there: since when, what was begun, and where they go in the end.
#[derive(Clone, Debug)]
struct Away(Instant, Begun, String);

/// Everybody who is there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Elsewhere(Arc<Mutex<Vec<Away>>>);

impl Elsewhere {
    fn put(&self, begun: Begun, to: String) {
        let mut all = self.0.lock();
        all.retain(|it| it.0.elapsed() < PATIENCE);
        if all.len() >= AWAY {
            all.remove(0);
        }
        all.push(Away(Instant::now(), begun, to));
    }

    fn take(&self, state: &str) -> Option<(Begun, String)> {
        let mut all = self.0.lock();
        all.retain(|it| it.0.elapsed() < PATIENCE);
        let at = all.iter().position(|it| it.1.state == state)?;
        let Away(_, begun, to) = all.remove(at);
        Some((begun, to))
    }
}

/// `GET /sign-in/oidc?to=…`
pub(crate) async fn begin(State(face): State<Face>, request: Request) -> Result<Response, Failure> {
    let (parts, _) = request.into_parts();
    let issuer = face.issuer.as_ref().ok_or_else(Failure::not_found)?;
    let to = within(query(&parts.uri)?.text("to")).to_owned();
    let redirect = format!("{}/sign-in/oidc/callback", face.public_url);
    match issuer.begin(&redirect).await {
        Ok(begun) => {
            let mut response = Redirect::to(&begun.url).into_response();
            let secure = if face.is_secure { "; Secure" } else { "" };
            let value = format!(
                "{COOKIE}={}; Path=/sign-in; HttpOnly; SameSite=Lax; Max-Age=600{secure}",
                begun.state
            );
            set_cookie(&mut response, &value);
            face.elsewhere.put(begun, to);
            Ok(response)
        }
        Err(error) => {
            tracing::warn!(%error, "the issuer of OpenID Connect cannot be asked");
            let said = format!("{} cannot be asked just now: {error}.", issuer.name());
            Ok(refused(&face, &parts, said))
        }
    }
}

/// `GET /sign-in/oidc/callback?code=…&state=…`
pub(crate) async fn finish(
    State(face): State<Face>,
    request: Request,
) -> Result<Response, Failure> {
    let agent = agent(&request);
    let (parts, _) = request.into_parts();
    let issuer = face.issuer.as_ref().ok_or_else(Failure::not_found)?;
    let fields = query(&parts.uri)?;
    let state = fields.text("state");
    // Only the browser that went there comes back.
    let kept = cookie(&parts, COOKIE).unwrap_or_default();
    let is_same = !state.is_empty() && bool::from(kept.as_bytes().ct_eq(state.as_bytes()));
    let away = if is_same {
        face.elsewhere.take(state)
    } else {
        None
    };
    let Some((begun, to)) = away else {
        let said = "This was begun in another browser, or too long ago. Begin again.";
        return Ok(refused(&face, &parts, said.to_owned()));
    };
    if fields.is_on("error") {
        let why: String = fields.text("error").chars().take(100).collect();
        let said = format!("{} did not let you in: {why}.", issuer.name());
        return Ok(refused(&face, &parts, said));
    }
    let name = match issuer.finish(&begun, fields.text("code")).await {
        Ok(name) => name,
        Err(error) => {
            tracing::warn!(%error, "somebody could not be signed in by OpenID Connect");
            let said = format!("{} did not let you in: {}.", issuer.name(), capital(&error));
            return Ok(refused(&face, &parts, said));
        }
    };
    let signed = administrators::sign_in_elsewhere(&face.ctx, &name, &agent).await?;
    let Some(signed) = signed else {
        let said = format!(
            "{name} may not use these pages. An administrator can add somebody of this name on Account."
        );
        return Ok(refused(&face, &parts, said));
    };
    Ok(signed_in(&face, &signed, &to))
}
