//! Joining a stored document with its `id` and `meta` as text, without reading it (RFC 7643 section 3.1).

use std::fmt::Write as _;

use jiff::Timestamp;

use crate::time;

/// The facts about a resource that the server keeps beside the document.
#[derive(Debug, Clone, Copy)]
pub struct Meta<'a> {
    /// Name of the resource type.
    pub resource_type: &'a str,
    /// When it was added.
    pub created: Timestamp,
    /// When it last changed.
    pub last_modified: Timestamp,
    /// Its absolute address.
    pub location: &'a str,
    /// Its entity tag, such as `W/"3"`.
    pub version: Option<&'a str>,
}

impl Meta<'_> {
    /// The object as JSON.
    pub fn to_json(&self) -> serde_json::Value {
        let mut meta = serde_json::json!({
            "resourceType": self.resource_type,
            "created": time::format(self.created),
            "lastModified": time::format(self.last_modified),
            "location": self.location,
        });
        if let Some(version) = self.version {
            meta["version"] = version.into();
        }
        meta
    }
}

/// The entity tag of a version (profile section 8).
pub fn entity_tag(version: i64) -> String {
    format!("W/\"{version}\"")
}

/// The version that an entity tag names; weak and strong spellings of one tag are the same.
pub fn tagged_version(tag: &str) -> Option<i64> {
    let tag = tag.trim();
    let quoted = tag.strip_prefix("W/").unwrap_or(tag);
    quoted.trim_matches('"').parse().ok()
}

/// The wire form of a stored document: `schemas`, `id`, the document's members, `extra`, `meta`.
///
/// `document` is the JSON text of an object in canonical form, without `id` and `meta`; `extra` holds names and raw
/// JSON of members that are kept elsewhere, such as `groups` and `members`.
///
/// ```
/// # use muster_scim::{Meta, meta::render};
/// let meta = Meta {
///     resource_type: "User",
///     created: "2026-03-01T09:00:00Z".parse().unwrap(),
///     last_modified: "2026-03-01T09:00:00Z".parse().unwrap(),
///     location: "https://id.example.net/scim/v2/Users/7",
///     version: None,
/// };
/// let text = render(r#"{"schemas":["u"],"userName":"ana"}"#, "7", &meta, &[("groups", "[]")]);
/// assert!(text.starts_with(r#"{"schemas":["u"],"id":"7","userName":"ana","groups":[],"meta":{"#));
/// ```
pub fn render(document: &str, id: &str, meta: &Meta<'_>, extra: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(document.len() + id.len() + meta.location.len() + 200);
    render_into(&mut out, document, id, meta, extra);
    out
}

/// Like [`render`], at the end of a buffer, for lists.
pub fn render_into(
    out: &mut String,
    document: &str,
    id: &str,
    meta: &Meta<'_>,
    extra: &[(&str, &str)],
) {
    let (schemas, rest) = split(document);
    out.push('{');
    if !schemas.is_empty() {
        out.push_str(schemas);
        out.push(',');
    }
    out.push_str(r#""id":"#);
    push_text(out, id);
    if !rest.is_empty() {
        out.push(',');
        out.push_str(rest);
    }
    for (name, raw) in extra {
        out.push(',');
        push_text(out, name);
        out.push(':');
        out.push_str(raw);
    }
    out.push_str(r#","meta":{"resourceType":"#);
    push_text(out, meta.resource_type);
    // Writing to a string cannot fail.
    let _ = write!(
        out,
        r#","created":"{:.3}","lastModified":"{:.3}","location":"#,
        meta.created, meta.last_modified
    );
    push_text(out, meta.location);
    if let Some(version) = meta.version {
        out.push_str(r#","version":"#);
        push_text(out, version);
    }
    out.push_str("}}");
}

/// Splits the inside of an object into its leading `"schemas":[…]`, when it has one, and the rest.
fn split(document: &str) -> (&str, &str) {
    const SCHEMAS: &str = r#""schemas":["#;
    let inside = document
        .trim()
        .strip_prefix('{')
        .and_then(|text| text.strip_suffix('}'))
        .map_or("", str::trim);
    // URNs hold no brackets, so the first one closes the list.
    let end = inside.strip_prefix(SCHEMAS).and_then(|list| list.find(']'));
    match end {
        Some(at) => {
            let end = SCHEMAS.len() + at + 1;
            (&inside[..end], inside[end..].trim_start_matches([',', ' ']))
        }
        None => ("", inside),
    }
}

/// Writes a JSON string; plain text, which is the rule, is copied at once.
fn push_text(out: &mut String, text: &str) {
    let is_plain = text
        .bytes()
        .all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    if is_plain {
        out.push('"');
        out.push_str(text);
        out.push('"');
    } else {
        let _ = write!(out, "{}", serde_json::Value::from(text));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn meta() -> Meta<'static> {
        Meta {
            resource_type: "User",
            created: "2026-03-01T09:00:00Z".parse().unwrap(),
            last_modified: "2026-03-01T09:00:00.25Z".parse().unwrap(),
            location: "https://id.example.net/scim/v2/Users/7",
            version: Some(r#"W/"3""#),
        }
    }

    #[track_caller]
    fn check(document: &str, extra: &[(&str, &str)], want: Value) {
        let text = render(document, "7\"é", &meta(), extra);
        let mut got: Value =
            serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let got = got.as_object_mut().unwrap();
        assert_eq!(got.shift_remove("id"), Some(json!("7\"é")));
        assert_eq!(got.shift_remove("meta"), Some(meta().to_json()));
        assert_eq!(Value::Object(got.clone()), want);
    }

    #[test]
    fn id_and_meta_are_spliced_into_any_object() {
        check("{}", &[], json!({}));
        check(r#"{"schemas":["a"]}"#, &[], json!({"schemas": ["a"]}));
        check(
            r#"{"schemas":["a","b"],"x":1}"#,
            &[],
            json!({"schemas": ["a", "b"], "x": 1}),
        );
        check(
            r#"{"x":{"schemas":[]}}"#,
            &[],
            json!({"x": {"schemas": []}}),
        );
        check(r#" {"x":"]}"} "#, &[], json!({"x": "]}"}));
        check(
            r#"{"schemas":["a"],"x":1}"#,
            &[("members", "[5]"), ("y", "null")],
            json!({"schemas": ["a"], "x": 1, "members": [5], "y": null}),
        );
        check("not an object", &[], json!({}));
        check("", &[], json!({}));
    }

    // Profile section 5: the example answer.
    #[test]
    fn meta_has_the_form_of_the_profile() {
        let text = render(r#"{"schemas":["a"],"x":1}"#, "7", &meta(), &[]);
        assert_eq!(
            text,
            concat!(
                r#"{"schemas":["a"],"id":"7","x":1,"meta":{"resourceType":"User","created":"2026-03-01T09:00:00.000Z","#,
                r#""lastModified":"2026-03-01T09:00:00.250Z","location":"https://id.example.net/scim/v2/Users/7","version":"W/\"3\""}}"#
            )
        );
    }
}
