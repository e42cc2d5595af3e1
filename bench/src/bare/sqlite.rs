//! The rows of the bare server in a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;

use anyhow::Result;
use axum::http::StatusCode;
use parking_lot::Mutex;
use rusqlite::{Connection, params};
use tokio::sync::{mpsc, oneshot};

use super::{By, Operation, Row, failed, patched};

/// Writes of one commit at most, as many as ours.
const GROUP: usize = 512;

type Work = Box<dyn FnOnce(&Connection) -> Box<dyn FnOnce() + Send> + Send>;

#[derive(Clone)]
pub(super) struct Rows {
    path: Arc<PathBuf>,
    readers: Arc<Mutex<Vec<Connection>>>,
    writer: mpsc::Sender<Work>,
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

fn write_in_groups(connection: &Connection, mut queue: mpsc::Receiver<Work>) {
    while let Some(first) = queue.blocking_recv() {
        let _ = connection.execute_batch("BEGIN IMMEDIATE");
        // As ours: what comes meanwhile is the next group's.
        let most = GROUP.min(1 + queue.len());
        let mut answers = vec![first(connection)];
        while answers.len() < most
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

impl Rows {
    pub(super) fn open(file: &Path) -> Result<Self> {
        let connection = connect(file)?;
        connection.execute_batch(
            "CREATE TABLE resources (id TEXT PRIMARY KEY, name TEXT NOT NULL, external TEXT, doc TEXT NOT NULL);
             CREATE UNIQUE INDEX names ON resources (name);
             CREATE INDEX externals ON resources (external);
             CREATE TABLE members (owner TEXT, member TEXT, PRIMARY KEY (owner, member)) WITHOUT ROWID;
             CREATE INDEX holders ON members (member);",
        )?;
        let (writer, queue) = mpsc::channel(1024);
        thread::Builder::new()
            .name("bare-writer".to_owned())
            .spawn(move || write_in_groups(&connection, queue))?;
        Ok(Self {
            path: Arc::new(file.to_owned()),
            readers: Arc::default(),
            writer,
        })
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StatusCode> {
        let (told, answer) = oneshot::channel();
        let work: Work = Box::new(move |connection| {
            let result = work(connection);
            Box::new(move || drop(told.send(result)))
        });
        self.writer.send(work).await.map_err(failed)?;
        let result = answer.await.map_err(failed)?;
        result.map_err(|_| StatusCode::CONFLICT)
    }

    fn read<T>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, StatusCode> {
        let idle = self.readers.lock().pop();
        let connection = match idle {
            Some(connection) => connection,
            None => connect(&self.path).map_err(failed)?,
        };
        let result = work(&connection);
        self.readers.lock().push(connection);
        result.map_err(failed)
    }

    pub(super) async fn insert(&self, row: Row) -> Result<(), StatusCode> {
        self.write(move |connection| {
            connection
                .prepare_cached("INSERT INTO resources VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![row.id, row.name, row.external, row.doc])
        })
        .await
        .map(|_| ())
    }

    #[expect(clippy::unused_async, reason = "as the other rows")]
    pub(super) async fn find(&self, by: By, value: String) -> Result<Vec<String>, StatusCode> {
        self.read(|connection| {
            let mut statement = connection.prepare_cached(by.sql())?;
            statement.query_map([value], |row| row.get(0))?.collect()
        })
    }

    #[expect(clippy::unused_async, reason = "as the other rows")]
    pub(super) async fn page(&self, skip: i64, count: i64) -> Result<Vec<String>, StatusCode> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT doc FROM resources ORDER BY id LIMIT ?1 OFFSET ?2")?
                .query_map(params![count, skip], |row| row.get(0))?
                .collect()
        })
    }

    pub(super) async fn members(
        &self,
        group: String,
        members: Vec<String>,
        add: bool,
    ) -> Result<(), StatusCode> {
        let sql = if add {
            "INSERT OR IGNORE INTO members VALUES (?1, ?2)"
        } else {
            "DELETE FROM members WHERE owner = ?1 AND member = ?2"
        };
        self.write(move |connection| {
            let mut statement = connection.prepare_cached(sql)?;
            for member in members {
                statement.execute(params![group, member])?;
            }
            Ok(())
        })
        .await
    }

    pub(super) async fn change(
        &self,
        id: String,
        operations: Vec<Operation>,
    ) -> Result<String, StatusCode> {
        self.write(move |connection| {
            let doc: String = connection
                .prepare_cached("SELECT doc FROM resources WHERE id = ?1")?
                .query_row([&id], |row| row.get(0))?;
            let doc = patched(&doc, operations);
            connection
                .prepare_cached("UPDATE resources SET doc = ?1 WHERE id = ?2")?
                .execute(params![doc, id])?;
            Ok(doc)
        })
        .await
    }

    pub(super) async fn delete(&self, id: String) -> Result<(), StatusCode> {
        self.write(move |connection| {
            connection
                .prepare_cached("DELETE FROM members WHERE member = ?1")?
                .execute([&id])?;
            connection
                .prepare_cached("DELETE FROM resources WHERE id = ?1")?
                .execute([&id])
        })
        .await
        .map(|_| ())
    }
}
