//! The provisioning job: configuration of one application instance, with its state.

use crate::{ApplicationId, JobId, Position, Secret, Timestamp};

/// A job.
#[derive(Clone, Debug)]
pub struct Job {
    /// Its id.
    pub id: JobId,
    /// The application it provisions.
    pub application: ApplicationId,
    /// Does it run?
    pub status: JobStatus,
    /// What the administrator chose.
    pub settings: JobSettings,
    /// Where the next incremental cycle starts reading; `None` asks for an initial cycle.
    pub watermark: Option<Position>,
    /// When the latest cycle ended.
    pub last_cycle: Option<Timestamp>,
}

/// Provisioning status (5.9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// Credentials were never saved.
    NotConfigured,
    /// Provisioning Status Off; state is kept.
    Paused,
    /// Provisioning Status On.
    Active,
    /// Held back by a problem with the whole job (6.2).
    Quarantined {
        /// Since when.
        since: Timestamp,
        /// Reason code of 6.2.
        reason: String,
        /// What to do, in plain words.
        detail: String,
        /// When it is tried again.
        next_attempt: Timestamp,
    },
}

impl JobStatus {
    /// The code of the status resource (11.2).
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotConfigured => "NotConfigured",
            Self::Paused => "Paused",
            Self::Active => "Active",
            Self::Quarantined { .. } => "Quarantine",
        }
    }
}

/// Which objects are candidates (1.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Scope {
    /// Sync only assigned users and groups.
    #[default]
    AssignedOnly,
    /// Sync all users and groups.
    All,
}

/// What the administrator chose for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobSettings {
    /// Who is a candidate.
    pub scope: Scope,
    /// Do users who hold only Default Access stay out? (1.4)
    pub default_access: DefaultAccess,
    /// Leave accounts alone that fall out of scope (5.6).
    pub skip_out_of_scope_deletions: bool,
    /// Pause between incremental cycles when nothing wakes the job (SC-1).
    pub interval_seconds: u32,
    /// Who gets notifications.
    pub notification_email: Option<String>,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            default_access: DefaultAccess::default(),
            skip_out_of_scope_deletions: false,
            interval_seconds: 40 * 60,
            notification_email: None,
        }
    }
}

/// The two editions of the Default Access rule (1.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum DefaultAccess {
    /// Excluded as soon as the application defines a role of its own.
    #[default]
    ExcludedIfRolesExist,
    /// Counts like any other role.
    Included,
}

/// How to reach the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    /// Base address of the target.
    pub tenant_url: String,
    /// Bearer token.
    pub secret_token: Secret<String>,
}
