//! Measurements, each beside its reference in the same run. See README.md.

mod bare;
mod directory;
mod disable;
mod flat;
mod incremental;
mod initial;
mod large;
mod latency;
mod load;
mod memory;
mod peers;
mod people;
mod plan;
mod provider;
mod replay;
mod rules;
mod side;
mod stage;
mod takeover;
mod throttled;

use anyhow::{Context, Result, bail};
use side::{Kept, PLACE};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::disallowed_methods, reason = "said by who measures")]
#[tokio::main]
async fn main() -> Result<()> {
    let (flags, args): (Vec<_>, Vec<_>) = std::env::args()
        .skip(1)
        .partition(|arg| arg == "--postgres");
    let kept = match flags.as_slice() {
        [] => Kept::Sqlite,
        _ => Kept::Postgres,
    };
    let mut args = args.into_iter();
    let what = args.next().unwrap_or_default();
    let number = args.next().map(|text| text.parse::<usize>()).transpose()?;
    match what.as_str() {
        "latency" => latency::run(number.unwrap_or(20)).await,
        "initial" => initial::run(number.unwrap_or(10_000)).await,
        "takeover" => takeover::run(number.unwrap_or(10_000)).await,
        "disable" => disable::run(number.unwrap_or(100_000)).await,
        "flat" => flat::run(number.unwrap_or(1_000_000)),
        "flat-one" => flat::one(number.unwrap_or(10_000)).await,
        "throttled" => throttled::run(number.unwrap_or(20_000)).await,
        "plan" => plan::run(number.unwrap_or(10_000)).await,
        "incremental" => incremental::run(number.unwrap_or(100_000)).await,
        "memory" => memory::run(number.unwrap_or(100_000)),
        "rules" => rules::run(number.unwrap_or(3)),
        "provider" => {
            let connections = args.next().map(|text| text.parse()).transpose()?;
            let users = number.unwrap_or(20_000);
            let only = args.next();
            provider::run(kept, users, connections.unwrap_or(64), only.as_deref()).await
        }
        "directory" => {
            let connections = args.next().map(|text| text.parse()).transpose()?;
            directory::run(number.unwrap_or(100_000), connections.unwrap_or(16)).await
        }
        "large" => large::run(number.unwrap_or(1_000_000), args.next().as_deref()).await,
        "peers" => peers::run(number.unwrap_or(64)).await,
        "bare" => {
            let place = std::env::var(PLACE).context("the place of its rows")?;
            bare::serve(&place).await
        }
        _ => bail!(
            "usage: muster-bench latency [SECONDS] | initial [USERS] | disable [USERS] | throttled [USERS] | flat [USERS] | plan [USERS] | incremental [USERS] | \
             memory [USERS] | rules [ROUNDS] | \
             provider [--postgres] [USERS [CONNECTIONS [WORKLOAD[;WORKLOAD…]]]] | directory [USERS [CONNECTIONS]] | large [USERS [WORKLOAD[;WORKLOAD…]]] | \
             peers [CONNECTIONS]"
        ),
    }
}
