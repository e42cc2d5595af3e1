//! Rows on their way from the reader to the writer.

use std::io;

use futures::future::BoxFuture;
use muster_model::{TenantId, Timestamp, UserId, Value};
use muster_store::{StoreError, Tx};
use tokio::sync::mpsc;

use super::lines::Lines;
use super::{BadLine, Progress, Report, What};
use crate::AppError;
use crate::directory::property::Fault;

/// Rows of one transaction at most.
const ROWS: usize = 500;
/// Bytes of one batch about at most: a batch of very long lines ends sooner.
const BYTES: u64 = 1024 * 1024;

/// What a row of a file says, for one kind of thing.
pub(super) trait Row: Default + Send + Sync + 'static {
    /// The kind of thing.
    const WHAT: What;
    /// Columns that must be there, and hold something in each row.
    const REQUIRED: &'static [&'static str];
    /// What the writer keeps in mind from one batch to the next.
    type Memory: Clone + Default + Send + 'static;

    /// The columns that have fixed names.
    fn columns() -> impl Iterator<Item = &'static str>;
    /// Is there such a column?
    fn knows(column: &str) -> bool;
    /// Do its cells hold several values?
    fn holds_several(column: &str) -> bool;
    /// Says one more thing.
    fn put(&mut self, column: &str, value: Value) -> Result<(), String>;
    /// Was anything said in this required column?
    fn has(&self, column: &str) -> bool;
    /// Writes a batch in the caller's transaction.
    fn write<'a>(
        tx: &'a mut Tx<'static>,
        place: Place,
        rows: &'a [(u64, Self)],
        memory: Self::Memory,
    ) -> BoxFuture<'a, Result<Written<Self::Memory>, StoreError>>;
}

/// Where and when a batch is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    /// Whose data.
    pub(super) tenant: TenantId,
    /// When.
    pub(super) at: Timestamp,
}

/// What came of a batch.
#[derive(Debug, Default)]
pub(super) struct Written<M> {
    /// The report on its rows.
    pub(super) report: Report,
    /// Managers that were not there yet.
    pub(super) awaited: Vec<Awaited>,
    /// What to keep in mind.
    pub(super) memory: M,
}

/// A user whose manager may come later in the file.
#[derive(Clone, Debug)]
pub(super) struct Awaited {
    /// The user's line.
    pub(super) line: u64,
    /// The user.
    pub(super) user: UserId,
    /// The manager's sign-in name.
    pub(super) manager: String,
    /// Did the line change nothing so far?
    pub(super) unchanged: bool,
}

/// Rows that are written in one transaction.
#[derive(Debug)]
pub(super) struct Batch<R> {
    /// Line number and row.
    pub(super) rows: Vec<(u64, R)>,
    /// Lines that are broken by themselves.
    pub(super) report: Report,
    /// How far the file was read.
    pub(super) progress: Progress,
}

impl<R> Default for Batch<R> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            report: Report::default(),
            progress: Progress::default(),
        }
    }
}

/// Collects rows into batches.
pub(super) struct Rows<R> {
    batch: Batch<R>,
    began: u64,
    writer: mpsc::Sender<Batch<R>>,
}

impl<R: Row> Rows<R> {
    pub(super) fn new(writer: mpsc::Sender<Batch<R>>) -> Self {
        Self {
            batch: Batch::default(),
            began: 0,
            writer,
        }
    }

    /// Takes a row, or why there is none.
    pub(super) fn add(&mut self, line: u64, row: Result<R, Fault>, progress: Progress) {
        self.batch.progress = progress;
        match row.and_then(complete) {
            Ok(row) => self.batch.rows.push((line, row)),
            Err(fault) => self.batch.report.fail(BadLine::new(line, fault)),
        }
    }

    /// Hands the batch to the writer when it is full; answers whether the writer is still there.
    pub(super) fn pass_on_when_full(&mut self) -> bool {
        let rows = self.batch.rows.len() + self.batch.report.bad.len();
        let full = rows >= ROWS || self.batch.progress.bytes - self.began >= BYTES;
        !full || self.pass_on()
    }

    /// Hands the batch to the writer; answers whether the writer is still there.
    pub(super) fn pass_on(&mut self) -> bool {
        let batch = std::mem::take(&mut self.batch);
        self.began = batch.progress.bytes;
        self.batch.progress = batch.progress;
        self.writer.blocking_send(batch).is_ok()
    }
}

fn complete<R: Row>(row: R) -> Result<R, Fault> {
    match R::REQUIRED.iter().find(|column| !row.has(column)) {
        Some(missing) => Err(Fault::new(*missing, "is missing")),
        None => Ok(row),
    }
}

/// The input failed, not one of its lines.
pub(super) fn unreadable(lines: &Lines, error: &io::Error) -> AppError {
    AppError::Invalid(format!(
        "the input cannot be read after line {}: {error}; lines before it are imported, \
         import the file once more",
        lines.progress().lines
    ))
}
