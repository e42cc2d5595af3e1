//! Paths of PATCH operations and of attribute mappings: finding a value, and building the shape that holds it (RFC 7644 section 3.5.2).

#[cfg(test)]
mod tests;

use std::fmt;

use serde_json::Value;

use crate::Map;
use crate::attr_path::{AttrPath, Located, is_name};
use crate::error::ScimError;
use crate::filter::{Filter, Literal, MAX_LENGTH, Matcher, Scope, parse_selector};
use crate::schema::ResourceType;
use crate::text::{find_key, find_member, shown};

/// A path: `userName`, `name.givenName`, `emails[type eq "work"].value`, or any of these behind a URN.
///
/// Reading, [`Path::get`] and [`Path::set`] need no schema, so a client can use paths into targets that it knows
/// nothing about.
#[derive(Debug, Clone, PartialEq)]
pub struct Path {
    attribute: AttrPath,
    selector: Option<Box<Filter>>,
    /// The sub-attribute behind the brackets; without brackets it is in `attribute`.
    sub: Option<Box<str>>,
}

impl Path {
    /// Reads a path; a broken value filter is `invalidFilter`, anything else `invalidPath`.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        let text = text.trim();
        let broken = |why: &str| ScimError::invalid_path(format!("path {:?}: {why}", shown(text)));
        let Some(bracket) = text.find('[') else {
            let attribute = AttrPath::parse(text).map_err(|error| broken(&error.to_string()))?;
            return Ok(Self {
                attribute,
                selector: None,
                sub: None,
            });
        };
        if text.len() > MAX_LENGTH {
            return Err(broken("too long"));
        }
        let attribute =
            AttrPath::parse(&text[..bracket]).map_err(|error| broken(&error.to_string()))?;
        if attribute.name().is_empty() || attribute.sub().is_some() {
            return Err(broken("brackets follow an attribute"));
        }
        let (filter, close) = parse_selector(text, bracket + 1)?;
        let sub = match &text[close + 1..] {
            "" => None,
            rest => match rest.strip_prefix('.') {
                Some(sub) if is_name(sub) => Some(sub.into()),
                _ => return Err(broken("a sub-attribute is expected after the bracket")),
            },
        };
        Ok(Self {
            attribute,
            selector: Some(Box::new(filter)),
            sub,
        })
    }

    /// The part in front of the brackets.
    pub fn attribute(&self) -> &AttrPath {
        &self.attribute
    }

    /// The value filter.
    pub fn selector(&self) -> Option<&Filter> {
        self.selector.as_deref()
    }

    /// The sub-attribute, with or without brackets before it.
    pub fn sub(&self) -> Option<&str> {
        self.sub.as_deref().or_else(|| self.attribute.sub())
    }

    /// Finds what the path means for a resource type, in canonical spelling; `None` when the type does not have it.
    pub fn locate<'s>(&self, kind: &'s ResourceType) -> Option<Located<'s>> {
        match (self.attribute.locate(kind)?, &self.sub) {
            (
                Located::Attribute {
                    extension,
                    attribute,
                    sub: None,
                },
                Some(name),
            ) => {
                let sub = Some(attribute.sub_attributes.find(name)?);
                Some(Located::Attribute {
                    extension,
                    attribute,
                    sub,
                })
            }
            (located, _) => Some(located),
        }
    }

    /// The same path in the schema's spelling, core URNs left out.
    pub fn canonical(&self, kind: &ResourceType) -> Option<Self> {
        let text = match self.locate(kind)? {
            Located::Resource => kind.schema.id.clone(),
            Located::Extension(schema) => schema.id.clone(),
            Located::Attribute {
                extension,
                attribute,
                sub,
            } => {
                let mut text =
                    extension.map_or_else(String::new, |schema| format!("{}:", schema.id));
                text.push_str(&attribute.name);
                if let Some(filter) = &self.selector {
                    text = format!("{text}[{filter}]");
                }
                if let Some(sub) = sub {
                    text.push('.');
                    text.push_str(&sub.name);
                }
                text
            }
        };
        Self::parse(&text).ok()
    }

    /// Reads the value from a document of any server; names ignore case.
    ///
    /// Of several matching elements the first counts; a sub-attribute of a list without brackets is that of the
    /// primary or else the first element.
    pub fn get<'d>(&self, document: &'d Map) -> Option<&'d Value> {
        let container = match self.attribute.urn() {
            Some(urn) if !self.attribute.has_core_urn() => find_member(document, urn)?,
            _ if self.attribute.name().is_empty() => return None,
            _ => return self.get_in(document),
        };
        if self.attribute.name().is_empty() {
            return Some(container);
        }
        self.get_in(container.as_object()?)
    }

    fn get_in<'d>(&self, map: &'d Map) -> Option<&'d Value> {
        let value = find_member(map, self.attribute.name())?;
        let value = match self.selector() {
            Some(filter) => {
                let matcher = Matcher::compile(filter, &Scope::Loose).ok()?;
                elements(value)
                    .find(|item| item.as_object().is_some_and(|map| matcher.matches(map)))?
            }
            None => value,
        };
        match (self.sub(), value) {
            (None, value) => Some(value),
            (Some(sub), Value::Array(items)) => {
                let item = items
                    .iter()
                    .find(|item| is_primary(item))
                    .or_else(|| items.first())?;
                find_member(item.as_object()?, sub)
            }
            (Some(sub), value) => find_member(value.as_object()?, sub),
        }
    }

    /// Puts a value into a document, building what is missing on the way (provisioning reference 3.5).
    ///
    /// An element that has to be built gets the equalities of the value filter, so `emails[type eq "work"].value`
    /// makes an element of type work; a work e-mail built this way becomes primary when no other is, as in the
    /// documented creates. A filter that is not made of equalities cannot build an element: `noTarget`.
    pub fn set(&self, document: &mut Map, value: Value) -> Result<(), ScimError> {
        let map = match self.attribute.urn() {
            Some(urn) if !self.attribute.has_core_urn() => {
                if self.attribute.name().is_empty() {
                    *entry(document, urn) = value;
                    return Ok(());
                }
                object(entry(document, urn))
            }
            _ => document,
        };
        if self.attribute.name().is_empty() {
            return Err(ScimError::invalid_path(
                "a resource cannot be set as a whole",
            ));
        }
        if let Some(filter) = self.selector() {
            return self.set_element(map, filter, value);
        }
        set_plain(entry(map, self.attribute.name()), self.sub(), value);
        Ok(())
    }

    fn set_element(&self, map: &mut Map, filter: &Filter, value: Value) -> Result<(), ScimError> {
        let matcher = Matcher::compile(filter, &Scope::Loose)?;
        let is_emails = self.attribute.name().eq_ignore_ascii_case("emails");
        let list = array(entry(map, self.attribute.name()));
        let found = list.iter().position(|item| {
            item.as_object()
                .is_some_and(|element| matcher.matches(element))
        });
        let at = if let Some(at) = found {
            at
        } else {
            let mut element = equalities(filter)?;
            let kind = element.get("type").and_then(Value::as_str);
            let is_work = kind.is_some_and(|kind| kind.eq_ignore_ascii_case("work"));
            if is_emails && is_work && !list.iter().any(is_primary) {
                element.insert("primary".into(), Value::Bool(true));
            }
            list.push(Value::Object(element));
            list.len() - 1
        };
        match (&self.sub, value) {
            (Some(sub), value) => *entry(object(&mut list[at]), sub) = value,
            (None, Value::Object(parts)) => object(&mut list[at]).extend(parts),
            (None, value) => *entry(object(&mut list[at]), "value") = value,
        }
        Ok(())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.attribute)?;
        if let Some(filter) = &self.selector {
            write!(f, "[{filter}]")?;
        }
        if let Some(sub) = &self.sub {
            write!(f, ".{sub}")?;
        }
        Ok(())
    }
}

impl std::str::FromStr for Path {
    type Err = ScimError;

    fn from_str(text: &str) -> Result<Self, ScimError> {
        Self::parse(text)
    }
}

/// The element that a value filter describes, when it is made of equalities joined by `and`.
///
/// The literal `"True"` of `primary` becomes a boolean, since Entra writes it as text (profile section 12.3).
pub(crate) fn equalities(filter: &Filter) -> Result<Map, ScimError> {
    let undescribed = || {
        ScimError::no_target(format!(
            "nothing matches [{}], and it does not describe a new element",
            shown(&filter.to_string())
        ))
    };
    let mut element = Map::new();
    for part in filter.parts() {
        let Some((name, literal)) = part.as_equality() else {
            return Err(undescribed());
        };
        let value = match literal {
            _ if name.eq_ignore_ascii_case("primary") => {
                Value::Bool(literal.as_boolean().ok_or_else(undescribed)?)
            }
            Literal::Text(text) => Value::from(text.as_str()),
            Literal::Number(number) => Value::Number(number.clone()),
            Literal::Bool(bool) => Value::Bool(*bool),
            Literal::Null => continue,
        };
        element.insert(name.to_owned(), value);
    }
    Ok(element)
}

/// The elements of a list; an object alone counts as a list of one, as some servers send it.
fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    match value {
        Value::Array(items) => items.iter(),
        other => std::slice::from_ref(other).iter(),
    }
}

pub(crate) fn is_primary(item: &Value) -> bool {
    item.as_object()
        .and_then(|map| find_member(map, "primary"))
        .and_then(crate::text::boolean)
        .unwrap_or(false)
}

fn set_plain(slot: &mut Value, sub: Option<&str>, value: Value) {
    match (sub, slot) {
        (None, slot) => *slot = value,
        (Some(sub), Value::Array(items)) => {
            if items.is_empty() {
                items.push(Value::Object(Map::new()));
            }
            let at = items.iter().position(is_primary).unwrap_or(0);
            *entry(object(&mut items[at]), sub) = value;
        }
        (Some(sub), slot) => *entry(object(slot), sub) = value,
    }
}

/// The member of that name in any case, made when it is missing.
fn entry<'m>(map: &'m mut Map, name: &str) -> &'m mut Value {
    let key = find_key(map, name).unwrap_or(name).to_owned();
    map.entry(key).or_insert(Value::Null)
}

/// The object in a slot; anything else there gives way.
fn object(slot: &mut Value) -> &mut Map {
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    match slot {
        Value::Object(map) => map,
        _ => unreachable!("made an object above"),
    }
}

/// The list in a slot; a single object becomes its first element.
fn array(slot: &mut Value) -> &mut Vec<Value> {
    if !slot.is_array() {
        let first = slot.take();
        *slot = Value::Array(if first.is_object() {
            vec![first]
        } else {
            Vec::new()
        });
    }
    match slot {
        Value::Array(items) => items,
        _ => unreachable!("made an array above"),
    }
}
