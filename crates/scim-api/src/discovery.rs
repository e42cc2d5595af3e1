//! What this server can do: the three discovery documents.

use muster_app::received::{MAX_PAGE, Profile};
use muster_scim::bulk::MAX_OPERATIONS;
use muster_scim::discovery::{
    BulkLimits, resource_type, resource_types, schema, schemas, service_provider_config,
};
use muster_scim::{Capabilities, ScimError};
use muster_web::LARGEST_BODY;

use crate::answer::Answer;
use crate::route::Route;

/// Answers one of the discovery endpoints; a filter is refused (profile section 11).
pub(crate) fn answer(
    route: &Route<'_>,
    profile: &Profile,
    base: &str,
    query: &str,
) -> Result<Answer, ScimError> {
    let filtered = query.split('&').any(|pair| {
        pair.split('=')
            .next()
            .is_some_and(|name| name.eq_ignore_ascii_case("filter"))
    });
    if filtered {
        return Err(ScimError::forbidden("discovery documents are not filtered"));
    }
    let all = profile.schemas();
    let document = match route {
        Route::Config => service_provider_config(base, &capabilities(profile)),
        Route::ResourceTypes(None) => resource_types(base, all),
        Route::ResourceTypes(Some(name)) => all
            .resource_type(name)
            .map(|kind| resource_type(base, kind))
            .ok_or_else(|| ScimError::not_found("there is no such resource type"))?,
        Route::Schemas(None) => schemas(base, all),
        Route::Schemas(Some(urn)) => all
            .schema(urn)
            .map(|one| schema(base, one))
            .ok_or_else(|| ScimError::not_found("there is no such schema"))?,
        _ => return Err(ScimError::not_found("there is no such endpoint")),
    };
    Ok(Answer::Json(document.to_string()))
}

fn capabilities(profile: &Profile) -> Capabilities {
    let own = profile.max_body().unwrap_or(u64::MAX);
    Capabilities {
        bulk: Some(BulkLimits {
            max_operations: MAX_OPERATIONS as u64,
            max_payload_size: own.min(LARGEST_BODY as u64),
        }),
        sort: true,
        etag: true,
        change_password: false,
        max_results: MAX_PAGE,
        cursor_paging: true,
        documentation_uri: None,
    }
}
