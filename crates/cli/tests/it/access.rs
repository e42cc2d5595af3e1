//! What gives access to a target: an access token for a client, and a secret that was staged in advance (2.2).

use serde_json::Value;

use crate::relay::Trouble;
use crate::run::{APP, json, refusal, run};
use crate::troubled::Here;

fn save(here: &Here, secret: &str, more: &[&str]) {
    let path = here.url.splitn(4, '/').nth(3).unwrap();
    let url = format!("{}/{path}", here.relay.url);
    let given = ["--tenant-url", &url, "--secret-token", secret];
    json(
        &here.data,
        &[&["app", "credentials", APP][..], &given, more].concat(),
    );
}

#[test]
fn an_access_token_is_got_for_a_client_and_got_anew_when_the_target_refuses_it() {
    let here = Here::with(6, |number, _| match number {
        // As when it was taken back.
        5 => Trouble::Answer(401, ""),
        _ => Trouble::None,
    });
    let client = json(&here.data, &["integration", "client", "add", "Receiver"]);
    let text = |name: &str| client[name].as_str().unwrap().to_owned();
    let (url, id, secret) = (text("tokenUrl"), text("clientId"), text("clientSecret"));
    here.relay.begin(false);
    save(&here, &secret, &["--token-url", &url, "--client-id", &id]);
    here.relay.begin(true);
    let ended = json(&here.data, &["job", "run", APP]);
    assert_eq!(ended["failed"], 0, "{ended}");
    assert_eq!(here.relay.troubles().len(), 1);
    here.check("client credentials");
    // A client that is not known is refused when it is saved, and what was saved stays.
    let path = here.url.splitn(4, '/').nth(3).unwrap();
    let tenant = format!("{}/{path}", here.relay.url);
    let wrong = run(
        &here.data,
        &[
            "app",
            "credentials",
            APP,
            "--tenant-url",
            &tenant,
            "--secret-token",
            "guess",
            "--token-url",
            &url,
            "--client-id",
            &id,
        ],
    );
    let (code, said) = refusal(&wrong);
    assert!(code == Some(1) && said.contains("invalid_client"), "{said}");
    let ended = json(&here.data, &["job", "run", APP]);
    assert_eq!(ended["failed"], 0, "{ended}");
}

#[test]
fn a_secret_that_was_staged_takes_over_when_the_first_one_is_refused() {
    let here = Here::with(4, |_, _| Trouble::None);
    let next = json(&here.data, &["integration", "rotate", "Receiver"]);
    let next = next["token"].as_str().unwrap();
    let file = here.data.join("next.txt");
    std::fs::write(&file, next).unwrap();
    save(
        &here,
        &here.token,
        &["--next-secret-token-file", file.to_str().unwrap()],
    );
    let ended = json(&here.data, &["job", "run", APP]);
    assert_eq!(ended["failed"], 0, "{ended}");
    // The first one is taken back while the job goes on: two are alive at most.
    json(&here.data, &["integration", "rotate", "Receiver"]);
    json(&here.data, &["job", "restart", APP]);
    let ended = json(&here.data, &["job", "run", APP]);
    assert_eq!(ended["failed"], 0, "{ended}");
}

#[test]
fn credentials_that_expire_are_told_a_month_a_week_and_a_day_before() {
    let here = Here::with(2, |_, _| Trouble::None);
    let reason = |days: i64| {
        let at = muster_model::Clock::now(&muster_model::SystemClock).plus_seconds(days * 86_400);
        save(&here, &here.token, &["--expires", &at.to_string()]);
        json(&here.data, &["job", "run", APP]);
        let listed = run(&here.data, &["notice", "list", "--json"]);
        let listed = String::from_utf8(listed.stdout).unwrap();
        let mut notices = listed
            .lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap());
        let expiry = notices.find(|it| it["topic"] == "expiry" && it["ended"].is_null());
        expiry.map(|it| it["reason"].as_str().unwrap().to_owned())
    };
    assert_eq!(reason(40), None);
    assert_eq!(reason(29).as_deref(), Some("CredentialsExpireInThirtyDays"));
    assert_eq!(reason(6).as_deref(), Some("CredentialsExpireInSevenDays"));
    assert_eq!(reason(1).as_deref(), Some("CredentialsExpireInOneDay"));
    assert_eq!(reason(-1).as_deref(), Some("CredentialsExpired"));
    assert_eq!(reason(90), None, "renewed");
}
