//! Values while an expression is evaluated: borrowed as long as possible (section 3).

use std::borrow::Cow;

use jiff::civil::DateTime;
use muster_model::{Attributes, Value};

use crate::date;

/// A value under evaluation.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Val<'a> {
    Null,
    Bool(bool),
    Int(i64),
    /// In UTC.
    Date(DateTime),
    Text(Cow<'a, str>),
    List(Cow<'a, [Value]>),
    Object(Cow<'a, Attributes>),
}

/// A list or complex value stands where one simple value is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NotSingle;

impl<'a> Val<'a> {
    /// A constant text.
    pub(crate) const fn borrowed(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// Null or an empty text: what `IsNullOrEmpty` asks.
    pub(crate) fn is_null_or_empty(&self) -> bool {
        match self {
            Self::Null => true,
            Self::Text(text) => text.is_empty(),
            Self::List(items) => items.is_empty(),
            Self::Bool(_) | Self::Int(_) | Self::Date(_) | Self::Object(_) => false,
        }
    }

    /// One simple value; a list of one is its element, an empty list is null.
    pub(crate) fn single(self) -> Result<Self, NotSingle> {
        match self {
            Self::List(Cow::Borrowed(items)) => match items {
                [] => Ok(Self::Null),
                [item] => simple(item),
                _ => Err(NotSingle),
            },
            Self::List(Cow::Owned(mut items)) => match (items.pop(), items.is_empty()) {
                (None, _) => Ok(Self::Null),
                (Some(item), true) => owned(item).single(),
                (Some(_), false) => Err(NotSingle),
            },
            Self::Object(_) => Err(NotSingle),
            other => Ok(other),
        }
    }

    /// The text of one simple value (3.2); `None` is null.
    pub(crate) fn text(self) -> Result<Option<Cow<'a, str>>, NotSingle> {
        Ok(match self.single()? {
            Self::Bool(flag) => Some(Cow::Borrowed(truth(flag))),
            Self::Int(number) => Some(Cow::Owned(number.to_string())),
            Self::Date(at) => Some(Cow::Owned(date::render(at))),
            Self::Text(text) => Some(text),
            Self::Null | Self::List(_) | Self::Object(_) => None,
        })
    }

    /// The elements; one value is a list of one, null an empty list.
    pub(crate) fn list(self) -> Cow<'a, [Value]> {
        match self {
            Self::Null => Cow::Borrowed(&[]),
            Self::List(items) => items,
            other => Cow::Owned(vec![other.into_value()]),
        }
    }

    /// The value that leaves the evaluation; dates become their text.
    pub(crate) fn into_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(flag),
            Self::Int(number) => Value::Int(number),
            Self::Date(at) => Value::Text(date::render(at)),
            Self::Text(text) => Value::Text(text.into_owned()),
            Self::List(items) => Value::List(items.into_owned()),
            Self::Object(members) => Value::Object(members.into_owned()),
        }
    }
}

impl<'a> From<&'a Value> for Val<'a> {
    fn from(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Int(number) => Self::Int(*number),
            Value::Text(text) => Self::borrowed(text),
            Value::List(items) => Self::List(Cow::Borrowed(items)),
            Value::Object(members) => Self::Object(Cow::Borrowed(members)),
        }
    }
}

impl From<String> for Val<'_> {
    fn from(text: String) -> Self {
        Self::Text(Cow::Owned(text))
    }
}

impl From<Vec<Value>> for Val<'_> {
    fn from(items: Vec<Value>) -> Self {
        Self::List(Cow::Owned(items))
    }
}

/// `True` or `False` (AM-18, 3.2).
pub(crate) const fn truth(flag: bool) -> &'static str {
    if flag { "True" } else { "False" }
}

/// The text of a simple value; `None` for null, lists and complex values.
pub(crate) fn text_of(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Bool(flag) => Some(Cow::Borrowed(truth(*flag))),
        Value::Int(number) => Some(Cow::Owned(number.to_string())),
        Value::Text(text) => Some(Cow::Borrowed(text)),
        Value::Null | Value::List(_) | Value::Object(_) => None,
    }
}

pub(crate) fn owned<'a>(value: Value) -> Val<'a> {
    match value {
        Value::Null => Val::Null,
        Value::Bool(flag) => Val::Bool(flag),
        Value::Int(number) => Val::Int(number),
        Value::Text(text) => Val::Text(Cow::Owned(text)),
        Value::List(items) => Val::List(Cow::Owned(items)),
        Value::Object(members) => Val::Object(Cow::Owned(members)),
    }
}

fn simple(value: &Value) -> Result<Val<'_>, NotSingle> {
    match value {
        Value::List(_) | Value::Object(_) => Err(NotSingle),
        other => Ok(Val::from(other)),
    }
}
