//! `kill -9` at any moment of an initial cycle costs nothing but a repetition.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::run::{APP, Server, free_port, json, receiver};

const USERS: usize = 10_000;
const GROUPS: usize = 40;
const KILLS: usize = 10;

/// What the directory entitles to: users, groups, memberships.
struct Expected {
    users: usize,
    groups: usize,
    memberships: usize,
}

fn id(kind: u8, number: usize) -> String {
    format!("0000000{kind}-0000-4000-8000-{number:012x}")
}

/// Everybody is in the first group; every hundredth is disabled; the other groups hold a part each.
fn write_directory(folder: &Path) -> Expected {
    let mut users = String::from("id,userPrincipalName,displayName,accountEnabled,manager\n");
    let mut groups = String::from("id,displayName,securityEnabled\n");
    let mut memberships = String::from("groupId,memberId,memberType\n");
    let is_enabled = |number: usize| number % 100 != 99;
    let mut counted = 0;
    for number in 0..USERS {
        let manager = if number == 0 {
            String::new()
        } else {
            id(1, (number - 1) / 9)
        };
        let enabled = is_enabled(number);
        let _ = writeln!(
            users,
            "{},user{number}@example.test,User {number},{enabled},{manager}",
            id(1, number)
        );
        for group in [0, 1 + number % (GROUPS - 1)] {
            let _ = writeln!(memberships, "{},{},user", id(2, group), id(1, number));
            counted += usize::from(enabled);
        }
    }
    for number in 0..GROUPS {
        let _ = writeln!(groups, "{},Group {number},true", id(2, number));
    }
    for (name, text) in [
        ("users", users),
        ("groups", groups),
        ("memberships", memberships),
    ] {
        std::fs::write(folder.join(format!("{name}.csv")), text).unwrap();
    }
    let enabled = (0..USERS).filter(|number| is_enabled(*number)).count();
    Expected {
        users: enabled,
        groups: GROUPS,
        memberships: counted,
    }
}

#[test]
fn ten_kills_in_the_initial_cycle_lose_nothing_and_double_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let expected = write_directory(folder.path());
    let listen = format!("127.0.0.1:{}", free_port());

    // Both ends in one process: the receiving side is killed as well.
    let server = Server::start(&data, &listen);
    for file in ["users.csv", "groups.csv", "memberships.csv"] {
        let path = folder.path().join(file);
        assert_eq!(
            json(&data, &["import", path.to_str().unwrap()])["failed"],
            0
        );
    }
    let (url, token) = receiver(&data);
    let (url, token) = (url.as_str(), token.as_str());
    json(&data, &["app", "add", APP]);
    for number in 0..GROUPS {
        json(&data, &["app", "assign", APP, "--group", &id(2, number)]);
    }
    json(
        &data,
        &[
            "app",
            "credentials",
            APP,
            "--tenant-url",
            url,
            "--secret-token",
            token,
        ],
    );
    json(&data, &["job", "start", APP]);

    let mut server = Some(server);
    let mut random = u64::from(std::process::id()) | 1;
    let mut kills = 0;
    while kills < KILLS {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040);
        std::thread::sleep(Duration::from_millis(60 + (random >> 33) % 240));
        let status = json(&data, &["job", "status", APP]);
        assert_eq!(
            status["watermark"],
            Value::Null,
            "the cycle ended before kill {kills}"
        );
        server.take().unwrap().kill();
        kills += 1;
        server = Some(Server::start(&data, &listen));
    }

    let begun = Instant::now();
    while json(&data, &["job", "status", APP])["watermark"].is_null() {
        assert!(
            begun.elapsed() < Duration::from_mins(4),
            "the cycle does not end"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let idle = json(&data, &["job", "run", APP]);
    assert_eq!(
        (&idle["requests"], &idle["failed"]),
        (&0.into(), &0.into()),
        "{idle}"
    );
    compare(url, token, &expected);
}

/// Reads everything from the receiving side and compares.
fn compare(url: &str, token: &str, expected: &Expected) {
    let users = read_all(url, token, "Users?excludedAttributes=groups");
    let names: HashSet<&str> = users
        .iter()
        .map(|user| user["userName"].as_str().unwrap())
        .collect();
    assert_eq!((users.len(), names.len()), (expected.users, expected.users));
    let with_manager = users
        .iter()
        .filter(|user| {
            let urn = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
            user[urn]["manager"]["value"].is_string()
        })
        .count();
    // The managers of all but the first are enabled or not by the same rule.
    let managed = (1..USERS)
        .filter(|number| number % 100 != 99 && ((number - 1) / 9) % 100 != 99)
        .count();
    assert_eq!(with_manager, managed);
    let groups = read_all(url, token, "Groups?count=20");
    let names: HashSet<&str> = groups
        .iter()
        .map(|group| group["displayName"].as_str().unwrap())
        .collect();
    assert_eq!(
        (groups.len(), names.len()),
        (expected.groups, expected.groups)
    );
    let memberships: usize = groups
        .iter()
        .map(|group| group["members"].as_array().map_or(0, Vec::len))
        .sum();
    assert_eq!(memberships, expected.memberships);
}

/// A plain HTTP client.
pub(crate) fn client() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().build().unwrap()
}

pub(crate) fn read_all(url: &str, token: &str, path: &str) -> Vec<Value> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let client = client();
        let mut all = Vec::new();
        loop {
            let separator = if path.contains('?') { '&' } else { '?' };
            let at = format!("{url}/{path}{separator}startIndex={}", all.len() + 1);
            let answer = client.get(at).bearer_auth(token).send().await.unwrap();
            let mut list: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
            match list["Resources"].as_array_mut() {
                Some(page) if !page.is_empty() => all.append(page),
                _ => return all,
            }
        }
    })
}
