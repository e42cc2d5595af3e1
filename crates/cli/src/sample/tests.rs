//! The sample against the tables kept with this crate, and what must hold at any size.

use std::collections::HashSet;
use std::{fs, io};

use serde_json::{Map, Value};

use super::Sample;

type Table = fn(&Sample, &mut Vec<u8>) -> io::Result<()>;

#[track_caller]
fn check(file: &str, table: Table) {
    let path = format!("{}/sample/{file}", env!("CARGO_MANIFEST_DIR"));
    let want = fs::read_to_string(path).expect("the kept table is readable");
    let mut got = Vec::new();
    table(&Sample::new(1000), &mut got).expect("a vector takes every byte");
    let got = String::from_utf8(got).expect("tables are UTF-8");
    for (number, (want, got)) in want.lines().zip(got.lines()).enumerate() {
        assert_eq!(got, want, "{file}, line {}", number + 1);
    }
    assert!(got == want, "{file}: more lines, or other line ends");
}

fn text(object: &Map<String, Value>, name: &str) -> String {
    object[name].as_str().expect("a text").to_owned()
}

#[test]
fn users_are_the_kept_table_byte_by_byte() {
    check("users.csv", Sample::users_csv);
}

#[test]
fn groups_are_the_kept_table_byte_by_byte() {
    check("groups.csv", Sample::groups_csv);
}

#[test]
fn memberships_are_the_kept_table_byte_by_byte() {
    check("memberships.csv", Sample::memberships_csv);
}

#[test]
fn what_is_empty_is_absent_and_the_manager_is_an_id() {
    let sample = Sample::new(200);
    let users: Vec<_> = sample.users().collect();
    assert_eq!(users.len(), 200);
    assert!(!users[0].contains_key("manager"));
    assert_eq!(users[1]["manager"], users[0]["id"]);
    for value in users.iter().flat_map(Map::values) {
        assert!(value.as_str() != Some("") && value.as_array().is_none_or(|list| !list.is_empty()));
    }
}

#[test]
fn sign_in_names_differ_and_every_member_exists() {
    let sample = Sample::new(3000);
    let (mut names, mut ids) = (HashSet::new(), HashSet::new());
    for user in sample.users() {
        assert!(names.insert(text(&user, "userPrincipalName").to_lowercase()));
        ids.insert(text(&user, "id"));
    }
    ids.extend(sample.groups().map(|group| text(&group, "id")));
    let mut seen = HashSet::new();
    for (group, member, kind) in sample.memberships() {
        assert!(ids.contains(&group) && ids.contains(&member));
        assert!(kind == "user" || kind == "group");
        assert!(seen.insert((group, member)), "a membership twice");
    }
}

#[test]
fn small_and_empty_organisations_are_made_too() {
    for users in [0, 1, 2, 7] {
        let sample = Sample::new(users);
        assert_eq!(sample.users().count(), users as usize);
        assert_eq!(sample.groups().count(), 50);
        let everyone = text(&sample.groups().next().expect("a group"), "id");
        let in_everyone = sample
            .memberships()
            .filter(|(group, ..)| *group == everyone);
        assert_eq!(in_everyone.count(), users as usize);
    }
    let lonely = Sample {
        groups: 1,
        ..Sample::new(5)
    };
    assert_eq!(lonely.memberships().count(), 5);
}
