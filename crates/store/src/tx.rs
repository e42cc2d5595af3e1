//! The one door to both databases.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::marker::PhantomData;

use deadpool_postgres::Object;
use futures::future::BoxFuture;
use muster_model::integration::ResourceKind;
use rusqlite::Connection;

use crate::received::{INSERT_EVENTS, Told};
use crate::resources::{Held, Place, Recent};
use crate::{FromRow, Row, StoreError, Val, postgres, received, resources, sqlite};

/// A connection inside (or, for reads, outside) a transaction.
///
/// SQL is the subset that both databases share; parameters are `$1`, `$2`, … and first appear in
/// that order. Where the two must differ, the function asks [`Tx::is_postgres`] and keeps both texts
/// side by side.
///
/// `'env` is what the body of a transaction may borrow from its surroundings.
///
/// What waits for PostgreSQL is boxed: it takes kilobytes, and would be a part of the future of every statement, and
/// so of every transaction and request, on SQLite as well.
#[derive(Debug)]
pub struct Tx<'env> {
    pub(crate) driver: Driver,
    pub(crate) fed: bool,
    /// On PostgreSQL: what goes in front of the next statement, without a way there and back of its own.
    pub(crate) ahead: Ahead,
    /// Something failed that was sent along, and nobody can say any more what was done: it all is undone.
    pub(crate) broken: bool,
    /// A statement failed, and PostgreSQL refuses all others until that is undone.
    pub(crate) failed: bool,
    /// One of them because two transactions waited for each other.
    pub(crate) deadlocked: bool,
    /// One of them because the disk is full.
    pub(crate) is_full: bool,
    /// Rows that were written, as far as they are counted: more of them means that something was.
    pub(crate) written: u64,
    /// Rows that were written for the group that changes again and again.
    pub(crate) settled: u64,
    /// Changes of it that are kept.
    pub(crate) kept: u64,
    /// A group that changes again and again.
    pub(crate) recent: Option<Recent>,
    /// Events of integrations that were not written yet.
    pub(crate) events: Vec<Told>,
    /// On PostgreSQL: what it holds beside others who write.
    pub(crate) held: Held,
    /// What the totals of resources grow by.
    pub(crate) totals: Vec<(Place, ResourceKind, i64)>,
    /// On SQLite: the last numbers of event feeds, as far as they were given by this writer.
    pub(crate) numbers: HashMap<Place, i64>,
    after_commit: Vec<Hook>,
    _env: PhantomData<&'env ()>,
}

/// Statements that are sent along at most.
const ALONG: usize = 16;

/// Begins a part of a transaction.
const SAVEPOINT: &str = "SAVEPOINT part";

/// Statements that were not sent yet.
#[derive(Debug, Default)]
pub(crate) struct Ahead {
    /// The transaction has not begun.
    pub(crate) begin: bool,
    /// What is done in it first.
    pub(crate) statements: Vec<(Cow<'static, str>, Vec<Val>)>,
    /// The one of them that touches no row if what the transaction rests on does not hold.
    pub(crate) checks: Option<usize>,
}

/// Something that is done after the commit.
pub(crate) struct Hook(Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for Hook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hook")
    }
}

impl Hook {
    pub(crate) fn run(self) {
        (self.0)();
    }
}

pub(crate) enum Driver {
    Sqlite(Connection),
    Postgres(Object),
}

impl std::fmt::Debug for Driver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Sqlite(_) => "Sqlite",
            Self::Postgres(_) => "Postgres",
        })
    }
}

/// Rows of one multi-row statement on PostgreSQL, which takes up to 65,535 parameters.
const ROWS_AT_ONCE: usize = 64;

impl Tx<'_> {
    pub(crate) fn new(driver: Driver) -> Self {
        Self {
            driver,
            fed: false,
            ahead: Ahead::default(),
            broken: false,
            failed: false,
            deadlocked: false,
            is_full: false,
            written: 0,
            settled: 0,
            kept: 0,
            recent: None,
            events: Vec::new(),
            held: Held::default(),
            totals: Vec::new(),
            numbers: HashMap::new(),
            after_commit: Vec::new(),
            _env: PhantomData,
        }
    }

    /// Does something after the commit and before anybody is answered, whoever still waits. It must be short,
    /// and must not mind if this part of the transaction was undone.
    pub fn after_commit(&mut self, hook: impl FnOnce() + Send + 'static) {
        self.after_commit.push(Hook(Box::new(hook)));
    }

    pub(crate) fn hooks(&mut self) -> Vec<Hook> {
        std::mem::take(&mut self.after_commit)
    }

    /// Is it PostgreSQL? For the few statements of which there must be two.
    pub const fn is_postgres(&self) -> bool {
        matches!(self.driver, Driver::Postgres(_))
    }

    /// Names the index that a query needs: left to itself, SQLite may walk the table instead of a
    /// partial index.
    pub(crate) fn indexed_by(&self, index: &str) -> String {
        if self.is_postgres() {
            String::new()
        } else {
            format!("INDEXED BY {index}")
        }
    }

    /// Runs a statement; answers how many rows it touched.
    pub async fn exec(&mut self, sql: &str, params: &[Val]) -> Result<u64, StoreError> {
        self.settle().await?;
        self.run(sql, params).await
    }

    async fn run(&mut self, sql: &str, params: &[Val]) -> Result<u64, StoreError> {
        let touched = match &mut self.driver {
            Driver::Sqlite(connection) => sqlite::exec(connection, sql, params),
            Driver::Postgres(client) => {
                let ahead = std::mem::take(&mut self.ahead);
                let run = postgres::exec(client, &ahead, sql, params, &mut self.broken);
                Box::pin(run).await
            }
        };
        self.written += touched.as_ref().unwrap_or(&0);
        self.noted(touched)
    }

    /// Remembers that a statement failed.
    fn noted<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        self.failed |= result.is_err();
        self.deadlocked |= matches!(result, Err(StoreError::Deadlock));
        self.is_full |= matches!(result, Err(StoreError::Full));
        result
    }

    /// Runs a statement of which nothing is asked but that it is done when the transaction is: on PostgreSQL
    /// it is sent along with the next one. What goes wrong with it is told there, at the commit at the latest.
    pub(crate) async fn exec_along(
        &mut self,
        sql: impl Into<Cow<'static, str>>,
        params: Vec<Val>,
    ) -> Result<(), StoreError> {
        self.settle().await?;
        self.run_along(sql.into(), params).await
    }

    async fn run_along(
        &mut self,
        sql: Cow<'static, str>,
        params: Vec<Val>,
    ) -> Result<(), StoreError> {
        if !self.is_postgres() {
            return self.run(&sql, &params).await.map(|_| ());
        }
        self.written += 1;
        self.ahead.statements.push((sql, params));
        if let Driver::Postgres(client) = &mut self.driver
            && self.ahead.statements.len() >= ALONG
        {
            let ahead = std::mem::take(&mut self.ahead);
            let sent = Box::pin(postgres::send(client, &ahead, &mut self.broken)).await;
            return self.noted(sent);
        }
        Ok(())
    }

    /// Writes down what is kept of the group that changes again and again, and lets go of it: whatever comes
    /// next may read its rows, or change them.
    pub(crate) async fn settle(&mut self) -> Result<(), StoreError> {
        if resources::is_belief(self) {
            self.failed = true;
            return Err(StoreError::Outdated);
        }
        let recent = self.recent.take();
        // Somebody before wrote this, and not who comes next.
        let written = self.written;
        let settled = self.write_down(recent.as_ref(), Vec::new()).await;
        self.settled += self.written - written;
        self.written = written;
        // Nobody but who comes next would hear of it.
        self.broken |= settled.is_err();
        settled
    }

    /// Writes rows of the group that changes again and again and, on PostgreSQL, events.
    async fn write_down(
        &mut self,
        recent: Option<&Recent>,
        events: Vec<Told>,
    ) -> Result<(), StoreError> {
        if self.is_postgres() {
            // Each statement is a message there and one back; all of it is one.
            let roster = self.held.roster.as_mut();
            return match resources::write_at_once(recent, roster, events) {
                Some((sql, params)) => self.run_along(sql.into(), params).await,
                None => Ok(()),
            };
        }
        match recent.and_then(Recent::unwritten) {
            Some((sql, params)) => self.run(sql, &params).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// Keeps an event back, to be written together with others, at the commit at the latest.
    pub(crate) fn tell_later(&mut self, event: Told) {
        self.written += 1;
        let alone = match self.events.last_mut() {
            Some(last) => last.join(event),
            None => Some(event),
        };
        self.events.extend(alone);
    }

    /// Writes what was kept back: the group that changes again and again, and the events. The group stays known, on
    /// SQLite for the next commit as well: nobody else writes.
    pub(crate) async fn write_kept(&mut self) -> Result<(), StoreError> {
        let (recent, events) = (self.recent.take(), std::mem::take(&mut self.events));
        let written = self.write_all(recent.as_ref(), events).await;
        if written.is_ok() {
            self.recent = recent.map(Recent::written);
        }
        // They are of those who wrote before, and nobody but who comes next would hear of it.
        self.broken |= written.is_err();
        written
    }

    async fn write_all(
        &mut self,
        recent: Option<&Recent>,
        events: Vec<Told>,
    ) -> Result<(), StoreError> {
        if self.is_postgres() {
            return self.write_down(recent, events).await;
        }
        self.write_down(recent, Vec::new()).await?;
        let rows = received::rows(self, events).await?;
        self.insert_many(INSERT_EVENTS, "", rows).await.map(|_| ())
    }

    /// Undoes everything so far, and begins anew, on PostgreSQL.
    pub(crate) async fn begin_anew(&mut self) -> Result<(), StoreError> {
        self.exec("ROLLBACK", &[]).await?;
        (self.failed, self.deadlocked) = (false, false);
        self.ahead.begin = true;
        Ok(())
    }

    /// Runs a part of the transaction whose failure undoes only that part.
    pub async fn part<T, E, F>(&mut self, body: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a mut Self) -> BoxFuture<'a, Result<T, E>> + Send,
        T: Send,
        E: From<StoreError> + Send,
    {
        self.write_kept().await?;
        self.exec_along(SAVEPOINT, Vec::new()).await?;
        let counted = self.totals.len();
        let result = body(self).await;
        if result.is_err() {
            self.totals.truncate(counted);
            (self.recent, self.held.roster) = (None, None);
            self.events.clear();
            // What was not sent need not be undone.
            let unsent = &mut self.ahead.statements;
            if let Some(at) = unsent.iter().rposition(|(sql, _)| sql == SAVEPOINT) {
                unsent.truncate(at);
                return result;
            }
            unsent.clear();
            self.exec("ROLLBACK TO SAVEPOINT part", &[]).await?;
            self.failed = false;
        }
        self.exec_along("RELEASE SAVEPOINT part", Vec::new())
            .await?;
        result
    }

    /// Runs a query and reads every row.
    pub async fn all<T: FromRow>(
        &mut self,
        sql: &str,
        params: &[Val],
    ) -> Result<Vec<T>, StoreError> {
        self.settle().await?;
        let rows = match &mut self.driver {
            Driver::Sqlite(connection) => sqlite::query(connection, sql, params),
            Driver::Postgres(client) => {
                let ahead = std::mem::take(&mut self.ahead);
                let run = postgres::query(client, &ahead, sql, params, &mut self.broken);
                Box::pin(run).await
            }
        };
        read(self.noted(rows)?, sql)
    }

    /// Runs a query that gives one row or none.
    pub async fn one<T: FromRow>(
        &mut self,
        sql: &str,
        params: &[Val],
    ) -> Result<Option<T>, StoreError> {
        Ok(self.all(sql, params).await?.into_iter().next())
    }

    /// `head VALUES (…) tail` for any number of rows; each row holds the same number of values.
    /// PostgreSQL gets statements of up to 64 rows, which saves the way there and back; SQLite runs
    /// the statement of one row again and again, which needs no new statement for each length.
    pub async fn insert_many(
        &mut self,
        head: &str,
        tail: &str,
        rows: Vec<Vec<Val>>,
    ) -> Result<u64, StoreError> {
        let Some(width) = rows.first().map(Vec::len) else {
            return Ok(0);
        };
        self.settle().await?;
        if let Driver::Sqlite(connection) = &mut self.driver {
            let sql = values_sql(head, tail, width, 1);
            let touched = sqlite::exec_each(connection, &sql, &rows);
            return self.noted(touched);
        }
        let mut touched = 0;
        let mut rows = rows.into_iter().peekable();
        while rows.peek().is_some() {
            let params: Vec<Val> = rows.by_ref().take(ROWS_AT_ONCE).flatten().collect();
            let sql = values_sql(head, tail, width, params.len() / width);
            touched += self.run(&sql, &params).await?;
        }
        Ok(touched)
    }
}

fn read<T: FromRow>(rows: Vec<Vec<Val>>, sql: &str) -> Result<Vec<T>, StoreError> {
    rows.into_iter()
        .map(|cells| T::from_row(&mut Row::new(cells, sql)))
        .collect()
}

fn values_sql(head: &str, tail: &str, width: usize, rows: usize) -> String {
    let mut sql = String::with_capacity(head.len() + tail.len() + rows * width * 5 + 16);
    sql.push_str(head);
    sql.push_str(" VALUES ");
    for row in 0..rows {
        sql.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..width {
            let separator = if column == 0 { "" } else { ", " };
            let _ = write!(sql, "{separator}${}", row * width + column + 1);
        }
        sql.push(')');
    }
    sql.push(' ');
    sql.push_str(tail);
    sql
}

#[cfg(test)]
mod tests {
    use super::values_sql;

    #[test]
    fn a_multi_row_statement_numbers_its_parameters_in_order() {
        assert_eq!(
            values_sql("INSERT INTO t (a, b)", "ON CONFLICT DO NOTHING", 2, 2),
            "INSERT INTO t (a, b) VALUES ($1, $2), ($3, $4) ON CONFLICT DO NOTHING"
        );
    }
}
