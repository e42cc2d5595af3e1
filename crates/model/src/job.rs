//! The provisioning job: configuration of one application instance, with its state.

use std::fmt;
use std::str::FromStr;

use crate::directory::Kind;
use crate::event::Action;
use crate::exchange::ExchangeLog;
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
    /// When nothing was left to do, first and last (11.2).
    pub steady: Option<(Timestamp, Timestamp)>,
    /// Is it shown to who asks the control API for the jobs of its application? Every application has a job from its
    /// beginning; Microsoft Graph knows of one once somebody has asked for it.
    pub offered: bool,
}

impl Job {
    /// The code of the status resource (11.2).
    pub const fn code(&self) -> &'static str {
        match self.status {
            // It is on, and its first cycle has not come to its end.
            JobStatus::Active if self.last_cycle.is_none() => "NotRun",
            _ => self.status.code(),
        }
    }
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

/// What a restart forgets (5.8).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResetScope {
    /// `Watermark`: all objects are evaluated again.
    pub watermark: bool,
    /// `Escrows`: stored failures are not tried again for their own sake.
    pub escrows: bool,
    /// `QuarantineState`: the quarantine is lifted.
    pub quarantine: bool,
    /// `ConnectorDataStore`: all links. Then all objects are evaluated again, too.
    pub links: bool,
}

impl ResetScope {
    /// What *Restart provisioning* forgets: links are kept (CY-6).
    pub const USUAL: Self = Self {
        watermark: true,
        escrows: true,
        quarantine: true,
        links: false,
    };
    /// `Full`: all of it.
    pub const FULL: Self = Self {
        links: true,
        ..Self::USUAL
    };
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
        /// When it was looked at last, and kept there (EH-12).
        looked: Timestamp,
        /// How often it was looked at and kept there.
        count: u32,
        /// Reason code of 6.2.
        reason: String,
        /// What failed, as a code of 10.6.
        code: String,
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
    /// Where a signed message is sent with each of them.
    pub notification_webhook: Option<String>,
    /// How much one cycle may take away.
    pub guard: Guard,
    /// What becomes of the accounts of those who leave.
    pub leaving: Leaving,
    /// How the target wants to be spoken to.
    pub dialect: Dialect,
    /// What is kept of the requests to the target.
    pub exchanges: ExchangeLog,
    /// For how long the provisioning log is kept (10.4).
    pub log_seconds: u32,
    /// When what failed is tried again.
    pub retries: Retries,
}

impl Default for JobSettings {
    fn default() -> Self {
        Self {
            scope: Scope::default(),
            default_access: DefaultAccess::default(),
            skip_out_of_scope_deletions: false,
            interval_seconds: 40 * 60,
            notification_email: None,
            notification_webhook: None,
            guard: Guard::default(),
            leaving: Leaving::default(),
            dialect: Dialect::default(),
            exchanges: ExchangeLog::default(),
            log_seconds: 90 * 86_400,
            retries: Retries::default(),
        }
    }
}

/// How a target wants to be spoken to, where it does not do what the RFCs say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// How changes are written; by the flag in the tenant URL, when it is not chosen.
    pub patch: Option<PatchStyle>,
    /// Changes are sent as the whole resource with PUT, to a target that knows no PATCH.
    pub puts: bool,
    /// Members of one request at most.
    pub members: u16,
    /// Writes of one bulk request at most; each is sent alone with 0 or 1.
    pub bulk: u16,
    /// Does it find groups by a filter? Otherwise all of them are listed and looked through.
    pub filters_groups: bool,
    /// Requests under way at most; it is found out how many the target likes.
    pub at_once: u16,
    /// Requests in a second at most; 0 is found out when the target throttles.
    pub per_second: u16,
    /// For so many seconds an answer is waited for.
    pub timeout_seconds: u16,
}

impl Default for Dialect {
    fn default() -> Self {
        Self {
            patch: None,
            puts: false,
            members: 100,
            bulk: 0,
            filters_groups: true,
            at_once: 64,
            per_second: 0,
            timeout_seconds: 60,
        }
    }
}

/// When what failed is tried again: an object, and a job in quarantine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Retries {
    /// Soon, and then less and less often; for ever.
    #[default]
    Adaptive,
    /// As the reference documents it (EH-3, EH-8): with the next cycle, then 6, 12 and 24 hours after the first
    /// failure, then daily for 28 days.
    Documented,
}

impl Retries {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Adaptive => "adaptive",
            Self::Documented => "documented",
        }
    }

    /// When an object is tried again that failed first then and so often by now; `None` when not any more.
    pub fn next_attempt(
        self,
        (first, attempts): (Timestamp, u32),
        interval_seconds: u32,
        now: Timestamp,
    ) -> Option<Timestamp> {
        match self {
            // One minute, doubling to one day: 1, 2, 4, … minutes (EH-2).
            Self::Adaptive => {
                let pause = 60_i64 << attempts.saturating_sub(1).min(11);
                Some(now.plus_seconds(pause.min(DAY)))
            }
            Self::Documented => {
                let next_cycle = first.plus_seconds(interval_seconds.into());
                if next_cycle > now {
                    return Some(next_cycle);
                }
                documented(first, now)
            }
        }
    }

    /// When a job is tried again that is in quarantine since then.
    pub fn next_look(self, since: Timestamp, now: Timestamp) -> Timestamp {
        let waited = (now.millis_since(since) / 1000) as i64;
        match self {
            Self::Adaptive => now.plus_seconds(waited.clamp(60, 6 * 3600)),
            Self::Documented => documented(since, now).unwrap_or_else(|| now.plus_seconds(DAY)),
        }
    }
}

/// A day, in seconds.
const DAY: i64 = 86_400;

/// The next instant of the documented schedule.
fn documented(first: Timestamp, now: Timestamp) -> Option<Timestamp> {
    let hours = [6, 12].into_iter().map(|hours| hours * 3600);
    let days = (1..=28).map(|days| days * DAY);
    let mut instants = hours.chain(days).map(|after| first.plus_seconds(after));
    instants.find(|at| *at > now)
}

impl FromStr for Retries {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let all = [Self::Adaptive, Self::Documented];
        all.into_iter().find(|it| it.as_str() == text).ok_or(())
    }
}

/// How a PATCH is written (7.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchStyle {
    /// As RFC 7644 says.
    Rfc,
    /// `AzureAdScimPatch2017`: capitalised operations, booleans as text, members removed as a list.
    Aad2017,
    /// `aadOptscim062020`: simple attributes in one operation without a path.
    Aad062020,
}

impl PatchStyle {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rfc => "rfc",
            Self::Aad2017 => "2017",
            Self::Aad062020 => "062020",
        }
    }
}

/// A word that is no way of writing a PATCH.
#[derive(Debug, thiserror::Error)]
#[error("unknown way of writing a PATCH")]
pub struct UnknownPatchStyle;

impl std::str::FromStr for PatchStyle {
    type Err = UnknownPatchStyle;

    fn from_str(text: &str) -> Result<Self, UnknownPatchStyle> {
        [Self::Rfc, Self::Aad2017, Self::Aad062020]
            .into_iter()
            .find(|style| style.as_str() == text)
            .ok_or(UnknownPatchStyle)
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
    /// For so many seconds an account that is to be deleted is disabled before. Who is gone from the source
    /// for good is deleted at once: there they had theirs.
    pub grace_seconds: u32,
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
    /// More than so many memberships that would be removed are held back, those of all groups together.
    pub memberships: Option<u32>,
    /// More than so many percent of one group's members are held back, unless they are only a few.
    pub members_share: Option<u8>,
    /// For so many seconds what was taken away counts; 0 counts each cycle alone.
    pub within_seconds: u32,
}

impl Guard {
    /// Nothing is ever held back.
    pub const OFF: Self = Self {
        most: None,
        share: None,
        memberships: None,
        members_share: None,
        within_seconds: Self::WITHIN,
    };

    /// As long as a cycle of the service that people know takes to come round (SC-1).
    pub const WITHIN: u32 = 40 * 60;

    /// Does it allow everything?
    pub const fn is_off(self) -> bool {
        self.most.is_none() && self.share.is_none() && !self.counts_members()
    }

    /// Does it look at memberships?
    pub const fn counts_members(self) -> bool {
        self.memberships.is_some() || self.members_share.is_some()
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

    /// So few members are no share of a group.
    pub const FEW_MEMBERS: u64 = 20;

    /// Does it hold back that so many memberships of all groups are removed?
    pub fn holds_back_memberships(self, removed: u64) -> bool {
        self.memberships.is_some_and(|most| removed > most.into())
    }

    /// Does it hold back that so many of a group's members are removed?
    pub fn holds_back_members(self, removed: u64, of: u64) -> bool {
        self.members_share.is_some_and(|share| {
            removed > Self::FEW_MEMBERS && removed * 100 > of * u64::from(share)
        })
    }
}

/// What a new job has: 500 objects, a fifth of them all; 1000 memberships, half of a group.
impl Default for Guard {
    fn default() -> Self {
        Self {
            most: Some(500),
            share: Some(20),
            memberships: Some(1000),
            members_share: Some(50),
            within_seconds: Self::WITHIN,
        }
    }
}

/// More than a guard lets a cycle take away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Objects that would be withdrawn and were not allowed.
    pub objects: u64,
    /// Memberships that would be removed and were not allowed.
    pub memberships: u64,
    /// Objects that were withdrawn a short while ago.
    pub recent: u64,
    /// Objects that are managed at the target, and those that were withdrawn.
    pub managed: u64,
}

/// What would be done, as the end of "it would".
impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            objects,
            memberships,
            recent,
            managed,
        } = self;
        if *objects > 0 || *memberships == 0 {
            write!(
                f,
                "disable or delete {objects} of the {managed} objects that are managed at the target"
            )?;
            if *recent > 0 {
                write!(f, ", after {recent} a short while ago")?;
            }
            if *memberships == 0 {
                return Ok(());
            }
            f.write_str(", and ")?;
        }
        match memberships {
            1 => f.write_str("remove a member from a group"),
            many => write!(f, "remove {many} members from groups"),
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
    /// Disable or delete; or update, when members are removed.
    pub action: Action,
    /// Who would be removed from this group.
    pub members: Vec<SourceAnchor>,
    /// Why.
    pub reason: String,
    /// May it be done?
    pub allowed: bool,
}

impl Withdrawal {
    /// How much it is: an object, or so many memberships.
    pub fn size(&self) -> u64 {
        self.members.len().max(1) as u64
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
    /// Bearer token; password or client secret, where these give access.
    pub secret_token: Secret<String>,
    /// What gives access with it.
    pub access: Access,
}

/// What gives access with a secret, and how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// How the secret is used.
    pub scheme: Scheme,
    /// The secret that is used from when the target refuses the first one on: it was staged in advance.
    pub next: Option<Secret<String>>,
    /// When the secret expires, as far as somebody said so.
    pub expires: Option<Timestamp>,
}

/// How a secret is used (2.2).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// It is the bearer token (RFC 6750).
    #[default]
    Bearer,
    /// It is a password (RFC 7617).
    Basic {
        /// Who signs in.
        user: String,
    },
    /// It is a client secret, or a private key, that access tokens are got for (RFC 6749, RFC 7523).
    OAuth(OAuth),
}

/// How access tokens are got.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OAuth {
    /// Where.
    pub token_url: String,
    /// The client.
    pub client_id: String,
    /// What is asked for.
    pub scope: Option<String>,
    /// Names the private key, where the secret is one.
    pub key_id: Option<String>,
    /// What somebody has allowed (RFC 6749, 4.1); the client acts for itself without it (4.4).
    pub allowed: Option<Allowed>,
}

/// What somebody has allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Tells it from what somebody else allows, or the same person once more.
    pub id: String,
    /// Stands for it (RFC 6749, 6); another one may do so after each use.
    pub refresh: Secret<String>,
}

impl Credentials {
    /// Are they the same, whatever stands by now for what somebody has allowed?
    pub fn are_as(&self, other: &Self) -> bool {
        let lasting = |it: &Self| {
            let mut it = it.clone();
            if let Scheme::OAuth(OAuth {
                allowed: Some(allowed),
                ..
            }) = &mut it.access.scheme
            {
                allowed.refresh = Secret::new(String::new());
            }
            it
        };
        lasting(self) == lasting(other)
    }
}

#[cfg(test)]
mod tests {
    use super::{Guard, Retries, too_many_fail};
    use crate::Timestamp;

    /// Minutes between the first failure and each attempt that follows it, as they are made when due.
    fn attempts(retries: Retries, most: usize) -> Vec<u64> {
        let first = Timestamp::from_micros(0);
        let (mut now, mut told) = (first, Vec::new());
        while let Some(next) = retries.next_attempt((first, told.len() as u32 + 1), 40 * 60, now) {
            now = next;
            told.push(now.millis_since(first) / 60_000);
            if told.len() == most {
                break;
            }
        }
        told
    }

    #[test]
    fn eh_3_the_documented_schedule_ends_after_28_days() {
        // 17.6
        let told = attempts(Retries::Documented, 100);
        assert_eq!(told[..5], [40, 6 * 60, 12 * 60, 24 * 60, 48 * 60]);
        assert_eq!((told.len(), told.last()), (31, Some(&(28 * 24 * 60))));
        // EH-8
        let (since, hour) = (Timestamp::from_micros(0), |it: i64| {
            Timestamp::from_micros(0).plus_seconds(it * 3600)
        });
        let next = |now| Retries::Documented.next_look(since, hour(now));
        assert_eq!(
            [next(0), next(6), next(13), next(30), next(28 * 24)],
            [hour(6), hour(12), hour(24), hour(48), hour(29 * 24)]
        );
    }

    #[test]
    fn eh_2_retries_are_spaced_out_to_once_a_day() {
        let minutes = attempts(Retries::Adaptive, 40);
        assert_eq!(minutes[..4], [1, 3, 7, 15]);
        assert_eq!(minutes[39] - minutes[38], 24 * 60);
    }

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
