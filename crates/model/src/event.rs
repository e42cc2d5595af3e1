//! The provisioning log: one event for each object that a cycle had something to say about
//! (section 10 of the behaviour reference).

use std::fmt;
use std::str::FromStr;

use crate::directory::Kind;
use crate::link::{SourceAnchor, TargetId};
use crate::{CycleId, EventId, JobId, Timestamp, Value};

/// An event of the provisioning log.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Its id.
    pub id: EventId,
    /// The job.
    pub job: JobId,
    /// The cycle.
    pub cycle: CycleId,
    /// When it happened.
    pub at: Timestamp,
    /// How long the object took.
    pub duration_ms: u64,
    /// What was done.
    pub action: Action,
    /// How it went.
    pub status: Status,
    /// Error or skip code of 10.3 and 10.6; empty on success.
    pub code: String,
    /// In plain words: what happened and, on failure, what to do.
    pub detail: String,
    /// What kind of object.
    pub kind: Kind,
    /// The object in the source.
    pub source: SourceAnchor,
    /// The name to show for it.
    pub source_name: String,
    /// The object at the target, when known.
    pub target: Option<TargetId>,
    /// The steps, in order.
    pub steps: Vec<Step>,
    /// What changed at the target.
    pub modified: Vec<Modified>,
}

/// One step of an event (10.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which step.
    pub kind: StepKind,
    /// How it went.
    pub status: Status,
    /// In plain words.
    pub description: String,
    /// Named details, such as the scoping flags.
    pub details: Vec<(String, String)>,
}

/// One attribute that changed at the target.
#[derive(Clone, Debug, PartialEq)]
pub struct Modified {
    /// The attribute's path at the target.
    pub name: String,
    /// Before; null when unknown.
    pub old: Value,
    /// After.
    pub new: Value,
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$vdoc])* $variant),+ }
        impl $name {
            /// The word used in logs and answers.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
        impl FromStr for $name {
            type Err = UnknownWord;
            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                match text { $($text => Ok(Self::$variant),)+ _ => Err(UnknownWord::of(text)) }
            }
        }
    };
}

/// A word that is none of those known.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a known word here")]
pub struct UnknownWord(String);

impl UnknownWord {
    pub(crate) fn of(text: &str) -> Self {
        Self(text.chars().take(40).collect())
    }
}

named! {
    /// What was done (10.2).
    Action {
        /// Created at the target.
        Create = "create",
        /// Changed at the target.
        Update = "update",
        /// Removed from the target.
        Delete = "delete",
        /// Would have been removed; held back.
        StagedDelete = "stageddelete",
        /// Set inactive at the target.
        Disable = "disable",
        /// Nothing of the above.
        Other = "other",
    }
}

named! {
    /// How an event or step went (10.2).
    Status {
        /// As intended.
        Success = "success",
        /// Not done.
        Failure = "failure",
        /// Nothing to do.
        Skipped = "skipped",
        /// Done, with something to look at.
        Warning = "warning",
    }
}

named! {
    /// The steps of an object's way (10.2).
    StepKind {
        /// Read from the source.
        Import = "import",
        /// Is it in scope?
        Scoping = "scoping",
        /// Which object at the target is it?
        Matching = "matching",
        /// What should happen?
        Processing = "processing",
        /// Manager and members.
        ReferenceResolution = "referenceResolution",
        /// Make it happen.
        Export = "export",
    }
}
