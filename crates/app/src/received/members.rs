//! Members of received groups: who comes, who goes, and what the event feed tells of it.

use std::borrow::Cow;
use std::collections::HashSet;

use muster_model::integration::{Happening, ResourceKind};
use muster_model::{ResourceId, Timestamp};
use muster_scim::ResourceType;
use muster_scim::member::{self, MemberChange};
use muster_store::received::{self, NewEvent};
use muster_store::resources::{self, Member, NewMember, Place, Resource};
use muster_store::{StoreError, Tx};

use crate::received::{Fault, MEMBERS};

/// Members as they are added.
pub(super) fn rows(members: Vec<member::Member>) -> Vec<NewMember> {
    let row = |member: member::Member| NewMember {
        value: member.value,
        kind: member.ref_type.map(|of| {
            if of.eq_ignore_ascii_case("group") {
                ResourceKind::GROUP
            } else {
                ResourceKind::USER
            }
        }),
        display: member.display,
    };
    members.into_iter().map(row).collect()
}

/// Members that come or go.
pub(super) enum Moving<'a> {
    Add(Vec<NewMember>),
    Remove(Cow<'a, [String]>),
}

/// What happens to the members of a group: written down, and told by the event feed.
pub(super) struct Moved {
    kind: ResourceKind,
    resource: ResourceId,
    version: i64,
    at: Timestamp,
}

impl Moved {
    pub(super) const fn of(resource: &Resource, at: Timestamp) -> Self {
        Self {
            kind: resource.kind,
            resource: resource.id,
            version: resource.version,
            at,
        }
    }

    pub(super) const fn event(&self, what: Happening) -> NewEvent {
        NewEvent {
            what,
            kind: self.kind,
            resource: self.resource,
            version: self.version,
            at: self.at,
        }
    }

    /// Makes the changes of a request in order; answers whether anybody came or went.
    pub(super) async fn change(
        &self,
        tx: &mut Tx<'_>,
        place: Place,
        of: &ResourceType,
        changes: &[MemberChange],
    ) -> Result<bool, Fault> {
        let group = self.resource;
        let mut any = false;
        for change in changes {
            let moving = match change {
                MemberChange::Add(members) => vec![Moving::Add(rows(members.clone()))],
                MemberChange::Remove(values) => vec![Moving::Remove(values.into())],
                MemberChange::RemoveAll => {
                    let all = all_members(tx, place, group).await?;
                    let values = all.into_iter().map(|member| member.value);
                    vec![Moving::Remove(values.collect::<Vec<_>>().into())]
                }
                MemberChange::ReplaceAll(members) => {
                    let wanted = rows(members.clone());
                    let gone = gone(all_members(tx, place, group).await?, &wanted);
                    vec![Moving::Remove(gone.into()), Moving::Add(wanted)]
                }
                MemberChange::RemoveMatching(filter) => {
                    let mut gone = Vec::new();
                    for member in all_members(tx, place, group).await? {
                        let value = member.value.clone();
                        if to_scim(member).meets(filter, of)? {
                            gone.push(value);
                        }
                    }
                    vec![Moving::Remove(gone.into())]
                }
            };
            any |= self.run(tx, place, moving).await?;
        }
        Ok(any)
    }

    pub(super) async fn run(
        &self,
        tx: &mut Tx<'_>,
        place: Place,
        moving: Vec<Moving<'_>>,
    ) -> Result<bool, StoreError> {
        let mut any = false;
        for one in moving {
            let (what, moved) = match one {
                Moving::Add(rows) => {
                    let added = resources::add_members(tx, place, self.resource, rows).await?;
                    (Happening::MembersAdded, added)
                }
                Moving::Remove(values) => {
                    let gone = resources::remove_members(tx, place, self.resource, &values).await?;
                    (Happening::MembersRemoved, gone)
                }
            };
            if !moved.is_empty() {
                any = true;
                received::append(tx, place, self.event(what), moved);
            }
        }
        Ok(any)
    }
}

/// Who is a member and should not be: only the difference is written, so that a repeated list changes
/// nothing.
fn gone(there: Vec<Member>, wanted: &[NewMember]) -> Vec<String> {
    let keep: HashSet<&str> = wanted.iter().map(|member| member.value.as_str()).collect();
    there
        .into_iter()
        .map(|member| member.value)
        .filter(|value| !keep.contains(value.as_str()))
        .collect()
}

/// All members of a group, in the order of their ids.
pub(super) async fn all_members(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
) -> Result<Vec<Member>, StoreError> {
    let mut all: Vec<Member> = Vec::new();
    loop {
        let after = all.last().map(|member| member.value.clone());
        let page = resources::members(tx, place, group, after.as_deref(), MEMBERS).await?;
        let more = page.len() == MEMBERS as usize;
        all.extend(page);
        if !more {
            return Ok(all);
        }
    }
}

/// A stored member in the words of the protocol.
pub(super) fn to_scim(member: Member) -> member::Member {
    member::Member {
        value: member.value,
        ref_type: Some(member_type(member.kind).to_owned()),
        display: member.display,
    }
}

/// What a member is, as `type` says it.
pub const fn member_type(kind: ResourceKind) -> &'static str {
    match kind {
        ResourceKind::GROUP => "Group",
        _ => "User",
    }
}
