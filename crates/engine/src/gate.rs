//! The one way to the target: whatever the engine asks of it or writes to it goes through here.
//!
//! A cycle that is rehearsed asks the target like any other, and writes nothing: what it would write is
//! noted, and answered as a target would that does as it is told. A cycle that follows a plan writes what
//! was noted then, and nothing else.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use muster_model::Clock;
use muster_model::Value;
use muster_model::directory::Kind;
use muster_model::exchange::{Exchange, Keep};
use muster_model::link::{SourceAnchor, TargetId};
use muster_model::plan::Request;
use sha2::{Digest, Sha256};

use crate::limit::{Limiter, Rank, Tries};
use crate::port::{Page, References, Target, TargetError, TargetObject, Write};
use crate::prefetch::Prefetch;
use crate::rehearsal::Rehearsal;
use crate::trail;

/// A target behind its limiter.
#[derive(Clone, Copy)]
pub(crate) struct Gate<'a> {
    pub(crate) target: &'a dyn Target,
    pub(crate) limiter: &'a Limiter,
    pub(crate) rank: Rank,
    pub(crate) mode: &'a Mode,
    /// What is kept of what is said.
    pub(crate) keep: Keep,
    /// What is known ahead of being asked for, where many are.
    pub(crate) prefetch: Option<&'a Prefetch>,
}

/// What becomes of a write.
#[derive(Debug)]
pub(crate) enum Mode {
    /// It is carried out.
    Live,
    /// It is noted.
    Rehearsed(Box<Rehearsal>),
    /// It is carried out when it is planned.
    Planned(Permit),
}

/// The writes of a plan.
pub(crate) type Permit = HashSet<Mark>;

/// What a write is told by, in a plan and when it is followed.
pub(crate) type Mark = [u8; 16];

/// Whom a write concerns in the source.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Concerned<'a> {
    pub(crate) kind: Kind,
    pub(crate) anchor: SourceAnchor,
    /// Whom it refers to, as its references do.
    pub(crate) referred: &'a [SourceAnchor],
}

/// A write that failed.
#[derive(Debug)]
pub(crate) struct Unwritten {
    pub(crate) error: TargetError,
    /// May it, or an earlier attempt of it, have been carried out all the same?
    pub(crate) in_doubt: bool,
}

impl From<TargetError> for Unwritten {
    fn from(error: TargetError) -> Self {
        let in_doubt = error.may_have_arrived();
        Self { error, in_doubt }
    }
}

/// What came of a write.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// The id of what was created.
    pub(crate) created: Option<TargetId>,
    /// What would be sent, when it is only rehearsed.
    pub(crate) noted: Option<Request>,
}

impl Gate<'_> {
    /// Does some work, and answers what was said to the target meanwhile, if that is to be kept.
    pub(crate) async fn along<F: Future>(
        &self,
        clock: &Arc<dyn Clock>,
        work: F,
    ) -> (F::Output, Vec<Exchange>) {
        if self.keep == Keep::None || self.rehearsal().is_some() {
            return (work.await, Vec::new());
        }
        trail::along(clock, work).await
    }

    /// The objects whose attribute at `path` equals `value`; two suffice to tell that there are several.
    pub(crate) async fn find(
        &self,
        kind: Kind,
        path: &str,
        value: &Value,
    ) -> Result<Vec<TargetObject>, TargetError> {
        let found = self.ask(kind, path, value).await?;
        self.corrected(kind, path, value, found).await
    }

    /// As [`Self::find`]; what is known ahead will do.
    pub(crate) async fn find_known(
        &self,
        kind: Kind,
        path: &str,
        value: &Value,
    ) -> Result<Vec<TargetObject>, TargetError> {
        let Some(prefetch) = self.prefetch else {
            return self.find(kind, path, value).await;
        };
        let known = prefetch.find(self, kind, path, value).await;
        let found = if let Some(found) = known {
            found
        } else {
            let found = self.ask(kind, path, value).await?;
            prefetch.saw(kind, path, value, &found);
            found
        };
        self.corrected(kind, path, value, found).await
    }

    async fn ask(
        &self,
        kind: Kind,
        path: &str,
        value: &Value,
    ) -> Result<Vec<TargetObject>, TargetError> {
        let find = || self.target.find(kind, path, value);
        let found = self.limiter.run(self.rank, find).await;
        match self.heard(kind, found).await {
            Err(TargetError::NotFound) => Err(not_there("there is nobody to be found")),
            found => found,
        }
    }

    /// What was found, with what would have been written by now.
    async fn corrected(
        &self,
        kind: Kind,
        path: &str,
        value: &Value,
        mut found: Vec<TargetObject>,
    ) -> Result<Vec<TargetObject>, TargetError> {
        if let Mode::Rehearsed(rehearsal) = self.mode {
            for id in rehearsal.correct(kind, path, value, &mut found) {
                found.push(match Rehearsal::created(&id) {
                    Some(object) => object,
                    None => self.read(kind, &id).await?,
                });
            }
        }
        Ok(found)
    }

    /// The object with this id.
    pub(crate) async fn read(
        &self,
        kind: Kind,
        id: &TargetId,
    ) -> Result<TargetObject, TargetError> {
        let read = || self.target.read(kind, id);
        let first = self.limiter.run(self.rank, read).await;
        match self.heard(kind, first).await {
            // Somebody is gone when that is said twice, and others are there.
            Err(TargetError::NotFound) => self.limiter.run(self.rank, read).await,
            first => first,
        }
    }

    /// Writes. A creation is sent once, whatever comes of it; everything else does the same when it is
    /// sent again, and is.
    pub(crate) async fn write(
        &self,
        concerned: Concerned<'_>,
        write: &Write<'_>,
    ) -> Result<Written, Unwritten> {
        let kind = concerned.kind;
        match self.mode {
            Mode::Live => {}
            Mode::Rehearsed(rehearsal) => {
                return Ok(rehearsal.note(self.target, concerned, write)?);
            }
            Mode::Planned(permit) => {
                let request = self.target.request(kind, write)?;
                let marks = marks(concerned, write, &request);
                if !marks.iter().all(|mark| permit.contains(mark)) {
                    return Err(TargetError::NotPlanned.into());
                }
            }
        }
        let writing = self.prefetch.map(|it| it.writing(kind, write));
        let mut in_doubt = false;
        let send = || self.target.write(kind, write);
        let (limiter, rank) = (self.limiter, self.rank);
        let created = match write {
            Write::Create(_) => limiter.once(rank, send).await,
            _ => limiter.run_doubting(rank, send, &mut in_doubt).await,
        };
        if let Err(error) = &created {
            in_doubt |= error.may_have_arrived();
        }
        if let Some(writing) = writing {
            writing.answered(in_doubt);
        }
        let error = match self.heard(kind, created).await {
            Ok(created) => {
                return Ok(Written {
                    created,
                    noted: None,
                });
            }
            Err(error) => error,
        };
        let error = match (write, error) {
            (Write::Create(_), TargetError::NotFound) => not_there("nobody can be created there"),
            (Write::Update(id, _) | Write::Delete(id), TargetError::NotFound) => {
                match self.read(kind, id).await {
                    Ok(_) => not_there("it has the object, and said that it has not"),
                    // What is to be removed and is not there any more is removed already.
                    Err(TargetError::NotFound) if matches!(write, Write::Delete(_)) => {
                        return Ok(Written::default());
                    }
                    Err(error) => error,
                }
            }
            (_, error) => error,
        };
        let in_doubt = in_doubt || error.may_have_arrived();
        Err(Unwritten { error, in_doubt })
    }

    /// The objects from the `start`th on, as many as go into a page. One that fails is not asked for again.
    pub(crate) async fn page(&self, kind: Kind, start: u64) -> Result<Page, TargetError> {
        let mut tries = Tries::default();
        loop {
            let page = || self.target.page(kind, start);
            match self.limiter.once(self.rank, page).await {
                Err(error @ TargetError::Throttled { .. })
                    if self.limiter.pause(&error, &mut tries).await => {}
                page => return page,
            }
        }
    }

    /// Is something known ahead that a creation may rest on?
    pub(crate) fn knows(&self, kind: Kind) -> bool {
        self.prefetch.is_some_and(|prefetch| prefetch.knows(kind))
    }

    /// Somebody is there whom [`Self::find_known`] did not find.
    pub(crate) fn mistaken(&self, kind: Kind) {
        if let Some(prefetch) = self.prefetch {
            prefetch.mistaken(kind);
        }
    }

    /// Does the target say that it holds no object of this kind?
    pub(crate) async fn is_empty(&self, kind: Kind) -> Result<bool, TargetError> {
        self.limiter
            .run(self.rank, || self.target.is_empty(kind))
            .await
    }

    /// Tells a target that is out of order from one that does not get on with some objects: it is asked
    /// something that has to do with none of them.
    async fn heard<T>(&self, kind: Kind, answer: Result<T, TargetError>) -> Result<T, TargetError> {
        let Err(error) = answer else { return answer };
        if error == TargetError::NotFound {
            return Err(self.who_is_gone(kind).await);
        }
        if !error.is_the_targets() || !self.limiter.is_failing() {
            return Err(error);
        }
        match self.is_empty(Kind::User).await {
            Err(other) if other.is_the_targets() => Err(TargetError::OutOfOrder(other.to_string())),
            _ => Err(error),
        }
    }

    /// Is it one object that is not there, or is nothing? A target, or something before it, that answers 404 to
    /// everything is out of order (6.2): nobody's link is dropped because of it, and nobody's account counts as
    /// deleted.
    async fn who_is_gone(&self, kind: Kind) -> TargetError {
        let now = || self.limiter.order.fetch_add(1, Ordering::Relaxed) + 1;
        let answered = now();
        let seen = match kind {
            Kind::User => &self.limiter.users_seen,
            Kind::Group => &self.limiter.groups_seen,
        };
        let mut seen = seen.lock().await;
        // Asked since, for somebody else.
        if *seen > answered {
            return TargetError::NotFound;
        }
        let sent = now();
        let mut asked = self.is_empty(kind).await;
        if kind == Kind::Group && asked == Err(TargetError::NotFound) {
            // Groups alone may be missing; nobody's account waits for that.
            asked = self.is_empty(Kind::User).await;
            if matches!(asked, Ok(_) | Err(TargetError::Refused { .. })) {
                return not_there("HTTP 404, even to the list of Groups");
            }
        }
        match asked {
            Err(TargetError::NotFound) => {
                TargetError::OutOfOrder("HTTP 404, even to the list of users".to_owned())
            }
            Err(error) if error.is_the_targets() || error.stops_the_cycle() => error,
            // It is there, though it may not like to list everybody.
            Ok(_) | Err(_) => {
                *seen = sent;
                TargetError::NotFound
            }
        }
    }

    /// May this reference be written?
    pub(crate) fn allows(
        &self,
        concerned: Concerned<'_>,
        write: &Write<'_>,
        referred: &SourceAnchor,
    ) -> bool {
        match (self.mode, referring(write)) {
            (Mode::Planned(permit), Some((operation, path))) => {
                permit.contains(&reference_mark(concerned, operation, path, referred))
            }
            _ => true,
        }
    }

    /// Is every write carried out, without a plan?
    pub(crate) const fn is_live(&self) -> bool {
        matches!(self.mode, Mode::Live)
    }

    /// The rehearsal, if it is one.
    pub(crate) fn rehearsal(&self) -> Option<&Rehearsal> {
        match self.mode {
            Mode::Rehearsed(rehearsal) => Some(rehearsal),
            Mode::Live | Mode::Planned(_) => None,
        }
    }
}

/// A 404 that is no answer to what was asked.
fn not_there(why: &str) -> TargetError {
    TargetError::Failed {
        status: 404,
        detail: why.to_owned(),
    }
}

/// What tells a write from all others. References are told one by one and by their objects in the source:
/// a target may take them in other portions than was thought, and what is created has its id there only
/// then.
pub(crate) fn marks(concerned: Concerned<'_>, write: &Write<'_>, request: &Request) -> Vec<Mark> {
    if let Some((operation, path)) = referring(write) {
        let of = |one| reference_mark(concerned, operation, path, one);
        return concerned.referred.iter().map(of).collect();
    }
    let Request {
        method, path, body, ..
    } = request;
    let body = body.as_deref().unwrap_or_default();
    let parts = [method.as_bytes(), path.as_bytes(), body.as_bytes()];
    vec![mark(concerned, &parts)]
}

/// What a write does to references, and by which attribute.
const fn referring<'w>(write: &Write<'w>) -> Option<(&'static [u8], &'w str)> {
    match write {
        Write::AddReferences(References { path, .. }) => Some((b"add", path)),
        Write::RemoveReferences(References { path, .. }) => Some((b"remove", path)),
        Write::Create(_) | Write::Update(..) | Write::Delete(_) => None,
    }
}

fn reference_mark(
    concerned: Concerned<'_>,
    operation: &[u8],
    path: &str,
    referred: &SourceAnchor,
) -> Mark {
    mark(
        concerned,
        &[operation, path.as_bytes(), referred.as_bytes()],
    )
}

fn mark(concerned: Concerned<'_>, parts: &[&[u8]]) -> Mark {
    let mut digest = Sha256::new()
        .chain_update(concerned.kind.as_str())
        .chain_update(concerned.anchor.as_bytes());
    for part in parts {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let digest: [u8; 32] = digest.finalize().into();
    let mut mark = Mark::default();
    mark.copy_from_slice(&digest[..16]);
    mark
}
