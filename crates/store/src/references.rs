//! References at the target: a user's manager, a group's members. Written by the engine.
//!
//! A row says that `owner` should refer (or refers) to `referred` by an attribute. Rows that are due
//! are the work list of a cycle's second pass; they stay due until the target has answered, so a
//! crash or a failed request costs a repetition and nothing else. A row whose referred object has
//! no link waits; the link's creation wakes it, so that a reference heals when its object comes into
//! scope later (better than CY-18 and CY-19).

use muster_model::directory::Kind;
use muster_model::link::{SourceAnchor, TargetId};
use muster_model::{JobId, TenantId};

use crate::users::{LIST, id_list};
use crate::{FromRow, FromVal, Row, StoreError, Tx, Val};

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
}

impl From<State> for Val {
    fn from(state: State) -> Self {
        Self::Int(match state {
            State::Add => 1,
            State::Exported => 2,
            State::Remove => 3,
            State::Waiting => 4,
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
            other => Err(format!("{other} is no state of a reference")),
        }
    }
}

/// A reference: who refers, by which attribute, to whom.
pub type Reference<'a> = (SourceAnchor, &'a str, SourceAnchor);

fn rows(
    tenant: TenantId,
    job: JobId,
    references: impl Iterator<Item = (SourceAnchor, impl Into<Val>, SourceAnchor)>,
    state: State,
) -> Vec<Vec<Val>> {
    references
        .map(|(owner, attribute, referred)| {
            let (owner, referred) = (owner.into(), referred.into());
            vec![
                tenant.into(),
                job.into(),
                owner,
                attribute.into(),
                referred,
                state.into(),
            ]
        })
        .collect()
}

const INSERT: &str = "INSERT INTO reference_links (tenant, job, owner, attribute, referred, state)";

/// Wants references that are new or were to be removed; those the target has stay as they are.
/// No reference is named twice.
pub async fn want(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    references: &[Reference<'_>],
) -> Result<(), StoreError> {
    let rows = rows(tenant, job, references.iter().copied(), State::Add);
    let tail = "ON CONFLICT (tenant, job, owner, attribute, referred) DO UPDATE SET \
                state = CASE reference_links.state WHEN 4 THEN 1 WHEN 3 THEN 2 \
                ELSE reference_links.state END WHERE reference_links.state IN (3, 4)";
    tx.insert_many(INSERT, tail, rows).await.map(|_| ())
}

/// No longer wants a reference: one that the target has becomes due for removal, others go away.
pub async fn unwant(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    owner: SourceAnchor,
    attribute: &str,
    referred: SourceAnchor,
) -> Result<(), StoreError> {
    let place = [
        tenant.into(),
        job.into(),
        owner.into(),
        attribute.into(),
        referred.into(),
    ];
    let sql = "DELETE FROM reference_links WHERE tenant = $1 AND job = $2 AND owner = $3 \
               AND attribute = $4 AND referred = $5 AND state IN (1, 4)";
    tx.exec(sql, &place).await?;
    let sql = "UPDATE reference_links SET state = 3 WHERE tenant = $1 AND job = $2 AND owner = $3 \
               AND attribute = $4 AND referred = $5 AND state = 2";
    tx.exec(sql, &place).await.map(|_| ())
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
) -> Result<Vec<(SourceAnchor, State)>, StoreError> {
    let after = after.unwrap_or(SourceAnchor::from_bytes([0; 16]));
    let sql = "SELECT referred, state FROM reference_links \
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
    tx.all(sql, &params).await
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
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
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

/// The next references that are due after a place in the work list and before an owner, of owners of
/// one kind or of both, grouped by owner.
pub async fn due(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    after: (SourceAnchor, String, SourceAnchor),
    before: Option<SourceAnchor>,
    kind: Option<Kind>,
    limit: u32,
) -> Result<Vec<Due>, StoreError> {
    let (owner, attribute, referred) = after;
    // No owner is beyond this one; the only id equal to it is no id of anything.
    let before = before.unwrap_or(SourceAnchor::from_bytes([255; 16]));
    // Left to itself, SQLite may walk all references instead of the few that are due.
    let hint = if tx.is_postgres() {
        ""
    } else {
        "INDEXED BY reference_links_due"
    };
    let sql = format!(
        "SELECT r.owner, o.kind, o.target, r.attribute, r.referred, r.state, t.target \
               FROM reference_links r {hint} CROSS JOIN links o \
               LEFT JOIN links t ON t.tenant = r.tenant AND t.job = r.job AND t.anchor = r.referred \
               WHERE r.tenant = $1 AND r.job = $2 AND r.state IN (1, 3) \
               AND (r.owner, r.attribute, r.referred) > ($3, $4, $5) AND r.owner < $6 \
               AND o.tenant = r.tenant AND o.job = r.job AND o.anchor = r.owner \
               AND (o.kind = $7 OR o.kind = $8) \
               ORDER BY r.owner, r.attribute, r.referred LIMIT $9"
    );
    let (first, last) = kind.map_or((Kind::User, Kind::Group), |kind| (kind, kind));
    let params = [
        tenant.into(),
        job.into(),
        owner.into(),
        attribute.into(),
        referred.into(),
        before.into(),
        first.into(),
        last.into(),
        limit.into(),
    ];
    tx.all(&sql, &params).await
}

/// How many references are due.
pub async fn count_due(tx: &mut Tx<'_>, tenant: TenantId, job: JobId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM reference_links \
               WHERE tenant = $1 AND job = $2 AND state IN (1, 3)";
    Ok(tx
        .one(sql, &[tenant.into(), job.into()])
        .await?
        .map_or(0, |(count,)| count))
}

/// Moves references to a state.
pub async fn settle(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    references: &[Reference<'_>],
    state: State,
) -> Result<(), StoreError> {
    let rows = rows(tenant, job, references.iter().copied(), state);
    let tail = "ON CONFLICT (tenant, job, owner, attribute, referred) \
                DO UPDATE SET state = excluded.state";
    tx.insert_many(INSERT, tail, rows).await.map(|_| ())
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
    for (owner, attribute, referred) in references {
        let (owner, referred) = ((*owner).into(), (*referred).into());
        let params = [
            tenant.into(),
            job.into(),
            owner,
            (*attribute).into(),
            referred,
        ];
        tx.exec(sql, &params).await?;
    }
    Ok(())
}

/// Makes due whatever waits for these objects.
pub async fn wake(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    referred: &[SourceAnchor],
) -> Result<(), StoreError> {
    for referred in referred.chunks(LIST) {
        let (list, mut params) = id_list(3, referred.iter().map(|id| (*id).into()));
        params.splice(0..0, [tenant.into(), job.into()]);
        let sql = format!(
            "UPDATE reference_links SET state = 1 \
             WHERE tenant = $1 AND job = $2 AND referred IN ({list}) AND state = 4"
        );
        tx.exec(&sql, &params).await?;
    }
    Ok(())
}

/// Drops what a deleted object referred to, and lets what referred to it wait.
pub async fn forget(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    object: SourceAnchor,
) -> Result<(), StoreError> {
    let place = [tenant.into(), job.into(), object.into()];
    let sql = "DELETE FROM reference_links WHERE tenant = $1 AND job = $2 AND owner = $3";
    tx.exec(sql, &place).await?;
    let sql = "DELETE FROM reference_links \
               WHERE tenant = $1 AND job = $2 AND referred = $3 AND state = 3";
    tx.exec(sql, &place).await?;
    let sql = "UPDATE reference_links SET state = 4 \
               WHERE tenant = $1 AND job = $2 AND referred = $3 AND state <> 4";
    tx.exec(sql, &place).await.map(|_| ())
}
