//! Initial cycles of more and more users before a target in this process that keeps nothing but ids: time and
//! memory for each object, and what becomes of both.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use async_trait::async_trait;
use muster_app::applications::{self, Template};
use muster_app::{Ctx, jobs};
use muster_connect::{DirectorySource, Http, OutboundPolicy};
use muster_engine::port::{
    Connector, Definitions, Keeper, Page, Probe, Shape, Source, Target, TargetError, TargetObject,
    TestFailure, Write,
};
use muster_engine::{Engine, EngineOptions};
use muster_model::directory::Kind;
use muster_model::job::{Access, Credentials, Job, Scope};
use muster_model::link::TargetId;
use muster_model::plan::Request;
use muster_model::{Secret, SystemClock, TenantId, Value};
use muster_store::{SealingKey, Store, StoreUrl};

use crate::people::People;
use crate::stage::{APP, load};

/// Answers at once, and keeps what it has created.
#[derive(Debug, Default)]
struct Ids {
    next: AtomicU64,
    requests: AtomicU64,
    users: parking_lot::Mutex<HashSet<u64>>,
}

#[derive(Debug)]
struct InProcess(Arc<Ids>);

#[async_trait]
impl Target for InProcess {
    async fn find(&self, _: Kind, _: &str, _: &Value) -> Result<Vec<TargetObject>, TargetError> {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        Ok(Vec::new())
    }

    async fn page(&self, _: Kind, _: u64) -> Result<Page, TargetError> {
        Err(TargetError::NotAllowed(
            "it keeps nothing but ids".to_owned(),
        ))
    }

    async fn read(&self, _: Kind, _: &TargetId) -> Result<TargetObject, TargetError> {
        Err(TargetError::NotFound)
    }

    fn request(&self, kind: Kind, write: &Write<'_>) -> Result<Request, TargetError> {
        Ok(Request::new(
            "WRITE",
            kind.as_str(),
            Some(format!("{write:?}")),
        ))
    }

    async fn write(&self, _: Kind, write: &Write<'_>) -> Result<Option<TargetId>, TargetError> {
        self.0.requests.fetch_add(1, Ordering::Relaxed);
        // An answer comes from somewhere else.
        tokio::task::yield_now().await;
        let Write::Create(_) = write else {
            return Ok(None);
        };
        let id = self.0.next.fetch_add(1, Ordering::Relaxed);
        self.0.users.lock().insert(id);
        Ok(Some(TargetId(id.to_string())))
    }

    async fn is_empty(&self, _: Kind) -> Result<bool, TargetError> {
        Ok(self.0.users.lock().is_empty())
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
        100
    }

    fn requests(&self) -> u64 {
        self.0.requests.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Connections {
    store: Store,
    ids: Arc<Ids>,
}

impl Connector for Connections {
    fn source(&self, tenant: TenantId, job: &Job) -> Box<dyn Source> {
        let store = self.store.clone();
        Box::new(DirectorySource::new(store, tenant, job.application))
    }

    fn target(
        &self,
        _: &Credentials,
        _: &Shape,
        _: Arc<dyn Keeper>,
    ) -> Result<Box<dyn Target>, TargetError> {
        Ok(Box::new(InProcess(Arc::clone(&self.ids))))
    }
}

/// One size in a process of its own, so that its memory is its own.
pub(crate) async fn one(users: usize) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let url = StoreUrl::File(folder.path().join("muster.db"));
    let store = Store::open(&url, SealingKey::from_bytes(&[7; 32])).await?;
    let (clock, ids) = (SystemClock::shared(), Arc::<Ids>::default());
    let engine = Engine::new(EngineOptions {
        store: store.clone(),
        clock: Arc::clone(&clock),
        connector: Arc::new(Connections {
            store: store.clone(),
            ids: Arc::clone(&ids),
        }),
        owner: "bench".to_owned(),
        prefetch_after: muster_engine::AFTER,
    });
    let ctx = Ctx {
        tenant: TenantId::FIRST,
        actor: "bench".to_owned(),
        store,
        clock,
        engine: Arc::new(engine),
        courier: Arc::new(Http::new(OutboundPolicy::default())?),
    };
    let people = People {
        memberships: 2,
        ..People::new(users)
    };
    load(&ctx, &people).await?;
    applications::add(&ctx, &Template::Gallery(APP.to_owned()), Some(APP)).await?;
    applications::set_scope(&ctx, APP, Scope::All).await?;
    let credentials = Credentials {
        tenant_url: "https://target.example/scim".to_owned(),
        secret_token: Secret::new("token".to_owned()),
        access: Access::default(),
    };
    applications::save_credentials(&ctx, APP, credentials).await?;
    // What loading took does not count.
    std::fs::write("/proc/self/clear_refs", "5")?;
    let before = memory()?;
    let begun = std::time::Instant::now();
    let cycle = jobs::run(&ctx, APP).await?;
    let seconds = begun.elapsed().as_secs_f64();
    let objects = cycle.counts.created as f64;
    println!(
        "{users} users: {objects} objects in {seconds:.1} s, {:.0} µs each; {} requests; {before:.0} MiB \
         resident before, {:.0} MiB at most; {} failed",
        seconds * 1e6 / objects,
        cycle.counts.requests,
        most()?,
        cycle.counts.failed
    );
    Ok(())
}

/// Runs all sizes, one process after the other.
pub(crate) fn run(largest: usize) -> Result<()> {
    let mut size = 10_000;
    while size <= largest {
        let mut command = std::process::Command::new(std::env::current_exe()?);
        let ended = command.args(["flat-one", &size.to_string()]).status()?;
        anyhow::ensure!(ended.success(), "{size} users: {ended}");
        size *= 10;
    }
    Ok(())
}

fn memory() -> Result<f64> {
    field("VmRSS:")
}

fn most() -> Result<f64> {
    field("VmHWM:")
}

/// A line of this process's status, in MiB.
fn field(name: &str) -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0)
        .ok_or_else(|| anyhow::anyhow!("no {name}"))
}
