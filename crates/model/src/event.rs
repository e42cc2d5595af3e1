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
    pub name: StepName,
    /// How it went.
    pub status: Status,
    /// In plain words.
    pub description: String,
    /// Named details, such as the scoping flags.
    pub details: Vec<(String, String)>,
}

impl Step {
    /// What kind of step it is.
    pub const fn kind(&self) -> StepKind {
        self.name.kind()
    }
}

/// The detail of a step that names the attribute over which an object was skipped or failed (10.3).
pub const PROPERTY_NAME: &str = "PropertyName";

impl Event {
    /// The details of one of its steps, with those that the event itself tells: for a step at which nothing was
    /// done `SkipReason`, for the last ones `ReportableIdentifier` (10.3).
    pub fn details<'a>(&'a self, step: &'a Step) -> Vec<(&'a str, &'a str)> {
        let own = step.details.iter();
        let mut details: Vec<(&str, &str)> = own.map(|(name, told)| (&**name, &**told)).collect();
        if step.name == StepName::Skip {
            details.push(("SkipReason", &self.code));
        }
        if step.name == StepName::Skip || step.kind() == StepKind::Export {
            details.push(("ReportableIdentifier", &self.source_name));
        }
        details
    }
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
    /// The steps of an object's way, each by the word by which it is kept.
    StepName {
        /// Somebody asked for it, and it was read from the source.
        Import = "import",
        /// It is new to the job.
        ImportAdd = "importAdd",
        /// It changed in the source, or is looked at again.
        ImportUpdate = "importUpdate",
        /// It is gone from the source.
        ImportDelete = "importDelete",
        /// Is it in scope?
        Scoping = "scoping",
        /// Which object at the target is it?
        Matching = "matching",
        /// It is to be created.
        Add = "add",
        /// It is to be changed.
        Update = "update",
        /// It is to be switched off.
        Disable = "disable",
        /// It is to be removed.
        Delete = "delete",
        /// Nothing is to be done.
        Skip = "skip",
        /// Manager and members.
        References = "references",
        /// It was created.
        ExportAdd = "exportAdd",
        /// It was changed.
        ExportUpdate = "exportUpdate",
        /// It was removed.
        ExportDelete = "exportDelete",
    }
}

impl StepName {
    /// The name by which the log shows it (10.3).
    pub const fn shown(self) -> &'static str {
        match self {
            Self::Import | Self::Matching => "EntryImport",
            Self::ImportAdd => "EntryImportAdd",
            Self::ImportUpdate => "EntryImportUpdate",
            Self::ImportDelete => "EntryImportDelete",
            Self::Scoping => "EntrySynchronizationScoping",
            Self::Add => "EntrySynchronizationAdd",
            Self::Update => "EntrySynchronizationUpdate",
            Self::Disable => "EntrySynchronizationDisable",
            Self::Delete => "EntrySynchronizationDelete",
            Self::Skip => "EntrySynchronizationSkip",
            Self::References => "EntryReferenceResolution",
            Self::ExportAdd => "EntryExportAdd",
            Self::ExportUpdate => "EntryExportUpdate",
            Self::ExportDelete => "EntryExportDelete",
        }
    }

    /// What kind of step it is.
    pub const fn kind(self) -> StepKind {
        match self {
            Self::Import | Self::ImportAdd | Self::ImportUpdate | Self::ImportDelete => {
                StepKind::Import
            }
            Self::Scoping => StepKind::Scoping,
            Self::Matching => StepKind::Matching,
            Self::Add | Self::Update | Self::Disable | Self::Delete | Self::Skip => {
                StepKind::Processing
            }
            Self::References => StepKind::ReferenceResolution,
            Self::ExportAdd | Self::ExportUpdate | Self::ExportDelete => StepKind::Export,
        }
    }
}

named! {
    /// The kinds of steps (10.2).
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
