//! Members of groups, which are kept apart from the group's document, and what a request does to them (RFC 7643 section 4.2).

use std::collections::HashSet;

use serde_json::{Value, json};

use crate::Map;
use crate::error::ScimError;
use crate::filter::Filter;
use crate::schema::ResourceType;
use crate::text::find_member;

/// The most members that one list in a request may hold.
pub const MAX_MEMBERS: usize = 200_000;

/// The most bytes of a member's value: more fits no index.
pub const MAX_ID: usize = 1024;

/// One member as a client names it; `$ref` is not kept, because the provider computes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Id of the user or group.
    pub value: String,
    /// What the client said it is, as sent: `User` or `Group` as a rule.
    pub ref_type: Option<String>,
    /// The name that the client gave.
    pub display: Option<String>,
}

/// One change of a group's members; a request holds them in order.
#[derive(Debug, Clone, PartialEq)]
pub enum MemberChange {
    /// Add those that are not members yet.
    Add(Vec<Member>),
    /// Remove these ids; one that is no member is no error.
    Remove(Vec<String>),
    /// Remove all.
    RemoveAll,
    /// Exactly these, none when empty.
    ReplaceAll(Vec<Member>),
    /// Remove those that meet a filter on their sub-attributes; see [`Member::meets`].
    RemoveMatching(Filter),
}

impl Member {
    /// A member of which only the id is known.
    pub fn new(value: impl Into<String>) -> Self {
        Self {
            value: value.into(),
            ref_type: None,
            display: None,
        }
    }

    /// The element of `members` for a document, with the address when the provider knows it.
    pub fn to_json(&self, location: Option<&str>) -> Value {
        let mut element = json!({"value": self.value});
        let parts = [
            ("$ref", location),
            ("type", self.ref_type.as_deref()),
            ("display", self.display.as_deref()),
        ];
        for (name, part) in parts {
            if let Some(part) = part {
                element[name] = Value::from(part);
            }
        }
        element
    }

    /// Whether the member meets a filter such as `type eq "Group"`.
    pub fn meets(&self, filter: &Filter, kind: &ResourceType) -> Result<bool, ScimError> {
        let Some(attribute) = kind.attribute("members") else {
            return Ok(false);
        };
        let scope = crate::filter::Scope::Element(&attribute.sub_attributes);
        let matcher = crate::filter::Matcher::compile(filter, &scope)?;
        match self.to_json(None) {
            Value::Object(element) => Ok(matcher.matches(&element)),
            _ => Ok(false),
        }
    }
}

/// Reads members from whatever clients send: a list or one of objects or plain ids (profile sections 12.5 and 14).
///
/// An id that is repeated is kept once. `null` is an empty list.
pub fn parse_members(value: &Value) -> Result<Vec<Member>, ScimError> {
    let items = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(items) => items.as_slice(),
        single => std::slice::from_ref(single),
    };
    if items.len() > MAX_MEMBERS {
        return Err(ScimError::too_large(format!(
            "a request may name {MAX_MEMBERS} members at most"
        )));
    }
    let mut seen = HashSet::with_capacity(items.len());
    let mut members = Vec::with_capacity(items.len());
    for item in items.iter().filter(|item| !item.is_null()) {
        let member = parse_member(item)?;
        if seen.insert(member_id(item)) {
            members.push(member);
        }
    }
    Ok(members)
}

fn member_id(item: &Value) -> Option<&str> {
    match item {
        Value::String(id) => Some(id),
        Value::Object(map) => find_member(map, "value")?.as_str(),
        _ => None,
    }
}

/// Refuses what cannot be the id of a member.
pub(crate) fn check_id(id: &str) -> Result<(), ScimError> {
    if id.is_empty() {
        return Err(ScimError::invalid_value(
            "each member needs a value, the id of a user or group",
        ));
    }
    if id.len() > MAX_ID || id.contains('\0') {
        return Err(ScimError::invalid_value(format!(
            "the value of a member has {MAX_ID} bytes at most, and no U+0000"
        )));
    }
    Ok(())
}

fn parse_member(item: &Value) -> Result<Member, ScimError> {
    let id = member_id(item).unwrap_or_default();
    check_id(id)?;
    let part = |name| match item {
        Value::Object(map) => text_part(map, name),
        _ => Ok(None),
    };
    Ok(Member {
        value: id.to_owned(),
        ref_type: part("type")?,
        display: part("display")?,
    })
}

fn text_part(map: &Map, name: &str) -> Result<Option<String>, ScimError> {
    match find_member(map, name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if !text.contains('\0') => Ok(Some(text.clone())),
        Some(_) => Err(ScimError::invalid_value(format!(
            "members.{name} must be text without U+0000"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::group;

    #[track_caller]
    fn check(value: Value, want: &[&str]) {
        let members = parse_members(&value).unwrap();
        assert_eq!(
            members
                .iter()
                .map(|member| member.value.as_str())
                .collect::<Vec<_>>(),
            want
        );
    }

    // Profile sections 12.3, 12.5 and 14.
    #[test]
    fn members_are_read_in_every_form() {
        check(json!([{"value": "u1"}, {"value": "u2"}]), &["u1", "u2"]);
        check(json!({"value": "u1"}), &["u1"]);
        check(json!(["u1", "u2"]), &["u1", "u2"]);
        check(json!("u1"), &["u1"]);
        check(json!([{"$ref": null, "value": "u1"}]), &["u1"]);
        check(json!([{"Value": "u1", "displayName": "x"}]), &["u1"]);
        check(json!(null), &[]);
        check(json!([]), &[]);
        check(json!([null, "u1", {"value": "u1"}]), &["u1"]);
    }

    #[test]
    fn type_and_display_are_kept_as_sent() {
        let members =
            parse_members(&json!({"value": "g", "type": "group", "display": "G"})).unwrap();
        assert_eq!(
            members[0].to_json(None),
            json!({"value": "g", "type": "group", "display": "G"})
        );
        assert_eq!(
            Member::new("u").to_json(Some("https://x/Users/u")),
            json!({"value": "u", "$ref": "https://x/Users/u"})
        );
    }

    #[test]
    fn members_without_an_id_are_refused() {
        for value in [
            json!([{}]),
            json!([{"value": null}]),
            json!([{"value": ""}]),
            json!([5]),
            json!([[]]),
            json!([{"value": "u", "display": 5}]),
        ] {
            let error = parse_members(&value).unwrap_err();
            assert_eq!(
                error.scim_type,
                Some(crate::ScimType::InvalidValue),
                "{value}"
            );
        }
    }

    #[test]
    fn a_member_can_be_asked_whether_it_meets_a_filter() {
        let member = Member {
            ref_type: Some("User".into()),
            ..Member::new("u1")
        };
        for (filter, want) in [
            (r#"value eq "u1""#, true),
            (r#"type eq "user" and value sw "u""#, true),
            (r#"type eq "Group""#, false),
            (r#"not (value eq "u1")"#, false),
        ] {
            let filter = Filter::parse(filter).unwrap();
            assert_eq!(member.meets(&filter, group()), Ok(want), "{filter}");
        }
    }
}
