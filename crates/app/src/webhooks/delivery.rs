//! Delivering: who is due, in which order, and what becomes of a message that was not taken.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use muster_engine::port::Receipt;
use muster_model::integration::{ReceivedEvent, Webhook};
use muster_model::{ResourceId, Secret, TenantId, WebhookId};
use muster_store::resources::Place;
use muster_store::webhooks::{self, Due};
use muster_store::{StoreError, received};
use serde_json::json;
use sha2::Sha256;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::Ctx;
use crate::integrations::profile_at;
use crate::received::{Profile, event_json};
use crate::webhooks::PREFIX;

/// How often webhooks are looked for that are due.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Events of one batch.
const BATCH: u32 = 256;
/// Messages of one webhook that are on their way at a time.
const AT_ONCE: usize = 8;
/// Webhooks that are worked on at a time.
const WEBHOOKS: usize = 64;
/// How long a webhook is left alone when it could not be looked at.
const TROUBLE: Duration = Duration::from_secs(10);
/// How long a batch may begin to send messages: with the last one's answer, less than it is held.
const BEGIN: Duration = Duration::from_mins(1);
/// How long a process keeps a webhook without a sign of life, in seconds: longer than a message takes.
const HELD: i64 = 120;
/// Waits between attempts in seconds, as Standard Webhooks recommends; after the last one it is given up.
const WAITS: [i64; 9] = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400];
/// Longest wait that a receiver may ask for, in seconds.
const LONGEST_WAIT: i64 = 86_400;

/// Delivers what webhooks have to deliver.
#[derive(Clone, Debug)]
pub struct Deliverer {
    ctx: Ctx,
    holder: Arc<str>,
}

/// How a message went wrong.
struct Failure {
    reason: String,
    retry_after: Option<Duration>,
    /// The receiver wants no more of them.
    gone: bool,
}

impl Deliverer {
    /// A deliverer; `holder` names this process among others.
    pub fn new(ctx: Ctx, holder: &str) -> Self {
        Self {
            ctx,
            holder: holder.into(),
        }
    }

    /// Delivers until the future is dropped.
    pub async fn run(self) {
        let mut running: JoinSet<WebhookId> = JoinSet::new();
        let mut busy: HashSet<WebhookId> = HashSet::new();
        let mut tick = tokio::time::interval(LOOK_AGAIN);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {
                    for (place, id) in self.due().await {
                        if busy.len() < WEBHOOKS && busy.insert(id) {
                            let this = self.clone();
                            running.spawn(async move {
                                this.deliver(place, id).await;
                                id
                            });
                        }
                    }
                }
                Some(ended) = running.join_next() => {
                    match ended {
                        Ok(id) => drop(busy.remove(&id)),
                        // Which one it was is not known; all are looked at anew.
                        Err(_) => busy.clear(),
                    }
                }
            }
        }
    }

    /// Lets other processes go on with what this one held.
    pub async fn release(&self) {
        let holder = Arc::clone(&self.holder);
        let released: Result<(), StoreError> = self
            .ctx
            .store
            .write(move |tx| Box::pin(async move { webhooks::release(tx, &holder).await }))
            .await;
        if let Err(error) = released {
            tracing::warn!(error = %error, "webhooks could not be let go");
        }
    }

    async fn due(&self) -> Vec<(Place, WebhookId)> {
        let (now, holder) = (self.ctx.clock.now(), Arc::clone(&self.holder));
        let due: Result<_, StoreError> = self
            .ctx
            .store
            .read(|tx| {
                Box::pin(async move { webhooks::due(tx, TenantId::FIRST, now, &holder).await })
            })
            .await;
        due.unwrap_or_else(|error| {
            tracing::warn!(error = %error, "webhooks could not be looked up");
            Vec::new()
        })
    }

    /// Delivers batch after batch, until there is nothing left or something goes wrong.
    async fn deliver(&self, place: Place, id: WebhookId) {
        loop {
            match self.batch(place, id).await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(error = %error, webhook = %id, "a webhook could not be worked on");
                    tokio::time::sleep(TROUBLE).await;
                    return;
                }
            }
        }
    }

    /// Delivers a batch; answers whether there may be more.
    async fn batch(&self, place: Place, id: WebhookId) -> Result<bool, StoreError> {
        let Some(due) = self.claim(place, id).await? else {
            return Ok(false);
        };
        let after = due.webhook.position;
        let (profile, events) = self
            .ctx
            .store
            .read::<_, StoreError, _>(|tx| {
                Box::pin(async move {
                    let profile = profile_at(tx, place).await?;
                    Ok((profile, received::read(tx, place, after, BATCH).await?))
                })
            })
            .await?;
        let Some(profile) = profile.filter(|_| !events.is_empty()) else {
            return Ok(false);
        };
        let (taken, failure) = self.send_all(&due, &profile, &events).await;
        let went_on = failure.is_none();
        let webhook = self.after(due.webhook, &events, &taken, failure);
        let holder = Arc::clone(&self.holder);
        let still_ours = self
            .ctx
            .store
            .write::<_, StoreError, _>(move |tx| {
                Box::pin(async move { webhooks::progress(tx, place, &webhook, &holder).await })
            })
            .await?;
        Ok(went_on && still_ours)
    }

    async fn claim(&self, place: Place, id: WebhookId) -> Result<Option<Due>, StoreError> {
        let (store, holder) = (self.ctx.store.clone(), Arc::clone(&self.holder));
        let now = self.ctx.clock.now();
        self.ctx
            .store
            .write(move |tx| {
                Box::pin(async move {
                    let until = now.plus_seconds(HELD);
                    webhooks::claim(tx, store.key(), (place, id), &holder, now, until).await
                })
            })
            .await
    }

    /// Sends events, those about one resource one after the other; answers which were taken, and the first
    /// failure.
    async fn send_all(
        &self,
        due: &Due,
        profile: &Profile,
        events: &[ReceivedEvent],
    ) -> (Vec<bool>, Option<Failure>) {
        let mut lanes: HashMap<ResourceId, Vec<usize>> = HashMap::new();
        for (at, event) in events.iter().enumerate() {
            lanes.entry(event.resource).or_default().push(at);
        }
        let mut lanes: Vec<Vec<usize>> = lanes.into_values().collect();
        lanes.sort_unstable();
        let until = Instant::now() + BEGIN;
        let sent = lanes.into_iter().map(|lane| async move {
            let mut taken = Vec::with_capacity(lane.len());
            for at in lane {
                if Instant::now() > until {
                    break;
                }
                match self.send(due, profile, &events[at]).await {
                    Ok(()) => taken.push(at),
                    Err(failure) => return (taken, Some(failure)),
                }
            }
            (taken, None)
        });
        let mut sending = futures::stream::iter(sent).buffer_unordered(AT_ONCE);
        let (mut all, mut failed) = (vec![false; events.len()], None);
        while let Some((taken, failure)) = sending.next().await {
            for at in taken {
                all[at] = true;
            }
            if let Some(failure) = failure {
                // Lanes that have not begun are left for the next attempt.
                failed = Some(failure);
                break;
            }
        }
        (all, failed)
    }

    async fn send(
        &self,
        due: &Due,
        profile: &Profile,
        event: &ReceivedEvent,
    ) -> Result<(), Failure> {
        let data = event_json(profile, event);
        let id = format!("evt_{}_{}", due.place.integration, event.position);
        let seconds = self.ctx.clock.now().as_micros() / 1_000_000;
        let body = json!({"type": data["type"], "timestamp": data["at"], "data": data}).to_string();
        let headers = [
            ("webhook-id", id.clone()),
            ("webhook-timestamp", seconds.to_string()),
            (
                "webhook-signature",
                signature(&due.secret, &id, seconds, &body),
            ),
        ];
        let answered = self
            .ctx
            .courier
            .post(&due.webhook.url, &headers, body)
            .await;
        match answered {
            Ok(Receipt {
                status: 200..=299, ..
            }) => Ok(()),
            Ok(Receipt {
                status,
                retry_after,
            }) => Err(Failure {
                reason: format!(
                    "the receiver answered HTTP {status} to event {}",
                    event.position
                ),
                retry_after,
                gone: status == 410,
            }),
            Err(reason) => Err(Failure {
                reason,
                retry_after: None,
                gone: false,
            }),
        }
    }

    /// Where a webhook stands after a batch.
    fn after(
        &self,
        mut webhook: Webhook,
        events: &[ReceivedEvent],
        taken: &[bool],
        failure: Option<Failure>,
    ) -> Webhook {
        let now = self.ctx.clock.now();
        let first_left = taken.iter().position(|taken| !taken).unwrap_or(taken.len());
        if let Some(last) = first_left.checked_sub(1) {
            webhook.position = events[last].position;
            webhook.last_success = Some(now);
            webhook.failures = 0;
            webhook.last_error = None;
        }
        let Some(failure) = failure else {
            return webhook;
        };
        let wait = WAITS.get(webhook.failures as usize).copied();
        let asked = failure.retry_after.map_or(0, |it| it.as_secs() as i64);
        let wait_for = wait.unwrap_or_default().max(asked.min(LONGEST_WAIT));
        webhook.failures += 1;
        webhook.next_attempt = now.plus_seconds(wait_for);
        webhook.stopped = wait.is_none() || failure.gone;
        tracing::warn!(
            webhook = %webhook.id, failures = webhook.failures, stopped = webhook.stopped,
            "a webhook was not taken: {}", failure.reason
        );
        webhook.last_error = Some(failure.reason.chars().take(300).collect());
        webhook
    }
}

/// The signature of a message: `v1,` and the HMAC-SHA256 of `id.timestamp.body` in base64.
pub fn signature(secret: &Secret<String>, id: &str, seconds: i64, body: &str) -> String {
    let encoded = secret.expose().trim_start_matches(PREFIX);
    let key = STANDARD.decode(encoded).unwrap_or_default();
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key) else {
        return String::new();
    };
    mac.update(format!("{id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example of the Standard Webhooks reference implementation.
    #[test]
    fn a_message_is_signed_as_the_standard_says() {
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let signed = signature(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            1_614_265_330,
            r#"{"test": 2432232314}"#,
        );
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
