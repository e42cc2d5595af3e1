//! Stored documents: between their text and what is kept beside it.

use muster_model::integration::ResourceKind;
use muster_model::{ResourceId, Timestamp};
use muster_scim::member::MAX_ID;
use muster_scim::meta::entity_tag;
use muster_scim::{Map, ScimError};
use muster_store::resources::Resource;
use serde_json::{Value, json};

use crate::received::Profile;

/// Reads a stored document.
pub(super) fn parse(resource: &Resource) -> Result<Map, ScimError> {
    serde_json::from_str(&resource.doc)
        .map_err(|error| ScimError::internal(format!("a stored document is damaged: {error}")))
}

/// Makes a resource of a canonical document.
pub(super) fn build(
    profile: &Profile,
    kind: ResourceKind,
    id: ResourceId,
    document: &Map,
    now: Timestamp,
) -> Result<Resource, ScimError> {
    let mut resource = Resource {
        id,
        kind,
        name_key: String::new(),
        external_id: None,
        active: true,
        version: 1,
        created: now,
        modified: now,
        doc: String::new(),
    };
    fill(profile, &mut resource, document)?;
    Ok(resource)
}

/// A new version and time; the time always moves forward, be it by a millisecond.
pub(super) fn touch(resource: &mut Resource, now: Timestamp) {
    resource.version += 1;
    let least = Timestamp::from_micros(resource.modified.as_micros() + 1000);
    resource.modified = now.max(least);
}

/// Writes a changed document into its resource.
pub(super) fn fill(
    profile: &Profile,
    resource: &mut Resource,
    document: &Map,
) -> Result<(), ScimError> {
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    let key = [
        text("externalId"),
        profile.unique_name(resource.kind, document),
    ];
    // What is looked up by has a column of its own, which not every database lets hold it.
    if key.into_iter().flatten().any(|text| text.contains('\0')) {
        return Err(ScimError::invalid_value(
            "externalId and a unique name must not contain U+0000",
        ));
    }
    resource.name_key = profile.name_key(resource.kind, document, &resource.id.to_string());
    resource.external_id = text("externalId").map(str::to_owned);
    if resource
        .external_id
        .as_ref()
        .is_some_and(|id| id.len() > MAX_ID)
    {
        return Err(ScimError::invalid_value(format!(
            "externalId has {MAX_ID} bytes at most"
        )));
    }
    resource.active = document.get("active") != Some(&Value::Bool(false));
    resource.doc = serde_json::to_string(document)
        .map_err(|error| ScimError::internal(format!("a document cannot be printed: {error}")))?;
    Ok(())
}

/// The display name of a stored group.
pub(crate) fn display_name(doc: &str) -> String {
    serde_json::from_str::<Map>(doc)
        .ok()
        .and_then(|document| document.get("displayName")?.as_str().map(str::to_owned))
        .unwrap_or_default()
}

/// The document with what a filter or a sort key may ask for beside it.
pub(super) fn complete(profile: &Profile, resource: &Resource) -> Result<Map, ScimError> {
    let mut document = parse(resource)?;
    document.insert("id".to_owned(), json!(resource.id.to_string()));
    document.insert(
        "meta".to_owned(),
        json!({
            "resourceType": profile.of(resource.kind).name,
            "created": resource.created.to_string(),
            "lastModified": resource.modified.to_string(),
            "version": entity_tag(resource.version),
        }),
    );
    Ok(document)
}
