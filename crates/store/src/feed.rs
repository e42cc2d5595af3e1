//! The change feed: every change of the directory, in order. [`crate::received`] is that of what
//! integrations received.
//!
//! An entry is written in the transaction that makes the change. A reader stands at a [`Position`]
//! and reads on from there; it never passes a place below which an older transaction may still
//! commit. On SQLite one writer numbers the entries, so the number is enough. On PostgreSQL numbers
//! are taken before commits, so entries are ordered by the writing transaction first, and only those
//! are read whose transaction is older than every transaction of this database that is still running.

use muster_model::{ObjectId, Position, TenantId, Timestamp};

use crate::{FromRow, Row, StoreError, Tx};

/// What happened in the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Change {
    /// A user was created or changed, soft-deleted or restored.
    User(ObjectId),
    /// A user is gone for good.
    UserPurged(ObjectId),
    /// A group was created or changed, soft-deleted or restored.
    Group(ObjectId),
    /// A group is gone for good.
    GroupPurged(ObjectId),
    /// Somebody joined or left a group.
    Membership {
        /// The group.
        group: ObjectId,
        /// Who joined or left.
        member: ObjectId,
    },
    /// Somebody was assigned to or unassigned from an application.
    Assignment {
        /// The application's id.
        application: ObjectId,
        /// Who was assigned or unassigned.
        principal: ObjectId,
    },
}

impl Change {
    fn parts(self) -> (i64, ObjectId, Option<ObjectId>) {
        match self {
            Self::User(id) => (1, id, None),
            Self::UserPurged(id) => (2, id, None),
            Self::Group(id) => (3, id, None),
            Self::GroupPurged(id) => (4, id, None),
            Self::Membership { group, member } => (5, group, Some(member)),
            Self::Assignment {
                application,
                principal,
            } => (6, application, Some(principal)),
        }
    }
}

/// An entry of the directory's feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place.
    pub position: Position,
    /// What happened.
    pub change: Change,
    /// When.
    pub at: Timestamp,
}

impl FromRow for Entry {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        let position = Position {
            transaction: row.take()?,
            number: row.take()?,
        };
        let (what, object): (i64, ObjectId) = (row.take()?, row.take()?);
        let other: Option<ObjectId> = row.take()?;
        let at = row.take()?;
        let missing = || row.corrupt("the entry names no second object");
        let change = match what {
            1 => Change::User(object),
            2 => Change::UserPurged(object),
            3 => Change::Group(object),
            4 => Change::GroupPurged(object),
            5 => Change::Membership {
                group: object,
                member: other.ok_or_else(missing)?,
            },
            6 => Change::Assignment {
                application: object,
                principal: other.ok_or_else(missing)?,
            },
            _ => return Err(row.corrupt("unknown kind of change")),
        };
        Ok(Self {
            position,
            change,
            at,
        })
    }
}

pub(crate) const XID: &str = "CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)";
/// The oldest transaction that may still write to this database; everything below it has ended, as the
/// statement's snapshot sees it. The oldest of the whole server would do as well, but then somebody's long
/// transaction in a database beside ours would hold up the feed. Who cannot be told to be in another
/// database counts as ours: the list of sessions is read after the snapshot was taken, and a transaction
/// that is found there had its number from the beginning.
pub(crate) const OLDEST: &str = "\
    (SELECT COALESCE(min(CAST(CAST(running AS TEXT) AS BIGINT)), \
        CAST(CAST(pg_snapshot_xmax(pg_current_snapshot()) AS TEXT) AS BIGINT)) \
    FROM pg_snapshot_xip(pg_current_snapshot()) AS running \
    WHERE NOT EXISTS (SELECT 1 FROM pg_stat_activity AS session \
        WHERE session.backend_xid = CAST(running AS xid) AND session.datname <> current_database()) \
    AND NOT EXISTS (SELECT 1 FROM pg_prepared_xacts AS prepared \
        WHERE prepared.transaction = CAST(running AS xid) \
        AND prepared.database <> current_database()))";

/// Writes entries to the directory's feed, in the caller's transaction.
pub async fn append(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    at: Timestamp,
    changes: &[Change],
) -> Result<(), StoreError> {
    tx.fed = true;
    let writer = if tx.is_postgres() { XID } else { "0" };
    let sql = format!(
        "INSERT INTO directory_changes (tenant, tx, what, object, other, at) \
         VALUES ($1, {writer}, $2, $3, $4, $5)"
    );
    for change in changes {
        let (what, object, other) = change.parts();
        let params = [
            tenant.into(),
            what.into(),
            object.into(),
            other.into(),
            at.into(),
        ];
        tx.exec(&sql, &params).await?;
    }
    Ok(())
}

/// The condition that an entry is after the position ($2, $3). SQLite does not see that a comparison
/// of rows could use the index as far as `number`, and would read every entry; but there the
/// transaction is always 0.
const fn beyond(tx: &Tx<'_>) -> &'static str {
    if tx.is_postgres() {
        "(tx, number) > ($2, $3)"
    } else {
        "tx = $2 AND number > $3"
    }
}

/// The next entries of the directory's feed after `after`, oldest first.
pub async fn read(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    after: Position,
    limit: u32,
) -> Result<Vec<Entry>, StoreError> {
    let settled = if tx.is_postgres() {
        format!("AND tx < {OLDEST}")
    } else {
        String::new()
    };
    let beyond = beyond(tx);
    let sql = format!(
        "SELECT tx, number, what, object, other, at FROM directory_changes \
         WHERE tenant = $1 AND {beyond} {settled} ORDER BY tx, number LIMIT $4"
    );
    let params = [
        tenant.into(),
        after.transaction.into(),
        after.number.into(),
        limit.into(),
    ];
    tx.all(&sql, &params).await
}

/// How many committed entries are after a position, also those that a reader does not see yet because
/// an older transaction of this database is still running.
pub async fn backlog(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    after: Position,
) -> Result<u64, StoreError> {
    let beyond = beyond(tx);
    let sql = format!("SELECT count(*) FROM directory_changes WHERE tenant = $1 AND {beyond}");
    let params = [tenant.into(), after.transaction.into(), after.number.into()];
    Ok(tx.one(&sql, &params).await?.map_or(0, |(count,)| count))
}

/// When the first change after a position was made, also one that a reader does not see yet.
pub async fn oldest(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    after: Position,
) -> Result<Option<Timestamp>, StoreError> {
    let beyond = beyond(tx);
    let sql = format!(
        "SELECT at FROM directory_changes WHERE tenant = $1 AND {beyond} ORDER BY tx, number LIMIT 1"
    );
    let params = [tenant.into(), after.transaction.into(), after.number.into()];
    Ok(tx.one(&sql, &params).await?.map(|(at,)| at))
}

/// A position that has everything committed so far behind it, and nothing that is still running. For a
/// transaction that has written nothing: its own entries would be behind it, too.
pub async fn end(tx: &mut Tx<'_>, tenant: TenantId) -> Result<Position, StoreError> {
    if tx.is_postgres() {
        let sql = format!("SELECT {OLDEST} - 1");
        let (transaction,) = tx.one(&sql, &[]).await?.unwrap_or((0_i64,));
        return Ok(Position {
            transaction,
            number: i64::MAX,
        });
    }
    let sql = "SELECT number FROM directory_changes WHERE tenant = $1 AND tx = 0 \
               ORDER BY number DESC LIMIT 1";
    let (number,) = tx.one(sql, &[tenant.into()]).await?.unwrap_or((0_i64,));
    Ok(Position {
        transaction: 0,
        number,
    })
}

/// The application named in an assignment entry is kept as an object id.
pub fn application_object(id: muster_model::ApplicationId) -> ObjectId {
    ObjectId::from_bytes(*id.as_bytes())
}
