//! The default mappings, and which of them an application starts with.

use serde::Deserialize;

use super::AppAttribute;
use crate::types::TargetType;

/// The text `default-mappings.json`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct DefaultMappings {
    pub(super) user: ObjectRows,
    pub(super) group: ObjectRows,
    optional_user_mappings: Vec<Row>,
    matching_variants: Vec<Variant>,
}

/// The mappings of one kind of object.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ObjectRows {
    pub(super) object_mapping: ObjectNames,
    mappings: Vec<Row>,
}

/// What the target calls a kind of object.
#[derive(Debug, Deserialize)]
pub(super) struct ObjectNames {
    pub(super) target: String,
}

/// One mapping.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) target: String,
    pub(super) target_type: Option<String>,
    pub(super) source: Option<String>,
    pub(super) expression: Option<String>,
    pub(super) matching_precedence: Option<u32>,
    #[serde(default)]
    pub(super) apply: String,
}

/// A mapping to use when its target serves for matching.
#[derive(Debug, Deserialize)]
struct Variant {
    when: String,
    mapping: Row,
}

impl Row {
    /// A row that only serves to find objects.
    fn direct(target: &str, source: &str) -> Self {
        Self {
            target: target.to_owned(),
            source: Some(source.to_owned()),
            ..Self::default()
        }
    }

    fn attribute(&self) -> AppAttribute {
        AppAttribute {
            name: self.target.clone(),
            kind: self.target_type.clone().unwrap_or_default(),
            matching: self.matching_precedence.is_some(),
            required: false,
        }
    }
}

impl DefaultMappings {
    /// The rows for users of an application that supports these attributes.
    pub(super) fn user_rows(&self, supported: &[AppAttribute]) -> Vec<Row> {
        let rows = self
            .user
            .mappings
            .iter()
            .chain(&self.optional_user_mappings);
        self.restricted(rows, supported, "user", user_source)
    }

    /// The rows for groups of an application that supports these attributes.
    pub(super) fn group_rows(&self, supported: &[AppAttribute]) -> Vec<Row> {
        self.restricted(self.group.mappings.iter(), supported, "group", group_source)
    }

    /// All targets of the default rows: of users, of the optional rows, of groups.
    pub(super) fn targets(&self) -> (Vec<AppAttribute>, Vec<AppAttribute>, Vec<AppAttribute>) {
        let of = |rows: &[Row]| rows.iter().map(Row::attribute).collect();
        (
            of(&self.user.mappings),
            of(&self.optional_user_mappings),
            of(&self.group.mappings),
        )
    }

    /// The rows whose target is supported. What can be matched on is matched on, in the order of
    /// the application; a target that no row has gets one when objects are found by it.
    fn restricted<'r>(
        &'r self,
        rows: impl Iterator<Item = &'r Row>,
        supported: &[AppAttribute],
        object: &str,
        source: impl Fn(&str) -> &'static str,
    ) -> Vec<Row> {
        let mut rows: Vec<Row> = rows
            .filter(|row| supported.iter().any(|known| known.name == row.target))
            .filter(|row| row.source.is_some() || row.expression.is_some())
            .cloned()
            .collect();
        for row in &mut rows {
            row.matching_precedence = None;
        }
        let matching = supported
            .iter()
            .filter(|known| known.matching && known.kind() == TargetType::String);
        for (precedence, attribute) in (1..).zip(matching) {
            let variant = self.matching_variants.iter().find(|variant| {
                variant.mapping.target == attribute.name
                    && (variant.when.ends_with(object) || !variant.when.contains(" on the "))
            });
            let at = rows.iter().position(|row| row.target == attribute.name);
            let chosen = match (variant, at) {
                (Some(variant), Some(at)) => {
                    rows[at] = variant.mapping.clone();
                    &mut rows[at]
                }
                (None, Some(at)) => &mut rows[at],
                (variant, None) => {
                    rows.push(variant.map_or_else(
                        || Row::direct(&attribute.name, source(&attribute.name)),
                        |variant| variant.mapping.clone(),
                    ));
                    let last = rows.len() - 1;
                    &mut rows[last]
                }
            };
            chosen.matching_precedence = Some(precedence);
        }
        rows
    }
}

/// What finds a user in an application with names of its own: almost always the sign-in name.
fn user_source(target: &str) -> &'static str {
    if target.to_lowercase().contains("externalid") {
        "objectId"
    } else {
        "userPrincipalName"
    }
}

/// What finds a group in an application with names of its own.
fn group_source(target: &str) -> &'static str {
    if target.to_lowercase().contains("mail") {
        "mail"
    } else {
        "displayName"
    }
}
