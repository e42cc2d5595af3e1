//! What a cycle would do, worked out beforehand.

use crate::cycle::{Counts, CycleKind};
use crate::directory::Kind;
use crate::event::{Action, Modified, Status};
use crate::job::Held;
use crate::link::{SourceAnchor, TargetId};
use crate::{JobId, Position, Timestamp};

/// A plan, without its operations. Whatever is in it is part of its id.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The job.
    pub job: JobId,
    /// Everything or changes.
    pub kind: CycleKind,
    /// When it was made; expressions take it for the present.
    pub made: Timestamp,
    /// The watermark of the job then.
    pub from: Option<Position>,
    /// Up to where changes of the source are in it.
    pub until: Position,
    /// A digest of mappings, settings and tenant URL.
    pub configuration: String,
    /// A digest of the operations.
    pub operations: String,
    /// What would be done; `requests` are writes alone.
    pub counts: Counts,
    /// Objects that failed before and whose next attempt comes later, and when the first one does.
    pub waiting: Option<(u64, Timestamp)>,
    /// More would be taken away than the job's guard allows.
    pub held: Option<Held>,
}

/// What would be done to one object, or to its references, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    /// What kind of object.
    pub kind: Kind,
    /// The object in the source.
    pub source: SourceAnchor,
    /// The name to show for it.
    pub name: String,
    /// The object at the target, when there is one.
    pub target: Option<TargetId>,
    /// What would be done.
    pub action: Action,
    /// How it would go, as far as can be told without doing it.
    pub status: Status,
    /// Error or skip code of 10.3 and 10.6; empty when something would be done.
    pub code: String,
    /// Why, in plain words.
    pub reason: String,
    /// Before and after.
    pub modified: Vec<Modified>,
    /// What would be sent, in this order.
    pub requests: Vec<Request>,
}

/// A write to the target as its protocol puts it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path below the tenant URL.
    pub path: String,
    /// The body, byte for byte.
    pub body: Option<String>,
    /// When values in the body are kept out of sight: a keyed digest of the body as it is sent.
    pub digest: Option<String>,
}

impl Request {
    /// A request whose body may be seen.
    pub fn new(method: &str, path: impl Into<String>, body: Option<String>) -> Self {
        Self {
            method: method.to_owned(),
            path: path.into(),
            body,
            digest: None,
        }
    }
}
