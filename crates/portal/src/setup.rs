//! The page behind a setup link: it says what the sender needs, and gives the token once.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use muster_app::integrations::{self, Setup};

use crate::Face;

#[derive(Template)]
#[template(path = "setup.html")]
struct Page {
    title: &'static str,
    state: Link,
}

/// What a link has become.
enum Link {
    Open(Setup),
    Taken {
        integration: String,
        url: String,
        token: String,
    },
    Gone,
}

/// `GET /setup/{code}`: nothing is given away yet, so that a preview of the link does no harm.
pub(crate) async fn show(State(face): State<Face>, Path(code): Path<String>) -> Response {
    match integrations::open_setup(&face.ctx, &code).await {
        Ok(Some(setup)) => page(
            StatusCode::OK,
            Page {
                title: "Set up provisioning",
                state: Link::Open(setup),
            },
        ),
        Ok(None) => gone(),
        Err(error) => failed(&error),
    }
}

/// `POST /setup/{code}`: the link is used up.
pub(crate) async fn take(State(face): State<Face>, Path(code): Path<String>) -> Response {
    match integrations::take_setup(&face.ctx, &code).await {
        Ok(Some(issued)) => {
            let path = integrations::scim_path(issued.integration.id);
            let state = Link::Taken {
                integration: issued.integration.name,
                url: format!("{}{path}", face.public_url),
                token: issued.token.expose().clone(),
            };
            let title = "SCIM URL and token";
            page(StatusCode::OK, Page { title, state })
        }
        Ok(None) => gone(),
        Err(error) => failed(&error),
    }
}

fn gone() -> Response {
    let page_of = Page {
        title: "This link cannot be used",
        state: Link::Gone,
    };
    page(StatusCode::GONE, page_of)
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(error = %error, "a setup link could not be followed");
    StatusCode::SERVICE_UNAVAILABLE.into_response()
}

/// A page that nobody keeps, frames, or learns the address of.
fn page(status: StatusCode, page: Page) -> Response {
    let Ok(text) = page.render() else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = (status, Html(text)).into_response();
    let headers = [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (
            HeaderName::from_static("content-security-policy"),
            "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'",
        ),
    ];
    for (name, value) in headers {
        let value = HeaderValue::from_static(value);
        response.headers_mut().insert(name, value);
    }
    response
}
