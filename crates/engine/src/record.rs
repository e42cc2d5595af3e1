//! Writes down what came of objects: links, references, escrows, events, checkpoint.
//!
//! In batches, each one transaction that first proves the lease; never before the target answered.

use futures::future::BoxFuture;
use muster_model::directory::Kind;
use muster_model::event::{Action, Event, Status, Step, StepKind};
use muster_model::exchange::{Exchange, Keep};
use muster_model::job::JobSettings;
use muster_model::link::SourceAnchor;
use muster_model::plan::{Operation, Request};
use muster_model::{TenantId, Timestamp};
use muster_store::escrows::Escrow;
use muster_store::exchanges::Sealed;
use muster_store::jobs::Lease;
use muster_store::plans::{At, Placed};
use muster_store::references::State;
use muster_store::{
    Store, StoreError, Tx, escrows, events, exchanges, intents, jobs, links, plans, references,
    withdrawn,
};

use crate::outcome::{LinkChange, Outcome};
use crate::port::TargetError;
use crate::rehearsal::Rehearsal;

/// Objects of one batch at most: as many as one statement writes, and few enough that the writer has
/// time for others between two batches.
pub(crate) const BATCH: usize = 64;

/// Something for the log; or, of a cycle that is rehearsed, for its plan.
#[derive(Debug)]
pub(crate) struct Entry {
    event: Event,
    exchanges: Option<Sealed>,
    planned: Option<(At, Vec<Request>)>,
}

impl Entry {
    /// An event. In a plan it stands at `place`, which orders it.
    pub(crate) fn new(
        event: Event,
        rehearsal: Option<&Rehearsal>,
        place: impl FnOnce() -> String,
    ) -> Self {
        let planned = rehearsal.map(|rehearsal| {
            let at = At {
                place: place(),
                number: rehearsal.number(),
            };
            (at, Vec::new())
        });
        Self {
            event,
            exchanges: None,
            planned,
        }
    }

    /// Adds what was said to the target, if that is to be kept of such an event.
    pub(crate) fn seal(
        &mut self,
        store: &Store,
        tenant: TenantId,
        keep: Keep,
        said: &[Exchange],
    ) -> Result<(), StoreError> {
        let Event {
            id, job, status, ..
        } = self.event;
        let is_kept = match keep {
            Keep::All => true,
            Keep::Failures => matches!(status, Status::Failure | Status::Warning),
            Keep::None => false,
        };
        if is_kept && !said.is_empty() {
            let sealed = exchanges::seal(store.key(), (tenant, job), id, said)?;
            self.exchanges = Some(sealed);
        }
        Ok(())
    }

    /// What would be done, and the steps on the way there.
    pub(crate) fn told(self) -> (Operation, Vec<Step>) {
        let steps = self.event.steps.clone();
        let requests = self.planned.map_or_else(Vec::new, |(_, requests)| requests);
        (operation(self.event, requests), steps)
    }

    /// Adds what would be sent.
    pub(crate) fn add(&mut self, requests: Vec<Request>) {
        if let Some((_, known)) = &mut self.planned {
            known.extend(requests);
        }
    }
}

fn operation(event: Event, requests: Vec<Request>) -> Operation {
    Operation {
        kind: event.kind,
        source: event.source,
        name: event.source_name,
        target: event.target.filter(|_| event.action != Action::Create),
        action: event.action,
        status: event.status,
        code: event.code,
        // What is there already, although its answer was lost, is told as the log does.
        reason: if requests.is_empty() {
            event.detail
        } else {
            reason(&event.steps, event.detail)
        },
        modified: event.modified,
        requests,
    }
}

/// The plan of a cycle that is rehearsed, in the store in which it is.
pub(crate) const REHEARSED: &str = "";

/// Why something would be sent: what was found out on the way there. References say it themselves.
fn reason(steps: &[Step], detail: String) -> String {
    let refers = |it: &Step| it.kind() == StepKind::ReferenceResolution;
    if steps.iter().any(refers) {
        // It is not there yet.
        return detail.trim_end_matches(" at the target").to_owned();
    }
    let tells = |it: &&Step| matches!(it.kind(), StepKind::Scoping | StepKind::Matching);
    let found = steps.iter().filter(tells);
    let found: Vec<&str> = found.map(|it| it.description.as_str()).collect();
    if found.is_empty() {
        "it is gone from the source".to_owned()
    } else {
        found.join("; ")
    }
}

/// Writes into the log, or into the plan.
pub(crate) async fn log(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    entries: Vec<Entry>,
) -> Result<(), StoreError> {
    let (mut events, mut operations, mut said) = (Vec::new(), Vec::new(), Vec::new());
    for entry in entries {
        let Entry { event, planned, .. } = entry;
        let Some((at, requests)) = planned else {
            events.push(event);
            said.extend(entry.exchanges);
            continue;
        };
        let body = plans::operation_to_json(&operation(event, requests));
        operations.push(Placed { at, body });
    }
    events::append(tx, tenant, &events).await?;
    exchanges::append(tx, tenant, said).await?;
    plans::append(tx, tenant, REHEARSED, operations).await
}

/// Who refers to an object that was linked just now: owner, attribute, the object.
pub(crate) type Referrer = (SourceAnchor, &'static str, SourceAnchor);

/// Writes in a transaction that first proves the lease, and that the job did not begin anew.
pub(crate) async fn under<F>(store: &Store, lease: Lease, body: F) -> Result<(), StoreError>
where
    F: for<'a> FnOnce(&'a mut Tx<'static>) -> BoxFuture<'a, Result<(), StoreError>>
        + Send
        + 'static,
{
    store
        .write(move |tx| {
            Box::pin(async move {
                lease.check(tx).await?;
                body(tx).await
            })
        })
        .await
}

/// Keeps what came of some objects, and how far the cycle has come.
pub(crate) async fn keep(
    store: &Store,
    lease: Lease,
    now: Timestamp,
    outcomes: Vec<Outcome>,
    referrers: Vec<Referrer>,
    checkpoint: Option<String>,
    has_escrows: bool,
) -> Result<(), StoreError> {
    let goes_on = store
        .write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                let goes_on = lease.holds(tx).await?;
                write(tx, lease, now, outcomes, referrers, has_escrows).await?;
                if let (Some(checkpoint), true) = (checkpoint, goes_on) {
                    lease.set_progress(tx, Some(&checkpoint)).await?;
                }
                Ok(goes_on)
            })
        })
        .await?;
    if goes_on {
        Ok(())
    } else {
        Err(StoreError::Restarted)
    }
}

async fn write(
    tx: &mut Tx<'_>,
    lease: Lease,
    now: Timestamp,
    outcomes: Vec<Outcome>,
    referrers: Vec<Referrer>,
    has_escrows: bool,
) -> Result<(), StoreError> {
    let (tenant, job) = (lease.tenant, lease.job);
    let (mut changed, mut wanted, mut written) = (Vec::new(), Vec::new(), Vec::new());
    let mut withdrawn = Vec::new();
    let mut answered = Vec::new();
    for outcome in outcomes {
        let anchor = outcome.anchor;
        answered.extend(outcome.answered.then_some(anchor));
        withdrawn.extend(outcome.withdrawn.then_some(anchor));
        let mut is_new = false;
        match outcome.link {
            LinkChange::Keep => {}
            LinkChange::New(link) => {
                is_new = true;
                changed.push(link);
            }
            LinkChange::Moved(link) => {
                // The object that had what it refers to is another one.
                references::send_again(tx, tenant, job, anchor).await?;
                changed.push(link);
            }
            LinkChange::Changed(link) => changed.push(link),
            LinkChange::Drop => {
                links::remove(tx, tenant, job, anchor).await?;
                references::forget(tx, tenant, job, anchor).await?;
            }
        }
        for (attribute, referred) in outcome.references {
            let place = Place {
                lease,
                owner: anchor,
                attribute,
            };
            if is_new || place.set(tx, referred).await? {
                wanted.extend(referred.map(|referred| ((anchor, attribute, referred), None)));
            }
        }
        match outcome.failed {
            Some(code) => {
                let failure = Failure {
                    anchor,
                    kind: outcome.kind,
                    code,
                };
                escrow(tx, lease, now, &failure).await?;
            }
            None if has_escrows => {
                escrows::remove(tx, tenant, job, outcome.kind, anchor).await?;
            }
            None => {}
        }
        written.extend(outcome.event);
    }
    links::put(tx, tenant, job, &changed).await?;
    intents::remove(tx, tenant, job, &answered).await?;
    withdrawn::add(tx, tenant, job, now, &withdrawn).await?;
    references::settle(tx, tenant, job, &wanted, State::Add).await?;
    references::wake(tx, tenant, job, &referrers).await?;
    log(tx, tenant, written).await
}

/// A single-valued reference of one object.
struct Place {
    lease: Lease,
    owner: SourceAnchor,
    attribute: &'static str,
}

impl Place {
    /// Makes `wanted` the only one; answers whether it must be added.
    async fn set(&self, tx: &mut Tx<'_>, wanted: Option<SourceAnchor>) -> Result<bool, StoreError> {
        let Self {
            lease: Lease { tenant, job, .. },
            owner,
            attribute,
        } = *self;
        let held: Vec<SourceAnchor> = wanted.into_iter().collect();
        let linked = links::of(tx, tenant, job, &held).await?;
        let linked = linked.first().map(|link| &link.target);
        let mut known = false;
        for (referred, standing) in
            references::of(tx, tenant, job, owner, attribute, None, 100).await?
        {
            // What waits is looked at again: it may have been linked while its owner was not managed.
            known |= Some(referred) == wanted
                && (standing.state == State::Add || standing.is_at_target(linked));
            if Some(referred) != wanted {
                references::unwant(tx, tenant, job, owner, attribute, referred).await?;
            }
        }
        Ok(wanted.is_some() && !known)
    }
}

/// A failure to be kept in escrow.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure {
    pub(crate) anchor: SourceAnchor,
    pub(crate) kind: Kind,
    pub(crate) code: &'static str,
}

/// Puts a failure into escrow, moves its next attempt further away (EH-1, EH-2), or gives it up where the schedule
/// says so (EH-3).
pub(crate) async fn escrow(
    tx: &mut Tx<'_>,
    lease: Lease,
    now: Timestamp,
    failure: &Failure,
) -> Result<(), StoreError> {
    let before = escrows::find(tx, lease.tenant, lease.job, failure.anchor).await?;
    let failed = before.as_ref().map_or(0, |escrow| escrow.attempts);
    // Nobody was asked for what a plan does not say: it has not failed, and is the next cycle's.
    let is_asked = failure.code != TargetError::NotPlanned.code();
    let attempts = failed + u32::from(is_asked);
    let first_failed = before.map_or(now, |escrow| escrow.first_failed);
    let Lease { tenant, job, .. } = lease;
    let next_attempt = if is_asked {
        let settings = jobs::find(tx, tenant, job).await?.map(|job| job.settings);
        let JobSettings {
            retries,
            interval_seconds,
            ..
        } = settings.unwrap_or_default();
        retries.next_attempt((first_failed, attempts), interval_seconds, now)
    } else {
        Some(now)
    };
    // Who has an account may have to lose it: that is tried for ever.
    let next_attempt = match next_attempt {
        None if !links::of(tx, tenant, job, &[failure.anchor])
            .await?
            .is_empty() =>
        {
            Some(now.plus_seconds(86_400))
        }
        other => other,
    };
    let Some(next_attempt) = next_attempt else {
        return escrows::remove(tx, tenant, job, failure.kind, failure.anchor).await;
    };
    let escrow = Escrow {
        anchor: failure.anchor,
        kind: failure.kind,
        code: failure.code.to_owned(),
        first_failed,
        attempts,
        next_attempt,
    };
    escrows::put(tx, tenant, job, &escrow).await
}
