//! Rows for PATCH in all dialects (profile sections 7, 12.3, 13, 14 and 16).

use proptest::prelude::*;

use super::*;
use crate::ScimType;
use crate::filter::Filter;
use crate::member::Member;
use crate::resource::tests::any_json;
use crate::schema::{ENTERPRISE_USER as ENTERPRISE, GROUP, USER, group, user};

fn map(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        _ => panic!("an object"),
    }
}

fn request(operations: &Value) -> Result<PatchRequest, ScimError> {
    PatchRequest::parse(map(
        json!({"schemas": [PATCH_OP], "Operations": operations}),
    ))
}

fn with_name(document: Value) -> Map {
    let mut document = map(document);
    document.entry("userName").or_insert(json!("ana"));
    let mut schemas = vec![USER];
    if document.contains_key(ENTERPRISE) {
        schemas.push(ENTERPRISE);
    }
    document.insert("schemas".into(), json!(schemas));
    document
}

/// Applies operations to a user; documents leave out `schemas`, and the `userName` when it is `ana`.
#[track_caller]
fn check(before: Value, operations: Value, after: Value) {
    let (mut document, want) = (with_name(before), with_name(after));
    let before = document.clone();
    let applied =
        request(&operations).and_then(|request| apply(&mut document, "1", &request, user()));
    let applied = applied.unwrap_or_else(|error| panic!("{operations}: {error}"));
    assert_eq!(document, want, "{operations}");
    assert_eq!(
        applied,
        Applied {
            changed: before != want,
            members: Vec::new()
        }
    );
}

#[track_caller]
fn check_refused(before: Value, operations: Value, want: ScimType) {
    let mut document = with_name(before);
    let before = document.clone();
    let got = request(&operations).and_then(|request| apply(&mut document, "1", &request, user()));
    let error = got.expect_err(&operations.to_string());
    assert_eq!(
        (error.status, error.scim_type),
        (400, Some(want)),
        "{operations}: {error}"
    );
    assert_eq!(
        document, before,
        "a failed request leaves the document as it was"
    );
}

#[track_caller]
fn check_one(before: Value, op: &str, path: &str, value: Value, after: Value) {
    check(
        before,
        json!([{"op": op, "path": path, "value": value}]),
        after,
    );
}

// Section 7, row "add, path".
#[test]
fn add_sets_merges_and_appends() {
    check_one(
        json!({}),
        "add",
        "nickName",
        json!("Pav"),
        json!({"nickName": "Pav"}),
    );
    check_one(
        json!({"nickName": "a"}),
        "add",
        "nickName",
        json!("b"),
        json!({"nickName": "b"}),
    );
    check_one(
        json!({"name": {"givenName": "A", "familyName": "B"}}),
        "add",
        "name",
        json!({"givenName": "C", "middleName": "M"}),
        json!({"name": {"givenName": "C", "familyName": "B", "middleName": "M"}}),
    );
    check_one(
        json!({}),
        "add",
        "name.givenName",
        json!("A"),
        json!({"name": {"givenName": "A"}}),
    );
    let work = json!({"value": "w", "type": "work"});
    let home = json!({"value": "h", "type": "home"});
    check_one(
        json!({}),
        "add",
        "emails",
        json!([work]),
        json!({"emails": [work]}),
    );
    check_one(
        json!({"emails": [work]}),
        "add",
        "emails",
        json!([home, work]),
        json!({"emails": [work, home]}),
    );
    check_one(
        json!({"emails": [work]}),
        "add",
        "emails",
        home.clone(),
        json!({"emails": [work, home]}),
    );
    check_one(
        json!({"emails": [work]}),
        "add",
        "emails",
        json!([{"value": "w"}]),
        json!({"emails": [work]}),
    );
    check_one(
        json!({"emails": [work]}),
        "add",
        "emails",
        json!([{"value": "w", "type": "work", "display": "d"}]),
        json!({"emails": [{"value": "w", "type": "work", "display": "d"}]}),
    );
    check_one(
        json!({"emails": [work]}),
        "add",
        "emails",
        json!([]),
        json!({"emails": [work]}),
    );
    check_one(
        json!({"emails": [work]}),
        "add",
        "emails",
        json!(null),
        json!({"emails": [work]}),
    );
    check_one(
        json!({"addresses": [{"type": "work", "country": "A"}]}),
        "add",
        "addresses",
        json!([{"type": "work", "country": "B"}]),
        json!({"addresses": [{"type": "work", "country": "A"}, {"type": "work", "country": "B"}]}),
    );
    check_refused(
        json!({}),
        json!([{"op": "add", "path": "nickName"}]),
        ScimType::InvalidValue,
    );
    check_refused(
        json!({}),
        json!([{"op": "replace", "path": "nickName"}]),
        ScimType::InvalidValue,
    );
}

// Section 7, row "add or replace without path"; section 12.3, keys that are paths.
#[test]
fn each_member_of_a_value_without_path_is_a_path() {
    for op in ["add", "replace"] {
        check(
            json!({"name": {"familyName": "Ito"}, ENTERPRISE: {"costCenter": "7"}}),
            json!([{"op": op, "value": {
                "displayName": "P. Ito",
                "name.givenName": "Pavel",
                format!("{ENTERPRISE}:department"): "Assay",
                "emails[type eq \"work\"].value": "x"
            }}]),
            json!({
                "name": {"familyName": "Ito", "givenName": "Pavel"},
                "displayName": "P. Ito",
                "emails": [{"type": "work", "value": "x"}],
                ENTERPRISE: {"costCenter": "7", "department": "Assay"}
            }),
        );
    }
}

#[test]
fn replace_sets_merges_and_puts_lists_in_place() {
    check_one(
        json!({}),
        "replace",
        "nickName",
        json!("a"),
        json!({"nickName": "a"}),
    );
    check_one(
        json!({"title": "a"}),
        "replace",
        "TITLE",
        json!("b"),
        json!({"title": "b"}),
    );
    check_one(
        json!({"name": {"givenName": "A", "familyName": "B"}}),
        "replace",
        "name",
        json!({"givenName": "C"}),
        json!({"name": {"givenName": "C", "familyName": "B"}}),
    );
    check_one(
        json!({"name": {"givenName": "A", "familyName": "B"}}),
        "replace",
        "name",
        json!({"givenName": null}),
        json!({"name": {"familyName": "B"}}),
    );
    let emails = json!({"emails": [{"value": "a"}, {"value": "b"}]});
    check_one(
        emails.clone(),
        "replace",
        "emails",
        json!([{"value": "c"}]),
        json!({"emails": [{"value": "c"}]}),
    );
    check_one(
        emails.clone(),
        "replace",
        "emails",
        json!({"value": "c"}),
        json!({"emails": [{"value": "c"}]}),
    );
    check_one(emails.clone(), "replace", "emails", json!([]), json!({}));
    check_one(emails, "replace", "emails", json!(null), json!({}));
    check_one(
        json!({"title": "a"}),
        "replace",
        "title",
        json!(null),
        json!({}),
    );
    check_one(
        json!({"name": {"givenName": "A"}}),
        "replace",
        "name",
        json!(null),
        json!({}),
    );
    check_one(
        json!({"name": {"givenName": "A"}}),
        "replace",
        "name.givenName",
        json!(null),
        json!({}),
    );
}

fn two_emails() -> Value {
    json!({"emails": [
        {"value": "w", "type": "work", "primary": true},
        {"value": "h", "type": "home", "display": "d"}
    ]})
}

// Section 7, row "replace, value path"; section 16: without a match 400 noTarget.
#[test]
fn replace_with_a_value_path_changes_all_that_match() {
    let mut want = two_emails();
    want["emails"][0]["value"] = json!("x");
    check_one(
        two_emails(),
        "replace",
        r#"emails[type eq "work"].value"#,
        json!("x"),
        want.clone(),
    );
    check_one(
        two_emails(),
        "replace",
        r#"EMAILS[TYPE EQ "WORK"].VALUE"#,
        json!("x"),
        want.clone(),
    );
    check_one(
        two_emails(),
        "replace",
        "emails[primary eq true].value",
        json!("x"),
        want.clone(),
    );
    check_one(
        two_emails(),
        "replace",
        r#"emails[primary eq "True"].value"#,
        json!("x"),
        want.clone(),
    );
    check_one(
        two_emails(),
        "replace",
        r#"emails[not (type eq "home") and value pr].value"#,
        json!("x"),
        want.clone(),
    );
    let path = format!(r#"{USER}:emails[type eq "work"].value"#);
    check_one(two_emails(), "replace", &path, json!("x"), want);
    let mut both = two_emails();
    both["emails"][0]["display"] = json!("x");
    both["emails"][1]["display"] = json!("x");
    check_one(
        two_emails(),
        "replace",
        "emails[value pr].display",
        json!("x"),
        both,
    );
    // The whole element; what selected it stays true.
    let mut whole = two_emails();
    whole["emails"][1] = json!({"type": "home", "value": "x"});
    check_one(
        two_emails(),
        "replace",
        r#"emails[type eq "home"]"#,
        json!({"value": "x"}),
        whole.clone(),
    );
    check_one(
        two_emails(),
        "replace",
        r#"emails[type eq "home"]"#,
        json!([{"value": "x"}]),
        whole.clone(),
    );
    check_one(
        two_emails(),
        "replace",
        r#"emails[type eq "home"]"#,
        json!("x"),
        whole,
    );
    let mut gone = two_emails();
    gone["emails"].as_array_mut().unwrap().pop();
    check_one(
        two_emails(),
        "replace",
        r#"emails[type eq "home"]"#,
        json!(null),
        gone,
    );
    let missing =
        json!([{"op": "replace", "path": "emails[type eq \"other\"].value", "value": "x"}]);
    check_refused(two_emails(), missing.clone(), ScimType::NoTarget);
    check_refused(json!({}), missing, ScimType::NoTarget);
}

// Section 7, row "add, value path, nothing matches"; section 12.3, building elements.
#[test]
fn add_with_a_value_path_builds_or_overwrites_one_element() {
    check_one(
        json!({}),
        "Add",
        r#"emails[type eq "work"].value"#,
        json!("a"),
        json!({"emails": [{"type": "work", "value": "a"}]}),
    );
    check_one(
        json!({"emails": [{"type": "work", "value": "a"}]}),
        "Add",
        r#"emails[type eq "work"].value"#,
        json!("b"),
        json!({"emails": [{"type": "work", "value": "b"}]}),
    );
    check(
        json!({}),
        json!([
            {"op": "Add", "path": "addresses[type eq \"work\"].streetAddress", "value": "S"},
            {"op": "Add", "path": "addresses[type eq \"work\"].Formatted", "value": "F"},
            {"op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "1"},
            {"op": "Add", "path": "phoneNumbers[type eq \"fax\"].Value", "value": "2"}
        ]),
        json!({
            "addresses": [{"type": "work", "streetAddress": "S", "formatted": "F"}],
            "phoneNumbers": [{"type": "mobile", "value": "1"}, {"type": "fax", "value": "2"}]
        }),
    );
    check_one(
        json!({}),
        "add",
        r#"emails[type eq "work" and primary eq true]"#,
        json!({"value": "a"}),
        json!({"emails": [{"type": "work", "primary": true, "value": "a"}]}),
    );
    check_one(
        json!({"emails": [{"type": "work", "value": "a"}]}),
        "add",
        r#"emails[type eq "work"]"#,
        json!({"display": "d"}),
        json!({"emails": [{"type": "work", "value": "a", "display": "d"}]}),
    );
    check_one(
        json!({}),
        "add",
        r#"emails[type eq "work"].value"#,
        json!(null),
        json!({}),
    );
    for path in [
        "emails[type co \"w\"].value",
        "emails[type eq \"a\" or type eq \"b\"].value",
        "emails[nothing eq \"a\"].value",
    ] {
        check_refused(
            json!({}),
            json!([{"op": "add", "path": path, "value": "x"}]),
            ScimType::NoTarget,
        );
    }
}

// Section 12.3: a text literal against a boolean selects or builds the one primary role.
#[test]
fn the_primary_role_is_selected_or_built() {
    let path = r#"roles[primary eq "True"].value"#;
    check_one(
        json!({}),
        "Add",
        path,
        json!("r"),
        json!({"roles": [{"primary": true, "value": "r"}]}),
    );
    check_one(
        json!({"roles": [{"value": "a"}, {"value": "b", "primary": true}]}),
        "Replace",
        path,
        json!("r"),
        json!({"roles": [{"value": "a"}, {"value": "r", "primary": true}]}),
    );
    let text = json!([{"value": "{\"id\":\"1\",\"value\":\"Admin\"}"}]);
    check_one(
        json!({}),
        "Add",
        "roles",
        text.clone(),
        json!({"roles": text}),
    );
}

// Section 7: setting primary on one element clears it on the others.
#[test]
fn primary_is_exclusive() {
    let want = json!({"emails": [
        {"value": "w", "type": "work", "primary": false},
        {"value": "h", "type": "home", "display": "d", "primary": true}
    ]});
    check_one(
        two_emails(),
        "replace",
        r#"emails[type eq "home"].primary"#,
        json!(true),
        want.clone(),
    );
    check_one(
        two_emails(),
        "add",
        r#"emails[type eq "home"].primary"#,
        json!("True"),
        want,
    );
    let mut added = two_emails();
    added["emails"][0]["primary"] = json!(false);
    added["emails"]
        .as_array_mut()
        .unwrap()
        .push(json!({"value": "n", "primary": true}));
    check_one(
        two_emails(),
        "add",
        "emails",
        json!([{"value": "n", "primary": true}]),
        added,
    );
    check_refused(
        json!({}),
        json!([{"op": "add", "path": "emails", "value": [{"value": "a", "primary": true}, {"value": "b", "primary": true}]}]),
        ScimType::InvalidValue,
    );
}

// Section 7, row "remove".
#[test]
fn remove_takes_away_values_parts_and_elements() {
    let remove = |before: Value, path: &str, after: Value| {
        check(before, json!([{"op": "remove", "path": path}]), after);
    };
    remove(json!({"title": "a"}), "title", json!({}));
    remove(json!({"active": true}), "active", json!({}));
    remove(json!({}), "title", json!({}));
    remove(
        json!({"name": {"givenName": "A", "familyName": "B"}}),
        "name.givenName",
        json!({"name": {"familyName": "B"}}),
    );
    remove(
        json!({"name": {"givenName": "A"}}),
        "name.givenName",
        json!({}),
    );
    remove(json!({"name": {"givenName": "A"}}), "name", json!({}));
    remove(two_emails(), "emails", json!({}));
    let mut work = two_emails();
    work["emails"].as_array_mut().unwrap().remove(1);
    remove(two_emails(), r#"emails[type eq "home"]"#, work.clone());
    remove(work.clone(), r#"emails[type eq "work"]"#, json!({}));
    remove(work.clone(), r#"emails[type eq "other"]"#, work);
    let mut part = two_emails();
    part["emails"][1]
        .as_object_mut()
        .unwrap()
        .shift_remove("display");
    remove(
        two_emails(),
        r#"emails[type eq "home"].display"#,
        part.clone(),
    );
    remove(two_emails(), "emails.display", part);
    remove(
        json!({"emails": [{"value": "a"}]}),
        "emails[value pr].value",
        json!({}),
    );
    remove(json!({}), r#"emails[type eq "home"].value"#, json!({}));
    check_refused(json!({}), json!([{"op": "remove"}]), ScimType::NoTarget);
    check_refused(
        json!({}),
        json!([{"op": "remove", "value": {"title": "a"}}]),
        ScimType::NoTarget,
    );
}

// Section 16: remove with a value removes those values only.
#[test]
fn remove_with_a_value_list_removes_only_those() {
    let mut work = two_emails();
    work["emails"].as_array_mut().unwrap().remove(1);
    check_one(
        two_emails(),
        "Remove",
        "emails",
        json!([{"value": "h"}]),
        work.clone(),
    );
    check_one(
        two_emails(),
        "Remove",
        "emails",
        json!({"value": "h", "type": "home"}),
        work.clone(),
    );
    check_one(
        two_emails(),
        "Remove",
        "emails",
        json!([{"type": "home"}]),
        work,
    );
    check_one(
        two_emails(),
        "Remove",
        "emails",
        json!([{"value": "other"}]),
        two_emails(),
    );
    check_one(two_emails(), "Remove", "emails", json!([]), two_emails());
    check_one(two_emails(), "Remove", "emails", json!(null), json!({}));
    check_one(
        json!({"title": "a"}),
        "Remove",
        "title",
        json!("a"),
        json!({}),
    );
}

// Section 7, row "path = extension URN".
#[test]
fn an_extension_can_be_changed_as_a_whole() {
    let before = json!({ENTERPRISE: {"department": "Lab", "costCenter": "7"}});
    check_one(
        before.clone(),
        "add",
        ENTERPRISE,
        json!({"Department": "Ops"}),
        json!({ENTERPRISE: {"department": "Ops", "costCenter": "7"}}),
    );
    check_one(
        before.clone(),
        "replace",
        ENTERPRISE,
        json!({"division": "D"}),
        json!({ENTERPRISE: {"division": "D"}}),
    );
    check_one(
        json!({}),
        "add",
        &ENTERPRISE.to_uppercase(),
        json!({"division": "D"}),
        json!({ENTERPRISE: {"division": "D"}}),
    );
    check_one(
        before.clone(),
        "replace",
        ENTERPRISE,
        json!(null),
        json!({}),
    );
    check_one(before.clone(), "replace", ENTERPRISE, json!({}), json!({}));
    check(
        before.clone(),
        json!([{"op": "remove", "path": ENTERPRISE}]),
        json!({}),
    );
    check(
        json!({}),
        json!([{"op": "remove", "path": ENTERPRISE}]),
        json!({}),
    );
    // Inside a value without path only what is named changes.
    check(
        before.clone(),
        json!([{"op": "replace", "value": {ENTERPRISE: {"department": "Ops"}}}]),
        json!({ENTERPRISE: {"department": "Ops", "costCenter": "7"}}),
    );
    check_refused(
        before,
        json!([{"op": "add", "path": ENTERPRISE, "value": "x"}]),
        ScimType::InvalidValue,
    );
}

// Section 7: touching an extension attribute adds or drops its URN in `schemas` (checked by `check`).
#[test]
fn extension_attributes_maintain_schemas() {
    let path = format!("{ENTERPRISE}:department");
    check_one(
        json!({}),
        "add",
        &path,
        json!("Lab"),
        json!({ENTERPRISE: {"department": "Lab"}}),
    );
    check(
        json!({ENTERPRISE: {"department": "Lab"}}),
        json!([{"op": "remove", "path": path}]),
        json!({}),
    );
    check_one(
        json!({ENTERPRISE: {"department": "Lab"}}),
        "replace",
        &path,
        json!(null),
        json!({}),
    );
    check_one(
        json!({}),
        "Add",
        &format!("{ENTERPRISE}.Department"),
        json!("Lab"),
        json!({ENTERPRISE: {"department": "Lab"}}),
    );
    check(
        json!({}),
        json!([{"op": "remove", "path": path}]),
        json!({}),
    );
    check_one(json!({}), "add", "schemas", json!([ENTERPRISE]), json!({}));
}

// Section 7: mutability, wrong types, broken and unknown paths.
#[test]
fn mistakes_are_told_apart() {
    use ScimType::{InvalidFilter, InvalidPath, InvalidValue, Mutability};
    let rows = [
        ("replace", "id", json!("2"), Mutability),
        (
            "replace",
            "meta.created",
            json!("2026-01-01T00:00:00Z"),
            Mutability,
        ),
        ("add", "meta", json!({}), Mutability),
        ("add", "groups", json!([{"value": "g"}]), Mutability),
        ("remove", "groups", json!(null), Mutability),
        (
            "replace",
            r#"groups[value eq "g"].display"#,
            json!("x"),
            Mutability,
        ),
        ("remove", "userName", json!(null), Mutability),
        ("replace", "userName", json!(null), Mutability),
        ("replace", "userName", json!(""), InvalidValue),
        ("replace", "userName", json!("  "), InvalidValue),
        ("replace", "userName", json!(5), InvalidValue),
        ("replace", "active", json!("maybe"), InvalidValue),
        ("replace", "active", json!(1), InvalidValue),
        ("add", "emails", json!("x"), InvalidValue),
        ("add", "emails", json!(["x"]), InvalidValue),
        ("replace", "name", json!("x"), InvalidValue),
        ("replace", "name.givenName", json!({}), InvalidValue),
        ("replace", "title", json!({}), InvalidValue),
        ("replace", "password", json!(5), InvalidValue),
        ("replace", "nothing", json!("x"), InvalidPath),
        ("replace", "userName.nothing", json!("x"), InvalidPath),
        ("replace", "name.nothing", json!("x"), InvalidPath),
        ("replace", "members", json!([]), InvalidPath),
        ("replace", "a b", json!("x"), InvalidPath),
        ("replace", "", json!("x"), InvalidPath),
        (
            "replace",
            "emails[type eq \"work\"]x",
            json!("x"),
            InvalidPath,
        ),
        ("replace", r#"title[value eq "x"]"#, json!("x"), InvalidPath),
        (
            "replace",
            r#"name[givenName eq "x"].familyName"#,
            json!("x"),
            InvalidPath,
        ),
        ("replace", "urn:other:thing", json!("x"), InvalidPath),
        ("replace", "emails[type eq]", json!("x"), InvalidFilter),
        (
            "replace",
            "emails[type zz \"a\"].value",
            json!("x"),
            InvalidFilter,
        ),
        (
            "replace",
            "emails[primary gt true].value",
            json!("x"),
            InvalidFilter,
        ),
    ];
    for (op, path, value, want) in rows {
        check_refused(
            json!({"emails": [{"value": "a"}]}),
            json!([{"op": op, "path": path, "value": value}]),
            want,
        );
    }
    let nothing = format!("{ENTERPRISE}:nothing");
    check_refused(
        json!({}),
        json!([{"op": "add", "path": nothing, "value": "x"}]),
        InvalidPath,
    );
    let display = format!("{ENTERPRISE}:manager.displayName");
    check_refused(
        json!({}),
        json!([{"op": "add", "path": display, "value": "x"}]),
        Mutability,
    );
    check_refused(
        json!({}),
        json!([{"op": "replace", "value": {"nothing": 1}}]),
        InvalidPath,
    );
    check_refused(
        json!({}),
        json!([{"op": "replace", "value": "x"}]),
        InvalidValue,
    );
    check_refused(
        json!({}),
        json!([{"op": "replace", "value": null}]),
        InvalidValue,
    );
    check_refused(json!({}), json!([{"op": "replace"}]), InvalidValue);
}

// Section 7: operations apply in order, and all or nothing.
#[test]
fn a_request_is_atomic_and_ordered() {
    check(
        json!({}),
        json!([
            {"op": "add", "path": "title", "value": "a"},
            {"op": "replace", "path": "title", "value": "b"},
            {"op": "remove", "path": "title"},
            {"op": "add", "path": "title", "value": "c"}
        ]),
        json!({"title": "c"}),
    );
    check_refused(
        json!({"title": "a"}),
        json!([{"op": "replace", "path": "title", "value": "b"}, {"op": "remove", "path": "userName"}]),
        ScimType::Mutability,
    );
}

// Section 7: an operation that changes nothing is seen as such (`check` compares `changed`).
#[test]
fn an_operation_that_changes_nothing_says_so() {
    check_one(
        json!({"title": "a"}),
        "replace",
        "title",
        json!("a"),
        json!({"title": "a"}),
    );
    check_one(
        json!({"active": false}),
        "Replace",
        "active",
        json!("False"),
        json!({"active": false}),
    );
    check_one(
        two_emails(),
        "add",
        "emails",
        two_emails()["emails"].clone(),
        two_emails(),
    );
    check_one(json!({}), "replace", "password", json!("secret"), json!({}));
    check(
        json!({}),
        json!([{"op": "replace", "value": {"password": "secret"}}]),
        json!({}),
    );
    check(
        json!({}),
        json!([{"op": "remove", "path": "password"}]),
        json!({}),
    );
}

// Section 12.3, the table of the two forms.
#[test]
fn both_forms_of_entra_work() {
    check_one(
        json!({"active": true}),
        "Replace",
        "active",
        json!("False"),
        json!({"active": false}),
    );
    check_one(
        json!({"active": true}),
        "replace",
        "active",
        json!(false),
        json!({"active": false}),
    );
    check_one(
        json!({}),
        "Add",
        "nickName",
        json!("Pav"),
        json!({"nickName": "Pav"}),
    );
    check_one(
        json!({}),
        "add",
        "nickName",
        json!("Pav"),
        json!({"nickName": "Pav"}),
    );
    check(
        json!({"emails": [{"type": "work", "value": "a"}], "name": {"familyName": "Ito"}}),
        json!([
            {"op": "replace", "path": "emails[type eq \"work\"].value", "value": "p.ito@example.net"},
            {"op": "replace", "value": {"displayName": "P. Ito", "name.givenName": "Pavel", format!("{ENTERPRISE}:department"): "Assay"}}
        ]),
        json!({
            "emails": [{"type": "work", "value": "p.ito@example.net"}],
            "name": {"familyName": "Ito", "givenName": "Pavel"},
            "displayName": "P. Ito",
            ENTERPRISE: {"department": "Assay"}
        }),
    );
}

// Section 12.3: the manager in every form, and its removal.
#[test]
fn a_manager_comes_and_goes_in_every_form() {
    let full = format!("{ENTERPRISE}:manager");
    let with = |value: &str| json!({ENTERPRISE: {"manager": {"value": value}}});
    for path in [full.as_str(), "manager", &full.to_lowercase()] {
        for op in ["Add", "replace"] {
            for before in [json!({}), with("old")] {
                check_one(before.clone(), op, path, json!("m1"), with("m1"));
                check_one(before.clone(), op, path, json!({"value": "m1"}), with("m1"));
                check_one(
                    before.clone(),
                    op,
                    path,
                    json!([{"$ref": null, "value": "m1"}]),
                    with("m1"),
                );
                check_one(
                    before,
                    op,
                    path,
                    json!({"Value": "m1", "displayName": "M"}),
                    with("m1"),
                );
            }
        }
        for empty in [
            json!(""),
            json!(null),
            json!({"value": ""}),
            json!({"value": null}),
            json!([]),
            json!([{"value": ""}]),
        ] {
            check_one(with("m1"), "Replace", path, empty.clone(), json!({}));
            check_one(json!({}), "Replace", path, empty, json!({}));
        }
        check(
            with("m1"),
            json!([{"op": "Remove", "path": path}]),
            json!({}),
        );
        check_one(
            with("m1"),
            "Remove",
            path,
            json!([{"value": "m1"}]),
            json!({}),
        );
    }
    let referenced = json!({ENTERPRISE: {"manager": {"value": "m1", "$ref": "../Users/m1"}}});
    check_one(
        json!({}),
        "Add",
        &full,
        json!([{"$ref": "../Users/m1", "value": "m1"}]),
        referenced.clone(),
    );
    // A reference to someone else must not keep the old address.
    check_one(
        referenced.clone(),
        "replace",
        &full,
        json!({"value": "m2"}),
        with("m2"),
    );
    check_one(
        referenced.clone(),
        "replace",
        &format!("{full}.value"),
        json!("m2"),
        with("m2"),
    );
    check_one(
        referenced.clone(),
        "replace",
        &format!("{full}.value"),
        json!("m1"),
        referenced.clone(),
    );
    check_one(
        referenced.clone(),
        "replace",
        &format!("{full}.value"),
        json!(""),
        json!({}),
    );
    check_one(
        referenced.clone(),
        "Add",
        &full,
        json!({"displayName": "M"}),
        referenced,
    );
}

// Section 12.3: the forms before 2018.
#[test]
fn wrapped_single_values_are_unwrapped() {
    let wrapped = json!([{"$ref": null, "value": "x"}]);
    check_one(
        json!({}),
        "Add",
        "title",
        wrapped.clone(),
        json!({"title": "x"}),
    );
    check_one(
        json!({}),
        "Add",
        &format!("{ENTERPRISE}.department"),
        wrapped,
        json!({ENTERPRISE: {"department": "x"}}),
    );
}

// Section 13: Okta.
#[test]
fn requests_of_okta_work() {
    check(
        json!({"active": true}),
        json!([{"op": "replace", "value": {"active": false}}]),
        json!({"active": false}),
    );
    check(
        json!({}),
        json!([{"op": "replace", "value": {"id": "1", "meta": {"x": 1}, "schemas": [USER], "groups": [], "title": "t"}}]),
        json!({"title": "t"}),
    );
    check_refused(
        json!({}),
        json!([{"op": "replace", "value": {"id": "2"}}]),
        ScimType::Mutability,
    );
    check_refused(
        json!({}),
        json!([{"op": "replace", "value": {"groups": [{"value": "g"}]}}]),
        ScimType::Mutability,
    );
}

#[track_caller]
fn check_body(body: Value, want: Result<usize, (u16, Option<ScimType>)>) {
    let got = PatchRequest::parse(map(body.clone()));
    let got = got
        .map(|request| request.operations.len())
        .map_err(|error| (error.status, error.scim_type));
    assert_eq!(got, want, "{body}");
}

// Sections 7, 12.5 and 14: bodies.
#[test]
fn bodies_are_read_tolerantly_and_bounded() {
    let syntax = Err((400, Some(ScimType::InvalidSyntax)));
    let op = json!({"op": "add", "path": "title", "value": "x"});
    let body = |operations: Value| json!({"schemas": [PATCH_OP], "Operations": operations});
    check_body(body(json!([op])), Ok(1));
    check_body(json!({"schemas": [PATCH_OP], "operations": [op]}), Ok(1));
    check_body(
        json!({"Schemas": [PATCH_OP.to_lowercase()], "OPERATIONS": [op], "id": "x"}),
        Ok(1),
    );
    for word in ["add", "Add", "ADD", "Replace", "REMOVE"] {
        check_body(
            body(json!([{"op": word, "path": "title", "value": "x", "name": "unknown"}])),
            Ok(1),
        );
    }
    check_body(
        body(json!([{"OP": "add", "Path": "title", "VALUE": "x"}])),
        Ok(1),
    );
    check_body(
        body(json!([{"op": "add", "path": null, "value": {}}])),
        Ok(1),
    );
    check_body(json!({"Operations": [op]}), syntax);
    check_body(json!({"schemas": [USER], "Operations": [op]}), syntax);
    check_body(json!({"schemas": [PATCH_OP]}), syntax);
    check_body(body(json!([])), syntax);
    check_body(body(json!({})), syntax);
    check_body(body(json!(["add"])), syntax);
    check_body(body(json!([{"path": "title", "value": "x"}])), syntax);
    check_body(body(json!([{"op": "copy", "path": "title"}])), syntax);
    check_body(body(json!([{"op": 5, "path": "title"}])), syntax);
    check_body(body(json!([{"op": null}])), syntax);
    check_body(
        body(json!([{"op": "add", "path": 5, "value": 1}])),
        Err((400, Some(ScimType::InvalidPath))),
    );
    check_body(
        body(Value::Array(vec![op; MAX_OPERATIONS + 1])),
        Err((413, None)),
    );
}

#[test]
fn a_request_is_written_as_the_rfc_says() {
    let body = json!({"schemas": [PATCH_OP], "Operations": [
        {"op": "add", "path": "emails[type eq \"work\"].value", "value": "a"},
        {"op": "remove", "path": "title"},
        {"op": "replace", "value": {"active": false}}
    ]});
    assert_eq!(
        PatchRequest::parse(map(body.clone())).unwrap().to_json(),
        body
    );
}

#[track_caller]
fn check_members(operations: Value, want: Vec<MemberChange>) {
    let mut document = map(json!({"schemas": [GROUP], "displayName": "Crew"}));
    let before = document.clone();
    let request = request(&operations).unwrap();
    let applied = apply(&mut document, "g1", &request, group());
    assert_eq!(
        applied,
        Ok(Applied {
            changed: false,
            members: want
        }),
        "{operations}"
    );
    assert_eq!(document, before);
}

fn members(ids: &[&str]) -> Vec<Member> {
    ids.iter().map(|id| Member::new(*id)).collect()
}

fn ids(ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

// Sections 7, 12.3, 13 and 14: memberships.
#[test]
fn memberships_come_out_as_changes_in_order() {
    use MemberChange::{Add, Remove, RemoveAll, RemoveMatching, ReplaceAll};
    let list = json!([{"$ref": null, "value": "u1"}, {"value": "u2"}]);
    check_members(
        json!([{"op": "Add", "path": "members", "value": list}]),
        vec![Add(members(&["u1", "u2"]))],
    );
    check_members(
        json!([{"op": "add", "path": "members", "value": {"value": "u1"}}]),
        vec![Add(members(&["u1"]))],
    );
    check_members(
        json!([{"op": "add", "path": "members", "value": "u1"}]),
        vec![Add(members(&["u1"]))],
    );
    check_members(
        json!([{"op": "add", "path": "members", "value": ["u1", "u1"]}]),
        vec![Add(members(&["u1"]))],
    );
    check_members(
        json!([{"op": "add", "path": format!("{GROUP}:Members"), "value": ["u1"]}]),
        vec![Add(members(&["u1"]))],
    );
    check_members(
        json!([{"op": "add", "value": {"members": ["u1"]}}]),
        vec![Add(members(&["u1"]))],
    );
    check_members(
        json!([{"op": "add", "path": r#"members[value eq "u1"]"#, "value": {"value": "u1"}}]),
        vec![Add(members(&["u1"]))],
    );
    // Remove with a value list, without a value, with a value path.
    check_members(
        json!([{"op": "Remove", "path": "members", "value": [{"value": "u1"}]}]),
        vec![Remove(ids(&["u1"]))],
    );
    check_members(
        json!([{"op": "Remove", "path": "members", "value": []}]),
        vec![Remove(ids(&[]))],
    );
    check_members(
        json!([{"op": "Remove", "path": "members"}]),
        vec![RemoveAll],
    );
    check_members(
        json!([{"op": "remove", "path": r#"members[value eq "u1"]"#}]),
        vec![Remove(ids(&["u1"]))],
    );
    check_members(
        json!([{"op": "remove", "path": r#"members[value eq "u1" or value eq "u2"]"#}]),
        vec![Remove(ids(&["u1", "u2"]))],
    );
    // What cannot be a member is none.
    check_members(
        json!([{"op": "remove", "path": r#"members[value eq "u1" or value eq "a\u0000"]"#}]),
        vec![Remove(ids(&["u1"]))],
    );
    let users = Filter::parse(r#"type eq "User""#).unwrap();
    check_members(
        json!([{"op": "remove", "path": r#"members[type eq "User"]"#}]),
        vec![RemoveMatching(users)],
    );
    // Replace, also without path; an empty list empties the group.
    check_members(
        json!([{"op": "replace", "path": "members", "value": ["u1"]}]),
        vec![ReplaceAll(members(&["u1"]))],
    );
    check_members(
        json!([{"op": "replace", "path": "members", "value": []}]),
        vec![ReplaceAll(Vec::new())],
    );
    check_members(
        json!([{"op": "replace", "path": "members", "value": null}]),
        vec![ReplaceAll(Vec::new())],
    );
    check_members(
        json!([{"op": "replace", "value": {"id": "g1", "displayName": "Crew", "members": ["u1"]}}]),
        vec![ReplaceAll(members(&["u1"]))],
    );
    check_members(
        json!([
            {"op": "remove", "path": r#"members[value eq "u1"]"#},
            {"op": "add", "path": "members", "value": [{"value": "u2", "display": "Two", "type": "User"}]}
        ]),
        vec![
            Remove(ids(&["u1"])),
            Add(vec![Member {
                value: "u2".into(),
                ref_type: Some("User".into()),
                display: Some("Two".into()),
            }]),
        ],
    );
}

#[track_caller]
fn check_group_refused(operation: Value, want: ScimType) {
    let mut document = map(json!({"schemas": [GROUP], "displayName": "Crew"}));
    let operations = json!([operation]);
    let got =
        request(&operations).and_then(|request| apply(&mut document, "g1", &request, group()));
    let error = got.expect_err(&operations.to_string());
    assert_eq!(
        (error.status, error.scim_type),
        (400, Some(want)),
        "{operations}: {error}"
    );
}

#[test]
fn members_cannot_be_changed_in_place() {
    use ScimType::{InvalidFilter, InvalidValue, Mutability, NoTarget};
    check_group_refused(
        json!({"op": "replace", "path": r#"members[value eq "u1"]"#, "value": {"value": "u2"}}),
        Mutability,
    );
    check_group_refused(
        json!({"op": "replace", "path": r#"members[value eq "u1"].display"#, "value": "x"}),
        Mutability,
    );
    check_group_refused(
        json!({"op": "add", "path": "members", "value": [{}]}),
        InvalidValue,
    );
    check_group_refused(json!({"op": "add", "path": "members"}), InvalidValue);
    for id in ["", "a\\u0000", &"a".repeat(2000)] {
        let path = format!("members[value eq \"{id}\"]");
        check_group_refused(
            json!({"op": "add", "path": path, "value": {}}),
            InvalidValue,
        );
    }
    check_group_refused(
        json!({"op": "add", "path": r#"members[type eq "User"]"#, "value": {}}),
        NoTarget,
    );
    check_group_refused(
        json!({"op": "remove", "path": "members[value gt null]"}),
        InvalidFilter,
    );
    check_group_refused(json!({"op": "remove", "path": "displayName"}), Mutability);
    check_group_refused(
        json!({"op": "replace", "path": "displayName", "value": ""}),
        InvalidValue,
    );
}

#[test]
fn a_group_is_renamed_beside_its_members() {
    let mut document = map(json!({"schemas": [GROUP], "displayName": "Crew"}));
    let operations = json!([{"op": "replace", "value": {"id": "g1", "displayName": "Field crew"}}]);
    let applied = apply(&mut document, "g1", &request(&operations).unwrap(), group()).unwrap();
    assert_eq!(
        applied,
        Applied {
            changed: true,
            members: Vec::new()
        }
    );
    assert_eq!(
        Value::Object(document),
        json!({"schemas": [GROUP], "displayName": "Field crew"})
    );
}

#[test]
fn a_list_cannot_grow_without_bound() {
    let many: Vec<Value> = (0..1_500)
        .map(|at| json!({"value": at.to_string()}))
        .collect();
    let more: Vec<Value> = (1_500..3_000)
        .map(|at| json!({"value": at.to_string()}))
        .collect();
    check_refused(
        json!({}),
        json!([{"op": "add", "path": "roles", "value": many}, {"op": "add", "path": "roles", "value": more}]),
        ScimType::InvalidValue,
    );
}

proptest! {
    #[test]
    fn no_request_makes_anything_panic_and_documents_stay_canonical(
        before in any_json(),
        operations in proptest::collection::vec((
            proptest::sample::select(vec!["add", "Replace", "REMOVE"]),
            proptest::option::of(proptest::sample::select(vec![
                "userName", "name", "name.givenName", "emails", "emails.value", "emails[type eq \"work\"]",
                "emails[type eq \"work\"].value", "emails[primary eq true].primary", "roles[primary eq \"True\"].value",
                "manager", "active", "members", "members[value eq \"a\"]", "id", "nothing", "title",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User",
                "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value",
                "urn:ietf:params:scim:schemas:core:2.0:User",
            ])),
            proptest::option::of(any_json()),
        ), 1..5),
    ) {
        use crate::resource::{Purpose, normalise};
        let Value::Object(mut body) = before else { return Ok(()) };
        body.insert("userName".into(), json!("ana"));
        body.insert("displayName".into(), json!("ana"));
        let operations: Vec<Value> = operations
            .into_iter()
            .map(|(op, path, value)| {
                let mut operation = json!({"op": op, "path": path});
                if let Some(value) = value {
                    operation["value"] = value;
                }
                operation
            })
            .collect();
        for kind in [user(), group()] {
            let Ok(normalised) = normalise(body.clone(), kind, Purpose::Create) else { continue };
            let mut document = normalised.document;
            let Ok(request) = request(&json!(operations)) else { continue };
            if apply(&mut document, "1", &request, kind).is_ok() {
                let again = normalise(document.clone(), kind, Purpose::Create);
                prop_assert_eq!(again.map(|normalised| normalised.document), Ok(document));
            }
        }
    }
}

// Profile section 17: what is bounded one by one is bounded together.
#[test]
fn the_work_of_one_request_is_bounded() {
    let emails: Vec<Value> = (0..2000)
        .map(|n| json!({"value": format!("{n}@x")}))
        .collect();
    let mut document = map(json!({"userName": "a", "emails": emails}));
    let one =
        |n: usize| json!({"op": "remove", "path": format!("emails[value eq \"{n}@y\"].display")});
    let request = |operations: Vec<Value>| {
        let body = json!({"schemas": [PATCH_OP], "Operations": operations});
        PatchRequest::parse(map(body)).unwrap()
    };
    let fine = request((0..1000).map(one).collect());
    assert!(apply(&mut document, "u", &fine, user()).is_ok());
    let many = request((0..20_000).map(one).collect());
    let began = std::time::Instant::now();
    let error = apply(&mut document, "u", &many, user()).unwrap_err();
    assert_eq!(error.status, 413);
    assert!(began.elapsed().as_secs() < 10);
}

proptest! {
    /// What is about members alone does the same to a document that nobody looked at.
    #[test]
    fn members_alone_are_what_applying_finds(
        operations in prop::collection::vec((0..6, "[a-c]{1,2}"), 1..4),
    ) {
        let operations: Vec<Value> = operations
            .into_iter()
            .map(|(what, id)| match what {
                0 => json!({"op": "Add", "path": "members", "value": [{"value": id}]}),
                1 => json!({"op": "remove", "path": "members", "value": [{"value": id}]}),
                2 => json!({"op": "remove", "path": format!("members[value eq \"{id}\"]")}),
                3 => json!({"op": "replace", "path": "members", "value": []}),
                4 => json!({"op": "replace", "path": "displayName", "value": id}),
                _ => json!({"op": "replace", "path": "members.value", "value": id}),
            })
            .collect();
        let request = request(&Value::from(operations.clone())).unwrap();
        let mut document = map(json!({"schemas": [GROUP], "displayName": "b"}));
        let before = document.clone();
        let applied = apply(&mut document, "1", &request, group());
        let is_about = |operation: &Value, path: &str| operation["path"] == path;
        let alone = !operations.iter().any(|it| is_about(it, "displayName"));
        match (members_alone(&request, group()), applied) {
            (Some(members), Ok(applied)) => {
                prop_assert!(alone);
                prop_assert_eq!(document, before);
                prop_assert_eq!(members, applied.members);
            }
            (None, applied) => prop_assert!(!alone || applied.is_err()),
            (Some(_), Err(error)) => prop_assert!(false, "{error}"),
        }
    }
}
