//! A store for a while, in which a job can be run without anything happening.

use std::path::Path;

use muster_model::{JobId, TenantId};
use tempfile::TempDir;
use tokio::sync::watch;

use crate::sqlite::Durability;
use crate::store::{Backend, open_file};
use crate::{FromRow, Row, SealingKey, Store, StoreError, Tx, Val};

/// How its folders begin.
const PREFIX: &str = "scratch-";
/// Rows that are copied at once.
const PAGE: u32 = 1000;

/// A SQLite store in a folder that nobody else can look into. Both are gone when it is dropped.
#[derive(Debug)]
pub struct Scratch {
    store: Store,
    _folder: TempDir,
}

/// What the engine keeps of a job: table, what orders its rows, its other columns.
const STATE: &[(&str, &[&str], &[&str])] = &[
    (
        "links",
        &["anchor"],
        &["kind", "target", "state", "since", "filled"],
    ),
    (
        "reference_links",
        &["owner", "attribute", "referred"],
        &["state", "sent_as", "retry_at"],
    ),
    ("intents", &["anchor"], &["kind", "match_by", "target"]),
    (
        "escrows",
        &["anchor"],
        &["kind", "code", "first_failed", "attempts", "next_attempt"],
    ),
    (
        "held_back",
        &["anchor"],
        &[
            "kind", "name", "target", "action", "members", "size", "reason", "allowed",
        ],
    ),
    ("withdrawn", &["anchor"], &["at"]),
    ("withdrawn_members", &["owner", "member"], &["at"]),
];

/// A row as it is.
struct Raw(Vec<Val>);

impl FromRow for Raw {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self(row.rest()))
    }
}

impl Scratch {
    /// A new one, empty: beside the file of another store, or among the temporary files when that is no
    /// file.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] when the folder cannot be written.
    pub fn open(beside: &Store) -> Result<Self, StoreError> {
        let unavailable = |error: std::io::Error| {
            StoreError::Unavailable(format!("no folder for a temporary database: {error}"))
        };
        let mut builder = tempfile::Builder::new();
        let builder = builder.prefix(PREFIX);
        let folder = match beside.folder() {
            Some(folder) => builder.tempdir_in(folder),
            None => builder.tempdir(),
        };
        let folder = folder.map_err(unavailable)?;
        let (sender, changed) = watch::channel(0);
        let path = folder.path().join("scratch.db");
        let sqlite = open_file(&path, sender, Durability::None)?;
        // No secret is ever in it.
        let key = SealingKey::from_bytes(&[0; 32]);
        Ok(Self {
            store: Store::new(Backend::Sqlite(sqlite), changed, key, None),
            _folder: folder,
        })
    }

    /// Removes what a process has left in a folder that it could not clean up. Nobody else may be at work
    /// on a store in it.
    pub fn clear(folder: &Path) {
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        for entry in entries {
            if entry.file_name().to_string_lossy().starts_with(PREFIX) {
                // What cannot be removed is in nobody's way.
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }

    /// The store.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// Copies a job and what the engine keeps of it from another store; not its log.
    pub async fn copy(&self, from: &Store, tenant: TenantId, job: JobId) -> Result<(), StoreError> {
        let sql = "SELECT tenant, id, application, status, quarantine, settings, watermark, \
                   last_cycle, progress, generation, fence FROM jobs WHERE tenant = $1 AND id = $2";
        let row = from.read::<_, StoreError, _>(|tx| {
            Box::pin(async move { tx.all::<Raw>(sql, &[tenant.into(), job.into()]).await })
        });
        let head = "INSERT INTO jobs (tenant, id, application, status, quarantine, settings, \
                    watermark, last_cycle, progress, generation, fence)";
        self.add(head.to_owned(), row.await?).await?;
        for (table, order, others) in STATE {
            let columns = [&["tenant", "job"], *order, *others].concat().join(", ");
            let mut after: Vec<Val> = Vec::new();
            loop {
                let (columns, last) = (columns.as_str(), after.clone());
                let page = from.read::<_, StoreError, _>(|tx| {
                    Box::pin(
                        async move { page(tx, (tenant, job), (table, order, columns), last).await },
                    )
                });
                let page = page.await?;
                let is_last = page.len() < PAGE as usize;
                if let Some(Raw(last)) = page.last() {
                    after = last[2..2 + order.len()].to_vec();
                }
                self.add(format!("INSERT INTO {table} ({columns})"), page)
                    .await?;
                if is_last {
                    break;
                }
            }
        }
        Ok(())
    }

    async fn add(&self, head: String, rows: Vec<Raw>) -> Result<(), StoreError> {
        let rows = rows.into_iter().map(|Raw(row)| row).collect();
        let add = self.store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move { tx.insert_many(&head, "", rows).await })
        });
        add.await.map(|_| ())
    }
}

async fn page(
    tx: &mut Tx<'_>,
    (tenant, job): (TenantId, JobId),
    (table, order, columns): (&str, &[&str], &str),
    after: Vec<Val>,
) -> Result<Vec<Raw>, StoreError> {
    let (ordered, mut params) = (order.join(", "), vec![tenant.into(), job.into()]);
    let beyond = if after.is_empty() {
        String::new()
    } else {
        let places: Vec<String> = (3..3 + order.len()).map(|at| format!("${at}")).collect();
        format!("AND ({ordered}) > ({})", places.join(", "))
    };
    params.extend(after);
    let sql = format!(
        "SELECT {columns} FROM {table} WHERE tenant = $1 AND job = $2 {beyond} \
         ORDER BY {ordered} LIMIT {PAGE}"
    );
    tx.all(&sql, &params).await
}
