//! Face 1: the SCIM service provider. Unpacks a request, asks the provider, renders the answer.

mod answer;
mod conditions;
mod discovery;
mod oauth;
mod reader;
mod render;
mod request;
mod route;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use muster_app::received::Provider;

/// What every request needs.
#[derive(Clone, Debug)]
pub(crate) struct Face {
    pub(crate) provider: Provider,
    pub(crate) public_url: Arc<str>,
}

/// The routes below `/scim` and `/oauth`; `public_url` is the address under which senders reach this server.
pub fn router(provider: Provider, public_url: String) -> Router {
    let face = Face {
        provider,
        public_url: public_url.into(),
    };
    Router::new()
        .route("/oauth/{integration}/token", post(oauth::token))
        .fallback(request::answer)
        .with_state(face)
}

/// Shorthand of the handlers.
pub(crate) type Here = State<Face>;
