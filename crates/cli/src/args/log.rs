//! Arguments of `muster log`.

use clap::{Subcommand, ValueEnum};
use muster_app::log_csv::Table;
use serde::{Deserialize, Serialize};

use super::seconds;

#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum Log {
    /// List events, newest first.
    #[command(
        after_help = "Examples:\n  muster log list \"Symantec Web Security Service\" --status failure\n  muster log list --identity \"byron\" --since 7d"
    )]
    List {
        /// Name or id of the application; without it, all of them.
        app: Option<String>,
        #[command(flatten)]
        filter: LogFilter,
        /// Events at most.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
    },
    /// Show one event with its steps.
    #[command(
        after_help = "Example:\n  muster log show \"Symantec Web Security Service\" 0190f0d5-7c1e-7a63-9f6b-0f9c2d3e4a5b"
    )]
    Show {
        /// Name or id of the application.
        app: String,
        /// Id of the event.
        event: String,
    },
    /// Print all events, newest first, as JSON Lines or CSV.
    #[command(
        after_help = "Examples:\n  muster log export \"Symantec Web Security Service\" > log.jsonl\n  muster log export \"Symantec Web Security Service\" --since 7d --csv events > ProvisioningLogs.csv\n\nThe three tables of CSV are joined on changeId. A text that a spreadsheet would take for a formula has an apostrophe before it."
    )]
    Export {
        /// Name or id of the application; without it, all of them.
        app: Option<String>,
        #[command(flatten)]
        filter: LogFilter,
        /// One of the three tables of CSV, instead of JSON Lines.
        #[arg(long, value_name = "TABLE")]
        csv: Option<LogTable>,
    },
    /// Show what was sent to the target and what it answered, for one event or for many.
    #[command(
        after_help = "Examples:\n  muster log exchanges \"Symantec Web Security Service\" 0190f0d5-7c1e-7a63-9f6b-0f9c2d3e4a5b\n  muster log exchanges \"Symantec Web Security Service\" --status failure --curl\n  muster log exchanges \"Symantec Web Security Service\" --since 2h --limit 500 --har > exchanges.har\n\nThe commands for curl take what gives access from $TOKEN. What is kept, and how long: muster job exchanges"
    )]
    Exchanges {
        /// Name or id of the application.
        app: String,
        /// Id of the event; without it, those that the filter names.
        event: Option<String>,
        #[command(flatten)]
        filter: LogFilter,
        /// Events at most, from the newest back.
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
        /// Print one HAR 1.2 document.
        #[arg(long)]
        har: bool,
        /// Print commands for curl.
        #[arg(long, conflicts_with = "har")]
        curl: bool,
    },
    /// Count events by action and status, hour by hour or day by day.
    #[command(
        after_help = "Example:\n  muster log counts \"Symantec Web Security Service\" --since 30d --by day"
    )]
    Counts {
        /// Name or id of the application.
        app: String,
        /// How far back: 90s, 40m, 2h or 1d.
        #[arg(long, value_name = "TIME", default_value = "1d", value_parser = seconds)]
        since: u32,
        /// Hour or day, in UTC.
        #[arg(long, value_name = "STRETCH", default_value = "hour")]
        by: Stretch,
    },
}

#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
pub(crate) struct LogFilter {
    /// success, failure, skipped or warning.
    #[arg(long)]
    pub(crate) status: Option<String>,
    /// create, update, disable, delete, stageddelete or other.
    #[arg(long)]
    pub(crate) action: Option<String>,
    /// An error or reason code, such as DuplicateTargetEntries.
    #[arg(long)]
    pub(crate) code: Option<String>,
    /// Only events of one cycle (id).
    #[arg(long, value_name = "CYCLE")]
    pub(crate) cycle: Option<String>,
    /// Only events of the last 90s, 40m, 2h or 1d, or since an instant such as 2024-05-01T00:00:00Z.
    #[arg(long, value_name = "TIME")]
    pub(crate) since: Option<String>,
    /// Only events before an instant, given as with --since.
    #[arg(long, value_name = "TIME")]
    pub(crate) until: Option<String>,
    /// Only events about whoever is called so, or has this id at the target: a part of the name suffices.
    #[arg(long, value_name = "TEXT")]
    pub(crate) identity: Option<String>,
    /// Only events about this user (sign-in name or id; by id also one who is gone).
    #[arg(long)]
    pub(crate) user: Option<String>,
    /// Only events about this group (name or id).
    #[arg(long, conflicts_with = "user")]
    pub(crate) group: Option<String>,
}

/// A table of the log in CSV (10.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum LogTable {
    /// A line for each event.
    Events,
    /// A line for each step.
    Steps,
    /// A line for each property that was changed.
    Properties,
}

impl From<LogTable> for Table {
    fn from(table: LogTable) -> Self {
        match table {
            LogTable::Events => Self::Events,
            LogTable::Steps => Self::Steps,
            LogTable::Properties => Self::Properties,
        }
    }
}

/// A stretch of time that is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Stretch {
    /// From one full hour to the next.
    Hour,
    /// From midnight to midnight, in UTC.
    Day,
}
