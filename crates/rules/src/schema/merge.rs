//! What clients leave out of a document that they save, and what must not be lost by that.

use serde_json::Value as Json;

/// Members of a directory that only we set.
const OURS: [&str; 4] = [
    "discoverabilities",
    "readOnly",
    "discoveryDateTime",
    "version",
];

/// Fills in from the stored document: absent top-level parts, what we set in a directory of the
/// same id or name, and the target object actions of a mapping of the same rule id and name.
pub(super) fn fill_in(json: &mut Json, stored: &Json) {
    let Some(members) = json.as_object_mut() else {
        return;
    };
    for part in ["directories", "synchronizationRules"] {
        if !members.contains_key(part) {
            members.insert(part.to_owned(), stored[part].clone());
        }
    }
    for directory in list(json, "directories") {
        let same = |known: &&Json| {
            (directory["id"].is_string() && known["id"] == directory["id"])
                || known["name"] == directory["name"]
        };
        if let Some(known) = stored["directories"]
            .as_array()
            .and_then(|directories| directories.iter().find(same))
        {
            copy(directory, known, &OURS);
            copy(directory, known, &["id"]);
        }
    }
    for rule in list(json, "synchronizationRules") {
        let Some(known) = stored["synchronizationRules"]
            .as_array()
            .and_then(|rules| rules.iter().find(|known| known["id"] == rule["id"]))
        else {
            continue;
        };
        for mapping in list(rule, "objectMappings") {
            if let Some(known) = known["objectMappings"]
                .as_array()
                .and_then(|all| all.iter().find(|known| known["name"] == mapping["name"]))
            {
                copy(mapping, known, &["flowTypes"]);
            }
        }
    }
}

fn list<'j>(json: &'j mut Json, name: &str) -> impl Iterator<Item = &'j mut Json> {
    json.get_mut(name)
        .and_then(Json::as_array_mut)
        .into_iter()
        .flatten()
}

/// Copies members that are absent.
fn copy(to: &mut Json, from: &Json, names: &[&str]) {
    if let Some(members) = to.as_object_mut() {
        for name in names {
            if !members.contains_key(*name)
                && let Some(value) = from.get(*name)
            {
                members.insert((*name).to_owned(), value.clone());
            }
        }
    }
}
