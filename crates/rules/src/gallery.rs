//! The gallery: applications that are known in advance, and the schema that each starts with.

mod definitions;
mod rows;

use serde::Deserialize;

use crate::schema::Schema;
use crate::suggest::closest;
use crate::types::TargetType;
use rows::{DefaultMappings, Row};

/// How many names are suggested when an application is not found.
const MAX_SUGGESTIONS: usize = 5;

/// The gallery and its default mappings.
#[derive(Debug)]
pub struct Gallery {
    apps: Vec<GalleryApp>,
    defaults: DefaultMappings,
}

/// An application of the gallery.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GalleryApp {
    /// Its short name, part of addresses.
    pub id: String,
    /// Shown to people.
    pub display_name: String,
    /// Other names that people look for.
    #[serde(default)]
    pub aliases: Vec<String>,
    /// Who makes it.
    #[serde(default)]
    pub publisher: String,
    /// What it is for.
    pub categories: Vec<String>,
    /// What it does, in one sentence.
    pub description: String,
    /// `SCIM2`, or `other` for an API of its own.
    pub protocol: String,
    /// The version of SCIM, where it is not 2.0.
    pub scim_version: Option<String>,
    /// Pattern of its address; what stands in braces is to be filled in.
    pub tenant_url: String,
    /// The pattern is general knowledge and was not read in the documentation.
    #[serde(default)]
    pub tenant_url_inferred: bool,
    /// What to know about the address.
    pub tenant_url_note: Option<String>,
    /// `bearerToken`, `oauth2AuthorizationCode`, `oauth2ClientCredentials` or `basic`.
    pub authentication: String,
    /// Where tokens are issued.
    pub token_endpoint: Option<String>,
    /// Where to find the token in the application.
    pub token_hint: String,
    /// The form for the credentials, in order.
    pub credential_fields: Vec<CredentialField>,
    /// Does it take users?
    pub supports_users: bool,
    /// Does it take groups?
    pub supports_groups: bool,
    /// `true`, `false` or `"unknown"`.
    sso_supported: serde_json::Value,
    /// What it knows about a user, in the documented order.
    pub user_attributes: Vec<AppAttribute>,
    /// What it knows about a group, in the documented order.
    pub group_attributes: Vec<AppAttribute>,
    #[serde(default)]
    user_mappings: Vec<Row>,
    #[serde(default)]
    group_mappings: Vec<Row>,
    /// What its documentation says it can do.
    pub capabilities: Capabilities,
    /// What an administrator should know.
    pub limitations: Vec<String>,
    /// Where the facts come from.
    pub source: String,
}

/// A field of the form for the credentials.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialField {
    /// Its name, such as `tenantUrl` or `secretToken`.
    pub name: String,
    /// Its label.
    pub label: String,
    /// `url`, `secret`, `text` or `action`.
    pub kind: String,
    /// Must it be filled in?
    pub required: bool,
    /// What to put into it at first.
    pub prefill: Option<String>,
    /// What the application itself calls the value.
    pub vendor_label: Option<String>,
}

/// An attribute that an application knows.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppAttribute {
    /// Its SCIM path, or its name in the application's own API.
    pub name: String,
    /// Its type, by name.
    #[serde(rename = "type")]
    kind: String,
    /// Can objects be found by it?
    pub matching: bool,
    /// Does the application refuse objects without it?
    #[serde(default)]
    pub required: bool,
}

impl AppAttribute {
    /// Its type.
    pub fn kind(&self) -> TargetType {
        TargetType::find(&self.kind).unwrap_or_default()
    }
}

/// What an application's documentation says it can do.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Capabilities {
    /// New accounts.
    pub create: bool,
    /// Changes.
    pub update: bool,
    /// Taking access away.
    pub deactivate: bool,
    /// Removing accounts.
    pub delete: bool,
    /// Groups and their members.
    pub groups: bool,
    /// Reading what is there.
    pub import: bool,
}

/// The gallery's data cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {file}: {message}")]
pub struct GalleryError {
    /// Which of the texts.
    pub file: &'static str,
    /// What is wrong with it.
    pub message: String,
}

/// There is no such application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppNotFound {
    /// What was looked for.
    pub name: String,
    /// Display names that come near.
    pub suggestions: Vec<String>,
}

impl std::fmt::Display for AppNotFound {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the gallery has no application `{}`", self.name)?;
        if let Some((first, rest)) = self.suggestions.split_first() {
            write!(f, "; did you mean {first}")?;
            for suggestion in rest {
                write!(f, ", {suggestion}")?;
            }
            f.write_str("?")?;
        }
        Ok(())
    }
}

impl std::error::Error for AppNotFound {}

impl GalleryApp {
    /// Can people sign in through the directory? `None` when the documentation does not say.
    pub fn sso_supported(&self) -> Option<bool> {
        self.sso_supported.as_bool()
    }

    /// Is it reached by SCIM 2.0?
    pub fn is_scim2(&self) -> bool {
        self.protocol == "SCIM2"
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        [self.id.as_str(), &self.display_name]
            .into_iter()
            .chain(self.aliases.iter().map(String::as_str))
    }
}

impl Gallery {
    /// Reads the two texts of the gallery: `apps.json` and `default-mappings.json`.
    pub fn parse(apps: &str, default_mappings: &str) -> Result<Self, GalleryError> {
        let problem = |file| {
            move |error: serde_json::Error| GalleryError {
                file,
                message: error.to_string(),
            }
        };
        Ok(Self {
            apps: serde_json::from_str(apps).map_err(problem("apps.json"))?,
            defaults: serde_json::from_str(default_mappings)
                .map_err(problem("default-mappings.json"))?,
        })
    }

    /// All applications, in the order of the data.
    pub fn apps(&self) -> &[GalleryApp] {
        &self.apps
    }

    /// The application with that id, display name or alias, ignoring case.
    pub fn find(&self, name: &str) -> Result<&GalleryApp, AppNotFound> {
        let wanted = name.trim().to_lowercase();
        let found = self
            .apps
            .iter()
            .find(|app| app.names().any(|known| known.to_lowercase() == wanted));
        found.ok_or_else(|| AppNotFound {
            name: name.trim().to_owned(),
            suggestions: self.suggestions(name),
        })
    }

    fn suggestions(&self, name: &str) -> Vec<String> {
        let near = closest(name.trim(), self.apps.iter().flat_map(GalleryApp::names));
        let mut suggestions: Vec<String> = self
            .apps
            .iter()
            .filter(|app| near.is_some_and(|near| app.names().any(|known| known == near)))
            .chain(self.search(name))
            .map(|app| app.display_name.clone())
            .collect();
        let mut seen = std::collections::HashSet::new();
        suggestions.retain(|name| seen.insert(name.clone()));
        suggestions.truncate(MAX_SUGGESTIONS);
        suggestions
    }

    /// Applications in whose names, publisher or categories every word of the text occurs; those
    /// whose name begins with the text come first. An empty text finds all.
    pub fn search(&self, text: &str) -> Vec<&GalleryApp> {
        let text = text.trim().to_lowercase();
        let mut found: Vec<(bool, &GalleryApp)> = self
            .apps
            .iter()
            .filter_map(|app| {
                let mut all = app.names().collect::<Vec<_>>().join("\n");
                all.push('\n');
                all.push_str(&app.publisher);
                all.push('\n');
                all.push_str(&app.categories.join("\n"));
                let all = all.to_lowercase();
                text.split_whitespace()
                    .all(|word| all.contains(word))
                    .then(|| {
                        let first = app
                            .names()
                            .any(|known| known.to_lowercase().starts_with(&text));
                        (!first, app)
                    })
            })
            .collect();
        found.sort_by_key(|(later, _)| *later);
        found.into_iter().map(|(_, app)| app).collect()
    }

    /// The schema that an application of the gallery starts with: its own mappings, else the
    /// default ones for what it supports.
    pub fn default_schema(&self, app: &GalleryApp) -> Schema {
        let user = if app.user_mappings.is_empty() {
            self.defaults.user_rows(&app.user_attributes)
        } else {
            app.user_mappings.clone()
        };
        let group = match (app.supports_groups, app.group_mappings.is_empty()) {
            (false, _) => Vec::new(),
            (true, true) => self.defaults.group_rows(&app.group_attributes),
            (true, false) => app.group_mappings.clone(),
        };
        definitions::schema(&definitions::Template {
            id: &app.id,
            display_name: &app.display_name,
            user_object: &self.defaults.user.object_mapping.target,
            group_object: &self.defaults.group.object_mapping.target,
            user_attributes: &app.user_attributes,
            group_attributes: &app.group_attributes,
            user_rows: &user,
            group_rows: &group,
        })
    }

    /// The schema of an application that is reached over SCIM and is not in the gallery (3.6).
    pub fn custom_app_schema(&self, display_name: &str) -> Schema {
        let (user, optional, group) = self.defaults.targets();
        let known: Vec<AppAttribute> = user.iter().chain(&optional).cloned().collect();
        definitions::schema(&definitions::Template {
            id: "custom",
            display_name,
            user_object: &self.defaults.user.object_mapping.target,
            group_object: &self.defaults.group.object_mapping.target,
            user_attributes: &known,
            group_attributes: &group,
            user_rows: &self.defaults.user_rows(&user),
            group_rows: &self.defaults.group_rows(&group),
        })
    }
}

#[cfg(test)]
mod tests;
