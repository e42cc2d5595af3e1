//! Plans: what the next cycle of a job would do, and doing exactly that.

use std::io::BufRead as _;

use muster_engine::Progress;
use muster_model::application::Application;
use muster_model::audit::activity;
use muster_model::cycle::Cycle;
use muster_store::audit as audit_log;
use muster_store::plans::{self, Placed};
pub use muster_store::plans::{At, Kept};
use serde_json::Value;
use tokio::sync::watch;

use crate::applications::{find as find_application, job_of};
use crate::{AppError, Ctx, audit};

/// Works out what the next cycle would do and keeps it. Nothing is written at the target.
pub async fn make(
    ctx: &Ctx,
    application: &str,
    progress: &watch::Sender<Option<Progress>>,
) -> Result<(Application, Kept), AppError> {
    let application = find_application(ctx, application).await?;
    let job = job_of(ctx, &application).await?;
    let id = ctx.engine.plan(ctx.tenant, job.id, progress).await?;
    Ok((application, find(ctx, &id).await?))
}

/// Digits by which a plan is named at least.
const SHORTEST: usize = 6;

/// The plan with this id, or whose id begins with it.
pub async fn find(ctx: &Ctx, id: &str) -> Result<Kept, AppError> {
    let id = id.trim().to_lowercase();
    let is_id = (SHORTEST..=64).contains(&id.len()) && id.bytes().all(|it| it.is_ascii_hexdigit());
    if !is_id {
        return Err(AppError::Invalid(format!(
            "`{id}` is neither a file nor the id of a plan: give at least {SHORTEST} hexadecimal \
             digits of it"
        )));
    }
    let tenant = ctx.tenant;
    let mut found = ctx
        .store
        .read::<_, AppError, _>(|tx| {
            let id = id.clone();
            Box::pin(async move { Ok(plans::find(tx, tenant, &id).await?) })
        })
        .await?;
    match (found.pop(), found.is_empty()) {
        (Some(plan), true) => Ok(plan),
        (Some(_), false) => Err(AppError::Invalid(format!(
            "several plans begin with {id}; give more digits"
        ))),
        (None, _) => Err(AppError::NotFound(format!(
            "there is no plan {id}, or it is kept no more; plan again"
        ))),
    }
}

/// What a plan says, without its operations.
pub fn told(plan: &Kept) -> Value {
    serde_json::from_str(&plans::to_json(&plan.plan)).unwrap_or_default()
}

/// Operations of a plan after a place, as JSON text.
pub async fn operations(
    ctx: &Ctx,
    plan: &Kept,
    after: &At,
    limit: u32,
) -> Result<Vec<Placed>, AppError> {
    let tenant = ctx.tenant;
    ctx.store
        .read(|tx| {
            Box::pin(
                async move { Ok(plans::operations(tx, tenant, &plan.id, after, limit).await?) },
            )
        })
        .await
}

/// Runs the cycle that a plan says, and exactly that.
///
/// # Errors
///
/// [`muster_engine::EngineError::Moved`] when what it rests on is not so any more; nothing was written
/// then.
pub async fn apply(ctx: &Ctx, plan: &Kept) -> Result<Cycle, AppError> {
    let applied = ctx.engine.apply(ctx.tenant, plan).await;
    let how = match &applied {
        Ok(cycle) => format!("{}: {} objects", plan.id, cycle.counts.objects()),
        Err(error) => format!("{}: {error}", plan.id),
    };
    audit::note(ctx, activity::APPLY, plan.plan.job, how).await?;
    Ok(applied?)
}

/// Refuses a plan: it is kept no more, and nobody can apply it. The next cycle does what is due all the same, unless
/// provisioning is off.
pub async fn refuse(ctx: &Ctx, plan: &Kept) -> Result<(), AppError> {
    let (tenant, id) = (ctx.tenant, plan.id.clone());
    let entry = audit::entry(ctx, activity::REFUSE, plan.plan.job, plan.id.clone());
    let write = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move {
            plans::forget(tx, tenant, &id).await?;
            Ok(audit_log::append(tx, tenant, &entry).await?)
        })
    });
    write.await
}

/// How far the cycle that [`apply`] runs has come.
pub fn progress(ctx: &Ctx, plan: &Kept) -> watch::Receiver<Option<Progress>> {
    ctx.engine.progress(plan.plan.job)
}

/// The id of a plan in a file: its first line is the plan, each other one an operation.
///
/// # Errors
///
/// [`AppError::Invalid`] when the file is no plan, or not as it was written.
pub fn id_of_file(file: impl std::io::BufRead) -> Result<String, AppError> {
    let unreadable = |error: std::io::Error| AppError::Invalid(format!("cannot read it: {error}"));
    let no_plan = || AppError::Invalid("it is no plan of muster".to_owned());
    let mut lines = file.take(LARGEST).lines();
    let first = lines.next().ok_or_else(no_plan)?.map_err(unreadable)?;
    let plan = plans::read(&first).ok_or_else(no_plan)?;
    let mut digest = plans::Digester::default();
    for line in lines {
        digest.add(&line.map_err(unreadable)?);
    }
    if digest.end() == plan.operations {
        Ok(plans::id_of(&first))
    } else {
        Err(AppError::Invalid(
            "it is not as it was written: operations were changed or are missing; plan again"
                .to_owned(),
        ))
    }
}

/// Bytes of a plan's file that are read.
const LARGEST: u64 = 16 * 1024 * 1024 * 1024;
