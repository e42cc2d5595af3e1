//! Provision on demand (section 9).

use std::fmt::Write as _;

use serde_json::{Value, json};

use crate::kill::read_all;
use crate::relay::Relay;
use crate::run::{APP, Server, json, receiver, refusal, run};

const TEAM: &str = "00000002-0000-4000-8000-000000000001";

fn user(number: usize) -> String {
    format!("00000001-0000-4000-8000-{number:012}")
}

#[test]
fn one_user_or_a_group_with_chosen_members_is_provisioned_now_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, data) = (folder.path(), folder.path().join("data"));
    let server = Server::start(&data, "127.0.0.1:0");
    let relay = Relay::before(&server.url);
    let (url, token) = receiver(&data);
    json(&data, &["app", "add", APP]);
    let through = url.replace(&server.url, &relay.url);
    let credentials = ["--tenant-url", &through, "--secret-token", &token];
    json(
        &data,
        &[&["app", "credentials", APP][..], &credentials].concat(),
    );
    let import = |name: &str, text: &str| {
        let file = folder.join(name);
        std::fs::write(&file, text).unwrap();
        json(&data, &["import", file.to_str().unwrap()]);
    };
    let mut users = String::from("id,userPrincipalName,displayName,surname,manager\n");
    let mut members = String::from("groupId,memberId,memberType\n");
    for number in 0..8 {
        let manager = if number == 1 { user(0) } else { String::new() };
        let _ = writeln!(
            users,
            "{},u{number}@example.test,User {number},Surname {number},{manager}",
            user(number)
        );
        let _ = writeln!(members, "{TEAM},{},user", user(number));
    }
    import("users.csv", &users);
    import(
        "groups.csv",
        &format!("id,displayName,securityEnabled\n{TEAM},Team,true\n"),
    );
    import("memberships.csv", &members);
    let provision = |args: &[&str]| json(&data, &[&["provision", APP], args].concat());
    let there = || {
        let mut names: Vec<String> = read_all(&url, &token, "Users")
            .iter()
            .map(|it| format!("{} {}", it["userName"].as_str().unwrap(), it["active"]))
            .collect();
        names.sort();
        names
    };

    // OD-1: by the last name, too.
    let told = provision(&["Surname 3", "--dry-run"]);
    assert_eq!(told["explained"][0]["decision"]["name"], "User 3", "{told}");
    // Not entitled: said, and not done.
    let told = provision(&["u0@example.test"]);
    assert_eq!(
        (&told["result"], there().len()),
        (&json!("Skipped"), 0),
        "{told}"
    );
    assert_eq!(told["explained"][0]["scope"]["assigned"], false);
    // OD-8, and what it is not: a dry run.
    json(&data, &["app", "assign", APP, "--user", "u0@example.test"]);
    json(&data, &["app", "assign", APP, "--user", "u1@example.test"]);
    let told = provision(&["u0@example.test", "--dry-run"]);
    assert_eq!(
        told["explained"][0]["decision"]["action"], "create",
        "{told}"
    );
    assert!(relay.writes().is_empty());
    // OD-7: the job need not be running, and nobody else is looked at.
    let told = provision(&["u0@example.test"]);
    assert_eq!(told["result"], "Success", "{told}");
    let steps = told["events"][0]["provisioningSteps"].as_array().unwrap();
    let kinds: Vec<&Value> = steps.iter().map(|it| &it["provisioningStepType"]).collect();
    assert_eq!(
        kinds,
        ["import", "scoping", "matching", "processing", "export"]
    );
    let names: Vec<&Value> = steps.iter().map(|it| &it["name"]).collect();
    assert_eq!(
        names,
        [
            "EntryImport",
            "EntrySynchronizationScoping",
            "EntryImport",
            "EntrySynchronizationAdd",
            "EntryExportAdd"
        ]
    );
    // 9.2: what was read, and of whom the log speaks.
    assert_eq!(
        steps[0]["details"]["userPrincipalName"], "u0@example.test",
        "{told}"
    );
    assert_eq!(steps[4]["details"]["ReportableIdentifier"], "User 0");
    assert_eq!(there(), ["u0@example.test true"]);
    assert_eq!(provision(&["u0@example.test"])["result"], "Skipped");
    // A manager who has an account is brought over, too.
    provision(&["u1@example.test"]);
    let manager = |number: usize| {
        let users = read_all(&url, &token, "Users");
        let of = users
            .iter()
            .find(|it| it["userName"] == format!("u{number}@example.test"));
        of.unwrap()["urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"]["manager"]["value"].clone()
    };
    assert!(manager(1).is_string());
    // OD-5: who is not assigned any more is disabled.
    json(
        &data,
        &["app", "unassign", APP, "--user", "u0@example.test"],
    );
    let told = provision(&["u0@example.test"]);
    assert_eq!(told["events"][0]["provisioningAction"], "disable", "{told}");

    // OD-1, OD-2: a group with up to five members.
    json(&data, &["app", "assign", APP, "--group", "Team"]);
    let five = |numbers: std::ops::Range<usize>| -> Vec<String> {
        let named = numbers.flat_map(|it| ["--member".to_owned(), format!("u{it}@example.test")]);
        std::iter::once("Team".to_owned()).chain(named).collect()
    };
    let (args, many) = (five(2..4), five(2..8));
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let (code, said) = refusal(&run(&data, &[&["provision", APP][..], &many].concat()));
    assert!(code == Some(2) && said.contains("at most 5"), "{said}");
    let told = provision(&args);
    assert_eq!(told["result"], "Success", "{told}");
    let groups = read_all(&url, &token, "Groups");
    assert_eq!(
        groups[0]["members"].as_array().unwrap().len(),
        2,
        "{groups:?}"
    );
    assert_eq!(there().len(), 4);

    // The job knows all of this, and does the rest.
    let cycle = json(&data, &["job", "run", APP]);
    assert_eq!(
        (&cycle["kind"], &cycle["failed"]),
        (&json!("initial"), &json!(0)),
        "{cycle}"
    );
    assert_eq!(
        (there().len(), &cycle["created"]),
        (8, &json!(4)),
        "{cycle}"
    );
    let groups = read_all(&url, &token, "Groups");
    assert_eq!(groups[0]["members"].as_array().unwrap().len(), 8);
    let status = json(&data, &["job", "status", APP]);
    let kinds = status["cycles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["kind"]);
    assert_eq!(kinds.filter(|it| *it == "onDemand").count(), 6, "{status}");
    // CR-11: the connection is tested first; when it fails, nothing else is done.
    json(&data, &["integration", "revoke", "Receiver"]);
    // A token that was seen is remembered for a second.
    std::thread::sleep(std::time::Duration::from_millis(1200));
    let (code, told) = refusal(&run(&data, &["provision", APP, "u0@example.test"]));
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("copy the token again"), "{told}");
    assert!(told.contains("nothing was looked at"), "{told}");
}
