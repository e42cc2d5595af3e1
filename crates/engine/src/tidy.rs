//! Throws away what a job keeps only for a while.

use std::time::Duration;

use muster_model::{JobId, TenantId};
use muster_store::{StoreError, events, exchanges, jobs};

use crate::engine::Engine;
use tokio::time::Instant;

/// How often that is done beside long cycles, and for jobs that do nothing.
const EVERY: Duration = Duration::from_mins(1);

/// Portions of old events that go at once.
const PORTIONS: u32 = 20;

impl Engine {
    /// Throws away exchanges that are too old or too many, and events that are too old, unless that was done a
    /// moment ago.
    pub(crate) async fn tidy(&self, tenant: TenantId, id: JobId) -> Result<(), StoreError> {
        let running = self.running(id);
        let now = Instant::now();
        let before = running.tidied.lock().replace(now);
        if before.is_some_and(|before| now.duration_since(before) < EVERY) {
            *running.tidied.lock() = before;
            return Ok(());
        }
        let (now, store) = (self.options.clock.now(), &self.options.store);
        let surplus = store.read::<_, StoreError, _>(|tx| {
            Box::pin(async move {
                let Some(job) = jobs::find(tx, tenant, id).await? else {
                    return Ok(None);
                };
                let log = job.settings.exchanges;
                let since = now.plus_seconds(-i64::from(log.seconds));
                let surplus = exchanges::surplus(tx, (tenant, id), since, log.bytes).await?;
                let before = now.plus_seconds(-i64::from(job.settings.log_seconds));
                let is_old = events::has_before(tx, tenant, id, before).await?;
                Ok(Some((surplus, is_old.then_some(before))))
            })
        });
        let Some((surplus, before)) = surplus.await? else {
            return Ok(());
        };
        // In small portions: others want to write, too.
        // What is left is the next minute's.
        let (mut goes_on, mut portions) = (before.is_some(), 0);
        while let (true, Some(before)) = (goes_on && portions < PORTIONS, before) {
            portions += 1;
            let thrown = store.write(move |tx| {
                Box::pin(async move { events::throw_away(tx, (tenant, id), before).await })
            });
            goes_on = thrown.await?;
        }
        let Some(surplus) = surplus else {
            return Ok(());
        };
        let mut goes_on = true;
        while goes_on {
            let thrown = store.write(move |tx| {
                Box::pin(async move { exchanges::throw_away(tx, (tenant, id), surplus).await })
            });
            goes_on = thrown.await?;
        }
        Ok(())
    }

    /// Does so for every job, again and again.
    pub(crate) async fn keep_tidy(&self) {
        loop {
            tokio::time::sleep(EVERY).await;
            if let Err(error) = self.tidy_all().await {
                tracing::warn!(error = %error, "what is kept only for a while cannot be thrown away; trying again");
            }
        }
    }

    async fn tidy_all(&self) -> Result<(), StoreError> {
        let all = self.options.store.read(|tx| Box::pin(jobs::all(tx)));
        for (tenant, job) in all.await? {
            if let Err(error) = self.tidy(tenant, job.id).await {
                tracing::warn!(error = %error, "what is kept only for a while cannot be thrown away; trying again");
            }
        }
        Ok(())
    }
}
