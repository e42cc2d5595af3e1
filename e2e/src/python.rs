//! The Python in which the peers and checkers are installed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use tokio::process::Command;
use tokio::time::timeout;

use crate::Said;
use crate::process::without_proxy;
use crate::project;

/// What schemathesis looks at in every answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
                      response_headers_conformance,response_schema_conformance,unsupported_method,\
                      allow_header_conformance,ignored_auth";
/// Time for one check.
const CHECK: Duration = Duration::from_mins(9);

/// A Python with the packages of `peers/python/requirements.txt`.
#[derive(Debug)]
pub struct Python {
    program: PathBuf,
}

impl Python {
    /// The one that `MUSTER_E2E_PYTHON` names, or that of `.tools/venv`.
    pub fn find() -> Result<Self> {
        let named = std::env::var_os("MUSTER_E2E_PYTHON").map(PathBuf::from);
        let program = named.unwrap_or_else(|| project(".tools/venv/bin/python"));
        let commands = ["scim", "scim-sanity"].map(|name| program.with_file_name(name));
        for needed in commands.iter().chain([&program]) {
            ensure!(
                needed.is_file(),
                "{} is missing: run script/test, which installs it, or name the python of a \
                 virtual environment with e2e/peers/python/requirements.txt in MUSTER_E2E_PYTHON",
                needed.display()
            );
        }
        Ok(Self { program })
    }

    /// A script of `peers/python`, to be run.
    pub(crate) fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.arg(project("e2e/peers/python").join(name));
        command
    }

    /// Runs `client_check.py` against a service provider.
    pub async fn client_check(&self, scim_url: &str, token: &str) -> Result<Said> {
        let mut command = self.script("client_check.py");
        command.args([scim_url, token]);
        run(command).await
    }

    /// Walks the tutorial through the control API with Microsoft's client for Graph.
    pub async fn graph_walk(&self, base: &str, token: &str, to: (&str, &str)) -> Result<Said> {
        let mut command = self.script("graph_walk.py");
        command.args([base, token, to.0, to.1]);
        run(command).await
    }

    /// Sends to the control API what its description permits, and what it does not, with schemathesis; every exchange
    /// stands in the report.
    pub async fn schemathesis(
        &self,
        base: &str,
        token: &str,
        to: (&str, &str),
        report: &Path,
    ) -> Result<Said> {
        let mut command = Command::new(self.program.with_file_name("schemathesis"));
        command
            .current_dir(report.parent().context("a folder")?)
            .env("SCHEMATHESIS_HOOKS", "schemathesis_hooks")
            .env("PYTHONPATH", project("e2e/peers/python"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("MUSTER_BASE", base)
            .env("MUSTER_TOKEN", token)
            .env("MUSTER_SCIM_URL", to.0)
            .env("MUSTER_SECRET", to.1)
            .arg("run")
            .arg(project("crates/graph-api/openapi.json"))
            .args([
                "--url",
                base,
                "-H",
                &format!("Authorization: Bearer {token}"),
            ])
            .args(["--phases", "coverage,fuzzing", "--max-examples", "15"])
            .args(["--seed", "1", "--generation-database", "none"])
            .args(["--checks", CHECKS, "--continue-on-failure", "--no-shrink"])
            .args(["--suppress-health-check", "all", "--warnings", "off"])
            .args(["--report", "ndjson", "--report-ndjson-path"])
            .arg(report);
        run(command).await
    }

    /// Reads a HAR file with haralyzer.
    pub async fn har_check(&self, file: &Path) -> Result<Said> {
        let mut command = self.script("har_check.py");
        command.arg(file);
        run(command).await
    }

    /// Runs the compliance check of scim2-tester against a service provider.
    pub async fn scim_test(&self, scim_url: &str, token: &str) -> Result<Said> {
        let mut command = Command::new(self.program.with_file_name("scim"));
        command
            .env("SCIM_CLI_HEADERS", format!("Authorization: Bearer {token}"))
            .args(["--url", scim_url, "test"]);
        run(command).await
    }

    /// Runs the conformance probe of scim-sanity against a service provider; it reports as JSON.
    pub async fn scim_sanity(&self, scim_url: &str, token: &str) -> Result<Said> {
        let mut command = Command::new(self.program.with_file_name("scim-sanity"));
        command
            .args(["probe", scim_url, "--token", token, "--strict"])
            .args(["--json-output", "--i-accept-side-effects"]);
        run(command).await
    }
}

pub(crate) async fn run(mut command: Command) -> Result<Said> {
    without_proxy(&mut command);
    command.stdin(Stdio::null()).kill_on_drop(true);
    let Ok(output) = timeout(CHECK, command.output()).await else {
        bail!("the check does not end within {} s", CHECK.as_secs());
    };
    let output = output?;
    Ok(Said {
        code: output.status.code().context("a signal ended the check")?,
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
    })
}
