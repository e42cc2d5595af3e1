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

use crate::beliefs::Beliefs;
use crate::postgres::Postgres;
use crate::resources::{self, About, Place, Resource};
use crate::{StoreError, Tx};

/// Lanes of one integration.
const LANES: u64 = 4;

/// Writes of one transaction at most.
const TOGETHER: usize = 32;

/// Told after the commit (or its failure): was it committed?
type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
/// What a write is given: the transaction, or why there is none.
type Given<'a> = Result<&'a mut Tx<'static>, StoreError>;
/// A write. It says whether to keep what it did, and whom to tell; it may run again after that was undone.
type Body = Box<dyn for<'a> Fn(Given<'a>) -> BoxFuture<'a, (bool, Answer)> + Send + Sync>;
/// A part of an integration's resources.
type Lane = (Place, u64);

struct Work {
    about: About,
    body: Body,
    /// Does nobody wait for the answer any more?
    is_forgotten: Box<dyn Fn() -> bool + Send + Sync>,
}

/// What lanes have to do, and what they know.
#[derive(Clone, Default)]
pub(crate) struct Lanes {
    /// What waits, by lane; a lane that is here is at work.
    waiting: Arc<Mutex<HashMap<Lane, Vec<Work>>>>,
    beliefs: Beliefs,
}

/// What a transaction takes for granted. When it is not so, it is undone, and done with more care.
enum Hope {
    /// Nothing.
    Nothing,
    /// Names of new resources are free.
    Names,
    /// The group that all of it is about is as it was; who comes was no member, and who goes was one.
    Group(Box<Resource>),
}

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
        F: for<'a> Fn(&'a mut Tx<'static>) -> BoxFuture<'a, Result<T, E>> + Send + Sync + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (told, answer) = oneshot::channel();
        let told = Arc::new(Mutex::new(Some(told)));
        let waits = Arc::downgrade(&told);
        let is_forgotten = Box::new(move || {
            waits.upgrade().is_none_or(|told| {
                let told = told.lock();
                told.as_ref().is_none_or(oneshot::Sender::is_closed)
            })
        });
        let body: Body = Box::new(move |given| {
            let told = Arc::clone(&told);
            let run = given.map(&body);
            Box::pin(async move {
                let result = match run {
                    Ok(run) => run.await,
                    Err(error) => Err(error.into()),
                };
                let keep = result.is_ok();
                let answer: Answer = Box::new(move |committed| {
                    let result = match committed {
                        Ok(()) => result,
                        // Even who refused may have done so because of what is undone now.
                        Err(error) => Err(error.into()),
                    };
                    if let Some(told) = told.lock().take() {
                        let _ = told.send(result);
                    }
                });
                (keep, answer)
            })
        });
        let lane = (place, about.lane() % LANES);
        let work = Work {
            about,
            body,
            is_forgotten,
        };
        self.take_in(lane, work, postgres);
        answer.await.map_err(|_| panicked())?
    }

    fn take_in(&self, lane: Lane, work: Work, postgres: &Postgres) {
        let mut waiting = self.waiting.lock();
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
                let run = lanes.run(&postgres, lane.0, works);
                let _ = AssertUnwindSafe(run).catch_unwind().await;
            }
        });
    }

    /// What a lane does next; `None` when nothing waits, and then it is closed.
    fn next(&self, lane: Lane) -> Option<Vec<Work>> {
        let mut lanes = self.waiting.lock();
        let waiting = lanes.get_mut(&lane)?;
        waiting.retain(|work| !(work.is_forgotten)());
        if waiting.is_empty() {
            lanes.remove(&lane);
            return None;
        }
        let rest = waiting.split_off(waiting.len().min(TOGETHER));
        let mut works = std::mem::replace(waiting, rest);
        // Lanes take names in one order, so that they do not wait for each other in a circle.
        works.sort_by_key(|work| match work.about {
            About::New(name) => (0, name),
            About::Change(..) | About::Members(..) | About::Deletion(..) => (1, 0),
        });
        Some(works)
    }

    /// Runs writes in one transaction or, when that comes to nothing, each in its own. First in the hope that all is
    /// as it is expected, for then nothing is asked on the way; when a name is not free, only who wants it is refused.
    async fn run(&self, postgres: &Postgres, place: Place, works: Vec<Work>) {
        let abouts = works.iter().map(|work| &work.about);
        if let Some(group) = self.beliefs.take(place, abouts)
            && self
                .attempt(postgres, place, &works, (Hope::Group(group), 1))
                .await
        {
            return;
        }
        let names = works.iter().any(|work| matches!(work.about, About::New(_)));
        if works.len() > 1 {
            for hope in [Hope::Names, Hope::Nothing] {
                if (names || matches!(hope, Hope::Names))
                    && self.attempt(postgres, place, &works, (hope, 1)).await
                {
                    return;
                }
            }
        }
        for work in works.chunks(1) {
            let mut tries = TRIES;
            while !self
                .attempt(postgres, place, work, (Hope::Names, tries))
                .await
            {
                tries -= 1;
            }
        }
    }
}

/// How often a write is tried that waited for another one, which waited for it.
const TRIES: u32 = 3;

/// What became of a transaction.
enum Ended {
    Committed,
    /// One of its writes failed after it had written, and everything is undone.
    Undone {
        deadlocked: bool,
    },
}

impl Lanes {
    /// Runs writes in one transaction and answers them. False when nothing was written and nobody told, so that they
    /// may be tried with more care, or each alone, or it has tries left.
    async fn attempt(
        &self,
        postgres: &Postgres,
        place: Place,
        works: &[Work],
        (hope, tries): (Hope, u32),
    ) -> bool {
        let is_lone = works.len() == 1;
        let is_last = is_lone && !matches!(hope, Hope::Group(_));
        let mut answers = Vec::with_capacity(works.len());
        let mut ending = false;
        let run = self.together(postgres, place, (works, hope), (&mut answers, &mut ending));
        let outcome = match run.await {
            Ok(Ended::Undone { deadlocked }) if !is_last || deadlocked && tries > 1 => {
                return false;
            }
            Err(StoreError::Deadlock) if !is_last || tries > 1 => return false,
            // Who is alone and undone has a reason of its own.
            Ok(Ended::Committed | Ended::Undone { .. }) => Ok(()),
            // The connection may have been lost behind the commit.
            Err(error @ StoreError::Unavailable(_)) if ending => Err(error),
            Err(error) if is_last => Err(error),
            Err(_) => return false,
        };
        for work in works.iter().skip(answers.len()) {
            let reason = outcome.clone().err().unwrap_or_else(panicked);
            let (_, answer) = (work.body)(Err(reason)).await;
            answers.push(answer);
        }
        for answer in answers {
            answer(outcome.clone());
        }
        true
    }

    /// Runs writes in one transaction; says who is to be told, and whether it may have been committed when it fails.
    async fn together(
        &self,
        postgres: &Postgres,
        place: Place,
        (works, hope): (&[Work], Hope),
        (answers, ending): (&mut Vec<Answer>, &mut bool),
    ) -> Result<Ended, StoreError> {
        let mut open = postgres.begin().await?;
        let tx = open.tx()?;
        tx.held.is_hopeful = matches!(hope, Hope::Names);
        let is_belief = matches!(hope, Hope::Group(_));
        if let Hope::Group(group) = hope {
            resources::wait_in_belief(tx, place, *group).await?;
        } else {
            let abouts: Vec<About> = works.iter().map(|work| work.about.clone()).collect();
            resources::wait(tx, place, &abouts).await?;
        }
        for work in works {
            let tx = open.tx()?;
            let written = tx.written + tx.kept;
            let run = AssertUnwindSafe(async { (work.body)(Ok(&mut *tx)).await });
            let (keep, answer) = run.catch_unwind().await.map_err(|_| panicked())?;
            answers.push(answer);
            if !keep && (tx.failed || tx.written + tx.kept != written) {
                let deadlocked = tx.deadlocked;
                // Nothing is committed, whatever becomes of the connection.
                let _ = postgres.end(open, false, &mut false).await;
                return Ok(Ended::Undone { deadlocked });
            }
        }
        let known = resources::known(open.tx()?);
        if is_belief && known.is_none() {
            // There is nothing by which it could be seen whether the belief holds.
            let _ = postgres.end(open, false, &mut false).await;
            return Ok(Ended::Undone { deadlocked: false });
        }
        postgres.end(open, true, ending).await?;
        if let Some(known) = known {
            self.beliefs.remember(place, known, is_belief);
        } else {
            let abouts = works.iter().map(|work| &work.about);
            self.beliefs.forget(place, abouts);
        }
        Ok(Ended::Committed)
    }
}

fn panicked() -> StoreError {
    StoreError::Sql("a transaction panicked".to_owned())
}
