//! Our service provider beside the bare server, workload by workload, in turns.

use anyhow::Result;

use crate::load::Measured;
use crate::side::{BULK, Kept, LONG, Side, TURNS, is_wanted};

const WORKLOADS: [&str; 11] = [
    "create user",
    "get by id",
    "filter userName",
    "filter externalId",
    "list of 100",
    "patch user",
    "create group",
    "add member",
    "remove member",
    "delete user",
    "match, create",
];

pub(crate) async fn run(
    kept: Kept,
    users: usize,
    connections: usize,
    only: Option<&str>,
) -> Result<()> {
    let is_wanted = |name: &str| is_wanted(only, name);
    let ours = Side::ours(kept, users).await?;
    let bare = Side::bare(kept, users).await?;
    println!(
        "{users} users, {connections} connections, {TURNS} turns of {} s, {kept:?}",
        LONG.as_secs()
    );
    for workload in WORKLOADS.into_iter().filter(|it| is_wanted(it)) {
        let (mut rates, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..TURNS {
            theirs.push(bare.measure(workload, connections).await?);
            rates.push(ours.measure(workload, connections).await?);
        }
        let (us, them) = (Measured::median(rates), Measured::median(theirs));
        println!(
            "{workload:18} {:>8.0}/s beside {:>8.0}/s, {:.2}; p99 {:>6.1} ms beside {:>6.1}",
            us.rate,
            them.rate,
            us.rate / them.rate,
            us.p99.as_secs_f64() * 1e3,
            them.p99.as_secs_f64() * 1e3,
        );
    }
    if is_wanted(BULKS) {
        bulk(&ours, connections).await?;
    }
    Ok(())
}

const BULKS: &str = "bulk of 1,000";

/// A thousand creates in one request, beside single ones.
async fn bulk(ours: &Side, connections: usize) -> Result<()> {
    let (mut bulks, mut singles) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        singles.push(ours.measure("create user", connections).await?);
        bulks.push(ours.measure(BULKS, connections).await?);
    }
    let rate = Measured::median(bulks).rate * BULK as f64;
    let single = Measured::median(singles).rate;
    println!(
        "{BULKS:18} {rate:>8.0}/s beside {single:>8.0}/s one by one, {:.2}",
        rate / single
    );
    Ok(())
}
