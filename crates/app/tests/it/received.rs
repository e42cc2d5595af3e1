//! The receiving side on both databases: what the conversations of `e2e` cannot see of PostgreSQL.

use muster_app::integrations;
use muster_app::received::{BulkDone, Caller, Origin, Precondition, Provider, Wanted};
use std::time::Duration;

use muster_model::integration::{Happening, ResourceKind};
use muster_scim::message::parse_body;
use muster_scim::{BulkRequest, ListQuery, Map};
use muster_testkit::TestStore;
use serde_json::{Value, json};

use crate::context::ctx;
use crate::on_both;

on_both!(
    a_failed_operation_undoes_only_itself,
    what_only_creates_is_refused_one_by_one,
    a_circle_stands_or_falls_as_a_whole,
    pages_by_cursor_cover_both_types_once,
    pages_far_down_are_true_after_others_come_and_go,
    twins_are_created_once,
    patches_at_the_same_time_lose_nothing,
    members_that_come_and_go_at_the_same_time_are_told_of,
);

/// A provider, and who calls it.
async fn provider(test: &TestStore) -> (Provider, Caller) {
    let ctx = ctx(test);
    let made = integrations::create(&ctx, "Web Security").await.unwrap();
    let provider = Provider::new(ctx.store, ctx.clock);
    let caller = provider
        .authenticate(made.integration.id, made.token.expose(), Origin::default())
        .await
        .unwrap();
    (provider, caller)
}

fn map(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        other => panic!("an object, not {other}"),
    }
}

async fn bulk(provider: &Provider, caller: &Caller, operations: Value) -> Vec<BulkDone> {
    let body = json!({ "Operations": operations }).to_string();
    let mut request = BulkRequest::parse(parse_body(body.as_bytes()).unwrap()).unwrap();
    provider.bulk(caller, &mut request).await.unwrap()
}

fn statuses(done: &[BulkDone]) -> Vec<u16> {
    let status = |done: &BulkDone| {
        done.result
            .as_ref()
            .map_or_else(|error| error.status, |_| 0)
    };
    done.iter().map(status).collect()
}

async fn total(provider: &Provider, caller: &Caller, kind: ResourceKind) -> u64 {
    let (kinds, query) = ([kind], ListQuery::default());
    let page = provider.list(caller, &kinds, &query, |_| Wanted::NOTHING);
    page.await.unwrap().total.unwrap()
}

async fn a_failed_operation_undoes_only_itself(test: &TestStore) {
    let (provider, caller) = provider(test).await;
    let user = |bulk_id: &str, name: &str| json!({"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": {"userName": name}});
    let operations = json!([
        user("a", "ana"),
        user("b", "ANA"),
        user("c", "caio"),
        {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"displayName": "G", "members": [{"value": "bulkId:b"}]}},
        {"method": "POST", "path": "/Groups", "bulkId": "h", "data": {"displayName": "H", "members": [{"value": "bulkId:c"}]}},
    ]);
    let done = bulk(&provider, &caller, operations).await;
    assert_eq!(statuses(&done), [0, 409, 0, 409, 0]);
    assert_eq!(total(&provider, &caller, ResourceKind::USER).await, 2);
    assert_eq!(total(&provider, &caller, ResourceKind::GROUP).await, 1);
}

/// Such a part needs nothing to undo it: what is refused has left nothing behind.
async fn what_only_creates_is_refused_one_by_one(test: &TestStore) {
    let (provider, caller) = provider(test).await;
    let ana = map(json!({"userName": "ana"}));
    let ana = provider.create(&caller, ResourceKind::USER, ana).await;
    let ana = ana.unwrap().resource.id.to_string();
    let start = provider.end_of_events(&caller).await.unwrap();
    let post = |path: &str, bulk_id: &str, data: Value| json!({"method": "POST", "path": path, "bulkId": bulk_id, "data": data});
    let operations = |number: usize| {
        let named = |name: &str| json!({"userName": format!("{name}{number}")});
        let team = |name: &str| json!({"displayName": format!("{name}{number}"), "members": [{"value": ana}], "colour": "red"});
        json!([
            post("/Users", "a", json!({"userName": "ANA"})),
            post("/Users", "b", named("bo")),
            post("/Users", "c", named("BO")),
            post("/Users", "d", json!({"displayName": "nobody"})),
            post("/Groups", "e", team("Team")),
            post("/Groups", "f", team("TEAM")),
            post("/Users", "g", named("gil")),
        ])
    };
    let (one, other) = tokio::join!(
        bulk(&provider, &caller, operations(1)),
        bulk(&provider, &caller, operations(2)),
    );
    for done in [&one, &other] {
        assert_eq!(statuses(done), [409, 0, 409, 400, 0, 409, 0]);
        let refused = [0, 2, 3, 5].map(|at| &done[at].target);
        assert_eq!(refused, [&None, &None, &None, &None]);
        let team = done[4].target.clone().unwrap().1;
        let members = provider.members(&caller, &team, None, 10).await.unwrap();
        assert_eq!(members.len(), 1);
        let state = provider.state(&caller, ResourceKind::GROUP, &team).await;
        assert_eq!(state.unwrap().extras, Some(json!({"colour": "red"})));
    }
    assert_eq!(total(&provider, &caller, ResourceKind::USER).await, 5);
    assert_eq!(total(&provider, &caller, ResourceKind::GROUP).await, 2);
    let state = provider.state(&caller, ResourceKind::USER, &ana).await;
    assert_eq!(state.unwrap().groups.len(), 2);
    let events = provider.events(&caller, start, 100, Duration::ZERO).await;
    let events = events.unwrap();
    for done in [one, other] {
        let told: Vec<_> = [1, 4, 6]
            .iter()
            .flat_map(|at| {
                let target = done[*at].target.clone().unwrap().1;
                let about = events
                    .iter()
                    .filter(move |it| it.resource.to_string() == target);
                about.map(|it| (*at, it.what)).collect::<Vec<_>>()
            })
            .collect();
        let want = [
            (1, Happening::Created),
            (4, Happening::Created),
            (4, Happening::MembersAdded),
            (6, Happening::Created),
        ];
        assert_eq!(told, want);
    }
    assert_eq!(events.len(), 8);
}

async fn a_circle_stands_or_falls_as_a_whole(test: &TestStore) {
    let (provider, caller) = provider(test).await;
    let group = |bulk_id: &str, name: &str, member: &str| {
        json!({"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": {
            "displayName": name, "members": [{"value": format!("bulkId:{member}"), "type": "Group"}]}})
    };
    let broken = json!([group("a", "A", "b"), group("b", "", "a")]);
    assert_eq!(
        statuses(&bulk(&provider, &caller, broken).await),
        [409, 400]
    );
    assert_eq!(total(&provider, &caller, ResourceKind::GROUP).await, 0);
    let whole = json!([group("a", "A", "b"), group("b", "B", "a")]);
    assert_eq!(statuses(&bulk(&provider, &caller, whole).await), [0, 0]);
    assert_eq!(total(&provider, &caller, ResourceKind::GROUP).await, 2);
}

async fn pages_by_cursor_cover_both_types_once(test: &TestStore) {
    let (provider, caller) = provider(test).await;
    let operations: Vec<Value> = (0..250)
        .map(|number| {
            let (path, name) = [("/Users", "userName"), ("/Groups", "displayName")][number % 2];
            json!({"method": "POST", "path": path, "bulkId": number.to_string(), "data": {name: format!("n{number}"), "externalId": "x"}})
        })
        .collect();
    let done = bulk(&provider, &caller, Value::from(operations)).await;
    assert!(done.iter().all(|done| done.result.is_ok()));
    for filter in [None, Some("externalId eq \"x\""), Some("externalId pr")] {
        let (mut seen, mut cursor) = (Vec::new(), Some(String::new()));
        while let Some(place) = cursor {
            let mut pairs = vec![("cursor", place.as_str()), ("count", "40")];
            pairs.extend(filter.map(|filter| ("filter", filter)));
            let query = ListQuery::from_pairs(pairs).unwrap();
            let page = provider.list(&caller, &ResourceKind::STANDARD, &query, |_| {
                Wanted::NOTHING
            });
            let page = page.await.unwrap();
            assert!(page.resources.len() == 40 || page.next.is_none());
            seen.extend(page.resources.into_iter().map(|shown| shown.resource.id));
            cursor = page.next;
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), 250, "{filter:?}");
    }
}

// Profile section 6: startIndex counts what is there now, however far down it is.
async fn pages_far_down_are_true_after_others_come_and_go(test: &TestStore) {
    let (provider, caller) = provider(test).await;
    let create = |first: usize, count: usize| {
        let operations: Vec<Value> = (first..first + count)
            .map(|number| {
                json!({"method": "POST", "path": "/Users", "bulkId": number.to_string(),
                    "data": {"userName": format!("n{number}")}})
            })
            .collect();
        bulk(&provider, &caller, Value::from(operations))
    };
    let page = async |start: usize, count: usize| {
        let (start, count) = (start.to_string(), count.to_string());
        let pairs = [("startIndex", start.as_str()), ("count", count.as_str())];
        let query = ListQuery::from_pairs(pairs).unwrap();
        let page = provider.list(&caller, &[ResourceKind::USER], &query, |_| Wanted::NOTHING);
        let shown = page.await.unwrap().resources.into_iter();
        shown.map(|it| it.resource.id).collect::<Vec<_>>()
    };
    create(0, 900).await;
    create(900, 400).await;
    for round in 0..4 {
        let mut all = page(1, 500).await;
        all.extend(page(501, 500).await);
        all.extend(page(1001, 500).await);
        assert_eq!(all.len(), 1300 - round);
        for start in [1001, 1101, 1250, 1001] {
            let end = (start - 1 + 50).min(all.len());
            assert_eq!(page(start, 50).await, all[start - 1..end], "from {start}");
        }
        let at = [700, 1150, 3][round % 3];
        let id = all[at].to_string();
        let gone = provider.delete(&caller, ResourceKind::USER, &id, Precondition::None);
        gone.await.unwrap();
        let next = all[1000 + usize::from(at <= 1000)];
        assert_eq!(page(1001, 1).await, [next], "what is behind it moves up");
        if round == 2 {
            create(2000, 1).await;
            let gone = page(1, 1).await[0].to_string();
            let gone = provider.delete(&caller, ResourceKind::USER, &gone, Precondition::None);
            gone.await.unwrap();
        }
    }
}

// Profile section 5: two simultaneous creates of one userName.
async fn twins_are_created_once(test: &TestStore) {
    let (provider, caller) = provider(test).await;
    for round in 0..10 {
        let create = |name: String| {
            let (provider, caller) = (provider.clone(), caller.clone());
            tokio::spawn(async move {
                let body = map(json!({ "userName": name }));
                provider.create(&caller, ResourceKind::USER, body).await
            })
        };
        let (one, other) = (create(format!("ana{round}")), create(format!("ANA{round}")));
        let (one, other) = (one.await.unwrap(), other.await.unwrap());
        assert!(one.is_ok() != other.is_ok());
        let error = one.and(other).unwrap_err();
        assert_eq!(
            (error.status, error.scim_type),
            (409, Some(muster_scim::ScimType::Uniqueness))
        );
    }
    assert_eq!(total(&provider, &caller, ResourceKind::USER).await, 10);
}

// Profile section 7: simultaneous PATCHes to one resource.
async fn patches_at_the_same_time_lose_nothing(test: &TestStore) {
    let (provider, caller) = provider(test).await;
    let body = map(json!({"userName": "ana"}));
    let made = provider.create(&caller, ResourceKind::USER, body);
    let id = made.await.unwrap().resource.id.to_string();
    let patches = (0..20).map(|number| {
        let (provider, caller, id) = (provider.clone(), caller.clone(), id.clone());
        tokio::spawn(async move {
            let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [
                {"op": "add", "path": "emails", "value": [{"value": format!("{number}@example.net")}]},
            ]});
            let patched = provider.patch(&caller, ResourceKind::USER, &id, map(body), Precondition::None);
            patched.await.map(|_| ())
        })
    });
    for patch in patches.collect::<Vec<_>>() {
        patch.await.unwrap().unwrap();
    }
    let shown = provider.get(&caller, ResourceKind::USER, &id, Wanted::NOTHING);
    let shown = shown.await.unwrap();
    let document: Value = serde_json::from_str(&shown.resource.doc).unwrap();
    assert_eq!(document["emails"].as_array().map(Vec::len), Some(20));
    assert_eq!(shown.resource.version, 21);
}

async fn members_that_come_and_go_at_the_same_time_are_told_of(test: &TestStore) {
    let (provider, caller) = provider(test).await;
    let mut users = Vec::new();
    for number in 0..30 {
        let body = map(json!({"userName": format!("u{number}")}));
        let made = provider.create(&caller, ResourceKind::USER, body).await;
        users.push(made.unwrap().resource.id.to_string());
    }
    let body = map(json!({"displayName": "G"}));
    let made = provider.create(&caller, ResourceKind::GROUP, body).await;
    let group = made.unwrap().resource.id.to_string();
    let patch = |operation: Value| {
        let (provider, caller, group) = (provider.clone(), caller.clone(), group.clone());
        tokio::spawn(async move {
            let body = map(
                json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]}),
            );
            let none = Precondition::None;
            let done = provider.patch(&caller, ResourceKind::GROUP, &group, body, none);
            done.await.map(|_| ())
        })
    };
    let moves = |op: &str, who: &str| {
        patch(json!({"op": op, "path": "members", "value": [{"value": who}]}))
    };
    let adds: Vec<_> = users.iter().map(|who| moves("add", who)).collect();
    for done in adds {
        done.await.unwrap().unwrap();
    }
    let mut mixed: Vec<_> = users[..15].iter().map(|who| moves("remove", who)).collect();
    mixed.push(patch(
        json!({"op": "replace", "path": "displayName", "value": "H"}),
    ));
    mixed.extend(users[10..20].iter().map(|who| moves("add", who)));
    let circle = json!([
        {"method": "POST", "path": "/Groups", "bulkId": "a", "data": {"displayName": "A", "members": [{"value": "bulkId:b", "type": "Group"}]}},
        {"method": "POST", "path": "/Groups", "bulkId": "b", "data": {"displayName": "B", "members": [{"value": "bulkId:a", "type": "Group"}]}},
        {"method": "PATCH", "path": format!("/Groups/{group}"), "data": {"Operations": [{"op": "remove", "path": "members", "value": [{"value": users[29]}]}]}},
    ]);
    let gone = provider.delete(&caller, ResourceKind::USER, &users[28], Precondition::None);
    let (done, gone) = tokio::join!(bulk(&provider, &caller, circle), gone);
    assert_eq!(statuses(&done), [0, 0, 0]);
    gone.unwrap();
    for done in mixed {
        done.await.unwrap().unwrap();
    }
    let members = provider.members(&caller, &group, None, 100).await.unwrap();
    let stay = members
        .iter()
        .filter(|it| users[15..28].contains(&it.value));
    assert_eq!(stay.count(), 13);
}
