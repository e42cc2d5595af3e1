//! Targets that behave as known products do, by their public documents: everybody arrives, what is planned is what
//! is sent, and nobody is made twice.
//!
//! What a product refuses is refused before our own provider, which holds what it takes.

use serde_json::Value;

use crate::dialects::{change, check_changed, cycle};
use crate::kill::read_all;
use crate::relay::{Seen, Trouble};
use crate::run::{APP, json, run};
use crate::troubled::Here;

const REFUSED: Trouble = Trouble::Answer(400, "");

fn operations(seen: &Seen) -> Vec<Value> {
    let body: Value = serde_json::from_str(&seen.body).unwrap_or_default();
    body["Operations"].as_array().cloned().unwrap_or_default()
}

/// AWS IAM Identity Center (SCIM developer guide: constraints of CreateUser and PatchGroup): a hundred changes of
/// members in a request, none that replaces or removes all of them, one value of each multi-valued attribute.
fn identity_center(seen: &Seen) -> Trouble {
    let is_group = seen.path.contains("/Groups");
    match seen.method.as_str() {
        "POST" if !is_group => {
            let user: Value = serde_json::from_str(&seen.body).unwrap();
            let several = |name: &str| user[name].as_array().is_some_and(|it| it.len() > 1);
            if ["emails", "phoneNumbers", "addresses"]
                .iter()
                .any(|name| several(name))
            {
                return REFUSED;
            }
        }
        "PATCH" if is_group => {
            let mut members = 0;
            for operation in operations(seen) {
                let path = operation["path"].as_str().unwrap_or_default();
                let listed = operation["value"].as_array().map_or(0, Vec::len);
                members += if path.starts_with("members[") {
                    1
                } else {
                    listed
                };
                let is_all = path == "members" && operation["value"].is_null();
                let is_known = ["displayName", "externalId", "members"]
                    .iter()
                    .any(|name| path.starts_with(name));
                let replaces = path == "members" && operation["op"] == "replace";
                if is_all || replaces || !is_known {
                    return REFUSED;
                }
            }
            if members > 100 {
                return REFUSED;
            }
        }
        _ => {}
    }
    Trouble::None
}

#[test]
fn identity_center_takes_a_hundred_members_at_a_time_and_one_value_of_each_kind() {
    let here = Here::with(130, |_, seen| identity_center(seen));
    cycle(&here);
    assert_eq!(here.relay.troubles(), []);
    here.check("created");
    change(&here);
    cycle(&here);
    check_changed(&here);
    assert_eq!(here.relay.troubles(), []);
}

/// Sentry (SCIM API): a member who is set inactive is removed, and not found afterwards.
#[test]
fn whom_sentry_removes_when_they_are_disabled_is_made_once_more_when_they_come_back() {
    let here = Here::with(4, |_, seen| {
        let disables = |it: &Value| it["path"] == "active" && it["value"] == false;
        if seen.method == "PATCH" && operations(seen).iter().any(disables) {
            Trouble::Deletes
        } else {
            Trouble::None
        }
    });
    cycle(&here);
    here.check("created");
    let enable = |on: bool| {
        let file = here.data.join("one.csv");
        let text = format!("userPrincipalName,accountEnabled\nu2@example.test,{on}\n");
        std::fs::write(&file, text).unwrap();
        json(&here.data, &["import", file.to_str().unwrap()]);
        cycle(&here)
    };
    enable(false);
    assert_eq!(read_all(&here.url, &here.token, "Users").len(), 3);
    let sent = enable(true);
    assert!(sent.iter().any(|it| it.method == "POST"), "{sent:?}");
    here.check("back again");
    // Also a manager who was removed with them is theirs again, and nothing is left to do.
    assert_eq!(cycle(&here), []);
}

/// GitHub (REST API, rate limits): who sends too much is answered 403, with the time to wait.
#[test]
fn github_says_403_when_it_means_later() {
    let here = Here::with(12, |number, seen| {
        if seen.method != "GET" && number % 3 == 0 {
            Trouble::Answer(403, "Retry-After: 1\r\n")
        } else {
            Trouble::None
        }
    });
    let ended = json(&here.data, &["job", "run", APP]);
    assert_eq!(ended["failed"], 0, "{ended}");
    assert!(!here.relay.troubles().is_empty());
    here.check("created");
    // Without a time it is the token that may not.
    let refused = Here::with(2, |_, _| Trouble::Answer(403, ""));
    let output = run(&refused.data, &["job", "run", APP]);
    assert!(!output.status.success(), "{output:?}");
    let status = json(&refused.data, &["job", "status", APP]);
    assert_eq!(status["cycles"][0]["state"], "Failed", "{status}");
}
