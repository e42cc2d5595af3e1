//! Import of groups and memberships.

use muster_app::import::{Format, What};
use muster_model::Value;
use muster_testkit::TestStore;

use crate::import::{counts, csv, load, user, users};
use crate::{groups_named, on_both};

on_both!(
    groups_are_known_by_id_or_by_a_unique_name,
    members_are_named_by_id_or_name,
    an_id_may_be_written_in_several_ways,
    a_group_has_several_types,
);

async fn groups_are_known_by_id_or_by_a_unique_name(test: &TestStore) {
    let (one, two) = (
        "11111111-2222-4333-8444-000000000001",
        "11111111-2222-4333-8444-000000000002",
    );
    let load = |text: String| async move {
        let report = load(test, What::Groups, Format::Csv, text).await.unwrap();
        (
            counts(&report),
            report
                .bad
                .into_iter()
                .map(|bad| bad.to_string())
                .collect::<Vec<_>>(),
        )
    };
    let (none, head) = (
        Vec::<String>::new(),
        "id,displayName,securityEnabled,description",
    );
    let seen = load(format!("{head}\n{one},Sales,true,First\n")).await;
    assert_eq!(seen, ([1, 0, 0, 0], none.clone()));
    let seen = load("displayName,description\nSALES,First\nSALES,First\n".to_owned()).await;
    assert_eq!(seen, ([0, 1, 1, 0], none.clone()));
    let seen = load(format!(
        "{head}\n{two},SALES,false,Second\n{one},Sales,,First\n"
    ))
    .await;
    assert_eq!(seen, ([1, 1, 0, 0], none.clone()));
    let seen = load("displayName,description\nsales,Which?\n".to_owned()).await;
    let which = format!(
        "line 2, displayName: 2 groups are called `Sales`; name one by its id: {one}, {two}"
    );
    assert_eq!(seen, ([0, 0, 0, 1], vec![which]));
    let seen = load(format!("id,displayName\n{two},Support\n")).await;
    assert_eq!(seen, ([0, 1, 0, 0], none));
    let support = &groups_named(test, "support").await[0];
    assert!(!support.security_enabled);
    assert_eq!(support.attributes.text("description"), Some("Second"));
}

async fn members_are_named_by_id_or_name(test: &TestStore) {
    users(test, "userPrincipalName\nana@a.example\nbo@a.example\n").await;
    csv(test, What::Groups, "displayName\nSales\nEurope\nTwin\n").await;
    let id = "11111111-2222-4333-8444-000000000001";
    csv(test, What::Groups, &format!("id,displayName\n{id},Twin\n")).await;
    let ana = user(test, "ana@a.example").await.id;
    let sales = groups_named(test, "Sales").await[0].id;
    let text = format!(
        "groupId,memberId,memberType\n\
         {sales},{ana},User\n\
         Sales,ana@a.example,\n\
         SALES,bo@a.example,user\n\
         {},Sales,group\n\
         Europe,{sales},#microsoft.graph.group\n\
         Twin,ana@a.example,user\n\
         {id},ana@a.example,user\n\
         Nowhere,ana@a.example,user\n\
         Sales,nobody@a.example,\n\
         Sales,bo@a.example,group\n\
         Sales,Europe,user\n\
         Sales,Sales,\n\
         Sales,bo@a.example,device\n\
         ,bo@a.example,\n",
        groups_named(test, "Europe").await[0]
            .id
            .to_string()
            .to_uppercase()
    );
    let report = load(test, What::Memberships, Format::Csv, text)
        .await
        .unwrap();
    assert_eq!(counts(&report), [4, 0, 2, 8]);
    let bad: Vec<(u64, &str)> = report
        .bad
        .iter()
        .map(|bad| (bad.line, bad.reason.as_str()))
        .collect();
    assert!(
        bad[0]
            .1
            .starts_with("2 groups are called `Twin`; name one by its id: "),
        "{bad:?}"
    );
    assert_eq!(
        bad[1..],
        [
            (9, "there is no group `Nowhere`"),
            (10, "there is neither a user nor a group `nobody@a.example`"),
            (11, "`bo@a.example` is a user, not a group"),
            (12, "`Europe` is a group, not a user"),
            (13, "is the group itself"),
            (14, "must be user or group, not `device`"),
            (15, "is missing"),
        ]
    );
    // No type named: the file may leave the column out.
    let text = "memberId,groupId\nana@a.example,Sales\nbo@a.example,Europe\n";
    assert_eq!(csv(test, What::Memberships, text).await, [1, 0, 1, 0]);
}

async fn an_id_may_be_written_in_several_ways(test: &TestStore) {
    let group = "11111111-2222-4333-8444-0000000000aa";
    let member = "11111111-2222-4333-8444-0000000000bb";
    let text = format!("id,userPrincipalName\n{member},ana@a.example\n");
    assert_eq!(users(test, &text).await, [1, 0, 0, 0]);
    let text = format!("id,displayName\n{group},Sales\n");
    assert_eq!(csv(test, What::Groups, &text).await, [1, 0, 0, 0]);
    let (upper, plain) = (member.to_uppercase(), member.replace('-', ""));
    let text = format!(
        "groupId,memberId\n{group},{upper}\n{},{member}\n{group},{plain}\n{group},{{{member}}}\n",
        group.to_uppercase()
    );
    assert_eq!(csv(test, What::Memberships, &text).await, [1, 0, 3, 0]);
}

async fn a_group_has_several_types(test: &TestStore) {
    let text = "displayName,groupTypes\nSales,Unified;DynamicMembership\n";
    assert_eq!(csv(test, What::Groups, text).await, [1, 0, 0, 0]);
    let types = Value::List(vec!["Unified".into(), "DynamicMembership".into()]);
    let sales = &groups_named(test, "Sales").await[0];
    assert_eq!(sales.attributes.get("groupTypes"), Some(&types));
}
