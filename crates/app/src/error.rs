//! What a use case answers when it does not do what was asked.

use muster_engine::EngineError;
use muster_store::StoreError;

/// A use case did not do what was asked. The message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum AppError {
    /// What was named does not exist.
    #[error("{0}")]
    NotFound(String),
    /// What was given is not valid.
    #[error("{0}")]
    Invalid(String),
    /// It exists already.
    #[error("{0}")]
    Taken(String),
    /// The present state does not allow it.
    #[error("{0}")]
    Refused(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

impl AppError {
    /// Is it over in a moment, so that the same may be asked again?
    pub const fn is_busy(&self) -> bool {
        matches!(
            self,
            Self::Engine(EngineError::Busy | EngineError::Interrupted | EngineError::Restarted)
        )
    }

    /// Does the guard hold it back, or does what it rests on hold no more? Nothing was done then.
    pub const fn is_outdated(&self) -> bool {
        matches!(
            self,
            Self::Engine(EngineError::HeldBack(_) | EngineError::Moved(_))
        )
    }

    /// Is it ours, and not of whoever asks?
    pub const fn is_ours(&self) -> bool {
        matches!(self, Self::Store(_) | Self::Engine(EngineError::Store(_)))
    }
}
