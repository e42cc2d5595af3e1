//! What may be said of one property: its name, and the shape of its value.

use muster_model::directory::{GROUP_ATTRIBUTES, Kind, Shape, USER_ATTRIBUTES, shape_of};
use muster_model::{Timestamp, Value};

use super::nearest::nearest;

/// Longest text that is kept.
pub(crate) const TEXT_BYTES: usize = 32 * 1024;
/// Longest sign-in name or group name; both are looked up by an index.
pub(crate) const NAME_CHARS: usize = 256;
/// Longest name of a property.
pub(crate) const PROPERTY_CHARS: usize = 256;

/// What is wrong with one property of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Name of the property; empty when it is about the whole.
    pub(crate) column: String,
    /// What is wrong with it, to be read after the name.
    pub(crate) reason: String,
}

impl Fault {
    pub(crate) fn new(column: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            column: column.into(),
            reason: reason.into(),
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.column.is_empty() {
            f.write_str(&self.reason)
        } else {
            write!(f, "{}: {}", self.column, self.reason)
        }
    }
}

/// The names of all properties of users or groups, `id` included.
pub(crate) fn names(kind: Kind) -> impl Iterator<Item = &'static str> {
    let known = match kind {
        Kind::User => USER_ATTRIBUTES,
        Kind::Group => GROUP_ATTRIBUTES,
    };
    std::iter::once("id").chain(known.iter().map(|(name, _)| *name))
}

/// The shape of a property, or why there is none of this name.
pub(crate) fn shape(kind: Kind, name: &str) -> Result<Shape, String> {
    if name.chars().nth(PROPERTY_CHARS).is_some() {
        return Err(format!("is a name longer than {PROPERTY_CHARS} characters"));
    }
    shape_of(kind, name).ok_or_else(|| {
        let whose = match kind {
            Kind::User => "a user",
            Kind::Group => "a group",
        };
        match nearest(name, names(kind)) {
            Some(near) => format!("is not a property of {whose}; did you mean `{near}`?"),
            None => format!("is not a property of {whose}; leave it out"),
        }
    })
}

/// The value in the form that is kept, or what is wrong with it. Nothing (an empty text or list)
/// becomes null.
pub(crate) fn checked(shape: Shape, value: Value) -> Result<Value, String> {
    if value.is_null() {
        return Ok(Value::Null);
    }
    match shape {
        Shape::Text | Shape::Reference => match value {
            Value::Text(text) => Ok(text_or_null(checked_text(text)?)),
            _ => Err("must be a text".to_owned()),
        },
        Shape::Bool => match value {
            Value::Bool(_) => Ok(value),
            Value::Text(text) if text.trim().is_empty() => Ok(Value::Null),
            Value::Text(text) => match text.trim() {
                flag if flag.eq_ignore_ascii_case("true") => Ok(true.into()),
                flag if flag.eq_ignore_ascii_case("false") => Ok(false.into()),
                other => Err(format!("must be true or false, not {}", quoted(other))),
            },
            _ => Err("must be true or false".to_owned()),
        },
        Shape::Time => match value {
            Value::Text(text) if text.trim().is_empty() => Ok(Value::Null),
            Value::Text(text) => match text.trim().parse::<Timestamp>() {
                Ok(_) => Ok(text.trim().into()),
                Err(error) => Err(error.to_string()),
            },
            _ => Err("must be a date and time such as 2026-03-01T09:00:00Z".to_owned()),
        },
        Shape::Texts => match value {
            Value::List(items) => checked_texts(items),
            Value::Text(_) => checked_texts(vec![value]),
            _ => Err("must be a list of texts".to_owned()),
        },
    }
}

fn checked_texts(items: Vec<Value>) -> Result<Value, String> {
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        match checked(Shape::Text, item)? {
            Value::Null => {}
            text => texts.push(text),
        }
    }
    Ok(if texts.is_empty() {
        Value::Null
    } else {
        Value::List(texts)
    })
}

fn checked_text(text: String) -> Result<String, String> {
    if text.len() > TEXT_BYTES {
        return Err(format!("is longer than {} KiB", TEXT_BYTES / 1024));
    }
    // PostgreSQL keeps no NUL, and nobody's name holds one.
    if text.contains('\0') {
        return Err("holds a NUL character".to_owned());
    }
    Ok(text)
}

fn text_or_null(text: String) -> Value {
    if text.is_empty() {
        Value::Null
    } else {
        Value::Text(text)
    }
}

/// A name that objects are looked up by: something, on one line, and not too long.
pub(crate) fn checked_name(value: Value) -> Result<String, String> {
    let Value::Text(text) = checked(Shape::Text, value)? else {
        return Err("is missing".to_owned());
    };
    let name = text.trim();
    if name.is_empty() {
        return Err("is missing".to_owned());
    }
    if name.chars().any(char::is_control) {
        return Err("holds a line break or another control character".to_owned());
    }
    if name.chars().nth(NAME_CHARS).is_some() {
        return Err(format!("is longer than {NAME_CHARS} characters"));
    }
    Ok(name.to_owned())
}

/// The start of a text in back-quotes, short enough for a message of one line.
pub(crate) fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(shape: Shape, value: impl Into<Value>, want: Result<Value, &str>) {
        let got = checked(shape, value.into());
        assert_eq!(
            got.as_ref().map_err(String::as_str),
            want.as_ref().map_err(|want| *want)
        );
    }

    #[test]
    fn each_shape_takes_its_values_and_refuses_others() {
        check(Shape::Text, "Ana", Ok("Ana".into()));
        check(Shape::Text, "", Ok(Value::Null));
        check(Shape::Text, 7_i64, Err("must be a text"));
        check(Shape::Text, "a\0b", Err("holds a NUL character"));
        check(
            Shape::Text,
            "x".repeat(TEXT_BYTES + 1),
            Err("is longer than 32 KiB"),
        );
        check(Shape::Bool, " FALSE ", Ok(false.into()));
        check(Shape::Bool, true, Ok(true.into()));
        check(Shape::Bool, "yes", Err("must be true or false, not `yes`"));
        check(
            Shape::Time,
            "2026-03-01T09:00:00Z",
            Ok("2026-03-01T09:00:00Z".into()),
        );
        check(
            Shape::Time,
            "01.03.2026",
            Err("`01.03.2026` is not a date and time such as 2026-03-01T09:00:00Z"),
        );
        check(
            Shape::Texts,
            "a@b.example",
            Ok(vec!["a@b.example".into()].into()),
        );
        check(Shape::Texts, vec!["".into(), Value::Null], Ok(Value::Null));
        check(Shape::Texts, vec![Value::Bool(true)], Err("must be a text"));
    }

    #[test]
    fn a_name_is_something_on_one_line() {
        assert_eq!(
            checked_name(" ana@a.example ".into()).as_deref(),
            Ok("ana@a.example")
        );
        for wrong in ["", "  ", "a\nb", &"x".repeat(NAME_CHARS + 1)] {
            assert!(checked_name(wrong.into()).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn an_unknown_property_is_told_its_likely_name() {
        assert_eq!(
            shape(Kind::User, "jobtitel").unwrap_err(),
            "is not a property of a user; did you mean `jobTitle`?"
        );
        assert_eq!(shape(Kind::User, "extension_abc_badge"), Ok(Shape::Text));
        assert!(shape(Kind::Group, "extension_".to_owned().repeat(100).as_str()).is_err());
    }
}
