//! Managers that are named by sign-in name before their own line has come.

use std::sync::Arc;

use muster_model::directory::User;
use muster_model::{Clock, TenantId};
use muster_store::{Store, StoreError, Tx, users};

use super::batch::{Awaited, Place};
use super::{BadLine, Report};
use crate::AppError;
use crate::directory::property::{Fault, quoted};

/// Bytes that waiting users may take.
const BYTES: usize = 16 * 1024 * 1024;
/// Users of one transaction at most.
const AT_ONCE: usize = 500;

/// Users whose managers are looked for when the whole file is read.
#[derive(Debug, Default)]
pub(super) struct Managers {
    waiting: Vec<Awaited>,
    bytes: usize,
}

impl Managers {
    /// Keeps these users waiting, as far as there is room.
    pub(super) fn wait_for(&mut self, awaited: Vec<Awaited>, report: &mut Report) {
        for one in awaited {
            self.bytes += size_of::<Awaited>() + one.manager.len();
            if self.bytes <= BYTES {
                self.waiting.push(one);
            } else {
                let reason = "is not there yet, and too many managers before were not; name \
                              managers by id, or put them before the people they manage";
                let name = quoted(&one.manager);
                report.fail(BadLine::new(one.line, fault(format!("{name} {reason}"))));
            }
        }
    }

    /// Looks again for the managers, now that everybody is there.
    pub(super) async fn settle(
        self,
        store: &Store,
        tenant: TenantId,
        clock: &Arc<dyn Clock>,
        report: &mut Report,
    ) -> Result<(), AppError> {
        for waiting in self.waiting.chunks(AT_ONCE) {
            let part = Self {
                waiting: waiting.to_vec(),
                bytes: 0,
            };
            let place = Place {
                tenant,
                at: clock.now(),
            };
            let write = store.write(move |tx| Box::pin(part.settled(tx, place)));
            write.await?.tell(report);
        }
        Ok(())
    }

    /// The same in the caller's transaction.
    pub(super) async fn settled(
        self,
        tx: &mut Tx<'_>,
        place: Place,
    ) -> Result<Settled, StoreError> {
        let mut settled = Settled::default();
        for one in self.waiting {
            settle(tx, place, one, &mut settled).await?;
        }
        Ok(settled)
    }
}

/// What came of those who waited.
#[derive(Debug, Default)]
pub(super) struct Settled {
    /// Users that were counted as unchanged, and got a manager only now.
    late: u64,
    bad: Vec<BadLine>,
}

impl Settled {
    pub(super) fn tell(self, report: &mut Report) {
        report.unchanged -= self.late;
        report.updated += self.late;
        for bad in self.bad {
            report.fail(bad);
        }
    }
}

async fn settle(
    tx: &mut Tx<'_>,
    place: Place,
    one: Awaited,
    settled: &mut Settled,
) -> Result<(), StoreError> {
    let Some(manager) = users::find_by_name(tx, place.tenant, &one.manager).await? else {
        let reason = format!(
            "there is no user {}; the rest is imported",
            quoted(&one.manager)
        );
        settled.bad.push(BadLine::new(one.line, fault(reason)));
        return Ok(());
    };
    let Some(user) = users::find(tx, place.tenant, one.user).await? else {
        return Ok(());
    };
    if user.manager != Some(manager.id) {
        let user = User {
            manager: Some(manager.id),
            ..user
        };
        users::put(tx, place.tenant, &user, place.at).await?;
        settled.late += u64::from(one.unchanged);
    }
    Ok(())
}

fn fault(reason: String) -> Fault {
    Fault::new("manager", reason)
}
