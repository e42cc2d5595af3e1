//! Looks up names, counts arguments and compiles constant patterns: from the raw tree to the tree
//! that can be evaluated.

use std::sync::Arc;

use super::ast::{Call, Comparison, Node, Word};
use super::func::replace::Mode;
use super::func::{Arity, FUNCTIONS, Function};
use super::parser::{Raw, RawKind};
use super::problem::{Problem, Span};
use crate::pattern::Pattern;
use crate::suggest::closest;
use crate::types::TargetType;

/// How strictly function names are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// Exactly as listed (AM-15).
    Exact,
    /// Ignoring case; printed in the canonical spelling.
    AnyCase,
}

/// The checked tree; `None` when something was reported.
pub(super) fn check(root: Raw, names: Names, problems: &mut Vec<Problem>) -> Option<Node> {
    let mut checker = Checker { names, problems };
    checker.node(root, Place::Top)
}

/// Where a node stands: some things are allowed only in one place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Top,
    Inside,
    /// The compare mode of `InStr`.
    CompareMode,
}

struct Checker<'p> {
    names: Names,
    problems: &'p mut Vec<Problem>,
}

impl Checker<'_> {
    fn node(&mut self, raw: Raw, place: Place) -> Option<Node> {
        match raw.kind {
            RawKind::Attribute(name) => Some(Node::Attribute(name)),
            RawKind::Text(text) => Some(Node::Text(text)),
            RawKind::Number(number) => Some(Node::Number(number)),
            RawKind::Word(name) => self.word(&name, raw.span, place).map(Node::Word),
            RawKind::Compare(operator, left, right) => {
                let left = self.node(*left, Place::Inside);
                let right = self.node(*right, Place::Inside);
                Some(Node::Compare(Box::new(Comparison {
                    operator,
                    left: left?,
                    right: right?,
                })))
            }
            RawKind::Call {
                name,
                name_span,
                arguments,
            } => self
                .call(&name, name_span, arguments, place)
                .map(|call| Node::Call(Box::new(call))),
            RawKind::Broken => None,
        }
    }

    fn word(&mut self, name: &str, span: Span, place: Place) -> Option<Word> {
        match Word::find(name) {
            Some(word @ (Word::BinaryCompare | Word::TextCompare))
                if place != Place::CompareMode =>
            {
                self.problems.push(span.problem(format!(
                    "`{}` is only for the last argument of `InStr`",
                    word.as_str()
                )));
                None
            }
            Some(word) => Some(word),
            None => {
                let suggestion = closest(name, Word::ALL.map(Word::as_str))
                    .map(|word| format!("`{word}`"))
                    .or_else(|| literal(name))
                    .or_else(|| closest(name, names()).map(|found| format!("`{found}(…)`")))
                    .unwrap_or_else(|| format!("`[{name}]` or `\"{name}\"`"));
                let problem = span
                    .problem(format!("`{name}` is no word of the language"))
                    .suggest(Some(suggestion));
                self.problems.push(problem);
                None
            }
        }
    }

    fn call(
        &mut self,
        name: &str,
        span: Span,
        arguments: Vec<Option<Raw>>,
        place: Place,
    ) -> Option<Call> {
        let function = self.function(name, span);
        if let Some(function) = function {
            self.arity(function, span, &arguments);
            if function.name == "SelectUniqueValue" && place != Place::Top {
                self.problems.push(
                    span.problem("`SelectUniqueValue` must be the outermost function".to_owned()),
                );
            }
        }
        let reported = self.problems.len();
        if function.is_some_and(|function| function.name == "Replace")
            && arguments.first().is_some_and(Option::is_some)
            && Mode::of(|index| arguments.get(index).is_some_and(Option::is_some)).is_none()
        {
            self.problems.push(
                span.problem("the arguments given to `Replace` do not go together")
                    .suggest(Some(
                        "`Replace(source, \"old\", , , \"new\", , )` or \
                         `Replace(source, , \"pattern\", , \"new\", , )`"
                            .to_owned(),
                    )),
            );
        }
        let mut checked = Vec::with_capacity(arguments.len());
        let mut pattern = None;
        for (index, argument) in arguments.into_iter().enumerate() {
            let Some(raw) = argument else {
                checked.push(None);
                continue;
            };
            let argument_span = raw.span;
            let place = match function.map(|function| function.name) {
                Some("InStr") if index == 3 => Place::CompareMode,
                _ => Place::Inside,
            };
            let node = self.node(raw, place);
            if let (Some(function), Some(node)) = (function, &node) {
                self.constant(function, index, node, argument_span);
                if function.pattern == Some(index) {
                    pattern = self.pattern(node, argument_span);
                }
            }
            checked.push(node);
        }
        if self.problems.len() > reported {
            return None;
        }
        Some(Call {
            function: function?,
            arguments: checked,
            pattern,
        })
    }

    fn function(&mut self, name: &str, span: Span) -> Option<&'static Function> {
        let found = Function::find(name).or_else(|| match self.names {
            Names::Exact => None,
            Names::AnyCase => FUNCTIONS
                .iter()
                .find(|function| function.name.eq_ignore_ascii_case(name)),
        });
        if found.is_none() {
            let suggestion = closest(name, names()).map(|known| format!("`{known}`"));
            let problem = span
                .problem(format!("there is no function `{name}`"))
                .suggest(suggestion);
            self.problems.push(problem);
        }
        found
    }

    fn arity(&mut self, function: &'static Function, span: Span, arguments: &[Option<Raw>]) {
        let count = arguments.len();
        let name = function.name;
        if count < function.least() {
            self.problems.push(span.problem(format!(
                "`{name}` needs at least {} arguments and has {count}: {}",
                function.least(),
                function.signature()
            )));
            return;
        }
        if function.most().is_some_and(|most| count > most) {
            self.problems.push(span.problem(format!(
                "`{name}` takes at most {} arguments and has {count}: {}",
                function.parameters.len(),
                function.signature()
            )));
            return;
        }
        if function.arity == Arity::Pairs && count % 2 == 1 {
            self.problems.push(span.problem(format!(
                "`{name}` takes keys and values in pairs, so the number of arguments is even"
            )));
            return;
        }
        for (index, argument) in arguments.iter().enumerate() {
            let parameter = function.parameter(index, count);
            let paired = function.arity == Arity::Pairs && index >= 2;
            if argument.is_none()
                && (paired || parameter.is_some_and(|parameter| parameter.required))
            {
                let parameter = parameter.map_or("", |parameter| parameter.name);
                self.problems.push(span.problem(format!(
                    "`{name}` cannot do without its argument `{parameter}`"
                )));
            }
        }
    }

    /// A constant that can never be what the parameter asks for is a mistake now, not at run time.
    fn constant(&mut self, function: &Function, index: usize, node: &Node, span: Span) {
        let Some(parameter) = function.parameter(index, function.parameters.len()) else {
            return;
        };
        if let Node::Text(text) = node
            && parameter.kind == TargetType::Integer
            && text.trim().parse::<i64>().is_err()
            && function.name != "InStr"
        {
            self.problems.push(span.problem(format!(
                "`{}` needs a whole number as `{}`",
                function.name, parameter.name
            )));
        }
    }

    fn pattern(&mut self, node: &Node, span: Span) -> Option<Arc<Pattern>> {
        let Node::Text(text) = node else {
            return None;
        };
        match Pattern::new(text) {
            Ok(pattern) => Some(Arc::new(pattern)),
            Err(problem) => {
                self.problems.push(
                    span.problem(format!("the regular expression cannot be used: {problem}")),
                );
                None
            }
        }
    }
}

fn names() -> impl Iterator<Item = &'static str> {
    FUNCTIONS.iter().map(|function| function.name)
}

/// What people write who expect literals that this language does not have.
fn literal(name: &str) -> Option<String> {
    ["True", "False"]
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(name))
        .map(|known| format!("`\"{known}\"`"))
}
