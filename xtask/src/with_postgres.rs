//! A command with a PostgreSQL of its own.

use std::process::ExitCode;

use anyhow::{Context, Result};
use muster_testkit::postgres::Cluster;
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};

/// Where the tests look for the cluster.
const SHARED: &str = "MUSTER_TEST_POSTGRES";

/// Starts a cluster, runs the command, stops the cluster; ends as the command ended.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(program: &str, args: &[&str]) -> Result<ExitCode> {
    let cluster = Cluster::start().context("PostgreSQL does not start")?;
    // A signal must not end us before the cluster is stopped: the command gets it too when it comes
    // from the terminal, and is told here otherwise.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut child = Command::new(program)
        .args(args)
        .env(SHARED, cluster.url("postgres"))
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("{program} cannot be run"))?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            _ = interrupt.recv() => {}
            _ = terminate.recv() => child.start_kill()?,
        }
    };
    drop(cluster);
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    // Ended by a signal: any code but success will do.
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}
