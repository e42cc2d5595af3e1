//! The receiving side: an integration is one sender of users and groups.

use crate::{IntegrationId, Position, ResourceId, Timestamp, TokenId, WebhookId};

/// The type of a received resource. Users and groups are the same everywhere; an integration may bring
/// more, and numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceKind(i64);

impl ResourceKind {
    /// `User`.
    pub const USER: Self = Self(1);
    /// `Group`.
    pub const GROUP: Self = Self(2);
    /// The types that every integration has.
    pub const STANDARD: [Self; 2] = [Self::USER, Self::GROUP];

    /// The type with this number.
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// Its number within the integration, from 1.
    pub const fn number(self) -> i64 {
        self.0
    }
}

/// What happened to a received resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Happening {
    /// It arrived.
    Created,
    /// Some of its attributes changed.
    Updated,
    /// It became inactive; other attributes may have changed with it.
    Disabled,
    /// It became active again; other attributes may have changed with it.
    Enabled,
    /// It is gone.
    Deleted,
    /// Members joined a group.
    MembersAdded,
    /// Members left a group.
    MembersRemoved,
}

impl Happening {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Created,
        Self::Updated,
        Self::Disabled,
        Self::Enabled,
        Self::Deleted,
        Self::MembersAdded,
        Self::MembersRemoved,
    ];

    /// The word for it in the event feed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Updated => "updated",
            Self::Disabled => "disabled",
            Self::Enabled => "enabled",
            Self::Deleted => "deleted",
            Self::MembersAdded => "members.added",
            Self::MembersRemoved => "members.removed",
        }
    }
}

/// An entry of an integration's event feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedEvent {
    /// Its place; grows from entry to entry.
    pub position: Position,
    /// What happened.
    pub what: Happening,
    /// To what type of resource.
    pub kind: ResourceKind,
    /// To which one.
    pub resource: ResourceId,
    /// The version that the resource had then; of several changes of members that are told together, the last one.
    pub version: i64,
    /// The paths that changed, or the ids of the members that joined or left.
    pub details: Vec<String>,
    /// When; of several the last time.
    pub at: Timestamp,
}

/// An integration of the kind "Third-party Users & Groups Sync".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// Its id; part of the SCIM URL.
    pub id: IntegrationId,
    /// Shown to people; unique in the tenant ignoring case.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// What it accepts.
    pub settings: Settings,
}

/// What an integration accepts. By default it is lenient and knows no limits but those of the server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Are attributes refused that no schema declares? Otherwise they are kept beside the resource.
    pub strict: bool,
    /// Requests a second at most.
    pub requests_per_second: Option<u32>,
    /// Resources at most, of all types together.
    pub max_resources: Option<u64>,
    /// Bytes of a body at most.
    pub max_body: Option<u64>,
    /// Networks in CIDR notation from which requests may come; from everywhere when there is none.
    pub allowed_networks: Vec<String>,
}

/// What a token of an integration is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// For the sender: everything that SCIM can do.
    Provision,
    /// For the receiving application: reading, and the event feed.
    Read,
}

/// A token of an integration. The token itself is shown once and never kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// The integration it opens.
    pub integration: IntegrationId,
    /// What it is for.
    pub purpose: Purpose,
    /// The OAuth client that it was given to, if it was not made by an administrator.
    pub client: Option<TokenId>,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is refused.
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
}

/// Where the events of an integration are sent as they happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Where to.
    pub url: String,
    /// When it was made.
    pub created: Timestamp,
    /// Everything up to here has been delivered.
    pub position: Position,
    /// Attempts that failed since the last success.
    pub failures: u32,
    /// Before this nothing is tried.
    pub next_attempt: Timestamp,
    /// Given up, until somebody resumes it?
    pub stopped: bool,
    /// What went wrong last.
    pub last_error: Option<String>,
    /// When something was last delivered.
    pub last_success: Option<Timestamp>,
}
