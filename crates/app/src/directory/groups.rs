//! What may be done with groups and their members.

use muster_model::audit::activity;
use muster_model::directory::{Group, Kind, Membership};
use muster_model::{GroupId, ObjectId, TenantId, Timestamp, Value};
use muster_store::{Tx, audit as audit_log, groups, memberships, users};

use super::find::get_group;
use super::patch::GroupPatch;
use super::upsert::{Outcome, group_after, outcome, which};
use crate::audit::Hand;
use crate::{AppError, Ctx};

/// Creates a group from Graph properties: `displayName` must be among them, `id` may be. It is
/// security-enabled unless said otherwise.
pub async fn create_group(ctx: &Ctx, set: Vec<(String, Value)>) -> Result<Group, AppError> {
    create_group_with(ctx, set, &[]).await
}

/// As [`create_group`], with its first members; all of it, or nothing.
pub async fn create_group_with(
    ctx: &Ctx,
    set: Vec<(String, Value)>,
    members: &[ObjectId],
) -> Result<Group, AppError> {
    let members = members.to_vec();
    let (tenant, at, hand) = (ctx.tenant, ctx.clock.now(), Hand::of(ctx));
    let patch = GroupPatch::read(set)?;
    required_name(&patch)?;
    let body = ctx.store.write(move |tx| {
        Box::pin(async move {
            if let Some(id) = patch.id
                && groups::find(tx, tenant, id).await?.is_some()
            {
                return Err(AppError::Taken(format!(
                    "a group with the id {id} exists already"
                )));
            }
            let group = group_after(&patch, None);
            groups::put(tx, tenant, &group, at).await?;
            let entry = hand.group(activity::ADD_GROUP, None, Some(&group));
            audit_log::append(tx, tenant, &entry).await?;
            for member in members {
                put_into(tx, tenant, &hand, (&group, member), at).await?;
            }
            Ok(group)
        })
    });
    body.await
}

/// Changes what is named and nothing else; null clears. Answers whether anything changed.
pub async fn update_group(
    ctx: &Ctx,
    id: GroupId,
    set: Vec<(String, Value)>,
) -> Result<bool, AppError> {
    update_group_with(ctx, id, set, &[]).await
}

/// As [`update_group`], and adds members; all of it, or nothing.
pub async fn update_group_with(
    ctx: &Ctx,
    id: GroupId,
    set: Vec<(String, Value)>,
    members: &[ObjectId],
) -> Result<bool, AppError> {
    let members = members.to_vec();
    let (tenant, at, hand) = (ctx.tenant, ctx.clock.now(), Hand::of(ctx));
    let patch = GroupPatch::read(set)?;
    if patch.id.is_some_and(|given| given != id) {
        return Err(AppError::Invalid(
            "the id of a group never changes; leave it out".to_owned(),
        ));
    }
    let body = ctx.store.write(move |tx| {
        Box::pin(async move {
            let old = get_group(tx, tenant, id).await?;
            let mut group = old.clone();
            patch.apply(&mut group);
            let mut is_changed = group != old;
            if is_changed {
                groups::put(tx, tenant, &group, at).await?;
                let entry = hand.group(activity::UPDATE_GROUP, Some(&old), Some(&group));
                audit_log::append(tx, tenant, &entry).await?;
            }
            for member in members {
                is_changed |= put_into(tx, tenant, &hand, (&group, member), at).await?;
            }
            Ok::<_, AppError>(is_changed)
        })
    });
    body.await
}

/// Gives a group another display name. Answers whether it had another one.
pub async fn rename_group(ctx: &Ctx, id: GroupId, name: &str) -> Result<bool, AppError> {
    update_group(ctx, id, vec![("displayName".to_owned(), name.into())]).await
}

/// Removes a group for good, with its memberships and assignments.
pub async fn delete_group(ctx: &Ctx, id: GroupId) -> Result<(), AppError> {
    let (tenant, at, hand) = (ctx.tenant, ctx.clock.now(), Hand::of(ctx));
    let body = ctx.store.write(move |tx| {
        Box::pin(async move {
            let group = get_group(tx, tenant, id).await?;
            groups::purge(tx, tenant, id, at).await?;
            let entry = hand.group(activity::DELETE_GROUP, Some(&group), None);
            Ok(audit_log::append(tx, tenant, &entry).await?)
        })
    });
    body.await
}

/// Adds a user or a group to a group. Answers whether it was no member until now.
pub async fn add_member(ctx: &Ctx, group: GroupId, member: ObjectId) -> Result<bool, AppError> {
    let (tenant, at, hand) = (ctx.tenant, ctx.clock.now(), Hand::of(ctx));
    let body = ctx.store.write(move |tx| {
        Box::pin(async move {
            let group = get_group(tx, tenant, group).await?;
            put_into(tx, tenant, &hand, (&group, member), at).await
        })
    });
    body.await
}

/// Adds a member by hand, with its entry in the audit log. Answers whether it was none until now.
async fn put_into(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    hand: &Hand,
    (group, member): (&Group, ObjectId),
    at: Timestamp,
) -> Result<bool, AppError> {
    let kind = kind_of(tx, tenant, member).await?;
    if ObjectId::from(group.id) == member {
        let own = format!("the group {} cannot be a member of itself", group.id);
        return Err(AppError::Invalid(own));
    }
    let membership = Membership {
        group: group.id,
        member,
        kind,
    };
    let is_new = memberships::add(tx, tenant, membership, at).await?;
    if is_new {
        let entry = hand.member(activity::ADD_MEMBER, group, &member.to_string());
        audit_log::append(tx, tenant, &entry).await?;
    }
    Ok(is_new)
}

/// Takes a member out of a group. Answers whether it was one.
pub async fn remove_member(ctx: &Ctx, group: GroupId, member: ObjectId) -> Result<bool, AppError> {
    let (tenant, at, hand) = (ctx.tenant, ctx.clock.now(), Hand::of(ctx));
    let body = ctx.store.write(move |tx| {
        Box::pin(async move {
            let group = get_group(tx, tenant, group).await?;
            let was_one = memberships::remove(tx, tenant, group.id, member, at).await?;
            if was_one {
                let entry = hand.member(activity::REMOVE_MEMBER, &group, &member.to_string());
                audit_log::append(tx, tenant, &entry).await?;
            }
            Ok(was_one)
        })
    });
    body.await
}

/// Creates the group or makes it what is said, by the rules of an import.
pub(super) async fn upsert_group(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    patch: &GroupPatch,
    at: Timestamp,
) -> Result<Outcome, AppError> {
    let name = required_name(patch)?;
    let (by_id, by_name) = match patch.id {
        Some(id) => (groups::find(tx, tenant, id).await?, Vec::new()),
        None => (None, groups::find_by_name(tx, tenant, name).await?),
    };
    let old = which(patch, by_id, by_name)?;
    let group = group_after(patch, old.as_ref());
    let outcome = outcome(old.as_ref(), &group);
    if outcome != Outcome::Unchanged {
        groups::put(tx, tenant, &group, at).await?;
    }
    Ok(outcome)
}

/// User or group, or an error that there is neither.
async fn kind_of(tx: &mut Tx<'_>, tenant: TenantId, id: ObjectId) -> Result<Kind, AppError> {
    if users::find(tx, tenant, id.user()).await?.is_some() {
        return Ok(Kind::User);
    }
    if groups::find(tx, tenant, id.group()).await?.is_some() {
        return Ok(Kind::Group);
    }
    Err(AppError::NotFound(format!(
        "there is neither a user nor a group with the id {id}"
    )))
}

fn required_name(patch: &GroupPatch) -> Result<&str, AppError> {
    let missing = || AppError::Invalid("displayName: is missing".to_owned());
    patch.name.as_deref().ok_or_else(missing)
}
