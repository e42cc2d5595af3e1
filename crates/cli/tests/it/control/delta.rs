//! A delta link that is too old (4.2).

use muster_model::TenantId;
use muster_testkit::{FixedClock, sqlite_store};

use super::api::Api;

const DAY: i64 = 86_400;

#[tokio::test]
async fn a_link_that_is_too_old_says_where_to_begin_anew() {
    let test = sqlite_store().await;
    let clock = FixedClock::at("2026-03-01T09:00:00Z");
    let api = Api::of(&test, &clock, TenantId::FIRST).await;
    api.user("ada").await;
    let link = |page: &serde_json::Value| page["@odata.deltaLink"].as_str().unwrap().to_owned();
    let first = link(&api.get("/users/delta").await);

    clock.advance_seconds(29 * DAY);
    let next = link(&api.get(&first).await);
    clock.advance_seconds(2 * DAY);
    let (status, headers, refused) = api.exchange("GET", &first, None).await;
    assert_eq!(
        (status, &refused["error"]["code"]),
        (410, &"syncStateNotFound".into())
    );
    let anew = headers["location"].to_str().unwrap();
    let begun = api.get(anew).await;
    assert_eq!(begun["value"].as_array().unwrap().len(), 1);

    // A link that was made later is good for as long.
    api.user("bo").await;
    let changed = api.get(&next).await;
    assert_eq!(
        changed["value"][0]["userPrincipalName"],
        "bo@contoso.example"
    );
}
