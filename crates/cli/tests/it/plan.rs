//! A plan says what would be sent, and applying it sends that or nothing.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::kill::{client, read_all};
use crate::relay::{Relay, Seen};
use crate::run::{APP, Server, everybody, json, receiver, refusal, run};
use crate::unique::titles_are_unique;

/// A directory whose application provisions everybody through a relay.
struct Here {
    folder: tempfile::TempDir,
    data: PathBuf,
    _server: Server,
    relay: Relay,
    /// Where the received users are, without the relay.
    url: String,
    token: String,
}

fn user(number: usize) -> String {
    format!("00000001-0000-4000-8000-{number:012}")
}

impl Here {
    fn with(people: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let server = Server::start(&data, "127.0.0.1:0");
        let relay = Relay::before(&server.url);
        let (url, token) = receiver(&data);
        everybody(&data, &url.replace(&server.url, &relay.url), &token);
        let here = Self {
            folder,
            data,
            _server: server,
            relay,
            url,
            token,
        };
        let mut text = String::from("id,userPrincipalName,displayName,department,manager\n");
        for number in 0..people {
            // Each has the one before as a manager, but for every tenth.
            let manager = match number % 10 {
                0 => String::new(),
                _ => user(number - 1),
            };
            let _ = writeln!(
                text,
                "{},u{number}@example.test,User {number},Ops,{manager}",
                user(number)
            );
        }
        here.import("users.csv", &text);
        here
    }

    fn import(&self, name: &str, text: &str) {
        let file = self.folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        json(&self.data, &["import", file.to_str().unwrap()]);
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    /// Plans into a file; answers the plan and its operations.
    fn plan(&self, name: &str) -> (Value, Vec<Value>) {
        let file = self.file(name);
        let made = run(&self.data, &["plan", APP, "--out", &file]);
        assert!(made.status.success(), "{made:?}");
        let text = std::fs::read_to_string(file).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
        (lines.next().unwrap(), lines.collect())
    }

    /// What a command that refuses says, and its exit code.
    fn refused(&self, args: &[&str]) -> (Option<i32>, String) {
        refusal(&run(&self.data, args))
    }

    /// Somebody changes an account at the target.
    fn by_hand(&self, id: &str, path: &str, value: impl Into<Value>) {
        let patch = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{ "op": "replace", "path": path, "value": value.into() }]
        });
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let patched = runtime.block_on(async {
            let request = client().patch(format!("{}/Users/{id}", self.url));
            let request = request.bearer_auth(&self.token);
            let request = request.header("content-type", "application/scim+json");
            let answer = request.body(patch.to_string()).send().await;
            answer.unwrap().status()
        });
        assert!(patched.is_success(), "{patched}");
    }

    /// The ids that the target has given.
    fn ids(&self) -> HashMap<String, String> {
        let log = run(&self.data, &["log", "export", APP, "--action", "create"]);
        let log = String::from_utf8(log.stdout).unwrap();
        let lines = log
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let text = |it: &Value| it.as_str().unwrap().to_owned();
        lines
            .map(|it| {
                let source = text(&it["sourceIdentity"]["id"]);
                (
                    format!("planned-{source}"),
                    text(&it["targetIdentity"]["id"]),
                )
            })
            .collect()
    }
}

/// The requests of a plan, as the target gets them when it gives these ids.
fn requests(operations: &[Value], ids: &HashMap<String, String>) -> Vec<Seen> {
    let text = |it: &Value| it.as_str().unwrap_or_default().to_owned();
    let with_ids = |text: String| {
        let mut parts = text.split("planned-");
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let (source, rest) = part.split_at(36);
            out += &ids[&format!("planned-{source}")];
            out += rest;
        }
        out
    };
    let all = operations
        .iter()
        .flat_map(|it| it["requests"].as_array().unwrap());
    let mut all: Vec<Seen> = all
        .map(|it| Seen {
            method: text(&it["method"]),
            path: with_ids(text(&it["path"])),
            body: with_ids(text(&it["body"])),
        })
        .collect();
    all.sort();
    all
}

/// What a relay saw, with paths below the tenant URL.
fn seen(relay: &Relay, url: &str, from: usize) -> Vec<Seen> {
    let base = &url[url.find("/scim").unwrap()..];
    let mut all: Vec<Seen> = relay.writes()[from..].to_vec();
    for it in &mut all {
        it.path = it.path.strip_prefix(base).unwrap().to_owned();
    }
    all.sort();
    all
}

#[test]
fn what_is_planned_is_what_the_target_gets_byte_for_byte() {
    let people = 10_000;
    let here = Here::with(people);
    here.import(
        "groups.csv",
        "id,displayName\n00000002-0000-4000-8000-000000000000,All\n",
    );
    let mut members = String::from("groupId,memberId,memberType\n");
    for number in 0..people {
        let _ = writeln!(
            members,
            "00000002-0000-4000-8000-000000000000,{},user",
            user(number)
        );
    }
    here.import("memberships.csv", &members);
    let (plan, operations) = here.plan("first.plan");
    assert_eq!(plan["counts"]["created"], people + 1);
    assert!(here.relay.writes().is_empty());
    let first = here.file("first.plan");
    let applied = json(&here.data, &["apply", &first]);
    assert_eq!(
        (&applied["created"], &applied["failed"]),
        (&json!(people + 1), &json!(0))
    );
    let planned = requests(&operations, &here.ids());
    assert_eq!(plan["counts"]["requests"], planned.len());
    assert!(
        seen(&here.relay, &here.url, 0) == planned,
        "the requests differ"
    );
    assert_eq!(read_all(&here.url, &here.token, "Users").len(), people);

    // There is nothing more to do, and what was done is not done again.
    let (plan, operations) = here.plan("second.plan");
    assert_eq!(
        (&plan["counts"]["requests"], operations.len()),
        (&json!(0), 0)
    );
    let (code, said) = here.refused(&["apply", &first]);
    assert!(code == Some(4) && said.contains("another cycle"), "{said}");

    // Changes: an update, another manager, one who is disabled.
    let sent = here.relay.writes().len();
    let text = format!(
        "id,userPrincipalName,displayName,department,manager,accountEnabled\n\
         {},u1@example.test,User 1,Sales,,true\n{},u2@example.test,User 2,Ops,{},false\n",
        user(1),
        user(2),
        user(1)
    );
    here.import("users.csv", &text);
    let (plan, operations) = here.plan("third.plan");
    assert_eq!(
        (&plan["cycle"], &plan["counts"]["disabled"]),
        (&json!("incremental"), &json!(1))
    );
    json(&here.data, &["apply", &here.file("third.plan")]);
    let planned = requests(&operations, &here.ids());
    assert_eq!(seen(&here.relay, &here.url, sent), planned);
    assert!(planned.len() >= 2, "{planned:?}");
}

#[test]
fn a_plan_whose_ground_has_moved_is_refused_and_nothing_is_sent() {
    let here = Here::with(3);
    let plan = || {
        here.plan("a.plan");
        here.file("a.plan")
    };
    let refused = |plan: &str, why: &str| {
        let before = here.relay.writes().len();
        let (code, said) = here.refused(&["apply", plan]);
        assert!(code == Some(4) && said.contains(why), "{code:?} {said}");
        assert_eq!(here.relay.writes().len(), before);
    };
    // The source.
    let first = plan();
    here.import(
        "users.csv",
        &format!(
            "id,userPrincipalName,displayName\n{},u0@example.test,Zoë\n",
            user(0)
        ),
    );
    refused(&first, "the directory has changed");
    // The configuration.
    let second = plan();
    json(&here.data, &["app", "scope", APP, "assigned"]);
    refused(&second, "mappings, settings or the tenant URL");
    json(&here.data, &["app", "scope", APP, "all"]);
    let third = plan();
    json(&here.data, &["apply", &third]);
    // The target: somebody changes there what the plan would change.
    json(&here.data, &["job", "restart", APP]);
    let fourth = plan();
    let id = &here.ids()[&format!("planned-{}", user(1))];
    here.by_hand(id, "displayName", "by hand");
    refused(&fourth, "User 1 is not what the plan says");
    let fifth = plan();
    let cycle = json(&here.data, &["apply", &fifth]);
    assert_eq!(cycle["updated"], 1, "{cycle}");
    // What was changed in the file is not what was planned.
    let text = std::fs::read_to_string(&fifth)
        .unwrap()
        .replace("User 1", "User 7");
    std::fs::write(&fifth, text).unwrap();
    let (code, said) = here.refused(&["apply", &fifth]);
    assert!(
        code == Some(2) && said.contains("not as it was written"),
        "{said}"
    );
}

/// The schema of the application, where every new account gets a password that the log does not tell.
fn with_passwords(data: &Path) -> Value {
    let exported = run(data, &["schema", "export", APP]);
    let mut schema: Value = serde_json::from_slice(&exported.stdout).unwrap();
    let mappings = &mut schema["synchronizationRules"][0]["objectMappings"][0]["attributeMappings"];
    let mappings = mappings.as_array_mut().unwrap();
    let mapping = mappings
        .iter_mut()
        .find(|it| it["targetAttributeName"] == "title")
        .unwrap();
    mapping["flowType"] = "ObjectAddOnly".into();
    mapping["source"] = json!({ "expression": "Redact(RandomString(20, 3, 3, 3, 3))" });
    schema
}

#[test]
fn am_20_randomness_in_a_plan_is_what_is_sent_and_what_is_redacted_is_not_shown() {
    let here = Here::with(2);
    let file = here.file("schema.json");
    std::fs::write(&file, with_passwords(&here.data).to_string()).unwrap();
    json(&here.data, &["schema", "import", APP, &file]);
    let (_, operations) = here.plan("a.plan");
    let shown = operations
        .iter()
        .map(|it| it["requests"][0]["body"].as_str().unwrap());
    let titled = shown.filter(|it| it.contains("title"));
    assert_eq!(titled.filter(|it| it.contains("[redacted]")).count(), 2);
    let digests = operations
        .iter()
        .filter(|it| it["requests"][0]["bodyDigest"].is_string());
    assert_eq!(digests.count(), 2);
    // Planned twice before it is applied: the same values each time, or it would be refused.
    let cycle = json(&here.data, &["apply", &here.file("a.plan")]);
    assert_eq!(
        (&cycle["created"], &cycle["failed"]),
        (&json!(2), &json!(0)),
        "{cycle}"
    );
    let users = read_all(&here.url, &here.token, "Users");
    let titles: Vec<&str> = users
        .iter()
        .map(|it| it["title"].as_str().unwrap())
        .collect();
    assert!(
        titles.iter().all(|it| it.len() == 20) && titles[0] != titles[1],
        "{titles:?}"
    );
    let plan = std::fs::read_to_string(here.file("a.plan")).unwrap();
    assert!(!titles.iter().any(|it| plan.contains(it)));
}

#[test]
fn eh_17_a_plan_says_what_the_guard_would_hold_and_does_not_pass_it() {
    let here = Here::with(10);
    json(&here.data, &["job", "run", APP]);
    json(&here.data, &["app", "scope", APP, "assigned"]);
    let sent = here.relay.writes().len();
    let (plan, operations) = here.plan("a.plan");
    assert_eq!(
        plan["heldByGuard"],
        json!({ "withdrawn": 10, "memberships": 0, "recent": 0, "managed": 10 })
    );
    let disables = operations.iter().filter(|it| it["action"] == "disable");
    assert_eq!(disables.count(), 10);
    let plan = here.file("a.plan");
    let (code, said) = here.refused(&["apply", &plan]);
    assert!(code == Some(4) && said.contains("10 of the 10"), "{said}");
    assert_eq!(here.relay.writes().len(), sent);
    json(&here.data, &["job", "allow", APP, "--expect", "10"]);
    let cycle = json(&here.data, &["apply", &plan]);
    assert_eq!(cycle["disabled"], 10, "{cycle}");
    assert_eq!(here.relay.writes().len(), sent + 10);
}

#[test]
fn who_gets_a_value_that_several_want_is_the_same_when_it_is_applied() {
    let here = Here::with(0);
    let exported = run(&here.data, &["schema", "export", APP]);
    let mut schema: Value = serde_json::from_slice(&exported.stdout).unwrap();
    titles_are_unique(&mut schema);
    let file = here.file("schema.json");
    std::fs::write(&file, schema.to_string()).unwrap();
    json(&here.data, &["schema", "import", APP, &file]);
    let mut text = String::from("id,userPrincipalName,displayName,surname\n");
    for number in 0..120 {
        // Three of each name, far from each other.
        let name = number % 40;
        let _ = writeln!(
            text,
            "{},u{number}@example.test,U{number},Name{name}x",
            user(number)
        );
    }
    here.import("users.csv", &text);
    let (_, operations) = here.plan("a.plan");
    let applied = json(&here.data, &["apply", &here.file("a.plan")]);
    assert_eq!(
        (&applied["created"], &applied["failed"]),
        (&json!(120), &json!(0)),
        "{applied}"
    );
    let planned = requests(&operations, &here.ids());
    assert_eq!(seen(&here.relay, &here.url, 0), planned);
}

#[test]
fn what_an_account_has_before_it_is_disabled_is_what_the_target_says() {
    let here = Here::with(2);
    json(&here.data, &["job", "run", APP]);
    let ids = here.ids();
    let id = &ids[&format!("planned-{}", user(0))];
    here.by_hand(id, "active", false);
    json(&here.data, &["app", "scope", APP, "assigned"]);
    let (plan, operations) = here.plan("a.plan");
    let told = run(&here.data, &["plan", APP, "--json"]);
    let told = String::from_utf8(told.stdout).unwrap();
    let first: Value = serde_json::from_str(told.lines().next().unwrap()).unwrap();
    assert_eq!(first["id"].as_str().map(str::len), Some(64), "{first}");
    assert_eq!(told.lines().count(), 1 + operations.len());
    assert_eq!(plan["counts"]["disabled"], 2);
    let before = |number: usize| {
        let of = operations.iter().find(|it| it["source"] == user(number));
        of.unwrap()["modified"][0]["before"].clone()
    };
    assert_eq!((before(0), before(1)), (json!(false), json!(true)));
    // Somebody enables the account meanwhile: it is not what the plan says.
    here.by_hand(id, "active", true);
    let (code, said) = here.refused(&["apply", &here.file("a.plan")]);
    assert!(code == Some(4) && said.contains("User 0"), "{said}");
}
