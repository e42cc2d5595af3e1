//! A resource in wire form: the stored text with what is kept beside it.

use std::fmt::Write as _;

use jiff::Timestamp;
use muster_app::received::{Profile, Shown, member_type};
use muster_model::integration::ResourceKind;
use muster_scim::meta::entity_tag;
use muster_scim::{Map, Meta, Projection, ScimError, meta};

/// Renders resources of one kind for one request.
pub(crate) struct Renderer<'a> {
    base: &'a str,
    profile: &'a Profile,
    kind: ResourceKind,
    projection: &'a Projection<'a>,
}

impl<'a> Renderer<'a> {
    pub(crate) const fn new(
        base: &'a str,
        profile: &'a Profile,
        kind: ResourceKind,
        projection: &'a Projection<'a>,
    ) -> Self {
        Self {
            base,
            profile,
            kind,
            projection,
        }
    }

    /// Where a resource is found.
    pub(crate) fn location(&self, shown: &Shown) -> String {
        place(
            self.base,
            self.profile,
            self.kind,
            &shown.resource.id.to_string(),
        )
    }

    /// A resource; it is parsed only when attributes were chosen.
    pub(crate) fn resource(&self, shown: &Shown) -> Result<String, ScimError> {
        let id = shown.resource.id.to_string();
        let location = place(self.base, self.profile, self.kind, &id);
        let version = entity_tag(shown.resource.version);
        let meta = Meta {
            resource_type: &self.profile.of(self.kind).name,
            created: instant(shown.resource.created),
            last_modified: instant(shown.resource.modified),
            location: &location,
            version: Some(&version),
        };
        let (members, groups) = (self.members(shown), self.groups(shown));
        let mut extra: Vec<(&str, &str)> = Vec::new();
        if let Some(members) = &members {
            extra.push(("members", members));
        }
        if let Some(groups) = &groups {
            extra.push(("groups", groups));
        }
        let text = meta::render(&shown.resource.doc, &id, &meta, &extra);
        // Members and groups are looked up only when shown, so leaving out one of them needs no
        // parsing either.
        if self.projection.is_everything() {
            return Ok(text);
        }
        let mut document: Map = serde_json::from_str(&text)
            .map_err(|error| ScimError::internal(format!("a document is damaged: {error}")))?;
        self.projection.apply(&mut document);
        serde_json::to_string(&document)
            .map_err(|error| ScimError::internal(format!("a document cannot be printed: {error}")))
    }

    fn members(&self, shown: &Shown) -> Option<String> {
        let members = shown
            .members
            .as_ref()
            .filter(|members| !members.is_empty())?;
        let mut text = String::with_capacity(members.len() * 160);
        for member in members {
            let separator = if text.is_empty() { '[' } else { ',' };
            let value = quoted(&member.value);
            let address = quoted(&place(self.base, self.profile, member.kind, &member.value));
            let of = member_type(member.kind);
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                r#"{separator}{{"value":{value},"$ref":{address},"type":"{of}""#
            );
            if let Some(display) = &member.display {
                let _ = write!(text, r#","display":{}"#, quoted(display));
            }
            text.push('}');
        }
        text.push(']');
        Some(text)
    }

    fn groups(&self, shown: &Shown) -> Option<String> {
        if shown.groups.is_empty() {
            return None;
        }
        let mut text = String::new();
        for (id, name) in &shown.groups {
            let separator = if text.is_empty() { '[' } else { ',' };
            let id = id.to_string();
            let address = quoted(&place(self.base, self.profile, ResourceKind::GROUP, &id));
            let _ = write!(
                text,
                r#"{separator}{{"value":"{id}","$ref":{address},"display":{},"type":"direct"}}"#,
                quoted(name)
            );
        }
        text.push(']');
        Some(text)
    }
}

/// The address of a resource.
pub(crate) fn place(base: &str, profile: &Profile, kind: ResourceKind, id: &str) -> String {
    [base, &profile.of(kind).endpoint, "/", id].concat()
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// A time of the model in the library that the language uses.
fn instant(at: muster_model::Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_micros()).unwrap_or_default()
}
