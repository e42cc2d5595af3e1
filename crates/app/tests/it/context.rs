//! A context for use cases that never run a job.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use muster_app::Ctx;
use muster_engine::port::{
    Connector, Courier, Keeper, Receipt, Shape, Source, Target, TargetError,
};
use muster_engine::{Engine, EngineOptions};
use muster_model::job::{Credentials, Job};
use muster_model::{Clock, TenantId};
use muster_testkit::{FixedClock, TestStore};

use crate::TENANT;

/// A context on this store.
pub(crate) fn ctx(test: &TestStore) -> Ctx {
    ctx_with(test, Recorder::new()).0
}

/// A context whose messages are recorded, and the clock that it goes by.
pub(crate) fn ctx_with(test: &TestStore, recorder: Recorder) -> (Ctx, Arc<FixedClock>) {
    let fixed = FixedClock::at("2026-03-01T09:00:00Z");
    let clock: Arc<dyn Clock> = Arc::clone(&fixed) as Arc<dyn Clock>;
    let store = test.store.clone();
    let options = EngineOptions {
        store: store.clone(),
        clock: Arc::clone(&clock),
        connector: Arc::new(Unconnected),
        owner: "test".to_owned(),
        prefetch_after: muster_engine::AFTER,
    };
    let ctx = Ctx {
        tenant: TENANT,
        actor: "ana".to_owned(),
        store,
        clock,
        engine: Arc::new(Engine::new(options)),
        courier: Arc::new(recorder),
    };
    (ctx, fixed)
}

/// Takes messages and answers as told.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    status: Arc<AtomicU16>,
    /// Every so many messages fail; none with 0.
    fails: Arc<AtomicUsize>,
    tried: Arc<Mutex<Vec<(u16, Message)>>>,
}

/// A message that was sent.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self {
            status: Arc::new(AtomicU16::new(200)),
            fails: Arc::default(),
            tried: Arc::default(),
        }
    }

    /// From now on this is answered.
    pub(crate) fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    /// From now on every so many messages are answered with 500.
    pub(crate) fn fail_every(&self, number: usize) {
        self.fails.store(number, Ordering::Relaxed);
    }

    /// How many messages were tried.
    pub(crate) fn tried(&self) -> usize {
        self.tried.lock().unwrap().len()
    }

    /// The messages that were taken, in order.
    pub(crate) fn taken(&self) -> Vec<Message> {
        let tried = self.tried.lock().unwrap();
        let taken = tried.iter().filter(|(status, _)| *status < 300);
        taken.map(|(_, message)| message.clone()).collect()
    }

    /// About how many different resources messages were taken.
    pub(crate) fn resources(&self) -> usize {
        let resource = |message: Message| {
            let body: serde_json::Value = serde_json::from_str(&message.body).unwrap();
            body["data"]["resource"].to_string()
        };
        let all: HashSet<String> = self.taken().into_iter().map(resource).collect();
        all.len()
    }
}

/// Has nothing to connect to.
#[derive(Debug)]
struct Unconnected;

#[async_trait::async_trait]
impl Courier for Recorder {
    fn check(&self, _: &str) -> Result<(), String> {
        Ok(())
    }

    async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<Receipt, String> {
        // Slow enough for messages to overtake each other, if they may.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let fails = self.fails.load(Ordering::Relaxed);
        let status = match fails {
            1.. if (self.tried() + 1).is_multiple_of(fails) => 500,
            _ => self.status.load(Ordering::Relaxed),
        };
        let message = Message {
            url: url.to_owned(),
            headers: headers.to_vec(),
            body,
        };
        self.tried.lock().unwrap().push((status, message));
        Ok(Receipt {
            status,
            retry_after: None,
        })
    }
}

impl Connector for Unconnected {
    fn source(&self, _: TenantId, _: &Job) -> Box<dyn Source> {
        unreachable!("no job runs here")
    }

    fn target(
        &self,
        _: &Credentials,
        _: &Shape,
        _: Arc<dyn Keeper>,
    ) -> Result<Box<dyn Target>, TargetError> {
        unreachable!("no job runs here")
    }
}
