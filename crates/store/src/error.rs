//! What can go wrong between us and the database.

/// The database could not do what was asked.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The file or server cannot be opened.
    #[error("cannot open the database {place}: {reason}")]
    Open {
        /// Path or host.
        place: String,
        /// What the driver said.
        reason: String,
    },
    /// The database was written by a newer Muster.
    #[error(
        "the database has schema version {found}, this muster knows only up to {known}; \
         install the newer muster that wrote it"
    )]
    TooNew {
        /// Version found.
        found: i64,
        /// Newest version this binary knows.
        known: i64,
    },
    /// No room left for the file.
    #[error("the disk that holds the database is full; free some space and try again")]
    Full,
    /// Another row has this value.
    #[error("a row with this value exists already ({0})")]
    Duplicate(String),
    /// A stored row cannot be understood.
    #[error("the database holds a row that cannot be read: {place}, column {column}: {reason}")]
    Corrupt {
        /// The statement or table.
        place: String,
        /// Number of the column, from 0.
        column: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A sealed value does not open with our key.
    #[error(
        "a stored secret does not open with this key; start muster with the key it was sealed with"
    )]
    Unsealable,
    /// Another process took the job over; nothing was written.
    #[error("the lease on this job was lost to another process")]
    LeaseLost,
    /// The job began anew while a cycle ran; nothing was written.
    #[error("the job was restarted, or its settings changed, while the cycle ran")]
    Restarted,
    /// The server ended the connection, or cannot be reached any more.
    #[error("the database cannot be reached: {0}")]
    Unavailable(String),
    /// Two transactions waited for each other, and this one was given up; it may be tried again.
    #[error("the transaction was given up because another one waited for it as well")]
    Deadlock,
    /// What a transaction knew from before does not hold any more; nothing was written, and it may be tried again.
    #[error("the database was changed by somebody else meanwhile")]
    Outdated,
    /// Anything else the driver said.
    #[error("the database refused a statement: {0}")]
    Sql(String),
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        match &error {
            rusqlite::Error::SqliteFailure(code, message) => match code.code {
                ErrorCode::DiskFull => Self::Full,
                ErrorCode::ConstraintViolation
                    if matches!(
                        code.extended_code,
                        rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE
                            | rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                    ) =>
                {
                    Self::Duplicate(message.clone().unwrap_or_default())
                }
                _ => Self::Sql(error.to_string()),
            },
            _ => Self::Sql(error.to_string()),
        }
    }
}

impl From<tokio_postgres::Error> for StoreError {
    fn from(error: tokio_postgres::Error) -> Self {
        use tokio_postgres::error::{Severity, SqlState};
        let ends_the_session =
            |severity| matches!(severity, Some(Severity::Fatal | Severity::Panic));
        match error.as_db_error() {
            // Nobody knows what became of a COMMIT.
            Some(db) if ends_the_session(db.parsed_severity()) => {
                Self::Unavailable(db.message().to_owned())
            }
            Some(db) if *db.code() == SqlState::UNIQUE_VIOLATION => {
                Self::Duplicate(db.constraint().unwrap_or("unique").to_owned())
            }
            Some(db) if *db.code() == SqlState::DISK_FULL => Self::Full,
            Some(db) if *db.code() == SqlState::T_R_DEADLOCK_DETECTED => Self::Deadlock,
            Some(db) => Self::Sql(format!("{} ({})", db.message(), db.code().code())),
            None => Self::Unavailable(error.to_string()),
        }
    }
}
