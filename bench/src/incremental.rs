//! An incremental cycle with ten changes, in a small and in a large directory.

use anyhow::Result;
use muster_app::directory;
use muster_model::Value;

use crate::people::People;
use crate::stage::{APP, Stage, median};

const SMALL: usize = 1_000;
const CHANGES: usize = 10;
const ROUNDS: usize = 30;

pub(crate) async fn run(large: usize) -> Result<()> {
    let (small, large) = (prepare(SMALL).await?, prepare(large).await?);
    let (mut of_small, mut of_large) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        of_small.push(changed(&small, round).await?);
        of_large.push(changed(&large, round).await?);
    }
    let ((small, few), (large, many)) = ((small, median(of_small)), (large, median(of_large)));
    println!(
        "incremental cycle with {CHANGES} changes, median of {ROUNDS}: {few:.2} ms with {} users, \
         {many:.2} ms with {} users, ratio {:.2}",
        small.1,
        large.1,
        many / few
    );
    small.0.close();
    large.0.close();
    Ok(())
}

async fn prepare(users: usize) -> Result<(Stage, usize)> {
    let stage = Stage::open(|router| router).await?;
    let people = People::new(users);
    stage.load(&people).await?;
    let target = stage.integration("Receiver").await?;
    stage.application(APP, &target, &people).await?;
    stage.cycle(APP).await?;
    // What the load itself left in the feed.
    stage.cycle(APP).await?;
    Ok((stage, users))
}

/// Ten people get another title; how long the cycle takes that brings it over.
async fn changed((stage, users): &(Stage, usize), round: usize) -> Result<f64> {
    for number in 0..CHANGES {
        let id = People::user_id((round * CHANGES + number) * 31 % users).parse()?;
        let title = Value::from(format!("Engineer {round}.{number}"));
        directory::update_user(&stage.ctx, id, vec![("jobTitle".to_owned(), title)]).await?;
    }
    let (counts, millis) = stage.cycle(APP).await?;
    anyhow::ensure!(counts.updated == CHANGES as u64, "{counts:?}");
    Ok(millis)
}
