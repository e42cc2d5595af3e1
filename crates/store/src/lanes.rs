//! Writes of received resources on PostgreSQL, several in one transaction.
//!
//! A transaction costs more than what most of them write, and two that change the same group wait for each
//! other's commit. So what is about one resource takes the same lane, and a lane takes together what came while
//! its last transaction ran.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::postgres::Postgres;
use crate::resources::{self, About, Held, Place};
use crate::{StoreError, Tx};

/// Lanes of one integration.
const LANES: u64 = 4;

/// Writes of one transaction at most.
const TOGETHER: usize = 32;

/// Told after the commit (or its failure): was it committed?
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// What a write is given: the transaction and what it holds, or why there is none.
type Given<'a> = Result<(&'a mut Tx<'static>, Held), StoreError>;
/// A write. It says whether to keep what it did, and whom to tell; it may run again after that was undone.
type Body = Box<dyn for<'a> Fn(Given<'a>) -> BoxFuture<'a, (bool, Answer)> + Send + Sync>;
/// A part of an integration's resources.
type Lane = (Place, u64);

struct Work {
    about: About,
    body: Body,
}

/// What waits, by lane; a lane that is here is at work.
#[derive(Clone, Default)]
pub(crate) struct Lanes(Arc<Mutex<HashMap<Lane, Vec<Work>>>>);

impl std::fmt::Debug for Lanes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lanes")
    }
}

impl Lanes {
    /// Runs `body` when it is its turn; the answer comes after the commit.
    pub(crate) async fn write<T, E, F>(
        &self,
        postgres: &Postgres,
        (place, about): (Place, About),
        body: F,
    ) -> Result<T, E>
    where
        F: for<'a> Fn(&'a mut Tx<'static>, Held) -> BoxFuture<'a, Result<T, E>>
            + Send
            + Sync
            + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (told, answer) = oneshot::channel();
        let told = Arc::new(Mutex::new(Some(told)));
        let body: Body = Box::new(move |given| {
            let told = Arc::clone(&told);
            let run = given.map(|(tx, held)| body(tx, held));
            Box::pin(async move {
                let result = match run {
                    Ok(run) => run.await,
                    Err(error) => Err(error.into()),
                };
                let keep = result.is_ok();
                let answer: Answer = Box::new(move |committed| {
                    let result = match committed {
                        Ok(()) => result,
                        // A body that failed on its own account keeps its own reason.
                        Err(error) => result.and(Err(error.into())),
                    };
                    if let Some(told) = told.lock().take() {
                        let _ = told.send(result);
                    }
                });
                (keep, answer)
            })
        });
        self.take_in(
            (place, about.lane() % LANES),
            Work { about, body },
            postgres,
        );
        answer.await.map_err(|_| panicked())?
    }

    fn take_in(&self, lane: Lane, work: Work, postgres: &Postgres) {
        let mut waiting = self.0.lock();
        if let Some(waiting) = waiting.get_mut(&lane) {
            waiting.push(work);
            return;
        }
        waiting.insert(lane, vec![work]);
        drop(waiting);
        let (lanes, postgres) = (self.clone(), postgres.clone());
        tokio::spawn(async move {
            while let Some(works) = lanes.next(lane) {
                // Whatever happens, the lane goes on; who is not told hears that nobody is left to tell.
                let _ = AssertUnwindSafe(run(&postgres, lane.0, works))
                    .catch_unwind()
                    .await;
            }
        });
    }

    /// What a lane does next; `None` when nothing waits, and then it is closed.
    fn next(&self, lane: Lane) -> Option<Vec<Work>> {
        let mut lanes = self.0.lock();
        let waiting = lanes.get_mut(&lane)?;
        if waiting.is_empty() {
            lanes.remove(&lane);
            return None;
        }
        let rest = waiting.split_off(waiting.len().min(TOGETHER));
        Some(std::mem::replace(waiting, rest))
    }
}

/// Runs writes in one transaction or, when that comes to nothing, each in its own.
async fn run(postgres: &Postgres, place: Place, works: Vec<Work>) {
    if attempt(postgres, place, &works).await || works.len() == 1 {
        return;
    }
    for work in works.chunks(1) {
        attempt(postgres, place, work).await;
    }
}

/// Runs writes in one transaction and answers them. False when nothing was written and nobody told, so that each
/// may be tried alone.
async fn attempt(postgres: &Postgres, place: Place, works: &[Work]) -> bool {
    let mut answers = Vec::with_capacity(works.len());
    let outcome = together(postgres, place, works, &mut answers).await;
    let undone = match &outcome {
        Ok(written) => !written,
        // The connection may have been lost behind the commit.
        Err(error) => !matches!(error, StoreError::Unavailable(_)),
    };
    if undone && works.len() > 1 {
        return false;
    }
    let outcome = outcome.map(|_| ());
    for work in works.iter().skip(answers.len()) {
        let nothing = outcome.clone().and(Err(StoreError::Sql(
            "the transaction ended before it".to_owned(),
        )));
        let (_, answer) = (work.body)(nothing).await;
        answers.push(answer);
    }
    for answer in answers {
        answer(outcome.clone());
    }
    true
}

/// Runs writes in one transaction; false when one of them failed after something was written, and all is undone.
async fn together(
    postgres: &Postgres,
    place: Place,
    works: &[Work],
    answers: &mut Vec<Answer>,
) -> Result<bool, StoreError> {
    let mut open = postgres.begin().await?;
    let abouts: Vec<About> = works.iter().map(|work| work.about).collect();
    let held = resources::wait(open.tx()?, place, &abouts).await?;
    for (work, held) in works.iter().zip(held) {
        let tx = open.tx()?;
        let written = tx.written;
        let run = AssertUnwindSafe(async { (work.body)(Ok((&mut *tx, held))).await });
        let (keep, answer) = run.catch_unwind().await.map_err(|_| panicked())?;
        answers.push(answer);
        if !keep && (tx.failed || tx.written != written) {
            postgres.end(open, false).await?;
            return Ok(false);
        }
    }
    postgres.end(open, true).await?;
    Ok(true)
}

fn panicked() -> StoreError {
    StoreError::Sql("a transaction panicked".to_owned())
}
