//! The gallery: valid data, unique names, and default mappings that compile for every application.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use muster_rules::Gallery;
use serde_json::Value;

use crate::Findings;

/// Problems of one kind that are shown; more would only hide the first.
const SHOWN: usize = 20;

pub(crate) fn check(root: &Path) -> Result<Findings> {
    let folder = root.join("gallery");
    let read = |name: &str| {
        std::fs::read_to_string(folder.join(name)).with_context(|| format!("gallery/{name}"))
    };
    let (apps, defaults) = (read("apps.json")?, read("default-mappings.json")?);
    let mut problems = invalid(&serde_json::from_str(&read("schema.json")?)?, &apps)?;
    problems.extend(doubled(&serde_json::from_str(&apps)?));
    let gallery = Gallery::parse(&apps, &defaults)?;
    for app in gallery.apps() {
        if let Err(found) = gallery.default_schema(app).compile() {
            problems.extend(
                found
                    .iter()
                    .take(SHOWN)
                    .map(|problem| format!("{}: {}: {}", app.id, problem.pointer, problem.message)),
            );
        }
    }
    if gallery.custom_app_schema("Custom").compile().is_err() {
        problems.push("the mappings of a custom application do not compile".to_owned());
    }
    Ok(Findings {
        problems,
        remarks: Vec::new(),
    })
}

/// Where the data does not follow its schema.
fn invalid(schema: &Value, apps: &str) -> Result<Vec<String>> {
    let validator = jsonschema::validator_for(schema)
        .map_err(|error| anyhow!("gallery/schema.json: {error}"))?;
    let apps: Value = serde_json::from_str(apps).context("gallery/apps.json")?;
    Ok(validator
        .iter_errors(&apps)
        .take(SHOWN)
        .map(|error| {
            format!(
                "apps.json at {}: {}",
                error.instance_path(),
                short(&error.to_string())
            )
        })
        .collect())
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(200).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// Ids, display names and aliases that two applications share.
fn doubled(apps: &Value) -> Vec<String> {
    let mut owners: HashMap<String, &str> = HashMap::new();
    let mut problems = Vec::new();
    for app in apps.as_array().into_iter().flatten() {
        let id = app["id"].as_str().unwrap_or_default();
        let aliases = app["aliases"].as_array().into_iter().flatten();
        let names = [&app["id"], &app["displayName"]].into_iter().chain(aliases);
        for name in names.filter_map(Value::as_str) {
            if let Some(other) = owners.insert(name.to_lowercase(), id)
                && other != id
            {
                problems.push(format!("{other} and {id} share the name {name}"));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn data_that_does_not_follow_its_schema_is_told_with_its_place() {
        let schema = json!({ "items": { "required": ["id"] } });
        assert_eq!(invalid(&schema, r#"[{ "id": "a" }]"#).unwrap().len(), 0);
        let problems = invalid(&schema, r#"[{ "id": "a" }, {}]"#).unwrap();
        assert!(problems[0].contains("/1"), "{problems:?}");
    }

    #[test]
    fn names_that_two_applications_share_are_told() {
        let apps = json!([
            { "id": "a", "displayName": "A", "aliases": ["Shared"] },
            { "id": "b", "displayName": "shared" },
        ]);
        assert_eq!(doubled(&apps), ["a and b share the name shared"]);
    }
}
