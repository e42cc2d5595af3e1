//! Opening a store, and transactions on it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;

use crate::postgres::Postgres;
use crate::resources::{self, About, By, GroupDoc, Place, Resource};
use crate::sqlite::{Durability, Sqlite, Undo};
use crate::{SealingKey, StoreError, Tx, migrate};

/// Where the data is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreUrl {
    /// One SQLite file.
    File(PathBuf),
    /// `postgres://…`
    Postgres(String),
}

impl StoreUrl {
    /// Reads `postgres://…`; `None` for anything else. A SQLite file has no URL: it lies in the data
    /// folder, whose lock keeps a second process from it.
    pub fn parse(text: &str) -> Option<Self> {
        ["postgres://", "postgresql://"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
            .then(|| Self::Postgres(text.to_owned()))
    }
}

#[derive(Debug)]
pub(crate) enum Backend {
    Sqlite(Sqlite),
    Postgres(Postgres),
}

/// The one store of a process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Store {
    backend: Arc<Backend>,
    changed: watch::Receiver<u64>,
    key: Arc<SealingKey>,
    /// Where its file is, if it has one.
    folder: Option<Arc<Path>>,
}

impl Store {
    /// Opens the store, creating and migrating it when needed.
    pub async fn open(url: &StoreUrl, key: SealingKey) -> Result<Self, StoreError> {
        let (sender, changed) = watch::channel(0);
        let backend = match url {
            StoreUrl::File(path) => Backend::Sqlite(open_file(path, sender, Durability::Full)?),
            StoreUrl::Postgres(url) => {
                let postgres = Postgres::open(url, sender).await?;
                migrate::postgres(&postgres).await?;
                Backend::Postgres(postgres)
            }
        };
        let folder = match url {
            StoreUrl::File(path) => path.parent(),
            StoreUrl::Postgres(_) => None,
        };
        Ok(Self::new(backend, changed, key, folder))
    }

    pub(crate) fn new(
        backend: Backend,
        changed: watch::Receiver<u64>,
        key: SealingKey,
        folder: Option<&Path>,
    ) -> Self {
        Self {
            backend: Arc::new(backend),
            changed,
            key: Arc::new(key),
            folder: folder.map(Arc::from),
        }
    }

    /// Runs `body` in a transaction that is committed when it answers `Ok`, and rolled back
    /// otherwise. The answer comes after the commit. `body` waits for nothing but its `Tx`.
    pub async fn write<T, E, F>(&self, body: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a mut Tx<'static>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.write(body, Undo::Body).await,
            Backend::Postgres(postgres) => Box::pin(postgres.write(body)).await,
        }
    }

    /// Like [`Store::write`], for what fails, if at all, before it has changed anything: nothing needs to be kept to
    /// undo it. On SQLite what fails later all the same, because the disk is full, takes with it what is committed
    /// together with it.
    pub async fn write_at_once<T, E, F>(&self, body: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a mut Tx<'static>) -> BoxFuture<'a, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.write(body, Undo::Nothing).await,
            Backend::Postgres(postgres) => Box::pin(postgres.write(body)).await,
        }
    }

    /// Like [`Store::write_at_once`], for a write of one received resource. On PostgreSQL it waits first for who else
    /// changes the resource, and the body may be run again after what it did was undone.
    pub async fn write_resource<T, E, F>(&self, place: Place, about: About, body: F) -> Result<T, E>
    where
        F: for<'a> Fn(&'a mut Tx<'static>) -> BoxFuture<'a, Result<T, E>> + Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.write(body, Undo::Nothing).await,
            Backend::Postgres(postgres) => {
                postgres.lanes.write(postgres, (place, about), body).await
            }
        }
    }

    /// Runs queries that see what is committed: on SQLite all of them the same commit, on PostgreSQL each
    /// the latest. Meant for bounded reads; on SQLite they run on the caller's thread.
    pub async fn read<'env, T, E, F>(&self, body: F) -> Result<T, E>
    where
        F: for<'a> FnOnce(&'a mut Tx<'env>) -> BoxFuture<'a, Result<T, E>> + Send + 'env,
        T: Send,
        E: From<StoreError> + Send,
    {
        match &*self.backend {
            Backend::Sqlite(sqlite) => sqlite.read(body),
            Backend::Postgres(postgres) => Box::pin(postgres.read(body)).await,
        }
    }

    /// The received users that have a value, at most `limit`, in the order of their ids, each with the groups that it
    /// is a direct member of, at most `most` of them: a read of its own.
    pub async fn find_users(
        &self,
        place: Place,
        by: &By,
        limit: u32,
        most: u32,
    ) -> Result<Vec<(Resource, Vec<GroupDoc>)>, StoreError> {
        match &*self.backend {
            Backend::Sqlite(sqlite) => {
                sqlite.read(|tx| Box::pin(resources::find_with_groups(tx, place, by, limit, most)))
            }
            Backend::Postgres(postgres) => {
                let limits = (limit, most);
                Box::pin(postgres.lookups.find(postgres, place, by, limits)).await
            }
        }
    }

    /// Grows whenever a commit added something to the change feed.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.clone()
    }

    /// The key that seals secrets.
    pub fn key(&self) -> &SealingKey {
        &self.key
    }

    /// The folder of its file, if it has one.
    pub(crate) fn folder(&self) -> Option<&Path> {
        self.folder.as_deref()
    }

    /// Is it PostgreSQL?
    pub fn is_postgres(&self) -> bool {
        matches!(*self.backend, Backend::Postgres(_))
    }
}

pub(crate) fn open_file(
    path: &Path,
    sender: watch::Sender<u64>,
    durability: Durability,
) -> Result<Sqlite, StoreError> {
    Sqlite::open(path, sender, durability, migrate::sqlite)
}
