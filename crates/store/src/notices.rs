//! Notices, and when they are told (section 12). Raised and ended by the engine.

use muster_model::notice::{Notice, Topic};
use muster_model::{JobId, TenantId, Timestamp};

use crate::{FromRow, Row, StoreError, Tx, Val};

impl FromRow for Notice {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        let job = row.take()?;
        let topic: String = row.take()?;
        Ok(Self {
            job,
            topic: topic.parse().map_err(|_| row.corrupt("unknown topic"))?,
            reason: row.take()?,
            detail: row.take()?,
            since: row.take()?,
            ended: row.take()?,
            acknowledged: row.take()?,
            told: row.take()?,
            due: row.take()?,
        })
    }
}

const COLUMNS: &str = "job, topic, reason, detail, since, ended, acknowledged, told, due";

/// Raises a notice, to be told after `patience` seconds. One that is there already for the same reason stays as
/// it is, but for its words.
pub async fn raise(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    (topic, reason, detail): (Topic, &str, &str),
    now: Timestamp,
    patience: i64,
) -> Result<(), StoreError> {
    let before = find(tx, tenant, job, topic).await?;
    if before.is_some_and(|it| it.ended.is_none() && it.reason == reason) {
        let sql = "UPDATE notices SET detail = $1 WHERE tenant = $2 AND job = $3 AND topic = $4";
        let params = [
            detail.into(),
            tenant.into(),
            job.into(),
            topic.as_str().into(),
        ];
        return tx.exec(sql, &params).await.map(|_| ());
    }
    let sql = "INSERT INTO notices (tenant, job, topic, reason, detail, since, acknowledged, told, due) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8) \
               ON CONFLICT (tenant, job, topic) DO UPDATE SET reason = excluded.reason, \
               detail = excluded.detail, since = excluded.since, ended = NULL, \
               acknowledged = excluded.acknowledged, told = 0, due = excluded.due";
    let params = [
        tenant.into(),
        job.into(),
        topic.as_str().into(),
        reason.into(),
        detail.into(),
        now.into(),
        false.into(),
        now.plus_seconds(patience).into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// Ends a notice: what was told is told to be over, what was not is forgotten.
pub async fn end(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    topic: Topic,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM notices WHERE tenant = $1 AND job = $2 AND topic = $3 AND told = 0";
    let params = [tenant.into(), job.into(), topic.as_str().into()];
    tx.exec(sql, &params).await?;
    let sql = "UPDATE notices SET ended = $1, due = $2 \
               WHERE tenant = $3 AND job = $4 AND topic = $5 AND ended IS NULL";
    let params = [
        now.into(),
        now.plus_seconds(Notice::TOGETHER).into(),
        tenant.into(),
        job.into(),
        topic.as_str().into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// A job's notice of a topic.
pub async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    topic: Topic,
) -> Result<Option<Notice>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM notices WHERE tenant = $1 AND job = $2 AND topic = $3");
    tx.one(&sql, &[tenant.into(), job.into(), topic.as_str().into()])
        .await
}

/// All notices that are not over, oldest first.
pub async fn open(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    limit: u32,
) -> Result<Vec<Notice>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM notices WHERE tenant = $1 AND ended IS NULL \
         ORDER BY since, job, topic LIMIT $2"
    );
    tx.all(&sql, &[tenant.into(), limit.into()]).await
}

/// Acknowledges a job's notices that are not over; answers how many they are.
pub async fn acknowledge(tx: &mut Tx<'_>, tenant: TenantId, job: JobId) -> Result<u64, StoreError> {
    let sql = "UPDATE notices SET acknowledged = $1, due = NULL \
               WHERE tenant = $2 AND job = $3 AND ended IS NULL AND NOT acknowledged";
    tx.exec(sql, &[true.into(), tenant.into(), job.into()])
        .await
}

/// Is there a notice that is due?
pub async fn is_due(tx: &mut Tx<'_>, tenant: TenantId, now: Timestamp) -> Result<bool, StoreError> {
    let sql = "SELECT count(*) FROM notices WHERE tenant = $1 AND due <= $2";
    let row: Option<(i64,)> = tx.one(sql, &[tenant.into(), now.into()]).await?;
    Ok(row.is_some_and(|(count,)| count > 0))
}

/// Takes the notices that are due, so that nobody else tells them until `until`.
pub async fn take(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    now: Timestamp,
    until: Timestamp,
    limit: u32,
) -> Result<Vec<Notice>, StoreError> {
    let sql = format!(
        "UPDATE notices SET due = $1 WHERE (tenant, job, topic) IN \
         (SELECT tenant, job, topic FROM notices WHERE tenant = $2 AND due <= $3 \
         ORDER BY due LIMIT $4) AND due <= $3 RETURNING {COLUMNS}"
    );
    let params = [until.into(), tenant.into(), now.into(), limit.into()];
    let mut taken: Vec<Notice> = tx.all(&sql, &params).await?;
    taken.sort_by_key(|it| (it.since, it.job));
    Ok(taken)
}

/// A notice was told: it is told again later, or forgotten when it is over. What has become of it meanwhile is
/// not touched.
pub async fn told(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    notice: &Notice,
    now: Timestamp,
) -> Result<(), StoreError> {
    if notice.ended.is_some() {
        let sql = "DELETE FROM notices WHERE tenant = $1 AND job = $2 AND topic = $3 \
                   AND since = $4 AND ended IS NOT NULL";
        return tx.exec(sql, &place(tenant, notice)).await.map(|_| ());
    }
    // One that was acknowledged, or over, meanwhile keeps its own time.
    let sql = "UPDATE notices SET told = told + 1, \
               due = CASE WHEN due IS NULL OR ended IS NOT NULL THEN due ELSE $1 END \
               WHERE tenant = $2 AND job = $3 AND topic = $4 AND since = $5";
    let again = now.plus_seconds(Notice::AGAIN).into();
    let params = [&[again][..], &place(tenant, notice)].concat();
    tx.exec(sql, &params).await.map(|_| ())
}

fn place(tenant: TenantId, notice: &Notice) -> [Val; 4] {
    [
        tenant.into(),
        notice.job.into(),
        notice.topic.as_str().into(),
        notice.since.into(),
    ]
}
