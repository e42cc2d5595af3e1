//! The tree of an expression, as it is evaluated and printed.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use super::func::Function;
use super::lexer::Operator;
use crate::pattern::Pattern;

/// A node of the tree.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Node {
    /// `[name]`
    Attribute(String),
    /// `"text"`
    Text(String),
    /// `7`
    Number(i64),
    /// A bare word.
    Word(Word),
    /// `Name(argument, …)`
    Call(Box<Call>),
    /// `left = right`
    Compare(Box<Comparison>),
}

/// A bare word of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// Compare exactly.
    BinaryCompare,
    /// Compare ignoring case.
    TextCompare,
    /// Leave the attribute out.
    IgnoreAttributeFlow,
    /// Leave the object out.
    IgnoreObjectFlow,
}

impl Word {
    pub(super) const ALL: [Self; 4] = [
        Self::BinaryCompare,
        Self::TextCompare,
        Self::IgnoreAttributeFlow,
        Self::IgnoreObjectFlow,
    ];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::BinaryCompare => "vbBinaryCompare",
            Self::TextCompare => "vbTextCompare",
            Self::IgnoreAttributeFlow => "IgnoreAttributeFlow",
            Self::IgnoreObjectFlow => "IgnoreObjectFlow",
        }
    }

    pub(crate) fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|word| word.as_str() == name)
    }
}

/// A call with its function looked up.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) function: &'static Function,
    /// One entry a place; `None` where the place was left empty.
    pub(crate) arguments: Vec<Option<Node>>,
    /// The regular expression, when it is a constant: compiled once.
    pub(crate) pattern: Option<Arc<Pattern>>,
}

/// The pattern follows from the arguments and takes no part.
impl PartialEq for Call {
    fn eq(&self, other: &Self) -> bool {
        self.function.name == other.function.name && self.arguments == other.arguments
    }
}

/// A comparison of two operands.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    pub(crate) operator: Operator,
    pub(crate) left: Node,
    pub(crate) right: Node,
}

impl Node {
    /// Calls `visit` for this node and everything below it.
    pub(crate) fn walk<'a>(&'a self, visit: &mut dyn FnMut(&'a Self)) {
        visit(self);
        match self {
            Self::Call(call) => {
                for argument in call.arguments.iter().flatten() {
                    argument.walk(visit);
                }
            }
            Self::Compare(comparison) => {
                comparison.left.walk(visit);
                comparison.right.walk(visit);
            }
            Self::Attribute(_) | Self::Text(_) | Self::Number(_) | Self::Word(_) => {}
        }
    }
}

/// The canonical text; parsing it gives the same tree.
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Attribute(name) => write!(f, "[{name}]"),
            Self::Text(text) => {
                f.write_char('"')?;
                for c in text.chars() {
                    if matches!(c, '"' | '\\') {
                        f.write_char('\\')?;
                    }
                    f.write_char(c)?;
                }
                f.write_char('"')
            }
            Self::Number(number) => write!(f, "{number}"),
            Self::Word(word) => f.write_str(word.as_str()),
            Self::Call(call) => {
                write!(f, "{}(", call.function.name)?;
                for (index, argument) in call.arguments.iter().enumerate() {
                    if index > 0 {
                        f.write_str(", ")?;
                    }
                    if let Some(argument) = argument {
                        write!(f, "{argument}")?;
                    }
                }
                f.write_char(')')
            }
            Self::Compare(comparison) => write!(
                f,
                "{} {} {}",
                comparison.left,
                comparison.operator.as_str(),
                comparison.right
            ),
        }
    }
}
