//! One comparison, prepared for the type of its attribute.

use std::borrow::Cow;
use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::{Number, Value};

use super::{CompareOp, Literal, Predicate};
use crate::error::ScimError;
use crate::schema::{Attribute, AttributeType};
use crate::text::{boolean, compare_folded, equals_folded, fold, is_empty};
use crate::time;

/// A test of one value.
#[derive(Debug)]
pub(super) enum Check<'a> {
    Present,
    /// `eq null` (true) and `ne null` (false).
    Null(bool),
    Text {
        op: CompareOp,
        operand: Cow<'a, str>,
        exact: bool,
    },
    Time {
        op: CompareOp,
        operand: Timestamp,
    },
    Number {
        op: CompareOp,
        operand: &'a Number,
    },
    Bool {
        op: CompareOp,
        operand: bool,
    },
    /// A literal of another type than the attribute equals nothing.
    Mismatch(CompareOp),
}

impl<'a> Check<'a> {
    /// Prepares a comparison; fails when the operator has no meaning for the attribute.
    pub(super) fn compile(
        attribute: &Attribute,
        predicate: &'a Predicate,
    ) -> Result<Self, ScimError> {
        let (op, literal) = match predicate {
            Predicate::Present => return Ok(Check::Present),
            Predicate::Compare(op, literal) => (*op, literal),
        };
        let unsuited = || {
            ScimError::invalid_filter(format!(
                "{} cannot be used on {}",
                op.as_str(),
                attribute.name
            ))
        };
        if *literal == Literal::Null {
            return null(op).ok_or_else(unsuited);
        }
        match attribute.kind {
            AttributeType::Boolean => match (literal.as_boolean(), op) {
                (Some(operand), CompareOp::Equal | CompareOp::NotEqual) => {
                    Ok(Check::Bool { op, operand })
                }
                (None, _) => Err(ScimError::invalid_filter(format!(
                    "{} is compared with true or false",
                    attribute.name
                ))),
                _ => Err(unsuited()),
            },
            AttributeType::Integer | AttributeType::Decimal => match literal {
                _ if op.is_part() => Err(unsuited()),
                Literal::Number(operand) => Ok(Check::Number { op, operand }),
                _ => Ok(Check::Mismatch(op)),
            },
            AttributeType::DateTime => match literal {
                Literal::Text(text) if op.is_part() => Ok(Check::text(op, text, true)),
                Literal::Text(text) => match time::parse(text) {
                    Some(operand) => Ok(Check::Time { op, operand }),
                    None => Err(ScimError::invalid_filter(format!(
                        "{} is compared with a date and time",
                        attribute.name
                    ))),
                },
                _ => Ok(Check::Mismatch(op)),
            },
            AttributeType::Binary if op.is_order() => Err(unsuited()),
            AttributeType::Complex => Err(ScimError::invalid_filter(format!(
                "{} needs a sub-attribute to be compared",
                attribute.name
            ))),
            AttributeType::String | AttributeType::Reference | AttributeType::Binary => {
                match literal {
                    Literal::Text(text) => {
                        let exact = attribute.case_exact || attribute.kind == AttributeType::Binary;
                        Ok(Check::text(op, text, exact))
                    }
                    _ => Ok(Check::Mismatch(op)),
                }
            }
        }
    }

    /// Prepares a comparison without knowing the attribute: the literal decides, text ignores case.
    pub(super) fn loose(predicate: &'a Predicate) -> Result<Self, ScimError> {
        let (op, literal) = match predicate {
            Predicate::Present => return Ok(Check::Present),
            Predicate::Compare(op, literal) => (*op, literal),
        };
        match literal {
            Literal::Null => null(op),
            Literal::Text(text) => Some(Check::text(op, text, false)),
            Literal::Number(operand) => (!op.is_part()).then_some(Check::Number { op, operand }),
            Literal::Bool(operand) => (!op.is_part() && !op.is_order()).then_some(Check::Bool {
                op,
                operand: *operand,
            }),
        }
        .ok_or_else(|| ScimError::invalid_filter(format!("{} cannot be used here", op.as_str())))
    }

    fn text(op: CompareOp, text: &'a str, exact: bool) -> Self {
        let operand = if exact {
            Cow::Borrowed(text)
        } else {
            fold(text)
        };
        Check::Text { op, operand, exact }
    }

    /// Whether a value meets the test; `None` and `null` are unassigned, which equals only `null`.
    pub(super) fn holds(&self, value: Option<&Value>) -> bool {
        let value = value.filter(|value| !value.is_null());
        match self {
            Check::Present => value.is_some_and(|value| !is_empty(value)),
            Check::Null(wanted) => value.is_none_or(is_empty) == *wanted,
            Check::Mismatch(op) => *op == CompareOp::NotEqual,
            Check::Text { op, operand, exact } => match value {
                Some(Value::String(text)) => compare_text(*op, text, operand, *exact),
                Some(Value::Bool(bool)) => {
                    compare_text(*op, if *bool { "true" } else { "false" }, operand, *exact)
                }
                _ => *op == CompareOp::NotEqual,
            },
            Check::Time { op, operand } => {
                match value.and_then(Value::as_str).and_then(time::parse) {
                    Some(instant) => accepts(*op, instant.cmp(operand)),
                    None => *op == CompareOp::NotEqual,
                }
            }
            Check::Number { op, operand } => match value {
                Some(Value::Number(number)) => {
                    compare_numbers(number, operand).is_some_and(|order| accepts(*op, order))
                }
                _ => *op == CompareOp::NotEqual,
            },
            Check::Bool { op, operand } => {
                let equal = value.and_then(boolean) == Some(*operand);
                equal == (*op == CompareOp::Equal)
            }
        }
    }
}

fn null<'a>(op: CompareOp) -> Option<Check<'a>> {
    match op {
        CompareOp::Equal => Some(Check::Null(true)),
        CompareOp::NotEqual => Some(Check::Null(false)),
        _ => None,
    }
}

fn compare_text(op: CompareOp, text: &str, operand: &str, exact: bool) -> bool {
    if exact {
        return match op {
            CompareOp::Contains => text.contains(operand),
            CompareOp::StartsWith => text.starts_with(operand),
            CompareOp::EndsWith => text.ends_with(operand),
            CompareOp::Equal => text == operand,
            CompareOp::NotEqual => text != operand,
            _ => accepts(op, text.cmp(operand)),
        };
    }
    match op {
        CompareOp::Equal => equals_folded(text, operand),
        CompareOp::NotEqual => !equals_folded(text, operand),
        CompareOp::Contains => fold(text).contains(operand),
        CompareOp::StartsWith => fold(text).starts_with(operand),
        CompareOp::EndsWith => fold(text).ends_with(operand),
        _ => accepts(op, compare_folded(text, operand)),
    }
}

fn accepts(op: CompareOp, order: Ordering) -> bool {
    match op {
        CompareOp::Equal => order.is_eq(),
        CompareOp::NotEqual => order.is_ne(),
        CompareOp::Greater => order.is_gt(),
        CompareOp::GreaterOrEqual => order.is_ge(),
        CompareOp::Less => order.is_lt(),
        CompareOp::LessOrEqual => order.is_le(),
        CompareOp::Contains | CompareOp::StartsWith | CompareOp::EndsWith => false,
    }
}

/// Whole numbers are compared exactly, others as floating point.
pub(crate) fn compare_numbers(a: &Number, b: &Number) -> Option<Ordering> {
    match (whole(a), whole(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        _ => a.as_f64()?.partial_cmp(&b.as_f64()?),
    }
}

fn whole(number: &Number) -> Option<i128> {
    number
        .as_i64()
        .map(i128::from)
        .or_else(|| number.as_u64().map(i128::from))
}
