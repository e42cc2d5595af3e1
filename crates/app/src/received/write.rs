//! Creating, replacing, patching and deleting received resources.

use muster_model::directory::Kind;
use muster_model::{ResourceId, Timestamp};
use muster_scim::member::{self, MemberChange};
use muster_scim::message::parse_body;
use muster_scim::{Map, PatchRequest, Purpose, ScimError, apply, normalise};
use muster_store::resources::{self, Member, Place, Resource};
use muster_store::{StoreError, Tx};

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

/// What a changed user is shown with.
const GROUPS_BESIDE: Wanted = Wanted {
    members: false,
    groups: true,
};

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

    /// PUT: replaces what a client may write; answers without what is kept beside the document.
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

    /// PATCH: all operations or none. Members can be many; whoever wants them reads the group.
    pub async fn patch(
        &self,
        caller: &Caller,
        kind: Kind,
        id: &str,
        body: &[u8],
        precondition: Precondition,
    ) -> Result<Shown, ScimError> {
        let (id, request) = (parse_id(kind, id)?, PatchRequest::parse(parse_body(body)?)?);
        let step = Step::Patch(kind, id, request);
        let resource = self.run(caller, step, precondition).await?.resource;
        let (place, wanted) = (caller.place, GROUPS_BESIDE);
        self.store
            .read::<_, Fault, _>(|tx| {
                Box::pin(async move { Ok(show(tx, place, resource, wanted).await?) })
            })
            .await
            .map_err(Into::into)
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
            .write_or_refuse::<_, Fault, _>(move |tx| {
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
    Create(Box<Resource>, Option<Vec<member::Member>>),
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
        let members = normalised.members.filter(|_| kind == Kind::Group);
        Ok(Self::Create(Box::new(resource), members))
    }

    /// Makes the write; answers the resource as it is now, or as it was before it went. Refuses it, if at
    /// all, before anything is written.
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
                let members = match members {
                    Some(members) => {
                        let rows = rows(tx, place, members).await?;
                        resources::add_members(tx, place, resource.id, rows.clone()).await?;
                        Some(rows)
                    }
                    None => None,
                };
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
                Ok(alone(resource))
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
    let stored = resource.clone();
    let before = document::parse(&stored)?;
    let mut after = before.clone();
    let members = edit(&mut after)?;
    for change in &members {
        if let MemberChange::RemoveMatching(filter) = change {
            // A filter that compares what cannot be compared is refused, whoever is a member.
            member::Member::new("").meets(filter, resource_type(kind))?;
        }
    }
    // The name may be taken: the row is written before anything else is.
    if after == before {
        if change_members(tx, place, id, members).await? {
            document::touch(&mut resource, now);
            resources::update(tx, place, &stored, &resource).await?;
        }
    } else {
        document::change(&mut resource, &after, now)?;
        resources::update(tx, place, &stored, &resource).await?;
        change_members(tx, place, id, members).await?;
    }
    Ok(alone(resource))
}

/// A resource without what is kept beside it.
const fn alone(resource: Resource) -> Shown {
    Shown {
        resource,
        members: None,
        groups: Vec::new(),
    }
}

/// Members as they are kept. One that does not say what it is, is a group when there is such a group.
async fn rows(
    tx: &mut Tx<'_>,
    place: Place,
    members: Vec<member::Member>,
) -> Result<Vec<Member>, StoreError> {
    let mut rows = Vec::with_capacity(members.len());
    for member in members {
        let is_group = match (&member.ref_type, member.value.parse()) {
            (Some(of), _) => of.eq_ignore_ascii_case("group"),
            (None, Ok(id)) => resources::is_group(tx, place, id).await?,
            (None, Err(_)) => false,
        };
        rows.push(Member {
            value: member.value,
            kind: if is_group { Kind::Group } else { Kind::User },
            display: member.display,
        });
    }
    Ok(rows)
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
                let rows = rows(tx, place, members).await?;
                resources::add_members(tx, place, group, rows).await?
            }
            MemberChange::Remove(values) => {
                resources::remove_members(tx, place, group, &values).await?
            }
            MemberChange::RemoveAll => resources::clear_members(tx, place, group).await?,
            MemberChange::ReplaceAll(members) => {
                let rows = rows(tx, place, members).await?;
                replace_members(tx, place, group, rows).await?
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
