//! Processes with a bound: commands that must end, and servers that end with their test.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::time::timeout;

/// Time for a server to say that it listens.
const START: Duration = Duration::from_mins(1);
/// Time for a server to end after SIGTERM.
const END: Duration = Duration::from_secs(20);
/// How often we look whether it has ended.
const LOOK: Duration = Duration::from_millis(20);

/// Lets a process talk to this machine without a proxy.
pub(crate) fn without_proxy(command: &mut Command) {
    command
        .env("NO_PROXY", "127.0.0.1")
        .env("no_proxy", "127.0.0.1");
}

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    pid: u32,
    address: String,
    first_line: String,
}

impl Server {
    /// Starts a server and waits until `address` finds in its first line where it listens.
    pub(crate) async fn start(
        name: &str,
        mut command: Command,
        address: fn(&str) -> Option<String>,
    ) -> Result<Self> {
        let mut complaints = tempfile::tempfile()?;
        without_proxy(&mut command);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(complaints.try_clone()?)
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .with_context(|| format!("{name} cannot be started"))?;
        let pid = child
            .id()
            .with_context(|| format!("{name} has no process id"))?;
        let stdout = child.stdout.take().context("the output is piped")?;
        let mut server = Self {
            child,
            pid,
            address: String::new(),
            first_line: String::new(),
        };

        let mut lines = BufReader::new(stdout).lines();
        let line = match timeout(START, lines.next_line()).await {
            Ok(line) => line?,
            Err(_) => bail!(
                "{name} says nothing for {} s: {}",
                START.as_secs(),
                tail(&mut complaints)
            ),
        };
        let Some(line) = line else {
            let ended = server.child.wait().await?;
            bail!(
                "{name} ended before it listened ({ended}): {}",
                tail(&mut complaints)
            );
        };
        server.address =
            address(&line).with_context(|| format!("{name} says no address, but: {line}"))?;
        server.first_line = line;
        // A server that goes on talking must not be held up.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(server)
    }

    /// Where it listens: `http://127.0.0.1:…`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The first line that it said.
    pub fn first_line(&self) -> &str {
        &self.first_line
    }

    /// Its process id.
    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// Asks it to end, and waits: its exit code.
    pub async fn end(mut self) -> Result<i32> {
        self.ask_to_end();
        let ended = timeout(END, self.child.wait())
            .await
            .with_context(|| format!("it does not end within {} s", END.as_secs()))??;
        ended.code().context("a signal ended it")
    }

    /// SIGTERM. The standard library can only kill.
    fn ask_to_end(&self) {
        let _ = std::process::Command::new("sh")
            .args(["-c", "kill -TERM \"$0\"", &self.pid.to_string()])
            .status();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        self.ask_to_end();
        let last = Instant::now() + END;
        while Instant::now() < last {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(LOOK);
        }
        let _ = self.child.start_kill();
    }
}

/// The end of what a process complained about.
fn tail(complaints: &mut File) -> String {
    let mut text = Vec::new();
    let _ = complaints
        .rewind()
        .and_then(|()| complaints.read_to_end(&mut text));
    let text = String::from_utf8_lossy(&text);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(12)..].join("\n")
}
