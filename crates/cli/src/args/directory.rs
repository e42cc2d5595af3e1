//! Arguments of `muster user …` and `muster group …`.

use clap::Subcommand;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum User {
    /// Show a user.
    #[command(after_help = "Example:\n  muster user show ana@example.com")]
    Show {
        /// Sign-in name or id.
        user: String,
    },
    /// Set properties of a user; nothing after the = clears one.
    #[command(
        after_help = "Examples:\n  muster user set ana@example.com jobTitle=Engineer department=\n  muster user set ana@example.com accountEnabled=false"
    )]
    Set {
        /// Sign-in name or id.
        user: String,
        /// Properties by the names that imports use; several values are told apart by semicolons.
        #[arg(required = true, value_name = "NAME=VALUE")]
        properties: Vec<String>,
    },
    /// Delete a user, who can be restored for 30 days.
    #[command(after_help = "Example:\n  muster user delete ana@example.com")]
    Delete {
        /// Sign-in name or id.
        user: String,
    },
    /// List deleted users, and when they are gone for good.
    #[command(after_help = "Example:\n  muster user deleted")]
    Deleted {
        /// So many at most.
        #[arg(long, default_value_t = 50, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Restore a deleted user, with memberships and assignments.
    #[command(after_help = "Example:\n  muster user restore ana@example.com")]
    Restore {
        /// Sign-in name or id.
        user: String,
    },
    /// Remove a deleted user for good, with memberships and assignments.
    #[command(after_help = "Example:\n  muster user purge ana@example.com --yes")]
    Purge {
        /// Sign-in name or id.
        user: String,
        /// It is meant.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum Group {
    /// Show a group.
    #[command(after_help = "Example:\n  muster group show Sales")]
    Show {
        /// Display name or id.
        group: String,
    },
    /// Set properties of a group; nothing after the = clears one.
    #[command(after_help = "Example:\n  muster group set Sales displayName=\"Sales and Support\"")]
    Set {
        /// Display name or id.
        group: String,
        /// Properties by the names that imports use.
        #[arg(required = true, value_name = "NAME=VALUE")]
        properties: Vec<String>,
    },
    /// Put a user or a group into a group.
    #[command(
        after_help = "Examples:\n  muster group add Sales ana@example.com\n  muster group add \"All Staff\" --group Sales"
    )]
    Add {
        /// Display name or id of the group.
        group: String,
        #[command(flatten)]
        member: MemberArg,
    },
    /// Take a user or a group out of a group.
    #[command(after_help = "Example:\n  muster group remove Sales ana@example.com")]
    Remove {
        /// Display name or id of the group.
        group: String,
        #[command(flatten)]
        member: MemberArg,
    },
    /// Delete a group for good, with its memberships and assignments.
    #[command(after_help = "Example:\n  muster group delete Sales --yes")]
    Delete {
        /// Display name or id.
        group: String,
        /// It is meant.
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
#[group(required = true, multiple = false)]
pub(crate) struct MemberArg {
    /// A user: sign-in name or id.
    #[arg(value_name = "USER")]
    pub(crate) user: Option<String>,
    /// A group: display name or id.
    #[arg(long = "group", value_name = "GROUP", id = "nested")]
    pub(crate) group: Option<String>,
}
