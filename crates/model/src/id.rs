//! Ids: one type for each kind of thing, so that two kinds cannot be mixed up.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// The text is not a UUID.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an id such as 0190f0d5-7c1e-7a63-9f6b-0f9c2d3e4a5b")]
pub struct BadId(String);

macro_rules! typed_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A new id; ids made later sort later.
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }
            /// The id with these sixteen bytes.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
            /// The sixteen bytes of the id.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }
            /// The underlying UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }
        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }
        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), f)
            }
        }
        impl FromStr for $name {
            type Err = BadId;
            fn from_str(text: &str) -> Result<Self, BadId> {
                Uuid::try_parse(text).map(Self).map_err(|_| BadId(text.chars().take(60).collect()))
            }
        }
    )+};
}

typed_id! {
    /// A user of the directory.
    UserId,
    /// A group of the directory.
    GroupId,
    /// A user or a group of the directory, where either may stand.
    ObjectId,
    /// An enterprise application.
    ApplicationId,
    /// An app role of an application; all zeroes is Default Access (OM-1).
    RoleId,
    /// An assignment of a user or group to an application.
    AssignmentId,
    /// A provisioning job.
    JobId,
    /// One run of a job.
    CycleId,
    /// An event of the provisioning log.
    EventId,
    /// An integration: one sender of users and groups.
    IntegrationId,
    /// A token of an integration.
    TokenId,
    /// Somebody who may use the pages.
    AdministratorId,
    /// Somebody's being signed in.
    SessionId,
    /// A resource that an integration received.
    ResourceId,
    /// A webhook of an integration.
    WebhookId,
}

impl RoleId {
    /// The role of an assignment when the application defines none.
    pub const DEFAULT_ACCESS: Self = Self(Uuid::nil());
}

impl From<UserId> for ObjectId {
    fn from(id: UserId) -> Self {
        Self(id.0)
    }
}

impl From<GroupId> for ObjectId {
    fn from(id: GroupId) -> Self {
        Self(id.0)
    }
}

impl ObjectId {
    /// The id read as that of a user.
    pub const fn user(self) -> UserId {
        UserId(self.0)
    }
    /// The id read as that of a group.
    pub const fn group(self) -> GroupId {
        GroupId(self.0)
    }
}

/// Fills a buffer with randomness; with zeroes when the system gives none.
pub fn fill_random(bytes: &mut [u8]) {
    if getrandom::fill(bytes).is_err() {
        bytes.fill(0);
    }
}

/// Whose data it is. First column of every table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(pub i64);

impl TenantId {
    /// The tenant of a single-organisation installation.
    pub const FIRST: Self = Self(1);
}
