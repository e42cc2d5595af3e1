//! Brings a database to the newest schema; refuses one that is newer than this binary.

use rusqlite::Connection;

use crate::postgres::Postgres;
use crate::tx::Ahead;
use crate::{StoreError, Val, postgres};

struct Migration {
    number: i64,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! migrations {
    ($($number:literal $name:literal),+ $(,)?) => {
        &[$(Migration {
            number: $number,
            sqlite: include_str!(concat!("../migrations/sqlite/", $name, ".sql")),
            postgres: include_str!(concat!("../migrations/postgres/", $name, ".sql")),
        }),+]
    };
}

/// All migrations in order; a released one is never edited.
const MIGRATIONS: &[Migration] = migrations![1 "0001_foundation"];

const TABLE: &str = "CREATE TABLE IF NOT EXISTS schema_migrations \
                     (number BIGINT NOT NULL PRIMARY KEY)";
const NEWEST: &str = "SELECT coalesce(max(number), 0) FROM schema_migrations";

fn newest() -> i64 {
    MIGRATIONS.last().map_or(0, |migration| migration.number)
}

fn check(found: i64) -> Result<(), StoreError> {
    let known = newest();
    if found > known {
        Err(StoreError::TooNew { found, known })
    } else {
        Ok(())
    }
}

/// Migrates a SQLite file in one transaction.
pub(crate) fn sqlite(connection: &mut Connection) -> Result<(), StoreError> {
    let exists: i64 = connection.query_row(
        "SELECT count(*) FROM sqlite_master WHERE name = 'schema_migrations'",
        [],
        |row| row.get(0),
    )?;
    let found: i64 = match exists {
        0 => 0,
        _ => connection.query_row(NEWEST, [], |row| row.get(0))?,
    };
    check(found)?;
    if found == newest() {
        return Ok(());
    }
    let tx = connection.transaction()?;
    tx.execute_batch(TABLE)?;
    for migration in MIGRATIONS
        .iter()
        .filter(|migration| migration.number > found)
    {
        tx.execute_batch(migration.sqlite)?;
        tx.execute(
            "INSERT INTO schema_migrations (number) VALUES ($1)",
            [migration.number],
        )?;
    }
    Ok(tx.commit()?)
}

/// Migrates a PostgreSQL database in one transaction; processes that start together take turns.
pub(crate) async fn postgres(store: &Postgres) -> Result<(), StoreError> {
    let client = store.client().await?;
    client
        .batch_execute("BEGIN; SELECT pg_advisory_xact_lock(6846874111)")
        .await?;
    let done = async {
        client.batch_execute(TABLE).await?;
        let rows = postgres::query(&client, &Ahead::default(), NEWEST, &[], &mut false).await?;
        let found = match rows.first().and_then(|row| row.first()) {
            Some(Val::Int(number)) => *number,
            _ => 0,
        };
        check(found)?;
        for migration in MIGRATIONS
            .iter()
            .filter(|migration| migration.number > found)
        {
            client.batch_execute(migration.postgres).await?;
            let insert = "INSERT INTO schema_migrations (number) VALUES ($1)";
            postgres::exec(
                &client,
                &Ahead::default(),
                insert,
                &[Val::Int(migration.number)],
                &mut false,
            )
            .await?;
        }
        Ok(())
    };
    let result: Result<(), StoreError> = done.await;
    client
        .batch_execute(if result.is_ok() { "COMMIT" } else { "ROLLBACK" })
        .await?;
    result
}
