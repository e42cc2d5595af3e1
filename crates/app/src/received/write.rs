//! Creating, replacing, patching and deleting received resources.

use muster_model::directory::Kind;
use muster_model::{ResourceId, Timestamp};
use muster_scim::member::{self, MemberChange};
use muster_scim::message::parse_body;
use muster_scim::{Map, PatchRequest, Purpose, ScimError, apply, normalise};
use muster_store::Tx;
use muster_store::resources::{self, Member, Place, Resource};

use crate::received::{
    Caller, Fault, MEMBERS, Provider, Shown, Wanted, document, not_found, parse_id, resource_type,
    show,
};

/// `If-Match`: the versions that a change may be made to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Precondition {
    /// Any.
    #[default]
    None,
    /// One of these.
    Versions(Vec<i64>),
}

impl Precondition {
    fn check(&self, resource: &Resource) -> Result<(), ScimError> {
        match self {
            Self::Versions(versions) if !versions.contains(&resource.version) => {
                Err(ScimError::precondition_failed(format!(
                    "the resource has version {} by now; read it again",
                    resource.version
                )))
            }
            Self::None | Self::Versions(_) => Ok(()),
        }
    }
}

impl Provider {
    /// POST: a new resource.
    pub async fn create(
        &self,
        caller: &Caller,
        kind: Kind,
        body: &[u8],
    ) -> Result<Shown, ScimError> {
        let step = Step::create(kind, ResourceId::new(), parse_body(body)?, self.clock.now())?;
        self.run(caller, step, Precondition::None).await
    }

    /// PUT: replaces what a client may write.
    pub async fn replace(
        &self,
        caller: &Caller,
        kind: Kind,
        id: &str,
        body: &[u8],
        precondition: Precondition,
    ) -> Result<Shown, ScimError> {
        let (id, body) = (parse_id(kind, id)?, parse_body(body)?);
        self.run(caller, Step::Replace(kind, id, body), precondition)
            .await
    }

    /// PATCH: all operations or none.
    pub async fn patch(
        &self,
        caller: &Caller,
        kind: Kind,
        id: &str,
        body: &[u8],
        precondition: Precondition,
    ) -> Result<Shown, ScimError> {
        let (id, request) = (parse_id(kind, id)?, PatchRequest::parse(parse_body(body)?)?);
        self.run(caller, Step::Patch(kind, id, request), precondition)
            .await
    }

    /// DELETE.
    pub async fn delete(
        &self,
        caller: &Caller,
        kind: Kind,
        id: &str,
        precondition: Precondition,
    ) -> Result<(), ScimError> {
        let id = parse_id(kind, id)?;
        self.run(caller, Step::Delete(kind, id), precondition)
            .await
            .map(|_| ())
    }

    /// One write in a transaction of its own.
    async fn run(
        &self,
        caller: &Caller,
        step: Step,
        precondition: Precondition,
    ) -> Result<Shown, ScimError> {
        let (place, now) = (caller.place, self.clock.now());
        self.store
            .write::<_, Fault, _>(move |tx| {
                Box::pin(async move { step.run(tx, place, now, &precondition).await })
            })
            .await
            .map_err(Into::into)
    }
}

/// One write, as far as it can be prepared without the store.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A new resource, with its members when it is a group.
    Create(Box<Resource>, Option<Vec<Member>>),
    /// What a client may write is replaced by this.
    Replace(Kind, ResourceId, Map),
    /// These operations, all or none.
    Patch(Kind, ResourceId, PatchRequest),
    /// It goes.
    Delete(Kind, ResourceId),
}

impl Step {
    pub(super) fn create(
        kind: Kind,
        id: ResourceId,
        body: Map,
        now: Timestamp,
    ) -> Result<Self, ScimError> {
        let normalised = normalise(body, resource_type(kind), Purpose::Create)?;
        let resource = document::build(kind, id, &normalised.document, now)?;
        let members = normalised.members.map(rows).filter(|_| kind == Kind::Group);
        Ok(Self::Create(Box::new(resource), members))
    }

    /// Makes the write; answers the resource as it is now, or as it was before it went.
    pub(super) async fn run(
        self,
        tx: &mut Tx<'_>,
        place: Place,
        now: Timestamp,
        precondition: &Precondition,
    ) -> Result<Shown, Fault> {
        match self {
            Self::Create(resource, members) => {
                resources::create(tx, place, &resource).await?;
                if let Some(rows) = members.clone().filter(|rows| !rows.is_empty()) {
                    resources::add_members(tx, place, resource.id, rows).await?;
                }
                let groups = Vec::new();
                Ok(Shown {
                    resource: *resource,
                    members,
                    groups,
                })
            }
            Self::Replace(kind, id, body) => {
                let edit = |before: &mut Map| replaced(kind, body, before);
                change(tx, place, now, (kind, id), precondition, edit).await
            }
            Self::Patch(kind, id, request) => {
                let own = id.to_string();
                let edit = |document: &mut Map| {
                    let applied = apply(document, &own, &request, resource_type(kind))?;
                    Ok(applied.members)
                };
                change(tx, place, now, (kind, id), precondition, edit).await
            }
            Self::Delete(kind, id) => {
                let found = resources::find_for_update(tx, place, kind, id).await?;
                let resource = found.ok_or_else(|| not_found(kind, &id.to_string()))?;
                precondition.check(&resource)?;
                resources::delete(tx, place, kind, id, now).await?;
                show(tx, place, resource, Wanted::NOTHING)
                    .await
                    .map_err(Fault::Store)
            }
        }
    }
}

/// Puts the body of a PUT in the place of a document; answers what happens to the members.
fn replaced(kind: Kind, body: Map, before: &mut Map) -> Result<Vec<MemberChange>, ScimError> {
    let normalised = normalise(body, resource_type(kind), Purpose::Replace(before))?;
    let mut after = normalised.document;
    // A PUT that leaves `active` out must not disable anybody (profile section 4.2).
    if !after.contains_key("active")
        && let Some(active) = before.get("active")
    {
        after.insert("active".to_owned(), active.clone());
    }
    *before = after;
    let members = normalised.members.unwrap_or_default();
    Ok(match kind {
        Kind::Group => vec![MemberChange::ReplaceAll(members)],
        Kind::User => Vec::new(),
    })
}

/// Reads a resource, changes it and writes it back.
async fn change(
    tx: &mut Tx<'_>,
    place: Place,
    now: Timestamp,
    (kind, id): (Kind, ResourceId),
    precondition: &Precondition,
    edit: impl FnOnce(&mut Map) -> Result<Vec<MemberChange>, ScimError>,
) -> Result<Shown, Fault> {
    let found = resources::find_for_update(tx, place, kind, id).await?;
    let mut resource = found.ok_or_else(|| not_found(kind, &id.to_string()))?;
    precondition.check(&resource)?;
    let before = document::parse(&resource)?;
    let mut after = before.clone();
    let members = edit(&mut after)?;
    let moved = change_members(tx, place, id, members).await?;
    if after != before {
        document::change(&mut resource, &after, now)?;
    } else if moved {
        document::touch(&mut resource, now);
    } else {
        return Ok(show(tx, place, resource, BESIDE).await?);
    }
    resources::update(tx, place, &resource).await?;
    Ok(show(tx, place, resource, BESIDE).await?)
}

/// What a changed resource is shown with. Members can be many; whoever wants them reads the group.
const BESIDE: Wanted = Wanted {
    members: false,
    groups: true,
};

fn rows(members: Vec<member::Member>) -> Vec<Member> {
    members
        .into_iter()
        .map(|member| {
            let is_group = member
                .ref_type
                .is_some_and(|of| of.eq_ignore_ascii_case("group"));
            Member {
                value: member.value,
                kind: if is_group { Kind::Group } else { Kind::User },
                display: member.display,
            }
        })
        .collect()
}

/// Makes the changes of members in order; answers whether any row changed.
async fn change_members(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
    changes: Vec<MemberChange>,
) -> Result<bool, Fault> {
    let mut moved = 0;
    for change in changes {
        moved += match change {
            MemberChange::Add(members) => {
                resources::add_members(tx, place, group, rows(members)).await?
            }
            MemberChange::Remove(values) => {
                resources::remove_members(tx, place, group, &values).await?
            }
            MemberChange::RemoveAll => resources::clear_members(tx, place, group).await?,
            MemberChange::ReplaceAll(members) => {
                replace_members(tx, place, group, rows(members)).await?
            }
            MemberChange::RemoveMatching(filter) => {
                let mut gone = Vec::new();
                for member in all_members(tx, place, group).await? {
                    let value = member.value.clone();
                    if to_scim(member).meets(&filter, resource_type(Kind::Group))? {
                        gone.push(value);
                    }
                }
                resources::remove_members(tx, place, group, &gone).await?
            }
        };
    }
    Ok(moved > 0)
}

async fn all_members(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
) -> Result<Vec<Member>, Fault> {
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

/// Only the difference is written, so that a repeated list changes nothing.
async fn replace_members(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
    wanted: Vec<Member>,
) -> Result<u64, Fault> {
    let keep: std::collections::HashSet<&str> =
        wanted.iter().map(|member| member.value.as_str()).collect();
    let gone: Vec<String> = all_members(tx, place, group)
        .await?
        .into_iter()
        .map(|member| member.value)
        .filter(|value| !keep.contains(value.as_str()))
        .collect();
    let removed = resources::remove_members(tx, place, group, &gone).await?;
    Ok(removed + resources::add_members(tx, place, group, wanted).await?)
}

/// A stored member in the words of the protocol.
pub(super) fn to_scim(member: Member) -> member::Member {
    member::Member {
        value: member.value,
        ref_type: Some(member.kind.as_str().to_owned()),
        display: member.display,
    }
}
