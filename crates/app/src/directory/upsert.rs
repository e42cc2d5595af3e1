//! Creates what is new and updates what is there: the rules that imports and change events share.

use muster_model::directory::{Group, User};
use muster_model::{Attributes, GroupId, UserId};

use super::patch::{GroupPatch, Manager, UserPatch};
use super::property::{Fault, quoted};

/// What became of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It is new.
    Created,
    /// It changed.
    Updated,
    /// It was like that already; nothing was written.
    Unchanged,
}

/// Which user is meant: the one with the id, which may be renamed by it, otherwise the one with
/// the sign-in name. `None` is a new one.
pub(crate) fn whom(
    patch: &UserPatch,
    by_id: Option<User>,
    by_name: Option<User>,
) -> Result<Option<User>, Fault> {
    let (Some(id), Some(holder)) = (patch.id, &by_name) else {
        return Ok(by_id.or(by_name));
    };
    if holder.id == id {
        return Ok(by_name);
    }
    let name = quoted(&holder.user_principal_name);
    Err(Fault::new(
        "id",
        format!(
            "{id} is given, but {name} is the user {}; give that id or none, or another \
             userPrincipalName",
            holder.id
        ),
    ))
}

/// The user as it shall be; a soft-deleted one lives again.
pub(crate) fn user_after(patch: &UserPatch, old: Option<&User>, manager: Manager<UserId>) -> User {
    let new = || User {
        id: patch.id.unwrap_or_default(),
        user_principal_name: String::new(),
        account_enabled: true,
        manager: None,
        attributes: Attributes::new(),
        deleted: None,
    };
    let mut user = old.cloned().unwrap_or_else(new);
    user.deleted = None;
    patch.apply(&mut user, manager);
    user
}

/// Which group is meant: by id, or, without one, the only one of that name. `None` is a new one.
pub(crate) fn which(
    patch: &GroupPatch,
    by_id: Option<Group>,
    by_name: Vec<Group>,
) -> Result<Option<Group>, Fault> {
    if patch.id.is_some() {
        return Ok(by_id);
    }
    match by_name.as_slice() {
        [] | [_] => Ok(by_name.into_iter().next()),
        [first, ..] => {
            let reason = ambiguous(&first.display_name, by_name.iter().map(|group| group.id));
            Err(Fault::new("displayName", reason))
        }
    }
}

/// Says that several groups have one name, and which.
pub(crate) fn ambiguous(name: &str, ids: impl Iterator<Item = GroupId>) -> String {
    let ids: Vec<String> = ids.map(|id| id.to_string()).collect();
    let name = quoted(name);
    format!(
        "{} groups are called {name}; name one by its id: {}",
        ids.len(),
        ids.join(", ")
    )
}

/// The group as it shall be; a soft-deleted one lives again.
pub(crate) fn group_after(patch: &GroupPatch, old: Option<&Group>) -> Group {
    let new = || Group {
        id: patch.id.unwrap_or_default(),
        display_name: String::new(),
        security_enabled: true,
        attributes: Attributes::new(),
        deleted: None,
    };
    let mut group = old.cloned().unwrap_or_else(new);
    group.deleted = None;
    patch.apply(&mut group);
    group
}

/// What became of an object, from what it was and what it is.
pub(crate) fn outcome<T: PartialEq>(old: Option<&T>, new: &T) -> Outcome {
    match old {
        None => Outcome::Created,
        Some(old) if old == new => Outcome::Unchanged,
        Some(_) => Outcome::Updated,
    }
}
