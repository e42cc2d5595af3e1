//! Clients in JavaScript.

use std::path::Path;

use anyhow::{Result, ensure};
use tokio::process::Command;

use crate::muster::Said;
use crate::project;
use crate::python::run;

/// Walks the tutorial through the control API with Microsoft's JavaScript client for Graph, which trusts an authority.
pub async fn graph_walk(
    base: &str,
    token: &str,
    to: (&str, &str),
    authority: &Path,
) -> Result<Said> {
    let folder = project("e2e/peers/graph");
    ensure!(
        folder.join("node_modules").is_dir(),
        "e2e/peers/graph/node_modules is missing: run script/test, or npm ci in e2e/peers/graph"
    );
    let mut command = Command::new("node");
    command
        .arg(folder.join("walk.mjs"))
        .args([base, token, to.0, to.1])
        .env("NODE_EXTRA_CA_CERTS", authority);
    run(command).await
}

/// Runs a script of `peers/portal`, which drives Debian's Chromium.
pub async fn browser(script: &str, args: &[&str]) -> Result<Said> {
    let folder = project("e2e/peers/portal");
    ensure!(
        folder.join("node_modules").is_dir(),
        "e2e/peers/portal/node_modules is missing: run script/test, or npm ci in e2e/peers/portal"
    );
    let mut command = Command::new("node");
    command.arg(folder.join(script)).args(args);
    run(command).await
}
