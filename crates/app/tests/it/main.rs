//! The use cases' tests: each runs on SQLite and on PostgreSQL.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod check;
mod context;
mod directory;
mod events;
mod import;
mod import_broken;
mod import_groups;
mod notices;
mod received;
mod receiving;
mod webhooks;

/// Makes of `async fn name(store: &TestStore)` two tests, `sqlite::name` and `postgres::name`.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let test = muster_testkit::sqlite_store().await;
                super::$name(&test).await;
                crate::check::assert_sound(&test).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let test = muster_testkit::postgres_store().await;
                super::$name(&test).await;
                crate::check::assert_sound(&test).await;
            })+
        }
    };
}
pub(crate) use on_both;

use muster_model::directory::{Group, User};
use muster_model::{Position, TenantId};
use muster_store::feed::{self, Change};
use muster_store::{StoreError, groups, users};
use muster_testkit::TestStore;

pub(crate) const TENANT: TenantId = TenantId::FIRST;

/// Everything that was written to the change feed, as soon as all of it can be read: transactions of
/// other tests on the same PostgreSQL hold a reader back.
pub(crate) async fn feed_of(test: &TestStore) -> Vec<Change> {
    for _ in 0..1000 {
        let read = test.store.read::<_, StoreError, _>(|tx| {
            Box::pin(async move {
                let written = feed::backlog(tx, TENANT, Position::START).await?;
                Ok((
                    written,
                    feed::read(tx, TENANT, Position::START, 100_000).await?,
                ))
            })
        });
        let (written, entries) = read.await.unwrap();
        if entries.len() as u64 == written {
            return entries.into_iter().map(|entry| entry.change).collect();
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("the feed cannot be read to its end");
}

/// The living user with this sign-in name.
pub(crate) async fn user_named(test: &TestStore, name: &str) -> Option<User> {
    let name = name.to_owned();
    let read = test.store.read::<_, StoreError, _>(|tx| {
        Box::pin(async move { users::find_by_name(tx, TENANT, &name).await })
    });
    read.await.unwrap()
}

/// The living groups with this display name.
pub(crate) async fn groups_named(test: &TestStore, name: &str) -> Vec<Group> {
    let name = name.to_owned();
    let read = test.store.read::<_, StoreError, _>(|tx| {
        Box::pin(async move { groups::find_by_name(tx, TENANT, &name).await })
    });
    read.await.unwrap()
}
