//! `SelectUniqueValue` asks the target, and nobody gets what somebody else has or is about to get.

use serde_json::Value;

use crate::kill::read_all;
use crate::run::{APP, Server, everybody, json, receiver, run};

const EXPRESSION: &str =
    r#"SelectUniqueValue([surname], Append([surname], "2"), Append([surname], "3"))"#;

/// The schema of the application, where a new account's title is a name that nobody has.
pub(crate) fn titles_are_unique(schema: &mut Value) {
    let mappings = &mut schema["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"];
    let mappings = mappings.as_array_mut().unwrap().iter_mut();
    for mapping in mappings.filter(|it| it["targetAttributeName"] == "title") {
        mapping["flowType"] = "ObjectAddOnly".into();
        mapping["source"] = serde_json::json!({ "expression": EXPRESSION });
    }
}

#[test]
fn a_value_that_the_target_has_is_not_given_again() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, "127.0.0.1:0");
    let (url, token) = receiver(&data);
    everybody(&data, &url, &token);
    let exported = run(&data, &["schema", "export", APP]);
    let mut schema: Value = serde_json::from_slice(&exported.stdout).unwrap();
    titles_are_unique(&mut schema);
    let file = folder.path().join("schema.json");
    std::fs::write(&file, schema.to_string()).unwrap();
    json(&data, &["schema", "import", APP, file.to_str().unwrap()]);
    let import = |people: std::ops::Range<usize>| {
        let rows = people
            .map(|n| format!("00000001-0000-4000-8000-{n:012},u{n}@example.test,U{n},Silva\n"));
        let mut text = String::from("id,userPrincipalName,displayName,surname\n");
        text.extend(rows);
        let file = folder.path().join("users.csv");
        std::fs::write(&file, text).unwrap();
        json(&data, &["import", file.to_str().unwrap()]);
    };
    let titles = || {
        let users = read_all(&url, &token, "Users");
        let mut titles: Vec<String> = users.iter().map(|it| it["title"].to_string()).collect();
        titles.sort();
        titles
    };
    // Two at the same time.
    import(0..2);
    json(&data, &["job", "run", APP]);
    assert_eq!(titles(), ["\"Silva\"", "\"Silva2\""]);
    // One more takes what is left; for the next nothing is, and it is held back.
    import(2..3);
    json(&data, &["job", "run", APP]);
    import(3..4);
    let ran = run(&data, &["job", "run", APP, "--json"]);
    assert!(
        String::from_utf8_lossy(&ran.stdout).contains("\"failed\":1"),
        "{ran:?}"
    );
    assert_eq!(titles().len(), 3);
    let log = run(&data, &["log", "export", APP]);
    let log = String::from_utf8_lossy(&log.stdout).into_owned();
    assert!(log.contains("every candidate is already taken"), "{log}");
    // An update leaves the names alone.
    json(&data, &["job", "restart", APP]);
    run(&data, &["job", "run", APP]);
    assert_eq!(titles(), ["\"Silva\"", "\"Silva2\"", "\"Silva3\""]);
    drop(server);
}
