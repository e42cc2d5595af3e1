//! What should happen to an object: a pure function from what was seen and the rules to a decision.
//!
//! [`decide`] either decides, or says what it still needs to see ([`Need`]). The caller looks that up
//! and asks again. Plan, on-demand run, explanation, retry and the real cycle are this same function
//! followed by more or less of the rest.

use muster_model::Value;
use muster_model::directory::Kind;
use muster_model::job::Departure;
use muster_model::link::{Link, LinkState, TargetId};
use muster_rules::{
    Apply, AttributeMapping, Context, MappingProblem, MappingSource, ObjectMapping,
};

use crate::port::{Change, Life, Record, TargetObject};
use crate::scope::{Judged, Policy};

/// Why an object is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// Its assignments or memberships changed, its attributes did not.
    Entitlement,
    /// Its attributes changed, or everything is looked at.
    Attributes,
}

/// What was seen of an object so far.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// The object in the source, judged; `None` when it is gone for good.
    pub record: Option<(&'a Record, &'a Judged)>,
    /// Its link.
    pub link: Option<&'a Link>,
    /// What matching found; `None` before it was asked.
    pub matched: Option<&'a Matched>,
    /// The linked object as the target has it; `None` before it was read.
    pub current: Option<&'a Current>,
    /// Why it is looked at.
    pub cause: Cause,
}

/// What matching found at the target.
#[derive(Clone, Debug, PartialEq)]
pub enum Matched {
    /// Nothing.
    Nobody,
    /// One object.
    One(TargetObject),
    /// Several objects match.
    Several,
    /// One object, which another source object is linked to already.
    Taken(TargetId),
}

/// The linked object as the target has it.
#[derive(Clone, Debug, PartialEq)]
pub enum Current {
    /// There it is.
    There(TargetObject),
    /// The target has it no more (`InvalidAnchor`, CY-5).
    Missing,
}

/// What the decision still needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// The target's objects with the same matching value.
    Match,
    /// The linked object as the target has it.
    Read,
}

/// A decision, or what it still needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict<'r> {
    /// Look this up and ask again.
    Need(Need),
    /// Decided.
    Do(Decision<'r>),
}

/// What should happen.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision<'r> {
    /// Nothing, and nothing to say about it.
    Nothing,
    /// Create it with these values.
    Create(Vec<(&'r str, Value)>),
    /// Link it to this object and change what differs.
    Update {
        /// The object at the target.
        target: TargetId,
        /// What differs.
        changes: Vec<Change>,
        /// Was it found by matching just now?
        matched: bool,
    },
    /// Both sides are equal (`RedundantExport`).
    Equal {
        /// The object at the target.
        target: TargetId,
        /// Was it found by matching just now?
        matched: bool,
    },
    /// Change these attributes because it left scope; the link then has this state.
    Disable {
        /// The object at the target.
        target: TargetId,
        /// What the mapping makes of `IsSoftDeleted`.
        changes: Vec<Change>,
        /// What becomes of the link.
        state: LinkState,
    },
    /// Remove it from the target and drop the link.
    Delete(TargetId),
    /// Send nothing; the link gets this state.
    Leave(TargetId, LinkState, &'static str),
    /// Send nothing and drop the link: it is gone from the source and not ours to delete.
    Forget(TargetId, &'static str),
    /// Send nothing; it is not linked.
    Skip(Reason),
    /// It cannot be done.
    Fail(Reason),
}

/// Why nothing is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The code of 10.3 or 10.6.
    pub code: &'static str,
    /// In plain words: what is so, and what would change it.
    pub detail: String,
    /// The attribute of the target over which it is so.
    pub property: Option<String>,
}

impl Reason {
    /// A reason that is about no attribute.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
            property: None,
        }
    }
}

/// A mapping has no result.
impl From<&MappingProblem> for Reason {
    fn from(problem: &MappingProblem) -> Self {
        let code = if problem.object_left_out() {
            "EntrySynchronizationSkipped"
        } else {
            "AttributeValidationFailed"
        };
        Self {
            property: Some(problem.target.clone()),
            ..Self::new(code, problem.to_string())
        }
    }
}

/// Decides about one object (5.3, 5.5).
pub fn decide<'r>(
    seen: &Seen<'_>,
    policy: &Policy,
    mapping: &'r ObjectMapping,
    context: &Context<'_>,
) -> Verdict<'r> {
    let Some((record, judged)) = seen.record else {
        return Verdict::Do(gone(seen.link, mapping));
    };
    if let Some(problem) = &judged.filter.problem {
        // Nobody loses an account over a filter that could not be evaluated.
        let reason = Reason::new("AttributeValidationFailed", problem.to_string());
        return Verdict::Do(Decision::Fail(reason));
    }
    match (seen.link, judged.in_scope()) {
        (None, true) => unlinked(seen, record, mapping, context),
        (None, false) => Verdict::Do(out_of_scope(judged)),
        (Some(link), true) => linked(seen, link, record, mapping, context),
        (Some(link), false) => Verdict::Do(left(link, record, judged, *policy, mapping, context)),
    }
}

/// Hard-deleted in the source.
fn gone<'r>(link: Option<&Link>, mapping: &ObjectMapping) -> Decision<'r> {
    let Some(link) = link else {
        return Decision::Nothing;
    };
    let target = link.target.clone();
    match link.state {
        LinkState::Released => Decision::Forget(
            target,
            "it was no longer managed when it was deleted in the source; the target keeps it",
        ),
        _ if !mapping.actions.delete => Decision::Forget(
            target,
            "the mapping does not delete at the target; the target keeps it",
        ),
        _ => Decision::Delete(target),
    }
}

/// Not linked and out of scope: worth a word only when it is assigned.
fn out_of_scope<'r>(judged: &Judged) -> Decision<'r> {
    if judged.assigned {
        Decision::Skip(Reason::new(
            "NotEffectivelyEntitled",
            format!("not provisioned: {}", judged.reason()),
        ))
    } else {
        Decision::Nothing
    }
}

/// In scope, not linked: match, then take over or create.
fn unlinked<'r>(
    seen: &Seen<'_>,
    record: &Record,
    mapping: &'r ObjectMapping,
    context: &Context<'_>,
) -> Verdict<'r> {
    let Some(matched) = seen.matched else {
        return Verdict::Need(Need::Match);
    };
    Verdict::Do(match matched {
        Matched::Several => Decision::Fail(Reason::new(
            "DuplicateTargetEntries",
            "several objects at the target have this matching value; remove the duplicate there, \
             or match by another attribute",
        )),
        Matched::Taken(target) => taken(target),
        Matched::One(object) => match differences(record, object, mapping, context) {
            Ok(changes) => update(object.id.clone(), changes, true, mapping),
            Err(problem) => problem,
        },
        Matched::Nobody if !mapping.actions.create => Decision::Skip(Reason::new(
            "EntrySynchronizationSkipped",
            "no object at the target matches, and the mapping does not create",
        )),
        Matched::Nobody => create(record, mapping, context),
    })
}

/// Another source object holds this object of the target.
pub(crate) fn taken<'r>(target: &TargetId) -> Decision<'r> {
    Decision::Fail(Reason::new(
        "DuplicateSourceEntries",
        format!(
            "the object {target} at the target is linked to another source object with the same \
             matching value; make the value unique in the source"
        ),
    ))
}

fn create<'r>(record: &Record, mapping: &'r ObjectMapping, context: &Context<'_>) -> Decision<'r> {
    let mapped = match mapping.evaluate(&record.attributes, context) {
        Ok(mapped) => mapped,
        Err(problem) => return unmapped(&problem),
    };
    let mut values = Vec::with_capacity(mapped.len());
    for mapped in mapped {
        let target = mapped.mapping.target.as_str();
        if mapped.missing_on_create() {
            let detail = format!(
                "the target requires {target}, and the source has no value for it; fill it in the \
                 source or give the mapping a default value"
            );
            return Decision::Fail(Reason {
                property: Some(target.to_owned()),
                ..Reason::new("MissingValues", detail)
            });
        }
        if let Some(value) = mapped.for_create() {
            values.push((target, value.clone()));
        }
    }
    Decision::Create(values)
}

/// In scope and linked: compare, unless only the entitlement changed and that is as before.
fn linked<'r>(
    seen: &Seen<'_>,
    link: &Link,
    record: &Record,
    mapping: &'r ObjectMapping,
    context: &Context<'_>,
) -> Verdict<'r> {
    if seen.cause == Cause::Entitlement && link.state == LinkState::Managed {
        return Verdict::Do(Decision::Nothing);
    }
    match seen.current {
        None => Verdict::Need(Need::Read),
        // The linked object is gone: match again (section 15, 14).
        Some(Current::Missing) => unlinked(seen, record, mapping, context),
        Some(Current::There(object)) => {
            Verdict::Do(match differences(record, object, mapping, context) {
                Ok(changes) => update(object.id.clone(), changes, false, mapping),
                Err(problem) => problem,
            })
        }
    }
}

fn update<'r>(
    target: TargetId,
    changes: Vec<Change>,
    matched: bool,
    mapping: &ObjectMapping,
) -> Decision<'r> {
    if changes.is_empty() {
        Decision::Equal { target, matched }
    } else if !mapping.actions.update {
        Decision::Leave(
            target,
            LinkState::Managed,
            "both sides differ, and the mapping does not update",
        )
    } else {
        Decision::Update {
            target,
            changes,
            matched,
        }
    }
}

/// What the target must change so that it has what the mappings say. A null source value changes
/// nothing (AM-1).
fn differences<'r>(
    record: &Record,
    object: &TargetObject,
    mapping: &'r ObjectMapping,
    context: &Context<'_>,
) -> Result<Vec<Change>, Decision<'r>> {
    let mapped = mapping
        .evaluate_update(&record.attributes, context)
        .map_err(|problem| unmapped(&problem))?;
    let (mut changes, mut always) = (Vec::new(), Vec::new());
    for mapped in mapped {
        let attribute = mapped.mapping;
        let old = object.values.get(&attribute.target);
        let Some(new) = mapped.for_update(old.is_none_or(Value::is_empty)) else {
            continue;
        };
        let adds = attribute.apply == Apply::MultiValueAddOnly;
        let differs = if adds {
            attribute.added(old, new)
        } else {
            (!attribute.same(old, new)).then(|| new.clone())
        };
        let change = |new: Value| Change {
            path: attribute.target.clone(),
            old: old.cloned().unwrap_or_default(),
            new,
            absent: object.absent.contains(&attribute.target),
            adds,
        };
        match differs {
            Some(new) => changes.push(change(new)),
            None if attribute.flow_always && !adds => always.push(change(new.clone())),
            None => {}
        }
    }
    // What always flows goes along with what differs; alone it is no reason to write.
    if !changes.is_empty() {
        changes.append(&mut always);
    }
    Ok(changes)
}

/// The mappings have no result for this object.
fn unmapped<'r>(problem: &MappingProblem) -> Decision<'r> {
    if problem.object_left_out() {
        Decision::Skip(problem.into())
    } else {
        Decision::Fail(problem.into())
    }
}

/// Does a mapping read this source attribute?
pub(crate) fn reads(attribute: &AttributeMapping, name: &str) -> bool {
    match &attribute.source {
        MappingSource::Attribute(source) => source == name,
        MappingSource::Expression(expression) => expression.attributes().contains(&name),
        MappingSource::Constant(_) | MappingSource::None => false,
    }
}

/// Linked and out of scope (5.5).
fn left<'r>(
    link: &Link,
    record: &Record,
    judged: &Judged,
    policy: Policy,
    mapping: &'r ObjectMapping,
    context: &Context<'_>,
) -> Decision<'r> {
    let target = link.target.clone();
    let released = !judged.entitled() || !judged.filter.passed;
    let state = if released {
        LinkState::Released
    } else {
        LinkState::Disabled
    };
    let departure = match (released, record.life) {
        (true, _) => policy.leaving.unassigned,
        (false, Life::SoftDeleted) => policy.leaving.deleted,
        (false, Life::Active | Life::Disabled) => policy.leaving.disabled,
    };
    let is_skipped = released && policy.skip_out_of_scope_deletions;
    let deletes = record.kind == Kind::User
        && departure == Departure::Delete
        && !is_skipped
        && mapping.actions.delete;
    let grace = i64::from(policy.leaving.grace_seconds);
    match link.state {
        LinkState::Released => return Decision::Nothing,
        LinkState::Leaving if deletes && context.now < link.since.plus_seconds(grace) => {
            return Decision::Nothing;
        }
        // It was disabled for another reason, and now there is one to delete it.
        LinkState::Disabled if deletes && grace > 0 => {
            return Decision::Leave(
                target,
                LinkState::Leaving,
                "it was disabled before, and is deleted when its grace is over",
            );
        }
        LinkState::Disabled | LinkState::Leaving if deletes => {
            return Decision::Delete(target);
        }
        LinkState::Disabled if state == LinkState::Disabled => return Decision::Nothing,
        // Disabled already: leaving scope as well sends nothing more.
        LinkState::Disabled | LinkState::Leaving => {
            return Decision::Leave(target, state, "it left scope; it was disabled before");
        }
        LinkState::Managed => {}
    }
    if is_skipped {
        return Decision::Leave(
            target,
            state,
            "it left scope; the job leaves out-of-scope accounts alone (SkipOutOfScopeDeletions)",
        );
    }
    match record.kind {
        Kind::Group if mapping.actions.delete => {
            return Decision::Delete(target);
        }
        Kind::Group => {
            return Decision::Leave(target, state, "the mapping does not delete groups");
        }
        Kind::User => {}
    }
    match departure {
        Departure::Disable => {}
        Departure::Delete if deletes && grace == 0 => return Decision::Delete(target),
        Departure::Delete if deletes => {
            return with_grace(target, record, mapping, context);
        }
        Departure::Delete => {
            return Decision::Leave(
                target,
                state,
                "it left scope; the job deletes then, and the mapping does not",
            );
        }
        Departure::Leave => {
            return Decision::Leave(
                target,
                state,
                "it left scope; the job leaves it as it is then",
            );
        }
    }
    if !mapping.actions.update {
        return Decision::Leave(
            target,
            state,
            "it left scope, and the mapping does not update and so does not disable",
        );
    }
    let changes = match softly_deleted(record, mapping, context) {
        Ok(changes) => changes,
        // Never told as done: it is tried again until it can be.
        Err(problem) => return Decision::Fail((&problem).into()),
    };
    if changes.is_empty() {
        return Decision::Leave(
            target,
            state,
            "it left scope, and no mapping depends on IsSoftDeleted",
        );
    }
    Decision::Disable {
        target,
        changes,
        state,
    }
}

/// Disabled now, and deleted when its grace is over; deleted at once where nothing disables it.
fn with_grace<'r>(
    target: TargetId,
    record: &Record,
    mapping: &ObjectMapping,
    context: &Context<'_>,
) -> Decision<'r> {
    let changes = match softly_deleted(record, mapping, context) {
        Ok(changes) => changes,
        Err(problem) => return Decision::Fail((&problem).into()),
    };
    if changes.is_empty() || !mapping.actions.update {
        return Decision::Delete(target);
    }
    Decision::Disable {
        target,
        changes,
        state: LinkState::Leaving,
    }
}

/// What the mappings that depend on `IsSoftDeleted` make of it (CY-9, CY-10). Only those are evaluated:
/// no other mapping may keep somebody from being disabled.
fn softly_deleted(
    record: &Record,
    mapping: &ObjectMapping,
    context: &Context<'_>,
) -> Result<Vec<Change>, MappingProblem> {
    let mut changes = Vec::new();
    for attribute in &mapping.attributes {
        if attribute.is_reference() || !reads(attribute, "IsSoftDeleted") {
            continue;
        }
        let mapped = attribute.evaluate(&record.attributes, context)?;
        let Some(new) = mapped.for_update(false).cloned() else {
            continue;
        };
        changes.push(Change {
            path: attribute.target.clone(),
            // What the target has is not read first; a boolean can only be the opposite.
            old: new.as_bool().map_or(Value::Null, |on| Value::Bool(!on)),
            new,
            absent: false,
            adds: false,
        });
    }
    Ok(changes)
}
