//! A mistake in the source costs nobody an account: the guard of a job holds back what a cycle would take
//! away, until somebody allows it or undoes the cause (6.5, EH-14 to EH-20).

use std::path::Path;

use serde_json::Value;

use crate::kill::read_all;
use crate::run::{APP, Server, json, receiver, refusal, run};

fn name(number: usize) -> String {
    format!("user{number}@example.test")
}

fn assign(data: &Path, what: &str, numbers: impl IntoIterator<Item = usize>) {
    for number in numbers {
        json(data, &["app", what, APP, "--user", &name(number)]);
    }
}

/// Ten people at the target, each assigned.
pub(crate) fn ten(folder: &Path) -> (std::path::PathBuf, Server, String, String) {
    let data = folder.join("data");
    let server = Server::start(&data, "127.0.0.1:0");
    let rows = (0..10).map(|number| format!("{},User {number}", name(number)));
    let head = "userPrincipalName,displayName".to_owned();
    let users = std::iter::once(head)
        .chain(rows)
        .collect::<Vec<_>>()
        .join("\n");
    let file = folder.join("users.csv");
    std::fs::write(&file, users).unwrap();
    json(&data, &["import", file.to_str().unwrap()]);
    let (url, token) = receiver(&data);
    json(&data, &["app", "add", APP]);
    assign(&data, "assign", 0..10);
    let credentials = ["--tenant-url", &url, "--secret-token", &token];
    json(
        &data,
        &[&["app", "credentials", APP][..], &credentials].concat(),
    );
    let cycle = json(&data, &["job", "run", APP]);
    assert_eq!(cycle["created"], 10, "{cycle}");
    (data, server, url, token)
}

fn active(url: &str, token: &str) -> usize {
    let users = read_all(url, token, "Users");
    users.iter().filter(|user| user["active"] == true).count()
}

fn held(data: &Path) -> Vec<Value> {
    let output = run(data, &["job", "held", APP, "--json"]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn eh_17_nine_of_ten_unassigned_by_one_mistake_write_nothing_until_they_are_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let (data, _server, url, token) = ten(folder.path());
    assign(&data, "unassign", 0..9);
    let (code, said) = refusal(&run(&data, &["job", "run", APP]));
    assert_eq!(code, Some(4), "{said}");
    assert!(
        said.contains("9 of the 10 objects") && said.contains("muster job allow"),
        "{said}"
    );
    assert_eq!(active(&url, &token), 10);
    // Each of them is named, with its reason; and again is not told again.
    let _ = run(&data, &["job", "run", APP]);
    let those = held(&data);
    assert_eq!(those.len(), 9);
    assert!(
        those
            .iter()
            .all(|it| it["action"] == "disable" && it["allowed"] == false)
    );
    let reason = those[0]["reason"].as_str().unwrap();
    assert!(reason.contains("not assigned"), "{reason}");
    let log = json(&data, &["log", "list", APP, "--action", "stageddelete"]);
    let told = log.as_array().map_or(0, Vec::len);
    assert_eq!(told, 9);
    let status = json(&data, &["job", "status", APP]);
    assert_eq!(status["heldBack"], 9, "{status}");
    assert_eq!(status["cycles"][0]["state"], "Failed", "{status}");

    // EH-18: exactly these. Who comes on top is judged anew.
    json(&data, &["job", "guard", APP, "--most", "0"]);
    let (code, said) = refusal(&run(&data, &["job", "allow", APP, "--expect", "8"]));
    assert!(
        code == Some(1) && said.contains("9 disables, deletions"),
        "{said}"
    );
    let allowed = json(&data, &["job", "allow", APP, "--expect", "9"]);
    assert_eq!(allowed["allowed"], 9);
    assign(&data, "unassign", [9]);
    let (code, said) = refusal(&run(&data, &["job", "run", APP]));
    assert_eq!(code, Some(4), "{said}");
    assert_eq!(active(&url, &token), 10);
    let held_now = |allowed: bool| {
        held(&data)
            .iter()
            .filter(|it| it["allowed"] == allowed)
            .count()
    };
    assert_eq!((held_now(true), held_now(false)), (9, 1));
    assign(&data, "assign", [9]);
    let cycle = json(&data, &["job", "run", APP]);
    assert_eq!(
        (&cycle["disabled"], &cycle["failed"]),
        (&9.into(), &0.into()),
        "{cycle}"
    );
    assert_eq!(active(&url, &token), 1);
    assert!(held(&data).is_empty());
    let idle = json(&data, &["job", "run", APP]);
    assert_eq!(idle["requests"], 0, "{idle}");
}

#[test]
fn eh_19_when_the_cause_is_undone_the_job_goes_on_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (data, _server, url, token) = ten(folder.path());
    json(&data, &["job", "pause", APP]);
    assign(&data, "unassign", 0..9);
    json(&data, &["job", "start", APP]);
    let (code, _) = refusal(&run(&data, &["job", "run", APP]));
    assert_eq!(code, Some(4));
    let status = json(&data, &["job", "status", APP]);
    assert_eq!(status["status"], "Quarantine", "{status}");
    assert_eq!(status["quarantine"]["reason"], "TooManyDeletes", "{status}");
    assign(&data, "assign", 0..9);
    let cycle = json(&data, &["job", "run", APP]);
    assert_eq!(cycle["disabled"], 0, "{cycle}");
    let status = json(&data, &["job", "status", APP]);
    assert_eq!(
        (&status["status"], &status["heldBack"]),
        (&"Active".into(), &0.into()),
        "{status}"
    );
    assert_eq!(active(&url, &token), 10);
}

#[test]
fn eh_14_a_guard_can_be_set_and_lifted_and_counts_what_a_restart_finds() {
    let folder = tempfile::tempdir().unwrap();
    let (data, _server, url, token) = ten(folder.path());
    let shown = json(&data, &["job", "guard", APP]);
    assert_eq!((&shown["most"], &shown["share"]), (&500.into(), &20.into()));
    let set = json(
        &data,
        &["job", "guard", APP, "--most", "2", "--share", "90"],
    );
    assert_eq!((&set["most"], &set["share"]), (&2.into(), &90.into()));
    // EH-15, EH-17: two are allowed, three are not, in an initial cycle as well.
    assign(&data, "unassign", 0..2);
    assert_eq!(json(&data, &["job", "run", APP])["disabled"], 2);
    assign(&data, "unassign", 2..5);
    json(&data, &["job", "restart", APP]);
    let (code, _) = refusal(&run(&data, &["job", "run", APP]));
    assert_eq!(code, Some(4));
    assert_eq!(active(&url, &token), 8);
    json(&data, &["job", "guard", APP, "--off"]);
    assert_eq!(json(&data, &["job", "run", APP])["disabled"], 3);
    assert_eq!(active(&url, &token), 5);
}
