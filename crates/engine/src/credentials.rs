//! The credentials of a job: sealed when they are saved, opened when its target is.

use muster_model::job::{Access, Credentials};
use muster_model::{JobId, Secret, TenantId};
use muster_store::{StoreError, access, secrets};

use crate::engine::Engine;

/// The names under which credentials are kept (1.6).
const BASE_ADDRESS: &str = "BaseAddress";
const SECRET_TOKEN: &str = "SecretToken";
const ACCESS: &str = "Access";

impl Engine {
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
