//! A filter prepared for one resource type, and its walk over a document.

use serde_json::Value;

use super::check::Check;
use super::{Filter, Predicate};
use crate::Map;
use crate::attr_path::{AttrPath, Located};
use crate::error::ScimError;
use crate::schema::{Attribute, AttributeType, Attributes, ResourceType};
use crate::text::find_member;

/// A filter with its attributes looked up and its literals prepared; made by [`Filter::compile`].
///
/// It reads documents in canonical form. Attributes that the provider keeps elsewhere (`id`, `meta`, `members`,
/// `groups`) must be put into the document first when the filter [mentions](Filter::mentions) them.
#[derive(Debug)]
pub struct Matcher<'a> {
    node: Node<'a>,
}

/// Where the names of a filter are looked up.
pub(crate) enum Scope<'a> {
    /// The attributes of a resource type.
    Resource(&'a ResourceType),
    /// The sub-attributes of a complex attribute.
    Element(&'a Attributes),
    /// Nowhere: another server's documents, whose schema we do not have.
    Loose,
}

#[derive(Debug)]
enum Node<'a> {
    /// About an attribute that does not exist. It swallows `and` and `not`, so that the filter matches nothing.
    Never,
    Test(Place<'a>, Leaf<'a>),
    Element {
        place: Place<'a>,
        inner: Box<Node<'a>>,
        then: Option<Leaf<'a>>,
    },
    And(Vec<Node<'a>>),
    Or(Vec<Node<'a>>),
    Not(Box<Node<'a>>),
}

/// Where an attribute sits in a document.
#[derive(Debug)]
struct Place<'a> {
    extension: Option<&'a str>,
    name: &'a str,
    loose: bool,
}

/// What is tested there.
#[derive(Debug)]
struct Leaf<'a> {
    /// The sub-attribute; of a complex attribute without one, its `value`.
    sub: Option<&'a str>,
    /// Whether the test is about the attribute as a whole.
    whole: bool,
    /// A missing `primary` counts as false (profile section 6.2).
    absent_is_false: bool,
    loose: bool,
    check: Check<'a>,
}

impl<'a> Matcher<'a> {
    pub(crate) fn compile(filter: &'a Filter, scope: &Scope<'a>) -> Result<Self, ScimError> {
        Ok(Self {
            node: compile(filter, scope)?,
        })
    }

    /// Whether a document, or one element of a multi-valued attribute, meets the filter.
    pub fn matches(&self, document: &Map) -> bool {
        self.node.matches(document)
    }

    /// Whether the filter is known to match no document of this type.
    pub fn is_never(&self) -> bool {
        matches!(self.node, Node::Never)
    }
}

fn compile<'a>(filter: &'a Filter, scope: &Scope<'a>) -> Result<Node<'a>, ScimError> {
    match filter {
        Filter::Test(path, predicate) => compile_test(path, predicate, scope),
        Filter::Element {
            attribute,
            filter,
            then,
        } => compile_element(attribute, filter, then.as_ref(), scope),
        Filter::And(parts) => {
            let nodes = compile_all(parts, scope)?;
            let never = nodes.iter().any(|node| matches!(node, Node::Never));
            Ok(if never { Node::Never } else { Node::And(nodes) })
        }
        Filter::Or(parts) => {
            let mut nodes = compile_all(parts, scope)?;
            nodes.retain(|node| !matches!(node, Node::Never));
            Ok(if nodes.is_empty() {
                Node::Never
            } else {
                Node::Or(nodes)
            })
        }
        Filter::Not(inner) => Ok(match compile(inner, scope)? {
            Node::Never => Node::Never,
            node => Node::Not(Box::new(node)),
        }),
    }
}

fn compile_all<'a>(parts: &'a [Filter], scope: &Scope<'a>) -> Result<Vec<Node<'a>>, ScimError> {
    parts.iter().map(|part| compile(part, scope)).collect()
}

fn compile_test<'a>(
    path: &'a AttrPath,
    predicate: &'a Predicate,
    scope: &Scope<'a>,
) -> Result<Node<'a>, ScimError> {
    match scope {
        Scope::Resource(kind) => {
            let Some(Located::Attribute {
                extension,
                attribute,
                sub,
            }) = path.locate(kind)
            else {
                return Ok(Node::Never);
            };
            if attribute.is_secret() || sub.is_some_and(Attribute::is_secret) {
                return Ok(Node::Never);
            }
            let place = Place {
                extension: extension.map(|schema| schema.id.as_str()),
                name: &attribute.name,
                loose: false,
            };
            Ok(Node::Test(place, Leaf::of(attribute, sub, predicate)?))
        }
        Scope::Element(attributes) => {
            let found = if path.urn().is_none() {
                attributes.find(path.name())
            } else {
                None
            };
            match found {
                Some(attribute) if path.sub().is_none() => {
                    let place = Place {
                        extension: None,
                        name: &attribute.name,
                        loose: false,
                    };
                    Ok(Node::Test(place, Leaf::of(attribute, None, predicate)?))
                }
                _ => Ok(Node::Never),
            }
        }
        Scope::Loose => {
            let extension = if path.has_core_urn() {
                None
            } else {
                path.urn()
            };
            let place = Place {
                extension,
                name: path.name(),
                loose: true,
            };
            let mut leaf = Leaf::loose(path.sub(), predicate)?;
            leaf.absent_is_false |= path.sub().is_none() && is_primary(path.name());
            Ok(Node::Test(place, leaf))
        }
    }
}

fn compile_element<'a>(
    path: &'a AttrPath,
    filter: &'a Filter,
    then: Option<&'a (Box<str>, Predicate)>,
    scope: &Scope<'a>,
) -> Result<Node<'a>, ScimError> {
    let (place, inner, then) = match scope {
        Scope::Resource(kind) => {
            let Some(Located::Attribute {
                extension,
                attribute,
                ..
            }) = path.locate(kind)
            else {
                return Ok(Node::Never);
            };
            if attribute.is_secret() {
                return Ok(Node::Never);
            }
            let inner = compile(filter, &Scope::Element(&attribute.sub_attributes))?;
            let then = match then {
                None => None,
                Some((name, predicate)) => match attribute.sub_attributes.find(name) {
                    Some(sub) => Some(Leaf::of(attribute, Some(sub), predicate)?),
                    None => return Ok(Node::Never),
                },
            };
            let extension = extension.map(|schema| schema.id.as_str());
            (
                Place {
                    extension,
                    name: &attribute.name,
                    loose: false,
                },
                inner,
                then,
            )
        }
        Scope::Element(_) => return Ok(Node::Never),
        Scope::Loose => {
            let extension = if path.has_core_urn() {
                None
            } else {
                path.urn()
            };
            let then = match then {
                None => None,
                Some((name, predicate)) => Some(Leaf::loose(Some(name), predicate)?),
            };
            (
                Place {
                    extension,
                    name: path.name(),
                    loose: true,
                },
                compile(filter, scope)?,
                then,
            )
        }
    };
    if matches!(inner, Node::Never) {
        return Ok(Node::Never);
    }
    Ok(Node::Element {
        place,
        inner: Box::new(inner),
        then,
    })
}

impl<'a> Leaf<'a> {
    fn of(
        attribute: &'a Attribute,
        sub: Option<&'a Attribute>,
        predicate: &'a Predicate,
    ) -> Result<Self, ScimError> {
        let target = match sub {
            Some(sub) => sub,
            // A complex attribute stands for its value; whether it is there at all is asked of the whole.
            None if attribute.kind == AttributeType::Complex && !asks_presence(predicate) => {
                attribute.sub_attributes.find("value").unwrap_or(attribute)
            }
            None => attribute,
        };
        let check = if asks_presence(predicate) {
            Check::loose(predicate)?
        } else {
            Check::compile(target, predicate)?
        };
        let is_part = !std::ptr::eq(target, attribute);
        Ok(Self {
            sub: is_part.then_some(target.name.as_str()),
            whole: !is_part && asks_presence(predicate),
            absent_is_false: target.kind == AttributeType::Boolean && is_primary(&target.name),
            loose: false,
            check,
        })
    }

    fn loose(sub: Option<&'a str>, predicate: &'a Predicate) -> Result<Self, ScimError> {
        Ok(Self {
            sub,
            whole: sub.is_none() && asks_presence(predicate),
            absent_is_false: sub.is_some_and(is_primary),
            loose: true,
            check: Check::loose(predicate)?,
        })
    }

    /// Tests one value of the attribute, which is a whole list only for tests of presence.
    fn holds(&self, value: Option<&Value>) -> bool {
        let part = match (value, self.sub) {
            (Some(Value::Object(map)), Some(sub)) => fetch(map, sub, self.loose),
            (Some(Value::Object(map)), None) if !self.whole && self.loose => {
                fetch(map, "value", true).or(value)
            }
            // An element that is not an object stands for its own value.
            (Some(_), Some(sub)) if !sub.eq_ignore_ascii_case("value") => None,
            _ => value,
        };
        let is_element = value.is_some() || self.sub.is_none();
        if part.is_none() && self.absent_is_false && is_element {
            return !matches!(self.check, Check::Present)
                && self.check.holds(Some(&Value::Bool(false)));
        }
        self.check.holds(part)
    }
}

fn asks_presence(predicate: &Predicate) -> bool {
    matches!(
        predicate,
        Predicate::Present | Predicate::Compare(_, super::Literal::Null)
    )
}

fn is_primary(name: &str) -> bool {
    name.eq_ignore_ascii_case("primary")
}

fn fetch<'m>(map: &'m Map, name: &str, loose: bool) -> Option<&'m Value> {
    if loose {
        find_member(map, name)
    } else {
        map.get(name)
    }
}

impl Place<'_> {
    fn find<'m>(&self, document: &'m Map) -> Option<&'m Value> {
        let map = match self.extension {
            Some(urn) => fetch(document, urn, self.loose)?.as_object()?,
            None => document,
        };
        fetch(map, self.name, self.loose)
    }
}

impl Node<'_> {
    fn matches(&self, document: &Map) -> bool {
        match self {
            Node::Never => false,
            Node::And(nodes) => nodes.iter().all(|node| node.matches(document)),
            Node::Or(nodes) => nodes.iter().any(|node| node.matches(document)),
            Node::Not(node) => !node.matches(document),
            Node::Test(place, leaf) => match place.find(document) {
                Some(Value::Array(items)) if !leaf.whole && !items.is_empty() => {
                    items.iter().any(|item| leaf.holds(Some(item)))
                }
                Some(Value::Array(items)) if items.is_empty() => leaf.holds(None),
                value => leaf.holds(value),
            },
            Node::Element { place, inner, then } => {
                let meets = |item: &Value| {
                    item.as_object()
                        .is_some_and(|element| inner.matches(element))
                        && then.as_ref().is_none_or(|leaf| leaf.holds(Some(item)))
                };
                match place.find(document) {
                    Some(Value::Array(items)) => items.iter().any(meets),
                    Some(value) => meets(value),
                    None => false,
                }
            }
        }
    }
}
