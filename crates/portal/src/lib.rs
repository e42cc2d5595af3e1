//! Face 3: the pages. So far those behind a setup link.

mod setup;

use axum::Router;
use axum::routing::get;
use muster_app::Ctx;

/// What every page needs.
#[derive(Clone, Debug)]
pub(crate) struct Face {
    pub(crate) ctx: Ctx,
    pub(crate) public_url: String,
}

/// The pages; `public_url` is the address under which others reach this server.
pub fn router(ctx: Ctx, public_url: String) -> Router {
    Router::new()
        .route("/setup/{code}", get(setup::show).post(setup::take))
        .with_state(Face { ctx, public_url })
}
