//! Notices, and when they are told (section 12). Raised and ended by the engine.

use std::collections::HashSet;

use muster_model::notice::{Channel, Notice, Topic};
use muster_model::{JobId, TenantId, Timestamp};

use crate::{FromRow, Row, StoreError, Tx, Val};

impl FromRow for Notice {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        let job = row.take()?;
        let topic: String = row.take()?;
        let channel: String = row.take()?;
        Ok(Self {
            job,
            topic: topic.parse().map_err(|_| row.corrupt("unknown topic"))?,
            channel: channel
                .parse()
                .map_err(|_| row.corrupt("unknown channel"))?,
            reason: row.take()?,
            detail: row.take()?,
            size: row.take()?,
            since: row.take()?,
            ended: row.take()?,
            acknowledged: row.take()?,
            told: row.take()?,
            due: row.take()?,
            problem: row.take()?,
        })
    }
}

const COLUMNS: &str =
    "job, topic, channel, reason, detail, size, since, ended, acknowledged, told, due, problem";

/// What was over for so many seconds does not go on when it comes again.
const MOMENT: i64 = 3600;

/// What is to be known.
#[derive(Clone, Copy, Debug)]
pub struct News<'a> {
    /// What about.
    pub topic: Topic,
    /// The reason code.
    pub reason: &'a str,
    /// In plain words.
    pub detail: &'a str,
    /// How many objects it concerns; 0 when it is no number of objects.
    pub size: u64,
}

/// Raises a notice. One that is there already for the same reason stays as it is, but for its words, unless it
/// concerns twice as many objects as it did; one that was over only a moment ago goes on.
pub async fn raise(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    news: News<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    for channel in Channel::ALL {
        raise_by(tx, (tenant, job), channel, news, now).await?;
    }
    Ok(())
}

async fn raise_by(
    tx: &mut Tx<'_>,
    (tenant, job): (TenantId, JobId),
    channel: Channel,
    news: News<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let before = find(tx, tenant, job, news.topic, channel).await?;
    let known = before.as_ref().filter(|it| {
        let is_grown = news.size >= 10 && news.size >= 2 * it.size;
        // Whose end nobody was told, because nobody wanted to be, is over all the same.
        let is_over = |ended: Timestamp| it.due.is_none() || ended < now.plus_seconds(-MOMENT);
        it.reason == news.reason && !is_grown && !it.ended.is_some_and(is_over)
    });
    let due = match (&before, known) {
        (_, Some(it)) if it.ended.is_none() => it.due,
        // Its end was not told yet: nobody is told anything.
        (_, Some(it)) if it.acknowledged => None,
        (_, Some(_)) => Some(now.plus_seconds(Notice::AGAIN)),
        // Who was told again and again today is told more slowly.
        (Some(it), None) if it.told >= Notice::OFTEN => Some(now.plus_seconds(Notice::SLOWLY)),
        (_, None) => Some(now.plus_seconds(Notice::TOGETHER)),
    };
    let since = known.map_or(now, |it| it.since);
    let size = known.map_or(news.size, |it| it.size);
    let sql = "INSERT INTO notices (tenant, job, topic, channel, reason, detail, size, since, \
               acknowledged, told, announced, due) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, $10, $11) \
               ON CONFLICT (tenant, job, topic, channel) DO UPDATE SET reason = excluded.reason, \
               detail = excluded.detail, size = excluded.size, since = excluded.since, ended = NULL, \
               acknowledged = excluded.acknowledged, due = excluded.due, \
               announced = CASE WHEN notices.ended IS NULL THEN notices.announced \
               ELSE excluded.announced END";
    let params = [
        tenant.into(),
        job.into(),
        news.topic.as_str().into(),
        channel.as_str().into(),
        news.reason.into(),
        news.detail.into(),
        size.into(),
        since.into(),
        known.is_some_and(|it| it.acknowledged).into(),
        known.is_some().into(),
        due.into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// Ends a notice: what somebody was told, or is being told, is told to be over; the rest is forgotten.
pub async fn end(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    topic: Topic,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM notices WHERE tenant = $1 AND job = $2 AND topic = $3 \
               AND NOT announced AND told = 0";
    let params = [tenant.into(), job.into(), topic.as_str().into()];
    tx.exec(sql, &params).await?;
    let sql = "UPDATE notices SET ended = $1, due = CASE WHEN announced THEN CAST($2 AS BIGINT) END \
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

/// Forgets the notices of a job that somebody switched off: they know.
pub async fn forget(tx: &mut Tx<'_>, tenant: TenantId, job: JobId) -> Result<(), StoreError> {
    let sql = "DELETE FROM notices WHERE tenant = $1 AND job = $2";
    tx.exec(sql, &[tenant.into(), job.into()]).await.map(|_| ())
}

/// A job's notice of a topic by a channel; one that is over, too, for a while.
async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    topic: Topic,
    channel: Channel,
) -> Result<Option<Notice>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM notices \
         WHERE tenant = $1 AND job = $2 AND topic = $3 AND channel = $4"
    );
    let params = [
        tenant.into(),
        job.into(),
        topic.as_str().into(),
        channel.as_str().into(),
    ];
    tx.one(&sql, &params).await
}

/// All notices that are not over, oldest first, one for each channel.
pub async fn open(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    limit: u32,
) -> Result<Vec<Notice>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM notices WHERE tenant = $1 AND ended IS NULL \
         ORDER BY since, job, topic, channel LIMIT $2"
    );
    tx.all(&sql, &[tenant.into(), limit.into()]).await
}

/// Acknowledges a job's notices that are not over; answers how many they are. Of a quarantine somebody is told
/// once more a week before the job is switched off (NT-8).
pub async fn acknowledge(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let mut acknowledged = HashSet::new();
    let topics = [Topic::Quarantine, Topic::Failures, Topic::Expiry];
    let all = topics.map(|topic| Channel::ALL.map(|channel| (topic, channel)));
    for (topic, channel) in all.into_iter().flatten() {
        let found = find(tx, tenant, job, topic, channel).await?;
        let Some(notice) = found.filter(|it| it.ended.is_none() && !it.acknowledged) else {
            continue;
        };
        let warning = notice.since.plus_seconds(Notice::WARNING);
        let due = (topic == Topic::Quarantine && warning > now).then_some(warning);
        let sql = "UPDATE notices SET acknowledged = $1, announced = $2, due = $3 \
                   WHERE tenant = $4 AND job = $5 AND topic = $6 AND channel = $7";
        let params = [
            true.into(),
            true.into(),
            due.into(),
            tenant.into(),
            job.into(),
            topic.as_str().into(),
            channel.as_str().into(),
        ];
        if tx.exec(sql, &params).await? > 0 {
            acknowledged.insert(topic);
        }
    }
    Ok(acknowledged.len() as u64)
}

/// What is due; and, if anything is, what will be soon, so that it is told together.
pub async fn due(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    now: Timestamp,
    limit: u32,
) -> Result<Vec<Notice>, StoreError> {
    let sql = "SELECT count(*) FROM notices WHERE tenant = $1 AND due <= $2";
    let row: Option<(i64,)> = tx.one(sql, &[tenant.into(), now.into()]).await?;
    if row.is_none_or(|(count,)| count == 0) {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT {COLUMNS} FROM notices WHERE tenant = $1 \
         AND (due <= $2 OR (told > 0 AND ended IS NULL AND problem IS NULL AND due <= $3)) \
         ORDER BY since, job, topic, channel LIMIT $4"
    );
    let params = [
        tenant.into(),
        now.plus_seconds(Notice::TOGETHER).into(),
        now.plus_seconds(Notice::AGAIN / 2).into(),
        limit.into(),
    ];
    tx.all(&sql, &params).await
}

/// Takes a notice, so that nobody else tells it until `until`; false when somebody else has, or it is another
/// one by now.
pub async fn claim(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    notice: &Notice,
    until: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "UPDATE notices SET due = $1, announced = $2 WHERE tenant = $3 AND job = $4 \
               AND topic = $5 AND channel = $6 AND since = $7 AND due = $8";
    let seen: Val = notice.due.into();
    let params = [
        &[until.into(), true.into()][..],
        &place(tenant, notice),
        &[seen],
    ];
    Ok(tx.exec(sql, &params.concat()).await? > 0)
}

/// A notice was told: it is told again later, or put aside when it is over. What has become of it meanwhile is
/// not touched.
pub async fn told(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    notice: &Notice,
    until: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let again = match (notice.ended, notice.acknowledged) {
        (None, false) => Some(now.plus_seconds(Notice::AGAIN)),
        (None, true) | (Some(_), _) => None,
    };
    let sql = "UPDATE notices SET told = told + 1, problem = NULL, \
               due = CASE WHEN due = $1 THEN $2 ELSE due END \
               WHERE tenant = $3 AND job = $4 AND topic = $5 AND channel = $6 AND since = $7";
    let times: [Val; 2] = [until.into(), again.into()];
    let params = [&times[..], &place(tenant, notice)].concat();
    tx.exec(sql, &params).await.map(|_| ())
}

/// A notice could not be told, and why; it is told when `claim` said.
pub async fn missed(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    notice: &Notice,
    problem: &str,
) -> Result<(), StoreError> {
    let sql = "UPDATE notices SET problem = $1 \
               WHERE tenant = $2 AND job = $3 AND topic = $4 AND channel = $5 AND since = $6";
    let params = [&[problem.into()][..], &place(tenant, notice)].concat();
    tx.exec(sql, &params).await.map(|_| ())
}

/// Forgets what was over before an instant, whether somebody wanted to be told or not.
pub async fn clear(tx: &mut Tx<'_>, tenant: TenantId, before: Timestamp) -> Result<(), StoreError> {
    let sql = "DELETE FROM notices WHERE tenant = $1 AND ended < $2";
    tx.exec(sql, &[tenant.into(), before.into()])
        .await
        .map(|_| ())
}

fn place(tenant: TenantId, notice: &Notice) -> [Val; 5] {
    [
        tenant.into(),
        notice.job.into(),
        notice.topic.as_str().into(),
        notice.channel.as_str().into(),
        notice.since.into(),
    ]
}
