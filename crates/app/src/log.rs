//! The provisioning log.

use muster_model::event::Event;
use muster_model::exchange::Exchange;
use muster_model::{EventId, Timestamp};
pub use muster_store::events::EventQuery;
use muster_store::events::{self, Tally};
use muster_store::exchanges;

use crate::applications::find;
use crate::{AppError, Ctx};

/// Events that are read at once.
pub const PAGE: u32 = 500;

/// A page of the events of an application, or of all of them, newest first; at most [`PAGE`].
pub async fn list(
    ctx: &Ctx,
    application: Option<&str>,
    query: EventQuery,
    limit: u32,
) -> Result<Vec<Event>, AppError> {
    let applications = match application {
        Some(application) => vec![find(ctx, application).await?],
        None => crate::applications::list(ctx).await?,
    };
    let (tenant, limit) = (ctx.tenant, limit.min(PAGE));
    ctx.store
        .read(|tx| {
            Box::pin(async move {
                let mut found = Vec::new();
                for application in applications {
                    let of = application.job;
                    found.extend(events::list(tx, tenant, of, &query, limit).await?);
                }
                found.sort_unstable_by_key(|event: &Event| event.id);
                if !query.oldest_first {
                    found.reverse();
                }
                found.truncate(limit as usize);
                Ok(found)
            })
        })
        .await
}

/// How many events of an application there were since an instant, by action and status, in stretches of so
/// many seconds.
pub async fn tally(
    ctx: &Ctx,
    application: &str,
    since: Timestamp,
    stretch_seconds: u32,
) -> Result<Vec<Tally>, AppError> {
    let application = find(ctx, application).await?;
    let (tenant, job) = (ctx.tenant, application.job);
    ctx.store
        .read(|tx| {
            Box::pin(
                async move { Ok(events::tally(tx, tenant, job, since, stretch_seconds).await?) },
            )
        })
        .await
}

/// One event with its steps.
pub async fn show(ctx: &Ctx, application: &str, id: &str) -> Result<Event, AppError> {
    let application = find(ctx, application).await?;
    let unknown = || AppError::NotFound(format!("there is no event {id}; see: muster log list"));
    let event: EventId = id.parse().map_err(|_| unknown())?;
    let (tenant, job) = (ctx.tenant, application.job);
    let found: Option<Event> = ctx
        .store
        .read(|tx| {
            Box::pin(async move { Ok::<_, AppError>(events::find(tx, tenant, job, event).await?) })
        })
        .await?;
    found.ok_or_else(unknown)
}

/// What was said to the target for an event, and what it answered; none when nothing was, or it is not kept.
pub async fn exchanges(ctx: &Ctx, event: &Event) -> Result<Vec<Exchange>, AppError> {
    let (of, id, store) = ((ctx.tenant, event.job), event.id, &ctx.store);
    store
        .read(|tx| Box::pin(async move { Ok(exchanges::of(tx, store.key(), of, id).await?) }))
        .await
}
