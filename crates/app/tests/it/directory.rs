//! Users, groups and memberships, one at a time.

use muster_app::directory::{self, Counts, bin};
use muster_app::{AppError, Ctx};
use muster_model::directory::User;
use muster_model::{GroupId, ObjectId, UserId, Value};
use muster_store::feed::Change;
use muster_testkit::TestStore;

use crate::context::{Recorder, ctx, ctx_with};
use crate::{feed_of, on_both};

on_both!(
    a_user_is_found_by_id_or_name_and_otherwise_a_likely_name_is_told,
    a_group_is_found_by_id_or_by_a_unique_name,
    an_update_changes_what_it_names_and_writes_only_what_changed,
    a_wrong_property_is_refused_and_nothing_is_written,
    names_and_ids_are_given_once,
    a_deleted_user_can_be_restored_while_its_name_is_free,
    what_is_purged_is_gone,
    who_was_deleted_30_days_ago_is_gone_for_good,
    members_join_and_leave,
);

fn set<const N: usize>(pairs: [(&str, Value); N]) -> Vec<(String, Value)> {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

async fn create(ctx: &Ctx, name: &str) -> User {
    let set = set([("userPrincipalName", name.into())]);
    directory::create_user(ctx, set).await.unwrap()
}

async fn create_group(ctx: &Ctx, name: &str) -> GroupId {
    let set = set([("displayName", name.into())]);
    directory::create_group(ctx, set).await.unwrap().id
}

#[track_caller]
pub(crate) fn says<T: std::fmt::Debug>(result: Result<T, AppError>, want: &str) {
    let said = result.unwrap_err().to_string();
    assert!(said.contains(want), "{said}");
    assert!(!said.contains('\n'), "{said}");
}

async fn a_user_is_found_by_id_or_name_and_otherwise_a_likely_name_is_told(test: &TestStore) {
    let ctx = ctx(test);
    let ana = create(&ctx, "Ana@a.example").await;
    for text in [
        ana.id.to_string(),
        "ana@A.example".to_owned(),
        " ana@a.example ".to_owned(),
    ] {
        assert_eq!(
            directory::find_user(&ctx, &text).await.unwrap(),
            ana,
            "{text}"
        );
    }
    let missing = directory::find_user(&ctx, "anna@a.example").await;
    assert!(matches!(missing, Err(AppError::NotFound(_))));
    says(
        missing,
        "there is no user `anna@a.example`; did you mean `Ana@a.example`?",
    );
    says(
        directory::find_user(&ctx, "zoe").await,
        "name the user by id or userPrincipalName",
    );
    says(
        directory::find_user(&ctx, &UserId::new().to_string()).await,
        "there is no user",
    );
}

async fn a_group_is_found_by_id_or_by_a_unique_name(test: &TestStore) {
    let ctx = ctx(test);
    let sales = create_group(&ctx, "Sales").await;
    for text in [sales.to_string(), "sales".to_owned()] {
        assert_eq!(directory::find_group(&ctx, &text).await.unwrap().id, sales);
    }
    says(
        directory::find_group(&ctx, "Slaes team").await,
        "there is no group `Slaes team`",
    );
    says(
        directory::find_group(&ctx, "Sale").await,
        "did you mean `Sales`?",
    );
    let twin = create_group(&ctx, "SALES").await;
    let several = directory::find_group(&ctx, "Sales").await;
    let (first, second) = (sales.min(twin), sales.max(twin));
    says(
        several,
        &format!("2 groups are called `Sales`; name one by its id: {first}, {second}"),
    );
}

async fn an_update_changes_what_it_names_and_writes_only_what_changed(test: &TestStore) {
    let ctx = ctx(test);
    let boss = create(&ctx, "boss@a.example").await;
    let ana = create(&ctx, "ana@a.example").await;
    let all = || {
        set([
            ("userPrincipalName", "ana.new@a.example".into()),
            ("accountEnabled", false.into()),
            ("manager", "BOSS@a.example".into()),
            ("displayName", "Ana".into()),
            ("otherMails", vec![Value::from("a@b.example")].into()),
        ])
    };
    assert!(directory::update_user(&ctx, ana.id, all()).await.unwrap());
    let before = feed_of(test).await;
    assert!(!directory::update_user(&ctx, ana.id, all()).await.unwrap());
    assert_eq!(feed_of(test).await, before);
    let found = directory::find_user(&ctx, "ana.new@a.example")
        .await
        .unwrap();
    assert_eq!(
        (found.id, found.manager, found.account_enabled),
        (ana.id, Some(boss.id), false)
    );
    let clear = set([("manager", Value::Null), ("displayName", Value::Null)]);
    assert!(directory::update_user(&ctx, ana.id, clear).await.unwrap());
    let found = directory::find_user(&ctx, &ana.id.to_string())
        .await
        .unwrap();
    assert_eq!((found.manager, found.attributes.len()), (None, 1));

    let sales = create_group(&ctx, "Sales").await;
    assert!(
        directory::rename_group(&ctx, sales, "Support")
            .await
            .unwrap()
    );
    assert!(
        !directory::rename_group(&ctx, sales, "Support")
            .await
            .unwrap()
    );
    let closed = || {
        set([
            ("securityEnabled", false.into()),
            ("description", "x".into()),
        ])
    };
    assert!(
        directory::update_group(&ctx, sales, closed())
            .await
            .unwrap()
    );
    assert!(
        !directory::update_group(&ctx, sales, closed())
            .await
            .unwrap()
    );
    assert_eq!(feed_of(test).await[4..], [Change::Group(sales.into()); 3]);
}

async fn a_wrong_property_is_refused_and_nothing_is_written(test: &TestStore) {
    let ctx = ctx(test);
    let ana = create(&ctx, "ana@a.example").await.id;
    for (name, value, want) in [
        (
            "jobtitel",
            Value::from("x"),
            "jobtitel: is not a property of a user; did you mean `jobTitle`?",
        ),
        (
            "userPrincipalName",
            Value::Null,
            "userPrincipalName: is missing",
        ),
        (
            "accountEnabled",
            Value::Null,
            "accountEnabled: must be true or false",
        ),
        (
            "accountEnabled",
            "maybe".into(),
            "must be true or false, not `maybe`",
        ),
        (
            "employeeHireDate",
            "soon".into(),
            "`soon` is not a date and time",
        ),
        ("displayName", 7_i64.into(), "displayName: must be a text"),
        (
            "manager",
            "nobody@a.example".into(),
            "manager: there is no user `nobody@a.example`",
        ),
        ("manager", true.into(), "manager: must be an id"),
        (
            "id",
            UserId::new().to_string().into(),
            "the id of a user never changes",
        ),
    ] {
        let result = directory::update_user(&ctx, ana, set([(name, value)])).await;
        assert!(matches!(result, Err(AppError::Invalid(_))), "{result:?}");
        says(result, want);
    }
    let nobody = UserId::new();
    says(
        directory::update_user(&ctx, nobody, Vec::new()).await,
        "there is no user with the id",
    );
    says(
        directory::create_user(&ctx, Vec::new()).await,
        "userPrincipalName: is missing",
    );
    says(
        directory::create_group(&ctx, Vec::new()).await,
        "displayName: is missing",
    );
    says(
        directory::rename_group(&ctx, GroupId::new(), "x").await,
        "there is no group",
    );
    let group = create_group(&ctx, "Sales").await;
    says(
        directory::rename_group(&ctx, group, " ").await,
        "displayName: is missing",
    );
    assert_eq!(feed_of(test).await.len(), 2);
}

async fn names_and_ids_are_given_once(test: &TestStore) {
    let ctx = ctx(test);
    let id = UserId::new();
    let with_id = |name: &str| {
        set([
            ("id", id.to_string().into()),
            ("userPrincipalName", name.into()),
        ])
    };
    assert_eq!(
        directory::create_user(&ctx, with_id("ana@a.example"))
            .await
            .unwrap()
            .id,
        id
    );
    let bo = create(&ctx, "bo@a.example").await.id;
    let taken = directory::create_user(&ctx, with_id("other@a.example")).await;
    assert!(matches!(taken, Err(AppError::Taken(_))), "{taken:?}");
    for result in [
        directory::create_user(&ctx, set([("userPrincipalName", "ANA@a.example".into())]))
            .await
            .map(|_| ()),
        directory::update_user(
            &ctx,
            bo,
            set([("userPrincipalName", "Ana@a.example".into())]),
        )
        .await
        .map(|_| ()),
    ] {
        assert!(matches!(result, Err(AppError::Taken(_))), "{result:?}");
        says(result, &format!("is the user {id} already"));
    }
    let own = set([("userPrincipalName", "BO@a.example".into())]);
    assert!(directory::update_user(&ctx, bo, own).await.unwrap());
}

async fn a_deleted_user_can_be_restored_while_its_name_is_free(test: &TestStore) {
    let ctx = ctx(test);
    let ana = create(&ctx, "ana@a.example").await.id;
    assert!(directory::soft_delete_user(&ctx, ana).await.unwrap());
    assert!(!directory::soft_delete_user(&ctx, ana).await.unwrap());
    assert_eq!(directory::counts(&ctx).await.unwrap(), Counts::default());
    assert!(directory::find_user(&ctx, "ana@a.example").await.is_err());
    assert!(
        directory::find_user(&ctx, &ana.to_string())
            .await
            .unwrap()
            .deleted
            .is_some()
    );
    assert!(directory::restore_user(&ctx, ana).await.unwrap());
    assert!(!directory::restore_user(&ctx, ana).await.unwrap());
    assert_eq!(feed_of(test).await, [Change::User(ana.into()); 3]);
    directory::soft_delete_user(&ctx, ana).await.unwrap();
    create(&ctx, "ANA@a.example").await;
    says(
        directory::restore_user(&ctx, ana).await,
        "choose another userPrincipalName",
    );
}

async fn what_is_purged_is_gone(test: &TestStore) {
    let ctx = ctx(test);
    let (ana, sales) = (
        create(&ctx, "ana@a.example").await.id,
        create_group(&ctx, "Sales").await,
    );
    assert!(
        directory::add_member(&ctx, sales, ana.into())
            .await
            .unwrap()
    );
    let all = Counts {
        users: 1,
        groups: 1,
        memberships: 1,
    };
    assert_eq!(directory::counts(&ctx).await.unwrap(), all);
    directory::purge_user(&ctx, ana).await.unwrap();
    directory::delete_group(&ctx, sales).await.unwrap();
    assert_eq!(directory::counts(&ctx).await.unwrap(), Counts::default());
    says(
        directory::purge_user(&ctx, ana).await,
        "there is no user with the id",
    );
    says(
        directory::delete_group(&ctx, sales).await,
        "there is no group with the id",
    );
}

async fn members_join_and_leave(test: &TestStore) {
    let ctx = ctx(test);
    let (ana, sales) = (
        create(&ctx, "ana@a.example").await.id,
        create_group(&ctx, "Sales").await,
    );
    let europe = create_group(&ctx, "Europe").await;
    for member in [ObjectId::from(ana), europe.into()] {
        assert!(directory::add_member(&ctx, sales, member).await.unwrap());
        assert!(!directory::add_member(&ctx, sales, member).await.unwrap());
        assert!(directory::remove_member(&ctx, sales, member).await.unwrap());
        assert!(!directory::remove_member(&ctx, sales, member).await.unwrap());
    }
    assert_eq!(feed_of(test).await.len(), 3 + 4);
    let nobody = ObjectId::new();
    says(
        directory::add_member(&ctx, sales, nobody).await,
        "neither a user nor a group",
    );
    says(
        directory::add_member(&ctx, nobody.group(), ana.into()).await,
        "there is no group",
    );
    says(
        directory::add_member(&ctx, sales, sales.into()).await,
        "a member of itself",
    );
}

async fn who_was_deleted_30_days_ago_is_gone_for_good(test: &TestStore) {
    // 5.2, 5.5
    let (ctx, clock) = ctx_with(test, Recorder::new());
    let (ana, ben) = (
        create(&ctx, "ana@a.example").await,
        create(&ctx, "ben@a.example").await,
    );
    directory::soft_delete_user(&ctx, ana.id).await.unwrap();
    clock.advance_seconds(10 * 86_400);
    directory::soft_delete_user(&ctx, ben.id).await.unwrap();
    let names = async || {
        let deleted = bin::deleted_users(&ctx, 10).await.unwrap();
        deleted
            .into_iter()
            .map(|it| it.user_principal_name)
            .collect::<Vec<_>>()
    };
    assert_eq!(names().await, ["ana@a.example", "ben@a.example"]);
    // The name is free again, and a second one of that name is deleted, too.
    let again = create(&ctx, "ben@a.example").await;
    directory::soft_delete_user(&ctx, again.id).await.unwrap();
    says(
        bin::find_deleted(&ctx, "BEN@a.example").await,
        "several deleted users",
    );
    says(
        bin::find_deleted(&ctx, "cem@a.example").await,
        "no deleted user",
    );
    assert_eq!(
        bin::find_deleted(&ctx, &ben.id.to_string())
            .await
            .unwrap()
            .id,
        ben.id
    );
    clock.advance_seconds(20 * 86_400 - 1);
    assert_eq!(bin::purge_expired(&ctx).await.unwrap(), 0);
    clock.advance_seconds(1);
    assert_eq!(bin::purge_expired(&ctx).await.unwrap(), 1);
    assert_eq!(names().await, ["ben@a.example", "ben@a.example"]);
    let feed = feed_of(test).await;
    assert!(
        feed.contains(&Change::UserPurged(ana.id.into())),
        "{feed:?}"
    );
}
