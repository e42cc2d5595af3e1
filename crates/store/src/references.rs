//! References at the target: a user's manager, a group's members. Written by the engine.
//!
//! A row says that `owner` should refer (or refers) to `referred` by an attribute. Rows that are due
//! are the work list of a cycle's second pass; they stay due until the target has answered, so a
//! crash or a failed request costs a repetition and nothing else. A row whose referred object has
//! no link waits; the link's creation wakes it, so that a reference heals when its object comes into
//! scope later (better than CY-18 and CY-19).
//!
//! Nothing finds rows by the referred object: an index of it would be written all over with every
//! group. Whoever links an object asks the source who refers to it, and wakes those rows by name. A
//! row remembers as whom the referred object was sent, so that an object which got another id at the
//! target is sent again.

use muster_model::directory::Kind;
use muster_model::link::{SourceAnchor, TargetId};
use muster_model::{JobId, TenantId, Timestamp};

use crate::lists::of_job;
use crate::{FromRow, FromVal, StoreError, Tx, Val};

/// How far a reference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// To be added at the target.
    Add,
    /// The target has it.
    Exported,
    /// To be removed at the target.
    Remove,
    /// Its referred object has no link yet.
    Waiting,
    /// Being added while its owner is filled, which is done again should it be broken off: so the
    /// target may have it.
    Sending,
    /// The target refused to add it; see [`refuse`]. It may have it all the same when it was sent before
    /// without an answer, or had it: then it is known as whom it was sent.
    Refused,
}

impl From<State> for Val {
    fn from(state: State) -> Self {
        Self::Int(match state {
            State::Add => 1,
            State::Exported => 2,
            State::Remove => 3,
            State::Waiting => 4,
            State::Sending => 5,
            State::Refused => 6,
        })
    }
}

impl FromVal for State {
    fn from_val(val: Val) -> Result<Self, String> {
        match i64::from_val(val)? {
            1 => Ok(Self::Add),
            2 => Ok(Self::Exported),
            3 => Ok(Self::Remove),
            4 => Ok(Self::Waiting),
            5 => Ok(Self::Sending),
            6 => Ok(Self::Refused),
            other => Err(format!("{other} is no state of a reference")),
        }
    }
}

/// A reference: who refers, by which attribute, to whom.
pub type Reference<'a> = (SourceAnchor, &'a str, SourceAnchor);

/// As whom an object was sent: a digest of its id at the target, much shorter than most ids.
pub fn digest(target: &TargetId) -> i64 {
    use sha2::{Digest, Sha256};
    let digest: [u8; 32] = Sha256::digest(target.0.as_bytes()).into();
    digest[..8]
        .iter()
        .fold(0, |number, byte| (number << 8) | i64::from(*byte))
}

fn row(
    tenant: TenantId,
    job: JobId,
    (owner, attribute, referred): Reference<'_>,
    state: State,
    sent_as: Option<i64>,
) -> Vec<Val> {
    vec![
        tenant.into(),
        job.into(),
        owner.into(),
        attribute.into(),
        referred.into(),
        state.into(),
        sent_as.into(),
    ]
}

/// What names a row, in the order in which statements do.
fn place(tenant: TenantId, job: JobId, (owner, attribute, referred): Reference<'_>) -> [Val; 5] {
    [
        tenant.into(),
        job.into(),
        owner.into(),
        attribute.into(),
        referred.into(),
    ]
}

const INSERT: &str =
    "INSERT INTO reference_links (tenant, job, owner, attribute, referred, state, sent_as)";

/// Wants references that are new, wait, or were to be removed; those the target has stay as they are.
/// What was to be removed is sent again: its removal may have arrived without an answer.
/// No reference is named twice.
pub async fn want(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    references: &[Reference<'_>],
) -> Result<(), StoreError> {
    let rows = references
        .iter()
        .map(|reference| row(tenant, job, *reference, State::Add, None))
        .collect();
    let tail = "ON CONFLICT (tenant, job, owner, attribute, referred) DO UPDATE SET \
                state = 1, retry_at = NULL WHERE reference_links.state IN (3, 4, 5, 6)";
    tx.insert_many(INSERT, tail, rows).await.map(|_| ())
}

/// No longer wants a reference: one that the target has, or may have because it was sent without an
/// answer, becomes due for removal; others go away.
pub async fn unwant(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    owner: SourceAnchor,
    attribute: &str,
    referred: SourceAnchor,
) -> Result<(), StoreError> {
    let place = place(tenant, job, (owner, attribute, referred));
    let sql = "DELETE FROM reference_links WHERE tenant = $1 AND job = $2 AND owner = $3 \
               AND attribute = $4 AND referred = $5 \
               AND state = 4";
    tx.exec(sql, &place).await?;
    // Also one that was refused: an earlier attempt may have arrived in a process that died.
    let sql = "UPDATE reference_links SET state = 3, retry_at = NULL WHERE tenant = $1 AND job = $2 \
               AND owner = $3 AND attribute = $4 AND referred = $5 AND state IN (1, 2, 5, 6)";
    tx.exec(sql, &place).await.map(|_| ())
}

/// How a reference stands at the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How far it is.
    pub state: State,
    /// As whom the referred object was sent; see [`digest`].
    pub sent_as: Option<i64>,
}

impl Standing {
    /// Does the target have this reference, to the object as it is linked now?
    pub fn is_at_target(&self, linked: Option<&TargetId>) -> bool {
        self.state == State::Exported && linked.is_none_or(|id| self.sent_as == Some(digest(id)))
    }
}

/// What `owner` refers to by `attribute`, in the order of the referred ids, after `after`.
pub async fn of(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    owner: SourceAnchor,
    attribute: &str,
    after: Option<SourceAnchor>,
    limit: u32,
) -> Result<Vec<(SourceAnchor, Standing)>, StoreError> {
    let after = after.unwrap_or(SourceAnchor::from_bytes([0; 16]));
    let sql = "SELECT referred, state, sent_as FROM reference_links \
               WHERE tenant = $1 AND job = $2 AND owner = $3 AND attribute = $4 AND referred > $5 \
               ORDER BY referred LIMIT $6";
    let params = [
        tenant.into(),
        job.into(),
        owner.into(),
        attribute.into(),
        after.into(),
        limit.into(),
    ];
    let rows: Vec<(SourceAnchor, State, Option<i64>)> = tx.all(sql, &params).await?;
    Ok(rows
        .into_iter()
        .map(|(referred, state, sent_as)| (referred, Standing { state, sent_as }))
        .collect())
}

/// How some references stand; those that nobody knows of are left out.
pub async fn standing(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    references: &[Reference<'_>],
) -> Result<Vec<Option<Standing>>, StoreError> {
    let sql = "SELECT state, sent_as FROM reference_links WHERE tenant = $1 AND job = $2 \
               AND owner = $3 AND attribute = $4 AND referred = $5";
    let mut found = Vec::with_capacity(references.len());
    for reference in references {
        let row: Option<(State, Option<i64>)> =
            tx.one(sql, &place(tenant, job, *reference)).await?;
        found.push(row.map(|(state, sent_as)| Standing { state, sent_as }));
    }
    Ok(found)
}

/// A row: owner, attribute, referred object, how it stands.
pub type Row = (SourceAnchor, String, SourceAnchor, Standing);

/// Everything that these objects refer to, in no order.
pub async fn of_owners(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    owners: &[SourceAnchor],
) -> Result<Vec<Row>, StoreError> {
    let select = "SELECT owner, attribute, referred, state, sent_as FROM reference_links";
    let rows: Vec<(SourceAnchor, String, SourceAnchor, State, Option<i64>)> =
        of_job(tx, select, (tenant, job), "owner", owners).await?;
    Ok(rows
        .into_iter()
        .map(|(owner, attribute, referred, state, sent_as)| {
            (owner, attribute, referred, Standing { state, sent_as })
        })
        .collect())
}

/// How many references an object has by attribute and state.
pub async fn tally(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    owner: SourceAnchor,
) -> Result<Vec<(String, State, u64)>, StoreError> {
    let sql = "SELECT attribute, state, count(*) FROM reference_links WHERE tenant = $1 AND job = $2 \
               AND owner = $3 GROUP BY attribute, state ORDER BY attribute, state";
    tx.all(sql, &[tenant.into(), job.into(), owner.into()])
        .await
}

/// A reference that the second pass must add or remove.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    /// Who refers.
    pub owner: SourceAnchor,
    /// What kind of object refers.
    pub kind: Kind,
    /// The owner at the target.
    pub owner_target: TargetId,
    /// By which attribute.
    pub attribute: String,
    /// To whom.
    pub referred: SourceAnchor,
    /// The referred object at the target; `None` when it has no link.
    pub referred_target: Option<TargetId>,
    /// [`State::Add`] or [`State::Remove`].
    pub state: State,
}

impl FromRow for Due {
    fn from_row(row: &mut crate::Row) -> Result<Self, StoreError> {
        Ok(Self {
            owner: row.take()?,
            kind: row.take()?,
            owner_target: TargetId(row.take()?),
            attribute: row.take()?,
            referred: row.take()?,
            state: row.take()?,
            referred_target: row.take::<Option<String>>()?.map(TargetId),
        })
    }
}

/// The next references of managed owners that are due after a place in the work list and before an
/// owner, grouped by owner.
pub async fn due(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    after: (SourceAnchor, String, SourceAnchor),
    before: Option<SourceAnchor>,
    limit: u32,
) -> Result<Vec<Due>, StoreError> {
    let (owner, attribute, referred) = after;
    // No owner is beyond this one; the only id equal to it is no id of anything.
    let before = before.unwrap_or(SourceAnchor::from_bytes([255; 16]));
    let hint = tx.indexed_by("reference_links_due");
    let sql = format!(
        "SELECT r.owner, o.kind, o.target, r.attribute, r.referred, r.state, t.target \
               FROM reference_links r {hint} CROSS JOIN links o \
               LEFT JOIN links t ON t.tenant = r.tenant AND t.job = r.job AND t.anchor = r.referred \
               WHERE r.tenant = $1 AND r.job = $2 AND r.state IN (1, 3) \
               AND (r.owner, r.attribute, r.referred) > ($3, $4, $5) AND r.owner < $6 \
               AND o.tenant = r.tenant AND o.job = r.job AND o.anchor = r.owner AND o.state = 1 \
               ORDER BY r.owner, r.attribute, r.referred LIMIT $7"
    );
    let params = [
        tenant.into(),
        job.into(),
        owner.into(),
        attribute.into(),
        referred.into(),
        before.into(),
        limit.into(),
    ];
    tx.all(&sql, &params).await
}

/// References of an attribute that are to be removed, of managed owners, in order, after a place.
pub async fn to_remove(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    attribute: &str,
    after: (SourceAnchor, SourceAnchor),
    limit: u32,
) -> Result<Vec<(SourceAnchor, SourceAnchor)>, StoreError> {
    let hint = tx.indexed_by("reference_links_due");
    let sql = format!(
        "SELECT r.owner, r.referred FROM reference_links r {hint} CROSS JOIN links o \
         WHERE r.tenant = $1 AND r.job = $2 AND r.state IN (1, 3) AND r.state = 3 \
         AND r.attribute = $3 AND (r.owner, r.referred) > ($4, $5) \
         AND o.tenant = r.tenant AND o.job = r.job AND o.anchor = r.owner AND o.state = 1 \
         ORDER BY r.owner, r.referred LIMIT $6"
    );
    let params = [
        tenant.into(),
        job.into(),
        attribute.into(),
        after.0.into(),
        after.1.into(),
        limit.into(),
    ];
    tx.all(&sql, &params).await
}

/// Puts off the removal of references until `at`.
pub async fn put_off(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    references: &[Reference<'_>],
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE reference_links SET retry_at = $1 WHERE tenant = $2 AND job = $3 \
               AND owner = $4 AND attribute = $5 AND referred = $6 AND state = 3";
    for reference in references {
        let [tenant, job, owner, attribute, referred] = place(tenant, job, *reference);
        let params = [at.into(), tenant, job, owner, attribute, referred];
        tx.exec(sql, &params).await?;
    }
    Ok(())
}

/// How many references are due.
pub async fn count_due(tx: &mut Tx<'_>, tenant: TenantId, job: JobId) -> Result<u64, StoreError> {
    let hint = tx.indexed_by("reference_links_due");
    let sql = format!(
        "SELECT count(*) FROM reference_links {hint} \
         WHERE tenant = $1 AND job = $2 AND state IN (1, 3)"
    );
    Ok(tx
        .one(&sql, &[tenant.into(), job.into()])
        .await?
        .map_or(0, |(count,)| count))
}

/// Moves references to a state. What was added is kept with the id it was sent as.
pub async fn settle(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    references: &[(Reference<'_>, Option<&TargetId>)],
    state: State,
) -> Result<(), StoreError> {
    let rows = references
        .iter()
        .map(|(reference, sent_as)| row(tenant, job, *reference, state, sent_as.map(digest)))
        .collect();
    let tail = "ON CONFLICT (tenant, job, owner, attribute, referred) \
                DO UPDATE SET state = excluded.state, retry_at = NULL, \
                sent_as = coalesce(excluded.sent_as, reference_links.sent_as)";
    tx.insert_many(INSERT, tail, rows).await.map(|_| ())
}

/// Puts aside references whose adding the target refused, until `retry_at`: what it refuses again and
/// again must not keep others from being sent.
pub async fn refuse(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    references: &[Reference<'_>],
    retry_at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE reference_links SET state = 6, retry_at = $1 \
               WHERE tenant = $2 AND job = $3 AND owner = $4 AND attribute = $5 AND referred = $6";
    for reference in references {
        let [tenant, job, owner, attribute, referred] = place(tenant, job, *reference);
        let params = [retry_at.into(), tenant, job, owner, attribute, referred];
        tx.exec(sql, &params).await?;
    }
    Ok(())
}

/// Makes due again what the target refused, or was put off, until `now`.
pub async fn retry(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    now: Timestamp,
) -> Result<(), StoreError> {
    let sql = "UPDATE reference_links SET state = CASE WHEN state = 3 THEN 3 ELSE 1 END, \
               retry_at = NULL WHERE tenant = $1 AND job = $2 AND retry_at <= $3";
    tx.exec(sql, &[tenant.into(), job.into(), now.into()])
        .await
        .map(|_| ())
}

/// How many references the target refused to add.
pub async fn count_refused(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM reference_links \
               WHERE tenant = $1 AND job = $2 AND retry_at IS NOT NULL AND state = 6";
    let row: Option<(u64,)> = tx.one(sql, &[tenant.into(), job.into()]).await?;
    Ok(row.map_or(0, |(count,)| count))
}

/// When the first reference that the target refused, or was put off, is to be tried again.
pub async fn next_retry(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
) -> Result<Option<Timestamp>, StoreError> {
    let sql = "SELECT min(retry_at) FROM reference_links \
               WHERE tenant = $1 AND job = $2 AND retry_at IS NOT NULL";
    let row: Option<(Option<Timestamp>,)> = tx.one(sql, &[tenant.into(), job.into()]).await?;
    Ok(row.and_then(|(at,)| at))
}

/// Drops references that the target has no more.
pub async fn drop_all(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    references: &[Reference<'_>],
) -> Result<(), StoreError> {
    let sql = "DELETE FROM reference_links WHERE tenant = $1 AND job = $2 AND owner = $3 \
               AND attribute = $4 AND referred = $5";
    for reference in references {
        tx.exec(sql, &place(tenant, job, *reference)).await?;
    }
    Ok(())
}

/// Makes due again references to objects that are linked just now: those that wait, and those that were
/// sent before, to an object that is not the same at the target any more, whatever its id is.
pub async fn wake(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    references: &[Reference<'_>],
) -> Result<(), StoreError> {
    let sql = "UPDATE reference_links SET state = 1, retry_at = NULL \
               WHERE tenant = $1 AND job = $2 AND owner = $3 \
               AND attribute = $4 AND referred = $5 AND state IN (2, 4, 5, 6)";
    for reference in references {
        tx.exec(sql, &place(tenant, job, *reference)).await?;
    }
    Ok(())
}

/// Makes due again everything that an object refers to, because it is another object at the target.
pub async fn send_again(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    owner: SourceAnchor,
) -> Result<(), StoreError> {
    let place = [tenant.into(), job.into(), owner.into()];
    let sql = "DELETE FROM reference_links \
               WHERE tenant = $1 AND job = $2 AND owner = $3 AND state = 3";
    tx.exec(sql, &place).await?;
    let sql = "UPDATE reference_links SET state = 1, retry_at = NULL \
               WHERE tenant = $1 AND job = $2 AND owner = $3 AND state IN (2, 5, 6)";
    tx.exec(sql, &place).await.map(|_| ())
}

/// Forgets the references of objects that are not linked any more.
pub async fn clear(tx: &mut Tx<'_>, tenant: TenantId, job: JobId) -> Result<(), StoreError> {
    let sql = "DELETE FROM reference_links WHERE tenant = $1 AND job = $2 AND NOT EXISTS \
               (SELECT 1 FROM links l WHERE l.tenant = $1 AND l.job = $2 \
               AND l.anchor = reference_links.owner)";
    tx.exec(sql, &[tenant.into(), job.into()]).await.map(|_| ())
}

/// Drops what an object referred to whose link is gone. What refers to it is sent again should it be
/// linked again.
pub async fn forget(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    object: SourceAnchor,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM reference_links WHERE tenant = $1 AND job = $2 AND owner = $3";
    tx.exec(sql, &[tenant.into(), job.into(), object.into()])
        .await
        .map(|_| ())
}
