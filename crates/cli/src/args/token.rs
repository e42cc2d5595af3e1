//! `muster token …`

use clap::Subcommand;
use serde::{Deserialize, Serialize};

/// Commands about tokens of the control API.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum Token {
    /// Make a token; it is shown this once.
    #[command(
        after_help = "Examples:\n  muster token create deploy --json\n  muster token create reporting --scope AuditLog.Read.All --scope Synchronization.Read.All --days 90\n\nWithout --scope the token may do everything. The names are those of Microsoft Graph's permissions."
    )]
    Create {
        /// Name of the token: the audit log shows it as who acted.
        name: String,
        /// A permission, such as User.ReadWrite.All; may be given several times.
        #[arg(long = "scope", value_name = "PERMISSION")]
        scopes: Vec<String>,
        /// Days after which it expires; never without it.
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3650))]
        days: Option<u32>,
    },
    /// List tokens: what they may do, when they were used last.
    #[command(after_help = "Example:\n  muster token list")]
    List,
    /// Revoke a token, at once.
    #[command(after_help = "Example:\n  muster token revoke deploy")]
    Revoke {
        /// Name of the token.
        name: String,
    },
}
