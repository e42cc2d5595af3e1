//! Arguments of `muster administrator`.

use clap::Subcommand;
use serde::{Deserialize, Serialize};

/// Commands about who may sign in to the pages.
#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum Administrator {
    /// List who may sign in to the pages: their roles, when they did last.
    #[command(after_help = "Example:\n  muster administrator list")]
    List,
    /// Give somebody who has lost their password a new one; it is shown this once, and their sessions end.
    #[command(after_help = "Example:\n  muster administrator password \"Ada Quill\"")]
    Password {
        /// Their name.
        name: String,
    },
}
