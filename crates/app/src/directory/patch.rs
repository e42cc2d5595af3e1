//! What somebody says about a user or a group: only what is named changes, null clears.

use muster_model::directory::{Group, Kind, User};
use muster_model::{GroupId, UserId, Value};

use super::property::{Fault, checked, checked_name, shape};

/// A user named by somebody: by id or by sign-in name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// By id.
    Id(UserId),
    /// By `userPrincipalName`.
    Name(String),
}

/// What becomes of a user's manager: as it is named, or as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manager<T = Named> {
    /// Nothing is said of it.
    #[default]
    Keep,
    /// There is none.
    Clear,
    /// This one.
    Set(T),
}

/// What is said about a user.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct UserPatch {
    /// `id`.
    pub(crate) id: Option<UserId>,
    /// `userPrincipalName`.
    pub(crate) name: Option<String>,
    /// `accountEnabled`.
    pub(crate) enabled: Option<bool>,
    /// `manager`.
    pub(crate) manager: Manager,
    /// Everything else.
    pub(crate) attributes: Vec<(String, Value)>,
}

impl UserPatch {
    /// What this list of properties says.
    pub(crate) fn read(set: Vec<(String, Value)>) -> Result<Self, Fault> {
        let mut patch = Self::default();
        for (name, value) in set {
            patch
                .put(&name, value)
                .map_err(|reason| Fault::new(&name, reason))?;
        }
        Ok(patch)
    }

    /// Says one more thing.
    pub(crate) fn put(&mut self, name: &str, value: Value) -> Result<(), String> {
        match name {
            "id" => self.id = read_id(&value)?,
            "userPrincipalName" => self.name = Some(checked_name(value)?),
            "accountEnabled" => self.enabled = Some(flag(Kind::User, name, value)?),
            "manager" => self.manager = read_manager(value)?,
            _ => {
                let value = checked(shape(Kind::User, name)?, value)?;
                self.attributes.push((name.to_owned(), value));
            }
        }
        Ok(())
    }

    /// Makes the user what is said, with this manager.
    pub(crate) fn apply(&self, user: &mut User, manager: Manager<UserId>) {
        if let Some(name) = &self.name {
            user.user_principal_name.clone_from(name);
        }
        user.account_enabled = self.enabled.unwrap_or(user.account_enabled);
        match manager {
            Manager::Keep => {}
            Manager::Clear => user.manager = None,
            Manager::Set(id) => user.manager = Some(id),
        }
        for (name, value) in &self.attributes {
            user.attributes.set(name, value.clone());
        }
    }
}

/// What is said about a group.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct GroupPatch {
    /// `id`.
    pub(crate) id: Option<GroupId>,
    /// `displayName`.
    pub(crate) name: Option<String>,
    /// `securityEnabled`.
    pub(crate) security_enabled: Option<bool>,
    /// Everything else.
    pub(crate) attributes: Vec<(String, Value)>,
}

impl GroupPatch {
    /// What this list of properties says.
    pub(crate) fn read(set: Vec<(String, Value)>) -> Result<Self, Fault> {
        let mut patch = Self::default();
        for (name, value) in set {
            patch
                .put(&name, value)
                .map_err(|reason| Fault::new(&name, reason))?;
        }
        Ok(patch)
    }

    /// Says one more thing.
    pub(crate) fn put(&mut self, name: &str, value: Value) -> Result<(), String> {
        match name {
            "id" => self.id = read_id(&value)?,
            "displayName" => self.name = Some(checked_name(value)?),
            "securityEnabled" => self.security_enabled = Some(flag(Kind::Group, name, value)?),
            _ => {
                let value = checked(shape(Kind::Group, name)?, value)?;
                self.attributes.push((name.to_owned(), value));
            }
        }
        Ok(())
    }

    /// Makes the group what is said.
    pub(crate) fn apply(&self, group: &mut Group) {
        if let Some(name) = &self.name {
            group.display_name.clone_from(name);
        }
        group.security_enabled = self.security_enabled.unwrap_or(group.security_enabled);
        for (name, value) in &self.attributes {
            group.attributes.set(name, value.clone());
        }
    }
}

/// An id, or nothing.
pub(crate) fn read_id<I: std::str::FromStr>(value: &Value) -> Result<Option<I>, String>
where
    I::Err: std::fmt::Display,
{
    match value {
        Value::Null => Ok(None),
        Value::Text(text) if text.trim().is_empty() => Ok(None),
        Value::Text(text) => text
            .trim()
            .parse()
            .map(Some)
            .map_err(|error: I::Err| error.to_string()),
        _ => Err("must be an id".to_owned()),
    }
}

fn flag(kind: Kind, name: &str, value: Value) -> Result<bool, String> {
    let value = checked(shape(kind, name)?, value)?;
    value
        .as_bool()
        .ok_or_else(|| "must be true or false".to_owned())
}

/// A text (id or sign-in name) or Graph's `{"id": …}`.
fn read_manager(value: Value) -> Result<Manager, String> {
    let text = match value {
        Value::Null => return Ok(Manager::Clear),
        Value::Text(text) => text,
        Value::Object(members) => {
            let named = members
                .text("id")
                .or_else(|| members.text("userPrincipalName"));
            named
                .ok_or("names neither `id` nor `userPrincipalName`")?
                .to_owned()
        }
        _ => return Err("must be an id or a userPrincipalName".to_owned()),
    };
    let text = text.trim();
    if text.is_empty() {
        return Ok(Manager::Clear);
    }
    if let Ok(id) = text.parse() {
        return Ok(Manager::Set(Named::Id(id)));
    }
    Ok(Manager::Set(Named::Name(checked_name(text.into())?)))
}
