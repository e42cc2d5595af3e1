//! Who would come into scope of an application and who would leave it, before somebody saves a change.

use std::collections::HashMap;

use muster_engine::EngineError;
use muster_engine::port::Grant;
pub use muster_engine::turnover::{Proposed, Side, Turnover};
use muster_model::RoleId;
use muster_model::application::{Application, Assignment};
use muster_model::directory::Kind;
use muster_model::job::Scope;
use muster_model::link::SourceAnchor;

use crate::applications::{self, Principal, find, job_of};
use crate::{AppError, Ctx};

async fn of(ctx: &Ctx, of: &Application, proposed: Proposed) -> Result<Turnover, AppError> {
    let job = job_of(ctx, of).await?;
    let turnover = ctx.engine.turnover(ctx.tenant, job.id, proposed).await;
    turnover.map_err(|error| match error {
        EngineError::Mappings(said) => AppError::Invalid(said),
        other => other.into(),
    })
}

/// If this schema document were in force.
pub async fn of_schema(ctx: &Ctx, application: &str, text: String) -> Result<Turnover, AppError> {
    let application = find(ctx, application).await?;
    let schema = Some(text);
    let proposed = Proposed {
        schema,
        ..Proposed::default()
    };
    of(ctx, &application, proposed).await
}

/// If the scope were this one.
pub async fn of_scope(ctx: &Ctx, application: &str, scope: Scope) -> Result<Turnover, AppError> {
    let application = find(ctx, application).await?;
    let proposed = Proposed {
        scope: Some(scope),
        ..Proposed::default()
    };
    of(ctx, &application, proposed).await
}

/// If this assignment were taken away.
pub async fn of_unassigning(
    ctx: &Ctx,
    application: &str,
    assignment: &Assignment,
) -> Result<Turnover, AppError> {
    let application = find(ctx, application).await?;
    let principal = of_assignment(assignment);
    let mut lost = Grants::new();
    match reach(ctx, &mut lost, &principal, assignment.role).await {
        // Whoever is gone from the directory has lost it.
        Ok(()) | Err(AppError::NotFound(_)) => {}
        Err(error) => return Err(error),
    }
    let proposed = Proposed {
        lost,
        ..Proposed::default()
    };
    of(ctx, &application, proposed).await
}

/// Whom an assignment is of.
fn of_assignment(assignment: &Assignment) -> Principal {
    let principal = assignment.principal.to_string();
    match (assignment.kind, assignment.transitive) {
        (Kind::User, _) => Principal::User(principal),
        (Kind::Group, false) => Principal::Group(principal),
        (Kind::Group, true) => Principal::GroupAndNested(principal),
    }
}

type Grants = HashMap<(Kind, SourceAnchor), Vec<Grant>>;

/// Adds what an assignment grants.
async fn reach(
    ctx: &Ctx,
    grants: &mut Grants,
    principal: &Principal,
    role: RoleId,
) -> Result<(), AppError> {
    for (kind, anchor, via) in applications::reached(ctx, principal).await? {
        let grant = Grant { role, via };
        grants.entry((kind, anchor)).or_default().push(grant);
    }
    Ok(())
}

/// If these were assigned with these roles, chosen as in [`applications::assign`].
pub async fn of_assigning(
    ctx: &Ctx,
    application: &str,
    wanted: &[(Principal, Option<String>)],
) -> Result<Turnover, AppError> {
    let application = find(ctx, application).await?;
    let (mut grants, mut lost) = (Grants::new(), Grants::new());
    for (principal, role) in wanted {
        let role = applications::role_of(ctx, &application, role.as_deref()).await?;
        // One that is there already reaches as far as this one from then on.
        if let Some(before) =
            applications::assigned_before(ctx, &application, principal, role).await?
        {
            reach(ctx, &mut lost, &of_assignment(&before), role).await?;
        }
        reach(ctx, &mut grants, principal, role).await?;
    }
    let proposed = Proposed {
        lost,
        grants,
        ..Proposed::default()
    };
    of(ctx, &application, proposed).await
}
