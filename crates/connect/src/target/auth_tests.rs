//! Access tokens, against a token endpoint that counts how often it is asked.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{delete, post};
use futures::future::join_all;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use muster_engine::port::{Keeper, Shape, Target, TargetError, Write};
use muster_model::Secret;
use muster_model::directory::Kind;
use muster_model::job::{Access, Allowed, Credentials, Dialect, OAuth, Scheme};
use muster_model::link::TargetId;

use super::ScimTarget;
use crate::{Http, OutboundPolicy};

/// How many access tokens were given; the target knows the last one alone.
type Given = Arc<AtomicUsize>;

async fn token(State(given): State<Given>, body: String) -> (StatusCode, String) {
    let field = |name: &str| {
        let fields: HashMap<String, String> = form(&body);
        fields.get(name).cloned().unwrap_or_default()
    };
    let signed = field("client_assertion");
    // Each is good once.
    let is_refresh = field("grant_type") == "refresh_token";
    if is_refresh && field("refresh_token") != format!("rt{}", given.load(Ordering::SeqCst)) {
        let refused = r#"{"error":"invalid_grant"}"#;
        return (StatusCode::BAD_REQUEST, refused.to_owned());
    }
    let is_known = match field("grant_type").as_str() {
        "refresh_token" => true,
        _ if !signed.is_empty() => is_signed(&signed),
        _ => field("client_secret") == "new",
    };
    if !is_known {
        let refused = r#"{"error":"invalid_client","error_description":"the secret has expired"}"#;
        return (StatusCode::BAD_REQUEST, refused.to_owned());
    }
    let number = given.fetch_add(1, Ordering::SeqCst) + 1;
    let token = format!(
        r#"{{"access_token":"at{number}","expires_in":3600,"refresh_token":"rt{number}"}}"#
    );
    (StatusCode::OK, token)
}

fn form(body: &str) -> HashMap<String, String> {
    let decode = |text: &str| {
        let text = percent_encoding::percent_decode_str(text);
        text.decode_utf8_lossy().into_owned()
    };
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (decode(name), decode(value)))
        .collect()
}

/// Made for this test with `openssl ecparam -name prime256v1`; nothing else knows it.
const PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE67F3Ma4+VXcQVeoONQHI7GgalJyY
O8V0dHL6bIl5j+usRtZTsJ+fThU/jmuiqMQPQFAXGx2OO7WMDazSTafJvg==
-----END PUBLIC KEY-----
";
/// One line, so that it is taken for no secret of anybody.
const PRIVATE: &str = "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgFao1utmkEgtGIyoE7z4Wy11H1t+LHsFGI1LpoRoN6uKhRANCAATrsXcxrj5VdxBV6g41AcjsaBqUnJg7xXR0cvpsiXmP66xG1lOwn59OFT+Oa6KoxA9AUBcbHY47tYwNrNJNp8m+";

/// Is it what a client says who holds the private key (RFC 7523, 3)?
fn is_signed(assertion: &str) -> bool {
    let header = jsonwebtoken::decode_header(assertion).unwrap();
    assert_eq!(header.kid.as_deref(), Some("k1"));
    let mut validation = Validation::new(Algorithm::ES256);
    validation.set_issuer(&["muster"]);
    validation.validate_aud = false;
    validation.set_required_spec_claims(&["exp", "iss", "sub", "aud"]);
    let key = DecodingKey::from_ec_pem(PUBLIC.as_bytes()).unwrap();
    let claims = jsonwebtoken::decode::<serde_json::Value>(assertion, &key, &validation);
    claims.is_ok_and(|it| {
        let aud = it.claims["aud"].as_str().unwrap_or_default();
        it.claims["sub"] == "muster" && aud.ends_with("/token") && it.claims["jti"].is_string()
    })
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

/// Where a refresh token is kept.
#[derive(Debug, Default)]
pub(super) struct Drawer {
    held: Mutex<Option<Secret<String>>>,
    door: Arc<tokio::sync::Mutex<()>>,
    is_stuck: AtomicBool,
}

#[async_trait]
impl Keeper for Drawer {
    fn door(&self) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.door)
    }

    async fn kept(&self, id: &str) -> Result<Option<Secret<String>>, String> {
        assert_eq!(id, "a1");
        Ok(self.held.lock().unwrap().clone())
    }

    async fn keep(&self, _: &str, refresh: &Secret<String>) -> Result<(), String> {
        // Others get their turn.
        tokio::task::yield_now().await;
        if self.is_stuck.load(Ordering::SeqCst) {
            return Err("it is stuck".to_owned());
        }
        *self.held.lock().unwrap() = Some(refresh.clone());
        Ok(())
    }
}

impl Drawer {
    fn holds(&self) -> Option<String> {
        let held = self.held.lock().unwrap();
        held.as_ref().map(|it| it.expose().clone())
    }
}

fn allowed(url: &str, refresh: &str) -> OAuth {
    OAuth {
        token_url: format!("{url}/token"),
        client_id: "muster".to_owned(),
        scope: None,
        key_id: None,
        allowed: Some(Allowed {
            id: "a1".to_owned(),
            refresh: Secret::new(refresh.to_owned()),
        }),
    }
}

fn target(url: &str, token_path: &str, secret: &str, next: Option<&str>) -> ScimTarget {
    let oauth = OAuth {
        token_url: format!("{url}{token_path}"),
        client_id: "muster".to_owned(),
        scope: None,
        key_id: Some("k1".to_owned()),
        allowed: None,
    };
    target_of(url, oauth, (secret, next), Arc::default())
}

fn target_of(
    url: &str,
    oauth: OAuth,
    (secret, next): (&str, Option<&str>),
    drawer: Arc<Drawer>,
) -> ScimTarget {
    let policy = OutboundPolicy {
        allow_insecure: true,
    };
    let credentials = Credentials {
        tenant_url: url.to_owned(),
        secret_token: Secret::new(secret.to_owned()),
        access: Access {
            scheme: Scheme::OAuth(oauth),
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
    ScimTarget::new(Http::new(policy).unwrap(), &credentials, &shape, drawer).unwrap()
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

/// RFC 7523, 2.2: a client that holds a private key says who it is by signing.
#[tokio::test]
async fn a_private_key_signs_for_the_client() {
    let url = server(Given::default()).await;
    let key = format!("-----BEGIN PRIVATE KEY-----\n{PRIVATE}\n-----END PRIVATE KEY-----\n");
    gone(&target(&url, "/token", &key, None)).await.unwrap();
    // One that was staged takes over.
    let old = "an old secret";
    gone(&target(&url, "/token", old, Some(&key)))
        .await
        .unwrap();
}

#[test]
fn a_key_that_cannot_sign_is_refused_when_it_is_given() {
    for pem in [
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----",
    ] {
        let policy = OutboundPolicy {
            allow_insecure: true,
        };
        let credentials = Credentials {
            tenant_url: "http://127.0.0.1:1".to_owned(),
            secret_token: Secret::new(pem.to_owned()),
            access: Access {
                scheme: Scheme::OAuth(OAuth {
                    token_url: "http://127.0.0.1:1/token".to_owned(),
                    client_id: "muster".to_owned(),
                    scope: None,
                    key_id: None,
                    allowed: None,
                }),
                ..Access::default()
            },
        };
        let http = Http::new(policy).unwrap();
        let auth = super::auth::Auth::new(&http, &credentials, Arc::<Drawer>::default());
        let error = auth.unwrap_err().to_string();
        assert!(error.contains("PKCS #8"), "{error}");
    }
}

/// RFC 6749, 6: each refresh token is good once, and the next one is kept before anything else is done.
#[tokio::test]
async fn a_refresh_token_is_exchanged_for_the_next_one_which_is_kept() {
    let given = Given::default();
    let url = server(Arc::clone(&given)).await;
    let drawer = Arc::<Drawer>::default();
    let oauth = allowed(&url, "rt0");
    let target = target_of(&url, oauth.clone(), ("", None), Arc::clone(&drawer));
    gone(&target).await.unwrap();
    assert_eq!(drawer.holds().as_deref(), Some("rt1"));
    // Another process has exchanged it, and the access token is good no more.
    given.fetch_add(1, Ordering::SeqCst);
    drawer
        .keep("a1", &Secret::new("rt2".to_owned()))
        .await
        .unwrap();
    gone(&target).await.unwrap();
    assert_eq!(drawer.holds().as_deref(), Some("rt3"));
    // Whoever has it from before is refused, and no object is at fault.
    let old = target_of(&url, oauth, ("", None), Arc::default());
    let error = gone(&old).await.unwrap_err();
    assert!(error.stops_the_cycle(), "{error:?}");
}

/// A token that is shown twice may cost both: a cycle and a test of the connection take turns.
#[tokio::test]
async fn two_targets_of_a_job_do_not_exchange_the_same_token() {
    let given = Given::default();
    let url = server(Arc::clone(&given)).await;
    let drawer = Arc::<Drawer>::default();
    let new = || target_of(&url, allowed(&url, "rt0"), ("", None), Arc::clone(&drawer));
    let targets: Vec<ScimTarget> = (0..8).map(|_| new()).collect();
    // The server knows the last access token alone; what counts is that nobody is refused one.
    for answer in join_all(targets.iter().map(gone)).await {
        if let Err(error) = answer {
            assert!(!error.to_string().contains("no access token"), "{error}");
        }
    }
    assert_eq!(
        drawer.holds(),
        Some(format!("rt{}", given.load(Ordering::SeqCst)))
    );
}

#[tokio::test]
async fn a_token_that_could_not_be_kept_is_the_one_that_is_used_and_kept_later() {
    let given = Given::default();
    let url = server(Arc::clone(&given)).await;
    let drawer = Arc::<Drawer>::default();
    drawer
        .keep("a1", &Secret::new("rt0".to_owned()))
        .await
        .unwrap();
    let target = target_of(&url, allowed(&url, "rt0"), ("", None), Arc::clone(&drawer));
    drawer.is_stuck.store(true, Ordering::SeqCst);
    gone(&target).await.unwrap();
    assert_eq!(drawer.holds().as_deref(), Some("rt0"), "the old one");
    // The access token is taken back, and what is kept is not taken for the newest.
    let again = async || {
        target.auth.expire().await;
        gone(&target).await
    };
    again().await.unwrap();
    drawer.is_stuck.store(false, Ordering::SeqCst);
    again().await.unwrap();
    assert_eq!(drawer.holds().as_deref(), Some("rt3"));
}

/// What is wrong with what was allowed is nothing that another client secret mends.
#[tokio::test]
async fn a_staged_secret_is_not_tried_for_what_is_not_allowed_any_more() {
    let given = Given::default();
    let url = server(Arc::clone(&given)).await;
    let target = target_of(
        &url,
        allowed(&url, "gone"),
        ("old", Some("new")),
        Arc::default(),
    );
    let error = gone(&target).await.unwrap_err();
    assert!(error.to_string().contains("invalid_grant"), "{error}");
    assert_eq!(given.load(Ordering::SeqCst), 0);
}
