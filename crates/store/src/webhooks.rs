//! Webhooks of integrations, and how far each has come in the event feed.

use muster_model::integration::Webhook;
use muster_model::{Position, Secret, TenantId, Timestamp, WebhookId};

use crate::feed::OLDEST;
use crate::resources::Place;
use crate::{FromRow, Row, SealingKey, StoreError, Tx, Val};

const COLUMNS: &str = "id, url, created, position_tx, position, failures, next_attempt, stopped, \
                       last_error, last_success";

impl FromRow for Webhook {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        let (id, url, created) = (row.take()?, row.take()?, row.take()?);
        let position = Position {
            transaction: row.take()?,
            number: row.take()?,
        };
        Ok(Self {
            id,
            url,
            created,
            position,
            failures: row.take()?,
            next_attempt: row.take()?,
            stopped: row.take()?,
            last_error: row.take()?,
            last_success: row.take()?,
        })
    }
}

pub(crate) fn sealed_for(tenant: TenantId, id: WebhookId) -> Vec<u8> {
    format!("{}/webhook/{id}", tenant.0).into_bytes()
}

/// Keeps a new webhook and the secret that signs what it sends.
pub async fn create(
    tx: &mut Tx<'_>,
    key: &SealingKey,
    place: Place,
    webhook: &Webhook,
    secret: &Secret<String>,
) -> Result<(), StoreError> {
    let sealed = key.seal(&sealed_for(place.tenant, webhook.id), secret)?;
    let sql = "INSERT INTO webhooks (tenant, integration, id, url, sealed, created, position_tx, \
               position, failures, next_attempt, stopped, held_until) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, 0, 0, $9, 0)";
    let params = place.params([
        webhook.id.into(),
        (&webhook.url).into(),
        sealed.into(),
        webhook.created.into(),
        webhook.position.transaction.into(),
        webhook.position.number.into(),
        webhook.stopped.into(),
    ]);
    tx.exec(sql, &params).await.map(|_| ())
}

/// The webhooks of an integration, oldest first.
pub async fn list(tx: &mut Tx<'_>, place: Place) -> Result<Vec<Webhook>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM webhooks WHERE tenant = $1 AND integration = $2 ORDER BY created, id"
    );
    tx.all(&sql, &place.params([])).await
}

/// Removes a webhook; answers whether it was there.
pub async fn remove(tx: &mut Tx<'_>, place: Place, id: WebhookId) -> Result<bool, StoreError> {
    let sql = "DELETE FROM webhooks WHERE tenant = $1 AND integration = $2 AND id = $3";
    Ok(tx.exec(sql, &place.params([id.into()])).await? > 0)
}

/// Lets a webhook go on from a position, whatever went wrong before; answers whether it was there.
pub async fn resume(
    tx: &mut Tx<'_>,
    place: Place,
    id: WebhookId,
    from: Position,
) -> Result<bool, StoreError> {
    // Whoever delivers just now loses it, so that its own position is not written over this one.
    let sql = "UPDATE webhooks SET position_tx = $1, position = $2, failures = 0, \
               next_attempt = 0, stopped = $3, holder = NULL, held_until = 0 \
               WHERE tenant = $4 AND integration = $5 AND id = $6";
    let mut params: Vec<Val> = vec![from.transaction.into(), from.number.into(), false.into()];
    params.extend(place.params([id.into()]));
    Ok(tx.exec(sql, &params).await? > 0)
}

/// A webhook that is due, with what is needed to deliver.
#[derive(Debug)]
pub struct Due {
    /// The integration's number.
    pub place: Place,
    /// The webhook.
    pub webhook: Webhook,
    /// The secret that signs.
    pub secret: Secret<String>,
}

/// The webhooks that have something to deliver and may try now; those in other hands are left out.
pub async fn due(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    now: Timestamp,
    holder: &str,
) -> Result<Vec<(Place, WebhookId)>, StoreError> {
    // SQLite does not see that a comparison of rows could use the index; there the transaction is always 0.
    let beyond = if tx.is_postgres() {
        format!("(c.tx, c.number) > (w.position_tx, w.position) AND c.tx < {OLDEST}")
    } else {
        "c.tx = w.position_tx AND c.number > w.position".to_owned()
    };
    let sql = format!(
        "SELECT w.integration, w.id FROM webhooks w WHERE w.tenant = $1 AND w.stopped = $2 \
         AND w.next_attempt <= $3 AND (w.held_until <= $3 OR w.holder = $4) \
         AND EXISTS (SELECT 1 FROM received_changes c WHERE c.tenant = w.tenant \
         AND c.integration = w.integration AND {beyond})"
    );
    let params = [tenant.into(), false.into(), now.into(), holder.into()];
    let rows: Vec<(i64, WebhookId)> = tx.all(&sql, &params).await?;
    Ok(rows
        .into_iter()
        .map(|(integration, id)| {
            let place = Place {
                tenant,
                integration,
            };
            (place, id)
        })
        .collect())
}

/// Takes a webhook into the hands of a process, or keeps it there, until a time; `None` when another one
/// has it.
pub async fn claim(
    tx: &mut Tx<'_>,
    key: &SealingKey,
    (place, id): (Place, WebhookId),
    holder: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Due>, StoreError> {
    struct Both(Webhook, Vec<u8>);
    impl FromRow for Both {
        fn from_row(row: &mut Row) -> Result<Self, StoreError> {
            Ok(Self(Webhook::from_row(row)?, row.take()?))
        }
    }
    let sql = format!(
        "UPDATE webhooks SET holder = $1, held_until = $2 WHERE tenant = $3 AND integration = $4 \
         AND id = $5 AND stopped = $6 AND (held_until <= $7 OR holder = $1) \
         RETURNING {COLUMNS}, sealed"
    );
    let mut params: Vec<Val> = vec![holder.into(), until.into()];
    params.extend(place.params([id.into(), false.into(), now.into()]));
    let Some(Both(webhook, sealed)) = tx.one(&sql, &params).await? else {
        return Ok(None);
    };
    let secret = key.open(&sealed_for(place.tenant, id), &sealed)?;
    Ok(Some(Due {
        place,
        webhook,
        secret,
    }))
}

/// Writes down how far a webhook has come, by the process that holds it; answers whether it still does.
pub async fn progress(
    tx: &mut Tx<'_>,
    place: Place,
    webhook: &Webhook,
    holder: &str,
) -> Result<bool, StoreError> {
    let sql = "UPDATE webhooks SET position_tx = $1, position = $2, failures = $3, \
               next_attempt = $4, stopped = $5, last_error = $6, last_success = $7 \
               WHERE tenant = $8 AND integration = $9 AND id = $10 AND holder = $11";
    let mut params: Vec<Val> = vec![
        webhook.position.transaction.into(),
        webhook.position.number.into(),
        webhook.failures.into(),
        webhook.next_attempt.into(),
        webhook.stopped.into(),
        webhook.last_error.clone().into(),
        webhook.last_success.into(),
    ];
    params.extend(place.params([webhook.id.into(), holder.into()]));
    Ok(tx.exec(sql, &params).await? > 0)
}

/// Lets go of what a process holds.
pub async fn release(tx: &mut Tx<'_>, holder: &str) -> Result<(), StoreError> {
    let sql = "UPDATE webhooks SET holder = NULL, held_until = 0 WHERE holder = $1";
    tx.exec(sql, &[holder.into()]).await.map(|_| ())
}

/// Lets go of everything that anybody held.
pub async fn release_all(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let sql = "UPDATE webhooks SET holder = NULL, held_until = 0 WHERE holder IS NOT NULL";
    tx.exec(sql, &[]).await.map(|_| ())
}
