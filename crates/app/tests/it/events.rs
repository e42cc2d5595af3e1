//! Events of a directory, one at a time.

use muster_app::{AppError, directory};
use muster_model::{GroupId, UserId};
use muster_testkit::TestStore;
use serde_json::json;

use crate::context::ctx;
use crate::directory::says;
use crate::{feed_of, on_both};

on_both!(
    every_kind_of_event_happens_once,
    events_that_make_no_sense_are_refused
);

async fn every_kind_of_event_happens_once(test: &TestStore) {
    let ctx = ctx(test);
    let (ana, boss, sales) = (UserId::new(), UserId::new(), GroupId::new());
    let events = [
        json!({"change": "created", "user": {"id": boss.to_string(), "userPrincipalName": "boss@a.example"}}),
        json!({"change": "created", "user": {"id": ana.to_string(), "userPrincipalName": "ana@a.example",
               "accountEnabled": true, "manager": {"id": boss.to_string()}, "otherMails": ["a@b.example"]}}),
        json!({"change": "created", "group": {"id": sales.to_string(), "displayName": "Sales"}}),
        json!({"change": "updated", "id": ana.to_string(), "set": {"city": "Oslo", "manager": null}}),
        json!({"change": "groupUpdated", "id": sales.to_string(), "set": {"displayName": "Support"}}),
        json!({"change": "memberAdded", "groupId": sales.to_string(), "memberId": ana.to_string()}),
    ];
    for event in &events {
        assert!(
            directory::apply_change(&ctx, event).await.unwrap(),
            "{event}"
        );
    }
    let found = directory::find_user(&ctx, "ana@a.example").await.unwrap();
    assert_eq!(
        (found.id, found.manager, found.attributes.text("city")),
        (ana, None, Some("Oslo"))
    );
    assert_eq!(
        directory::find_group(&ctx, "Support").await.unwrap().id,
        sales
    );
    let ends = [
        json!({"change": "memberRemoved", "groupId": sales.to_string(), "memberId": ana.to_string()}),
        json!({"change": "deleted", "id": ana.to_string()}),
        json!({"change": "deleted", "id": sales.to_string()}),
    ];
    for event in &ends {
        assert!(
            directory::apply_change(&ctx, event).await.unwrap(),
            "{event}"
        );
    }
    let before = feed_of(test).await;
    for event in [&events[0], &ends[1], &ends[2]] {
        assert!(
            !directory::apply_change(&ctx, event).await.unwrap(),
            "{event}"
        );
    }
    assert_eq!(feed_of(test).await, before);
    assert_eq!(directory::counts(&ctx).await.unwrap().users, 1);
}

async fn events_that_make_no_sense_are_refused(test: &TestStore) {
    let ctx = ctx(test);
    for (event, want) in [
        (json!([]), "a change is a JSON object"),
        (json!({}), "change: is missing"),
        (
            json!({"change": "memberAded"}),
            "did you mean `memberAdded`?",
        ),
        (
            json!({"change": "exploded"}),
            "`exploded` is unknown; known are created, updated",
        ),
        (
            json!({"change": "updated", "id": "x", "set": {}}),
            "id: `x` is not an id",
        ),
        (
            json!({"change": "updated", "id": UserId::new().to_string()}),
            "set: is missing",
        ),
        (json!({"change": "created"}), "user: is missing"),
        (
            json!({"change": "created", "user": {"displayName": "A"}}),
            "userPrincipalName: is missing",
        ),
        (
            json!({"change": "memberAdded", "groupId": UserId::new().to_string()}),
            "memberId: is missing",
        ),
    ] {
        let result = directory::apply_change(&ctx, &event).await;
        assert!(
            matches!(result, Err(AppError::Invalid(_))),
            "{event}: {result:?}"
        );
        says(result, want);
    }
    assert_eq!(feed_of(test).await, []);
}
