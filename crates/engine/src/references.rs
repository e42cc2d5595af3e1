//! The second pass: references that are due are sent in chunks that the target accepts, and written
//! down.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::try_join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use muster_model::cycle::Counts;
use muster_model::directory::Kind;
use muster_model::event::{Action, Event, Modified, Status, Step, StepKind};
use muster_model::link::{SourceAnchor, TargetId};
use muster_model::{Clock, CycleId, EventId, Timestamp, Value};
use muster_store::jobs::Lease;
use muster_store::references::{Due, State};
use muster_store::{Store, StoreError, events, references};

use crate::error::EngineError;
use crate::limit::{Limiter, MOST};
use crate::port::{Source, Target, TargetError, took};
use crate::record::LEASE_SECONDS;

/// References that are looked at together at most.
const PAGE: u32 = 1000;
/// Stretches of the work list that are worked off beside each other.
const STRETCHES: u8 = 16;

/// What the second pass needs.
pub(crate) struct Pass<'a> {
    pub(crate) store: &'a Store,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) source: &'a dyn Source,
    pub(crate) target: &'a dyn Target,
    pub(crate) limiter: &'a Limiter,
    pub(crate) lease: Lease,
    pub(crate) cycle: CycleId,
    /// The target's path of a reference attribute, or `None` when it is not mapped.
    pub(crate) path: &'a (dyn Fn(Kind, &str) -> Option<String> + Sync),
}

/// The references of one owner by one attribute that are due.
pub(crate) struct Batch {
    owner: SourceAnchor,
    kind: Kind,
    target: TargetId,
    attribute: String,
    pub(crate) add: Vec<(SourceAnchor, TargetId)>,
    pub(crate) remove: Vec<(SourceAnchor, TargetId)>,
    /// Referred objects that have no link.
    pub(crate) waiting: Vec<SourceAnchor>,
    /// Not wanted any more, and the target has them no more either.
    pub(crate) obsolete: Vec<SourceAnchor>,
}

impl Batch {
    /// Nothing is due yet.
    pub(crate) fn new(owner: SourceAnchor, kind: Kind, target: TargetId, attribute: &str) -> Self {
        Self {
            owner,
            kind,
            target,
            attribute: attribute.to_owned(),
            add: Vec::new(),
            remove: Vec::new(),
            waiting: Vec::new(),
            obsolete: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.add.is_empty()
            && self.remove.is_empty()
            && self.waiting.is_empty()
            && self.obsolete.is_empty()
    }
}

/// What came of a batch.
pub(crate) struct Settled {
    batch: Batch,
    added: usize,
    removed: usize,
    error: Option<TargetError>,
    began: Timestamp,
}

impl Pass<'_> {
    /// Works off what is due. `told` hears how many references were looked at since it heard last.
    ///
    /// The work list is ordered by owner, and requests on one owner follow each other; so several
    /// stretches of it are worked off beside each other, or one large group would hold up all others.
    pub(crate) async fn run(
        &self,
        told: &(dyn Fn(u64) -> Result<(), EngineError> + Sync),
    ) -> Result<Counts, EngineError> {
        let stretches = (0..STRETCHES).map(|number| self.stretch(number, told));
        let mut counts = Counts::default();
        for stretch in try_join_all(stretches).await? {
            counts.add(&stretch);
        }
        Ok(counts)
    }

    async fn stretch(
        &self,
        number: u8,
        told: &(dyn Fn(u64) -> Result<(), EngineError> + Sync),
    ) -> Result<Counts, EngineError> {
        let width = 255 / STRETCHES + 1;
        let edge = |byte: u8| {
            SourceAnchor::from_bytes(
                [&[byte][..], &[0; 15]]
                    .concat()
                    .try_into()
                    .unwrap_or([0; 16]),
            )
        };
        let begin = (
            edge(number * width),
            String::new(),
            SourceAnchor::from_bytes([0; 16]),
        );
        let end = (number + 1 < STRETCHES).then(|| edge((number + 1) * width));
        let mut counts = Counts::default();
        let mut due = self.page(begin, end).await?;
        let mut before: Vec<Settled> = Vec::new();
        // One page is sent while the one before is written down and the next one is read.
        while let Some(last) = due.last() {
            let after = (last.owner, last.attribute.clone(), last.referred);
            let seen = due.len() as u64;
            let send = stream::iter(batches(due))
                .map(|batch| self.send(batch))
                .buffered(MOST)
                .try_collect::<Vec<Settled>>();
            let (sent, kept, next) = tokio::join!(send, self.keep(before), self.page(after, end));
            counts.add(&kept?);
            before = sent?;
            due = next?;
            if let Err(stopped) = told(seen) {
                self.keep(before).await?;
                return Err(stopped);
            }
        }
        counts.add(&self.keep(before).await?);
        Ok(counts)
    }

    async fn page(
        &self,
        after: (SourceAnchor, String, SourceAnchor),
        end: Option<SourceAnchor>,
    ) -> Result<Vec<Due>, StoreError> {
        let Lease { tenant, job, .. } = self.lease;
        self.store
            .read(|tx| {
                Box::pin(async move { references::due(tx, tenant, job, after, end, PAGE).await })
            })
            .await
    }

    /// Sends the requests of one batch, one after the other: never two on the same object.
    pub(crate) async fn send(&self, batch: Batch) -> Result<Settled, EngineError> {
        let began = self.clock.now();
        let mut settled = Settled {
            batch,
            added: 0,
            removed: 0,
            error: None,
            began,
        };
        let Batch {
            kind,
            target,
            attribute,
            add,
            remove,
            ..
        } = &settled.batch;
        let Some(path) = (self.path)(*kind, attribute) else {
            return Ok(settled);
        };
        let chunk = self.target.chunk().max(1);
        // Removals first: a new manager then replaces the old one, and not the other way round.
        let single = attribute != "members";
        let replaced = single && !add.is_empty();
        let (mut added, mut removed, mut error) = (0, 0, None);
        if !replaced {
            for part in remove.chunks(chunk) {
                let ids = ids(part);
                let request = || self.target.remove_references(*kind, target, &path, &ids);
                match self.limiter.run(request).await {
                    Ok(()) => removed += part.len(),
                    Err(failure) => {
                        error = Some(failure);
                        break;
                    }
                }
            }
        }
        if error.is_none() {
            for part in add.chunks(chunk) {
                let ids = ids(part);
                let request = || self.target.add_references(*kind, target, &path, &ids);
                match self.limiter.run(request).await {
                    Ok(()) => added += part.len(),
                    Err(failure) => {
                        error = Some(failure);
                        break;
                    }
                }
            }
        }
        if replaced && error.is_none() {
            removed = remove.len();
        }
        if let Some(failure) = error.take_if(|failure| failure.stops_the_cycle()) {
            return Err(failure.into());
        }
        (settled.added, settled.removed, settled.error) = (added, removed, error);
        Ok(settled)
    }

    /// Writes down what came of a page.
    pub(crate) async fn keep(&self, settled: Vec<Settled>) -> Result<Counts, EngineError> {
        let mut counts = Counts::default();
        if settled.is_empty() {
            return Ok(counts);
        }
        let now = self.clock.now();
        let names = self.names(&settled).await?;
        let mut written = Vec::new();
        for it in &settled {
            if it.error.is_some() {
                counts.failed += 1;
            } else if it.added + it.removed > 0 {
                counts.updated += 1;
            }
            written.extend(self.event(it, &names, now));
        }
        let lease = self.lease;
        self.store
            .write::<_, StoreError, _>(move |tx| {
                Box::pin(async move {
                    lease
                        .check(tx, Some(now.plus_seconds(LEASE_SECONDS)))
                        .await?;
                    let (tenant, job) = (lease.tenant, lease.job);
                    let (mut exported, mut waiting, mut gone) = (vec![], vec![], vec![]);
                    let (mut to_add, mut to_remove) = (vec![], vec![]);
                    for it in &settled {
                        let Batch {
                            owner, attribute, ..
                        } = &it.batch;
                        let named = |id: &SourceAnchor| (*owner, attribute.as_str(), *id);
                        let added = &it.batch.add[..it.added];
                        exported.extend(added.iter().map(|(id, sent)| (named(id), Some(sent))));
                        waiting.extend(it.batch.waiting.iter().map(|id| (named(id), None)));
                        let removed = &it.batch.remove[..it.removed];
                        gone.extend(removed.iter().map(|(id, _)| named(id)));
                        gone.extend(it.batch.obsolete.iter().map(named));
                        // What was not brought over stays due.
                        let (add, remove) =
                            (&it.batch.add[it.added..], &it.batch.remove[it.removed..]);
                        to_add.extend(add.iter().map(|(id, _)| (named(id), None)));
                        to_remove.extend(remove.iter().map(|(id, _)| (named(id), None)));
                    }
                    references::settle(tx, tenant, job, &exported, State::Exported).await?;
                    references::settle(tx, tenant, job, &waiting, State::Waiting).await?;
                    references::settle(tx, tenant, job, &to_add, State::Add).await?;
                    references::settle(tx, tenant, job, &to_remove, State::Remove).await?;
                    references::drop_all(tx, tenant, job, &gone).await?;
                    events::append(tx, lease.tenant, &written).await
                })
            })
            .await?;
        Ok(counts)
    }

    /// The names of the owners that something happened to.
    async fn names(
        &self,
        settled: &[Settled],
    ) -> Result<HashMap<SourceAnchor, String>, EngineError> {
        let mut names = HashMap::new();
        for kind in [Kind::User, Kind::Group] {
            let owners: Vec<SourceAnchor> = settled
                .iter()
                .filter(|it| it.batch.kind == kind)
                .filter(|it| it.added + it.removed > 0 || it.error.is_some())
                .map(|it| it.batch.owner)
                .collect();
            names.extend(self.source.names(kind, &owners).await?);
        }
        Ok(names)
    }

    fn event(
        &self,
        settled: &Settled,
        names: &HashMap<SourceAnchor, String>,
        now: Timestamp,
    ) -> Option<Event> {
        let Settled {
            batch,
            added,
            removed,
            error,
            began,
        } = settled;
        if added + removed == 0 && error.is_none() {
            return None;
        }
        let (status, code, detail) = match error {
            Some(error) => (Status::Failure, error.code(), error.to_string()),
            None => (
                Status::Success,
                "",
                told(&batch.attribute, *added, *removed),
            ),
        };
        let waiting = batch.waiting.len();
        let mut steps = vec![Step {
            kind: StepKind::ReferenceResolution,
            status: if waiting == 0 {
                Status::Success
            } else {
                Status::Warning
            },
            description: if waiting == 0 {
                "all referred objects are at the target".to_owned()
            } else {
                format!(
                    "{waiting} referred objects are not at the target (yet): \
                     UnableToResolveReferenceAttributeValue"
                )
            },
            details: Vec::new(),
        }];
        steps.push(Step {
            kind: StepKind::Export,
            status,
            description: detail.clone(),
            details: Vec::new(),
        });
        Some(Event {
            id: EventId::new(),
            job: self.lease.job,
            cycle: self.cycle,
            at: now,
            duration_ms: took(*began, now),
            action: Action::Update,
            status,
            code: code.to_owned(),
            detail,
            kind: batch.kind,
            source: batch.owner,
            source_name: names
                .get(&batch.owner)
                .cloned()
                .unwrap_or_else(|| batch.owner.to_string()),
            target: Some(batch.target.clone()),
            steps,
            modified: vec![Modified {
                name: batch.attribute.clone(),
                old: listed(&batch.remove[..*removed]),
                new: listed(&batch.add[..*added]),
            }],
        })
    }
}

/// Referred ids that an event names at most.
const NAMED: usize = 20;

fn listed(referred: &[(SourceAnchor, TargetId)]) -> Value {
    match referred {
        [] => Value::Null,
        [(_, one)] => Value::from(one.0.as_str()),
        many => {
            let mut items: Vec<Value> = many
                .iter()
                .take(NAMED)
                .map(|(_, id)| Value::from(id.0.as_str()))
                .collect();
            if many.len() > NAMED {
                items.push(Value::from(format!("… and {} more", many.len() - NAMED)));
            }
            Value::List(items)
        }
    }
}

fn told(attribute: &str, added: usize, removed: usize) -> String {
    match (added, removed) {
        (added, 0) => format!("{attribute}: {added} added at the target"),
        (0, removed) => format!("{attribute}: {removed} removed at the target"),
        (added, removed) => format!("{attribute}: {added} added, {removed} removed at the target"),
    }
}

fn ids(part: &[(SourceAnchor, TargetId)]) -> Vec<TargetId> {
    part.iter().map(|(_, id)| id.clone()).collect()
}

/// Groups what is due by owner and attribute; it comes in that order.
fn batches(due: Vec<Due>) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for due in due {
        let same = batches
            .last()
            .is_some_and(|last| last.owner == due.owner && last.attribute == due.attribute);
        if !same {
            let Due {
                owner,
                kind,
                owner_target,
                attribute,
                ..
            } = &due;
            batches.push(Batch::new(*owner, *kind, owner_target.clone(), attribute));
        }
        let Some(batch) = batches.last_mut() else {
            continue;
        };
        match (due.state, due.referred_target) {
            (State::Remove, Some(target)) => batch.remove.push((due.referred, target)),
            (State::Remove, None) => batch.obsolete.push(due.referred),
            (_, Some(target)) => batch.add.push((due.referred, target)),
            (_, None) => batch.waiting.push(due.referred),
        }
    }
    batches
}
