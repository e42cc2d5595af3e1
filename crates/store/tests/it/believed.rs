//! Members that come and go one by one: on PostgreSQL their group is believed to be as it was after the commit before.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures::future::join_all;
use muster_model::integration::{Happening, ResourceKind};
use muster_model::{Position, ResourceId};
use muster_store::received::{self, NewEvent};
use muster_store::resources::{self, About, Resource};
use muster_store::{Store, StoreError, Tx};
use muster_testkit::TestStore;
use tokio::sync::oneshot;

use crate::lanes::{lane, slow};
use crate::received::{HERE, member, resource};
use crate::{NOW, on_both};

on_both!(
    who_comes_one_by_one_is_told_of_one_by_one,
    what_others_changed_is_seen,
    who_is_expected_and_does_not_come_costs_nobody_anything,
    who_comes_together_is_told_of_in_order,
    a_connection_that_is_lost_before_the_commit_costs_nobody_anything,
    a_connection_that_is_lost_before_a_name_is_free_costs_nobody_anything,
    a_version_that_is_required_is_the_one_that_is_there,
    two_who_change_one_group_lose_nothing,
    what_did_not_change_is_not_asked_for,
);

const GROUP: ResourceKind = ResourceKind::GROUP;

/// Somebody comes or goes. Answers the group as it is then, if it changed; [`StoreError::Restarted`] without a group,
/// [`StoreError::LeaseLost`] when it has not the version that is required.
async fn moves(
    store: &Store,
    id: ResourceId,
    (who, comes): (&str, bool),
    required: Option<i64>,
) -> Result<Option<Resource>, StoreError> {
    let who = who.to_owned();
    let about = About::Members(id, [who.clone()].into());
    let write = store.write_resource(HERE, about, move |tx| {
        let who = who.clone();
        Box::pin(async move {
            let found = resources::find_to_change(tx, HERE, GROUP, id).await?;
            let mut group = found.ok_or(StoreError::Restarted)?;
            if required.is_some_and(|version| version != group.version) {
                return Err(StoreError::LeaseLost);
            }
            group.version += 1;
            let (what, moved) = if comes {
                let these = vec![member(who)];
                let came = resources::add_members(tx, HERE, id, these).await?;
                (Happening::MembersAdded, came)
            } else {
                let gone = resources::remove_members(tx, HERE, id, &[who]).await?;
                (Happening::MembersRemoved, gone)
            };
            if moved.is_empty() {
                return Ok(None);
            }
            let event = NewEvent {
                what,
                kind: GROUP,
                resource: id,
                version: group.version,
                at: NOW,
            };
            received::append(tx, HERE, event, moved);
            resources::update_version(tx, HERE, &group).await?;
            Ok(Some(group))
        })
    });
    write.await
}

/// A group of which `m0` to `m4` became members, one by one, so that it is known.
async fn known_group(test: &TestStore) -> Resource {
    let group = resource(GROUP, "g");
    let new = group.clone();
    write!(test, |tx| resources::create(tx, HERE, &new).await).unwrap();
    for number in 0..5 {
        let came = moves(&test.store, group.id, (&format!("m{number}"), true), None).await;
        assert_eq!(came.unwrap().unwrap().version, 2 + number);
    }
    group
}

/// The members, and who came or went with which version, as the feed tells it.
async fn told(test: &TestStore, id: ResourceId) -> (Vec<String>, Vec<(i64, bool, String)>) {
    write!(test, |tx| {
        let members = resources::members(tx, HERE, id, None, 1000).await?;
        let members = members.into_iter().map(|member| member.value);
        let all = received::read_all(tx, HERE, Position::START, 1000).await?;
        let mut told = Vec::new();
        for event in all.into_iter().filter(|event| event.resource == id) {
            let first = event.version + 1 - event.details.len() as i64;
            let comes = event.what == Happening::MembersAdded;
            let who = event.details.into_iter().enumerate();
            told.extend(who.map(|(at, who)| (first + at as i64, comes, who)));
        }
        Ok::<_, StoreError>((members.collect(), told))
    })
    .unwrap()
}

async fn who_comes_one_by_one_is_told_of_one_by_one(test: &TestStore) {
    let id = known_group(test).await.id;
    let steps = [
        ("a", true, true),
        ("m3", true, false),
        ("m3", true, false),
        ("a", true, false),
        ("a", false, true),
        ("a", false, false),
        ("nobody", false, false),
        ("b", true, true),
        ("c", true, true),
        ("m3", false, true),
        ("m4", false, true),
        ("m3", true, true),
    ];
    let mut expected: Vec<_> = (0..5)
        .map(|number| (2 + number, true, format!("m{number}")))
        .collect();
    for (who, comes, does) in steps {
        let moved = moves(&test.store, id, (who, comes), None).await.unwrap();
        if does {
            expected.push((2 + expected.len() as i64, comes, who.to_owned()));
        }
        let version = does.then_some(1 + expected.len() as i64);
        assert_eq!(moved.map(|group| group.version), version, "{who} {comes}");
    }
    let (members, told) = told(test, id).await;
    assert_eq!(members, ["b", "c", "m0", "m1", "m2", "m3"]);
    assert_eq!(told, expected);
    let found = write!(test, |tx| resources::find(tx, HERE, GROUP, id).await);
    assert_eq!(found.unwrap().unwrap().version, 1 + expected.len() as i64);
}

/// Another process with the same database, or on SQLite whoever writes something else.
async fn other(test: &TestStore) -> Store {
    if !test.store.is_postgres() {
        return test.store.clone();
    }
    Store::open(&test.url, muster_testkit::stores::key())
        .await
        .unwrap()
}

async fn what_others_changed_is_seen(test: &TestStore) {
    let group = known_group(test).await;
    let (id, other) = (group.id, other(test).await);
    // The same two are asked by turns, and each of them is known to the one who asks.
    let settle = async |from: usize| {
        for number in from..from + 4 {
            let came = moves(&test.store, id, (&format!("n{number}"), true), None).await;
            came.unwrap().unwrap();
        }
    };
    moves(&other, id, ("x", true), None).await.unwrap().unwrap();
    let again = moves(&test.store, id, ("x", true), None).await.unwrap();
    assert_eq!(again, None);
    settle(0).await;
    moves(&other, id, ("m0", false), None)
        .await
        .unwrap()
        .unwrap();
    let again = moves(&test.store, id, ("m0", false), None).await.unwrap();
    assert_eq!(again, None);
    settle(10).await;
    moves(&other, id, ("m1", false), None)
        .await
        .unwrap()
        .unwrap();
    let back = moves(&test.store, id, ("m1", true), None).await.unwrap();
    back.unwrap();
    settle(20).await;
    let renamed = other.write(move |tx| {
        Box::pin(async move {
            resources::wait_for_everything(tx, HERE).await?;
            let found = resources::find_to_change(tx, HERE, GROUP, id).await?;
            let before = found.ok_or(StoreError::Restarted)?;
            let mut after = before.clone();
            "{\"renamed\":true}".clone_into(&mut after.doc);
            after.version += 1;
            resources::update(tx, HERE, &before, &after).await?;
            Ok::<_, StoreError>(after)
        })
    });
    let renamed = renamed.await.unwrap();
    let found = moves(&test.store, id, ("y", true), None).await.unwrap();
    let found = found.unwrap();
    assert_eq!(
        (found.version, &found.doc),
        (renamed.version + 1, &renamed.doc)
    );
    settle(30).await;
    let about = About::Deletion(GROUP, id);
    let gone = other.write_resource::<_, StoreError, _>(HERE, about, move |tx| {
        Box::pin(async move {
            let found = resources::find_to_change(tx, HERE, GROUP, id).await?;
            resources::delete(tx, HERE, &found.ok_or(StoreError::Restarted)?, NOW).await
        })
    });
    assert!(gone.await.unwrap());
    for (who, comes) in [("z", true), ("m2", false)] {
        let none = moves(&test.store, id, (who, comes), None).await;
        assert!(matches!(none, Err(StoreError::Restarted)), "{none:?}");
    }
    let (members, told) = told(test, id).await;
    assert_eq!(members, Vec::<String>::new());
    assert!(!told.iter().any(|(.., who)| who == "z"), "{told:?}");
}

/// Several at once, of whom some are members already and some come and go again.
async fn who_is_expected_and_does_not_come_costs_nobody_anything(test: &TestStore) {
    let id = known_group(test).await.id;
    let mut version = 6;
    for round in 0..3 {
        let name = |who: &str| format!("{who}{round}");
        let steps = [
            (name("a"), true, true),
            (name("b"), true, true),
            (name("a"), true, false),
            (name("a"), false, true),
            ("m0".to_owned(), true, false),
            (name("c"), true, true),
            (name("a"), true, true),
            (name("nobody"), false, false),
        ];
        let all = steps
            .iter()
            .map(|(who, comes, _)| moves(&test.store, id, (who, *comes), None));
        let moved = join_all(all).await;
        for (moved, (who, comes, does)) in moved.into_iter().zip(&steps) {
            version += i64::from(*does);
            let found = moved.unwrap().map(|group| group.version);
            assert_eq!(found, does.then_some(version), "{who} {comes}");
        }
        for who in ["d", "e", "f"] {
            version += 1;
            let came = moves(&test.store, id, (&name(who), true), None).await;
            assert_eq!(came.unwrap().unwrap().version, version);
        }
    }
    let (members, told) = told(test, id).await;
    assert_eq!(members.len(), 5 + 3 * 6);
    let versions: Vec<i64> = told.iter().map(|(version, ..)| *version).collect();
    assert_eq!(versions, (2..=version).collect::<Vec<_>>());
}

/// Many at once, of whom none is a surprise; then after somebody else has changed the group, so that all are.
async fn who_comes_together_is_told_of_in_order(test: &TestStore) {
    let group = known_group(test).await;
    let (id, other) = (group.id, other(test).await);
    let by_hand = "UPDATE resources SET doc = '{\"by\":\"hand\"}' WHERE kind = 2";
    other
        .write::<_, StoreError, _>(move |tx| Box::pin(async move { tx.exec(by_hand, &[]).await }))
        .await
        .unwrap();
    let mut version = 6;
    for surprise in [false, true] {
        if surprise {
            for (who, comes) in [("m1", false), ("x", true)] {
                version += 1;
                let moved = moves(&other, id, (who, comes), None).await;
                assert_eq!(moved.unwrap().unwrap().version, version);
            }
        }
        let first: Vec<(String, bool, bool)> = if surprise {
            let (gone, there) = ("m1".to_owned(), "x".to_owned());
            vec![(gone, false, false), (there, true, false)]
        } else {
            (0..8).map(|at| (format!("a{at}"), true, true)).collect()
        };
        let rest = (0..3).map(|at| {
            let name = if surprise { "b" } else { "m" };
            (format!("{name}{}", at + 2), surprise, true)
        });
        let steps: Vec<_> = first.into_iter().chain(rest).collect();
        let all = steps
            .iter()
            .map(|(who, comes, _)| moves(&test.store, id, (who, *comes), None));
        let slow = slow(test, lane(&id)).await;
        let moved = join_all(all).await;
        slow.await.unwrap();
        for (moved, (who, comes, does)) in moved.into_iter().zip(&steps) {
            version += i64::from(*does);
            let found = moved.unwrap();
            let is_believed = test.store.is_postgres() && !surprise;
            if let Some(found) = &found {
                // What nobody asked for shows that it was believed.
                assert_eq!(found.doc == group.doc, is_believed, "{who} {comes}");
            }
            let found = found.map(|group| group.version);
            assert_eq!(found, does.then_some(version), "{who} {comes}");
        }
    }
    let (members, told) = told(test, id).await;
    let mut expected: Vec<String> = (0..8).map(|at| format!("a{at}")).collect();
    expected.extend(["b2", "b3", "b4", "m0", "x"].map(str::to_owned));
    assert_eq!(members, expected);
    let versions: Vec<i64> = told.iter().map(|(version, ..)| *version).collect();
    assert_eq!(versions, (2..=version).collect::<Vec<_>>());
}

/// Ends the connections that wait in this database for a lock, as soon as there are any; answers whether there were.
async fn end_who_waits(tx: &mut Tx<'_>) -> Result<bool, StoreError> {
    // No other database's: those are other tests.
    let sql = "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM \
               (SELECT l.pid FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid \
               WHERE a.datname = current_database() AND NOT l.granted OFFSET 0) waiting";
    for _ in 0..500 {
        tx.exec("SELECT pg_stat_clear_snapshot()", &[]).await?;
        let gone: Option<(i64,)> = tx.one(sql, &[]).await?;
        if gone.is_some_and(|(gone,)| gone > 0) {
            return Ok(true);
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    Ok(false)
}

/// The server ends the connection while it waits for a name that somebody else gives up then.
async fn a_connection_that_is_lost_before_a_name_is_free_costs_nobody_anything(test: &TestStore) {
    if !test.store.is_postgres() {
        return;
    }
    let other = other(test).await;
    let taken = resource(ResourceKind::USER, "taken");
    let About::New(number) = About::creation(&taken) else {
        unreachable!()
    };
    let names = (0..).map(|at| resource(ResourceKind::USER, &format!("n{at}")));
    let beside = names
        .into_iter()
        .find(|new| matches!(About::creation(new), About::New(other) if other % 4 == number % 4));
    let (begun, begins) = oneshot::channel();
    let first = taken.clone();
    let holds = other.write::<bool, StoreError, _>(move |tx| {
        Box::pin(async move {
            resources::create(tx, HERE, &first).await?;
            let _ = begun.send(());
            end_who_waits(tx).await?;
            Err(StoreError::Restarted)
        })
    });
    let runs = Arc::new(AtomicU32::new(0));
    let twin = Resource {
        id: ResourceId::new(),
        ..taken
    };
    let creations = [twin, beside.unwrap()].map(|new| {
        let (store, runs) = (test.store.clone(), Arc::clone(&runs));
        async move {
            let about = About::creation(&new);
            let write = store.write_resource::<_, StoreError, _>(HERE, about, move |tx| {
                runs.fetch_add(1, Ordering::Relaxed);
                let new = new.clone();
                Box::pin(async move { resources::create(tx, HERE, &new).await })
            });
            write.await
        }
    });
    let made = async {
        begins.await.unwrap();
        let slow = slow(test, number).await;
        let made = join_all(creations).await;
        slow.await.unwrap();
        made
    };
    let (held, made) = tokio::join!(holds, made);
    assert!(matches!(held, Err(StoreError::Restarted)), "{held:?}");
    for made in made {
        made.unwrap();
    }
    // Together, and each alone.
    assert_eq!(runs.load(Ordering::Relaxed), 4);
}

/// The server ends the connection while it waits for the locks.
async fn a_connection_that_is_lost_before_the_commit_costs_nobody_anything(test: &TestStore) {
    if !test.store.is_postgres() {
        return;
    }
    let id = known_group(test).await.id;
    let other = other(test).await;
    let (begun, begins) = oneshot::channel();
    let holds = other.write::<_, StoreError, _>(|tx| {
        Box::pin(async move {
            resources::wait_for_everything(tx, HERE).await?;
            let _ = begun.send(());
            end_who_waits(tx).await
        })
    });
    let names = ["a", "b", "c"];
    let moved = async {
        begins.await.unwrap();
        join_all(names.map(|who| moves(&test.store, id, (who, true), None))).await
    };
    let (gone, moved) = tokio::join!(holds, moved);
    assert!(gone.unwrap());
    for (moved, version) in moved.into_iter().zip(7..) {
        assert_eq!(moved.unwrap().unwrap().version, version);
    }
}

/// Nobody is refused, and nobody let through, because of a version that was there before.
async fn a_version_that_is_required_is_the_one_that_is_there(test: &TestStore) {
    let id = known_group(test).await.id;
    let other = other(test).await;
    let version = moves(&other, id, ("x", true), None)
        .await
        .unwrap()
        .unwrap()
        .version;
    let refused = moves(&test.store, id, ("a", true), Some(version - 1)).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
    for number in 0..4 {
        let came = moves(&test.store, id, (&format!("n{number}"), true), None).await;
        came.unwrap().unwrap();
    }
    let version = moves(&other, id, ("y", true), None)
        .await
        .unwrap()
        .unwrap()
        .version;
    let came = moves(&test.store, id, ("a", true), Some(version)).await;
    assert_eq!(came.unwrap().unwrap().version, version + 1);
    let refused = moves(&test.store, id, ("m0", false), Some(version)).await;
    assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
}

async fn two_who_change_one_group_lose_nothing(test: &TestStore) {
    let id = known_group(test).await.id;
    let other = other(test).await;
    let side = |store: Store, name: &'static str| async move {
        for number in 0..60 {
            let who = format!("{name}{}", number % 40);
            let moved = moves(&store, id, (&who, number < 40), None).await;
            moved.unwrap().unwrap();
            if number % 20 < 8 {
                // The other has its turn.
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        }
    };
    tokio::join!(side(test.store.clone(), "a"), side(other, "b"));
    let (members, told) = told(test, id).await;
    assert_eq!(members.len(), 5 + 2 * 20);
    let versions: Vec<i64> = told.iter().map(|(version, ..)| *version).collect();
    assert_eq!(versions, (2..=126).collect::<Vec<_>>());
}

/// A document cannot change without a new version; if somebody does that by hand, it is seen when the version changes.
async fn what_did_not_change_is_not_asked_for(test: &TestStore) {
    let group = known_group(test).await;
    let id = group.id;
    let by_hand = async |sql: &'static str| {
        let other = other(test).await;
        let changed = other
            .write::<_, StoreError, _>(move |tx| Box::pin(async move { tx.exec(sql, &[]).await }));
        assert_eq!(changed.await.unwrap(), 1);
    };
    by_hand("UPDATE resources SET doc = '{\"by\":\"hand\"}' WHERE kind = 2").await;
    let found = moves(&test.store, id, ("a", true), None)
        .await
        .unwrap()
        .unwrap();
    if test.store.is_postgres() {
        assert_eq!(found.doc, group.doc);
        by_hand("UPDATE resources SET version = version + 1 WHERE kind = 2").await;
    }
    let found = moves(&test.store, id, ("b", true), None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.doc, "{\"by\":\"hand\"}");
}
