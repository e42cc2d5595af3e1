//! Our service provider beside the bare server, workload by workload, in turns.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Result;
use serde_json::{Value, json};

use crate::load::{Measured, Round, load};
use crate::side::{LONG, READ, Side, TURNS, sent, user};

const WORKLOADS: [&str; 9] = [
    "create user",
    "get by id",
    "filter userName",
    "filter externalId",
    "list of 100",
    "patch user",
    "add member",
    "delete user",
    "match, create",
];

pub(crate) async fn run(users: usize, connections: usize, only: Option<&str>) -> Result<()> {
    let ours = Side::ours(users).await?;
    let bare = Side::bare(users).await?;
    println!(
        "{users} users, {connections} connections, {TURNS} turns of {} s",
        LONG.as_secs()
    );
    for workload in WORKLOADS
        .into_iter()
        .filter(|it| only.is_none_or(|only| only == *it))
    {
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
    if only.is_some() {
        return Ok(());
    }
    bulk(&ours, connections).await
}

/// A thousand creates in one request, beside single ones.
async fn bulk(ours: &Side, connections: usize) -> Result<()> {
    let single = ours.measure("create user", connections).await?;
    let first = ours.next.fetch_add(100_000, Ordering::Relaxed);
    let round: Round = Arc::new(move |n| {
        let operations: Vec<Value> = (0..1000)
            .map(|i| {
                let body: Value =
                    serde_json::from_str(&user(first + n * 1000 + i)).unwrap_or_default();
                json!({"method": "POST", "path": "/Users", "bulkId": i.to_string(), "data": body})
            })
            .collect();
        let body = json!({
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
            "Operations": operations,
        });
        vec![sent("POST", "/Bulk", Some(body.to_string()), READ)]
    });
    let bulk = load(&ours.server, 2, LONG * 2, 90, round, Arc::new(|_| {})).await?;
    let rate = bulk.rate * 1000.0;
    println!(
        "bulk of 1,000      {rate:>8.0}/s beside {:>8.0}/s one by one, {:.2}",
        single.rate,
        rate / single.rate
    );
    Ok(())
}
