//! Measurements, each beside its reference in the same run. See README.md.

mod incremental;
mod initial;
mod latency;
mod memory;
mod people;
mod replay;
mod rules;
mod stage;

use anyhow::{Result, bail};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let what = args.next().unwrap_or_default();
    let number = args.next().map(|text| text.parse::<usize>()).transpose()?;
    match what.as_str() {
        "latency" => latency::run(number.unwrap_or(20)).await,
        "initial" => initial::run(number.unwrap_or(10_000)).await,
        "incremental" => incremental::run(number.unwrap_or(100_000)).await,
        "memory" => memory::run(number.unwrap_or(100_000)),
        "rules" => rules::run(number.unwrap_or(3)),
        _ => bail!(
            "usage: muster-bench latency [SECONDS] | initial [USERS] | incremental [USERS] | \
             memory [USERS] | rules [ROUNDS]"
        ),
    }
}
