//! Who asks, and what a use case may use to answer.

use std::sync::Arc;

use muster_engine::Engine;
use muster_engine::port::Courier;
use muster_model::{Clock, TenantId};
use muster_store::Store;

/// First parameter of every use case: whose data, with what.
#[derive(Clone, Debug)]
pub struct Ctx {
    /// Whose data.
    pub tenant: TenantId,
    /// Who asks; for what is kept with a change.
    pub actor: String,
    /// The store.
    pub store: Store,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The engine; it writes engine state, use cases only ask it to.
    pub engine: Arc<Engine>,
    /// Who brings messages to others.
    pub courier: Arc<dyn Courier>,
}
