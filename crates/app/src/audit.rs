//! The audit log: who changed the configuration of provisioning (10.7).

use std::collections::HashMap;

use muster_model::audit::Audited;
use muster_model::{EventId, JobId, Timestamp};
use muster_store::audit::{self, AuditQuery};

use crate::applications::{find, list as applications};
use crate::{AppError, Ctx};

/// Entries that are listed at once.
pub const PAGE: u32 = 500;

/// An entry by whoever asks, to be written with what it tells of.
pub(crate) fn entry(ctx: &Ctx, activity: &str, job: JobId, detail: impl Into<String>) -> Audited {
    Audited {
        id: EventId::new(),
        at: ctx.clock.now(),
        actor: ctx.actor.clone(),
        activity: activity.to_owned(),
        job,
        detail: detail.into(),
    }
}

/// Writes an entry about something that is done elsewhere.
pub(crate) async fn note(
    ctx: &Ctx,
    activity: &str,
    job: JobId,
    detail: impl Into<String>,
) -> Result<(), AppError> {
    let (tenant, entry) = (ctx.tenant, entry(ctx, activity, job, detail));
    let noted = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move { Ok(audit::append(tx, tenant, &entry).await?) })
    });
    noted.await
}

/// Which entries.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// About one application.
    pub application: Option<String>,
    /// By somebody.
    pub actor: Option<String>,
    /// Since an instant.
    pub since: Option<Timestamp>,
    /// Older than this entry; for the next page.
    pub before: Option<EventId>,
}

/// Entries with the names of their applications, newest first; at most [`PAGE`].
pub async fn list(
    ctx: &Ctx,
    filter: Filter,
    limit: u32,
) -> Result<Vec<(Audited, String)>, AppError> {
    let job = match &filter.application {
        Some(name) => Some(find(ctx, name).await?.job),
        None => None,
    };
    let query = AuditQuery {
        job,
        actor: filter.actor,
        since: filter.since,
        before: filter.before,
    };
    let (tenant, limit) = (ctx.tenant, limit.min(PAGE));
    let entries = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(audit::list(tx, tenant, &query, limit).await?) })
    });
    let entries = entries.await?;
    let names = applications(ctx).await?.into_iter();
    let names: HashMap<JobId, String> = names.map(|it| (it.job, it.display_name)).collect();
    let named = entries.into_iter().map(|entry| {
        let name = names.get(&entry.job).cloned().unwrap_or_default();
        (entry, name)
    });
    Ok(named.collect())
}
