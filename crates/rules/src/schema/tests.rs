use serde_json::{Value as Json, json};

use super::{Schema, Source};
use crate::mapping::{Apply, MappingSource};

/// A small schema with one place to put something in.
fn document() -> Json {
    json!({
        "id": "Contoso.1", "version": "3",
        "directories": [
            { "id": "s", "name": "Azure Active Directory", "objects": [
                { "name": "User", "attributes": [
                    { "name": "objectId", "anchor": true },
                    { "name": "userPrincipalName" }, { "name": "department" },
                    { "name": "a" }, { "name": "b" },
                    { "name": "proxyAddresses", "multivalued": true },
                    { "name": "hired", "type": "DateTime" },
                    { "name": "manager", "type": "Reference" },
                    { "name": "appRoleAssignments", "multivalued": true }
                ] },
                { "name": "Group", "attributes": [{ "name": "displayName" }] }
            ] },
            { "id": "t", "name": "Contoso", "objects": [
                { "name": "user", "attributes": [
                    { "name": "id", "anchor": true }, { "name": "userName", "required": true },
                    { "name": "title", "caseExact": true }, { "name": "active", "type": "Boolean" },
                    { "name": "manager", "type": "Reference",
                      "referencedObjects": [{ "referencedObjectName": "User" }] }
                ] },
                { "name": "group", "attributes": [{ "name": "displayName" }] }
            ] }
        ],
        "synchronizationRules": [{
            "id": "r", "name": "R", "priority": 1,
            "sourceDirectoryName": "Azure Active Directory", "targetDirectoryName": "Contoso",
            "objectMappings": [{
                "name": "Users", "sourceObjectName": "User", "targetObjectName": "user",
                "attributeMappings": [
                    { "targetAttributeName": "userName", "matchingPriority": 1,
                      "source": { "type": "Attribute", "name": "userPrincipalName" } },
                    { "targetAttributeName": "title", "source": { "expression": "[department]" } }
                ]
            }]
        }]
    })
}

/// The document with a change made to it.
fn changed(pointer: &str, value: Json) -> String {
    let mut json = document();
    if let Some(place) = json.pointer_mut(pointer) {
        *place = value;
    } else {
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        json.pointer_mut(parent).unwrap()[name] = value;
    }
    json.to_string()
}

#[track_caller]
fn check_problem(pointer: &str, value: Json, at: &str, want: &str) {
    let text = changed(pointer, value);
    let problems = Schema::from_json(&text).map_or_else(|problems| problems, |read| read.check());
    let found = problems
        .iter()
        .any(|problem| problem.pointer == at && problem.message.contains(want));
    assert!(found, "{problems:#?}");
}

const MAPPING: &str = "/synchronizationRules/0/objectMappings/0";

fn at(rest: &str) -> String {
    format!("{MAPPING}/{rest}")
}

#[test]
fn a_document_with_everything_left_out_reads_with_defaults() {
    let schema = Schema::from_json(&document().to_string()).unwrap();
    let compiled = schema.compile().unwrap();
    let user = compiled.user;
    assert!(user.enabled && user.actions.create && user.actions.update && user.actions.delete);
    assert!(compiled.group.is_none());
    let name = &user.attributes[0];
    assert_eq!(
        name.source,
        MappingSource::Attribute("userPrincipalName".to_owned())
    );
    assert_eq!(
        (name.matching, name.required, name.apply),
        (Some(1), true, Apply::Always)
    );
    let title = &user.attributes[1];
    assert_eq!(
        title.source,
        MappingSource::Attribute("department".to_owned())
    );
    assert!(title.case_exact);
}

#[test]
fn export_import_export_is_the_same_to_the_byte_and_keeps_the_unknown() {
    let mut json = document();
    json["@odata.context"] = json!("https://example/$metadata");
    json["directories"][0]["objects"][0]["attributes"][1]["colour"] =
        json!({ "b": 1, "a": [null] });
    json["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"][0]["source"]["x"] =
        json!(1.5);
    json["synchronizationRules"][0]["objectMappings"][0]["scope"] = json!({ "groups": [
        { "name": "staff", "clauses": [{ "sourceOperandName": "department",
          "operatorName": "NOT EQUALS", "targetOperand": { "values": ["Contractor"] } }] }] });
    let first = Schema::from_json(&json.to_string()).unwrap().to_json();
    let second = Schema::from_json(&first).unwrap().to_json();
    assert_eq!(first, second);
    for kept in [
        "@odata.context",
        "\"colour\"",
        "\"x\": 1.5",
        "NOT EQUALS",
        "Contractor",
    ] {
        assert!(first.contains(kept), "{kept}");
    }
    assert!(
        first.find("\"b\": 1") < first.find("\"a\": ["),
        "order is kept"
    );
}

#[test]
fn all_problems_of_a_document_are_told_together() {
    let mut document = document();
    let mapping = &mut document["synchronizationRules"][0]["objectMappings"][0];
    mapping["attributeMappings"][0]["matchingPriority"] = json!("first");
    mapping["attributeMappings"][1]["targetAttributeName"] = json!("nope");
    let problems = Schema::from_json(&document.to_string()).unwrap_err();
    let places: Vec<&str> = problems.iter().map(|it| it.pointer.as_str()).collect();
    assert_eq!(
        places,
        [
            at("attributeMappings/0/matchingPriority"),
            at("attributeMappings/1/targetAttributeName")
        ],
        "{problems:?}"
    );
}

#[test]
fn what_may_not_be_meant_is_told() {
    let mut document = document();
    let mapping = &mut document["synchronizationRules"][0]["objectMappings"][0];
    for at in 0..2 {
        mapping["attributeMappings"][at]["matchingPriority"] = json!(1);
    }
    let clause = json!({"sourceOperandName": "department", "operatorName": "IS TRUE"});
    mapping["scope"] = json!({ "groups": [{ "name": "f", "clauses": [clause] }] });
    let schema = Schema::from_json(&document.to_string()).unwrap();
    let told: Vec<String> = schema.warnings().into_iter().map(|it| it.message).collect();
    let told = told.join("\n");
    assert!(told.contains("precedence 1, too"), "{told}");
    assert!(told.contains("`IS TRUE` is not meant for"), "{told}");
}

#[test]
fn unknown_members_of_filters_stay() {
    let filter = json!([{
        "name": "f", "groupX": 1, "clauses": [{
            "sourceOperandName": "department", "operatorName": "EQUALS", "clauseX": null,
            "targetOperand": { "values": ["a"], "operandX": [true] },
        }],
    }]);
    let mut document = document();
    let mapping = &mut document["synchronizationRules"][0]["objectMappings"][0];
    mapping["scope"] = json!({ "groups": filter });
    let schema = Schema::from_json(&document.to_string()).unwrap();
    let written = schema.to_value();
    let mapping = &written["synchronizationRules"][0]["objectMappings"][0];
    assert_eq!(mapping["scope"]["groups"], filter);
}

#[test]
fn numbers_of_unknown_members_keep_their_value() {
    for number in [
        "0.000000000000000000000000000006089179446179033544",
        "1.7e-300",
        "0.1",
    ] {
        let text = format!(r#"{{"synchronizationRules":[],"x":{number}}}"#);
        let written = Schema::from_json(&text).unwrap().to_json();
        let again = Schema::from_json(&written).unwrap().to_json();
        assert_eq!(again, written);
        let read: Json = serde_json::from_str(&written).unwrap();
        assert_eq!(read["x"].as_f64(), number.parse().ok());
    }
}

#[test]
fn problems_name_their_place() {
    let check = check_problem;
    let source = at("attributeMappings/1/source");
    check(
        &at("attributeMappings/1/targetAttributeName"),
        json!("tittle"),
        &at("attributeMappings/1/targetAttributeName"),
        "did you mean `title`",
    );
    check(
        &at("attributeMappings/1/targetAttributeName"),
        json!("userName"),
        &at("attributeMappings/1/targetAttributeName"),
        "mapped twice",
    );
    check(
        &at("attributeMappings/1/targetAttributeName"),
        json!("id"),
        &at("attributeMappings/1/targetAttributeName"),
        "AM-4",
    );
    check(
        &source,
        json!({ "expression": "[departmnt]" }),
        &format!("{source}/expression"),
        "did you mean `department`",
    );
    check(
        &source,
        json!({ "expression": "ToLowr([department])" }),
        &format!("{source}/expression"),
        "did you mean `ToLower`",
    );
    check(
        &source,
        json!({ "type": "Function", "name": "Nope", "parameters": [] }),
        &source,
        "no function `Nope`",
    );
    check(
        &source,
        json!({ "type": "Magic", "name": "x" }),
        &format!("{source}/type"),
        "none of Attribute, Constant, Function",
    );
    check(&source, json!("[x]"), &source, "an object is needed");
    check(
        &at("attributeMappings/0/matchingPriority"),
        json!(0),
        &at("attributeMappings"),
        "matching",
    );
    check(
        &at("attributeMappings/0/matchingPriority"),
        json!(-1),
        &at("attributeMappings/0/matchingPriority"),
        "from 0 on",
    );
    check(
        &at("attributeMappings/0/flowType"),
        json!("Sometimes"),
        &at("attributeMappings/0/flowType"),
        "none of Always",
    );
    check(
        &at("flowTypes"),
        json!("Add, Fly"),
        &at("flowTypes"),
        "`Fly`",
    );
    check(
        &at("enabled"),
        json!(false),
        &at("enabled"),
        "cannot be switched off",
    );
    check(
        &at("sourceObjectName"),
        json!("Device"),
        &at("sourceObjectName"),
        "Device",
    );
    check(
        &at("targetObjectName"),
        json!("users"),
        &at("targetObjectName"),
        "did you mean `user`",
    );
    check(
        "/synchronizationRules/0/targetDirectoryName",
        json!("Contosso"),
        "/synchronizationRules/0/targetDirectoryName",
        "did you mean `Contoso`",
    );
    check(
        "/directories/1/name",
        json!(7),
        "/directories/1/name",
        "a text is needed",
    );
    check(
        "/directories",
        json!({}),
        "/directories",
        "a list is needed",
    );
    check(
        "/directories/1/objects/0/attributes/2/name",
        json!("userName"),
        "/directories/1/objects/0/attributes/2/name",
        "defined twice",
    );
}

#[test]
fn constants_and_references_must_fit_their_target() {
    let mapping =
        |target: &str, source: Json| json!({ "targetAttributeName": target, "source": source });
    let row = at("attributeMappings/1");
    let expression = |text: &str| json!({ "expression": text });
    check_problem(
        &row,
        mapping("active", expression("\"maybe\"")),
        &format!("{row}/source"),
        "Boolean",
    );
    check_problem(
        &row,
        json!({ "targetAttributeName": "active", "defaultValue": "maybe" }),
        &format!("{row}/defaultValue"),
        "Boolean",
    );
    check_problem(
        &row,
        mapping("manager", expression("ToLower([manager])")),
        &format!("{row}/source"),
        "directly",
    );
    let unique = json!({ "targetAttributeName": "title", "matchingPriority": 2,
        "source": { "expression": "SelectUniqueValue([a], [b])" } });
    check_problem(
        &row,
        unique,
        &format!("{row}/matchingPriority"),
        "SelectUniqueValue",
    );
}

// SF-10, SF-11, SF-12
#[test]
fn filters_are_checked_when_they_are_saved() {
    let clause = |attribute: &str, operator: &str, value: &str| {
        json!({ "groups": [{ "name": "f", "clauses": [{ "sourceOperandName": attribute,
            "operatorName": operator, "targetOperand": { "values": [value] } }] }] })
    };
    let place = |member: &str| at(&format!("scope/groups/0/clauses/0/{member}"));
    let check = |scope: Json, member: &str, want: &str| {
        check_problem(&at("scope"), scope, &place(member), want);
    };
    check(
        clause("manager", "EQUALS", "x"),
        "sourceOperandName",
        "manager",
    );
    check(
        clause("hired", "EQUALS", "x"),
        "sourceOperandName",
        "a date",
    );
    check(
        clause("proxyAddresses", "EQUALS", "x"),
        "sourceOperandName",
        "several values",
    );
    check(
        clause("dept", "EQUALS", "x"),
        "sourceOperandName",
        "no source attribute",
    );
    check(clause("department", "LIKE", "x"), "operatorName", "LIKE");
    check(
        clause("department", "Greater_Than", "x"),
        "targetOperand",
        "SF-12",
    );
    check(
        clause("department", "REGEX MATCH", "["),
        "targetOperand",
        "regular expression",
    );
    let fine = changed(
        &at("scope"),
        clause("extension_1_level", "Greater_Than", "3"),
    );
    assert!(Schema::from_json(&fine).unwrap().check().is_empty());
}

#[test]
fn a_text_that_is_no_document_is_refused() {
    for text in ["", "{", "[]", "7", "{\"directories\": 1}"] {
        assert!(Schema::from_json(text).is_err(), "{text}");
    }
    assert!(Schema::from_json("{}").unwrap().compile().is_err());
    let deep = format!("{}{}", "[".repeat(5_000), "]".repeat(5_000));
    assert!(Schema::from_json(&deep).is_err());
}

/// The expression that a source gives.
#[track_caller]
fn check_source(source: Json, want: &str) {
    let text = changed(&at("attributeMappings/1/source"), source);
    let schema = Schema::from_json(&text).unwrap();
    let mapping = &schema.object_mapping("User").unwrap().attribute_mappings[1];
    let source = mapping.source.as_ref().unwrap();
    assert_eq!(source.expression, want);
    let first = schema.to_json();
    assert_eq!(Schema::from_json(&first).unwrap().to_json(), first);
}

#[test]
fn text_and_tree_of_a_source_are_brought_together() {
    check_source(json!({ "name": "a" }), "[a]");
    check_source(
        json!({ "type": "Constant", "name": "a \"b\"" }),
        r#""a \"b\"""#,
    );
    check_source(
        json!({ "expression": "Append( [a],[b] )" }),
        "Append( [a],[b] )",
    );
    // The tree counts when both are there.
    check_source(
        json!({ "type": "Attribute", "name": "b", "expression": "[a]", "parameters": [] }),
        "[b]",
    );
    // A tree that is not understood gives way to the text.
    check_source(
        json!({ "type": "Function", "name": "Append", "expression": "Append([a], [b])",
                "parameters": [{ "key": "what", "value": { "name": "a" } }] }),
        "Append([a], [b])",
    );
    check_source(
        json!({ "type": "Function", "name": "Replace", "parameters": [
            { "key": "source", "value": { "type": "Attribute", "name": "a" } },
            { "key": "Find", "value": { "type": "Constant", "name": "-" } },
            { "key": "Replacement", "value": { "type": "Constant", "name": "_" } }] }),
        r#"Replace([a], "-", , , "_", , )"#,
    );
    check_source(
        json!({ "type": "Function", "name": "Join", "parameters": [
            { "key": "separator", "value": { "type": "Constant", "name": " " } },
            { "key": "source1", "value": { "name": "a" } },
            { "key": "source2", "value": { "name": "b" } },
            { "key": "source", "value": { "name": "a" } }] }),
        r#"Join(" ", [a], [b], [a])"#,
    );
}

#[test]
fn every_tree_gives_its_expression_back() {
    for text in [
        r#"Switch([a], , "False", "True", "True", "False")"#,
        r#"IIF([a] = "x", IgnoreAttributeFlow, [b])"#,
        r#"FormatDateTime([a], , "yyyy", "yy")"#,
        r#"InStr([a], "x", "2", vbTextCompare)"#,
        r#"Coalesce([a], [b], "c")"#,
        "Now()",
        "[a] <> [b]",
        "ToLower([a])",
        r#"Replace([a], , "(?<g>x)", "g", , [b], )"#,
    ] {
        let source = Source::parse(text).unwrap();
        assert_eq!(source.text().as_deref(), Some(text));
    }
}

// 2.1
#[test]
fn the_parsed_form_has_the_documented_shape() {
    let source = Source::parse("Mid([x], 1, 8)").unwrap();
    assert_eq!(
        source.to_value(),
        json!({ "type": "Function", "name": "Mid", "expression": "Mid([x], 1, 8)", "parameters": [
            { "key": "source", "value": { "type": "Attribute", "name": "x", "expression": "[x]", "parameters": [] } },
            { "key": "start", "value": { "type": "Constant", "name": "1", "expression": "\"1\"", "parameters": [] } },
            { "key": "length", "value": { "type": "Constant", "name": "8", "expression": "\"8\"", "parameters": [] } }
        ] })
    );
}

// 9.6: what clients leave out
#[test]
fn what_a_client_leaves_out_is_taken_from_the_stored_document() {
    let stored = changed(&at("flowTypes"), json!("Add"));
    let mut stored: Json = serde_json::from_str(&stored).unwrap();
    stored["directories"][0]["readOnly"] = json!(true);
    let stored = Schema::from_json(&stored.to_string()).unwrap();
    let saved = Schema::from_json_over(&document().to_string(), &stored).unwrap();
    let actions = saved.object_mapping("User").unwrap().actions;
    assert!(actions.create && !actions.update && !actions.delete);
    assert!(saved.directories[0].read_only);
    let only_rules = json!({ "synchronizationRules": [] }).to_string();
    let saved = Schema::from_json_over(&only_rules, &stored).unwrap();
    assert_eq!(saved.directories, stored.directories);
    assert!(saved.rules.is_empty());
}
