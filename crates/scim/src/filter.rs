//! Filters as a tree: reading, printing, and the parts that an index can answer (RFC 7644 section 3.4.2.2).

mod check;
mod matcher;
mod parse;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt;

use serde_json::Number;

use crate::attr_path::AttrPath;
use crate::error::ScimError;
use crate::schema::ResourceType;
use crate::{Map, text};

pub use matcher::Matcher;
pub(crate) use matcher::Scope;
pub(crate) use parse::parse_selector;

/// The longest filter that is read, in bytes.
pub const MAX_LENGTH: usize = 32 * 1024;
/// How deep parentheses, `not` and brackets may nest; it bounds every walk over a filter.
pub const MAX_DEPTH: usize = 40;

/// A filter. `And` and `Or` are flat: build them with [`Filter::all`] and [`Filter::any`].
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// A test of an attribute.
    Test(AttrPath, Predicate),
    /// `emails[type eq "work"]`, also followed by a test of the same element, which Entra needs:
    /// `emails[type eq "work"].value eq "x"` (profile section 6.2).
    Element {
        /// The multi-valued attribute.
        attribute: AttrPath,
        /// What one element must meet.
        filter: Box<Filter>,
        /// A sub-attribute of that element, and what it must meet too.
        then: Option<(Box<str>, Predicate)>,
    },
    /// All of them.
    And(Vec<Filter>),
    /// Any of them.
    Or(Vec<Filter>),
    /// The contrary.
    Not(Box<Filter>),
}

/// What is asked of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Predicate {
    /// `pr`: there is a value.
    Present,
    /// A comparison.
    Compare(CompareOp, Literal),
}

/// The comparison operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompareOp {
    /// `eq`
    Equal,
    /// `ne`
    NotEqual,
    /// `co`
    Contains,
    /// `sw`
    StartsWith,
    /// `ew`
    EndsWith,
    /// `gt`
    Greater,
    /// `ge`
    GreaterOrEqual,
    /// `lt`
    Less,
    /// `le`
    LessOrEqual,
}

impl CompareOp {
    pub(crate) const ALL: [(CompareOp, &'static str); 9] = [
        (CompareOp::Equal, "eq"),
        (CompareOp::NotEqual, "ne"),
        (CompareOp::Contains, "co"),
        (CompareOp::StartsWith, "sw"),
        (CompareOp::EndsWith, "ew"),
        (CompareOp::Greater, "gt"),
        (CompareOp::GreaterOrEqual, "ge"),
        (CompareOp::Less, "lt"),
        (CompareOp::LessOrEqual, "le"),
    ];

    /// The operator as it is written.
    pub fn as_str(self) -> &'static str {
        Self::ALL
            .iter()
            .find(|(op, _)| *op == self)
            .map_or("eq", |(_, word)| word)
    }

    pub(crate) fn is_order(self) -> bool {
        matches!(
            self,
            Self::Greater | Self::GreaterOrEqual | Self::Less | Self::LessOrEqual
        )
    }

    pub(crate) fn is_part(self) -> bool {
        matches!(self, Self::Contains | Self::StartsWith | Self::EndsWith)
    }
}

/// A value in a filter.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    /// Text in quotes.
    Text(String),
    /// A number.
    Number(Number),
    /// `true` or `false`.
    Bool(bool),
    /// `null`: no value.
    Null,
}

/// A part of a filter that must hold and that an index can answer; see [`Filter::conjuncts`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Conjunct<'f> {
    /// `attribute eq "text"`, also with a sub-attribute.
    Equal {
        /// The attribute, to be located in the schema.
        path: &'f AttrPath,
        /// The text, as the client wrote it.
        value: &'f str,
    },
    /// `emails[type eq "work"].value eq "x"`, or both tests inside the brackets.
    Typed {
        /// The multi-valued attribute.
        attribute: &'f AttrPath,
        /// The type of the element.
        kind: &'f str,
        /// The value of the same element.
        value: &'f str,
    },
    /// `members eq "id"`, `members.value eq "id"` or `members[value eq "id"]`.
    Member(&'f str),
}

impl Filter {
    /// How many tests it consists of.
    pub fn size(&self) -> usize {
        match self {
            Self::Test(..) => 1,
            Self::Element { filter, then, .. } => filter.size() + usize::from(then.is_some()),
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::size).sum(),
            Self::Not(inner) => inner.size(),
        }
    }

    /// Reads a filter; the error says at which byte it stopped making sense.
    pub fn parse(text: &str) -> Result<Self, ScimError> {
        parse::parse(text)
    }

    /// Joins filters with `and`, without nesting.
    pub fn all(parts: Vec<Filter>) -> Self {
        join(parts, Filter::And, |part| match part {
            Filter::And(inner) => Ok(inner),
            other => Err(other),
        })
    }

    /// Joins filters with `or`, without nesting.
    pub fn any(parts: Vec<Filter>) -> Self {
        join(parts, Filter::Or, |part| match part {
            Filter::Or(inner) => Ok(inner),
            other => Err(other),
        })
    }

    /// `path eq "value"`, for clients that look for a match.
    pub fn equals(path: AttrPath, value: impl Into<String>) -> Self {
        Filter::Test(
            path,
            Predicate::Compare(CompareOp::Equal, Literal::Text(value.into())),
        )
    }

    /// Prepares the filter for many documents of one type.
    ///
    /// Fails where a comparison makes no sense, such as `active gt true`. An attribute that the type does not have
    /// makes its part match nothing (profile section 6.2).
    pub fn compile<'a>(&'a self, kind: &'a ResourceType) -> Result<Matcher<'a>, ScimError> {
        Matcher::compile(self, &Scope::Resource(kind))
    }

    /// Whether one document meets the filter; [`Filter::compile`] it when there are many.
    pub fn matches(&self, document: &Map, kind: &ResourceType) -> Result<bool, ScimError> {
        Ok(self.compile(kind)?.matches(document))
    }

    /// The parts that must all hold and that an index can answer, left to right.
    ///
    /// They are implied by the filter and are not all of it: what they select must still be matched.
    pub fn conjuncts(&self) -> impl Iterator<Item = Conjunct<'_>> {
        self.parts().iter().filter_map(Filter::conjunct)
    }

    /// Whether all that the filter asks is in its [`Filter::conjuncts`].
    pub fn is_conjuncts_only(&self) -> bool {
        self.parts().iter().all(|part| part.conjunct().is_some())
    }

    /// Whether the filter looks at an attribute anywhere, for data that is not kept in the document.
    pub fn mentions(&self, attribute: &str) -> bool {
        match self {
            Filter::Test(path, _)
            | Filter::Element {
                attribute: path, ..
            } => path.name().eq_ignore_ascii_case(attribute),
            Filter::And(parts) | Filter::Or(parts) => {
                parts.iter().any(|part| part.mentions(attribute))
            }
            Filter::Not(inner) => inner.mentions(attribute),
        }
    }

    /// The parts joined by a top-level `and`; a filter without `and` is its own part.
    pub(crate) fn parts(&self) -> &[Filter] {
        match self {
            Filter::And(parts) => parts,
            other => std::slice::from_ref(other),
        }
    }

    /// `attribute eq "text"`.
    pub(crate) fn as_equal_text(&self) -> Option<(&AttrPath, &str)> {
        match self {
            Filter::Test(path, predicate) => Some((path, predicate.as_equal_text()?)),
            _ => None,
        }
    }

    /// `name eq literal` of an attribute without URN and sub-attribute.
    pub(crate) fn as_equality(&self) -> Option<(&str, &Literal)> {
        match self {
            Filter::Test(path, Predicate::Compare(CompareOp::Equal, literal))
                if path.urn().is_none() && path.sub().is_none() =>
            {
                Some((path.name(), literal))
            }
            _ => None,
        }
    }

    fn conjunct(&self) -> Option<Conjunct<'_>> {
        if let Some((path, value)) = self.as_equal_text() {
            let member = path.is("members", None) || path.is("members", Some("value"));
            return Some(if member {
                Conjunct::Member(value)
            } else {
                Conjunct::Equal { path, value }
            });
        }
        let Filter::Element {
            attribute,
            filter,
            then,
        } = self
        else {
            return None;
        };
        let inside = |name: &str| {
            filter.parts().iter().find_map(|part| {
                part.as_equal_text()
                    .filter(|(path, _)| path.is(name, None))
                    .map(|(_, value)| value)
            })
        };
        let inner = filter.parts().len();
        match then {
            None if inner == 1 && attribute.is("members", None) => {
                Some(Conjunct::Member(inside("value")?))
            }
            None if inner == 2 => Some(Conjunct::Typed {
                attribute,
                kind: inside("type")?,
                value: inside("value")?,
            }),
            Some((sub, predicate)) if inner == 1 && sub.eq_ignore_ascii_case("value") => {
                let value = predicate.as_equal_text()?;
                Some(Conjunct::Typed {
                    attribute,
                    kind: inside("type")?,
                    value,
                })
            }
            _ => None,
        }
    }
}

impl Predicate {
    fn as_equal_text(&self) -> Option<&str> {
        match self {
            Predicate::Compare(CompareOp::Equal, Literal::Text(text)) => Some(text),
            _ => None,
        }
    }
}

fn join(
    parts: Vec<Filter>,
    wrap: fn(Vec<Filter>) -> Filter,
    open: fn(Filter) -> Result<Vec<Filter>, Filter>,
) -> Filter {
    let mut flat = Vec::with_capacity(parts.len());
    for part in parts {
        match open(part) {
            Ok(inner) => flat.extend(inner),
            Err(other) => flat.push(other),
        }
    }
    if flat.len() == 1
        && let Some(only) = flat.pop()
    {
        return only;
    }
    wrap(flat)
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Filter::Test(path, predicate) => write!(f, "{path} {predicate}"),
            Filter::Element {
                attribute,
                filter,
                then: None,
            } => write!(f, "{attribute}[{filter}]"),
            Filter::Element {
                attribute,
                filter,
                then: Some((sub, predicate)),
            } => {
                write!(f, "{attribute}[{filter}].{sub} {predicate}")
            }
            Filter::And(parts) => join_printed(f, parts, " and "),
            Filter::Or(parts) => join_printed(f, parts, " or "),
            Filter::Not(inner) => write!(f, "not ({inner})"),
        }
    }
}

fn join_printed(f: &mut fmt::Formatter<'_>, parts: &[Filter], word: &str) -> fmt::Result {
    for (at, part) in parts.iter().enumerate() {
        if at > 0 {
            f.write_str(word)?;
        }
        match part {
            Filter::Or(_) => write!(f, "({part})")?,
            _ => write!(f, "{part}")?,
        }
    }
    Ok(())
}

impl fmt::Display for Predicate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Predicate::Present => f.write_str("pr"),
            Predicate::Compare(op, literal) => write!(f, "{} {literal}", op.as_str()),
        }
    }
}

impl fmt::Display for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Literal::Text(text) => write!(f, "{}", serde_json::Value::from(text.as_str())),
            Literal::Number(number) => write!(f, "{number}"),
            Literal::Bool(bool) => write!(f, "{bool}"),
            Literal::Null => f.write_str("null"),
        }
    }
}

impl Literal {
    /// Reads the literal as a boolean, also from text (profile section 16).
    pub(crate) fn as_boolean(&self) -> Option<bool> {
        match self {
            Literal::Bool(bool) => Some(*bool),
            Literal::Text(word) => text::word_boolean(word),
            _ => None,
        }
    }
}
