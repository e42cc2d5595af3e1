//! What we depend on: licences, banned packages and sources, by the rules of `deny.toml`.
//!
//! cargo-deny reads the same file and checks more (advisories, duplicate versions). It takes minutes
//! to build, so this part, which needs nothing but cargo, is what every run checks.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use spdx::{Expression, Licensee, ParseMode};

use crate::Findings;

/// How the source of a package from cargo's registry begins.
const REGISTRY: &str = "registry+";

/// The rules of `deny.toml`.
#[derive(Debug)]
struct Rules {
    allowed: Vec<Licensee>,
    /// Package and reason.
    banned: Vec<(String, String)>,
}

/// A package as cargo tells of it.
#[derive(Debug)]
struct Package {
    name: String,
    version: String,
    licence: Option<String>,
    source: Option<String>,
}

pub(crate) fn check(root: &Path) -> Result<Findings> {
    let rules =
        Rules::parse(&std::fs::read_to_string(root.join("deny.toml")).context("no deny.toml")?)?;
    let packages = packages(root)?;
    Ok(Findings {
        problems: packages
            .iter()
            .flat_map(|package| rules.judge(package))
            .collect(),
        remarks: Vec::new(),
    })
}

/// Every package that any member can need on any platform.
fn packages(root: &Path) -> Result<Vec<Package>> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .context("cargo cannot be run")?;
    ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let list = metadata["packages"]
        .as_array()
        .context("cargo metadata names no packages")?;
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(list
        .iter()
        .map(|package| Package {
            name: text(&package["name"]).unwrap_or_default(),
            version: text(&package["version"]).unwrap_or_default(),
            licence: text(&package["license"]),
            source: text(&package["source"]),
        })
        .collect())
}

impl Rules {
    fn parse(text: &str) -> Result<Self> {
        let table: toml::Table = text.parse().context("deny.toml")?;
        let list = |part: &str, name: &str| {
            table
                .get(part)
                .and_then(|part| part.get(name)?.as_array())
                .with_context(|| format!("deny.toml has no {part}.{name}"))
        };
        let mut allowed = Vec::new();
        for name in list("licenses", "allow")? {
            let name = name.as_str().context("a licence is a text")?;
            let licence = Licensee::parse(name).with_context(|| format!("{name} is no licence"))?;
            allowed.push(licence);
        }
        let mut banned = Vec::new();
        for entry in list("bans", "deny")? {
            let text = |name: &str| entry.get(name).and_then(toml::Value::as_str);
            let name = text("crate").context("an entry of bans.deny has no `crate`")?;
            let reason = text("reason").context("an entry of bans.deny has no `reason`")?;
            banned.push((name.to_owned(), reason.to_owned()));
        }
        Ok(Self { allowed, banned })
    }

    fn judge(&self, package: &Package) -> Vec<String> {
        let shown = format!("{} {}", package.name, package.version);
        let mut problems = Vec::new();
        if let Some((_, reason)) = self.banned.iter().find(|(name, _)| *name == package.name) {
            problems.push(format!("{shown} is banned: {reason}"));
        }
        if let Some(source) = package
            .source
            .as_deref()
            .filter(|it| !it.starts_with(REGISTRY))
        {
            problems.push(format!(
                "{shown} comes from {source}, not from cargo's registry"
            ));
        }
        match &package.licence {
            None => problems.push(format!("{shown} names no licence")),
            Some(licence) => match Expression::parse_mode(licence, ParseMode::LAX) {
                Err(error) => problems.push(format!("{shown}: licence {licence}: {error}")),
                Ok(expression) => {
                    let allows = |wanted: &spdx::LicenseReq| {
                        self.allowed.iter().any(|known| known.satisfies(wanted))
                    };
                    if !expression.evaluate(allows) {
                        problems.push(format!(
                            "{shown}: deny.toml does not allow its licence {licence}"
                        ));
                    }
                }
            },
        }
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: &str = r#"
        [licenses]
        allow = ["MIT", "Apache-2.0"]
        [bans]
        deny = [{ crate = "openssl", reason = "we use rustls" }]
    "#;

    #[track_caller]
    fn check(name: &str, licence: &str, source: Option<&str>, expected: &[&str]) {
        let package = Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            licence: Some(licence.to_owned()),
            source: source.map(str::to_owned),
        };
        assert_eq!(Rules::parse(RULES).unwrap().judge(&package), expected);
    }

    #[test]
    fn one_of_several_licences_must_be_allowed_and_all_of_those_joined_by_and() {
        check("a", "MIT OR GPL-3.0-only", Some(REGISTRY), &[]);
        check("a", "MIT/Apache-2.0", Some(REGISTRY), &[]);
        check(
            "a",
            "MIT AND GPL-3.0-only",
            Some(REGISTRY),
            &["a 1.0.0: deny.toml does not allow its licence MIT AND GPL-3.0-only"],
        );
    }

    #[test]
    fn banned_packages_and_other_sources_are_told() {
        check(
            "openssl",
            "MIT",
            None,
            &["openssl 1.0.0 is banned: we use rustls"],
        );
        check(
            "a",
            "MIT",
            Some("git+https://example.com/a"),
            &["a 1.0.0 comes from git+https://example.com/a, not from cargo's registry"],
        );
    }
}
