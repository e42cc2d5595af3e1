//! The reference of the provider's measurements: a server that looks like SCIM and has no rules at
//! all. One parse, one row, one answer; one writer thread that commits what is waiting together.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as Segment, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use parking_lot::Mutex;
use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// Writes of one commit at most, as many as ours.
const GROUP: usize = 512;

type Work = Box<dyn FnOnce(&Connection) -> Box<dyn FnOnce() + Send> + Send>;

#[derive(Clone)]
struct Bare {
    path: Arc<PathBuf>,
    readers: Arc<Mutex<Vec<Connection>>>,
    writer: mpsc::Sender<Work>,
    next: Arc<AtomicU64>,
}

/// Listens on a free port and says where, until the process ends.
pub(crate) async fn serve(file: &Path) -> Result<()> {
    let connection = connect(file)?;
    connection.execute_batch(
        "CREATE TABLE resources (id TEXT PRIMARY KEY, name TEXT NOT NULL, external TEXT, doc TEXT NOT NULL);
         CREATE UNIQUE INDEX names ON resources (name);
         CREATE INDEX externals ON resources (external);
         CREATE TABLE members (owner TEXT, member TEXT, PRIMARY KEY (owner, member)) WITHOUT ROWID;
         CREATE INDEX holders ON members (member);",
    )?;
    let (writer, queue) = mpsc::channel(1024);
    thread::spawn(move || write(&connection, queue));
    let bare = Bare {
        path: Arc::new(file.to_owned()),
        readers: Arc::default(),
        writer,
        next: Arc::new(AtomicU64::new(1)),
    };
    let kind = || get(list).post(create);
    let one = || get(read).patch(patch).delete(delete);
    let router = Router::new()
        .route("/Users", kind())
        .route("/Groups", kind())
        .route("/Users/{id}", one())
        .route("/Groups/{id}", one())
        .with_state(bare);
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!(
        "{}",
        json!({ "url": format!("http://{}", listener.local_addr()?) })
    );
    muster_web::serve(listener, router, Vec::new(), CancellationToken::new()).await;
    Ok(())
}

fn connect(file: &Path) -> Result<Connection> {
    let connection = Connection::open(file)?;
    connection.execute_batch(
        "PRAGMA page_size = 8192; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 8000; PRAGMA cache_size = -64000; PRAGMA busy_timeout = 10000;",
    )?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

fn write(connection: &Connection, mut queue: mpsc::Receiver<Work>) {
    while let Some(first) = queue.blocking_recv() {
        let _ = connection.execute_batch("BEGIN IMMEDIATE");
        let mut answers = vec![first(connection)];
        while answers.len() < GROUP
            && let Ok(work) = queue.try_recv()
        {
            answers.push(work(connection));
        }
        let _ = connection.execute_batch("COMMIT");
        for answer in answers {
            answer();
        }
    }
}

impl Bare {
    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StatusCode> {
        let (told, answer) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            let result = work(connection);
            Box::new(move || drop(told.send(result)))
        });
        let gone = || StatusCode::INTERNAL_SERVER_ERROR;
        self.writer.send(work).await.map_err(|_| gone())?;
        let result = answer.await.map_err(|_| gone())?;
        result.map_err(|_| StatusCode::CONFLICT)
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StatusCode> {
        let idle = self.readers.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.path).map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?,
        };
        let result = work(&connection);
        self.readers.lock().push(connection);
        result.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
    }
}

type Answer = Result<Response, StatusCode>;

fn told(status: StatusCode, doc: String) -> Response {
    (status, [("content-type", "application/scim+json")], doc).into_response()
}

async fn create(State(bare): State<Bare>, body: Bytes) -> Answer {
    let mut doc: Value = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let number = bare.next.fetch_add(1, Ordering::Relaxed);
    // In the order of time, as ours are.
    let id = format!("00000000-0000-7000-8000-{number:012x}");
    doc["id"] = json!(id);
    let text = |name: &str| doc[name].as_str().map(str::to_lowercase);
    let name = text("userName").or_else(|| text("displayName"));
    let external = doc["externalId"].as_str().map(str::to_owned);
    let doc = doc.to_string();
    let kept = doc.clone();
    bare.write(move |connection| {
        connection
            .prepare_cached("INSERT INTO resources VALUES (?1, ?2, ?3, ?4)")?
            .execute(params![id, name, external, kept])
    })
    .await?;
    Ok(told(StatusCode::CREATED, doc))
}

async fn read(State(bare): State<Bare>, Segment(id): Segment<String>) -> Answer {
    let found: Option<String> = bare.read(|connection| {
        connection
            .prepare_cached("SELECT doc FROM resources WHERE id = ?1")?
            .query_row([id], |row| row.get(0))
            .optional()
    })?;
    Ok(told(StatusCode::OK, found.ok_or(StatusCode::NOT_FOUND)?))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    filter: Option<String>,
    start_index: Option<i64>,
    count: Option<i64>,
}

async fn list(State(bare): State<Bare>, Query(asked): Query<Asked>) -> Answer {
    let docs: Vec<String> = bare.read(|connection| {
        if let Some(filter) = &asked.filter {
            let mut parts = filter.splitn(3, ' ');
            let (name, value) = (parts.next(), parts.nth(1).unwrap_or_default());
            let value = value.trim_matches('"');
            let sql = match name {
                Some("externalId") => "SELECT doc FROM resources WHERE external = ?1",
                _ => "SELECT doc FROM resources WHERE name = ?1",
            };
            let value = match name {
                Some("externalId") => value.to_owned(),
                _ => value.to_lowercase(),
            };
            return connection
                .prepare_cached(sql)?
                .query_map([value], |row| row.get(0))?
                .collect();
        }
        connection
            .prepare_cached("SELECT doc FROM resources ORDER BY id LIMIT ?1 OFFSET ?2")?
            .query_map(
                params![
                    asked.count.unwrap_or(100),
                    asked.start_index.unwrap_or(1) - 1
                ],
                |row| row.get(0),
            )?
            .collect()
    })?;
    let documents: Vec<Value> = docs
        .iter()
        .filter_map(|doc| serde_json::from_str(doc).ok())
        .collect();
    let list = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"],
        "totalResults": documents.len(),
        "Resources": documents,
    });
    Ok(told(StatusCode::OK, list.to_string()))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Patch {
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    path: String,
    value: Value,
}

async fn patch(State(bare): State<Bare>, Segment(id): Segment<String>, body: Bytes) -> Answer {
    let patch: Patch = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let doc = bare
        .write(move |connection| {
            if patch.operations[0].path == "members" {
                for member in patch.operations[0].value.as_array().into_iter().flatten() {
                    connection
                        .prepare_cached("INSERT OR IGNORE INTO members VALUES (?1, ?2)")?
                        .execute(params![id, member["value"].as_str()])?;
                }
                return Ok(None);
            }
            let doc: String = connection
                .prepare_cached("SELECT doc FROM resources WHERE id = ?1")?
                .query_row([&id], |row| row.get(0))?;
            let mut doc: Value = serde_json::from_str(&doc).unwrap_or_default();
            for operation in patch.operations {
                doc[operation.path] = operation.value;
            }
            let doc = doc.to_string();
            connection
                .prepare_cached("UPDATE resources SET doc = ?1 WHERE id = ?2")?
                .execute(params![doc, id])?;
            Ok(Some(doc))
        })
        .await?;
    Ok(match doc {
        Some(doc) => told(StatusCode::OK, doc),
        None => StatusCode::NO_CONTENT.into_response(),
    })
}

async fn delete(State(bare): State<Bare>, Segment(id): Segment<String>) -> Answer {
    bare.write(move |connection| {
        connection
            .prepare_cached("DELETE FROM members WHERE member = ?1")?
            .execute([&id])?;
        connection
            .prepare_cached("DELETE FROM resources WHERE id = ?1")?
            .execute([&id])
    })
    .await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
