//! `muster app authorize`: somebody allows it in a browser, and the answer comes to a port of this machine
//! (RFC 8252, 7.3).

use std::collections::HashMap;
use std::time::Duration;

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Html;
use axum::routing::get;
use muster_app::AppError;
use muster_connect::authorize;
use muster_model::Secret;
use muster_model::job::{Access, Credentials, OAuth, Scheme};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::app::instant;
use crate::args::Asking;
use crate::node::Node;
use crate::output::Out;

/// How long somebody may take to answer.
const PATIENCE: Duration = Duration::from_mins(10);
/// How often it is looked whether whoever asked is still there.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

type Answer = HashMap<String, String>;

/// Asks, waits, and answers credentials that act for whoever allowed it.
pub(super) async fn authorize(
    node: &Node,
    asking: Asking,
    out: &Out,
) -> Result<Credentials, AppError> {
    let expires = asking.expires.map(instant).transpose()?;
    let secret = Secret::new(asking.token.secret_token.unwrap_or_default());
    let oauth = OAuth {
        token_url: asking.token_url,
        client_id: asking.client_id,
        scope: asking.oauth_scope,
        key_id: asking.key_id,
        allowed: None,
    };
    let refused = |error: std::io::Error| {
        AppError::Refused(format!(
            "cannot listen for the answer: {error}; choose another port"
        ))
    };
    let listener = TcpListener::bind(("127.0.0.1", asking.redirect_port)).await;
    let listener = listener.map_err(refused)?;
    let port = listener.local_addr().map_err(refused)?.port();
    let redirect = format!("http://127.0.0.1:{port}/callback");
    let wrong = |error: muster_engine::port::TargetError| AppError::Refused(error.to_string());
    let asked = authorize::ask(&node.http, &asking.authorization_url, &oauth, &redirect);
    let asked = asked.map_err(wrong)?;
    out.note(format!(
        "Open this address in a browser, and allow it:\n{}",
        asked.url
    ))
    .await;
    let code = code(listener, &asked.state, out).await?;
    let allowed = authorize::redeem(&node.http, &oauth, &secret, &asked, &code).await;
    let allowed = allowed.map_err(wrong)?;
    let access = Access {
        scheme: Scheme::OAuth(OAuth {
            allowed: Some(allowed),
            ..oauth
        }),
        expires,
        ..Access::default()
    };
    Ok(Credentials {
        tenant_url: asking.tenant_url,
        secret_token: secret,
        access,
    })
}

/// Waits for the answer that belongs to `state`; others are told that they are not meant.
async fn code(listener: TcpListener, state: &str, out: &Out) -> Result<String, AppError> {
    let (answers, mut answered) = mpsc::channel::<Answer>(1);
    let router = Router::new()
        .route("/callback", get(take))
        .with_state((answers, state.to_owned()));
    let server = async { axum::serve(listener, router).await };
    let gone = async {
        while !out.is_closed() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    };
    let given_up = |why: &str| Err(AppError::Refused(format!("nobody has allowed it: {why}")));
    let answer = tokio::select! {
        answer = answered.recv() => answer.unwrap_or_default(),
        _ = server => return given_up("the answer could not be taken"),
        () = tokio::time::sleep(PATIENCE) => return given_up("no answer came within ten minutes"),
        () = gone => return given_up("whoever asked is gone"),
    };
    // The page is sent before the listener goes.
    match (answer.get("code"), answer.get("error")) {
        (Some(code), _) => Ok(code.clone()),
        (None, Some(error)) => {
            let more = answer.get("error_description").map_or("", String::as_str);
            let said: String = format!("{error} {more}").chars().take(200).collect();
            given_up(said.trim())
        }
        (None, None) => given_up("the answer holds no code"),
    }
}

async fn take(
    State((answers, state)): State<(mpsc::Sender<Answer>, String)>,
    Query(answer): Query<Answer>,
) -> Html<&'static str> {
    if answer.get("state") != Some(&state) {
        return Html("<!doctype html><title>Muster</title><p>This answer was not asked for.");
    }
    // One answer is enough.
    let _ = answers.try_send(answer);
    Html("<!doctype html><title>Muster</title><p>Muster has the answer; this window can be closed.")
}
