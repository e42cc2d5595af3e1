//! What an import tells: how far it is, what came of it, which lines were broken.

use std::fmt;

use crate::directory::property::Fault;
use crate::directory::upsert::Outcome;

/// Broken lines that are kept; all are counted.
const KEPT: usize = 1000;

/// How far an import has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Lines read.
    pub lines: u64,
    /// Bytes read.
    pub bytes: u64,
}

/// A line that was not imported as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadLine {
    /// The line on which the record begins; the first line of the file is 1.
    pub line: u64,
    /// The column it is about; empty when it is about the whole line.
    pub column: String,
    /// What is wrong.
    pub reason: String,
}

impl BadLine {
    pub(super) fn new(line: u64, fault: Fault) -> Self {
        Self {
            line,
            column: fault.column,
            reason: fault.reason,
        }
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.column.is_empty() {
            write!(f, "line {}: {}", self.line, self.reason)
        } else {
            write!(f, "line {}, {}: {}", self.line, self.column, self.reason)
        }
    }
}

/// What came of an import.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Objects that are new.
    pub created: u64,
    /// Objects that changed.
    pub updated: u64,
    /// Objects that were like that already.
    pub unchanged: u64,
    /// Broken lines. They changed nothing, except that a user whose manager cannot be found is
    /// imported without that manager, and counted twice.
    pub failed: u64,
    /// The first 1,000 broken lines.
    pub bad: Vec<BadLine>,
}

impl Report {
    pub(super) fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Created => self.created += 1,
            Outcome::Updated => self.updated += 1,
            Outcome::Unchanged => self.unchanged += 1,
        }
    }

    pub(super) fn fail(&mut self, bad: BadLine) {
        self.failed += 1;
        if self.bad.len() < KEPT {
            self.bad.push(bad);
        }
    }

    /// Takes in the report on another part of the same file.
    pub(super) fn absorb(&mut self, part: Self) {
        self.created += part.created;
        self.updated += part.updated;
        self.unchanged += part.unchanged;
        self.failed += part.failed;
        let room = KEPT.saturating_sub(self.bad.len());
        self.bad.extend(part.bad.into_iter().take(room));
    }
}
