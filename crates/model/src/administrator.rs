//! Who may use the pages, and what for.

use std::fmt;
use std::str::FromStr;

use crate::{AdministratorId, SessionId, Timestamp};

/// What somebody may do; each may what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Look at everything but secrets.
    Reader,
    /// Start, pause and restart jobs, provision on demand, apply plans, allow what a guard holds back.
    Operator,
    /// Everything.
    Administrator,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Reader, Self::Operator, Self::Administrator];

    /// In a word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reader => "reader",
            Self::Operator => "operator",
            Self::Administrator => "administrator",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Role {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|it| it.as_str() == text)
            .ok_or(())
    }
}

/// Somebody who may sign in to the pages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Administrator {
    /// Their id.
    pub id: AdministratorId,
    /// The name with which they sign in; the audit log names it as who acted.
    pub name: String,
    /// What they may do.
    pub role: Role,
    /// When they were added.
    pub created: Timestamp,
    /// When they last signed in.
    pub last_signed_in: Option<Timestamp>,
}

/// Somebody who is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Its id.
    pub id: SessionId,
    /// Who.
    pub administrator: AdministratorId,
    /// What every form of the session carries.
    pub csrf: String,
    /// When they signed in.
    pub created: Timestamp,
    /// When they were last seen, to the minute.
    pub last_seen: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// With what they came, as the browser calls itself.
    pub agent: String,
}
