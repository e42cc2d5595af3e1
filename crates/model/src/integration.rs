//! The receiving side: an integration is one sender of users and groups.

use crate::{IntegrationId, Timestamp, TokenId};

/// An integration of the kind "Third-party Users & Groups Sync".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// Its id; part of the SCIM URL.
    pub id: IntegrationId,
    /// Shown to people; unique in the tenant ignoring case.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
}

/// A token of an integration. The token itself is shown once and never kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its id.
    pub id: TokenId,
    /// The integration it opens.
    pub integration: IntegrationId,
    /// When it was made.
    pub created: Timestamp,
    /// From when on it is refused.
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// When it was last used, to the minute.
    pub last_used: Option<Timestamp>,
}
