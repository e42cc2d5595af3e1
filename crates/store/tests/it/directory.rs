//! The directory: users, groups, memberships, assignments, and the feed of their changes.

use muster_model::application::{Application, Assignment};
use muster_model::directory::{Group, Kind, Membership, User};
use muster_model::{
    ApplicationId, AssignmentId, Attributes, GroupId, JobId, ObjectId, Position, RoleId, TenantId,
    UserId,
};
use muster_store::feed::{self, Change, Entry};
use muster_store::{StoreError, Tx, applications, assignments, groups, memberships, users};
use muster_testkit::TestStore;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::{NOW, TENANT, on_both};

on_both!(
    a_user_is_found_by_id_and_by_name_ignoring_case,
    those_of_many_ids_are_known_that_are_there,
    two_living_users_never_share_a_name,
    pages_follow_the_ids_and_end,
    grants_come_directly_and_through_security_groups,
    grants_reach_nested_groups_when_the_assignment_says_so,
    a_purge_takes_memberships_and_assignments_along,
    the_feed_is_ordered_and_a_reader_misses_nothing,
);

fn user(name: &str) -> User {
    let mut attributes = Attributes::new();
    attributes.set("displayName", format!("{name} Ünïcode"));
    User {
        id: UserId::new(),
        user_principal_name: format!("{name}@Example.test"),
        account_enabled: true,
        manager: None,
        attributes,
        deleted: None,
    }
}

fn group(name: &str, security_enabled: bool) -> Group {
    Group {
        id: GroupId::new(),
        display_name: name.to_owned(),
        security_enabled,
        attributes: Attributes::new(),
        deleted: None,
    }
}

async fn put_user(tx: &mut Tx<'_>, user: &User) -> Result<(), StoreError> {
    users::put(tx, TENANT, user, NOW).await
}

async fn a_user_is_found_by_id_and_by_name_ignoring_case(test: &TestStore) {
    let ana = user("ana");
    let wanted = ana.clone();
    let (by_id, by_name) = write!(test, |tx| {
        put_user(tx, &ana).await?;
        Ok((
            users::find(tx, TENANT, ana.id).await?,
            users::find_by_name(tx, TENANT, "ANA@example.TEST").await?,
        ))
    })
    .unwrap();
    assert_eq!(
        (by_id.as_ref(), by_name.as_ref()),
        (Some(&wanted), Some(&wanted))
    );
}

async fn those_of_many_ids_are_known_that_are_there(test: &TestStore) {
    let stranger = user("stranger");
    let of_another = stranger.id;
    write!(test, |tx| users::put(
        tx,
        TenantId(TENANT.0 + 1),
        &stranger,
        NOW
    )
    .await)
    .unwrap();
    // A list of ids has 1, 8 or 64 places.
    for count in [0, 1, 2, 8, 9, 64, 65, 130] {
        let people: Vec<User> = (0..count).map(|n| user(&format!("{count}-{n}"))).collect();
        let teams: Vec<Group> = (0..count).map(|_| group("team", true)).collect();
        let mut of_users: Vec<UserId> = people.iter().map(|it| it.id).collect();
        let mut of_groups: Vec<GroupId> = teams.iter().map(|it| it.id).collect();
        let (mut asked, mut asked_groups) = (of_users.clone(), of_groups.clone());
        asked.extend([of_another, UserId::new()]);
        asked_groups.extend(people.iter().map(|it| ObjectId::from(it.id).group()));
        let (mut known, mut known_groups) = write!(test, |tx| {
            for mut person in people {
                // Who was deleted can be restored, and is there until then.
                person.deleted = person.user_principal_name.contains("-7@").then_some(NOW);
                put_user(tx, &person).await?;
            }
            for team in &teams {
                groups::put(tx, TENANT, team, NOW).await?;
            }
            Ok((
                users::known(tx, TENANT, &asked).await?,
                groups::known(tx, TENANT, &asked_groups).await?,
            ))
        })
        .unwrap();
        known.sort_unstable();
        known_groups.sort_unstable();
        of_users.sort_unstable();
        of_groups.sort_unstable();
        assert_eq!((known, known_groups), (of_users, of_groups), "{count}");
    }
}

async fn two_living_users_never_share_a_name(test: &TestStore) {
    let (mut first, second) = (user("bo"), user("BO"));
    let (kept, twin) = (first.clone(), second.clone());
    write!(test, |tx| put_user(tx, &kept).await).unwrap();
    let refused = write!(test, |tx| put_user(tx, &twin).await);
    assert!(
        matches!(refused, Err(StoreError::Duplicate(_))),
        "{refused:?}"
    );
    first.deleted = Some(NOW);
    write!(test, |tx| put_user(tx, &first).await).unwrap();
    write!(test, |tx| put_user(tx, &second).await).unwrap();
}

async fn pages_follow_the_ids_and_end(test: &TestStore) {
    let seen = write!(test, |tx| {
        for number in 0..25 {
            put_user(tx, &user(&format!("u{number}"))).await?;
        }
        let (mut after, mut seen) = (None, Vec::new());
        loop {
            let page = users::page(tx, TENANT, after, 10).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            seen.extend(page.iter().map(|user| user.id));
        }
        Ok(seen)
    })
    .unwrap();
    assert_eq!(seen.len(), 25);
    assert!(seen.is_sorted());
}

async fn grants_come_directly_and_through_security_groups(test: &TestStore) {
    let (ana, bo, carl) = (user("ana"), user("bo"), user("carl"));
    let (open, closed) = (group("security", true), group("mail only", false));
    let application = Application {
        id: ApplicationId::new(),
        display_name: "App".to_owned(),
        template: None,
        job: JobId::new(),
        created: NOW,
    };
    let role = RoleId::new();
    let assign = move |principal, kind| Assignment {
        id: AssignmentId::new(),
        application: application.id,
        principal,
        kind,
        role,
        transitive: false,
        created: NOW,
    };
    let app = application.clone();
    let ids = [ana.id.into(), bo.id.into(), carl.id.into()];
    let (open_id, closed_id) = (open.id, closed.id);
    let grants = write!(test, |tx| {
        applications::create(tx, TENANT, &app).await?;
        for user in [&ana, &bo, &carl] {
            put_user(tx, user).await?;
        }
        for group in [&open, &closed] {
            groups::put(tx, TENANT, group, NOW).await?;
        }
        for (group, member) in [(open_id, &bo), (closed_id, &carl)] {
            let member = member.id.into();
            let membership = Membership {
                group,
                member,
                kind: Kind::User,
            };
            memberships::add(tx, TENANT, membership, NOW).await?;
        }
        assignments::create(tx, TENANT, &assign(ana.id.into(), Kind::User)).await?;
        assignments::create(tx, TENANT, &assign(open_id.into(), Kind::Group)).await?;
        assignments::create(tx, TENANT, &assign(closed_id.into(), Kind::Group)).await?;
        assignments::grants(tx, TENANT, app.id, &ids).await
    })
    .unwrap();
    // OM-2, OM-3: carl's group is not security-enabled.
    let seen: Vec<_> = grants
        .iter()
        .map(|grant| (grant.object, grant.role, grant.via))
        .collect();
    assert_eq!(seen, [(ids[0], role, None), (ids[1], role, Some(open_id))]);
}

/// OM-2, and the choice beyond it: groups that contain each other come to an end, and what is between must not
/// be deleted.
async fn grants_reach_nested_groups_when_the_assignment_says_so(test: &TestStore) {
    let (top, middle, low) = (
        group("top", true),
        group("middle", false),
        group("low", false),
    );
    let people: Vec<User> = ["t", "m", "l"].into_iter().map(user).collect();
    let ids: Vec<ObjectId> = people.iter().map(|it| it.id.into()).collect();
    let application = Application {
        id: ApplicationId::new(),
        display_name: "App".to_owned(),
        template: None,
        job: JobId::new(),
        created: NOW,
    };
    let (app, assigned) = (application.id, top.id);
    let assignment = move |transitive| Assignment {
        id: AssignmentId::new(),
        application: app,
        principal: assigned.into(),
        kind: Kind::Group,
        role: RoleId::DEFAULT_ACCESS,
        transitive,
        created: NOW,
    };
    let groups = [top, middle.clone(), low];
    let kept = groups.clone();
    write!(test, |tx| {
        applications::create(tx, TENANT, &application).await?;
        for (group, person) in groups.iter().zip(&people) {
            put_user(tx, person).await?;
            groups::put(tx, TENANT, group, NOW).await?;
            let (group, member, kind) = (group.id, person.id.into(), Kind::User);
            let membership = Membership {
                group,
                member,
                kind,
            };
            memberships::add(tx, TENANT, membership, NOW).await?;
        }
        // The top holds the middle, the middle the low, and the low the top.
        for at in 0..3 {
            let (group, member) = (groups[at].id, groups[(at + 1) % 3].id.into());
            let kind = Kind::Group;
            let membership = Membership {
                group,
                member,
                kind,
            };
            memberships::add(tx, TENANT, membership, NOW).await?;
        }
        Ok(())
    })
    .unwrap();
    let granted = |ids: Vec<ObjectId>| {
        test.store.read::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                let grants = assignments::grants(tx, TENANT, app, &ids).await?;
                assert!(grants.iter().all(|grant| grant.via == Some(assigned)));
                let mut granted: Vec<ObjectId> = grants.iter().map(|it| it.object).collect();
                granted.sort_unstable();
                Ok(granted)
            })
        })
    };
    let sorted = |some: &[ObjectId]| {
        let mut some = some.to_vec();
        some.sort_unstable();
        some
    };
    let assign = async |transitive| {
        write!(test, |tx| {
            assignments::create(tx, TENANT, &assignment(transitive)).await
        })
        .unwrap()
    };
    assert!(assign(false).await);
    assert_eq!(granted(ids.clone()).await.unwrap(), [ids[0]]);
    assert!(assign(true).await);
    assert!(!assign(true).await, "nothing has changed");
    assert_eq!(granted(ids.clone()).await.unwrap(), sorted(&ids));
    let mut gone = kept[1].clone();
    gone.deleted = Some(NOW);
    write!(test, |tx| groups::put(tx, TENANT, &gone, NOW).await).unwrap();
    // A nested group that is deleted hands on nothing.
    assert_eq!(granted(ids.clone()).await.unwrap(), [ids[0]]);
    assert!(assign(false).await);
    assert_eq!(granted(ids.clone()).await.unwrap(), [ids[0]]);
}

async fn a_purge_takes_memberships_and_assignments_along(test: &TestStore) {
    let (ana, team) = (user("ana"), group("team", true));
    let (ana_id, team_id) = (ana.id, team.id);
    let left = write!(test, |tx| {
        put_user(tx, &ana).await?;
        groups::put(tx, TENANT, &team, NOW).await?;
        let membership = Membership {
            group: team_id,
            member: ana_id.into(),
            kind: Kind::User,
        };
        memberships::add(tx, TENANT, membership, NOW).await?;
        assert!(!users::purge(tx, TENANT, ana_id, Some(NOW), NOW).await?);
        assert!(users::purge(tx, TENANT, ana_id, None, NOW).await?);
        assert!(!users::purge(tx, TENANT, ana_id, None, NOW).await?);
        memberships::count(tx, TENANT).await
    })
    .unwrap();
    assert_eq!(left, 0);
    // On a PostgreSQL that other tests use as well, the entries take a moment to be readable.
    for _ in 0..1000 {
        let changes: Vec<Change> = read_feed(test, Position::START).await.1;
        if !changes.is_empty() {
            assert_eq!(changes.last(), Some(&Change::UserPurged(ana_id.into())));
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the feed stays empty");
}

async fn read_feed(test: &TestStore, after: Position) -> (Position, Vec<Change>) {
    let entries: Vec<Entry> = test
        .store
        .read::<_, StoreError, _>(|tx| {
            Box::pin(async move { feed::read(tx, TENANT, after, 10_000).await })
        })
        .await
        .unwrap();
    let end = entries.last().map_or(after, |entry| entry.position);
    assert!(entries.is_sorted_by_key(|entry| entry.position));
    (end, entries.into_iter().map(|entry| entry.change).collect())
}

/// Writers race with a reader that goes on from where it stopped; in the end it has seen each
/// change exactly once.
async fn the_feed_is_ordered_and_a_reader_misses_nothing(test: &TestStore) {
    let writers = async {
        let all = (0..300).map(|number| {
            let user = user(&format!("u{number}"));
            test.store.write::<_, StoreError, _>(move |tx| {
                Box::pin(async move { put_user(tx, &user).await })
            })
        });
        futures::future::try_join_all(all).await.unwrap();
    };
    let reader = async {
        let (mut at, mut seen) = (Position::START, Vec::new());
        while seen.len() < 300 {
            let (end, changes) = read_feed(test, at).await;
            at = end;
            seen.extend(changes);
            tokio::task::yield_now().await;
        }
        seen
    };
    let (seen, ()) = tokio::join!(reader, writers);
    let distinct: std::collections::HashSet<Change> = seen.iter().copied().collect();
    assert_eq!((seen.len(), distinct.len()), (300, 300));
}

/// Somebody's long transaction in a database beside ours holds up nothing; one in ours does, until it has
/// ended (decision 3).
#[tokio::test]
async fn the_feed_on_postgres_waits_for_its_own_database_alone() {
    let test = muster_testkit::postgres_store().await;
    let other = test.beside().await;
    let first = UserId::new();
    let (elsewhere, left) = held_open(&other, UserId::new()).await;
    write!(test, |tx| append_user(tx, first).await).unwrap();
    let (at, seen) = read_feed(&test, Position::START).await;
    assert_eq!(seen, [Change::User(first.into())]);

    let (second, third) = (UserId::new(), UserId::new());
    let (here, done) = held_open(&test, second).await;
    write!(test, |tx| append_user(tx, third).await).unwrap();
    let (same, seen) = read_feed(&test, at).await;
    assert_eq!((same, seen), (at, vec![]), "the second may still commit");
    here.send(()).unwrap();
    done.await.unwrap();
    let (_, seen) = read_feed(&test, at).await;
    assert_eq!(
        seen,
        [Change::User(second.into()), Change::User(third.into())]
    );
    elsewhere.send(()).unwrap();
    left.await.unwrap();
}

async fn append_user(tx: &mut Tx<'_>, user: UserId) -> Result<(), StoreError> {
    feed::append(tx, TENANT, NOW, &[Change::User(user.into())]).await
}

/// Writes an entry in a transaction that stays open until it is told.
async fn held_open(test: &TestStore, user: UserId) -> (oneshot::Sender<()>, JoinHandle<()>) {
    let (go, wait) = oneshot::channel::<()>();
    let (say, written) = oneshot::channel();
    let store = test.store.clone();
    let running = tokio::spawn(async move {
        let done = store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                append_user(tx, user).await?;
                let _ = say.send(());
                let _ = wait.await;
                Ok(())
            })
        });
        done.await.unwrap();
    });
    written.await.unwrap();
    (go, running)
}
