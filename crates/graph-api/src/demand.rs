//! Provision on demand (9.9).

use std::collections::{HashMap, VecDeque};

use http::{StatusCode, header};
use muster_app::directory::read;
use muster_app::provision;
use muster_model::directory::Kind;
use muster_model::event::{Action, Event, Status};
use muster_model::{JobId, ObjectId, Timestamp};
use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use crate::answer::{Answer, Fault};
use crate::logs::{modified, steps};
use crate::request::Call;
use crate::synchronization::with_job;

/// So often within so many seconds, for each job (4.5).
const OFTEN: usize = 5;
const WITHIN: i64 = 10;

/// When jobs were asked lately.
static ASKED: Mutex<Option<HashMap<JobId, VecDeque<Timestamp>>>> = Mutex::new(None);

/// Refuses who asks too often; nothing has been done by then.
fn pace(job: JobId, now: Timestamp) -> Result<(), Fault> {
    let mut asked = ASKED.lock();
    let all = asked.get_or_insert_with(HashMap::new);
    let since = now.plus_seconds(-WITHIN);
    all.retain(|_, times| times.back().is_some_and(|last| *last > since));
    let times = all.entry(job).or_default();
    while times.front().is_some_and(|first| *first <= since) {
        times.pop_front();
    }
    if times.len() >= OFTEN {
        return Err(Fault::new(
            StatusCode::TOO_MANY_REQUESTS,
            "TooManyRequests",
            format!("At most {OFTEN} requests in {WITHIN} seconds are provisioned on demand."),
        )
        .with(header::RETRY_AFTER, WITHIN.to_string()));
    }
    times.push_back(now);
    Ok(())
}

/// `POST S/jobs/{id}/provisionOnDemand`
pub(crate) async fn run(call: Call) -> Result<Answer, Fault> {
    let (found, id) = with_job(&call).await?;
    let body = call.object()?;
    let one = |list: &Json, name: &str| -> Result<Json, Fault> {
        match list.as_array().map(Vec::as_slice) {
            Some([one]) => Ok(one.clone()),
            _ => Err(Fault::invalid(name, "one is expected")),
        }
    };
    let parameters = one(body.get("parameters").unwrap_or(&Json::Null), "parameters")?;
    let document = crate::schema::document(&call, &found, &id).await?;
    let rules = document["synchronizationRules"]
        .as_array()
        .into_iter()
        .flatten();
    let mut rules = rules.filter(|rule| rule["id"] == parameters["ruleId"]);
    if rules.next().is_none() {
        return Err(Fault::invalid(
            "ruleId",
            "there is no such rule in the schema of the job",
        ));
    }
    let subject = one(&parameters["subjects"], "subjects")?;
    let (object, kind) = named(&subject)?;
    let listed = subject["links"]["members"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    if listed.len() > 5 {
        return Err(Fault::invalid(
            "members",
            "at most 5 members are provisioned at once",
        ));
    }
    let mut members = Vec::with_capacity(listed.len());
    for member in &listed {
        members.push(named(member)?.0.to_string());
    }
    exists(&call, object, kind).await?;
    for member in &members {
        let id = member.parse().map_err(|_| Fault::not_found(member))?;
        exists(&call, id, Kind::User).await?;
    }
    pace(found.job.id, call.ctx.clock.now())?;
    let application = found.application.id.to_string();
    let subject = object.to_string();
    let demanded = provision::demand(&call.ctx, &application, &subject, &members);
    let (application, demand) = demanded.await?;
    provision::test(&call.ctx, &application, &demand).await?;
    let began = call.ctx.clock.now();
    let (_, events) = provision::provision(&call.ctx, &application, &demand).await?;
    let ended = call.ctx.clock.now();
    let event = events.iter().rev().find(|event| event.source == object);
    let (key, value) = told(event, (began, ended), &application.display_name);
    let pair = json!({ "key": key.to_string(), "value": value.to_string() });
    Ok(Answer::ok(
        call.entity("microsoft.graph.stringKeyStringValuePair", pair),
    ))
}

fn named(subject: &Json) -> Result<(ObjectId, Kind), Fault> {
    let id = subject["objectId"].as_str().unwrap_or_default();
    let kind = match subject["objectTypeName"]
        .as_str()
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        Some("user") => Kind::User,
        Some("group") => Kind::Group,
        _ => {
            return Err(Fault::invalid(
                "objectTypeName",
                "User or Group is expected",
            ));
        }
    };
    let object = id
        .parse()
        .map_err(|_| Fault::invalid("objectId", "a GUID is expected"))?;
    Ok((object, kind))
}

async fn exists(call: &Call, id: ObjectId, kind: Kind) -> Result<(), Fault> {
    let found = read::objects(&call.ctx, &[id]).await?;
    match (found.first(), kind) {
        (Some(read::Object::User(_)), Kind::User) | (Some(read::Object::Group(_)), Kind::Group) => {
            Ok(())
        }
        _ => Err(Fault::not_found(&id.to_string())),
    }
}

/// A word with a capital at its beginning.
fn capital(word: &str) -> String {
    let mut letters = word.chars();
    let first = letters.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(letters).collect()
}

fn told(
    event: Option<&Event>,
    (began, ended): (Timestamp, Timestamp),
    target: &str,
) -> (Json, Json) {
    let Some(event) = event else {
        let key = json!({
            "result": "Skipped",
            "details": { "errorCode": "RedundantExport", "errorMessage": "there is nothing to do" }
        });
        let value = json!({
            "action": "Other", "startTime": began.to_string(), "endTime": ended.to_string(),
            "provisioningSteps": [], "modifiedProperties": []
        });
        return (key, value);
    };
    let details = if event.status == Status::Success {
        json!({})
    } else {
        json!({ "errorCode": event.code, "errorMessage": event.detail })
    };
    let key = json!({ "result": capital(event.status.as_str()), "details": details });
    let action = match event.action {
        Action::StagedDelete => "StagedDelete".to_owned(),
        other => capital(other.as_str()),
    };
    let steps: Vec<Json> = steps(event)
        .into_iter()
        .map(|step| {
            json!({
                "name": step["name"],
                "type": capital(step["provisioningStepType"].as_str().unwrap_or_default()),
                "status": capital(step["status"].as_str().unwrap_or_default()),
                "description": step["description"], "timestamp": event.at.to_string(),
                "details": step["details"]
            })
        })
        .collect();
    let error = crate::logs::error_information(event);
    let id = event.target.as_ref().map_or("", |target| target.0.as_str());
    let value = json!({
        "action": action, "changeId": event.id.to_string(), "startTime": began.to_string(),
        "endTime": ended.to_string(), "reportableIdentifier": event.source_name,
        "provisioningSteps": steps, "modifiedProperties": modified(event),
        "statusInfo": {
            "status": capital(event.status.as_str()), "errorCode": error["errorCode"],
            "reason": error["reason"], "additionalDetails": null,
            "errorCategory": error["errorCategory"], "recommendedAction": error["recommendedAction"]
        },
        "sourceIdentity": {
            "id": event.source.to_string(), "type": event.kind.as_str(),
            "displayName": event.source_name, "details": {}
        },
        "targetIdentity": { "id": id, "type": event.kind.as_str(), "displayName": "", "details": {} },
        "sourceSystem": { "id": "", "name": "Azure Active Directory", "details": {} },
        "targetSystem": { "id": "", "name": target, "details": {} }
    });
    (key, value)
}
