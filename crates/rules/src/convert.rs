//! From the result of a mapping to a value of the type that the target attribute has.

use muster_model::{Attributes, Value};
use serde_json::Map;

use crate::TargetType;
use crate::date;
use crate::expr::{Val, text_of, truth};

/// The value is none of the target's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unfit;

/// The value as the target has it. A single-valued target takes the first of several values.
pub(crate) fn to_target(
    value: Val<'_>,
    kind: TargetType,
    multi_valued: bool,
) -> Result<Value, Unfit> {
    match value {
        Val::List(items) => {
            let complex = matches!(items.first(), Some(Value::Object(_)));
            if multi_valued || complex {
                let converted: Result<Vec<Value>, Unfit> = items
                    .iter()
                    .filter(|item| !item.is_null())
                    .map(|item| to_target(Val::from(item), kind, false))
                    .collect();
                return converted.map(|items| {
                    if items.is_empty() {
                        Value::Null
                    } else {
                        Value::List(items)
                    }
                });
            }
            match items.into_owned().into_iter().next() {
                Some(first) => to_target(crate::expr::owned(first), kind, false),
                None => Ok(Value::Null),
            }
        }
        Val::Null => Ok(Value::Null),
        Val::Object(members) => Ok(Value::Object(members.into_owned())),
        simple => match kind {
            TargetType::String | TargetType::Binary | TargetType::Reference => Ok(text(simple)),
            TargetType::Boolean => boolean(&simple),
            TargetType::Integer => integer(simple),
            TargetType::DateTime => instant(simple),
        },
    }
}

fn text(value: Val<'_>) -> Value {
    match value {
        Val::Bool(flag) => Value::from(truth(flag)),
        Val::Int(number) => Value::Text(number.to_string()),
        other => other.into_value(),
    }
}

/// Booleans from the texts `True` and `False`, in any case; an empty text is no value.
fn boolean(value: &Val<'_>) -> Result<Value, Unfit> {
    match value {
        Val::Bool(flag) => Ok(Value::Bool(*flag)),
        Val::Text(text) if text.is_empty() => Ok(Value::Null),
        Val::Text(text) => truth_of(text).map(Value::Bool).ok_or(Unfit),
        _ => Err(Unfit),
    }
}

/// The boolean that a text names.
pub(crate) fn truth_of(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("True") {
        Some(true)
    } else if text.eq_ignore_ascii_case("False") {
        Some(false)
    } else {
        None
    }
}

fn integer(value: Val<'_>) -> Result<Value, Unfit> {
    match value {
        Val::Int(number) => Ok(Value::Int(number)),
        Val::Text(text) if text.is_empty() => Ok(Value::Null),
        Val::Text(text) => text.trim().parse().map(Value::Int).map_err(|_| Unfit),
        _ => Err(Unfit),
    }
}

/// An RFC 3339 text; what already is one stays as it is written.
fn instant(value: Val<'_>) -> Result<Value, Unfit> {
    match value {
        Val::Date(at) => Ok(Value::Text(date::rfc3339(at))),
        Val::Text(text) if text.is_empty() => Ok(Value::Null),
        Val::Text(text) if text.parse::<jiff::Timestamp>().is_ok() => {
            Ok(Value::Text(text.into_owned()))
        }
        Val::Text(text) => date::read(&text)
            .map(|at| Value::Text(date::rfc3339(at)))
            .ok_or(Unfit),
        _ => Err(Unfit),
    }
}

/// The value as JSON; texts as their rendering (3.2) are the caller's business.
pub(crate) fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(number) => (*number).into(),
        Value::Text(text) => text.as_str().into(),
        Value::List(items) => items.iter().map(json).collect(),
        Value::Object(members) => serde_json::Value::Object(object(members)),
    }
}

fn object(members: &Attributes) -> Map<String, serde_json::Value> {
    members
        .iter()
        .map(|(name, value)| (name.clone(), json(value)))
        .collect()
}

/// The text of a simple value for comparisons; `None` for null, lists and complex values.
pub(crate) fn simple_text(value: &Value) -> Option<std::borrow::Cow<'_, str>> {
    text_of(value)
}
