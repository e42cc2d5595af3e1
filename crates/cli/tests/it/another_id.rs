//! Somebody deletes accounts at the target: they are made again, and whoever refers to them refers to
//! the new ones (section 15, 14).

use std::path::Path;

use serde_json::Value;

use crate::kill::read_all;
use crate::run::{APP, Server, everybody, json, receiver};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn import(data: &Path, name: &str, text: &str) {
    let file = data.with_file_name(name);
    std::fs::write(&file, text).unwrap();
    let report = json(data, &["import", file.to_str().unwrap()]);
    assert_eq!(report["failed"], 0, "{report}");
}

fn delete(url: &str, token: &str, path: &str) {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let client = crate::kill::client();
    let request = client.delete(format!("{url}/{path}")).bearer_auth(token);
    let answer = runtime.block_on(request.send()).unwrap();
    assert_eq!(answer.status(), 204);
}

/// The target's users and groups by name.
fn target(url: &str, token: &str) -> (Vec<Value>, Vec<Value>) {
    (
        read_all(url, token, "Users"),
        read_all(url, token, "Groups"),
    )
}

fn named<'a>(resources: &'a [Value], attribute: &str, name: &str) -> &'a Value {
    let found = resources.iter().find(|it| it[attribute] == name);
    found.unwrap_or_else(|| panic!("{name} is not there: {resources:?}"))
}

/// Everything refers to what is there now.
#[track_caller]
fn check((users, groups): &(Vec<Value>, Vec<Value>)) {
    let (boss, member) = (
        named(users, "userName", "boss@example.test"),
        named(users, "userName", "member@example.test"),
    );
    assert_eq!(member[ENTERPRISE]["manager"]["value"], boss["id"]);
    let group = named(groups, "displayName", "Team");
    let mut members: Vec<&Value> = group["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["value"])
        .collect();
    members.sort_by_key(ToString::to_string);
    let mut expected = vec![&boss["id"], &member["id"]];
    expected.sort_by_key(ToString::to_string);
    assert_eq!(members, expected);
}

#[test]
fn what_somebody_deleted_at_the_target_is_made_again_with_everything_that_refers_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, "127.0.0.1:0");
    let users = "id,userPrincipalName,displayName,jobTitle,manager\n\
        00000001-0000-4000-8000-000000000001,boss@example.test,Boss,Head,\n\
        00000001-0000-4000-8000-000000000002,member@example.test,Member,Clerk,\
        00000001-0000-4000-8000-000000000001\n";
    let groups = "id,displayName,description\n00000002-0000-4000-8000-000000000001,Team,one\n";
    let memberships = "groupId,memberId,memberType\n\
        00000002-0000-4000-8000-000000000001,00000001-0000-4000-8000-000000000001,user\n\
        00000002-0000-4000-8000-000000000001,00000001-0000-4000-8000-000000000002,user\n";
    import(&data, "users.csv", users);
    import(&data, "groups.csv", groups);
    import(&data, "memberships.csv", memberships);
    let (url, token) = receiver(&data);
    everybody(&data, &url, &token);
    json(&data, &["job", "run", APP]);
    let before = target(&url, &token);
    check(&before);
    let boss = named(&before.0, "userName", "boss@example.test")["id"]
        .as_str()
        .unwrap();
    let holding = |more: &str| {
        let filter = format!("Groups?filter=members.value%20eq%20%22{boss}%22{more}");
        read_all(&url, &token, &filter).len()
    };
    assert_eq!(holding(""), 1);
    assert_eq!(holding("%20and%20displayName%20eq%20%22team%22"), 1);
    assert_eq!(holding("%20and%20displayName%20eq%20%22other%22"), 0);

    // The manager is gone, and is noticed with the next change.
    let boss = named(&before.0, "userName", "boss@example.test")["id"].clone();
    delete(&url, &token, &format!("Users/{}", boss.as_str().unwrap()));
    import(&data, "users.csv", &users.replace("Head", "Chief"));
    let cycle = json(&data, &["job", "run", APP]);
    assert_eq!(
        (&cycle["created"], &cycle["failed"]),
        (&1.into(), &0.into()),
        "{cycle}"
    );
    let after = target(&url, &token);
    assert_ne!(named(&after.0, "userName", "boss@example.test")["id"], boss);
    check(&after);

    // The group is gone: it comes back with its members.
    let group = named(&after.1, "displayName", "Team")["id"].clone();
    delete(&url, &token, &format!("Groups/{}", group.as_str().unwrap()));
    import(&data, "groups.csv", &groups.replace("one", "two"));
    let cycle = json(&data, &["job", "run", APP]);
    assert_eq!(
        (&cycle["created"], &cycle["failed"]),
        (&1.into(), &0.into()),
        "{cycle}"
    );
    check(&target(&url, &token));

    // The same with a restart, which evaluates everything.
    let boss = named(&target(&url, &token).0, "userName", "boss@example.test")["id"].clone();
    delete(&url, &token, &format!("Users/{}", boss.as_str().unwrap()));
    json(&data, &["job", "restart", APP]);
    json(&data, &["job", "run", APP]);
    check(&target(&url, &token));
    let idle = json(&data, &["job", "run", APP]);
    assert_eq!(idle["requests"], 0, "{idle}");
    drop(server);
}
