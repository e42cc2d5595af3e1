//! The store's tests: each runs on SQLite and on PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

/// Runs a body in a transaction.
macro_rules! write {
    ($test:expr, |$tx:ident| $body:expr) => {
        $test
            .store
            .write::<_, muster_store::StoreError, _>(move |$tx| Box::pin(async move { $body }))
            .await
    };
}

mod believed;
mod directory;
mod engine_state;
mod lanes;
mod leaving;
mod received;
mod transactions;

/// Makes of `async fn name(store: &TestStore)` two tests, `sqlite::name` and `postgres::name`.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(&muster_testkit::sqlite_store().await).await })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(&muster_testkit::postgres_store().await).await })+
        }
    };
}
pub(crate) use on_both;

use muster_model::{TenantId, Timestamp};

pub(crate) const TENANT: TenantId = TenantId::FIRST;
pub(crate) const NOW: Timestamp = Timestamp::from_micros(1_780_000_000_000_000);
