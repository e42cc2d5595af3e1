//! Tokens of the control API, and what they allow.

use crate::{Timestamp, TokenId};

/// A token of the control API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Its id.
    pub id: TokenId,
    /// What whoever made it calls it; the audit log names it as who acted.
    pub name: String,
    /// The permissions that it has, by the names of Microsoft Graph.
    pub scopes: Vec<String>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends to be good.
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
}

/// The permissions that there are, and what each allows.
pub const PERMISSIONS: &[(&str, &str)] = &[
    ("User.Read.All", "read users"),
    ("User.ReadWrite.All", "read and change users"),
    ("Group.Read.All", "read groups and their members"),
    ("GroupMember.Read.All", "read groups and their members"),
    (
        "Group.ReadWrite.All",
        "read and change groups and their members",
    ),
    (
        "Directory.Read.All",
        "read users, groups, applications and assignments",
    ),
    (
        "Directory.ReadWrite.All",
        "read all of these, and change users and groups",
    ),
    ("Application.Read.All", "read applications and assignments"),
    ("Application.ReadWrite.All", "read and change applications"),
    (
        "AppRoleAssignment.ReadWrite.All",
        "read and change assignments",
    ),
    (
        "Synchronization.Read.All",
        "read jobs, schemas and templates",
    ),
    (
        "Synchronization.ReadWrite.All",
        "read and change jobs, schemas and credentials",
    ),
    (
        "AuditLog.Read.All",
        "read the provisioning log and the audit log",
    ),
    ("SynchronizationData-User.Upload", "upload people"),
];

impl ApiToken {
    /// Is it good at this moment?
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|expires| now < expires)
    }

    /// Has it one of these permissions?
    pub fn allows(&self, permissions: &[&str]) -> bool {
        self.scopes
            .iter()
            .any(|scope| permissions.contains(&scope.as_str()))
    }
}
