//! Schema documents of jobs, every version of each. The highest version is in force.

use muster_model::{JobId, TenantId, Timestamp};

use crate::{FromRow, Row, StoreError, Tx};

/// What is known of a version besides its document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaVersion {
    /// Its number, counted from 1 for each job.
    pub number: u32,
    /// When it was saved.
    pub saved: Timestamp,
    /// Who saved it.
    pub saved_by: String,
    /// What it was saved for.
    pub note: String,
}

impl FromRow for SchemaVersion {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            number: row.take()?,
            saved: row.take()?,
            saved_by: row.take()?,
            note: row.take()?,
        })
    }
}

const COLUMNS: &str = "version, saved, saved_by, note";

/// Keeps a version with its document (JSON text). Its number must be new: two that save at the same
/// time would overwrite each other, and the second gets [`StoreError::Duplicate`].
pub async fn add(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    version: &SchemaVersion,
    doc: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO job_schemas (tenant, job, version, saved, saved_by, note, doc) \
               VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let params = [
        tenant.into(),
        job.into(),
        version.number.into(),
        version.saved.into(),
        (&version.saved_by).into(),
        (&version.note).into(),
        doc.into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// The document in force.
pub async fn current(tx: &mut Tx<'_>, tenant: TenantId, job: JobId) -> Result<String, StoreError> {
    let sql = "SELECT doc FROM job_schemas WHERE tenant = $1 AND job = $2 \
               ORDER BY version DESC LIMIT 1";
    let row: Option<(String,)> = tx.one(sql, &[tenant.into(), job.into()]).await?;
    Ok(row.map(|(doc,)| doc).unwrap_or_default())
}

/// The document of one version.
pub async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    number: u32,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT doc FROM job_schemas WHERE tenant = $1 AND job = $2 AND version = $3";
    let row: Option<(String,)> = tx
        .one(sql, &[tenant.into(), job.into(), number.into()])
        .await?;
    Ok(row.map(|(doc,)| doc))
}

/// Versions, newest first, from before `before` on.
pub async fn list(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    before: Option<u32>,
    limit: u32,
) -> Result<Vec<SchemaVersion>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM job_schemas WHERE tenant = $1 AND job = $2 AND version < $3 \
         ORDER BY version DESC LIMIT $4"
    );
    let before = before.unwrap_or(u32::MAX);
    tx.all(
        &sql,
        &[tenant.into(), job.into(), before.into(), limit.into()],
    )
    .await
}
