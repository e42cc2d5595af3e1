//! Arguments of `muster job …`.

use clap::{Subcommand, ValueEnum};
use muster_model::exchange::Keep;
use muster_model::job::{Departure, PatchStyle, ResetScope, Retries};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Provisioning Status On.
    #[command(after_help = "Example:\n  muster job start \"Symantec Web Security Service\"")]
    Start {
        /// Name or id of the application.
        app: String,
    },
    /// Provisioning Status Off; state is kept.
    #[command(after_help = "Example:\n  muster job pause \"Symantec Web Security Service\"")]
    Pause {
        /// Name or id of the application.
        app: String,
    },
    /// Evaluate everything again with the next cycle; links are kept, unless the scope says otherwise.
    #[command(
        after_help = "Examples:\n  muster job restart \"Symantec Web Security Service\"\n  muster job restart \"Symantec Web Security Service\" --scope QuarantineState\n\nWithout --scope: Watermark, Escrows and QuarantineState. Links are forgotten (ConnectorDataStore, Full) while the job is off, nothing waits for it and nothing is held back: who is in scope is matched anew, and accounts of those who are not stay as they are at the target, where nobody looks after them any more."
    )]
    Restart {
        /// Name or id of the application.
        app: String,
        /// What to forget; several by commas.
        #[arg(long, value_name = "WHAT", value_delimiter = ',')]
        scope: Vec<ResetArg>,
        /// It is meant that links are forgotten.
        #[arg(long)]
        yes: bool,
    },
    /// Show status, counts and the latest cycles.
    #[command(
        after_help = "Example:\n  muster job status \"Symantec Web Security Service\" --json"
    )]
    Status {
        /// Name or id of the application.
        app: String,
    },
    /// Set the longest pause between two cycles; changes of the directory are carried over at once.
    #[command(after_help = "Example:\n  muster job interval \"Symantec Web Security Service\" 40m")]
    Interval {
        /// Name or id of the application.
        app: String,
        /// 90s, 40m, 2h or 1d; from 10 seconds to 30 days.
        #[arg(value_parser = interval, value_name = "TIME")]
        every: u32,
    },
    /// Show or set how much a job may take away before it asks: accounts, and memberships.
    #[command(
        after_help = "Examples:\n  muster job guard \"Symantec Web Security Service\"\n  muster job guard \"Symantec Web Security Service\" --most 100 --share 10 --within 1d\n  muster job guard \"Symantec Web Security Service\" --off"
    )]
    Guard {
        /// Name or id of the application.
        app: String,
        /// Hold the job when a cycle would withdraw more objects than this.
        #[arg(long, value_name = "NUMBER")]
        most: Option<u32>,
        /// Hold it when they are more than so many percent of the managed objects, and more than five.
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
        share: Option<u8>,
        /// Hold it when it would remove more members than this, from all groups together.
        #[arg(long, value_name = "NUMBER")]
        memberships: Option<u32>,
        /// Hold it when it would remove more than so many percent of a group's members, and more than
        /// twenty.
        #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
        members_share: Option<u8>,
        /// Count what was taken away in so much time: 90s, 40m, 2h or 1d; 0s counts each cycle alone.
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        within: Option<u32>,
        /// Hold nothing back.
        #[arg(long, conflicts_with_all = ["most", "share", "memberships", "members_share", "within"])]
        off: bool,
    },
    /// Show or set what becomes of the accounts of users who leave: disable, delete, or leave.
    #[command(
        after_help = "Examples:\n  muster job leaving \"Symantec Web Security Service\"\n  muster job leaving \"Symantec Web Security Service\" --unassigned delete --disabled disable --deleted delete --grace 14d\n\nIt counts for who leaves from now on."
    )]
    Leaving {
        /// Name or id of the application.
        app: String,
        /// Of who is unassigned, or out of scope of the filters.
        #[arg(long, value_name = "WHAT")]
        unassigned: Option<DepartureArg>,
        /// Of whose account is disabled in the directory.
        #[arg(long, value_name = "WHAT")]
        disabled: Option<DepartureArg>,
        /// Of whose account is deleted in the directory, and can still be restored.
        #[arg(long, value_name = "WHAT")]
        deleted: Option<DepartureArg>,
        /// For so long an account that is to be deleted is disabled before: 90s, 40m, 2h or 1d.
        #[arg(long, value_name = "TIME", value_parser = seconds)]
        grace: Option<u32>,
        /// Leave the accounts of those alone who fall out of scope (5.6); they are not looked after any more, also when
        /// they are disabled or deleted later.
        #[arg(long, value_name = "ON", action = clap::ArgAction::Set, value_parser = on_or_off)]
        skip_out_of_scope: Option<bool>,
    },
    /// Set for how long the provisioning log is kept; 90 days without it.
    #[command(
        after_help = "Example:\n  muster job log \"Symantec Web Security Service\" --for 1000d"
    )]
    Log {
        /// Name or id of the application.
        app: String,
        /// 1d to 3650d.
        #[arg(long = "for", value_name = "TIME", value_parser = kept)]
        for_seconds: u32,
    },
    /// Show or set how the target wants to be spoken to, where it does not do what the RFCs say.
    #[command(
        after_help = "Examples:\n  muster job dialect \"Symantec Web Security Service\"\n  muster job dialect \"Symantec Web Security Service\" --patch 2017 --members 20\n  muster job dialect \"Symantec Web Security Service\" --write put --group-filter off"
    )]
    Dialect {
        /// Name or id of the application.
        app: String,
        /// How a PATCH is written; flag: as the flag in the Tenant URL says, and by the RFC without one.
        #[arg(long, value_name = "STYLE")]
        patch: Option<PatchArg>,
        /// Whether changes are sent with PATCH, or as the whole resource with PUT.
        #[arg(long, value_name = "METHOD")]
        write: Option<WriteArg>,
        /// Members of one request at most.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=1000))]
        members: Option<u16>,
        /// Writes that go together in one bulk request at most; 0 sends each alone.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(0..=64))]
        bulk: Option<u16>,
        /// Whether the target finds groups by a filter; otherwise all are listed and looked through.
        #[arg(long, value_name = "ON", action = clap::ArgAction::Set, value_parser = on_or_off)]
        group_filter: Option<bool>,
        /// Requests under way at most; how many the target likes is found out.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..=64))]
        at_once: Option<u16>,
        /// Requests in a second at most; 0 lets that be found out when the target throttles.
        #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(0..=10_000))]
        per_second: Option<u16>,
        /// How long an answer is waited for: 5s to 5m, 60s without it.
        #[arg(long, value_name = "TIME", value_parser = patience)]
        timeout: Option<u16>,
    },
    /// Set when what failed is tried again: soon and then less often, or on the schedule that Entra documents.
    #[command(
        after_help = "Example:\n  muster job retries \"Symantec Web Security Service\" documented\n\nadaptive: after a minute, then twice as long each time, up to daily; a job in quarantine at most every six\nhours. documented: with the next cycle, 6, 12 and 24 hours after the first failure, then daily for 28 days."
    )]
    Retries {
        /// Name or id of the application.
        app: String,
        /// adaptive or documented.
        schedule: RetriesArg,
    },
    /// Show or set what is kept of the requests to the target and its answers, and for how long.
    #[command(
        after_help = "Examples:\n  muster job exchanges \"Symantec Web Security Service\"\n  muster job exchanges \"Symantec Web Security Service\" --keep all --for 2d --size 64\n  muster job exchanges \"Symantec Web Security Service\" --hide phoneNumbers --hide addresses\n\nPasswords, and what a mapping redacts, are never kept. To read them: muster log exchanges"
    )]
    Exchanges {
        /// Name or id of the application.
        app: String,
        /// Those of all events, of failures and warnings (and of all that is provisioned on demand), or none.
        #[arg(long, value_name = "WHICH")]
        keep: Option<KeepArg>,
        /// For so long: 90s, 40m, 2h or 1d.
        #[arg(long = "for", value_name = "TIME", value_parser = seconds)]
        for_seconds: Option<u32>,
        /// And no more than so many MiB, sealed; the oldest go first.
        #[arg(long, value_name = "MIB", value_parser = clap::value_parser!(u32).range(1..=100_000))]
        size: Option<u32>,
        /// Keep no values of this attribute at the target; may be given several times.
        #[arg(long, value_name = "ATTRIBUTE")]
        hide: Vec<String>,
        /// Keep the values of all attributes, but for those that are never kept.
        #[arg(long)]
        hide_none: bool,
    },
    /// List what the guard holds back.
    #[command(after_help = "Example:\n  muster job held \"Symantec Web Security Service\"")]
    Held {
        /// Name or id of the application.
        app: String,
        /// So many at most.
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
    },
    /// Let the job do what its guard holds back, and exactly that.
    #[command(
        after_help = "Example:\n  muster job allow \"Symantec Web Security Service\" --expect 9"
    )]
    Allow {
        /// Name or id of the application.
        app: String,
        /// Only if so many are held back, as they were when you looked.
        #[arg(long, value_name = "NUMBER")]
        expect: Option<u64>,
    },
    /// Run one cycle now and wait for its end.
    #[command(
        after_help = "Example:\n  muster job run \"Symantec Web Security Service\"\n\nExit code 3 when some objects failed, 4 when the guard held the job."
    )]
    Run {
        /// Name or id of the application.
        app: String,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum DepartureArg {
    /// The account is disabled.
    Disable,
    /// It is deleted.
    Delete,
    /// It stays as it is.
    Leave,
}

impl From<DepartureArg> for Departure {
    fn from(arg: DepartureArg) -> Self {
        match arg {
            DepartureArg::Disable => Self::Disable,
            DepartureArg::Delete => Self::Delete,
            DepartureArg::Leave => Self::Leave,
        }
    }
}

/// Which exchanges are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum KeepArg {
    /// Those of every event.
    All,
    /// Those of failures and warnings.
    Failures,
    /// None.
    None,
}

impl From<KeepArg> for Keep {
    fn from(arg: KeepArg) -> Self {
        match arg {
            KeepArg::All => Self::All,
            KeepArg::Failures => Self::Failures,
            KeepArg::None => Self::None,
        }
    }
}

/// How a PATCH is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum PatchArg {
    /// As the flag in the Tenant URL says; by the RFC without one.
    Flag,
    /// By RFC 7644.
    Rfc,
    /// Capitalised operations, booleans as text, members removed as a list.
    #[value(name = "2017")]
    Aad2017,
    /// Simple attributes in one operation without a path.
    #[value(name = "062020")]
    Aad062020,
}

impl From<PatchArg> for Option<PatchStyle> {
    fn from(arg: PatchArg) -> Self {
        match arg {
            PatchArg::Flag => None,
            PatchArg::Rfc => Some(PatchStyle::Rfc),
            PatchArg::Aad2017 => Some(PatchStyle::Aad2017),
            PatchArg::Aad062020 => Some(PatchStyle::Aad062020),
        }
    }
}

/// How changes are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum WriteArg {
    /// Only what changes.
    Patch,
    /// The whole resource.
    Put,
}

/// `on` or `off`.
/// Seconds of a time-out.
fn patience(text: &str) -> Result<u16, String> {
    let seconds = seconds(text)?;
    match u16::try_from(seconds) {
        Ok(seconds @ 5..=300) => Ok(seconds),
        _ => Err("it is from 5 seconds to 5 minutes".to_owned()),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum RetriesArg {
    Adaptive,
    Documented,
}

impl From<RetriesArg> for Retries {
    fn from(schedule: RetriesArg) -> Self {
        match schedule {
            RetriesArg::Adaptive => Self::Adaptive,
            RetriesArg::Documented => Self::Documented,
        }
    }
}

pub(crate) fn on_or_off(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("it is on or off".to_owned()),
    }
}

/// `90s`, `40m`, `2h`, `1d` in seconds.
pub(crate) fn seconds(text: &str) -> Result<u32, String> {
    within_days(text, 30)
}

/// As [`seconds`], of a log: from a day to ten years.
fn kept(text: &str) -> Result<u32, String> {
    let seconds = within_days(text, 3650)?;
    if muster_app::jobs::LOG_KEPT.contains(&seconds) {
        Ok(seconds)
    } else {
        Err("it is from 1d to 3650d".to_owned())
    }
}

fn within_days(text: &str, days: u32) -> Result<u32, String> {
    let wrong = || "a time is a number and a unit, such as 90s, 40m, 2h or 1d".to_owned();
    let unit = match text.chars().last() {
        Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        _ => return Err(wrong()),
    };
    let number: u32 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    number
        .checked_mul(unit)
        .filter(|seconds| *seconds <= days * 86_400)
        .ok_or_else(|| format!("it is {days} days at most"))
}

/// A time between two cycles.
fn interval(text: &str) -> Result<u32, String> {
    let seconds = seconds(text)?;
    if muster_app::jobs::INTERVALS.contains(&seconds) {
        Ok(seconds)
    } else {
        Err("it is from 10 seconds to 30 days".to_owned())
    }
}

/// What a restart forgets, by the names of the API that it has elsewhere (5.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum ResetArg {
    /// All objects are evaluated again.
    #[value(name = "Watermark")]
    Watermark,
    /// Stored failures are not tried again.
    #[value(name = "Escrows")]
    Escrows,
    /// The quarantine is lifted.
    #[value(name = "QuarantineState")]
    QuarantineState,
    /// All links, and with them where everybody is at the target.
    #[value(name = "ConnectorDataStore")]
    ConnectorDataStore,
    /// All of these.
    #[value(name = "Full")]
    Full,
    /// What the guard holds back is done.
    #[value(name = "ForceDeletes")]
    ForceDeletes,
}

impl ResetArg {
    /// What these forget together.
    pub(crate) fn scope(these: &[Self]) -> ResetScope {
        if these.is_empty() {
            return ResetScope::USUAL;
        }
        let has = |one| these.contains(&one) || these.contains(&Self::Full);
        ResetScope {
            watermark: has(Self::Watermark),
            escrows: has(Self::Escrows),
            quarantine: has(Self::QuarantineState),
            links: has(Self::ConnectorDataStore),
        }
    }
}
