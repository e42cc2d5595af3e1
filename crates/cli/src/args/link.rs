//! Arguments of `muster link …`.

use clap::{Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Subcommand, Serialize, Deserialize)]
pub(crate) enum Link {
    /// List links, in the order of the ids in the directory.
    #[command(
        after_help = "Examples:\n  muster link list \"Symantec Web Security Service\" --kind group\n  muster link list \"Symantec Web Security Service\" --target 2819c223-7f76-453a-919d-413861904646"
    )]
    List {
        /// Name or id of the application.
        app: String,
        /// Of users, or of groups.
        #[arg(long, value_name = "KIND")]
        kind: Option<KindArg>,
        /// In this state.
        #[arg(long, value_name = "STATE")]
        state: Option<LinkStateArg>,
        /// The one of this object of the target (id).
        #[arg(long, value_name = "ID")]
        target: Option<String>,
        /// After this object of the directory (id), for the next page.
        #[arg(long, value_name = "ID")]
        after: Option<String>,
        /// So many at most; up to 500.
        #[arg(long, default_value_t = 50, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..=500))]
        limit: u32,
    },
    /// Show a link, and what the target says of the object now.
    #[command(
        after_help = "Example:\n  muster link show \"Symantec Web Security Service\" ana@example.com"
    )]
    Show {
        /// Name or id of the application.
        app: String,
        /// A user or a group: sign-in name, mail address, display name or id.
        subject: String,
    },
    /// Drop a link while the job is off: nothing is changed on either side, and the next cycle matches anew.
    #[command(
        after_help = "Example:\n  muster job pause \"Symantec Web Security Service\"\n  muster link drop \"Symantec Web Security Service\" ana@example.com\n\nWho is in scope is matched and linked by the next cycle; who is not is left alone, with the account."
    )]
    Drop {
        /// Name or id of the application.
        app: String,
        /// A user or a group: sign-in name, mail address, display name or id.
        subject: String,
    },
    /// Link somebody to an object of the target by its id, while the job is off.
    #[command(
        after_help = "Example:\n  muster job pause \"Symantec Web Security Service\"\n  muster link set \"Symantec Web Security Service\" ana@example.com 2819c223-7f76-453a-919d-413861904646\n\nThe target is asked whether it has the object. The next cycle compares the two: who is not in scope loses access there."
    )]
    Set {
        /// Name or id of the application.
        app: String,
        /// A user or a group: sign-in name, mail address, display name or id.
        subject: String,
        /// The id of the object at the target.
        target: String,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize, Deserialize)]
pub(crate) enum KindArg {
    User,
    Group,
}

#[derive(Clone, Copy, Debug, ValueEnum, Serialize, Deserialize)]
pub(crate) enum LinkStateArg {
    /// In scope.
    Managed,
    /// Disabled because of the account in the directory; deleted with it.
    Disabled,
    /// Disabled, and deleted when its grace is over.
    Leaving,
    /// Left scope by assignment or filter.
    Released,
}
