//! Transactions: all or nothing, answered after the commit, many at once.

use futures::future::join_all;
use muster_store::{Store, StoreError, StoreUrl, Val};
use muster_testkit::TestStore;

use crate::on_both;

on_both!(
    a_failed_transaction_leaves_nothing_behind,
    many_writers_at_once_are_all_answered,
    a_duplicate_is_told_apart_and_spares_its_neighbours,
    a_database_newer_than_the_binary_is_refused,
    what_was_answered_is_there_after_opening_again,
);

async fn insert(store: &Store, owner: u8, fail: bool) -> Result<(), StoreError> {
    store
        .write(move |tx| {
            Box::pin(async move {
                let sql =
                    "INSERT INTO secrets (tenant, owner, name, sealed) VALUES ($1, $2, $3, $4)";
                let params = [
                    Val::Int(1),
                    Val::Id([owner; 16]),
                    "n".into(),
                    Val::Bytes(vec![owner]),
                ];
                tx.exec(sql, &params).await?;
                if fail {
                    Err(StoreError::LeaseLost)
                } else {
                    Ok(())
                }
            })
        })
        .await
}

async fn count(store: &Store) -> i64 {
    let row: Result<Option<(i64,)>, StoreError> = store
        .read(|tx| Box::pin(async move { tx.one("SELECT count(*) FROM secrets", &[]).await }))
        .await;
    row.unwrap().unwrap().0
}

async fn a_failed_transaction_leaves_nothing_behind(test: &TestStore) {
    assert!(insert(&test.store, 1, true).await.is_err());
    assert_eq!(count(&test.store).await, 0);
}

async fn many_writers_at_once_are_all_answered(test: &TestStore) {
    let writers = (0..200_u8).map(|owner| insert(&test.store, owner, owner % 10 == 0));
    let answers = join_all(writers).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 180);
    assert_eq!(count(&test.store).await, 180);
}

async fn a_duplicate_is_told_apart_and_spares_its_neighbours(test: &TestStore) {
    let answers = join_all([1_u8, 1, 2, 3].map(|owner| insert(&test.store, owner, false))).await;
    let duplicates = answers
        .iter()
        .filter(|it| matches!(it, Err(StoreError::Duplicate(_))))
        .count();
    assert_eq!((duplicates, count(&test.store).await), (1, 3));
}

async fn a_database_newer_than_the_binary_is_refused(test: &TestStore) {
    let newer: Result<u64, StoreError> = test
        .store
        .write(|tx| {
            Box::pin(async move {
                tx.exec("INSERT INTO schema_migrations (number) VALUES (999)", &[])
                    .await
            })
        })
        .await;
    newer.unwrap();
    let again = Store::open(&test.url, muster_testkit::stores::key()).await;
    assert!(
        matches!(again, Err(StoreError::TooNew { found: 999, .. })),
        "{again:?}"
    );
}

async fn what_was_answered_is_there_after_opening_again(test: &TestStore) {
    insert(&test.store, 9, false).await.unwrap();
    let again = Store::open(&test.url, muster_testkit::stores::key())
        .await
        .unwrap();
    assert_eq!(count(&again).await, 1);
}

#[tokio::test]
async fn a_place_that_cannot_be_opened_is_named() {
    let url = StoreUrl::File("/proc/nowhere/muster.db".into());
    let error = Store::open(&url, muster_testkit::stores::key())
        .await
        .unwrap_err();
    assert!(
        error.to_string().contains("/proc/nowhere/muster.db"),
        "{error}"
    );
}
