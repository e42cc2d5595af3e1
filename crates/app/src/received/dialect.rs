//! The dialect report: which client departs from the RFCs in which way, how often, and since when.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use muster_model::Timestamp;
use muster_scim::dialect::{Deviation, Findings};
use muster_store::dialects::{self, Seen};
use muster_store::resources::Place;
use muster_store::{Store, StoreError};
use parking_lot::Mutex;

use crate::received::{Caller, Provider};

/// How long counts are gathered before they are written down together.
const GATHER: Duration = Duration::from_secs(1);
/// Entries that are gathered at most; what is more is not counted.
const GATHERED: usize = 10_000;
/// Undeclared attributes of one request that are noted at most.
const NAMES: usize = 20;
/// Longest name of a client or an attribute that is kept, in characters.
const LONGEST: usize = 100;

/// What was seen and is not written down yet.
#[derive(Debug, Default)]
pub(super) struct Dialects {
    seen: Mutex<HashMap<(Place, String, Deviation, String), Count>>,
}

#[derive(Clone, Copy, Debug)]
struct Count {
    times: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Provider {
    /// Notes what a request deviates in. The request does not wait for it.
    pub(super) fn observe(&self, caller: &Caller, findings: &Findings) {
        if findings.is_empty() {
            return;
        }
        let client = shortened(&caller.client);
        let now = self.clock.now();
        let mut seen = self.dialects.seen.lock();
        let idle = seen.is_empty();
        for deviation in findings.deviations() {
            let names = match deviation {
                Deviation::UnknownAttribute => {
                    let mut names = findings.unknown_names();
                    names.truncate(NAMES);
                    names
                }
                _ => vec![String::new()],
            };
            for name in names {
                let key = (caller.place(), client.clone(), deviation, shortened(&name));
                if seen.len() >= GATHERED && !seen.contains_key(&key) {
                    continue;
                }
                let count = seen.entry(key).or_insert(Count {
                    times: 0,
                    first: now,
                    last: now,
                });
                count.times += 1;
                count.last = now;
            }
        }
        drop(seen);
        if idle {
            let (store, dialects) = (self.store.clone(), Arc::clone(&self.dialects));
            tokio::spawn(async move {
                tokio::time::sleep(GATHER).await;
                write_down(&store, &dialects).await;
            });
        }
    }

    /// Writes down what waits for it, at the end of the process.
    pub async fn close(&self) {
        write_down(&self.store, &self.dialects).await;
    }
}

async fn write_down(store: &Store, dialects: &Dialects) {
    let seen = std::mem::take(&mut *dialects.seen.lock());
    if seen.is_empty() {
        return;
    }
    let mut by_place: HashMap<Place, Vec<Seen>> = HashMap::new();
    for ((place, client, deviation, name), count) in seen {
        let seen = Seen {
            client,
            deviation: deviation.code().to_owned(),
            name,
            count: count.times,
            first: count.first,
            last: count.last,
        };
        by_place.entry(place).or_default().push(seen);
    }
    let seen = by_place;
    let written: Result<(), StoreError> = store
        .write(move |tx| {
            Box::pin(async move {
                for (place, seen) in seen {
                    dialects::add(tx, place, &seen).await?;
                }
                Ok(())
            })
        })
        .await;
    if let Err(error) = written {
        tracing::warn!(error = %error, "the dialects of senders could not be noted");
    }
}

fn shortened(text: &str) -> String {
    let printable = text.chars().filter(|c| !c.is_control());
    printable.take(LONGEST).collect()
}
