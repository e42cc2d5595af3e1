//! A target that does what it is asked and whose answer is lost on the way: nothing is done twice.

use std::fmt::Write as _;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::Relaxed;

use crate::kill::read_all;
use crate::relay::{Relay, Trouble};
use crate::run::{APP, Server, everybody, json, receiver};

const PEOPLE: usize = 12;

#[test]
fn a_create_whose_answer_is_lost_is_found_again_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let server = Server::start(&data, "127.0.0.1:0");
    let mut users = String::from("userPrincipalName,displayName\n");
    for number in 0..PEOPLE {
        let _ = writeln!(users, "user{number}@example.test,User {number}");
    }
    let file = folder.path().join("users.csv");
    std::fs::write(&file, users).unwrap();
    json(&data, &["import", file.to_str().unwrap()]);
    let (url, token) = receiver(&data);
    let left = AtomicU32::new(5);
    let lossy = Relay::scripted(&server.url, move |_, seen| {
        let creates = seen.method == "POST" && seen.path.ends_with("/Users");
        let less = |left: u32| left.checked_sub(1);
        if creates && left.fetch_update(Relaxed, Relaxed, less).is_ok() {
            Trouble::LostAnswer
        } else {
            Trouble::None
        }
    });
    let through = url.replace(&server.url, &lossy.url);
    everybody(&data, &through, &token);

    let cycle = json(&data, &["job", "run", APP]);
    assert_eq!(lossy.troubles().len(), 5, "{cycle}");
    assert_eq!(cycle["failed"], 0, "{cycle}");
    assert_eq!(cycle["created"], PEOPLE, "{cycle}");
    let there = read_all(&url, &token, "Users");
    assert_eq!(there.len(), PEOPLE);
    let told = json(&data, &["log", "list", APP, "--action", "create"]);
    let lost = told.as_array().unwrap().iter().filter(|event| {
        event["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("answer was lost"))
    });
    assert_eq!(lost.count(), 5, "{told}");
}
