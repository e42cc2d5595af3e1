//! Face 3: the pages. Unpacks a request, calls a use case, renders a template.

mod account;
mod application;
mod ask;
mod assets;
mod audit;
mod chart;
mod crowd;
mod demand;
mod details;
mod directory;
mod expression;
mod failure;
mod filters;
mod form;
mod gallery;
mod group;
mod home;
mod import;
mod logs;
mod mappings;
mod oidc;
mod person;
mod plan;
mod provisioning;
mod received;
mod schema;
mod service;
mod setup;
mod shell;
mod sign_in;
mod users;
mod webhooks;
mod who;
mod words;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use http::{Method, StatusCode};
use muster_app::Ctx;
use muster_app::administrators::Issuer;
use tokio::sync::{Notify, Semaphore};

use crate::failure::Failure;

/// What every page needs.
#[derive(Clone, Debug)]
pub(crate) struct Face {
    pub(crate) ctx: Ctx,
    pub(crate) public_url: String,
    /// Is it reached over TLS?
    pub(crate) is_secure: bool,
    /// Makes the worker look at its jobs at once.
    pub(crate) poke: Arc<Notify>,
    /// Whose turn it is to look at the whole directory.
    pub(crate) looks: Arc<Semaphore>,
    pub(crate) uploads: import::Uploads,
    /// Where people sign in, besides by a password.
    pub(crate) issuer: Option<Arc<dyn Issuer>>,
    pub(crate) elsewhere: oidc::Elsewhere,
}

/// The pages; `public_url` is the address under which others reach this server, and people also sign in at `issuer`.
pub fn router(
    ctx: Ctx,
    public_url: String,
    is_secure: bool,
    poke: Arc<Notify>,
    issuer: Option<Arc<dyn Issuer>>,
) -> Router {
    let face = Face {
        ctx,
        // Or a proxy before it is.
        is_secure: is_secure || public_url.starts_with("https://"),
        public_url,
        poke,
        looks: crowd::looks(),
        uploads: import::Uploads::default(),
        issuer,
        elsewhere: oidc::Elsewhere::default(),
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
        .route("/sign-in/oidc", get(oidc::begin))
        .route("/sign-in/oidc/callback", get(oidc::finish))
        .route("/sign-out", post(sign_in::leave))
        .route("/account", get(account::show))
        .route("/account/password", post(account::password))
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
            "/applications/{id}/mappings/{object}/scope",
            get(filters::show).post(filters::act),
        )
        .route(
            "/applications/{id}/mappings/{object}/expression",
            get(expression::show).post(expression::act),
        )
        .route(
            "/applications/{id}/schema",
            get(schema::show).post(schema::act),
        )
        .route("/applications/{id}/schema/export", get(schema::export))
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
        .route("/applications/{id}/logs/export", get(logs::export_of))
        .route("/logs", get(logs::all))
        .route("/logs/export", get(logs::export_all))
        .route("/service", get(service::list).post(service::create))
        .route("/service/new", get(service::new))
        .route("/service/{id}", get(service::show).post(service::act))
        .route(
            "/service/{id}/settings",
            get(service::settings).post(service::set_settings),
        )
        .route(
            "/service/{id}/webhooks",
            get(webhooks::show).post(webhooks::act),
        )
        .route("/service/{id}/events", get(received::events))
        .route("/service/{id}/{what}", get(received::list))
        .route("/service/{id}/{what}/{resource}", get(received::one))
        .route(
            "/directory/users",
            get(directory::users).post(directory::create_user),
        )
        .route(
            "/directory/deleted",
            get(directory::deleted).post(directory::act_deleted),
        )
        .route("/directory/import", get(import::show).post(import::act))
        .route(
            "/directory/users/{id}",
            get(person::show).post(person::change),
        )
        .route(
            "/directory/groups",
            get(directory::groups).post(directory::create_group),
        )
        .route(
            "/directory/groups/{id}",
            get(group::show).post(group::change),
        )
        .route("/audit", get(audit::show))
        .layer(middleware::from_fn(to_its_end))
        .with_state(face)
}

/// What changes something comes to its end, whether the browser waits for it or not.
async fn to_its_end(request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD) {
        return next.run(request).await;
    }
    tokio::spawn(next.run(request)).await.unwrap_or_else(|_| {
        let said =
            "This is a mistake of ours; it stands in the server's log. Look whether it was done.";
        let failure = Failure::Said(StatusCode::INTERNAL_SERVER_ERROR, said.to_owned());
        failure.into_response()
    })
}
