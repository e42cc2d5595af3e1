//! Queries by a list of ids: in pieces, and with few different statements.

use muster_model::{JobId, ObjectId, TenantId};

use crate::{FromRow, FromVal, StoreError, Tx, Val};

/// Ids of one IN list; lists are filled up to this length so that few statements are prepared.
pub(crate) const LIST: usize = 64;

/// `$n, $n+1, …` with its parameters; short lists have 1 or 8 places, long ones [`LIST`].
pub(crate) fn id_list(first: usize, ids: impl Iterator<Item = Val>) -> (String, Vec<Val>) {
    let mut params: Vec<Val> = ids.collect();
    let places = match params.len() {
        0 | 1 => 1,
        2..=8 => 8,
        _ => LIST,
    };
    let filler = params.last().cloned().unwrap_or(Val::Id([0; 16]));
    params.resize(places.max(params.len()), filler);
    let list: Vec<String> = (first..first + params.len())
        .map(|n| format!("${n}"))
        .collect();
    (list.join(", "), params)
}

/// Which of these ids a table of objects has, in no order.
pub(crate) async fn known<I>(
    tx: &mut Tx<'_>,
    table: &str,
    tenant: TenantId,
    ids: &[I],
) -> Result<Vec<I>, StoreError>
where
    I: FromVal + Into<Val> + Copy,
{
    let mut known = Vec::with_capacity(ids.len());
    for ids in ids.chunks(LIST) {
        let (list, mut params) = id_list(2, ids.iter().map(|id| (*id).into()));
        params.insert(0, tenant.into());
        let sql = format!("SELECT id FROM {table} WHERE tenant = $1 AND id IN ({list})");
        let found: Vec<(I,)> = tx.all(&sql, &params).await?;
        known.extend(found.into_iter().map(|(id,)| id));
    }
    Ok(known)
}

/// Rows of a job whose `column` is one of these ids, in no order. `select` ends with the table.
pub(crate) async fn of_job<T: FromRow>(
    tx: &mut Tx<'_>,
    select: &str,
    (tenant, job): (TenantId, JobId),
    column: &str,
    ids: &[ObjectId],
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::new();
    for ids in ids.chunks(LIST) {
        let (list, mut params) = id_list(3, ids.iter().map(|id| (*id).into()));
        params.splice(0..0, [tenant.into(), job.into()]);
        let sql = format!("{select} WHERE tenant = $1 AND job = $2 AND {column} IN ({list})");
        found.extend(tx.all::<T>(&sql, &params).await?);
    }
    Ok(found)
}
