//! Arguments of the commands that look ahead (plan, apply, explain, provision), and of notices.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
pub(crate) struct Plan {
    /// Name or id of the application.
    pub(crate) app: String,
    /// Write the whole plan to this file: a line of JSON for the plan, then one for each operation.
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// Show so many operations at most.
    #[arg(long, default_value_t = 20, value_name = "NUMBER")]
    pub(crate) limit: u32,
    /// Show what is skipped, too, and why.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
pub(crate) struct Explain {
    /// Name or id of the application.
    pub(crate) app: String,
    /// A user or a group: sign-in name, mail address, display name or id; or the id of an event.
    pub(crate) subject: String,
}

#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
pub(crate) struct Provision {
    /// Name or id of the application.
    pub(crate) app: String,
    /// A user or a group: sign-in name, mail address, display name or id.
    pub(crate) subject: String,
    /// Of a group: a user who is provisioned, too, with the membership; up to five times.
    #[arg(long = "member", value_name = "USER")]
    pub(crate) members: Vec<String>,
    /// Tell what would be done, and do nothing.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Clone, Debug, clap::Args, Serialize, Deserialize)]
pub(crate) struct Apply {
    /// The id of the plan, at least six digits of it, or the file it was written to.
    pub(crate) plan: String,
}

#[derive(Clone, Debug, clap::Subcommand, Serialize, Deserialize)]
pub(crate) enum Notice {
    /// List what is not over.
    #[command(after_help = "Example:\n  muster notice list")]
    List,
    /// Get no more reminders of what is known of an application.
    #[command(
        after_help = "Example:\n  muster notice acknowledge \"Symantec Web Security Service\""
    )]
    Acknowledge {
        /// Name or id of the application.
        app: String,
    },
    /// Send a mail that says no more than that mail works.
    #[command(after_help = "Example:\n  muster notice test identity@example.com")]
    Test {
        /// To whom.
        email: String,
    },
}
