//! Received resources, their members and totals.

use muster_model::directory::Kind;
use muster_model::integration::Integration;
use muster_model::{IntegrationId, ResourceId};
use muster_store::resources::{self, Member, Place, Resource};
use muster_store::{StoreError, integrations};
use muster_testkit::TestStore;

use crate::{NOW, TENANT, on_both};

on_both!(
    a_name_is_taken_once_ignoring_case_and_freed_by_deletion,
    totals_follow_creations_and_deletions,
    members_are_rows_and_go_with_their_user,
    integrations_are_numbered_and_kept_apart,
);

macro_rules! write {
    ($test:expr, |$tx:ident| $body:expr) => {
        $test
            .store
            .write::<_, StoreError, _>(move |$tx| Box::pin(async move { $body }))
            .await
    };
}

const HERE: Place = Place {
    tenant: TENANT,
    integration: 1,
};

fn resource(kind: Kind, name: &str) -> Resource {
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
    let (first, twin) = (resource(Kind::User, "Ana"), resource(Kind::User, "ANA"));
    let (id, kept, again) = (first.id, first.clone(), twin.clone());
    write!(test, |tx| resources::create(tx, HERE, &kept).await).unwrap();
    let refused = write!(test, |tx| resources::create(tx, HERE, &twin).await);
    assert!(
        matches!(refused, Err(StoreError::Duplicate(_))),
        "{refused:?}"
    );
    let found = write!(test, |tx| resources::find_by_name(
        tx,
        HERE,
        Kind::User,
        "aNa"
    )
    .await);
    assert_eq!(found.unwrap(), Some(first));
    write!(test, |tx| resources::delete(tx, HERE, Kind::User, id, NOW)
        .await)
    .unwrap();
    write!(test, |tx| resources::create(tx, HERE, &again).await).unwrap();
}

async fn totals_follow_creations_and_deletions(test: &TestStore) {
    let total = write!(test, |tx| {
        let first = resource(Kind::User, "a");
        resources::create(tx, HERE, &first).await?;
        resources::create(tx, HERE, &resource(Kind::User, "b")).await?;
        resources::create(tx, HERE, &resource(Kind::Group, "g")).await?;
        assert!(resources::delete(tx, HERE, Kind::User, first.id, NOW).await?);
        assert!(!resources::delete(tx, HERE, Kind::User, first.id, NOW).await?);
        Ok((
            resources::total(tx, HERE, Kind::User).await?,
            resources::total(tx, HERE, Kind::Group).await?,
        ))
    });
    assert_eq!(total.unwrap(), (1, 1));
}

async fn members_are_rows_and_go_with_their_user(test: &TestStore) {
    let (user, group) = (resource(Kind::User, "a"), resource(Kind::Group, "g"));
    write!(test, |tx| {
        resources::create(tx, HERE, &user).await?;
        resources::create(tx, HERE, &group).await?;
        let member = |value: String| Member {
            value,
            kind: Kind::User,
            display: None,
        };
        let members = vec![member(user.id.to_string()), member("unknown".to_owned())];
        assert_eq!(
            resources::add_members(tx, HERE, group.id, members.clone()).await?,
            2
        );
        assert_eq!(
            resources::add_members(tx, HERE, group.id, members).await?,
            0
        );
        let groups = resources::groups_of(tx, HERE, &user.id.to_string(), 10).await?;
        assert_eq!(groups, [(group.id, group.doc.clone())]);
        resources::delete(tx, HERE, Kind::User, user.id, NOW).await?;
        let left = resources::members(tx, HERE, group.id, None, 10).await?;
        assert_eq!(left, [member("unknown".to_owned())]);
        Ok(())
    })
    .unwrap();
}

async fn integrations_are_numbered_and_kept_apart(test: &TestStore) {
    let integration = |name: &str| Integration {
        id: IntegrationId::new(),
        name: name.to_owned(),
        created: NOW,
    };
    let (one, two) = (integration("One"), integration("Two"));
    let two_id = two.id;
    let numbers = write!(test, |tx| {
        Ok((
            integrations::create(tx, TENANT, &one).await?,
            integrations::create(tx, TENANT, &two).await?,
            integrations::number(tx, TENANT, two_id).await?,
        ))
    });
    assert_eq!(numbers.unwrap(), (1, 2, Some(2)));
    let there = write!(test, |tx| {
        resources::create(tx, HERE, &resource(Kind::User, "a")).await?;
        let other = Place {
            integration: 2,
            ..HERE
        };
        resources::find_by_name(tx, other, Kind::User, "a").await
    });
    assert_eq!(there.unwrap(), None);
}
