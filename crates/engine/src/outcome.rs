//! What came of an object: its outcome for the store, and what the log says of it.

use std::collections::HashSet;

use muster_model::cycle::Counts;
use muster_model::directory::Kind;
use muster_model::event::{Action, Modified, PROPERTY_NAME, Status, Step, StepKind, StepName};
use muster_model::link::{Link, LinkState, SourceAnchor, TargetId};
use muster_model::{Attributes, Value};
use muster_rules::ObjectMapping;

use crate::decide::{Decision, Matched, Reason};
use crate::error::EngineError;
use crate::matching::Attempt;
use crate::port::{Change, Record, TargetError};
use crate::record::Entry;
use crate::rehearsal::REDACTED;
use crate::scope::Judged;

/// What came of an object, to be written down.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) kind: Kind,
    pub(crate) anchor: SourceAnchor,
    pub(crate) event: Option<Entry>,
    pub(crate) link: LinkChange,
    /// The error code, when it failed.
    pub(crate) failed: Option<&'static str>,
    /// Single-valued references that it should have at the target.
    pub(crate) references: Vec<(&'static str, Option<SourceAnchor>)>,
    pub(crate) counts: Counts,
    /// Something was taken away from it that the guard counts.
    pub(crate) withdrawn: bool,
    /// It is known what came of a creation that was noted.
    pub(crate) answered: bool,
}

/// What becomes of the link.
#[derive(Debug)]
pub(crate) enum LinkChange {
    Keep,
    /// A new link.
    New(Link),
    /// A link that was there, now to another object at the target.
    Moved(Link),
    /// A link with another state.
    Changed(Link),
    Drop,
}

/// How an object's way ended.
pub(crate) struct Told {
    pub(crate) action: Action,
    pub(crate) status: Status,
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    pub(crate) target: Option<TargetId>,
    pub(crate) modified: Vec<Modified>,
    pub(crate) link: LinkChange,
    /// How far it came.
    pub(crate) came_to: StepKind,
    /// The attribute of the target over which nothing was done.
    pub(crate) property: Option<String>,
}

impl Told {
    /// A decision that was carried out. `created` is the id of what it created; `linked` says what
    /// becomes of the link when it is to name this object in this state.
    pub(crate) fn done(
        decision: Decision<'_>,
        created: Option<TargetId>,
        linked: impl Fn(TargetId, LinkState) -> LinkChange,
    ) -> Self {
        let link = |target: Option<TargetId>, state| {
            target.map_or(LinkChange::Keep, |target| linked(target, state))
        };
        match decision {
            Decision::Nothing => Self::nothing(),
            Decision::Create(values) => Self {
                action: Action::Create,
                link: link(created.clone(), LinkState::Managed),
                target: created,
                modified: set(values),
                ..Self::success("created at the target")
            },
            Decision::Update {
                target,
                changes,
                matched,
            } => Self {
                action: Action::Update,
                link: linked(target.clone(), LinkState::Managed),
                target: Some(target),
                modified: modified(changes),
                ..Self::success(if matched {
                    "matched an object at the target, linked and updated it"
                } else {
                    "updated at the target"
                })
            },
            Decision::Equal { target, matched } => Self {
                link: linked(target.clone(), LinkState::Managed),
                target: Some(target),
                ..Self::skipped(
                    "RedundantExport",
                    if matched {
                        "matched an object at the target that has these values already; linked"
                    } else {
                        "both sides are equal already"
                    },
                )
            },
            Decision::Disable {
                target,
                changes,
                state,
            } => Self {
                action: Action::Disable,
                link: linked(target.clone(), state),
                target: Some(target),
                modified: modified(changes),
                ..Self::success("disabled at the target")
            },
            Decision::Delete(target) => Self {
                action: Action::Delete,
                link: LinkChange::Drop,
                target: Some(target),
                ..Self::success("deleted at the target")
            },
            Decision::Leave(target, state, reason) => Self {
                link: linked(target.clone(), state),
                target: Some(target),
                ..Self::skipped("EntrySynchronizationSkipped", reason)
            },
            Decision::Forget(target, reason) => Self {
                link: LinkChange::Drop,
                target: Some(target),
                ..Self::skipped("EntrySynchronizationSkipped", reason)
            },
            Decision::Skip(Reason {
                code,
                detail,
                property,
            }) => Self {
                detail,
                property,
                ..Self::skipped(code, "")
            },
            Decision::Fail(reason) => reason.into(),
        }
    }

    /// A failure of one object, with what was to be done to it; or of the whole target.
    pub(crate) fn failed(
        error: &TargetError,
        tried: Option<Decision<'_>>,
    ) -> Result<Self, EngineError> {
        if error.stops_the_cycle() {
            return Err(error.clone().into());
        }
        let failure = Self {
            came_to: match (error, &tried) {
                // Nothing was sent.
                (TargetError::NotPlanned, _) => StepKind::Processing,
                (_, Some(_)) => StepKind::Export,
                (_, None) => StepKind::Matching,
            },
            ..Self::from(Reason::new(error.code(), error.to_string()))
        };
        Ok(match tried {
            Some(Decision::Create(values)) => Self {
                action: Action::Create,
                modified: set(values),
                ..failure
            },
            Some(Decision::Update {
                target, changes, ..
            }) => Self {
                action: Action::Update,
                target: Some(target),
                modified: modified(changes),
                ..failure
            },
            Some(Decision::Disable {
                target, changes, ..
            }) => Self {
                action: Action::Disable,
                target: Some(target),
                modified: modified(changes),
                ..failure
            },
            Some(Decision::Delete(target)) => Self {
                action: Action::Delete,
                target: Some(target),
                ..failure
            },
            _ => failure,
        })
    }

    /// As [`Self::failed`], when it was not found out what the target has.
    pub(crate) fn not_found_out(
        error: &TargetError,
        tried: Option<Decision<'_>>,
    ) -> Result<Self, EngineError> {
        Ok(Self {
            came_to: StepKind::Matching,
            ..Self::failed(error, tried)?
        })
    }

    fn success(detail: &str) -> Self {
        Self {
            action: Action::Other,
            status: Status::Success,
            code: "",
            detail: detail.to_owned(),
            target: None,
            modified: Vec::new(),
            link: LinkChange::Keep,
            came_to: StepKind::Export,
            property: None,
        }
    }

    fn skipped(code: &'static str, detail: &str) -> Self {
        Self {
            status: Status::Skipped,
            code,
            came_to: StepKind::Processing,
            ..Self::success(detail)
        }
    }

    /// Nothing to say.
    pub(crate) fn nothing() -> Self {
        Self::skipped("", "")
    }

    pub(crate) fn dropped() -> Self {
        Self {
            status: Status::Warning,
            code: "InvalidAnchor",
            link: LinkChange::Drop,
            ..Self::success("the linked object is gone at the target; the link was dropped")
        }
    }
}

/// There is nothing to do for somebody who was asked for, and this is why.
pub(crate) fn asked_in_vain(judged: Option<&Judged>, link: Option<&Link>) -> Told {
    let told = match judged {
        Some(judged) if !judged.in_scope() => Told {
            detail: format!("not provisioned: {}", judged.reason()),
            ..Told::skipped("NotEffectivelyEntitled", "")
        },
        _ => Told::skipped("EntrySynchronizationSkipped", "there is nothing to do"),
    };
    Told {
        target: link.map(|link| link.target.clone()),
        ..told
    }
}

/// It cannot be done.
impl From<Reason> for Told {
    fn from(reason: Reason) -> Self {
        Self {
            status: Status::Failure,
            code: reason.code,
            detail: reason.detail,
            property: reason.property,
            came_to: StepKind::Processing,
            ..Self::success("")
        }
    }
}

/// Values that were set on a new object.
fn set(values: Vec<(&str, Value)>) -> Vec<Modified> {
    values
        .into_iter()
        .map(|(name, new)| Modified {
            name: name.to_owned(),
            old: Value::Null,
            new,
        })
        .collect()
}

fn modified(changes: Vec<Change>) -> Vec<Modified> {
    changes
        .into_iter()
        .map(|Change { path, old, new, .. }| Modified {
            name: path,
            old,
            new,
        })
        .collect()
}

/// Values of mappings that say so are kept out of the log (AM-20).
pub(crate) fn redact(modified: &mut [Modified], mapping: &ObjectMapping) {
    for attribute in mapping
        .attributes
        .iter()
        .filter(|attribute| attribute.redacted())
    {
        for it in modified.iter_mut().filter(|it| it.name == attribute.target) {
            (it.old, it.new) = (Value::Null, Value::from(REDACTED));
        }
    }
}

/// Values of the source that a log shows of one object at most, and characters of each.
const VALUES: usize = 60;
const CHARACTERS: usize = 200;

/// What was read of the source: its values, where they are to be looked at, without those that only go where they
/// are kept out of the log (AM-20).
pub(crate) fn import_step(name: StepName, shown: Option<(&Record, &ObjectMapping)>) -> Step {
    let description = match name {
        StepName::ImportAdd => "not linked to an object at the target yet",
        StepName::ImportDelete => "gone from the source for good",
        StepName::Import => "asked for, and read from the source",
        _ => "linked to an object at the target",
    };
    let details = shown.map(|(record, mapping)| {
        let hidden = Hidden::of(mapping, &record.attributes);
        let values = record.attributes.iter().take(VALUES);
        let told = values.map(|(name, value)| {
            let value = if hidden.hides(name, value) {
                REDACTED.to_owned()
            } else {
                value.to_string().chars().take(CHARACTERS).collect()
            };
            (name.to_owned(), value)
        });
        told.collect()
    });
    Step {
        name,
        status: Status::Success,
        description: description.to_owned(),
        details: details.unwrap_or_default(),
    }
}

/// What redacted mappings read of an object (AM-20): the attributes, and their values, which may stand under other
/// names as well.
pub(crate) struct Hidden<'m> {
    names: HashSet<&'m str>,
    values: Vec<String>,
}

impl<'m> Hidden<'m> {
    pub(crate) fn of(mapping: &'m ObjectMapping, source: &Attributes) -> Self {
        let redacted = mapping.attributes.iter().filter(|it| it.redacted());
        let names: HashSet<&str> = redacted.flat_map(|it| it.source_attributes()).collect();
        let values = names.iter().filter_map(|name| match source.get(name)? {
            // Everybody has one of the two.
            Value::Null | Value::Bool(_) => None,
            value => Some(value.to_string()).filter(|text| !text.is_empty()),
        });
        Self {
            values: values.collect(),
            names,
        }
    }

    pub(crate) fn hides(&self, name: &str, value: &Value) -> bool {
        self.names.contains(name) || {
            let text = value.to_string();
            self.values.iter().any(|hidden| text.contains(hidden))
        }
    }
}

/// How it went on after matching: what was decided, and what came of it.
pub(crate) fn last_steps(told: &Told, is_linked: bool) -> Vec<Step> {
    let (decided, exported) = match told.action {
        Action::Delete => (StepName::Delete, StepName::ExportDelete),
        Action::Disable => (StepName::Disable, StepName::ExportUpdate),
        Action::Update => (StepName::Update, StepName::ExportUpdate),
        Action::Other | Action::StagedDelete if is_linked => {
            (StepName::Update, StepName::ExportUpdate)
        }
        Action::Create | Action::Other | Action::StagedDelete => {
            (StepName::Add, StepName::ExportAdd)
        }
    };
    let property = told.property.iter();
    let ended = |name| Step {
        name,
        status: told.status,
        description: told.detail.clone(),
        details: property
            .clone()
            .map(|name| (PROPERTY_NAME.to_owned(), name.clone()))
            .collect(),
    };
    match told.came_to {
        StepKind::Export => vec![
            Step {
                name: decided,
                status: Status::Success,
                description: to_be_done(told),
                details: Vec::new(),
            },
            ended(exported),
        ],
        StepKind::Matching => vec![ended(StepName::Matching)],
        _ if told.status == Status::Skipped => vec![ended(StepName::Skip)],
        _ => vec![ended(decided)],
    }
}

/// What was decided.
fn to_be_done(told: &Told) -> String {
    let names: Vec<&str> = told.modified.iter().map(|it| it.name.as_str()).collect();
    match told.action {
        Action::Create => "to be created".to_owned(),
        Action::Update => format!("to be changed: {}", names.join(", ")),
        Action::Disable => format!("to be disabled: {}", names.join(", ")),
        Action::Delete => "to be deleted".to_owned(),
        Action::Other | Action::StagedDelete => "to be looked at".to_owned(),
    }
}

pub(crate) fn scoping_step(judged: &Judged, kind: Kind) -> Step {
    let (status, description) = if judged.in_scope() {
        (Status::Success, "in scope".to_owned())
    } else {
        (
            Status::Skipped,
            format!("not in scope: {}", judged.reason()),
        )
    };
    Step {
        name: StepName::Scoping,
        status,
        description,
        details: judged.flags(kind),
    }
}

pub(crate) fn matching_step(matched: &Matched, attempts: &[Attempt]) -> Step {
    let (status, description) = match matched {
        Matched::Nobody => (
            Status::Success,
            "no object at the target matches".to_owned(),
        ),
        Matched::One(object) => (
            Status::Success,
            format!("matches {} at the target", object.id),
        ),
        Matched::Several => (
            Status::Failure,
            "several objects at the target match".to_owned(),
        ),
        Matched::Taken(id) => (
            Status::Failure,
            format!("matches {id} at the target, which is linked already"),
        ),
    };
    Step {
        name: StepName::Matching,
        status,
        description,
        details: attempts.iter().map(Attempt::told).collect(),
    }
}
