//! The arrows between crates: ARCHITECTURE.md says which there are, the manifests must agree.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use crate::Findings;
use crate::manifests::{self, Manifest};

/// Header of the table in ARCHITECTURE.md.
const HEADER: [&str; 3] = ["Crate", "May use", "Never links"];
/// The crate that the tests of every other one may use.
const FOR_TESTS: &str = "testkit";

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
struct Row {
    name: String,
    may_use: BTreeSet<String>,
    never_links: BTreeSet<String>,
}

pub(crate) fn check(root: &Path) -> Result<Findings> {
    let text =
        std::fs::read_to_string(root.join("ARCHITECTURE.md")).context("no ARCHITECTURE.md")?;
    let rows = parse(&text).with_context(|| {
        format!(
            "ARCHITECTURE.md has no table with the header {}",
            HEADER.join(", ")
        )
    })?;
    Ok(Findings {
        problems: compare(&rows, &manifests::read_all(root)?),
        remarks: Vec::new(),
    })
}

/// Finds the table and reads its rows.
fn parse(text: &str) -> Option<Vec<Row>> {
    let mut lines = text.lines();
    lines.find(|line| cells(line).is_some_and(|cells| cells == HEADER))?;
    let rows = lines
        .skip(1)
        .map_while(cells)
        .filter_map(|cells| match cells[..] {
            [name, may_use, never_links] => Some(Row {
                name: names(name).into_iter().next()?,
                may_use: names(may_use),
                never_links: names(never_links),
            }),
            _ => None,
        });
    Some(rows.collect())
}

fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split('|').map(str::trim).collect())
}

/// The names in back-ticks.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

fn compare(rows: &[Row], manifests: &[Manifest]) -> Vec<String> {
    let mut problems = Vec::new();
    for row in rows {
        if !manifests.iter().any(|manifest| manifest.name == row.name) {
            problems.push(format!(
                "ARCHITECTURE.md lists `{}`, which is no crate of the workspace",
                row.name
            ));
        }
    }
    for manifest in manifests {
        let (name, folder) = (&manifest.name, &manifest.folder);
        let Some(row) = rows.iter().find(|row| row.name == *name) else {
            problems.push(format!(
                "ARCHITECTURE.md does not list `{name}` ({folder}): add it with what it may use"
            ));
            continue;
        };
        for used in manifest.uses.ours.difference(&row.may_use) {
            problems.push(format!(
                "`{name}` uses `{used}`, and ARCHITECTURE.md has no such arrow: take it out of \
                 {folder}/Cargo.toml, or add the arrow and say why in the commit"
            ));
        }
        for unused in row.may_use.difference(&manifest.uses.ours) {
            problems.push(format!(
                "ARCHITECTURE.md has an arrow from `{name}` to `{unused}` that {folder}/Cargo.toml \
                 does not have: the map says what is true today"
            ));
        }
        for used in manifest.tests_use.ours.difference(&row.may_use) {
            if used != FOR_TESTS {
                problems.push(format!(
                    "the tests of `{name}` use `{used}`, and ARCHITECTURE.md has no such arrow"
                ));
            }
        }
        for linked in manifest.uses.others.intersection(&row.never_links) {
            problems.push(format!(
                "`{name}` links `{linked}`, which ARCHITECTURE.md says it never does"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifests::Uses;

    const TABLE: &str = "\
Before.

| Crate | May use | Never links |
|---|---|---|
| `model` | – | `tokio`, `serde` |
| `store` | `model` | `axum` |

After.";

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn manifest(name: &str, ours: &[&str], others: &[&str]) -> Manifest {
        Manifest {
            name: name.to_owned(),
            folder: format!("crates/{name}"),
            uses: Uses {
                ours: set(ours),
                others: set(others),
            },
            tests_use: Uses {
                ours: set(&[FOR_TESTS]),
                others: set(&["axum"]),
            },
        }
    }

    #[track_caller]
    fn check(manifests: &[Manifest], expected: &[&str]) {
        let problems = compare(&parse(TABLE).unwrap(), manifests);
        assert_eq!(problems.len(), expected.len(), "{problems:?}");
        for (problem, expected) in problems.iter().zip(expected) {
            assert!(problem.contains(expected), "{problem}");
        }
    }

    #[test]
    fn manifests_that_agree_with_the_table_pass() {
        check(
            &[
                manifest("model", &[], &["uuid"]),
                manifest("store", &["model"], &["tokio"]),
            ],
            &[],
        );
    }

    #[test]
    fn an_arrow_more_or_less_is_told() {
        check(
            &[
                manifest("model", &["store"], &[]),
                manifest("store", &[], &[]),
            ],
            &["`model` uses `store`", "an arrow from `store` to `model`"],
        );
    }

    #[test]
    fn a_package_that_a_crate_never_links_is_told() {
        check(
            &[
                manifest("model", &[], &["tokio"]),
                manifest("store", &["model"], &[]),
            ],
            &["`model` links `tokio`"],
        );
    }

    #[test]
    fn crates_and_rows_without_their_other_half_are_told() {
        check(
            &[manifest("model", &[], &[]), manifest("portal", &[], &[])],
            &["lists `store`", "does not list `portal`"],
        );
    }
}
