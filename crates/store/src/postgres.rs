//! PostgreSQL: a pool of connections, each transaction on one of them.

use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, QueueMode, RecyclingMethod};
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, NoTls};

use crate::lanes::Lanes;
use crate::lookups::Lookups;
use crate::resources;
use crate::tx::{Ahead, Driver};
use crate::{StoreError, Tx, Val};

/// Connections to the server at most.
const CONNECTIONS: usize = 32;

#[derive(Clone, Debug)]
pub(crate) struct Postgres {
    pool: Pool,
    changed: watch::Sender<u64>,
    pub(crate) lanes: Lanes,
    pub(crate) lookups: Lookups,
}

/// How often tables are looked at that have grown.
const STATISTICS: Duration = Duration::from_secs(5);

/// The channel on which processes tell each other that the change feed has grown.
const CHANNEL: &str = "muster_changes";

impl Postgres {
    pub(crate) async fn open(url: &str, changed: watch::Sender<u64>) -> Result<Self, StoreError> {
        let config: tokio_postgres::Config = url.parse().map_err(|error| StoreError::Open {
            place: "PostgreSQL".to_owned(),
            reason: format!("the database URL is not valid: {error}"),
        })?;
        let place = config.get_hosts().first().map_or_else(
            || "PostgreSQL".to_owned(),
            |host| format!("PostgreSQL at {host:?}"),
        );
        listen(config.clone(), changed.clone());
        let manager = Manager::from_config(
            config,
            NoTls,
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        // What was used last is used next: the server has everything at hand for it.
        let pool = Pool::builder(manager)
            .queue_mode(QueueMode::Lifo)
            .max_size(CONNECTIONS)
            .build()
            .map_err(|error| StoreError::Open {
                place: place.clone(),
                reason: error.to_string(),
            })?;
        keep_statistics(pool.clone(), changed.clone());
        let store = Self {
            pool,
            changed,
            lanes: Lanes::default(),
            lookups: Lookups::default(),
        };
        match store.client().await {
            Ok(_) => Ok(store),
            Err(StoreError::Unavailable(reason)) => Err(StoreError::Open { place, reason }),
            Err(other) => Err(other),
        }
    }

    pub(crate) async fn client(&self) -> Result<Object, StoreError> {
        self.pool
            .get()
            .await
            .map_err(|error| StoreError::Unavailable(root_cause(&error)))
    }

    pub(crate) async fn write<T, E, F>(&self, body: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a mut Tx<'static>) -> BoxFuture<'a, Result<T, E>> + Send,
        E: From<StoreError>,
    {
        let mut open = self.begin().await?;
        let result = body(open.tx()?).await;
        self.end(open, result.is_ok(), &mut false).await?;
        result
    }

    /// Begins a transaction, together with its first statement.
    pub(crate) async fn begin(&self) -> Result<Open, StoreError> {
        let mut tx = Tx::new(Driver::Postgres(self.client().await?));
        tx.ahead.begin = true;
        Ok(Open(Some(tx)))
    }

    /// Ends a transaction. Says whether it may have been committed when that fails.
    pub(crate) async fn end(
        &self,
        mut open: Open,
        keep: bool,
        is_ending: &mut bool,
    ) -> Result<(), StoreError> {
        let tx = open.tx()?;
        let mut is_sent = false;
        if let Err(error) = finish(tx, keep, (&mut is_sent, is_ending)).await {
            // It has ended, or a connection that still answers is not lost.
            let is_over = is_sent && !matches!(error, StoreError::Unavailable(_));
            if is_over || roll_back(tx).await {
                open.done();
            }
            return Err(error);
        }
        let fed = tx.fed;
        for hook in tx.hooks() {
            hook.run();
        }
        open.done();
        if fed && keep {
            self.changed.send_modify(|count| *count += 1);
        }
        Ok(())
    }

    pub(crate) async fn read<'env, T, E, F>(&self, body: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a mut Tx<'env>) -> BoxFuture<'a, Result<T, E>> + 'env,
        E: From<StoreError>,
    {
        let mut tx = Tx::new(Driver::Postgres(self.client().await?));
        body(&mut tx).await
    }
}

/// A statement must see what was committed before it began, behind the locks that were waited for, whatever the server
/// does where nothing is said.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

/// Ends a transaction, with one way there and back for all that is left to do: after a statement that failed,
/// COMMIT undoes everything. What rests on a belief that does not hold writes nothing. Says whether the end was sent, and
/// whether it may have been committed when that fails.
async fn finish(
    tx: &mut Tx<'_>,
    keep: bool,
    (is_sent, is_ending): (&mut bool, &mut bool),
) -> Result<(), StoreError> {
    if keep {
        tx.write_kept().await?;
    }
    let mut ahead = std::mem::take(&mut tx.ahead);
    if keep {
        if resources::is_belief(tx) {
            ahead.checks = ahead.statements.len().checked_sub(1);
        }
        ahead.statements.extend(resources::settle_totals(tx));
        if tx.fed {
            let notice = "SELECT pg_notify($1, '')";
            ahead.statements.push((notice.into(), vec![CHANNEL.into()]));
        }
    } else {
        ahead.statements.clear();
    }
    if ahead.begin && ahead.statements.is_empty() {
        return Ok(());
    }
    let Driver::Postgres(client) = &tx.driver else {
        return unreachable_tx();
    };
    if keep && (tx.broken || tx.failed) {
        client.batch_execute("ROLLBACK").await?;
        return broken();
    }
    let end = async {
        *is_sent = true;
        let end = if keep { "COMMIT" } else { "ROLLBACK" };
        client.batch_execute(end).await
    };
    let mut is_refused = false;
    let ended = after(client, &ahead, end, (&mut false, &mut is_refused)).await;
    *is_ending = keep && *is_sent && !is_refused;
    ended
}

/// Ends a transaction, if it has not ended; answers whether the connection is as it was.
async fn roll_back(tx: &mut Tx<'_>) -> bool {
    match &mut tx.driver {
        Driver::Postgres(client) => client.batch_execute("ROLLBACK").await.is_ok(),
        Driver::Sqlite(_) => false,
    }
}

fn broken<T>() -> Result<T, StoreError> {
    Err(StoreError::Sql(
        "an earlier statement of the transaction failed".to_owned(),
    ))
}

/// Sends what must be done first, alone.
pub(crate) async fn send(
    client: &Object,
    ahead: &Ahead,
    broken: &mut bool,
) -> Result<(), StoreError> {
    after(client, ahead, async { Ok(()) }, (broken, &mut false)).await
}

/// Does something after what must be done first. All of it is sent at once. When what comes first fails, the
/// transaction is broken, and no savepoint mends it. Says whether the server refused what comes first, so that nothing
/// of what comes behind it was done.
async fn after<T>(
    client: &Object,
    ahead: &Ahead,
    work: impl Future<Output = Result<T, tokio_postgres::Error>>,
    (is_broken, is_refused): (&mut bool, &mut bool),
) -> Result<T, StoreError> {
    if *is_broken {
        return broken();
    }
    if !ahead.begin && ahead.statements.is_empty() {
        return Ok(work.await?);
    }
    *is_broken = true;
    // What is prepared is sent when it is first polled, and that is in this order; `join_all` keeps to it as long as
    // there are no more than thirty.
    let mut prepared = Vec::with_capacity(ahead.statements.len());
    for (sql, params) in &ahead.statements {
        prepared.push((client.prepare_cached(sql).await?, refs(params)));
    }
    let begin = async {
        if ahead.begin {
            client.batch_execute(BEGIN).await
        } else {
            Ok(())
        }
    };
    let first = prepared
        .iter()
        .map(|(statement, params)| client.execute(statement, params));
    let (begun, first, done) = futures::join!(begin, futures::future::join_all(first), work);
    let first = std::iter::once(begun.map(|()| 1)).chain(first);
    for (number, one) in first.enumerate() {
        if let Err(error) = &one {
            *is_refused = error.as_db_error().is_some();
        }
        if one? == 0 && ahead.checks.is_some_and(|check| check + 1 == number) {
            return Err(StoreError::Outdated);
        }
    }
    *is_broken = false;
    Ok(done?)
}

fn unreachable_tx<T>() -> Result<T, StoreError> {
    Err(StoreError::Sql(
        "a transaction was used after its end".to_owned(),
    ))
}

/// Has PostgreSQL look at tables that have grown much. Its own autovacuum does so once a minute at most; until
/// then it plans for tables that are empty, and in a first cycle that is long enough to look up every name by
/// reading all of them.
fn keep_statistics(pool: Pool, changed: watch::Sender<u64>) {
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = tokio::time::sleep(STATISTICS) => {}
                () = changed.closed() => return,
            }
            // Plans are only slower without it; what is wrong with the database, whoever needs it sees.
            if let Ok(client) = pool.get().await {
                let _ = look_at_grown(&client).await;
            }
        }
    });
}

async fn look_at_grown(client: &Object) -> Result<(), tokio_postgres::Error> {
    let sql = "SELECT format('%I.%I', schemaname, relname) FROM pg_stat_user_tables \
               WHERE schemaname = current_schema() AND n_mod_since_analyze >= 500 \
               AND n_mod_since_analyze > 0.3 * n_live_tup \
               AND (n_live_tup > 1000 OR last_analyze IS NULL) \
               AND pg_has_role((SELECT relowner FROM pg_class c WHERE c.oid = relid), 'MEMBER')";
    for row in client.query(sql, &[]).await? {
        let table: String = row.get(0);
        let _ = client
            .batch_execute(&format!("ANALYZE (SKIP_LOCKED) {table}"))
            .await;
    }
    Ok(())
}

/// Hands out one wake-up for each notification from another process; reconnects when cut off.
fn listen(config: tokio_postgres::Config, changed: watch::Sender<u64>) {
    tokio::spawn(async move {
        while !changed.is_closed() {
            if let Ok((client, mut connection)) = config.connect(NoTls).await {
                let notices = async {
                    while let Some(Ok(message)) =
                        std::future::poll_fn(|cx| connection.poll_message(cx)).await
                    {
                        if matches!(message, AsyncMessage::Notification(_)) {
                            changed.send_modify(|count| *count += 1);
                        }
                    }
                };
                let subscribe = async {
                    let _ = client.batch_execute(&format!("LISTEN {CHANNEL}")).await;
                    std::future::pending::<()>().await;
                };
                tokio::select! {
                    () = notices => {}
                    () = subscribe => {}
                    () = changed.closed() => return,
                }
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    });
}

/// A transaction that is dropped before its end takes its connection with it, which rolls it back.
pub(crate) struct Open(Option<Tx<'static>>);

impl Open {
    pub(crate) fn tx(&mut self) -> Result<&mut Tx<'static>, StoreError> {
        self.0.as_mut().map_or_else(unreachable_tx, Ok)
    }

    fn done(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(Tx {
            driver: Driver::Postgres(client),
            ..
        }) = self.0.take()
        {
            drop(Object::take(client));
        }
    }
}

fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

fn refs(params: &[Val]) -> Vec<&(dyn ToSql + Sync)> {
    params
        .iter()
        .map(|param| param as &(dyn ToSql + Sync))
        .collect()
}

pub(crate) async fn exec(
    client: &Object,
    ahead: &Ahead,
    sql: &str,
    params: &[Val],
    broken: &mut bool,
) -> Result<u64, StoreError> {
    let control = ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"];
    let work = async {
        if params.is_empty() && control.iter().any(|word| sql.starts_with(word)) {
            client.batch_execute(sql).await?;
            return Ok(0);
        }
        let statement = client.prepare_cached(sql).await?;
        client.execute(&statement, &refs(params)).await
    };
    after(client, ahead, work, (broken, &mut false)).await
}

pub(crate) async fn query(
    client: &Object,
    ahead: &Ahead,
    sql: &str,
    params: &[Val],
    broken: &mut bool,
) -> Result<Vec<Vec<Val>>, StoreError> {
    let work = async {
        let statement = client.prepare_cached(sql).await?;
        client.query(&statement, &refs(params)).await
    };
    let rows = after(client, ahead, work, (broken, &mut false)).await?;
    rows.iter()
        .map(|row| {
            (0..row.len())
                .map(|column| Val::from_postgres(row, column).map_err(StoreError::from))
                .collect()
        })
        .collect()
}
