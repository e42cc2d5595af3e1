//! The gallery: valid data, unique names, and default mappings that compile for every application.

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use muster_model::{Attributes, Timestamp};
use muster_rules::schema::CompiledSchema;
use muster_rules::{Context as Rules, Gallery, Schema};
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
    let sample = sample(root)?;
    for app in gallery.apps() {
        let schema = gallery.default_schema(app);
        let written = schema.to_json();
        if Schema::from_json(&written).map(|again| again.to_json()) != Ok(written) {
            problems.push(format!(
                "{}: written, read and written again it differs",
                app.id
            ));
        }
        match schema.compile() {
            Ok(compiled) => problems.extend(unmapped(&app.id, &compiled, &sample)),
            Err(found) => problems.extend(
                found
                    .iter()
                    .take(SHOWN)
                    .map(|problem| format!("{}: {}: {}", app.id, problem.pointer, problem.message)),
            ),
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

/// The sample directory, as mappings see it.
struct Sample {
    users: Vec<Attributes>,
    groups: Vec<Attributes>,
}

fn sample(root: &Path) -> Result<Sample> {
    Ok(Sample {
        users: objects(root, "users.csv")?,
        groups: objects(root, "groups.csv")?,
    })
}

fn objects(root: &Path, file: &str) -> Result<Vec<Attributes>> {
    let path = root.join("crates/cli/sample").join(file);
    let mut reader =
        csv::Reader::from_path(&path).with_context(|| format!("no {}", path.display()))?;
    let header = reader.headers()?.clone();
    let mut people = Vec::new();
    for row in reader.records() {
        let row = row?;
        let mut person = Attributes::new();
        for (name, value) in header
            .iter()
            .zip(&row)
            .filter(|(_, value)| !value.is_empty())
        {
            person.set(name, value);
        }
        // What the directory and the engine add.
        person.set("IsSoftDeleted", false);
        person.set("appRoleAssignments", vec![role()]);
        people.push(person);
    }
    Ok(people)
}

fn role() -> muster_model::Value {
    let mut role = Attributes::new();
    for name in ["id", "value", "displayName"] {
        role.set(name, "User");
    }
    muster_model::Value::Object(role)
}

/// People and groups for whom a default mapping has no result.
fn unmapped(app: &str, schema: &CompiledSchema, sample: &Sample) -> Vec<String> {
    let context = Rules::at(Timestamp::from_micros(1_704_067_200_000_000));
    let users = sample.users.iter().map(|user| (&schema.user, user));
    let groups = schema.group.iter();
    let groups = groups.flat_map(|mapping| sample.groups.iter().map(move |group| (mapping, group)));
    let wrong = users.chain(groups).filter_map(|(mapping, object)| {
        let problem = mapping.evaluate(object, &context).err()?;
        let who = object.text("userPrincipalName");
        let who = who
            .or_else(|| object.text("displayName"))
            .unwrap_or_default();
        Some(format!("{app}: {who}: {problem}"))
    });
    wrong.take(SHOWN).collect()
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
