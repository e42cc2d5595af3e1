//! PostgreSQL: a pool of connections, each transaction on one of them.

use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use futures::future::BoxFuture;
use tokio::sync::watch;
use tokio_postgres::types::ToSql;
use tokio_postgres::{AsyncMessage, NoTls};

use crate::resources;
use crate::tx::Driver;
use crate::{StoreError, Tx, Val};

/// Connections to the server at most.
const CONNECTIONS: usize = 32;

#[derive(Debug)]
pub(crate) struct Postgres {
    pool: Pool,
    changed: watch::Sender<u64>,
}

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
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .build()
            .map_err(|error| StoreError::Open {
                place: place.clone(),
                reason: error.to_string(),
            })?;
        let store = Self { pool, changed };
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
        let client = self.client().await?;
        let mut open = Open(Some(Tx::new(Driver::Postgres(client))));
        let Some(tx) = open.0.as_mut() else {
            unreachable_tx()?
        };
        tx.exec("BEGIN", &[]).await?;
        let result = body(tx).await;
        if result.is_ok() {
            resources::settle_totals(tx).await?;
        }
        if result.is_ok() && tx.fed {
            tx.exec("SELECT pg_notify($1, '')", &[CHANNEL.into()])
                .await?;
        }
        let end = if result.is_ok() { "COMMIT" } else { "ROLLBACK" };
        tx.exec(end, &[]).await?;
        let fed = tx.fed;
        for hook in tx.hooks() {
            hook.run();
        }
        open.done();
        if fed && result.is_ok() {
            self.changed.send_modify(|count| *count += 1);
        }
        result
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

fn unreachable_tx<T>() -> Result<T, StoreError> {
    Err(StoreError::Sql(
        "a transaction was used after its end".to_owned(),
    ))
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
            tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        }
    });
}

/// A transaction that is dropped before its end takes its connection with it, which rolls it back.
struct Open(Option<Tx<'static>>);

impl Open {
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

pub(crate) async fn exec(client: &Object, sql: &str, params: &[Val]) -> Result<u64, StoreError> {
    let control = ["BEGIN", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE"];
    if params.is_empty() && control.iter().any(|word| sql.starts_with(word)) {
        client.batch_execute(sql).await?;
        return Ok(0);
    }
    let statement = client.prepare_cached(sql).await?;
    Ok(client.execute(&statement, &refs(params)).await?)
}

pub(crate) async fn query(
    client: &Object,
    sql: &str,
    params: &[Val],
) -> Result<Vec<Vec<Val>>, StoreError> {
    let statement = client.prepare_cached(sql).await?;
    let rows = client.query(&statement, &refs(params)).await?;
    rows.iter()
        .map(|row| {
            (0..row.len())
                .map(|column| Val::from_postgres(row, column).map_err(StoreError::from))
                .collect()
        })
        .collect()
}
