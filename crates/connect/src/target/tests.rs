//! The target on the wire, against a server that answers as some do.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::routing::patch;
use muster_engine::port::{References, Shape, Target, Write};
use muster_model::Secret;
use muster_model::directory::Kind;
use muster_model::job::{Access, Credentials, Dialect};
use muster_model::link::TargetId;

use super::ScimTarget;
use crate::{Http, OutboundPolicy};

#[tokio::test]
async fn members_that_are_gone_already_do_not_keep_others_from_being_removed() {
    // RFC 7644, 3.5.2.2: some answer `noTarget` to the removal of what is not there.
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let answer = move |body: Bytes| {
        let text = String::from_utf8(body.to_vec()).unwrap();
        let answer = if text.contains("gone") {
            let error = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:Error"],
                "status":"400","scimType":"noTarget","detail":"no such member"}"#;
            (StatusCode::BAD_REQUEST, error)
        } else {
            (StatusCode::NO_CONTENT, "")
        };
        noted.lock().unwrap().push((text, answer.0));
        std::future::ready(answer)
    };
    let router = Router::new().route("/Groups/{id}", patch(answer));
    let (target, server) = target(router, Dialect::default()).await;
    let ids = ["one", "gone", "two"].map(|id| TargetId(id.to_owned()));
    let group = TargetId("group".to_owned());
    let remove = Write::RemoveReferences(References {
        owner: &group,
        path: "members",
        referred: &ids,
    });
    assert_eq!(target.write(Kind::Group, &remove).await, Ok(None));
    server.abort();
    let seen = seen.lock().unwrap();
    let removed: Vec<&str> = ["one", "two"]
        .into_iter()
        .filter(|id| {
            let named = format!("\\\"{id}\\\"");
            seen.iter()
                .any(|(text, status)| text.contains(&named) && status.is_success())
        })
        .collect();
    assert_eq!((removed, seen.len()), (vec!["one", "two"], 4), "{seen:?}");
}

/// Makes accounts by bulk requests, of which a server takes so many operations at most.
#[tokio::test]
async fn a_bulk_request_that_is_too_large_is_sent_in_parts() {
    // RFC 7644, 3.7.4
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&seen);
    let answer = move |body: Bytes| {
        let request: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let operations = request["Operations"].as_array().unwrap();
        noted.lock().unwrap().push(operations.len());
        let answer = if operations.len() > 2 {
            (StatusCode::PAYLOAD_TOO_LARGE, String::new())
        } else {
            let answers = operations.iter().map(|it| {
                let name = it["data"]["userName"].as_str().unwrap();
                serde_json::json!({ "method": "POST", "bulkId": it["bulkId"], "status": "201",
                    "location": format!("https://target.test/Users/{name}"),
                    "response": { "id": name } })
            });
            let answers: Vec<serde_json::Value> = answers.collect();
            let whole = serde_json::json!({
                "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkResponse"],
                "Operations": answers
            });
            (StatusCode::OK, whole.to_string())
        };
        std::future::ready(answer)
    };
    let router = Router::new().route("/Bulk", axum::routing::post(answer));
    let (target, server) = target(
        router,
        Dialect {
            bulk: 100,
            ..Dialect::default()
        },
    )
    .await;
    let names: Vec<String> = (0..9).map(|number| format!("u{number}")).collect();
    let made = names.iter().map(|name| {
        let values = [("userName", muster_model::Value::from(name.as_str()))];
        let target = &target;
        async move { target.write(Kind::User, &Write::Create(&values)).await }
    });
    let made = futures::future::join_all(made).await;
    server.abort();
    for (name, made) in names.iter().zip(made) {
        assert_eq!(made, Ok(Some(TargetId(name.clone()))));
    }
    let seen = seen.lock().unwrap();
    assert!(seen.iter().any(|many| *many > 2), "{seen:?}");
    let taken: usize = seen.iter().filter(|many| **many <= 2).sum();
    assert_eq!(taken, 9, "{seen:?}");
}

/// A target that speaks to this server.
async fn target(
    router: Router,
    dialect: Dialect,
) -> (ScimTarget, tokio::task::JoinHandle<std::io::Result<()>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let policy = OutboundPolicy {
        allow_insecure: true,
    };
    let credentials = Credentials {
        tenant_url: format!("http://{address}"),
        secret_token: Secret::new("token".to_owned()),
        access: Access::default(),
    };
    let shape = Shape {
        hidden: Vec::new(),
        user_paths: vec!["userName".to_owned()],
        group_paths: vec!["displayName".to_owned()],
        user_match: "userName".to_owned(),
        group_match: Some("displayName".to_owned()),
        dialect,
    };
    let target = ScimTarget::new(
        Http::new(policy).unwrap(),
        &credentials,
        &shape,
        Arc::<super::auth_tests::Drawer>::default(),
    );
    (target.unwrap(), server)
}
