//! Which resource a path names. One table, so that a wrong method or path gets a SCIM answer too.

use muster_app::received::Profile;
use muster_model::IntegrationId;
use muster_model::integration::ResourceKind;

/// What stands behind `/scim/{integration}/v2`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route<'a> {
    /// The base itself: all types at once.
    Everything,
    /// `/.search`, over all types
    SearchEverything,
    /// `/Bulk`
    Bulk,
    /// `/Users`, `/Groups`
    Collection(ResourceKind),
    /// `/Users/{id}`, `/Groups/{id}`
    Resource(ResourceKind, &'a str),
    /// `/Users/.search`, `/Groups/.search`
    Search(ResourceKind),
    /// `/Groups/{id}/members`: for the receiving application
    Members(&'a str),
    /// `/Users/{id}/state`, and that of other types: for the receiving application
    State(ResourceKind, &'a str),
    /// `/Events`: for the receiving application
    Events,
    /// `/ServiceProviderConfig`
    Config,
    /// `/ResourceTypes` and one of them
    ResourceTypes(Option<&'a str>),
    /// `/Schemas` and one of them
    Schemas(Option<&'a str>),
    /// `/Me`: a token stands for an integration, not for a person.
    Me,
    /// Anything else.
    Unknown,
}

/// Splits a path into the integration and what is behind it; `None` when it is no SCIM path.
pub(crate) fn split(path: &str) -> Option<(IntegrationId, &str)> {
    let rest = path.strip_prefix("/scim/")?;
    let (id, rest) = rest.split_once('/').unwrap_or((rest, ""));
    let rest = rest
        .strip_prefix("v2")
        .filter(|rest| rest.is_empty() || rest.starts_with('/'))?;
    Some((id.parse().ok()?, rest))
}

impl<'a> Route<'a> {
    /// Reads the part behind the version; a slash at its end changes nothing.
    pub(crate) fn parse(rest: &'a str, profile: &Profile) -> Self {
        let mut parts = rest.trim_end_matches('/').split('/').skip(1);
        let (first, second, third) = (parts.next(), parts.next(), parts.next());
        let kind = first.and_then(|first| profile.kind_at(first));
        match (first, kind, second, third) {
            (_, Some(kind), None, _) => Self::Collection(kind),
            (_, Some(kind), Some(".search"), None) => Self::Search(kind),
            (_, Some(kind), Some(id), None) => Self::Resource(kind, id),
            (_, Some(ResourceKind::GROUP), Some(id), Some("members")) => Self::Members(id),
            (_, Some(kind), Some(id), Some("state")) => Self::State(kind, id),
            (Some("Events"), _, None, _) => Self::Events,
            (Some("ServiceProviderConfig"), _, None, _) => Self::Config,
            (Some("ResourceTypes"), _, name, None) => Self::ResourceTypes(name),
            (Some("Schemas"), _, urn, None) => Self::Schemas(urn),
            (Some("Me"), _, _, _) => Self::Me,
            (Some("Bulk"), _, None, _) => Self::Bulk,
            (Some(".search"), _, None, _) => Self::SearchEverything,
            (None, ..) => Self::Everything,
            _ => Self::Unknown,
        }
    }

    /// The methods that it takes.
    pub(crate) const fn methods(&self) -> &'static str {
        match self {
            Self::Collection(_) => "GET, HEAD, POST, OPTIONS",
            Self::Resource(..) => "GET, HEAD, PUT, PATCH, DELETE, OPTIONS",
            Self::Search(_) | Self::SearchEverything | Self::Bulk => "POST, OPTIONS",
            Self::Everything
            | Self::Members(_)
            | Self::State(..)
            | Self::Events
            | Self::Config
            | Self::ResourceTypes(_)
            | Self::Schemas(_) => "GET, HEAD, OPTIONS",
            Self::Me | Self::Unknown => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(rest: &str, expected: &Route<'_>) {
        assert_eq!(
            Route::parse(rest, &Profile::standard()),
            *expected,
            "{rest}"
        );
    }

    #[test]
    fn paths_are_told_apart_with_and_without_a_slash_at_the_end() {
        check("/Users", &Route::Collection(ResourceKind::USER));
        check("/Groups/", &Route::Collection(ResourceKind::GROUP));
        check("/Users/7", &Route::Resource(ResourceKind::USER, "7"));
        check("/Users/.search", &Route::Search(ResourceKind::USER));
        check("/.search", &Route::SearchEverything);
        check("/Bulk/", &Route::Bulk);
        check("/Bulk/7", &Route::Unknown);
        check("/Groups/7/members", &Route::Members("7"));
        check("/Users/7/state/", &Route::State(ResourceKind::USER, "7"));
        check("/Events", &Route::Events);
        check("/Me", &Route::Me);
        check("/Me/groups", &Route::Me);
        check("/Schemas/urn:x", &Route::Schemas(Some("urn:x")));
        check("/Users/7/groups", &Route::Unknown);
        check("/users", &Route::Unknown);
        check("", &Route::Everything);
        check("/", &Route::Everything);
    }

    #[test]
    fn the_integration_is_part_of_the_path() {
        let id = IntegrationId::new();
        assert_eq!(split(&format!("/scim/{id}/v2/Users")), Some((id, "/Users")));
        assert_eq!(split(&format!("/scim/{id}/v2")), Some((id, "")));
        assert_eq!(split(&format!("/scim/{id}/v3/Users")), None);
        assert_eq!(split("/scim/x/v2/Users"), None);
    }
}
