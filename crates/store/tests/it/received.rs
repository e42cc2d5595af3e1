//! Received resources, their members and totals.

use muster_model::integration::{Happening, Integration, ResourceKind, Settings};
use muster_model::{IntegrationId, Position, ResourceId};
use muster_store::received::{self, NewEvent};
use muster_store::resources::{self, By, Member, NewMember, Place, Resource};
use muster_store::{StoreError, Tx, integrations};
use muster_testkit::TestStore;

use crate::{NOW, TENANT, on_both};

on_both!(
    a_name_is_taken_once_ignoring_case_and_freed_by_deletion,
    totals_follow_creations_and_deletions,
    members_are_rows_and_go_with_their_user,
    a_member_is_a_group_when_there_is_such_a_group,
    users_are_found_with_their_groups,
    a_group_that_changes_again_and_again_has_its_last_version,
    what_is_undone_is_not_known_in_the_next_commit,
    integrations_are_numbered_and_kept_apart,
    settings_and_definitions_are_kept,
    the_feed_tells_everything_in_order,
    who_comes_to_a_group_in_one_commit_is_told_together,
    a_full_disk_leaves_nothing_behind,
);

pub(crate) const HERE: Place = Place {
    tenant: TENANT,
    integration: 1,
};

const THERE: Place = Place {
    tenant: TENANT,
    integration: 2,
};

pub(crate) fn resource(kind: ResourceKind, name: &str) -> Resource {
    Resource {
        id: ResourceId::new(),
        kind,
        name_key: resources::name_key(name),
        external_id: Some(format!("ext-{name}")),
        active: true,
        version: 1,
        created: NOW,
        modified: NOW,
        doc: format!("{{\"userName\":\"{name}\"}}"),
    }
}

async fn a_name_is_taken_once_ignoring_case_and_freed_by_deletion(test: &TestStore) {
    let (first, twin) = (
        resource(ResourceKind::USER, "Ana"),
        resource(ResourceKind::USER, "ANA"),
    );
    let (kept, again, gone) = (first.clone(), twin.clone(), first.clone());
    write!(test, |tx| resources::create(tx, HERE, &kept).await).unwrap();
    let refused = write!(test, |tx| resources::create(tx, HERE, &twin).await);
    assert!(
        matches!(refused, Err(StoreError::Duplicate(_))),
        "{refused:?}"
    );
    let by = By::Name(resources::name_key("aNa"));
    let found = write!(test, |tx| resources::find_by(
        tx,
        HERE,
        ResourceKind::USER,
        &by,
        2
    )
    .await);
    assert_eq!(found.unwrap(), [first]);
    write!(test, |tx| resources::delete(tx, HERE, &gone, NOW).await).unwrap();
    write!(test, |tx| resources::create(tx, HERE, &again).await).unwrap();
}

async fn totals_follow_creations_and_deletions(test: &TestStore) {
    let total = write!(test, |tx| {
        let first = resource(ResourceKind::USER, "a");
        resources::create(tx, HERE, &first).await?;
        resources::create(tx, HERE, &resource(ResourceKind::USER, "b")).await?;
        resources::create(tx, HERE, &resource(ResourceKind::GROUP, "g")).await?;
        assert!(resources::delete(tx, HERE, &first, NOW).await?);
        assert!(!resources::delete(tx, HERE, &first, NOW).await?);
        Ok((
            resources::total(tx, HERE, ResourceKind::USER).await?,
            resources::total(tx, HERE, ResourceKind::GROUP).await?,
        ))
    });
    assert_eq!(total.unwrap(), (1, 1));
}

async fn members_are_rows_and_go_with_their_user(test: &TestStore) {
    let (user, group) = (
        resource(ResourceKind::USER, "a"),
        resource(ResourceKind::GROUP, "g"),
    );
    write!(test, |tx| {
        resources::create(tx, HERE, &user).await?;
        resources::create(tx, HERE, &group).await?;
        let members = vec![member(user.id.to_string()), member("unknown".to_owned())];
        assert_eq!(
            resources::add_members(tx, HERE, group.id, members.clone()).await?,
            [user.id.to_string(), "unknown".to_owned()]
        );
        let again = resources::add_members(tx, HERE, group.id, members).await?;
        assert!(again.is_empty());
        let groups = resources::groups_of(tx, HERE, &user.id.to_string(), 10).await?;
        assert_eq!(groups, [(group.id, group.doc.clone())]);
        resources::delete(tx, HERE, &user, NOW).await?;
        let left = resources::members(tx, HERE, group.id, None, 10).await?;
        let unknown = Member {
            value: "unknown".to_owned(),
            kind: ResourceKind::USER,
            display: None,
        };
        assert_eq!(left, [unknown]);
        Ok(())
    })
    .unwrap();
}

pub(crate) fn member(value: String) -> NewMember {
    NewMember {
        value,
        kind: None,
        display: None,
    }
}

/// Who does not say what it is, is a group when there is such a group.
async fn a_member_is_a_group_when_there_is_such_a_group(test: &TestStore) {
    let named = |name| resource(ResourceKind::GROUP, name);
    let (group, inner) = (named("g"), named("inner"));
    let user = resource(ResourceKind::USER, "a");
    let (of, ids) = (group.id, [user.id, inner.id]);
    let members = write!(test, |tx| {
        for one in [&group, &inner, &user] {
            resources::create(tx, HERE, one).await?;
        }
        let said = NewMember {
            kind: Some(ResourceKind::GROUP),
            ..member("said".to_owned())
        };
        let told = ids.map(|id| member(id.to_string()));
        let all = told.into_iter().chain([said, member("x".to_owned())]);
        resources::add_members(tx, HERE, of, all.collect()).await?;
        resources::members(tx, HERE, of, None, 10).await
    })
    .unwrap();
    let kind = |value: &str| members.iter().find(|it| it.value == value).unwrap().kind;
    assert_eq!(kind(&ids[0].to_string()), ResourceKind::USER);
    assert_eq!(kind(&ids[1].to_string()), ResourceKind::GROUP);
    assert_eq!(kind("said"), ResourceKind::GROUP);
    assert_eq!(kind("x"), ResourceKind::USER);
}

/// Each user is found by what it is looked up by, with its own groups and with no more than were asked for.
async fn users_are_found_with_their_groups(test: &TestStore) {
    let users = ["a", "b"].map(|name| Resource {
        external_id: Some("shared".to_owned()),
        ..resource(ResourceKind::USER, name)
    });
    let mut groups = ["g", "h", "i"].map(|name| resource(ResourceKind::GROUP, name));
    groups.sort_by_key(|group| *group.id.as_bytes());
    let doc = |at: usize| (groups[at].id, groups[at].doc.clone());
    let expected = [vec![doc(0), doc(1), doc(2)], vec![doc(1)]];
    let (all, ids) = (groups.clone(), users.clone().map(|user| user.id));
    let these = users.clone();
    write!(test, |tx| {
        for one in these.iter().chain(&all) {
            resources::create(tx, HERE, one).await?;
        }
        for group in &all {
            resources::add_members(tx, HERE, group.id, vec![member(ids[0].to_string())]).await?;
        }
        resources::add_members(tx, HERE, all[1].id, vec![member(ids[1].to_string())]).await?;
        Ok::<_, StoreError>(())
    })
    .unwrap();
    let mut found = Vec::new();
    for (by, most) in [
        (By::Id(ids[0]), 10),
        (By::Name("b".to_owned()), 10),
        (By::ExternalId("shared".to_owned()), 10),
        (By::Id(ids[0]), 2),
        (By::Id(groups[0].id), 10),
    ] {
        found.push(test.store.find_users(HERE, &by, 5, most).await.unwrap());
    }
    let one = |at: usize| (users[at].clone(), expected[at].clone());
    assert_eq!(found[0], [one(0)]);
    assert_eq!(found[1], [one(1)]);
    let mut both = found[2].clone();
    both.sort_by_key(|(user, _)| user.name_key.clone());
    assert_eq!(both, [one(0), one(1)]);
    assert_eq!(found[3], [(users[0].clone(), expected[0][..2].to_vec())]);
    assert_eq!(found[4], []);
}

/// Of several changes of a group in one transaction the last version is written, whatever happens in between.
async fn a_group_that_changes_again_and_again_has_its_last_version(test: &TestStore) {
    let group = resource(ResourceKind::GROUP, "g");
    let user = resource(ResourceKind::USER, "a");
    let (id, member_id) = (group.id, user.id);
    async fn next(tx: &mut Tx<'_>, id: ResourceId) -> Result<i64, StoreError> {
        let found = resources::find_to_change(tx, HERE, ResourceKind::GROUP, id).await?;
        let before = found.unwrap();
        let mut after = before.clone();
        after.version += 1;
        resources::update(tx, HERE, &before, &after).await?;
        Ok(after.version)
    }
    async fn read(tx: &mut Tx<'_>, id: ResourceId) -> Result<i64, StoreError> {
        let found = resources::find(tx, HERE, ResourceKind::GROUP, id).await?;
        Ok(found.unwrap().version)
    }
    let versions = write!(test, |tx| {
        resources::create(tx, HERE, &group).await?;
        resources::create(tx, HERE, &user).await?;
        let mut seen = vec![next(tx, id).await?];
        resources::add_members(tx, HERE, id, vec![member(member_id.to_string())]).await?;
        seen.push(next(tx, id).await?);
        seen.push(read(tx, id).await?);
        seen.push(next(tx, id).await?);
        let failed = tx.part::<(), StoreError, _>(move |tx| {
            Box::pin(async move {
                next(tx, id).await?;
                next(tx, id).await?;
                Err(StoreError::Full)
            })
        });
        assert!(failed.await.is_err());
        seen.push(next(tx, id).await?);
        // The deletion of its member gives it one more.
        resources::delete(tx, HERE, &user, NOW).await?;
        seen.push(next(tx, id).await?);
        Ok::<_, StoreError>(seen)
    })
    .unwrap();
    assert_eq!(versions, [2, 3, 3, 4, 5, 7]);
    let kept = write!(test, |tx| read(tx, id).await).unwrap();
    assert_eq!(kept, 7);
}

/// The writer of SQLite goes on with what it knows of a group, and of the feed, in the next commit.
async fn what_is_undone_is_not_known_in_the_next_commit(test: &TestStore) {
    /// A change of a member and nothing else, as a request makes it.
    async fn next(tx: &mut Tx<'_>, id: ResourceId, doc: Option<&str>) -> Result<i64, StoreError> {
        let found = resources::find_to_change(tx, HERE, ResourceKind::GROUP, id).await?;
        let before = found.unwrap();
        let mut after = before.clone();
        after.version += 1;
        if let Some(doc) = doc {
            after.doc = doc.to_owned();
        }
        let event = NewEvent {
            what: Happening::Updated,
            kind: after.kind,
            resource: id,
            version: after.version,
            at: NOW,
        };
        received::append(tx, HERE, event, Vec::new());
        resources::update(tx, HERE, &before, &after).await?;
        Ok(after.version)
    }
    let (group, user) = (
        resource(ResourceKind::GROUP, "g"),
        resource(ResourceKind::USER, "a"),
    );
    let (id, gone) = (group.id, group.clone());
    write!(test, |tx| {
        resources::create(tx, HERE, &user).await?;
        resources::create(tx, HERE, &group).await?;
        let member = member(user.id.to_string());
        resources::add_members(tx, HERE, group.id, vec![member]).await?;
        resources::delete(tx, HERE, &user, NOW).await
    })
    .unwrap();
    let change = async || write!(test, |tx| next(tx, id, None).await).unwrap();
    assert_eq!((change().await, change().await), (3, 4));
    // Undone with its savepoint, and with everything that is committed together with it.
    let refused = write!(test, |tx| {
        next(tx, id, None).await?;
        tx.part::<_, StoreError, _>(|tx| Box::pin(next(tx, id, None)))
            .await?;
        Err::<(), _>(StoreError::Restarted)
    });
    assert!(refused.is_err());
    assert_eq!(change().await, 5);
    let broken = test.store.write_at_once::<(), StoreError, _>(move |tx| {
        Box::pin(async move {
            next(tx, id, None).await?;
            next(tx, id, Some("{}")).await?;
            Err::<(), _>(StoreError::Restarted)
        })
    });
    assert!(broken.await.is_err());
    assert_eq!(change().await, 6);
    let renamed = write!(test, |tx| next(tx, id, Some("{\"displayName\":\"h\"}"))
        .await);
    assert_eq!((renamed.unwrap(), change().await), (7, 8));
    let found = write!(test, |tx| {
        resources::find_to_change(tx, HERE, ResourceKind::GROUP, id).await
    });
    let found = found.unwrap().unwrap();
    assert_eq!(
        (found.version, found.doc.as_str()),
        (8, "{\"displayName\":\"h\"}")
    );
    write!(test, |tx| resources::delete(tx, HERE, &gone, NOW).await).unwrap();
    let found = write!(test, |tx| {
        resources::find_to_change(tx, HERE, ResourceKind::GROUP, id).await
    });
    assert_eq!(found.unwrap(), None);
    let told = write!(test, |tx| {
        received::read_all(tx, HERE, Position::START, 100).await
    });
    let told = told.unwrap();
    let updated = told.iter().filter(|it| it.what == Happening::Updated);
    let versions: Vec<_> = updated.map(|it| it.version).collect();
    assert_eq!(versions, [3, 4, 5, 6, 7, 8]);
    assert!(told.is_sorted_by(|one, next| one.position < next.position));
}

async fn integrations_are_numbered_and_kept_apart(test: &TestStore) {
    let integration = |name: &str| Integration {
        id: IntegrationId::new(),
        name: name.to_owned(),
        created: NOW,
        settings: Settings::default(),
    };
    let (one, two) = (integration("One"), integration("Two"));
    let two_id = two.id;
    let numbers = write!(test, |tx| {
        Ok((
            integrations::create(tx, TENANT, &one).await?,
            integrations::create(tx, TENANT, &two).await?,
            integrations::basics(tx, TENANT, two_id)
                .await?
                .map(|basics| basics.number),
        ))
    });
    assert_eq!(numbers.unwrap(), (1, 2, Some(2)));
    let there = write!(test, |tx| {
        resources::create(tx, HERE, &resource(ResourceKind::USER, "a")).await?;
        let other = Place {
            integration: 2,
            ..HERE
        };
        let by = By::Name(resources::name_key("a"));
        resources::find_by(tx, other, ResourceKind::USER, &by, 2).await
    });
    assert_eq!(there.unwrap(), []);
}

async fn settings_and_definitions_are_kept(test: &TestStore) {
    let integration = Integration {
        id: IntegrationId::new(),
        name: "One".to_owned(),
        created: NOW,
        settings: Settings::default(),
    };
    let id = integration.id;
    let wanted = Settings {
        strict: true,
        requests_per_second: Some(25),
        max_resources: Some(1_000_000),
        max_body: Some(65_536),
        allowed_networks: vec!["10.0.0.0/8".to_owned(), "::1/128".to_owned()],
    };
    let expected = wanted.clone();
    let basics = write!(test, |tx| {
        integrations::create(tx, TENANT, &integration).await?;
        integrations::set_settings(tx, TENANT, id, &wanted).await?;
        integrations::set_definitions(tx, TENANT, id, Some("{}".to_owned())).await?;
        integrations::basics(tx, TENANT, id).await
    });
    let basics = basics.unwrap().unwrap();
    assert_eq!(basics.settings, expected);
    assert_eq!(basics.definitions.as_deref(), Some("{}"));
}

async fn the_feed_tells_everything_in_order(test: &TestStore) {
    let (user, group) = (
        resource(ResourceKind::USER, "a"),
        resource(ResourceKind::GROUP, "g"),
    );
    let (user_id, group_id) = (user.id, group.id);
    let joined: Vec<String> = (0..2500).map(|number| format!("m{number:04}")).collect();
    let event = |what, resource: &Resource| NewEvent {
        what,
        kind: resource.kind,
        resource: resource.id,
        version: 2,
        at: NOW,
    };
    let (added, changed) = (
        event(Happening::MembersAdded, &group),
        event(Happening::Updated, &user),
    );
    let members = joined.clone();
    write!(test, |tx| {
        resources::create(tx, HERE, &user).await?;
        resources::create(tx, HERE, &group).await?;
        let member = member(user.id.to_string());
        resources::add_members(tx, HERE, group.id, vec![member]).await?;
        received::append(tx, HERE, added, members);
        received::append(tx, HERE, changed, vec!["title".to_owned()]);
        resources::delete(tx, HERE, &user, NOW).await
    })
    .unwrap();
    let mut after = Position::START;
    let mut events = Vec::new();
    loop {
        let page = write!(test, |tx| received::read(tx, HERE, after, 3).await).unwrap();
        let Some(last) = page.last() else {
            break;
        };
        after = last.position;
        events.extend(page);
    }
    let told: Vec<_> = events
        .iter()
        .map(|event| (event.what, event.resource, event.details.len()))
        .collect();
    assert_eq!(
        told,
        [
            (Happening::Created, user_id, 0),
            (Happening::Created, group_id, 0),
            (Happening::MembersAdded, group_id, 1000),
            (Happening::MembersAdded, group_id, 1000),
            (Happening::MembersAdded, group_id, 500),
            (Happening::Updated, user_id, 1),
            (Happening::MembersRemoved, group_id, 1),
            (Happening::Deleted, user_id, 0),
        ]
    );
    let all: Vec<String> = events[2..5]
        .iter()
        .flat_map(|it| it.details.clone())
        .collect();
    assert_eq!(all, joined);
    let end = write!(test, |tx| received::end(tx, HERE).await).unwrap();
    assert_eq!(end, after);
}

async fn who_comes_to_a_group_in_one_commit_is_told_together(test: &TestStore) {
    let (one, other) = (
        resource(ResourceKind::GROUP, "one"),
        resource(ResourceKind::GROUP, "other"),
    );
    let (one, other) = (one.id, other.id);
    let event = |what, resource, version| NewEvent {
        what,
        kind: ResourceKind::GROUP,
        resource,
        version,
        at: NOW,
    };
    let names = |names: &str| names.chars().map(String::from).collect::<Vec<_>>();
    let many = |count: usize| (0..count).map(|number| number.to_string()).collect();
    write!(test, |tx| {
        use Happening::{MembersAdded as Added, MembersRemoved as Removed, Updated};
        let mut tell = |what, group, version, who| {
            received::append(tx, HERE, event(what, group, version), names(who));
        };
        tell(Added, one, 2, "a");
        tell(Added, one, 3, "b");
        tell(Removed, one, 4, "a");
        tell(Removed, one, 5, "b");
        tell(Added, one, 6, "a");
        tell(Added, other, 2, "a");
        tell(Added, one, 7, "b");
        tell(Updated, one, 8, "x");
        tell(Updated, one, 9, "y");
        tell(Added, one, 10, "c");
        let undone = tx.part(|tx| {
            Box::pin(async move {
                received::append(tx, HERE, event(Added, one, 11), names("d"));
                Err::<(), _>(StoreError::Restarted)
            })
        });
        assert!(undone.await.is_err());
        received::append(tx, HERE, event(Added, one, 11), many(999));
        received::append(tx, HERE, event(Added, one, 12), many(2));
        received::append(tx, HERE, event(Added, one, 13), many(998));
        // The same in another place.
        received::append(tx, THERE, event(Added, one, 14), names("e"));
        received::append(tx, THERE, event(Added, one, 15), names("f"));
        received::append(tx, HERE, event(Added, one, 14), names("g"));
        Ok(())
    })
    .unwrap();
    let told = write!(test, |tx| {
        received::read_all(tx, HERE, Position::START, 100).await
    });
    let told: Vec<_> = told.unwrap();
    let few = told.iter().map(|it| {
        let who = it.details.iter().take(4).map(String::as_str);
        (it.resource, it.version, who.collect::<String>())
    });
    let few: Vec<_> = few.collect();
    let expected = [
        (one, 3, "ab"),
        (one, 5, "ab"),
        (one, 6, "a"),
        (other, 2, "a"),
        (one, 7, "b"),
        (one, 8, "x"),
        (one, 9, "y"),
        (one, 10, "c"),
        (one, 11, "0123"),
        (one, 13, "0101"),
        (one, 14, "g"),
    ];
    assert_eq!(
        few,
        expected.map(|(group, version, who)| (group, version, who.to_owned()))
    );
    let sizes: Vec<_> = told.iter().map(|it| it.details.len()).collect();
    assert_eq!(sizes, [2, 2, 1, 1, 1, 1, 1, 1, 999, 1000, 1]);
    let there = write!(test, |tx| {
        received::read_all(tx, THERE, Position::START, 100).await
    });
    let there = there.unwrap();
    assert_eq!(there.len(), 1);
    assert_eq!((there[0].version, &there[0].details), (15, &names("ef")));
}

/// Until there is room again nothing is committed, and then what comes follows what was there before.
async fn a_full_disk_leaves_nothing_behind(test: &TestStore) {
    async fn joins(tx: &mut Tx<'_>, id: ResourceId, who: String) -> Result<(), StoreError> {
        let found = resources::find_to_change(tx, HERE, ResourceKind::GROUP, id).await?;
        let mut group = found.unwrap();
        group.version += 1;
        resources::add_members(tx, HERE, id, vec![member(who.clone())]).await?;
        let event = NewEvent {
            what: Happening::MembersAdded,
            kind: group.kind,
            resource: id,
            version: group.version,
            at: NOW,
        };
        received::append(tx, HERE, event, vec![who]);
        resources::update_version(tx, HERE, &group).await
    }
    async fn pages(test: &TestStore, sql: &'static str) -> i64 {
        let found = write!(test, |tx| tx.one::<(i64,)>(sql, &[]).await);
        found.unwrap().unwrap().0
    }
    if test.store.is_postgres() {
        return;
    }
    let group = resource(ResourceKind::GROUP, "g");
    let id = group.id;
    write!(test, |tx| resources::create(tx, HERE, &group).await).unwrap();
    // However many pages are left, something else is what finds no room.
    let (mut came, mut refused) = (0, 0);
    for spare in 0..6 {
        let most = pages(test, "PRAGMA page_count").await + spare;
        pages(test, format!("PRAGMA max_page_count = {most}").leak()).await;
        let mut full = 0;
        while full < 6 {
            let who = format!("{:04}-{}", came + refused, "x".repeat(300));
            // Every other time what was kept back is written by a part, which fails.
            let done = write!(test, |tx| {
                joins(tx, id, who).await?;
                if full % 2 == 1 {
                    tx.part::<(), StoreError, _>(|_| Box::pin(async { Ok(()) }))
                        .await?;
                }
                Ok(())
            });
            match done {
                Ok(()) => came += 1,
                Err(StoreError::Full) => full += 1,
                Err(other) => panic!("{other}"),
            }
            assert!(came < 500, "{full} were refused");
        }
        refused += full;
        pages(test, "PRAGMA max_page_count = 100000").await;
        for number in 0..3 {
            write!(test, |tx| joins(tx, id, format!("{spare}-{number}")).await).unwrap();
            came += 1;
        }
    }
    let found = write!(test, |tx| {
        resources::find(tx, HERE, ResourceKind::GROUP, id).await
    });
    assert_eq!(found.unwrap().unwrap().version, 1 + came);
    let told = write!(test, |tx| {
        received::read_all(tx, HERE, Position::START, 1000).await
    });
    let told = told.unwrap();
    let versions: Vec<_> = told.iter().map(|event| event.version).collect();
    assert_eq!(versions, (1..=1 + came).collect::<Vec<_>>());
    let numbers = told.iter().map(|event| event.position.number);
    assert_eq!(numbers.collect::<Vec<_>>(), versions);
}
