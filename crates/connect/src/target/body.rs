//! What is sent: create bodies, PATCH operations, filters. All in the form RFC 7644 gives them.

use muster_engine::port::{Change, TargetError};
use muster_model::directory::Kind;
use muster_model::link::TargetId;
use muster_model::{Attributes, Value};
use muster_scim::message::PATCH_OP;
use muster_scim::path::Path;
use serde_json::{Map, Value as Json, json};

use crate::target::ByText;

/// The compiled paths of one mapping.
#[derive(Debug)]
pub(super) struct Paths {
    paths: ByText<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    path: Path,
    /// The element around it: `emails[type eq "work"]` of `emails[type eq "work"].value`.
    element: Option<Element>,
    /// A URN-named extension that must stand in `schemas` when the attribute has a value.
    extension: Option<String>,
}

#[derive(Debug)]
struct Element {
    path: Path,
    /// The multi-valued attribute: `emails`.
    attribute: String,
    text: String,
}

impl Paths {
    pub(super) fn new(texts: &[String]) -> Result<Self, TargetError> {
        let mut paths = ByText::new();
        for text in texts {
            let element = match text.rfind(']') {
                Some(end) => Some(Element {
                    path: parse(&text[..=end])?,
                    attribute: text.split('[').next().unwrap_or_default().to_owned(),
                    text: text[..=end].to_owned(),
                }),
                None => None,
            };
            let extension = extension_of(text).map(str::to_owned);
            paths.insert(
                text.clone(),
                Compiled {
                    path: parse(text)?,
                    element,
                    extension,
                },
            );
        }
        Ok(Self { paths })
    }

    fn get(&self, text: &str) -> Result<&Compiled, TargetError> {
        self.paths.get(text).ok_or_else(|| unknown(text))
    }

    /// What a resource has at a path.
    pub(super) fn value<'d>(
        &self,
        text: &str,
        resource: &'d Map<String, Json>,
    ) -> Result<Option<&'d Json>, TargetError> {
        Ok(self.get(text)?.path.get(resource))
    }

    /// Puts a value into a resource.
    pub(super) fn put(
        &self,
        text: &str,
        resource: &mut Map<String, Json>,
        value: Json,
    ) -> Result<(), TargetError> {
        let compiled = self.get(text)?;
        if let Some(extension) = compiled.extension.as_deref() {
            name_extension(resource, extension);
        }
        set(compiled, resource, value)
    }

    /// The values of a resource by path, and the paths whose element is absent.
    pub(super) fn read(&self, resource: &Map<String, Json>) -> (Attributes, Vec<String>) {
        let (mut values, mut absent) = (Attributes::new(), Vec::new());
        for (text, compiled) in &self.paths {
            let element = compiled.element.as_ref();
            if let Some(value) = compiled.path.get(resource) {
                values.set(text.as_str(), value_of(value));
            } else if element.is_some_and(|element| element.path.get(resource).is_none()) {
                absent.push(text.clone());
            }
        }
        (values, absent)
    }

    /// The body of a create (7.4): no members, no references, `schemas` with each extension used.
    pub(super) fn create(&self, kind: Kind, values: &[(&str, Value)]) -> Result<Json, TargetError> {
        let core = match kind {
            Kind::User => muster_scim::schema::user(),
            Kind::Group => muster_scim::schema::group(),
        };
        let mut schemas = vec![core.schema.id.as_str()];
        let mut body = Map::new();
        body.insert("schemas".to_owned(), Json::Null);
        for (text, value) in values {
            let compiled = self.get(text)?;
            if let Some(extension) = compiled.extension.as_deref()
                && !schemas.contains(&extension)
            {
                schemas.push(extension);
            }
            set(compiled, &mut body, json_of(value))?;
        }
        body.insert("schemas".to_owned(), json!(schemas));
        Ok(Json::Object(body))
    }

    /// The changes in a whole resource, for a PUT. What is cleared is null, which is no value (RFC 7643, 2.5).
    pub(super) fn change(
        &self,
        changes: &[Change],
        resource: &mut Map<String, Json>,
    ) -> Result<(), TargetError> {
        for change in changes {
            let compiled = self.get(&change.path)?;
            let value = match compiled.path.get(resource) {
                Some(Json::Array(old)) if change.adds => {
                    let Json::Array(new) = json_of(&change.new) else {
                        return Err(unknown(&change.path));
                    };
                    Json::Array(old.iter().cloned().chain(new).collect())
                }
                None if change.new.is_null() => continue,
                _ => json_of(&change.new),
            };
            if let Some(element) = &compiled.element
                && value.is_null()
                && change.path.ends_with("].value")
            {
                // An element without its value would be left over.
                let gone = element.path.get(resource).cloned();
                if let Some(Json::Array(items)) = resource.get_mut(&element.attribute) {
                    items.retain(|item| Some(item) != gone.as_ref());
                }
                continue;
            }
            if let Some(extension) = compiled.extension.as_deref() {
                name_extension(resource, extension);
            }
            set(compiled, resource, value)?;
        }
        Ok(())
    }

    /// One operation for each change; what belongs to an element that does not exist yet is added as
    /// one element, and a null removes.
    pub(super) fn update(&self, changes: &[Change]) -> Result<Vec<Json>, TargetError> {
        let mut operations = Vec::new();
        let mut added: Vec<(&Element, Map<String, Json>)> = Vec::new();
        for change in changes {
            let compiled = self.get(&change.path)?;
            if change.new.is_null() {
                operations.push(removal(compiled, &change.path));
                continue;
            }
            let value = json_of(&change.new);
            match &compiled.element {
                Some(element) if change.absent && !change.adds => {
                    let at = added
                        .iter()
                        .position(|(known, _)| known.text == element.text);
                    let at = at.unwrap_or_else(|| {
                        added.push((element, Map::new()));
                        added.len() - 1
                    });
                    set(compiled, &mut added[at].1, value)?;
                }
                _ => {
                    let op = if change.adds || change.old.is_null() {
                        "add"
                    } else {
                        "replace"
                    };
                    operations.push(json!({ "op": op, "path": change.path, "value": value }));
                }
            }
        }
        for (element, built) in added {
            let path = &element.attribute;
            let value = built.get(path).cloned().unwrap_or_default();
            operations.push(json!({ "op": "add", "path": path, "value": value }));
        }
        Ok(operations)
    }
}

/// The resource says of which schemas it is.
fn name_extension(resource: &mut Map<String, Json>, extension: &str) {
    if let Some(Json::Array(schemas)) = resource.get_mut("schemas")
        && !schemas.iter().any(|it| it == extension)
    {
        schemas.push(Json::from(extension));
    }
}

/// Clears an attribute; an element without its value would be left over, so it goes as a whole.
fn removal(compiled: &Compiled, path: &str) -> Json {
    let path = match &compiled.element {
        Some(element) if path.ends_with("].value") => element.text.as_str(),
        _ => path,
    };
    json!({ "op": "remove", "path": path })
}

fn set(compiled: &Compiled, body: &mut Map<String, Json>, value: Json) -> Result<(), TargetError> {
    compiled
        .path
        .set(body, value)
        .map_err(|error| TargetError::NotAllowed(error.detail))
}

fn parse(text: &str) -> Result<Path, TargetError> {
    Path::parse(text).map_err(|_| unknown(text))
}

fn unknown(text: &str) -> TargetError {
    TargetError::NotAllowed(format!(
        "the mapping's target attribute `{text}` is not a SCIM path; correct the mapping"
    ))
}

/// The extension's URN in `urn:…:User:department`.
fn extension_of(path: &str) -> Option<&str> {
    let (urn, _) = path.starts_with("urn:").then(|| path.rsplit_once(':'))??;
    (!urn.contains(":schemas:core:")).then_some(urn)
}

/// A PATCH body.
pub(super) fn patch(operations: Vec<Json>) -> Json {
    json!({ "schemas": [PATCH_OP], "Operations": operations })
}

/// Adds members, or sets a single reference.
pub(super) fn add_references(kind: Kind, path: &str, referred: &[TargetId]) -> Vec<Json> {
    match kind {
        Kind::Group => {
            let value: Vec<Json> = referred.iter().map(|id| json!({ "value": id.0 })).collect();
            vec![json!({ "op": "add", "path": path, "value": value })]
        }
        Kind::User => referred
            .last()
            .map(|id| json!({ "op": "replace", "path": path, "value": { "value": id.0 } }))
            .into_iter()
            .collect(),
    }
}

/// Removes members one by one, or a single reference.
pub(super) fn remove_references(kind: Kind, path: &str, referred: &[TargetId]) -> Vec<Json> {
    match kind {
        Kind::Group => referred
            .iter()
            .map(|id| json!({ "op": "remove", "path": format!("{path}[value eq {}]", quote(&id.0)) }))
            .collect(),
        Kind::User => vec![json!({ "op": "remove", "path": path })],
    }
}

/// `userName eq "ana"`, the value escaped as in JSON (better than AM-9).
pub(super) fn equals(path: &str, value: &Value) -> String {
    let value = match value {
        Value::Text(text) => quote(text),
        other => json_of(other).to_string(),
    };
    format!("{path} eq {value}")
}

fn quote(text: &str) -> String {
    Json::String(text.to_owned()).to_string()
}

pub(super) fn json_of(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(*flag),
        Value::Int(number) => Json::from(*number),
        Value::Text(text) => Json::String(text.clone()),
        Value::List(items) => Json::Array(items.iter().map(json_of).collect()),
        Value::Object(members) => Json::Object(
            members
                .iter()
                .map(|(name, value)| (name.clone(), json_of(value)))
                .collect(),
        ),
    }
}

fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => number
            .as_i64()
            .map_or_else(|| Value::Text(number.to_string()), Value::Int),
        Json::String(text) => Value::Text(text.clone()),
        Json::Array(items) => Value::List(items.iter().map(value_of).collect()),
        Json::Object(members) => Value::Object(
            members
                .iter()
                .map(|(name, value)| (name.clone(), value_of(value)))
                .collect(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPARTMENT: &str =
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department";

    fn paths() -> Paths {
        let texts = [
            "userName",
            "active",
            "name.givenName",
            "emails[type eq \"work\"].value",
            "addresses[type eq \"work\"].locality",
            "addresses[type eq \"work\"].country",
            DEPARTMENT,
        ];
        Paths::new(&texts.map(str::to_owned)).unwrap()
    }

    fn change(path: &str, old: Value, new: impl Into<Value>, absent: bool) -> Change {
        Change {
            path: path.to_owned(),
            old,
            new: new.into(),
            absent,
            adds: false,
        }
    }

    #[test]
    fn a_create_has_the_shape_of_the_resource_and_names_its_extensions() {
        let values = [
            ("userName", Value::from("ana@example.test")),
            ("active", Value::Bool(true)),
            ("name.givenName", Value::from("Ana")),
            (
                "emails[type eq \"work\"].value",
                Value::from("ana@example.test"),
            ),
            (DEPARTMENT, Value::from("Legal")),
        ];
        let body = paths().create(Kind::User, &values).unwrap();
        let urn = DEPARTMENT.rsplit_once(':').unwrap().0;
        assert_eq!(
            body,
            json!({
                "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", urn],
                "userName": "ana@example.test",
                "active": true,
                "name": { "givenName": "Ana" },
                "emails": [{ "type": "work", "value": "ana@example.test", "primary": true }],
                urn: { "department": "Legal" }
            })
        );
    }

    #[test]
    fn what_is_cleared_is_removed_and_an_element_goes_with_its_value() {
        let gone = |path: &str| change(path, "x".into(), Value::Null, false);
        let operations = paths()
            .update(&[
                gone(DEPARTMENT),
                gone("emails[type eq \"work\"].value"),
                gone("addresses[type eq \"work\"].locality"),
            ])
            .unwrap();
        assert_eq!(
            Json::Array(operations),
            json!([
                { "op": "remove", "path": DEPARTMENT },
                { "op": "remove", "path": "emails[type eq \"work\"]" },
                { "op": "remove", "path": "addresses[type eq \"work\"].locality" },
            ])
        );
    }

    // Behaviour reference 3.2, `MultiValueAddOnly`.
    #[test]
    fn what_is_only_added_replaces_nothing() {
        let old = Value::List(vec![Value::from("a")]);
        let mut added = change("roles", old, Value::List(vec![Value::from("b")]), false);
        added.adds = true;
        let operations = Paths::new(&["roles".to_owned()]).unwrap().update(&[added]);
        let want = json!([{ "op": "add", "path": "roles", "value": ["b"] }]);
        assert_eq!(Json::Array(operations.unwrap()), want);
    }

    #[test]
    fn what_the_target_has_not_is_added_as_one_element() {
        let operations = paths()
            .update(&[
                change("active", Value::Bool(true), false, false),
                change(
                    "addresses[type eq \"work\"].locality",
                    Value::Null,
                    "Oslo",
                    true,
                ),
                change(
                    "addresses[type eq \"work\"].country",
                    Value::Null,
                    "Norway",
                    true,
                ),
            ])
            .unwrap();
        assert_eq!(
            Json::Array(operations),
            json!([
                { "op": "replace", "path": "active", "value": false },
                { "op": "add", "path": "addresses", "value": [
                    { "type": "work", "locality": "Oslo", "country": "Norway" }
                ] }
            ])
        );
    }

    #[test]
    fn values_are_read_by_path_and_absent_elements_are_told() {
        let Json::Object(resource) = json!({
            "id": "1", "userName": "ana", "emails": [{ "type": "work", "value": "a@b.test" }],
            "addresses": [{ "type": "home", "country": "Norway" }]
        }) else {
            panic!("an object")
        };
        let (values, mut absent) = paths().read(&resource);
        assert_eq!(
            values.text("emails[type eq \"work\"].value"),
            Some("a@b.test")
        );
        absent.sort();
        let expected = [
            "addresses[type eq \"work\"].country",
            "addresses[type eq \"work\"].locality",
        ];
        assert_eq!(absent, expected);
    }

    #[test]
    fn special_characters_in_a_matching_value_are_escaped() {
        let value = Value::from("O\"Brien \\ & + %");
        assert_eq!(
            equals("userName", &value),
            r#"userName eq "O\"Brien \\ & + %""#
        );
    }

    #[test]
    fn members_leave_one_by_one_by_their_value() {
        let operations = remove_references(Kind::Group, "members", &[TargetId("a\"1".to_owned())]);
        let expected = json!([{ "op": "remove", "path": "members[value eq \"a\\\"1\"]" }]);
        assert_eq!(Json::Array(operations), expected);
    }
}
