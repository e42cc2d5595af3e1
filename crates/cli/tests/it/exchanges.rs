//! The exchange log: what was sent to a target and what it answered, linked from its event.

use serde_json::Value;

use crate::relay::Trouble;
use crate::run::{APP, json, run};
use crate::troubled::Here;

fn said(here: &Here, args: &[&str]) -> String {
    let output = run(&here.data, &[&["log", "exchanges", APP][..], args].concat());
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn entries(here: &Here, args: &[&str]) -> Vec<Value> {
    let said = said(here, &[args, &["--json"]].concat());
    said.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The first creation is answered by 500, and does not arrive.
fn one_failure(people: usize) -> Here {
    Here::with(people, |number, seen| {
        let is_first = number < 10 && seen.method == "POST" && seen.path.ends_with("/Users");
        if is_first && seen.body.contains("u0@") && number < 3 {
            Trouble::Answer(500, "")
        } else {
            Trouble::None
        }
    })
}

#[test]
fn an_event_tells_what_was_sent_for_it_attempt_by_attempt() {
    let here = one_failure(1);
    let keep = ["job", "exchanges", APP, "--keep"];
    json(&here.data, &[&keep[..], &["all"]].concat());
    json(&here.data, &["job", "run", APP]);
    let of_user = ["--action", "create", "--user", "u0@example.test"];
    let created = json(&here.data, &[&["log", "list", APP][..], &of_user].concat());
    let event = created[0]["id"].as_str().unwrap();
    let entries = entries(&here, &[event]);
    let told: Vec<(&str, u64, u64)> = entries
        .iter()
        .map(|it| {
            let number = |name: &str| it[name].as_u64().unwrap();
            (
                it["method"].as_str().unwrap(),
                number("status"),
                number("attempt"),
            )
        })
        .collect();
    // An empty target is not asked for anybody; after a lost answer it is.
    let expected = [("POST", 500, 1), ("GET", 200, 1), ("POST", 201, 2)];
    assert_eq!(told, expected, "{entries:?}");
    assert_eq!(entries[0]["sent"], entries[2]["sent"]);
    let body = entries[2]["sent"]["text"].as_str().unwrap();
    let body: Value = serde_json::from_str(body).unwrap();
    assert_eq!(body["userName"], "u0@example.test");
    let answered = entries[2]["answered"]["text"].as_str().unwrap();
    assert!(answered.contains("\"id\""), "{answered}");
    assert!(entries[2]["url"].as_str().unwrap().ends_with("/Users"));
    // What gives access is nowhere.
    let all = [&["--har"][..], &["--curl"], &["--json"], &[]].map(|form| said(&here, form));
    for told in &all {
        assert!(!told.contains(&here.token) && told.len() > 500, "{told}");
    }
    let har: Value = serde_json::from_str(&all[0]).unwrap();
    assert_eq!(har["log"]["version"], "1.2");
    // The group, its member, the user.
    let of_all = all[2].lines().count();
    let in_har = har["log"]["entries"].as_array().unwrap();
    assert_eq!((in_har.len(), of_all > 4), (of_all, true));
    let shown = run(&here.data, &["log", "show", APP, event]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(
        shown.contains("3 requests; see: muster log exchanges"),
        "{shown}"
    );
}

#[test]
fn hidden_attributes_are_not_kept_and_what_is_kept_is_chosen() {
    let here = one_failure(2);
    let keep = |args: &[&str]| json(&here.data, &[&["job", "exchanges", APP][..], args].concat());
    let all = [
        "--keep",
        "all",
        "--hide",
        "displayName",
        "--hide",
        "name.formatted",
    ];
    let log = keep(&all);
    assert_eq!(log["hidden"][0], "displayName");
    json(&here.data, &["job", "run", APP]);
    let told = said(&here, &["--json"]);
    assert!(told.contains("u1@example.test") && told.contains("[redacted]"));
    assert!(
        !told.contains("User 1") && !told.contains("Everybody"),
        "{told}"
    );
    let held = keep(&[]);
    assert!(held["heldEvents"].as_u64() > Some(3), "{held}");

    // Only what is no success.
    let log = keep(&["--keep", "failures", "--hide-none"]);
    assert_eq!(
        (&log["keep"], log["hidden"].as_array().unwrap().len()),
        (&"failures".into(), 0)
    );
    json(&here.data, &["job", "restart", APP]);
    json(&here.data, &["job", "run", APP]);
    assert_eq!(keep(&[])["heldEvents"], held["heldEvents"]);
    json(&here.data, &["provision", APP, "u1@example.test"]);
    assert!(keep(&[])["heldEvents"].as_u64() > held["heldEvents"].as_u64());
    let wrong = run(&here.data, &["job", "exchanges", APP, "--keep", "some"]);
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
}
