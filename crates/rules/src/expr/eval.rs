//! Evaluation: walks the tree, hands functions their arguments, compares.

use std::borrow::Cow;
use std::cmp::Ordering;

use jiff::civil::DateTime;
use muster_model::{Attributes, Value};

use super::ast::{Call, Comparison, Node, Word};
use super::lexer::Operator;
use super::trace::Recorder;
use super::value::{NotSingle, Val};
use super::{Context, EvalError, MAX_RESULT_BYTES};
use crate::date;

/// Why an evaluation ends without a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The attribute is left out of the flow.
    Skip,
    /// The object is left out.
    SkipObject,
    /// The mapping fails for this object.
    Error(EvalError),
}

impl From<EvalError> for Stop {
    fn from(error: EvalError) -> Self {
        Self::Error(error)
    }
}

/// What an evaluation may look at.
#[derive(Clone, Copy)]
pub(crate) struct Env<'a> {
    pub(crate) source: &'a Attributes,
    pub(crate) context: &'a Context<'a>,
    /// The attribute that is mapped; for the uniqueness check.
    pub(crate) target: &'a str,
    /// Who wants to know what every node came to.
    pub(super) recorder: Option<&'a Recorder>,
}

impl<'a> Env<'a> {
    /// To evaluate the mapping to `target`.
    pub(crate) const fn new(
        source: &'a Attributes,
        context: &'a Context<'a>,
        target: &'a str,
    ) -> Self {
        Self {
            source,
            context,
            target,
            recorder: None,
        }
    }
}

/// The value of a node.
pub(crate) fn evaluate<'a>(node: &'a Node, env: Env<'a>) -> Result<Val<'a>, Stop> {
    let result = value(node, env);
    if let Some(recorder) = env.recorder {
        recorder.note(node, &result);
    }
    result
}

fn value<'a>(node: &'a Node, env: Env<'a>) -> Result<Val<'a>, Stop> {
    match node {
        Node::Attribute(name) => Ok(env.source.get(name).map_or(Val::Null, Val::from)),
        Node::Text(text) => Ok(Val::borrowed(text)),
        Node::Number(number) => Ok(Val::Int(*number)),
        Node::Word(Word::BinaryCompare) => Ok(Val::Int(0)),
        Node::Word(Word::TextCompare) => Ok(Val::Int(1)),
        Node::Word(Word::IgnoreAttributeFlow) => Err(Stop::Skip),
        Node::Word(Word::IgnoreObjectFlow) => Err(Stop::SkipObject),
        Node::Call(call) => (call.function.evaluate)(&Args { call, env }),
        Node::Compare(comparison) => compare(comparison, env).map(Val::Bool),
    }
}

/// The arguments of a call, evaluated only when they are asked for (3.6).
pub(crate) struct Args<'a> {
    pub(crate) call: &'a Call,
    pub(crate) env: Env<'a>,
}

impl<'a> Args<'a> {
    /// How many places the call has.
    pub(crate) fn count(&self) -> usize {
        self.call.arguments.len()
    }

    /// Was this place filled? An empty text counts as given.
    pub(crate) fn given(&self, index: usize) -> bool {
        self.call.arguments.get(index).is_some_and(Option::is_some)
    }

    /// The value of an argument; null when left out.
    pub(crate) fn value(&self, index: usize) -> Result<Val<'a>, Stop> {
        match self.call.arguments.get(index) {
            Some(Some(node)) => evaluate(node, self.env),
            _ => Ok(Val::Null),
        }
    }

    /// The text of an argument; `None` is null.
    pub(crate) fn text(&self, index: usize) -> Result<Option<Cow<'a, str>>, Stop> {
        self.value(index)?
            .text()
            .map_err(|NotSingle| self.not_single(index))
    }

    /// A whole number, possibly written as text; `None` is null.
    pub(crate) fn int(&self, index: usize) -> Result<Option<i64>, Stop> {
        let value = self
            .value(index)?
            .single()
            .map_err(|NotSingle| self.not_single(index))?;
        match value {
            Val::Null => Ok(None),
            Val::Int(number) => Ok(Some(number)),
            Val::Text(text) => match text.trim().parse() {
                Ok(number) => Ok(Some(number)),
                Err(_) => Err(self.not_a_number(index)),
            },
            _ => Err(self.not_a_number(index)),
        }
    }

    /// A whole number that the function cannot do without.
    pub(crate) fn required_int(&self, index: usize) -> Result<i64, Stop> {
        self.int(index)?.ok_or_else(|| self.not_a_number(index))
    }

    /// A date, possibly as text; `None` is null.
    pub(crate) fn date(&self, index: usize) -> Result<Option<DateTime>, Stop> {
        let value = self
            .value(index)?
            .single()
            .map_err(|NotSingle| self.not_single(index))?;
        match value {
            Val::Null => Ok(None),
            Val::Date(at) => Ok(Some(at)),
            Val::Text(text) => match date::read(&text) {
                Some(at) => Ok(Some(at)),
                None => Err(self.not_a_date(index)),
            },
            _ => Err(self.not_a_date(index)),
        }
    }

    /// The elements of an argument.
    pub(crate) fn list(&self, index: usize) -> Result<Cow<'a, [Value]>, Stop> {
        Ok(self.value(index)?.list())
    }

    /// The argument does not fit, for a reason.
    pub(crate) fn bad(&self, index: usize, reason: &'static str) -> Stop {
        Stop::Error(EvalError::BadArgument {
            function: self.call.function.name,
            parameter: self.parameter(index),
            reason,
        })
    }

    fn not_a_number(&self, index: usize) -> Stop {
        self.bad(index, "it is not a whole number")
    }

    pub(crate) fn not_a_date(&self, index: usize) -> Stop {
        self.bad(index, "it does not read as a date and time")
    }

    fn not_single(&self, index: usize) -> Stop {
        self.bad(
            index,
            "it has several values or parts where one value is needed",
        )
    }

    fn parameter(&self, index: usize) -> &'static str {
        let function = self.call.function;
        function
            .parameter(index, self.count())
            .map_or("", |parameter| parameter.name)
    }
}

/// Refuses texts that grow without bound.
pub(crate) fn bounded(text: String) -> Result<String, Stop> {
    if text.len() > MAX_RESULT_BYTES {
        return Err(Stop::Error(EvalError::TooLong));
    }
    Ok(text)
}

/// Does a value count as true? A text only when it is exactly `True` (3.3).
pub(crate) fn truthy(value: &Val<'_>) -> bool {
    match value {
        Val::Bool(flag) => *flag,
        Val::Int(number) => *number != 0,
        Val::Text(text) => text == "True",
        Val::List(items) => {
            matches!(&**items, [Value::Bool(true)])
                || matches!(&**items, [Value::Text(text)] if text == "True")
        }
        Val::Null | Val::Date(_) | Val::Object(_) => false,
    }
}

/// `=` and `<>` on texts are exact; a number on either side makes it a comparison of numbers; null
/// equals nothing (3.3, 3.4).
fn compare<'a>(comparison: &'a Comparison, env: Env<'a>) -> Result<bool, Stop> {
    let operand = |node: &'a Node| {
        evaluate(node, env)?.single().map_err(|NotSingle| {
            Stop::Error(EvalError::NotComparable {
                operator: comparison.operator.as_str(),
            })
        })
    };
    let (left, right) = (operand(&comparison.left)?, operand(&comparison.right)?);
    let order = order(&left, &right);
    Ok(match comparison.operator {
        Operator::Equal => order == Some(Ordering::Equal),
        Operator::NotEqual => order != Some(Ordering::Equal),
        Operator::Less => order == Some(Ordering::Less),
        Operator::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        Operator::Greater => order == Some(Ordering::Greater),
        Operator::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    })
}

/// How two simple values stand to each other; `None` when they cannot be compared.
fn order(left: &Val<'_>, right: &Val<'_>) -> Option<Ordering> {
    match (left, right) {
        (Val::Null, _) | (_, Val::Null) => None,
        (Val::Int(_), _) | (_, Val::Int(_)) => Some(number(left)?.cmp(&number(right)?)),
        (Val::Date(left), Val::Date(right)) => Some(left.cmp(right)),
        (Val::Date(at), Val::Text(text)) => Some(at.cmp(&date::read(text)?)),
        (Val::Text(text), Val::Date(at)) => Some(date::read(text)?.cmp(at)),
        _ => {
            let left = left.clone().text().ok()??;
            let right = right.clone().text().ok()??;
            Some(left.cmp(&right))
        }
    }
}

fn number(value: &Val<'_>) -> Option<i64> {
    match value {
        Val::Int(number) => Some(*number),
        Val::Text(text) => text.trim().parse().ok(),
        _ => None,
    }
}
