//! Targets that make trouble: whatever they do, everybody arrives once.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::kill::read_all;
use crate::relay::{Relay, Seen, Trouble};
use crate::run::{APP, Server, everybody, json, receiver, run};

/// A directory of some people, each with a manager, all in one group, and a target behind trouble.
pub(crate) struct Here {
    _folder: tempfile::TempDir,
    pub(crate) data: PathBuf,
    _server: Server,
    pub(crate) relay: Relay,
    pub(crate) url: String,
    pub(crate) token: String,
    people: usize,
}

impl Here {
    pub(crate) fn with(
        people: usize,
        script: impl Fn(usize, &Seen) -> Trouble + Send + Sync + 'static,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let server = Server::start(&data, "127.0.0.1:0");
        let id = |kind: u8, number: usize| format!("0000000{kind}-0000-4000-8000-{number:012}");
        let mut users = String::from("id,userPrincipalName,displayName,manager\n");
        let mut members = String::from("groupId,memberId,memberType\n");
        for number in 0..people {
            let manager = number
                .checked_sub(1)
                .map_or_else(String::new, |it| id(1, it));
            let user = id(1, number);
            let _ = writeln!(
                users,
                "{user},u{number}@example.test,User {number},{manager}"
            );
            let _ = writeln!(members, "{},{user},user", id(2, 0));
        }
        let groups = format!(
            "id,displayName,securityEnabled\n{},Everybody,true\n",
            id(2, 0)
        );
        for (name, text) in [
            ("users", users),
            ("groups", groups),
            ("memberships", members),
        ] {
            let file = folder.path().join(format!("{name}.csv"));
            std::fs::write(&file, text).unwrap();
            json(&data, &["import", file.to_str().unwrap()]);
        }
        let (url, token) = receiver(&data);
        let relay = Relay::scripted(&server.url, script);
        relay.begin(false);
        everybody(&data, &url.replace(&server.url, &relay.url), &token);
        relay.begin(true);
        Self {
            _folder: folder,
            data,
            _server: server,
            relay,
            url,
            token,
            people,
        }
    }

    /// Everybody is there once, with a manager, and in the group.
    pub(crate) fn check(&self, what: &str) {
        let users = read_all(&self.url, &self.token, "Users");
        let names: BTreeSet<&str> = users
            .iter()
            .map(|it| it["userName"].as_str().unwrap())
            .collect();
        assert_eq!(
            (users.len(), names.len()),
            (self.people, self.people),
            "{what}"
        );
        let enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
        let led = users
            .iter()
            .filter(|it| it[enterprise]["manager"]["value"].is_string());
        assert_eq!(led.count(), self.people - 1, "{what}");
        let groups = read_all(&self.url, &self.token, "Groups");
        assert_eq!(groups.len(), 1, "{what}");
        let members = groups[0]["members"].as_array().map_or(0, Vec::len);
        assert_eq!(members, self.people, "{what}");
    }

    /// Runs cycles from the beginning until one has nothing to do, while nothing goes wrong any more.
    fn settle(&self, what: &str) {
        self.relay.begin(false);
        for _ in 0..5 {
            json(&self.data, &["job", "restart", APP]);
            let ended = json(&self.data, &["job", "run", APP]);
            let did = |name: &str| ended[name].as_u64().unwrap();
            if did("failed") + did("created") + did("updated") == 0 {
                return;
            }
        }
        panic!("{what}: it does not come to rest");
    }
}

/// One request in so many goes wrong, as long as there is trouble.
fn sometimes(
    one_in: usize,
    trouble: Trouble,
    until: usize,
) -> impl Fn(usize, &Seen) -> Trouble + Send + Sync + 'static {
    move |number, _| {
        if number < until && number % one_in == 1 {
            trouble
        } else {
            Trouble::None
        }
    }
}

const TROUBLES: &[Trouble] = &[
    Trouble::Answer(429, "Retry-After: 1\r\n"),
    Trouble::Answer(429, ""),
    Trouble::Answer(500, ""),
    Trouble::Answer(503, "Retry-After: 1\r\n"),
    Trouble::Answer(502, ""),
    Trouble::Html(200),
    Trouble::Html(502),
    Trouble::Cut,
    Trouble::LostAnswer,
    Trouble::HalfAnAnswer,
    Trouble::Late(Duration::from_millis(300)),
];

/// The first requests go wrong now and then; afterwards the target is well.
#[test]
fn after_any_trouble_everybody_is_there_once() {
    for (number, trouble) in TROUBLES.iter().enumerate() {
        let what = format!("{trouble:?}");
        let here = Here::with(8, sometimes(4, *trouble, 24));
        // Every other one is planned.
        let planned = number % 2 == 1;
        let ended = if planned {
            let plan = here.data.join("first.plan");
            let plan = plan.to_str().unwrap();
            let made = run(&here.data, &["plan", APP, "--out", plan]);
            let applied = run(&here.data, &["apply", plan]);
            format!("{made:?} {applied:?}")
        } else {
            format!("{:?}", run(&here.data, &["job", "run", APP]))
        };
        assert!(!here.relay.troubles().is_empty(), "{what}: {ended}");
        here.settle(&what);
        here.check(&what);
    }
}

/// A third of all requests is told to come back a second later: nothing fails.
#[test]
fn a_target_that_throttles_every_third_request_fails_nobody() {
    let here = Here::with(6, |number, _| match number % 3 {
        1 => Trouble::Answer(429, "Retry-After: 1\r\n"),
        _ => Trouble::None,
    });
    let ended = json(&here.data, &["job", "run", APP]);
    assert_eq!(ended["failed"], 0, "{ended}");
    assert_eq!(ended["created"], 7, "{ended}");
    here.check("every third");
    assert!(here.relay.troubles().len() >= 6);
}

/// A target takes so many requests in a second and throttles what is more.
#[test]
fn a_target_that_takes_a_few_requests_in_a_second_fails_nobody() {
    const RATE: f64 = 40.0;
    let bucket = Mutex::new((Instant::now(), RATE));
    let here = Here::with(150, move |_, _| {
        let mut bucket = bucket.lock().unwrap();
        let (at, held) = *bucket;
        let now = Instant::now();
        let held = (now - at).as_secs_f64().mul_add(RATE, held).min(RATE);
        let takes = held >= 1.0;
        *bucket = (now, held - f64::from(u8::from(takes)));
        if takes {
            Trouble::None
        } else {
            Trouble::Answer(429, "Retry-After: 1\r\n")
        }
    });
    let ended = json(&here.data, &["job", "run", APP]);
    assert_eq!(ended["failed"], 0, "{ended}");
    here.check("so many in a second");
    assert!(!here.relay.troubles().is_empty());
}

/// A target that is out of order is left alone, and nobody's failure is counted.
#[test]
fn a_target_that_is_out_of_order_is_left_alone_and_asked_first_when_it_is_tried_again() {
    let here = Here::with(40, |number, _| match number {
        0 => Trouble::None,
        _ => Trouble::Answer(500, ""),
    });
    json(&here.data, &["job", "start", APP]);
    let status = |name: &str| -> Value { json(&here.data, &["job", "status", APP])[name].clone() };
    let begun = Instant::now();
    while status("status") != "Quarantine" {
        assert!(
            begun.elapsed() < Duration::from_mins(1),
            "{:?}",
            status("status")
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    let seen = here.relay.troubles().len();
    assert!(seen < 1000, "it was asked {seen} times");
    let why = status("quarantine");
    assert!(
        why["error"]["message"]
            .as_str()
            .unwrap()
            .contains("nothing but fail"),
        "{why}"
    );
    // It is asked one thing before everybody asks it; so often as one request is tried.
    let seen = here.relay.troubles().len();
    let again = run(&here.data, &["job", "run", APP]);
    assert_eq!(again.status.code(), Some(1), "{again:?}");
    assert_eq!(here.relay.troubles().len() - seen, 4);
}

/// An account is switched on, the answer is lost, and the repetition refused: it is on all the same, and is
/// switched off when its owner leaves.
#[test]
fn what_arrived_although_its_repetition_was_refused_is_not_forgotten() {
    let tries = AtomicUsize::new(0);
    let here = Here::with(2, move |_, seen| {
        let enables = seen.method == "PATCH" && seen.body.contains("\"value\":true");
        match enables.then(|| tries.fetch_add(1, Ordering::Relaxed)) {
            Some(0) => Trouble::LostAnswer,
            Some(1) => Trouble::Answer(400, ""),
            _ => Trouble::None,
        }
    });
    let enable = |on: bool| {
        let file = here.data.join("one.csv");
        let text = format!("userPrincipalName,accountEnabled\nu1@example.test,{on}\n");
        std::fs::write(&file, text).unwrap();
        json(&here.data, &["import", file.to_str().unwrap()]);
        run(&here.data, &["job", "run", APP])
    };
    let is_active = || -> Value {
        let users = read_all(&here.url, &here.token, "Users");
        let one = users.iter().find(|it| it["userName"] == "u1@example.test");
        one.unwrap()["active"].clone()
    };
    json(&here.data, &["job", "run", APP]);
    enable(false);
    assert_eq!(is_active(), false);
    assert_eq!(enable(true).status.code(), Some(3), "it fails");
    assert_eq!(here.relay.troubles().len(), 2);
    assert_eq!(is_active(), true, "and has arrived");
    enable(false);
    assert_eq!(is_active(), false);
}

#[test]
fn who_arrived_unseen_and_was_renamed_is_found_by_the_name_that_was_sent() {
    let phase = Arc::new(AtomicUsize::new(0));
    let now = Arc::clone(&phase);
    let here = Here::with(2, move |_, seen| {
        match (now.load(Ordering::Relaxed), seen.method.as_str()) {
            (0, "POST") if seen.body.contains("u1@example.test") => Trouble::LostAnswer,
            (0, "GET") if seen.path.contains("u1%40example.test") => Trouble::Answer(400, ""),
            (1, "PATCH") => Trouble::Answer(400, ""),
            _ => Trouble::None,
        }
    });
    assert_eq!(run(&here.data, &["job", "run", APP]).status.code(), Some(3));
    let change = |to: usize, enabled: bool| {
        phase.store(to, Ordering::Relaxed);
        let file = here.data.join("one.csv");
        let text = format!(
            "id,userPrincipalName,accountEnabled\n\
             00000001-0000-4000-8000-000000000001,renamed@example.test,{enabled}\n"
        );
        std::fs::write(&file, text).unwrap();
        json(&here.data, &["import", file.to_str().unwrap()]);
        run(&here.data, &["job", "run", APP]).status.code()
    };
    // Renamed and disabled at once, which the target does not take.
    assert_eq!(change(1, false), Some(3), "it fails");
    assert_eq!(change(2, true), Some(0));
    here.check("renamed");
    let users = read_all(&here.url, &here.token, "Users");
    assert!(
        users
            .iter()
            .any(|it| it["userName"] == "renamed@example.test"),
        "{users:?}"
    );
}
