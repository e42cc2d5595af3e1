//! A target in memory that can be disturbed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;

use async_trait::async_trait;
use muster_engine::port::{
    Change, Connector, Definitions, Keeper, Page, Probe, References, Shape, Source, Target,
    TargetError, TargetObject, TestFailure, Write,
};
use muster_model::directory::Kind;
use muster_model::job::{Credentials, Job};
use muster_model::link::TargetId;
use muster_model::plan::Request;
use muster_model::{Attributes, TenantId, Value};
use muster_store::Store;
use tokio::sync::Notify;

use super::world::World;

/// The path of the manager in the default mappings.
pub(crate) const MANAGER: &str =
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager";

/// Objects in a page.
const PAGE: usize = 4;

/// What the target holds.
#[derive(Debug, Default)]
pub(crate) struct Held {
    next: u32,
    pub(crate) users: BTreeMap<TargetId, Attributes>,
    pub(crate) groups: BTreeMap<TargetId, Attributes>,
    pub(crate) members: BTreeMap<TargetId, BTreeSet<TargetId>>,
    requests: u64,
    disturbed: bool,
    dead: bool,
    /// What it answers to everything, instead of doing it.
    pub(crate) says: Option<TargetError>,
    /// Who is there and in no page.
    pub(crate) hidden: Option<TargetId>,
    /// Objects that are being changed.
    busy: BTreeSet<TargetId>,
}

impl Held {
    fn of(&mut self, kind: Kind) -> &mut BTreeMap<TargetId, Attributes> {
        match kind {
            Kind::User => &mut self.users,
            Kind::Group => &mut self.groups,
        }
    }

    /// Removes an object and everything that refers to it.
    pub(crate) fn remove(&mut self, kind: Kind, id: &TargetId) {
        self.of(kind).remove(id);
        self.members.remove(id);
        for members in self.members.values_mut() {
            members.remove(id);
        }
        let manager = Value::from(id.0.as_str());
        for user in self.users.values_mut() {
            if user.get(MANAGER) == Some(&manager) {
                user.remove(MANAGER);
            }
        }
    }
}

/// What happens to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Answered,
    Refused,
    /// Whether it is carried out before the answer is lost.
    Lost(bool),
    Away(bool),
    Dies(bool),
    /// From now on nothing is there, as far as it says.
    Gone,
}

/// A target that several connections may use.
#[derive(Debug)]
pub(crate) struct Provider {
    pub(crate) held: Mutex<Held>,
    /// Refuses references to who is not there.
    is_strict: bool,
    pub(crate) died: Notify,
    pub(crate) world: OnceLock<Weak<World>>,
    /// What was to be written, as requests say it.
    pub(crate) written: Mutex<Vec<String>>,
    /// How long it takes to answer.
    pub(crate) takes: Mutex<Duration>,
}

impl Provider {
    pub(crate) fn new(is_strict: bool) -> Arc<Self> {
        Arc::new(Self {
            is_strict,
            held: Mutex::default(),
            died: Notify::new(),
            world: OnceLock::new(),
            written: Mutex::default(),
            takes: Mutex::default(),
        })
    }

    pub(crate) fn disturb(&self, on: bool) {
        let mut held = self.held.lock().unwrap();
        (held.disturbed, held.says) = (on, None);
    }

    /// From now on everything is answered so; nothing is done.
    pub(crate) fn says(&self, error: Option<TargetError>) {
        self.held.lock().unwrap().says = error;
    }

    pub(crate) fn is_disturbed(&self) -> bool {
        self.held.lock().unwrap().disturbed
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.held.lock().unwrap().dead
    }

    pub(crate) fn revive(&self) {
        self.held.lock().unwrap().dead = false;
        let _ = futures::FutureExt::now_or_never(self.died.notified());
    }

    /// Never are two requests that change the same object under way.
    fn busy(self: &Arc<Self>, id: &TargetId) -> Busy {
        let is_first = self.held.lock().unwrap().busy.insert(id.clone());
        let busy = Busy(Arc::clone(self), id.clone());
        let world = self.world.get().and_then(Weak::upgrade).unwrap();
        assert!(is_first, "two requests about {id}:\n{}", world.told());
        busy
    }

    fn fate(world: &World) -> Fate {
        match world.draw(1000) {
            0..30 => Fate::Refused,
            30..40 => Fate::Lost(true),
            40..50 => Fate::Lost(false),
            50..54 => Fate::Away(true),
            54..58 => Fate::Away(false),
            58..66 => Fate::Dies(true),
            66..74 => Fate::Dies(false),
            74..77 => Fate::Gone,
            _ => Fate::Answered,
        }
    }

    async fn request<T>(
        &self,
        what: &str,
        carry_out: impl FnOnce(&mut Held) -> Result<T, TargetError>,
    ) -> Result<T, TargetError> {
        let world = self.world.get().and_then(Weak::upgrade).unwrap();
        let disturbed = {
            let mut held = self.held.lock().unwrap();
            held.requests += 1;
            held.disturbed
        };
        if let Some(error) = self.held.lock().unwrap().says.clone() {
            world.tell(&format!("  {what}: {error}"));
            return Err(error);
        }
        let fate = if disturbed {
            Self::fate(&world)
        } else {
            Fate::Answered
        };
        world.tell(&format!("  {what}: {fate:?}"));
        let takes = *self.takes.lock().unwrap();
        if !takes.is_zero() {
            tokio::time::sleep(takes).await;
        }
        let dead = self.held.lock().unwrap().dead;
        if dead {
            // The process that asks is dead; it only has not been told yet.
            std::future::pending::<()>().await;
        }
        let done = match fate {
            Fate::Answered | Fate::Lost(true) | Fate::Away(true) | Fate::Dies(true) => {
                let mut held = self.held.lock().unwrap();
                Some(carry_out(&mut held))
            }
            Fate::Refused
            | Fate::Lost(false)
            | Fate::Away(false)
            | Fate::Dies(false)
            | Fate::Gone => None,
        };
        if disturbed && world.happens(60) {
            Box::pin(world.act()).await;
        }
        match fate {
            Fate::Answered => done.unwrap(),
            Fate::Refused => Err(refused("disturbed")),
            Fate::Gone => {
                self.held.lock().unwrap().says = Some(TargetError::NotFound);
                Err(TargetError::NotFound)
            }
            Fate::Lost(_) => Err(TargetError::Timeout(Duration::from_secs(30))),
            Fate::Away(_) => Err(TargetError::Unreachable {
                host: "target".to_owned(),
                detail: "disturbed".to_owned(),
            }),
            Fate::Dies(_) => {
                self.held.lock().unwrap().dead = true;
                self.died.notify_one();
                std::future::pending().await
            }
        }
    }
}

/// An object that is being changed.
#[derive(Debug)]
struct Busy(Arc<Provider>, TargetId);

impl Drop for Busy {
    fn drop(&mut self) {
        if let Ok(mut held) = self.0.held.lock() {
            held.busy.remove(&self.1);
        }
    }
}

fn refused(why: &str) -> TargetError {
    TargetError::Refused {
        status: 400,
        over: muster_engine::port::Over::Other,
        detail: why.to_owned(),
    }
}

fn same(left: &Value, right: &Value) -> bool {
    match (left.as_text(), right.as_text()) {
        (Some(left), Some(right)) => left.eq_ignore_ascii_case(right),
        _ => left == right,
    }
}

/// A connection to the target.
#[derive(Debug)]
struct Connection(Arc<Provider>);

impl Connection {
    async fn create(&self, kind: Kind, values: &[(&str, Value)]) -> Result<TargetId, TargetError> {
        let key = match kind {
            Kind::User => "userName",
            Kind::Group => "displayName",
        };
        let mut given = Attributes::default();
        for (path, value) in values {
            given.set(*path, value.clone());
        }
        let told = format!("create {:?}", given.get(key));
        let create = move |held: &mut Held| {
            let name = given.get(key).cloned().unwrap_or_default();
            let taken = |it: &Attributes| it.get(key).is_some_and(|it| same(it, &name));
            if held.of(kind).values().any(taken) {
                return Err(TargetError::Conflict(format!("{key} is taken")));
            }
            held.next += 1;
            let id = TargetId(format!("{kind:?}{}", held.next));
            held.of(kind).insert(id.clone(), given);
            Ok(id)
        };
        self.0.request(&told, create).await
    }

    async fn update(
        &self,
        kind: Kind,
        id: &TargetId,
        changes: &[Change],
    ) -> Result<(), TargetError> {
        let told: Vec<String> = changes
            .iter()
            .map(|it| format!("{}={:?}", it.path, it.new))
            .collect();
        let update = |held: &mut Held| {
            let values = held.of(kind).get_mut(id).ok_or(TargetError::NotFound)?;
            for change in changes {
                values.set(change.path.as_str(), change.new.clone());
            }
            Ok(())
        };
        let what = format!("update {id} {}", told.join(" "));
        let _busy = self.0.busy(id);
        self.0.request(&what, update).await
    }

    async fn delete(&self, kind: Kind, id: &TargetId) -> Result<(), TargetError> {
        let delete = |held: &mut Held| {
            held.remove(kind, id);
            Ok(())
        };
        let _busy = self.0.busy(id);
        self.0.request(&format!("delete {id}"), delete).await
    }

    async fn add(&self, kind: Kind, references: References<'_>) -> Result<(), TargetError> {
        let References {
            owner,
            path,
            referred,
        } = references;
        let is_strict = self.0.is_strict;
        let add = |held: &mut Held| {
            // Who is not there is not referred to.
            let mut referred = referred.to_vec();
            let asked = referred.len();
            referred.retain(|id| held.users.contains_key(id));
            if referred.len() < asked && is_strict {
                return Err(refused("no such member"));
            }
            let owners = held.of(kind);
            let values = owners.get_mut(owner).ok_or(TargetError::NotFound)?;
            if kind == Kind::User {
                // The old one is none any more in either case.
                match referred.last() {
                    Some(manager) => values.set(path, Value::from(manager.0.as_str())),
                    None => drop(values.remove(path)),
                }
            } else {
                let members = held.members.entry(owner.clone()).or_default();
                members.extend(referred);
            }
            Ok(())
        };
        let what = format!("add to {owner} {referred:?}");
        let _busy = (kind == Kind::User).then(|| self.0.busy(owner));
        self.0.request(&what, add).await
    }

    async fn remove(&self, kind: Kind, references: References<'_>) -> Result<(), TargetError> {
        let References {
            owner,
            path,
            referred,
        } = references;
        let remove = |held: &mut Held| {
            let owners = held.of(kind);
            let values = owners.get_mut(owner).ok_or(TargetError::NotFound)?;
            if kind == Kind::User {
                values.remove(path);
            } else {
                let members = held.members.entry(owner.clone()).or_default();
                members.retain(|member| !referred.contains(member));
            }
            Ok(())
        };
        let what = format!("remove from {owner} {referred:?}");
        let _busy = (kind == Kind::User).then(|| self.0.busy(owner));
        self.0.request(&what, remove).await
    }
}

#[async_trait]
impl Target for Connection {
    async fn find(
        &self,
        kind: Kind,
        path: &str,
        value: &Value,
    ) -> Result<Vec<TargetObject>, TargetError> {
        let find = |held: &mut Held| {
            let found = held.of(kind).iter();
            let found = found.filter(|(_, it)| it.get(path).is_some_and(|it| same(it, value)));
            Ok(found.map(|(id, values)| object(id, values)).collect())
        };
        self.0.request(&format!("find {value:?}"), find).await
    }

    async fn page(&self, kind: Kind, start: u64) -> Result<Page, TargetError> {
        let world = self.0.world.get().and_then(Weak::upgrade).unwrap();
        // Some lists begin anew again and again, or end too early.
        let wrong = self.0.is_disturbed() && world.happens(100);
        let (skipped, length) = match world.draw(2) {
            _ if !wrong => (start as usize - 1, PAGE),
            0 => (0, PAGE),
            _ => (start as usize - 1, 0),
        };
        let page = |held: &mut Held| {
            let hidden = held.hidden.clone();
            let shown = held
                .of(kind)
                .iter()
                .filter(|(id, _)| Some(*id) != hidden.as_ref());
            let shown: Vec<TargetObject> = shown.map(|(id, values)| object(id, values)).collect();
            Ok(Page {
                total: shown.len() as u64,
                objects: shown.into_iter().skip(skipped).take(length).collect(),
            })
        };
        self.0.request(&format!("page from {start}"), page).await
    }

    async fn read(&self, kind: Kind, id: &TargetId) -> Result<TargetObject, TargetError> {
        let read = |held: &mut Held| {
            let found = held.of(kind).get(id);
            found
                .map(|values| object(id, values))
                .ok_or(TargetError::NotFound)
        };
        self.0.request(&format!("read {id}"), read).await
    }

    fn request(&self, kind: Kind, write: &Write<'_>) -> Result<Request, TargetError> {
        let body = Some(format!("{write:?}"));
        Ok(Request::new("WRITE", kind.as_str(), body))
    }

    async fn write(&self, kind: Kind, write: &Write<'_>) -> Result<Option<TargetId>, TargetError> {
        self.0.written.lock().unwrap().push(format!("{write:?}"));
        match *write {
            Write::Create(values) => return self.create(kind, values).await.map(Some),
            Write::Update(id, changes) => self.update(kind, id, changes).await?,
            Write::Delete(id) => self.delete(kind, id).await?,
            Write::AddReferences(references) => self.add(kind, references).await?,
            Write::RemoveReferences(references) => self.remove(kind, references).await?,
        }
        Ok(None)
    }

    async fn is_empty(&self, kind: Kind) -> Result<bool, TargetError> {
        let ask = |held: &mut Held| Ok(held.of(kind).is_empty());
        self.0.request("is it empty", ask).await
    }

    async fn test(&self, _groups: bool) -> Result<(), TestFailure> {
        Ok(())
    }

    async fn probe(&self, _: Option<&str>) -> Result<Probe, TestFailure> {
        Ok(Probe::default())
    }

    async fn definitions(&self) -> Result<Definitions, TestFailure> {
        Ok(Definitions::default())
    }

    fn chunk(&self) -> usize {
        3
    }

    fn requests(&self) -> u64 {
        self.0.held.lock().unwrap().requests
    }
}

fn object(id: &TargetId, values: &Attributes) -> TargetObject {
    TargetObject {
        id: id.clone(),
        values: values.clone(),
        absent: Vec::new(),
    }
}

/// The real directory and this target.
#[derive(Debug)]
pub(crate) struct Connections {
    pub(crate) store: Store,
    pub(crate) provider: Arc<Provider>,
}

impl Connector for Connections {
    fn source(&self, tenant: TenantId, job: &Job) -> Box<dyn Source> {
        let store = self.store.clone();
        Box::new(muster_connect::DirectorySource::new(
            store,
            tenant,
            job.application,
        ))
    }

    fn target(
        &self,
        _: &Credentials,
        _: &Shape,
        _: Arc<dyn Keeper>,
    ) -> Result<Box<dyn Target>, TargetError> {
        Ok(Box::new(Connection(Arc::clone(&self.provider))))
    }
}
