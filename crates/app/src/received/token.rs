//! Who calls: tokens are looked up rarely and compared in constant time.

use std::collections::HashMap;
use std::sync::Arc;

use muster_model::integration::{Purpose, Settings};
use muster_model::{Clock, IntegrationId, TenantId, Timestamp, TokenId};
use muster_scim::ScimError;
use muster_store::resources::Place;
use muster_store::{Store, StoreError, integrations};
use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use crate::definitions;
use crate::integrations::token_hash;
use crate::received::rate::Rates;
use crate::received::{Caller, Fault, Origin, Profile};

/// How long a look-up counts: a revoked token is refused after this at the latest.
const FRESH_SECONDS: i64 = 1;
/// A token that is not known makes us look again, but not more often than this.
const PATIENCE_MICROS: i64 = 50_000;
/// How exactly the last use is known.
const TOUCH_SECONDS: i64 = 60;
/// Integrations that are remembered.
const REMEMBERED: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Tokens {
    known: Mutex<HashMap<IntegrationId, Arc<Known>>>,
    touched: Mutex<HashMap<TokenId, Timestamp>>,
    rates: Rates,
}

/// The tokens of one integration as they were a moment ago.
#[derive(Debug)]
struct Known {
    seen: Timestamp,
    profile: Arc<Profile>,
    tokens: Vec<Live>,
}

impl Known {
    /// From when on an unknown token is looked up anew.
    fn looked_at_again(&self) -> Timestamp {
        Timestamp::from_micros(self.seen.as_micros() + PATIENCE_MICROS)
    }

    /// The live token with this hash. All are compared, so that the time says nothing.
    fn find(&self, hash: &[u8; 32], now: Timestamp) -> Option<(TokenId, Purpose)> {
        let mut found = None;
        for live in &self.tokens {
            let same = bool::from(live.hash.ct_eq(hash));
            if same && live.expires.is_none_or(|expires| now < expires) {
                found = Some((live.id, live.purpose));
            }
        }
        found
    }
}

#[derive(Debug)]
struct Live {
    id: TokenId,
    purpose: Purpose,
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
        origin: Origin<'_>,
    ) -> Result<Caller, ScimError> {
        let now = clock.now();
        let remembered = self.known.lock().get(&integration).map(Arc::clone);
        let fresh = |known: &Arc<Known>| now < known.seen.plus_seconds(FRESH_SECONDS);
        let known = match remembered.filter(fresh) {
            Some(known) => known,
            None => self.look_up(store, integration, now).await?,
        };
        let hash = token_hash(token);
        let (known, found) = match known.find(&hash, now) {
            // It may have been made a moment ago.
            None if now > known.looked_at_again() => {
                let known = self.look_up(store, integration, now).await?;
                let found = known.find(&hash, now);
                (known, found)
            }
            found => (known, found),
        };
        let (id, purpose) = found.ok_or_else(ScimError::unauthorized)?;
        let profile = Arc::clone(&known.profile);
        if let Some(from) = origin.address
            && !profile.allows(from)
        {
            return Err(ScimError::forbidden(format!(
                "requests from {from} are not allowed; ask whoever runs this integration"
            )));
        }
        if let Some(rate) = profile.settings.requests_per_second {
            self.rates.take(integration, rate, now)?;
        }
        self.touch(store, profile.place.tenant, id, now);
        Ok(Caller {
            integration,
            profile,
            purpose,
            client: origin.client.into(),
        })
    }

    async fn look_up(
        &self,
        store: &Store,
        integration: IntegrationId,
        now: Timestamp,
    ) -> Result<Arc<Known>, Fault> {
        let tenant = TenantId::FIRST;
        let (basics, tokens) = store
            .read::<_, StoreError, _>(|tx| {
                Box::pin(async move {
                    let basics = integrations::basics(tx, tenant, integration).await?;
                    let tokens = match basics {
                        Some(_) => integrations::tokens(tx, tenant, integration).await?,
                        None => Vec::new(),
                    };
                    Ok((basics, tokens))
                })
            })
            .await?;
        let tokens = tokens
            .into_iter()
            .filter(|(token, _)| token.revoked.is_none())
            .map(|(token, hash)| Live {
                id: token.id,
                purpose: token.purpose,
                hash,
                expires: token.expires,
            })
            .collect();
        let exists = basics.is_some();
        let (number, definitions, settings) = basics.map_or_else(
            || (-1, None, Settings::default()),
            |basics| (basics.number, basics.definitions, basics.settings),
        );
        let place = Place {
            tenant,
            integration: number,
        };
        let own = definitions.as_deref().map(definitions::read).transpose();
        let own = own.map_err(|error| Fault::Scim(ScimError::internal(error.to_string())))?;
        let known = Arc::new(Known {
            seen: now,
            profile: Arc::new(Profile::new(place, settings, own)),
            tokens,
        });
        // Only integrations that exist are remembered, so that guessing costs no memory.
        if exists {
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
