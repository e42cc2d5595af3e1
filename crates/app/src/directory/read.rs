//! Reading the directory page by page.

use std::collections::{BTreeSet, HashMap, VecDeque};

use muster_model::directory::{Group, Kind, User};
use muster_model::{GroupId, ObjectId, Position, UserId};
pub use muster_store::feed::Change;
pub use muster_store::listing::{Key, Keys, Listing};
use muster_store::{StoreError, feed, groups, memberships, users};

use crate::{AppError, Ctx};

/// Objects that are read at once.
const PORTION: u32 = 1000;
/// Objects of a transitive list at most.
const REACHED: usize = 100_000;

/// A user or a group.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A user.
    User(User),
    /// A group.
    Group(Group),
}

/// Users after an id, living or deleted ones, in the order of their ids; at most 1,000.
pub async fn users_after(
    ctx: &Ctx,
    after: Option<UserId>,
    deleted: bool,
    limit: u32,
) -> Result<(Vec<User>, Option<UserId>), AppError> {
    let (tenant, limit) = (ctx.tenant, limit.min(PORTION));
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(users::page(tx, tenant, after, limit).await?) })
    });
    let mut page = read.await?;
    let is_last = page.len() < limit as usize;
    let next = page.last().map(|last| last.id).filter(|_| !is_last);
    page.retain(|user| user.deleted.is_some() == deleted);
    Ok((page, next))
}

/// Groups after an id, in the order of their ids; at most 1,000.
pub async fn groups_after(
    ctx: &Ctx,
    after: Option<GroupId>,
    limit: u32,
) -> Result<(Vec<Group>, Option<GroupId>), AppError> {
    let (tenant, limit) = (ctx.tenant, limit.min(PORTION));
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(groups::page(tx, tenant, after, limit).await?) })
    });
    let mut page = read.await?;
    let is_last = page.len() < limit as usize;
    let next = page.last().map(|last| last.id).filter(|_| !is_last);
    page.retain(|group| group.deleted.is_none());
    Ok((page, next))
}

/// Living users in the order of a name or an address; at most 1,000.
pub async fn users_by(ctx: &Ctx, listing: &Listing, limit: u32) -> Result<Vec<User>, AppError> {
    let (tenant, limit) = (ctx.tenant, limit.min(PORTION));
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        let listing = listing.clone();
        Box::pin(async move { Ok(users::listed(tx, tenant, &listing, limit).await?) })
    });
    read.await
}

/// Living groups in the order of their names; at most 1,000.
pub async fn groups_by(ctx: &Ctx, listing: &Listing, limit: u32) -> Result<Vec<Group>, AppError> {
    let (tenant, limit) = (ctx.tenant, limit.min(PORTION));
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        let listing = listing.clone();
        Box::pin(async move { Ok(groups::listed(tx, tenant, &listing, limit).await?) })
    });
    read.await
}

/// The living user with this id or sign-in name.
pub async fn user(ctx: &Ctx, text: &str) -> Result<Option<User>, AppError> {
    let (tenant, text) = (ctx.tenant, text.to_owned());
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(super::find::named_user(tx, tenant, &text).await?) })
    });
    Ok(read.await?.filter(|user| user.deleted.is_none()))
}

/// The user with this id, living or deleted.
pub async fn any_user(ctx: &Ctx, id: UserId) -> Result<Option<User>, AppError> {
    let tenant = ctx.tenant;
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(users::find(tx, tenant, id).await?) })
    });
    read.await
}

/// The group with this id.
pub async fn group(ctx: &Ctx, id: GroupId) -> Result<Option<Group>, AppError> {
    let tenant = ctx.tenant;
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(groups::find(tx, tenant, id).await?) })
    });
    Ok(read.await?.filter(|group| group.deleted.is_none()))
}

/// The living objects with these ids, in the order of the ids.
pub async fn objects(ctx: &Ctx, ids: &[ObjectId]) -> Result<Vec<Object>, AppError> {
    let (tenant, ids) = (ctx.tenant, ids.to_vec());
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        let ids = ids.clone();
        Box::pin(async move {
            let of_users: Vec<UserId> = ids.iter().copied().map(ObjectId::user).collect();
            let of_groups: Vec<GroupId> = ids.iter().copied().map(ObjectId::group).collect();
            Ok((
                users::by_ids(tx, tenant, &of_users).await?,
                groups::by_ids(tx, tenant, &of_groups).await?,
            ))
        })
    });
    let (users, groups) = read.await?;
    let users = users.into_iter().filter(|it| it.deleted.is_none());
    let groups = groups.into_iter().filter(|it| it.deleted.is_none());
    let mut found: Vec<(ObjectId, Object)> = users
        .map(|it| (it.id.into(), Object::User(it)))
        .chain(groups.map(|it| (it.id.into(), Object::Group(it))))
        .collect();
    let places: HashMap<ObjectId, usize> = ids.iter().copied().zip(0..).collect();
    found.sort_by_key(|(id, _)| places.get(id).copied());
    Ok(found.into_iter().map(|(_, object)| object).collect())
}

/// Who reports to a user.
pub async fn reports(ctx: &Ctx, manager: UserId) -> Result<Vec<Object>, AppError> {
    let tenant = ctx.tenant;
    let read = ctx.store.read::<_, StoreError, _>(|tx| {
        Box::pin(async move { users::reports(tx, tenant, &[manager.into()]).await })
    });
    let ids: Vec<ObjectId> = read.await?.into_iter().map(|(report, _)| report).collect();
    objects(ctx, &ids).await
}

/// The members of a group after an id, in the order of their ids.
pub async fn members_after(
    ctx: &Ctx,
    group: GroupId,
    after: Option<ObjectId>,
    limit: u32,
) -> Result<Vec<(ObjectId, Kind)>, AppError> {
    let tenant = ctx.tenant;
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(memberships::members(tx, tenant, group, after, limit).await?) })
    });
    read.await
}

/// The groups in which an object is; with those in which these are, and so on, when `transitive`.
pub async fn groups_of(
    ctx: &Ctx,
    member: ObjectId,
    transitive: bool,
) -> Result<Vec<Group>, AppError> {
    let tenant = ctx.tenant;
    let (mut known, mut open) = (BTreeSet::new(), vec![member]);
    while !open.is_empty() && known.len() < REACHED {
        let asked = std::mem::take(&mut open);
        let read = ctx.store.read::<_, StoreError, _>(|tx| {
            let asked = asked.clone();
            Box::pin(async move { memberships::groups_of(tx, tenant, &asked).await })
        });
        for (group, _) in read.await? {
            if known.insert(group) && transitive {
                open.push(group);
            }
        }
    }
    let ids: Vec<ObjectId> = known.into_iter().collect();
    let found = objects(ctx, &ids).await?.into_iter();
    Ok(found
        .filter_map(|object| match object {
            Object::Group(group) => Some(group),
            Object::User(_) => None,
        })
        .collect())
}

/// Whoever is in a group, or in one of the groups in it, each once; cycles do no harm.
pub async fn transitive_members(ctx: &Ctx, group: GroupId) -> Result<Vec<ObjectId>, AppError> {
    let mut known: BTreeSet<ObjectId> = BTreeSet::new();
    let mut open = VecDeque::from([group]);
    while let Some(group) = open.pop_front() {
        let mut after = None;
        loop {
            let page = members_after(ctx, group, after, PORTION).await?;
            let Some((last, _)) = page.last() else { break };
            after = Some(*last);
            for (member, kind) in page {
                if known.len() < REACHED && known.insert(member) && kind == Kind::Group {
                    open.push_back(member.group());
                }
            }
        }
    }
    Ok(known.into_iter().collect())
}

/// A place in the feed that has everything behind it which is committed by now.
pub async fn end_of_changes(ctx: &Ctx) -> Result<Position, AppError> {
    let tenant = ctx.tenant;
    let read = ctx
        .store
        .read::<_, AppError, _>(|tx| Box::pin(async move { Ok(feed::end(tx, tenant).await?) }));
    read.await
}

/// What was changed after a place in the feed, and up to which place that is; at most `limit` changes.
pub async fn changes_after(
    ctx: &Ctx,
    after: Position,
    limit: u32,
) -> Result<(Vec<Change>, Position), AppError> {
    let tenant = ctx.tenant;
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(feed::read(tx, tenant, after, limit).await?) })
    });
    let entries = read.await?;
    let last = entries.last().map_or(after, |entry| entry.position);
    Ok((
        entries.into_iter().map(|entry| entry.change).collect(),
        last,
    ))
}

/// Is somebody a member of a group right now?
pub async fn is_member(ctx: &Ctx, group: GroupId, member: ObjectId) -> Result<bool, AppError> {
    let tenant = ctx.tenant;
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(memberships::holds(tx, tenant, group, member).await?) })
    });
    read.await
}
