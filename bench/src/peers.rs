//! Our service provider beside those of others, in one run: the same load on each, in turns.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::load::Measured;
use crate::side::{LONG, Side, TURNS};

/// Users of each side.
const USERS: usize = 2_000;

/// The workloads that leave the number of users as it is come first: the peers in memory slow down
/// with it.
const WORKLOADS: [&str; 8] = [
    "get by id",
    "filter userName",
    "list of 100",
    "patch user",
    "add member",
    "create user",
    "delete user",
    "match, create",
];

pub(crate) async fn run(connections: usize) -> Result<()> {
    let sides = [
        ("ours", Side::ours_beside_peers(USERS).await?),
        (
            "scim2-server",
            Side::peer(scim2_server()?, "/v2", USERS).await?,
        ),
        ("SCIMMY", Side::peer(scimmy()?, "/scim", USERS).await?),
        ("Jackson", Side::peer(jackson()?, "", USERS).await?),
    ];
    println!(
        "{USERS} users, {connections} connections, {TURNS} turns of {} s; requests/s\n",
        LONG.as_secs()
    );
    print!("{:14}", "");
    for (name, _) in &sides {
        print!(" {name:>12}");
    }
    println!("  ours / best peer");
    for workload in WORKLOADS {
        let mut turns = sides.each_ref().map(|_| Vec::new());
        for _ in 0..TURNS {
            for ((name, side), turns) in sides.iter().zip(&mut turns) {
                let measured = side.measure(workload, connections).await;
                turns.push(measured.with_context(|| format!("{name}: {workload}"))?);
            }
        }
        let rates = turns.map(|turns| Measured::median(turns).rate);
        print!("{workload:14}");
        for rate in rates {
            print!(" {rate:>12.1}");
        }
        let [ours, peers @ ..] = rates;
        println!("  {:.1}", ours / peers.into_iter().fold(0.0, f64::max));
    }
    Ok(())
}

fn scim2_server() -> Result<Command> {
    let named = std::env::var_os("MUSTER_E2E_PYTHON").map(PathBuf::from);
    let python = named.unwrap_or_else(|| project(".tools/venv/bin/python"));
    ensure!(
        python.is_file(),
        "{} is missing: run script/test, which installs it",
        python.display()
    );
    let mut command = Command::new(python);
    command.arg(project("e2e/peers/python/scim2_server_run.py"));
    Ok(command)
}

fn scimmy() -> Result<Command> {
    node("e2e/peers/scimmy")
}

fn jackson() -> Result<Command> {
    ensure!(
        std::env::var_os("MUSTER_TEST_POSTGRES").is_some(),
        "Jackson needs PostgreSQL: run this under `xtask with-postgres --`"
    );
    node("bench/peers/jackson")
}

fn node(folder: &str) -> Result<Command> {
    let path = project(folder);
    ensure!(
        path.join("node_modules").is_dir(),
        "run `npm ci --ignore-scripts` in {folder} first (Node 20 or newer)"
    );
    let mut command = Command::new("node");
    command.arg("server.mjs").current_dir(path);
    Ok(command)
}

/// A file of the project.
fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name(path)
}
