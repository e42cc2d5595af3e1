//! What stands around every page, and the headers with which it goes out.

use askama::Template;
use axum::response::{Html, IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};

use crate::who::{Who, cookie};

/// What may be loaded, and from where: this server alone, nothing within the page itself.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; \
                      font-src 'self'; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; \
                      base-uri 'none'";

/// What stands around a page.
#[derive(Clone, Debug)]
pub(crate) struct Shell {
    pub(crate) title: String,
    /// Which entry of the navigation it belongs to.
    pub(crate) section: &'static str,
    /// Who is signed in, and what they may do.
    pub(crate) who: Option<(String, &'static str)>,
    pub(crate) csrf: String,
    /// `light` or `dark`.
    pub(crate) scheme: &'static str,
    /// Was that chosen, or is it the system's?
    pub(crate) is_chosen: bool,
    /// What was done before this page.
    pub(crate) done: Option<&'static str>,
}

impl Shell {
    pub(crate) fn new(title: impl Into<String>, section: &'static str, who: &Who) -> Self {
        Self {
            title: title.into(),
            section,
            who: Some((
                who.administrator.name.clone(),
                who.administrator.role.as_str(),
            )),
            csrf: who.session.csrf.clone(),
            scheme: who.scheme.0,
            is_chosen: who.scheme.1,
            done: who.done,
        }
    }

    /// For who is not signed in.
    pub(crate) fn outside(title: impl Into<String>, scheme: (&'static str, bool)) -> Self {
        Self {
            title: title.into(),
            section: "",
            who: None,
            csrf: String::new(),
            scheme: scheme.0,
            is_chosen: scheme.1,
            done: None,
        }
    }

    pub(crate) fn is_in(&self, section: &str) -> bool {
        self.section == section
    }
}

/// What was done, by the word in the address after it.
pub(crate) fn done(parts: &Parts) -> Option<&'static str> {
    let query = parts.uri.query()?;
    let word = query
        .split('&')
        .find_map(|part| part.strip_prefix("done="))?;
    let known = [
        ("saved", "Saved."),
        (
            "added",
            "The application was added. Next: assign users and groups, then set up provisioning.",
        ),
        ("removed", "Removed."),
        ("assigned", "Assigned."),
        ("unassigned", "The assignment was removed."),
        ("started", "Provisioning is on."),
        ("paused", "Provisioning is off."),
        ("restarted", "Everything will be looked at again."),
        ("applied", "The plan was applied."),
        (
            "refused",
            "The plan is refused: nobody can apply it. While provisioning is on, the next cycle does what is due.",
        ),
        ("allowed", "The next cycle does what was held back."),
        ("created", "Created."),
        ("deleted", "Deleted. It can be restored for 30 days."),
        ("restored", "Restored, with memberships and assignments."),
        ("purged", "Removed for good."),
        (
            "password",
            "The password is changed. Your other sessions have ended.",
        ),
        ("ended", "The session has ended."),
        ("revoked", "All tokens are revoked."),
    ];
    known
        .iter()
        .find(|(it, _)| *it == word)
        .map(|(_, said)| *said)
}

/// The colours that somebody has chosen, or that their system prefers, as far as it says so.
pub(crate) fn scheme(parts: &Parts) -> (&'static str, bool) {
    match cookie(parts, "muster_theme").as_deref() {
        Some("dark") => return ("dark", true),
        Some("light") => return ("light", true),
        _ => {}
    }
    let prefers = parts.headers.get("sec-ch-prefers-color-scheme");
    let is_dark =
        prefers.is_some_and(|value| value.as_bytes() == b"dark" || value.as_bytes() == b"\"dark\"");
    (if is_dark { "dark" } else { "light" }, false)
}

#[derive(Template)]
#[template(path = "failure.html")]
struct Failed {
    shell: Shell,
    message: String,
}

/// A page that says what was not done.
pub(crate) fn failed(status: StatusCode, message: String) -> Response {
    let title = match status {
        StatusCode::NOT_FOUND => "Nothing here",
        StatusCode::FORBIDDEN => "Not allowed",
        StatusCode::SERVICE_UNAVAILABLE => "Not now",
        _ => "That did not work",
    };
    let shell = Shell::outside(title, ("light", false));
    let mut response = page(&Failed { shell, message });
    *response.status_mut() = status;
    response
}

/// A page that nobody keeps, frames, or learns the address of.
pub(crate) fn page(template: &impl Template) -> Response {
    let Ok(text) = template.render() else {
        tracing::error!("a page could not be rendered");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut response = Html(text).into_response();
    protect(&mut response);
    response
}

/// A page that is shown again, with what was wrong in its form.
pub(crate) fn refused_page(template: &impl Template) -> Response {
    let mut response = page(template);
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

/// The headers of every page.
pub(crate) fn protect(response: &mut Response) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("content-security-policy"), POLICY),
        (
            HeaderName::from_static("cross-origin-opener-policy"),
            "same-origin",
        ),
        (
            HeaderName::from_static("accept-ch"),
            "Sec-CH-Prefers-Color-Scheme",
        ),
        (
            HeaderName::from_static("critical-ch"),
            "Sec-CH-Prefers-Color-Scheme",
        ),
        (
            header::VARY,
            "Sec-CH-Prefers-Color-Scheme, Cookie, HX-Request",
        ),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
}
