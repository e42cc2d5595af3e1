//! Import of users, groups and memberships from CSV and JSON Lines.
//!
//! A file of any size is read in constant memory: one thread takes it apart and hands batches over
//! a short queue, each batch is written in a transaction. Importing a file twice changes nothing
//! the second time. A broken line is reported and costs nothing but itself; a header that is wrong
//! is refused before anything is written.

mod batch;
pub(crate) mod csv;
mod groups;
mod guess;
mod jsonl;
mod lines;
mod managers;
mod memberships;
mod record;
mod report;
mod users;

use std::io::Read;
use std::sync::Arc;

use muster_model::audit::activity;
use muster_model::{Clock, TenantId};
use muster_store::{Store, StoreError, audit as audit_log};
use tokio::sync::mpsc;

use self::batch::{Batch, Place, Row, Rows, Written};
use self::groups::GroupRow;
pub use self::guess::{Format, What};
use self::lines::Lines;
use self::managers::Managers;
use self::memberships::MembershipRow;
pub use self::report::{BadLine, Progress, Report};
use self::users::UserRow;
use crate::{AppError, Ctx, audit};

/// Batches that wait for the writer at most.
const QUEUE: usize = 2;
/// How often a batch is tried when somebody else takes one of its names at the same moment.
const TRIES: u32 = 3;

/// Imports a file.
///
/// Columns and members are Graph properties. Users are told apart by `id` and
/// `userPrincipalName`, groups by `id`, or by `displayName` where that is unique, memberships by
/// `groupId` and `memberId`, where names may stand for ids. Only what the file names is changed; an
/// empty cell clears, except that a user or group always stays enabled or not as it was.
pub async fn import(
    store: &Store,
    tenant: TenantId,
    clock: &Arc<dyn Clock>,
    what: What,
    format: Format,
    input: Box<dyn Read + Send>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Report, AppError> {
    let to = Writer {
        store,
        tenant,
        clock,
        progress,
    };
    match what {
        What::Users => to.import::<UserRow>(format, input).await,
        What::Groups => to.import::<GroupRow>(format, input).await,
        What::Memberships => to.import::<MembershipRow>(format, input).await,
    }
}

/// Imports a file for whoever asks, as [`import`] does, and notes in the audit log who did, and what came of it.
pub async fn import_for(
    ctx: &Ctx,
    name: &str,
    (what, format): (What, Format),
    input: Box<dyn Read + Send>,
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Report, AppError> {
    let (store, tenant) = (&ctx.store, ctx.tenant);
    let done = import(store, tenant, &ctx.clock, what, format, input, progress).await;
    let came = match &done {
        Ok(it) => format!(
            "{} created, {} updated, {} unchanged, {} failed",
            it.created, it.updated, it.unchanged, it.failed
        ),
        Err(error) => error.to_string(),
    };
    let name: String = name.chars().take(200).collect();
    let entry = audit::general(ctx, activity::IMPORT, format!("{what} from {name}: {came}"));
    let write = store.write::<_, AppError, _>(move |tx| {
        Box::pin(async move { Ok(audit_log::append(tx, tenant, &entry).await?) })
    });
    write.await?;
    done
}

/// What importing the first `most` lines, or a few more, of these bytes would do: they are written as [`import`] writes
/// them, in one transaction that is taken back. Others wait for the database meanwhile, and so it is not for many. Tells
/// also whether these are all.
pub async fn preview(
    store: &Store,
    tenant: TenantId,
    clock: &Arc<dyn Clock>,
    (what, format): (What, Format),
    input: Vec<u8>,
    most: usize,
) -> Result<(Report, bool), AppError> {
    let place = Place {
        tenant,
        at: clock.now(),
    };
    match what {
        What::Users => rehearsed::<UserRow>(store, place, format, (input, most)).await,
        What::Groups => rehearsed::<GroupRow>(store, place, format, (input, most)).await,
        What::Memberships => rehearsed::<MembershipRow>(store, place, format, (input, most)).await,
    }
}

/// How a transaction ends that is taken back.
enum Rehearsed {
    Done(Report),
    Failed(StoreError),
}

impl From<StoreError> for Rehearsed {
    fn from(error: StoreError) -> Self {
        Self::Failed(error)
    }
}

async fn rehearsed<R: Row>(
    store: &Store,
    place: Place,
    format: Format,
    (input, most): (Vec<u8>, usize),
) -> Result<(Report, bool), AppError> {
    let (sender, mut queue) = mpsc::channel(QUEUE);
    let input: Box<dyn Read + Send> = Box::new(std::io::Cursor::new(input));
    let reader = tokio::task::spawn_blocking(move || read::<R>(format, input, sender));
    let (mut batches, mut lines, mut is_whole) = (Vec::new(), 0, true);
    while let Some(batch) = queue.recv().await {
        if lines >= most {
            is_whole = false;
            break;
        }
        lines += batch.rows.len() + batch.report.bad.len();
        batches.push(batch);
    }
    // Without a receiver the reader ends at its next batch.
    drop(queue);
    let stopped = |_| AppError::Refused("the preview was stopped".to_owned());
    reader.await.map_err(stopped)??;
    let batches = Arc::new(batches);
    let write = store.write::<(), Rehearsed, _>(move |tx| {
        let batches = Arc::clone(&batches);
        Box::pin(async move {
            let mut report = Report::default();
            let mut memory = R::Memory::default();
            let mut managers = Managers::default();
            for batch in batches.iter() {
                let written = R::write(tx, place, &batch.rows, memory).await?;
                memory = written.memory;
                let mut part = batch.report.clone();
                part.absorb(written.report);
                managers.wait_for(written.awaited, &mut part);
                report.absorb(part);
            }
            managers.settled(tx, place).await?.tell(&mut report);
            report.bad.sort_by_key(|bad| bad.line);
            Err(Rehearsed::Done(report))
        })
    });
    match write.await {
        Err(Rehearsed::Done(report)) => Ok((report, is_whole)),
        Err(Rehearsed::Failed(error)) => Err(error.into()),
        Ok(()) => Ok((Report::default(), is_whole)),
    }
}

#[derive(Clone, Copy)]
struct Writer<'a> {
    store: &'a Store,
    tenant: TenantId,
    clock: &'a Arc<dyn Clock>,
    progress: &'a (dyn Fn(Progress) + Sync),
}

impl Writer<'_> {
    async fn import<R: Row>(
        self,
        format: Format,
        input: Box<dyn Read + Send>,
    ) -> Result<Report, AppError> {
        let (sender, mut batches) = mpsc::channel(QUEUE);
        let reader = tokio::task::spawn_blocking(move || read::<R>(format, input, sender));
        let written = self.write_all(&mut batches).await;
        // Without a receiver the reader ends at its next batch.
        drop(batches);
        match reader.await {
            Ok(read) => read?,
            Err(stopped) => match stopped.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => return Err(AppError::Refused("the import was stopped".to_owned())),
            },
        }
        written
    }

    async fn write_all<R: Row>(
        self,
        batches: &mut mpsc::Receiver<Batch<R>>,
    ) -> Result<Report, AppError> {
        let mut report = Report::default();
        let mut memory = R::Memory::default();
        let mut managers = Managers::default();
        while let Some(batch) = batches.recv().await {
            let written = self.write::<R>(Arc::new(batch.rows), memory).await?;
            memory = written.memory;
            let mut part = batch.report;
            part.absorb(written.report);
            managers.wait_for(written.awaited, &mut part);
            part.bad.sort_by_key(|bad| bad.line);
            report.absorb(part);
            (self.progress)(batch.progress);
        }
        managers
            .settle(self.store, self.tenant, self.clock, &mut report)
            .await?;
        report.bad.sort_by_key(|bad| bad.line);
        Ok(report)
    }

    async fn write<R: Row>(
        self,
        rows: Arc<Vec<(u64, R)>>,
        memory: R::Memory,
    ) -> Result<Written<R::Memory>, AppError> {
        let mut tries = 1;
        loop {
            let place = Place {
                tenant: self.tenant,
                at: self.clock.now(),
            };
            let (rows, memory) = (Arc::clone(&rows), memory.clone());
            let write = self
                .store
                .write(move |tx| Box::pin(async move { R::write(tx, place, &rows, memory).await }));
            match write.await {
                Err(StoreError::Duplicate(_)) if tries < TRIES => tries += 1,
                result => return Ok(result?),
            }
        }
    }
}

fn read<R: Row>(
    format: Format,
    input: Box<dyn Read + Send>,
    writer: mpsc::Sender<Batch<R>>,
) -> Result<(), AppError> {
    let mut lines = Lines::new(input);
    let mut rows = Rows::new(writer);
    let result = match format {
        Format::Csv => csv::read(&mut lines, &mut rows),
        Format::JsonLines => jsonl::read(&mut lines, &mut rows),
    };
    // What was read before the input failed is good.
    rows.pass_on();
    result
}
