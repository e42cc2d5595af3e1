//! What the end-to-end tests need: processes that end with their test, the binary, its peers, and
//! what must have arrived at them.

mod conversation;
mod mail;
mod muster;
mod node;
mod peer;
mod picture;
mod process;
mod python;
mod sample;

use std::path::{Path, PathBuf};

pub use conversation::{Conversation, conversations};
pub use mail::{MailServer, Strict};
pub use muster::{Muster, Said};
pub use node::{browser, graph_walk};
pub use peer::{Peer, TOKEN, client};
pub use picture::{Account, Picture};
pub use process::Server;
pub use python::Python;
pub use sample::{Row, Sample};

/// A file of the project.
pub(crate) fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(path)
}
