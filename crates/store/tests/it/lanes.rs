//! Writes of received resources that come together: on PostgreSQL in one transaction, on SQLite in one commit.

use std::sync::Mutex;

use futures::future::join_all;
use muster_model::integration::{Happening, ReceivedEvent, ResourceKind};
use muster_model::{Position, ResourceId};
use muster_store::received::{self, NewEvent};
use muster_store::resources::{self, About, By, Place, Resource};
use muster_store::{StoreError, Tx};
use muster_testkit::TestStore;
use tokio::sync::oneshot;

use crate::received::{HERE, member, resource};
use crate::{NOW, on_both};

on_both!(
    writes_that_come_together_stand_and_fall_alone,
    what_fails_after_it_wrote_takes_its_commit_with_it,
    deletions_that_come_together_take_leave_of_every_group,
    who_comes_and_goes_at_once_is_told_of_once,
    who_comes_beside_what_is_undone_is_told_of,
    a_name_that_is_taken_costs_only_who_wants_it,
    look_ups_that_come_together_have_each_their_own_answer,
    a_name_that_was_refused_is_nobodys_in_the_same_transaction,
    bulks_of_the_same_names_come_to_an_end,
    a_deletion_takes_leave_of_a_group_that_was_joined_beside_it,
    who_is_in_many_groups_and_groups_are_deleted_among_others,
    names_that_cross_come_to_an_end,
    a_part_that_fails_takes_its_events_with_it,
    a_lost_connection_costs_only_who_lost_it,
);

const USER: ResourceKind = ResourceKind::USER;
const GROUP: ResourceKind = ResourceKind::GROUP;

macro_rules! write_resource {
    ($test:expr, $about:expr, |$tx:ident| $body:expr) => {{
        let store = $test.store.clone();
        let about = $about;
        async move {
            store
                .write_resource::<_, StoreError, _>(HERE, about, move |$tx| {
                    Box::pin(async move { $body })
                })
                .await
        }
    }};
}

/// Keeps all lanes of an integration busy for a while, so that what comes meanwhile comes together.
async fn busy(test: &TestStore) {
    if !test.store.is_postgres() {
        return;
    }
    let lanes = (0..16).map(|number| {
        write_resource!(test, About::New(number), |tx| {
            tx.exec("SELECT pg_sleep(0.3)", &[]).await
        })
    });
    for done in join_all(lanes).await {
        done.unwrap();
    }
}

/// Keeps the lane of a number at work for a while, until what comes meanwhile waits together; begun when this ends.
pub(crate) async fn slow(test: &TestStore, number: u64) -> tokio::task::JoinHandle<()> {
    let (begun, begins) = oneshot::channel();
    let (store, begun) = (test.store.clone(), Mutex::new(Some(begun)));
    let slow = tokio::spawn(async move {
        let is_postgres = store.is_postgres();
        let write = store.write_resource::<_, StoreError, _>(HERE, About::New(number), move |tx| {
            if let Some(begun) = begun.lock().unwrap().take() {
                let _ = begun.send(());
            }
            Box::pin(async move {
                if is_postgres {
                    tx.exec("SELECT pg_sleep(0.3)", &[]).await?;
                } else {
                    std::thread::sleep(std::time::Duration::from_millis(300));
                }
                Ok(())
            })
        });
        write.await.unwrap();
    });
    begins.await.unwrap();
    slow
}

/// The number of the lane of a group.
pub(crate) fn lane(id: &ResourceId) -> u64 {
    let (high, low) = id.as_bytes().split_at(8);
    let half = |bytes: &[u8]| u64::from_be_bytes(bytes.try_into().unwrap());
    (half(high) ^ half(low).rotate_left(17)) % 4
}

/// Ids of one lane.
fn ids(count: usize) -> Vec<ResourceId> {
    let first = ResourceId::new();
    let rest = std::iter::repeat_with(ResourceId::new).filter(|id| lane(id) == lane(&first));
    std::iter::once(first).chain(rest).take(count).collect()
}

fn named(kind: ResourceKind, name: &str, id: ResourceId) -> Resource {
    Resource {
        id,
        ..resource(kind, name)
    }
}

async fn created(test: &TestStore, new: Resource, breaks: bool) -> Result<(), StoreError> {
    let about = About::creation(&new);
    test.store
        .write_resource::<_, StoreError, _>(HERE, about, move |tx| {
            let new = new.clone();
            Box::pin(async move {
                resources::create(tx, HERE, &new).await?;
                if breaks {
                    let sql = "SELECT pg_terminate_backend(pg_backend_pid())";
                    tx.exec(sql, &[]).await?;
                }
                Ok(())
            })
        })
        .await
}

async fn change(tx: &mut Tx<'_>, id: ResourceId, joins: &str) -> Result<(), StoreError> {
    let found = resources::find_to_change(tx, HERE, GROUP, id).await?;
    let before = found.unwrap();
    let mut after = before.clone();
    after.version += 1;
    resources::add_members(tx, HERE, id, vec![member(joins.to_owned())]).await?;
    let event = NewEvent {
        what: Happening::MembersAdded,
        kind: GROUP,
        resource: id,
        version: after.version,
        at: NOW,
    };
    received::append(tx, HERE, event, vec![joins.to_owned()]);
    resources::update(tx, HERE, &before, &after).await
}

async fn remove(tx: &mut Tx<'_>, kind: ResourceKind, id: ResourceId) -> Result<bool, StoreError> {
    let found = resources::find_to_change(tx, HERE, kind, id).await?;
    match found {
        Some(found) => resources::delete(tx, HERE, &found, NOW).await,
        None => Err(StoreError::Restarted),
    }
}

/// Every event, by what it is about, and every group with its members.
async fn events(test: &TestStore) -> Vec<(Happening, ResourceId)> {
    let all = write!(test, |tx| {
        received::read_all(tx, HERE, Position::START, 1000).await
    });
    let all = all.unwrap().into_iter();
    all.map(|event| (event.what, event.resource)).collect()
}

async fn members_of(test: &TestStore, id: ResourceId) -> Vec<String> {
    let members = write!(test, |tx| {
        resources::members(tx, HERE, id, None, 100).await
    });
    let members = members.unwrap().into_iter();
    members.map(|member| member.value).collect()
}

/// Writes that share a transaction do not share their fate: what refuses, what fails after it wrote and what
/// panics leave the others as they are.
async fn writes_that_come_together_stand_and_fall_alone(test: &TestStore) {
    let group = resource(ResourceKind::GROUP, "g");
    let taken = resource(ResourceKind::USER, "taken");
    let id = group.id;
    write!(test, |tx| {
        resources::create(tx, HERE, &group).await?;
        resources::create(tx, HERE, &taken).await
    })
    .unwrap();
    let one = |number: i64| {
        let store = test.store.clone();
        async move {
            let about = About::Change(ResourceKind::GROUP, id);
            let added = store.write_resource::<_, StoreError, _>(HERE, about, move |tx| {
                Box::pin(async move {
                    let kind = ResourceKind::GROUP;
                    let before = resources::find_to_change(tx, HERE, kind, id).await?;
                    let before = before.unwrap();
                    match number % 10 {
                        3 => return Err(StoreError::Restarted),
                        5 => {
                            let twin = resource(ResourceKind::USER, "TAKEN");
                            resources::create(tx, HERE, &twin).await?;
                        }
                        7 => panic!("on purpose"),
                        9 if tx.is_postgres() => {
                            // It fails after something was written.
                            resources::add_members(tx, HERE, id, vec![member("never".into())])
                                .await?;
                            tx.exec("SELECT 1 / 0", &[]).await?;
                        }
                        _ => {}
                    }
                    let new = vec![member(format!("m{number}"))];
                    assert_eq!(resources::add_members(tx, HERE, id, new).await?.len(), 1);
                    let mut after = before.clone();
                    after.version += 1;
                    resources::update(tx, HERE, &before, &after).await?;
                    Ok(number)
                })
            });
            (number, added.await)
        }
    };
    let done = futures::future::join_all((0..200).map(one)).await;
    let mut right = 0;
    for (number, result) in &done {
        match number % 10 {
            3 => assert!(matches!(result, Err(StoreError::Restarted)), "{result:?}"),
            5 => assert!(
                matches!(result, Err(StoreError::Duplicate(_))),
                "{result:?}"
            ),
            7 => assert!(matches!(result, Err(StoreError::Sql(_))), "{result:?}"),
            9 if test.store.is_postgres() => {
                assert!(matches!(result, Err(StoreError::Sql(_))), "{result:?}");
            }
            _ => {
                assert_eq!(result.as_ref().ok(), Some(number), "{result:?}");
                right += 1;
            }
        }
    }
    let (members, group) = write!(test, |tx| {
        let members = resources::members(tx, HERE, id, None, 500).await?;
        let found = resources::find(tx, HERE, ResourceKind::GROUP, id).await?;
        Ok::<_, StoreError>((members, found.unwrap()))
    })
    .unwrap();
    assert_eq!((members.len(), group.version), (right, 1 + right as i64));
}

/// On SQLite nothing is kept to undo what refuses before it writes. What fails later all the same is not half there,
/// and nobody of that commit is told that it went well; what refuses in time costs nobody anything.
async fn what_fails_after_it_wrote_takes_its_commit_with_it(test: &TestStore) {
    if test.store.is_postgres() {
        return;
    }
    let group = resource(GROUP, "g");
    let id = group.id;
    write!(test, |tx| resources::create(tx, HERE, &group).await).unwrap();
    let (user, half) = (resource(USER, "ana"), resource(USER, "half"));
    let all = [user.id, half.id];
    let made = |user: Resource| {
        let store = test.store.clone();
        async move {
            let about = About::creation(&user);
            let made = store.write_resource::<_, StoreError, _>(HERE, about, move |tx| {
                let user = user.clone();
                Box::pin(async move { resources::create(tx, HERE, &user).await })
            });
            made.await
        }
    };
    let at_once = |half: Option<Resource>, panics: bool| {
        let store = test.store.clone();
        async move {
            let failed = store.write_at_once::<(), StoreError, _>(move |tx| {
                Box::pin(async move {
                    if let Some(half) = half {
                        resources::create(tx, HERE, &half).await?;
                    }
                    assert!(!panics, "on purpose");
                    Err(StoreError::Restarted)
                })
            });
            failed.await
        }
    };
    for (panics, later) in [(false, "bo"), (true, "caio")] {
        let later = resource(USER, later);
        let writer = occupied(test).await;
        let (beside, failed, behind) = tokio::join!(
            made(user.clone()),
            at_once(Some(half.clone()), panics),
            made(later)
        );
        writer.await.unwrap();
        for outcome in [beside, failed] {
            assert!(matches!(outcome, Err(StoreError::Sql(_))), "{outcome:?}");
        }
        // The commit ended with what failed; who came behind it has the next one.
        behind.unwrap();
    }
    let writer = occupied(test).await;
    let joined = write_resource!(test, About::Change(GROUP, id), |tx| {
        change(tx, id, "m").await
    });
    let (joined, refused, made) = tokio::join!(joined, at_once(None, false), made(user.clone()));
    writer.await.unwrap();
    assert!(matches!(refused, Err(StoreError::Restarted)), "{refused:?}");
    joined.unwrap();
    made.unwrap();
    write!(test, |tx| {
        let found = resources::find(tx, HERE, GROUP, id).await?.unwrap();
        assert_eq!(found.version, 2);
        for (at, id) in all.into_iter().enumerate() {
            let found = resources::find(tx, HERE, USER, id).await?;
            assert_eq!(found.is_some(), at == 0);
        }
        assert_eq!(resources::total(tx, HERE, USER).await?, 3);
        let events = received::read(tx, HERE, Position::START, 100).await?;
        let about = |it: &&ReceivedEvent| it.resource == id || all.contains(&it.resource);
        let told = events.iter().filter(about);
        let told: Vec<_> = told.map(|it| (it.resource, it.what)).collect();
        let want = [
            (id, Happening::Created),
            (id, Happening::MembersAdded),
            (all[0], Happening::Created),
        ];
        assert_eq!(told, want);
        Ok::<_, StoreError>(())
    })
    .unwrap();
}

/// Keeps SQLite's writer busy for a while, so that what comes meanwhile shares a commit.
async fn occupied(test: &TestStore) -> tokio::task::JoinHandle<()> {
    let (begun, begins) = oneshot::channel();
    let store = test.store.clone();
    let writer = tokio::spawn(async move {
        let work = store.write::<_, StoreError, _>(move |_| {
            Box::pin(async move {
                let _ = begun.send(());
                std::thread::sleep(std::time::Duration::from_millis(300));
                Ok(())
            })
        });
        work.await.unwrap();
    });
    begins.await.unwrap();
    writer
}

/// Of members that come and go in one transaction each change is known from the one before it.
async fn who_comes_and_goes_at_once_is_told_of_once(test: &TestStore) {
    let group = resource(GROUP, "g");
    let id = group.id;
    write!(test, |tx| {
        resources::create(tx, HERE, &group).await?;
        change(tx, id, "there").await
    })
    .unwrap();
    let moves = [
        ("a", true, true),
        ("a", true, false),
        ("there", true, false),
        ("b", true, true),
        ("a", false, true),
        ("a", false, false),
        ("nobody", false, false),
        ("there", false, true),
        ("a", true, true),
    ];
    let writes = moves.map(|(who, comes, _)| {
        let about = About::Members(id, [who.to_owned()].into());
        write_resource!(test, about, |tx| {
            let before = resources::find_to_change(tx, HERE, GROUP, id)
                .await?
                .unwrap();
            let mut after = before.clone();
            after.version += 1;
            let these = [who.to_owned()];
            let (what, moved) = if comes {
                let members = vec![member(who.to_owned())];
                let added = resources::add_members(tx, HERE, id, members).await?;
                (Happening::MembersAdded, added)
            } else {
                let gone = resources::remove_members(tx, HERE, id, &these).await?;
                (Happening::MembersRemoved, gone)
            };
            if moved.is_empty() {
                return Ok(false);
            }
            let event = NewEvent {
                what,
                kind: GROUP,
                resource: id,
                version: after.version,
                at: NOW,
            };
            received::append(tx, HERE, event, moved);
            resources::update(tx, HERE, &before, &after).await?;
            Ok(true)
        })
    });
    // Nothing else is in their transaction.
    let slow = slow(test, lane(&id)).await;
    let moved = join_all(writes).await;
    slow.await.unwrap();
    let moved: Vec<bool> = moved.into_iter().map(Result::unwrap).collect();
    assert_eq!(moved, moves.map(|(.., moves)| moves));
    assert_eq!(members_of(test, id).await, ["a", "b"]);
    let found = write!(test, |tx| resources::find(tx, HERE, GROUP, id).await);
    assert_eq!(found.unwrap().unwrap().version, 2 + 5);
    let all = write!(test, |tx| {
        received::read_all(tx, HERE, Position::START, 1000).await
    });
    let told = all.unwrap().into_iter().filter(|event| event.version > 2);
    // What is committed together may be told together, with the version of the last.
    let mut who = Vec::new();
    for event in told {
        who.extend(event.details);
        assert_eq!(event.version, 2 + who.len() as i64);
    }
    assert_eq!(who, ["a", "b", "a", "there", "a"]);
}

/// On SQLite all of these are one commit.
async fn who_comes_beside_what_is_undone_is_told_of(test: &TestStore) {
    let group = resource(GROUP, "g");
    let id = group.id;
    write!(test, |tx| resources::create(tx, HERE, &group).await).unwrap();
    let joins = |who: &'static str| {
        let about = About::Members(id, vec![who.to_owned()].into());
        write_resource!(test, about, |tx| change(tx, id, who).await)
    };
    let undone = test.store.write::<(), StoreError, _>(move |tx| {
        Box::pin(async move {
            change(tx, id, "undone").await?;
            Err(StoreError::Restarted)
        })
    });
    let refused = test.store.write_at_once::<(), StoreError, _>(move |tx| {
        Box::pin(async move {
            resources::find_to_change(tx, HERE, GROUP, id).await?;
            Err(StoreError::Restarted)
        })
    });
    let writer = occupied(test).await;
    let (a, b, undone, c, refused, d) = tokio::join!(
        joins("a"),
        joins("b"),
        undone,
        joins("c"),
        refused,
        joins("d")
    );
    writer.await.unwrap();
    for done in [a, b, c, d] {
        done.unwrap();
    }
    for failed in [undone, refused] {
        assert!(matches!(failed, Err(StoreError::Restarted)), "{failed:?}");
    }
    assert_eq!(members_of(test, id).await, ["a", "b", "c", "d"]);
    let found = write!(test, |tx| resources::find(tx, HERE, GROUP, id).await);
    assert_eq!(found.unwrap().unwrap().version, 5);
    let all = write!(test, |tx| {
        received::read_all(tx, HERE, Position::START, 1000).await
    });
    let all = all.unwrap();
    let mut who = Vec::new();
    for event in &all[1..] {
        who.extend(event.details.clone());
        assert_eq!(event.version, 1 + who.len() as i64);
    }
    who.sort();
    assert_eq!(who, ["a", "b", "c", "d"]);
    if !test.store.is_postgres() {
        let sizes: Vec<_> = all.iter().map(|event| event.details.len()).collect();
        assert_eq!(sizes, [0, 2, 2]);
    }
}

/// New resources are written in the hope that their names are free; of those with one name the first has it.
async fn a_name_that_is_taken_costs_only_who_wants_it(test: &TestStore) {
    let taken = resource(USER, "taken");
    write!(test, |tx| resources::create(tx, HERE, &taken).await).unwrap();
    let names: Vec<String> = (0..60).map(|number| format!("n{}", number / 2)).collect();
    let names = names.iter().map(String::as_str).chain(["taken", "taken"]);
    let writes = names.map(|name| created(test, resource(USER, name), false));
    let ((), done) = futures::join!(busy(test), join_all(writes));
    for (number, done) in done.into_iter().enumerate() {
        if number >= 60 || number % 2 == 1 {
            assert!(
                matches!(done, Err(StoreError::Duplicate(_))),
                "{number}: {done:?}"
            );
        } else {
            done.unwrap();
        }
    }
    let total = write!(test, |tx| resources::total(tx, HERE, USER).await);
    assert_eq!(total.unwrap(), 31);
    let told = events(test).await;
    assert_eq!(told.len(), 31);
    // The connection that was refused something is the next one's.
    if test.store.is_postgres() {
        let before = connection(test).await;
        let again = created(test, resource(USER, "taken"), false).await;
        assert!(matches!(again, Err(StoreError::Duplicate(_))), "{again:?}");
        assert_eq!(connection(test).await, before);
    }
}

/// The process at the other end of the connection that is used next.
async fn connection(test: &TestStore) -> i64 {
    let sql = "SELECT CAST(pg_backend_pid() AS BIGINT)";
    let found = write!(test, |tx| tx.one::<(i64,)>(sql, &[]).await);
    found.unwrap().unwrap().0
}

/// What is asked at the same time is looked up together, and one that cannot be looked up is nobody else's affair.
async fn look_ups_that_come_together_have_each_their_own_answer(test: &TestStore) {
    let elsewhere = Place {
        integration: HERE.integration + 1,
        ..HERE
    };
    let users: Vec<Resource> = (0..50)
        .map(|it| resource(USER, &format!("n{it}")))
        .collect();
    let (group, all) = (resource(GROUP, "g"), users.clone());
    let group_id = group.id;
    write!(test, |tx| {
        resources::create(tx, HERE, &group).await?;
        for (number, user) in all.iter().enumerate() {
            let place = if number % 2 == 0 { HERE } else { elsewhere };
            resources::create(tx, place, user).await?;
            // In the other integration there is no such group.
            let joins = vec![member(user.id.to_string())];
            resources::add_members(tx, place, group_id, joins).await?;
        }
        Ok::<_, StoreError>(())
    })
    .unwrap();
    let asked = users.iter().enumerate().flat_map(|(number, user)| {
        let by = [By::Id(user.id), By::Name(format!("n{number}"))];
        by.map(|by| async move {
            let here = test.store.find_users(HERE, &by, 3, 10).await.unwrap();
            let there = test.store.find_users(elsewhere, &by, 3, 10).await.unwrap();
            (here, there)
        })
    });
    let wrong = By::Name("n\0".to_owned());
    let wrong = test.store.find_users(HERE, &wrong, 3, 10);
    let (found, wrong) = futures::join!(join_all(asked), wrong);
    assert!(wrong.map_or(true, |found| found.is_empty()));
    assert_eq!(found.len(), 100);
    for (number, (here, there)) in found.into_iter().enumerate() {
        let (user, number) = (&users[number / 2], number / 2);
        let (has, lacks) = if number % 2 == 0 {
            (here, there)
        } else {
            (there, here)
        };
        let [(found, groups)] = has.as_slice() else {
            panic!("{has:?}");
        };
        assert_eq!((found, lacks.len()), (user, 0));
        let expected = usize::from(number % 2 == 0);
        assert_eq!(groups.len(), expected, "{groups:?}");
        assert!(groups.iter().all(|(id, _)| *id == group_id));
    }
}

/// After a rename that is refused the next change finds the resource as it was.
async fn a_name_that_was_refused_is_nobodys_in_the_same_transaction(test: &TestStore) {
    for kind in [USER, GROUP] {
        let (one, other) = (resource(kind, "x"), resource(kind, "y"));
        let id = one.id;
        let (first, second) = (one.clone(), other.clone());
        write!(test, |tx| {
            resources::create(tx, HERE, &first).await?;
            resources::create(tx, HERE, &second).await
        })
        .unwrap();
        let renames = (0..2).map(|_| {
            write_resource!(test, About::Change(kind, id), |tx| {
                let before = resources::find_to_change(tx, HERE, kind, id)
                    .await?
                    .unwrap();
                let mut after = before.clone();
                "y".clone_into(&mut after.name_key);
                "{\"renamed\":true}".clone_into(&mut after.doc);
                after.version += 1;
                resources::update(tx, HERE, &before, &after).await?;
                Ok(before)
            })
        });
        let disables = write_resource!(test, About::Change(kind, id), |tx| {
            let before = resources::find_to_change(tx, HERE, kind, id)
                .await?
                .unwrap();
            let mut after = before.clone();
            (after.active, after.version) = (false, after.version + 1);
            "{\"disabled\":true}".clone_into(&mut after.doc);
            resources::update(tx, HERE, &before, &after).await?;
            Ok(before)
        });
        let ((), renamed, before) = futures::join!(busy(test), join_all(renames), disables);
        for renamed in renamed {
            assert!(
                matches!(renamed, Err(StoreError::Duplicate(_))),
                "{renamed:?}"
            );
        }
        assert_eq!(before.unwrap(), one);
        let found = write!(test, |tx| resources::find(tx, HERE, kind, id).await);
        let expected = Resource {
            active: false,
            version: one.version + 1,
            doc: "{\"disabled\":true}".to_owned(),
            ..one
        };
        assert_eq!(found.unwrap().unwrap(), expected);
    }
}

/// Of resources that are written by one statement beside others who do the same, each name is had once.
async fn bulks_of_the_same_names_come_to_an_end(test: &TestStore) {
    let bulks = (0..8).map(|bulk| {
        let order = |at: usize| if bulk % 2 == 0 { at } else { 39 - at };
        let these: Vec<Resource> = (0..40)
            .map(|at| resource(USER, &format!("n{}", order(at))))
            .collect();
        let alone = bulk >= 6;
        let store = test.store.clone();
        async move {
            store
                .write::<_, StoreError, _>(move |tx| {
                    Box::pin(async move {
                        if alone {
                            resources::wait_for_everything(tx, HERE).await?;
                        } else {
                            resources::foresee(tx, HERE, &these.iter().collect::<Vec<_>>()).await?;
                        }
                        let mut made = 0;
                        for one in &these {
                            match resources::create(tx, HERE, one).await {
                                Ok(()) => made += 1,
                                Err(StoreError::Duplicate(_)) => {}
                                Err(error) => return Err(error),
                            }
                        }
                        Ok(made)
                    })
                })
                .await
        }
    });
    let made = join_all(bulks).await.into_iter();
    assert_eq!(made.map(Result::unwrap).sum::<usize>(), 40);
    assert_eq!(events(test).await.len(), 40);
}

/// A deletion that is refused leaves what it would have needed to one that is not.
async fn deletions_that_come_together_take_leave_of_every_group(test: &TestStore) {
    let ids = ids(2);
    let (user, group) = (named(USER, "a", ids[0]), named(GROUP, "g", ids[1]));
    let (user_id, group_id) = (user.id, group.id);
    write!(test, |tx| {
        resources::create(tx, HERE, &user).await?;
        resources::create(tx, HERE, &group).await?;
        change(tx, group_id, &user_id.to_string()).await
    })
    .unwrap();
    let about = About::Deletion(USER, user_id);
    let refuses = write_resource!(test, about.clone(), |tx| {
        resources::find_to_change(tx, HERE, USER, user_id).await?;
        Err::<bool, _>(StoreError::LeaseLost)
    });
    let of_another_kind = write_resource!(
        test,
        About::Deletion(ResourceKind::from_number(7), user_id),
        |tx| remove(tx, ResourceKind::from_number(7), user_id).await
    );
    let deletes = write_resource!(test, about.clone(), |tx| remove(tx, USER, user_id).await);
    let again = write_resource!(test, about, |tx| remove(tx, USER, user_id).await);
    let ((), refused, other, deleted, again) =
        futures::join!(busy(test), refuses, of_another_kind, deletes, again);
    assert!(matches!(refused, Err(StoreError::LeaseLost)), "{refused:?}");
    assert!(matches!(other, Err(StoreError::Restarted)), "{other:?}");
    assert!(deleted.unwrap());
    assert!(matches!(again, Err(StoreError::Restarted)), "{again:?}");
    assert!(members_of(test, group_id).await.is_empty());
    let told = events(test).await;
    assert!(
        told.contains(&(Happening::MembersRemoved, group_id)),
        "{told:?}"
    );
}

/// Who joins a group and is deleted in the same transaction is no member of it.
async fn a_deletion_takes_leave_of_a_group_that_was_joined_beside_it(test: &TestStore) {
    let ids = ids(2);
    let (user, group) = (named(USER, "a", ids[0]), named(GROUP, "g", ids[1]));
    let (user_id, group_id) = (user.id, group.id);
    write!(test, |tx| {
        resources::create(tx, HERE, &user).await?;
        resources::create(tx, HERE, &group).await
    })
    .unwrap();
    let joins = write_resource!(test, About::Change(GROUP, group_id), |tx| {
        change(tx, group_id, &user_id.to_string()).await
    });
    let goes = write_resource!(test, About::Deletion(USER, user_id), |tx| {
        remove(tx, USER, user_id).await
    });
    let ((), joined, gone) = futures::join!(busy(test), joins, goes);
    joined.unwrap();
    assert!(gone.unwrap());
    assert!(members_of(test, group_id).await.is_empty());
    let told = events(test).await;
    assert!(
        told.contains(&(Happening::MembersRemoved, group_id)),
        "{told:?}"
    );
}

async fn who_is_in_many_groups_and_groups_are_deleted_among_others(test: &TestStore) {
    let ids = ids(65);
    let groups: Vec<Resource> = (0..60)
        .map(|number| named(GROUP, &format!("g{number}"), ids[number]))
        .collect();
    let (many, few) = (named(USER, "many", ids[60]), named(USER, "few", ids[61]));
    let (many_id, few_id) = (many.id, few.id);
    let all: Vec<ResourceId> = groups.iter().map(|group| group.id).collect();
    let these = all.clone();
    write!(test, |tx| {
        for one in groups.iter().chain([&many, &few]) {
            resources::create(tx, HERE, one).await?;
        }
        for id in &these {
            change(tx, *id, &many_id.to_string()).await?;
        }
        change(tx, these[0], &few_id.to_string()).await
    })
    .unwrap();
    let (first, second) = (all[0], all[1]);
    let (busy, many, few, group, joined) = futures::join!(
        busy(test),
        write_resource!(test, About::Deletion(USER, many_id), |tx| remove(
            tx, USER, many_id
        )
        .await),
        write_resource!(test, About::Deletion(USER, few_id), |tx| remove(
            tx, USER, few_id
        )
        .await),
        write_resource!(test, About::Deletion(GROUP, first), |tx| remove(
            tx, GROUP, first
        )
        .await),
        write_resource!(test, About::Change(GROUP, second), |tx| change(
            tx, second, "x"
        )
        .await),
    );
    let () = busy;
    assert!(many.unwrap() && few.unwrap() && group.unwrap());
    joined.unwrap();
    assert!(members_of(test, first).await.is_empty());
    assert_eq!(members_of(test, second).await, ["x"]);
    for id in &all[2..] {
        assert!(members_of(test, *id).await.is_empty());
    }
    let told = events(test).await;
    let gone = told
        .iter()
        .filter(|(what, _)| *what == Happening::MembersRemoved);
    assert!(gone.count() >= 59, "{told:?}");
}

/// Creations and renames that would have each other's names end with one owner for each name.
async fn names_that_cross_come_to_an_end(test: &TestStore) {
    let ids = ids(4);
    let there: Vec<Resource> = (0..2)
        .map(|number| named(USER, &format!("old{number}"), ids[number]))
        .collect();
    let olds = there.clone();
    write!(test, |tx| {
        for one in &olds {
            resources::create(tx, HERE, one).await?;
        }
        Ok::<_, StoreError>(())
    })
    .unwrap();
    let rename = |at: usize, name: &'static str| {
        let id = there[at].id;
        write_resource!(test, About::Change(USER, id), |tx| {
            let found = resources::find_to_change(tx, HERE, USER, id).await?;
            let before = found.unwrap();
            let after = Resource {
                name_key: name.to_owned(),
                doc: format!("{{\"userName\":\"{name}\"}}"),
                ..before.clone()
            };
            resources::update(tx, HERE, &before, &after).await
        })
    };
    let create = |name: &str| created(test, resource(USER, name), false);
    let ((), one, other, x, y) = futures::join!(
        busy(test),
        rename(0, "y"),
        rename(1, "x"),
        create("x"),
        create("y"),
    );
    for name in ["x", "y"] {
        let by = By::Name(name.to_owned());
        let owners = write!(test, |tx| resources::find_by(tx, HERE, USER, &by, 5).await);
        assert_eq!(owners.unwrap().len(), 1, "{name}");
    }
    let results = [one, other, x, y];
    let taken = |result: &&Result<(), StoreError>| matches!(result, Err(StoreError::Duplicate(_)));
    assert_eq!(results.iter().filter(taken).count(), 2, "{results:?}");
    assert_eq!(
        results.iter().filter(|it| it.is_ok()).count(),
        2,
        "{results:?}"
    );
}

async fn a_part_that_fails_takes_its_events_with_it(test: &TestStore) {
    let names = ["before", "inside", "after"];
    let all = names.map(|name| resource(USER, name));
    let ids = all.clone().map(|it| it.id);
    write!(test, |tx| {
        let [before, inside, after] = all;
        resources::create(tx, HERE, &before).await?;
        let failed = tx.part::<(), StoreError, _>(move |tx| {
            Box::pin(async move {
                resources::create(tx, HERE, &inside).await?;
                Err(StoreError::Restarted)
            })
        });
        assert!(failed.await.is_err());
        resources::create(tx, HERE, &after).await
    })
    .unwrap();
    let created = |id| (Happening::Created, id);
    assert_eq!(events(test).await, [created(ids[0]), created(ids[2])]);
}

/// Who shared the transaction is not told what rests on something that was undone.
async fn a_lost_connection_costs_only_who_lost_it(test: &TestStore) {
    if !test.store.is_postgres() {
        return;
    }
    let new = resource(USER, "a");
    let twin = resource(USER, "a");
    let ((), one, other) = futures::join!(
        busy(test),
        created(test, new, true),
        created(test, twin, false)
    );
    assert!(
        matches!(one, Err(StoreError::Unavailable(_) | StoreError::Sql(_))),
        "{one:?}"
    );
    // The other one is run alone after what broke is undone, and has the name.
    other.unwrap();
    let by = By::Name("a".to_owned());
    let owners = write!(test, |tx| resources::find_by(tx, HERE, USER, &by, 5).await);
    assert_eq!(owners.unwrap().len(), 1);
}
