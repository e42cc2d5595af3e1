//! The manifests of our crates: what each one uses.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use toml::{Table, Value};

/// A crate of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Manifest {
    /// Its name without the prefix.
    pub(crate) name: String,
    /// Its folder, seen from the root.
    pub(crate) folder: String,
    /// What it uses; for our own crates the name without the prefix.
    pub(crate) uses: Uses,
    /// What only its tests use.
    pub(crate) tests_use: Uses,
}

/// What a crate uses.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    pub(crate) ours: BTreeSet<String>,
    pub(crate) others: BTreeSet<String>,
}

/// Our crates are called `muster-…`, save for the chores.
const PREFIX: &str = "muster-";

/// Reads the manifests of all members of the workspace, in the order of their folders.
pub(crate) fn read_all(root: &Path) -> Result<Vec<Manifest>> {
    let workspace = read(&root.join("Cargo.toml"))?;
    let members = workspace
        .get("workspace")
        .and_then(|workspace| workspace.get("members")?.as_array())
        .context("Cargo.toml names no members")?;
    let mut folders = Vec::new();
    for member in members.iter().filter_map(Value::as_str) {
        let Some(parent) = member.strip_suffix("/*") else {
            folders.push(member.to_owned());
            continue;
        };
        for entry in std::fs::read_dir(root.join(parent))? {
            let entry = entry?;
            if entry.path().join("Cargo.toml").is_file() {
                folders.push(format!("{parent}/{}", entry.file_name().to_string_lossy()));
            }
        }
    }
    folders.sort();
    folders
        .into_iter()
        .map(|folder| {
            let table = read(&root.join(&folder).join("Cargo.toml"))?;
            Ok(manifest(&table, folder))
        })
        .collect()
}

fn read(path: &Path) -> Result<Table> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    text.parse().with_context(|| path.display().to_string())
}

fn manifest(table: &Table, folder: String) -> Manifest {
    let name = table
        .get("package")
        .and_then(|package| package.get("name")?.as_str())
        .unwrap_or(&folder);
    let mut manifest = Manifest {
        name: name.strip_prefix(PREFIX).unwrap_or(name).to_owned(),
        folder,
        ..Manifest::default()
    };
    add_tables(&mut manifest, table);
    let targets = table.get("target").and_then(Value::as_table);
    for target in targets.into_iter().flat_map(Table::values) {
        if let Some(table) = target.as_table() {
            add_tables(&mut manifest, table);
        }
    }
    manifest
}

fn add_tables(manifest: &mut Manifest, table: &Table) {
    for kind in ["dependencies", "build-dependencies", "dev-dependencies"] {
        let uses = match kind {
            "dev-dependencies" => &mut manifest.tests_use,
            _ => &mut manifest.uses,
        };
        let names = table.get(kind).and_then(Value::as_table);
        for name in names.into_iter().flat_map(Table::keys) {
            match name.strip_prefix(PREFIX) {
                Some(ours) => uses.ours.insert(ours.to_owned()),
                None => uses.others.insert(name.clone()),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_read_whole_with_its_tests_and_platforms() {
        let text = r#"
            [package]
            name = "muster-engine"
            [dependencies]
            muster-model.workspace = true
            serde = "1"
            [dev-dependencies]
            muster-testkit.workspace = true
            [target.'cfg(unix)'.dependencies]
            muster-store.workspace = true
        "#;
        let read = manifest(&text.parse().unwrap(), "crates/engine".to_owned());
        assert_eq!(read.name, "engine");
        assert_eq!(
            read.uses.ours.into_iter().collect::<Vec<_>>(),
            ["model", "store"]
        );
        assert!(read.uses.others.contains("serde"));
        assert!(read.tests_use.ours.contains("testkit"));
    }
}
