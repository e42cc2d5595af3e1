//! What the control API does with an application and its job, in the ways of Microsoft Graph.

use std::collections::BTreeMap;

use muster_model::application::{AppRole, Application};
use muster_model::audit::{activity, origin};
use muster_model::job::{Credentials, Job, JobSettings, JobStatus, Scope};
use muster_model::{JobId, Secret};
use muster_store::schemas::SchemaVersion;
use muster_store::{StoreError, applications, assignments, audit as audit_log, jobs, secrets};

use super::{begin_anew, find, gone, is_address, job_of};
use crate::integrations::valid_name;
use crate::{AppError, Ctx, audit, mappings};

/// Gives an application another name, or other roles. A role that somebody holds stays.
pub async fn change(
    ctx: &Ctx,
    application: &str,
    name: Option<&str>,
    roles: Option<&[AppRole]>,
) -> Result<(), AppError> {
    let application = find(ctx, application).await?;
    let name = name
        .map(|name| valid_name("application", name))
        .transpose()?;
    let roles = roles.map(<[AppRole]>::to_vec);
    let mut told = Vec::new();
    if let Some(name) = &name {
        told.push(format!("name: {} → {name}", application.display_name));
    }
    if let Some(roles) = &roles {
        let names: Vec<&str> = roles.iter().map(|it| it.display_name.as_str()).collect();
        told.push(format!("roles: {}", names.join(", ")));
    }
    if told.is_empty() {
        return Ok(());
    }
    let entry = audit::entry(ctx, activity::SETTINGS, application.job, told.join("; "));
    let (tenant, id) = (ctx.tenant, application.id);
    let changed = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move {
            if let Some(name) = name {
                applications::rename(tx, tenant, id, &name)
                    .await
                    .map_err(|error| match error {
                        StoreError::Duplicate(_) => {
                            AppError::Taken(format!("there is an application named {name} already"))
                        }
                        other => other.into(),
                    })?;
            }
            if let Some(roles) = roles {
                for role in applications::roles(tx, tenant, id).await? {
                    let stays = roles.iter().any(|it| it.id == role.id);
                    let held = assignments::count_of_role(tx, tenant, id, role.id).await?;
                    if !stays && held > 0 {
                        return Err(AppError::Refused(format!(
                            "the role {} is held by {held}; unassign them first",
                            role.display_name
                        )));
                    }
                }
                applications::set_roles(tx, tenant, id, &roles).await?;
            }
            Ok(audit_log::append(tx, tenant, &entry).await?)
        })
    });
    changed.await
}

/// Shows the job of an application from now on.
pub async fn offer_job(ctx: &Ctx, application: &Application) -> Result<Job, AppError> {
    let (tenant, job) = (ctx.tenant, application.job);
    let offered = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move { Ok(jobs::offer(tx, tenant, job).await?) })
    });
    offered.await?;
    job_of(ctx, application).await
}

/// Forgets everything of a job; the application gets another one, which nobody sees until it is asked for. Accounts
/// at the target stay as they are.
pub async fn delete_job(ctx: &Ctx, application: &Application) -> Result<(), AppError> {
    let document = mappings::defaults(ctx, &application.id.to_string()).await?;
    let next = Job {
        id: JobId::new(),
        application: application.id,
        status: JobStatus::NotConfigured,
        settings: JobSettings::default(),
        watermark: None,
        last_cycle: None,
        steady: None,
        offered: false,
    };
    let first = SchemaVersion {
        number: 1,
        saved: ctx.clock.now(),
        saved_by: ctx.actor.clone(),
        note: "default mappings".to_owned(),
    };
    let entry = audit::entry(
        ctx,
        activity::REMOVE_JOB,
        application.job,
        &*application.display_name,
    );
    let next = Some((next, first, document));
    let removed = async {
        Ok(ctx
            .engine
            .remove(ctx.tenant, application, next, entry)
            .await?)
    };
    Box::pin(crate::jobs::while_off(ctx, application, removed)).await
}

/// Removes an application whose job may be on.
pub async fn remove_anyhow(ctx: &Ctx, application: &Application) -> Result<(), AppError> {
    let id = application.id.to_string();
    let removed = super::remove(ctx, &id);
    Box::pin(crate::jobs::while_off(ctx, application, removed))
        .await
        .map(drop)
}

/// The credentials that are saved.
pub async fn saved_credentials(
    ctx: &Ctx,
    application: &Application,
) -> Result<Option<Credentials>, AppError> {
    Ok(ctx.engine.credentials(ctx.tenant, application.job).await?)
}

/// The name under which the entries are kept that a client of Microsoft Graph has put (1.6).
const ENTRIES: &str = "Entries";

/// The credentials and settings that a client of Microsoft Graph has put, by their names (1.6); what was set in other
/// ways since is as it is now.
pub async fn entries(
    ctx: &Ctx,
    application: &Application,
) -> Result<BTreeMap<String, String>, AppError> {
    let (tenant, job, store) = (ctx.tenant, application.job, &ctx.store);
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(secrets::find(tx, store.key(), tenant, job, ENTRIES).await?) })
    });
    let kept = read.await?;
    let kept = kept.and_then(|text| serde_json::from_str(text.expose()).ok());
    let mut entries: BTreeMap<String, String> = kept.unwrap_or_default();
    if let Some(saved) = ctx.engine.credentials(tenant, job).await? {
        for (name, value) in [
            ("BaseAddress", saved.tenant_url),
            ("SecretToken", saved.secret_token.expose().clone()),
        ] {
            if value.is_empty() {
                entries.remove(name);
            } else {
                entries.insert(name.to_owned(), value);
            }
        }
    }
    let settings = job_of(ctx, application).await?.settings;
    if settings.scope == Scope::All || entries.contains_key("SyncAll") {
        let all = (settings.scope == Scope::All).to_string();
        entries.insert("SyncAll".to_owned(), all);
    }
    if settings.skip_out_of_scope_deletions || entries.contains_key("SkipOutOfScopeDeletions") {
        let skips = settings.skip_out_of_scope_deletions.to_string();
        entries.insert("SkipOutOfScopeDeletions".to_owned(), skips);
    }
    Ok(entries)
}

/// What somebody puts in place of all entries that there were.
#[derive(Debug, Default)]
pub struct Put {
    /// All of them, as they are to be listed again.
    pub entries: BTreeMap<String, String>,
    /// Other credentials than those that are saved. They are not tested: a client of Microsoft Graph does that, or not,
    /// in a request of its own.
    pub credentials: Option<Credentials>,
    /// Who is in scope.
    pub scope: Scope,
    /// Are those left alone who fall out of it?
    pub skips: bool,
    /// Who is told, if that is said: nobody, or one address.
    pub notification: Option<Option<String>>,
    /// How much a cycle may take away, if that is said.
    pub most: Option<u32>,
}

/// Puts entries in place of those before, and sets what they mean: all of it, or nothing.
pub async fn put_entries(ctx: &Ctx, application: &Application, put: Put) -> Result<(), AppError> {
    if let Some(Some(email)) = &put.notification
        && !is_address(email)
    {
        return Err(AppError::Invalid(format!(
            "`{email}` is not an email address"
        )));
    }
    let (tenant, job, at) = (ctx.tenant, application.job, ctx.clock.now());
    // The credentials have a place of their own.
    let others = put
        .entries
        .iter()
        .filter(|(name, _)| !OWN.contains(&name.as_str()));
    let others: BTreeMap<&String, &String> = others.collect();
    let text = serde_json::to_string(&others).unwrap_or_default();
    let names: Vec<&str> = put.entries.keys().map(String::as_str).collect();
    let names = names.join(", ");
    let (store, mut entry) = (
        ctx.store.clone(),
        audit::entry(ctx, activity::SETTINGS, job, ""),
    );
    let written = ctx.store.write::<_, AppError, _>(move |tx| {
        let kept = Secret::new(text);
        Box::pin(async move {
            let now = jobs::find_to_change(tx, tenant, job)
                .await?
                .ok_or_else(gone)?;
            let mut settings = now.settings.clone();
            settings.scope = put.scope;
            settings.skip_out_of_scope_deletions = put.skips;
            if let Some(notification) = put.notification {
                settings.notification_email = notification;
            }
            if let Some(most) = put.most {
                (settings.guard.most, settings.guard.share) = (Some(most), None);
            }
            let mut told: Vec<String> = jobs::differences(&now.settings, &settings)
                .into_iter()
                .map(|(name, old, new)| format!("{name}: {old} → {new}"))
                .collect();
            jobs::set_settings(tx, tenant, job, &settings).await?;
            let key = store.key();
            secrets::put(tx, key, tenant, job, ENTRIES, &kept).await?;
            if let Some(credentials) = put.credentials {
                told.push(format!(
                    "credentials for {}",
                    origin(&credentials.tenant_url)
                ));
                let is_known = !credentials.tenant_url.is_empty();
                muster_engine::put_credentials(tx, key, (tenant, job), credentials).await?;
                if now.status == JobStatus::NotConfigured && is_known {
                    muster_engine::set_status(tx, tenant, job, &JobStatus::Paused, at).await?;
                }
            }
            if settings.scope != now.settings.scope {
                begin_anew(tx, tenant, &now, at).await?;
            }
            told.push(format!("entries: {names}"));
            entry.detail = told.join("; ");
            Ok(audit_log::append(tx, tenant, &entry).await?)
        })
    });
    written.await
}

/// Entries that are kept elsewhere.
const OWN: [&str; 2] = ["BaseAddress", "SecretToken"];
