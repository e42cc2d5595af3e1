//! Looks up names, counts arguments and compiles constant patterns: from the raw tree to the tree
//! that can be evaluated.

use std::sync::Arc;

use muster_model::{Attributes, Timestamp};

use super::ast::{Call, Comparison, Node, Word};
use super::eval::{self, Env, Stop};
use super::func::replace::Mode;
use super::func::{Arity, FUNCTIONS, Function};
use super::parser::{Raw, RawKind};
use super::problem::{Problem, Span};
use super::{Context, EvalError};
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
    let remarks = None;
    let mut checker = Checker {
        names,
        problems,
        remarks,
    };
    checker.node(root, Place::Top)
}

/// What fails whenever it is evaluated. No problem: it may stand in a branch that nobody takes.
pub(super) fn remarks(root: Raw, problems: &mut Vec<Problem>) -> Vec<Problem> {
    let mut checker = Checker {
        names: Names::Exact,
        problems,
        remarks: Some(Vec::new()),
    };
    let _ = checker.node(root, Place::Top);
    checker.remarks.unwrap_or_default()
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
    /// Filled when somebody asks.
    remarks: Option<Vec<Problem>>,
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
        let mut spans = Vec::with_capacity(arguments.len());
        let mut pattern = None;
        for (index, argument) in arguments.into_iter().enumerate() {
            let Some(raw) = argument else {
                checked.push(None);
                spans.push(span);
                continue;
            };
            let argument_span = raw.span;
            spans.push(argument_span);
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
        let call = Call {
            function: function?,
            arguments: checked,
            pattern,
        };
        if let Some(remarks) = &mut self.remarks
            && let Some((place, reason)) = always_wrong(&call)
        {
            let at = place.and_then(|index| spans.get(index)).unwrap_or(&span);
            remarks.push(at.problem(reason));
        }
        Some(call)
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

/// A mistake that no object can make good: the argument that is wrong, if it is one, and why.
fn always_wrong(call: &Call) -> Option<(Option<usize>, String)> {
    let name = call.function.name;
    if let (Some(pattern), Some(Some(Node::Text(group)))) = (&call.pattern, call.arguments.get(3)) {
        let found = name != "Replace" || group.is_empty() || pattern.has_group(group);
        return (!found).then(|| {
            let message = format!("the regular expression has no group `{group}`");
            (Some(3), message)
        });
    }
    // A pattern is not built here, and a value that is selected lies at the target.
    if call.function.pattern.is_some() || name == "SelectUniqueValue" {
        return None;
    }
    let constant: Vec<bool> = call
        .arguments
        .iter()
        .map(|it| it.as_ref().is_none_or(is_constant))
        .collect();
    if !call
        .arguments
        .iter()
        .zip(&constant)
        .any(|(it, is)| it.is_some() && *is)
    {
        return None;
    }
    let error = failure(call, &constant)?;
    if constant.iter().all(|is| *is) {
        return Some((
            None,
            format!("this fails whenever it is evaluated: {error}"),
        ));
    }
    // What else is wrong may be the fault of what stands in for the values to come.
    let EvalError::BadArgument { parameter, .. } = &error else {
        return None;
    };
    let count = call.arguments.len();
    let blamed = (0..count).find(|index| {
        let known = call.function.parameter(*index, count);
        constant[*index] && known.is_some_and(|known| known.name == *parameter)
    })?;
    // How many values there will be, nobody knows.
    let depends = name == "Item"
        && !matches!(&call.arguments[blamed], Some(Node::Number(place)) if *place < 1);
    (!depends).then(|| (Some(blamed), error.to_string()))
}

/// Why a call fails when ordinary values stand in for what is not constant.
fn failure(call: &Call, constant: &[bool]) -> Option<EvalError> {
    let count = call.arguments.len();
    let stand_in = |index: usize| {
        let parameter = call.function.parameter(index, count);
        match parameter.map(|parameter| parameter.kind) {
            Some(TargetType::Integer) => Node::Number(1),
            Some(TargetType::DateTime) => Node::Text("2024-01-01T00:00:00Z".to_owned()),
            Some(TargetType::Boolean) => Node::Text("True".to_owned()),
            _ => Node::Text("x".to_owned()),
        }
    };
    let arguments = call.arguments.iter().zip(constant).enumerate();
    let tried = Call {
        function: call.function,
        arguments: arguments
            .map(|(index, (argument, is_constant))| match argument {
                Some(_) if !is_constant => Some(stand_in(index)),
                argument => argument.clone(),
            })
            .collect(),
        pattern: None,
    };
    let node = Node::Call(Box::new(tried));
    let (nobody, context) = (Attributes::new(), Context::at(Timestamp::from_micros(0)));
    match eval::evaluate(&node, Env::new(&nobody, &context, "")) {
        Err(Stop::Error(error)) => Some(error),
        Ok(_) | Err(Stop::Skip | Stop::SkipObject) => None,
    }
}

/// Is it the same for every object?
fn is_constant(node: &Node) -> bool {
    match node {
        Node::Text(_) | Node::Number(_) | Node::Word(Word::BinaryCompare | Word::TextCompare) => {
            true
        }
        Node::Call(call) => call.arguments.iter().flatten().all(is_constant),
        Node::Attribute(_) | Node::Word(_) | Node::Compare(_) => false,
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
