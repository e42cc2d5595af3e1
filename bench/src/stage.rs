//! Both ends in one process on loopback, as `muster demo` has them.

use std::sync::Arc;

use anyhow::{Context, Result};
use axum::Router;
use muster_app::applications::{self, Principal, Template};
use muster_app::import::{self, Format, What};
use muster_app::received::Provider;
use muster_app::{Ctx, integrations, jobs};
use muster_connect::{Connections, Http, OutboundPolicy};
use muster_engine::{Engine, EngineOptions, Worker};
use muster_model::job::{Access, Credentials};
use muster_model::{Secret, SystemClock, TenantId};
use muster_store::{SealingKey, Store, StoreUrl};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::people::People;

pub(crate) const APP: &str = "Symantec Web Security Service";

/// A store, a provider that listens, and an engine.
pub(crate) struct Stage {
    pub(crate) ctx: Ctx,
    pub(crate) url: String,
    stop: CancellationToken,
    _folder: TempDir,
}

/// An integration's address and token.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) scim_url: String,
    pub(crate) token: String,
}

impl Stage {
    /// Opens everything; `layer` may look at the provider's requests.
    pub(crate) async fn open(layer: impl FnOnce(Router) -> Router) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let url = StoreUrl::File(folder.path().join("muster.db"));
        let store = Store::open(&url, SealingKey::from_bytes(&[7; 32])).await?;
        let http = Http::new(OutboundPolicy {
            allow_insecure: true,
        })?;
        let clock = SystemClock::shared();
        let engine = Arc::new(Engine::new(EngineOptions {
            store: store.clone(),
            clock: Arc::clone(&clock),
            connector: Arc::new(Connections::new(store.clone(), http.clone())),
            owner: "bench".to_owned(),
            prefetch_after: muster_engine::AFTER,
        }));
        let ctx = Ctx {
            tenant: TenantId::FIRST,
            actor: "bench".to_owned(),
            store: store.clone(),
            clock,
            engine,
            courier: Arc::new(http),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}", listener.local_addr()?);
        let provider = Provider::new(store, Arc::clone(&ctx.clock));
        let router = layer(muster_scim_api::router(provider, url.clone()));
        let stop = CancellationToken::new();
        tokio::spawn(muster_web::serve(
            listener,
            router,
            Vec::new(),
            None,
            stop.clone(),
        ));
        Ok(Self {
            ctx,
            url,
            stop,
            _folder: folder,
        })
    }

    /// Starts the worker.
    pub(crate) fn work(&self) {
        tokio::spawn(Worker::new(Arc::clone(&self.ctx.engine)).run());
    }

    /// A receiving side of its own.
    pub(crate) async fn integration(&self, name: &str) -> Result<Target> {
        let issued = integrations::create(&self.ctx, name).await?;
        let path = integrations::scim_path(issued.integration.id);
        Ok(Target {
            scim_url: format!("{}{path}", self.url),
            token: issued.token.expose().clone(),
        })
    }

    /// Loads people and groups.
    pub(crate) async fn load(&self, people: &People) -> Result<()> {
        load(&self.ctx, people).await
    }

    /// An application that provisions everybody to a target; not started.
    pub(crate) async fn application(
        &self,
        name: &str,
        target: &Target,
        people: &People,
    ) -> Result<()> {
        applications::add(&self.ctx, &Template::Gallery(APP.to_owned()), Some(name)).await?;
        for group in 0..people.groups {
            let who = Principal::Group(People::group_id(group));
            applications::assign(&self.ctx, name, &who, Some("User")).await?;
        }
        let credentials = Credentials {
            tenant_url: target.scim_url.clone(),
            secret_token: Secret::new(target.token.clone()),
            access: Access::default(),
        };
        applications::save_credentials(&self.ctx, name, credentials)
            .await
            .context(name.to_owned())
    }

    /// One cycle; answers its counts and how many milliseconds it took.
    pub(crate) async fn cycle(&self, name: &str) -> Result<(muster_model::cycle::Counts, f64)> {
        let begun = std::time::Instant::now();
        let cycle = jobs::run(&self.ctx, name).await?;
        anyhow::ensure!(
            cycle.counts.failed == 0,
            "{} objects failed",
            cycle.counts.failed
        );
        Ok((cycle.counts, begun.elapsed().as_secs_f64() * 1000.0))
    }

    /// Ends everything.
    pub(crate) fn close(self) {
        self.ctx.engine.stop();
        self.stop.cancel();
    }
}

/// Loads people and groups.
pub(crate) async fn load(ctx: &Ctx, people: &People) -> Result<()> {
    for (what, csv) in [
        (What::Users, people.users_csv()),
        (What::Groups, people.groups_csv()),
        (What::Memberships, people.memberships_csv()),
    ] {
        let input = Box::new(std::io::Cursor::new(csv));
        let (store, clock, tenant) = (&ctx.store, &ctx.clock, ctx.tenant);
        let report =
            import::import(store, tenant, clock, what, Format::Csv, input, &|_| ()).await?;
        anyhow::ensure!(report.failed == 0, "{what}: {:?}", report.bad.first());
    }
    Ok(())
}

/// The middle value.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
