//! From the commit of a disable in the directory to its commit at the target, while an initial cycle runs.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use muster_app::{directory, jobs, log};
use muster_model::UserId;
use muster_model::directory::Kind;
use muster_store::StoreError;
use muster_store::events::EventQuery;
use muster_store::links::{self, LinkQuery};

use crate::latency::{told, watch};
use crate::people::People;
use crate::stage::{APP, Stage};

/// Disables, one after the other, in equal distances.
const MANY: usize = 200;
const EVERY: Duration = Duration::from_millis(50);

pub(crate) async fn run(users: usize) -> Result<()> {
    let stage = Stage::open(|router| router).await?;
    let people = People::new(users);
    stage.load(&people).await?;
    let target = stage.integration("Receiver").await?;
    stage.application(APP, &target, &people).await?;
    let cycle = async {
        let done = stage.cycle(APP).await;
        (done, Instant::now())
    };
    let inactive = |doc: &serde_json::Value| {
        let is_inactive = doc["active"] == serde_json::json!(false);
        let name = is_inactive.then(|| doc["userName"].as_str())??;
        Some(name.to_owned())
    };
    let watch = watch(&stage, MANY, Duration::from_mins(5), inactive);
    let (cycle, committed, seen) = tokio::join!(cycle, disable(&stage), watch);
    let ((cycle, ended), committed, seen) = (cycle, committed?, seen?);
    let (counts, millis) = cycle?;
    let in_time = committed.values().filter(|at| **at < ended).count();
    println!(
        "{} objects in {:.1} s; {in_time} of {MANY} disables were committed meanwhile: {}",
        counts.created,
        millis / 1000.0,
        told(&committed, &seen)
    );
    let query = EventQuery {
        action: Some("disable".to_owned()),
        ..Default::default()
    };
    let log = log::list(&stage.ctx, Some(APP), query, 1000).await?;
    println!("the log tells of {} disables", log.len());
    stage.close();
    Ok(())
}

/// Disables somebody who is at the target by now, again and again; answers when that was committed.
async fn disable(stage: &Stage) -> Result<HashMap<String, Instant>> {
    let (job, tenant) = (
        jobs::status(&stage.ctx, APP).await?.job.id,
        stage.ctx.tenant,
    );
    let mut committed = HashMap::new();
    let mut tick = tokio::time::interval(EVERY);
    let mut after = None;
    while committed.len() < MANY {
        tick.tick().await;
        let linked = stage.ctx.store.read::<_, StoreError, _>(|tx| {
            Box::pin(async move {
                links::page(tx, tenant, job, after, &LinkQuery::of(Some(Kind::User)), 20).await
            })
        });
        let linked = linked.await?;
        let Some(last) = linked.last().filter(|_| linked.len() == 20) else {
            continue;
        };
        after = Some(last.anchor);
        let id: UserId = last.anchor.to_string().parse()?;
        let set = vec![("accountEnabled".to_owned(), false.into())];
        directory::update_user(&stage.ctx, id, set).await?;
        let number = last.anchor.to_string();
        let number = number.rsplit_once('-').context("an id")?.1;
        let name = People::name(usize::from_str_radix(number, 16)?);
        committed.insert(name, Instant::now());
    }
    Ok(committed)
}
