//! The exchange log: the requests of an event and their answers, sealed in one piece. Written by the engine,
//! thrown away by age and size.

use muster_model::exchange::{Body, Exchange};
use muster_model::{EventId, JobId, Secret, TenantId, Timestamp};
use serde_json::{Value as Json, json};

use crate::events::first_of;
use crate::{SealingKey, StoreError, Tx, Val};

/// The exchanges of one event, sealed.
#[derive(Debug)]
pub struct Sealed {
    job: JobId,
    event: EventId,
    bytes: Vec<u8>,
}

/// What is kept of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Of so many events.
    pub events: u64,
    /// So many bytes.
    pub bytes: u64,
}

/// Events whose exchanges are thrown away in one transaction.
const AT_ONCE: u32 = 2000;

fn place(tenant: TenantId, job: JobId, event: EventId) -> Vec<u8> {
    format!("{}/{job}/exchanges/{event}", tenant.0).into_bytes()
}

/// Seals the exchanges of an event; for [`append`].
pub fn seal(
    key: &SealingKey,
    (tenant, job): (TenantId, JobId),
    event: EventId,
    exchanges: &[Exchange],
) -> Result<Sealed, StoreError> {
    let text = Json::Array(exchanges.iter().map(to_json).collect()).to_string();
    let bytes = key.seal(&place(tenant, job, event), &Secret::new(text))?;
    Ok(Sealed { job, event, bytes })
}

/// Keeps what was sealed.
pub async fn append(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    sealed: Vec<Sealed>,
) -> Result<(), StoreError> {
    let row = |Sealed { job, event, bytes }| {
        let size = bytes.len() as u64;
        vec![
            tenant.into(),
            job.into(),
            event.into(),
            size.into(),
            bytes.into(),
        ]
    };
    let rows: Vec<Vec<Val>> = sealed.into_iter().map(row).collect();
    let head = "INSERT INTO exchanges (tenant, job, event, size, sealed)";
    tx.insert_many(head, "", rows).await.map(|_| ())
}

/// The exchanges of an event, in their order; none when none are kept.
pub async fn of(
    tx: &mut Tx<'_>,
    key: &SealingKey,
    (tenant, job): (TenantId, JobId),
    event: EventId,
) -> Result<Vec<Exchange>, StoreError> {
    let sql = "SELECT sealed FROM exchanges WHERE tenant = $1 AND job = $2 AND event = $3";
    let params = [tenant.into(), job.into(), event.into()];
    let Some((sealed,)) = tx.one::<(Vec<u8>,)>(sql, &params).await? else {
        return Ok(Vec::new());
    };
    let text = key.open(&place(tenant, job, event), &sealed)?;
    let corrupt = || StoreError::Corrupt {
        place: format!("exchanges of event {event}"),
        column: 0,
        reason: "they are not what was sealed".to_owned(),
    };
    let all: Vec<Json> = serde_json::from_str(text.expose()).map_err(|_| corrupt())?;
    all.iter()
        .map(|json| from_json(json).ok_or_else(corrupt))
        .collect()
}

/// How much is kept of a job.
pub async fn held(tx: &mut Tx<'_>, tenant: TenantId, job: JobId) -> Result<Held, StoreError> {
    let sql = "SELECT count(*), CAST(coalesce(sum(size), 0) AS BIGINT) FROM exchanges \
               WHERE tenant = $1 AND job = $2";
    let held: Option<(u64, u64)> = tx.one(sql, &[tenant.into(), job.into()]).await?;
    let (events, bytes) = held.unwrap_or_default();
    Ok(Held { events, bytes })
}

/// The newest event whose exchanges are too much: those of events before `since`, and what is more than so many
/// bytes.
pub async fn surplus(
    tx: &mut Tx<'_>,
    (tenant, job): (TenantId, JobId),
    since: Timestamp,
    bytes: u64,
) -> Result<Option<EventId>, StoreError> {
    let too_large = "SELECT event FROM (SELECT event, \
                     sum(size) OVER (ORDER BY event DESC ROWS UNBOUNDED PRECEDING) AS total \
                     FROM exchanges WHERE tenant = $1 AND job = $2) AS sizes \
                     WHERE total > CAST($3 AS BIGINT) ORDER BY event DESC LIMIT 1";
    let too_old = "SELECT event FROM exchanges WHERE tenant = $1 AND job = $2 AND event < $3 \
                   ORDER BY event DESC LIMIT 1";
    let large = match held(tx, tenant, job).await? {
        held if held.bytes <= bytes => None,
        _ => {
            let params = [tenant.into(), job.into(), bytes.into()];
            tx.one::<(EventId,)>(too_large, &params).await?
        }
    };
    let params = [tenant.into(), job.into(), first_of(since).into()];
    let old: Option<(EventId,)> = tx.one(too_old, &params).await?;
    Ok(large.into_iter().chain(old).map(|(event,)| event).max())
}

/// Throws away the exchanges up to those of an event, some at a time; answers whether there may be more.
pub async fn throw_away(
    tx: &mut Tx<'_>,
    (tenant, job): (TenantId, JobId),
    up_to: EventId,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM exchanges WHERE tenant = $1 AND job = $2 AND event IN \
               (SELECT event FROM exchanges WHERE tenant = $1 AND job = $2 AND event <= $3 \
               ORDER BY event LIMIT $4)";
    let params = [tenant.into(), job.into(), up_to.into(), AT_ONCE.into()];
    Ok(tx.exec(sql, &params).await? == u64::from(AT_ONCE))
}

fn to_json(exchange: &Exchange) -> Json {
    let body = |body: &Body| json!([body.text, body.size, body.is_cut]);
    json!({
        "at": exchange.at.as_micros(), "ms": exchange.millis,
        "method": exchange.method, "url": exchange.url, "with": exchange.asked_with,
        "sent": exchange.sent.as_ref().map(body), "status": exchange.status,
        "headers": exchange.headers,
        "answered": exchange.answered.as_ref().map(body), "failure": exchange.failure,
    })
}

fn from_json(json: &Json) -> Option<Exchange> {
    let text = |json: &Json| json.as_str().map(str::to_owned);
    let body = |json: &Json| match json {
        Json::Null => Some(None),
        json => Some(Some(Body {
            text: text(&json[0])?,
            size: json[1].as_u64()?,
            is_cut: json[2].as_bool()?,
        })),
    };
    let header = |json: &Json| Some((text(&json[0])?, text(&json[1])?));
    let pairs = |json: &Json| json.as_array()?.iter().map(header).collect::<Option<_>>();
    Some(Exchange {
        at: Timestamp::from_micros(json["at"].as_i64()?),
        millis: json["ms"].as_u64()?,
        method: text(&json["method"])?,
        url: text(&json["url"])?,
        asked_with: pairs(&json["with"])?,
        sent: body(&json["sent"])?,
        status: json["status"].as_u64().and_then(|it| it.try_into().ok()),
        headers: pairs(&json["headers"])?,
        answered: body(&json["answered"])?,
        failure: text(&json["failure"]),
    })
}
