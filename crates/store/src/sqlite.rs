//! The embedded database: one writer thread that commits in groups, readers beside it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use futures::future::BoxFuture;
use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use tokio::sync::{mpsc, watch};

use crate::resources;
use crate::tx::Driver;
use crate::{StoreError, Tx, Val};

/// Work that waits for the writer at most; a caller beyond it waits for its turn.
const QUEUE: usize = 1024;
/// Transactions that are committed together at most.
const GROUP: usize = 512;
/// Feeds whose last numbers are remembered from one commit to the next at most.
const FEEDS: usize = 10_000;
/// Read connections that are kept open at most.
const READERS: usize = 16;

/// Pages that all readers that are at work keep in memory, in KiB. As many are at work as there are cores.
const READ_CACHE_KIB: i64 = 128_000;

/// Told after the commit (or its failure): was it committed?
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// A transaction's body. Given the writer's connection it runs, and says whether to keep what it
/// did and whom to tell after the commit; given an error it only passes that on.
type Body = Box<dyn FnOnce(Result<&mut Tx<'static>, StoreError>) -> Option<(bool, Answer)> + Send>;

/// What must be undone when a body fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Undo {
    /// Whatever it did.
    Body,
    /// Nothing: it fails before it does anything.
    Nothing,
}

/// What a commit survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The end of the process and of the machine.
    Full,
    /// Neither.
    None,
}

struct Work {
    body: Body,
    undo: Undo,
}

#[derive(Debug)]
pub(crate) struct Sqlite {
    writer: mpsc::Sender<Work>,
    readers: Arc<Readers>,
}

impl std::fmt::Debug for Readers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Readers")
    }
}

struct Readers {
    path: std::path::PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Sqlite {
    /// Opens the file; `prepare` migrates it before anybody else sees it.
    pub(crate) fn open(
        path: &Path,
        changed: watch::Sender<u64>,
        durability: Durability,
        prepare: impl FnOnce(&mut Connection) -> Result<(), StoreError>,
    ) -> Result<Self, StoreError> {
        let mut connection = connect(path, true)?;
        if durability == Durability::None {
            connection.pragma_update(None, "synchronous", "OFF")?;
        }
        prepare(&mut connection)?;
        let (writer, queue) = mpsc::channel(QUEUE);
        thread::Builder::new()
            .name("muster-writer".to_owned())
            .spawn(move || write_in_groups(connection, queue, &changed))
            .map_err(|error| open_error(path, &error.to_string()))?;
        let readers = Readers {
            path: path.to_owned(),
            idle: Mutex::new(Vec::new()),
        };
        Ok(Self {
            writer,
            readers: Arc::new(readers),
        })
    }

    pub(crate) async fn write<T, E, F>(&self, body: F, undo: Undo) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a mut Tx<'static>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (told, answer) = tokio::sync::oneshot::channel();
        let body: Body = Box::new(move |tx| {
            let tx = match tx {
                Ok(tx) => tx,
                Err(error) => {
                    let _ = told.send(Err(error.into()));
                    return None;
                }
            };
            let result = catch_unwind(AssertUnwindSafe(|| poll_now(body(tx))))
                .unwrap_or_else(|_| Err(StoreError::Sql("a transaction panicked".into()).into()));
            let keep = result.is_ok();
            let answer: Answer = Box::new(move |committed| match committed {
                Ok(()) => drop(told.send(result)),
                // Even who refused may have done so because of what is undone now.
                Err(error) => drop(told.send(Err(error.into()))),
            });
            Some((keep, answer))
        });
        let gone = || E::from(StoreError::Unavailable("the writer has stopped".to_owned()));
        let work = Work { body, undo };
        self.writer.send(work).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())?
    }

    pub(crate) fn read<'env, T, E, F>(&self, body: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a mut Tx<'env>) -> BoxFuture<'a, Result<T, E>> + 'env,
        E: From<StoreError>,
    {
        let connection = self.readers.idle.lock().pop();
        let connection = match connection {
            Some(connection) => connection,
            None => connect(&self.readers.path, false)?,
        };
        let mut tx = Tx::new(Driver::Sqlite(connection));
        // One look at the database for all queries: taking its lock costs as much as a look-up.
        raw(&mut tx, "BEGIN")?;
        let result = poll_now(body(&mut tx));
        raw(&mut tx, "COMMIT")?;
        if let Driver::Sqlite(connection) = tx.driver {
            let mut idle = self.readers.idle.lock();
            if idle.len() < READERS {
                idle.push(connection);
            }
        }
        result
    }
}

/// Nothing on a SQLite connection ever waits, so one poll brings the end.
fn poll_now<T, E: From<StoreError>>(mut future: BoxFuture<'_, Result<T, E>>) -> Result<T, E> {
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(result) => result,
        Poll::Pending => Err(StoreError::Sql(
            "a transaction waited for something other than its database".to_owned(),
        )
        .into()),
    }
}

fn connect(path: &Path, writable: bool) -> Result<Connection, StoreError> {
    let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_READ_WRITE;
    if writable {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = Connection::open_with_flags(path, flags)
        .map_err(|error| open_error(path, &error.to_string()))?;
    // A checkpoint every 64 MiB of log keeps long pauses off the writes.
    let settings = "PRAGMA page_size = 8192;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA wal_autocheckpoint = 8000;
         PRAGMA journal_size_limit = 134217728;
         PRAGMA busy_timeout = 10000;
         PRAGMA foreign_keys = OFF;
         PRAGMA temp_store = MEMORY;";
    connection
        .execute_batch(settings)
        .map_err(|error| match StoreError::from(error) {
            StoreError::Full => StoreError::Full,
            other => open_error(path, &other.to_string()),
        })?;
    // Pages kept in memory, in KiB: the writer needs its index leaves, a reader its path to them.
    let cache = if writable {
        -64_000
    } else {
        let readers = thread::available_parallelism().map_or(1, usize::from);
        -(READ_CACHE_KIB / readers.min(READERS) as i64).max(2_000)
    };
    connection.pragma_update(None, "cache_size", cache)?;
    // Plans never depend on the values of parameters; else statements over partial indexes are prepared
    // again with every other value.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    if !writable {
        connection.pragma_update(None, "query_only", true)?;
    }
    connection.set_prepared_statement_cache_capacity(256);
    Ok(connection)
}

fn open_error(path: &Path, reason: &str) -> StoreError {
    StoreError::Open {
        place: path.display().to_string(),
        reason: reason.to_owned(),
    }
}

/// The writer: takes what is waiting, runs each as a part of one transaction, commits, answers.
fn write_in_groups(
    connection: Connection,
    mut queue: mpsc::Receiver<Work>,
    changed: &watch::Sender<u64>,
) {
    let mut tx = Tx::new(Driver::Sqlite(connection));
    while let Some(first) = queue.blocking_recv() {
        let mut answers = Vec::new();
        tx.fed = false;
        tx.totals.clear();
        tx.events.clear();
        if tx.numbers.len() > FEEDS {
            tx.numbers.clear();
        }
        (tx.broken, tx.is_full) = (false, false);
        let outcome = write_group(&mut tx, first, &mut queue, &mut answers);
        if outcome.is_err() {
            // What is known may be what is undone.
            tx.numbers.clear();
            tx.recent = None;
            if still_open(&tx) {
                let _ = raw(&mut tx, "ROLLBACK");
            }
        }
        let fed = tx.fed && outcome.is_ok();
        for hook in tx.hooks() {
            hook.run();
        }
        for answer in answers {
            answer(outcome.clone());
        }
        if fed {
            changed.send_modify(|count| *count += 1);
        }
    }
}

fn write_group(
    tx: &mut Tx<'static>,
    first: Work,
    queue: &mut mpsc::Receiver<Work>,
    answers: &mut Vec<Answer>,
) -> Result<(), StoreError> {
    if let Err(error) = raw(tx, "BEGIN IMMEDIATE") {
        (first.body)(Err(error));
        return Ok(());
    }
    // What comes meanwhile is the next group's: its senders are answered while that one is at work.
    let most = GROUP.min(1 + queue.len());
    let mut next = Some(first);
    while let Some(Work { body, undo }) = next {
        let (before, counted) = (changes(tx), tx.totals.len());
        if undo == Undo::Body
            && let Err(error) = write_kept(tx).and_then(|()| raw(tx, "SAVEPOINT one"))
        {
            body(Err(error.clone()));
            return Err(error);
        }
        if let Some((keep, answer)) = body(Ok(tx)) {
            answers.push(answer);
            if tx.broken {
                return Err(given_up(
                    tx,
                    "what was changed before could not be written down",
                ));
            }
            if !still_open(tx) {
                // SQLite itself rolled everything back: a full disk, for example.
                return Err(StoreError::Full);
            }
            match undo {
                Undo::Body => {
                    if !keep {
                        tx.totals.truncate(counted);
                        tx.recent = None;
                        tx.events.clear();
                        raw(tx, "ROLLBACK TO one")?;
                    }
                    raw(tx, "RELEASE one")?;
                }
                Undo::Nothing if !keep && changes(tx) != before => {
                    return Err(given_up(tx, "a transaction failed after it had written"));
                }
                Undo::Nothing => {}
            }
        }
        next = if answers.len() < most {
            queue.try_recv().ok()
        } else {
            None
        };
    }
    write_kept(tx)?;
    for (sql, params) in resources::settle_totals(tx) {
        poll_now(Box::pin(tx.exec(&sql, &params)))?;
    }
    raw(tx, "COMMIT")
}

/// Writes what was kept back so far.
fn write_kept(tx: &mut Tx<'static>) -> Result<(), StoreError> {
    poll_now(Box::pin(tx.write_kept()))
}

/// Why a group is given up.
fn given_up(tx: &Tx<'_>, reason: &str) -> StoreError {
    if tx.is_full {
        StoreError::Full
    } else {
        StoreError::Sql(reason.to_owned())
    }
}

/// How many rows were changed so far by those who wrote them.
fn changes(tx: &Tx) -> u64 {
    match &tx.driver {
        Driver::Sqlite(connection) => connection.total_changes() - tx.settled + tx.kept,
        Driver::Postgres(_) => 0,
    }
}

fn still_open(tx: &Tx) -> bool {
    match &tx.driver {
        Driver::Sqlite(connection) => !connection.is_autocommit(),
        Driver::Postgres(_) => false,
    }
}

fn raw(tx: &mut Tx<'_>, sql: &str) -> Result<(), StoreError> {
    match &mut tx.driver {
        Driver::Sqlite(connection) => exec(connection, sql, &[]).map(|_| ()),
        Driver::Postgres(_) => Ok(()),
    }
}

/// Are parameters named in the order of their numbers? SQLite counts them as it meets them.
fn in_order(sql: &str) -> bool {
    let mut seen = 0;
    sql.split('$').skip(1).all(|rest| {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let number: usize = rest[..digits].parse().unwrap_or(0);
        seen += usize::from(number == seen + 1);
        number <= seen
    })
}

pub(crate) fn exec(connection: &Connection, sql: &str, params: &[Val]) -> Result<u64, StoreError> {
    debug_assert!(in_order(sql), "{sql}");
    let mut statement = connection.prepare_cached(sql)?;
    let touched = statement.execute(params_from_iter(params))?;
    Ok(touched as u64)
}

/// Runs one statement once for each row of parameters; answers how many rows it touched in all.
pub(crate) fn exec_each(
    connection: &Connection,
    sql: &str,
    rows: &[Vec<Val>],
) -> Result<u64, StoreError> {
    debug_assert!(in_order(sql), "{sql}");
    let mut statement = connection.prepare_cached(sql)?;
    let mut touched = 0;
    for row in rows {
        touched += statement.execute(params_from_iter(row))? as u64;
    }
    Ok(touched)
}

pub(crate) fn query(
    connection: &Connection,
    sql: &str,
    params: &[Val],
) -> Result<Vec<Vec<Val>>, StoreError> {
    debug_assert!(in_order(sql), "{sql}");
    let mut statement = connection.prepare_cached(sql)?;
    let width = statement.column_count();
    let mut rows = statement.query(params_from_iter(params))?;
    let mut out = Vec::new();
    while let Some(row) = rows.next()? {
        let mut cells = Vec::with_capacity(width);
        for column in 0..width {
            cells.push(Val::from_sqlite(row.get_ref(column)?));
        }
        out.push(cells);
    }
    Ok(out)
}
