//! The directory's users, groups and memberships: finding them, changing them one at a time.
//!
//! Each use case is one transaction and writes to the change feed only when something changed.
//! Many at a time come through [`crate::import`], by the same rules.

pub mod bin;
mod changes;
pub(crate) mod find;
mod groups;
pub(crate) mod json;
pub(crate) mod nearest;
pub(crate) mod patch;
pub(crate) mod property;
pub mod read;
pub(crate) mod upsert;
mod users;

pub use changes::apply_change;
pub use find::{find_group, find_user};
pub use groups::{
    add_member, create_group, create_group_with, delete_group, remove_member, rename_group,
    update_group, update_group_with,
};
pub use users::{create_user, purge_user, restore_user, soft_delete_user, update_user};

use crate::import::csv::value_of;
use crate::{AppError, Ctx};
use muster_model::Value;
use muster_model::directory::{Kind, Shape};
use muster_store::{groups as stored_groups, memberships, users as stored_users};

/// How much the directory holds; soft-deleted objects are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Users.
    pub users: u64,
    /// Groups.
    pub groups: u64,
    /// Memberships.
    pub memberships: u64,
}

/// How much the directory holds.
pub async fn counts(ctx: &Ctx) -> Result<Counts, AppError> {
    let tenant = ctx.tenant;
    let read = ctx.store.read(|tx| {
        Box::pin(async move {
            Ok(Counts {
                users: stored_users::count(tx, tenant).await?,
                groups: stored_groups::count(tx, tenant).await?,
                memberships: memberships::count(tx, tenant).await?,
            })
        })
    });
    read.await
}

/// Properties as somebody writes them, each a name, =, and a value as in an import.
pub fn properties(kind: Kind, texts: &[String]) -> Result<Vec<(String, Value)>, AppError> {
    let mut set: Vec<(String, Value)> = Vec::with_capacity(texts.len());
    for text in texts {
        let (name, value) = text.split_once('=').ok_or_else(|| {
            AppError::Invalid(format!("`{text}` is no property; write NAME=VALUE"))
        })?;
        let name = name.trim();
        if set.iter().any(|(other, _)| other == name) {
            return Err(AppError::Invalid(format!(
                "`{name}` is named twice; several values are told apart by semicolons"
            )));
        }
        let is_several = matches!(property::shape(kind, name), Ok(Shape::Texts));
        set.push((name.to_owned(), value_of(value.to_owned(), is_several)));
    }
    Ok(set)
}

impl From<property::Fault> for AppError {
    fn from(fault: property::Fault) -> Self {
        Self::Invalid(fault.to_string())
    }
}
