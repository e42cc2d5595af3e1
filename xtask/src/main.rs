//! Chores: what the project checks about itself, and a PostgreSQL for the tests.

mod arrows;
mod files;
mod gallery;
mod links;
mod manifests;
mod migrations;
mod packages;
mod picture;
mod simulate;
mod with_postgres;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

Commands:
  check                  Arrows between crates, files, migrations, links, and the licences,
                         bans and sources of what we depend on
  gallery                The gallery is valid and all its mappings compile
  picture BINARY         Draw docs/images/demo.svg from a run of BINARY's demo
  simulate [--from SEED] --seeds NUMBER
                         Many seeds of the simulation; a failing one is told with how to replay it
  with-postgres -- CMD…  Run a command with a PostgreSQL of its own, named in MUSTER_TEST_POSTGRES";

/// What a check found. Problems fail it, remarks do not.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) problems: Vec<String>,
    pub(crate) remarks: Vec<String>,
}

/// A check: its name, and what looks.
type Check = (&'static str, fn(&Path) -> Result<Findings>);

const CHECKS: &[Check] = &[
    ("arrows", arrows::check),
    ("files", files::check),
    ("migrations", migrations::check),
    ("links", links::check),
    ("packages", packages::check),
];

fn main() -> Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["check"] => Ok(run(CHECKS)),
        ["gallery"] => Ok(run(&[("gallery", gallery::check)])),
        ["picture", binary] => picture::draw(&root(), binary),
        ["with-postgres", "--", program, ref rest @ ..] => with_postgres::run(program, rest),
        ["simulate", "--seeds", seeds] => simulate::run(&root(), "0", seeds),
        ["simulate", "--from", first, "--seeds", seeds] => simulate::run(&root(), first, seeds),
        ["help" | "-h" | "--help"] => {
            println!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("not a chore: {args:?}\n\n{USAGE}"),
    }
}

/// Runs every check, even after one has failed.
fn run(checks: &[Check]) -> ExitCode {
    let root = root();
    let mut failed = false;
    for (name, check) in checks {
        let findings = check(&root).unwrap_or_else(|error| Findings {
            problems: vec![format!("{error:#}")],
            remarks: Vec::new(),
        });
        for remark in &findings.remarks {
            println!("{name}: remark: {remark}");
        }
        for problem in &findings.problems {
            println!("{name}: {problem}");
        }
        if findings.problems.is_empty() {
            println!("{name}: ok");
        } else {
            failed = true;
        }
    }
    if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    }
}

/// The root of the project.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
