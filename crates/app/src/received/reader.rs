//! For the receiving application: what happened, who is in a group, and what a person may do now.

use std::collections::HashSet;
use std::time::Duration;

use muster_model::integration::{ReceivedEvent, ResourceKind};
use muster_model::{Position, ResourceId};
use muster_scim::ScimError;
use muster_store::resources::{self, Member, Place, Resource};
use muster_store::{StoreError, Tx, received};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::received::{Caller, Fault, GROUPS, Profile, Provider, document, not_found, parse_id};

/// Events, or members, of one page at most.
pub const MAX_EVENTS: u32 = 1000;
/// How long a reader may wait for an event.
pub const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// How often somebody who waits looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Groups that are followed upwards at most.
const ANCESTORS: usize = 10_000;

/// A resource with everything that bears on access.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// The resource.
    pub resource: Resource,
    /// The groups: id, display name, and whether the resource is a member itself.
    pub groups: Vec<(ResourceId, String, bool)>,
    /// Are these all of them?
    pub complete: bool,
    /// What the sender sent besides that no schema declares.
    pub extras: Option<Value>,
    /// The event feed tells everything that is newer than this state behind this position.
    pub position: Position,
}

impl Provider {
    /// The next events after a position, oldest first. Waits for the first of them, if there is none, as
    /// long as `wait` says.
    pub async fn events(
        &self,
        caller: &Caller,
        after: Position,
        count: u32,
        wait: Duration,
    ) -> Result<Vec<ReceivedEvent>, ScimError> {
        let (place, count) = (caller.place(), count.clamp(1, MAX_EVENTS));
        let until = Instant::now() + wait.min(LONGEST_WAIT);
        self.known(place, after).await?;
        loop {
            let events = self
                .store
                .read::<_, Fault, _>(|tx| {
                    Box::pin(async move { Ok(received::read(tx, place, after, count).await?) })
                })
                .await?;
            if !events.is_empty() || Instant::now() >= until {
                return Ok(events);
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = self.closing.notified() => return Ok(events),
            }
        }
    }

    /// The place where the feed ends now: whoever reads everything and goes on from there misses nothing.
    pub async fn end_of_events(&self, caller: &Caller) -> Result<Position, ScimError> {
        let place = caller.place();
        self.store
            .read::<_, Fault, _>(|tx| Box::pin(async move { Ok(received::end(tx, place).await?) }))
            .await
            .map_err(Into::into)
    }

    /// Refuses a position that no event of this integration has reached: whoever waits there waits for ever.
    async fn known(&self, place: Place, after: Position) -> Result<(), ScimError> {
        let end = self
            .store
            .read::<_, Fault, _>(|tx| Box::pin(async move { Ok(received::last(tx, place).await?) }))
            .await?;
        if after <= end {
            return Ok(());
        }
        Err(ScimError::invalid_value(format!(
            "there is no event {after} here, the last one is {end}; begin anew with an empty after"
        )))
    }

    /// Members of a group in the order of their ids, after one of them.
    pub async fn members(
        &self,
        caller: &Caller,
        id: &str,
        after: Option<&str>,
        count: u32,
    ) -> Result<Vec<Member>, ScimError> {
        let (place, kind) = (caller.place(), ResourceKind::GROUP);
        let group = parse_id(&caller.profile, kind, id)?;
        let count = count.clamp(1, MAX_EVENTS);
        self.store
            .read::<_, Fault, _>(|tx| {
                Box::pin(async move {
                    let found = resources::find(tx, place, kind, group).await?;
                    found.ok_or_else(|| not_found(&caller.profile, kind, id))?;
                    Ok(resources::members(tx, place, group, after, count).await?)
                })
            })
            .await
            .map_err(Into::into)
    }

    /// A resource with all groups, also those that it is in by way of others.
    pub async fn state(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        id: &str,
    ) -> Result<State, ScimError> {
        let place = caller.place();
        let user = parse_id(&caller.profile, kind, id)?;
        self.store
            .read::<_, Fault, _>(|tx| {
                Box::pin(async move {
                    // The position is read first: what comes meanwhile is told twice rather than never.
                    let position = received::end(tx, place).await?;
                    let found = resources::find(tx, place, kind, user).await?;
                    let resource = found.ok_or_else(|| not_found(&caller.profile, kind, id))?;
                    let (groups, complete) = all_groups(tx, place, user).await?;
                    let extras = resources::extras(tx, place, (kind, user)).await?;
                    Ok(State {
                        resource,
                        groups,
                        complete,
                        extras: extras.and_then(|text| serde_json::from_str(&text).ok()),
                        position,
                    })
                })
            })
            .await
            .map_err(Into::into)
    }
}

/// The groups of a user, direct ones first, then those that hold them, and so on. Circles end.
async fn all_groups(
    tx: &mut Tx<'_>,
    place: Place,
    user: ResourceId,
) -> Result<(Vec<(ResourceId, String, bool)>, bool), StoreError> {
    let (mut all, mut seen, mut complete) = (Vec::new(), HashSet::new(), true);
    let mut level = vec![user];
    while !level.is_empty() {
        if seen.len() >= ANCESTORS {
            complete = false;
            break;
        }
        let direct = all.is_empty();
        let mut next = Vec::new();
        for member in level {
            let holding = resources::groups_of(tx, place, &member.to_string(), GROUPS).await?;
            complete &= holding.len() < GROUPS as usize;
            for (group, doc) in holding {
                if seen.insert(group) {
                    all.push((group, document::display_name(&doc), direct));
                    next.push(group);
                }
            }
        }
        level = next;
    }
    Ok((all, complete))
}

/// An event as it is told: `{"id", "type", "resourceType", "resource", "version", "at"}` and, where they say
/// something, `paths` or `members`.
pub fn event_json(profile: &Profile, event: &ReceivedEvent) -> Value {
    use muster_model::integration::Happening;
    let of = profile.name(event.kind);
    let mut told = json!({
        "id": event.position.to_string(),
        "type": format!("{}.{}", of.to_lowercase(), event.what.as_str()),
        "resourceType": of,
        "resource": event.resource.to_string(),
        "version": event.version,
        "at": event.at.to_string(),
    });
    let name = match event.what {
        Happening::MembersAdded | Happening::MembersRemoved => "members",
        _ => "paths",
    };
    if !event.details.is_empty() {
        told[name] = json!(event.details);
    }
    told
}
