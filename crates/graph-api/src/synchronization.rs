//! Jobs (9.1, 9.3, 9.4): what they are at, and starting, pausing, restarting them.

use muster_app::applications::{self, Shown};
use muster_app::jobs::{self, JobReport};
use muster_model::Timestamp;
use muster_model::cycle::{Cycle, CycleKind, CycleState};
use muster_model::job::{Job, JobStatus, ResetScope};
use muster_model::link::LinkState;
use muster_model::{code, directory};
use serde_json::{Value as Json, json};

use crate::answer::{Answer, Fault};
use crate::applications::service_principal;
use crate::ids;
use crate::request::Call;

/// The instant that stands for never (2.1).
const NEVER: &str = "0001-01-01T00:00:00Z";

/// The template of the jobs of an application.
pub(crate) fn template_of(found: &Shown) -> String {
    let template = found.application.template.as_deref();
    template.map_or_else(|| "scim".to_owned(), |slug| slug.replace('-', ""))
}

/// The id of a job: template, organisation, and a GUID (9.3).
pub(crate) fn job_id(call: &Call, template: &str, job: &str) -> String {
    let tenant = ids::tenant(call.ctx.tenant.0).replace('-', "");
    format!("{template}.{tenant}.{job}")
}

/// The context of what belongs to the synchronization of a service principal.
pub(crate) fn place(found: &Shown, rest: &str) -> String {
    format!(
        "servicePrincipals('{}')/synchronization/{rest}",
        found.application.id
    )
}

/// The service principal and the job in the path, if there is such a job.
pub(crate) async fn with_job(call: &Call) -> Result<(Shown, String), Fault> {
    let found = service_principal(call, call.arg(0)).await?;
    let wanted = call.arg(1);
    let id = job_id(call, &template_of(&found), &found.job.id.to_string());
    if !found.job.offered || !id.eq_ignore_ascii_case(wanted) {
        return Err(Fault::missing(format!(
            "The synchronization job '{}' does not exist.",
            wanted.chars().take(120).collect::<String>()
        )));
    }
    Ok((found, id))
}

/// A job as a resource.
async fn object(call: &Call, found: &Shown) -> Result<Json, Fault> {
    let report = jobs::status(&call.ctx, &found.application.id.to_string()).await?;
    let template = template_of(found);
    Ok(json!({
        "id": job_id(call, &template, &found.job.id.to_string()), "templateId": template,
        "schedule": {
            "expiration": null, "interval": interval(report.job.settings.interval_seconds),
            "state": schedule_state(&report.job)
        },
        "status": status(&report),
        "synchronizationJobSettings": [
            { "name": "AzureIngestionAttributeOptimization", "value": "False" },
            { "name": "LookaheadQueryEnabled", "value": "False" }
        ]
    }))
}

fn schedule_state(job: &Job) -> &'static str {
    match job.status {
        JobStatus::Active | JobStatus::Quarantined { .. } => "Active",
        JobStatus::Paused if job.last_cycle.is_some() => "Paused",
        JobStatus::NotConfigured | JobStatus::Paused => "Disabled",
    }
}

/// A duration as ISO 8601 has it (2.1).
fn interval(seconds: u32) -> String {
    match seconds {
        0 => "PT0S".to_owned(),
        _ if seconds.is_multiple_of(86_400) => format!("P{}D", seconds / 86_400),
        _ if seconds.is_multiple_of(3600) => format!("PT{}H", seconds / 3600),
        _ if seconds.is_multiple_of(60) => format!("PT{}M", seconds / 60),
        _ => format!("PT{seconds}S"),
    }
}

fn status(report: &JobReport) -> Json {
    let ended =
        |cycle: &&Cycle| cycle.kind != CycleKind::OnDemand && cycle.state != CycleState::Running;
    let milestones = &report.milestones;
    let observed = report.at.to_string();
    let progress: Vec<Json> = report
        .progress
        .iter()
        .map(|it| {
            json!({
                "units": it.phase.as_str(), "completedUnits": it.done, "totalUnits": it.total,
                "progressObservationDateTime": observed
            })
        })
        .collect();
    let steady = |at: Option<Timestamp>| at.map_or_else(|| NEVER.to_owned(), |at| at.to_string());
    json!({
        "code": report.job.code(),
        "countSuccessiveCompleteFailures": report.failures_in_a_row(), "escrowsPruned": false,
        "lastExecution": report.cycles.iter().find(ended).map(execution),
        "lastSuccessfulExecution": milestones.successful.as_ref().map(execution),
        "lastSuccessfulExecutionWithExports": milestones.exporting.as_ref().map(execution),
        "progress": progress, "quarantine": quarantine(&report.job.status),
        "steadyStateFirstAchievedTime": steady(report.job.steady.map(|(first, _)| first)),
        "steadyStateLastAchievedTime": steady(report.job.steady.map(|(_, last)| last)),
        "synchronizedEntryCountByType": counts(report), "troubleshootingUrl": null
    })
}

/// One cycle (11.3).
pub(crate) fn execution(cycle: &Cycle) -> Json {
    let counts = &cycle.counts;
    let error = match &cycle.state {
        CycleState::Failed { code, detail } => json!({
            "code": code, "message": detail,
            "tenantActionable": code::find(code).is_some_and(code::Code::is_actionable)
        }),
        _ => Json::Null,
    };
    let state = match &cycle.state {
        CycleState::Running => "Failed",
        other => other.as_str(),
    };
    let looked = counts.objects();
    let deltas = if cycle.kind == CycleKind::Incremental {
        looked
    } else {
        0
    };
    json!({
        "activityIdentifier": cycle.id.to_string(), "state": state, "error": error,
        "timeBegan": cycle.began.to_string(),
        "timeEnded": cycle.ended.unwrap_or(cycle.began).to_string(),
        "countImported": looked, "countImportedDeltas": deltas,
        "countImportedReferenceDeltas": 0, "countEntitled": looked,
        "countEntitledForProvisioning": looked - counts.skipped.min(looked),
        "countExports": counts.exported() + counts.failed, "countExported": counts.exported(),
        "countEscrowed": counts.failed, "countEscrowedRaw": counts.failed
    })
}

fn quarantine(status: &JobStatus) -> Json {
    let JobStatus::Quarantined {
        since,
        looked,
        count,
        reason,
        code,
        detail,
        next_attempt,
    } = status
    else {
        return Json::Null;
    };
    json!({
        "reason": reason, "seriesCount": count, "seriesBegan": since.to_string(),
        "currentBegan": looked.to_string(), "nextAttempt": next_attempt.to_string(),
        "error": {
            "code": code, "message": detail,
            "tenantActionable": code::find(code).is_some_and(code::Code::is_actionable)
        }
    })
}

/// Who was brought under management, by kind.
fn counts(report: &JobReport) -> Vec<Json> {
    directory::Kind::ALL
        .into_iter()
        .filter_map(|kind| {
            let of_kind = report
                .linked
                .iter()
                .filter(|(it, state, _)| *it == kind && *state != LinkState::Released);
            let count: u64 = of_kind.map(|(_, _, count)| count).sum();
            let key = format!("{kind} to {kind}");
            (count > 0).then(|| json!({ "key": key, "value": count }))
        })
        .collect()
}

/// `GET S/jobs`
pub(crate) async fn list(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let mut value = Vec::new();
    if found.job.offered {
        value.push(object(&call, &found).await?);
    }
    Ok(Answer::ok(call.list(&place(&found, "jobs"), value)))
}

/// `POST S/jobs`
pub(crate) async fn create(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let template = call.object()?.get("templateId").and_then(Json::as_str);
    let template =
        template.ok_or_else(|| Fault::invalid("templateId", "a value is required for it"))?;
    if template != template_of(&found) {
        return Err(Fault::new(
            http::StatusCode::BAD_REQUEST,
            "TemplateNotFound",
            format!(
                "The synchronization template '{}' does not exist; it is '{}'.",
                template.chars().take(100).collect::<String>(),
                template_of(&found)
            ),
        ));
    }
    if found.job.offered {
        return Err(Fault::bad_request(
            "The application has its synchronization job already; it has one.",
        ));
    }
    let job = applications::offer_job(&call.ctx, &found.application).await?;
    let found = Shown { job, ..found };
    let shown = object(&call, &found).await?;
    let id = shown["id"].as_str().unwrap_or_default().to_owned();
    let location = format!("{}/{}", call.base, place(&found, &format!("jobs/{id}")));
    let of = place(&found, "jobs/$entity");
    Ok(Answer::created(call.entity(&of, shown), location))
}

/// `GET S/jobs/{id}`
pub(crate) async fn get(call: Call) -> Result<Answer, Fault> {
    let (found, id) = with_job(&call).await?;
    let mut shown = object(&call, &found).await?;
    let expands = |(name, value): &(String, String)| name == "expand" && value == "schema";
    if call.pairs.iter().any(expands) {
        shown["schema"] = crate::schema::document(&call, &found, &id).await?;
    }
    Ok(Answer::ok(
        call.entity(&place(&found, "jobs/$entity"), shown),
    ))
}

/// `PATCH S/jobs/{id}`: the pause between two cycles (9.4).
pub(crate) async fn update(call: Call) -> Result<Answer, Fault> {
    let (found, _) = with_job(&call).await?;
    let wanted = call
        .object()?
        .get("schedule")
        .map(|schedule| &schedule["interval"]);
    if let Some(wanted) = wanted.filter(|wanted| !wanted.is_null()) {
        let seconds = wanted.as_str().and_then(seconds_of);
        let seconds = seconds.ok_or_else(|| {
            Fault::invalid("schedule/interval", "a duration such as PT40M is expected")
        })?;
        jobs::set_interval(&call.ctx, &found.application.id.to_string(), seconds).await?;
    }
    Ok(Answer::done())
}

/// A duration in ISO 8601, or as `H:MM:SS` (2.1).
fn seconds_of(text: &str) -> Option<u32> {
    if let Some(clock) = text.split_once(':') {
        let (minutes, seconds) = clock.1.split_once(':')?;
        let (hours, minutes): (u32, u32) = (clock.0.parse().ok()?, minutes.parse().ok()?);
        let seconds: u32 = seconds.split('.').next()?.parse().ok()?;
        return hours
            .checked_mul(3600)?
            .checked_add(minutes.checked_mul(60)?)?
            .checked_add(seconds);
    }
    let rest = text.strip_prefix('P')?;
    let (days, time) = rest.split_once('T').unwrap_or((rest, ""));
    let mut total: u64 = 0;
    for (part, units) in [
        (days, [('D', 86_400), ('?', 0), ('?', 0)]),
        (time, [('H', 3600), ('M', 60), ('S', 1)]),
    ] {
        let mut number = String::new();
        for letter in part.chars() {
            if letter.is_ascii_digit() || letter == '.' {
                number.push(letter);
                continue;
            }
            let unit = units
                .iter()
                .find(|(it, _)| *it == letter)
                .filter(|(_, unit)| *unit > 0)?
                .1;
            let whole: u64 = number.split('.').next()?.parse().ok()?;
            total = total.checked_add(whole.checked_mul(unit)?)?;
            number.clear();
        }
        if !number.is_empty() {
            return None;
        }
    }
    u32::try_from(total).ok()
}

/// `DELETE S/jobs/{id}`
pub(crate) async fn delete(call: Call) -> Result<Answer, Fault> {
    let (found, _) = with_job(&call).await?;
    applications::delete_job(&call.ctx, &found.application).await?;
    Ok(Answer::done())
}

/// `POST S/jobs/{id}/start`
pub(crate) async fn start(call: Call) -> Result<Answer, Fault> {
    let (found, _) = with_job(&call).await?;
    jobs::start(&call.ctx, &found.application.id.to_string()).await?;
    Ok(Answer::done())
}

/// `POST S/jobs/{id}/pause`
pub(crate) async fn pause(call: Call) -> Result<Answer, Fault> {
    let (found, _) = with_job(&call).await?;
    jobs::pause(&call.ctx, &found.application.id.to_string()).await?;
    Ok(Answer::done())
}

/// What a restart drops, and whether it lets through what the guard holds back.
fn reset(text: &str) -> Result<(ResetScope, bool), Fault> {
    let (mut scope, mut lets, mut named) = (ResetScope::default(), false, false);
    for word in text
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty())
    {
        named = true;
        match word.to_ascii_lowercase().as_str() {
            "none" => {}
            "watermark" => scope.watermark = true,
            "escrows" => scope.escrows = true,
            "quarantinestate" => scope.quarantine = true,
            "connectordatastore" => (scope.links, scope.watermark) = (true, true),
            "full" => scope = ResetScope::FULL,
            "forcedeletes" => lets = true,
            other => {
                return Err(Fault::invalid(
                    "criteria/resetScope",
                    format!(
                        "'{}' is none of None, Watermark, Escrows, QuarantineState, ConnectorDataStore, Full, \
                         ForceDeletes",
                        other.chars().take(40).collect::<String>()
                    ),
                ));
            }
        }
    }
    if !named {
        scope = ResetScope::USUAL;
    }
    Ok((scope, lets))
}

/// `POST S/jobs/{id}/restart`
pub(crate) async fn restart(call: Call) -> Result<Answer, Fault> {
    let (found, _) = with_job(&call).await?;
    let given = call
        .body
        .as_ref()
        .map(|body| &body["criteria"]["resetScope"]);
    let text = match given {
        None | Some(Json::Null) => String::new(),
        Some(Json::String(text)) => text.clone(),
        Some(Json::Array(words)) => {
            let words: Vec<&str> = words.iter().filter_map(Json::as_str).collect();
            words.join(",")
        }
        Some(_) => return Err(Fault::invalid("criteria/resetScope", "a text is expected")),
    };
    let (scope, lets) = reset(&text)?;
    let id = found.application.id.to_string();
    if lets && scope.links {
        return Err(Fault::invalid(
            "criteria/resetScope",
            "what is let through is done by a cycle before links are forgotten: ForceDeletes first",
        ));
    }
    jobs::restart_and_start(&call.ctx, &id, scope).await?;
    if lets {
        jobs::allow(&call.ctx, &id, None).await?;
    }
    Ok(Answer::done())
}
