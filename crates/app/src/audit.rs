//! The audit log: who changed the configuration of provisioning (10.7), the directory, and what gives access to both.

use std::collections::HashMap;

use muster_model::audit::{Audited, Target, activity};
use muster_model::directory::{Group, User};
use muster_model::event::Modified;
use muster_model::{Attributes, EventId, JobId, Timestamp, Value};
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
        job: Some(job),
        target: None,
        detail: detail.into(),
        changes: Vec::new(),
    }
}

/// An entry by whoever asks that concerns no job.
pub(crate) fn general(ctx: &Ctx, activity: &str, detail: impl Into<String>) -> Audited {
    Hand::of(ctx).entry(activity, detail.into())
}

/// Whose hand changes the directory, and when: what entries are made of within a transaction.
#[derive(Clone, Debug)]
pub(crate) struct Hand {
    at: Timestamp,
    actor: String,
}

impl Hand {
    pub(crate) fn of(ctx: &Ctx) -> Self {
        Self {
            at: ctx.clock.now(),
            actor: ctx.actor.clone(),
        }
    }

    fn entry(&self, activity: &str, detail: String) -> Audited {
        Audited {
            id: EventId::new(),
            at: self.at,
            actor: self.actor.clone(),
            activity: activity.to_owned(),
            job: None,
            target: None,
            detail,
            changes: Vec::new(),
        }
    }

    /// A user was changed; `None` is one who is not there.
    pub(crate) fn user(&self, activity: &str, old: Option<&User>, new: Option<&User>) -> Audited {
        let Some(user) = new.or(old) else {
            return self.entry(activity, String::new());
        };
        let target = Target {
            kind: "User".to_owned(),
            id: user.id.to_string(),
            name: user.user_principal_name.clone(),
        };
        self.changed(activity, target, old.map(properties), new.map(properties))
    }

    /// A group was changed; `None` is one that is not there.
    pub(crate) fn group(
        &self,
        activity: &str,
        old: Option<&Group>,
        new: Option<&Group>,
    ) -> Audited {
        let Some(group) = new.or(old) else {
            return self.entry(activity, String::new());
        };
        let target = Target {
            kind: "Group".to_owned(),
            id: group.id.to_string(),
            name: group.display_name.clone(),
        };
        let of = |group: &Group| {
            let mut all = group.attributes.clone();
            all.set("displayName", group.display_name.as_str());
            all.set("securityEnabled", group.security_enabled);
            all
        };
        self.changed(activity, target, old.map(of), new.map(of))
    }

    /// Somebody came into a group, or went out of it.
    pub(crate) fn member(&self, activity: &str, group: &Group, member: &str) -> Audited {
        let (old, new) = match activity {
            activity::ADD_MEMBER => (Value::Null, member.into()),
            _ => (member.into(), Value::Null),
        };
        Audited {
            changes: vec![Modified {
                name: "member".to_owned(),
                old,
                new,
            }],
            ..self.group(activity, Some(group), Some(group))
        }
    }

    fn changed(
        &self,
        activity: &str,
        target: Target,
        old: Option<Attributes>,
        new: Option<Attributes>,
    ) -> Audited {
        let (old, new) = (old.unwrap_or_default(), new.unwrap_or_default());
        let mut names: Vec<&str> = old
            .iter()
            .chain(new.iter())
            .map(|(name, _)| name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        let of = |all: &Attributes, name: &str| all.get(name).cloned().unwrap_or_default();
        let changes: Vec<Modified> = names
            .into_iter()
            .map(|name| Modified {
                name: name.to_owned(),
                old: of(&old, name),
                new: of(&new, name),
            })
            .filter(|it| it.old != it.new)
            .collect();
        let names: Vec<&str> = changes.iter().map(|it| it.name.as_str()).collect();
        let detail = format!("{} {}: {}", target.kind, target.name, names.join(", "));
        Audited {
            target: Some(target),
            changes,
            ..self.entry(activity, detail.trim_end_matches(": ").to_owned())
        }
    }
}

fn properties(user: &User) -> Attributes {
    let mut all = user.attributes.clone();
    all.set("userPrincipalName", user.user_principal_name.as_str());
    all.set("accountEnabled", user.account_enabled);
    all.set(
        "manager",
        user.manager.map_or(Value::Null, |id| id.to_string().into()),
    );
    let deleted = user.deleted.map(|at| at.to_string());
    all.set("deletedDateTime", deleted.map_or(Value::Null, Value::from));
    all
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
    Ok(gone.filter_map(|it| Some((it.job?, it.detail))).collect())
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
        target: None,
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
        let name = entry.job.and_then(|job| names.get(&job).cloned());
        let name = name.unwrap_or_default();
        (entry, name)
    });
    Ok(named.collect())
}
