//! In which ways senders depart from the RFCs, counted.

use muster_model::Timestamp;

use crate::resources::Place;
use crate::{FromRow, Row, StoreError, Tx};

/// Ways of one integration that are kept; further ones are not, so that no sender fills the table.
const KEPT: i64 = 2000;

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

/// Adds to what was counted so far.
pub async fn add(tx: &mut Tx<'_>, place: Place, seen: &Seen) -> Result<(), StoreError> {
    let more = "UPDATE dialects SET count = count + $1, \
                last_seen = CASE WHEN last_seen > $2 THEN last_seen ELSE $2 END \
                WHERE tenant = $3 AND integration = $4 AND client = $5 AND deviation = $6 \
                AND name = $7";
    let params = [
        seen.count.into(),
        seen.last.into(),
        place.tenant.into(),
        place.integration.into(),
        (&seen.client).into(),
        (&seen.deviation).into(),
        (&seen.name).into(),
    ];
    if tx.exec(more, &params).await? > 0 {
        return Ok(());
    }
    let count = "SELECT count(*) FROM dialects WHERE tenant = $1 AND integration = $2";
    let kept = tx.one(count, &place.params([])).await?;
    if kept.is_some_and(|(kept,): (i64,)| kept >= KEPT) {
        return Ok(());
    }
    let sql = "INSERT INTO dialects \
               (tenant, integration, client, deviation, name, count, first_seen, last_seen) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING";
    let params = place.params([
        (&seen.client).into(),
        (&seen.deviation).into(),
        (&seen.name).into(),
        seen.count.into(),
        seen.first.into(),
        seen.last.into(),
    ]);
    tx.exec(sql, &params).await.map(|_| ())
}

/// Everything that was seen, by client and deviation.
pub async fn list(tx: &mut Tx<'_>, place: Place) -> Result<Vec<Seen>, StoreError> {
    let sql = "SELECT client, deviation, name, count, first_seen, last_seen FROM dialects \
               WHERE tenant = $1 AND integration = $2 ORDER BY client, deviation, name";
    tx.all(sql, &place.params([])).await
}
