//! Every permission on every operation (1.2).

use muster_model::TenantId;
use muster_model::api_token::PERMISSIONS;
use muster_testkit::{FixedClock, sqlite_store};
use serde_json::json;

use super::api::{Api, operations};

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

/// What does not change anything although it is no GET: it asks with a body.
const ASKS: [&str; 4] = [
    "/users/{id}/getMemberGroups",
    "/directoryObjects/getByIds",
    "/servicePrincipals/{id}/synchronization/jobs/{job}/schema/parseExpression",
    "/$batch",
];

/// The part of the world that each scope is about, by how the paths of operations begin.
const ABOUT: [(&str, &[&str]); 5] = [
    ("User.", &["/users", "/directory", "/organization"]),
    ("Group", &["/groups", "/users", "/directory"]),
    (
        "Application.",
        &[
            "/applications",
            "/applicationTemplates",
            "/servicePrincipals",
            "/muster/integrations",
            "/users",
            "/groups",
        ],
    ),
    (
        "Synchronization.",
        &["/servicePrincipals/{id}/synchronization", "/muster"],
    ),
    ("AuditLog.", &["/auditLogs"]),
];

/// Said here once more, by hand: a scope that reads changes nothing, and none reaches beyond what it is about.
#[test]
fn a_scope_that_reads_changes_nothing_and_none_reaches_beyond_what_it_is_about() {
    let mut looked = 0;
    for (method, path, operation) in operations() {
        let needs = operation["description"].as_str().unwrap_or_default();
        let needs = needs
            .trim_start_matches("The token needs one of: ")
            .trim_end_matches('.');
        for scope in needs.split(", ").filter(|scope| !scope.is_empty()) {
            looked += 1;
            let changes = method != "GET" && !ASKS.contains(&path.as_str());
            assert!(
                !changes || scope.contains("ReadWrite"),
                "{method} {path}: {scope}"
            );
            if let Some((_, places)) = ABOUT.iter().find(|(begin, _)| scope.starts_with(begin)) {
                assert!(
                    places.iter().any(|place| path.starts_with(place)),
                    "{method} {path}: {scope}"
                );
            }
            // Applications are assigned by a permission of its own, also to those who may change them.
            if changes && path.contains("appRoleAssign") {
                assert_eq!(scope, "AppRoleAssignment.ReadWrite.All", "{method} {path}");
            }
        }
    }
    assert!(looked > 200, "{looked}");
}
