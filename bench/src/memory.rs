//! The largest resident memory of `muster demo`, with a directory and one ten times as large.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

pub(crate) fn run(large: usize) -> Result<()> {
    for users in [large / 10, large] {
        let (megabytes, said) = demo(users)?;
        let result: serde_json::Value = serde_json::from_str(&said)?;
        let same = ["users", "groups", "memberships"]
            .iter()
            .all(|what| result["target"][what] == result["entitled"][what]);
        ensure!(same, "the target differs from who is entitled: {said}");
        let initial = &result["cycles"][0];
        println!(
            "{users} users: at most {megabytes} MiB resident; target equals entitled; initial cycle \
             {} objects in {} ms",
            initial["created"], initial["durationMs"]
        );
    }
    Ok(())
}

fn demo(users: usize) -> Result<(u64, String)> {
    let binary = std::env::current_exe()?.with_file_name("muster");
    let mut child = Command::new(&binary)
        .args(["demo", "--exit", "--json", "--users", &users.to_string()])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{} is missing; build it first", binary.display()))?;
    let status = format!("/proc/{}/status", child.id());
    let watch = std::thread::spawn(move || {
        let mut most = 0;
        while let Ok(text) = std::fs::read_to_string(&status) {
            let line = text.lines().find(|line| line.starts_with("VmHWM:"));
            let kilobytes = line
                .and_then(|line| line.split_whitespace().nth(1))
                .and_then(|number| number.parse::<u64>().ok());
            let Some(kilobytes) = kilobytes else { break };
            most = most.max(kilobytes);
            std::thread::sleep(Duration::from_millis(20));
        }
        most / 1024
    });
    let out = BufReader::new(child.stdout.take().context("its output")?);
    let last = out.lines().map_while(Result::ok).last().unwrap_or_default();
    ensure!(child.wait()?.success(), "the demo failed");
    let most = watch.join().unwrap_or_default();
    Ok((most, last))
}
