//! From the commit of a change in the directory to its commit at the target, at 50 changes a second.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::Result;
use muster_app::{directory, jobs};
use muster_model::Value;
use muster_store::{StoreError, Val};

use crate::people::People;
use crate::stage::{APP, Stage};

const RATE: u64 = 50;
const USERS: usize = 10_000;

pub(crate) async fn run(seconds: usize) -> Result<()> {
    let stage = Stage::open(|router| router).await?;
    let people = People::new(USERS);
    stage.load(&people).await?;
    let target = stage.integration("Receiver").await?;
    stage.application(APP, &target, &people).await?;
    stage.cycle(APP).await?;
    jobs::start(&stage.ctx, APP).await?;
    stage.work();
    tokio::time::sleep(Duration::from_millis(500)).await;

    let total = RATE as usize * seconds;
    let title = |doc: &serde_json::Value| {
        let title = doc["title"]
            .as_str()
            .filter(|it| it.starts_with("Engineer "))?;
        Some(title.to_owned())
    };
    let limit = Duration::from_secs(seconds as u64 + 30);
    let watch = watch(&stage, total, limit, title);
    let change = async {
        let mut committed = HashMap::new();
        let mut tick = tokio::time::interval(Duration::from_micros(1_000_000 / RATE));
        for number in 0..total {
            tick.tick().await;
            let user = number * 7919 % USERS;
            let id = People::user_id(user).parse()?;
            let title = format!("Engineer {number}");
            let set = vec![("jobTitle".to_owned(), Value::from(title.as_str()))];
            directory::update_user(&stage.ctx, id, set).await?;
            committed.insert(title, Instant::now());
        }
        Ok::<_, anyhow::Error>(committed)
    };
    let (committed, seen) = tokio::join!(change, watch);
    let (committed, seen) = (committed?, seen?);
    println!(
        "{total} changes at {RATE} a second: {}",
        told(&committed, &seen)
    );
    stage.close();
    Ok(())
}

/// How many arrived, and how long they took.
pub(crate) fn told(
    committed: &HashMap<String, Instant>,
    seen: &HashMap<String, Instant>,
) -> String {
    let mut millis: Vec<f64> = committed
        .iter()
        .filter_map(|(what, at)| {
            seen.get(what)
                .map(|seen| seen.saturating_duration_since(*at).as_secs_f64() * 1000.0)
        })
        .collect();
    millis.sort_by(f64::total_cmp);
    let Some(last) = millis.len().checked_sub(1) else {
        return "none arrived".to_owned();
    };
    let at = |share: f64| millis[(last as f64 * share) as usize];
    format!(
        "{} arrived, median {:.1} ms, p99 {:.1} ms, longest {:.1} ms",
        millis.len(),
        at(0.5),
        at(0.99),
        at(1.0)
    )
}

/// Looks every millisecond at what the target has committed; notes when it first saw what `what` finds in a
/// user, until it has seen so many.
pub(crate) async fn watch(
    stage: &Stage,
    total: usize,
    limit: Duration,
    what: impl Fn(&serde_json::Value) -> Option<String>,
) -> Result<HashMap<String, Instant>> {
    let mut seen = HashMap::new();
    let (mut last, begun) = (0_i64, Instant::now());
    while seen.len() < total && begun.elapsed() < limit {
        let after = last;
        let rows: Vec<(i64, String)> = stage
            .ctx
            .store
            .read::<_, StoreError, _>(|tx| {
                Box::pin(async move {
                    let sql = "SELECT c.number, r.doc FROM received_changes c \
                               JOIN resources r ON r.tenant = c.tenant \
                               AND r.integration = c.integration AND r.kind = 1 AND r.id = c.resource \
                               WHERE c.tenant = 1 AND c.integration = 1 AND c.tx = 0 \
                               AND c.number > $1 ORDER BY c.number LIMIT 1000";
                    tx.all(sql, &[Val::Int(after)]).await
                })
            })
            .await?;
        let now = Instant::now();
        for (number, doc) in rows {
            last = number;
            let doc: serde_json::Value = serde_json::from_str(&doc)?;
            if let Some(what) = what(&doc) {
                seen.entry(what).or_insert(now);
            }
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(seen)
}
