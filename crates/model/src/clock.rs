//! Time: an instant, and who may tell it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// An instant in microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The instant `micros` microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds from `earlier` to `self`; zero when `earlier` is later.
    pub const fn millis_since(self, earlier: Self) -> u64 {
        if self.0 > earlier.0 {
            ((self.0 - earlier.0) / 1000) as u64
        } else {
            0
        }
    }

    /// `self` moved by a number of seconds.
    pub const fn plus_seconds(self, seconds: i64) -> Self {
        Self(self.0.saturating_add(seconds.saturating_mul(1_000_000)))
    }
}

impl Timestamp {
    /// For people to read, in UTC: `1 March 2026, 09:00 UTC`.
    pub fn readable(self) -> String {
        match jiff::Timestamp::from_microsecond(self.0) {
            Ok(at) => at.strftime("%-d %B %Y, %H:%M UTC").to_string(),
            Err(_) => self.to_string(),
        }
    }
}

/// RFC 3339 in UTC with milliseconds: `2026-03-01T09:00:00.000Z`.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.div_euclid(1000);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(at) => write!(f, "{at:.3}"),
            Err(_) => write!(f, "{}us", self.0),
        }
    }
}

/// The text is not an RFC 3339 instant.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a date and time such as 2026-03-01T09:00:00Z")]
pub struct BadTimestamp(String);

impl FromStr for Timestamp {
    type Err = BadTimestamp;

    fn from_str(text: &str) -> Result<Self, BadTimestamp> {
        text.parse::<jiff::Timestamp>()
            .map(|at| Self(at.as_microsecond()))
            .map_err(|_| BadTimestamp(text.chars().take(40).collect()))
    }
}

/// Whoever tells the time. Handed in everywhere, so that tests decide what time it is.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl SystemClock {
    /// The machine's clock behind the handle that everything takes.
    pub fn shared() -> Arc<dyn Clock> {
        Arc::new(Self)
    }
}

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads the machine's clock"
    )]
    fn now(&self) -> Timestamp {
        Timestamp(jiff::Timestamp::now().as_microsecond())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_prints_with_milliseconds_and_reads_back() {
        let at: Timestamp = "2026-03-01T09:00:00.123Z".parse().unwrap();
        assert_eq!(at.to_string(), "2026-03-01T09:00:00.123Z");
        assert_eq!(at.readable(), "1 March 2026, 09:00 UTC");
        assert_eq!(
            "2026-03-01T09:00:00Z"
                .parse::<Timestamp>()
                .unwrap()
                .to_string(),
            "2026-03-01T09:00:00.000Z"
        );
    }

    #[test]
    fn a_text_that_is_no_instant_is_refused() {
        assert!("yesterday".parse::<Timestamp>().is_err());
    }
}
