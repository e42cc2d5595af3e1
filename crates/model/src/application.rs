//! Enterprise applications, their roles, and who is assigned.

use crate::directory::Kind;
use crate::{ApplicationId, AssignmentId, JobId, ObjectId, RoleId, Timestamp};

/// An instance of a gallery application, or of an application of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// The id of the service principal.
    pub id: ApplicationId,
    /// Shown to people; unique in the tenant ignoring case.
    pub display_name: String,
    /// The gallery entry it was made from; `None` for an application of one's own.
    pub template: Option<String>,
    /// Its provisioning job.
    pub job: JobId,
    /// When it was added.
    pub created: Timestamp,
}

/// A role that the application knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRole {
    /// Its id; [`RoleId::DEFAULT_ACCESS`] is never stored.
    pub id: RoleId,
    /// What the application calls it.
    pub value: String,
    /// Shown to people.
    pub display_name: String,
}

/// A user or group with one role in an application (OM-1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Its id.
    pub id: AssignmentId,
    /// The application.
    pub application: ApplicationId,
    /// Who is assigned.
    pub principal: ObjectId,
    /// What the principal is.
    pub kind: Kind,
    /// The role; [`RoleId::DEFAULT_ACCESS`] when none was chosen.
    pub role: RoleId,
    /// Of a group: does it reach the members of nested groups, too? The immediate members alone, when it does
    /// not (OM-2).
    pub transitive: bool,
    /// When it was made.
    pub created: Timestamp,
}
