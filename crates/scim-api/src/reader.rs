//! What the receiving application reads beside the resources: the event feed, the members of a group page
//! by page, and the effective state of a user.

use std::time::Duration;

use muster_app::received::{MAX_EVENTS, event_json, member_type};
use muster_model::Position;
use muster_model::integration::ResourceKind;
use muster_scim::ScimError;
use serde_json::{Map, Value, json};

use crate::answer::Answer;
use crate::request::{Call, pairs};

impl Call<'_> {
    /// `GET /Events?after=POSITION&count=N&wait=SECONDS`: the events after a position, and the position to
    /// go on from; after `end` none, and the place where the feed ends now.
    pub(crate) async fn events(&self) -> Result<Answer, ScimError> {
        let after = self.parameter("after")?.unwrap_or_default();
        if after == "end" {
            let end = self.provider.end_of_events(&self.caller).await?;
            let body = json!({"events": [], "next": end.to_string()});
            return Ok(Answer::Json(body.to_string()));
        }
        let after: Position = if after.is_empty() {
            Position::START
        } else {
            after.parse().map_err(|_| {
                ScimError::invalid_value(
                    "after must be the id of an event, empty for the start, or end",
                )
            })?
        };
        let count = self.number("count", MAX_EVENTS)?;
        let wait = Duration::from_secs(self.number("wait", 0)?.into());
        let events = self
            .provider
            .events(&self.caller, after, count, wait)
            .await?;
        let next = events.last().map_or(after, |last| last.position);
        let told: Vec<Value> = events
            .iter()
            .map(|event| event_json(&self.caller.profile, event))
            .collect();
        let body = json!({"events": told, "next": next.to_string()});
        Ok(Answer::Json(body.to_string()))
    }

    /// `GET /Groups/{id}/members?after=ID&count=N`
    pub(crate) async fn members(&self, id: &str) -> Result<Answer, ScimError> {
        let after = self.parameter("after")?;
        let count = self.number("count", MAX_EVENTS)?.clamp(1, MAX_EVENTS);
        let page = self
            .provider
            .members(&self.caller, id, after.as_deref(), count)
            .await?;
        let next = (page.len() == count as usize).then(|| page.last().map(|it| it.value.clone()));
        let members: Vec<Value> = page
            .into_iter()
            .map(|member| {
                let mut told = json!({"value": member.value, "type": member_type(member.kind)});
                if let Some(display) = member.display {
                    told["display"] = Value::from(display);
                }
                told
            })
            .collect();
        let mut body = json!({ "members": members });
        if let Some(Some(next)) = next {
            body["next"] = Value::from(next);
        }
        Ok(Answer::Json(body.to_string()))
    }

    /// `GET /Users/{id}/state`, and that of other types
    pub(crate) async fn state(&self, kind: ResourceKind, id: &str) -> Result<Answer, ScimError> {
        let state = self.provider.state(&self.caller, kind, id).await?;
        let document: Map<String, Value> = serde_json::from_str(&state.resource.doc)
            .map_err(|error| ScimError::internal(format!("a document is damaged: {error}")))?;
        let groups: Vec<Value> = state
            .groups
            .into_iter()
            .map(|(id, display, direct)| {
                let of = if direct { "direct" } else { "indirect" };
                json!({"value": id.to_string(), "display": display, "type": of})
            })
            .collect();
        let mut body = json!({
            "id": state.resource.id.to_string(),
            "active": state.resource.active,
            "groups": groups,
            "complete": state.complete,
            "version": state.resource.version,
            "position": state.position.to_string(),
        });
        for name in ["userName", "displayName"] {
            if let Some(value) = document.get(name) {
                body[name] = value.clone();
            }
        }
        if let Some(external_id) = state.resource.external_id {
            body["externalId"] = Value::from(external_id);
        }
        if let Some(extras) = state.extras {
            body["extras"] = extras;
        }
        Ok(Answer::Json(body.to_string()))
    }

    fn parameter(&self, name: &str) -> Result<Option<String>, ScimError> {
        let all = pairs(self.query)?;
        let found = all.into_iter().find(|(key, _)| key == name);
        match found {
            Some((_, value)) if value.contains('\0') => Err(ScimError::invalid_value(format!(
                "{name} must not contain U+0000"
            ))),
            found => Ok(found.map(|(_, value)| value)),
        }
    }

    fn number(&self, name: &str, otherwise: u32) -> Result<u32, ScimError> {
        let Some(text) = self.parameter(name)? else {
            return Ok(otherwise);
        };
        text.parse()
            .map_err(|_| ScimError::invalid_value(format!("{name} must be a whole number")))
    }
}
