//! `/auditLogs` (chapter 10): what was provisioned, and who changed what.

use std::collections::HashMap;

use muster_app::applications::{self, Shown};
use muster_app::audit;
use muster_app::log::{self, EventQuery};
use muster_model::audit::Audited;
use muster_model::event::{Action, Event, Status};
use muster_model::{EventId, JobId, Timestamp, Value, code};
use serde_json::{Map, Value as Json, json};

use crate::answer::{Answer, Fault};
use crate::filter::{Filter, Literal, Op};
use crate::ids;
use crate::page::{Page, open};
use crate::query::{PLAIN, Query, Takes};
use crate::request::Call;
use crate::shape::{AUDIT, PROVISIONING};
use crate::synchronization::{job_id, template_of};

/// What the log takes.
const LIST: Takes = Takes {
    most: 1000,
    ..PLAIN
};

/// The applications by their jobs.
async fn known(call: &Call) -> Result<HashMap<JobId, Shown>, Fault> {
    let mut known = HashMap::new();
    for application in applications::list(&call.ctx).await? {
        let shown = applications::show(&call.ctx, &application.id.to_string()).await?;
        known.insert(application.job, shown);
    }
    Ok(known)
}

/// The name of an action, as typed clients can read it (10.2).
const fn action(action: Action) -> &'static str {
    match action {
        Action::StagedDelete => "stagedDelete",
        other => other.as_str(),
    }
}

/// A value as text (10.2).
fn text(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(true) => "True".into(),
        Value::Bool(false) => "False".into(),
        Value::List(items) => {
            let texts: Vec<String> = items
                .iter()
                .filter_map(|it| text(it).as_str().map(str::to_owned))
                .collect();
            texts.join(",").into()
        }
        other => other.to_string().into(),
    }
}

/// The steps of an event.
pub(crate) fn steps(event: &Event) -> Vec<Json> {
    let step = |it: &muster_model::event::Step| {
        let details: Map<String, Json> = event
            .details(it)
            .into_iter()
            .map(|(name, told)| (name.to_owned(), told.into()))
            .collect();
        json!({
            "name": it.name.shown(), "provisioningStepType": it.kind().as_str(),
            "status": it.status.as_str(), "description": it.description, "details": details
        })
    };
    event.steps.iter().map(step).collect()
}

/// The properties that were changed.
pub(crate) fn modified(event: &Event) -> Vec<Json> {
    let of = |it: &muster_model::event::Modified| json!({ "displayName": it.name, "oldValue": text(&it.old), "newValue": text(&it.new) });
    event.modified.iter().map(of).collect()
}

/// What went wrong; nothing, when nothing did.
pub(crate) fn error_information(event: &Event) -> Json {
    if event.status == Status::Success || event.code.is_empty() {
        return Json::Null;
    }
    let known = code::find(&event.code);
    json!({
        "errorCode": event.code, "reason": event.detail, "additionalDetails": null,
        "errorCategory": known.map_or("nonServiceFailure", |it| it.category.as_str()),
        "recommendedAction": known.map(|it| it.advice)
    })
}

fn row(call: &Call, event: &Event, of: Option<&Shown>) -> Json {
    let template = of.map_or_else(String::new, template_of);
    let kind = event.kind.as_str();
    let principal = of
        .map(|it| it.application.id.to_string())
        .unwrap_or_default();
    let name = of
        .map(|it| it.application.display_name.clone())
        .unwrap_or_default();
    let status =
        json!({ "status": event.status.as_str(), "errorInformation": error_information(event) });
    let target = event.target.as_ref().map_or("", |target| target.0.as_str());
    json!({
        "id": event.id.to_string(), "activityDateTime": event.at.to_string(),
        "tenantId": ids::tenant(call.ctx.tenant.0),
        "jobId": job_id(call, &template, &event.job.to_string()),
        "cycleId": event.cycle.to_string(), "changeId": event.id.to_string(),
        "provisioningAction": action(event.action), "action": action(event.action),
        "durationInMilliseconds": event.duration_ms,
        "servicePrincipal": { "id": principal, "displayName": name },
        "initiatedBy": {
            "id": "", "displayName": "Azure AD Provisioning Service", "initiatorType": "system"
        },
        "sourceSystem": {
            "id": ids::derived("source directory", &principal),
            "displayName": "Azure Active Directory", "details": {}
        },
        "targetSystem": {
            "id": ids::derived("target directory", &principal), "displayName": name,
            "details": {
                "ApplicationId": ids::app(&principal), "ServicePrincipalId": principal,
                "ServicePrincipalDisplayName": name
            }
        },
        "sourceIdentity": {
            "id": event.source.to_string(), "displayName": event.source_name,
            "identityType": kind,
            "details": { "id": event.source.to_string(), "odatatype": kind, "DisplayName": event.source_name }
        },
        "targetIdentity": { "id": target, "displayName": "", "identityType": kind, "details": {} },
        "provisioningStatusInfo": status, "statusInfo": status,
        "provisioningSteps": steps(event), "modifiedProperties": modified(event)
    })
}

/// What a filter says that the store knows how to look for: instants, cycle, job.
fn narrowed(filter: Option<&Filter>, query: &mut EventQuery) {
    match filter {
        Some(Filter::And(all)) => all.iter().for_each(|it| narrowed(Some(it), query)),
        Some(Filter::Compare(operand, op, Literal::Time(at)))
            if operand.path == ["activityDateTime"] =>
        {
            match op {
                Op::Gt | Op::Ge => {
                    query.since = Some(query.since.map_or(*at, |other| other.max(*at)));
                }
                Op::Lt | Op::Le => {
                    let until = Timestamp::from_micros(at.as_micros().saturating_add(1));
                    query.until = Some(query.until.map_or(until, |other| other.min(until)));
                }
                Op::Eq | Op::Ne => {}
            }
        }
        Some(Filter::Compare(operand, Op::Eq, Literal::Text(text))) if operand.case.is_none() => {
            match operand.path.join("/").as_str() {
                "cycleId" => query.cycle = text.parse().ok(),
                "provisioningStatusInfo/status" | "statusInfo/status" => {
                    query.status = Some(text.clone());
                }
                "provisioningStatusInfo/errorInformation/errorCode" => {
                    query.code = Some(text.clone());
                }
                "sourceIdentity/id" => query.source = text.parse().ok(),
                _ => {}
            }
        }
        _ => {}
    }
}

/// `GET /auditLogs/provisioning`
pub(crate) async fn provisioning(call: Call) -> Result<Answer, Fault> {
    let query = call.query(&PROVISIONING, &LIST)?;
    let oldest_first = match query.order.as_slice() {
        [] => false,
        [(name, descending)] if name == "activityDateTime" => !descending,
        _ => {
            return Err(Fault::bad_request(
                "The log is ordered by activityDateTime alone.",
            ));
        }
    };
    let page = events(&call, &query, oldest_first).await?;
    Ok(Answer::ok(page.answer(
        &call,
        &query,
        "auditLogs/provisioning",
    )))
}

async fn events(call: &Call, query: &Query, oldest_first: bool) -> Result<Page, Fault> {
    let known = known(call).await?;
    let mut wanted = EventQuery {
        oldest_first,
        ..EventQuery::default()
    };
    narrowed(query.filter.as_ref(), &mut wanted);
    if let Some(token) = &query.skiptoken {
        let last = open(token, "skiptoken")?;
        wanted.beyond = last["id"].as_str().and_then(|id| id.parse().ok());
    }
    // A filter that names one job looks at that alone.
    let of_job = query
        .filter
        .as_ref()
        .and_then(|filter| filter.demands("jobId"));
    let application = of_job.map(|id| {
        let guid = id.rsplit('.').next().unwrap_or_default();
        known
            .values()
            .find(|shown| shown.job.id.to_string() == guid)
    });
    let application = match application {
        Some(None) => return Ok(Page::default()),
        Some(Some(shown)) => Some(shown.application.id.to_string()),
        None => None,
    };
    let (mut value, mut skipped) = (Vec::new(), 0);
    let mut last: Option<EventId> = None;
    let counts = query.count && query.skiptoken.is_none();
    let (mut passed, mut has_more) = (0, false);
    loop {
        let page = log::list(&call.ctx, application.as_deref(), wanted.clone(), log::PAGE).await?;
        let is_last = page.len() < log::PAGE as usize;
        for event in page {
            let row = row(call, &event, known.get(&event.job));
            wanted.beyond = Some(event.id);
            if query
                .filter
                .as_ref()
                .is_some_and(|filter| !filter.passes(&row, true))
            {
                continue;
            }
            if skipped < query.skip {
                skipped += 1;
                continue;
            }
            passed += 1;
            if value.len() == query.top as usize {
                has_more = true;
                if counts {
                    continue;
                }
                return Ok(Page {
                    value,
                    next: last.map(|last| json!({ "id": last.to_string() })),
                    count: None,
                });
            }
            last = Some(event.id);
            value.push(match row {
                Json::Object(row) => query.shown(row, &PROVISIONING),
                other => other,
            });
        }
        if is_last {
            let next = last.filter(|_| has_more);
            return Ok(Page {
                value,
                next: next.map(|last| json!({ "id": last.to_string() })),
                count: counts.then_some(passed + u64::from(skipped)),
            });
        }
    }
}

/// `GET /auditLogs/provisioning/{id}`
pub(crate) async fn get(call: Call) -> Result<Answer, Fault> {
    let known = known(&call).await?;
    for shown in known.values() {
        let found = log::show(&call.ctx, &shown.application.id.to_string(), call.arg(0)).await;
        match found {
            Ok(event) => {
                let row = row(&call, &event, Some(shown));
                return Ok(Answer::ok(
                    call.entity("auditLogs/provisioning/$entity", row),
                ));
            }
            Err(muster_app::AppError::NotFound(_)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(Fault::not_found(call.arg(0)))
}

/// `GET /auditLogs/directoryAudits`
pub(crate) async fn audits(call: Call) -> Result<Answer, Fault> {
    let query = call.query(&AUDIT, &LIST)?;
    let is_usual = |(name, descending): &(String, bool)| name == "activityDateTime" && *descending;
    if !query.order.iter().all(is_usual) {
        return Err(Fault::bad_request(
            "The audit log is ordered by activityDateTime desc alone.",
        ));
    }
    let mut wanted = audit::Filter::default();
    if let Some(filter) = &query.filter {
        let mut bounds = EventQuery::default();
        narrowed(Some(filter), &mut bounds);
        wanted.since = bounds.since;
    }
    if let Some(token) = &query.skiptoken {
        let last = open(token, "skiptoken")?;
        wanted.before = last["id"].as_str().and_then(|id| id.parse().ok());
    }
    let page = entries(&call, &query, wanted).await?;
    let name = "auditLogs/directoryAudits";
    Ok(Answer::ok(page.answer(&call, &query, name)))
}

async fn entries(call: &Call, query: &Query, mut wanted: audit::Filter) -> Result<Page, Fault> {
    let (mut value, mut skipped) = (Vec::new(), 0);
    let mut last: Option<EventId> = None;
    let counts = query.count && query.skiptoken.is_none();
    let (mut passed, mut has_more) = (0, false);
    loop {
        let page = audit::list(&call.ctx, wanted.clone(), audit::PAGE).await?;
        let is_last = page.len() < audit::PAGE as usize;
        for (entry, name) in page {
            wanted.before = Some(entry.id);
            let row = audited(&entry, &name);
            let passes = |filter: &Filter| filter.passes(&row, false);
            if !query.filter.as_ref().is_none_or(passes) {
                continue;
            }
            if skipped < query.skip {
                skipped += 1;
                continue;
            }
            passed += 1;
            if value.len() == query.top as usize {
                has_more = true;
                if counts {
                    continue;
                }
                return Ok(Page {
                    value,
                    next: last.map(|last| json!({ "id": last.to_string() })),
                    count: None,
                });
            }
            last = Some(entry.id);
            value.push(match row {
                Json::Object(row) => query.shown(row, &AUDIT),
                other => other,
            });
        }
        if is_last {
            let next = last.filter(|_| has_more);
            return Ok(Page {
                value,
                next: next.map(|last| json!({ "id": last.to_string() })),
                count: counts.then_some(passed + u64::from(skipped)),
            });
        }
    }
}

fn audited(entry: &Audited, application: &str) -> Json {
    let changes: Vec<Json> = entry
        .changes
        .iter()
        .map(|it| {
            json!({
                "displayName": it.name, "oldValue": muster_app::told::value(&it.old).to_string(),
                "newValue": muster_app::told::value(&it.new).to_string()
            })
        })
        .collect();
    let target = match (&entry.target, entry.job) {
        (Some(target), _) => json!([{
            "id": target.id, "displayName": target.name, "type": target.kind,
            "modifiedProperties": changes
        }]),
        (None, Some(_)) => json!([{
            "id": null, "displayName": application, "type": "ServicePrincipal",
            "modifiedProperties": []
        }]),
        (None, None) => json!([]),
    };
    let category = if entry.job.is_some() {
        "ProvisioningManagement"
    } else {
        "DirectoryManagement"
    };
    json!({
        "id": entry.id.to_string(), "activityDateTime": entry.at.to_string(),
        "activityDisplayName": entry.activity, "category": category, "result": "success",
        "resultReason": entry.detail, "correlationId": entry.id.to_string(),
        "loggedByService": "Muster", "operationType": "Update",
        "initiatedBy": {
            "user": null, "app": { "displayName": entry.actor, "appId": null }
        },
        "targetResources": target, "additionalDetails": []
    })
}
