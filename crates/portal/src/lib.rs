//! Face 3: the pages. Unpacks a request, calls a use case, renders a template.

mod account;
mod application;
mod assets;
mod audit;
mod demand;
mod details;
mod directory;
mod failure;
mod form;
mod gallery;
mod home;
mod logs;
mod mappings;
mod plan;
mod provisioning;
mod service;
mod setup;
mod shell;
mod sign_in;
mod users;
mod who;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use muster_app::Ctx;
use tokio::sync::Notify;

/// What every page needs.
#[derive(Clone, Debug)]
pub(crate) struct Face {
    pub(crate) ctx: Ctx,
    pub(crate) public_url: String,
    /// Is it reached over TLS?
    pub(crate) is_secure: bool,
    /// Makes the worker look at its jobs at once.
    pub(crate) poke: Arc<Notify>,
}

/// The pages; `public_url` is the address under which others reach this server.
pub fn router(ctx: Ctx, public_url: String, is_secure: bool, poke: Arc<Notify>) -> Router {
    let face = Face {
        ctx,
        public_url,
        is_secure,
        poke,
    };
    Router::new()
        .route("/", get(home::show))
        .route("/assets/{version}/{name}", get(assets::get))
        .route("/setup/{code}", get(setup::show).post(setup::take))
        .route(
            "/welcome/{code}",
            get(sign_in::welcome).post(sign_in::begin),
        )
        .route("/sign-in", get(sign_in::show).post(sign_in::enter))
        .route("/sign-out", post(sign_in::leave))
        .route("/account", get(account::show))
        .route("/account/sessions", post(account::end_session))
        .route("/account/administrators", post(account::administrator))
        .route("/applications", get(application::list))
        .route("/applications/new", get(gallery::search))
        .route(
            "/applications/new/{template}",
            get(gallery::show).post(gallery::add),
        )
        .route(
            "/applications/{id}",
            get(application::show).post(application::change),
        )
        .route(
            "/applications/{id}/remove",
            get(application::ask).post(application::remove),
        )
        .route(
            "/applications/{id}/users",
            get(users::show).post(users::assign),
        )
        .route("/applications/{id}/users/remove", post(users::unassign))
        .route(
            "/applications/{id}/provisioning",
            get(provisioning::show).post(provisioning::save),
        )
        .route(
            "/applications/{id}/mappings/{object}",
            get(mappings::show).post(mappings::save),
        )
        .route(
            "/applications/{id}/details",
            get(details::show).post(details::act),
        )
        .route("/applications/{id}/details/stream", get(details::stream))
        .route(
            "/applications/{id}/demand",
            get(demand::show).post(demand::run),
        )
        .route("/applications/{id}/plan", get(plan::show).post(plan::act))
        .route("/applications/{id}/logs", get(logs::of_application))
        .route("/applications/{id}/logs/{event}", get(logs::event))
        .route("/logs", get(logs::all))
        .route("/service", get(service::list).post(service::create))
        .route("/service/new", get(service::new))
        .route("/service/{id}", get(service::show).post(service::act))
        .route(
            "/directory/users",
            get(directory::users).post(directory::create_user),
        )
        .route(
            "/directory/users/{id}",
            get(directory::user).post(directory::change_user),
        )
        .route("/directory/groups", get(directory::groups))
        .route(
            "/directory/groups/{id}",
            get(directory::group).post(directory::change_group),
        )
        .route("/audit", get(audit::show))
        .with_state(face)
}
