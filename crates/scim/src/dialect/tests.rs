use serde_json::json;

use super::*;
use crate::schema::{ENTERPRISE_USER, USER, group, user};

fn codes(findings: &Findings) -> Vec<&'static str> {
    findings.deviations().map(Deviation::code).collect()
}

fn map(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        other => panic!("an object, not {other}"),
    }
}

#[track_caller]
fn check_document(body: Value, expected: &[&str]) {
    assert_eq!(codes(&document(&map(body), user())), expected);
}

#[track_caller]
fn check_patch(kind: &ResourceType, operation: Value, expected: &[&str]) {
    let body = json!({"schemas": [crate::message::PATCH_OP], "Operations": [operation]});
    assert_eq!(codes(&patch(&map(body), kind)), expected);
}

#[track_caller]
fn check_filter(text: &str, expected: &[&str]) {
    let parsed = Filter::parse(text).unwrap();
    assert_eq!(codes(&filter(&parsed, user())), expected);
}

#[test]
fn what_the_rfc_says_is_no_deviation() {
    check_document(
        json!({
            "schemas": [USER, ENTERPRISE_USER], "userName": "a", "active": true, "title": null,
            "emails": [{"value": "a@b", "type": "work", "primary": true}], "roles": [],
            ENTERPRISE_USER: {"department": "R", "manager": {"value": "m"}},
        }),
        &[],
    );
    check_patch(
        user(),
        json!({"op": "replace", "path": "active", "value": false}),
        &[],
    );
    check_patch(
        user(),
        json!({"op": "replace", "path": "emails[type eq \"work\"].value", "value": "x"}),
        &[],
    );
    check_patch(
        group(),
        json!({"op": "add", "path": "members", "value": [{"value": "u"}]}),
        &[],
    );
    check_patch(
        group(),
        json!({"op": "remove", "path": "members[value eq \"u\"]"}),
        &[],
    );
    check_filter("userName eq \"a\" and active eq true", &[]);
}

// Profile section 12.3: the default form of Entra.
#[test]
fn entra_is_recognised() {
    check_patch(
        user(),
        json!({"op": "Replace", "path": "active", "value": "False"}),
        &["op-case", "text-boolean"],
    );
    check_patch(
        group(),
        json!({"op": "Remove", "path": "members", "value": [{"value": "u1"}]}),
        &["op-case", "remove-with-value"],
    );
    check_patch(
        user(),
        json!({"op": "replace", "value": {"displayName": "P", "name.givenName": "Pavel"}}),
        &["paths-as-keys"],
    );
    check_patch(
        user(),
        json!({"op": "add", "path": "roles[primary eq \"True\"].value", "value": "x"}),
        &["add-by-value-path", "filter-text-boolean"],
    );
    let manager = format!("{ENTERPRISE_USER}:manager");
    check_patch(
        user(),
        json!({"op": "add", "path": manager, "value": "m"}),
        &["reference-as-text"],
    );
    check_patch(
        user(),
        json!({"op": "replace", "path": manager, "value": {"value": ""}}),
        &["empty-reference"],
    );
    check_filter(
        "emails[type eq \"work\"].value eq \"a\"",
        &["filter-behind-brackets"],
    );
}

// Profile sections 13 and 14.
#[test]
fn others_are_recognised() {
    check_patch(
        group(),
        json!({"op": "replace", "value": {"id": "g", "displayName": "F"}}),
        &["repeats-read-only"],
    );
    check_patch(
        group(),
        json!({"op": "add", "path": "members", "value": ["u"]}),
        &["member-as-text"],
    );
    check_patch(
        user(),
        json!({"op": "add", "path": "title", "value": "x", "name": "y"}),
        &["message-member"],
    );
    check_patch(
        user(),
        json!({"op": "replace", "path": "title", "value": [{"$ref": null, "value": "x"}]}),
        &["list-for-single"],
    );
    check_document(
        json!({"userName": "a", "emails": {"value": "a@b"}}),
        &["single-for-list", "schemas-missing"],
    );
    check_document(
        json!({"schemas": [USER, "urn:x"], "userName": "a", ENTERPRISE_USER: {"department": "R"}}),
        &["unknown-schema", "undeclared-extension"],
    );
    check_filter("active eq \"true\"", &["filter-text-boolean"]);
}

#[test]
fn what_is_not_declared_is_kept_as_it_came() {
    let found = document(
        &map(json!({
            "schemas": [USER, ENTERPRISE_USER], "userName": "a", "shoeSize": 43, "gone": null,
            "name": {"givenName": "A", "petName": "B"},
            "emails": [{"value": "x", "verified": true}, {"value": "y"}],
            ENTERPRISE_USER: {"badge": "7"}, "urn:example:x": {"a": 1},
        })),
        user(),
    );
    assert_eq!(codes(&found), ["unknown-attribute"]);
    assert_eq!(
        Value::Object(found.unknown.clone()),
        json!({
            "shoeSize": 43, "name": {"petName": "B"}, "emails": [{"value": "x", "verified": true}],
            ENTERPRISE_USER: {"badge": "7"}, "urn:example:x": {"a": 1},
        })
    );
    assert!(
        found
            .unknown_names()
            .contains(&format!("{ENTERPRISE_USER}:badge"))
    );
}

#[test]
fn each_deviation_has_a_code_of_its_own() {
    let mut codes: Vec<&str> = Deviation::ALL.iter().map(|one| one.code()).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), Deviation::ALL.len());
    assert!(
        Deviation::ALL
            .iter()
            .all(|one| one.clause().starts_with("RFC "))
    );
}
