//! Links: which object of the target is whose. Listed, looked at, dropped, and set by hand (CY-7).

use std::collections::HashMap;

use muster_engine::linking::Inspected;
use muster_model::application::Application;
use muster_model::audit::activity;
use muster_model::directory::Kind;
use muster_model::link::{Link, LinkState, SourceAnchor, TargetId};
use muster_store::links::{self, LinkQuery};

use crate::applications::{find, job_of};
use crate::explain::{Subject, subject};
use crate::{AppError, Ctx, audit};

/// Links that are listed at once.
pub const PAGE: u32 = 500;
/// The longest id of a target, in bytes.
const LONGEST: usize = 1024;

/// Which links are listed.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of users, or of groups.
    pub kind: Option<Kind>,
    /// In this state.
    pub state: Option<LinkState>,
    /// The one of this object of the target.
    pub target: Option<String>,
    /// After this object of the source, for the next page.
    pub after: Option<SourceAnchor>,
}

/// Links in the order of their objects' ids, at most `limit` and [`PAGE`], with the names of those that the
/// source still has.
pub async fn list(
    ctx: &Ctx,
    application: &str,
    filter: Filter,
    limit: u32,
) -> Result<Vec<(Link, Option<String>)>, AppError> {
    let application = find(ctx, application).await?;
    let job = job_of(ctx, &application).await?;
    let (tenant, id, limit) = (ctx.tenant, job.id, limit.min(PAGE));
    let query = LinkQuery {
        kind: filter.kind,
        state: filter.state,
        target: filter.target.map(TargetId),
    };
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        let query = &query;
        Box::pin(async move { Ok(links::page(tx, tenant, id, filter.after, query, limit).await?) })
    });
    let links = read.await?;
    let mut names = HashMap::new();
    for kind in [Kind::User, Kind::Group] {
        let of = links.iter().filter(|link| link.kind == kind);
        let anchors: Vec<SourceAnchor> = of.map(|link| link.anchor).collect();
        if !anchors.is_empty() {
            names.extend(ctx.engine.names(tenant, &job, kind, &anchors).await?);
        }
    }
    let named = links.into_iter().map(|link| {
        let name = names.remove(&link.anchor);
        (link, name)
    });
    Ok(named.collect())
}

/// A link, and what the target says of the object now.
pub async fn inspect(
    ctx: &Ctx,
    application: &str,
    text: &str,
) -> Result<(Application, Inspected), AppError> {
    let application = find(ctx, application).await?;
    let Subject { kind, anchor, .. } = subject(ctx, &application, text.trim()).await?;
    let inspected = ctx.engine.inspect(ctx.tenant, application.job, anchor);
    let inspected = inspected.await?.ok_or_else(|| {
        AppError::NotFound(format!(
            "{kind} {anchor} is not linked to anything; see why with: muster explain"
        ))
    })?;
    Ok((application, inspected))
}

/// Has an object an account by an application, be it a disabled one?
pub async fn has_account(
    ctx: &Ctx,
    application: &Application,
    id: SourceAnchor,
) -> Result<bool, AppError> {
    let (tenant, job) = (ctx.tenant, application.job);
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(links::of(tx, tenant, job, &[id]).await?) })
    });
    let found = read.await?;
    Ok(found.iter().any(|link| link.state != LinkState::Released))
}

/// Drops a link; answers what it was. Nothing is changed on either side: the next cycle matches the object, if it
/// is in scope.
pub async fn unlink(ctx: &Ctx, application: &str, text: &str) -> Result<Link, AppError> {
    let (_, before) = relink(ctx, application, text, None).await?;
    before.ok_or_else(|| AppError::NotFound("there was no link".to_owned()))
}

/// Links an object to one of the target by its id there; answers what it was linked to. The next cycle compares
/// the two, and does what is to be done.
pub async fn link(
    ctx: &Ctx,
    application: &str,
    text: &str,
    target: &str,
) -> Result<(Subject, Option<Link>), AppError> {
    if target.is_empty() || target.len() > LONGEST || target.chars().any(char::is_control) {
        return Err(AppError::Invalid(format!(
            "an id at the target has 1 to {LONGEST} bytes and no control characters"
        )));
    }
    relink(ctx, application, text, Some(TargetId(target.to_owned()))).await
}

async fn relink(
    ctx: &Ctx,
    application: &str,
    text: &str,
    target: Option<TargetId>,
) -> Result<(Subject, Option<Link>), AppError> {
    let application = find(ctx, application).await?;
    let found = subject(ctx, &application, text.trim()).await?;
    let Subject { kind, anchor, .. } = found;
    let detail = match &target {
        Some(target) => format!("{kind} {anchor} is linked to {target}"),
        None => format!("{kind} {anchor} is not linked any more"),
    };
    let entry = audit::entry(ctx, activity::LINK, application.job, detail);
    let relinked = ctx
        .engine
        .relink(ctx.tenant, application.job, (kind, anchor), target, entry);
    Ok((found, relinked.await?))
}
