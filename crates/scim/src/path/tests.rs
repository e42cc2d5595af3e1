//! Rows for paths: reading, meaning, and the shapes they build (profile sections 7 and 12.3).

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ScimType;
use crate::filter::tests::any_filter;
use crate::schema::user;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const CUSTOM: &str = "urn:ietf:params:scim:schemas:extension:Acme:2.0:User";

fn map(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        _ => panic!("a document is an object"),
    }
}

#[track_caller]
fn check_canonical(text: &str, want: Option<&str>) {
    let path = Path::parse(text).unwrap();
    let got = path.canonical(user()).map(|path| path.to_string());
    assert_eq!(got.as_deref(), want, "{text}");
}

#[test]
fn paths_take_the_spelling_of_the_schema() {
    check_canonical("USERNAME", Some("userName"));
    check_canonical(" userName ", Some("userName"));
    check_canonical("name.GivenName", Some("name.givenName"));
    check_canonical(
        r#"Emails[type eq "work"].Value"#,
        Some(r#"emails[type eq "work"].value"#),
    );
    check_canonical(
        r#"addresses[type eq "work"].Formatted"#,
        Some(r#"addresses[type eq "work"].formatted"#),
    );
    check_canonical(
        r#"roles[primary eq "True"].value"#,
        Some(r#"roles[primary eq "True"].value"#),
    );
    check_canonical(
        "urn:ietf:params:scim:schemas:core:2.0:User:userName",
        Some("userName"),
    );
    let department = format!("{ENTERPRISE}:department");
    check_canonical(&department.to_uppercase(), Some(&department));
    check_canonical(&format!("{ENTERPRISE}.department"), Some(&department));
    check_canonical(
        &format!("{ENTERPRISE}:manager.value"),
        Some(&format!("{ENTERPRISE}:manager.value")),
    );
    check_canonical("manager", Some(&format!("{ENTERPRISE}:manager")));
    check_canonical(ENTERPRISE, Some(ENTERPRISE));
    check_canonical("nothing", None);
    check_canonical("emails[type eq \"work\"].nothing", None);
    check_canonical(&format!("{CUSTOM}:badge"), None);
}

#[track_caller]
fn check_refused(text: &str, want: ScimType) {
    let error = Path::parse(text).expect_err(text);
    assert_eq!((error.status, error.scim_type), (400, Some(want)), "{text}");
}

// Profile section 7: broken path 400 invalidPath, broken filter in it invalidFilter.
#[test]
fn broken_paths_are_refused() {
    for text in [
        "",
        " ",
        ".",
        "a b",
        "a..b",
        "a.b.c",
        "é",
        "[type eq \"work\"]",
        "emails.value[type eq \"work\"]",
        "emails[type eq \"work\"]value",
        "emails[type eq \"work\"].",
        "emails[type eq \"work\"].a.b",
        "emails[type eq \"work\"] .value",
        "emails]",
    ] {
        check_refused(text, ScimType::InvalidPath);
    }
    for text in [
        "emails[",
        "emails[]",
        "emails[type]",
        "emails[type eq work]",
        "emails[type eq \"work\"",
        "emails[type eq \"work]",
        "emails[a[b eq 1]]",
    ] {
        check_refused(text, ScimType::InvalidFilter);
    }
    check_refused(
        &format!("emails[{}", "(".repeat(10_000)),
        ScimType::InvalidFilter,
    );
    check_refused(
        &format!("emails[type eq \"{}\"]", "a".repeat(MAX_LENGTH)),
        ScimType::InvalidPath,
    );
}

#[track_caller]
fn check_get(path: &str, want: &Value) {
    let document = map(json!({
        "USERNAME": "ana",
        "name": {"GivenName": "Ana"},
        "emails": [{"type": "home", "value": "h"}, {"Type": "Work", "value": "w", "primary": "True"}],
        "phoneNumbers": {"type": "work", "value": "1"},
        "roles": [{"value": "r0"}, {"value": "r1", "primary": true}],
        ENTERPRISE.to_lowercase(): {"Department": "Lab", "manager": {"value": "m"}},
        CUSTOM: {"badge": 7}
    }));
    let got = Path::parse(path)
        .unwrap()
        .get(&document)
        .cloned()
        .unwrap_or_default();
    assert_eq!(&got, want, "{path}");
}

#[test]
fn values_are_found_in_documents_of_any_server() {
    check_get("userName", &json!("ana"));
    check_get("name.givenName", &json!("Ana"));
    check_get(r#"emails[type eq "work"].value"#, &json!("w"));
    check_get("emails[primary eq true].value", &json!("w"));
    check_get(
        r#"emails[type eq "home" and primary eq false].value"#,
        &json!("h"),
    );
    check_get(r#"emails[type eq "other"].value"#, &json!(null));
    check_get("emails.value", &json!("w"));
    check_get(r#"phoneNumbers[type eq "work"].value"#, &json!("1"));
    check_get("phoneNumbers.value", &json!("1"));
    check_get(r#"roles[primary eq "True"].value"#, &json!("r1"));
    check_get(
        "urn:ietf:params:scim:schemas:core:2.0:User:userName",
        &json!("ana"),
    );
    check_get("urn:ietf:params:scim:schemas:core:2.0:User", &json!(null));
    check_get(&format!("{ENTERPRISE}:department"), &json!("Lab"));
    check_get(&format!("{ENTERPRISE}:manager.value"), &json!("m"));
    check_get(&format!("{CUSTOM}:badge"), &json!(7));
    check_get(CUSTOM, &json!({"badge": 7}));
    check_get("name.givenName", &json!("Ana"));
    check_get("nothing", &json!(null));
    check_get("userName.part", &json!(null));
    check_get("urn:x:y", &json!(null));
}

#[track_caller]
fn check_set(values: &[(&str, Value)], want: Value) {
    let mut document = Map::new();
    for (path, value) in values {
        Path::parse(path)
            .unwrap()
            .set(&mut document, value.clone())
            .unwrap();
    }
    assert_eq!(Value::Object(document), want);
}

// Provisioning reference 3.5 and 7.4: the shapes of a create.
#[test]
fn create_bodies_are_built_from_paths() {
    check_set(
        &[("userName", json!("ana")), ("active", json!(true))],
        json!({"userName": "ana", "active": true}),
    );
    check_set(
        &[
            ("name.givenName", json!("Ana")),
            ("name.familyName", json!("Ruiz")),
        ],
        json!({"name": {"givenName": "Ana", "familyName": "Ruiz"}}),
    );
    check_set(
        &[
            (r#"emails[type eq "work"].value"#, json!("a@x")),
            (r#"emails[type eq "home"].value"#, json!("b@x")),
        ],
        json!({"emails": [{"type": "work", "primary": true, "value": "a@x"}, {"type": "home", "value": "b@x"}]}),
    );
    check_set(
        &[
            (
                r#"emails[type eq "home" and primary eq true].value"#,
                json!("h"),
            ),
            (r#"emails[type eq "work"].value"#, json!("w")),
        ],
        json!({"emails": [{"type": "home", "primary": true, "value": "h"}, {"type": "work", "value": "w"}]}),
    );
    check_set(
        &[(r#"phoneNumbers[type eq "work"].value"#, json!("1"))],
        json!({"phoneNumbers": [{"type": "work", "value": "1"}]}),
    );
    check_set(
        &[
            (r#"addresses[type eq "work"].streetAddress"#, json!("S")),
            (r#"addresses[type eq "work"].locality"#, json!("L")),
        ],
        json!({"addresses": [{"type": "work", "streetAddress": "S", "locality": "L"}]}),
    );
    check_set(
        &[(r#"roles[primary eq "True"].value"#, json!("Admin"))],
        json!({"roles": [{"primary": true, "value": "Admin"}]}),
    );
    check_set(
        &[
            (&format!("{ENTERPRISE}:department"), json!("Lab")),
            (&format!("{CUSTOM}:badge"), json!(7)),
        ],
        json!({ENTERPRISE: {"department": "Lab"}, CUSTOM: {"badge": 7}}),
    );
    check_set(
        &[(&format!("{ENTERPRISE}:manager.value"), json!("m"))],
        json!({ENTERPRISE: {"manager": {"value": "m"}}}),
    );
    check_set(
        &[
            ("roles", json!([])),
            ("title", json!("a")),
            ("TITLE", json!("b")),
        ],
        json!({"roles": [], "title": "b"}),
    );
    check_set(
        &[
            ("emails", json!([{"value": "a"}])),
            ("emails.type", json!("work")),
        ],
        json!({"emails": [{"value": "a", "type": "work"}]}),
    );
    check_set(
        &[(r#"emails[type eq "work"]"#, json!("a"))],
        json!({"emails": [{"type": "work", "primary": true, "value": "a"}]}),
    );
    check_set(
        &[(r#"emails[type eq "other"]"#, json!({"value": "a"}))],
        json!({"emails": [{"type": "other", "value": "a"}]}),
    );
    check_set(
        &[("name", json!("x")), ("name.givenName", json!("y"))],
        json!({"name": {"givenName": "y"}}),
    );
}

#[test]
fn a_filter_without_equalities_builds_nothing() {
    for path in [
        r#"emails[type ne "work"].value"#,
        r#"emails[not (type eq "x")].value"#,
        r#"emails[type eq "a" or type eq "b"].value"#,
        "emails[value pr].type",
        "roles[primary eq \"maybe\"].value",
    ] {
        let error = Path::parse(path)
            .unwrap()
            .set(&mut Map::new(), json!("x"))
            .unwrap_err();
        assert_eq!(error.scim_type, Some(ScimType::NoTarget), "{path}");
    }
    let urn = Path::parse("urn:ietf:params:scim:schemas:core:2.0:User").unwrap();
    assert!(urn.set(&mut Map::new(), json!({})).is_err());
}

proptest! {
    #[test]
    fn parsing_a_printed_path_gives_it_back(
        name in "[a-zA-Z][a-zA-Z0-9]{0,8}",
        filter in proptest::option::of(any_filter()),
        sub in proptest::option::of("[a-z$]{1,6}"),
    ) {
        // Brackets do not nest in a path.
        let filter = filter.filter(|filter| !filter.to_string().contains('['));
        let brackets = filter.map(|filter| format!("[{filter}]")).unwrap_or_default();
        let text = format!("{name}{brackets}{}", sub.map(|sub| format!(".{sub}")).unwrap_or_default());
        let path = Path::parse(&text).unwrap();
        prop_assert_eq!(path.to_string(), text);
    }

    #[test]
    fn no_text_makes_a_path_panic(text in "\\PC*") {
        if let Ok(path) = Path::parse(&text) {
            let mut document = Map::new();
            let _ = path.set(&mut document, json!(1));
            let _ = path.get(&document);
            let _ = path.canonical(user());
        }
    }

    #[test]
    fn what_is_set_can_be_read(
        path in proptest::sample::select(vec![
            "userName", "name.givenName", "emails[type eq \"work\"].value", "roles[primary eq \"True\"].value",
            "urn:ietf:params:scim:schemas:extension:Acme:2.0:User:badge", "emails[value eq \"a\" and type eq \"b\"].display",
        ]),
        value in "\\PC{0,10}",
    ) {
        let path = Path::parse(path).unwrap();
        let mut document = Map::new();
        path.set(&mut document, json!(value)).unwrap();
        prop_assert_eq!(path.get(&document), Some(&json!(value)));
    }
}
