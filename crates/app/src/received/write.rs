//! Creating, replacing, patching and deleting received resources.

use std::sync::Arc;

use muster_model::integration::{Happening, ResourceKind};
use muster_model::{ResourceId, Timestamp};
use muster_scim::ResourceType;
use muster_scim::dialect::{self, Findings};
use muster_scim::member::{self, MemberChange};
use muster_scim::{
    Map, PatchRequest, Purpose, ScimError, apply, changed_paths, members_alone, normalise,
};
use muster_store::received;
use muster_store::resources::{self, About, Place, Resource};
use muster_store::{StoreError, Tx};

use crate::received::members::{Moved, Moving, all_members, rows};
use crate::received::profile::extras_text;
use crate::received::{
    Caller, Fault, Profile, Provider, Shown, Wanted, document, not_found, parse_id, show,
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
        kind: ResourceKind,
        body: Map,
    ) -> Result<Shown, ScimError> {
        let (id, now) = (ResourceId::new(), self.clock.now());
        let mut seen = Findings::default();
        let step = Step::create(&caller.profile, kind, id, body, now, &mut seen);
        self.observe(caller, &seen);
        let step = step?;
        self.run(caller, step, Precondition::None).await
    }

    /// PUT: replaces what a client may write; answers without what is kept beside the document.
    pub async fn replace(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        id: &str,
        body: Map,
        precondition: Precondition,
    ) -> Result<Shown, ScimError> {
        let id = parse_id(&caller.profile, kind, id)?;
        let mut seen = Findings::default();
        let step = Step::replace(&caller.profile, kind, id, body, &mut seen);
        self.observe(caller, &seen);
        self.run(caller, step?, precondition).await
    }

    /// PATCH: all operations or none. Members can be many; whoever wants them reads the group.
    pub async fn patch(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        id: &str,
        body: Map,
        precondition: Precondition,
    ) -> Result<Shown, ScimError> {
        let id = parse_id(&caller.profile, kind, id)?;
        let mut seen = Findings::default();
        let step = Step::patch(&caller.profile, kind, id, body, &mut seen);
        self.observe(caller, &seen);
        let shown = self.run(caller, step?, precondition).await?;
        if kind != ResourceKind::USER {
            return Ok(shown);
        }
        let (place, resource) = (caller.place(), shown.resource);
        let wanted = GROUPS_BESIDE;
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
        kind: ResourceKind,
        id: &str,
        precondition: Precondition,
    ) -> Result<(), ScimError> {
        let id = parse_id(&caller.profile, kind, id)?;
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
        caller.may_write()?;
        let now = self.clock.now();
        let (place, about) = (caller.place(), step.about());
        let all = Arc::new((
            step,
            precondition,
            Arc::clone(&caller.profile),
            self.clone(),
        ));
        self.store
            .write_resource::<_, Fault, _>(place, about, move |tx| {
                let all = Arc::clone(&all);
                Box::pin(async move {
                    let (step, precondition, profile, this) = &*all;
                    step.forget_after(this, tx, place);
                    step.run(tx, profile, now, precondition).await
                })
            })
            .await
            .map_err(Into::into)
    }
}

/// One write, as far as it can be prepared without the store.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A new resource, with its members when it is a group, and what no schema declares of it.
    Create(Box<Resource>, Option<Vec<member::Member>>, Option<String>),
    /// What a client may write is replaced by this, and what no schema declares by the text, if there is any.
    Replace(ResourceKind, ResourceId, Map, Option<String>),
    /// These operations, all or none.
    Patch(ResourceKind, ResourceId, PatchRequest),
    /// Operations that are about members alone.
    Members(ResourceKind, ResourceId, Vec<MemberChange>),
    /// It goes.
    Delete(ResourceKind, ResourceId),
}

impl Step {
    pub(super) fn create(
        profile: &Profile,
        kind: ResourceKind,
        id: ResourceId,
        body: Map,
        now: Timestamp,
        seen: &mut Findings,
    ) -> Result<Self, ScimError> {
        let unknown = accepted(profile, dialect::document(&body, profile.of(kind)), seen)?;
        let normalised = normalise(body, profile.of(kind), Purpose::Create)?;
        let resource = document::build(profile, kind, id, &normalised.document, now)?;
        let members = normalised.members.filter(|_| kind == ResourceKind::GROUP);
        Ok(Self::Create(Box::new(resource), members, unknown))
    }

    pub(super) fn replace(
        profile: &Profile,
        kind: ResourceKind,
        id: ResourceId,
        body: Map,
        seen: &mut Findings,
    ) -> Result<Self, ScimError> {
        let unknown = accepted(profile, dialect::document(&body, profile.of(kind)), seen)?;
        Ok(Self::Replace(kind, id, body, unknown))
    }

    pub(super) fn patch(
        profile: &Profile,
        kind: ResourceKind,
        id: ResourceId,
        body: Map,
        seen: &mut Findings,
    ) -> Result<Self, ScimError> {
        accepted(profile, dialect::patch(&body, profile.of(kind)), seen)?;
        let request = PatchRequest::parse(body)?;
        Ok(match members_alone(&request, profile.of(kind)) {
            Some(changes) => Self::Members(kind, id, changes),
            None => Self::Patch(kind, id, request),
        })
    }

    /// What it is about.
    fn target(&self) -> (ResourceKind, ResourceId) {
        match self {
            Self::Create(resource, ..) => (resource.kind, resource.id),
            Self::Replace(kind, id, ..)
            | Self::Patch(kind, id, _)
            | Self::Members(kind, id, _)
            | Self::Delete(kind, id) => (*kind, *id),
        }
    }

    fn about(&self) -> About {
        let (kind, id) = self.target();
        match self {
            Self::Create(resource, ..) => About::creation(resource),
            Self::Delete(..) => About::Deletion(kind, id),
            Self::Members(_, _, changes) => about_members(id, changes),
            Self::Replace(..) | Self::Patch(..) => About::Change(kind, id),
        }
    }

    /// Does it refuse without a statement that fails?
    pub(super) const fn refuses(&self) -> bool {
        matches!(self, Self::Create(..) | Self::Delete(..))
    }

    /// Sees to it that nobody reads from memory what is old after the commit.
    pub(super) fn forget_after(&self, provider: &Provider, tx: &mut Tx<'_>, place: Place) {
        let (kind, id) = self.target();
        match (self, provider.ranks.clone()) {
            (Self::Create(..), Some(ranks)) => tx.after_commit(move || ranks.came(place, kind, id)),
            (Self::Delete(..), Some(ranks)) => tx.after_commit(move || ranks.went(place, kind)),
            _ => {}
        }
        if matches!(self, Self::Create(..)) && kind == ResourceKind::USER {
            return;
        }
        provider.forget_after(tx, place, kind, id);
    }

    /// Makes the write; answers the resource as it is now, or as it was before it went. Refuses it, if at
    /// all, before anything is written.
    pub(super) async fn run(
        &self,
        tx: &mut Tx<'_>,
        profile: &Profile,
        now: Timestamp,
        precondition: &Precondition,
    ) -> Result<Shown, Fault> {
        let place = profile.place;
        match self {
            Self::Create(resource, members, unknown) => {
                room_for_another(tx, profile).await?;
                resources::create(tx, place, resource).await?;
                if unknown.is_some() {
                    let of = (resource.kind, resource.id);
                    resources::set_extras(tx, place, of, unknown.clone()).await?;
                }
                let members = match members {
                    Some(members) if !members.is_empty() => {
                        let add = vec![Moving::Add(rows(members.clone()))];
                        Moved::of(resource, now).run(tx, place, add).await?;
                        Some(all_members(tx, place, resource.id).await?)
                    }
                    none => none.as_ref().map(|_| Vec::new()),
                };
                Ok(Shown {
                    resource: (**resource).clone(),
                    members,
                    groups: Vec::new(),
                })
            }
            Self::Replace(kind, id, body, unknown) => {
                let edit = |before: &mut Map| replaced(profile, *kind, body.clone(), before);
                // Nobody is shown what is not declared, so what was read is put back without it.
                let extras = unknown.clone();
                let extras = extras.map_or(Undeclared::Stays, Undeclared::Becomes);
                change(tx, profile, now, (*kind, *id), precondition, (edit, extras)).await
            }
            Self::Patch(kind, id, request) => {
                let own = id.to_string();
                let edit = |document: &mut Map| {
                    let applied = apply(document, &own, request, profile.of(*kind))?;
                    Ok(applied.members)
                };
                change(
                    tx,
                    profile,
                    now,
                    (*kind, *id),
                    precondition,
                    (edit, Undeclared::Stays),
                )
                .await
            }
            Self::Members(kind, id, changes) => {
                let stored = found(tx, profile, (*kind, *id), precondition).await?;
                move_members(tx, profile, now, stored, changes).await
            }
            Self::Delete(kind, id) => {
                let resource = found(tx, profile, (*kind, *id), precondition).await?;
                resources::delete(tx, place, &resource, now).await?;
                Ok(alone(resource))
            }
        }
    }
}

/// Who is named, if they are few: whether they are members is looked up for all changes of the group at once.
fn about_members(group: ResourceId, changes: &[MemberChange]) -> About {
    let mut named = Vec::new();
    for change in changes {
        match change {
            MemberChange::Add(members) => {
                named.extend(members.iter().map(|member| member.value.clone()));
            }
            MemberChange::Remove(values) => named.extend(values.iter().cloned()),
            _ => return About::Change(ResourceKind::GROUP, group),
        }
    }
    if named.len() > FEW {
        return About::Change(ResourceKind::GROUP, group);
    }
    About::Members(group, named.into())
}

/// Members that a change names, so that they are looked up beforehand, at most.
const FEW: usize = 20;

/// What no schema declares, as it is kept; a strict integration refuses it.
fn accepted(
    profile: &Profile,
    findings: Findings,
    seen: &mut Findings,
) -> Result<Option<String>, ScimError> {
    let unknown = findings.unknown.clone();
    seen.join(findings);
    if profile.is_strict() && !unknown.is_empty() {
        let mut names: Vec<&str> = unknown.keys().map(String::as_str).collect();
        names.truncate(10);
        return Err(ScimError::invalid_value(format!(
            "this integration accepts only attributes that its schemas declare, and not {}",
            names.join(", ")
        )));
    }
    Ok(extras_text(unknown))
}

/// Refuses when the integration holds as many resources as it may.
async fn room_for_another(tx: &mut Tx<'_>, profile: &Profile) -> Result<(), Fault> {
    let Some(most) = profile.settings.max_resources else {
        return Ok(());
    };
    let mut there = 0;
    for kind in profile.kinds() {
        there += resources::total(tx, profile.place, *kind).await?;
    }
    if there < most {
        return Ok(());
    }
    Err(Fault::Scim(ScimError::forbidden(format!(
        "this integration may hold {most} resources, and it does; ask whoever runs it for more"
    ))))
}

/// Puts the body of a PUT in the place of a document; answers what happens to the members.
fn replaced(
    profile: &Profile,
    kind: ResourceKind,
    body: Map,
    before: &mut Map,
) -> Result<Vec<MemberChange>, ScimError> {
    let normalised = normalise(body, profile.of(kind), Purpose::Replace(before))?;
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
        ResourceKind::GROUP => vec![MemberChange::ReplaceAll(members)],
        _ => Vec::new(),
    })
}

/// What happens to what no schema declares.
enum Undeclared {
    /// It is left as it is.
    Stays,
    /// It is replaced by this text.
    Becomes(String),
}

/// The resource as it is now, held for a change.
async fn found(
    tx: &mut Tx<'_>,
    profile: &Profile,
    (kind, id): (ResourceKind, ResourceId),
    precondition: &Precondition,
) -> Result<Resource, Fault> {
    let found = resources::find_to_change(tx, profile.place, kind, id).await?;
    let resource = found.ok_or_else(|| not_found(profile, kind, &id.to_string()))?;
    precondition.check(&resource)?;
    Ok(resource)
}

/// A filter that compares what cannot be compared is refused, whoever is a member.
fn check_filters(of: &ResourceType, changes: &[MemberChange]) -> Result<(), ScimError> {
    for change in changes {
        if let MemberChange::RemoveMatching(filter) = change {
            member::Member::new("").meets(filter, of)?;
        }
    }
    Ok(())
}

/// Changes the members of a group and nothing else. It has a new version if anybody came or went.
async fn move_members(
    tx: &mut Tx<'_>,
    profile: &Profile,
    now: Timestamp,
    mut resource: Resource,
    changes: &[MemberChange],
) -> Result<Shown, Fault> {
    let (place, of) = (profile.place, profile.of(resource.kind));
    check_filters(of, changes)?;
    let before = (resource.version, resource.modified);
    document::touch(&mut resource, now);
    let moved = Moved::of(&resource, now);
    if moved.change(tx, place, of, changes).await? {
        resources::update_version(tx, place, &resource).await?;
    } else {
        (resource.version, resource.modified) = before;
    }
    Ok(alone(resource))
}

/// Reads a resource, changes it and writes it back.
async fn change(
    tx: &mut Tx<'_>,
    profile: &Profile,
    now: Timestamp,
    (kind, id): (ResourceKind, ResourceId),
    precondition: &Precondition,
    (edit, extras): (
        impl FnOnce(&mut Map) -> Result<Vec<MemberChange>, ScimError>,
        Undeclared,
    ),
) -> Result<Shown, Fault> {
    let (place, of) = (profile.place, profile.of(kind));
    let stored = found(tx, profile, (kind, id), precondition).await?;
    let before = document::parse(&stored)?;
    let mut after = before.clone();
    let members = edit(&mut after)?;
    let undeclared = match extras {
        Undeclared::Becomes(extras) => new_extras(tx, place, (kind, id), extras).await?,
        Undeclared::Stays => None,
    };
    if after == before && undeclared.is_none() {
        return move_members(tx, profile, now, stored, &members).await;
    }
    check_filters(of, &members)?;
    let mut resource = stored.clone();
    document::touch(&mut resource, now);
    let moved = Moved::of(&resource, now);
    // The name may be taken: the row is written before anything else is.
    document::fill(profile, &mut resource, &after)?;
    resources::update(tx, place, &stored, &resource).await?;
    let what = match (stored.active, resource.active) {
        (true, false) => Happening::Disabled,
        (false, true) => Happening::Enabled,
        _ => Happening::Updated,
    };
    let mut paths = changed_paths(&before, &after, of);
    if let Some((names, extras)) = undeclared {
        paths.extend(names);
        resources::set_extras(tx, place, (kind, id), Some(extras)).await?;
    }
    received::append(tx, place, moved.event(what), paths);
    moved.change(tx, place, of, &members).await?;
    Ok(alone(resource))
}

/// Whether what no schema declares differs from what is kept: the names that do, and what is to be kept.
async fn new_extras(
    tx: &mut Tx<'_>,
    place: Place,
    of: (ResourceKind, ResourceId),
    extras: String,
) -> Result<Option<(Vec<String>, String)>, StoreError> {
    let kept = resources::extras(tx, place, of).await?.unwrap_or_default();
    if kept == extras {
        return Ok(None);
    }
    let read = |text: &str| -> Map { serde_json::from_str(text).unwrap_or_default() };
    let (old, new) = (read(&kept), read(&extras));
    let names = old
        .keys()
        .chain(new.keys().filter(|name| !old.contains_key(*name)));
    let names = names
        .filter(|name| old.get(*name) != new.get(*name))
        .cloned()
        .collect();
    Ok(Some((names, extras)))
}

/// A resource without what is kept beside it.
const fn alone(resource: Resource) -> Shown {
    Shown {
        resource,
        members: None,
        groups: Vec::new(),
    }
}
