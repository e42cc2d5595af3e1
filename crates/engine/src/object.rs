//! One object's way: judge, look up what the decision needs, decide, apply, tell.
//!
//! Initial cycle, incremental cycle and retry all come through here; there is no second path.

use std::sync::Arc;

use muster_model::cycle::Counts;
use muster_model::directory::Kind;
use muster_model::event::{Action, Event, Status, Step, StepKind, StepName};
use muster_model::link::{Link, LinkState, SourceAnchor, TargetId};
use muster_model::{Clock, CycleId, EventId, JobId, TenantId, Timestamp, Value};
use muster_rules::{Context, ObjectMapping};
use muster_store::Store;
use muster_store::intents::Intent;

use crate::basis::{Basis, free};
use crate::claims::Claims;
use crate::decide::{
    Cause, Current, Decision, Matched, Need, Reason, Seen, Verdict, decide, taken,
};
use crate::error::EngineError;
use crate::gate::{Concerned, Gate, Unwritten, Written};
use crate::guard::Cleared;
use crate::intents::Intents;
use crate::limit::Tries;
use crate::matching::{NotFound, Uniqueness};
use crate::outcome::{
    LinkChange, Outcome, Told, asked_in_vain, import_step, last_steps, matching_step, redact,
    scoping_step,
};
use crate::port::{Record, TargetError, TargetObject, Write, took};
use crate::record::Entry;
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
    /// What was about to be done for it in a cycle that was broken off, or without an answer.
    pub(crate) intent: Option<Intent>,
}

/// Everything an object's way needs besides the object.
pub(crate) struct Path<'a> {
    pub(crate) store: &'a Store,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) gate: &'a Gate<'a>,
    pub(crate) policy: Policy,
    pub(crate) basis: &'a Basis,
    pub(crate) tenant: TenantId,
    pub(crate) job: JobId,
    pub(crate) cycle: CycleId,
    /// The target said it holds no users, and the matching attribute is unique in the source.
    pub(crate) no_users_yet: bool,
    pub(crate) claims: &'a Claims,
    pub(crate) cleared: &'a Cleared,
    /// Does nothing but take away.
    pub(crate) withdraws_only: bool,
    /// Somebody asked for this object (section 9), and wants to see its values.
    pub(crate) is_asked_for: bool,
    pub(crate) intents: Intents,
}

impl Path<'_> {
    /// Carries one object from the source to the target.
    pub(crate) async fn carry(
        &self,
        work: Work,
        mapping: &ObjectMapping,
    ) -> Result<Outcome, EngineError> {
        let (gate, carried) = (self.gate, Box::pin(self.bring(work, mapping)));
        let (outcome, said) = gate.along(self.clock, carried).await;
        let mut outcome = outcome?;
        if let Some(entry) = &mut outcome.event {
            entry.seal(self.store, self.tenant, gate.keep, &said)?;
        }
        Ok(outcome)
    }

    async fn bring(&self, work: Work, mapping: &ObjectMapping) -> Result<Outcome, EngineError> {
        let began = self.clock.now();
        let Work {
            kind,
            anchor,
            mut record,
            mut link,
            cause,
            intent,
        } = work;
        let rehearsal = self.gate.rehearsal();
        // What the store knows, and what is assumed: that an intent was carried out.
        let stored = link.clone();
        let had_intent = intent.is_some();
        let (mut doubtful, mut adopted_now) = (had_intent, false);
        // The object that was noted last; none, when one was to be made.
        let mut noted: Option<Option<TargetId>> = None;
        if let Some(intent) = &intent {
            let failed = match self.adopt(intent, stored.as_ref(), began).await {
                Ok(found) => {
                    adopted_now = found.is_some();
                    link = found.or(link);
                    None
                }
                Err(NotFound::Store(error)) => return Err(error.into()),
                Err(NotFound::Error(error)) => Some(Told::failed(&error, None)?),
                Err(NotFound::Skip(reason)) => Some(reason.into()),
            };
            if let Some(told) = failed {
                let at = (began, self.clock.now());
                let (mapped, linked) = (mapping, stored.is_some());
                let seen = (record, None, linked);
                return Ok(self.outcome((kind, anchor), mapped, seen, Vec::new(), told, at));
            }
        }
        let adopted = stored.is_none() && link.is_some();
        if had_intent && let Some(link) = &mut link {
            link.state = LinkState::Managed;
        }
        // What the input filters leave out is not looked at, whatever happens to it (4.5).
        let left_out = |record: &Record| matches!(mapping.reads(&record.attributes), Ok(false));
        // Unless something was about to be done for it, which then comes to its end.
        if !had_intent && record.as_ref().is_some_and(left_out) {
            let (steps, told) = (Vec::new(), Told::nothing());
            let (seen, at) = ((None, None, stored.is_some()), (began, began));
            return Ok(self.outcome((kind, anchor), mapping, seen, steps, told, at));
        }
        let judged = record
            .as_mut()
            .map(|record| judge(record, &self.policy, mapping));
        let seen_record = record.as_ref().zip(judged.as_ref());
        let (mut matched, mut current) = (None, None);
        let mut attempts = Vec::new();
        let mut steps = Vec::new();
        let (mut repaired, mut lost, mut tries) = (false, adopted, Tries::default());
        let before = link.as_ref().map(|link| (link.state, link.since));
        let linked = |target, state| {
            let is_leaving = |state| state == LinkState::Leaving;
            let wanted = Link {
                kind,
                anchor,
                target,
                state,
                since: match before {
                    Some((before, since)) if is_leaving(before) == is_leaving(state) => since,
                    _ => began,
                },
            };
            match &stored {
                Some(link) if *link == wanted => LinkChange::Keep,
                Some(link) if link.target != wanted.target => LinkChange::Moved(wanted),
                Some(_) => LinkChange::Changed(wanted),
                None => LinkChange::New(wanted),
            }
        };
        // What was created is another object, even when the target gives it the id of the old one.
        let linked_anew = |target, state| match (linked(target, state), &stored) {
            (LinkChange::Changed(wanted), _) => LinkChange::Moved(wanted),
            (LinkChange::Keep, Some(link)) => LinkChange::Moved(link.clone()),
            (other, _) => other,
        };
        let unique = Uniqueness::default();
        // What was tried last, for the log of a failure.
        let mut tried = None;
        let mut uncounted = false;
        let mut noted_requests = Vec::new();
        let told = loop {
            let seen = Seen {
                record: seen_record,
                link: link.as_ref(),
                matched: matched.as_ref(),
                current: current.as_ref(),
                cause,
            };
            let verdict = {
                let taken = |path: &str, value: &str| unique.is_taken(path, value);
                let decide = |context: &Context<'_>| decide(&seen, &self.policy, mapping, context);
                self.basis.evaluate(anchor, began, &taken, decide)
            };
            let decision = match verdict {
                Verdict::Need(_) if self.withdraws_only => {
                    uncounted = true;
                    break Told::nothing();
                }
                Verdict::Need(need) => {
                    if let (Need::Read, Some(link)) = (need, &link)
                        && rehearsal.is_some_and(|it| it.has_written(anchor))
                    {
                        // It would have by now what was to be written to it a moment ago.
                        let (target, matched) = (link.target.clone(), false);
                        let equal = Decision::Equal { target, matched };
                        break Told::done(equal, None, linked);
                    }
                    let answer = match (need, &record, &link) {
                        (Need::Match, Some(record), _) => self
                            .find(record, mapping, began, anchor)
                            .await
                            .map(|(found, tried)| (matched, attempts) = (Some(found), tried)),
                        (Need::Read, _, Some(link)) => self
                            .read(kind, link)
                            .await
                            .map(|found| current = Some(found)),
                        // `decide` asks for a match only with a record, for a read only with a link.
                        (Need::Match, None, _) | (Need::Read, _, None) => Err(NotFound::Skip(
                            Reason::new("ImportSkipped", "there is nothing to look up"),
                        )),
                    };
                    match answer {
                        Ok(()) => continue,
                        Err(NotFound::Skip(reason)) => Decision::Skip(reason),
                        Err(NotFound::Error(error)) => break Told::not_found_out(&error, tried)?,
                        Err(NotFound::Store(error)) => return Err(error.into()),
                    }
                }
                Verdict::Do(decision) => decision,
            };
            let withdraws = match decision {
                Decision::Disable { .. } => Some(Action::Disable),
                Decision::Delete(_) => Some(Action::Delete),
                _ => None,
            };
            if self.withdraws_only && withdraws.is_none() {
                // It is the cycle's.
                uncounted = true;
                break Told::nothing();
            }
            if withdraws.is_some_and(|action| !self.cleared.holds(anchor, action)) {
                // It left scope after the guard had looked, and so the next cycle looks at it.
                uncounted = true;
                break Told::nothing();
            }
            if matches!(decision, Decision::Create(_))
                && let Some((path, value)) = unique.open()
            {
                let wanted = Value::from(value.as_str());
                match self.gate.find(kind, &path, &wanted).await {
                    Ok(found) => {
                        let free =
                            found.is_empty() && self.claims.claim_value(&path, &value, anchor);
                        unique.answered((path, value), !free);
                    }
                    Err(error) => break Told::not_found_out(&error, tried)?,
                }
                continue;
            }
            if let Some(matched) = &matched {
                let step = matching_step(matched, &attempts);
                if steps.last() != Some(&step) {
                    steps.push(step);
                }
            }
            let is_managed = link
                .as_ref()
                .is_some_and(|it| it.state == LinkState::Managed);
            // Gives access, or takes it away: should it be done and not written down, nobody would look again at
            // somebody whose assignment was, in the end, as before.
            let (tells, target) = match &decision {
                Decision::Create(_) => (true, None),
                Decision::Disable { target, .. } | Decision::Delete(target) => (true, Some(target)),
                // What is linked nowhere yet may be called otherwise afterwards.
                Decision::Update { target, .. } => (!is_managed || adopted_now, Some(target)),
                _ => (false, None),
            };
            let target = target.cloned();
            if tells && noted.as_ref() != Some(&target) && rehearsal.is_none() {
                let found = intent.clone().filter(|_| adopted_now && target.is_some());
                let new = || self.intent_of(record.as_ref()?, mapping, began);
                if let Some(intent) = found.or_else(new) {
                    noted = Some(target.clone());
                    self.intents.note(Intent { target, ..intent }).await?;
                }
            }
            let seen = self.look(kind, &decision).await;
            let done = match &seen {
                // Nobody would be disabled either.
                Some(Err(error)) if error.stops_the_cycle() => Err(error.clone().into()),
                Some(Err(TargetError::NotFound)) => Err(TargetError::NotFound.into()),
                _ => self.perform(kind, anchor, &decision).await,
            };
            let error = match done {
                Ok(Written { created, noted }) => {
                    let decision = match (seen, rehearsal) {
                        (Some(Ok(object)), Some(rehearsal)) => {
                            rehearsal.leaving(kind, object, decision)
                        }
                        _ => decision,
                    };
                    noted_requests.extend(noted);
                    break match created {
                        // Somebody else matched it before its creation was answered.
                        Some(created) if !self.claims.claim(&created, anchor) => Told {
                            came_to: StepKind::Export,
                            ..Told::done(taken(&created), None, linked)
                        },
                        Some(created) => Told::done(decision, Some(created), linked_anew),
                        None => Told::done(decision, None, linked),
                    };
                }
                Err(unwritten) => unwritten,
            };
            let Unwritten { error, in_doubt } = error;
            let creating = matches!(decision, Decision::Create(_));
            doubtful |= tells && in_doubt;
            tried = Some(decision);
            match error {
                // The answer to a create is lost or throttled: it is never sent again blindly, but
                // preceded by the match (section 15, 4).
                error if creating && self.gate.limiter.pause(&error, &mut tries).await => {
                    if !matches!(error, TargetError::Throttled { .. })
                        && let Some(record) = &record
                    {
                        lost = true;
                        match self.ask(record, mapping, began, anchor).await {
                            Ok((found, tried)) => (matched, attempts) = (Some(found), tried),
                            Err(NotFound::Skip(..)) => {}
                            Err(NotFound::Error(error)) => {
                                break Told::not_found_out(&error, tried)?;
                            }
                            Err(NotFound::Store(error)) => return Err(error.into()),
                        }
                    }
                }
                // Somebody else made it in between, or it exists under a name that matching did not
                // see: look again, once (section 15, 17).
                TargetError::Conflict(said) if link.is_none() && !repaired => {
                    repaired = true;
                    let Some(record) = &record else { continue };
                    match self.ask(record, mapping, began, anchor).await {
                        Ok((Matched::Nobody, _)) => {
                            let error = TargetError::Conflict(format!(
                                "{said}; yet no object there matches: look for an account with \
                                 the same user name, email or external id and remove it, or match \
                                 by another attribute"
                            ));
                            break Told::failed(&error, tried)?;
                        }
                        Ok((found, tried)) => {
                            if !matches!(found, Matched::Taken(_)) {
                                self.gate.mistaken(kind);
                            }
                            (matched, attempts) = (Some(found), tried);
                        }
                        Err(NotFound::Skip(..)) => {}
                        Err(NotFound::Error(error)) => break Told::not_found_out(&error, tried)?,
                        Err(NotFound::Store(error)) => return Err(error.into()),
                    }
                }
                // It rested on what is known ahead: the target is asked, once.
                TargetError::Refused { .. }
                    if creating && link.is_none() && !repaired && self.gate.knows(kind) =>
                {
                    repaired = true;
                    let Some(record) = &record else { continue };
                    match self.ask(record, mapping, began, anchor).await {
                        Ok((Matched::One(one), tried)) => {
                            self.gate.mistaken(kind);
                            (matched, attempts) = (Some(Matched::One(one)), tried);
                        }
                        Err(NotFound::Store(error)) => return Err(error.into()),
                        _ => break Told::failed(&error, tried)?,
                    }
                }
                // Who was matched is gone since: look again, once.
                TargetError::NotFound if link.is_none() && !repaired && record.is_some() => {
                    repaired = true;
                    let Some(record) = &record else { continue };
                    match self.ask(record, mapping, began, anchor).await {
                        Ok((found, tried)) => (matched, attempts) = (Some(found), tried),
                        Err(NotFound::Skip(..)) => {}
                        Err(NotFound::Error(error)) => break Told::not_found_out(&error, tried)?,
                        Err(NotFound::Store(error)) => return Err(error.into()),
                    }
                }
                // The linked object is gone at the target: match again, once (section 15, 14 and 16).
                TargetError::NotFound if link.is_some() && !repaired && record.is_some() => {
                    repaired = true;
                    if judged.as_ref().is_some_and(Judged::in_scope) {
                        current = Some(Current::Missing);
                    } else {
                        break Told::dropped();
                    }
                }
                error => break Told::failed(&error, tried)?,
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
                came_to: StepKind::Export,
                ..told
            };
            "at the target already; the answer was lost on the way".clone_into(&mut told.detail);
        }
        if self.is_asked_for && told.status == Status::Skipped && told.code.is_empty() {
            // Nobody asks in vain (9.2).
            told = asked_in_vain(judged.as_ref(), stored.as_ref());
        }
        let is_kept = matches!(told.link, LinkChange::Keep) && told.status == Status::Skipped;
        if is_kept && matches!(current, Some(Current::Missing)) {
            // The linked object is gone, and nothing is made or matched in its place.
            told.link = LinkChange::Drop;
        }
        redact(&mut told.modified, mapping);
        let seen = (record, judged, stored.is_some());
        let outcome = self.outcome((kind, anchor), mapping, seen, steps, told, (began, ended));
        let event = outcome.event.map(|mut entry| {
            entry.add(noted_requests);
            entry
        });
        Ok(Outcome {
            event,
            answered: (had_intent || noted.is_some())
                && !uncounted
                && (outcome.failed.is_none() || !doubtful),
            ..outcome
        })
    }

    /// The object that an intent has made or matched, as if it had been linked then; `None` when there is
    /// none, or when it is the one that is linked.
    async fn adopt(
        &self,
        intent: &Intent,
        stored: Option<&Link>,
        since: Timestamp,
    ) -> Result<Option<Link>, NotFound> {
        let Intent {
            kind,
            anchor,
            path,
            value,
            target,
        } = intent;
        let mut found = if let Some(id) = target {
            match self.gate.read(*kind, id).await {
                // Whoever is called so by now is somebody else.
                Err(TargetError::NotFound) => return Ok(None),
                read => vec![read.map_err(NotFound::Error)?],
            }
        } else {
            let find = self.gate.find(*kind, path, value);
            find.await.map_err(NotFound::Error)?
        };
        if found.len() > 1 {
            return Err(NotFound::Skip(Reason::new(
                "DuplicateTargetEntries",
                "several objects at the target have the value by which one was made or taken over \
                 when the answer was lost; remove the duplicate there",
            )));
        }
        let Some(object) = found.pop() else {
            return Ok(None);
        };
        if let Some(stored) = stored
            && (stored.target == object.id
                || !matches!(self.read(*kind, stored).await?, Current::Missing))
        {
            return Ok(None);
        }
        Ok(match self.unless_taken(object, *anchor).await? {
            Matched::One(object) => Some(Link {
                kind: *kind,
                anchor: *anchor,
                target: object.id,
                state: LinkState::Managed,
                since,
            }),
            Matched::Nobody | Matched::Several | Matched::Taken(_) => None,
        })
    }

    /// Sends what a decision asks for.
    async fn perform(
        &self,
        kind: Kind,
        anchor: SourceAnchor,
        decision: &Decision<'_>,
    ) -> Result<Written, Unwritten> {
        let write = match decision {
            Decision::Create(values) => Write::Create(values),
            Decision::Update {
                target, changes, ..
            }
            | Decision::Disable {
                target, changes, ..
            } => Write::Update(target, changes),
            Decision::Delete(target) => Write::Delete(target),
            Decision::Nothing
            | Decision::Equal { .. }
            | Decision::Leave(..)
            | Decision::Forget(..)
            | Decision::Skip(..)
            | Decision::Fail(..) => return Ok(Written::default()),
        };
        let concerned = Concerned {
            kind,
            anchor,
            referred: &[],
        };
        match self.gate.write(concerned, &write).await {
            Err(Unwritten {
                error: TargetError::NotPlanned,
                ..
            }) if matches!(decision, Decision::Disable { .. }) => {
                // What was gone when it was planned is gone.
                let Write::Update(target, _) = write else {
                    return Err(TargetError::NotPlanned.into());
                };
                Err(match self.gate.read(kind, target).await {
                    Err(TargetError::NotFound) => TargetError::NotFound.into(),
                    _ => TargetError::NotPlanned.into(),
                })
            }
            answer => answer,
        }
    }

    /// The object that is to be disabled, as the target has it: for a plan to show, and because a write
    /// that is not sent does not say that it is gone. A cycle that writes does not ask.
    async fn look(
        &self,
        kind: Kind,
        decision: &Decision<'_>,
    ) -> Option<Result<TargetObject, TargetError>> {
        match (decision, self.gate.rehearsal()) {
            (Decision::Disable { target, .. }, Some(_)) => Some(self.gate.read(kind, target).await),
            _ => None,
        }
    }

    fn outcome(
        &self,
        (kind, anchor): (Kind, SourceAnchor),
        mapping: &ObjectMapping,
        (record, judged, is_linked): (Option<Record>, Option<Judged>, bool),
        found: Vec<Step>,
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
        // A plan says what would change.
        let is_as_before = told.code == "RedundantExport" && matches!(told.link, LinkChange::Keep);
        let is_left_out = is_as_before && self.gate.rehearsal().is_some();
        let is_told = !silent && !is_left_out;
        let mut steps = Vec::with_capacity(5);
        if is_told {
            let name = match (self.is_asked_for, &record, is_linked) {
                (_, None, _) => StepName::ImportDelete,
                (true, Some(_), _) => StepName::Import,
                (false, Some(_), false) => StepName::ImportAdd,
                (false, Some(_), true) => StepName::ImportUpdate,
            };
            // Whoever wonders why looks at the values.
            let is_wondered_at = told.status != Status::Success && told.code != "RedundantExport";
            let shown = record
                .as_ref()
                .filter(|_| self.is_asked_for || is_wondered_at);
            steps.push(import_step(name, shown.map(|record| (record, mapping))));
            steps.extend(judged.as_ref().map(|judged| scoping_step(judged, kind)));
            steps.extend(found);
            steps.extend(last_steps(&told, is_linked));
        }
        let (name, references) = record.map_or_else(
            || (anchor.to_string(), Vec::new()),
            |record| {
                (
                    record.name,
                    if holds { record.references } else { Vec::new() },
                )
            },
        );
        let event = is_told.then(|| {
            let event = Event {
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
            };
            let rank = match kind {
                Kind::User => 1,
                Kind::Group => 2,
            };
            Entry::new(event, self.gate.rehearsal(), || format!("{rank}/{anchor}"))
        });
        let failed = (told.status == Status::Failure).then_some(told.code);
        let withdraws = counts.disabled + counts.deleted > 0;
        Outcome {
            kind,
            anchor,
            event,
            link: told.link,
            failed,
            references,
            counts,
            withdrawn: withdraws && self.cleared.counts(anchor),
            answered: false,
        }
    }

    /// How to find the object that is about to be created or taken over. One without a matching value is
    /// found by nobody.
    fn intent_of(&self, record: &Record, mapping: &ObjectMapping, at: Timestamp) -> Option<Intent> {
        mapping.matching().into_iter().find_map(|matching| {
            let evaluate = |context: &Context<'_>| matching.evaluate(&record.attributes, context);
            let mapped = self
                .basis
                .evaluate(record.anchor, at, &free, evaluate)
                .ok()?;
            let value = mapped.value.filter(|value| !value.is_empty())?;
            Some(Intent {
                kind: record.kind,
                anchor: record.anchor,
                path: matching.target.clone(),
                value,
                target: None,
            })
        })
    }
}
