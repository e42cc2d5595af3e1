//! Who calls: tokens are looked up rarely and compared in constant time.

use std::collections::HashMap;
use std::sync::Arc;

use muster_model::{Clock, IntegrationId, TenantId, Timestamp, TokenId};
use muster_scim::ScimError;
use muster_store::resources::Place;
use muster_store::{Store, StoreError, integrations};
use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use crate::integrations::token_hash;
use crate::received::{Caller, Fault};

/// How long a look-up counts: a revoked token is refused after this at the latest.
const FRESH_SECONDS: i64 = 1;
/// How exactly the last use is known.
const TOUCH_SECONDS: i64 = 60;
/// Integrations that are remembered.
const REMEMBERED: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Tokens {
    known: Mutex<HashMap<IntegrationId, Arc<Known>>>,
    touched: Mutex<HashMap<TokenId, Timestamp>>,
}

/// The tokens of one integration as they were a moment ago.
#[derive(Debug)]
struct Known {
    seen: Timestamp,
    place: Place,
    tokens: Vec<Live>,
}

#[derive(Debug)]
struct Live {
    id: TokenId,
    hash: Vec<u8>,
    expires: Option<Timestamp>,
}

impl Tokens {
    pub(super) async fn check(
        &self,
        store: &Store,
        clock: &Arc<dyn Clock>,
        integration: IntegrationId,
        token: &str,
    ) -> Result<Caller, ScimError> {
        let now = clock.now();
        let remembered = self.known.lock().get(&integration).map(Arc::clone);
        let fresh = |known: &Arc<Known>| now < known.seen.plus_seconds(FRESH_SECONDS);
        let known = match remembered.filter(fresh) {
            Some(known) => known,
            None => self
                .look_up(store, integration, now)
                .await
                .map_err(Fault::Store)?,
        };
        let hash = token_hash(token);
        let mut found = None;
        for live in &known.tokens {
            let same = bool::from(live.hash.ct_eq(&hash));
            if same && live.expires.is_none_or(|expires| now < expires) {
                found = Some(live.id);
            }
        }
        let id = found.ok_or_else(ScimError::unauthorized)?;
        self.touch(store, known.place.tenant, id, now);
        Ok(Caller {
            integration,
            place: known.place,
        })
    }

    async fn look_up(
        &self,
        store: &Store,
        integration: IntegrationId,
        now: Timestamp,
    ) -> Result<Arc<Known>, StoreError> {
        let tenant = TenantId::FIRST;
        let (number, tokens) = store
            .read::<_, StoreError, _>(|tx| {
                Box::pin(async move {
                    let number = integrations::number(tx, tenant, integration).await?;
                    let tokens = match number {
                        Some(_) => integrations::tokens(tx, tenant, integration).await?,
                        None => Vec::new(),
                    };
                    Ok((number, tokens))
                })
            })
            .await?;
        let tokens = tokens
            .into_iter()
            .filter(|(token, _)| token.revoked.is_none())
            .map(|(token, hash)| Live {
                id: token.id,
                hash,
                expires: token.expires,
            })
            .collect();
        let place = Place {
            tenant,
            integration: number.unwrap_or(-1),
        };
        let known = Arc::new(Known {
            seen: now,
            place,
            tokens,
        });
        // Only integrations that exist are remembered, so that guessing costs no memory.
        if number.is_some() {
            let mut all = self.known.lock();
            if all.len() >= REMEMBERED {
                all.clear();
            }
            all.insert(integration, Arc::clone(&known));
        }
        Ok(known)
    }

    /// Notes the use of a token, now and then, beside the request.
    fn touch(&self, store: &Store, tenant: TenantId, id: TokenId, now: Timestamp) {
        {
            let mut touched = self.touched.lock();
            let due = touched
                .get(&id)
                .is_none_or(|at| now >= at.plus_seconds(TOUCH_SECONDS));
            if !due {
                return;
            }
            touched.insert(id, now);
        }
        let store = store.clone();
        tokio::spawn(async move {
            let noted: Result<(), StoreError> = store
                .write(move |tx| {
                    Box::pin(async move { integrations::touch_token(tx, tenant, id, now).await })
                })
                .await;
            if let Err(error) = noted {
                tracing::warn!(error = %error, "the use of a token could not be noted");
            }
        });
    }
}
