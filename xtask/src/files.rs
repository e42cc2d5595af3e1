//! Source files: each opens with what lives in it, and none grows past its seam.

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::Findings;
use crate::manifests;

/// Lines without tests past which a file has a seam somewhere.
const LARGE: usize = 600;

pub(crate) fn check(root: &Path) -> Result<Findings> {
    let mut findings = Findings::default();
    for manifest in manifests::read_all(root)? {
        let folder = root.join(&manifest.folder);
        for part in ["src", "tests"] {
            for path in rust_files(&folder.join(part))? {
                let shown = path.strip_prefix(root).unwrap_or(&path).display();
                let text = std::fs::read_to_string(&path)?;
                // Files of unit tests belong to the file that they test.
                if path.file_name().is_some_and(|name| name == "tests.rs") {
                    continue;
                }
                if !text.starts_with("//! ") {
                    findings.problems.push(format!(
                        "{shown} does not open with `//!` and what lives there"
                    ));
                }
                let lines = without_tests(&text);
                if part == "src" && lines > LARGE {
                    findings.remarks.push(format!(
                        "{shown} has {lines} lines without its tests: look for the seam"
                    ));
                }
            }
        }
    }
    Ok(findings)
}

/// All Rust files below a folder, in the order of their paths.
fn rust_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    if !folder.is_dir() {
        return Ok(files);
    }
    let mut entries = std::fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(std::fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if path.is_dir() {
            files.extend(rust_files(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    Ok(files)
}

/// Unit tests stand at the foot of a file.
fn without_tests(text: &str) -> usize {
    text.lines()
        .take_while(|line| *line != "#[cfg(test)]")
        .count()
}

#[cfg(test)]
mod tests {
    use super::without_tests;

    #[test]
    fn lines_are_counted_up_to_the_tests() {
        assert_eq!(without_tests("a\nb\n\n#[cfg(test)]\nmod tests {}\n"), 3);
        assert_eq!(without_tests("a\n"), 1);
    }
}
