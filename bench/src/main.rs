//! Measurements, each beside its reference in the same run. See README.md.

mod bare;
mod incremental;
mod initial;
mod latency;
mod load;
mod memory;
mod peers;
mod people;
mod provider;
mod replay;
mod rules;
mod side;
mod stage;

use anyhow::{Context, Result, bail};

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
        "provider" => {
            let connections = args.next().map(|text| text.parse()).transpose()?;
            let users = number.unwrap_or(20_000);
            provider::run(users, connections.unwrap_or(64), args.next().as_deref()).await
        }
        "peers" => peers::run(number.unwrap_or(64)).await,
        "bare" => {
            let file = std::env::var_os("BARE_FILE").context("BARE_FILE names a new file")?;
            bare::serve(file.as_ref()).await
        }
        _ => bail!(
            "usage: muster-bench latency [SECONDS] | initial [USERS] | incremental [USERS] | \
             memory [USERS] | rules [ROUNDS] | provider [USERS [CONNECTIONS [WORKLOAD]]] | \
             peers [CONNECTIONS]"
        ),
    }
}
