//! Mappings as a schema document: out, in, compared, tested, rolled back; and expressions.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::kill::read_all;
use crate::run::{APP, Server, everybody, json, muster, receiver, run};

/// A command that reads from standard input; its exit code and what it says.
fn with_input(data: &Path, args: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = muster(data, args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

fn said(data: &Path, args: &[&str]) -> (Option<i32>, String) {
    with_input(data, args, "")
}

#[test]
fn a_changed_document_is_carried_out_and_can_be_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _server = Server::start(&data, "127.0.0.1:0");
    let users = folder.path().join("users.csv");
    std::fs::write(
        &users,
        "userPrincipalName,displayName,jobTitle\nana@example.test,Ana,clerk\n",
    )
    .unwrap();
    json(&data, &["import", users.to_str().unwrap()]);
    let (url, token) = receiver(&data);
    everybody(&data, &url, &token);
    let title = || {
        let cycle = json(&data, &["job", "run", APP]);
        assert_eq!(cycle["failed"], 0, "{cycle}");
        read_all(&url, &token, "Users")[0]["title"].clone()
    };
    assert_eq!(title(), "clerk");

    let (_, before) = said(&data, &["schema", "export", APP]);
    let mut document: Value = serde_json::from_str(&before).unwrap();
    let rules = &mut document["synchronizationRules"][0]["objectMappings"];
    let user = rules.as_array_mut().unwrap().iter_mut();
    let user = user
        .into_iter()
        .find(|it| it["sourceObjectName"] == "User")
        .unwrap();
    let mappings = user["attributeMappings"].as_array_mut().unwrap();
    let mapping = mappings
        .iter_mut()
        .find(|it| it["targetAttributeName"] == "title");
    mapping.unwrap()["source"] = serde_json::json!({
        "expression": "ToUpper([jobTitle])", "name": "ToUpper", "type": "Function",
        "parameters": [{ "key": "source", "value": {
            "expression": "[jobTitle]", "name": "jobTitle", "type": "Attribute", "parameters": [] } }]
    });
    let changed = document.to_string();
    let (code, told) = with_input(&data, &["schema", "diff", APP, "-"], &changed);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("title: source: [jobTitle] → ToUpper([jobTitle])"),
        "{told}"
    );
    let import = ["schema", "import", APP, "-", "--note", "louder", "--json"];
    let (code, told) = with_input(&data, &import, &changed);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(title(), "CLERK");

    let history = json(&data, &["schema", "history", APP]);
    assert_eq!(
        (&history[0]["version"], &history[0]["note"]),
        (&2.into(), &"louder".into())
    );
    assert!(!history[0]["by"].as_str().unwrap().is_empty());
    json(&data, &["schema", "rollback", APP, "1"]);
    assert_eq!(title(), "clerk");
    let (_, after) = said(&data, &["schema", "export", APP]);
    assert_eq!(after, before);
    let restored = json(&data, &["schema", "restore", APP]);
    assert_eq!(
        (&restored["version"], &restored["new"]),
        (&3.into(), &false.into())
    );
    let (_, defaults) = said(&data, &["schema", "export", APP, "--defaults"]);
    assert_eq!(defaults, before);
    let (_, second) = said(&data, &["schema", "export", APP, "--version", "2"]);
    assert!(second.contains("ToUpper"));
}

#[test]
fn a_document_with_problems_is_refused_by_its_places_and_nothing_is_saved() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    json(data, &["app", "add", APP]);
    let (_, before) = said(data, &["schema", "export", APP]);
    let broken = before.replace(
        "\"targetAttributeName\": \"title\"",
        "\"targetAttributeName\": \"titel\"",
    );
    for (document, place) in [
        (
            broken.as_str(),
            "/synchronizationRules/0/objectMappings/0/attributeMappings/",
        ),
        ("{}", "/synchronizationRules"),
        ("[]", "object"),
        ("{", "line 1"),
    ] {
        let (code, told) = with_input(data, &["schema", "check", "-"], document);
        assert!(code == Some(1) && told.contains(place), "{told}");
        let import = ["schema", "import", APP, "-"];
        let (code, told) = with_input(data, &import, document);
        assert_eq!((code, told.lines().count()), (Some(2), 1), "{told}");
    }
    assert_eq!(
        json(data, &["schema", "history", APP])
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(said(data, &["schema", "check", "-"]).0, Some(1));
    let (code, told) = with_input(data, &["schema", "check", "-"], &before);
    assert_eq!((code, told.trim()), (Some(0), "valid"));
}

#[test]
fn expressions_are_tried_out_checked_and_tested() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path();
    let ana = r#"{"givenName":"Ana","surname":"Silva","roles":["a","b"]}"#;
    let eval = |expression: &str, more: &[&str]| {
        let args = [&["expression", "eval", expression, "--source", "-"], more].concat();
        with_input(data, &args, ana)
    };
    let told = |text: &str| (Some(0), format!("{text}\n"));
    assert_eq!(
        eval("ToLower(Join(\".\", [givenName], [surname]))", &[]),
        told("ana.silva")
    );
    assert_eq!(eval("[roles]", &[]), told("a\nb"));
    assert_eq!(eval("[nothing]", &[]), told("null"));
    let now = ["--now", "2026-01-31T12:00:00Z"];
    assert_eq!(eval("Now()", &now), told("1/31/2026 12:00:00 PM"));
    let unique = "SelectUniqueValue([givenName], Append([givenName], \"2\"))";
    assert_eq!(eval(unique, &["--taken", "Ana"]), told("Ana2"));
    let (code, traced) = eval("ToUpper(Redact([surname]))", &["--trace", "--json"]);
    assert_eq!(code, Some(0));
    assert!(traced.contains("\"redacted\":true"), "{traced}");
    let (code, problem) = eval("Apend([givenName], \"x\")", &[]);
    assert_eq!(code, Some(1));
    assert!(
        problem.contains("^^^^^") && problem.contains("`Append`"),
        "{problem}"
    );
    assert_eq!(eval("Now()", &["--now", "soon"]).0, Some(2));
    let (code, remark) = said(data, &["expression", "check", "[surnam]"]);
    assert!(code == Some(0) && remark.contains("`surname`"), "{remark}");
    let functions = json(data, &["expression", "functions"]);
    assert_eq!(functions.as_array().unwrap().len(), 44);

    let file = data.join("vectors.jsonl");
    std::fs::write(
        &file,
        "{\"id\":\"good\",\"expression\":\"[x]\",\"source\":{\"x\":\"1\"},\"expected\":\"1\"}\n\
         {\"id\":\"bad\",\"expression\":\"[x]\",\"source\":{\"x\":\"1\"},\"expected\":\"2\"}\n",
    )
    .unwrap();
    let (code, told) = said(data, &["expression", "test", file.to_str().unwrap()]);
    assert_eq!(code, Some(1));
    assert!(
        told.contains("FAILED bad") && told.ends_with("1 passed, 1 failed\n"),
        "{told}"
    );
}

#[test]
fn tests_of_a_mapping_say_what_came_out_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    json(&data, &["app", "add", APP]);
    let (_, document) = said(&data, &["schema", "export", APP]);
    std::fs::write(folder.path().join("schema.json"), document).unwrap();
    let tests = |family: &str| {
        let file = folder.path().join("tests.json");
        let text = format!(
            r#"{{"schema":"schema.json","tests":[{{"name":"Ana",
                "source":{{"userPrincipalName":"ana@example.test","surname":"Silva"}},
                "inScope":true,
                "expected":{{"userName":"ana@example.test","name.familyName":"{family}"}}}}]}}"#
        );
        std::fs::write(&file, text).unwrap();
        let output = run(&data, &["mapping", "test", file.to_str().unwrap()]);
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap(),
        )
    };
    assert_eq!(tests("Silva"), (Some(0), "1 passed, 0 failed\n".to_owned()));
    let (code, told) = tests("Sousa");
    assert_eq!(code, Some(1));
    let expected = "FAILED Ana\n  name.familyName\n    - \"Sousa\"\n    + \"Silva\"\n\
                    0 passed, 1 failed\n";
    assert_eq!(told, expected);
}
