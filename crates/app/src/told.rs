//! What use cases answer, as JSON: the same for the command line's `--json` and for `/v1.0/muster`.

use muster_engine::explain::Explanation;
use muster_engine::port::Life;
use muster_model::application::Application;
use muster_model::event::{Event, Modified, Status, StepName};
use muster_model::integration::{Integration, Purpose, Token};
use muster_model::job::Withdrawal;
use muster_model::link::{Link, LinkState};
use muster_model::notice::Notice;
use muster_model::{Value, code};
use muster_scim::dialect::Deviation;
use muster_store::dialects::Seen;
use muster_store::references::State;
use serde_json::{Map, Value as Json, json};

use crate::integrations::{Issued, scim_path};

/// A value.
pub fn value(of: &Value) -> Json {
    match of {
        Value::Null => Json::Null,
        Value::Bool(flag) => json!(flag),
        Value::Int(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::List(items) => Json::Array(items.iter().map(value).collect()),
        Value::Object(members) => Json::Object(
            members
                .iter()
                .map(|(name, it)| (name.clone(), value(it)))
                .collect(),
        ),
    }
}

/// What an object is in the source.
pub const fn life(life: Life) -> &'static str {
    match life {
        Life::Active => "in use",
        Life::Disabled => "the account is disabled in the directory",
        Life::SoftDeleted => "deleted in the directory, can be restored",
    }
}

/// Where a reference stands.
pub const fn state(state: State) -> &'static str {
    match state {
        State::Add => "to be added",
        State::Exported => "at the target",
        State::Remove => "to be removed",
        State::Waiting => "waiting for an account of whom they refer to",
        State::Sending => "sent without an answer",
        State::Refused => "refused by the target, tried again later",
    }
}

/// A state in words.
pub const fn link_state(state: LinkState) -> &'static str {
    match state {
        LinkState::Managed => "managed",
        LinkState::Disabled => "disabled",
        LinkState::Leaving => "disabled, to be deleted",
        LinkState::Released => "released",
    }
}

/// A state in a word, as it is asked for.
pub const fn state_word(state: LinkState) -> &'static str {
    match state {
        LinkState::Leaving => "leaving",
        other => link_state(other),
    }
}

/// A link, with the name that the source has for its object.
pub fn link(link: &Link, name: Option<&str>) -> Json {
    let mut told = json!({
        "type": link.kind.to_string(), "source": link.anchor.to_string(),
        "target": link.target.0, "state": state_word(link.state),
        "since": link.since.to_string()
    });
    if let Some(name) = name {
        told["name"] = name.into();
    }
    told
}

/// An integration, with its tokens but not their secrets.
pub fn integration(of: &Integration, tokens: &[Token], public_url: &str) -> Json {
    let tokens: Vec<Json> = tokens.iter().map(token).collect();
    json!({
        "id": of.id.to_string(), "name": of.name,
        "scimUrl": format!("{public_url}{}", scim_path(of.id)), "tokens": tokens
    })
}

/// An integration, with the token that is shown this once.
pub fn issued(it: &Issued, public_url: &str) -> Json {
    json!({
        "id": it.integration.id.to_string(), "name": it.integration.name,
        "scimUrl": format!("{public_url}{}", scim_path(it.integration.id)),
        "token": it.token.expose()
    })
}

/// A token, without its secret.
pub fn token(token: &Token) -> Json {
    json!({
        "id": token.id.to_string(),
        "purpose": purpose(token),
        "client": token.client.map(|id| id.to_string()),
        "created": token.created.to_string(),
        "expires": token.expires.map(|at| at.to_string()),
        "revoked": token.revoked.map(|at| at.to_string()),
        "lastUsed": token.last_used.map(|at| at.to_string()),
    })
}

/// What a token is for.
pub const fn purpose(token: &Token) -> &'static str {
    match token.purpose {
        Purpose::Provision => "provision",
        Purpose::Read => "read",
    }
}

/// What somebody should know of an application.
pub fn notice(application: &Application, notice: &Notice) -> Json {
    json!({
        "application": application.display_name, "topic": notice.topic.as_str(),
        "reason": notice.reason, "detail": notice.detail,
        "since": notice.since.to_string(), "acknowledged": notice.acknowledged,
        "told": notice.told, "problem": notice.problem
    })
}

/// Why something is, or is not, provisioned.
pub fn explanation(it: &Explanation) -> Json {
    let operation = muster_store::plans::operation_to_json(&it.operation);
    let operation: Json = serde_json::from_str(&operation).unwrap_or_default();
    let record = it.record.as_ref().map(|record| {
        let told = record.attributes.iter().filter(|(_, it)| !it.is_empty());
        let attributes: Map<String, Json> =
            told.map(|(name, it)| (name.clone(), value(it))).collect();
        json!({ "life": life(record.life), "attributes": attributes })
    });
    let scope = it.judged.as_ref().map(|judged| {
        let clauses = judged.filter.clauses.iter().map(|clause| {
            json!({
                "clause": clause.label, "passed": clause.passed, "decided": clause.decided,
                "seen": value(&clause.seen)
            })
        });
        json!({
            "inScope": judged.in_scope(), "active": judged.active, "assigned": judged.assigned,
            "entitledBy": it.entitled_by, "role": judged.role, "filterPassed": judged.filter.passed,
            "clauses": clauses.collect::<Vec<_>>(), "leftOut": it.left_out,
            "reason": judged.reason(),
            "problem": judged.filter.problem.as_ref().map(ToString::to_string)
        })
    });
    let steps = it
        .steps
        .iter()
        .filter(|step| step.name == StepName::Matching);
    let attempts = steps.clone().flat_map(|step| &step.details);
    let attempts = attempts.map(|(path, said)| json!({ "attribute": path, "found": said }));
    let link = it.link.as_ref().map(|link| {
        json!({ "target": link.target.0, "state": format!("{:?}", link.state).to_lowercase(),
                "since": link.since.to_string() })
    });
    let mapped = it.mapped.iter().map(|mapped| {
        let (value, problem) = match &mapped.value {
            Ok(mapped) => (value(mapped), Json::Null),
            Err(why) => (Json::Null, why.as_str().into()),
        };
        json!({
            "target": mapped.target, "source": mapped.source, "value": value,
            "problem": problem, "apply": format!("{:?}", mapped.apply),
            "matchingPriority": mapped.matching
        })
    });
    let references = it.references.iter().map(|(attribute, standing, count)| {
        json!({ "attribute": attribute, "state": state(*standing), "count": count })
    });
    let escrow = it.escrow.as_ref().map(|escrow| {
        json!({
            "code": escrow.code, "attempts": escrow.attempts,
            "firstFailed": escrow.first_failed.to_string(),
            "nextAttempt": escrow.next_attempt.to_string()
        })
    });
    json!({
        "import": record, "scope": scope,
        "match": {
            "link": link, "attempts": attempts.collect::<Vec<_>>(),
            "result": steps.map(|step| step.description.as_str()).next()
        },
        "map": mapped.collect::<Vec<_>>(), "references": references.collect::<Vec<_>>(),
        "decision": operation, "heldByGuard": it.held.is_some(), "escrow": escrow,
        "turnsAround": it.flips, "jobStatus": it.status.code()
    })
}

/// What the guard of a job holds back.
pub fn withdrawal(held: &Withdrawal) -> Json {
    json!({
        "type": held.kind.as_str(), "source": held.anchor.to_string(), "name": held.name,
        "target": held.target.0, "action": held.action.as_str(), "reason": held.reason,
        "members": held.members.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "allowed": held.allowed
    })
}

/// How a sender departs from the RFCs.
pub fn dialect(deviation: Deviation, seen: &Seen) -> Json {
    json!({
        "client": seen.client, "deviation": deviation.code(), "name": seen.name,
        "clause": deviation.clause(), "says": deviation.says(), "count": seen.count,
        "firstSeen": seen.first.to_string(), "lastSeen": seen.last.to_string(),
    })
}

/// An event of the provisioning log, in the words of Microsoft Graph.
pub fn event(event: &Event) -> Json {
    let steps: Vec<Json> = event
        .steps
        .iter()
        .map(|step| {
            let details = event.details(step).into_iter();
            let details: Map<String, Json> = details
                .map(|(name, text)| (name.to_owned(), json!(text)))
                .collect();
            json!({
                "name": step.name.shown(),
                "provisioningStepType": step.kind().as_str(), "status": step.status.as_str(),
                "description": step.description, "details": details
            })
        })
        .collect();
    let is_wrong = matches!(event.status, Status::Failure | Status::Warning);
    json!({
        "id": event.id.to_string(), "activityDateTime": event.at.to_string(),
        "jobId": event.job.to_string(), "cycleId": event.cycle.to_string(),
        "provisioningAction": event.action.as_str(), "status": event.status.as_str(),
        "errorCode": event.code, "reason": event.detail,
        "errorCategory": code::find(&event.code).filter(|_| is_wrong).map(|it| it.category.as_str()),
        "recommendedAction": code::find(&event.code).filter(|_| is_wrong).map(|it| it.advice),
        "durationInMilliseconds": event.duration_ms, "type": event.kind.as_str(),
        "sourceIdentity": { "id": event.source.to_string(), "displayName": event.source_name },
        "targetIdentity": event.target.as_ref().map(|target| json!({ "id": target.0 })),
        "provisioningSteps": steps, "modifiedProperties": modified(&event.modified)
    })
}

/// Properties before and after.
pub fn modified(modified: &[Modified]) -> Vec<Json> {
    let shown = modified.iter().map(|it| {
        json!({
            "displayName": it.name, "oldValue": value(&it.old),
            "newValue": value(&it.new)
        })
    });
    shown.collect()
}
