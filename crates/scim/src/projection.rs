//! Which attributes an answer shows: `attributes` and `excludedAttributes` (RFC 7644 section 3.9).

use serde_json::Value;

use crate::Map;
use crate::attr_path::Located;
use crate::path::Path;
use crate::schema::{ResourceType, Returned};

/// The most names that are looked at in one list.
pub const MAX_NAMES: usize = 500;

/// What to show, prepared for one resource type.
#[derive(Debug, Clone)]
pub struct Projection<'s> {
    only: Option<Vec<Name<'s>>>,
    except: Vec<Name<'s>>,
    kind: &'s ResourceType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name<'s> {
    extension: Option<&'s str>,
    /// None for an extension as a whole.
    attribute: Option<&'s str>,
    sub: Option<&'s str>,
}

impl<'s> Projection<'s> {
    /// Looks the names up, in any case and in all URN forms; unknown ones are ignored.
    ///
    /// A list of attributes of which none is known still limits the answer to `id` and `schemas`. A value path
    /// counts as the attribute without its brackets.
    pub fn new<S: AsRef<str>>(attributes: &[S], excluded: &[S], kind: &'s ResourceType) -> Self {
        let asked = attributes
            .iter()
            .any(|name| !name.as_ref().trim().is_empty());
        Self {
            only: asked.then(|| locate_all(attributes, kind)),
            except: locate_all(excluded, kind),
            kind,
        }
    }

    /// Whether documents are shown as they are stored, so that they need not be read at all.
    pub fn is_everything(&self) -> bool {
        self.only.is_none() && self.except.is_empty() && !self.hides_some()
    }

    /// Whether any part of a core or common attribute would be shown, so that it must be looked up first.
    pub fn wants(&self, attribute: &str) -> bool {
        let named = |names: &[Name<'_>], whole: bool| {
            names.iter().any(|name| {
                name.extension.is_none()
                    && name
                        .attribute
                        .is_some_and(|one| one.eq_ignore_ascii_case(attribute))
                    && !(whole && name.sub.is_some())
            })
        };
        self.is_always(attribute)
            || (self.only.as_ref().is_none_or(|names| named(names, false))
                && !named(&self.except, true))
    }

    /// Takes away what is not shown; `id` and `schemas` always stay.
    pub fn apply(&self, document: &mut Map) {
        match &self.only {
            Some(names) => self.keep(document, names),
            None if self.hides_some() => self.hide_requested(document),
            None => {}
        }
        for name in &self.except {
            self.exclude(document, *name);
        }
    }

    fn is_always(&self, name: &str) -> bool {
        self.kind
            .attribute(name)
            .is_some_and(|attribute| attribute.returned == Returned::Always)
    }

    fn hides_some(&self) -> bool {
        self.kind
            .schema
            .attributes
            .iter()
            .any(|one| one.returned == Returned::Request)
    }

    fn hide_requested(&self, document: &mut Map) {
        for attribute in &self.kind.schema.attributes {
            if attribute.returned == Returned::Request {
                document.shift_remove(&attribute.name);
            }
        }
    }

    fn keep(&self, document: &mut Map, names: &[Name<'_>]) {
        document.retain(|key, value| {
            if key.contains(':') {
                let inside = names
                    .iter()
                    .filter(|name| name.extension == Some(key.as_str()));
                return keep_in_extension(value, inside.copied());
            }
            let mine = |name: &&Name<'_>| name.extension.is_none() && name.attribute == Some(key);
            self.is_always(key) || keep_parts(value, names.iter().filter(mine).copied())
        });
    }

    fn exclude(&self, document: &mut Map, name: Name<'_>) {
        let Some(attribute) = name.attribute else {
            if let Some(urn) = name.extension {
                document.shift_remove(urn);
            }
            return;
        };
        match name.extension {
            None if self.is_always(attribute) => {}
            None => exclude_in(document, attribute, name.sub),
            Some(urn) => {
                if let Some(Value::Object(extension)) = document.get_mut(urn) {
                    exclude_in(extension, attribute, name.sub);
                    if extension.is_empty() {
                        document.shift_remove(urn);
                    }
                }
            }
        }
    }
}

fn locate_all<'s, S: AsRef<str>>(names: &[S], kind: &'s ResourceType) -> Vec<Name<'s>> {
    let mut found = Vec::new();
    for text in names.iter().take(MAX_NAMES) {
        let Ok(path) = Path::parse(text.as_ref()) else {
            continue;
        };
        match path.locate(kind) {
            Some(Located::Extension(schema)) => {
                found.push(Name {
                    extension: Some(&schema.id),
                    attribute: None,
                    sub: None,
                });
            }
            Some(Located::Attribute {
                extension,
                attribute,
                sub,
            }) => found.push(Name {
                extension: extension.map(|schema| schema.id.as_str()),
                attribute: Some(&attribute.name),
                sub: sub.map(|sub| sub.name.as_str()),
            }),
            // The URN of the core schema stands for all core attributes.
            Some(Located::Resource) => {
                found.extend(kind.schema.attributes.iter().map(|attribute| Name {
                    extension: None,
                    attribute: Some(&attribute.name),
                    sub: None,
                }));
            }
            None => {}
        }
    }
    found
}

fn keep_in_extension<'s>(value: &mut Value, names: impl Iterator<Item = Name<'s>>) -> bool {
    let names: Vec<Name<'_>> = names.collect();
    if names.iter().any(|name| name.attribute.is_none()) {
        return true;
    }
    let Value::Object(extension) = value else {
        return false;
    };
    extension.retain(|key, value| {
        keep_parts(
            value,
            names
                .iter()
                .filter(|name| name.attribute == Some(key))
                .copied(),
        )
    });
    !extension.is_empty()
}

/// Keeps the named parts of a value and tells whether anything is left.
fn keep_parts<'s>(value: &mut Value, names: impl Iterator<Item = Name<'s>>) -> bool {
    let mut subs = Vec::new();
    for name in names {
        match name.sub {
            None => return true,
            Some(sub) => subs.push(sub),
        }
    }
    if subs.is_empty() {
        return false;
    }
    match value {
        Value::Array(items) => {
            items.retain_mut(|item| retain_members(item, |key| subs.contains(&key)));
            !items.is_empty()
        }
        value => retain_members(value, |key| subs.contains(&key)),
    }
}

fn exclude_in(map: &mut Map, attribute: &str, sub: Option<&str>) {
    let is_left = match (map.get_mut(attribute), sub) {
        (None, _) => return,
        (Some(_), None) => false,
        (Some(Value::Array(items)), Some(sub)) => {
            items.retain_mut(|item| retain_members(item, |key| key != sub));
            !items.is_empty()
        }
        (Some(value), Some(sub)) => retain_members(value, |key| key != sub),
    };
    if !is_left {
        map.shift_remove(attribute);
    }
}

fn retain_members(value: &mut Value, keep: impl Fn(&str) -> bool) -> bool {
    let Value::Object(map) = value else {
        return false;
    };
    map.retain(|key, _| keep(key));
    !map.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ENTERPRISE_USER, USER, user};
    use serde_json::json;

    fn document() -> Map {
        let document = json!({
            "schemas": [USER, ENTERPRISE_USER],
            "id": "1",
            "userName": "ana",
            "name": {"givenName": "Ana", "familyName": "Ruiz"},
            "emails": [{"value": "a@x", "type": "work"}, {"value": "b@x"}],
            ENTERPRISE_USER: {"department": "Lab", "manager": {"value": "m", "$ref": "r"}},
            "meta": {"resourceType": "User"}
        });
        match document {
            Value::Object(map) => map,
            _ => unreachable!(),
        }
    }

    /// Applies lists and compares what is left besides `schemas` and `id`.
    #[track_caller]
    fn check(attributes: &str, excluded: &str, want: &Value) {
        let split = |text: &str| text.split(',').map(str::to_owned).collect::<Vec<_>>();
        let mut got = document();
        Projection::new(&split(attributes), &split(excluded), user()).apply(&mut got);
        assert!(got.shift_remove("schemas").is_some() && got.shift_remove("id").is_some());
        assert_eq!(
            &Value::Object(got),
            want,
            "attributes={attributes} excludedAttributes={excluded}"
        );
    }

    // Profile section 6.3: `attributes` returns id, schemas and exactly what was asked.
    #[test]
    fn attributes_limits_the_answer() {
        check("userName", "", &json!({"userName": "ana"}));
        check("USERNAME", "", &json!({"userName": "ana"}));
        check(
            "name.familyName",
            "",
            &json!({"name": {"familyName": "Ruiz"}}),
        );
        check(
            "emails.value",
            "",
            &json!({"emails": [{"value": "a@x"}, {"value": "b@x"}]}),
        );
        check("emails.type", "", &json!({"emails": [{"type": "work"}]}));
        check(
            "emails.type,emails",
            "",
            &json!({"emails": document()["emails"]}),
        );
        check("id", "", &json!({}));
        check("meta", "", &json!({"meta": {"resourceType": "User"}}));
        check("title", "", &json!({}));
        check("nothing", "", &json!({}));
        check(
            "userName, name.givenName",
            "",
            &json!({"userName": "ana", "name": {"givenName": "Ana"}}),
        );
        check(
            r#"emails[type eq "work"].value"#,
            "",
            &json!({"emails": [{"value": "a@x"}, {"value": "b@x"}]}),
        );
    }

    #[test]
    fn attributes_understands_urns() {
        check(&format!("{USER}:userName"), "", &json!({"userName": "ana"}));
        check(
            &format!("{}:username", USER.to_lowercase()),
            "",
            &json!({"userName": "ana"}),
        );
        check(
            ENTERPRISE_USER,
            "",
            &json!({ENTERPRISE_USER: document()[ENTERPRISE_USER]}),
        );
        check(
            &format!("{ENTERPRISE_USER}:department"),
            "",
            &json!({ENTERPRISE_USER: {"department": "Lab"}}),
        );
        check(
            &format!("{ENTERPRISE_USER}:manager.value"),
            "",
            &json!({ENTERPRISE_USER: {"manager": {"value": "m"}}}),
        );
        check(
            "manager.value",
            "",
            &json!({ENTERPRISE_USER: {"manager": {"value": "m"}}}),
        );
    }

    // Profile section 6.3: `excludedAttributes` removes all but `id`.
    #[test]
    fn excluded_attributes_are_removed() {
        let mut all = document();
        all.shift_remove("schemas");
        all.shift_remove("id");
        check("", "", &Value::Object(all.clone()));
        check("", "id,schemas,nothing", &Value::Object(all.clone()));
        let without = |names: &[&str]| {
            let mut left = all.clone();
            left.retain(|key, _| !names.contains(&key.as_str()));
            left
        };
        check(
            "",
            "emails,META",
            &Value::Object(without(&["emails", "meta"])),
        );
        check(
            "",
            ENTERPRISE_USER,
            &Value::Object(without(&[ENTERPRISE_USER])),
        );
        let mut parts = without(&["emails"]);
        parts.insert("emails".into(), json!([{"type": "work"}]));
        check("", "emails.value", &Value::Object(parts));
        let mut department = all.clone();
        department.insert(
            ENTERPRISE_USER.into(),
            json!({"manager": {"value": "m", "$ref": "r"}}),
        );
        check(
            "",
            &format!("{ENTERPRISE_USER}:department"),
            &Value::Object(department),
        );
        check(
            &format!("userName,{ENTERPRISE_USER}"),
            &format!("{ENTERPRISE_USER}:manager,{ENTERPRISE_USER}:department"),
            &json!({"userName": "ana"}),
        );
    }

    #[test]
    fn a_projection_says_what_must_be_looked_up() {
        let none: [&str; 0] = [];
        let everything = Projection::new(&none, &none, user());
        assert!(everything.is_everything() && everything.wants("groups"));
        let without = Projection::new(&none, &["groups"], user());
        assert!(!without.is_everything() && !without.wants("groups") && without.wants("meta"));
        let parts = Projection::new(&none, &["groups.display"], user());
        assert!(parts.wants("groups"));
        let only = Projection::new(&["groups.value"], &none, user());
        assert!(only.wants("groups") && !only.wants("meta") && only.wants("id"));
    }
}
