//! Integrations with everything that makes them different, on both databases: what they accept, who may
//! call, what the receiving application learns.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_app::integrations::{self, Issued};
use muster_app::received::{Caller, Origin, Precondition, Provider, Wanted, event_json};
use muster_app::{AppError, Ctx};
use muster_model::Position;
use muster_model::integration::{Purpose, ResourceKind, Settings};
use muster_scim::message::PATCH_OP;
use muster_scim::{ListQuery, Map, ScimError};
use muster_testkit::{FixedClock, TestStore};
use serde_json::{Value, json};

use crate::context::{Recorder, ctx_with};
use crate::on_both;

on_both!(
    the_feed_tells_what_changed,
    a_group_tells_who_came_and_went,
    a_state_has_all_groups_and_what_nobody_declares,
    a_strict_integration_takes_only_what_is_declared,
    limits_are_kept,
    a_reader_reads_and_does_not_write,
    tokens_expire_and_are_known_at_once,
    clients_get_tokens_by_their_credentials,
    a_setup_link_gives_one_token,
    an_integration_has_types_of_its_own,
    senders_are_reported,
    integrations_never_see_each_other,
);

pub(crate) struct Here {
    pub(crate) ctx: Ctx,
    pub(crate) clock: Arc<FixedClock>,
    pub(crate) provider: Provider,
}

impl Here {
    pub(crate) fn new(test: &TestStore, recorder: Recorder) -> Self {
        let (ctx, clock) = ctx_with(test, recorder);
        let provider = Provider::new(ctx.store.clone(), ctx.clock.clone());
        Self {
            ctx,
            clock,
            provider,
        }
    }

    pub(crate) async fn integration(&self, name: &str) -> Issued {
        integrations::create(&self.ctx, name).await.unwrap()
    }

    pub(crate) async fn call(&self, issued: &Issued) -> Caller {
        self.enter(issued, None).await.unwrap()
    }

    async fn enter(&self, issued: &Issued, from: Option<&str>) -> Result<Caller, ScimError> {
        let origin = Origin {
            address: from.map(|it| it.parse::<IpAddr>().unwrap()),
            client: "Okta/1",
        };
        // Nobody remembers what was changed a moment ago.
        let provider = Provider::new(self.ctx.store.clone(), self.ctx.clock.clone());
        provider
            .authenticate(issued.integration.id, issued.token.expose(), origin)
            .await
    }

    pub(crate) async fn create(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        body: Value,
    ) -> Result<String, ScimError> {
        let shown = self.provider.create(caller, kind, map(body)).await?;
        Ok(shown.resource.id.to_string())
    }

    pub(crate) async fn patch(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        id: &str,
        operations: Value,
    ) -> Result<(), ScimError> {
        let body = map(json!({"schemas": [PATCH_OP], "Operations": operations}));
        let patched = self
            .provider
            .patch(caller, kind, id, body, Precondition::None);
        patched.await.map(|_| ())
    }

    /// The place of the last event that is committed.
    async fn last(&self, caller: &Caller) -> Position {
        let all = integrations::list(&self.ctx).await.unwrap();
        let own = all.iter().find(|(one, _)| one.id == caller.integration);
        let name = own.unwrap().0.name.clone();
        let report = integrations::newest_event(&self.ctx, &name).await;
        report.unwrap()
    }

    async fn events(&self, caller: &Caller) -> Vec<Value> {
        // Transactions of other tests on the same PostgreSQL hold a reader back.
        let last = self.last(caller).await;
        let mut told = Vec::new();
        let mut after = Position::START;
        loop {
            let wait = Duration::from_secs(if after < last { 30 } else { 0 });
            let page = self.provider.events(caller, after, 3, wait).await.unwrap();
            let Some(last) = page.last() else {
                return told;
            };
            after = last.position;
            told.extend(page.iter().map(|event| event_json(&caller.profile, event)));
        }
    }
}

fn map(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        other => panic!("an object, not {other}"),
    }
}

fn short(event: &Value) -> String {
    let part = |name: &str| match &event[name] {
        Value::Array(all) => {
            let all: Vec<&str> = all.iter().filter_map(Value::as_str).collect();
            format!(" {}", all.join(","))
        }
        _ => String::new(),
    };
    let of = event["type"].as_str().unwrap();
    format!("{of}{}{}", part("paths"), part("members"))
}

async fn the_feed_tells_what_changed(test: &TestStore) {
    let here = Here::new(test, Recorder::new());
    let caller = here.call(&here.integration("A").await).await;
    let user = ResourceKind::USER;
    let id = here
        .create(
            &caller,
            user,
            json!({"userName": "ana", "name": {"givenName": "Ana"}}),
        )
        .await
        .unwrap();
    let set = |path: &str, value: Value| json!({"op": "replace", "path": path, "value": value});
    for operations in [
        json!([
            set("name.givenName", json!("Anna")),
            set("title", json!("Dr"))
        ]),
        json!([set("title", json!("Dr"))]),
        json!([set("active", json!(false)), set("nickName", json!("A"))]),
        json!([set("active", json!(true))]),
    ] {
        here.patch(&caller, user, &id, operations).await.unwrap();
    }
    here.provider
        .delete(&caller, user, &id, Precondition::None)
        .await
        .unwrap();
    let events = here.events(&caller).await;
    let told: Vec<String> = events.iter().map(short).collect();
    assert_eq!(
        told,
        [
            "user.created",
            "user.updated name.givenName,title",
            "user.disabled active,nickName",
            "user.enabled active",
            "user.deleted",
        ]
    );
    let versions: Vec<i64> = events
        .iter()
        .map(|it| it["version"].as_i64().unwrap())
        .collect();
    assert_eq!(versions, [1, 2, 3, 4, 4]);
    assert!(events.iter().all(|event| event["resource"] == id));
}

async fn a_group_tells_who_came_and_went(test: &TestStore) {
    let here = Here::new(test, Recorder::new());
    let caller = here.call(&here.integration("A").await).await;
    let group = ResourceKind::GROUP;
    let user = here
        .create(&caller, ResourceKind::USER, json!({"userName": "ana"}))
        .await
        .unwrap();
    let members = json!([{"value": user}, {"value": "b"}]);
    let id = here
        .create(
            &caller,
            group,
            json!({"displayName": "G", "members": members}),
        )
        .await
        .unwrap();
    for operations in [
        json!([{"op": "add", "path": "members", "value": [{"value": "b"}, {"value": "c"}]}]),
        json!([{"op": "add", "path": "members", "value": [{"value": "c"}]}]),
        json!([{"op": "remove", "path": "members", "value": [{"value": "b"}]}]),
        json!([{"op": "replace", "path": "members", "value": [{"value": user}, {"value": "d"}]}]),
        json!([{"op": "replace", "path": "displayName", "value": "H"}]),
    ] {
        here.patch(&caller, group, &id, operations).await.unwrap();
    }
    let gone = here
        .provider
        .delete(&caller, ResourceKind::USER, &user, Precondition::None);
    gone.await.unwrap();
    here.patch(
        &caller,
        group,
        &id,
        json!([{"op": "remove", "path": "members"}]),
    )
    .await
    .unwrap();
    let told: Vec<String> = here.events(&caller).await.iter().map(short).collect();
    let joined = |members: &str| format!("group.members.added {members}");
    let left = |members: &str| format!("group.members.removed {members}");
    assert_eq!(
        told,
        [
            "user.created".to_owned(),
            "group.created".to_owned(),
            joined(&format!("{user},b")),
            joined("c"),
            left("b"),
            left("c"),
            joined("d"),
            "group.updated displayName".to_owned(),
            left(&user),
            "user.deleted".to_owned(),
            left("d"),
        ]
    );
}

async fn a_state_has_all_groups_and_what_nobody_declares(test: &TestStore) {
    let here = Here::new(test, Recorder::new());
    let caller = here.call(&here.integration("A").await).await;
    let (user, group) = (ResourceKind::USER, ResourceKind::GROUP);
    let id = here
        .create(&caller, user, json!({"userName": "ana", "shoeSize": 43}))
        .await
        .unwrap();
    let mut inner = id.clone();
    let mut groups = Vec::new();
    for name in ["one", "two", "three"] {
        let body = json!({"displayName": name, "members": [{"value": inner}]});
        inner = here.create(&caller, group, body).await.unwrap();
        groups.push(inner.clone());
    }
    // A circle: the last one is in the first one.
    let add = json!([{"op": "add", "path": "members", "value": [{"value": groups[2]}]}]);
    here.patch(&caller, group, &groups[0], add).await.unwrap();
    let state = here
        .provider
        .state(&caller, ResourceKind::USER, &id)
        .await
        .unwrap();
    let names: Vec<(&str, bool)> = state
        .groups
        .iter()
        .map(|(_, name, direct)| (name.as_str(), *direct))
        .collect();
    assert_eq!(names, [("one", true), ("two", false), ("three", false)]);
    assert_eq!(state.extras, Some(json!({"shoeSize": 43})));
    for (body, kept) in [
        (json!({"userName": "ana"}), 43),
        (json!({"userName": "ana", "shoeSize": 44}), 44),
    ] {
        let put = here
            .provider
            .replace(&caller, user, &id, map(body), Precondition::None);
        put.await.unwrap();
        let state = here.provider.state(&caller, user, &id).await.unwrap();
        assert_eq!(state.extras, Some(json!({ "shoeSize": kept })));
    }
    let told: Vec<String> = here.events(&caller).await.iter().map(short).collect();
    assert_eq!(told.last().unwrap(), "user.updated shoeSize");
    let page = here
        .provider
        .members(&caller, &groups[0], None, 1)
        .await
        .unwrap();
    let rest = here
        .provider
        .members(&caller, &groups[0], Some(&page[0].value), 10)
        .await
        .unwrap();
    assert_eq!((page.len(), rest.len()), (1, 1));
}

async fn a_strict_integration_takes_only_what_is_declared(test: &TestStore) {
    let here = Here::new(test, Recorder::new());
    let issued = here.integration("A").await;
    integrations::set_settings(&here.ctx, "A", |settings| settings.strict = true)
        .await
        .unwrap();
    let caller = here.call(&issued).await;
    let user = ResourceKind::USER;
    for body in [
        json!({"userName": "a", "shoeSize": 43}),
        json!({"userName": "a", "name": {"petName": "x"}}),
        json!({"userName": "a", "urn:example:x": {"y": 1}}),
    ] {
        let refused = here.create(&caller, user, body).await.unwrap_err();
        assert_eq!(refused.scim_type, Some(muster_scim::ScimType::InvalidValue));
    }
    let id = here
        .create(&caller, user, json!({"userName": "a"}))
        .await
        .unwrap();
    let operations = json!([{"op": "replace", "value": {"name": {"petName": "x"}}}]);
    let refused = here
        .patch(&caller, user, &id, operations)
        .await
        .unwrap_err();
    assert_eq!(refused.status, 400);
    let nothing = json!({"userName": "b", "shoeSize": null, "colours": []});
    here.create(&caller, user, nothing).await.unwrap();
}

async fn limits_are_kept(test: &TestStore) {
    let here = Here::new(test, Recorder::new());
    let issued = here.integration("A").await;
    let set = |change: fn(&mut Settings)| integrations::set_settings(&here.ctx, "A", change);
    set(|settings| {
        settings.max_resources = Some(2);
        settings.allowed_networks = vec!["10.0.0.0/8".to_owned(), "192.0.2.7".to_owned()];
    })
    .await
    .unwrap();
    assert_eq!(
        here.enter(&issued, Some("11.0.0.1"))
            .await
            .unwrap_err()
            .status,
        403
    );
    assert!(here.enter(&issued, Some("192.0.2.7")).await.is_ok());
    let caller = here.enter(&issued, Some("10.1.2.3")).await.unwrap();
    here.create(&caller, ResourceKind::USER, json!({"userName": "a"}))
        .await
        .unwrap();
    here.create(&caller, ResourceKind::GROUP, json!({"displayName": "g"}))
        .await
        .unwrap();
    let third = here
        .create(&caller, ResourceKind::USER, json!({"userName": "c"}))
        .await;
    assert_eq!(third.unwrap_err().status, 403);
    for wrong in [
        (|settings: &mut Settings| settings.requests_per_second = Some(0)) as fn(&mut Settings),
        |settings| settings.max_body = Some(3),
        |settings| settings.allowed_networks = vec!["everywhere".to_owned()],
    ] {
        let refused = integrations::set_settings(&here.ctx, "A", wrong).await;
        assert!(matches!(refused, Err(AppError::Invalid(_))), "{refused:?}");
    }
}

async fn a_reader_reads_and_does_not_write(test: &TestStore) {
    let here = Here::new(test, Recorder::new());
    let issued = here.integration("A").await;
    let caller = here.call(&issued).await;
    let user = ResourceKind::USER;
    let id = here
        .create(&caller, user, json!({"userName": "a"}))
        .await
        .unwrap();
    let (reader, _) = integrations::rotate(&here.ctx, "A", Purpose::Read, None)
        .await
        .unwrap();
    let reader = here.call(&reader).await;
    let got = here.provider.get(&reader, user, &id, Wanted::NOTHING).await;
    assert!(got.is_ok());
    let refused = here.create(&reader, user, json!({"userName": "b"})).await;
    assert_eq!(refused.unwrap_err().status, 403);
    let gone = here
        .provider
        .delete(&reader, user, &id, Precondition::None)
        .await;
    assert_eq!(gone.unwrap_err().status, 403);
    let bulk = json!({"Operations": [{"method": "DELETE", "path": format!("/Users/{id}")}]});
    let mut bulk = muster_scim::BulkRequest::parse(map(bulk)).unwrap();
    assert_eq!(
        here.provider
            .bulk(&reader, &mut bulk)
            .await
            .unwrap_err()
            .status,
        403
    );
}

async fn tokens_expire_and_are_known_at_once(test: &TestStore) {
    let here = Here::new(test, Recorder::new());
    let issued = here.integration("A").await;
    here.call(&issued).await;
    let soon = here.ctx.clock.now().plus_seconds(60);
    let rotated = integrations::rotate(&here.ctx, "A", Purpose::Provision, Some(soon)).await;
    let (short_lived, _) = rotated.unwrap();
    here.call(&short_lived).await;
    here.clock.advance_seconds(61);
    assert_eq!(
        here.enter(&short_lived, None).await.unwrap_err().status,
        401
    );
    assert!(here.enter(&issued, None).await.is_ok());
    let past = Some(here.ctx.clock.now());
    let refused = integrations::rotate(&here.ctx, "A", Purpose::Provision, past).await;
    assert!(matches!(refused, Err(AppError::Invalid(_))));
    // The same provider, which remembers the tokens of a moment ago.
    let id = issued.integration.id;
    let provider = &here.provider;
    let unknown = provider.authenticate(id, "mst_x", Origin::default()).await;
    assert_eq!(unknown.unwrap_err().status, 401);
    let rotated = integrations::rotate(&here.ctx, "A", Purpose::Provision, None).await;
    here.clock.advance_millis(100);
    let token = rotated.unwrap().0.token;
    let known = provider
        .authenticate(id, token.expose(), Origin::default())
        .await;
    assert!(known.is_ok());
}

async fn clients_get_tokens_by_their_credentials(test: &TestStore) {
    let here = Here::new(test, Recorder::new());
    let issued = here.integration("A").await;
    let other = here.integration("B").await;
    let client = integrations::add_client(&here.ctx, "A").await.unwrap();
    let id = client.client.id.to_string();
    let secret = client.secret.expose();
    let exchange = |integration, id: String, secret: String| {
        let provider = here.provider.clone();
        async move {
            let given = provider.access_token(integration, None, (&id, &secret));
            given.await.unwrap()
        }
    };
    let own = issued.integration.id;
    assert!(
        exchange(own, id.clone(), "wrong".to_owned())
            .await
            .is_none()
    );
    assert!(
        exchange(own, "x".to_owned(), secret.clone())
            .await
            .is_none()
    );
    assert!(
        exchange(other.integration.id, id.clone(), secret.clone())
            .await
            .is_none()
    );
    let (access, seconds) = exchange(own, id.clone(), secret.clone()).await.unwrap();
    let as_client = Issued {
        integration: issued.integration.clone(),
        token: access,
    };
    here.call(&as_client).await;
    here.clock.advance_seconds(seconds + 1);
    assert_eq!(here.enter(&as_client, None).await.unwrap_err().status, 401);
    let (access, _) = exchange(own, id.clone(), secret.clone()).await.unwrap();
    for _ in 0..30 {
        exchange(own, id.clone(), secret.clone()).await.unwrap();
    }
    let tokens = integrations::list(&here.ctx).await.unwrap().remove(0).1;
    assert_eq!(
        tokens.len(),
        1 + 20,
        "the oldest access tokens are forgotten"
    );
    integrations::remove_client(&here.ctx, "A", client.client.id)
        .await
        .unwrap();
    assert!(exchange(own, id, secret.clone()).await.is_none());
    let as_client = Issued {
        integration: issued.integration.clone(),
        token: access,
    };
    assert!(here.enter(&as_client, None).await.is_err());
    here.call(&issued).await;
}

async fn a_setup_link_gives_one_token(test: &TestStore) {
    let here = Here::new(test, Recorder::new());
    here.integration("A").await;
    let (code, _) = integrations::setup_link(&here.ctx, "A", 7).await.unwrap();
    let opened = integrations::open_setup(&here.ctx, code.expose())
        .await
        .unwrap();
    assert_eq!(opened.unwrap().integration, "A");
    let taken = integrations::take_setup(&here.ctx, code.expose())
        .await
        .unwrap();
    here.call(&taken.unwrap()).await;
    let again = integrations::take_setup(&here.ctx, code.expose())
        .await
        .unwrap();
    assert!(again.is_none());
    let (code, _) = integrations::setup_link(&here.ctx, "A", 7).await.unwrap();
    here.clock.advance_seconds(7 * 86_400 + 1);
    let late = integrations::take_setup(&here.ctx, code.expose())
        .await
        .unwrap();
    assert!(late.is_none());
}

fn device() -> Value {
    json!({
        "schemas": [
            {"id": "urn:example:Device", "name": "Device", "attributes": [
                {"name": "serial", "required": true, "uniqueness": "server", "caseExact": true},
                {"name": "ram", "type": "integer"},
            ]},
            {"id": "urn:example:Badge", "attributes": [{"name": "colour"}]},
        ],
        "extensions": [{"resourceType": "User", "schema": "urn:example:Badge"}],
        "resourceTypes": [{"name": "Device", "endpoint": "/Devices", "schema": "urn:example:Device"}],
    })
}

async fn an_integration_has_types_of_its_own(test: &TestStore) {
    let here = Here::new(test, Recorder::new());
    let issued = here.integration("A").await;
    let set = |text: Option<String>| {
        let ctx = here.ctx.clone();
        async move { integrations::set_definitions(&ctx, "A", text.as_deref()).await }
    };
    set(Some(device().to_string())).await.unwrap();
    let caller = here.call(&issued).await;
    let devices = caller.profile.kind_at("Devices").unwrap();
    let make = |serial: &str| json!({"serial": serial, "ram": 16});
    let id = here.create(&caller, devices, make("X1")).await.unwrap();
    here.create(&caller, devices, make("x1")).await.unwrap();
    let twin = here.create(&caller, devices, make("X1")).await.unwrap_err();
    assert_eq!(twin.status, 409);
    let operations = json!([{"op": "replace", "path": "ram", "value": 32}]);
    here.patch(&caller, devices, &id, operations).await.unwrap();
    for (filter, count) in [
        ("serial eq \"X1\"", 1),
        ("ram gt 16", 1),
        ("serial sw \"X\"", 1),
        ("meta.resourceType eq \"Device\"", 2),
    ] {
        let query = ListQuery::from_pairs([("filter", filter)]).unwrap();
        let kinds = [devices];
        let page = here
            .provider
            .list(&caller, &kinds, &query, |_| Wanted::NOTHING);
        assert_eq!(page.await.unwrap().total, Some(count), "{filter}");
    }
    let badge = json!({"userName": "a", "urn:example:Badge": {"colour": "red"}});
    let user = here
        .create(&caller, ResourceKind::USER, badge)
        .await
        .unwrap();
    let shown = here
        .provider
        .get(&caller, ResourceKind::USER, &user, Wanted::NOTHING);
    assert!(
        shown
            .await
            .unwrap()
            .resource
            .doc
            .contains("\"colour\":\"red\"")
    );
    let kept = set(None).await.unwrap_err();
    assert!(
        kept.to_string().contains("2 resources of the type Device"),
        "{kept}"
    );
    let told: Vec<String> = here.events(&caller).await.iter().map(short).collect();
    assert_eq!(told[2], "device.updated ram");
    for id in [id.as_str()] {
        let gone = here
            .provider
            .delete(&caller, devices, id, Precondition::None);
        gone.await.unwrap();
    }
    assert!(set(None).await.is_err(), "one is left");
    let written = integrations::definitions(&here.ctx, "A")
        .await
        .unwrap()
        .unwrap();
    assert_eq!(written["resourceTypes"], device()["resourceTypes"]);
}

async fn senders_are_reported(test: &TestStore) {
    let here = Here::new(test, Recorder::new());
    let caller = here.call(&here.integration("A").await).await;
    let user = ResourceKind::USER;
    let body = json!({"userName": "a", "active": "True", "shoeSize": 1});
    let id = here.create(&caller, user, body).await.unwrap();
    let disable = json!([{"op": "Replace", "path": "active", "value": "False"}]);
    here.patch(&caller, user, &id, disable.clone())
        .await
        .unwrap();
    here.clock.advance_seconds(5);
    here.patch(&caller, user, &id, disable).await.unwrap();
    here.provider.close().await;
    let report = integrations::dialect(&here.ctx, "A").await.unwrap();
    let told: Vec<_> = report
        .iter()
        .map(|(deviation, seen)| {
            let seconds = seen.last.millis_since(seen.first) / 1000;
            (
                deviation.code(),
                seen.client.as_str(),
                seen.name.as_str(),
                seen.count,
                seconds,
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("op-case", "Okta/1", "", 2, 5),
            ("schemas-missing", "Okta/1", "", 1, 0),
            ("text-boolean", "Okta/1", "", 3, 5),
            ("unknown-attribute", "Okta/1", "shoeSize", 1, 0),
        ]
    );
}

async fn integrations_never_see_each_other(test: &TestStore) {
    let here = Here::new(test, Recorder::new());
    let (one, two) = (here.integration("A").await, here.integration("B").await);
    let (a, b) = (here.call(&one).await, here.call(&two).await);
    let (user, group) = (ResourceKind::USER, ResourceKind::GROUP);
    let secret = here
        .create(
            &a,
            user,
            json!({"userName": "ana", "externalId": "7", "shoeSize": 1}),
        )
        .await
        .unwrap();
    let members = json!([{"value": secret}]);
    let team = here
        .create(
            &a,
            group,
            json!({"displayName": "Team", "members": members}),
        )
        .await
        .unwrap();
    // The token of one opens nothing of the other.
    let crossed = Issued {
        integration: one.integration.clone(),
        token: two.token.clone(),
    };
    assert_eq!(here.enter(&crossed, None).await.unwrap_err().status, 401);
    for (kind, id) in [(user, &secret), (group, &team)] {
        let got = here.provider.get(
            &b,
            kind,
            id,
            Wanted {
                members: true,
                groups: true,
            },
        );
        assert_eq!(got.await.unwrap_err().status, 404);
        let body = map(json!({"userName": "x", "displayName": "x"}));
        let put = here
            .provider
            .replace(&b, kind, id, body, Precondition::None);
        assert_eq!(put.await.unwrap_err().status, 404);
        let patched = here.patch(&b, kind, id, json!([{"op": "remove", "path": "members"}]));
        assert_eq!(patched.await.unwrap_err().status, 404);
        let gone = here.provider.delete(&b, kind, id, Precondition::None);
        assert_eq!(gone.await.unwrap_err().status, 404);
    }
    assert_eq!(
        here.provider
            .state(&b, ResourceKind::USER, &secret)
            .await
            .unwrap_err()
            .status,
        404
    );
    assert_eq!(
        here.provider
            .members(&b, &team, None, 9)
            .await
            .unwrap_err()
            .status,
        404
    );
    for filter in [
        "userName eq \"ana\"".to_owned(),
        "externalId eq \"7\"".to_owned(),
        format!("id eq \"{secret}\""),
        format!("members eq \"{secret}\""),
        "userName pr or displayName pr".to_owned(),
        "not (userName eq \"x\")".to_owned(),
    ] {
        let query = ListQuery::from_pairs([("filter", filter.as_str())]).unwrap();
        let page = here
            .provider
            .list(&b, &ResourceKind::STANDARD, &query, |_| Wanted::NOTHING);
        assert_eq!(page.await.unwrap().total, Some(0), "{filter}");
    }
    // A cursor of one is none of the other.
    for name in ["b1", "b2", "b3"] {
        here.create(&a, user, json!({ "userName": name }))
            .await
            .unwrap();
    }
    let query = ListQuery::from_pairs([("cursor", ""), ("count", "1")]).unwrap();
    let page = here
        .provider
        .list(&a, &[user], &query, |_| Wanted::NOTHING)
        .await
        .unwrap();
    let next = page.next.unwrap();
    let query = ListQuery::from_pairs([("cursor", next.as_str()), ("count", "1")]).unwrap();
    let crossed = here
        .provider
        .list(&b, &[user], &query, |_| Wanted::NOTHING)
        .await;
    assert_eq!(crossed.unwrap_err().status, 400);
    // The same names are free there, and a group with a foreign id holds nobody of the other.
    let twin = here
        .create(&b, user, json!({"userName": "ana"}))
        .await
        .unwrap();
    let body = json!({"displayName": "Team", "members": [{"value": secret}]});
    here.create(&b, group, body).await.unwrap();
    let state = here
        .provider
        .state(&a, ResourceKind::USER, &secret)
        .await
        .unwrap();
    assert_eq!(state.groups.len(), 1);
    here.provider
        .delete(&b, user, &twin, Precondition::None)
        .await
        .unwrap();
    assert!(
        here.provider
            .state(&a, ResourceKind::USER, &secret)
            .await
            .unwrap()
            .resource
            .active
    );
    let told: Vec<String> = here.events(&b).await.iter().map(short).collect();
    assert_eq!(told.len(), 4, "{told:?}");
    let report = integrations::dialect(&here.ctx, "B").await.unwrap();
    assert!(report.iter().all(|(_, seen)| seen.name != "shoeSize"));
}
