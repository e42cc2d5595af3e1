//! Links in the hands of an administrator (CY-7), and what a restart forgets (5.8).

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::kill::{client, read_all};
use crate::relay::{Relay, Trouble};
use crate::run::{APP, Server, everybody, json, receiver, refusal, run};

struct Here {
    data: PathBuf,
    _folder: tempfile::TempDir,
    _server: Server,
    relay: Relay,
    url: String,
    token: String,
}

impl Here {
    /// Three people at the target.
    fn new(script: impl Fn(usize, &crate::relay::Seen) -> Trouble + Send + Sync + 'static) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let server = Server::start(&data, "127.0.0.1:0");
        let relay = Relay::scripted(&server.url, script);
        let (url, token) = receiver(&data);
        let users = folder.path().join("users.csv");
        let text = "userPrincipalName,displayName\nana@example.test,Ana\nben@example.test,Ben\n\
                    cem@example.test,Cem\n";
        std::fs::write(&users, text).unwrap();
        json(&data, &["import", users.to_str().unwrap()]);
        everybody(&data, &url.replace(&server.url, &relay.url), &token);
        Self {
            data,
            _folder: folder,
            _server: server,
            relay,
            url,
            token,
        }
    }

    fn json(&self, args: &[&str]) -> Value {
        json(&self.data, args)
    }

    /// One cycle, which may fail for some.
    fn cycle(&self) -> Value {
        let output = run(&self.data, &["job", "run", APP, "--json"]);
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn links(&self, args: &[&str]) -> Vec<Value> {
        lines(&self.data, &[&["link", "list", APP][..], args].concat())
    }

    fn id(&self, name: &str) -> String {
        let users = read_all(&self.url, &self.token, "Users");
        let user = users.iter().find(|it| it["userName"] == name);
        user.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// How many events a cycle with this id has, by status and code.
    fn happened(&self, cycle: &Value) -> Vec<String> {
        let told = lines(&self.data, &["log", "list", APP, "--limit", "100"]);
        let of = told.iter().filter(|it| it["cycleId"] == cycle["id"]);
        let mut told: Vec<String> = of
            .map(|it| {
                format!(
                    "{} {}",
                    it["provisioningAction"], it["statusInfo"]["status"]
                )
            })
            .collect();
        told.sort();
        told
    }
}

fn lines(data: &Path, args: &[&str]) -> Vec<Value> {
    let output = run(data, &[args, &["--json"]].concat());
    assert!(output.status.success(), "{output:?}");
    let told = String::from_utf8(output.stdout).unwrap();
    told.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn cy_7_a_link_is_looked_at_dropped_and_set_and_nothing_changes_on_either_side() {
    let here = Here::new(|_, _| Trouble::None);
    here.cycle();
    let ana = here.id("ana@example.test");
    assert_eq!(here.links(&[]).len(), 3);
    assert_eq!(here.links(&["--kind", "group"]).len(), 0);
    assert_eq!(here.links(&["--state", "managed", "--limit", "2"]).len(), 2);
    let of_ana = here.links(&["--target", &ana]);
    assert_eq!(
        (of_ana.len(), &of_ana[0]["name"]),
        (1, &json!("ana@example.test"))
    );
    let shown = here.json(&["link", "show", APP, "ana@example.test"]);
    assert_eq!(
        (&shown["target"], &shown["atTarget"]["userName"]),
        (&json!(ana), &json!("ana@example.test")),
        "{shown}"
    );

    // Not while the job is on.
    here.json(&["job", "start", APP]);
    let drop = ["link", "drop", APP, "ana@example.test"];
    let (code, said) = refusal(&run(&here.data, &drop));
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("muster job pause"), "{said}");
    here.json(&["job", "pause", APP]);
    let before = here.relay.writes().len();
    assert_eq!(here.json(&drop)["target"], json!(ana));
    assert_eq!(here.links(&[]).len(), 2);
    let (_, said) = refusal(&run(&here.data, &drop));
    assert!(said.contains("not linked"), "{said}");
    let (_, said) = refusal(&run(&here.data, &["link", "show", APP, "ana@example.test"]));
    assert!(said.contains("not linked"), "{said}");

    // Nobody is linked to what is not there, or to what is somebody else's.
    let set = |target: &str| {
        run(
            &here.data,
            &["link", "set", APP, "ana@example.test", target],
        )
    };
    let (_, said) = refusal(&set("nothing"));
    assert!(said.contains("no User with the id nothing"), "{said}");
    let (_, said) = refusal(&set(&here.id("ben@example.test")));
    assert!(said.contains("is linked to it"), "{said}");
    // The next cycle matches who is in scope.
    let cycle = here.cycle();
    assert_eq!(here.links(&["--target", &ana]).len(), 1, "{cycle}");
    assert_eq!(here.relay.writes().len(), before, "something was written");

    // Linked to another account, she gets that one.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let other = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "old.ana"
    });
    let post = client()
        .post(format!("{}/Users", here.url))
        .bearer_auth(&here.token)
        .header("content-type", "application/scim+json")
        .body(other.to_string());
    assert_eq!(runtime.block_on(post.send()).unwrap().status(), 201);
    let delete = client()
        .delete(format!("{}/Users/{ana}", here.url))
        .bearer_auth(&here.token);
    assert_eq!(runtime.block_on(delete.send()).unwrap().status(), 204);
    let other = here.id("old.ana");
    let told = here.json(&["link", "set", APP, "ana@example.test", &other]);
    assert_eq!(told["before"], json!(ana), "{told}");
    let cycle = here.cycle();
    assert_eq!(
        (&cycle["updated"], &cycle["created"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(here.id("ana@example.test"), other);
    let audit = lines(&here.data, &["audit"]);
    let changed = audit
        .iter()
        .filter(|it| it["activityDisplayName"] == "Change link");
    assert_eq!(changed.count(), 2, "{audit:?}");
    assert_eq!(here.json(&["check"])["problems"], json!([]));
}

#[test]
fn a_restart_forgets_what_its_scope_names_and_nothing_else() {
    // Cem is refused by the target.
    let here = Here::new(|_, seen| {
        if seen.method == "POST" && seen.body.contains("cem@") {
            Trouble::Answer(400, "")
        } else {
            Trouble::None
        }
    });
    here.cycle();
    let status = || here.json(&["job", "status", APP]);
    let (watermark, escrows) = (status()["watermark"].clone(), status()["escrows"].clone());
    assert!(watermark.is_string());
    assert_eq!(escrows, json!(1));

    let restart = |scope: &str| here.json(&["job", "restart", APP, "--scope", scope, "--yes"]);
    restart("Escrows");
    assert_eq!(
        (&status()["watermark"], &status()["escrows"]),
        (&watermark, &json!(0))
    );
    // Nobody looks at Cem any more.
    assert_eq!(here.cycle()["requests"], json!(0));

    restart("QuarantineState");
    assert_eq!(status()["watermark"], watermark);
    restart("Watermark");
    assert_eq!(status()["watermark"], Value::Null);
    assert_eq!(here.links(&[]).len(), 2);
    let cycle = here.cycle();
    assert_eq!(
        (&cycle["kind"], &cycle["failed"], &cycle["created"]),
        (&json!("initial"), &json!(1), &json!(0)),
        "{cycle}"
    );

    // The button: links are kept (CY-6).
    here.json(&["job", "restart", APP]);
    assert_eq!(
        (&status()["watermark"], &status()["escrows"]),
        (&Value::Null, &json!(0))
    );
    assert_eq!(here.links(&[]).len(), 2);
    here.cycle();

    // Links are forgotten, and found again by matching; not while somebody waits to lose access.
    let forget = ["job", "restart", APP, "--scope", "ConnectorDataStore"];
    assert_eq!(run(&here.data, &forget).status.code(), Some(2));
    let forget = [&forget[..], &["--yes"]].concat();
    here.json(&["user", "set", "ana@example.test", "jobTitle=Engineer"]);
    let (_, said) = refusal(&run(&here.data, &forget));
    assert!(said.contains("1 changes of the directory wait"), "{said}");
    here.cycle();
    here.json(&["job", "start", APP]);
    let (_, said) = refusal(&run(&here.data, &forget));
    assert!(said.contains("muster job pause"), "{said}");
    here.json(&["job", "pause", APP]);
    here.cycle();
    let forgotten = restart("ConnectorDataStore");
    assert_eq!(forgotten["linksForgotten"], json!(2));
    assert_eq!(
        (here.links(&[]).len(), &status()["watermark"]),
        (0, &Value::Null)
    );
    assert_eq!(status()["escrows"], json!(1));
    let cycle = here.cycle();
    assert_eq!(here.links(&[]).len(), 2, "{:?}", here.happened(&cycle));
    assert_eq!(cycle["created"], json!(0));
    assert_eq!(read_all(&here.url, &here.token, "Users").len(), 2);
    let forgotten = restart("Full");
    assert_eq!(forgotten["linksForgotten"], json!(2));
    assert_eq!(
        (here.links(&[]).len(), &status()["escrows"]),
        (0, &json!(0))
    );
    let refused = run(
        &here.data,
        &["job", "restart", APP, "--scope", "Everything"],
    );
    assert_eq!(refused.status.code(), Some(2));
}
