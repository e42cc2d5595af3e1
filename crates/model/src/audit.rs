//! The audit log: who changed the configuration of provisioning (10.7), the directory, and what gives access to both.

use crate::event::Modified;
use crate::{EventId, JobId, Timestamp};

/// Something that somebody changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Audited {
    /// Its id.
    pub id: EventId,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: String,
    /// What was done: one of [`activity`], or another name that is kept.
    pub activity: String,
    /// The job that it concerns.
    pub job: Option<JobId>,
    /// What was changed, when that is an object of the directory.
    pub target: Option<Target>,
    /// In plain words, and without secrets: what has changed.
    pub detail: String,
    /// Properties before and after.
    pub changes: Vec<Modified>,
}

/// An object that was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// `User` or `Group`.
    pub kind: String,
    /// Its id.
    pub id: String,
    /// The name to show for it.
    pub name: String,
}

/// The name under which the service itself acts.
pub const SERVICE: &str = "provisioning service";

/// Of an address what is no secret: many have one in their path, in their query, or before their host.
pub fn origin(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    format!("{scheme}://{host}")
}

/// Names of activities: those of 10.7, and further ones.
pub mod activity {
    /// Credentials, notification email, scope, guard, and the other settings of a job.
    pub const SETTINGS: &str = "Update provisioning setting or credentials";
    /// Provisioning Status On.
    pub const START: &str = "Enable/start provisioning configuration";
    /// Provisioning Status Off.
    pub const STOP: &str = "Disable/pause provisioning configuration";
    /// Restart.
    pub const RESTART: &str = "Enable/restart provisioning configuration";
    /// Mappings and filters.
    pub const MAPPINGS: &str = "Update attribute mappings or scope";
    /// Going into quarantine, and out of it (EH-13).
    pub const QUARANTINE: &str = "Quarantine";
    /// An application was added.
    pub const ADD: &str = "Add application";
    /// A job was removed; its application stays.
    pub const REMOVE_JOB: &str = "Delete provisioning configuration";
    /// An application was removed, with its job.
    pub const REMOVE: &str = "Remove application";
    /// Somebody was assigned.
    pub const ASSIGN: &str = "Add app role assignment";
    /// Somebody was unassigned.
    pub const UNASSIGN: &str = "Remove app role assignment";
    /// What the guard holds back was allowed (EH-18).
    pub const ALLOW: &str = "Allow deletes";
    /// A link was dropped or set by hand (CY-7).
    pub const LINK: &str = "Change link";
    /// Somebody knows of what was told.
    pub const ACKNOWLEDGE: &str = "Acknowledge notices";
    /// A plan was applied.
    pub const APPLY: &str = "Apply plan";
    /// A plan was refused, and is kept no more.
    pub const REFUSE: &str = "Refuse plan";
    /// Somebody was provisioned on demand.
    pub const DEMAND: &str = "Provision on demand";
    /// A receiving side was made, or what lets in to it, or what it accepts, was changed.
    pub const INTEGRATION: &str = "Update integration";
    /// A token of the control API was made or revoked.
    pub const TOKEN: &str = "Update API token";
    /// Somebody who may use the pages came, went, or got another role or password.
    pub const ADMINISTRATOR: &str = "Update administrator";
    /// A user was created.
    pub const ADD_USER: &str = "Add user";
    /// Properties of a user were changed.
    pub const UPDATE_USER: &str = "Update user";
    /// A user was deleted, and can be restored.
    pub const DELETE_USER: &str = "Delete user";
    /// A deleted user was restored.
    pub const RESTORE_USER: &str = "Restore user";
    /// A user was deleted for good.
    pub const PURGE_USER: &str = "Hard delete user";
    /// A group was created.
    pub const ADD_GROUP: &str = "Add group";
    /// Properties of a group were changed.
    pub const UPDATE_GROUP: &str = "Update group";
    /// A group was deleted.
    pub const DELETE_GROUP: &str = "Delete group";
    /// Somebody became a member of a group.
    pub const ADD_MEMBER: &str = "Add member to group";
    /// Somebody is a member of a group no more.
    pub const REMOVE_MEMBER: &str = "Remove member from group";
    /// Many users, groups or memberships came from a file.
    pub const IMPORT: &str = "Import directory";
}

#[cfg(test)]
mod tests {
    use super::origin;

    #[test]
    fn of_an_address_only_the_origin_is_told() {
        let full = "https://user:pass@hooks.example:8443/services/T0/secret?token=1";
        assert_eq!(origin(full), "https://hooks.example:8443");
        assert_eq!(origin("https://scim.example"), "https://scim.example");
    }
}
