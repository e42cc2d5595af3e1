//! How many requests a second an integration may send.

use std::collections::HashMap;

use muster_model::{IntegrationId, Timestamp};
use muster_scim::ScimError;
use parking_lot::Mutex;

/// Integrations that are remembered.
const REMEMBERED: usize = 10_000;

/// A bucket for each limited integration, which holds what it may send within a second.
#[derive(Debug, Default)]
pub(super) struct Rates {
    buckets: Mutex<HashMap<IntegrationId, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Timestamp,
}

impl Rates {
    /// Takes one request out of the bucket, or refuses with 429.
    pub(super) fn take(
        &self,
        integration: IntegrationId,
        rate: u32,
        now: Timestamp,
    ) -> Result<(), ScimError> {
        let full = f64::from(rate.max(1));
        let mut buckets = self.buckets.lock();
        if buckets.len() >= REMEMBERED {
            buckets.clear();
        }
        let bucket = buckets.entry(integration).or_insert(Bucket {
            left: full,
            at: now,
        });
        let seconds = (now.as_micros() - bucket.at.as_micros()).max(0) as f64 / 1e6;
        bucket.left = full.min(bucket.left + seconds * full);
        bucket.at = now;
        if bucket.left < 1.0 {
            return Err(ScimError::too_many_requests(format!(
                "this integration takes {rate} requests a second; try again in a second"
            )));
        }
        bucket.left -= 1.0;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_holds_a_second_and_fills_with_time() {
        let (rates, id) = (Rates::default(), IntegrationId::new());
        let at = |millis: i64| Timestamp::from_micros(millis * 1000);
        let taken = |millis| rates.take(id, 10, at(millis)).is_ok();
        assert!((0..10).all(|_| taken(0)));
        assert!(!taken(0));
        assert!(taken(100) && !taken(101));
        assert!((0..10).all(|_| taken(5000)) && !taken(5000));
        assert!(rates.take(IntegrationId::new(), 10, at(5000)).is_ok());
        assert_eq!(rates.take(id, 10, at(5000)).unwrap_err().status, 429);
    }
}
