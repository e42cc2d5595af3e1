//! Face 2: the control API in the shapes of Microsoft Graph. Unpacks a request, calls a use case, renders the answer.

mod answer;
mod applications;
mod assignments;
mod batch;
mod deleted;
mod delta;
mod demand;
mod directory;
mod filter;
mod groups;
mod ids;
mod logs;
mod members;
mod muster;
mod openapi;
mod page;
mod query;
mod request;
mod route;
mod routes;
mod rows;
mod schema;
mod search;
mod secrets;
mod shape;
mod synchronization;
mod templates;
mod users;

use std::sync::Arc;

use axum::Router;
use axum::routing::any;
use muster_app::Ctx;
use tokio::sync::Notify;

/// What every request needs.
#[derive(Clone, Debug)]
pub(crate) struct Face {
    pub(crate) ctx: Ctx,
    /// The address under which others reach this server, when somebody has said so.
    pub(crate) public_url: Option<String>,
    /// Is it reached over TLS?
    pub(crate) is_secure: bool,
    /// Makes the worker look at its jobs at once.
    pub(crate) poke: Arc<Notify>,
}

/// The routes below `/v1.0` and `/beta`, which is the same (1.1).
pub fn router(ctx: Ctx, public_url: Option<String>, is_secure: bool, poke: Arc<Notify>) -> Router {
    let face = Face {
        ctx,
        public_url,
        is_secure,
        poke,
    };
    Router::new()
        .route("/v1.0", any(request::answer))
        .route("/v1.0/{*path}", any(request::answer))
        .route("/beta", any(request::answer))
        .route("/beta/{*path}", any(request::answer))
        .with_state(face)
}
