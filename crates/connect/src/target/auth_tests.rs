//! Access tokens, against a token endpoint that counts how often it is asked.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, post};
use futures::future::join_all;
use muster_engine::port::{Shape, Target, TargetError, Write};
use muster_model::Secret;
use muster_model::directory::Kind;
use muster_model::job::{Access, Credentials, Dialect, Scheme};
use muster_model::link::TargetId;

use super::ScimTarget;
use crate::{Http, OutboundPolicy};

/// How many access tokens were given; the target knows the last one alone.
type Given = Arc<AtomicUsize>;

async fn token(State(given): State<Given>, body: String) -> (StatusCode, String) {
    if !body.contains("client_secret=new") {
        let refused = r#"{"error":"invalid_client","error_description":"the secret has expired"}"#;
        return (StatusCode::BAD_REQUEST, refused.to_owned());
    }
    let number = given.fetch_add(1, Ordering::SeqCst) + 1;
    let token =
        format!(r#"{{"access_token":"at{number}","token_type":"bearer","expires_in":3600}}"#);
    (StatusCode::OK, token)
}

async fn remove(State(given): State<Given>, headers: HeaderMap) -> StatusCode {
    let known = format!("Bearer at{}", given.load(Ordering::SeqCst));
    if headers
        .get("authorization")
        .is_some_and(|it| it == known.as_str())
    {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::UNAUTHORIZED
    }
}

async fn server(given: Given) -> String {
    let router = Router::new()
        .route("/token", post(token))
        .route("/Users/{id}", delete(remove))
        .with_state(given);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Ends with the runtime of the test.
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn target(url: &str, token_path: &str, secret: &str, next: Option<&str>) -> ScimTarget {
    let policy = OutboundPolicy {
        allow_insecure: true,
    };
    let credentials = Credentials {
        tenant_url: url.to_owned(),
        secret_token: Secret::new(secret.to_owned()),
        access: Access {
            scheme: Scheme::ClientCredentials {
                token_url: format!("{url}{token_path}"),
                client_id: "muster".to_owned(),
                scope: None,
            },
            next: next.map(|next| Secret::new(next.to_owned())),
            expires: None,
        },
    };
    let shape = Shape {
        hidden: Vec::new(),
        user_paths: vec!["userName".to_owned()],
        group_paths: Vec::new(),
        user_match: "userName".to_owned(),
        group_match: None,
        dialect: Dialect::default(),
    };
    ScimTarget::new(Http::new(policy).unwrap(), &credentials, &shape).unwrap()
}

async fn gone(target: &ScimTarget) -> Result<(), TargetError> {
    let id = TargetId("1".to_owned());
    target
        .write(Kind::User, &Write::Delete(&id))
        .await
        .map(drop)
}

/// RFC 6749, 5.2: a client that is refused is told by 400, and then the whole job is: no object is at fault.
#[tokio::test]
async fn a_client_that_is_refused_stops_the_job_and_nothing_counts_as_done() {
    let url = server(Given::default()).await;
    for path in ["/token", "/nowhere"] {
        let error = gone(&target(&url, path, "old", None)).await.unwrap_err();
        assert!(error.stops_the_cycle(), "{path}: {error:?}");
        assert!(!error.to_string().contains("client_secret"), "{error}");
    }
}

#[tokio::test]
async fn a_staged_client_secret_takes_over_when_the_first_one_is_refused() {
    let given = Given::default();
    let url = server(Arc::clone(&given)).await;
    let target = target(&url, "/token", "old", Some("new"));
    let all = join_all((0..20).map(|_| gone(&target))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(given.load(Ordering::SeqCst), 1, "one for all");
}

#[tokio::test]
async fn an_access_token_that_was_taken_back_is_got_anew_once_for_all_who_were_refused() {
    let given = Given::default();
    let url = server(Arc::clone(&given)).await;
    let target = target(&url, "/token", "new", None);
    gone(&target).await.unwrap();
    // Somebody else's token, and ours is none any more.
    given.fetch_add(1, Ordering::SeqCst);
    let all = join_all((0..20).map(|_| gone(&target))).await;
    assert!(all.iter().all(Result::is_ok), "{all:?}");
    assert_eq!(given.load(Ordering::SeqCst), 3);
}
