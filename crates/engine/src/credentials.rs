//! The credentials of a job: sealed when they are saved, opened when its target is.

use std::sync::Arc;

use async_trait::async_trait;
use muster_model::audit::Audited;
use muster_model::job::{Access, Allowed, Credentials, Scheme};
use muster_model::{JobId, Secret, TenantId};
use muster_store::{SealingKey, Store, StoreError, Tx, access, audit, jobs, secrets};
use tokio::sync::Mutex;

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
    door: Arc<Mutex<()>>,
}

/// What was allowed under this id, if it still is what these credentials hold.
fn of<'a>(access: &'a mut Access, id: &str) -> Option<&'a mut Allowed> {
    match &mut access.scheme {
        Scheme::OAuth(oauth) => oauth.allowed.as_mut().filter(|it| it.id == id),
        Scheme::Bearer | Scheme::Basic { .. } => None,
    }
}

#[async_trait]
impl Keeper for Saved {
    fn door(&self) -> Arc<Mutex<()>> {
        Arc::clone(&self.door)
    }

    async fn kept(&self, id: &str) -> Result<Option<Secret<String>>, String> {
        let (tenant, job, key) = (self.tenant, self.job, self.store.key());
        let found = self.store.read::<_, StoreError, _>(|tx| {
            Box::pin(async move { secrets::find(tx, key, tenant, job, ACCESS).await })
        });
        let found = found.await.map_err(|error| error.to_string())?;
        let saved = found.and_then(|text| access::read(text.expose()));
        let allowed = saved.and_then(|mut saved| of(&mut saved, id).cloned());
        Ok(allowed.map(|allowed| allowed.refresh))
    }

    async fn keep(&self, id: &str, refresh: &Secret<String>) -> Result<(), String> {
        let (tenant, job, store) = (self.tenant, self.job, self.store.clone());
        let (id, refresh) = (id.to_owned(), refresh.clone());
        let kept = self.store.write::<_, StoreError, _>(move |tx| {
            Box::pin(async move {
                // Nobody saves others meanwhile.
                jobs::find_to_change(tx, tenant, job).await?;
                let key = store.key();
                let found = secrets::find(tx, key, tenant, job, ACCESS).await?;
                let saved = found.and_then(|text| access::read(text.expose()));
                if let Some(mut saved) = saved
                    && let Some(allowed) = of(&mut saved, &id)
                {
                    allowed.refresh = refresh;
                    let saved = access::write(&saved);
                    secrets::put(tx, key, tenant, job, ACCESS, &saved).await?;
                }
                Ok(())
            })
        });
        kept.await.map_err(|error| error.to_string())
    }
}

/// Keeps the credentials of a job, sealed, in the caller's transaction.
pub async fn put_credentials(
    tx: &mut Tx<'_>,
    key: &SealingKey,
    (tenant, job): (TenantId, JobId),
    credentials: Credentials,
) -> Result<(), StoreError> {
    let url = Secret::new(credentials.tenant_url);
    let access = access::write(&credentials.access);
    secrets::put(tx, key, tenant, job, ACCESS, &access).await?;
    secrets::put(tx, key, tenant, job, BASE_ADDRESS, &url).await?;
    secrets::put(
        tx,
        key,
        tenant,
        job,
        SECRET_TOKEN,
        &credentials.secret_token,
    )
    .await
}

impl Engine {
    /// Keeps the refresh token of a job where its credentials are.
    pub fn keeper(&self, tenant: TenantId, job: JobId) -> Arc<dyn Keeper> {
        let store = self.options.store.clone();
        let door = Arc::clone(&self.running(job).refresh);
        Arc::new(Saved {
            store,
            tenant,
            job,
            door,
        })
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

    /// Saves the credentials of a job, sealed, and that they were saved.
    pub async fn save_credentials(
        &self,
        tenant: TenantId,
        job: JobId,
        credentials: Credentials,
        entry: Audited,
    ) -> Result<(), StoreError> {
        let store = self.options.store.clone();
        self.options
            .store
            .write(move |tx| {
                Box::pin(async move {
                    jobs::find_to_change(tx, tenant, job).await?;
                    audit::append(tx, tenant, &entry).await?;
                    put_credentials(tx, store.key(), (tenant, job), credentials).await
                })
            })
            .await
    }
}
