//! What is shown when something was not done.

use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderValue, StatusCode};
use muster_app::AppError;

use crate::shell;

/// Why there is no page.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Somebody must go elsewhere first.
    Elsewhere(String),
    /// The same, for a part of a page: all of it goes there.
    Away(String),
    /// A status, and what to do.
    Said(StatusCode, String),
}

impl Failure {
    pub(crate) fn not_found() -> Self {
        Self::Said(
            StatusCode::NOT_FOUND,
            "There is nothing here. It may have been removed.".to_owned(),
        )
    }

    pub(crate) fn forbidden(what: &str) -> Self {
        Self::Said(StatusCode::FORBIDDEN, what.to_owned())
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        let status = match &error {
            AppError::NotFound(_) => StatusCode::NOT_FOUND,
            error if error.is_ours() => {
                tracing::error!(error = %error, "a page could not be shown");
                let said = "The database does not answer. Try again in a moment.";
                return Self::Said(StatusCode::SERVICE_UNAVAILABLE, said.to_owned());
            }
            error if error.is_busy() => StatusCode::SERVICE_UNAVAILABLE,
            error if error.is_outdated() => StatusCode::CONFLICT,
            _ => StatusCode::BAD_REQUEST,
        };
        Self::Said(status, on_pages(&capital(&error.to_string())))
    }
}

/// Without the commands that a message names: who reads it has a page before them.
pub(crate) fn on_pages(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    // `(muster job held)` goes, and so does `; see: muster app list` to its end.
    while let Some(at) = rest.find("(muster ") {
        let Some(end) = rest[at..].find(')') else {
            break;
        };
        kept += rest[..at].trim_end();
        rest = &rest[at + end + 1..];
    }
    kept += rest;
    let cut = kept
        .find("; see")
        .filter(|at| kept[*at..].contains("muster "));
    if let Some(at) = cut {
        kept.truncate(at);
    }
    kept
}

/// A sentence.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next();
    first.map_or_else(String::new, |first| {
        format!("{}{}", first.to_uppercase(), letters.as_str())
    })
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Elsewhere(to) => Redirect::to(&to).into_response(),
            Self::Away(to) => {
                let mut response = StatusCode::NO_CONTENT.into_response();
                if let Ok(to) = HeaderValue::from_str(&to) {
                    response.headers_mut().insert("hx-redirect", to);
                }
                response
            }
            Self::Said(status, message) => shell::failed(status, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::on_pages;

    #[test]
    fn commands_stay_out_of_pages() {
        for (said, shown) in [
            ("There is no a; see: muster app list", "There is no a"),
            (
                "No version 3; see which there are with: muster schema history",
                "No version 3",
            ),
            (
                "Look at them (muster job held), then let them go (muster job allow), or wait",
                "Look at them, then let them go, or wait",
            ),
            ("It is as it is; see below", "It is as it is; see below"),
            ("(muster", "(muster"),
        ] {
            assert_eq!(on_pages(said), shown);
        }
    }
}
