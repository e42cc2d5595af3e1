//! Each request has an id that its answer, its log lines and its error body share.

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// The id of a request: the start of the process and a running number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId {
    process: u32,
    number: u64,
}

impl RequestId {
    /// The next id.
    pub fn next() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        static PROCESS: LazyLock<u32> = LazyLock::new(std::process::id);
        Self {
            process: *PROCESS,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
        }
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.process, self.number)
    }
}
