//! The tutorial, played on both databases.

use muster_store::StoreUrl;
use serde_json::Value;

use crate::run::json;

#[track_caller]
fn check(result: &Value) {
    for what in ["users", "groups", "memberships"] {
        assert_eq!(
            result["target"][what], result["entitled"][what],
            "{what}: {result}"
        );
    }
    assert_eq!(result["target"]["activeUsers"], result["entitled"]["users"]);
    assert_eq!(result["testConnection"]["ok"], true);
    let cycles = result["cycles"].as_array().unwrap();
    assert_eq!(cycles[0]["kind"], "initial");
    assert!(
        cycles.iter().all(|cycle| cycle["failed"] == 0),
        "{cycles:?}"
    );
    // A further cycle without a change sends no request.
    assert_eq!(cycles.last().unwrap()["requests"], 0);
    let sum = |what: &str| {
        cycles
            .iter()
            .filter_map(|cycle| cycle[what].as_u64())
            .sum::<u64>()
    };
    assert_eq!(sum("created"), sum("deleted") + total(&result["target"]));
}

fn total(target: &Value) -> u64 {
    target["users"].as_u64().unwrap() + target["groups"].as_u64().unwrap()
}

#[test]
fn the_tutorial_ends_with_a_target_that_equals_who_is_entitled() {
    let folder = tempfile::tempdir().unwrap();
    let result = json(&folder.path().join("data"), &["demo", "--exit"]);
    assert_eq!(result["directory"]["users"], 1000);
    check(&result);
}

#[test]
fn a_generated_directory_of_another_size_ends_the_same_way() {
    let folder = tempfile::tempdir().unwrap();
    let result = json(
        &folder.path().join("data"),
        &["demo", "--users", "300", "--exit"],
    );
    assert_eq!(result["directory"]["users"], 300);
    check(&result);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tutorial_works_on_postgresql() {
    let test = muster_testkit::postgres_store().await;
    let StoreUrl::Postgres(url) = &test.url else {
        panic!("PostgreSQL")
    };
    let folder = tempfile::tempdir().unwrap();
    let args = ["demo", "--exit", "--database", url];
    let result = tokio::task::block_in_place(|| json(&folder.path().join("data"), &args));
    check(&result);
}
