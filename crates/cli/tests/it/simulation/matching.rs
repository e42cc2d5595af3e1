//! Matching by several attributes (5.4).

use muster_app::{jobs as jobs_app, mappings};
use muster_engine::port::{Over, TargetError};
use muster_model::Attributes;
use muster_model::event::{Status, StepName};
use muster_model::link::TargetId;

use super::quietly;
use super::world::{APP, World};

/// Somebody is at the target already.
fn put(world: &World, id: &str, name: &str, title: &str) {
    let mut account = Attributes::new();
    account.set("userName", name);
    account.set("title", title);
    let id = TargetId(id.to_owned());
    world
        .provider
        .held
        .lock()
        .unwrap()
        .users
        .insert(id, account);
}

#[test]
fn accounts_are_looked_for_by_precedence_and_several_are_none() {
    quietly(|world| async move {
        world.fill(4).await;
        for number in 0..4 {
            world.title(number, &format!("t{number}")).await;
        }
        let schema = mappings::export(&world.ctx, APP, None).await.unwrap();
        let mut schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        let rows = "/synchronizationRules/0/objectMappings/0/attributeMappings";
        let rows = schema.pointer_mut(rows).unwrap().as_array_mut().unwrap();
        let title = rows
            .iter_mut()
            .find(|it| it["targetAttributeName"] == "title");
        title.unwrap()["matchingPriority"] = serde_json::json!(2);
        let schema = schema.to_string();
        let saved = mappings::import(&world.ctx, APP, &schema, "").await;
        assert!(saved.unwrap().is_new);
        // By the first attribute, although another account has the second one.
        put(&world, "by-name", "user0.0@example.test", "another");
        put(&world, "by-title", "else0", "t0");
        // By the second, where nobody has the first.
        put(&world, "second", "else1", "t1");
        // Several.
        put(&world, "one", "else2", "t2");
        put(&world, "other", "else3", "t2");
        jobs_app::start(&world.ctx, APP).await.unwrap();
        let ended = world
            .ctx
            .engine
            .run(world.ctx.tenant, world.job)
            .await
            .unwrap();
        let counts = (
            ended.counts.created,
            ended.counts.updated,
            ended.counts.failed,
        );
        assert_eq!(counts, (1, 2, 1), "{}", world.told());
        let links = world.links().await;
        let linked = |id: &str| links.values().any(|it| it == id);
        assert!(linked("by-name") && linked("second"), "{links:?}");
        assert!(!linked("by-title") && !linked("one") && !linked("other"));
        assert_eq!(world.provider.held.lock().unwrap().users.len(), 6);
        // Each attempt is told, in its order.
        let log = world.log().await;
        let about = |number: usize| {
            let name = format!("user{number}.0@example.test");
            let is_it = |text: &str| text.starts_with(&name);
            log.iter().find(|event| {
                let steps = event.steps.iter().flat_map(|step| &step.details);
                steps
                    .clone()
                    .any(|(path, told)| path == "userName" && is_it(told))
            })
        };
        let attempts = |number: usize| -> Vec<String> {
            let steps = &about(number).unwrap().steps;
            let step = steps
                .iter()
                .find(|it| it.name == StepName::Matching)
                .unwrap();
            let told = step
                .details
                .iter()
                .map(|(path, told)| format!("{path} {told}"));
            told.collect()
        };
        assert_eq!(attempts(0), ["userName user0.0@example.test: one"]);
        assert_eq!(
            attempts(1),
            ["userName user1.0@example.test: nobody", "title t1: one"]
        );
        assert_eq!(
            attempts(2),
            ["userName user2.0@example.test: nobody", "title t2: several"]
        );
        let several = about(2).unwrap();
        assert_eq!(
            (several.status, &*several.code),
            (Status::Failure, "DuplicateTargetEntries")
        );
    });
}

#[test]
fn am_20_what_is_redacted_stands_nowhere_in_the_log() {
    quietly(|world| async move {
        world.fill(1).await;
        let set = vec![("mobilePhone".to_owned(), "555 0100".into())];
        let user = muster_app::directory::find_user(&world.ctx, "user0.0@example.test");
        let user = user.await.unwrap();
        let changed = muster_app::directory::update_user(&world.ctx, user.id, set).await;
        assert!(changed.unwrap());
        let schema = mappings::export(&world.ctx, APP, None).await.unwrap();
        let mut schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
        let rows = "/synchronizationRules/0/objectMappings/0/attributeMappings";
        let rows = schema.pointer_mut(rows).unwrap().as_array_mut().unwrap();
        let phone = rows
            .iter_mut()
            .find(|it| it["targetAttributeName"] == "phoneNumbers[type eq \"mobile\"].value");
        phone.unwrap()["source"] = serde_json::json!({ "expression": "Redact([mobile])" });
        let schema = schema.to_string();
        mappings::import(&world.ctx, APP, &schema, "")
            .await
            .unwrap();
        jobs_app::start(&world.ctx, APP).await.unwrap();
        let run = async || world.ctx.engine.run(world.ctx.tenant, world.job).await;
        run().await.unwrap();
        world.title(0, "another").await;
        // Whoever fails is shown with all values, and this one has two names in the source.
        world.provider.says(Some(TargetError::Refused {
            status: 400,
            over: Over::Other,
            detail: "no".to_owned(),
        }));
        let ended = run().await.unwrap();
        assert_eq!(ended.counts.failed, 1, "{}", world.told());
        let log = format!("{:?}", world.log().await);
        // The step that tells what was read of the source.
        assert!(log.contains("accountEnabled"), "{log}");
        assert!(!log.contains("555 0100"), "{log}");
        let explained = muster_app::explain::explain(&world.ctx, APP, "user0.0@example.test");
        let (_, _, explained) = Box::pin(explained).await.unwrap();
        let explained = format!("{:?}", explained.unwrap().record);
        assert!(explained.contains("mobilePhone"), "{explained}");
        assert!(!explained.contains("555 0100"), "{explained}");
    });
}
