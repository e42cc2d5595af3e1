//! What the engine is about to do for an object that gives access: create it, or enable or take over
//! what is there. Noted before the target is asked, dropped when what came of it is written down.
//!
//! What is left of them after a crash or a lost answer may have made an account that nobody knows of.
//! It is looked for by the value it was to be matched by, and then belongs to its source object again.

use muster_model::directory::Kind;
use muster_model::link::{SourceAnchor, TargetId};
use muster_model::{Attributes, JobId, TenantId, Value};

use crate::lists::{LIST, id_list, of_job};
use crate::{FromRow, Row, StoreError, Tx, attributes_from_json, attributes_to_json};

/// Something that is about to be done, or was, and is not written down as a link yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Intent {
    /// What kind of object.
    pub kind: Kind,
    /// The object in the source.
    pub anchor: SourceAnchor,
    /// The attribute at the target by which it is found.
    pub path: String,
    /// Its value.
    pub value: Value,
    /// The object itself, where it was there already: whatever it is called by then.
    pub target: Option<TargetId>,
}

impl FromRow for Intent {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        let (kind, anchor, text): (_, _, String) = (row.take()?, row.take()?, row.take()?);
        let target: Option<String> = row.take()?;
        let match_by =
            attributes_from_json(&text).map_err(|error| row.corrupt(error.to_string()))?;
        let (path, value) = match_by
            .iter()
            .next()
            .ok_or_else(|| row.corrupt("nothing to match by"))?;
        Ok(Self {
            kind,
            anchor,
            path: path.clone(),
            value: value.clone(),
            target: target.map(TargetId),
        })
    }
}

const COLUMNS: &str = "kind, anchor, match_by, target";

/// Notes intents.
pub async fn put(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    intents: &[Intent],
) -> Result<(), StoreError> {
    let rows = intents
        .iter()
        .map(|intent| {
            let mut match_by = Attributes::default();
            match_by.set(intent.path.as_str(), intent.value.clone());
            vec![
                tenant.into(),
                job.into(),
                intent.anchor.into(),
                intent.kind.into(),
                attributes_to_json(&match_by).into(),
                intent.target.as_ref().map(|id| id.0.as_str()).into(),
            ]
        })
        .collect();
    let head = "INSERT INTO intents (tenant, job, anchor, kind, match_by, target)";
    let tail = "ON CONFLICT (tenant, job, anchor) DO UPDATE \
                SET match_by = excluded.match_by, target = excluded.target";
    tx.insert_many(head, tail, rows).await.map(|_| ())
}

/// The intents of these objects, in no order.
pub async fn of(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    anchors: &[SourceAnchor],
) -> Result<Vec<Intent>, StoreError> {
    let select = format!("SELECT {COLUMNS} FROM intents");
    of_job(tx, &select, (tenant, job), "anchor", anchors).await
}

/// Intents after `after`, in the order of their anchors.
pub async fn page(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    after: Option<SourceAnchor>,
    limit: u32,
) -> Result<Vec<Intent>, StoreError> {
    let after = after.unwrap_or(SourceAnchor::from_bytes([0; 16]));
    let sql = format!(
        "SELECT {COLUMNS} FROM intents WHERE tenant = $1 AND job = $2 AND anchor > $3 \
         ORDER BY anchor LIMIT $4"
    );
    let params = [tenant.into(), job.into(), after.into(), limit.into()];
    tx.all(&sql, &params).await
}

/// Drops intents of which it is written down what came of them.
pub async fn remove(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    anchors: &[SourceAnchor],
) -> Result<(), StoreError> {
    for anchors in anchors.chunks(LIST) {
        let (list, mut params) = id_list(3, anchors.iter().map(|id| (*id).into()));
        params.splice(0..0, [tenant.into(), job.into()]);
        let sql =
            format!("DELETE FROM intents WHERE tenant = $1 AND job = $2 AND anchor IN ({list})");
        tx.exec(&sql, &params).await?;
    }
    Ok(())
}
