//! The PATCH of others (behaviour reference 7.6): what RFC 7644 calls for, written as some targets know it.

use muster_engine::port::Change;
use muster_model::directory::Kind;
use muster_model::job::PatchStyle;
use muster_model::link::TargetId;
use serde_json::{Map, Value as Json, json};

use super::body;

/// Flags of a tenant URL.
const FLAGS: [(&str, PatchStyle); 2] = [
    ("aadOptscim062020", PatchStyle::Aad062020),
    ("AzureAdScimPatch2017", PatchStyle::Aad2017),
];

/// The way that a tenant URL asks for.
pub(super) fn by_flag(url: &reqwest::Url) -> Option<PatchStyle> {
    url.query_pairs().find_map(|(name, _)| {
        let known = FLAGS
            .iter()
            .find(|(flag, _)| flag.eq_ignore_ascii_case(&name));
        known.map(|(_, style)| *style)
    })
}

/// Operations on attributes.
pub(super) fn update(style: PatchStyle, operations: Vec<Json>, changes: &[Change]) -> Vec<Json> {
    match style {
        PatchStyle::Rfc => operations,
        PatchStyle::Aad2017 => operations.into_iter().map(as_2017).collect(),
        PatchStyle::Aad062020 => merged(operations, changes),
    }
}

/// Adds members, or sets a single reference.
pub(super) fn add_references(
    style: PatchStyle,
    kind: Kind,
    path: &str,
    referred: &[TargetId],
) -> Vec<Json> {
    let operations = body::add_references(kind, path, referred);
    match (style, kind) {
        (PatchStyle::Rfc | PatchStyle::Aad062020, _) => operations,
        (PatchStyle::Aad2017, Kind::Group) => operations.into_iter().map(as_2017).collect(),
        // The manager is a plain id there.
        (PatchStyle::Aad2017, Kind::User) => referred
            .last()
            .map(|id| json!({ "op": "Add", "path": path, "value": id.0 }))
            .into_iter()
            .collect(),
    }
}

/// Removes members, or a single reference.
pub(super) fn remove_references(
    style: PatchStyle,
    kind: Kind,
    path: &str,
    referred: &[TargetId],
) -> Vec<Json> {
    match (style, kind) {
        (PatchStyle::Rfc | PatchStyle::Aad062020, _) => {
            body::remove_references(kind, path, referred)
        }
        (PatchStyle::Aad2017, Kind::Group) => {
            let members: Vec<Json> = referred.iter().map(|id| json!({ "value": id.0 })).collect();
            vec![json!({ "op": "Remove", "path": path, "value": members })]
        }
        (PatchStyle::Aad2017, Kind::User) => vec![json!({ "op": "Remove", "path": path })],
    }
}

/// A capitalised operation, and booleans as text. An element of a list that is an object stands in its `value`
/// as JSON text.
fn as_2017(mut operation: Json) -> Json {
    if let Some(name) = operation["op"].as_str() {
        let (first, rest) = name.split_at(1);
        operation["op"] = Json::from(format!("{}{rest}", first.to_uppercase()));
    }
    let is_roles = operation["path"].as_str() == Some("roles");
    if let Some(value) = operation.get_mut("value") {
        *value = match value.take() {
            Json::Bool(true) => Json::from("True"),
            Json::Bool(false) => Json::from("False"),
            Json::Array(items) if is_roles => items.into_iter().map(as_text).collect(),
            other => other,
        };
    }
    operation
}

/// A role as JSON text, unless it is a text.
fn as_text(role: Json) -> Json {
    match role {
        Json::Object(members) => json!({ "value": Json::Object(members).to_string() }),
        other => other,
    }
}

/// Several replacements of simple attributes are one without a path, whose value names them by dots and colons.
/// Filtered paths keep an operation of their own.
fn merged(operations: Vec<Json>, changes: &[Change]) -> Vec<Json> {
    let is_simple = |it: &Json| {
        let path = it["path"].as_str().unwrap_or_default();
        it["op"] == "replace" && !path.contains('[') && changes.iter().any(|one| one.path == path)
    };
    if operations.iter().filter(|it| is_simple(it)).count() < 2 {
        return operations;
    }
    let (simple, mut rest): (Vec<Json>, Vec<Json>) = operations.into_iter().partition(is_simple);
    let mut value = Map::new();
    for mut operation in simple {
        let path = operation["path"].as_str().unwrap_or_default().to_owned();
        value.insert(path, operation["value"].take());
    }
    rest.push(json!({ "op": "replace", "value": value }));
    rest
}

#[cfg(test)]
mod tests {
    use muster_model::Value;

    use super::*;

    fn operations(changes: &[Change]) -> Vec<Json> {
        let paths = [
            "userName",
            "active",
            "title",
            "name.familyName",
            "roles",
            "emails[type eq \"work\"].value",
        ];
        let paths = body::Paths::new(&paths.map(str::to_owned)).unwrap();
        paths.update(changes).unwrap()
    }

    fn change(path: &str, old: impl Into<Value>, new: impl Into<Value>) -> Change {
        Change {
            path: path.to_owned(),
            old: old.into(),
            new: new.into(),
            absent: false,
            adds: false,
        }
    }

    // 7.6, line by line.
    #[test]
    fn a_disable_is_a_text_in_2017_and_a_boolean_in_062020() {
        let changes = [change("active", true, false)];
        let said = |style| update(style, operations(&changes), &changes);
        assert_eq!(
            said(PatchStyle::Aad2017),
            [json!({ "op": "Replace", "path": "active", "value": "False" })]
        );
        assert_eq!(
            said(PatchStyle::Aad062020),
            [json!({ "op": "replace", "path": "active", "value": false })]
        );
    }

    #[test]
    fn several_replacements_are_one_each_in_2017_and_one_in_062020() {
        let changes = [
            change("title", "a", "b"),
            change("emails[type eq \"work\"].value", "a@b.test", "c@d.test"),
            change("name.familyName", "a", "b"),
            change("userName", Value::Null, "ana"),
        ];
        let said = |style| update(style, operations(&changes), &changes);
        assert_eq!(
            said(PatchStyle::Aad2017),
            [
                json!({ "op": "Replace", "path": "title", "value": "b" }),
                json!({
                    "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "c@d.test"
                }),
                json!({ "op": "Replace", "path": "name.familyName", "value": "b" }),
                json!({ "op": "Add", "path": "userName", "value": "ana" }),
            ]
        );
        assert_eq!(
            said(PatchStyle::Aad062020),
            [
                json!({
                    "op": "replace", "path": "emails[type eq \"work\"].value", "value": "c@d.test"
                }),
                json!({ "op": "add", "path": "userName", "value": "ana" }),
                json!({ "op": "replace", "value": { "title": "b", "name.familyName": "b" } }),
            ]
        );
    }

    #[test]
    fn members_and_managers_in_the_words_of_each() {
        let ids = ["1", "2"].map(|id| TargetId(id.to_owned()));
        let gone = |style| remove_references(style, Kind::Group, "members", &ids);
        assert_eq!(
            gone(PatchStyle::Aad2017),
            [json!({
                "op": "Remove", "path": "members", "value": [{ "value": "1" }, { "value": "2" }]
            })]
        );
        assert_eq!(
            gone(PatchStyle::Aad062020),
            [
                json!({ "op": "remove", "path": "members[value eq \"1\"]" }),
                json!({ "op": "remove", "path": "members[value eq \"2\"]" }),
            ]
        );
        let manager = |style| add_references(style, Kind::User, "manager", &ids[..1]);
        assert_eq!(
            manager(PatchStyle::Aad2017),
            [json!({ "op": "Add", "path": "manager", "value": "1" })]
        );
        let came = add_references(PatchStyle::Aad2017, Kind::Group, "members", &ids[..1]);
        let expected = json!({ "op": "Add", "path": "members", "value": [{ "value": "1" }] });
        assert_eq!(came, [expected]);
    }

    #[test]
    fn roles_are_json_text_in_2017() {
        let mut role = muster_model::Attributes::new();
        role.set("value", "Admin");
        let roles = Value::List(vec![Value::Object(role)]);
        let changes = [change("roles", Value::Null, roles)];
        let said = update(PatchStyle::Aad2017, operations(&changes), &changes);
        assert_eq!(
            said,
            [
                json!({ "op": "Add", "path": "roles", "value": [{ "value": "{\"value\":\"Admin\"}" }] })
            ]
        );
    }

    #[test]
    fn the_flag_is_read_from_the_tenant_url() {
        let style = |url: &str| by_flag(&url.parse().unwrap());
        assert_eq!(style("https://a.test/scim/v2"), None);
        assert_eq!(
            style("https://a.test/scim/v2?aadOptscim062020"),
            Some(PatchStyle::Aad062020)
        );
        assert_eq!(
            style("https://a.test/scim?x=1&azureadscimpatch2017"),
            Some(PatchStyle::Aad2017)
        );
    }
}
