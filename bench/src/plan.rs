//! What a plan of an initial cycle costs, and to apply it, beside the cycle itself.

use std::time::Instant;

use anyhow::Result;
use muster_app::plans;
use tokio::sync::watch;

use crate::people::People;
use crate::stage::{Stage, median};

/// Pairs of runs; the order alternates.
const ROUNDS: usize = 4;

pub(crate) async fn run(users: usize) -> Result<()> {
    let stage = Stage::open(|router| router).await?;
    let people = People::new(users);
    stage.load(&people).await?;
    let (mut cycles, mut planned, mut applied) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for turn in 0..2 {
            let is_planned = (round + turn) % 2 == 0;
            let name = format!("{} {round}", if is_planned { "Planned" } else { "Cycle" });
            let target = stage.integration(&name).await?;
            stage.application(&name, &target, &people).await?;
            if is_planned {
                let begun = Instant::now();
                let progress = watch::channel(None).0;
                let (_, plan) = plans::make(&stage.ctx, &name, &progress).await?;
                planned.push(begun.elapsed().as_secs_f64());
                let begun = Instant::now();
                let cycle = plans::apply(&stage.ctx, &plan).await?;
                anyhow::ensure!(cycle.counts.created == plan.plan.counts.created);
                applied.push(begun.elapsed().as_secs_f64());
            } else {
                let (_, millis) = stage.cycle(&name).await?;
                cycles.push(millis / 1000.0);
            }
        }
    }
    let cycle = median(cycles);
    let (plan, apply) = (median(planned), median(applied));
    println!(
        "median of {ROUNDS}: cycle {cycle:.2} s; plan {plan:.2} s, {:.2} of it; apply {apply:.2} s, {:.2} of it",
        plan / cycle,
        apply / cycle
    );
    stage.close();
    Ok(())
}
