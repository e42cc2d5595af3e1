//! Rows and the law of the difference: applying it gives the other document.

use proptest::prelude::*;

use super::*;
use crate::patch::{PatchRequest, apply};
use crate::resource::tests::any_json;
use crate::resource::{Purpose, normalise};
use crate::schema::{ENTERPRISE_USER as ENTERPRISE, user};

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

fn any_user() -> impl Strategy<Value = Map> {
    let text = "[a-c]{1,2}";
    let name = proptest::collection::btree_map(
        proptest::sample::select(vec!["givenName", "familyName", "middleName"]),
        text,
        1..3,
    );
    let element = (text, proptest::option::of(text), any::<bool>());
    let emails = proptest::collection::vec(element, 1..4).prop_map(|list| {
        let mut primary_left = true;
        let items = list.into_iter().map(|(value, kind, primary)| {
            let mut item = json!({"value": value});
            if let Some(kind) = kind {
                item["type"] = json!(kind);
            }
            if primary && std::mem::take(&mut primary_left) {
                item["primary"] = json!(true);
            }
            item
        });
        Value::Array(items.collect())
    });
    let manager =
        (proptest::option::of(text), proptest::option::of(text)).prop_map(|(value, link)| {
            let mut manager = json!({});
            if let Some(value) = value {
                manager["value"] = json!(value);
            }
            if let Some(link) = link {
                manager["$ref"] = json!(link);
            }
            manager
        });
    (
        text,
        proptest::option::of(any::<bool>()),
        proptest::option::of(name),
        proptest::option::of(emails),
        proptest::option::of(text),
        proptest::option::of(manager),
    )
        .prop_map(|(user_name, active, name, emails, department, manager)| {
            let body = json!({
                "userName": user_name, "active": active, "name": name, "emails": emails,
                ENTERPRISE: {"department": department, "manager": manager}
            });
            normalise(map(body), user(), Purpose::Create)
                .unwrap()
                .document
        })
}

fn check_law(before: &Map, after: &Map) -> Result<(), TestCaseError> {
    let operations = diff(before, after);
    prop_assert_eq!(operations.is_empty(), before == after);
    let mut document = before.clone();
    if !operations.is_empty() {
        // Through the wire form, so that printing is part of the law.
        let body = map(PatchRequest { operations }.to_json());
        let request = PatchRequest::parse(body).unwrap();
        apply(&mut document, "1", &request, user()).unwrap();
    }
    prop_assert_eq!(&document, after);
    Ok(())
}

proptest! {
    #[test]
    fn applying_the_difference_gives_the_other_document(before in any_user(), after in any_user()) {
        check_law(&before, &after)?;
    }

    #[test]
    fn the_law_holds_for_whatever_clients_send(before in any_json(), after in any_json()) {
        let canonical = |value: Value| {
            let Value::Object(mut body) = value else { return None };
            body.entry("userName").or_insert(json!("ana"));
            normalise(body, user(), Purpose::Create).ok().map(|normalised| normalised.document)
        };
        if let (Some(before), Some(after)) = (canonical(before), canonical(after)) {
            check_law(&before, &after)?;
        }
    }
}
