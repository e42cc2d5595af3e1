//! Why a cycle could not run or go on.

use muster_model::job::Held;
use muster_store::StoreError;

use crate::port::{SourceError, TargetError};

/// Why a cycle could not run or go on. Failures of single objects are not among these.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The database.
    #[error(transparent)]
    Store(StoreError),
    /// The job was restarted, or its settings changed.
    #[error(
        "the job was restarted, or its settings changed, while the cycle ran; run it again to begin \
         anew"
    )]
    Restarted,
    /// The source.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The target as a whole.
    #[error(transparent)]
    Target(#[from] TargetError),
    /// There is no such job.
    #[error("there is no such job")]
    NoSuchJob,
    /// Credentials were never saved.
    #[error(
        "the job has no credentials yet; save Tenant URL and Secret Token first \
         (muster app credentials)"
    )]
    NotConfigured,
    /// The mappings of the job do not compile.
    #[error("the mappings of the job are not valid: {0}")]
    Mappings(String),
    /// Somebody else runs the job.
    #[error("a cycle of this job is running; try again when it has ended")]
    Busy,
    /// The cycle would take away more than the guard of the job allows; nothing was written.
    #[error(
        "this cycle would {0}, and the job's guard allows fewer; nothing was changed. Look at them \
         (muster job held), then let them go (muster job allow), or undo the cause, and the job goes on \
         by itself"
    )]
    HeldBack(Held),
    /// A plan was to be followed, and what it rests on is not so any more; nothing was written.
    #[error("{0}; nothing was changed: plan again")]
    Moved(String),
    /// The present state does not allow it; nothing was changed.
    #[error("{0}")]
    Refused(String),
    /// The process is stopping, or the job was switched off; the cycle goes on from here next time.
    #[error("the cycle was interrupted; it goes on from here when the job runs again")]
    Interrupted,
}

impl From<StoreError> for EngineError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Restarted => Self::Restarted,
            other => Self::Store(other),
        }
    }
}
