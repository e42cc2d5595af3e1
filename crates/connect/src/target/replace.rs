//! Targets that know no PATCH: what is there is read, changed, and sent back as a whole (RFC 7644, 3.5.1). And
//! those that find no groups by a filter.

use std::collections::HashSet;

use muster_engine::port::{
    Change, Page, References, Target as _, TargetError, TargetObject, Write,
};
use muster_model::Value;
use muster_model::directory::Kind;
use muster_model::link::TargetId;
use muster_model::plan::Request;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value as Json, json};
use unicode_normalization::UnicodeNormalization;

use super::answer::Answer;
use super::{ScimTarget, body, place};

/// How often a resource is read anew because somebody else has changed it meanwhile.
const TRIES: usize = 3;
/// Pages that are looked through at most.
const PAGES: usize = 1000;

/// The object that a write changes, if it changes one.
const fn changed<'w>(write: &Write<'w>) -> Option<&'w TargetId> {
    match write {
        Write::Update(id, _) => Some(id),
        Write::AddReferences(References { owner, .. })
        | Write::RemoveReferences(References { owner, .. }) => Some(owner),
        Write::Create(_) | Write::Delete(_) => None,
    }
}

impl ScimTarget {
    /// What a plan shows of a change that is sent as a whole: the part that is changed. The rest is what the
    /// target has then.
    pub(super) fn replacement(&self, kind: Kind, write: &Write<'_>) -> Option<Request> {
        let id = changed(write).filter(|_| self.dialect.puts)?;
        let part: Map<String, Json> = match *write {
            Write::Update(_, changes) => {
                let value = |change: &Change| (change.path.clone(), body::json_of(&change.new));
                changes.iter().map(value).collect()
            }
            Write::AddReferences(References { path, referred, .. }) => {
                let ids: Vec<&str> = referred.iter().map(|id| id.0.as_str()).collect();
                Map::from_iter([(path.to_owned(), json!({ "add": ids }))])
            }
            Write::RemoveReferences(References { path, referred, .. }) => {
                let ids: Vec<&str> = referred.iter().map(|id| id.0.as_str()).collect();
                Map::from_iter([(path.to_owned(), json!({ "remove": ids }))])
            }
            Write::Create(_) | Write::Delete(_) => Map::new(),
        };
        let body = Json::Object(part).to_string();
        Some(Request::new("PUT", place(kind, id), Some(body)))
    }

    /// Reads, changes, and sends back; `None` when that is not the way of this target.
    pub(super) async fn replaced(
        &self,
        kind: Kind,
        write: &Write<'_>,
    ) -> Option<Result<Answer, TargetError>> {
        let id = changed(write).filter(|_| self.dialect.puts)?;
        Some(self.replace(kind, id, write).await)
    }

    async fn replace(
        &self,
        kind: Kind,
        id: &TargetId,
        write: &Write<'_>,
    ) -> Result<Answer, TargetError> {
        let mut tries = 0;
        loop {
            let path = place(kind, id);
            let mut resource = self.json(self.ask(Method::GET, &path)).await?;
            if kind == Kind::Group && !resource.contains_key("members") {
                // Some show members only when they are asked for.
                let asked = self.ask(Method::GET, &path);
                let shown = self.json(asked.query(&[("attributes", "members")])).await?;
                match (shown.get("members"), write) {
                    (Some(members), _) => {
                        resource.insert("members".to_owned(), members.clone());
                    }
                    (None, Write::RemoveReferences(_)) => {
                        return Err(TargetError::Incompatible(
                            "it does not show the members of a group, so that none can be removed \
                             with PUT"
                                .to_owned(),
                        ));
                    }
                    (None, _) => {}
                }
            }
            let meta = resource.remove("meta");
            let version = meta.as_ref().and_then(|meta| meta["version"].as_str());
            self.apply(kind, write, &mut resource)?;
            let mut request = self
                .ask(Method::PUT, &path)
                .header("content-type", "application/scim+json")
                .body(Json::Object(resource).to_string());
            if let Some(version) = version {
                request = request.header("if-match", version);
            }
            tries += 1;
            match self.send(request).await {
                Err(TargetError::Refused { status, .. })
                    if status == StatusCode::PRECONDITION_FAILED.as_u16() && tries < TRIES => {}
                answer => return answer,
            }
        }
    }

    /// Does to a resource what a write would do.
    fn apply(
        &self,
        kind: Kind,
        write: &Write<'_>,
        resource: &mut Map<String, Json>,
    ) -> Result<(), TargetError> {
        match *write {
            Write::Update(_, changes) => self.paths(kind).change(changes, resource),
            Write::AddReferences(References { path, referred, .. }) => {
                self.refer(kind, path, resource, (referred, &[]))
            }
            Write::RemoveReferences(References { path, referred, .. }) => {
                self.refer(kind, path, resource, (&[], referred))
            }
            Write::Create(_) | Write::Delete(_) => Ok(()),
        }
    }

    fn refer(
        &self,
        kind: Kind,
        path: &str,
        resource: &mut Map<String, Json>,
        (add, remove): (&[TargetId], &[TargetId]),
    ) -> Result<(), TargetError> {
        let value = match kind {
            Kind::User => add.last().map_or(Json::Null, |id| json!({ "value": id.0 })),
            Kind::Group => {
                let known = self.paths(kind).value(path, resource)?;
                let mut members: Vec<Json> =
                    known.and_then(Json::as_array).cloned().unwrap_or_default();
                let is = |member: &Json, id: &TargetId| member["value"] == id.0.as_str();
                members.retain(|member| !remove.iter().any(|id| is(member, id)));
                for id in add {
                    if !members.iter().any(|member| is(member, id)) {
                        members.push(json!({ "value": id.0 }));
                    }
                }
                Json::Array(members)
            }
        };
        self.paths(kind).put(path, resource, value)
    }

    /// The objects whose attribute equals a value, found by looking at all of them. A list that disagrees with
    /// itself is an error: nobody is created because of it.
    pub(super) async fn look_through(
        &self,
        kind: Kind,
        path: &str,
        value: &Value,
    ) -> Result<Vec<TargetObject>, TargetError> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        for _ in 0..PAGES {
            let before = seen.len();
            let Page { total, objects } = self.page(kind, before as u64 + 1).await?;
            for object in objects {
                if seen.insert(object.id.clone()) && same(object.values.get(path), value) {
                    found.push(object);
                }
            }
            if found.len() > 1 || seen.len() as u64 >= total {
                return Ok(found);
            }
            if seen.len() == before {
                return Err(TargetError::Incompatible(format!(
                    "it says that there are {total} {kind}s and lists {before}"
                )));
            }
        }
        Err(TargetError::Incompatible(format!(
            "it has more than {} {kind}s and finds none by a filter",
            seen.len()
        )))
    }
}

/// Are they equal? Neither case nor the way a letter is composed is a difference, as in a filter on names.
pub(super) fn same(held: Option<&Value>, value: &Value) -> bool {
    let folded = |text: &str| text.nfc().collect::<String>().to_lowercase();
    match (held, value) {
        (Some(Value::Text(held)), Value::Text(value)) => {
            folded(held.trim()) == folded(value.trim())
        }
        (Some(Value::Int(held)), Value::Text(value)) => held.to_string() == value.trim(),
        (Some(Value::Text(held)), Value::Int(value)) => held.trim() == value.to_string(),
        (Some(Value::List(held)), value) => held.iter().any(|one| same(Some(one), value)),
        (held, value) => held == Some(value),
    }
}
