//! Enterprise applications: the gallery, roles, assignments, credentials, scope.

mod assign;
mod jobs;

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
pub use muster_engine::port::TestFailure;
use muster_engine::port::{Definitions, Keeper, Probe, Target};
use muster_model::application::{AppRole, Application, Assignment};
use muster_model::audit::{activity, origin};
use muster_model::directory::Kind;
use muster_model::job::{
    Credentials, DefaultAccess, Job, JobSettings, JobStatus, OAuth, Scheme, Scope,
};
use muster_model::{ApplicationId, JobId, RoleId, Secret, TenantId, Timestamp};
use muster_rules::gallery::Gallery;
use muster_store::schemas::SchemaVersion;
use muster_store::{
    StoreError, Tx, applications, assignments, audit as audit_log, jobs as stored_jobs, schemas,
    secrets,
};
use parking_lot::Mutex;

use crate::audit;
use crate::integrations::valid_name;
use crate::notices::WEBHOOK;
use crate::webhooks::new_secret;
use crate::{AppError, Ctx, directory};

pub use assign::{
    Assigned, Assigning, Included, Principal, assign, assign_role, assigned, assignment,
    assignments, assignments_of, included, principal, unassign, unassign_role,
};
pub(crate) use assign::{assigned_before, reached, role_of};
pub use jobs::{
    Put, change, delete_job, entries, offer_job, put_entries, remove_anyhow, saved_credentials,
};
pub use muster_rules::gallery::GalleryApp;

/// The gallery that is built into the binary.
static GALLERY: LazyLock<Result<Gallery, String>> = LazyLock::new(|| {
    Gallery::parse(
        include_str!("../../../gallery/apps.json"),
        include_str!("../../../gallery/default-mappings.json"),
    )
    .map_err(|error| error.to_string())
});

/// The gallery.
pub fn gallery() -> Result<&'static Gallery, AppError> {
    GALLERY
        .as_ref()
        .map_err(|error| AppError::Refused(format!("the gallery is broken: {error}")))
}

/// What to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Template {
    /// An app of the gallery, by id, name or alias.
    Gallery(String),
    /// Any SCIM application, with the default mappings of section 3.6.
    Custom,
}

/// Adds an application with its provisioning job and two roles, `User` and `Administrator`.
pub async fn add(
    ctx: &Ctx,
    template: &Template,
    display_name: Option<&str>,
) -> Result<Application, AppError> {
    create(ctx, template, display_name, true).await
}

/// As [`add`]; the job is not shown to who asks for it before somebody has asked for one.
pub async fn add_bare(
    ctx: &Ctx,
    template: &Template,
    display_name: Option<&str>,
) -> Result<Application, AppError> {
    create(ctx, template, display_name, false).await
}

async fn create(
    ctx: &Ctx,
    template: &Template,
    display_name: Option<&str>,
    offered: bool,
) -> Result<Application, AppError> {
    let gallery = gallery()?;
    let (id, name, schema) = match template {
        Template::Gallery(wanted) => {
            let app: &GalleryApp = gallery
                .find(wanted)
                .map_err(|missing| AppError::NotFound(missing.to_string()))?;
            if !app.is_scim2() {
                return Err(AppError::Refused(format!(
                    "{} takes accounts through an interface of its own, not by SCIM 2.0, and \
                     cannot be provisioned yet",
                    app.display_name
                )));
            }
            let schema = gallery.default_schema(app).to_json();
            (Some(app.id.clone()), app.display_name.clone(), schema)
        }
        Template::Custom => {
            let name = display_name.unwrap_or("Custom SCIM application").to_owned();
            let schema = gallery.custom_app_schema(&name).to_json();
            (None, name, schema)
        }
    };
    let name = valid_name("application", display_name.unwrap_or(&name))?;
    let job = Job {
        id: JobId::new(),
        application: ApplicationId::new(),
        status: JobStatus::NotConfigured,
        settings: JobSettings::default(),
        watermark: None,
        last_cycle: None,
        steady: None,
        offered,
    };
    let application = Application {
        id: job.application,
        display_name: name,
        template: id,
        job: job.id,
        created: ctx.clock.now(),
    };
    let first = SchemaVersion {
        number: 1,
        saved: application.created,
        saved_by: ctx.actor.clone(),
        note: "default mappings".to_owned(),
    };
    let (tenant, kept) = (ctx.tenant, application.clone());
    let name = &application.display_name;
    let added = match &application.template {
        Some(template) => format!("{name}, from the gallery ({template})"),
        None => format!("{name}, as a custom application"),
    };
    let entry = audit::entry(ctx, activity::ADD, application.job, added);
    ctx.store
        .write(move |tx| {
            Box::pin(async move {
                applications::create(tx, tenant, &kept)
                    .await
                    .map_err(|error| match error {
                        StoreError::Duplicate(_) => AppError::Taken(format!(
                            "there is an application named {} already; give this one another name \
                         (--name)",
                            kept.display_name
                        )),
                        other => other.into(),
                    })?;
                for value in ["User", "Administrator"] {
                    let role = AppRole {
                        id: RoleId::new(),
                        value: value.to_owned(),
                        display_name: value.to_owned(),
                    };
                    applications::add_role(tx, tenant, kept.id, &role).await?;
                }
                stored_jobs::create(tx, tenant, &job).await?;
                schemas::add(tx, tenant, job.id, &first, &schema).await?;
                audit_log::append(tx, tenant, &entry).await?;
                Ok::<_, AppError>(())
            })
        })
        .await?;
    Ok(application)
}

/// All applications by name.
pub async fn list(ctx: &Ctx) -> Result<Vec<Application>, AppError> {
    let tenant = ctx.tenant;
    ctx.store
        .read(|tx| Box::pin(async move { Ok(applications::list(tx, tenant).await?) }))
        .await
}

/// The application with this name or id.
pub async fn find(ctx: &Ctx, name: &str) -> Result<Application, AppError> {
    let (tenant, wanted) = (ctx.tenant, name.trim().to_owned());
    let found: Option<Application> = ctx
        .store
        .read(|tx| {
            Box::pin(async move {
                if let Ok(id) = wanted.parse() {
                    return Ok(applications::find(tx, tenant, id).await?);
                }
                Ok::<_, AppError>(applications::find_by_name(tx, tenant, &wanted).await?)
            })
        })
        .await?;
    found.ok_or_else(|| {
        AppError::NotFound(format!(
            "there is no application named {name}; see: muster app list"
        ))
    })
}

/// Everything about an application that its page shows.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The application.
    pub application: Application,
    /// Its job.
    pub job: Job,
    /// Its roles.
    pub roles: Vec<AppRole>,
    /// Its first hundred assignments, each with the principal's name.
    pub assignments: Vec<(Assignment, String)>,
    /// Where it is provisioned to, once credentials were saved.
    pub tenant_url: Option<String>,
    /// The schema document as JSON text.
    pub schema: String,
}

/// Assignments that are shown at once.
const SHOWN: u32 = 100;

/// Shows an application.
pub async fn show(ctx: &Ctx, name: &str) -> Result<Shown, AppError> {
    let application = find(ctx, name).await?;
    let job = job_of(ctx, &application).await?;
    let (tenant, id, job_id) = (ctx.tenant, application.id, job.id);
    let (roles, assigned, schema) = ctx
        .store
        .read::<_, AppError, _>(|tx| {
            Box::pin(async move {
                Ok((
                    applications::roles(tx, tenant, id).await?,
                    assignments::list(tx, tenant, id, None, SHOWN).await?,
                    schemas::current(tx, tenant, job_id).await?,
                ))
            })
        })
        .await?;
    let mut named = Vec::new();
    for assignment in assigned {
        let name = principal_name(ctx, &assignment).await?;
        named.push((assignment, name));
    }
    let credentials = ctx.engine.credentials(tenant, job.id).await?;
    let tenant_url = credentials.map(|credentials| credentials.tenant_url);
    Ok(Shown {
        application,
        job,
        roles,
        assignments: named,
        tenant_url,
        schema,
    })
}

async fn principal_name(ctx: &Ctx, assignment: &Assignment) -> Result<String, AppError> {
    let text = assignment.principal.to_string();
    Ok(match assignment.kind {
        Kind::User => directory::find_user(ctx, &text)
            .await
            .map(|it| it.user_principal_name),
        Kind::Group => directory::find_group(ctx, &text)
            .await
            .map(|it| it.display_name),
    }
    .unwrap_or(text))
}

/// The job of an application.
pub(crate) async fn job_of(ctx: &Ctx, application: &Application) -> Result<Job, AppError> {
    let (tenant, id) = (ctx.tenant, application.job);
    let job: Option<Job> = ctx
        .store
        .read(|tx| {
            Box::pin(async move { Ok::<_, AppError>(stored_jobs::find(tx, tenant, id).await?) })
        })
        .await?;
    job.ok_or_else(|| AppError::NotFound("the application has no provisioning job".to_owned()))
}

/// Saves Tenant URL and Secret Token, after they proved to work (CR-1).
pub async fn save_credentials(
    ctx: &Ctx,
    application: &str,
    mut credentials: Credentials,
) -> Result<(), AppError> {
    let application = find(ctx, application).await?;
    let held = Arc::<Held>::default();
    let saved_for = origin(&credentials.tenant_url);
    let opened = open(ctx, &application, &credentials, Arc::clone(&held) as _).await?;
    let tested = match opened {
        Ok(target) => target.test(true).await,
        Err(failure) => Err(failure),
    };
    // The test may have exchanged it for another one.
    if let Scheme::OAuth(OAuth {
        allowed: Some(allowed),
        ..
    }) = &mut credentials.access.scheme
        && let Ok(Some(other)) = held.kept(&allowed.id).await
    {
        allowed.refresh = other;
    }
    if let Err(failure) = tested {
        return Err(AppError::Refused(format!(
            "the credentials were not saved, because the connection does not work: {failure}"
        )));
    }
    let job = job_of(ctx, &application).await?;
    let how = match &credentials.access.scheme {
        Scheme::Bearer => "a bearer token",
        Scheme::Basic { .. } => "a name and a password",
        Scheme::OAuth(oauth) if oauth.allowed.is_some() => "OAuth, for somebody who allowed it",
        Scheme::OAuth(_) => "OAuth, for a client",
    };
    let saved = format!("credentials for {saved_for}: {how}");
    let entry = audit::entry(ctx, activity::SETTINGS, job.id, saved);
    ctx.engine
        .save_credentials(ctx.tenant, job.id, credentials, entry)
        .await?;
    let (tenant, id, at) = (ctx.tenant, job.id, ctx.clock.now());
    ctx.store
        .write(move |tx| {
            Box::pin(async move {
                let now = stored_jobs::find_to_change(tx, tenant, id)
                    .await?
                    .ok_or_else(gone)?;
                let next = match now.status {
                    JobStatus::NotConfigured => JobStatus::Paused,
                    // They proved to work just now.
                    JobStatus::Quarantined { .. } => JobStatus::Active,
                    JobStatus::Active | JobStatus::Paused => return Ok(()),
                };
                Ok(muster_engine::set_status(tx, tenant, id, &next, at).await?)
            })
        })
        .await
}

/// Test connection (2.4): with the given credentials, or with the saved ones.
pub async fn test_connection(
    ctx: &Ctx,
    application: &str,
    credentials: Option<Credentials>,
) -> Result<Result<(), TestFailure>, AppError> {
    test(ctx, application, credentials, true).await
}

/// As [`test_connection`] with the saved credentials; groups are asked for, or not.
pub(crate) async fn test(
    ctx: &Ctx,
    application: &str,
    credentials: Option<Credentials>,
    groups: bool,
) -> Result<Result<(), TestFailure>, AppError> {
    let application = find(ctx, application).await?;
    match given_or_saved(ctx, &application, credentials).await? {
        Ok(target) => Ok(target.test(groups).await),
        Err(failure) => Ok(Err(failure)),
    }
}

/// Holds a refresh token that belongs to nothing that is saved.
#[derive(Debug, Default)]
struct Held {
    refresh: Mutex<Option<Secret<String>>>,
    door: Arc<tokio::sync::Mutex<()>>,
}

#[async_trait]
impl Keeper for Held {
    fn door(&self) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.door)
    }

    async fn kept(&self, _: &str) -> Result<Option<Secret<String>>, String> {
        Ok(self.refresh.lock().clone())
    }

    async fn keep(&self, _: &str, refresh: &Secret<String>) -> Result<(), String> {
        *self.refresh.lock() = Some(refresh.clone());
        Ok(())
    }
}

/// Finds out what the target can do and how it wants to be spoken to: with the given credentials, or with the
/// saved ones. Writes only when a canary is named: a user of that name and a group are made, tried out, and
/// removed again.
pub async fn probe(
    ctx: &Ctx,
    application: &str,
    credentials: Option<Credentials>,
    canary: Option<&str>,
) -> Result<Result<Probe, TestFailure>, AppError> {
    let application = find(ctx, application).await?;
    match given_or_saved(ctx, &application, credentials).await? {
        Ok(target) => Ok(target.probe(canary).await),
        Err(failure) => Ok(Err(failure)),
    }
}

/// What the target says it has, asked for with the saved credentials (2.5).
pub(crate) async fn definitions(
    ctx: &Ctx,
    application: &Application,
) -> Result<Result<Definitions, TestFailure>, AppError> {
    match given_or_saved(ctx, application, None).await? {
        Ok(target) => Ok(target.definitions().await),
        Err(failure) => Ok(Err(failure)),
    }
}

async fn given_or_saved(
    ctx: &Ctx,
    application: &Application,
    credentials: Option<Credentials>,
) -> Result<Result<Box<dyn Target>, TestFailure>, AppError> {
    if let Some(given) = credentials {
        return open(ctx, application, &given, Arc::<Held>::default()).await;
    }
    let (tenant, job) = (ctx.tenant, application.job);
    let saved = ctx.engine.credentials(tenant, job).await?.ok_or_else(|| {
        AppError::Refused(
            "no credentials are saved yet; give them with --tenant-url and --secret-token"
                .to_owned(),
        )
    })?;
    open(ctx, application, &saved, ctx.engine.keeper(tenant, job)).await
}

async fn open(
    ctx: &Ctx,
    application: &Application,
    credentials: &Credentials,
    keeper: Arc<dyn Keeper>,
) -> Result<Result<Box<dyn Target>, TestFailure>, AppError> {
    let (tenant, job) = (ctx.tenant, application.job);
    let schema = ctx
        .store
        .read::<_, AppError, _>(|tx| {
            Box::pin(async move { Ok(schemas::current(tx, tenant, job).await?) })
        })
        .await?;
    let dialect = job_of(ctx, application).await?.settings.dialect;
    match ctx.engine.target(credentials, &schema, dialect, keeper) {
        Ok(target) => Ok(Ok(target)),
        Err(muster_engine::EngineError::Target(error)) => Ok(Err(TestFailure {
            category: "NotAllowed",
            message: error.to_string(),
        })),
        Err(error) => Err(error.into()),
    }
}

/// Changes the settings of a job as they are now, and begins anew when that is asked for.
pub(crate) async fn change_settings(
    ctx: &Ctx,
    job: JobId,
    begin_anew: bool,
    change: impl FnOnce(&mut JobSettings) + Send + 'static,
) -> Result<bool, AppError> {
    let (tenant, at) = (ctx.tenant, ctx.clock.now());
    let mut entry = audit::entry(ctx, activity::SETTINGS, job, "");
    ctx.store
        .write(move |tx| {
            Box::pin(async move {
                let now = stored_jobs::find_to_change(tx, tenant, job)
                    .await?
                    .ok_or_else(gone)?;
                let mut settings = now.settings.clone();
                change(&mut settings);
                if settings == now.settings {
                    return Ok(false);
                }
                stored_jobs::set_settings(tx, tenant, job, &settings).await?;
                let changed = stored_jobs::differences(&now.settings, &settings).into_iter();
                let changed = changed.map(|(name, old, new)| format!("{name}: {old} → {new}"));
                entry.detail = changed.collect::<Vec<_>>().join("; ");
                audit_log::append(tx, tenant, &entry).await?;
                if begin_anew {
                    self::begin_anew(tx, tenant, &now, at).await?;
                }
                Ok(true)
            })
        })
        .await
}

/// The next cycle evaluates everything, at once: what a quarantine was for may be mended (5.8, EH-11).
pub(crate) async fn begin_anew(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: &Job,
    at: Timestamp,
) -> Result<(), AppError> {
    stored_jobs::clear_watermark(tx, tenant, job.id).await?;
    if let JobStatus::Quarantined { .. } = job.status {
        muster_engine::set_status(tx, tenant, job.id, &JobStatus::Active, at).await?;
    }
    Ok(())
}

fn gone() -> AppError {
    AppError::NotFound("the application is gone".to_owned())
}

/// Chooses the scope. Going from all to assigned only, or back, re-evaluates everything: here that
/// needs no restart by hand (OM-11).
pub async fn set_scope(ctx: &Ctx, application: &str, scope: Scope) -> Result<bool, AppError> {
    set_candidates(ctx, application, Some(scope), None).await
}

/// As [`set_scope`]; and whether users count who hold only Default Access, where the application has roles of its
/// own (1.4).
pub async fn set_candidates(
    ctx: &Ctx,
    application: &str,
    scope: Option<Scope>,
    access: Option<DefaultAccess>,
) -> Result<bool, AppError> {
    let application = find(ctx, application).await?;
    change_settings(ctx, application.job, true, move |settings| {
        settings.scope = scope.unwrap_or(settings.scope);
        settings.default_access = access.unwrap_or(settings.default_access);
    })
    .await
}

/// Removes an application with its job and everything that is kept of it: assignments, credentials, mappings,
/// links, log. Accounts at the target stay as they are, and nobody looks after them any more.
pub async fn remove(ctx: &Ctx, application: &str) -> Result<Application, AppError> {
    let application = find(ctx, application).await?;
    // Its name stands there for all earlier entries.
    let name = application.display_name.clone();
    let entry = audit::entry(ctx, activity::REMOVE, application.job, name);
    let removed = ctx.engine.remove(ctx.tenant, &application, None, entry);
    removed.await?;
    Ok(application)
}

/// Could it be an email address? One `@` with a name before and a domain after it, nothing blank.
fn is_address(text: &str) -> bool {
    let blank = |it: char| it.is_whitespace() || it.is_control() || "<>,;()[]\\\"".contains(it);
    let Some((name, domain)) = text.split_once('@') else {
        return false;
    };
    let is_domain = domain.split('.').all(|part| !part.is_empty());
    !name.is_empty()
        && is_domain
        && !domain.contains('@')
        && !text.contains(blank)
        && text.len() <= 254
}

/// Sets who gets notifications; an empty text sets nobody.
pub async fn set_notification(ctx: &Ctx, application: &str, email: &str) -> Result<(), AppError> {
    let application = find(ctx, application).await?;
    let email = email.trim();
    if !email.is_empty() && !is_address(email) {
        return Err(AppError::Invalid(format!(
            "`{email}` is not an email address"
        )));
    }
    let notification_email = (!email.is_empty()).then(|| email.to_owned());
    change_settings(ctx, application.job, false, move |settings| {
        settings.notification_email = notification_email;
    })
    .await?;
    Ok(())
}

/// Sets where a signed message is sent with each notification; none without a URL. Answers the secret that signs
/// them, which is shown this once.
pub async fn set_notification_webhook(
    ctx: &Ctx,
    application: &str,
    url: Option<&str>,
) -> Result<Option<Secret<String>>, AppError> {
    let application = find(ctx, application).await?;
    let (tenant, job, url) = (ctx.tenant, application.job, url.map(str::to_owned));
    let secret = match &url {
        Some(url) => {
            ctx.courier.check(url).map_err(AppError::Invalid)?;
            Some(new_secret()?)
        }
        None => None,
    };
    let entry = match &url {
        Some(url) => format!("notification webhook: {}, with a new secret", origin(url)),
        None => "notification webhook: none".to_owned(),
    };
    let entry = audit::entry(ctx, activity::SETTINGS, job, entry);
    let (store, new) = (ctx.store.clone(), secret.clone());
    let set = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move {
            let now = stored_jobs::find_to_change(tx, tenant, job)
                .await?
                .ok_or_else(gone)?;
            let settings = JobSettings {
                notification_webhook: url,
                ..now.settings
            };
            // One that nothing is signed with any more is overwritten.
            let new = new.unwrap_or_else(|| Secret::new(String::new()));
            secrets::put(tx, store.key(), tenant, job, WEBHOOK, &new).await?;
            stored_jobs::set_settings(tx, tenant, job, &settings).await?;
            Ok(audit_log::append(tx, tenant, &entry).await?)
        })
    });
    set.await?;
    Ok(secret)
}
