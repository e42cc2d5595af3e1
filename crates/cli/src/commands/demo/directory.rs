//! The demo's directory: the sample of 1,000, or a generated one of any size.

use std::io::{self, Read, Write};

use anyhow::Result;
use muster_app::import::{self, Format, What};
use muster_app::{Ctx, directory};
use muster_model::directory::Group;
use muster_store::{groups, users};

use crate::output::Out;
use crate::sample::Sample;

/// The sample that is built into the binary.
const SAMPLE: [(What, &[u8]); 3] = [
    (What::Users, include_bytes!("../../../sample/users.csv")),
    (What::Groups, include_bytes!("../../../sample/groups.csv")),
    (
        What::Memberships,
        include_bytes!("../../../sample/memberships.csv"),
    ),
];

/// Chunks of a generated file that wait to be read.
const PIPE: usize = 64;

/// Loads the directory through the importer, as anybody's file would be.
pub(super) async fn load(ctx: &Ctx, users: Option<u32>, out: &Out) -> Result<directory::Counts> {
    for (what, bytes) in SAMPLE {
        let input: Box<dyn Read + Send> = match users {
            None => Box::new(bytes),
            Some(users) => Box::new(generated(Sample::new(users), what)),
        };
        let told = out.clone();
        let progress = move |progress: import::Progress| {
            told.progress(&format!("loading {what}"), progress.lines, 0);
        };
        let (store, clock) = (&ctx.store, &ctx.clock);
        let report = import::import(
            store,
            ctx.tenant,
            clock,
            what,
            Format::Csv,
            input,
            &progress,
        )
        .await?;
        if let Some(bad) = report.bad.first() {
            anyhow::bail!(
                "the sample's {what} have a bad line {}: {}",
                bad.line,
                bad.reason
            );
        }
    }
    out.progress_end().await;
    Ok(directory::counts(ctx).await?)
}

/// A file that is generated while it is read, so that no size costs memory.
fn generated(sample: Sample, what: What) -> impl Read + Send {
    let (chunks, receiver) = std::sync::mpsc::sync_channel(PIPE);
    std::thread::spawn(move || {
        // A reader that went away ends the writing.
        let mut writer = io::BufWriter::with_capacity(64 * 1024, Pipe(chunks));
        let _ = match what {
            What::Users => sample.users_csv(&mut writer),
            What::Groups => sample.groups_csv(&mut writer),
            What::Memberships => sample.memberships_csv(&mut writer),
        };
        let _ = writer.flush();
    });
    Chunks {
        receiver,
        current: io::Cursor::new(Vec::new()),
    }
}

struct Pipe(std::sync::mpsc::SyncSender<Vec<u8>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .send(bytes.to_vec())
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Chunks {
    receiver: std::sync::mpsc::Receiver<Vec<u8>>,
    current: io::Cursor<Vec<u8>>,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let count = self.current.read(buffer)?;
            if count > 0 || buffer.is_empty() {
                return Ok(count);
            }
            match self.receiver.recv() {
                Ok(chunk) => self.current = io::Cursor::new(chunk),
                Err(_) => return Ok(0),
            }
        }
    }
}

/// The sign-in names of a few users in use.
pub(super) async fn first_users(ctx: &Ctx, count: usize) -> Result<Vec<String>> {
    let tenant = ctx.tenant;
    let page: Vec<muster_model::directory::User> = ctx
        .store
        .read::<_, muster_store::StoreError, _>(|tx| {
            Box::pin(async move { users::page(tx, tenant, None, 100).await })
        })
        .await?;
    let in_use = page
        .into_iter()
        .filter(|user| user.account_enabled && user.manager.is_some());
    Ok(in_use
        .take(count)
        .map(|user| user.user_principal_name)
        .collect())
}

/// Every group that can grant access (OM-3), by name.
pub(super) async fn security_groups(ctx: &Ctx) -> Result<Vec<Group>> {
    let (tenant, mut after, mut found) = (ctx.tenant, None, Vec::new());
    loop {
        let page: Vec<Group> = ctx
            .store
            .read::<_, muster_store::StoreError, _>(|tx| {
                Box::pin(async move { groups::page(tx, tenant, after, 500).await })
            })
            .await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        found.extend(page.into_iter().filter(|group| group.security_enabled));
    }
    found.sort_by(|a, b| a.display_name.cmp(&b.display_name));
    Ok(found)
}
