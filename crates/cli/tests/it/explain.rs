//! `muster explain`: why somebody is, or is not, provisioned.

use std::path::Path;

use serde_json::{Value, json};

use crate::relay::Relay;
use crate::run::{APP, Server, json, receiver, refusal, run};

const ANA: &str = "00000001-0000-4000-8000-000000000001";
const TEAM: &str = "00000002-0000-4000-8000-000000000001";

fn import(folder: &Path, data: &Path, name: &str, text: &str) {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    json(data, &["import", file.to_str().unwrap()]);
}

#[test]
fn each_step_is_told_with_what_would_turn_it_around_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let (folder, data) = (folder.path(), folder.path().join("data"));
    let server = Server::start(&data, "127.0.0.1:0");
    let relay = Relay::before(&server.url);
    let (url, token) = receiver(&data);
    let through = url.replace(&server.url, &relay.url);
    json(&data, &["app", "add", APP]);
    let credentials = ["--tenant-url", &through, "--secret-token", &token];
    json(
        &data,
        &[&["app", "credentials", APP][..], &credentials].concat(),
    );
    let text = format!(
        "id,userPrincipalName,displayName,mail,department\n{ANA},ana@example.test,Ana Silva,a.silva@mail.test,Ops\n"
    );
    import(folder, &data, "users.csv", &text);
    import(
        folder,
        &data,
        "groups.csv",
        &format!("id,displayName,securityEnabled\n{TEAM},Team,true\n"),
    );
    let members = format!("groupId,memberId,memberType\n{TEAM},{ANA},user\n");
    import(folder, &data, "memberships.csv", &members);
    let explain = |subject: &str| json(&data, &["explain", APP, subject]);

    // Not assigned.
    let told = explain("ana@example.test");
    assert_eq!(told["scope"]["assigned"], false);
    assert_eq!(told["decision"]["code"], "NotEffectivelyEntitled");
    let turns = told["turnsAround"][0].as_str().unwrap();
    assert!(turns.contains("is assigned to the application"), "{turns}");

    // Assigned through a group; found by mail address, display name and id alike.
    json(&data, &["app", "assign", APP, "--group", "Team"]);
    for subject in ["A.Silva@mail.test", "Ana Silva", ANA] {
        let told = explain(subject);
        assert_eq!(told["decision"]["action"], "create", "{told}");
        assert_eq!(
            told["scope"]["entitledBy"],
            json!(["the assignment of the group Team"])
        );
        let attempts = &told["match"]["attempts"];
        assert_eq!(
            *attempts,
            json!([{ "attribute": "userName", "found": "ana@example.test: nobody" }])
        );
        let mapped = told["map"].as_array().unwrap();
        let name = mapped.iter().find(|it| it["target"] == "userName").unwrap();
        assert_eq!(
            (&name["source"], &name["value"]),
            (&json!("[userPrincipalName]"), &json!("ana@example.test"))
        );
        let request = &told["decision"]["requests"][0];
        assert_eq!(
            (&request["method"], &request["path"]),
            (&json!("POST"), &json!("/Users"))
        );
    }

    // A filter keeps them out: the clause, what it saw, and the smallest change.
    let exported = run(&data, &["schema", "export", APP]);
    let mut schema: Value = serde_json::from_slice(&exported.stdout).unwrap();
    schema["synchronizationRules"][0]["objectMappings"][0]["scope"] = json!({
        "groups": [{ "name": "Sales only", "clauses": [{
            "operatorName": "EQUALS", "sourceOperandName": "department",
            "targetOperand": { "values": ["Sales"] }
        }]}]
    });
    let file = folder.join("schema.json");
    std::fs::write(&file, schema.to_string()).unwrap();
    json(&data, &["schema", "import", APP, file.to_str().unwrap()]);
    let told = explain("ana@example.test");
    let clause = &told["scope"]["clauses"][0];
    assert_eq!(
        (&clause["passed"], &clause["seen"]),
        (&json!(false), &json!("Ops")),
        "{told}"
    );
    let turns = told["turnsAround"][0].as_str().unwrap();
    assert!(
        turns.contains("department") && turns.contains("Sales"),
        "{turns}"
    );
    let rolled = run(&data, &["schema", "rollback", APP, "1"]);
    assert!(rolled.status.success(), "{rolled:?}");

    // Nothing was written by all of this; then it is done, and told differently.
    assert!(relay.writes().is_empty());
    let log = json(&data, &["log", "list", APP]);
    assert_eq!(log, json!([]));
    json(&data, &["job", "run", APP]);
    let told = explain("ana@example.test");
    assert_eq!(told["match"]["link"]["state"], "managed");
    assert_eq!(told["decision"]["code"], "RedundantExport", "{told}");
    let told = explain("Team");
    let members = &told["references"][0];
    assert_eq!(
        (&members["state"], &members["count"]),
        (&json!("at the target"), &json!(1))
    );

    // By an event of the log: what it said then, and what is so now.
    let log = json(&data, &["log", "list", APP, "--action", "create"]);
    let of_ana = log
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["sourceIdentity"]["id"] == ANA);
    let event = of_ana.unwrap()["id"].as_str().unwrap();
    json(&data, &["app", "unassign", APP, "--group", "Team"]);
    let told = explain(event);
    assert_eq!(told["event"]["id"], event);
    assert_eq!(
        (&told["decision"]["action"], &told["decision"]["source"]),
        (&json!("disable"), &json!(ANA))
    );
    let shown = run(&data, &["explain", APP, event]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    for word in [
        "Then, as the log has it",
        "Import ",
        "Scope ",
        "Match ",
        "Map ",
        "Decide ",
        "PATCH /Users/",
    ] {
        assert!(shown.contains(word), "{word}: {shown}");
    }
    let (code, said) = refusal(&run(&data, &["explain", APP, "nobody"]));
    assert!(code == Some(1) && said.contains("nobody"), "{said}");
}
