//! The event feed, for whoever runs the integration.

use muster_model::Position;
use muster_store::received;
use serde_json::Value;

use crate::received::event_json;
use crate::{AppError, Ctx};

/// The next events of an integration after a position, oldest first, as they are told, with their places.
pub async fn events(
    ctx: &Ctx,
    name: &str,
    after: Position,
    limit: u32,
) -> Result<Vec<(Position, Value)>, AppError> {
    let profile = super::profile(ctx, name).await?;
    let place = profile.place;
    let events = ctx
        .store
        .read::<_, AppError, _>(|tx| {
            Box::pin(async move { Ok(received::read(tx, place, after, limit).await?) })
        })
        .await?;
    Ok(events
        .iter()
        .map(|event| (event.position, event_json(&profile, event)))
        .collect())
}

/// The newest events of an integration, newest first, or the newest of those before a place, as they are told, with
/// their places.
pub async fn newest_events(
    ctx: &Ctx,
    name: &str,
    before: Option<Position>,
    limit: u32,
) -> Result<Vec<(Position, Value)>, AppError> {
    let profile = super::profile(ctx, name).await?;
    let place = profile.place;
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(received::newest(tx, place, before, limit).await?) })
    });
    let events = read.await?;
    Ok(events
        .iter()
        .map(|event| (event.position, event_json(&profile, event)))
        .collect())
}

/// The place of the last event that is there, though its reader may have to wait for it a moment.
pub async fn newest_event(ctx: &Ctx, name: &str) -> Result<Position, AppError> {
    let place = super::place(ctx, name).await?;
    ctx.store
        .read::<_, AppError, _>(|tx| Box::pin(async move { Ok(received::last(tx, place).await?) }))
        .await
}

/// The place of the last event so far.
pub async fn last_event(ctx: &Ctx, name: &str) -> Result<Position, AppError> {
    let place = super::place(ctx, name).await?;
    ctx.store
        .read::<_, AppError, _>(|tx| Box::pin(async move { Ok(received::end(tx, place).await?) }))
        .await
}
