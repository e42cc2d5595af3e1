//! The reference of the provider's measurements: a server that looks like SCIM and has no rules at
//! all. One parse, one row, one answer; on SQLite one writer thread that commits what is waiting
//! together, on PostgreSQL a pool of connections.

mod postgres;
mod sqlite;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as Segment, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
enum Rows {
    Sqlite(sqlite::Rows),
    Postgres(postgres::Rows),
}

/// One resource.
struct Row {
    id: String,
    name: Option<String>,
    external: Option<String>,
    doc: String,
}

/// By what a resource is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    Id,
    Name,
    External,
}

impl By {
    /// What looks a resource up, on either database.
    const fn sql(self) -> &'static str {
        match self {
            Self::Id => "SELECT doc FROM resources WHERE id = $1",
            Self::Name => "SELECT doc FROM resources WHERE name = $1",
            Self::External => "SELECT doc FROM resources WHERE external = $1",
        }
    }
}

/// Does the same on either.
macro_rules! rows {
    ($rows:expr, $name:ident($($given:expr),*)) => {
        match &$rows {
            Rows::Sqlite(rows) => rows.$name($($given),*).await,
            Rows::Postgres(rows) => rows.$name($($given),*).await,
        }
    };
}

#[derive(Clone)]
struct Bare {
    rows: Rows,
    next: Arc<AtomicU64>,
}

/// Listens on a free port and says where, until the process ends. Keeps its rows in a new file, or in a
/// database at a URL of PostgreSQL.
pub(crate) async fn serve(place: &str) -> Result<()> {
    let rows = if place.starts_with("postgres") {
        Rows::Postgres(postgres::Rows::open(place).await?)
    } else {
        Rows::Sqlite(sqlite::Rows::open(Path::new(place))?)
    };
    let bare = Bare {
        rows,
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
    muster_web::serve(listener, router, Vec::new(), None, CancellationToken::new()).await;
    Ok(())
}

type Answer = Result<Response, StatusCode>;

/// What the store could not do.
fn failed(_: impl std::fmt::Debug) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

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
    let row = Row {
        id,
        name: text("userName").or_else(|| text("displayName")),
        external: doc["externalId"].as_str().map(str::to_owned),
        doc: doc.to_string(),
    };
    let doc = row.doc.clone();
    rows!(bare.rows, insert(row))?;
    Ok(told(StatusCode::CREATED, doc))
}

async fn read(State(bare): State<Bare>, Segment(id): Segment<String>) -> Answer {
    let mut found = rows!(bare.rows, find(By::Id, id))?;
    Ok(told(
        StatusCode::OK,
        found.pop().ok_or(StatusCode::NOT_FOUND)?,
    ))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Asked {
    filter: Option<String>,
    start_index: Option<i64>,
    count: Option<i64>,
}

async fn list(State(bare): State<Bare>, Query(asked): Query<Asked>) -> Answer {
    let docs = if let Some(filter) = &asked.filter {
        let mut parts = filter.splitn(3, ' ');
        let (name, value) = (parts.next(), parts.nth(1).unwrap_or_default());
        let value = value.trim_matches('"');
        let (by, value) = match name {
            Some("externalId") => (By::External, value.to_owned()),
            _ => (By::Name, value.to_lowercase()),
        };
        rows!(bare.rows, find(by, value))?
    } else {
        let (start, count) = (asked.start_index.unwrap_or(1), asked.count.unwrap_or(100));
        rows!(bare.rows, page(start - 1, count))?
    };
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
    op: String,
    path: String,
    value: Value,
}

/// What a PATCH makes of a document.
fn patched(doc: &str, operations: Vec<Operation>) -> String {
    let mut doc: Value = serde_json::from_str(doc).unwrap_or_default();
    for operation in operations {
        doc[operation.path] = operation.value;
    }
    doc.to_string()
}

async fn patch(State(bare): State<Bare>, Segment(id): Segment<String>, body: Bytes) -> Answer {
    let patch: Patch = serde_json::from_slice(&body).map_err(|_| StatusCode::BAD_REQUEST)?;
    let first = patch.operations.first().ok_or(StatusCode::BAD_REQUEST)?;
    if first.path == "members" {
        let members = first.value.as_array().into_iter().flatten();
        let members = members.filter_map(|member| member["value"].as_str().map(str::to_owned));
        let (members, add) = (members.collect(), first.op.eq_ignore_ascii_case("add"));
        rows!(bare.rows, members(id, members, add))?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let doc = rows!(bare.rows, change(id, patch.operations))?;
    Ok(told(StatusCode::OK, doc))
}

async fn delete(State(bare): State<Bare>, Segment(id): Segment<String>) -> Answer {
    rows!(bare.rows, delete(id))?;
    Ok(StatusCode::NO_CONTENT.into_response())
}
