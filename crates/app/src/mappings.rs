//! The schema document of an application's job: take it out, put it in, compare, go back.
//!
//! Every document that was ever in force is kept as a version. A change begins the job anew, because it
//! may mean another thing for everybody (5.8).

use muster_engine::port::TestFailure;
use muster_model::application::Application;
use muster_model::audit::activity;
use muster_model::{EventId, JobId};
use muster_rules::Schema;
use muster_rules::schema::{SchemaChange, SchemaProblem};
use muster_store::schemas::{self, SchemaVersion};
use muster_store::{StoreError, audit as audit_log, jobs};

use crate::applications::{begin_anew, definitions, find, gallery};
use crate::{AppError, Ctx, audit};

/// Characters of a note at most.
const NOTE: usize = 500;

/// What saving a document did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The version that is in force now.
    pub version: u32,
    /// Is it a new one? The document in force is not saved again.
    pub is_new: bool,
    /// What means another thing than before.
    pub changes: Vec<SchemaChange>,
}

/// The document in force, or that of a version, as JSON text.
pub async fn export(
    ctx: &Ctx,
    application: &str,
    version: Option<u32>,
) -> Result<String, AppError> {
    let application = find(ctx, application).await?;
    document(ctx, &application, version).await
}

/// The document with which an application like this one begins.
pub async fn defaults(ctx: &Ctx, application: &str) -> Result<String, AppError> {
    Ok(default_schema(&find(ctx, application).await?)?.to_json())
}

/// The versions of the document, newest first.
pub async fn history(ctx: &Ctx, application: &str) -> Result<Vec<SchemaVersion>, AppError> {
    let application = find(ctx, application).await?;
    let (tenant, job) = (ctx.tenant, application.job);
    ctx.store
        .read(|tx| Box::pin(async move { Ok(schemas::list(tx, tenant, job, None, 1000).await?) }))
        .await
}

/// Saves a document over the one in force. What clients are known to leave out is taken from that one.
///
/// # Errors
///
/// [`AppError::Invalid`] with every problem and its JSON pointer; then nothing was saved.
pub async fn import(
    ctx: &Ctx,
    application: &str,
    text: &str,
    note: &str,
) -> Result<Saved, AppError> {
    import_over(ctx, application, text, note, None).await
}

/// The same, and refused when the version in force is another than `version`: what somebody has looked at is not
/// what they would replace.
pub async fn import_over(
    ctx: &Ctx,
    application: &str,
    text: &str,
    note: &str,
    version: Option<u32>,
) -> Result<Saved, AppError> {
    let application = find(ctx, application).await?;
    let based_on = latest(ctx, application.job).await?;
    if version.is_some_and(|version| version != based_on) {
        return Err(moved_on());
    }
    let schema = match parse(&document(ctx, &application, Some(based_on)).await?) {
        Ok(stored) => over(text, &stored)?,
        // What is in force cannot be read any more: the new one stands for itself.
        Err(_) => parse(text)?,
    };
    save(ctx, application.job, schema, note, (Some(based_on), true)).await
}

/// Asks the target which attributes it has, and adds those that are not defined yet (2.5); answers their names.
/// Nothing is removed, and no mapping is touched: the job goes on as it was.
pub async fn discover(
    ctx: &Ctx,
    application: &str,
) -> Result<Result<Vec<String>, TestFailure>, AppError> {
    let application = find(ctx, application).await?;
    let found = match definitions(ctx, &application).await? {
        Ok(found) => found,
        Err(failure) => return Ok(Err(failure)),
    };
    let based_on = latest(ctx, application.job).await?;
    let mut schema = parse(&document(ctx, &application, Some(based_on)).await?)?;
    let added = schema.add_discovered(&found.schemas, &found.resource_types);
    let targets: Vec<String> = schema
        .rules
        .iter()
        .map(|rule| rule.target_directory.clone())
        .collect();
    for directory in &mut schema.directories {
        if targets.contains(&directory.name) {
            directory.discovered = Some(ctx.clock.now().to_string());
            directory.version = Some(EventId::new().to_string());
        }
    }
    let note = format!("{} attributes discovered at the target", added.len());
    let saved = save(ctx, application.job, schema, &note, (Some(based_on), false));
    saved.await?;
    Ok(Ok(added))
}

/// Puts the document in force with which the application began (*Restore default mappings*).
pub async fn restore(ctx: &Ctx, application: &str) -> Result<Saved, AppError> {
    let application = find(ctx, application).await?;
    let schema = default_schema(&application)?;
    save(
        ctx,
        application.job,
        schema,
        "default mappings restored",
        (None, true),
    )
    .await
}

/// Puts an earlier version in force again, as a new version.
pub async fn roll_back(ctx: &Ctx, application: &str, version: u32) -> Result<Saved, AppError> {
    let application = find(ctx, application).await?;
    let schema = parse(&document(ctx, &application, Some(version)).await?)?;
    let note = format!("rolled back to version {version}");
    save(ctx, application.job, schema, &note, (None, true)).await
}

/// What is different between two versions; without them, what the last change changed.
pub async fn diff(
    ctx: &Ctx,
    application: &str,
    from: Option<u32>,
    to: Option<u32>,
) -> Result<Vec<SchemaChange>, AppError> {
    let application = find(ctx, application).await?;
    let latest = latest(ctx, application.job).await?;
    let to = to.unwrap_or(latest);
    let from = from.unwrap_or_else(|| to.saturating_sub(1).max(1));
    let before = parse(&document(ctx, &application, Some(from)).await?)?;
    let after = parse(&document(ctx, &application, Some(to)).await?)?;
    Ok(before.diff(&after))
}

/// What saving this document would change.
pub async fn diff_with(
    ctx: &Ctx,
    application: &str,
    text: &str,
) -> Result<Vec<SchemaChange>, AppError> {
    let application = find(ctx, application).await?;
    let stored = parse(&document(ctx, &application, None).await?)?;
    Ok(stored.diff(&over(text, &stored)?))
}

/// The document that importing this text would put in force.
pub async fn merged(ctx: &Ctx, application: &str, text: &str) -> Result<String, AppError> {
    let application = find(ctx, application).await?;
    let stored = parse(&document(ctx, &application, None).await?)?;
    let merged = over(text, &stored)?;
    merged.compile().map_err(|problems| invalid(&problems))?;
    Ok(merged.to_json())
}

/// A document that is to replace a stored one.
fn over(text: &str, stored: &Schema) -> Result<Schema, AppError> {
    // Members may be left out, but not everything: that is another file.
    if parse(text)?.rules.is_empty() {
        let problem = SchemaProblem {
            pointer: "/synchronizationRules".to_owned(),
            message: "there is no mapping of users".to_owned(),
        };
        return Err(invalid(&[problem]));
    }
    Schema::from_json_over(text, stored).map_err(|problems| invalid(&problems))
}

/// The number of the version in force.
pub async fn version(ctx: &Ctx, application: &str) -> Result<u32, AppError> {
    latest(ctx, find(ctx, application).await?.job).await
}

async fn latest(ctx: &Ctx, job: JobId) -> Result<u32, AppError> {
    let tenant = ctx.tenant;
    let newest = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(schemas::list(tx, tenant, job, None, 1).await?) })
    });
    Ok(newest.await?.first().map_or(0, |version| version.number))
}

async fn document(
    ctx: &Ctx,
    application: &Application,
    version: Option<u32>,
) -> Result<String, AppError> {
    let (tenant, job) = (ctx.tenant, application.job);
    let found = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move {
            Ok(match version {
                None => Some(schemas::current(tx, tenant, job).await?),
                Some(number) => schemas::find(tx, tenant, job, number).await?,
            })
        })
    });
    found.await?.ok_or_else(|| {
        AppError::NotFound(format!(
            "the mappings of {} have no version {}; see which there are with: muster schema history",
            application.display_name,
            version.unwrap_or_default()
        ))
    })
}

fn default_schema(application: &Application) -> Result<Schema, AppError> {
    let gallery = gallery()?;
    Ok(match &application.template {
        None => gallery.custom_app_schema(&application.display_name),
        Some(template) => gallery.default_schema(
            gallery
                .find(template)
                .map_err(|missing| AppError::NotFound(missing.to_string()))?,
        ),
    })
}

/// Saves a document that differs from the one in force; `based_on` is the version it was made from. The job begins
/// anew when it is `anew`.
async fn save(
    ctx: &Ctx,
    job: JobId,
    schema: Schema,
    note: &str,
    (based_on, anew): (Option<u32>, bool),
) -> Result<Saved, AppError> {
    schema.compile().map_err(|problems| invalid(&problems))?;
    let note = note.trim();
    if note.chars().count() > NOTE {
        return Err(AppError::Invalid(format!(
            "the note is longer than {NOTE} characters"
        )));
    }
    let (tenant, at, doc) = (ctx.tenant, ctx.clock.now(), schema.to_json());
    let mut entry = audit::entry(ctx, activity::MAPPINGS, job, "");
    let mut version = SchemaVersion {
        number: 0,
        saved: ctx.clock.now(),
        saved_by: ctx.actor.clone(),
        note: note.to_owned(),
    };
    ctx.store
        .write(move |tx| {
            Box::pin(async move {
                let newest = schemas::list(tx, tenant, job, None, 1).await?;
                let before = schemas::current(tx, tenant, job).await?;
                version.number = newest.first().map_or(0, |it| it.number);
                if based_on.is_some_and(|based_on| based_on != version.number) {
                    return Err(moved_on());
                }
                if before == doc {
                    return Ok(Saved {
                        version: version.number,
                        is_new: false,
                        changes: Vec::new(),
                    });
                }
                version.number += 1;
                let added = schemas::add(tx, tenant, job, &version, &doc).await;
                added.map_err(|error| match error {
                    StoreError::Duplicate(_) => moved_on(),
                    other => other.into(),
                })?;
                if anew && let Some(now) = jobs::find_to_change(tx, tenant, job).await? {
                    begin_anew(tx, tenant, &now, at).await?;
                }
                // One that cannot be read any more is replaced all the same.
                let changes = parse(&before).map_or(Vec::new(), |before| before.diff(&schema));
                entry.detail = format!(
                    "version {}, {} changes: {}",
                    version.number,
                    changes.len(),
                    version.note
                );
                audit_log::append(tx, tenant, &entry).await?;
                Ok(Saved {
                    version: version.number,
                    is_new: true,
                    changes,
                })
            })
        })
        .await
}

fn moved_on() -> AppError {
    AppError::Refused(
        "somebody else changed the mappings meanwhile; look at what they are now, and try again"
            .to_owned(),
    )
}

fn parse(doc: &str) -> Result<Schema, AppError> {
    Schema::from_json(doc).map_err(|problems| invalid(&problems))
}

/// Problems that a message names.
const NAMED: usize = 20;

/// Every problem with its place, one after the other.
fn invalid(problems: &[SchemaProblem]) -> AppError {
    let mut told: Vec<String> = problems
        .iter()
        .take(NAMED)
        .map(ToString::to_string)
        .collect();
    if problems.len() > NAMED {
        told.push(format!("and {} more", problems.len() - NAMED));
    }
    AppError::Invalid(told.join("; "))
}
