//! How many requests a target takes at once, found out by watching it; and trying again.
//!
//! Concurrency grows by one for each round of answers while the target keeps up, and is halved when
//! it throttles or fails. A wait that it asks for holds everybody back.

use std::future::Future;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::port::{Retry, TargetError};

/// Requests in flight to begin with.
const FIRST: f64 = 16.0;
/// Requests in flight at most.
pub(crate) const MOST: usize = 64;
/// Attempts of one request at most.
pub(crate) const TRIES: u32 = 4;
/// The longest wait that a target may ask for.
const LONGEST: Duration = Duration::from_mins(5);

#[derive(Debug)]
pub(crate) struct Limiter {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug)]
struct State {
    limit: f64,
    in_flight: usize,
    not_before: Option<Instant>,
}

impl Limiter {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(State {
                limit: FIRST,
                in_flight: 0,
                not_before: None,
            }),
            freed: Notify::new(),
        }
    }

    /// Runs a request within the limit; repeats it while its error says that this may help. For
    /// requests that may safely be sent twice.
    pub(crate) async fn run<T, F>(&self, request: impl Fn() -> F) -> Result<T, TargetError>
    where
        F: Future<Output = Result<T, TargetError>>,
    {
        let mut tries = 1;
        loop {
            match self.once(&request).await {
                Err(error) if tries < TRIES && self.pause(&error, tries).await => tries += 1,
                answer => return answer,
            }
        }
    }

    /// Runs a request within the limit, once: for those whose repetition could do something twice.
    pub(crate) async fn once<T, F>(&self, request: impl Fn() -> F) -> Result<T, TargetError>
    where
        F: Future<Output = Result<T, TargetError>>,
    {
        self.enter().await;
        let place = Place(self);
        let answer = request().await;
        drop(place);
        match &answer {
            Ok(_) => self.faster(),
            Err(error) => {
                if let Retry::After(asked) = error.retry() {
                    let throttled = matches!(error, TargetError::Throttled { .. });
                    let wait = asked.unwrap_or_else(|| own_pause(1)).min(LONGEST);
                    self.slower(throttled.then_some(wait));
                }
            }
        }
        answer
    }

    /// Waits before the next attempt; false when another attempt is no use. A throttled target makes
    /// everybody wait at the door instead.
    pub(crate) async fn pause(&self, error: &TargetError, tries: u32) -> bool {
        match error.retry() {
            Retry::No => false,
            Retry::After(_) if matches!(error, TargetError::Throttled { .. }) => true,
            Retry::After(asked) => {
                tokio::time::sleep(asked.unwrap_or_else(|| own_pause(tries)).min(LONGEST)).await;
                true
            }
        }
    }

    async fn enter(&self) {
        loop {
            let freed = self.freed.notified();
            let wait = {
                let mut state = self.state.lock();
                let now = Instant::now();
                match state.not_before.filter(|until| *until > now) {
                    Some(until) => Some(until),
                    None if (state.in_flight as f64) < state.limit.floor() => {
                        state.in_flight += 1;
                        return;
                    }
                    None => None,
                }
            };
            match wait {
                Some(until) => tokio::time::sleep_until(until).await,
                None => freed.await,
            }
        }
    }

    fn faster(&self) {
        let mut state = self.state.lock();
        state.limit = (state.limit + 1.0 / state.limit).min(MOST as f64);
    }

    fn slower(&self, wait: Option<Duration>) {
        let mut state = self.state.lock();
        state.limit = (state.limit / 2.0).max(1.0);
        if let Some(wait) = wait {
            let until = Instant::now() + wait;
            state.not_before = Some(state.not_before.map_or(until, |other| other.max(until)));
        }
    }
}

struct Place<'a>(&'a Limiter);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state.lock().in_flight -= 1;
        self.0.freed.notify_one();
    }
}

/// 100 ms, 400 ms, 1.6 s.
fn own_pause(tries: u32) -> Duration {
    Duration::from_millis(100 * 4_u64.pow(tries.min(6) - 1))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_throttled_request_waits_as_long_as_asked_and_is_repeated() {
        let (limiter, tries) = (Limiter::new(), AtomicU32::new(0));
        let begun = Instant::now();
        let answer = limiter
            .run(|| async {
                match tries.fetch_add(1, Ordering::Relaxed) {
                    0 => Err(TargetError::Throttled {
                        wait: Some(Duration::from_secs(7)),
                    }),
                    _ => Ok(()),
                }
            })
            .await;
        assert_eq!((answer, tries.load(Ordering::Relaxed)), (Ok(()), 2));
        assert_eq!(begun.elapsed().as_secs(), 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_is_not_repeated_and_a_failure_not_for_ever() {
        for (error, expected) in [
            (
                TargetError::Refused {
                    status: 400,
                    detail: String::new(),
                },
                1,
            ),
            (
                TargetError::Failed {
                    status: 500,
                    detail: String::new(),
                },
                TRIES,
            ),
        ] {
            let (limiter, tries) = (Limiter::new(), AtomicU32::new(0));
            let answer: Result<(), _> = limiter
                .run(|| async {
                    tries.fetch_add(1, Ordering::Relaxed);
                    Err(error.clone())
                })
                .await;
            assert_eq!(
                (answer, tries.load(Ordering::Relaxed)),
                (Err(error), expected)
            );
        }
    }

    #[tokio::test]
    async fn never_more_requests_than_the_limit_are_in_flight() {
        let (limiter, now, most) = (Limiter::new(), AtomicU32::new(0), AtomicU32::new(0));
        let requests = (0..300).map(|_| {
            limiter.run(|| async {
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::Relaxed);
                Ok(())
            })
        });
        futures::future::join_all(requests).await;
        assert!(most.load(Ordering::Relaxed) <= MOST as u32);
    }
}
