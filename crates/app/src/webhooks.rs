//! Webhooks: the events of an integration are sent to the receiving application as they happen, signed as
//! Standard Webhooks has it (standardwebhooks.com, version 1.0.0).
//!
//! Each event is one message, and its id is that of the event, so that a receiver can tell one that comes
//! again. Messages about one resource come in order; those about different ones may overtake each other
//! within a batch. A webhook's position moves on when everything up to it was taken, so after a failure some
//! messages come again and none is left out.

mod delivery;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use muster_model::integration::Webhook;
use muster_model::secret::random_bytes;
use muster_model::{Position, Secret, Timestamp, WebhookId};
use muster_store::{audit as audit_log, received, webhooks};

use crate::integrations::{audited, place};
use crate::{AppError, Ctx};

pub use delivery::{Deliverer, signature};

/// Webhooks of one integration at most.
const WEBHOOKS: usize = 10;
/// How secrets of webhooks begin.
const PREFIX: &str = "whsec_";

/// Where in the event feed a webhook goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum From {
    /// At the first event of all.
    Start,
    /// At the next one that happens.
    Now,
    /// Behind an event.
    After(Position),
}

/// A new webhook of an integration, and the secret that signs its messages, which is shown this once.
pub async fn add(
    ctx: &Ctx,
    name: &str,
    url: &str,
    from: From,
) -> Result<(Webhook, Secret<String>), AppError> {
    ctx.courier.check(url).map_err(AppError::Invalid)?;
    if list(ctx, name).await?.len() >= WEBHOOKS {
        return Err(AppError::Refused(format!(
            "an integration has {WEBHOOKS} webhooks at most; remove one first"
        )));
    }
    let secret = new_secret()?;
    let webhook = Webhook {
        id: WebhookId::new(),
        url: url.to_owned(),
        created: ctx.clock.now(),
        position: position(ctx, name, from).await?,
        failures: 0,
        next_attempt: Timestamp::from_micros(0),
        stopped: false,
        last_error: None,
        last_success: None,
    };
    let (place, kept, sealed) = (place(ctx, name).await?, webhook.clone(), secret.clone());
    let (store, tenant) = (ctx.store.clone(), ctx.tenant);
    let entry = audited(ctx, name, &format!("webhook {} to {url}", webhook.id));
    ctx.store
        .write::<_, AppError, _>(move |tx| {
            Box::pin(async move {
                webhooks::create(tx, store.key(), place, &kept, &sealed).await?;
                Ok(audit_log::append(tx, tenant, &entry).await?)
            })
        })
        .await?;
    Ok((webhook, secret))
}

/// A secret that signs messages.
pub(crate) fn new_secret() -> Result<Secret<String>, AppError> {
    let bytes = random_bytes()
        .map_err(|error| AppError::Refused(format!("no randomness from the system: {error}")))?;
    Ok(Secret::new(format!("{PREFIX}{}", STANDARD.encode(bytes))))
}

/// The webhooks of an integration, oldest first.
pub async fn list(ctx: &Ctx, name: &str) -> Result<Vec<Webhook>, AppError> {
    let place = place(ctx, name).await?;
    ctx.store
        .read::<_, AppError, _>(|tx| Box::pin(async move { Ok(webhooks::list(tx, place).await?) }))
        .await
}

/// Removes a webhook; what was not delivered stays in the feed.
pub async fn remove(ctx: &Ctx, name: &str, id: WebhookId) -> Result<(), AppError> {
    let (place, tenant) = (place(ctx, name).await?, ctx.tenant);
    let entry = audited(ctx, name, &format!("webhook {id} removed"));
    let removed = ctx
        .store
        .write::<_, AppError, _>(move |tx| {
            Box::pin(async move {
                let removed = webhooks::remove(tx, place, id).await?;
                if removed {
                    audit_log::append(tx, tenant, &entry).await?;
                }
                Ok(removed)
            })
        })
        .await?;
    if removed {
        Ok(())
    } else {
        Err(missing(name, id))
    }
}

/// Lets a webhook go on from a place in the feed, be it to repeat what was delivered, to leave out what was
/// not, or because it was given up. Without a place it goes on where it stands.
pub async fn resume(
    ctx: &Ctx,
    name: &str,
    id: WebhookId,
    from: Option<From>,
) -> Result<Position, AppError> {
    let all = list(ctx, name).await?;
    let webhook = all.into_iter().find(|one| one.id == id);
    let webhook = webhook.ok_or_else(|| missing(name, id))?;
    let position = match from {
        Some(from) => position(ctx, name, from).await?,
        None => webhook.position,
    };
    let place = place(ctx, name).await?;
    ctx.store
        .write::<_, AppError, _>(move |tx| {
            Box::pin(async move { Ok(webhooks::resume(tx, place, id, position).await?) })
        })
        .await?;
    Ok(position)
}

fn missing(name: &str, id: WebhookId) -> AppError {
    AppError::NotFound(format!(
        "{name} has no webhook {id}; see: muster integration webhook list {name:?}"
    ))
}

async fn position(ctx: &Ctx, name: &str, from: From) -> Result<Position, AppError> {
    let place = place(ctx, name).await?;
    Ok(match from {
        From::Start => Position::START,
        From::After(position) => {
            let last = ctx
                .store
                .read::<_, AppError, _>(|tx| {
                    Box::pin(async move { Ok(received::last(tx, place).await?) })
                })
                .await?;
            if position > last {
                return Err(AppError::Invalid(format!(
                    "there is no event {position}; the last one is {last}"
                )));
            }
            position
        }
        From::Now => {
            ctx.store
                .read::<_, AppError, _>(|tx| {
                    Box::pin(async move { Ok(received::end(tx, place).await?) })
                })
                .await?
        }
    })
}
