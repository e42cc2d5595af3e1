//! Many seeds of the simulation, in several processes.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};

/// The test that runs a range of seeds.
const TEST: &str =
    "simulation::whatever_goes_wrong_the_target_comes_to_hold_what_the_directory_entitles_to";
/// Seeds that one process runs: few enough that a failure is soon told.
const PART: u64 = 100;

/// Runs the seeds from `first` on; a seed that fails is told with how to run it again.
pub(crate) fn run(root: &Path, first: &str, seeds: &str) -> Result<ExitCode> {
    let (first, seeds): (u64, u64) = (number(first)?, number(seeds)?);
    let program = build(root)?;
    let beside = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let begun = Instant::now();
    let (mut next, end, mut failed) = (first, first + seeds, 0);
    let mut running: Vec<(u64, Child)> = Vec::new();
    while next < end || !running.is_empty() {
        while next < end && running.len() < beside {
            let until = (next + PART).min(end);
            running.push((next, start(root, &program, next, until)?));
            next = until;
        }
        let (from, child) = running.remove(0);
        let ended = child.wait_with_output()?;
        let until = (from + PART).min(end);
        if !ended.status.success() {
            failed += 1;
            println!("{}", String::from_utf8_lossy(&ended.stdout));
            println!("{}", String::from_utf8_lossy(&ended.stderr));
            println!(
                "seeds {from} to {until} failed; run them again with: \
                 MUSTER_SIMULATIONS={from}..{until} cargo test -p muster-cli --test it whatever"
            );
        }
        if until.is_multiple_of(1000) || until == end {
            let passed = begun.elapsed().as_secs();
            println!(
                "{} of {seeds} seeds after {passed} s, {failed} parts failed",
                until - first
            );
        }
    }
    Ok(if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn number(text: &str) -> Result<u64> {
    text.parse()
        .with_context(|| format!("`{text}` is not a number of seeds"))
}

/// Builds the test's program; answers where it is.
fn build(root: &Path) -> Result<PathBuf> {
    let mut cargo = Command::new("cargo");
    cargo
        .args(["test", "-p", "muster-cli", "--test", "it", "--no-run"])
        .args(["--message-format", "json"])
        .current_dir(root)
        .stderr(Stdio::inherit());
    let built = cargo.output().context("cargo cannot be run")?;
    ensure!(built.status.success(), "the simulation does not build");
    let lines = String::from_utf8(built.stdout)?;
    for line in lines.lines() {
        let message: serde_json::Value = serde_json::from_str(line)?;
        let is_test = message["target"]["name"] == "it" && message["profile"]["test"] == true;
        if let (true, Some(program)) = (is_test, message["executable"].as_str()) {
            return Ok(PathBuf::from(program));
        }
    }
    bail!("cargo does not say where the simulation is")
}

fn start(root: &Path, program: &Path, from: u64, until: u64) -> Result<Child> {
    let mut command = Command::new(program);
    command
        .args([TEST, "--exact"])
        .env("MUSTER_SIMULATIONS", format!("{from}..{until}"))
        .env("RUST_BACKTRACE", "0")
        .current_dir(root.join("crates/cli"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    // In memory, where there is such a place: thousands of small databases are written and thrown away.
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        command.env("TMPDIR", memory);
    }
    command.spawn().context("the simulation does not start")
}
