//! What meets at the same moment, or in an unlucky order, and must come out right all the same.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

use crate::kill::read_all;
use crate::run::{APP, Server, everybody, json, receiver};

const PAIRS: usize = 20;

fn import(folder: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    let report = json(&folder.join("data"), &["import", file.to_str().unwrap()]);
    assert_eq!(report["failed"], 0, "{report}");
}

#[test]
fn two_groups_of_one_name_never_share_a_group_at_the_target() {
    // 5.4: one object at the target has one link, also while links wait to be written.
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _server = Server::start(&data, "127.0.0.1:0");
    let mut groups = String::from("id,displayName\n");
    for number in 0..2 * PAIRS {
        let _ = writeln!(
            groups,
            "00000002-0000-4000-8000-{number:012},Team {}",
            number / 2
        );
    }
    import(folder.path(), "groups.csv", &groups);
    let (url, token) = receiver(&data);
    everybody(&data, &url, &token);
    let run = crate::run::run(&data, &["job", "run", APP, "--json"]);
    assert_eq!(run.status.code(), Some(3), "{run:?}");
    let cycle: serde_json::Value = serde_json::from_slice(&run.stdout).unwrap();
    // Whoever is answered first holds the group: by its own create, or by a match before that.
    let count = |what: &str| cycle[what].as_u64().unwrap();
    assert_eq!(count("created") + count("updated"), PAIRS as u64, "{cycle}");
    assert_eq!(count("failed"), PAIRS as u64, "{cycle}");
    assert_eq!(read_all(&url, &token, "Groups").len(), PAIRS);
    let told = |status: &str| {
        let told = json(&data, &["log", "list", APP, "--status", status]);
        told.as_array().unwrap().clone()
    };
    let failed = told("failure");
    let by_name = failed
        .iter()
        .all(|it| it["errorCode"] == "DuplicateSourceEntries");
    assert_eq!((failed.len(), by_name), (PAIRS, true), "{failed:?}");
    // Each group at the target has exactly one that holds it, and nobody holds two.
    let held = told("success");
    let distinct = |of: &str| -> usize {
        let ids = held.iter().map(|it| it[of]["id"].to_string());
        ids.collect::<HashSet<String>>().len()
    };
    assert_eq!(held.len(), PAIRS, "{held:?}");
    assert_eq!(
        (distinct("sourceIdentity"), distinct("targetIdentity")),
        (PAIRS, PAIRS)
    );
    // Unassigned or deleted, the others cannot take it away.
    let linked = json(&data, &["job", "status", APP])["linked"].to_string();
    assert!(
        linked.contains(&format!(":{PAIRS}")) && !linked.contains(&format!(":{}", 2 * PAIRS)),
        "{linked}"
    );
}

#[test]
fn a_manager_who_is_linked_while_the_report_is_disabled_is_set_when_the_report_returns() {
    // better than CY-18
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let _server = Server::start(&data, "127.0.0.1:0");
    let users = |boss: bool, report: bool| {
        import(
            folder.path(),
            "users.csv",
            &format!(
                "id,userPrincipalName,displayName,accountEnabled,manager\n\
                 00000001-0000-4000-8000-000000000001,boss@example.test,Boss,{boss},\n\
                 00000001-0000-4000-8000-000000000002,report@example.test,Report,{report},\
                 00000001-0000-4000-8000-000000000001\n"
            ),
        );
        json(&data, &["job", "run", APP]);
    };
    let (url, token) = receiver(&data);
    everybody(&data, &url, &token);
    users(false, true);
    users(false, false);
    json(&data, &["job", "restart", APP]);
    users(true, false);
    users(true, true);
    let there = read_all(&url, &token, "Users");
    let find = |name: &str| there.iter().find(|user| user["userName"] == name).unwrap();
    let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
    let (boss, report) = (find("boss@example.test"), find("report@example.test"));
    assert_eq!(report["active"], true);
    assert_eq!(report[urn]["manager"]["value"], boss["id"]);
}
