//! Records the bodies of a cycle, and sends them again with nothing but an HTTP client.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use futures::stream::{self, StreamExt, TryStreamExt};
use reqwest::Client;

use crate::stage::Target;

/// Requests in flight: as many as the engine may have.
const CONCURRENCY: usize = 64;

/// A request with a body, and the id that its answer gave.
#[derive(Clone, Debug)]
struct Sent {
    method: String,
    /// Behind the SCIM URL.
    path: String,
    body: String,
    id: Option<String>,
}

/// Everything that a cycle sent.
#[derive(Debug)]
pub(crate) struct Script {
    /// POST /Users, PATCH /Users, POST /Groups, PATCH /Groups: each after the one before.
    phases: [Vec<Sent>; 4],
}

impl Script {
    pub(crate) fn requests(&self) -> usize {
        self.phases.iter().map(Vec::len).sum()
    }
}

/// Sits in front of the provider while it is on.
#[derive(Clone, Default)]
pub(crate) struct Recorder {
    sent: Arc<Mutex<Option<Vec<Sent>>>>,
}

impl Recorder {
    pub(crate) fn layer(&self, router: Router) -> Router {
        router.layer(from_fn_with_state(self.clone(), record))
    }

    pub(crate) fn start(&self) {
        *self.lock() = Some(Vec::new());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<Sent>>> {
        self.sent
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Turns recording off.
    pub(crate) fn finish(&self, scim_url: &str) -> Script {
        let sent = self.lock().take().unwrap_or_default();
        let (_, base) = scim_url.split_at(scim_url.find("/scim/").unwrap_or_default());
        let mut phases = [const { Vec::new() }; 4];
        for mut one in sent {
            let Some(path) = one.path.strip_prefix(base).map(str::to_owned) else {
                continue;
            };
            let phase = match (one.method.as_str(), path.starts_with("/Users")) {
                ("POST", true) => 0,
                ("PATCH", true) => 1,
                ("POST", false) => 2,
                ("PATCH", false) => 3,
                _ => continue,
            };
            one.path = path;
            phases[phase].push(one);
        }
        Script { phases }
    }
}

async fn record(State(recorder): State<Recorder>, request: Request, next: Next) -> Response {
    if recorder.lock().is_none() {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let (method, path) = (parts.method.to_string(), parts.uri.path().to_owned());
    let text = String::from_utf8_lossy(&body).into_owned();
    let response = next.run(Request::from_parts(parts, Body::from(body))).await;
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    if method == "POST" || method == "PATCH" {
        let answer = serde_json::from_slice::<serde_json::Value>(&body).unwrap_or_default();
        let id = answer["id"].as_str().map(str::to_owned);
        if let Some(sent) = recorder.lock().as_mut() {
            sent.push(Sent {
                method,
                path,
                body: text,
                id,
            });
        }
    }
    Response::from_parts(parts, Body::from(body))
}

/// Sends a script to another integration; ids of the recording become those of this run.
pub(crate) async fn replay(script: &Script, target: &Target) -> Result<()> {
    let client = Client::builder()
        .pool_max_idle_per_host(CONCURRENCY)
        .tcp_nodelay(true)
        .build()?;
    let mut ids: HashMap<String, String> = HashMap::new();
    for (number, phase) in script.phases.iter().enumerate() {
        // Two requests on one object are never in flight together.
        let mut lanes: Vec<Vec<&Sent>> = Vec::new();
        let mut of_path: HashMap<&str, usize> = HashMap::new();
        for sent in phase {
            if number % 2 == 0 {
                lanes.push(vec![sent]);
            } else {
                let lane = *of_path.entry(&sent.path).or_insert_with(|| {
                    lanes.push(Vec::new());
                    lanes.len() - 1
                });
                lanes[lane].push(sent);
            }
        }
        let known = &ids;
        let client = &client;
        let made: Vec<Vec<(String, String)>> = stream::iter(lanes)
            .map(|lane| async move {
                let mut made = Vec::new();
                for sent in lane {
                    made.extend(send(client, target, sent, known).await?);
                }
                Ok::<_, anyhow::Error>(made)
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        ids.extend(made.into_iter().flatten());
    }
    Ok(())
}

async fn send(
    client: &Client,
    target: &Target,
    sent: &Sent,
    ids: &HashMap<String, String>,
) -> Result<Option<(String, String)>> {
    let renamed = |text: &str| rename(text, ids);
    let (path, body) = match sent.method.as_str() {
        "PATCH" => (renamed(&sent.path), renamed(&sent.body)),
        _ => (sent.path.clone(), sent.body.clone()),
    };
    let url = format!("{}{path}", target.scim_url);
    let request = match sent.method.as_str() {
        "POST" => client.post(url),
        _ => client.patch(url),
    };
    let response = request
        .bearer_auth(&target.token)
        .header("content-type", "application/scim+json")
        .body(body)
        .send()
        .await?;
    ensure!(
        response.status().is_success(),
        "HTTP {} for {path}",
        response.status()
    );
    let answer = response.bytes().await?;
    if sent.method != "POST" {
        return Ok(None);
    }
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    let new = answer["id"].as_str().context("no id")?.to_owned();
    Ok(sent.id.clone().map(|old| (old, new)))
}

/// Replaces every known id; ids are 36 characters between quotes or slashes.
fn rename(text: &str, ids: &HashMap<String, String>) -> String {
    let mut out = String::with_capacity(text.len());
    for part in text.split_inclusive(['"', '/']) {
        let (word, end) = part.split_at(part.len() - usize::from(part.ends_with(['"', '/'])));
        out.push_str(ids.get(word).map_or(word, String::as_str));
        out.push_str(end);
    }
    out
}
