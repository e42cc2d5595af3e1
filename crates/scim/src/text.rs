//! How names and texts are compared: attribute names by ASCII case, values by Unicode case.

use std::borrow::Cow;
use std::cmp::Ordering;

use serde_json::Value;

use crate::Map;

/// The form under which texts that differ only in case are equal; use it for index keys too.
///
/// Each character is lowered on its own, so that `fold(a) + fold(b) == fold(a + b)`.
pub fn fold(text: &str) -> Cow<'_, str> {
    if !text.is_ascii() {
        Cow::Owned(text.chars().flat_map(char::to_lowercase).collect())
    } else if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(text.to_ascii_lowercase())
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether `text` equals an already folded text, without allocating.
pub fn equals_folded(text: &str, folded: &str) -> bool {
    if text.is_ascii() {
        text.eq_ignore_ascii_case(folded)
    } else {
        text.chars().flat_map(char::to_lowercase).eq(folded.chars())
    }
}

/// Orders `text`, folded on the fly, against an already folded text.
pub fn compare_folded(text: &str, folded: &str) -> Ordering {
    text.chars()
        .flat_map(char::to_lowercase)
        .cmp(folded.chars())
}

/// Reads a boolean, or the words `true` and `false` in any case, as Entra sends them (profile section 16).
pub fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(bool) => Some(*bool),
        Value::String(text) => word_boolean(text),
        _ => None,
    }
}

pub(crate) fn word_boolean(text: &str) -> Option<bool> {
    if text.eq_ignore_ascii_case("true") {
        Some(true)
    } else if text.eq_ignore_ascii_case("false") {
        Some(false)
    } else {
        None
    }
}

/// Finds a member whatever the case of its name; the exact spelling wins (RFC 7643 section 2.1).
pub fn find_member<'m>(map: &'m Map, name: &str) -> Option<&'m Value> {
    map.get(name).or_else(|| {
        map.iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

/// The spelling under which a member is stored, whatever the case asked for.
pub fn find_key<'m>(map: &'m Map, name: &str) -> Option<&'m str> {
    map.get_key_value(name)
        .or_else(|| map.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)))
        .map(|(key, _)| key.as_str())
}

/// Whether a value counts as unassigned when asked with `pr` (RFC 7644 section 3.4.2.2).
pub fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.iter().all(is_empty),
        Value::Object(map) => map.values().all(is_empty),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A client's text, cut to a length that is safe to show in an error.
pub(crate) fn shown(text: &str) -> &str {
    const LONGEST: usize = 120;
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn check(a: &str, b: &str, want: bool) {
        assert_eq!(equals_folded(a, &fold(b)), want);
        assert_eq!(compare_folded(a, &fold(b)) == Ordering::Equal, want);
    }

    #[test]
    fn text_is_compared_ignoring_unicode_case() {
        check("Ana", "aNA", true);
        check("ÉMILE", "émile", true);
        check("Ωmega", "ωMEGA", true);
        check("ana", "anna", false);
        check("É", "e", false);
        check("\u{212A}", "k", true); // the Kelvin sign lowers to a plain k
    }

    #[test]
    fn the_exact_spelling_wins_over_another_case() {
        let map = json!({"A": 1, "a": 2});
        assert_eq!(find_member(map.as_object().unwrap(), "a"), Some(&json!(2)));
        assert_eq!(find_key(map.as_object().unwrap(), "A"), Some("A"));
    }

    #[test]
    fn shown_never_cuts_a_character() {
        assert!(shown(&"é".repeat(200)).len() <= 120);
        assert_eq!(shown("short"), "short");
    }

    #[test]
    fn empty_values_are_unassigned() {
        for empty in [
            json!(null),
            json!(""),
            json!([]),
            json!({}),
            json!([{}]),
            json!([{"value": ""}]),
        ] {
            assert!(is_empty(&empty), "{empty}");
        }
        for full in [
            json!(false),
            json!(0),
            json!("x"),
            json!([{"primary": false}]),
        ] {
            assert!(!is_empty(&full), "{full}");
        }
    }
}
