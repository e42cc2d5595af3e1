//! `If-Match` and `If-None-Match` (profile section 8).

use http::{HeaderMap, HeaderName, header};
use muster_app::received::Precondition;
use muster_scim::meta::tagged_version;

/// The versions that `If-Match` names; `*` names any.
pub(crate) fn precondition(headers: &HeaderMap) -> Precondition {
    match tags(headers, &header::IF_MATCH) {
        Some(tags) if !tags.contains(&"*") => {
            Precondition::Versions(tags.into_iter().filter_map(tagged_version).collect())
        }
        Some(_) | None => Precondition::None,
    }
}

/// Has the caller this version already?
pub(crate) fn unchanged(headers: &HeaderMap, current: i64) -> bool {
    tags(headers, &header::IF_NONE_MATCH).is_some_and(|tags| {
        tags.iter()
            .any(|tag| *tag == "*" || tagged_version(tag) == Some(current))
    })
}

fn tags<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<Vec<&'h str>> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(
        value
            .split(',')
            .map(str::trim)
            .filter(|tag| !tag.is_empty())
            .take(100)
            .collect(),
    )
}
