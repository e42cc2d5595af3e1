//! Provisioning jobs: configuration, state, and who may run them.
//!
//! A job is run by whoever holds its lease. Each claim raises the job's fencing number; every write
//! of a cycle first checks that number, so a process that lost its lease writes nothing.

use muster_model::audit::origin;
use muster_model::exchange::ExchangeLog;
use muster_model::job::{
    DefaultAccess, Departure, Dialect, Guard, Job, JobSettings, JobStatus, Leaving, PatchStyle,
    Scope,
};
use muster_model::{ApplicationId, JobId, Position, TenantId, Timestamp};
use serde_json::{Value as Json, json};

use crate::{FromRow, Row, StoreError, Tx, Val};

const COLUMNS: &str = "id, application, status, quarantine, settings, watermark, last_cycle, \
                       steady_first, steady_last, offered";

impl FromRow for Job {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        let (id, application) = (row.take()?, row.take()?);
        let (status, quarantine): (String, Option<String>) = (row.take()?, row.take()?);
        let status = read_status(&status, quarantine.as_deref())
            .ok_or_else(|| row.corrupt("unknown job status"))?;
        let settings: String = row.take()?;
        let settings = read_settings(&settings).ok_or_else(|| row.corrupt("unknown settings"))?;
        let watermark: Option<String> = row.take()?;
        let watermark = watermark
            .map(|text| {
                text.parse::<Position>()
                    .map_err(|error| row.corrupt(error.to_string()))
            })
            .transpose()?;
        Ok(Self {
            id,
            application,
            status,
            settings,
            watermark,
            last_cycle: row.take()?,
            steady: row.take::<Option<Timestamp>>()?.zip(row.take()?),
            offered: row.take()?,
        })
    }
}

fn read_status(status: &str, quarantine: Option<&str>) -> Option<JobStatus> {
    Some(match status {
        "NotConfigured" => JobStatus::NotConfigured,
        "Paused" => JobStatus::Paused,
        "Active" => JobStatus::Active,
        "Quarantine" => {
            let json: Json = serde_json::from_str(quarantine?).ok()?;
            JobStatus::Quarantined {
                since: Timestamp::from_micros(json["since"].as_i64()?),
                looked: Timestamp::from_micros(json["looked"].as_i64()?),
                count: u32::try_from(json["count"].as_u64()?).ok()?,
                reason: json["reason"].as_str()?.to_owned(),
                code: json["code"].as_str()?.to_owned(),
                detail: json["detail"].as_str()?.to_owned(),
                next_attempt: Timestamp::from_micros(json["nextAttempt"].as_i64()?),
            }
        }
        _ => return None,
    })
}

fn quarantine_json(status: &JobStatus) -> Option<String> {
    match status {
        JobStatus::Quarantined {
            since,
            looked,
            count,
            reason,
            code,
            detail,
            next_attempt,
        } => Some(
            json!({
                "since": since.as_micros(), "looked": looked.as_micros(), "count": count,
                "reason": reason, "code": code, "detail": detail,
                "nextAttempt": next_attempt.as_micros()
            })
            .to_string(),
        ),
        JobStatus::NotConfigured | JobStatus::Paused | JobStatus::Active => None,
    }
}

fn read_settings(text: &str) -> Option<JobSettings> {
    let json: Json = serde_json::from_str(text).ok()?;
    Some(JobSettings {
        scope: if json["syncAll"].as_bool()? {
            Scope::All
        } else {
            Scope::AssignedOnly
        },
        default_access: if json["includeDefaultAccess"].as_bool()? {
            DefaultAccess::Included
        } else {
            DefaultAccess::ExcludedIfRolesExist
        },
        skip_out_of_scope_deletions: json["skipOutOfScopeDeletions"].as_bool()?,
        interval_seconds: json["intervalSeconds"].as_u64()? as u32,
        notification_email: json["notificationEmail"].as_str().map(str::to_owned),
        notification_webhook: json["notificationWebhook"].as_str().map(str::to_owned),
        guard: Guard {
            most: number(&json["guard"]["most"]),
            share: number(&json["guard"]["share"]),
            memberships: number(&json["guard"]["memberships"]),
            members_share: number(&json["guard"]["membersShare"]),
            within_seconds: number(&json["guard"]["withinSeconds"])?,
        },
        leaving: Leaving {
            unassigned: departure(&json["leaving"]["unassigned"])?,
            disabled: departure(&json["leaving"]["disabled"])?,
            deleted: departure(&json["leaving"]["deleted"])?,
            grace_seconds: number(&json["leaving"]["graceSeconds"]).unwrap_or(0),
        },
        dialect: dialect(&json["dialect"])?,
        exchanges: exchanges(&json["exchanges"])?,
        log_seconds: number(&json["logSeconds"])?,
        retries: json["retries"].as_str()?.parse().ok()?,
    })
}

fn exchanges(json: &Json) -> Option<ExchangeLog> {
    if json.is_null() {
        return Some(ExchangeLog::default());
    }
    let hidden = json["hidden"].as_array()?.iter();
    Some(ExchangeLog {
        keep: json["keep"].as_str()?.parse().ok()?,
        seconds: number(&json["seconds"])?,
        bytes: json["bytes"].as_u64()?,
        hidden: hidden.filter_map(Json::as_str).map(str::to_owned).collect(),
    })
}

fn dialect(json: &Json) -> Option<Dialect> {
    if json.is_null() {
        return Some(Dialect::default());
    }
    Some(Dialect {
        patch: match json["patch"].as_str() {
            Some(style) => Some(style.parse().ok()?),
            None => None,
        },
        puts: json["puts"].as_bool()?,
        members: number(&json["members"])?,
        bulk: number(&json["bulk"]).unwrap_or_default(),
        filters_groups: json["filtersGroups"].as_bool()?,
        at_once: number(&json["atOnce"])?,
        per_second: number(&json["perSecond"])?,
        timeout_seconds: number(&json["timeoutSeconds"])?,
    })
}

fn departure(json: &Json) -> Option<Departure> {
    json.as_str()?.parse().ok()
}

/// A number that fits, if there is one.
fn number<T: TryFrom<u64>>(json: &Json) -> Option<T> {
    json.as_u64().and_then(|number| number.try_into().ok())
}

fn settings_json(settings: &JobSettings) -> String {
    json!({
        "syncAll": settings.scope == Scope::All,
        "includeDefaultAccess": settings.default_access == DefaultAccess::Included,
        "skipOutOfScopeDeletions": settings.skip_out_of_scope_deletions,
        "intervalSeconds": settings.interval_seconds,
        "logSeconds": settings.log_seconds,
        "retries": settings.retries.as_str(),
        "notificationEmail": settings.notification_email,
        "notificationWebhook": settings.notification_webhook,
        "guard": {
            "most": settings.guard.most, "share": settings.guard.share,
            "memberships": settings.guard.memberships,
            "membersShare": settings.guard.members_share,
            "withinSeconds": settings.guard.within_seconds
        },
        "leaving": {
            "unassigned": settings.leaving.unassigned.as_str(),
            "disabled": settings.leaving.disabled.as_str(),
            "deleted": settings.leaving.deleted.as_str(),
            "graceSeconds": settings.leaving.grace_seconds
        },
        "dialect": {
            "patch": settings.dialect.patch.map(PatchStyle::as_str),
            "puts": settings.dialect.puts,
            "members": settings.dialect.members,
            "bulk": settings.dialect.bulk,
            "filtersGroups": settings.dialect.filters_groups,
            "atOnce": settings.dialect.at_once,
            "perSecond": settings.dialect.per_second,
            "timeoutSeconds": settings.dialect.timeout_seconds
        },
        "exchanges": {
            "keep": settings.exchanges.keep.as_str(),
            "seconds": settings.exchanges.seconds,
            "bytes": settings.exchanges.bytes,
            "hidden": settings.exchanges.hidden
        },
    })
    .to_string()
}

/// What is different between two settings, without secrets: the name, before, after.
pub fn differences(before: &JobSettings, after: &JobSettings) -> Vec<(String, String, String)> {
    let read = |settings: &JobSettings| -> serde_json::Map<String, Json> {
        serde_json::from_str(&settings_json(settings)).unwrap_or_default()
    };
    let (before, after) = (read(before), read(after));
    let mut changed = Vec::new();
    for (name, after) in after {
        let before = before.get(&name).cloned().unwrap_or_default();
        match (before, after) {
            (Json::Object(before), Json::Object(after)) => {
                for (member, after) in after {
                    let before = before.get(&member).cloned().unwrap_or_default();
                    changed.push((format!("{name}.{member}"), before, after));
                }
            }
            (before, after) => changed.push((name, before, after)),
        }
    }
    changed.retain(|(_, before, after)| before != after);
    let told = |name: &str, value: &Json| match (name, value) {
        ("notificationWebhook", Json::String(url)) => origin(url),
        _ => value.to_string(),
    };
    let told = changed.into_iter().map(|(name, before, after)| {
        let (before, after) = (told(&name, &before), told(&name, &after));
        (name, before, after)
    });
    told.collect()
}

/// Adds a job. Its schema document is kept in [`crate::schemas`].
pub async fn create(tx: &mut Tx<'_>, tenant: TenantId, job: &Job) -> Result<(), StoreError> {
    let sql = "INSERT INTO jobs (tenant, id, application, status, settings, offered, fence, \
               generation) VALUES ($1, $2, $3, $4, $5, $6, 0, 0)";
    let params = [
        tenant.into(),
        job.id.into(),
        job.application.into(),
        job.status.code().into(),
        settings_json(&job.settings).into(),
        job.offered.into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// From now on the job is shown to who asks for the jobs of its application.
pub async fn offer(tx: &mut Tx<'_>, tenant: TenantId, id: JobId) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET offered = TRUE WHERE tenant = $1 AND id = $2";
    tx.exec(sql, &[tenant.into(), id.into()]).await.map(|_| ())
}

/// The job with this id.
pub async fn find(tx: &mut Tx<'_>, tenant: TenantId, id: JobId) -> Result<Option<Job>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE tenant = $1 AND id = $2");
    tx.one(&sql, &[tenant.into(), id.into()]).await
}

/// The job with this id, which nobody else changes until the transaction ends.
pub async fn find_to_change(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: JobId,
) -> Result<Option<Job>, StoreError> {
    let lock = for_update(tx);
    let sql = format!("SELECT {COLUMNS} FROM jobs WHERE tenant = $1 AND id = $2{lock}");
    tx.one(&sql, &[tenant.into(), id.into()]).await
}

/// Keeps a row from being changed by others until the transaction ends. SQLite has one writer at a time
/// anyway.
const fn for_update(tx: &Tx<'_>) -> &'static str {
    if tx.is_postgres() { " FOR UPDATE" } else { "" }
}

/// Every job of every tenant; for the worker.
pub async fn all(tx: &mut Tx<'_>) -> Result<Vec<(TenantId, Job)>, StoreError> {
    let rows: Vec<(i64, JobId)> = tx
        .all("SELECT tenant, id FROM jobs ORDER BY tenant, id", &[])
        .await?;
    let mut jobs = Vec::with_capacity(rows.len());
    for (tenant, id) in rows {
        let tenant = TenantId(tenant);
        if let Some(job) = find(tx, tenant, id).await? {
            jobs.push((tenant, job));
        }
    }
    Ok(jobs)
}

/// Changes the status.
pub async fn set_status(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: JobId,
    status: &JobStatus,
) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET status = $1, quarantine = $2 WHERE tenant = $3 AND id = $4";
    let params = [
        status.code().into(),
        quarantine_json(status).into(),
        tenant.into(),
        id.into(),
    ];
    tx.exec(sql, &params).await.map(|_| ())
}

/// Changes the settings.
pub async fn set_settings(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: JobId,
    settings: &JobSettings,
) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET settings = $1 WHERE tenant = $2 AND id = $3";
    tx.exec(
        sql,
        &[settings_json(settings).into(), tenant.into(), id.into()],
    )
    .await
    .map(|_| ())
}

/// Forgets the watermark: the next cycle is an initial one. A cycle that runs writes nothing any more.
pub async fn clear_watermark(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: JobId,
) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET watermark = NULL, progress = NULL, generation = generation + 1 \
               WHERE tenant = $1 AND id = $2";
    tx.exec(sql, &[tenant.into(), id.into()]).await.map(|_| ())
}

/// Removes a job with everything that is kept of it.
pub async fn remove(tx: &mut Tx<'_>, tenant: TenantId, job: JobId) -> Result<(), StoreError> {
    let plans = "DELETE FROM plan_operations WHERE tenant = $1 AND plan IN \
                 (SELECT id FROM plans WHERE tenant = $1 AND job = $2)";
    tx.exec(plans, &[tenant.into(), job.into()]).await?;
    for table in OF_JOB {
        let sql = format!("DELETE FROM {table} WHERE tenant = $1 AND job = $2");
        tx.exec(&sql, &[tenant.into(), job.into()]).await?;
    }
    let secrets = "DELETE FROM secrets WHERE tenant = $1 AND owner = $2";
    tx.exec(secrets, &[tenant.into(), job.into()]).await?;
    let sql = "DELETE FROM jobs WHERE tenant = $1 AND id = $2";
    tx.exec(sql, &[tenant.into(), job.into()]).await.map(|_| ())
}

/// Removes an application whose job is gone, with its roles and assignments.
pub async fn remove_application(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    application: ApplicationId,
) -> Result<(), StoreError> {
    for table in ["app_roles", "assignments"] {
        let sql = format!("DELETE FROM {table} WHERE tenant = $1 AND application = $2");
        tx.exec(&sql, &[tenant.into(), application.into()]).await?;
    }
    let sql = "DELETE FROM applications WHERE tenant = $1 AND id = $2";
    tx.exec(sql, &[tenant.into(), application.into()])
        .await
        .map(|_| ())
}

/// Tables whose rows belong to one job. The audit log stays.
const OF_JOB: [&str; 13] = [
    "links",
    "reference_links",
    "intents",
    "escrows",
    "held_back",
    "withdrawn",
    "withdrawn_members",
    "notices",
    "plans",
    "exchanges",
    "events",
    "cycles",
    "job_schemas",
];

/// The right to run a job until the lease ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Whose job.
    pub tenant: TenantId,
    /// Which job.
    pub job: JobId,
    /// The fencing number of this claim.
    pub fence: i64,
    /// How often the job had begun anew when it was claimed.
    pub generation: i64,
}

/// Gives back every lease: for a process that knows it is the only one.
pub async fn release_all(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    let sql = "UPDATE jobs SET lease_until = NULL, lease_owner = NULL";
    tx.exec(sql, &[]).await.map(|_| ())
}

/// Claims a job that nobody holds (any more) for `owner` until `until`.
pub async fn claim(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    job: JobId,
    owner: &str,
    now: Timestamp,
    until: Timestamp,
) -> Result<Option<Lease>, StoreError> {
    let sql = "UPDATE jobs SET lease_owner = $1, lease_until = $2, fence = fence + 1 \
               WHERE tenant = $3 AND id = $4 \
               AND (lease_until IS NULL OR lease_until < $5) RETURNING fence, generation";
    let params = [
        owner.into(),
        until.into(),
        tenant.into(),
        job.into(),
        now.into(),
    ];
    let row: Option<(i64, i64)> = tx.one(sql, &params).await?;
    Ok(row.map(|(fence, generation)| Lease {
        tenant,
        job,
        fence,
        generation,
    }))
}

impl Lease {
    /// Proves, inside the caller's transaction, that the lease still holds and that the job did not
    /// begin anew.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`] and [`StoreError::Restarted`]; the transaction must then be rolled back.
    pub async fn check(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        if self.holds(tx).await? {
            Ok(())
        } else {
            Err(StoreError::Restarted)
        }
    }

    /// Proves that the lease still holds, until the transaction ends. Answers false when the job began
    /// anew: what was done until then is still to be written down, how far the cycle has come is not.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`]; the transaction must then be rolled back.
    pub async fn holds(&self, tx: &mut Tx<'_>) -> Result<bool, StoreError> {
        let lock = for_update(tx);
        let sql = format!(
            "SELECT generation FROM jobs WHERE tenant = $1 AND id = $2 AND fence = $3{lock}"
        );
        let params = [self.tenant.into(), self.job.into(), self.fence.into()];
        let row: Option<(i64,)> = tx.one(&sql, &params).await?;
        let (generation,) = row.ok_or(StoreError::LeaseLost)?;
        Ok(generation == self.generation)
    }

    /// Makes the lease last until `until`.
    ///
    /// # Errors
    ///
    /// [`StoreError::LeaseLost`].
    pub async fn extend(&self, tx: &mut Tx<'_>, until: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE jobs SET lease_until = $1 WHERE tenant = $2 AND id = $3 AND fence = $4";
        let params = [
            until.into(),
            self.tenant.into(),
            self.job.into(),
            self.fence.into(),
        ];
        match tx.exec(sql, &params).await? {
            0 => Err(StoreError::LeaseLost),
            _ => Ok(()),
        }
    }

    /// Gives the lease back.
    pub async fn release(&self, tx: &mut Tx<'_>) -> Result<(), StoreError> {
        let sql = "UPDATE jobs SET lease_until = NULL, lease_owner = NULL \
                   WHERE tenant = $1 AND id = $2 AND fence = $3";
        let params = [self.tenant.into(), self.job.into(), self.fence.into()];
        tx.exec(sql, &params).await.map(|_| ())
    }

    /// Keeps how far the running cycle has come; `None` when it has ended.
    pub async fn set_progress(
        &self,
        tx: &mut Tx<'_>,
        progress: Option<&str>,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE jobs SET progress = $1 WHERE tenant = $2 AND id = $3";
        let progress = progress.map_or(Val::Null, Val::from);
        tx.exec(sql, &[progress, self.tenant.into(), self.job.into()])
            .await
            .map(|_| ())
    }

    /// Nothing was left to do at this moment (11.2).
    pub async fn set_steady(&self, tx: &mut Tx<'_>, at: Timestamp) -> Result<(), StoreError> {
        let sql = "UPDATE jobs SET steady_first = COALESCE(steady_first, $1), steady_last = $1 \
                   WHERE tenant = $2 AND id = $3";
        let params = [at.into(), self.tenant.into(), self.job.into()];
        tx.exec(sql, &params).await.map(|_| ())
    }

    /// Ends a cycle: the watermark is the last thing that it writes.
    pub async fn set_watermark(
        &self,
        tx: &mut Tx<'_>,
        watermark: Position,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE jobs SET watermark = $1, last_cycle = $2, progress = NULL \
                   WHERE tenant = $3 AND id = $4";
        let params = [
            watermark.to_string().into(),
            at.into(),
            self.tenant.into(),
            self.job.into(),
        ];
        tx.exec(sql, &params).await.map(|_| ())
    }
}

/// How far the running or interrupted cycle had come, as [`Lease::set_progress`] left it.
pub async fn progress(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    id: JobId,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT progress FROM jobs WHERE tenant = $1 AND id = $2";
    let row: Option<(Option<String>,)> = tx.one(sql, &[tenant.into(), id.into()]).await?;
    Ok(row.and_then(|(progress,)| progress))
}
