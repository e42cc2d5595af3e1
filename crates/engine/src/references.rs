//! The second pass: references that are due are sent in chunks that the target accepts, and written
//! down.

mod send;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use futures::future::join_all;
use futures::stream::{self, StreamExt, TryStreamExt};
use muster_model::cycle::Counts;
use muster_model::directory::Kind;
use muster_model::event::{Action, Event, Modified, Status, Step, StepName};
use muster_model::exchange::Exchange;
use muster_model::link::{Link, LinkState, SourceAnchor, TargetId};
use muster_model::plan::Request;
use muster_model::{Clock, CycleId, EventId, Timestamp, Value};
use muster_store::jobs::Lease;
use muster_store::references::{Due, State};
use muster_store::{Store, StoreError, escrows, references, withdrawn};

use crate::error::EngineError;
use crate::gate::Gate;
use crate::guard::Cleared;
use crate::hands::Hands;
use crate::limit::MOST;
use crate::port::{Source, TargetError, took};
use crate::record::{Entry, Failure, escrow, log};

/// The source attribute of group members.
pub(crate) const MEMBERS: &str = "members";
/// References that are looked at together at most.
const PAGE: u32 = 1000;
/// Stretches of the work list that are worked off beside each other.
const STRETCHES: u8 = 16;

/// What the second pass needs.
pub(crate) struct Pass<'a> {
    pub(crate) store: &'a Store,
    pub(crate) clock: &'a Arc<dyn Clock>,
    pub(crate) source: &'a dyn Source,
    pub(crate) gate: &'a Gate<'a>,
    pub(crate) lease: Lease,
    pub(crate) cycle: CycleId,
    /// The target's path of a reference attribute, or `None` when it is not mapped.
    pub(crate) path: &'a (dyn Fn(Kind, &str) -> Option<String> + Sync),
    pub(crate) hands: &'a Hands,
    /// Which members it may remove.
    pub(crate) cleared: &'a Cleared,
    /// A request has stopped the cycle: nothing more is sent.
    pub(crate) over: AtomicBool,
}

/// The references of one owner by one attribute that are due.
pub(crate) struct Batch {
    pub(crate) owner: SourceAnchor,
    kind: Kind,
    target: TargetId,
    pub(crate) attribute: String,
    pub(crate) add: Vec<Referred>,
    pub(crate) remove: Vec<Referred>,
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

    /// These are not wanted any more, and not linked any more either. An attribute that has one value is emptied
    /// without a name.
    pub(crate) fn without_names(&mut self, referred: Vec<SourceAnchor>) {
        if self.is_single() && self.add.is_empty() && self.remove.is_empty() {
            let nameless = referred.into_iter();
            self.remove = nameless.map(|it| (it, TargetId(String::new()))).collect();
        } else {
            self.obsolete.extend(referred);
        }
    }

    /// Refers by an attribute that has one value.
    fn is_single(&self) -> bool {
        self.attribute != MEMBERS
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.add.is_empty()
            && self.remove.is_empty()
            && self.waiting.is_empty()
            && self.obsolete.is_empty()
    }
}

/// A referred object, and its id at the target.
type Referred = (SourceAnchor, TargetId);

/// What came of a batch.
pub(crate) struct Settled {
    batch: Batch,
    added: Vec<Referred>,
    removed: Vec<Referred>,
    /// Of these, those that count when the guard judges next.
    counted: Vec<SourceAnchor>,
    /// Refused one by one.
    refused: Vec<SourceAnchor>,
    /// Perhaps added, whatever else was answered afterwards.
    doubted: Vec<Referred>,
    /// Not removed, because the guard has not judged it.
    put_off: Vec<SourceAnchor>,
    /// Links of owner or referred objects that the target has no more.
    lost: Vec<Link>,
    error: Option<TargetError>,
    began: Timestamp,
    /// What would be sent, when it is only rehearsed.
    noted: Vec<Request>,
    /// What was said to the target.
    said: Vec<Exchange>,
}

/// How long a reference is put aside that was refused.
const ASIDE_SECONDS: i64 = 3600;

/// The code of who cannot be referred to yet (10.6).
const UNRESOLVED: &str = "UnableToResolveReferenceAttributeValue";
impl Settled {
    fn did_something(&self) -> bool {
        !self.added.is_empty() || !self.removed.is_empty()
    }
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
        // All of them come to their end: what one has answered is not forgotten because another one stops.
        for stretch in join_all(stretches).await {
            counts.add(&stretch?);
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
            before = sent?;
            if let Err(stopped) = kept.map(|kept| counts.add(&kept)).and_then(|()| told(seen)) {
                // What is answered is written down, whatever comes next.
                self.keep(before).await?;
                return Err(stopped);
            }
            due = next?;
        }
        counts.add(&self.keep(before).await?);
        Ok(counts)
    }

    /// Works off what is due of one owner.
    pub(crate) async fn of_owner(&self, owner: SourceAnchor) -> Result<Counts, EngineError> {
        let nobody = SourceAnchor::from_bytes([0; 16]);
        let next = u128::from_be_bytes(*owner.as_bytes()).checked_add(1);
        let end = next.map(|next| SourceAnchor::from_bytes(next.to_be_bytes()));
        let (mut counts, mut after) = (Counts::default(), (owner, String::new(), nobody));
        loop {
            let due = self.page(after, end).await?;
            let Some(last) = due.last() else {
                return Ok(counts);
            };
            after = (last.owner, last.attribute.clone(), last.referred);
            let send = stream::iter(batches(due)).map(|batch| self.send(batch));
            let settled = send.buffered(MOST).try_collect().await?;
            counts.add(&self.keep(settled).await?);
        }
    }

    /// Those that were removed and count for the guard.
    fn counted(&self, owner: SourceAnchor, removed: &[Referred]) -> Vec<SourceAnchor> {
        let members = removed.iter().map(|(member, _)| *member);
        let counts = |member: &SourceAnchor| self.cleared.counts_removal(owner, *member);
        members.filter(counts).collect()
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

    /// Writes down what came of a page.
    pub(crate) async fn keep(&self, mut settled: Vec<Settled>) -> Result<Counts, EngineError> {
        let mut counts = Counts::default();
        if settled.is_empty() {
            return Ok(counts);
        }
        let now = self.clock.now();
        let names = self.names(&settled).await?;
        let mut written = Vec::new();
        let mut stopped = None;
        for it in &mut settled {
            // What stops the cycle is no failure of an object.
            if it.error.as_ref().is_some_and(TargetError::stops_the_cycle) {
                stopped = it.error.take();
            }
            it.counted = self.counted(it.batch.owner, &it.removed);
            if it.error.is_some() {
                counts.failed += 1;
            } else if it.did_something() {
                counts.updated += 1;
            }
            written.extend(self.event(it, &names, now)?);
        }
        let (lease, retry_at) = (self.lease, now.plus_seconds(ASIDE_SECONDS));
        let goes_on = self
            .store
            .write::<_, StoreError, _>(move |tx| {
                Box::pin(async move {
                    let goes_on = lease.holds(tx).await?;
                    let (tenant, job) = (lease.tenant, lease.job);
                    let (mut exported, mut waiting, mut gone) = (vec![], vec![], vec![]);
                    let (mut to_add, mut to_remove, mut aside) = (vec![], vec![], vec![]);
                    let mut doubted = vec![];
                    let mut lost: BTreeMap<SourceAnchor, &Link> = BTreeMap::new();
                    let (mut asleep, mut put_off, mut counted) = (vec![], vec![], vec![]);
                    for it in &settled {
                        let Batch {
                            owner, attribute, ..
                        } = &it.batch;
                        let named = |id: &SourceAnchor| (*owner, attribute.as_str(), *id);
                        exported.extend(it.added.iter().map(|(id, sent)| (named(id), Some(sent))));
                        waiting.extend(it.batch.waiting.iter().map(|id| (named(id), None)));
                        gone.extend(it.removed.iter().map(|(id, _)| named(id)));
                        gone.extend(it.batch.obsolete.iter().map(named));
                        // What was not brought over stays due.
                        let add = rest(&it.batch.add, &it.added);
                        let remove = rest(&it.batch.remove, &it.removed);
                        to_add.extend(add.map(|id| (named(&id), None)));
                        to_remove.extend(remove.map(|id| (named(&id), None)));
                        let is_added =
                            |id: &SourceAnchor| it.added.iter().any(|(one, _)| one == id);
                        let maybe = it.doubted.iter().filter(|(id, _)| !is_added(id));
                        doubted.extend(maybe.map(|(id, sent)| (named(id), Some(sent))));
                        aside.extend(it.refused.iter().map(named));
                        put_off.extend(it.put_off.iter().map(named));
                        counted.extend(it.counted.iter().map(|id| (*owner, *id)));
                        for link in &it.lost {
                            if link.state == LinkState::Managed {
                                lost.insert(link.anchor, link);
                            } else if it.refused.contains(&link.anchor) {
                                // Nobody makes it again until it comes back into scope.
                                asleep.push((named(&link.anchor), None));
                            }
                        }
                    }
                    references::settle(tx, tenant, job, &exported, State::Exported).await?;
                    references::settle(tx, tenant, job, &to_add, State::Add).await?;
                    references::settle(tx, tenant, job, &doubted, State::Add).await?;
                    references::settle(tx, tenant, job, &to_remove, State::Remove).await?;
                    references::settle(tx, tenant, job, &waiting, State::Waiting).await?;
                    references::refuse(tx, tenant, job, &aside, retry_at).await?;
                    references::settle(tx, tenant, job, &asleep, State::Waiting).await?;
                    references::put_off(tx, tenant, job, &put_off, now).await?;
                    withdrawn::add_members(tx, tenant, job, now, &counted).await?;
                    references::drop_all(tx, tenant, job, &gone).await?;
                    for link in lost.into_values() {
                        // It is looked at again soon, and made again if it is still managed.
                        let failure = Failure {
                            anchor: link.anchor,
                            kind: link.kind,
                            code: TargetError::NotFound.code(),
                        };
                        // One that is there already is not put off by every further request.
                        if escrows::find(tx, tenant, job, link.anchor).await?.is_none() {
                            escrow(tx, lease, now, &failure).await?;
                        }
                    }
                    log(tx, tenant, written).await?;
                    Ok(goes_on)
                })
            })
            .await?;
        match stopped {
            _ if !goes_on => Err(StoreError::Restarted.into()),
            Some(error) => Err(error.into()),
            None => Ok(counts),
        }
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
                .filter(|it| it.did_something() || it.error.is_some())
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
    ) -> Result<Option<Entry>, StoreError> {
        let Settled {
            batch,
            noted,
            added,
            removed,
            error,
            began,
            said,
            ..
        } = settled;
        if !settled.did_something() && error.is_none() {
            return Ok(None);
        }
        let (status, code, detail) = match error {
            Some(error) if !settled.lost.is_empty() => {
                let lost: Vec<&str> = settled.lost.iter().map(|it| &*it.target.0).collect();
                let lost = lost.join(", ");
                let detail = format!(
                    "{error}; the target has {lost} no more, which is looked at again soon"
                );
                (Status::Failure, TargetError::NotFound.code(), detail)
            }
            Some(error) => (Status::Failure, error.code(), error.to_string()),
            None => (
                Status::Success,
                // Those who cannot be referred to yet are told in a step (CY-20).
                if batch.waiting.is_empty() {
                    ""
                } else {
                    UNRESOLVED
                },
                told(&batch.attribute, added.len(), removed.len()),
            ),
        };
        let (waiting, lost) = (batch.waiting.len(), settled.lost.len());
        let (resolved, description) = match (waiting, lost) {
            (0, 0) => (
                Status::Success,
                "all referred objects have accounts at the target".to_owned(),
            ),
            (0, _) => (
                Status::Warning,
                format!("{lost} referred objects are at the target no more"),
            ),
            _ => (
                Status::Warning,
                format!("{waiting} referred objects are not at the target (yet): {UNRESOLVED}"),
            ),
        };
        let mut steps = vec![Step {
            name: StepName::References,
            status: resolved,
            description,
            details: batch
                .waiting
                .iter()
                .take(NAMED)
                .map(|it| (it.to_string(), "it has no account at the target".to_owned()))
                .collect(),
        }];
        steps.push(Step {
            name: StepName::ExportUpdate,
            status,
            description: detail.clone(),
            details: Vec::new(),
        });
        let event = Event {
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
                old: listed(removed),
                new: listed(added),
            }],
        };
        // References come after all objects.
        let (owner, attribute) = (batch.owner, &batch.attribute);
        let place = || format!("3/{owner}/{attribute}");
        let mut entry = Entry::new(event, self.gate.rehearsal(), place);
        entry.add(noted.clone());
        entry.seal(self.store, self.lease.tenant, self.gate.keep, said)?;
        Ok(Some(entry))
    }
}

/// Referred ids that an event names at most.
const NAMED: usize = 20;

fn listed(referred: &[Referred]) -> Value {
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

/// Those of `all` that are not among `done`.
fn rest<'r>(all: &'r [Referred], done: &[Referred]) -> impl Iterator<Item = SourceAnchor> + 'r {
    let done: HashSet<SourceAnchor> = done.iter().map(|(anchor, _)| *anchor).collect();
    let anchors = all.iter().map(|(anchor, _)| *anchor);
    anchors.filter(move |anchor| !done.contains(anchor))
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
    for batch in &mut batches {
        let nameless = std::mem::take(&mut batch.obsolete);
        batch.without_names(nameless);
    }
    batches
}
