//! One run of a job.

use std::collections::BTreeMap;

use crate::{CycleId, JobId, Timestamp};

/// Everything, what changed since the watermark, or what somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CycleKind {
    /// Evaluates every object.
    Initial,
    /// Evaluates what changed.
    Incremental,
    /// Evaluates one object and what belongs to it (section 9).
    OnDemand,
}

/// A word that is no kind of cycle.
#[derive(Debug, thiserror::Error)]
#[error("unknown kind of cycle")]
pub struct UnknownKind;

impl std::str::FromStr for CycleKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        [Self::Initial, Self::Incremental, Self::OnDemand]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or(UnknownKind)
    }
}

impl CycleKind {
    /// `initial`, `incremental` or `onDemand`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Incremental => "incremental",
            Self::OnDemand => "onDemand",
        }
    }
}

/// What the cycles of a job have done, one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// What they did to objects, and their requests.
    pub counts: Counts,
    /// How many cycles ended, by kind and by how: `Succeeded`, `EntryLevelErrors`, `Failed`.
    pub cycles: BTreeMap<(&'static str, &'static str), u64>,
    /// How long they took together.
    pub seconds: f64,
}

/// How a cycle ended (11.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CycleState {
    /// Still running, or its process ended in the middle.
    Running,
    /// No error.
    Succeeded,
    /// Some objects failed.
    EntryLevelErrors,
    /// The whole cycle was aborted.
    Failed {
        /// Reason code.
        code: String,
        /// What to do, in plain words.
        detail: String,
    },
}

impl CycleState {
    /// One word.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::EntryLevelErrors => "EntryLevelErrors",
            Self::Failed { .. } => "Failed",
        }
    }
}

/// A cycle and what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle {
    /// Its id.
    pub id: CycleId,
    /// Whose cycle.
    pub job: JobId,
    /// Everything or changes.
    pub kind: CycleKind,
    /// How it ended.
    pub state: CycleState,
    /// When it began.
    pub began: Timestamp,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// What it did.
    pub counts: Counts,
}

/// What a cycle did, in objects; `requests` in requests to the target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Created at the target.
    pub created: u64,
    /// Attributes or references changed at the target.
    pub updated: u64,
    /// Set inactive at the target.
    pub disabled: u64,
    /// Removed from the target.
    pub deleted: u64,
    /// Looked at, nothing to do.
    pub skipped: u64,
    /// Not done because of an error.
    pub failed: u64,
    /// Requests sent to the target.
    pub requests: u64,
}

impl Counts {
    /// Adds what another part of the cycle did.
    pub const fn add(&mut self, other: &Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.disabled += other.disabled;
        self.deleted += other.deleted;
        self.skipped += other.skipped;
        self.failed += other.failed;
        self.requests += other.requests;
    }

    /// What was done besides what an earlier part of the cycle did.
    #[must_use]
    pub const fn without(&self, other: &Self) -> Self {
        Self {
            created: self.created.saturating_sub(other.created),
            updated: self.updated.saturating_sub(other.updated),
            disabled: self.disabled.saturating_sub(other.disabled),
            deleted: self.deleted.saturating_sub(other.deleted),
            skipped: self.skipped.saturating_sub(other.skipped),
            failed: self.failed.saturating_sub(other.failed),
            requests: self.requests.saturating_sub(other.requests),
        }
    }

    /// Changes at the target.
    pub const fn exported(&self) -> u64 {
        self.created + self.updated + self.disabled + self.deleted
    }

    /// Objects that something was said about.
    pub const fn objects(&self) -> u64 {
        self.exported() + self.skipped + self.failed
    }
}
