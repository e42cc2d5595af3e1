//! The first cycle to a real provider that holds everybody already.

use std::fmt::Write as _;

use serde_json::json;

use crate::kill::read_all;
use crate::run::{APP, Server, everybody, json, receiver, run};

/// People; two pages of the provider.
const MANY: usize = 150;

#[test]
fn who_is_at_the_target_already_is_linked_with_a_few_requests() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, "127.0.0.1:0");
    let (url, token) = receiver(&data);
    let mut users = String::from("userPrincipalName,displayName\n");
    for number in 0..MANY {
        let _ = writeln!(users, "u{number}@example.test,User {number}");
    }
    let file = folder.path().join("users.csv");
    std::fs::write(&file, users).unwrap();
    json(&data, &["import", file.to_str().unwrap()]);
    everybody(&data, &url, &token);
    let filled = json(&data, &["job", "run", APP]);
    assert_eq!(filled["created"], json!(MANY), "{filled}");

    // Another application that provisions to the same place.
    json(&data, &["app", "add", APP, "--name", "Again"]);
    json(&data, &["app", "scope", "Again", "all"]);
    let credentials = ["--tenant-url", &url, "--secret-token", &token];
    json(
        &data,
        &[&["app", "credentials", "Again"][..], &credentials].concat(),
    );
    let plan = run(&data, &["plan", "Again", "--all", "--json"]);
    let plan = String::from_utf8(plan.stdout).unwrap();
    assert_eq!(plan.matches("these values already; linked").count(), MANY);
    let again = json(&data, &["job", "run", "Again"]);
    assert_eq!(again["created"], json!(0), "{again}");
    let requests = again["requests"].as_u64().unwrap();
    assert!(requests < 30, "{again}");
    assert_eq!(read_all(&url, &token, "Users").len(), MANY);
    drop(server);
}
