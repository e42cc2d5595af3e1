//! The link: the stored pair of a source object and its object at the target.

use std::fmt;

use crate::directory::Kind;
use crate::{ObjectId, Timestamp};

/// The source's name for an object; opaque to the engine.
pub type SourceAnchor = ObjectId;

/// The target's name for an object; opaque to everyone but the target.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(pub String);

impl fmt::Display for TargetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The pair, and how far it is managed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// What kind of object.
    pub kind: Kind,
    /// The object in the source.
    pub anchor: SourceAnchor,
    /// The object at the target.
    pub target: TargetId,
    /// Is it still managed?
    pub state: LinkState,
    /// When it was made; of one that is leaving, when it was disabled.
    pub since: Timestamp,
}

/// How far a linked object is managed (5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkState {
    /// In scope.
    Managed,
    /// Disabled because the source disabled or soft-deleted the object; a purge still deletes it.
    Disabled,
    /// Disabled because the object left; deleted at the target when its grace is over, unless it comes back.
    Leaving,
    /// Left scope by assignment or filter; a later deletion in the source sends nothing.
    Released,
}

impl LinkState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Managed, Self::Disabled, Self::Leaving, Self::Released];
}
