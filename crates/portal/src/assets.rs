//! Stylesheets and scripts, from this server alone.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

/// One of them, compressed with gzip, which every browser takes.
pub(crate) struct Asset {
    name: &'static str,
    path: &'static str,
    kind: &'static str,
    packed: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// Where the pages find one; its address changes with what it is.
pub(crate) fn path(name: &str) -> &'static str {
    ALL.iter()
        .find(|asset| asset.name == name)
        .map_or("", |asset| asset.path)
}

/// `GET /assets/{version}/{name}`
pub(crate) async fn get(Path((version, name)): Path<(String, String)>) -> Response {
    let wanted = format!("/assets/{version}/{name}");
    let Some(asset) = ALL.iter().find(|asset| asset.path == wanted) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let mut response = asset.packed.into_response();
    for (name, value) in [
        (header::CONTENT_TYPE, asset.kind),
        (header::CONTENT_ENCODING, "gzip"),
        (header::CACHE_CONTROL, "public, max-age=31536000, immutable"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
