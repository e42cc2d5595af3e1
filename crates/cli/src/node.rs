//! The wiring: store, connections, engine and use cases put together.

use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use anyhow::{Context, Result};
use ipnet::IpNet;
use muster_app::Ctx;
use muster_connect::{Connections, Http, Oidc, OutboundPolicy, Smtp};
use muster_engine::port::{Issuer, Mailer};
use muster_engine::{Engine, EngineOptions};
use muster_model::{JobId, SystemClock, TenantId};
use muster_store::{Scratch, Store, StoreError, StoreUrl, jobs, webhooks};

use muster_web::Tls;

use crate::config::Config;
use crate::home::{self, Home};

/// Everything that a command or a server needs.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) ctx: Ctx,
    /// The address under which others reach the server.
    pub(crate) public_url: String,
    /// That address, if somebody has said what it is.
    pub(crate) configured_url: Option<String>,
    /// The certificate of the server, if it has one.
    pub(crate) tls: Option<Tls>,
    /// The name of this process among others.
    pub(crate) holder: String,
    /// Networks of proxies that say whom they speak for.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// Where people sign in to the pages, besides by a password.
    pub(crate) issuer: Option<Arc<dyn Issuer>>,
    /// Who sends mail, if that is configured; or what is wrong with how.
    /// What speaks to others.
    pub(crate) http: Http,
    pub(crate) mailer: std::result::Result<Option<Arc<dyn Mailer>>, String>,
    _home: Option<Home>,
}

impl Node {
    /// Opens the store and wires everything to it. `home` is the data folder, if this process holds
    /// it; a process that holds the folder of a SQLite file is the only one on that file.
    pub(crate) async fn open(config: &Config, home: Option<Home>) -> Result<Self> {
        let key = home::sealing_key(config)?;
        if let StoreUrl::File(path) = &config.database
            && let Some(folder) = path.parent()
        {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("the folder {} cannot be made", folder.display()))?;
            // Nobody else reads it, whoever may look into the folder.
            OpenOptions::new()
                .create(true)
                .append(true)
                .mode(0o600)
                .open(path)
                .with_context(|| format!("the database {} cannot be made", path.display()))?;
        }
        let store = Store::open(&config.database, key).await?;
        if home.is_some() && !store.is_postgres() {
            if let StoreUrl::File(path) = &config.database
                && let Some(folder) = path.parent()
            {
                Scratch::clear(folder);
            }
            // Whoever held a job's lease or a webhook on this file is gone.
            store
                .write::<_, StoreError, _>(|tx| {
                    Box::pin(async move {
                        webhooks::release_all(tx).await?;
                        jobs::release_all(tx).await
                    })
                })
                .await?;
        }
        let policy = OutboundPolicy {
            allow_insecure: config.allow_insecure_targets,
        };
        let http = Http::trusting(policy, config.authority.as_deref())?;
        let mailer = match &config.mail {
            Ok(Some(server)) => match Smtp::new(server) {
                Ok(smtp) => Ok(Some(Arc::new(smtp) as Arc<dyn Mailer>)),
                Err(error) => Err(error.to_string()),
            },
            Ok(None) => Ok(None),
            Err(error) => Err(error.clone()),
        };
        let connections = Connections::new(store.clone(), http.clone());
        let clock = SystemClock::shared();
        let holder = format!("{} {}", std::process::id(), JobId::new());
        let engine = Engine::new(EngineOptions {
            store: store.clone(),
            clock: Arc::clone(&clock),
            connector: Arc::new(connections),
            owner: holder.clone(),
            prefetch_after: muster_engine::AFTER,
        });
        let ctx = Ctx {
            tenant: TenantId::FIRST,
            actor: config.actor.clone(),
            store,
            clock,
            engine: Arc::new(engine),
            courier: Arc::new(http.clone()),
        };
        Ok(Self {
            ctx,
            public_url: config.public_url(config.listen),
            configured_url: config.public_url.clone(),
            tls: config.tls.clone(),
            holder,
            trusted_proxies: config.trusted_proxies.clone(),
            mailer,
            issuer: config
                .oidc
                .clone()
                .map(|settings| Arc::new(Oidc::new(settings, http.clone())) as Arc<dyn Issuer>),
            http,
            _home: home,
        })
    }

    /// The same, for a command that somebody else gives.
    pub(crate) fn asked_by(&self, actor: String) -> Self {
        Self {
            ctx: Ctx {
                actor,
                ..self.ctx.clone()
            },
            public_url: self.public_url.clone(),
            configured_url: self.configured_url.clone(),
            tls: self.tls.clone(),
            holder: self.holder.clone(),
            trusted_proxies: self.trusted_proxies.clone(),
            http: self.http.clone(),
            issuer: self.issuer.clone(),
            mailer: self.mailer.clone(),
            _home: None,
        }
    }
}
