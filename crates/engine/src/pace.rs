//! How many requests in a second a target takes, found out by watching when it throttles.
//!
//! Until it throttles for the first time nothing is known, and nothing is held back. What it took until
//! then is a first guess, which is doubled every second until it throttles again. From then on the rate
//! follows the curve of CUBIC (RFC 9438): a tenth below the rate that was too high, fast back towards it,
//! long at about that rate, and then faster and faster beyond it, in case the target takes more by now.
//! Every throttling costs a pause, so the better the rate is known, the longer the curve is drawn out.

use std::time::Duration;

use tokio::time::Instant;

/// What is given up of a rate that was too high.
const STEP_BACK: f64 = 0.1;
/// The shortest and the longest way back to the rate that was too high.
const RISES: (Duration, Duration) = (Duration::from_secs(5), Duration::from_mins(10));
/// A pause may cost a twentieth of the time.
const PAUSES: u32 = 20;
/// Requests that are late may catch up with so much time.
const CATCH_UP: Duration = Duration::from_millis(10);
/// A target that takes requests again after a pause takes at least a few of them.
const AFTER_A_PAUSE: f64 = 4.0;
/// Time without a request that is longer tells nothing about the target.
const IDLE: Duration = Duration::from_secs(2);
/// So far beyond the top the curve is followed, in lengths of the rise.
const FAR: f64 = 4.0;

/// The rate of requests to one target.
#[derive(Debug)]
pub(crate) struct Pace {
    /// What was too high, in requests per second.
    top: f64,
    is_guess: bool,
    /// When the rate began to rise.
    since: Instant,
    /// How long it takes to come back to the top.
    rise: Duration,
    /// When the next request may be sent.
    next: Instant,
    /// When the last one was.
    last: Instant,
    /// Requests that the target took since then.
    taken: u64,
}

impl Pace {
    /// After the first throttling. The target took so many requests since `begun`, and asks for a pause.
    pub(crate) fn new(begun: Instant, taken: u64, now: Instant, wait: Duration) -> Self {
        let mut pace = Self {
            top: f64::INFINITY,
            is_guess: true,
            since: begun,
            rise: RISES.0,
            next: now,
            last: now,
            taken,
        };
        pace.top = pace.measured(now, wait);
        pace.begin(now, wait);
        pace
    }

    /// The rate, in requests per second.
    pub(crate) fn rate(&self, now: Instant) -> f64 {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        if self.is_guess {
            return self.top * passed.min(16.0).exp2();
        }
        let place = (passed / self.rise.as_secs_f64() - 1.0).min(FAR);
        self.top * STEP_BACK.mul_add(place.powi(3), 1.0)
    }

    /// Lets a request go, or says when it may.
    pub(crate) fn admit(&mut self, now: Instant) -> Result<(), Instant> {
        if self.next > now {
            return Err(self.next);
        }
        let idle = now.saturating_duration_since(self.last.max(self.since));
        if idle > IDLE {
            self.since += idle;
        }
        self.last = now;
        let earliest = now.checked_sub(CATCH_UP).unwrap_or(now);
        self.next = self.next.max(earliest) + Duration::from_secs_f64(1.0 / self.rate(now));
        Ok(())
    }

    /// The target took a request.
    pub(crate) fn took(&mut self) {
        self.taken += 1;
    }

    /// The target throttles, and asks for a pause.
    pub(crate) fn throttled(&mut self, now: Instant, wait: Duration) {
        let passed = now.saturating_duration_since(self.since);
        let rate = self.rate(now);
        let top = if passed < wait * 5 {
            // Too short to tell but by what was taken, the pause included.
            rate.min(self.measured(now, wait))
        } else if self.is_guess {
            // Somewhere between this and the half of it, if so much was sent at all.
            rate.min(3.0 * self.taken as f64 / passed.as_secs_f64()) * 0.75
        } else {
            // Whoever sends less than allowed was not throttled for the rate.
            rate.min(1.05 * self.taken as f64 / passed.as_secs_f64())
        };
        let top = top.max(AFTER_A_PAUSE / wait.as_secs_f64());
        let is_known = !self.is_guess && (top / self.top - 1.0).abs() < STEP_BACK;
        let rise = if is_known {
            self.rise * 2
        } else {
            self.rise / 2
        };
        let longest = (wait * PAUSES).max(Duration::from_secs(30)).min(RISES.1);
        (self.top, self.is_guess) = (top, false);
        self.rise = rise.clamp(RISES.0, longest);
        self.begin(now, wait);
    }

    /// Makes all requests wait.
    pub(crate) fn wait(&mut self, until: Instant) {
        self.next = self.next.max(until);
        self.since = self.since.max(until);
    }

    fn begin(&mut self, now: Instant, wait: Duration) {
        (self.since, self.next, self.taken) = (now + wait, now + wait, 0);
    }

    fn measured(&self, now: Instant, wait: Duration) -> f64 {
        let passed = now.saturating_duration_since(self.since) + wait;
        let least = AFTER_A_PAUSE / wait.as_secs_f64();
        (self.taken as f64 / passed.as_secs_f64()).max(least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many requests in a second; the excess is asked to wait.
    struct Bucket {
        rate: f64,
        most: f64,
        held: f64,
        at: Instant,
    }

    impl Bucket {
        fn takes(&mut self, now: Instant) -> bool {
            let passed = now.duration_since(self.at).as_secs_f64();
            self.held = passed.mul_add(self.rate, self.held).min(self.most);
            self.at = now;
            let takes = self.held >= 1.0;
            self.held -= f64::from(u8::from(takes));
            takes
        }
    }

    /// The share of what a target allows that is sent between two instants, in seconds; one request after
    /// the other, without any time on the way.
    fn share(rate: f64, burst: f64, from: u64, to: u64) -> f64 {
        const WAIT: Duration = Duration::from_secs(1);
        let begun = Instant::now();
        let (from, to) = (Duration::from_secs(from), Duration::from_secs(to));
        let mut bucket = Bucket {
            rate,
            most: burst,
            held: burst,
            at: begun,
        };
        let (mut pace, mut now): (Option<Pace>, _) = (None, begun);
        let (mut taken, mut counted) = (0, 0);
        while now < begun + to {
            if let Some(Err(next)) = pace.as_mut().map(|pace| pace.admit(now)) {
                now = next;
                continue;
            }
            if bucket.takes(now) {
                taken += 1;
                counted += u64::from(now >= begun + from);
                if let Some(pace) = &mut pace {
                    pace.took();
                }
                // As fast as it answers.
                now += Duration::from_micros(200);
            } else {
                match &mut pace {
                    Some(pace) => pace.throttled(now, WAIT),
                    None => pace = Some(Pace::new(begun, taken, now, WAIT)),
                }
            }
        }
        counted as f64 / (rate * (to.checked_sub(from).unwrap()).as_secs_f64())
    }

    #[test]
    fn the_rate_settles_within_a_tenth_of_what_the_target_allows() {
        for rate in [10.0, 50.0, 400.0] {
            for burst in [1.0, rate, rate * 10.0] {
                let share = share(rate, burst, 120, 600);
                assert!(
                    (0.9..=1.03).contains(&share),
                    "{rate} in a second, {burst} at once: {share:.3}"
                );
            }
        }
    }

    #[test]
    fn hours_without_a_request_change_nothing() {
        let begun = Instant::now();
        let wait = Duration::from_mins(1);
        // 50 in a second, sent for ten minutes.
        let mut pace = Pace::new(
            begun,
            3000,
            begun + Duration::from_mins(1),
            Duration::from_secs(1),
        );
        let mut now = begun + Duration::from_mins(2);
        pace.throttled(now, Duration::from_secs(1));
        let send = |pace: &mut Pace, now: &mut Instant, seconds: u64| {
            let end = *now + Duration::from_secs(seconds);
            while *now < end {
                match pace.admit(*now) {
                    Ok(()) => pace.took(),
                    Err(next) => *now = next,
                }
            }
        };
        send(&mut pace, &mut now, 60);
        let before = pace.rate(now);
        now += Duration::from_hours(8);
        send(&mut pace, &mut now, 1);
        let after = pace.rate(now);
        assert!((0.8..1.3).contains(&(after / before)), "{before} {after}");
        send(&mut pace, &mut now, 20);
        let before = pace.rate(now);
        pace.throttled(now, wait);
        assert!(
            pace.rate(pace.since) > 0.25 * before,
            "{before} {}",
            pace.rate(pace.since)
        );
    }

    #[test]
    fn nothing_is_held_back_for_ever() {
        let begun = Instant::now();
        let wait = Duration::from_secs(2);
        let mut pace = Pace::new(begun, 0, begun, wait);
        for _ in 0..100 {
            let now = pace.next;
            pace.throttled(now, wait);
        }
        assert!(pace.rate(pace.since) >= 0.9 * AFTER_A_PAUSE / 2.0);
        // A target that takes more by now is found out.
        assert!(pace.rate(pace.since + Duration::from_mins(10)) > 10.0);
    }
}
