//! Who is assigned to an application, and whom that includes.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use muster_model::application::{AppRole, Application, Assignment};
use muster_model::audit::activity;
use muster_model::directory::Kind;
use muster_model::{AssignmentId, GroupId, ObjectId, RoleId, UserId};
use muster_store::{applications, assignments, audit as audit_log, groups, memberships, users};

use super::find;
use crate::{AppError, Ctx, audit, directory};

/// Who is assigned or unassigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A user, by sign-in name or id.
    User(String),
    /// A group, by display name or id: its immediate members (OM-2).
    Group(String),
    /// A group, and the members of groups that are nested in it.
    GroupAndNested(String),
}

/// What an assignment did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assigned {
    /// The principal's name.
    pub name: String,
    /// The role's name.
    pub role: String,
    /// False when it was assigned with this role before, and reached as far.
    pub is_new: bool,
    /// What is worth knowing about it.
    pub warning: Option<String>,
}

/// Assigns a user or group with a role: by value, display name or id; `None` takes the first role
/// of the application, `Default Access` the built-in one (OM-1, 1.4). One that is there already reaches as
/// far as this one from now on.
pub async fn assign(
    ctx: &Ctx,
    application: &str,
    principal: &Principal,
    role: Option<&str>,
) -> Result<Assigned, AppError> {
    let application = find(ctx, application).await?;
    let (id, kind, name, mut warning) = resolve(ctx, principal).await?;
    let (tenant, application_id) = (ctx.tenant, application.id);
    let roles = roles(ctx, &application).await?;
    let (role_id, role_name) = choose_role(&roles, role)?;
    if role_id == RoleId::DEFAULT_ACCESS && !roles.is_empty() {
        warning = Some(
            "users with the Default Access role are excluded from provisioning; assign one of the \
             application's roles instead"
                .to_owned(),
        );
    }
    let assignment = Assignment {
        id: AssignmentId::new(),
        application: application_id,
        principal: id,
        kind,
        role: role_id,
        transitive: matches!(principal, Principal::GroupAndNested(_)),
        created: ctx.clock.now(),
    };
    let reach = if assignment.transitive {
        ", and the members of nested groups"
    } else {
        ""
    };
    let assigned = format!("{kind} {name} as {role_name}{reach}");
    let entry = audit::entry(ctx, activity::ASSIGN, application.job, assigned);
    let is_new = ctx
        .store
        .write::<_, AppError, _>(move |tx| {
            Box::pin(async move {
                let is_new = assignments::create(tx, tenant, &assignment).await?;
                if is_new {
                    audit_log::append(tx, tenant, &entry).await?;
                }
                Ok(is_new)
            })
        })
        .await?;
    Ok(Assigned {
        name,
        role: role_name,
        is_new,
        warning,
    })
}

async fn roles(ctx: &Ctx, application: &Application) -> Result<Vec<AppRole>, AppError> {
    let (tenant, id) = (ctx.tenant, application.id);
    let read = ctx
        .store
        .read(|tx| Box::pin(async move { Ok(applications::roles(tx, tenant, id).await?) }));
    read.await
}

/// The role that is meant, as in [`assign`].
pub(crate) async fn role_of(
    ctx: &Ctx,
    application: &Application,
    wanted: Option<&str>,
) -> Result<RoleId, AppError> {
    Ok(choose_role(&roles(ctx, application).await?, wanted)?.0)
}

/// Who is meant by a name or an id: a user, or else a group, with the members of nested groups when that is asked for.
pub async fn principal(ctx: &Ctx, name: &str, nested: bool) -> Result<Principal, AppError> {
    match directory::find_user(ctx, name).await {
        Ok(user) => Ok(Principal::User(user.id.to_string())),
        Err(AppError::NotFound(_)) => {
            let group = directory::find_group(ctx, name).await?.id.to_string();
            Ok(if nested {
                Principal::GroupAndNested(group)
            } else {
                Principal::Group(group)
            })
        }
        Err(error) => Err(error),
    }
}

/// The assignment of somebody with a role, if there is one already.
pub(crate) async fn assigned_before(
    ctx: &Ctx,
    application: &Application,
    principal: &Principal,
    role: RoleId,
) -> Result<Option<Assignment>, AppError> {
    let (id, ..) = resolve(ctx, principal).await?;
    let all = assignments_of(ctx, id).await?.into_iter();
    let mut all = all.map(|(it, _)| it);
    Ok(all.find(|it| it.application == application.id && it.role == role))
}

/// Whom an assignment entitles, by the directory as it is now: of each the kind, the id, and the group by which it
/// is entitled, if it is by one.
pub(crate) async fn reached(
    ctx: &Ctx,
    principal: &Principal,
) -> Result<Vec<(Kind, ObjectId, Option<ObjectId>)>, AppError> {
    let (id, kind, _, warning) = resolve(ctx, principal).await?;
    if kind == Kind::User {
        return Ok(vec![(kind, id, None)]);
    }
    if warning.is_some() {
        return Ok(Vec::new());
    }
    let nested = matches!(principal, Principal::GroupAndNested(_));
    let included = included(ctx, &id.to_string(), nested, 0).await?;
    let users = included.all.into_iter();
    let users = users.map(|user| (Kind::User, user.into(), Some(id)));
    Ok(std::iter::once((kind, id, None)).chain(users).collect())
}

fn choose_role(roles: &[AppRole], wanted: Option<&str>) -> Result<(RoleId, String), AppError> {
    let default = || (RoleId::DEFAULT_ACCESS, "Default Access".to_owned());
    let Some(wanted) = wanted.map(str::trim) else {
        // The role that ordinary people get.
        let first = roles
            .iter()
            .find(|role| role.value == "User")
            .or_else(|| roles.first());
        return Ok(first.map_or_else(default, |role| (role.id, role.display_name.clone())));
    };
    if wanted.eq_ignore_ascii_case("default access") {
        return Ok(default());
    }
    let same = |text: &str| text.eq_ignore_ascii_case(wanted);
    roles
        .iter()
        .find(|role| same(&role.value) || same(&role.display_name) || same(&role.id.to_string()))
        .map(|role| (role.id, role.display_name.clone()))
        .ok_or_else(|| {
            let known: Vec<&str> = roles
                .iter()
                .map(|role| role.display_name.as_str())
                .collect();
            AppError::NotFound(format!(
                "the application has no role {wanted}; it has: {}, Default Access",
                known.join(", ")
            ))
        })
}

async fn resolve(
    ctx: &Ctx,
    principal: &Principal,
) -> Result<(ObjectId, Kind, String, Option<String>), AppError> {
    Ok(match principal {
        Principal::User(text) => {
            let user = directory::find_user(ctx, text).await?;
            (user.id.into(), Kind::User, user.user_principal_name, None)
        }
        Principal::Group(text) | Principal::GroupAndNested(text) => {
            let group = directory::find_group(ctx, text).await?;
            let warning = (!group.security_enabled).then(|| {
                "the group is not security-enabled, so the assignment has no effect (OM-3)"
                    .to_owned()
            });
            (group.id.into(), Kind::Group, group.display_name, warning)
        }
    })
}

/// Whom an assignment of a group would include.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Included {
    /// The first of them by name: the user, and the group that has it as a member.
    pub users: Vec<(String, String)>,
    /// All of them.
    pub all: HashSet<UserId>,
    /// How many users they are.
    pub count: u64,
    /// Of these, immediate members of the group.
    pub immediate: u64,
    /// Nested groups that were looked into.
    pub nested: u64,
}

/// Tells whom an assignment of a group includes, or would include, by the directory as it is now: the first
/// `limit` of them by name. Deleted users and groups are left out; filters and roles are not asked.
pub async fn included(
    ctx: &Ctx,
    group: &str,
    transitive: bool,
    limit: usize,
) -> Result<Included, AppError> {
    let group = directory::find_group(ctx, group).await?;
    let tenant = ctx.tenant;
    ctx.store
        .read::<_, AppError, _>(move |tx| {
            Box::pin(async move {
                let mut included = Included::default();
                let mut named: BTreeMap<(String, ObjectId), String> = BTreeMap::new();
                let (mut seen, mut known) = (HashSet::from([group.id]), HashSet::new());
                let mut groups = VecDeque::from([group]);
                while let Some(group) = groups.pop_front() {
                    let mut after = None;
                    loop {
                        let page = memberships::members(tx, tenant, group.id, after, 500).await?;
                        let Some((last, _)) = page.last() else { break };
                        after = Some(*last);
                        let users = page.iter().filter(|(_, kind)| *kind == Kind::User);
                        let users: Vec<UserId> = users.map(|(id, _)| id.user()).collect();
                        for user in users::by_ids(tx, tenant, &users).await? {
                            if user.deleted.is_none() && known.insert(user.id) {
                                let via = group.display_name.clone();
                                named.insert((user.user_principal_name, user.id.into()), via);
                                if named.len() > limit {
                                    named.pop_last();
                                }
                            }
                        }
                    }
                    if included.nested == 0 {
                        included.immediate = known.len() as u64;
                    }
                    if !transitive {
                        break;
                    }
                    let nested = memberships::nested(tx, tenant, group.id).await?;
                    let nested: Vec<GroupId> = nested.into_iter().map(ObjectId::group).collect();
                    for group in groups::by_ids(tx, tenant, &nested).await? {
                        if group.deleted.is_none() && seen.insert(group.id) {
                            included.nested += 1;
                            groups.push_back(group);
                        }
                    }
                }
                included.count = known.len() as u64;
                included.all = known;
                included.users = named
                    .into_iter()
                    .map(|((name, _), via)| (name, via))
                    .collect();
                Ok(included)
            })
        })
        .await
}

/// Removes all assignments of a user or group; answers how many there were.
pub async fn unassign(
    ctx: &Ctx,
    application: &str,
    principal: &Principal,
) -> Result<(String, u64), AppError> {
    let application = find(ctx, application).await?;
    let (id, kind, name, _) = resolve(ctx, principal).await?;
    let (tenant, now) = (ctx.tenant, ctx.clock.now());
    let unassigned = format!("{kind} {name}");
    let entry = audit::entry(ctx, activity::UNASSIGN, application.job, unassigned);
    let gone = ctx
        .store
        .write::<_, AppError, _>(move |tx| {
            Box::pin(async move {
                let gone = assignments::remove(tx, tenant, application.id, id, None, now).await?;
                if gone > 0 {
                    audit_log::append(tx, tenant, &entry).await?;
                }
                Ok(gone)
            })
        })
        .await?;
    Ok((name, gone))
}

/// Who is to get which role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assigning {
    /// Who.
    pub principal: ObjectId,
    /// User or group.
    pub kind: Kind,
    /// The role, which the application must have; or [`RoleId::DEFAULT_ACCESS`].
    pub role: RoleId,
    /// Of a group: does it reach the members of nested groups, too?
    pub transitive: bool,
}

/// Assigns somebody who exists with a role that exists; answers `None` when that was so before.
pub async fn assign_role(
    ctx: &Ctx,
    application: &Application,
    asked: Assigning,
) -> Result<Option<Assignment>, AppError> {
    let Assigning {
        principal,
        kind,
        role,
        transitive,
    } = asked;
    let (tenant, id) = (ctx.tenant, application.id);
    let assignment = Assignment {
        id: AssignmentId::new(),
        application: id,
        principal,
        kind,
        role,
        transitive,
        created: ctx.clock.now(),
    };
    let assigned = format!("{kind} {principal} with the role {role}");
    let entry = audit::entry(ctx, activity::ASSIGN, application.job, assigned);
    let made = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move {
            // They may be gone by now.
            let is_role = role == RoleId::DEFAULT_ACCESS
                || applications::role(tx, tenant, id, role).await?.is_some();
            let is_there = match kind {
                Kind::User => users::find(tx, tenant, principal.user())
                    .await?
                    .is_some_and(|user| user.deleted.is_none()),
                Kind::Group => groups::find(tx, tenant, principal.group())
                    .await?
                    .is_some_and(|group| group.deleted.is_none()),
            };
            if !is_role || !is_there {
                return Err(AppError::NotFound(
                    "the role, or who is to have it, is gone".to_owned(),
                ));
            }
            let of = assignments::of_principal(tx, tenant, principal).await?;
            if of.iter().any(|it| it.application == id && it.role == role) {
                return Ok(None);
            }
            assignments::create(tx, tenant, &assignment).await?;
            audit_log::append(tx, tenant, &entry).await?;
            Ok(Some(assignment))
        })
    });
    made.await
}

/// Takes one assignment away.
pub async fn unassign_role(
    ctx: &Ctx,
    application: &Application,
    assignment: &Assignment,
) -> Result<(), AppError> {
    let (tenant, id, at) = (ctx.tenant, application.id, ctx.clock.now());
    let (principal, role) = (assignment.principal, assignment.role);
    let gone = format!("{} {principal} with the role {role}", assignment.kind);
    let entry = audit::entry(ctx, activity::UNASSIGN, application.job, gone);
    let removed = ctx.store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move {
            if assignments::remove(tx, tenant, id, principal, Some(role), at).await? > 0 {
                audit_log::append(tx, tenant, &entry).await?;
            }
            Ok(())
        })
    });
    removed.await
}

/// One assignment of an application.
pub async fn assignment(
    ctx: &Ctx,
    application: &Application,
    id: AssignmentId,
) -> Result<Option<Assignment>, AppError> {
    let (tenant, of) = (ctx.tenant, application.id);
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move { Ok(assignments::find(tx, tenant, of, id).await?) })
    });
    read.await
}

/// Assignments that are read at once.
const PORTION: u32 = 1000;

/// Assignments of an application after one of them, each with the principal's name, and how many there are in all.
pub async fn assigned(
    ctx: &Ctx,
    application: &Application,
    after: Option<AssignmentId>,
    limit: u32,
) -> Result<(Vec<(Assignment, String)>, u64), AppError> {
    let (tenant, id) = (ctx.tenant, application.id);
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move {
            let page = assignments::list(tx, tenant, id, after, limit).await?;
            let ids: Vec<ObjectId> = page.iter().map(|it| it.principal).collect();
            let mut names = users::names(tx, tenant, &ids).await?;
            names.extend(groups::names(tx, tenant, &ids).await?);
            Ok((page, names, assignments::count(tx, tenant, id).await?))
        })
    });
    let (page, names, total) = read.await?;
    let names: HashMap<ObjectId, String> = names.into_iter().collect();
    let named = page.into_iter().map(|it| {
        let name = names.get(&it.principal).cloned().unwrap_or_default();
        (it, name)
    });
    Ok((named.collect(), total))
}

/// All assignments of an application, each with the principal's name.
pub async fn assignments(
    ctx: &Ctx,
    application: &str,
) -> Result<Vec<(Assignment, String)>, AppError> {
    let application = find(ctx, application).await?;
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let (page, _) = assigned(ctx, &application, after, PORTION).await?;
        let Some((last, _)) = page.last() else { break };
        after = Some(last.id);
        all.extend(page);
    }
    Ok(all)
}

/// All assignments of a principal, each with the application's name.
pub async fn assignments_of(
    ctx: &Ctx,
    principal: ObjectId,
) -> Result<Vec<(Assignment, String)>, AppError> {
    let tenant = ctx.tenant;
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move {
            Ok((
                assignments::of_principal(tx, tenant, principal).await?,
                applications::list(tx, tenant).await?,
            ))
        })
    });
    let (all, known) = read.await?;
    let named = all.into_iter().map(|it| {
        let application = known.iter().find(|known| known.id == it.application);
        let name = application
            .map(|it| it.display_name.clone())
            .unwrap_or_default();
        (it, name)
    });
    Ok(named.collect())
}
