//! The binary, with a data folder of its own.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::Server;
use crate::process::without_proxy;

/// Time for one command; the slowest peer takes some minutes for the initial cycle.
const COMMAND: Duration = Duration::from_mins(20);

/// The binary and its data folder, which goes away with this.
#[derive(Debug)]
pub struct Muster {
    program: PathBuf,
    data: TempDir,
    environment: Vec<(String, String)>,
}

/// How a command ended, and what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Exit code.
    pub code: i32,
    /// Results.
    pub stdout: String,
    /// Remarks and errors.
    pub stderr: String,
}

impl Muster {
    /// An empty data folder for the binary that was built with these tests.
    pub fn new() -> Result<Self> {
        Ok(Self {
            program: program()?,
            data: TempDir::with_prefix("muster-e2e-")?,
            environment: Vec::new(),
        })
    }

    /// Sets a variable of the environment for what runs from now on.
    pub fn set(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Runs a command to its end, whatever that is.
    pub async fn run(&self, args: &[&str]) -> Result<Said> {
        let mut command = self.command(args);
        command.kill_on_drop(true);
        let output = timeout(COMMAND, command.output())
            .await
            .with_context(|| format!("muster {args:?} does not end"))?
            .with_context(|| format!("{} cannot be run", self.program.display()))?;
        Ok(Said {
            code: output.status.code().context("a signal ended muster")?,
            stdout: String::from_utf8(output.stdout)?,
            stderr: String::from_utf8(output.stderr)?,
        })
    }

    /// Runs a command with `--json`; it must end with this exit code.
    pub async fn json(&self, code: i32, args: &[&str]) -> Result<Value> {
        let args = [&["--json"], args].concat();
        let said = self.run(&args).await?;
        ensure!(
            said.code == code,
            "muster {args:?} ended with {}: {said:?}",
            said.code
        );
        serde_json::from_str(&said.stdout).with_context(|| format!("muster {args:?}: {said:?}"))
    }

    /// Runs a command that must succeed.
    pub async fn done(&self, args: &[&str]) -> Result<String> {
        let said = self.run(args).await?;
        ensure!(
            said.code == 0,
            "muster {args:?} ended with {}: {}",
            said.code,
            said.stderr
        );
        Ok(said.stdout)
    }

    /// Begins a command whose remarks are read while it runs.
    pub fn begin(&self, args: &[&str]) -> Result<Child> {
        let mut command = self.command(args);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Ok(command.spawn()?)
    }

    /// Starts the server on a free port.
    pub async fn serve(&self) -> Result<Server> {
        let command = self.command(&["--json", "serve", "--listen", "127.0.0.1:0"]);
        let address = |line: &str| {
            let said: Value = serde_json::from_str(line).ok()?;
            said["url"].as_str().map(str::to_owned)
        };
        Server::start("muster serve", command, address).await
    }

    /// What is configured around us does not count here.
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        for name in ["CONFIG", "DATABASE", "KEY", "LISTEN", "LOG", "PUBLIC_URL"] {
            command.env_remove(format!("MUSTER_{name}"));
        }
        without_proxy(&mut command);
        command
            .envs(self.environment.iter().cloned())
            .env("MUSTER_DATA", self.data())
            .env("MUSTER_ALLOW_INSECURE_TARGETS", "true")
            .stdin(std::process::Stdio::null())
            .args(args);
        command
    }
}

/// `target/debug/muster` for a test in `target/debug/deps`.
fn program() -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    let folder = test
        .ancestors()
        .nth(2)
        .context("a test lies in a folder of the target folder")?;
    let program = folder.join("muster");
    ensure!(
        program.is_file(),
        "{} is missing: build it first with `cargo build -p muster-cli` (in the same profile)",
        program.display()
    );
    Ok(program)
}
