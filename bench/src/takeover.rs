//! The first cycle to a target that holds everybody already: read by pages, and asked for one by one.

use std::sync::Arc;

use anyhow::Result;
use muster_app::{Ctx, jobs};
use muster_connect::{Connections, Http, OutboundPolicy};
use muster_engine::{Engine, EngineOptions};

use crate::people::People;
use crate::stage::{APP, Stage, median};

/// Pairs of runs; the order alternates.
const ROUNDS: usize = 4;

pub(crate) async fn run(users: usize) -> Result<()> {
    let stage = Stage::open(|router| router).await?;
    let people = People::new(users);
    stage.load(&people).await?;
    let target = stage.integration("Full").await?;
    stage.application(APP, &target, &people).await?;
    let (filled, _) = stage.cycle(APP).await?;
    println!("{} objects are there", filled.created);

    let (mut paged, mut single) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for turn in 0..2 {
            let is_paged = (round + turn) % 2 == 0;
            let name = format!("Again {round} {turn}");
            stage.application(&name, &target, &people).await?;
            let ctx = if is_paged {
                stage.ctx.clone()
            } else {
                one_by_one(&stage.ctx)?
            };
            let begun = std::time::Instant::now();
            let counts = jobs::run(&ctx, &name).await?.counts;
            let millis = begun.elapsed().as_secs_f64() * 1000.0;
            anyhow::ensure!((counts.created, counts.failed) == (0, 0), "{counts:?}");
            let way = if is_paged { "pages" } else { "single" };
            println!("  {way:<6} {millis:>8.0} ms, {} requests", counts.requests);
            if is_paged { &mut paged } else { &mut single }.push((millis, counts.requests));
        }
    }
    let of = |runs: Vec<(f64, u64)>| {
        let (millis, requests): (Vec<f64>, Vec<u64>) = runs.into_iter().unzip();
        (
            median(millis),
            median(requests.into_iter().map(|it| it as f64).collect()),
        )
    };
    let (paged, single) = (of(paged), of(single));
    println!(
        "median: by pages {:.0} ms and {:.0} requests, one by one {:.0} ms and {:.0}; ratios {:.2} and {:.2}",
        paged.0,
        paged.1,
        single.0,
        single.1,
        paged.0 / single.0,
        paged.1 / single.1
    );
    stage.close();
    Ok(())
}

/// With an engine that never looks at pages.
fn one_by_one(ctx: &Ctx) -> Result<Ctx> {
    let http = Http::new(OutboundPolicy {
        allow_insecure: true,
    })?;
    let engine = Engine::new(EngineOptions {
        store: ctx.store.clone(),
        clock: Arc::clone(&ctx.clock),
        connector: Arc::new(Connections::new(ctx.store.clone(), http)),
        owner: "one by one".to_owned(),
        prefetch_after: u64::MAX,
    });
    Ok(Ctx {
        engine: Arc::new(engine),
        ..ctx.clone()
    })
}
