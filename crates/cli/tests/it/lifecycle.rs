//! People and groups come and go by hand, and what becomes of their accounts (5.5, 5.6); an application goes, too.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::guard::ten;
use crate::kill::read_all;
use crate::run::{APP, Server, json, refusal, run};

struct Here {
    data: PathBuf,
    url: String,
    token: String,
    _server: Server,
    _folder: tempfile::TempDir,
}

impl Here {
    /// Ten people at the target, each assigned; nothing is held back.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data, server, url, token) = ten(folder.path());
        json(&data, &["job", "guard", APP, "--off"]);
        Self {
            data,
            url,
            token,
            _server: server,
            _folder: folder,
        }
    }

    fn json(&self, args: &[&str]) -> Value {
        json(&self.data, args)
    }

    fn run(&self) -> Value {
        self.json(&["job", "run", APP])
    }

    /// Is an account there, and may it be used?
    fn active(&self, name: &str) -> Option<bool> {
        let users = read_all(&self.url, &self.token, "Users");
        let user = users.iter().find(|it| it["userName"] == name)?;
        user["active"].as_bool()
    }
}

const ONE: &str = "user1@example.test";

#[test]
fn a_user_is_deleted_restored_and_gone_for_good() {
    let here = Here::new();
    here.json(&[
        "user",
        "set",
        ONE,
        "jobTitle=Engineer",
        "accountEnabled=false",
    ]);
    let shown = here.json(&["user", "show", ONE]);
    assert_eq!(
        (&shown["jobTitle"], &shown["accountEnabled"]),
        (&json!("Engineer"), &json!(false))
    );
    here.run();
    assert_eq!(here.active(ONE), Some(false));
    here.json(&["user", "set", ONE, "accountEnabled=true", "jobTitle="]);
    assert_eq!(here.json(&["user", "show", ONE])["jobTitle"], Value::Null);
    here.run();
    assert_eq!(here.active(ONE), Some(true));
    // Soft-deleted: disabled; restored: as before.
    here.json(&["user", "delete", ONE]);
    assert_eq!(here.run()["disabled"], json!(1));
    assert_eq!(here.active(ONE), Some(false));
    let deleted = here.json(&["user", "deleted"]);
    assert_eq!(deleted["userPrincipalName"], ONE);
    assert!(deleted["goneDateTime"].is_string(), "{deleted}");
    here.json(&["user", "restore", ONE]);
    here.run();
    assert_eq!(here.active(ONE), Some(true));
    // Nobody is gone for good who was not deleted before.
    let (code, said) = refusal(&run(&here.data, &["user", "purge", ONE, "--yes"]));
    assert_eq!(code, Some(1));
    assert!(said.contains("no deleted user"), "{said}");
    here.json(&["user", "delete", ONE]);
    here.run();
    assert_eq!(
        run(&here.data, &["user", "purge", ONE]).status.code(),
        Some(2)
    );
    here.json(&["user", "purge", ONE, "--yes"]);
    assert_eq!(here.run()["deleted"], json!(1));
    assert_eq!(here.active(ONE), None);
    // What is wrong is said, and nothing is changed.
    let again = here.json(&[
        "user",
        "set",
        "user2@example.test",
        "otherMails=a@x.test;b@x.test",
    ]);
    assert_eq!(again["changed"], json!(true));
    let shown = here.json(&["user", "show", "user2@example.test"]);
    assert_eq!(shown["otherMails"], json!(["a@x.test", "b@x.test"]));
    for wrong in ["jobTitle", "shoeSize=43", "accountEnabled=perhaps"] {
        let refused = run(&here.data, &["user", "set", "user2@example.test", wrong]);
        assert_eq!(refused.status.code(), Some(2), "{wrong}");
    }
}

#[test]
fn a_group_gets_and_loses_members_and_goes() {
    let here = Here::new();
    let groups = here.data.with_file_name("groups.csv");
    std::fs::write(
        &groups,
        "displayName,securityEnabled\nSales,true\nAll,true\n",
    )
    .unwrap();
    here.json(&["import", groups.to_str().unwrap()]);
    here.json(&["app", "assign", APP, "--group", "Sales"]);
    here.json(&["group", "add", "Sales", ONE]);
    here.json(&["group", "add", "Sales", "user2@example.test"]);
    here.json(&["group", "add", "All", "--group", "Sales"]);
    here.run();
    let members = || {
        let groups = read_all(&here.url, &here.token, "Groups");
        let group = groups.iter().find(|it| it["displayName"] == "Sales");
        group.map(|it| it["members"].as_array().map_or(0, Vec::len))
    };
    assert_eq!(members(), Some(2));
    here.json(&["group", "remove", "Sales", ONE]);
    here.run();
    assert_eq!(members(), Some(1));
    here.json(&["group", "delete", "Sales", "--yes"]);
    here.run();
    assert_eq!(members(), None);
    let (_, said) = refusal(&run(&here.data, &["group", "show", "Sales"]));
    assert!(said.contains("no group"), "{said}");
    assert_eq!(
        here.json(&["group", "show", "All"])["securityEnabled"],
        json!(true)
    );
}

#[test]
fn whoever_falls_out_of_scope_is_left_alone_when_that_is_chosen() {
    // 5.6
    let here = Here::new();
    let set = here.json(&["job", "leaving", APP, "--skip-out-of-scope", "on"]);
    assert_eq!(set["skipOutOfScope"], json!(true));
    here.json(&["app", "unassign", APP, "--user", ONE]);
    let cycle = here.run();
    assert_eq!(
        (&cycle["requests"], &cycle["disabled"]),
        (&json!(0), &json!(0)),
        "{cycle}"
    );
    assert_eq!(here.active(ONE), Some(true));
    let log = here.json(&["log", "list", APP, "--user", ONE, "--limit", "1"]);
    assert!(log.to_string().contains("SkipOutOfScopeDeletions"), "{log}");
    // A deletion is none.
    here.json(&["user", "delete", "user2@example.test"]);
    assert_eq!(here.run()["disabled"], json!(1));
}

#[test]
fn an_application_goes_with_everything_that_is_kept_of_it() {
    let here = Here::new();
    here.json(&["plan", APP]);
    here.json(&["job", "start", APP]);
    let remove = ["app", "remove", APP, "--yes"];
    let (code, said) = refusal(&run(&here.data, &remove));
    assert_eq!(code, Some(1));
    assert!(said.contains("muster job pause"), "{said}");
    here.json(&["job", "pause", APP]);
    assert_eq!(run(&here.data, &remove[..3]).status.code(), Some(2));
    here.json(&remove);
    assert_eq!(here.json(&["app", "list"]), json!([]));
    assert_eq!(here.json(&["check"])["problems"], json!([]));
    // The accounts are as they were; the name is free, and finds them again.
    assert_eq!(here.active(ONE), Some(true));
    // Its name stands in the audit log, and finds what was done.
    let audit = run(&here.data, &["audit", "--app", APP]);
    let audit = String::from_utf8_lossy(&audit.stdout).into_owned();
    assert!(
        audit.contains(&format!("{APP}: Remove application")),
        "{audit}"
    );
    assert!(
        audit.contains(&format!("{APP}: Add app role assignment")),
        "{audit}"
    );
    here.json(&["app", "add", APP]);
    here.json(&["app", "scope", APP, "all", "--default-access", "on"]);
    let credentials = ["--tenant-url", &here.url, "--secret-token", &here.token];
    here.json(&[&["app", "credentials", APP][..], &credentials].concat());
    let cycle = here.run();
    assert_eq!(
        (&cycle["created"], &cycle["failed"]),
        (&json!(0), &json!(0)),
        "{cycle}"
    );
    let linked = run(&here.data, &["link", "list", APP]);
    assert_eq!(String::from_utf8_lossy(&linked.stdout).lines().count(), 10);
    let off = here.json(&["app", "scope", APP, "--default-access", "off"]);
    assert_eq!(off, json!({"changed": true, "defaultAccess": false}));
}
