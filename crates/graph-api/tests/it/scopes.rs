//! Every permission on every operation (1.2).

use muster_model::TenantId;
use muster_model::api_token::PERMISSIONS;
use muster_testkit::{FixedClock, sqlite_store};
use serde_json::json;

use crate::api::{Api, operations};

/// What the description says an operation needs is what suffices, and nothing else does.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_let_through_by_what_an_operation_needs_and_by_nothing_else() {
    let test = sqlite_store().await;
    let clock = FixedClock::at("2026-03-01T09:00:00Z");
    let api = Api::of(&test, &clock, TenantId::FIRST).await;
    let (mut let_through, mut refused) = (0, 0);
    for (scope, _) in PERMISSIONS {
        let token = api.token(&[scope]).await;
        for (method, path, operation) in operations() {
            let Some(needs) = operation["description"].as_str() else {
                // Any token: what is within is looked at again.
                assert!(
                    ["/$batch", "/openapi.json"].contains(&path.as_str()),
                    "{path}"
                );
                continue;
            };
            let needs = needs.strip_prefix("The token needs one of: ").unwrap();
            let suffices = needs
                .trim_end_matches('.')
                .split(", ")
                .any(|it| it == *scope);
            let at = path.replace(['{', '}'], "");
            let (status, _, answer) = api
                .exchange_with(&token, &method, &at, Some(&json!({})))
                .await;
            assert_eq!(
                status != 403,
                suffices,
                "{scope}: {method} {path}: {status} {answer}"
            );
            let within = json!({ "requests": [
                { "id": "1", "method": method, "url": at, "body": {},
                  "headers": { "content-type": "application/json" } }
            ]});
            let (_, _, batch) = api
                .exchange_with(&token, "POST", "/$batch", Some(&within))
                .await;
            let status = &batch["responses"][0]["status"];
            assert_eq!(
                *status != 403,
                suffices,
                "{scope}: {method} {path} in a batch: {batch}"
            );
            *(if suffices {
                &mut let_through
            } else {
                &mut refused
            }) += 1;
        }
    }
    assert!(
        let_through > 200 && refused > 200,
        "{let_through} {refused}"
    );
}
