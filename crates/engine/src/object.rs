//! One object's way: judge, look up what the decision needs, decide, apply, tell.
//!
//! Initial cycle, incremental cycle and retry all come through here; there is no second path.

use std::sync::Arc;

use muster_model::cycle::Counts;
use muster_model::directory::Kind;
use muster_model::event::{Action, Event, Modified, Status, Step, StepKind};
use muster_model::id::fill_random;
use muster_model::link::{Link, LinkState, SourceAnchor, TargetId};
use muster_model::{Clock, CycleId, EventId, JobId, TenantId, Timestamp, Value};
use muster_rules::{Context, MappingSource, ObjectMapping};
use muster_store::Store;

use crate::decide::{Cause, Current, Decision, Matched, Need, Seen, Verdict, decide};
use crate::error::EngineError;
use crate::limit::{Limiter, TRIES};
use crate::port::{Change, Record, Target, TargetError, took};
use crate::scope::{Judged, Policy, judge};

/// An object that waits for its turn.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) kind: Kind,
    pub(crate) anchor: SourceAnchor,
    /// `None` when the source has it no more.
    pub(crate) record: Option<Record>,
    pub(crate) link: Option<Link>,
    pub(crate) cause: Cause,
}

/// What came of an object, to be written down.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) kind: Kind,
    pub(crate) anchor: SourceAnchor,
    pub(crate) event: Option<Event>,
    pub(crate) link: LinkChange,
    /// The error code, when it failed.
    pub(crate) failed: Option<&'static str>,
    /// Single-valued references that it should have at the target.
    pub(crate) references: Vec<(&'static str, Option<SourceAnchor>)>,
    pub(crate) counts: Counts,
}

/// What becomes of the link.
#[derive(Debug)]
pub(crate) enum LinkChange {
    Keep,
    /// A new link.
    New(Link),
    /// A link with another state or target.
    Changed(Link),
    Drop,
}

/// Everything an object's way needs besides the object.
pub(crate) struct Path<'a> {
    pub(crate) store: &'a Store,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) target: &'a dyn Target,
    pub(crate) limiter: &'a Limiter,
    pub(crate) policy: Policy,
    pub(crate) tenant: TenantId,
    pub(crate) job: JobId,
    pub(crate) cycle: CycleId,
    /// The target said it holds no users, and the matching attribute is unique in the source.
    pub(crate) no_users_yet: bool,
}

/// How an object's way ended.
struct Told {
    action: Action,
    status: Status,
    code: &'static str,
    detail: String,
    target: Option<TargetId>,
    modified: Vec<Modified>,
    link: LinkChange,
}

impl Path<'_> {
    /// Carries one object from the source to the target.
    pub(crate) async fn carry(
        &self,
        work: Work,
        mapping: &ObjectMapping,
    ) -> Result<Outcome, EngineError> {
        let began = self.clock.now();
        let Work {
            kind,
            anchor,
            mut record,
            link,
            cause,
        } = work;
        // What the input filters leave out is not looked at, whatever happens to it (4.5).
        let left_out = |record: &Record| matches!(mapping.reads(&record.attributes), Ok(false));
        if record.as_ref().is_some_and(left_out) {
            let (steps, told) = (Vec::new(), Told::nothing());
            return Ok(self.outcome(kind, anchor, None, None, steps, told, (began, began)));
        }
        let judged = record
            .as_mut()
            .map(|record| judge(record, &self.policy, mapping));
        let seen_record = record.as_ref().zip(judged.as_ref());
        let (mut matched, mut current) = (None, None);
        let mut steps = Vec::new();
        let (mut repaired, mut lost, mut tries) = (false, false, 1);
        let mut intent = Intent::default();
        let told = loop {
            let seen = Seen {
                record: seen_record,
                link: link.as_ref(),
                matched: matched.as_ref(),
                current: current.as_ref(),
                cause,
            };
            let verdict = decide(&seen, &self.policy, mapping, &context(began));
            let decision = match verdict {
                Verdict::Need(need) => {
                    let answer = match (need, &record, &link) {
                        (Need::Match, Some(record), _) => self
                            .find(record, mapping, began, anchor)
                            .await
                            .map(|found| matched = Some(found)),
                        (Need::Read, _, Some(link)) => self
                            .read(kind, link)
                            .await
                            .map(|found| current = Some(found)),
                        // `decide` asks for a match only with a record, for a read only with a link.
                        (Need::Match, None, _) | (Need::Read, _, None) => Err(NotFound::Skip(
                            "ImportSkipped",
                            "there is nothing to look up".to_owned(),
                        )),
                    };
                    match answer {
                        Ok(()) => continue,
                        Err(NotFound::Skip(code, detail)) => Decision::Skip(code, detail),
                        Err(NotFound::Error(error)) => break Self::failed(error, intent)?,
                        Err(NotFound::Store(error)) => return Err(error.into()),
                    }
                }
                Verdict::Do(decision) => decision,
            };
            if let Some(matched) = &matched {
                steps.push(matching_step(matched));
            }
            intent = Intent::of(&decision);
            let creating = matches!(decision, Decision::Create(_));
            match self.apply(kind, anchor, link.as_ref(), decision).await {
                Ok(told) => break told,
                // The answer to a create is lost or throttled: it is never sent again blindly, but
                // preceded by the match (section 15, 4).
                Err(error)
                    if creating && tries < TRIES && self.limiter.pause(&error, tries).await =>
                {
                    tries += 1;
                    if !matches!(error, TargetError::Throttled { .. })
                        && let Some(record) = &record
                    {
                        lost = true;
                        match self.ask(record, mapping, began, anchor).await {
                            Ok(found) => matched = Some(found),
                            Err(NotFound::Skip(..)) => {}
                            Err(NotFound::Error(error)) => break Self::failed(error, intent)?,
                            Err(NotFound::Store(error)) => return Err(error.into()),
                        }
                    }
                }
                // Somebody else made it in between, or it exists under a name that matching did not
                // see: look again, once (section 15, 17).
                Err(TargetError::Conflict(said)) if link.is_none() && !repaired => {
                    repaired = true;
                    let Some(record) = &record else { continue };
                    match self.ask(record, mapping, began, anchor).await {
                        Ok(Matched::Nobody) => {
                            let error = TargetError::Conflict(format!(
                                "{said}; yet no object there matches: look for an account with \
                                 the same user name, email or external id and remove it, or match \
                                 by another attribute"
                            ));
                            break Self::failed(error, intent)?;
                        }
                        Ok(found) => matched = Some(found),
                        Err(NotFound::Skip(..)) => {}
                        Err(NotFound::Error(error)) => break Self::failed(error, intent)?,
                        Err(NotFound::Store(error)) => return Err(error.into()),
                    }
                }
                // The linked object is gone at the target: match again, once (section 15, 14 and 16).
                Err(TargetError::NotFound) if link.is_some() && !repaired && record.is_some() => {
                    repaired = true;
                    if judged.as_ref().is_some_and(Judged::in_scope) {
                        current = Some(Current::Missing);
                    } else {
                        break Told::dropped();
                    }
                }
                Err(error) => break Self::failed(error, intent)?,
            }
        };
        let ended = self.clock.now();
        let mut told = told;
        if lost && told.code == "RedundantExport" {
            // What matches and is equal is what we sent: only its answer was lost.
            told = Told {
                action: Action::Create,
                status: Status::Success,
                code: "",
                ..told
            };
            "created at the target; the answer was lost on the way".clone_into(&mut told.detail);
        }
        redact(&mut told.modified, mapping);
        Ok(self.outcome(kind, anchor, record, judged, steps, told, (began, ended)))
    }

    async fn find(
        &self,
        record: &Record,
        mapping: &ObjectMapping,
        at: Timestamp,
        anchor: SourceAnchor,
    ) -> Result<Matched, NotFound> {
        if self.no_users_yet && record.kind == Kind::User {
            return Ok(Matched::Nobody);
        }
        self.ask(record, mapping, at, anchor).await
    }

    /// Asks the target by each matching attribute in the order of precedence (5.4).
    async fn ask(
        &self,
        record: &Record,
        mapping: &ObjectMapping,
        at: Timestamp,
        anchor: SourceAnchor,
    ) -> Result<Matched, NotFound> {
        let mut asked = false;
        for attribute in mapping.matching() {
            let value = attribute
                .evaluate(&record.attributes, &context(at))
                .map_err(|problem| {
                    NotFound::Skip("AttributeValidationFailed", problem.to_string())
                })?
                .value
                .filter(|value| !value.is_empty());
            let Some(value) = value else { continue };
            asked = true;
            let request = || self.target.find(record.kind, &attribute.target, &value);
            let mut found = self.limiter.run(request).await.map_err(NotFound::Error)?;
            match found.len() {
                0 => {}
                1 => {
                    let object = found.remove(0);
                    return self.unless_taken(object, anchor).await;
                }
                _ => return Ok(Matched::Several),
            }
        }
        if asked {
            Ok(Matched::Nobody)
        } else {
            let matching = mapping.matching();
            let attributes: Vec<&str> = matching
                .iter()
                .map(|attribute| attribute.target.as_str())
                .collect();
            Err(NotFound::Skip(
                "ImportSkipped",
                format!(
                    "the object has no value for any matching attribute ({}); fill it in the \
                     source or match by another attribute",
                    attributes.join(", ")
                ),
            ))
        }
    }

    async fn unless_taken(
        &self,
        object: crate::port::TargetObject,
        anchor: SourceAnchor,
    ) -> Result<Matched, NotFound> {
        let (tenant, job, id) = (self.tenant, self.job, object.id.clone());
        let holder: Option<Link> = self
            .store
            .read(|tx| {
                Box::pin(
                    async move { muster_store::links::find_by_target(tx, tenant, job, &id).await },
                )
            })
            .await
            .map_err(NotFound::Store)?;
        Ok(match holder {
            Some(link) if link.anchor != anchor => Matched::Taken(object.id),
            _ => Matched::One(object),
        })
    }

    async fn read(&self, kind: Kind, link: &Link) -> Result<Current, NotFound> {
        match self
            .limiter
            .run(|| self.target.read(kind, &link.target))
            .await
        {
            Ok(object) => Ok(Current::There(object)),
            Err(TargetError::NotFound) => Ok(Current::Missing),
            Err(error) => Err(NotFound::Error(error)),
        }
    }

    /// Makes a decision happen.
    async fn apply(
        &self,
        kind: Kind,
        anchor: SourceAnchor,
        link: Option<&Link>,
        decision: Decision<'_>,
    ) -> Result<Told, TargetError> {
        let since = link.map_or_else(|| self.clock.now(), |link| link.since);
        let linked = |target: TargetId, state| {
            let wanted = Link {
                kind,
                anchor,
                target,
                state,
                since,
            };
            match link {
                Some(link) if *link == wanted => LinkChange::Keep,
                Some(_) => LinkChange::Changed(wanted),
                None => LinkChange::New(wanted),
            }
        };
        Ok(match decision {
            Decision::Nothing => Told::nothing(),
            Decision::Create(values) => {
                let target = self
                    .limiter
                    .once(|| self.target.create(kind, &values))
                    .await?;
                let modified = values
                    .into_iter()
                    .map(|(name, new)| Modified {
                        name: name.to_owned(),
                        old: Value::Null,
                        new,
                    })
                    .collect();
                Told {
                    action: Action::Create,
                    link: linked(target.clone(), LinkState::Managed),
                    target: Some(target),
                    modified,
                    ..Told::success("created at the target")
                }
            }
            Decision::Update {
                target,
                changes,
                matched,
            } => {
                self.limiter
                    .run(|| self.target.update(kind, &target, &changes))
                    .await?;
                Told {
                    action: Action::Update,
                    link: linked(target.clone(), LinkState::Managed),
                    target: Some(target),
                    modified: modified(changes),
                    ..Told::success(if matched {
                        "matched an object at the target, linked and updated it"
                    } else {
                        "updated at the target"
                    })
                }
            }
            Decision::Equal { target, matched } => Told {
                link: linked(target.clone(), LinkState::Managed),
                target: Some(target),
                ..Told::skipped(
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
            } => {
                self.limiter
                    .run(|| self.target.update(kind, &target, &changes))
                    .await?;
                Told {
                    action: Action::Disable,
                    link: linked(target.clone(), state),
                    target: Some(target),
                    modified: modified(changes),
                    ..Told::success("disabled at the target")
                }
            }
            Decision::Delete(target) => {
                self.limiter
                    .run(|| self.target.delete(kind, &target))
                    .await?;
                Told {
                    action: Action::Delete,
                    link: LinkChange::Drop,
                    target: Some(target),
                    ..Told::success("deleted at the target")
                }
            }
            Decision::Leave(target, state, reason) => Told {
                link: linked(target.clone(), state),
                target: Some(target),
                ..Told::skipped("EntrySynchronizationSkipped", reason)
            },
            Decision::Forget(target, reason) => Told {
                link: LinkChange::Drop,
                target: Some(target),
                ..Told::skipped("EntrySynchronizationSkipped", reason)
            },
            Decision::Skip(code, detail) => Told {
                detail,
                ..Told::skipped(code, "")
            },
            Decision::Fail(code, detail) => Told::failure(code, detail),
        })
    }

    /// A failure of one object, with what was to be done to it; or of the whole target.
    fn failed(error: TargetError, intent: Intent) -> Result<Told, EngineError> {
        if error.stops_the_cycle() {
            return Err(error.into());
        }
        let Intent {
            action,
            target,
            modified,
        } = intent;
        let failure = Told::failure(error.code(), error.to_string());
        Ok(Told {
            action,
            target,
            modified,
            ..failure
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "the parts of one event, put together once"
    )]
    fn outcome(
        &self,
        kind: Kind,
        anchor: SourceAnchor,
        record: Option<Record>,
        judged: Option<Judged>,
        mut steps: Vec<Step>,
        told: Told,
        (began, ended): (Timestamp, Timestamp),
    ) -> Outcome {
        let mut counts = Counts::default();
        let silent = told.status == Status::Skipped && told.code.is_empty();
        match (told.status, told.action) {
            (Status::Failure, _) => counts.failed = 1,
            (_, Action::Create) => counts.created = 1,
            (_, Action::Update) => counts.updated = 1,
            (_, Action::Disable) => counts.disabled = 1,
            (_, Action::Delete) => counts.deleted = 1,
            (_, Action::StagedDelete | Action::Other) if silent => {}
            (_, Action::StagedDelete | Action::Other) => counts.skipped = 1,
        }
        let in_scope = judged.as_ref().is_some_and(Judged::in_scope);
        let holds = in_scope && told.target.is_some() && told.status != Status::Failure;
        let (name, references) = record.map_or_else(
            || (anchor.to_string(), Vec::new()),
            |record| {
                (
                    record.name,
                    if holds { record.references } else { Vec::new() },
                )
            },
        );
        let event = (!silent).then(|| {
            if let Some(judged) = &judged {
                steps.insert(0, scoping_step(judged));
            }
            steps.push(Step {
                kind: StepKind::Export,
                status: told.status,
                description: told.detail.clone(),
                details: Vec::new(),
            });
            Event {
                id: EventId::new(),
                job: self.job,
                cycle: self.cycle,
                at: ended,
                duration_ms: took(began, ended),
                action: told.action,
                status: told.status,
                code: told.code.to_owned(),
                detail: told.detail,
                kind,
                source: anchor,
                source_name: name,
                target: told.target,
                steps,
                modified: told.modified,
            }
        });
        let failed = (told.status == Status::Failure).then_some(told.code);
        Outcome {
            kind,
            anchor,
            event,
            link: told.link,
            failed,
            references,
            counts,
        }
    }
}

/// What was to be done, for the log of a failure.
struct Intent {
    action: Action,
    target: Option<TargetId>,
    modified: Vec<Modified>,
}

impl Default for Intent {
    fn default() -> Self {
        Self {
            action: Action::Other,
            target: None,
            modified: Vec::new(),
        }
    }
}

impl Intent {
    fn of(decision: &Decision<'_>) -> Self {
        let of = |action, target: &TargetId, changes: &[Change]| Self {
            action,
            target: Some(target.clone()),
            modified: modified(changes.to_vec()),
        };
        match decision {
            Decision::Create(values) => {
                let modified = values
                    .iter()
                    .map(|(name, new)| Modified {
                        name: (*name).to_owned(),
                        old: Value::Null,
                        new: new.clone(),
                    })
                    .collect();
                Self {
                    action: Action::Create,
                    target: None,
                    modified,
                }
            }
            Decision::Update {
                target, changes, ..
            } => of(Action::Update, target, changes),
            Decision::Disable {
                target, changes, ..
            } => of(Action::Disable, target, changes),
            Decision::Delete(target) => of(Action::Delete, target, &[]),
            Decision::Nothing
            | Decision::Equal { .. }
            | Decision::Leave(..)
            | Decision::Forget(..)
            | Decision::Skip(..)
            | Decision::Fail(..) => Self::default(),
        }
    }
}

enum NotFound {
    Skip(&'static str, String),
    Error(TargetError),
    Store(muster_store::StoreError),
}

impl Told {
    fn success(detail: &str) -> Self {
        Self {
            action: Action::Other,
            status: Status::Success,
            code: "",
            detail: detail.to_owned(),
            target: None,
            modified: Vec::new(),
            link: LinkChange::Keep,
        }
    }

    fn skipped(code: &'static str, detail: &str) -> Self {
        Self {
            status: Status::Skipped,
            code,
            ..Self::success(detail)
        }
    }

    fn failure(code: &'static str, detail: String) -> Self {
        Self {
            status: Status::Failure,
            code,
            detail,
            ..Self::success("")
        }
    }

    /// Nothing to say.
    fn nothing() -> Self {
        Self::skipped("", "")
    }

    fn dropped() -> Self {
        Self {
            status: Status::Warning,
            code: "InvalidAnchor",
            link: LinkChange::Drop,
            ..Self::success("the linked object is gone at the target; the link was dropped")
        }
    }
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
fn redact(modified: &mut [Modified], mapping: &ObjectMapping) {
    for attribute in mapping
        .attributes
        .iter()
        .filter(|attribute| attribute.redacted())
    {
        for it in modified.iter_mut().filter(|it| it.name == attribute.target) {
            (it.old, it.new) = (Value::Null, Value::from("[redacted]"));
        }
    }
}

fn scoping_step(judged: &Judged) -> Step {
    let (status, description) = if judged.in_scope() {
        (Status::Success, "in scope".to_owned())
    } else {
        (
            Status::Skipped,
            format!("not in scope: {}", judged.reason()),
        )
    };
    Step {
        kind: StepKind::Scoping,
        status,
        description,
        details: judged.flags(),
    }
}

fn matching_step(matched: &Matched) -> Step {
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
        kind: StepKind::Matching,
        status,
        description,
        details: Vec::new(),
    }
}

/// What expressions may ask for besides the object. Whether a value is taken at the target is found
/// out by the target itself, which then answers a create with a conflict.
fn context(now: Timestamp) -> Context<'static> {
    Context {
        now,
        random: &fill_random,
        taken: &|_, _| false,
    }
}

/// Does a mapping take its matching value straight from an attribute that is unique in the source?
pub(crate) fn matches_uniquely(mapping: &ObjectMapping, is_unique: impl Fn(&str) -> bool) -> bool {
    match mapping.matching().as_slice() {
        [only] => {
            matches!(&only.source, MappingSource::Attribute(name) if is_unique(name))
        }
        _ => false,
    }
}
