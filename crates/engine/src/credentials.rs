//! The credentials of a job: sealed when they are saved, opened when its target is.

use std::sync::Arc;

use async_trait::async_trait;
use muster_model::job::{Access, Credentials, Scheme};
use muster_model::{JobId, Secret, TenantId};
use muster_store::{Store, StoreError, access, secrets};

use crate::engine::Engine;
use crate::port::Keeper;

/// The names under which credentials are kept (1.6).
const BASE_ADDRESS: &str = "BaseAddress";
const SECRET_TOKEN: &str = "SecretToken";
const ACCESS: &str = "Access";

/// The refresh token in the saved credentials of a job.
#[derive(Debug)]
struct Saved {
    store: Store,
    tenant: TenantId,
    job: JobId,
}

#[async_trait]
impl Keeper for Saved {
    async fn kept(&self) -> Option<Secret<String>> {
        let (tenant, job, key) = (self.tenant, self.job, self.store.key());
        let found = self.store.read::<_, StoreError, _>(|tx| {
            Box::pin(async move { secrets::find(tx, key, tenant, job, ACCESS).await })
        });
        match access::read(found.await.ok()??.expose())?.scheme {
            Scheme::OAuth(oauth) => oauth.refresh,
            Scheme::Bearer | Scheme::Basic { .. } => None,
        }
    }

    async fn keep(&self, refresh: &Secret<String>) -> Result<(), String> {
        let (tenant, job, store) = (self.tenant, self.job, self.store.clone());
        let refresh = refresh.clone();
        let kept = self.store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                let key = store.key();
                let found = secrets::find(tx, key, tenant, job, ACCESS).await?;
                let Some(mut saved) = found.and_then(|text| access::read(text.expose())) else {
                    return Ok(());
                };
                if let Scheme::OAuth(oauth) = &mut saved.scheme {
                    oauth.refresh = Some(refresh);
                    let saved = access::write(&saved);
                    secrets::put(tx, key, tenant, job, ACCESS, &saved).await?;
                }
                Ok(())
            })
        });
        kept.await.map_err(|error| error.to_string())
    }
}

impl Engine {
    /// Keeps the refresh token of a job where its credentials are.
    pub fn keeper(&self, tenant: TenantId, job: JobId) -> Arc<dyn Keeper> {
        let store = self.options.store.clone();
        Arc::new(Saved { store, tenant, job })
    }

    /// The saved credentials of a job.
    pub async fn credentials(
        &self,
        tenant: TenantId,
        job: JobId,
    ) -> Result<Option<Credentials>, StoreError> {
        let key = self.options.store.key();
        self.options
            .store
            .read(|tx| {
                Box::pin(async move {
                    let url = secrets::find(tx, key, tenant, job, BASE_ADDRESS).await?;
                    let token = secrets::find(tx, key, tenant, job, SECRET_TOKEN).await?;
                    let access = secrets::find(tx, key, tenant, job, ACCESS).await?;
                    let access = match access {
                        Some(text) => access::read(text.expose()),
                        None => Some(Access::default()),
                    };
                    let known = url.zip(token).zip(access);
                    Ok(known.map(|((url, secret_token), access)| Credentials {
                        tenant_url: url.expose().clone(),
                        secret_token,
                        access,
                    }))
                })
            })
            .await
    }

    /// Saves the credentials of a job, sealed.
    pub async fn save_credentials(
        &self,
        tenant: TenantId,
        job: JobId,
        credentials: Credentials,
    ) -> Result<(), StoreError> {
        let store = self.options.store.clone();
        self.options
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let url = Secret::new(credentials.tenant_url);
                    let token = credentials.secret_token;
                    let key = store.key();
                    let access = access::write(&credentials.access);
                    secrets::put(tx, key, tenant, job, ACCESS, &access).await?;
                    secrets::put(tx, key, tenant, job, BASE_ADDRESS, &url).await?;
                    secrets::put(tx, key, tenant, job, SECRET_TOKEN, &token).await
                })
            })
            .await
    }
}
