//! A clock that moves only when told.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use muster_model::{Clock, Timestamp};

/// A clock that moves only when told.
#[derive(Debug)]
pub struct FixedClock(AtomicI64);

impl FixedClock {
    /// A clock that stands at an RFC 3339 instant.
    #[expect(clippy::expect_used, reason = "for tests only")]
    pub fn at(instant: &str) -> Arc<Self> {
        let at: Timestamp = instant.parse().expect("an RFC 3339 instant");
        Arc::new(Self(AtomicI64::new(at.as_micros())))
    }

    /// Moves the clock forward.
    pub fn advance_seconds(&self, seconds: i64) {
        self.advance_millis(seconds * 1000);
    }

    /// Moves the clock forward by a little.
    pub fn advance_millis(&self, millis: i64) {
        self.0.fetch_add(millis * 1000, Ordering::Relaxed);
    }
}

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        // Each look moves it by a microsecond, so that an order can be told.
        Timestamp::from_micros(self.0.fetch_add(1, Ordering::Relaxed))
    }
}
