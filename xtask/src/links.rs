//! Links between our documents: each leads to a file that is there.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::Findings;

/// Folders in which documents lie, beside the root itself.
const FOLDERS: &[&str] = &["docs", "e2e", "bench", "gallery", "crates"];
/// Folders of others.
const NOT_OURS: &[&str] = &["node_modules", "venv", "target"];

pub(crate) fn check(root: &Path) -> Result<Findings> {
    let mut findings = Findings::default();
    let mut documents = Vec::new();
    find(root, false, &mut documents)?;
    for folder in FOLDERS {
        find(&root.join(folder), true, &mut documents)?;
    }
    for path in documents {
        let text = std::fs::read_to_string(&path)?;
        let folder = path.parent().unwrap_or(root);
        for link in links(&text) {
            if !folder.join(link).exists() {
                let shown = path.strip_prefix(root).unwrap_or(&path).display();
                findings
                    .problems
                    .push(format!("{shown} links to {link}, which is not there"));
            }
        }
    }
    Ok(findings)
}

fn find(folder: &Path, deep: bool, documents: &mut Vec<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let (path, name) = (entry.path(), entry.file_name());
        if path.is_dir() {
            if deep && !NOT_OURS.iter().any(|other| name == *other) {
                find(&path, deep, documents)?;
            }
        } else if path.extension().is_some_and(|extension| extension == "md") {
            documents.push(path);
        }
    }
    Ok(())
}

/// Targets of links and pictures to files, without the part after `#`; code is left out.
fn links(text: &str) -> Vec<&str> {
    let mut links = Vec::new();
    let mut in_code = false;
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_code = !in_code;
        }
        if in_code {
            continue;
        }
        // Text between back-ticks is code as well.
        for text in line.split('`').step_by(2) {
            for rest in text.split("](").skip(1) {
                let Some((link, _)) = rest.split_once(')') else {
                    continue;
                };
                let file = link.split('#').next().unwrap_or_default();
                if !file.is_empty() && !link.contains("://") && !link.starts_with("mailto:") {
                    links.push(file);
                }
            }
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::links;

    #[test]
    fn links_to_files_are_found_and_others_are_not() {
        let text = "[a](docs/a.md#part) ![b](b.svg) [c](https://example.com/c) [d](#d)\n\
                    `[e](e.md)`\n```\n[f](f.md)\n```\n[`g`](g.rs)";
        assert_eq!(links(text), ["docs/a.md", "b.svg", "g.rs"]);
    }
}
