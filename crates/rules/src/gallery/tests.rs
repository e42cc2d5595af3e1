use muster_model::{Attributes, Timestamp, Value};

use super::Gallery;
use crate::expr::Context;
use crate::mapping::MappingSource;
use crate::schema::Schema;

const APPS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../gallery/apps.json"
));
const DEFAULTS: &str = include_str!(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../gallery/default-mappings.json"
));

fn gallery() -> Gallery {
    Gallery::parse(APPS, DEFAULTS).unwrap()
}

/// Compiles, and survives import and export byte by byte.
#[track_caller]
fn check_schema(name: &str, schema: &Schema) {
    let compiled = schema.compile();
    assert!(compiled.is_ok(), "{name}: {:#?}", compiled.err());
    let exported = schema.to_json();
    let imported = Schema::from_json(&exported).unwrap();
    assert_eq!(&imported, schema, "{name}");
    assert_eq!(imported.to_json(), exported, "{name}");
}

#[test]
fn every_application_starts_with_a_schema_that_works() {
    let gallery = gallery();
    assert_eq!(gallery.apps().len(), 147);
    for app in gallery.apps() {
        let schema = gallery.default_schema(app);
        check_schema(&app.id, &schema);
        let compiled = schema.compile().unwrap();
        assert_eq!(compiled.group.is_some(), app.supports_groups, "{}", app.id);
        assert!(!compiled.user.matching().is_empty(), "{}", app.id);
    }
    check_schema("custom", &gallery.custom_app_schema("Contoso Wiki"));
}

#[test]
fn applications_are_found_by_any_of_their_names() {
    let gallery = gallery();
    for name in [
        "Symantec Web Security Service",
        "symantec-web-security-service",
        " wss ",
    ] {
        assert_eq!(
            gallery.find(name).unwrap().display_name,
            "Symantec Web Security Service"
        );
    }
    let missing = gallery.find("Symantec Web Securty Service").unwrap_err();
    assert_eq!(missing.suggestions, ["Symantec Web Security Service"]);
    assert!(missing.to_string().contains("did you mean Symantec"));
    assert_eq!(
        gallery.search("symantec web")[0].id,
        "symantec-web-security-service"
    );
    assert_eq!(gallery.search("").len(), gallery.apps().len());
}

#[test]
fn symantec_has_its_twenty_two_mappings() {
    let gallery = gallery();
    let app = gallery.find("WSS").unwrap();
    let compiled = gallery.default_schema(app).compile().unwrap();
    assert_eq!(compiled.user.attributes.len(), 22);
    assert_eq!(compiled.group.as_ref().unwrap().attributes.len(), 3);
    let matching: Vec<&str> = compiled
        .user
        .matching()
        .iter()
        .map(|m| &*m.target)
        .collect();
    assert_eq!(matching, ["userName"]);
    let references: Vec<&str> = compiled.user.references().map(|m| &*m.target).collect();
    assert_eq!(
        references,
        ["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager"]
    );

    let mut ana = Attributes::new();
    ana.set("userPrincipalName", "ana@contoso.example");
    ana.set("IsSoftDeleted", false);
    ana.set("givenName", "Ana");
    ana.set("surname", "Silva");
    let context = Context::at(Timestamp::default());
    let mapped = compiled.user.evaluate(&ana, &context).unwrap();
    assert_eq!(mapped.len(), 21);
    let value = |target: &str| {
        let found = mapped.iter().find(|mapped| mapped.mapping.target == target);
        found.unwrap().value.clone()
    };
    assert_eq!(value("userName"), Some("ana@contoso.example".into()));
    assert_eq!(value("active"), Some(Value::Bool(true)));
    assert_eq!(value("name.formatted"), Some("Ana Silva".into()));
    assert_eq!(value("title"), None);
}

// 3.6
#[test]
fn a_custom_application_gets_the_documented_table() {
    let schema = gallery().custom_app_schema("Contoso Wiki");
    let compiled = schema.compile().unwrap();
    assert_eq!(compiled.user.attributes.len(), 22);
    assert_eq!(compiled.group.unwrap().attributes.len(), 3);
    let external = compiled.user.find("externalId").unwrap();
    assert_eq!(
        external.source,
        MappingSource::Attribute("mailNickname".to_owned())
    );
}

#[test]
fn what_an_application_matches_on_is_matched_on() {
    let gallery = gallery();
    #[track_caller]
    fn check(gallery: &Gallery, app: &str, want: &[(&str, &str)]) {
        let app = gallery.find(app).unwrap();
        let compiled = gallery.default_schema(app).compile().unwrap();
        let got: Vec<(String, String)> = compiled
            .user
            .matching()
            .iter()
            .map(|mapping| {
                let MappingSource::Attribute(source) = &mapping.source else {
                    panic!("not direct");
                };
                (mapping.target.clone(), source.clone())
            })
            .collect();
        let got: Vec<(&str, &str)> = got.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(got, want);
    }
    check(&gallery, "twingate", &[("externalId", "objectId")]);
    check(
        &gallery,
        "atlassian-cloud",
        &[("emails[type eq \"work\"].value", "mail")],
    );
    check(&gallery, "salesforce", &[("Username", "userPrincipalName")]);
}
