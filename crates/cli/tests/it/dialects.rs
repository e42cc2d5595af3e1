//! Targets that want to be spoken to in their own way (7.6): what is planned is what is sent, and everybody
//! arrives as with any other.

use serde_json::{Value, json as value};

use crate::kill::read_all;
use crate::relay::{Seen, Trouble};
use crate::run::{APP, json, run};
use crate::troubled::Here;

/// A cycle, planned and applied; answers what was sent, after it was compared with the plan.
pub(crate) fn cycle(here: &Here) -> Vec<Seen> {
    let file = here.data.join("cycle.plan");
    let file = file.to_str().unwrap();
    let before = here.relay.writes().len();
    json(&here.data, &["plan", APP, "--out", file]);
    assert_eq!(here.relay.writes().len(), before, "a plan writes nothing");
    let ended = json(&here.data, &["apply", file]);
    assert_eq!(ended["failed"], 0, "{ended}");
    let mut sent = here.relay.writes()[before..].to_vec();
    let planned = std::fs::read_to_string(file).unwrap();
    let planned: Vec<Value> = planned
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let requests = planned.iter().filter_map(|it| it["requests"].as_array());
    assert_eq!(requests.flatten().count(), sent.len());
    sent.sort();
    sent
}

fn operations(sent: &[Seen]) -> Vec<Value> {
    let bodies = sent.iter().filter(|it| it.method == "PATCH");
    bodies
        .flat_map(|it| {
            let body: Value = serde_json::from_str(&it.body).unwrap();
            body["Operations"].as_array().unwrap().clone()
        })
        .collect()
}

/// Somebody leaves the group, somebody is disabled, somebody is called otherwise.
pub(crate) fn change(here: &Here) {
    let set = |text: &str| {
        let file = here.data.join("more.csv");
        std::fs::write(&file, text).unwrap();
        json(&here.data, &["import", file.to_str().unwrap()]);
    };
    set("userPrincipalName,accountEnabled\nu3@example.test,false\n");
    set("userPrincipalName,jobTitle,surname,mail\nu4@example.test,Chief,Silva,s@example.test\n");
}

/// What has arrived of [`change`] at the target.
pub(crate) fn check_changed(here: &Here) {
    let users = read_all(&here.url, &here.token, "Users");
    let of = |name: &str| users.iter().find(|it| it["userName"] == name).unwrap();
    assert_eq!(of("u3@example.test")["active"], false);
    let fourth = of("u4@example.test");
    assert_eq!(
        (
            &fourth["title"],
            &fourth["name"]["familyName"],
            &fourth["emails"][0]["value"]
        ),
        (&"Chief".into(), &"Silva".into(), &"s@example.test".into()),
        "{fourth}"
    );
}

#[test]
fn the_dialect_of_2017_is_spoken_to_who_wants_it() {
    let here = Here::with(6, |_, _| Trouble::None);
    json(
        &here.data,
        &["job", "dialect", APP, "--patch", "2017", "--members", "2"],
    );
    let said = operations(&cycle(&here));
    here.check("2017");
    let members: Vec<&Value> = said.iter().filter(|it| it["path"] == "members").collect();
    assert_eq!(members.len(), 3, "two in a request");
    assert!(members.iter().all(|it| it["op"] == "Add"), "{members:?}");
    let managers = said
        .iter()
        .filter(|it| it["op"] == "Add" && it["value"].is_string());
    assert_eq!(managers.count(), 5);
    change(&here);
    let said = operations(&cycle(&here));
    check_changed(&here);
    let disable = value!({ "op": "Replace", "path": "active", "value": "False" });
    assert!(said.contains(&disable), "{said:?}");
    assert!(said.iter().all(|it| it["path"].is_string()));
}

#[test]
fn the_flag_in_the_tenant_url_asks_for_the_dialect_of_062020() {
    let here = Here::with(6, |_, _| Trouble::None);
    let path = here.url.splitn(4, '/').nth(3).unwrap();
    let url = format!("{}/{path}?aadOptscim062020", here.relay.url);
    let credentials = ["--tenant-url", &url, "--secret-token", &here.token];
    json(
        &here.data,
        &[&["app", "credentials", APP][..], &credentials].concat(),
    );
    cycle(&here);
    here.check("062020");
    change(&here);
    let first = cycle(&here);
    check_changed(&here);
    assert!(first.iter().all(|it| !it.path.contains("aadOptscim")));
    // Something to replace: before, there was nothing but a name.
    let file = here.data.join("again.csv");
    let text =
        "userPrincipalName,jobTitle,surname,mail\nu4@example.test,Queen,Santos,q@example.test\n";
    std::fs::write(&file, text).unwrap();
    json(&here.data, &["import", file.to_str().unwrap()]);
    let said = operations(&cycle(&here));
    assert_eq!(
        said,
        [
            value!({
                "op": "replace", "path": "emails[type eq \"work\"].value",
                "value": "q@example.test"
            }),
            value!({
                "op": "replace",
                "value": { "title": "Queen", "name.familyName": "Santos", "name.formatted": "Santos" }
            })
        ]
    );
}

#[test]
fn a_target_that_knows_neither_patch_nor_a_filter_on_groups_gets_whole_resources() {
    let here = Here::with(6, |_, seen| {
        let filters = seen.path.contains("/Groups") && seen.path.contains("filter=");
        match seen.method.as_str() {
            "PATCH" => Trouble::Answer(501, ""),
            "GET" if filters => Trouble::Answer(400, ""),
            _ => Trouble::None,
        }
    });
    let dialect = ["--write", "put", "--group-filter", "off", "--members", "4"];
    json(
        &here.data,
        &[&["job", "dialect", APP][..], &dialect].concat(),
    );
    let sent = cycle(&here);
    here.check("put");
    assert!(sent.iter().any(|it| it.method == "PUT"));
    change(&here);
    cycle(&here);
    check_changed(&here);
    assert_eq!(here.relay.troubles(), []);
    // Matched again, not made twice.
    json(&here.data, &["job", "restart", APP]);
    let again = json(&here.data, &["job", "run", APP]);
    assert_eq!(
        (&again["created"], &again["failed"]),
        (&0.into(), &0.into()),
        "{again}"
    );
}

#[test]
fn a_probe_finds_out_how_to_speak_to_a_target_and_leaves_nothing_behind() {
    let here = Here::with(1, |_, _| Trouble::None);
    let before = here.relay.writes().len();
    let read = json(&here.data, &["app", "probe", APP]);
    assert_eq!(here.relay.writes().len(), before, "it only reads");
    assert_eq!(
        (&read["patch"], &read["write"], &read["groupFilter"]),
        (&"flag".into(), &"patch".into(), &true.into()),
        "{read}"
    );
    let canary = ["app", "probe", APP, "--canary", "canary@example.test"];
    let tried = json(&here.data, &canary);
    assert_eq!(
        (&tried["patch"], &tried["write"]),
        (&"rfc".into(), &"patch".into()),
        "{tried}"
    );
    let all = tried["findings"].as_array().unwrap();
    assert!(all.iter().all(|it| it["works"] == true), "{tried}");
    assert!(read_all(&here.url, &here.token, "Users").is_empty());
    assert!(read_all(&here.url, &here.token, "Groups").is_empty());

    // One that knows no PATCH, and finds no groups; whatever fails, what was made is removed.
    let here = Here::with(1, |_, seen| {
        let filters = seen.path.contains("/Groups") && seen.path.contains("filter=");
        match seen.method.as_str() {
            "PATCH" => Trouble::Answer(501, ""),
            "GET" if filters => Trouble::Answer(400, ""),
            _ => Trouble::None,
        }
    });
    let tried = json(&here.data, &canary);
    assert_eq!(
        (&tried["write"], &tried["groupFilter"], &tried["leftBehind"]),
        (&"put".into(), &false.into(), &value!([])),
        "{tried}"
    );
    assert!(read_all(&here.url, &here.token, "Users").is_empty());
    assert!(read_all(&here.url, &here.token, "Groups").is_empty());

    // One that replaces texts alone, as some did in 2017.
    let here = Here::with(1, |_, seen| {
        let is_boolean = seen.body.contains("\"value\":false");
        if seen.method == "PATCH" && is_boolean {
            Trouble::Answer(400, "")
        } else {
            Trouble::None
        }
    });
    let tried = json(&here.data, &canary);
    assert_eq!(tried["patch"], "2017", "{tried}");
}

#[test]
fn writes_go_together_to_who_wants_them_so_and_are_what_was_planned() {
    let here = Here::with(30, |_, _| Trouble::None);
    json(&here.data, &["job", "dialect", APP, "--bulk", "10"]);
    let keep = ["job", "exchanges", APP, "--keep", "all"];
    json(&here.data, &keep);
    let file = here.data.join("cycle.plan");
    let file = file.to_str().unwrap();
    json(&here.data, &["plan", APP, "--out", file]);
    let ended = json(&here.data, &["apply", file]);
    assert_eq!(ended["failed"], 0, "{ended}");
    here.check("bulk");
    let sent = here.relay.writes();
    let (bulk, alone): (Vec<Seen>, Vec<Seen>) =
        sent.into_iter().partition(|it| it.path.ends_with("/Bulk"));
    assert_eq!(alone, []);
    let mut operations = Vec::new();
    for request in &bulk {
        let body: Value = serde_json::from_str(&request.body).unwrap();
        let all = body["Operations"].as_array().unwrap().clone();
        assert!((1..=10).contains(&all.len()));
        operations.extend(all);
    }
    assert!(bulk.len() < operations.len() / 2, "{} requests", bulk.len());
    let mut sent: Vec<String> = operations
        .iter()
        .map(|it| format!("{} {} {}", it["method"], it["path"], it["data"]))
        .collect();
    // Creations are planned as they are sent; what refers to them, by ids that they had not yet.
    let planned = std::fs::read_to_string(file).unwrap();
    let mut planned: Vec<String> = planned
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .flat_map(|it| it["requests"].as_array().cloned().unwrap_or_default())
        .map(|it| {
            let body: Value = match &it["body"] {
                Value::String(text) => serde_json::from_str(text).unwrap(),
                other => other.clone(),
            };
            format!("{} {} {body}", it["method"], it["path"])
        })
        .collect();
    assert_eq!(sent.len(), planned.len());
    let creations = |all: &mut Vec<String>| {
        all.retain(|it| it.starts_with("\"POST\""));
        all.sort();
    };
    creations(&mut sent);
    creations(&mut planned);
    assert_eq!(sent, planned);
    // Each event has its own part of them, and nobody else's.
    let of_user = [
        "log",
        "exchanges",
        APP,
        "--user",
        "u7@example.test",
        "--curl",
    ];
    let told = run(&here.data, &of_user);
    let told = String::from_utf8(told.stdout).unwrap();
    assert!(
        told.contains("u7@example.test") && !told.contains("u8@example.test"),
        "{told}"
    );
    change(&here);
    json(&here.data, &["job", "run", APP]);
    check_changed(&here);
}

#[test]
fn a_target_without_bulk_is_told_so_and_what_is_refused_in_it_fails_alone() {
    let here = Here::with(6, |_, seen| {
        let is_bulk = seen.path.ends_with("/Bulk");
        if is_bulk && seen.body.contains("u3@example.test") {
            Trouble::Answer(404, "")
        } else {
            Trouble::None
        }
    });
    json(&here.data, &["job", "dialect", APP, "--bulk", "64"]);
    let output = run(&here.data, &["job", "run", APP]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let events = json(&here.data, &["log", "list", APP, "--status", "failure"]);
    let said = events[0]["reason"].as_str().unwrap();
    assert!(said.contains("muster job dialect --bulk 0"), "{said}");
    let surprise = json(&here.data, &["app", "surprises", APP]);
    let command = surprise["command"].as_str().unwrap();
    assert!(command.ends_with("--bulk 0"), "{surprise}");
    json(&here.data, &["job", "dialect", APP, "--bulk", "0"]);
    json(&here.data, &["job", "restart", APP]);
    json(&here.data, &["job", "run", APP]);
    here.check("alone");
}
