//! The event feed of an integration: everything that happened to its resources, in order.
//!
//! It is ordered as the directory's change feed is, for the same reasons; see [`crate::feed`].

use muster_model::integration::{Happening, ReceivedEvent, ResourceKind};
use muster_model::{Position, ResourceId, Timestamp};

use serde_json::json;

use crate::feed::{OLDEST, XID};
use crate::resources::{Place, hex};
use crate::{FromRow, Row, StoreError, Tx, Val};

/// Members that one entry names at most; more of them are told by several entries.
const MEMBERS: usize = 1000;

/// Something that happens to a resource.
#[derive(Clone, Copy, Debug)]
pub struct NewEvent {
    /// What happens.
    pub what: Happening,
    /// The type of the resource.
    pub kind: ResourceKind,
    /// Its id.
    pub resource: ResourceId,
    /// The version that it has by it.
    pub version: i64,
    /// When.
    pub at: Timestamp,
}

const fn number(what: Happening) -> i64 {
    match what {
        Happening::Created => 1,
        Happening::Updated => 2,
        Happening::Disabled => 3,
        Happening::Enabled => 4,
        Happening::Deleted => 5,
        Happening::MembersAdded => 6,
        Happening::MembersRemoved => 7,
    }
}

/// Writes to the feed in the caller's transaction, at its commit at the latest; `details` are the paths that changed,
/// or members. What follows an event of the same kind about the members of the same group is told by that one.
pub fn append(tx: &mut Tx<'_>, place: Place, event: NewEvent, details: Vec<String>) {
    if details.len() <= MEMBERS {
        tx.tell_later(Told {
            place,
            event,
            details,
        });
        return;
    }
    let mut rest = details.into_iter();
    while rest.len() > 0 {
        tx.tell_later(Told {
            place,
            event,
            details: rest.by_ref().take(MEMBERS).collect(),
        });
    }
}

/// An event that is written together with others.
#[derive(Debug)]
pub(crate) struct Told {
    place: Place,
    event: NewEvent,
    details: Vec<String>,
}

/// Writes [`Told::into_row`] on SQLite.
pub(crate) const INSERT_EVENTS: &str = "INSERT INTO received_changes \
    (tenant, integration, tx, number, what, kind, resource, version, details, at)";

impl Told {
    /// Tells of the next event as well, if both say who came to one group, or who left it, and nothing happened in
    /// between. The version is the last one: those before it are nowhere written down. Otherwise gives it back.
    pub(crate) fn join(&mut self, next: Self) -> Option<Self> {
        let (mine, its) = (&self.event, &next.event);
        let moves = matches!(
            its.what,
            Happening::MembersAdded | Happening::MembersRemoved
        );
        let same = (self.place, mine.what, mine.resource) == (next.place, its.what, its.resource);
        if !moves || !same || self.details.len() + next.details.len() > MEMBERS {
            return Some(next);
        }
        self.event = next.event;
        self.details.extend(next.details);
        None
    }

    fn into_row(self, number: i64) -> Vec<Val> {
        let (place, event) = (self.place, self.event);
        place.params([
            0_i64.into(),
            number.into(),
            self::number(event.what).into(),
            event.kind.into(),
            event.resource.into(),
            event.version.into(),
            self.into_text().into(),
            event.at.into(),
        ])
    }

    fn into_json(self) -> serde_json::Value {
        let (place, event) = (self.place, self.event);
        json!({
            "tenant": place.tenant.0, "integration": place.integration,
            "what": number(event.what), "kind": event.kind.number(),
            "resource": hex(event.resource), "version": event.version,
            "details": self.into_text(), "at": event.at.as_micros()
        })
    }

    /// The details as JSON.
    fn into_text(self) -> Option<String> {
        let details = self.details;
        (!details.is_empty()).then(|| serde_json::Value::from(details).to_string())
    }
}

/// The rows of events on SQLite.
pub(crate) async fn rows(tx: &mut Tx<'_>, events: Vec<Told>) -> Result<Vec<Vec<Val>>, StoreError> {
    let mut rows = Vec::with_capacity(events.len());
    for event in events {
        let number = next_number(tx, event.place).await?;
        rows.push(event.into_row(number));
    }
    Ok(rows)
}

/// Writes events on PostgreSQL, which numbers them in this order, if a condition holds. They are one parameter, so that
/// there is one statement for any number of them.
pub(crate) fn insert_events(events: Vec<Told>, only: &str) -> (String, Vec<Val>) {
    let sql = format!(
        "INSERT INTO received_changes \
         (tenant, integration, tx, what, kind, resource, version, details, at) \
         SELECT e.tenant, e.integration, {XID}, e.what, e.kind, decode(e.resource, 'hex'), \
         e.version, e.details, e.at FROM ROWS FROM (json_to_recordset($1::json) \
         AS (tenant bigint, integration bigint, what bigint, kind bigint, resource text, \
         version bigint, details text, at bigint)) WITH ORDINALITY AS e \
         (tenant, integration, what, kind, resource, version, details, at, place) \
         WHERE {only} ORDER BY e.place"
    );
    let events: serde_json::Value = events.into_iter().map(Told::into_json).collect();
    (sql, vec![events.to_string().into()])
}

/// The next number on SQLite, which has one writer; PostgreSQL numbers by itself. The last one is looked up once.
/// What is undone leaves a gap.
async fn next_number(tx: &mut Tx<'_>, place: Place) -> Result<i64, StoreError> {
    if let Some(last) = tx.numbers.get_mut(&place) {
        *last += 1;
        return Ok(*last);
    }
    let next = last(tx, place).await?.number + 1;
    tx.numbers.insert(place, next);
    Ok(next)
}

struct Entry(ReceivedEvent);

impl FromRow for Entry {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        let position = Position {
            transaction: row.take()?,
            number: row.take()?,
        };
        let what: i64 = row.take()?;
        let what = Happening::ALL.into_iter().find(|it| number(*it) == what);
        let what = what.ok_or_else(|| row.corrupt("unknown kind of event"))?;
        let (kind, resource, version) = (row.take()?, row.take()?, row.take()?);
        let details: Option<String> = row.take()?;
        let details = details.as_deref().map_or(Ok(Vec::new()), |text| {
            serde_json::from_str(text).map_err(|error| row.corrupt(error.to_string()))
        })?;
        Ok(Self(ReceivedEvent {
            position,
            what,
            kind,
            resource,
            version,
            details,
            at: row.take()?,
        }))
    }
}

/// The next events after `after`, oldest first. What lies behind a transaction that is still running is
/// left for later, so that nobody who goes on from the last one misses any.
pub async fn read(
    tx: &mut Tx<'_>,
    place: Place,
    after: Position,
    limit: u32,
) -> Result<Vec<ReceivedEvent>, StoreError> {
    let settled = if tx.is_postgres() {
        format!("AND tx < {OLDEST}")
    } else {
        String::new()
    };
    read_if(tx, place, after, limit, &settled).await
}

/// The next events after `after`, oldest first, of all that are committed: for who will not go on from there.
pub async fn read_all(
    tx: &mut Tx<'_>,
    place: Place,
    after: Position,
    limit: u32,
) -> Result<Vec<ReceivedEvent>, StoreError> {
    read_if(tx, place, after, limit, "").await
}

async fn read_if(
    tx: &mut Tx<'_>,
    place: Place,
    after: Position,
    limit: u32,
    settled: &str,
) -> Result<Vec<ReceivedEvent>, StoreError> {
    let beyond = if tx.is_postgres() {
        "(tx, number) > ($3, $4)"
    } else {
        "tx = $3 AND number > $4"
    };
    let sql = format!(
        "SELECT tx, number, what, kind, resource, version, details, at FROM received_changes \
         WHERE tenant = $1 AND integration = $2 AND {beyond} {settled} \
         ORDER BY tx, number LIMIT $5"
    );
    let params: [Val; 3] = [after.transaction.into(), after.number.into(), limit.into()];
    let entries: Vec<Entry> = tx.all(&sql, &place.params(params)).await?;
    Ok(entries.into_iter().map(|Entry(event)| event).collect())
}

/// The newest events, newest first, or the newest of those before a place: for people to read.
pub async fn newest(
    tx: &mut Tx<'_>,
    place: Place,
    before: Option<Position>,
    limit: u32,
) -> Result<Vec<ReceivedEvent>, StoreError> {
    let last = Position {
        transaction: i64::MAX,
        number: i64::MAX,
    };
    let before = before.unwrap_or(last);
    let sql = "SELECT tx, number, what, kind, resource, version, details, at FROM received_changes \
               WHERE tenant = $1 AND integration = $2 AND (tx, number) < ($3, $4) \
               ORDER BY tx DESC, number DESC LIMIT $5";
    let params: [Val; 3] = [
        before.transaction.into(),
        before.number.into(),
        limit.into(),
    ];
    let entries: Vec<Entry> = tx.all(sql, &place.params(params)).await?;
    Ok(entries.into_iter().map(|Entry(event)| event).collect())
}

/// The place of the last event that nothing can come before any more.
pub async fn end(tx: &mut Tx<'_>, place: Place) -> Result<Position, StoreError> {
    let settled = if tx.is_postgres() {
        format!("AND tx < {OLDEST}")
    } else {
        String::new()
    };
    last_if(tx, place, &settled).await
}

/// The place of the last event that is committed.
pub async fn last(tx: &mut Tx<'_>, place: Place) -> Result<Position, StoreError> {
    last_if(tx, place, "").await
}

async fn last_if(tx: &mut Tx<'_>, place: Place, settled: &str) -> Result<Position, StoreError> {
    let sql = format!(
        "SELECT tx, number FROM received_changes WHERE tenant = $1 AND integration = $2 {settled} \
         ORDER BY tx DESC, number DESC LIMIT 1"
    );
    let last: Option<(i64, i64)> = tx.one(&sql, &place.params([])).await?;
    Ok(
        last.map_or(Position::START, |(transaction, number)| Position {
            transaction,
            number,
        }),
    )
}
