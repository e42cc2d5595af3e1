//! Rows for bodies of create and replace (profile sections 4, 5, 12.2, 12.5, 13 and 16).

use proptest::prelude::*;

use super::*;
use crate::ScimType;
use crate::schema::{ENTERPRISE_USER as ENTERPRISE, GROUP, USER, group, user};

fn map(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        _ => panic!("a body is an object"),
    }
}

/// Normalises a user; `want` leaves out `schemas` and the `userName`, which the body gets when it has none.
#[track_caller]
fn check(body: Value, want: Value) {
    let mut body = map(body);
    if !body.keys().any(|key| key.eq_ignore_ascii_case("userName")) {
        body.insert("userName".into(), json!("ana"));
    }
    let got = normalise(body, user(), Purpose::Create).unwrap();
    assert_eq!(got.members, None);
    let mut document = got.document;
    assert_eq!(document.keys().next().map(String::as_str), Some("schemas"));
    let schemas = document.shift_remove("schemas").unwrap();
    let extended = document.contains_key(ENTERPRISE);
    assert_eq!(
        schemas,
        if extended {
            json!([USER, ENTERPRISE])
        } else {
            json!([USER])
        }
    );
    assert!(document.shift_remove("userName").is_some());
    assert_eq!(Value::Object(document), want);
}

#[track_caller]
fn check_refused(body: Value) {
    let mut body = map(body);
    body.entry("userName").or_insert(json!("ana"));
    let error = normalise(body, user(), Purpose::Create).unwrap_err();
    assert_eq!(
        (error.status, error.scim_type),
        (400, Some(ScimType::InvalidValue)),
        "{error}"
    );
}

#[test]
fn names_take_the_spelling_of_the_schema() {
    check(
        json!({"USERNAME": "ana", "DisplayName": "Ana"}),
        json!({"displayName": "Ana"}),
    );
    check(
        json!({"Name": {"GIVENNAME": "Ana"}, "EMAILS": [{"Value": "a@x", "TYPE": "work", "Primary": true}]}),
        json!({"name": {"givenName": "Ana"}, "emails": [{"value": "a@x", "type": "work", "primary": true}]}),
    );
    check(
        json!({ENTERPRISE.to_uppercase(): {"Department": "Lab", "Manager": {"Value": "m"}}}),
        json!({ENTERPRISE: {"department": "Lab", "manager": {"value": "m"}}}),
    );
}

#[test]
fn unassigned_values_are_left_out() {
    check(
        json!({"title": null, "emails": [], "name": {}, "nothing": null, "active": null, ENTERPRISE: {}, "roles": [null]}),
        json!({}),
    );
    check(
        json!({ENTERPRISE: null, "name": {"givenName": null, "middleName": ""}}),
        json!({"name": {"middleName": ""}}),
    );
    check(
        json!({ENTERPRISE: {"department": null, "manager": {"value": ""}}}),
        json!({}),
    );
    check(json!({ENTERPRISE: []}), json!({}));
}

#[test]
fn values_keep_their_form() {
    let body = json!({
        "profileUrl": "not a url",
        "locale": "words",
        "timezone": "Mars/Olympus",
        "phoneNumbers": [{"value": " +1 (555) 010-0000 ", "type": "FAX"}],
        "addresses": [{"country": "Germany", "type": "work"}, {"country": "de", "type": "work"}],
        "displayName": "Zoë 🦊 e\u{301} \"\\ \u{0}",
        "x509Certificates": [{"value": "not base64"}]
    });
    check(body.clone(), body);
}

#[test]
fn what_clients_may_not_write_is_dropped() {
    check(
        json!({"id": "x", "meta": {"resourceType": "User"}, "groups": [{"value": "g"}], "password": "p"}),
        json!({}),
    );
    check(json!({"id": 5, "meta": "x", "groups": 7}), json!({}));
    check(
        json!({"nothing": {"a": 1}, "members": [{"value": "u"}], "urn:other:thing": {"a": 1}}),
        json!({}),
    );
    check(json!({ENTERPRISE: {"nothing": 1}}), json!({}));
    check(
        json!({ENTERPRISE: {"manager": {"value": "m", "displayName": "M", "$ref": "../Users/m"}}}),
        json!({ENTERPRISE: {"manager": {"value": "m", "$ref": "../Users/m"}}}),
    );
    check_refused(json!({"password": 5}));
}

#[test]
fn a_manager_may_be_plain_text() {
    check(
        json!({ENTERPRISE: {"manager": "m"}}),
        json!({ENTERPRISE: {"manager": {"value": "m"}}}),
    );
    check(json!({ENTERPRISE: {"manager": ""}}), json!({}));
}

#[test]
fn text_booleans_become_booleans() {
    check(json!({"active": "True"}), json!({"active": true}));
    check(json!({"active": "false"}), json!({"active": false}));
    check(
        json!({"roles": [{"primary": "True", "value": "r"}]}),
        json!({"roles": [{"primary": true, "value": "r"}]}),
    );
    check_refused(json!({"active": "on"}));
}

// Profile section 12.3: the JSON text of a role is kept verbatim.
#[test]
fn a_role_that_is_json_text_is_kept() {
    let role = json!({"roles": [{"value": "{\"id\":\"1\",\"value\":\"Admin\",\"displayName\":\"Admin\"}"}]});
    check(role.clone(), role);
}

#[test]
fn wrong_shapes_are_refused() {
    for body in [
        json!({"displayName": 5}),
        json!({"displayName": {}}),
        json!({"displayName": ["a"]}),
        json!({"name": "Ana"}),
        json!({"name": ["Ana"]}),
        json!({"emails": "a@x"}),
        json!({"emails": [["a@x"]]}),
        json!({"emails": [{"value": {}}]}),
        json!({"active": 1}),
        json!({"externalId": 5}),
        json!({ENTERPRISE: "x"}),
        json!({ENTERPRISE: {"department": 1}}),
        json!({"emails": [{"value": "a", "primary": true}, {"value": "b", "primary": true}]}),
        json!({"schemas": 5}),
        json!({"schemas": [5]}),
    ] {
        check_refused(body);
    }
}

#[test]
fn a_single_object_counts_as_a_list() {
    check(
        json!({"emails": {"value": "a@x"}}),
        json!({"emails": [{"value": "a@x"}]}),
    ); // OneLogin
}

#[track_caller]
fn check_name(name: Option<Value>, want: bool) {
    let mut body = map(json!({"schemas": [USER]}));
    if let Some(name) = name {
        body.insert("userName".into(), name);
    }
    let got = normalise(body, user(), Purpose::Create);
    assert_eq!(got.is_ok(), want, "{got:?}");
    if let Err(error) = got {
        assert_eq!(
            (error.status, error.scim_type),
            (400, Some(ScimType::InvalidValue))
        );
    }
}

#[test]
fn a_user_needs_a_name() {
    check_name(Some(json!("ana")), true);
    check_name(None, false);
    check_name(Some(json!(null)), false);
    check_name(Some(json!("")), false);
    check_name(Some(json!("  ")), false);
    check_name(Some(json!([])), false);
    check_name(Some(json!(5)), false);
}

#[track_caller]
fn check_schemas_of(kind: &ResourceType, schemas: Value, want: bool) {
    let body = map(json!({"schemas": schemas, "userName": "ana", "displayName": "Ana"}));
    let got = normalise(body, kind, Purpose::Create);
    assert_eq!(got.is_ok(), want, "{schemas}");
    if let Ok(normalised) = got {
        assert_eq!(normalised.document["schemas"], json!([kind.schema.id]));
    }
}

// Profile sections 3, 5 and 12.2.
#[test]
fn schemas_are_computed() {
    check_schemas_of(user(), json!([USER]), true);
    check_schemas_of(user(), json!([USER.to_lowercase()]), true);
    check_schemas_of(user(), json!([USER, ENTERPRISE]), true);
    check_schemas_of(user(), json!([ENTERPRISE]), true);
    check_schemas_of(user(), json!([USER, "urn:other"]), true);
    check_schemas_of(user(), json!(USER), true);
    check_schemas_of(user(), json!([]), true);
    check_schemas_of(user(), json!(null), true);
    check_schemas_of(user(), json!([GROUP]), false);
    check_schemas_of(user(), json!(["urn:other"]), false);
    check_schemas_of(group(), json!([USER]), false);
    let adscim = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group";
    check_schemas_of(group(), json!([GROUP, adscim]), true);
}

#[test]
fn extension_values_are_kept_when_schemas_forgets_them() {
    check(
        json!({"schemas": [USER], ENTERPRISE: {"department": "Lab"}}),
        json!({ENTERPRISE: {"department": "Lab"}}),
    );
}

#[track_caller]
fn check_group(members: Option<Value>, want: Option<&[&str]>) {
    let mut body = map(json!({"schemas": [GROUP], "displayName": "Crew", "externalId": "e"}));
    if let Some(members) = members {
        body.insert("Members".into(), members);
    }
    let got = normalise(body, group(), Purpose::Create).unwrap();
    let want_document = json!({"schemas": [GROUP], "displayName": "Crew", "externalId": "e"});
    assert_eq!(Value::Object(got.document), want_document);
    let ids = got.members.as_ref().map(|list| {
        list.iter()
            .map(|one| one.value.as_str())
            .collect::<Vec<_>>()
    });
    assert_eq!(ids.as_deref(), want);
}

#[test]
fn members_are_kept_apart_from_the_group() {
    check_group(None, None);
    check_group(Some(json!(null)), Some(&[]));
    check_group(Some(json!([])), Some(&[]));
    check_group(
        Some(json!([{"value": "u1", "display": "A"}, "u2"])),
        Some(&["u1", "u2"]),
    );
    let unnamed =
        normalise(map(json!({"schemas": [GROUP]})), group(), Purpose::Create).unwrap_err();
    assert_eq!(unnamed.scim_type, Some(ScimType::InvalidValue));
    let bad = normalise(
        map(json!({"displayName": "a", "members": [5]})),
        group(),
        Purpose::Create,
    );
    assert!(bad.is_err());
}

// Profile sections 12.2 and 13: creates of Entra and Okta as they are sent.
#[test]
fn creates_of_real_clients_are_read() {
    let entra = json!({
        "schemas": [USER, ENTERPRISE], "externalId": "d0b1", "userName": "pavel@example.net", "active": true,
        "displayName": "Pavel Ito", "emails": [{"primary": true, "type": "work", "value": "pavel@example.net"}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "Pavel Ito", "familyName": "Ito", "givenName": "Pavel"}, "roles": []
    });
    check(
        entra,
        json!({
            "externalId": "d0b1", "active": true, "displayName": "Pavel Ito",
            "emails": [{"primary": true, "type": "work", "value": "pavel@example.net"}],
            "name": {"formatted": "Pavel Ito", "familyName": "Ito", "givenName": "Pavel"}
        }),
    );
    let okta = json!({
        "schemas": [USER], "userName": "o", "password": "t1meMa$heen", "groups": [], "locale": "en-US",
        "externalId": "00u", "active": true, "name": {"givenName": "O", "middleName": ""}
    });
    check(
        okta,
        json!({"locale": "en-US", "externalId": "00u", "active": true, "name": {"givenName": "O", "middleName": ""}}),
    );
}

// Profile section 5: what GET returned can be PUT back unchanged.
#[test]
fn a_document_in_canonical_form_stays_as_it_is() {
    let body = map(json!({
        "schemas": [USER, ENTERPRISE], "id": "1", "userName": "ana", "emails": [{"value": "a"}],
        ENTERPRISE: {"manager": {"value": "m"}}, "groups": [{"value": "g"}], "meta": {"version": "W/\"1\""}
    }));
    let once = normalise(body, user(), Purpose::Create).unwrap().document;
    let twice = normalise(once.clone(), user(), Purpose::Replace(&once))
        .unwrap()
        .document;
    assert_eq!(once, twice);
}

#[test]
fn an_immutable_value_stays_on_replace() {
    let schema = serde_json::from_value(json!({
        "id": "urn:x:Device", "attributes": [{"name": "serial", "mutability": "immutable"}, {"name": "label"}]
    }))
    .unwrap();
    let definition = serde_json::from_value(
        json!({"name": "Device", "endpoint": "/Devices", "schema": "urn:x:Device"}),
    );
    let schemas = crate::Schemas::new(vec![schema], vec![definition.unwrap()]).unwrap();
    let kind = schemas.resource_type("device").unwrap();
    let before = map(json!({"serial": "1"}));
    let replace = |body| normalise(map(body), kind, Purpose::Replace(&before)).map(|_| ());
    assert_eq!(replace(json!({"serial": "1", "label": "x"})), Ok(()));
    assert_eq!(
        replace(json!({"serial": "2"})).unwrap_err().scim_type,
        Some(ScimType::Mutability)
    );
    assert_eq!(
        replace(json!({})).unwrap_err().scim_type,
        Some(ScimType::Mutability)
    );
}

pub(crate) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-z]{0,4}".prop_map(Value::from),
        Just(json!("True")),
    ];
    let names = proptest::sample::select(vec![
        "schemas",
        "id",
        "userName",
        "USERNAME",
        "name",
        "givenName",
        "emails",
        "value",
        "type",
        "primary",
        "active",
        "members",
        "manager",
        "meta",
        "groups",
        "roles",
        ENTERPRISE,
        "department",
        "$ref",
        "name.givenName",
        "emails[type eq \"work\"].value",
        "nothing",
        "password",
        "displayName",
    ]);
    leaf.prop_recursive(4, 24, 5, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::vec((names.clone().prop_map(str::to_owned), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_body_makes_normalise_panic_and_it_settles_at_once(body in any_json()) {
        if let Value::Object(mut body) = body {
            body.insert("userName".into(), json!("ana"));
            if let Ok(once) = normalise(body.clone(), user(), Purpose::Create) {
                let twice = normalise(once.document.clone(), user(), Purpose::Create).unwrap();
                prop_assert_eq!(&once.document, &twice.document);
            }
            let _ = normalise(body, group(), Purpose::Create);
        }
    }
}
