//! How fast a target takes requests, found out by watching it; and trying again.
//!
//! The number of requests at once grows by one for each round of answers while the target keeps up, and
//! is halved when it fails. The number in a second is nobody's business until the target throttles
//! ([`Pace`]). A wait that it asks for holds everybody back. What takes access away goes ahead of
//! everything else.

use std::future::Future;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use muster_model::job::Dialect;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::pace::Pace;
use crate::port::{Retry, TargetError};

/// Requests in flight to begin with.
const FIRST: f64 = 16.0;
/// Requests in flight at most.
pub(crate) const MOST: usize = 64;
/// Places beside those, for what is urgent.
const RESERVED: usize = 4;
/// Attempts of one request at most.
pub(crate) const TRIES: u32 = 4;
/// How often one request may be throttled.
const THROTTLED: u32 = 40;
/// A target that took nothing for so long is out of order.
const REFUSING: Duration = Duration::from_mins(15);
/// So many failures, one after the other and for a while, and a target may be out of order.
const FAILING: (u32, Duration) = (30, Duration::from_secs(1));
/// Requests that are late catch up with so much time.
const LATE: Duration = Duration::from_millis(10);
/// The longest wait that a target may ask for.
const LONGEST: Duration = Duration::from_mins(5);

/// What is sent first when not everything can be sent at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// In the order in which it comes.
    Ordinary,
    /// Ahead of what is ordinary.
    Urgent,
}

#[derive(Debug)]
pub(crate) struct Limiter {
    state: Mutex<State>,
    freed: Notify,
    /// Who stands here is next; the others wait behind.
    door: tokio::sync::Mutex<()>,
    urgent_door: tokio::sync::Mutex<()>,
    /// When something was sent last that showed the target to have users, or groups, after it had said that one is
    /// not there.
    pub(crate) users_seen: tokio::sync::Mutex<u64>,
    pub(crate) groups_seen: tokio::sync::Mutex<u64>,
    /// Counts what is said to be not there, and questions whether anything is, in their order.
    pub(crate) order: AtomicU64,
}

#[derive(Debug)]
struct State {
    limit: f64,
    /// Requests in flight at most.
    most: f64,
    /// Between two requests, where somebody says how many may be sent in a second.
    gap: Option<Duration>,
    /// When the next one may be sent because of that.
    next: Instant,
    in_flight: usize,
    /// Urgent requests that wait.
    urgent: usize,
    not_before: Option<Instant>,
    pace: Option<Pace>,
    /// When the target throttled last.
    throttled: Option<Instant>,
    /// How often it throttled since it took something.
    refused: u32,
    /// How often it failed since it answered properly.
    failed: u32,
    begun: Instant,
    /// When it first failed or throttled since it answered properly.
    ill: Option<Instant>,
    taken: u64,
}

/// How often one request was tried.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tries {
    failed: u32,
    throttled: u32,
}

impl Tries {
    /// Is another attempt worth it? A throttled request was not looked at.
    fn again(&mut self, error: &TargetError) -> bool {
        match (error.retry(), error) {
            (Retry::No, _) => false,
            (Retry::After(_), TargetError::Throttled { said, .. }) => {
                self.throttled += 1;
                self.throttled < if said.is_some() { TRIES } else { THROTTLED }
            }
            (Retry::After(_), _) => {
                self.failed += 1;
                self.failed < TRIES
            }
        }
    }
}

/// May a request be sent?
enum Admission {
    Now,
    At(Instant),
    /// When another one has been answered.
    Later,
}

impl Limiter {
    /// As a dialect says how many requests may be sent.
    pub(crate) fn of(dialect: Dialect) -> Self {
        let now = Instant::now();
        let most = usize::from(dialect.at_once).clamp(1, MOST);
        let gap = match dialect.per_second {
            0 => None,
            many => Some(Duration::from_secs(1) / u32::from(many)),
        };
        Self {
            state: Mutex::new(State {
                limit: FIRST.min(most as f64),
                most: most as f64,
                gap,
                next: now,
                in_flight: 0,
                urgent: 0,
                not_before: None,
                pace: None,
                throttled: None,
                refused: 0,
                failed: 0,
                begun: now,
                ill: None,
                taken: 0,
            }),
            freed: Notify::new(),
            door: tokio::sync::Mutex::default(),
            urgent_door: tokio::sync::Mutex::default(),
            users_seen: tokio::sync::Mutex::default(),
            groups_seen: tokio::sync::Mutex::default(),
            order: AtomicU64::new(0),
        }
    }

    /// Runs a request within the limit; repeats it while its error says that this may help. For
    /// requests that may safely be sent twice.
    pub(crate) async fn run<T, F>(
        &self,
        rank: Rank,
        request: impl Fn() -> F,
    ) -> Result<T, TargetError>
    where
        F: Future<Output = Result<T, TargetError>>,
    {
        self.run_doubting(rank, request, &mut false).await
    }

    /// As [`Self::run`]; and says whether any of the attempts that failed may have been carried out all the
    /// same. What the last one was answered does not say so: an answer is lost, and the repetition is refused.
    pub(crate) async fn run_doubting<T, F>(
        &self,
        rank: Rank,
        request: impl Fn() -> F,
        doubt: &mut bool,
    ) -> Result<T, TargetError>
    where
        F: Future<Output = Result<T, TargetError>>,
    {
        let mut tries = Tries::default();
        loop {
            let answer = self.once(rank, &request).await;
            let Err(error) = &answer else { return answer };
            *doubt |= error.may_have_arrived();
            if !self.pause(error, &mut tries).await {
                return answer;
            }
        }
    }

    /// Runs a request within the limit, once: for those whose repetition could do something twice.
    ///
    /// # Errors
    ///
    /// Those of the request; [`TargetError::OutOfOrder`] when the target has taken nothing for long.
    pub(crate) async fn once<T, F>(
        &self,
        rank: Rank,
        request: impl Fn() -> F,
    ) -> Result<T, TargetError>
    where
        F: Future<Output = Result<T, TargetError>>,
    {
        let place = self.enter(rank).await;
        let answer = request().await;
        let sent = place.sent;
        drop(place);
        let mut state = self.state.lock();
        match &answer {
            Err(error) if error.is_the_targets() => state.slower(sent, error)?,
            _ => state.faster(),
        }
        drop(state);
        answer
    }

    /// Has the target done nothing but fail for a while? Then it is either out of order, or does not get on
    /// with these objects.
    pub(crate) fn is_failing(&self) -> bool {
        let state = self.state.lock();
        let lasts = state.ill.is_some_and(|ill| ill.elapsed() >= FAILING.1);
        state.failed >= FAILING.0 && lasts
    }

    /// Waits before the next attempt; false when another attempt is no use. A throttled target makes
    /// everybody wait at the door instead.
    pub(crate) async fn pause(&self, error: &TargetError, tries: &mut Tries) -> bool {
        let again = tries.again(error);
        if again && !matches!(error, TargetError::Throttled { .. }) {
            tokio::time::sleep(own_pause(tries.failed)).await;
        }
        again
    }

    async fn enter(&self, rank: Rank) -> Place<'_> {
        let _ahead = (rank == Rank::Urgent).then(|| Ahead::new(self));
        let door = match rank {
            Rank::Ordinary => &self.door,
            Rank::Urgent => &self.urgent_door,
        };
        let _next = door.lock().await;
        loop {
            let freed = self.freed.notified();
            let admission = self.state.lock().admit(rank);
            match admission {
                Admission::Now => {
                    return Place {
                        limiter: self,
                        sent: Instant::now(),
                    };
                }
                Admission::At(at) => tokio::time::sleep_until(at).await,
                Admission::Later => freed.await,
            }
        }
    }
}

impl State {
    fn admit(&mut self, rank: Rank) -> Admission {
        let now = Instant::now();
        if let Some(until) = self.not_before.filter(|until| *until > now) {
            return Admission::At(until);
        }
        let most = match rank {
            Rank::Ordinary if self.urgent > 0 => return Admission::Later,
            Rank::Ordinary => self.limit as usize,
            // What somebody says is the most is that for everybody.
            Rank::Urgent if self.most < MOST as f64 => {
                (self.limit as usize + RESERVED).min(self.most as usize)
            }
            Rank::Urgent => self.limit as usize + RESERVED,
        };
        if self.in_flight >= most {
            return Admission::Later;
        }
        if self.gap.is_some() && self.next > now {
            return Admission::At(self.next);
        }
        if let Some(Err(next)) = self.pace.as_mut().map(|pace| pace.admit(now)) {
            return Admission::At(next);
        }
        if let Some(gap) = self.gap {
            // What was late catches up a little.
            self.next = self.next.max(now.checked_sub(LATE).unwrap_or(now)) + gap;
        }
        self.in_flight += 1;
        Admission::Now
    }

    fn faster(&mut self) {
        self.limit = (self.limit + 1.0 / self.limit).min(self.most);
        (self.refused, self.failed, self.ill) = (0, 0, None);
        self.taken += 1;
        if let Some(pace) = &mut self.pace {
            pace.took();
        }
    }

    fn slower(&mut self, sent: Instant, error: &TargetError) -> Result<(), TargetError> {
        let now = Instant::now();
        let lasts = now.saturating_duration_since(*self.ill.get_or_insert(now));
        let TargetError::Throttled { wait, .. } = error else {
            self.limit = (self.limit / 2.0).max(1.0);
            self.failed += 1;
            return Ok(());
        };
        let wait = wait.unwrap_or_else(|| unasked(self.refused)).min(LONGEST);
        let wait = wait.max(Duration::from_millis(100));
        let until = now + wait;
        // What was on its way when it throttled was not sent too fast once more.
        if self.throttled.is_none_or(|throttled| throttled < sent) {
            self.throttled = Some(now);
            self.refused += 1;
            match &mut self.pace {
                Some(pace) => pace.throttled(now, wait),
                None => self.pace = Some(Pace::new(self.begun, self.taken, now, wait)),
            }
        }
        self.not_before = Some(self.not_before.map_or(until, |other| other.max(until)));
        if let (Some(pace), Some(until)) = (&mut self.pace, self.not_before) {
            pace.wait(until);
        }
        if lasts >= REFUSING && self.refused > 10 {
            return Err(TargetError::OutOfOrder(error.to_string()));
        }
        Ok(())
    }
}

/// A request under way.
struct Place<'a> {
    limiter: &'a Limiter,
    sent: Instant,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.limiter.state.lock().in_flight -= 1;
        self.limiter.freed.notify_waiters();
    }
}

/// Something urgent that waits to be sent.
struct Ahead<'a>(&'a Limiter);

impl<'a> Ahead<'a> {
    fn new(limiter: &'a Limiter) -> Self {
        limiter.state.lock().urgent += 1;
        Self(limiter)
    }
}

impl Drop for Ahead<'_> {
    fn drop(&mut self) {
        self.0.state.lock().urgent -= 1;
        self.0.freed.notify_waiters();
    }
}

/// 100 ms, 400 ms, 1.6 s.
fn own_pause(failed: u32) -> Duration {
    Duration::from_millis(100 * 4_u64.pow(failed.clamp(1, 6) - 1))
}

/// How long a target is left alone that throttles and does not say how long: 1, 2, 4, … 64 seconds.
fn unasked(refused: u32) -> Duration {
    Duration::from_secs(1 << refused.min(6))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_throttled_request_waits_as_long_as_asked_and_is_repeated() {
        let (limiter, tries) = (Limiter::of(Dialect::default()), AtomicU32::new(0));
        let begun = Instant::now();
        let answer = limiter
            .run(Rank::Ordinary, || async {
                match tries.fetch_add(1, Ordering::Relaxed) {
                    0 => Err(TargetError::Throttled {
                        wait: Some(Duration::from_secs(7)),
                        said: None,
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
                    over: crate::port::Over::Other,
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
            let (limiter, tries) = (Limiter::of(Dialect::default()), AtomicU32::new(0));
            let answer: Result<(), _> = limiter
                .run(Rank::Ordinary, || async {
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

    #[tokio::test(start_paused = true)]
    async fn being_throttled_is_no_failed_attempt() {
        // Two thirds of all requests are throttled; 500 requests lose 12 % of four attempts each otherwise.
        let (limiter, sent) = (Limiter::of(Dialect::default()), AtomicU32::new(0));
        let requests = (0..500).map(|_| {
            limiter.run(Rank::Ordinary, || async {
                if sent.fetch_add(1, Ordering::Relaxed) % 3 == 0 {
                    return Ok(());
                }
                Err(TargetError::Throttled {
                    wait: None,
                    said: None,
                })
            })
        });
        let answers = futures::future::join_all(requests).await;
        assert!(answers.iter().all(Result::is_ok));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_urgent_goes_ahead_of_what_waits() {
        let (limiter, order) = (Limiter::of(Dialect::default()), Mutex::new(Vec::new()));
        let slow = |name: usize| {
            let order = &order;
            move || async move {
                order.lock().push(name);
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(())
            }
        };
        let ordinary = (0..200).map(|number| limiter.run(Rank::Ordinary, slow(number)));
        let ordinary = futures::future::join_all(ordinary);
        let urgent = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let begun = Instant::now();
            let many = (0..8).map(|_| limiter.run(Rank::Urgent, slow(usize::MAX)));
            futures::future::join_all(many).await;
            begun.elapsed()
        };
        let (_, urgent) = tokio::join!(ordinary, urgent);
        // Four beside what is under way, the others as soon as there is a place.
        assert!(urgent < Duration::from_millis(1600), "{urgent:?}");
        assert_eq!(order.lock().len(), 208);
    }

    #[tokio::test(start_paused = true)]
    async fn a_target_that_only_throttles_is_out_of_order_in_the_end() {
        let (limiter, begun) = (Limiter::of(Dialect::default()), Instant::now());
        let mut answered = Ok(());
        while !matches!(answered, Err(TargetError::OutOfOrder(_))) {
            answered = limiter
                .run(Rank::Ordinary, || async {
                    Err(TargetError::Throttled {
                        wait: None,
                        said: None,
                    })
                })
                .await;
        }
        assert!((900..1100).contains(&begun.elapsed().as_secs()));
    }

    #[tokio::test]
    async fn never_more_requests_than_the_limit_are_in_flight() {
        let (limiter, now, most) = (
            Limiter::of(Dialect::default()),
            AtomicU32::new(0),
            AtomicU32::new(0),
        );
        let requests = (0..300).map(|_| {
            limiter.run(Rank::Ordinary, || async {
                most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
                tokio::task::yield_now().await;
                now.fetch_sub(1, Ordering::Relaxed);
                Ok(())
            })
        });
        futures::future::join_all(requests).await;
        assert!(most.load(Ordering::Relaxed) <= MOST as u32);
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_are_sent_than_somebody_says_the_target_takes() {
        // Section 15, 1 and 2
        let dialect = Dialect {
            at_once: 4,
            per_second: 25,
            ..Dialect::default()
        };
        let (limiter, begun) = (Limiter::of(dialect), Instant::now());
        let (now, most) = (AtomicU32::new(0), AtomicU32::new(0));
        let request = || async {
            most.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            tokio::time::sleep(Duration::from_secs(1)).await;
            now.fetch_sub(1, Ordering::Relaxed);
            Ok::<_, TargetError>(())
        };
        let all = (0..40).map(|_| limiter.run(Rank::Ordinary, request));
        futures::future::join_all(all).await;
        assert_eq!(most.load(Ordering::Relaxed), 4);
        assert!(begun.elapsed() >= Duration::from_secs(10));

        let begun = Instant::now();
        let at_once = || async { Ok::<_, TargetError>(()) };
        for _ in 0..100 {
            limiter.run(Rank::Ordinary, at_once).await.unwrap();
        }
        let took = begun.elapsed().as_secs_f64();
        assert!((3.8..4.2).contains(&took), "{took}");
    }
}
