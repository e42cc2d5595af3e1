//! Provision on demand: one user, or a group with chosen members, now (section 9).

use muster_engine::demand::{Demand, MEMBERS};
use muster_model::application::Application;
use muster_model::audit::activity;
use muster_model::cycle::Cycle;
use muster_model::directory::Kind;
use muster_model::event::Event;
use muster_store::events::{self, EventQuery};

use crate::applications::find as find_application;
use crate::explain::subject;
use crate::{AppError, Ctx, applications, audit, directory};

/// Events of one demand at most: each object has one for itself and one for each reference.
const EVENTS: u32 = 100;

/// Whom somebody asks for.
pub async fn demand(
    ctx: &Ctx,
    application: &str,
    text: &str,
    members: &[String],
) -> Result<(Application, Demand), AppError> {
    let application = find_application(ctx, application).await?;
    let found = subject(ctx, &application, text.trim()).await?;
    if members.len() > MEMBERS {
        return Err(AppError::Invalid(format!(
            "at most {MEMBERS} members of a group are provisioned at once; run it again for the others"
        )));
    }
    if found.kind == Kind::User && !members.is_empty() {
        return Err(AppError::Invalid(
            "only a group has members; name the user alone".to_owned(),
        ));
    }
    let mut demand = Demand {
        kind: found.kind,
        anchor: found.anchor,
        members: Vec::with_capacity(members.len()),
    };
    for member in members {
        let user = directory::find_user(ctx, member).await?;
        demand.members.push(user.id.into());
    }
    Ok((application, demand))
}

/// The connection to the target is tested first; nobody hears of it unless it fails (CR-11). What passes by itself is
/// left to the engine, which waits: somebody may have to lose access.
pub async fn test(ctx: &Ctx, application: &Application, demand: &Demand) -> Result<(), AppError> {
    let (id, groups) = (application.id.to_string(), demand.kind == Kind::Group);
    let Err(failure) = applications::test(ctx, &id, None, groups).await? else {
        return Ok(());
    };
    if matches!(failure.category, "Timeout" | "OtherStatus") {
        return Ok(());
    }
    let how = format!("{} {}: {failure}", demand.kind, demand.anchor);
    audit::note(ctx, activity::DEMAND, application.job, how).await?;
    Err(AppError::Refused(format!(
        "{failure}; nothing was looked at or changed"
    )))
}

/// Provisions somebody now; answers what the log says of it, oldest first.
pub async fn provision(
    ctx: &Ctx,
    application: &Application,
    demand: &Demand,
) -> Result<(Cycle, Vec<Event>), AppError> {
    let (tenant, job) = (ctx.tenant, application.job);
    let whom = match demand.members.len() {
        0 => format!("{} {}", demand.kind, demand.anchor),
        members => format!("{} {} with {members} members", demand.kind, demand.anchor),
    };
    let provisioned = ctx.engine.provision(tenant, job, demand).await;
    let how = match &provisioned {
        Ok(cycle) => format!("{whom}: {} objects", cycle.counts.objects()),
        Err(error) => format!("{whom}: {error}"),
    };
    audit::note(ctx, activity::DEMAND, job, how).await?;
    let cycle = provisioned?;
    let query = EventQuery {
        cycle: Some(cycle.id),
        ..EventQuery::default()
    };
    let mut events: Vec<Event> = ctx
        .store
        .read::<_, AppError, _>(|tx| {
            Box::pin(async move { Ok(events::list(tx, tenant, job, &query, EVENTS).await?) })
        })
        .await?;
    events.reverse();
    Ok((cycle, events))
}
