//! The initial cycle beside a bare HTTP client that sends the same bodies to the same provider.

use std::time::Instant;

use anyhow::Result;

use crate::people::People;
use crate::replay::{Recorder, replay};
use crate::stage::{APP, Stage, median};

/// Pairs of runs; the order alternates.
const ROUNDS: usize = 4;

pub(crate) async fn run(users: usize) -> Result<()> {
    let recorder = Recorder::default();
    let stage = {
        let recorder = recorder.clone();
        Stage::open(move |router| recorder.layer(router)).await?
    };
    let people = People::new(users);
    stage.load(&people).await?;
    // A first cycle, unmeasured, gives the bodies.
    let target = stage.integration("Recorded").await?;
    stage.application(APP, &target, &people).await?;
    recorder.start();
    let (counts, _) = stage.cycle(APP).await?;
    let script = recorder.finish(&target.scim_url);
    let created = counts.created;
    let objects = created as f64;
    println!(
        "{objects} objects, {} requests with a body",
        script.requests()
    );

    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                let name = format!("Cycle {round}");
                let target = stage.integration(&name).await?;
                stage.application(&name, &target, &people).await?;
                let (counts, millis) = stage.cycle(&name).await?;
                anyhow::ensure!(counts.created == created);
                ours.push(objects / millis * 1000.0);
                println!("  cycle {:>8.0} objects/s", objects / millis * 1000.0);
            } else {
                let target = stage.integration(&format!("Bare {round}")).await?;
                let begun = Instant::now();
                replay(&script, &target).await?;
                let rate = objects / begun.elapsed().as_secs_f64();
                bare.push(rate);
                println!("  bare  {rate:>8.0} objects/s");
            }
        }
    }
    let (ours, bare) = (median(ours), median(bare));
    println!(
        "median: cycle {ours:.0}, bare client {bare:.0} objects/s, ratio {:.2}",
        ours / bare
    );
    stage.close();
    Ok(())
}
