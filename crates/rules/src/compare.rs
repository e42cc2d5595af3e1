//! Is what the target holds already what the mapping gives? (15 #8)

use muster_model::Value;

use crate::TargetType;
use crate::convert::{simple_text, truth_of};
use crate::date;

/// Are two values of a target attribute the same, so that nothing needs to be written?
///
/// Texts are compared as `case_exact` says, booleans and numbers also when one side holds them as
/// text, instants by what they mean. A missing value, null, an empty text and an empty list are the
/// same nothing. Several values are a set: neither order nor repetition counts.
pub fn same(kind: TargetType, case_exact: bool, old: Option<&Value>, new: &Value) -> bool {
    let old = old.unwrap_or(&Value::Null);
    match (old, new) {
        (Value::Text(old), Value::Text(new)) if old == new => true,
        (Value::Text(old), Value::Text(new)) if kind == TargetType::String => {
            !case_exact && equal_ignoring_case(old, new)
        }
        (Value::Bool(old), Value::Bool(new)) => old == new,
        (Value::Int(old), Value::Int(new)) => old == new,
        _ => {
            let (old, new) = (keys(old, kind, case_exact), keys(new, kind, case_exact));
            old == new
        }
    }
}

/// The elements of `new` that `old` has not, as a list; `None` when it has them all. An element with
/// several parts counts as there when the target's has at least these parts.
pub(crate) fn added(
    kind: TargetType,
    case_exact: bool,
    old: Option<&Value>,
    new: &Value,
) -> Option<Value> {
    let elements = |value: &Value| -> Vec<Value> {
        match value {
            Value::List(items) => items.clone(),
            empty if empty.is_empty() => Vec::new(),
            single => vec![single.clone()],
        }
    };
    let there = old.map(&elements).unwrap_or_default();
    let has = |wanted: &Value| {
        there.iter().any(|item| match (item, wanted) {
            (Value::Object(item), Value::Object(wanted)) => wanted.iter().all(|(name, part)| {
                let found = item.iter().find(|(it, _)| it.eq_ignore_ascii_case(name));
                same(
                    TargetType::String,
                    case_exact,
                    found.map(|(_, it)| it),
                    part,
                )
            }),
            (item, wanted) => same(kind, case_exact, Some(item), wanted),
        })
    };
    let missing: Vec<Value> = elements(new)
        .into_iter()
        .filter(|item| !item.is_empty() && !has(item))
        .collect();
    (!missing.is_empty()).then_some(Value::List(missing))
}

/// Ignoring case without building lower-case copies of plain ASCII.
fn equal_ignoring_case(one: &str, two: &str) -> bool {
    if one.is_ascii() && two.is_ascii() {
        return one.eq_ignore_ascii_case(two);
    }
    one.chars()
        .flat_map(char::to_lowercase)
        .eq(two.chars().flat_map(char::to_lowercase))
}

/// What a value amounts to: the keys of its elements, sorted, each once.
fn keys(value: &Value, kind: TargetType, case_exact: bool) -> Vec<String> {
    let mut keys: Vec<String> = match value {
        Value::List(items) => items
            .iter()
            .filter(|item| !item.is_empty())
            .map(|item| key(item, kind, case_exact))
            .collect(),
        empty if empty.is_empty() => Vec::new(),
        single => vec![key(single, kind, case_exact)],
    };
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// One text that two elements share when they are the same.
fn key(value: &Value, kind: TargetType, case_exact: bool) -> String {
    match value {
        Value::Object(members) => {
            let mut parts: Vec<String> = members
                .iter()
                .filter(|(_, member)| !member.is_empty())
                .map(|(name, member)| {
                    let inner = keys(member, TargetType::String, case_exact);
                    format!("{:?}:{inner:?}", name.to_lowercase())
                })
                .collect();
            parts.sort_unstable();
            parts.concat()
        }
        Value::List(_) => keys(value, kind, case_exact).concat(),
        simple => {
            let text = simple_text(simple).unwrap_or_default();
            if let Some(flag) = truth_of(&text)
                && (kind == TargetType::Boolean || matches!(simple, Value::Bool(_)))
            {
                return flag.to_string();
            }
            match kind {
                TargetType::Integer => {
                    if let Ok(number) = text.trim().parse::<i64>() {
                        return number.to_string();
                    }
                }
                TargetType::DateTime => {
                    if let Some(at) = date::read(&text) {
                        return date::rfc3339(at);
                    }
                }
                _ => {}
            }
            if case_exact {
                text.into_owned()
            } else {
                text.to_lowercase()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::same;
    use crate::TargetType::{self, Boolean, DateTime, Integer, String};
    use muster_model::{Attributes, Value};

    #[track_caller]
    fn check(
        kind: TargetType,
        exact: bool,
        old: impl Into<Value>,
        new: impl Into<Value>,
        want: bool,
    ) {
        let (old, new) = (old.into(), new.into());
        assert_eq!(same(kind, exact, Some(&old), &new), want, "{old:?} {new:?}");
        assert_eq!(same(kind, exact, Some(&new), &old), want, "{new:?} {old:?}");
    }

    fn list(items: &[&str]) -> Value {
        Value::List(items.iter().map(|item| Value::from(*item)).collect())
    }

    #[test]
    fn texts_follow_the_case_rule() {
        check(String, false, "Ana", "ana", true);
        check(String, false, "ÄNA", "äna", true);
        check(String, true, "Ana", "ana", false);
        check(String, true, "a", "b", false);
    }

    #[test]
    fn types_are_compared_by_what_they_mean() {
        check(Boolean, true, true, "True", true);
        check(Boolean, true, "true", "True", true);
        check(Boolean, true, false, "True", false);
        check(Integer, true, 5, "05", true);
        check(
            DateTime,
            true,
            "2020-01-01T00:00:00Z",
            "2020-01-01T01:00:00+01:00",
            true,
        );
        check(
            DateTime,
            true,
            "2020-01-01T00:00:00Z",
            "2020-01-02T00:00:00Z",
            false,
        );
    }

    #[test]
    fn nothing_is_nothing_in_every_form() {
        check(String, true, Value::Null, "", true);
        check(String, true, Value::Null, list(&[]), true);
        check(String, true, Value::Null, "a", false);
        assert!(same(String, true, None, &Value::Null));
    }

    #[test]
    fn several_values_are_a_set() {
        check(
            String,
            true,
            list(&["a", "b"]),
            list(&["b", "a", "a"]),
            true,
        );
        check(String, true, list(&["a"]), "a", true);
        check(String, true, list(&["a", "b"]), list(&["a"]), false);
    }

    #[test]
    fn complex_values_compare_by_their_members() {
        let role = |name: &str, value: &str| {
            let mut members = Attributes::new();
            members.set(name, value);
            members.set("primary", false);
            Value::Object(members)
        };
        check(String, true, role("value", "x"), role("Value", "x"), true);
        check(String, true, role("value", "x"), role("value", "y"), false);
        check(
            String,
            true,
            vec![role("value", "x"), role("value", "y")],
            vec![role("value", "y"), role("value", "x")],
            true,
        );
    }
}
