//! Who asks: the session behind the cookie.

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{Method, header};
use muster_app::{Ctx, administrators};
use muster_model::administrator::{Administrator, Role, Session};

use crate::Face;
use crate::failure::Failure;
use crate::shell;

/// The cookie of a session.
pub(crate) const COOKIE: &str = "muster_session";

/// Somebody who is signed in, and asks for a page.
#[derive(Clone, Debug)]
pub(crate) struct Who {
    pub(crate) administrator: Administrator,
    pub(crate) session: Session,
    /// With their name as who acts.
    pub(crate) ctx: Ctx,
    pub(crate) scheme: (&'static str, bool),
    pub(crate) done: Option<&'static str>,
}

impl Who {
    /// Refuses who may not do as much.
    pub(crate) fn needs(&self, role: Role) -> Result<(), Failure> {
        if self.administrator.role >= role {
            return Ok(());
        }
        Err(Failure::forbidden(&format!(
            "You are signed in as {}, a {}; this takes an {role}. Ask an administrator.",
            self.administrator.name, self.administrator.role
        )))
    }

    pub(crate) fn may(&self, role: Role) -> bool {
        self.administrator.role >= role
    }
}

impl FromRequestParts<Face> for Who {
    type Rejection = Failure;

    async fn from_request_parts(parts: &mut Parts, face: &Face) -> Result<Self, Failure> {
        let token = cookie(parts, COOKIE).unwrap_or_default();
        let found = if parts.uri.path().ends_with("/stream") {
            administrators::unused_session(&face.ctx, &token).await?
        } else {
            administrators::session(&face.ctx, &token).await?
        };
        let Some((administrator, session)) = found else {
            if parts.headers.contains_key("hx-request") {
                return Err(Failure::Away("/sign-in".to_owned()));
            }
            let to = if parts.method == Method::GET && parts.uri.path() != "/" {
                let path = parts.uri.path_and_query().map_or("/", |it| it.as_str());
                let path =
                    percent_encoding::utf8_percent_encode(path, percent_encoding::NON_ALPHANUMERIC);
                format!("/sign-in?to={path}")
            } else {
                "/sign-in".to_owned()
            };
            return Err(Failure::Elsewhere(to));
        };
        let ctx = Ctx {
            actor: administrator.name.clone(),
            ..face.ctx.clone()
        };
        Ok(Self {
            administrator,
            session,
            ctx,
            scheme: shell::scheme(parts),
            done: shell::done(parts),
        })
    }
}

/// A cookie of the request.
pub(crate) fn cookie(parts: &Parts, name: &str) -> Option<String> {
    let all = parts.headers.get_all(header::COOKIE).iter();
    let mut pairs = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(it, _)| *it == name)
        .map(|(_, value)| value.to_owned())
}
