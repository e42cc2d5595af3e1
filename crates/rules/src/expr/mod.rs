//! Mapping expressions: parsed and checked once, evaluated for each object.

mod ast;
mod check;
pub mod func;
mod lexer;
mod parser;
mod problem;
mod trace;

#[cfg(test)]
mod tests;
mod value;

pub(crate) mod eval;

use std::fmt;

use muster_model::{Attributes, Timestamp, Value};

pub use func::{Arity, FUNCTIONS, Function, Parameter};
pub use problem::{Problem, Problems};
pub use trace::{Trace, Traced};

pub(crate) use ast::{Node, Word};
pub(crate) use value::{Val, owned, text_of, truth};

use check::Names;
use eval::{Env, Stop};
use problem::Span;

/// Characters of an expression at most (AM-10).
pub const MAX_CHARS: usize = 10_000;
/// How deep calls nest at most; bounds the stack.
pub const MAX_DEPTH: usize = 100;
/// Bytes of a text result at most, also of every step on the way.
pub const MAX_RESULT_BYTES: usize = 256 * 1024;
/// Elements of a list result at most.
pub const MAX_ITEMS: usize = 10_000;

/// A checked expression, ready to be evaluated.
///
/// ```
/// use muster_model::{Attributes, Timestamp};
/// use muster_rules::{Context, Expression, Outcome};
///
/// let expression = Expression::parse(r#"Join(" ", [givenName], [surname])"#)?;
/// let mut ana = Attributes::new();
/// ana.set("givenName", "Ana");
/// ana.set("surname", "Silva");
/// let outcome = expression.evaluate(&ana, &Context::at(Timestamp::from_micros(0)))?;
/// assert_eq!(outcome, Outcome::Value("Ana Silva".into()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    root: Node,
}

impl Expression {
    /// Reads an expression; function names exactly as listed (AM-15).
    pub fn parse(text: &str) -> Result<Self, Problems> {
        Self::read(text, Names::Exact)
    }

    /// Reads an expression and takes function names in any case, as the control API does; printing
    /// gives the canonical spelling.
    pub fn parse_any_case(text: &str) -> Result<Self, Problems> {
        Self::read(text, Names::AnyCase)
    }

    fn read(text: &str, names: Names) -> Result<Self, Problems> {
        let length = text.chars().take(MAX_CHARS + 1).count();
        if length > MAX_CHARS {
            let span = Span {
                start: MAX_CHARS,
                end: MAX_CHARS,
            };
            return Err(Problems(vec![span.problem(format!(
                "an expression has at most {MAX_CHARS} characters"
            ))]));
        }
        let mut problems = Vec::new();
        let tokens = lexer::tokens(text, &mut problems);
        let raw = parser::tree(tokens, length, &mut problems);
        match check::check(raw, names, &mut problems) {
            Some(root) if problems.is_empty() => Ok(Self { root }),
            _ => {
                problems.sort_by_key(|problem| problem.at);
                Err(Problems(problems))
            }
        }
    }

    /// What fails in a text whenever it is evaluated, each at its place: a culture that does not exist, a
    /// constant that is no date. Only remarks: it may stand in a branch that is never taken (3.6).
    pub fn remarks(text: &str) -> Vec<Problem> {
        let length = text.chars().take(MAX_CHARS + 1).count();
        if length > MAX_CHARS {
            return Vec::new();
        }
        let mut problems = Vec::new();
        let tokens = lexer::tokens(text, &mut problems);
        let raw = parser::tree(tokens, length, &mut problems);
        check::remarks(raw, &mut problems)
    }

    pub(crate) const fn root(&self) -> &Node {
        &self.root
    }

    /// The result for one source object.
    pub fn evaluate(
        &self,
        source: &Attributes,
        context: &Context<'_>,
    ) -> Result<Outcome, EvalError> {
        outcome(eval::evaluate(&self.root, Env::new(source, context, "")))
    }

    /// The source attributes it reads, each once, in the order of the text.
    pub fn attributes(&self) -> Vec<&str> {
        let mut names = Vec::new();
        self.root.walk(&mut |node| {
            if let Node::Attribute(name) = node
                && !names.contains(&name.as_str())
            {
                names.push(name.as_str());
            }
        });
        names
    }

    /// The attributes that a text names and the source does not have, each at its place, whether the text is
    /// right otherwise or not. Only remarks: such an attribute is null.
    pub fn unknown_attributes(text: &str, known: &[&str]) -> Vec<Problem> {
        let unknown = Self::named_attributes(text)
            .into_iter()
            .filter(|(name, _)| !known.contains(&name.as_str()));
        let told = unknown.map(|(name, at)| Problem {
            at,
            length: name.chars().count() + 2,
            suggestion: crate::suggest::closest(&name, known.iter().copied())
                .map(|near| format!("`{near}`")),
            message: format!("the source has no attribute `{name}`, so it is null"),
        });
        told.collect()
    }

    /// Every attribute that a text names, with its place in characters, whether the text is right
    /// otherwise or not.
    pub fn named_attributes(text: &str) -> Vec<(String, usize)> {
        if text.chars().nth(MAX_CHARS).is_some() {
            return Vec::new();
        }
        let tokens = lexer::tokens(text, &mut Vec::new());
        let named = tokens.into_iter().filter_map(|token| match token.kind {
            lexer::TokenKind::Attribute(name) => Some((name, token.span.start)),
            _ => None,
        });
        named.collect()
    }

    /// Must its value stay out of the logs? (AM-20)
    pub fn redacts(&self) -> bool {
        self.calls(&["Redact"])
    }

    /// May two evaluations for the same object differ? Such a value is only compared on purpose.
    pub fn is_volatile(&self) -> bool {
        self.calls(&["Guid", "Now", "RandomString", "SelectUniqueValue"])
    }

    /// Does it ask whether a value is free at the target?
    pub fn selects_unique_value(&self) -> bool {
        self.calls(&["SelectUniqueValue"])
    }

    /// Are its values added at the target and never removed (3.7)?
    pub fn only_adds(&self) -> bool {
        matches!(&self.root, Node::Call(call) if call.function.name == "AppRoleAssignmentsComplex")
    }

    fn calls(&self, functions: &[&str]) -> bool {
        let mut found = false;
        self.root.walk(&mut |node| {
            if let Node::Call(call) = node {
                found |= functions.contains(&call.function.name);
            }
        });
        found
    }
}

fn outcome(result: Result<Val<'_>, Stop>) -> Result<Outcome, EvalError> {
    match result {
        Ok(value) => Ok(Outcome::Value(value.into_value())),
        Err(Stop::Skip) => Ok(Outcome::Skip),
        Err(Stop::SkipObject) => Ok(Outcome::SkipObject),
        Err(Stop::Error(error)) => Err(error),
    }
}

/// The canonical text; parsing it gives the same expression.
impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

/// What an evaluation gives besides failing (3.5).
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A value; null is a value here, and is not exported (AM-1).
    Value(Value),
    /// The attribute is left out of the flow.
    Skip,
    /// The object is left out of the flow.
    SkipObject,
}

impl Outcome {
    /// The result as the control API and the log show it: a list of texts, one for a single value,
    /// none for null (2.1).
    pub fn rendered(&self) -> Vec<String> {
        match self {
            Self::Value(Value::List(items)) => items.iter().map(render).collect(),
            Self::Value(Value::Null) | Self::Skip | Self::SkipObject => Vec::new(),
            Self::Value(value) => vec![render(value)],
        }
    }
}

/// The bare word of that name.
pub(crate) fn word(name: &str) -> Option<Word> {
    Word::find(name)
}

/// The text of a value; lists and complex values as JSON, depth bounded by how they were built.
fn render(value: &Value) -> String {
    text_of(value).map_or_else(|| crate::convert::json(value).to_string(), Into::into)
}

/// What an evaluation takes from outside, so that it stays a function of its arguments.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// The present instant, for `Now`.
    pub now: Timestamp,
    /// Fills the buffer with random bytes of cryptographic quality, for `Guid` and `RandomString`.
    pub random: &'a dyn Fn(&mut [u8]),
    /// Does an object at the target hold this value in this attribute (target path, value)? For
    /// `SelectUniqueValue`. A caller that must ask the network answers from what it has asked so
    /// far, looks the result up, and evaluates again while it turns out to be taken.
    pub taken: &'a dyn Fn(&str, &str) -> bool,
}

impl Context<'_> {
    /// A context at an instant, without randomness and with an empty target: for trying things out
    /// and for expressions that use neither.
    pub const fn at(now: Timestamp) -> Self {
        Self {
            now,
            random: &|buffer| buffer.fill(0),
            taken: &|_, _| false,
        }
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("now", &self.now).finish()
    }
}

/// Why an expression has no result for an object. Never holds a value of a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// An argument is not what the function needs.
    #[error("`{function}` cannot use its argument `{parameter}`: {reason}")]
    BadArgument {
        /// The function.
        function: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The arguments do not go together.
    #[error("`{function}` cannot be used like this: {reason}")]
    BadCall {
        /// The function.
        function: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// A list or complex value was compared.
    #[error("`{operator}` compares single values only")]
    NotComparable {
        /// The operator.
        operator: &'static str,
    },
    /// `SelectUniqueValue` ran out of candidates: the object is held back.
    #[error("every candidate is already taken at the target")]
    NoUniqueValue {
        /// What was tried, in order.
        candidates: Vec<String>,
    },
    /// `SingleAppRoleAssignment` saw more than one.
    #[error("no more than one app role assignment was expected, and there are {count}")]
    SeveralRoles {
        /// How many there are.
        count: usize,
    },
    /// A regular expression took too many steps, or matched too often.
    #[error("the regular expression takes too many steps on this value")]
    PatternTooCostly,
    /// A regular expression that is computed cannot be used.
    #[error("the regular expression cannot be used")]
    BadPattern,
    /// A text or list outgrew its bound.
    #[error("the result grows beyond what is allowed")]
    TooLong,
}
