//! The initial cycle before a target that takes so many requests in a second and throttles the rest, beside
//! what it would take.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::RETRY_AFTER;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use muster_app::applications;
use muster_model::job::Scope;
use parking_lot::Mutex;

use crate::people::People;
use crate::stage::{APP, Stage};

/// Requests in a second, and at once.
const RATE: f64 = 200.0;

/// What the target takes, and what it has taken.
struct Bucket {
    held: f64,
    at: Instant,
    /// For each second: taken, throttled.
    seconds: Vec<(u64, u64)>,
    begun: Instant,
}

impl Bucket {
    fn takes(&mut self) -> bool {
        let now = Instant::now();
        let passed = (now - self.at).as_secs_f64();
        self.held = passed.mul_add(RATE, self.held).min(RATE);
        self.at = now;
        let second = (now - self.begun).as_secs() as usize;
        if self.seconds.len() <= second {
            self.seconds.resize(second + 1, (0, 0));
        }
        let takes = self.held >= 1.0;
        if takes {
            self.held -= 1.0;
            self.seconds[second].0 += 1;
        } else {
            self.seconds[second].1 += 1;
        }
        takes
    }
}

async fn throttle(bucket: Arc<Mutex<Bucket>>, request: Request, next: Next) -> Response {
    if bucket.lock().takes() {
        next.run(request).await
    } else {
        (StatusCode::TOO_MANY_REQUESTS, [(RETRY_AFTER, "1")]).into_response()
    }
}

pub(crate) async fn run(users: usize) -> Result<()> {
    let now = Instant::now();
    let bucket = Arc::new(Mutex::new(Bucket {
        held: RATE,
        at: now,
        seconds: Vec::new(),
        begun: now,
    }));
    let stage = {
        let bucket = Arc::clone(&bucket);
        Stage::open(move |router: Router| {
            router.layer(middleware::from_fn(move |request, next| {
                throttle(Arc::clone(&bucket), request, next)
            }))
        })
        .await?
    };
    let people = People::new(users);
    stage.load(&people).await?;
    let target = stage.integration("Receiver").await?;
    stage.application(APP, &target, &people).await?;
    applications::set_scope(&stage.ctx, APP, Scope::All).await?;
    {
        let mut bucket = bucket.lock();
        (bucket.begun, bucket.seconds) = (Instant::now(), Vec::new());
    }
    let (counts, millis) = stage.cycle(APP).await?;
    let seconds = bucket.lock().seconds.clone();
    let share = |of: &[(u64, u64)]| {
        let taken: u64 = of.iter().map(|(taken, _)| taken).sum();
        taken as f64 / (RATE * of.len() as f64)
    };
    let throttled: u64 = seconds.iter().map(|(_, throttled)| throttled).sum();
    // The last second is not a whole one.
    let whole = &seconds[..seconds.len().saturating_sub(1)];
    println!(
        "{} objects in {:.0} s, {} failed; {throttled} of {} requests were throttled; of the {RATE} \
         requests that the target allows in a second it got {:.2} in the first half and {:.2} in the second",
        counts.created,
        millis / 1000.0,
        counts.failed,
        seconds.iter().map(|(a, b)| a + b).sum::<u64>(),
        share(&whole[..whole.len() / 2]),
        share(&whole[whole.len() / 2..])
    );
    stage.close();
    Ok(())
}
