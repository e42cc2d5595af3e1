//! Sealed secrets: credentials of targets. Written and read only through the sealing key.

use muster_model::{JobId, Secret, TenantId};

use crate::{SealingKey, StoreError, Tx};

pub(crate) fn place(tenant: TenantId, owner: JobId, name: &str) -> Vec<u8> {
    format!("{}/{owner}/{name}", tenant.0).into_bytes()
}

/// Keeps a secret under a name, replacing an older one.
pub async fn put(
    tx: &mut Tx<'_>,
    key: &SealingKey,
    tenant: TenantId,
    owner: JobId,
    name: &str,
    secret: &Secret<String>,
) -> Result<(), StoreError> {
    let sealed = key.seal(&place(tenant, owner, name), secret)?;
    let sql = "INSERT INTO secrets (tenant, owner, name, sealed) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (tenant, owner, name) DO UPDATE SET sealed = excluded.sealed";
    tx.exec(
        sql,
        &[tenant.into(), owner.into(), name.into(), sealed.into()],
    )
    .await
    .map(|_| ())
}

/// The secret under a name.
pub async fn find(
    tx: &mut Tx<'_>,
    key: &SealingKey,
    tenant: TenantId,
    owner: JobId,
    name: &str,
) -> Result<Option<Secret<String>>, StoreError> {
    let sql = "SELECT sealed FROM secrets WHERE tenant = $1 AND owner = $2 AND name = $3";
    let row: Option<(Vec<u8>,)> = tx
        .one(sql, &[tenant.into(), owner.into(), name.into()])
        .await?;
    row.map(|(sealed,)| key.open(&place(tenant, owner, name), &sealed))
        .transpose()
}
