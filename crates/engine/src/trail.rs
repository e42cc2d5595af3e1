//! What is said to a target on behalf of one object, for the exchange log.
//!
//! Whoever speaks to the target [`tell`]s of it; whoever carries an object along listens ([`along`]). The two
//! are in the same task, and know nothing else of each other.

use std::sync::Arc;
use std::time::Duration;

use muster_model::exchange::Exchange;
use muster_model::{Clock, Timestamp};
use parking_lot::Mutex;

/// Exchanges of one object that are kept at most: the first ones, and the last ones.
const FIRST: usize = 10;
const LAST: usize = 40;

tokio::task_local! {
    static TRAIL: Trail;
}

#[derive(Clone)]
struct Trail {
    clock: Arc<dyn Clock>,
    told: Arc<Mutex<Vec<Exchange>>>,
}

/// Listens to what is said while `work` is done.
pub(crate) async fn along<F: Future>(
    clock: &Arc<dyn Clock>,
    work: F,
) -> (F::Output, Vec<Exchange>) {
    let trail = Trail {
        clock: Arc::clone(clock),
        told: Arc::default(),
    };
    let told = Arc::clone(&trail.told);
    let done = TRAIL.scope(trail, work).await;
    let told = std::mem::take(&mut *told.lock());
    (done, told)
}

/// Does some work that nobody listens to.
pub async fn aside<F: Future>(work: F) -> F::Output {
    match TRAIL.try_with(Clone::clone) {
        Ok(Trail { clock, .. }) => along(&clock, work).await.0,
        Err(_) => work.await,
    }
}

/// Does anybody listen?
pub fn is_heard() -> bool {
    TRAIL.try_with(|_| ()).is_ok()
}

/// Tells of a request that was answered just now, `took` after it was sent; nothing is made of it when nobody
/// listens. It is given the time at which it was sent.
pub fn tell(took: Duration, exchange: impl FnOnce(Timestamp) -> Exchange) {
    // Nobody listens: that is no error.
    let _ = TRAIL.try_with(|trail| {
        let micros = i64::try_from(took.as_micros()).unwrap_or(i64::MAX);
        let now = trail.clock.now().as_micros();
        let sent = Timestamp::from_micros(now.saturating_sub(micros));
        let exchange = exchange(sent);
        let mut told = trail.told.lock();
        if told.len() == FIRST + LAST {
            told.remove(FIRST);
        }
        told.push(exchange);
    });
}
