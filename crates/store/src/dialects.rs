//! In which ways senders depart from the RFCs, counted.

use muster_model::Timestamp;

use crate::resources::Place;
use crate::{FromRow, Row, StoreError, Tx};

/// Ways of one integration that are kept; further ones are not, so that no sender fills the table.
const KEPT: i64 = 2000;
/// Those among them that name an attribute.
const NAMED: i64 = 1000;

/// A deviation of one client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// What the client calls itself.
    pub client: String,
    /// The code of the deviation.
    pub deviation: String,
    /// The attribute that it is about; empty when it is about none.
    pub name: String,
    /// In how many requests.
    pub count: u64,
    /// In the first of them.
    pub first: Timestamp,
    /// In the last of them.
    pub last: Timestamp,
}

impl FromRow for Seen {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            client: row.take()?,
            deviation: row.take()?,
            name: row.take()?,
            count: row.take()?,
            first: row.take()?,
            last: row.take()?,
        })
    }
}

/// Adds to what was counted so far of an integration.
pub async fn add(tx: &mut Tx<'_>, place: Place, all: &[Seen]) -> Result<(), StoreError> {
    let more = "UPDATE dialects SET count = count + $1, \
                last_seen = CASE WHEN last_seen > $2 THEN last_seen ELSE $2 END \
                WHERE tenant = $3 AND integration = $4 AND client = $5 AND deviation = $6 \
                AND name = $7";
    let mut new = Vec::new();
    for seen in all {
        let params = [
            seen.count.into(),
            seen.last.into(),
            place.tenant.into(),
            place.integration.into(),
            (&seen.client).into(),
            (&seen.deviation).into(),
            (&seen.name).into(),
        ];
        if tx.exec(more, &params).await? == 0 {
            new.push(seen);
        }
    }
    if new.is_empty() {
        return Ok(());
    }
    // What names an attribute has a bound of its own, so that no sender hides other deviations behind many.
    let count = "SELECT count(*), coalesce(sum(CASE WHEN name = '' THEN 0 ELSE 1 END), 0) \
                 FROM dialects WHERE tenant = $1 AND integration = $2";
    let kept: Option<(i64, i64)> = tx.one(count, &place.params([])).await?;
    let (mut kept, mut named) = kept.unwrap_or_default();
    let sql = "INSERT INTO dialects \
               (tenant, integration, client, deviation, name, count, first_seen, last_seen) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
    for seen in new {
        let names = !seen.name.is_empty();
        if kept >= KEPT || names && named >= NAMED {
            continue;
        }
        kept += 1;
        named += i64::from(names);
        let params = place.params([
            (&seen.client).into(),
            (&seen.deviation).into(),
            (&seen.name).into(),
            seen.count.into(),
            seen.first.into(),
            seen.last.into(),
        ]);
        tx.exec(sql, &params).await?;
    }
    Ok(())
}

/// Everything that was seen, by client and deviation.
pub async fn list(tx: &mut Tx<'_>, place: Place) -> Result<Vec<Seen>, StoreError> {
    let sql = "SELECT client, deviation, name, count, first_seen, last_seen FROM dialects \
               WHERE tenant = $1 AND integration = $2 ORDER BY client, deviation, name";
    tx.all(sql, &place.params([])).await
}
