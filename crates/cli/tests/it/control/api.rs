//! The API of one tenant, with a token.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use http::{HeaderMap, Request};
use muster_app::{Ctx, api_tokens};
use muster_connect::{Connections, Http, OutboundPolicy};
use muster_engine::{Engine, EngineOptions};
use muster_model::{Clock, TenantId};
use muster_testkit::{FixedClock, TestStore};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tower::ServiceExt as _;

const BASE: &str = "http://localhost/v1.0";

pub(crate) struct Api {
    pub(crate) ctx: Ctx,
    pub(crate) token: String,
    router: Router,
}

impl Api {
    /// With a token that may do everything.
    pub(crate) async fn of(test: &TestStore, clock: &Arc<FixedClock>, tenant: TenantId) -> Self {
        let store = test.store.clone();
        let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
        let policy = OutboundPolicy {
            allow_insecure: true,
        };
        let http = Http::new(policy).unwrap();
        let engine = Engine::new(EngineOptions {
            store: store.clone(),
            clock: Arc::clone(&clock),
            connector: Arc::new(Connections::new(store.clone(), http.clone())),
            owner: "test".to_owned(),
            prefetch_after: muster_engine::AFTER,
        });
        let ctx = Ctx {
            tenant,
            actor: "ana".to_owned(),
            store,
            clock,
            engine: Arc::new(engine),
            courier: Arc::new(http),
        };
        let router = muster_graph_api::router(ctx.clone(), None, false, Arc::new(Notify::new()));
        let api = Self {
            ctx,
            token: String::new(),
            router,
        };
        let token = api.token(&[]).await;
        Self { token, ..api }
    }

    /// A new token with these permissions.
    pub(crate) async fn token(&self, scopes: &[&str]) -> String {
        let name = format!("test {}", scopes.join(" "));
        let scopes: Vec<String> = scopes.iter().map(|it| (*it).to_owned()).collect();
        let made = api_tokens::create(&self.ctx, &name, &scopes, None).await;
        made.unwrap().1.expose().clone()
    }

    /// Status, headers and body (null without one).
    pub(crate) async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, HeaderMap, Value) {
        self.exchange_with(&self.token, method, path, body).await
    }

    pub(crate) async fn exchange_with(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> (u16, HeaderMap, Value) {
        let path = path.strip_prefix(BASE).unwrap_or(path).replace(' ', "%20");
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1.0{path}"))
            .header("host", "localhost")
            .header("consistencylevel", "eventual")
            .header("authorization", format!("Bearer {token}"))
            .body(Body::from(body.map_or_else(String::new, Value::to_string)));
        let answer = self.router.clone().oneshot(request.unwrap()).await.unwrap();
        let (parts, body) = answer.into_parts();
        let bytes = to_bytes(body, usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or_default();
        (parts.status.as_u16(), parts.headers, body)
    }

    pub(crate) async fn done(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, _, answer) = self.exchange(method, path, body).await;
        assert!(status < 300, "{method} {path}: {status} {answer}");
        answer
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        self.done("GET", path, None).await
    }

    pub(crate) async fn user(&self, name: &str) -> String {
        let body = json!({
            "accountEnabled": true, "displayName": format!("Ada {name}"), "mailNickname": name,
            "userPrincipalName": format!("{name}@contoso.example"),
            "passwordProfile": { "password": "w8!Kest-rel-09" }
        });
        id(&self.done("POST", "/users", Some(&body)).await)
    }

    pub(crate) async fn group(&self, name: &str) -> String {
        let body = json!({
            "displayName": name, "mailEnabled": false, "mailNickname": "group", "securityEnabled": true
        });
        id(&self.done("POST", "/groups", Some(&body)).await)
    }
}

pub(crate) fn id(of: &Value) -> String {
    of["id"].as_str().unwrap().to_owned()
}

/// The operations by method and path, with what the description says of each.
pub(crate) fn operations() -> Vec<(String, String, Value)> {
    let text = include_str!("../../../../graph-api/openapi.json");
    let document: Value = serde_json::from_str(text).unwrap();
    let mut operations = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            operations.push((method.to_uppercase(), path.clone(), operation.clone()));
        }
    }
    assert!(operations.len() > 90);
    operations
}
