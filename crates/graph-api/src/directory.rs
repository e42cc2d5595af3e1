//! Users and groups as the API shows them, and what somebody may say of them (chapter 6).

use http::StatusCode;
use muster_app::{AppError, told};
use muster_model::directory::{Group, Kind as Of, User};
use muster_model::{Attributes, ObjectId, Value};
use serde_json::{Map, Value as Json, json};

use crate::answer::Fault;
use crate::shape::{GROUP, Kind, Shape, USER};

/// A user with all properties that have a value.
pub(crate) fn user_object(user: &User) -> Map<String, Json> {
    let mut object = Map::new();
    object.insert("id".to_owned(), user.id.to_string().into());
    let name = user.user_principal_name.as_str();
    object.insert("userPrincipalName".to_owned(), name.into());
    object.insert("accountEnabled".to_owned(), user.account_enabled.into());
    let (mut extensions, mut organization) = (Map::new(), Map::new());
    for (name, value) in &user.attributes {
        let (name, value) = (name.as_str(), told::value(value));
        if name.starts_with("extensionAttribute") {
            extensions.insert(name.to_owned(), value);
        } else if matches!(name, "costCenter" | "division") {
            organization.insert(name.to_owned(), value);
        } else {
            object.insert(name.to_owned(), value);
        }
    }
    if !extensions.is_empty() {
        object.insert(
            "onPremisesExtensionAttributes".to_owned(),
            extensions.into(),
        );
    }
    if !organization.is_empty() {
        object.insert("employeeOrgData".to_owned(), organization.into());
    }
    if let Some(deleted) = user.deleted {
        object.insert("deletedDateTime".to_owned(), deleted.to_string().into());
    }
    object
}

/// A group with all properties that have a value.
pub(crate) fn group_object(group: &Group) -> Map<String, Json> {
    let mut object = attributes_of(&group.attributes);
    object.insert("id".to_owned(), group.id.to_string().into());
    object.insert("displayName".to_owned(), group.display_name.as_str().into());
    object.insert("securityEnabled".to_owned(), group.security_enabled.into());
    object.entry("mailEnabled").or_insert(false.into());
    object.entry("groupTypes").or_insert_with(|| json!([]));
    let id = group.id.to_string();
    object.insert(
        "securityIdentifier".to_owned(),
        security_identifier(&id).into(),
    );
    if let Some(deleted) = group.deleted {
        object.insert("deletedDateTime".to_owned(), deleted.to_string().into());
    }
    object
}

fn attributes_of(attributes: &Attributes) -> Map<String, Json> {
    attributes
        .iter()
        .map(|(name, value)| (name.to_owned(), told::value(value)))
        .collect()
}

/// `S-1-12-1-` and the id as four numbers.
fn security_identifier(id: &str) -> String {
    let hex: String = id.chars().filter(char::is_ascii_hexdigit).collect();
    let mut text = "S-1-12-1".to_owned();
    for at in 0..4 {
        let part = hex.get(at * 8..at * 8 + 8).unwrap_or("0");
        let number = u32::from_str_radix(part, 16).unwrap_or(0);
        text.push('-');
        text.push_str(&number.to_string());
    }
    text
}

/// What is said of a user or a group in a body: properties with their values, and references.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) set: Vec<(String, Value)>,
    /// The manager that is bound.
    pub(crate) manager: Option<String>,
    /// Members that are bound.
    pub(crate) members: Vec<ObjectId>,
    pub(crate) has_password: bool,
}

/// Members of a group that one request binds at most (6.2).
const BOUND: usize = 20;

/// Properties that nobody sets, and that clients send back all the same (2.2).
const READ_ONLY: &[&str] = &[
    "id",
    "createdDateTime",
    "deletedDateTime",
    "lastPasswordChangeDateTime",
    "securityIdentifier",
    "renewedDateTime",
    "expirationDateTime",
];

/// Reads a body about a user or a group (2.2).
pub(crate) fn read(body: &Map<String, Json>, of: Of) -> Result<Said, Fault> {
    let shape = match of {
        Of::User => &USER,
        Of::Group => &GROUP,
    };
    let mut said = Said::default();
    for (name, value) in body {
        match name.as_str() {
            "manager@odata.bind" if of == Of::User => {
                let url = value.as_str().unwrap_or_default();
                said.manager = Some(tail(url)?);
            }
            "members@odata.bind" if of == Of::Group => {
                let urls = value.as_array().filter(|urls| urls.len() <= BOUND);
                let urls = urls.ok_or_else(|| {
                    Fault::invalid(
                        name,
                        format!("a list of at most {BOUND} addresses is expected"),
                    )
                })?;
                for url in urls {
                    let id = tail(url.as_str().unwrap_or_default())?;
                    said.members.push(object_id(&id)?);
                }
            }
            // Nobody provisions by owners; they are accepted.
            "owners@odata.bind" if of == Of::Group => {}
            "passwordProfile" if of == Of::User => {
                if !value.is_object() && !value.is_null() {
                    return Err(Fault::invalid(name, "an object is expected"));
                }
                said.has_password = value["password"].is_string();
            }
            name if name.contains('@') => {}
            name if READ_ONLY.contains(&name) => {}
            "onPremisesExtensionAttributes" | "employeeOrgData" if of == Of::User => {
                said.nested(name, value, shape)?;
            }
            name => {
                let Some((_, kind)) = shape
                    .find(&[name])
                    .filter(|(path, _)| path.concat() == name)
                else {
                    return Err(Fault::bad_request(format!(
                        "One or more property values specified are invalid: there is no property '{}' on type '{}'.",
                        name.chars().take(60).collect::<String>(),
                        shape.type_name
                    )));
                };
                said.set
                    .push((name.to_owned(), value_of(name, kind, value)?));
            }
        }
    }
    Ok(said)
}

impl Said {
    fn nested(&mut self, name: &str, value: &Json, shape: &Shape) -> Result<(), Fault> {
        let prefix = format!("{name}/");
        let known = shape.properties.iter();
        let known = known.filter_map(|(it, kind)| Some((it.strip_prefix(&prefix)?, *kind)));
        match value {
            Json::Null => {
                let all = known.map(|(inner, _)| (inner.to_owned(), Value::Null));
                self.set.extend(all);
                Ok(())
            }
            Json::Object(members) => {
                let known: Vec<(&str, Kind)> = known.collect();
                for (inner, value) in members.iter().filter(|(inner, _)| !inner.contains('@')) {
                    let path = format!("{name}/{inner}");
                    let kind = known.iter().find(|(it, _)| it == inner);
                    let (_, kind) =
                        kind.ok_or_else(|| Fault::invalid(&path, "there is no such property"))?;
                    self.set
                        .push((inner.clone(), value_of(&path, *kind, value)?));
                }
                Ok(())
            }
            _ => Err(Fault::invalid(name, "an object is expected")),
        }
    }

    /// Is something said of this property, and not that it has no value?
    pub(crate) fn has(&self, name: &str) -> bool {
        self.set
            .iter()
            .any(|(it, value)| it == name && !value.is_empty())
    }
}

fn value_of(name: &str, kind: Kind, value: &Json) -> Result<Value, Fault> {
    let wrong = |what: &str| Err(Fault::invalid(name, format!("{what} is expected")));
    match (kind, value) {
        (_, Json::Null) => Ok(Value::Null),
        (Kind::Text | Kind::Guid | Kind::Time, Json::String(text)) => Ok(text.as_str().into()),
        (Kind::Text | Kind::Guid | Kind::Time, _) => wrong("a text"),
        (Kind::Bool, Json::Bool(flag)) => Ok((*flag).into()),
        (Kind::Bool, _) => wrong("true or false"),
        (Kind::Int, Json::Number(number)) if number.is_i64() => {
            Ok(number.as_i64().unwrap_or_default().into())
        }
        (Kind::Int, _) => wrong("a number"),
        (Kind::Texts, Json::Array(items)) => {
            let texts: Option<Vec<Value>> = items
                .iter()
                .map(|it| it.as_str().map(Value::from))
                .collect();
            texts.map_or_else(|| wrong("a list of texts"), |texts| Ok(Value::List(texts)))
        }
        (Kind::Texts, _) => wrong("a list of texts"),
        (Kind::Object | Kind::Objects, _) => Err(Fault::invalid(name, "it cannot be set here")),
    }
}

/// The last segment of an address of an object (4.3).
pub(crate) fn tail(url: &str) -> Result<String, Fault> {
    let wrong = || {
        Fault::bad_request(
            "Invalid URL format specified in @odata.id: it ends with directoryObjects/ID, users/ID or groups/ID.",
        )
    };
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.trim_end_matches('/');
    let last = path.rsplit('/').next().unwrap_or_default();
    let decoded = percent_encoding::percent_decode_str(last).decode_utf8();
    let last = decoded.map_err(|_| wrong())?.into_owned();
    // `users('ID')`
    if let Some((_, key)) = last.split_once("('") {
        return key.strip_suffix("')").map(str::to_owned).ok_or_else(wrong);
    }
    if last.is_empty() || !path.contains('/') {
        return Err(wrong());
    }
    Ok(last)
}

/// An id of an object.
pub(crate) fn object_id(text: &str) -> Result<ObjectId, Fault> {
    text.parse().map_err(|_| Fault::not_found(text))
}

/// A sign-in name that somebody else has.
pub(crate) fn conflict(error: AppError) -> Fault {
    match error {
        AppError::Taken(_) => {
            let message =
                "Another object with the same value for property userPrincipalName already exists.";
            let mut fault = Fault::new(StatusCode::BAD_REQUEST, "Request_BadRequest", message);
            fault.details.push((
                "ObjectConflict".to_owned(),
                "userPrincipalName".to_owned(),
                message.to_owned(),
            ));
            fault
        }
        other => other.into(),
    }
}
