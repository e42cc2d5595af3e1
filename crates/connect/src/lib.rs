//! The outside world: sources and targets that fulfil the engine's ports. Nothing here decides.

pub mod authorize;
mod courier;
mod http;
mod mail;
mod oidc;
mod source;
mod target;

use std::sync::Arc;

use async_trait::async_trait;
use muster_engine::port::{Connector, Keeper, Shape, Source, Target, TargetError};
use muster_model::TenantId;
use muster_model::job::{Credentials, Job};
use muster_store::Store;

pub use http::{Http, HttpError, OutboundPolicy};
pub use mail::{MailError, MailServer, Smtp};
pub use oidc::{Claim, Oidc, OidcSettings};
pub use source::DirectorySource;
pub use target::ScimTarget;

/// Opens the built-in directory as the source, and a SCIM server as the target.
#[derive(Clone, Debug)]
pub struct Connections {
    store: Store,
    http: Http,
}

impl Connections {
    /// Connections from a store to whatever the policy lets us reach.
    pub const fn new(store: Store, http: Http) -> Self {
        Self { store, http }
    }
}

#[async_trait]
impl Connector for Connections {
    fn source(&self, tenant: TenantId, job: &Job) -> Box<dyn Source> {
        Box::new(DirectorySource::new(
            self.store.clone(),
            tenant,
            job.application,
        ))
    }

    fn target(
        &self,
        credentials: &Credentials,
        shape: &Shape,
        keeper: Arc<dyn Keeper>,
    ) -> Result<Box<dyn Target>, TargetError> {
        let http = self.http.clone();
        Ok(Box::new(ScimTarget::new(http, credentials, shape, keeper)?))
    }
}
