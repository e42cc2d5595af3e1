//! Commands here and through a running server; help and completions.

use crate::run::{APP, Server, json, run};

#[test]
fn commands_work_on_the_folder_and_through_the_server_that_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let here = json(folder.path(), &["integration", "create", "First"]);
    assert!(here["scimUrl"].as_str().unwrap().ends_with("/v2"));
    assert!(here["token"].as_str().unwrap().starts_with("mst_"));

    let server = Server::start(folder.path(), "127.0.0.1:0");
    let there = json(folder.path(), &["integration", "create", "Second"]);
    assert!(there["scimUrl"].as_str().unwrap().starts_with(&server.url));
    let users = folder.path().join("users.csv");
    std::fs::write(
        &users,
        "userPrincipalName,displayName\nana@example.test,Ana\n",
    )
    .unwrap();
    let report = json(folder.path(), &["import", users.to_str().unwrap()]);
    assert_eq!(report["created"], 1);
    drop(server);

    let listed = json(folder.path(), &["integration", "list"]);
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["First", "Second"]);
    let again = json(folder.path(), &["import", users.to_str().unwrap()]);
    assert_eq!(
        (&again["created"], &again["unchanged"]),
        (&0.into(), &1.into())
    );
}

#[test]
fn a_token_is_shown_once_rotated_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let first = json(folder.path(), &["integration", "create", "App"]);
    let second = json(folder.path(), &["integration", "rotate", "app"]);
    assert_eq!(first["id"], second["id"]);
    assert_ne!(first["token"], second["token"]);
    let listed = json(folder.path(), &["integration", "list"]);
    assert_eq!(listed[0]["tokens"].as_array().unwrap().len(), 2);
    assert!(!listed.to_string().contains("mst_"));
    assert_eq!(
        json(folder.path(), &["integration", "revoke", "App"])["revoked"],
        2
    );
}

#[test]
fn every_command_has_help_with_an_example() {
    let folder = tempfile::tempdir().unwrap();
    let commands: &[&[&str]] = &[
        &[],
        &["demo"],
        &["serve"],
        &["completions"],
        &["import"],
        &["integration", "create"],
        &["integration", "list"],
        &["integration", "rotate"],
        &["integration", "revoke"],
        &["app", "included"],
        &["app", "probe"],
        &["app", "gallery"],
        &["app", "add"],
        &["app", "list"],
        &["app", "show"],
        &["app", "assign"],
        &["app", "unassign"],
        &["app", "credentials"],
        &["app", "authorize"],
        &["app", "surprises"],
        &["app", "test-connection"],
        &["app", "scope"],
        &["app", "notify"],
        &["app", "remove"],
        &["notice", "list"],
        &["notice", "acknowledge"],
        &["notice", "test"],
        &["job", "start"],
        &["job", "pause"],
        &["job", "restart"],
        &["job", "interval"],
        &["job", "guard"],
        &["job", "leaving"],
        &["job", "dialect"],
        &["job", "exchanges"],
        &["job", "log"],
        &["job", "retries"],
        &["job", "held"],
        &["job", "allow"],
        &["job", "status"],
        &["job", "run"],
        &["token", "create"],
        &["token", "list"],
        &["token", "revoke"],
        &["administrator", "list"],
        &["administrator", "password"],
        &["plan"],
        &["apply"],
        &["explain"],
        &["provision"],
        &["user", "show"],
        &["user", "set"],
        &["user", "delete"],
        &["user", "deleted"],
        &["user", "restore"],
        &["user", "purge"],
        &["group", "show"],
        &["group", "set"],
        &["group", "add"],
        &["group", "remove"],
        &["group", "delete"],
        &["link", "list"],
        &["link", "show"],
        &["link", "drop"],
        &["link", "set"],
        &["log", "list"],
        &["log", "show"],
        &["log", "export"],
        &["log", "counts"],
        &["log", "exchanges"],
        &["metrics"],
        &["audit"],
        &["schema", "export"],
        &["schema", "import"],
        &["schema", "check"],
        &["schema", "diff"],
        &["schema", "discover"],
        &["schema", "history"],
        &["schema", "restore"],
        &["schema", "rollback"],
        &["expression", "eval"],
        &["expression", "check"],
        &["expression", "functions"],
        &["expression", "test"],
        &["mapping", "test"],
    ];
    for command in commands {
        let output = run(folder.path(), &[command, &["--help"][..]].concat());
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success() && said.contains("Example"),
            "{command:?}: {said}"
        );
    }
}

#[test]
fn completions_are_printed_for_a_shell_and_bad_usage_exits_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let output = run(folder.path(), &["completions", "bash"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("_muster"));
    assert_eq!(
        run(folder.path(), &["integration", "crate", "x"])
            .status
            .code(),
        Some(2)
    );
    assert_eq!(
        run(folder.path(), &["app", "assign", "x"]).status.code(),
        Some(2)
    );
}

#[test]
fn any_application_of_the_gallery_or_of_ones_own_can_be_added_and_found_by_a_near_name() {
    let folder = tempfile::tempdir().unwrap();
    let added = json(folder.path(), &["app", "add", "wss"]);
    assert_eq!(added["name"], "Symantec Web Security Service");
    json(folder.path(), &["app", "add", "--custom", "--name", "Mine"]);
    let refused = run(
        folder.path(),
        &["app", "add", "Symantec Web Securty Service"],
    );
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("Symantec Web Security Service"), "{said}");
    // Not by SCIM.
    let refused = run(folder.path(), &["app", "add", "DocuSign"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("not by SCIM"), "{said}");
    let shown = json(folder.path(), &["app", "show", "mine"]);
    assert_eq!(shown["status"], "NotConfigured");
    assert_eq!(
        json(folder.path(), &["app", "list"])
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn the_pause_between_cycles_can_be_chosen() {
    let folder = tempfile::tempdir().unwrap();
    json(folder.path(), &["app", "add", APP]);
    let status = || json(folder.path(), &["job", "status", APP])["intervalSeconds"].clone();
    assert_eq!(status(), 40 * 60);
    json(folder.path(), &["job", "interval", APP, "2h"]);
    assert_eq!(status(), 2 * 3600);
    let told = run(folder.path(), &["job", "status", APP]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains("a cycle at least every 2 hours"), "{told}");
    for wrong in ["9s", "31d", "soon", "5", "m", "99999999999d"] {
        let refused = run(folder.path(), &["job", "interval", APP, wrong]);
        assert_eq!(refused.status.code(), Some(2), "{wrong}");
    }
    assert_eq!(status(), 2 * 3600);
}

#[test]
fn what_is_set_for_a_job_is_kept_and_shown() {
    let folder = tempfile::tempdir().unwrap();
    json(folder.path(), &["app", "add", APP]);
    let status = || json(folder.path(), &["job", "status", APP]);
    assert_eq!(
        (&status()["retries"], &status()["logSeconds"]),
        (&"adaptive".into(), &7_776_000.into())
    );
    let set = |args: &[&str]| run(folder.path(), &[&["job"], args].concat()).status.code();
    assert_eq!(set(&["log", APP, "--for", "1000d"]), Some(0));
    assert_eq!(set(&["log", APP, "--for", "23h"]), Some(2));
    assert_eq!(set(&["log", APP, "--for", "3651d"]), Some(2));
    assert_eq!(set(&["retries", APP, "documented"]), Some(0));
    assert_eq!(
        (&status()["retries"], &status()["logSeconds"]),
        (&"documented".into(), &86_400_000.into())
    );
    let limits = ["--at-once", "4", "--per-second", "25", "--timeout", "2m"];
    let dialect = json(
        folder.path(),
        &[&["job", "dialect", APP][..], &limits].concat(),
    );
    assert_eq!(
        (
            &dialect["atOnce"],
            &dialect["perSecond"],
            &dialect["timeoutSeconds"]
        ),
        (&4.into(), &25.into(), &120.into())
    );
    assert_eq!(set(&["dialect", APP, "--timeout", "6m"]), Some(2));
    assert_eq!(
        set(&["restart", APP, "--scope", "Full,ForceDeletes", "--yes"]),
        Some(2)
    );
    let forced = json(
        folder.path(),
        &["job", "restart", APP, "--scope", "ForceDeletes"],
    );
    assert_eq!(forced["allowed"], 0);
}
