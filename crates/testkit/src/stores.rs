//! Stores for tests: the same tests run on both databases.

use std::sync::atomic::{AtomicU32, Ordering};

use muster_store::{SealingKey, Store, StoreUrl};
use tempfile::TempDir;

use crate::postgres::Cluster;

/// Names a running PostgreSQL in which a test may make databases; without it each test that needs
/// PostgreSQL starts a cluster of its own.
const SHARED: &str = "MUSTER_TEST_POSTGRES";

/// A store of its own for one test; gone when dropped.
#[derive(Debug)]
pub struct TestStore {
    /// The store.
    pub store: Store,
    /// Where it is, to open it once more.
    pub url: StoreUrl,
    _folder: Option<TempDir>,
    _cluster: Option<Cluster>,
}

impl TestStore {
    /// An empty store in another database of the same PostgreSQL; it must not outlive this one.
    #[expect(clippy::expect_used, clippy::panic, reason = "for tests only")]
    pub async fn beside(&self) -> Self {
        let StoreUrl::Postgres(url) = &self.url else {
            panic!("nothing is beside a file");
        };
        let url = StoreUrl::Postgres(create_database(url).await);
        let store = Store::open(&url, key()).await;
        Self {
            store: store.expect("a new PostgreSQL store"),
            url,
            _folder: None,
            _cluster: None,
        }
    }
}

/// The key that test stores seal secrets with.
pub fn key() -> SealingKey {
    SealingKey::from_bytes(&[42; 32])
}

/// An empty SQLite store.
#[expect(clippy::expect_used, reason = "for tests only")]
pub async fn sqlite_store() -> TestStore {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = StoreUrl::File(folder.path().join("muster.db"));
    let store = Store::open(&url, key()).await.expect("a new SQLite store");
    TestStore {
        store,
        url,
        _folder: Some(folder),
        _cluster: None,
    }
}

/// An empty PostgreSQL store.
#[expect(clippy::expect_used, reason = "for tests only")]
#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by their runner where to find it"
)]
pub async fn postgres_store() -> TestStore {
    let (url, cluster) = if let Ok(url) = std::env::var(SHARED) {
        (url, None)
    } else {
        let cluster = Cluster::start().expect("a private PostgreSQL cluster");
        (cluster.url("postgres"), Some(cluster))
    };
    let url = StoreUrl::Postgres(create_database(&url).await);
    let store = Store::open(&url, key())
        .await
        .expect("a new PostgreSQL store");
    TestStore {
        store,
        url,
        _folder: None,
        _cluster: cluster,
    }
}

/// The URL of an empty database in the PostgreSQL that the runner of the tests has named.
#[expect(clippy::expect_used, reason = "for tests only")]
#[expect(
    clippy::disallowed_methods,
    reason = "tests are told by their runner where to find it"
)]
pub async fn postgres_database() -> String {
    let url = std::env::var(SHARED).expect("run it with cargo xtask with-postgres");
    create_database(&url).await
}

#[expect(clippy::expect_used, reason = "for tests only")]
async fn create_database(url: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("test_{}_{number}", std::process::id());
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls)
        .await
        .expect("PostgreSQL answers");
    let running = tokio::spawn(connection);
    client
        .batch_execute(&format!("DROP DATABASE IF EXISTS {name}; "))
        .await
        .expect("an old database goes");
    client
        .batch_execute(&format!("CREATE DATABASE {name}"))
        .await
        .expect("a database is made");
    drop(client);
    let _ = running.await;
    let (server, _) = url.rsplit_once('/').expect("the URL names a database");
    format!("{server}/{name}")
}
