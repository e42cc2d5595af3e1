//! Webhooks on both databases: everything is delivered, in order for each resource, whatever the receiver
//! answers meanwhile.

use std::time::Duration;

use muster_app::webhooks::{self, Deliverer, From, signature};
use muster_app::{AppError, integrations};
use muster_model::integration::{ResourceKind, Webhook};
use muster_testkit::TestStore;
use serde_json::{Value, json};

use crate::context::Recorder;
use crate::on_both;
use crate::receiving::Here;

on_both!(
    messages_are_signed,
    what_is_not_taken_comes_again,
    messages_about_one_resource_keep_their_order,
    two_deliverers_do_not_both_deliver,
    a_receiver_that_is_gone_is_left_alone,
    a_webhook_goes_on_from_anywhere,
);

struct Wired {
    here: Here,
    recorder: Recorder,
}

impl Wired {
    fn new(test: &TestStore) -> Self {
        let recorder = Recorder::new();
        let here = Here::new(test, recorder.clone());
        Self { here, recorder }
    }

    async fn users(&self, names: &[&str]) {
        let issued = integrations::list(&self.here.ctx).await.unwrap();
        let name = issued[0].0.name.clone();
        let purpose = muster_model::integration::Purpose::Provision;
        let issued = integrations::rotate(&self.here.ctx, &name, purpose, None).await;
        let caller = self.here.call(&issued.unwrap().0).await;
        for name in names {
            let body = json!({ "userName": name });
            self.here
                .create(&caller, ResourceKind::USER, body)
                .await
                .unwrap();
        }
    }

    /// Lets a deliverer run until this many messages were tried, or longer than that takes.
    async fn deliver(&self, tried: usize) {
        let deliverer = Deliverer::new(self.here.ctx.clone(), "test").run();
        let enough = async {
            for _ in 0..200 {
                if self.recorder.tried() >= tried {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            // Time to write down what came of it, and for a message too many.
            tokio::time::sleep(Duration::from_millis(600)).await;
        };
        tokio::select! {
            () = deliverer => {}
            () = enough => {}
        }
    }

    async fn webhook(&self) -> Webhook {
        webhooks::list(&self.here.ctx, "A").await.unwrap().remove(0)
    }
}

async fn messages_are_signed(test: &TestStore) {
    let wired = Wired::new(test);
    wired.here.integration("A").await;
    let url = "https://app.test/hook";
    let added = webhooks::add(&wired.here.ctx, "A", url, From::Now).await;
    let (webhook, secret) = added.unwrap();
    wired.users(&["a", "b", "c"]).await;
    wired.deliver(3).await;
    let messages = wired.recorder.taken();
    assert_eq!(messages.len(), 3);
    let mut ids = Vec::new();
    for message in &messages {
        assert_eq!(message.url, url);
        let header = |name: &str| {
            let mut all = message.headers.iter();
            all.find(|(key, _)| *key == name).unwrap().1.clone()
        };
        let seconds = header("webhook-timestamp").parse().unwrap();
        let id = header("webhook-id");
        let signed = signature(&secret, &id, seconds, &message.body);
        assert_eq!(header("webhook-signature"), signed);
        ids.push(id);
        let body: Value = serde_json::from_str(&message.body).unwrap();
        assert_eq!(body["type"], "user.created");
        assert_eq!(body["data"]["resourceType"], "User");
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
    let after = wired.webhook().await;
    assert!(after.position > webhook.position && after.last_success.is_some());
    wired.deliver(3).await;
    assert_eq!(wired.recorder.tried(), 3, "nothing comes twice");
}

async fn what_is_not_taken_comes_again(test: &TestStore) {
    let wired = Wired::new(test);
    wired.here.integration("A").await;
    let added = webhooks::add(&wired.here.ctx, "A", "https://app.test/", From::Start).await;
    added.unwrap();
    wired.users(&["a", "b", "c"]).await;
    wired.recorder.answer(503);
    wired.deliver(1).await;
    let waiting = wired.webhook().await;
    assert_eq!((waiting.failures, waiting.stopped), (1, false));
    assert!(waiting.last_error.unwrap().contains("HTTP 503"));
    let tried = wired.recorder.tried();
    wired.recorder.answer(204);
    wired.deliver(tried + 1).await;
    assert_eq!(
        wired.recorder.tried(),
        tried,
        "not before the time has come"
    );
    wired.here.clock.advance_seconds(6);
    wired.deliver(tried + 3).await;
    assert_eq!(wired.recorder.resources(), 3);
    let after = wired.webhook().await;
    assert_eq!((after.failures, after.last_error), (0, None));
}

async fn a_receiver_that_is_gone_is_left_alone(test: &TestStore) {
    let wired = Wired::new(test);
    wired.here.integration("A").await;
    let added = webhooks::add(&wired.here.ctx, "A", "https://app.test/", From::Start).await;
    let (webhook, _) = added.unwrap();
    wired.users(&["a"]).await;
    wired.recorder.answer(410);
    wired.deliver(1).await;
    assert!(wired.webhook().await.stopped);
    wired.recorder.answer(200);
    wired.here.clock.advance_seconds(1_000_000);
    wired.deliver(2).await;
    assert_eq!(wired.recorder.tried(), 1);
    let resumed = webhooks::resume(&wired.here.ctx, "A", webhook.id, None).await;
    resumed.unwrap();
    wired.deliver(2).await;
    assert_eq!(wired.recorder.resources(), 1);
}

async fn a_webhook_goes_on_from_anywhere(test: &TestStore) {
    let wired = Wired::new(test);
    wired.here.integration("A").await;
    wired.users(&["a", "b"]).await;
    let ctx = &wired.here.ctx;
    let (webhook, _) = webhooks::add(ctx, "A", "https://app.test/", From::Start)
        .await
        .unwrap();
    wired.deliver(2).await;
    assert_eq!(wired.recorder.resources(), 2);
    webhooks::resume(ctx, "A", webhook.id, Some(From::Start))
        .await
        .unwrap();
    wired.deliver(4).await;
    assert_eq!(wired.recorder.taken().len(), 4, "both once more");
    webhooks::resume(ctx, "A", webhook.id, Some(From::Now))
        .await
        .unwrap();
    webhooks::remove(ctx, "A", webhook.id).await.unwrap();
    let missing = webhooks::remove(ctx, "A", webhook.id).await;
    assert!(matches!(missing, Err(AppError::NotFound(_))));
}

async fn messages_about_one_resource_keep_their_order(test: &TestStore) {
    let wired = Wired::new(test);
    let issued = wired.here.integration("A").await;
    let added = webhooks::add(&wired.here.ctx, "A", "https://app.test/", From::Start).await;
    added.unwrap();
    let caller = wired.here.call(&issued).await;
    let mut ids = Vec::new();
    for name in ["a", "b", "c"] {
        let body = json!({ "userName": name });
        ids.push(
            wired
                .here
                .create(&caller, ResourceKind::USER, body)
                .await
                .unwrap(),
        );
    }
    for round in 0..5 {
        for id in &ids {
            let set = json!([{"op": "replace", "path": "title", "value": format!("t{round}")}]);
            wired
                .here
                .patch(&caller, ResourceKind::USER, id, set)
                .await
                .unwrap();
        }
    }
    // In the middle the receiver fails, now and then.
    wired.recorder.fail_every(7);
    for _ in 0..20 {
        wired.deliver(wired.recorder.tried() + 1).await;
        wired.here.clock.advance_seconds(100_000);
        let last = integrations::newest_event(&wired.here.ctx, "A").await;
        if wired.webhook().await.position == last.unwrap() {
            break;
        }
    }
    for id in &ids {
        let mut versions: Vec<i64> = Vec::new();
        for message in wired.recorder.taken() {
            let body: Value = serde_json::from_str(&message.body).unwrap();
            let version = body["data"]["version"].as_i64().unwrap();
            // A message that was taken may come again; none may be left out or overtaken by a later one.
            if body["data"]["resource"] == *id && !versions.contains(&version) {
                versions.push(version);
            }
        }
        assert_eq!(versions, [1, 2, 3, 4, 5, 6]);
    }
}

async fn two_deliverers_do_not_both_deliver(test: &TestStore) {
    let wired = Wired::new(test);
    wired.here.integration("A").await;
    let added = webhooks::add(&wired.here.ctx, "A", "https://app.test/", From::Start).await;
    added.unwrap();
    wired.users(&["a", "b", "c", "d"]).await;
    let other = Deliverer::new(wired.here.ctx.clone(), "other").run();
    tokio::select! {
        () = other => {}
        () = wired.deliver(4) => {}
    }
    assert_eq!((wired.recorder.tried(), wired.recorder.resources()), (4, 4));
}
