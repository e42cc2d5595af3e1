//! Exit codes.

use std::process::ExitCode;

use serde::{Deserialize, Serialize};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Exit {
    /// 0
    Done,
    /// 1
    Failed,
    /// 2
    BadUsage,
    /// 3: some objects or lines failed, the others are done.
    PartlyFailed,
    /// 4: a rule of safety said no.
    Refused,
}

impl Exit {
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::BadUsage => 2,
            Self::PartlyFailed => 3,
            Self::Refused => 4,
        }
    }

    pub(crate) fn from_clap(error: &clap::Error) -> Self {
        if error.exit_code() == 0 {
            Self::Done
        } else {
            Self::BadUsage
        }
    }
}

/// The command, the environment or the configuration says something that cannot be meant.
#[derive(Debug)]
pub(crate) struct BadUsage(pub(crate) anyhow::Error);

impl std::fmt::Display for BadUsage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for BadUsage {}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
