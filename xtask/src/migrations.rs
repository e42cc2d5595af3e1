//! Migrations: both databases have the same ones, numbered without a gap, and all are registered; and
//! both make the same tables, columns and indexes.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};

use crate::Findings;

pub(crate) fn check(root: &Path) -> Result<Findings> {
    let store = root.join("crates/store");
    let sqlite = names(&store.join("migrations/sqlite"))?;
    let postgres = names(&store.join("migrations/postgres"))?;
    let register = std::fs::read_to_string(store.join("src/migrate.rs"))?;
    let mut problems = compare(&sqlite, &postgres, &register);
    for name in sqlite.intersection(&postgres) {
        let text = |database: &str| {
            std::fs::read_to_string(store.join(format!("migrations/{database}/{name}.sql")))
        };
        let (sqlite, postgres) = (parts(&text("sqlite")?), parts(&text("postgres")?));
        // An index whose name ends with its database is meant for that one alone.
        let own = |part: &&String| part.contains("_sqlite ON ") || part.contains("_postgres ON ");
        for part in sqlite
            .symmetric_difference(&postgres)
            .filter(|part| !own(part))
        {
            problems.push(format!(
                "migration {name}: {part} is not the same on both databases"
            ));
        }
    }
    Ok(Findings {
        problems,
        remarks: Vec::new(),
    })
}

/// What a migration makes, without the types, in which the databases may differ: `table.column`, and
/// each other statement in one line.
fn parts(sql: &str) -> BTreeSet<String> {
    let lines: Vec<&str> = sql
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("--"))
        .collect();
    let mut parts = BTreeSet::new();
    for statement in lines.join("\n").split(';').map(str::trim) {
        let Some((table, columns)) = statement
            .strip_prefix("CREATE TABLE ")
            .and_then(|rest| rest.split_once(" ("))
        else {
            parts.insert(statement.replace('\n', " "));
            continue;
        };
        for column in columns.lines().filter(|line| !line.starts_with(')')) {
            let name = column.split_whitespace().next().unwrap_or_default();
            // Keys are made where each database likes them best.
            if !name.is_empty() && !matches!(name, "PRIMARY" | "UNIQUE") {
                parts.insert(format!("{table}.{name}"));
            }
        }
    }
    parts
}

/// Names without `.sql`, in order.
fn names(folder: &Path) -> Result<BTreeSet<String>> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("no folder {}", folder.display()))?;
    let mut names = BTreeSet::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.insert(name.strip_suffix(".sql").unwrap_or(&name).to_owned());
    }
    Ok(names)
}

fn compare(sqlite: &BTreeSet<String>, postgres: &BTreeSet<String>, register: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for name in sqlite.symmetric_difference(postgres) {
        let (has, lacks) = if sqlite.contains(name) {
            ("sqlite", "postgres")
        } else {
            ("postgres", "sqlite")
        };
        problems.push(format!(
            "migration {name} is in migrations/{has} and not in migrations/{lacks}"
        ));
    }
    for (index, name) in sqlite.iter().enumerate() {
        let number = index + 1;
        if !name.starts_with(&format!("{number:04}_")) {
            problems.push(format!(
                "migration {name} should have the number {number:04}"
            ));
        }
        if !register.contains(&format!("{number} \"{name}\"")) {
            problems.push(format!(
                "migration {name} is not in the list of crates/store/src/migrate.rs"
            ));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sqlite: &[&str], postgres: &[&str], expected: &[&str]) {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let register = r#"migrations![1 "0001_a", 2 "0002_b"]"#;
        assert_eq!(compare(&set(sqlite), &set(postgres), register), expected);
    }

    #[test]
    fn both_databases_have_the_same_migrations() {
        check(&["0001_a", "0002_b"], &["0001_a", "0002_b"], &[]);
        check(
            &["0001_a"],
            &["0001_a", "0002_b"],
            &["migration 0002_b is in migrations/postgres and not in migrations/sqlite"],
        );
    }

    #[test]
    fn columns_and_indexes_are_compared_and_types_are_not() {
        let sqlite = "-- One\nCREATE TABLE a (\n    id BLOB NOT NULL,\n    n INTEGER\n) WITHOUT ROWID;\n\
                      CREATE INDEX a_n\n    ON a (n);\n";
        let postgres = "CREATE TABLE a (\n    id BYTEA NOT NULL,\n    n BIGINT,\n    PRIMARY KEY (n)\n);\n\
                        CREATE INDEX a_n ON a (n);\n";
        assert_eq!(parts(sqlite), parts(postgres));
        assert!(parts(sqlite).contains("a.id"));
        let other = postgres.replace("n BIGINT", "m BIGINT");
        assert!(parts(&other).contains("a.m"));
    }

    #[test]
    fn a_gap_and_a_forgotten_entry_are_told() {
        check(
            &["0001_a", "0003_c"],
            &["0001_a", "0003_c"],
            &[
                "migration 0003_c should have the number 0002",
                "migration 0003_c is not in the list of crates/store/src/migrate.rs",
            ],
        );
    }
}
