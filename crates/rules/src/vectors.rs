//! Test vectors: one JSON object a line, as the reference of the language describes them (0.3). A row
//! says what an expression or a scoping filter makes of a source object; running it says whether that
//! holds here.

use std::cell::Cell;

use muster_model::{Attributes, Timestamp, Value};
use serde_json::{Map, Value as Json};

use crate::expr::text_of;
use crate::scope::{ClauseText, FilterText, ScopeOperator, ScopingFilters};
use crate::{Context, Expression, Outcome};

/// What came of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Passed,
    /// It does not.
    Failed {
        /// What the row expects.
        expected: String,
        /// What came of it.
        actual: String,
    },
}

/// The line is no vector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NoVector(pub String);

/// Runs one row; answers its id and what came of it.
///
/// # Errors
///
/// [`NoVector`] when the line is not JSON, or has none of the shapes of a vector.
pub fn run(line: &str) -> Result<(String, Verdict), NoVector> {
    let row: Json = serde_json::from_str(line).map_err(|error| no(&error.to_string()))?;
    let row = row
        .as_object()
        .ok_or_else(|| no("a row is a JSON object"))?;
    let id = row.get("id").and_then(Json::as_str).unwrap_or("?");
    let source = match row.get("source") {
        Some(Json::Object(members)) => source(members),
        None => Attributes::new(),
        Some(_) => return Err(no("`source` is an object")),
    };
    let verdict = if row.contains_key("filter") {
        scoping(row, &source)?
    } else if row.contains_key("expression") {
        evaluation(row, &source)?
    } else {
        return Err(no("a row has an `expression` or a `filter`"));
    };
    Ok((id.to_owned(), verdict))
}

/// A source object from JSON; numbers with a fraction become text.
pub fn source(members: &Map<String, Json>) -> Attributes {
    let entries = members.iter();
    entries
        .map(|(name, value)| (name.clone(), value_of(value)))
        .collect()
}

/// A value from JSON. The depth is bounded by whoever parsed it.
fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => Value::Bool(*flag),
        Json::Number(number) => number
            .as_i64()
            .map_or_else(|| Value::from(number.to_string()), Value::Int),
        Json::String(text) => Value::from(text.as_str()),
        Json::Array(items) => Value::List(items.iter().map(value_of).collect()),
        Json::Object(members) => Value::Object(source(members)),
    }
}

/// A result as vectors write it: numbers, booleans and dates as text.
pub fn rendered(value: &Value) -> Json {
    match value {
        Value::List(items) => items.iter().map(rendered).collect(),
        Value::Object(_) | Value::Null => crate::convert::json(value),
        simple => text_of(simple).map_or(Json::Null, |text| text.into_owned().into()),
    }
}

/// A result as people read it: simple values as text, the rest as JSON.
pub fn shown(value: &Value) -> String {
    match rendered(value) {
        Json::String(text) => text,
        other => other.to_string(),
    }
}

fn no(reason: &str) -> NoVector {
    NoVector(reason.to_owned())
}

fn evaluation(row: &Map<String, Json>, source: &Attributes) -> Result<Verdict, NoVector> {
    let text = row.get("expression").and_then(Json::as_str);
    let text = text.ok_or_else(|| no("`expression` is a text"))?;
    let now = match row.get("now") {
        None => Timestamp::from_micros(1_704_067_200_000_000),
        Some(now) => now
            .as_str()
            .and_then(|now| now.parse().ok())
            .ok_or_else(|| no("`now` is an RFC 3339 instant"))?,
    };
    let taken: Vec<&str> = match row.get("taken") {
        None => Vec::new(),
        Some(Json::Array(taken)) => taken.iter().filter_map(Json::as_str).collect(),
        Some(_) => return Err(no("`taken` is a list of texts")),
    };
    let is_error = row.get("error") == Some(&Json::Bool(true));
    let is_skip = row.get("skip") == Some(&Json::Bool(true));
    let Some(expected) = row
        .get("expected")
        .or_else(|| (is_error || is_skip).then_some(&Json::Null))
    else {
        return Err(no("a row has `expected`, `skip` or `error`"));
    };
    let state = Cell::new(1_u64);
    let context = Context {
        now,
        random: &|buffer| {
            for byte in buffer {
                let next = state.get().wrapping_mul(6_364_136_223_846_793_005);
                state.set(next.wrapping_add(1));
                *byte = (state.get() >> 33) as u8;
            }
        },
        taken: &|_, value| taken.contains(&value),
    };
    let outcome = match Expression::parse(text) {
        Ok(expression) => expression
            .evaluate(source, &context)
            .map_err(|error| error.to_string()),
        Err(problems) => Err(problems.to_string()),
    };
    let (holds, actual) = match &outcome {
        Err(error) => (is_error, format!("error: {error}")),
        Ok(Outcome::Skip) => (is_skip, "the attribute is left out".to_owned()),
        Ok(Outcome::SkipObject) => (false, "the object is left out".to_owned()),
        Ok(Outcome::Value(value)) => {
            let value = rendered(value);
            (
                !is_error && !is_skip && value == *expected,
                value.to_string(),
            )
        }
    };
    Ok(verdict(holds, actual, || {
        if is_error {
            "an error".to_owned()
        } else if is_skip {
            "the attribute is left out".to_owned()
        } else {
            expected.to_string()
        }
    }))
}

fn scoping(row: &Map<String, Json>, source: &Attributes) -> Result<Verdict, NoVector> {
    let wrong = || no("a filter has `groups`, each with `clauses` of `attribute` and `operator`");
    let wanted = row.get("in_scope").and_then(Json::as_bool);
    let wanted = wanted.ok_or_else(|| no("a scoping row has `in_scope`, true or false"))?;
    let groups = row["filter"]["groups"].as_array().ok_or_else(wrong)?;
    let mut filters = Vec::with_capacity(groups.len());
    for group in groups {
        let mut clauses = Vec::new();
        for clause in group["clauses"].as_array().ok_or_else(wrong)? {
            let text = |name: &str| clause[name].as_str().map(str::to_owned);
            let operator = text("operator").ok_or_else(wrong)?;
            let takes_value = ScopeOperator::find(&operator).is_none_or(ScopeOperator::is_binary);
            clauses.push(ClauseText {
                attribute: text("attribute").ok_or_else(wrong)?,
                values: takes_value
                    .then(|| text("value").unwrap_or_default())
                    .into_iter()
                    .collect(),
                operator,
                ..ClauseText::default()
            });
        }
        let title = group["name"].as_str().unwrap_or_default().to_owned();
        filters.push(FilterText {
            title,
            clauses,
            ..FilterText::default()
        });
    }
    let said = |inside: bool| if inside { "in scope" } else { "not in scope" }.to_owned();
    let outcome = match ScopingFilters::compile(&filters) {
        Ok(filters) => filters.passes(source).map_err(|error| error.to_string()),
        Err(problems) => {
            let problems: Vec<String> = problems.iter().map(|it| it.message.clone()).collect();
            Err(problems.join("; "))
        }
    };
    Ok(match outcome {
        Ok(inside) => verdict(inside == wanted, said(inside), || said(wanted)),
        Err(error) => verdict(false, format!("error: {error}"), || said(wanted)),
    })
}

fn verdict(holds: bool, actual: String, expected: impl Fn() -> String) -> Verdict {
    if holds {
        return Verdict::Passed;
    }
    Verdict::Failed {
        expected: expected(),
        actual,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, at_least: usize) {
        let wrong: Vec<String> = file
            .lines()
            .filter_map(|line| match run(line).unwrap() {
                (_, Verdict::Passed) => None,
                (id, Verdict::Failed { expected, actual }) => {
                    Some(format!("{id}: {actual}, not {expected}"))
                }
            })
            .collect();
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(file.lines().count() >= at_least);
        for line in file.lines() {
            let row: Json = serde_json::from_str(line).unwrap();
            let text = row["expression"].as_str().unwrap_or_default();
            if let Ok(expression) = Expression::parse(text) {
                let printed = expression.to_string();
                assert_eq!(
                    Expression::parse(&printed).unwrap(),
                    expression,
                    "{printed}"
                );
            }
        }
    }

    #[test]
    fn the_vectors_of_the_reference_hold() {
        check(include_str!("../testdata/expressions.jsonl"), 153);
        check(include_str!("../testdata/expressions-errors.jsonl"), 8);
        check(include_str!("../testdata/scoping.jsonl"), 32);
    }

    #[test]
    fn our_own_vectors_hold() {
        check(include_str!("../testdata/expressions-own.jsonl"), 88);
    }

    #[test]
    fn a_row_that_does_not_hold_says_what_came_of_it() {
        let (id, verdict) =
            run(r#"{"id":"a","expression":"ToUpper([x])","source":{"x":"ab"},"expected":"ab"}"#)
                .unwrap();
        let failed = Verdict::Failed {
            expected: "\"ab\"".to_owned(),
            actual: "\"AB\"".to_owned(),
        };
        assert_eq!((id.as_str(), verdict), ("a", failed));
        for (row, expected, actual) in [
            (
                r#"{"id":"b","expression":"Append([x])","source":{},"expected":"1"}"#,
                "\"1\"",
                "error: at 1",
            ),
            (
                r#"{"id":"c","expression":"[x]","source":{"x":"1"},"error":true}"#,
                "an error",
                "\"1\"",
            ),
            (
                r#"{"id":"d","filter":{"groups":[{"clauses":[{"attribute":"x","operator":"IS NULL"}]}]},"source":{"x":"1"},"in_scope":true}"#,
                "in scope",
                "not in scope",
            ),
        ] {
            let (_, verdict) = run(row).unwrap();
            let Verdict::Failed {
                expected: wanted,
                actual: got,
            } = verdict
            else {
                panic!("{row} passed");
            };
            assert_eq!(wanted, expected);
            assert!(got.starts_with(actual), "{got}");
        }
    }

    #[test]
    fn what_is_no_vector_is_told() {
        for line in [
            "",
            "[]",
            "{}",
            r#"{"id":"a","expression":"[x]"}"#,
            r#"{"id":"a","expression":"[x]","expected":null,"now":"soon"}"#,
            r#"{"id":"a","filter":{},"in_scope":true}"#,
            r#"{"id":"a","filter":{"groups":[]}}"#,
        ] {
            assert!(run(line).is_err(), "{line}");
        }
    }
}
