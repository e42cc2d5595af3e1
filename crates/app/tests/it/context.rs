//! A context for use cases that never run a job.

use std::sync::Arc;

use muster_app::Ctx;
use muster_engine::port::{Connector, Shape, Source, Target, TargetError};
use muster_engine::{Engine, EngineOptions};
use muster_model::job::{Credentials, Job};
use muster_model::{Clock, TenantId};
use muster_testkit::{FixedClock, TestStore};

use crate::TENANT;

/// A context on this store.
pub(crate) fn ctx(test: &TestStore) -> Ctx {
    let clock: Arc<dyn Clock> = FixedClock::at("2026-03-01T09:00:00Z");
    let store = test.store.clone();
    let options = EngineOptions {
        store: store.clone(),
        clock: Arc::clone(&clock),
        connector: Arc::new(Unconnected),
        owner: "test".to_owned(),
    };
    Ctx {
        tenant: TENANT,
        actor: "ana".to_owned(),
        store,
        clock,
        engine: Arc::new(Engine::new(options)),
    }
}

/// Has nothing to connect to.
#[derive(Debug)]
struct Unconnected;

impl Connector for Unconnected {
    fn source(&self, _: TenantId, _: &Job) -> Box<dyn Source> {
        unimplemented!("no job runs here")
    }

    fn target(&self, _: &Credentials, _: &Shape) -> Result<Box<dyn Target>, TargetError> {
        unimplemented!("no job runs here")
    }
}
