//! What there is to watch: status, metrics, and the log as counts and tables (10.5, section 11).

use std::collections::HashSet;

use crate::guard::ten;
use crate::kill::client;
use crate::run::{APP, json, run};

fn lines(data: &std::path::Path, args: &[&str]) -> Vec<String> {
    let output = run(data, args);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().map(str::to_owned).collect()
}

#[test]
fn a_job_says_how_far_behind_it_is_and_what_it_did() {
    let folder = tempfile::tempdir().unwrap();
    let (data, server, ..) = ten(folder.path());
    let status = json(&data, &["job", "status", APP]);
    assert_eq!(
        (&status["backlog"], &status["behindSeconds"]),
        (&0.into(), &0.into()),
        "{status}"
    );
    // Nothing looks at it any more.
    json(&data, &["job", "pause", APP]);
    json(
        &data,
        &["app", "unassign", APP, "--user", "user3@example.test"],
    );
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let status = json(&data, &["job", "status", APP]);
    assert_eq!(status["backlog"], 1, "{status}");
    assert!(status["behindSeconds"].as_u64() >= Some(1), "{status}");
    let cycle = json(&data, &["job", "run", APP]);
    assert_eq!(cycle["disabled"], 1);

    // The same from the command and from the server's own address.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let shown = runtime.block_on(async {
        let url = server.metrics.as_deref().unwrap();
        let answer = client().get(url).send().await.unwrap();
        let content_type = answer.headers()["content-type"].to_str().unwrap();
        assert!(content_type.starts_with("text/plain; version=0.0.4"));
        answer.text().await.unwrap()
    });
    for figure in [
        "muster_job_objects_total{action=\"created\",app=\"Symantec Web Security Service\"} 10",
        "muster_job_objects_total{action=\"disabled\",app=\"Symantec Web Security Service\"} 1",
        "muster_job_status{app=\"Symantec Web Security Service\",status=\"Paused\"} 1",
        "muster_job_backlog{app=\"Symantec Web Security Service\"} 0",
        "muster_job_linked_objects{app=\"Symantec Web Security Service\",state=\"managed\",type=\"User\"} 9",
        "muster_job_cycles_total{app=\"Symantec Web Security Service\",kind=\"initial\",state=\"Succeeded\"} 1",
    ] {
        assert!(
            shown.lines().any(|line| line == figure),
            "{figure}\n{shown}"
        );
    }
    let named = |text: &str| -> HashSet<String> {
        let names = text.lines().filter_map(|line| line.rsplit_once(' '));
        names.map(|(name, _)| name.to_owned()).collect()
    };
    assert_eq!(named(&lines(&data, &["metrics"]).join("\n")), named(&shown));
}

#[test]
fn the_log_is_filtered_counted_and_exported_as_tables() {
    let folder = tempfile::tempdir().unwrap();
    let (data, ..) = ten(folder.path());
    let events = lines(&data, &["log", "export", APP]);
    let counts = json(&data, &["log", "counts", APP, "--by", "day"]);
    let counts = counts.as_array().unwrap();
    let counted: u64 = counts.iter().map(|it| it["count"].as_u64().unwrap()).sum();
    assert_eq!(counted, events.len() as u64);
    let created = counts
        .iter()
        .find(|it| it["provisioningAction"] == "create" && it["status"] == "success");
    assert_eq!(created.unwrap()["count"], 10);

    let table = |name: &str, more: &[&str]| {
        let args = [&["log", "export", APP, "--csv", name][..], more].concat();
        let text = lines(&data, &args).join("\n");
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        (reader.headers().unwrap().clone(), rows)
    };
    let ids = |rows: &[csv::StringRecord]| -> HashSet<String> {
        rows.iter().map(|row| row[0].to_owned()).collect()
    };
    let (head, rows) = table("events", &[]);
    assert_eq!(&head[0], "changeId");
    assert_eq!(rows.len(), events.len());
    for other in ["steps", "properties"] {
        let (head, more) = table(other, &[]);
        assert_eq!(&head[0], "changeId");
        assert!(!more.is_empty() && ids(&more).is_subset(&ids(&rows)));
    }
    let cycle = json(&data, &["job", "status", APP])["cycles"][0]["id"].clone();
    let cycle = cycle.as_str().unwrap();
    let filters = ["--action", "create", "--since", "1h", "--cycle", cycle];
    assert_eq!(table("events", &filters).1.len(), 10);
    assert_eq!(table("events", &["--until", "1h"]).1.len(), 0);
    assert_eq!(table("events", &["--code", "Conflict"]).1.len(), 0);
    // 10.4: by a name or an id on either side, of all applications, and of who is gone.
    let all = json(&data, &["log", "list", "--limit", "500"]);
    assert_eq!(all, json(&data, &["log", "list", APP, "--limit", "500"]));
    let all = all.as_array().unwrap();
    let made = all.iter().find(|it| it["provisioningAction"] == "create");
    let made = made.unwrap();
    let (source, target) = (&made["sourceIdentity"], &made["targetIdentity"]["id"]);
    for text in [source["displayName"].as_str(), target.as_str()] {
        let found = json(&data, &["log", "list", "--identity", text.unwrap()]);
        let found = found.as_array().unwrap();
        assert!(!found.is_empty());
        assert!(found.iter().all(|it| it["sourceIdentity"] == *source));
    }
    for text in ["%", "_"] {
        let none = json(&data, &["log", "list", "--identity", text]);
        assert_eq!(none, serde_json::json!([]), "{text}");
    }
    let id = source["id"].as_str().unwrap();
    let found = json(&data, &["log", "list", "--identity", id]);
    assert_eq!(found[0]["sourceIdentity"], *source);
    json(&data, &["user", "delete", id]);
    json(&data, &["user", "purge", id, "--yes"]);
    let gone = json(&data, &["log", "list", APP, "--user", id]);
    assert_eq!(gone[0]["sourceIdentity"], *source);
    let wrong = run(&data, &["log", "list", APP, "--since", "yesterday"]);
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(
        !wrong.status.success() && said.contains("2h or 7d"),
        "{said}"
    );
}

/// EH-13, CR-4 and 10.7: who changed what, and when the service held a job.
#[test]
fn whoever_changes_the_configuration_is_remembered_and_so_is_quarantine() {
    let folder = tempfile::tempdir().unwrap();
    let (data, _server, url, token) = ten(folder.path());
    json(
        &data,
        &["job", "guard", APP, "--most", "1", "--within", "0s"],
    );
    json(&data, &["job", "start", APP]);
    let leave: Vec<String> = (0..3)
        .map(|number| format!("user{number}@example.test"))
        .collect();
    json(&data, &["job", "pause", APP]);
    for user in &leave {
        json(&data, &["app", "unassign", APP, "--user", user]);
    }
    json(&data, &["job", "start", APP]);
    // The server's own worker holds it.
    let wait = || {
        let entries = lines(&data, &["audit", "--json", "--limit", "500"]);
        let told: Vec<serde_json::Value> = entries
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        told
    };
    let of = |told: &[serde_json::Value], activity: &str| -> Vec<String> {
        let all = told
            .iter()
            .filter(|it| it["activityDisplayName"] == activity);
        all.map(|it| it["detail"].as_str().unwrap().to_owned())
            .collect()
    };
    let mut told = wait();
    for _ in 0..200 {
        if !of(&told, "Quarantine").is_empty() {
            break;
        }
        std::thread::sleep(std::time::Duration::from_millis(50));
        told = wait();
    }
    let entered = of(&told, "Quarantine");
    assert!(
        entered[0].starts_with("entered: TooManyDeletes"),
        "{entered:?}"
    );
    json(&data, &["job", "allow", APP, "--expect", "3"]);
    let told = wait();
    assert_eq!(of(&told, "Quarantine")[0], "left: Active");
    assert_eq!(of(&told, "Allow deletes").len(), 1);
    assert_eq!(of(&told, "Add application").len(), 1);
    assert_eq!(of(&told, "Add app role assignment").len(), 10);
    assert_eq!(of(&told, "Remove app role assignment").len(), 3);
    assert_eq!(
        of(&told, "Enable/start provisioning configuration").len(),
        2
    );
    assert_eq!(
        of(&told, "Disable/pause provisioning configuration").len(),
        1
    );
    let settings = of(&told, "Update provisioning setting or credentials");
    // The origin alone: some addresses hold secrets.
    let origin: Vec<&str> = url.splitn(4, '/').take(3).collect();
    let saved = format!("credentials for {}: a bearer token", origin.join("/"));
    assert!(settings.contains(&saved), "{settings:?}");
    assert!(settings.iter().any(|it| it.contains("guard.most: 500 → 1")));
    assert!(!told.iter().any(|it| it.to_string().contains(&token)));
    let mine = told
        .iter()
        .find(|it| it["activityDisplayName"] == "Add application")
        .unwrap();
    assert_eq!(mine["application"], APP);
    assert!(!mine["initiatedBy"].as_str().unwrap().is_empty());
    let service = lines(
        &data,
        &["audit", "--actor", "provisioning service", "--app", APP],
    );
    assert_eq!(service.len(), 2, "into it and out of it: {service:?}");
}
