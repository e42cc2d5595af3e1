//! Who calls: tokens are looked up rarely and compared in constant time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use muster_model::integration::{Purpose, Settings};
use muster_model::{Clock, IntegrationId, TenantId, Timestamp, TokenId};
use muster_scim::ScimError;
use muster_store::resources::Place;
use muster_store::{Store, StoreError, integrations};
use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use crate::AppError;
use crate::definitions;
use crate::integrations::token_hash;
use crate::received::rate::Rates;
use crate::received::{Caller, Fault, Origin, Profile};

/// How long a look-up counts: a revoked token is refused after this at the latest.
const FRESH_SECONDS: i64 = 1;
/// A token that is not known makes us look again, but not more often than this.
const PATIENCE_MILLIS: u64 = 50;
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
        let known = self.known(store, now, integration).await?;
        let hash = token_hash(token);
        let (known, found) = match known.find(&hash, now) {
            None => {
                // It may have been made a moment ago; guessing makes nobody look more often than this.
                let known = self
                    .look_again(store, clock, integration, known.seen)
                    .await?;
                let found = known.find(&hash, clock.now());
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

    /// May anybody come in from this address?
    pub(super) async fn lets_in(
        &self,
        store: &Store,
        clock: &Arc<dyn Clock>,
        integration: IntegrationId,
        from: Option<IpAddr>,
    ) -> Result<bool, AppError> {
        let known = self.known(store, clock.now(), integration).await;
        let known = known.map_err(|fault| match fault {
            Fault::Store(error) => AppError::Store(error),
            Fault::Scim(error) => AppError::Refused(error.to_string()),
        })?;
        Ok(from.is_none_or(|from| known.profile.allows(from)))
    }

    /// What is known, looked up when that is too old.
    async fn known(
        &self,
        store: &Store,
        now: Timestamp,
        integration: IntegrationId,
    ) -> Result<Arc<Known>, Fault> {
        let remembered = self.known.lock().get(&integration).map(Arc::clone);
        let fresh = |known: &Arc<Known>| now < known.seen.plus_seconds(FRESH_SECONDS);
        match remembered.filter(fresh) {
            Some(known) => Ok(known),
            None => self.look_up(store, integration, now).await,
        }
    }

    /// Forgets what is known of an integration's tokens.
    pub(super) fn forget(&self, integration: IntegrationId) {
        self.known.lock().remove(&integration);
    }

    /// The tokens as they are some time after somebody looked, be it that somebody else looks meanwhile.
    async fn look_again(
        &self,
        store: &Store,
        clock: &Arc<dyn Clock>,
        integration: IntegrationId,
        seen: Timestamp,
    ) -> Result<Arc<Known>, Fault> {
        let passed = clock.now().millis_since(seen);
        if let Some(left) = PATIENCE_MILLIS.checked_sub(passed).filter(|left| *left > 0) {
            tokio::time::sleep(Duration::from_millis(left)).await;
        }
        let known = self.known.lock().get(&integration).map(Arc::clone);
        match known.filter(|known| known.seen > seen) {
            Some(known) => Ok(known),
            None => self.look_up(store, integration, clock.now()).await,
        }
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
        let before = self.known.lock().get(&integration).map(Arc::clone);
        let own = match (definitions, before) {
            (None, _) => None,
            // They are seldom new, and reading them takes its time.
            (Some(text), Some(known)) if known.profile.defined_by(&text) => known.profile.own(),
            (Some(text), _) => {
                let read = definitions::read(&text);
                let read = read.map_err(|error| ScimError::internal(error.to_string()))?;
                Some(Arc::new(read))
            }
        };
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
            if touched.len() >= REMEMBERED {
                touched.clear();
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
