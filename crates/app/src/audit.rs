//! The audit log: who changed the configuration of provisioning (10.7).

use std::collections::HashMap;

use muster_model::audit::{Audited, activity};
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

/// The names of applications that were removed, by their jobs; those first that went last.
async fn removed(ctx: &Ctx) -> Result<Vec<(JobId, String)>, AppError> {
    let tenant = ctx.tenant;
    let query = AuditQuery {
        activity: Some(activity::REMOVE.to_owned()),
        ..AuditQuery::default()
    };
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        let query = &query;
        Box::pin(async move { Ok(audit::list(tx, tenant, query, PAGE).await?) })
    });
    let gone = read.await?.into_iter();
    Ok(gone.map(|it| (it.job, it.detail)).collect())
}

/// Entries with the names of their applications, newest first; at most [`PAGE`].
pub async fn list(
    ctx: &Ctx,
    filter: Filter,
    limit: u32,
) -> Result<Vec<(Audited, String)>, AppError> {
    let job = match &filter.application {
        Some(name) => Some(match find(ctx, name).await {
            Ok(application) => application.job,
            Err(AppError::NotFound(said)) => {
                let gone = removed(ctx).await?.into_iter();
                let mut gone = gone.filter(|(_, it)| it.to_lowercase() == name.to_lowercase());
                gone.next().ok_or(AppError::NotFound(said))?.0
            }
            Err(error) => return Err(error),
        }),
        None => None,
    };
    let query = AuditQuery {
        job,
        actor: filter.actor,
        activity: None,
        since: filter.since,
        before: filter.before,
    };
    let (tenant, limit) = (ctx.tenant, limit.min(PAGE));
    let entries = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(audit::list(tx, tenant, &query, limit).await?) })
    });
    let entries = entries.await?;
    let names = applications(ctx).await?.into_iter();
    let names = names.map(|it| (it.job, it.display_name));
    let names: HashMap<JobId, String> = names.chain(removed(ctx).await?).collect();
    let named = entries.into_iter().map(|entry| {
        let name = names.get(&entry.job).cloned().unwrap_or_default();
        (entry, name)
    });
    Ok(named.collect())
}
