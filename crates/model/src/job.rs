//! The provisioning job: configuration of one application instance, with its state.

use crate::directory::Kind;
use crate::event::Action;
use crate::link::{SourceAnchor, TargetId};
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

/// Why a guard holds a job (6.2).
pub const TOO_MANY_DELETES: &str = "TooManyDeletes";

/// How long a job may be in quarantine before it is switched off, in seconds (EH-10).
pub const QUARANTINED_AT_MOST: i64 = 28 * 86_400;

/// Must a job be quarantined because so many of its objects fail (6.3)? Answers the reason code of 6.2.
/// `failed` counts objects, `references` references that fail, `well` objects that are as they should be.
pub const fn too_many_fail(failed: u64, references: u64, well: u64) -> Option<&'static str> {
    if failed + references > 60_000 {
        Some("EncounteredTotalEscrowThreshold")
    } else if failed < 5_000 {
        None
    } else if failed > 40_000 {
        Some("EncounteredBaseEscrowThreshold")
    } else if failed * 100 > (failed + well) * 40 {
        Some("EncounteredEscrowProportionThreshold")
    } else {
        None
    }
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

    /// Is it held because a cycle would take away too much (EH-17)?
    pub fn is_held_by_guard(&self) -> bool {
        matches!(self, Self::Quarantined { reason, .. } if reason == TOO_MANY_DELETES)
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
    /// How much one cycle may take away.
    pub guard: Guard,
    /// What becomes of the accounts of those who leave.
    pub leaving: Leaving,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            default_access: DefaultAccess::default(),
            skip_out_of_scope_deletions: false,
            interval_seconds: 40 * 60,
            notification_email: None,
            guard: Guard::default(),
            leaving: Leaving::default(),
        }
    }
}

/// What becomes of an account whose owner leaves, by why they leave (5.5). The reference has no such choice
/// (CY-11): all three disable there. Groups, which cannot be disabled, are deleted whatever is chosen here
/// (CY-15), and who is gone from the source for good is deleted (CY-14).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Leaving {
    /// Unassigned, or not in scope of the filters any more.
    pub unassigned: Departure,
    /// The account in the source is disabled.
    pub disabled: Departure,
    /// The account in the source is deleted, and can still be restored.
    pub deleted: Departure,
}

/// What becomes of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Departure {
    /// It is disabled.
    #[default]
    Disable,
    /// It is deleted, if the mapping deletes at all.
    Delete,
    /// It stays as it is.
    Leave,
}

impl Departure {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Delete => "delete",
            Self::Leave => "leave",
        }
    }
}

impl std::str::FromStr for Departure {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Disable, Self::Delete, Self::Leave]
            .into_iter()
            .find(|departure| departure.as_str() == text)
            .ok_or_else(|| "it is disable, delete or leave".to_owned())
    }
}

/// How many objects a job may disable or delete at the target before it asks (6.5). Users and groups,
/// disables and deletions are counted together (EH-15), those of a while together, because a cycle begins
/// with every change (EH-16).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    /// More than so many are held back.
    pub most: Option<u32>,
    /// More than so many percent of the managed objects are held back, unless they are only a few.
    pub share: Option<u8>,
    /// For so many seconds what was withdrawn counts; 0 counts each cycle alone.
    pub within_seconds: u32,
}

impl Guard {
    /// Nothing is ever held back.
    pub const OFF: Self = Self {
        most: None,
        share: None,
        within_seconds: Self::WITHIN,
    };

    /// As long as a cycle of the service that people know takes to come round (SC-1).
    pub const WITHIN: u32 = 40 * 60;

    /// Does it allow everything?
    pub const fn is_off(self) -> bool {
        self.most.is_none() && self.share.is_none()
    }

    /// So few objects are no share of anything: whoever has ten users may dismiss two.
    pub const FEW: u64 = 5;

    /// Does it hold back so many withdrawals of so many managed objects? Strictly more than it allows (EH-17).
    pub fn holds_back(self, withdrawn: u64, managed: u64) -> bool {
        let too_many = self.most.is_some_and(|most| withdrawn > most.into());
        let too_large = self.share.is_some_and(|share| {
            withdrawn > Self::FEW && withdrawn * 100 > managed * u64::from(share)
        });
        too_many || too_large
    }
}

/// What a new job has: 500 objects, a fifth of them all.
impl Default for Guard {
    fn default() -> Self {
        Self {
            most: Some(500),
            share: Some(20),
            within_seconds: Self::WITHIN,
        }
    }
}

/// Something that a cycle would take away from an object, and was held back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// What kind of object.
    pub kind: Kind,
    /// The object in the source.
    pub anchor: SourceAnchor,
    /// The name to show for it.
    pub name: String,
    /// The object at the target.
    pub target: TargetId,
    /// Disable or delete.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// May it be done?
    pub allowed: bool,
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

#[cfg(test)]
mod tests {
    use super::{Guard, too_many_fail};

    #[test]
    fn quarantine_by_count_follows_the_published_examples() {
        // The vectors of 17.1, in their order.
        const PROPORTION: Option<&str> = Some("EncounteredEscrowProportionThreshold");
        let vectors = [
            ((4_000, 0, 0), None),
            ((5_000, 0, 20_000), None),
            ((5_000, 0, 5_000), PROPORTION),
            (
                (45_000, 0, 1_000_000),
                Some("EncounteredBaseEscrowThreshold"),
            ),
            ((30_000, 0, 5_000), PROPORTION),
            ((20_000, 0, 100_000), None),
            (
                (40_000, 21_000, 1_000_000),
                Some("EncounteredTotalEscrowThreshold"),
            ),
            ((0, 50_000, 0), None),
        ];
        for ((failed, references, well), expected) in vectors {
            assert_eq!(
                too_many_fail(failed, references, well),
                expected,
                "{failed} {references} {well}"
            );
        }
        // Exactly 40 % is not more.
        assert_eq!(too_many_fail(6_000, 0, 9_000), None);
        assert_eq!(too_many_fail(6_001, 0, 9_000), PROPORTION);
        assert_eq!(too_many_fail(4_999, 0, 0), None);
    }

    #[test]
    fn eh_17_a_guard_holds_back_what_is_strictly_more_than_it_allows() {
        let guard = Guard {
            most: Some(3),
            ..Guard::OFF
        };
        assert!(!guard.holds_back(3, 10_000));
        assert!(guard.holds_back(4, 10_000));
        assert!(!Guard::OFF.holds_back(10_000, 10_000));
    }

    #[test]
    fn a_share_is_of_the_managed_objects_and_few_are_never_too_many() {
        let guard = Guard {
            share: Some(20),
            ..Guard::OFF
        };
        assert!(!guard.holds_back(5, 6));
        assert!(guard.holds_back(6, 6));
        assert!(!guard.holds_back(20, 100));
        assert!(guard.holds_back(21, 100));
        assert!(!guard.holds_back(0, 0));
    }
}
