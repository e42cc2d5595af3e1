//! `muster check` finds what it is there for, on both databases.

use muster_app::check;
use muster_app::received::Precondition;
use muster_app::webhooks::{self, From};
use muster_model::integration::ResourceKind;
use muster_store::{StoreError, Val};
use muster_testkit::TestStore;
use serde_json::json;

use crate::context::Recorder;
use crate::on_both;
use crate::receiving::Here;

on_both!(a_sound_store_has_no_problems);

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_found_on_sqlite() {
    each_fault_is_found(&muster_testkit::sqlite_store().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_is_found_on_postgres() {
    each_fault_is_found(&muster_testkit::postgres_store().await).await;
}

/// Every test of a server ends with this.
pub(crate) async fn assert_sound(test: &TestStore) {
    let (ctx, _) = crate::context::ctx_with(test, Recorder::new());
    let report = check::run(&ctx).await.unwrap();
    assert_eq!(report.problems, []);
}

async fn filled(test: &TestStore) -> Here {
    let here = Here::new(test, Recorder::new());
    let caller = here.call(&here.integration("A").await).await;
    let (user, group) = (ResourceKind::USER, ResourceKind::GROUP);
    let mut members = Vec::new();
    for name in ["ana", "Ben", "ODYSSEUΣ"] {
        let body = json!({"userName": name, "externalId": name, "shoeSize": 1});
        members.push(json!({"value": here.create(&caller, user, body).await.unwrap()}));
    }
    let body = json!({"displayName": "G", "members": members});
    here.create(&caller, group, body).await.unwrap();
    let gone = members[0]["value"].as_str().unwrap();
    let deleted = here
        .provider
        .delete(&caller, user, gone, Precondition::None);
    deleted.await.unwrap();
    let added = webhooks::add(&here.ctx, "A", "https://app.test/", From::Start).await;
    added.unwrap();
    here
}

async fn a_sound_store_has_no_problems(test: &TestStore) {
    let here = filled(test).await;
    let report = check::run(&here.ctx).await.unwrap();
    assert_eq!(report.problems, []);
    assert_eq!((report.integrations, report.resources), (1, 3));
    assert_eq!((report.members, report.events), (2, 7));
}

async fn exec(test: &TestStore, sql: &'static str) {
    let done = test
        .store
        .write::<_, StoreError, _>(move |tx| {
            Box::pin(async move { tx.exec(sql, &[] as &[Val]).await })
        })
        .await;
    assert!(done.unwrap() > 0, "{sql}");
}

async fn each_fault_is_found(test: &TestStore) {
    let here = filled(test).await;
    for (sql, part) in [
        (
            "DELETE FROM resource_totals WHERE kind = 1",
            "totals differ",
        ),
        (
            "UPDATE resources SET name_key = 'x' WHERE name_key = 'ben'",
            "names differ",
        ),
        (
            "UPDATE resources SET active = NOT active WHERE kind = 2",
            "not as active",
        ),
        (
            "DELETE FROM received_changes WHERE what = 5",
            "lead to other resources",
        ),
        (
            "DELETE FROM resource_members WHERE member = (SELECT max(member) FROM resource_members)",
            "members are missing",
        ),
        (
            "UPDATE resource_members SET member = 'somebody'",
            "members are there of whom no event tells",
        ),
        (
            "UPDATE webhooks SET position = position + 1000, position_tx = position_tx + 1000",
            "stand behind",
        ),
        (
            "UPDATE resources SET integration = 2 WHERE name_key <> 'x'",
            "of integrations that are not there",
        ),
        (
            "INSERT INTO memberships (tenant, group_id, member, kind) SELECT 1, id, id, 1 FROM integrations",
            "memberships are of groups",
        ),
    ] {
        exec(test, sql).await;
        let report = check::run(&here.ctx).await.unwrap();
        let found = report
            .problems
            .iter()
            .any(|problem| problem.what.contains(part));
        assert!(found, "{part}: {:?}", report.problems);
    }
}
