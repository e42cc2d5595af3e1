//! Rows of what differs, and of the operations that say so.

use super::*;
use crate::schema::ENTERPRISE_USER as ENTERPRISE;

fn map(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        _ => panic!("a document is an object"),
    }
}

#[track_caller]
fn check(before: Value, after: Value, want: Value) {
    let operations = diff(&map(before), &map(after));
    let got: Vec<Value> = operations.iter().map(Operation::to_json).collect();
    assert_eq!(Value::Array(got), want);
}

#[test]
fn differences_are_operations_in_strict_form() {
    check(json!({"title": "a"}), json!({"title": "a"}), json!([]));
    check(
        json!({"title": "a", "nickName": "n"}),
        json!({"title": "b", "active": false}),
        json!([
            {"op": "remove", "path": "nickName"},
            {"op": "replace", "path": "title", "value": "b"},
            {"op": "add", "path": "active", "value": false}
        ]),
    );
    check(
        json!({"name": {"givenName": "A", "familyName": "B"}}),
        json!({"name": {"givenName": "C", "middleName": "M"}}),
        json!([
            {"op": "remove", "path": "name.familyName"},
            {"op": "replace", "path": "name.givenName", "value": "C"},
            {"op": "add", "path": "name.middleName", "value": "M"}
        ]),
    );
    check(
        json!({"emails": [{"value": "a"}]}),
        json!({"emails": [{"value": "b"}]}),
        json!([{"op": "replace", "path": "emails", "value": [{"value": "b"}]}]),
    );
}

#[test]
fn extensions_differ_by_attribute() {
    check(
        json!({ENTERPRISE: {"department": "Lab", "division": "D"}}),
        json!({ENTERPRISE: {"department": "Ops", "manager": {"value": "m"}}}),
        json!([
            {"op": "remove", "path": format!("{ENTERPRISE}:division")},
            {"op": "replace", "path": format!("{ENTERPRISE}:department"), "value": "Ops"},
            {"op": "add", "path": format!("{ENTERPRISE}:manager"), "value": {"value": "m"}}
        ]),
    );
    check(
        json!({ENTERPRISE: {"department": "Lab"}}),
        json!({}),
        json!([{"op": "remove", "path": ENTERPRISE}]),
    );
    check(
        json!({ENTERPRISE: {"manager": {"value": "m", "$ref": "r"}}}),
        json!({ENTERPRISE: {"manager": {"value": "n"}}}),
        json!([
            {"op": "replace", "path": format!("{ENTERPRISE}:manager"), "value": {"value": "n"}},
            {"op": "remove", "path": format!("{ENTERPRISE}:manager.$ref")}
        ]),
    );
}

#[test]
fn what_clients_cannot_write_is_left_out() {
    check(
        json!({"id": "1", "schemas": ["a"], "meta": {}, "groups": []}),
        json!({"id": "2", "schemas": ["b"]}),
        json!([]),
    );
}

#[test]
fn members_come_and_go_one_by_one() {
    check(
        json!({"members": [{"value": "a"}, {"value": "b\""}]}),
        json!({"members": [{"value": "a"}, {"value": "c"}]}),
        json!([
            {"op": "remove", "path": r#"members[value eq "b\""]"#},
            {"op": "add", "path": "members", "value": [{"value": "c"}]}
        ]),
    );
}
