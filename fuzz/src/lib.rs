//! What is tried with hostile input: each function takes any bytes and panics when something does not
//! hold. A fuzzer calls them with what it makes up, a test with the corpus that it found.

mod requests;
mod scim;

use muster_model::{Attributes, Timestamp, Value};
use muster_rules::scope::{ClauseText, FilterText, ScopingFilters};
use muster_rules::{Context, Expression, Outcome, Schema, vectors};
use serde_json::Value as Json;

pub use requests::requests;
pub use scim::{bulk, filter, patch, path};

/// Bytes that a value may come to at most, whatever the expression: the bound of the evaluator, with
/// room for how JSON writes it.
const LARGEST: usize = 16 * 1024 * 1024;

/// A text is parsed; what parses is printed and parses to the same again.
pub fn parse(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match Expression::parse(text) {
        Ok(expression) => {
            let printed = expression.to_string();
            let again = Expression::parse(&printed);
            assert_eq!(again.as_ref(), Ok(&expression), "{printed}");
        }
        Err(problems) => {
            let length = text.chars().count();
            assert!(!problems.0.is_empty());
            assert!(problems.0.iter().all(|it| it.at <= length), "{problems}");
        }
    }
    let _ = Expression::parse_any_case(text);
    let _ = Expression::unknown_attributes(text, &["givenName", "surname"]);
}

/// The first line is an expression, the rest a source object as JSON.
pub fn evaluate(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (expression, json) = text.split_once('\n').unwrap_or((text, "{}"));
    let Ok(expression) = Expression::parse(expression) else {
        return;
    };
    let source = match serde_json::from_str(json) {
        Ok(Json::Object(members)) => vectors::source(&members),
        _ => Attributes::new(),
    };
    let context = Context {
        now: Timestamp::from_micros(1_704_067_200_000_000),
        random: &|buffer| buffer.fill(7),
        taken: &|_, value| value.len() % 2 == 0,
    };
    let plain = expression.evaluate(&source, &context);
    if let Ok(Outcome::Value(value)) = &plain {
        let size = size_of(value);
        assert!(size <= LARGEST, "{size} bytes");
        let _ = vectors::rendered(value);
    }
    let (traced, _) = expression.trace(&source, &context);
    assert_eq!(traced, plain);
}

fn size_of(value: &Value) -> usize {
    match value {
        Value::Text(text) => text.len(),
        Value::List(items) => items.iter().map(size_of).sum(),
        Value::Object(members) => members
            .iter()
            .map(|(name, it)| name.len() + size_of(it))
            .sum(),
        Value::Null | Value::Bool(_) | Value::Int(_) => 8,
    }
}

/// Lines of attribute, operator and value, apart by tabs; an empty line begins another filter; the last
/// line is a source object as JSON.
pub fn scope(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (filters, json) = text.rsplit_once('\n').unwrap_or((text, "{}"));
    let filters: Vec<FilterText> = filters
        .split("\n\n")
        .map(|filter| FilterText {
            title: "filter".to_owned(),
            clauses: filter.lines().map(clause).collect(),
            ..FilterText::default()
        })
        .collect();
    let Ok(filters) = ScopingFilters::compile(&filters) else {
        return;
    };
    let source = match serde_json::from_str(json) {
        Ok(Json::Object(members)) => vectors::source(&members),
        _ => Attributes::new(),
    };
    let passes = filters.passes(&source);
    let outcome = filters.evaluate(&source);
    if let Ok(passes) = passes {
        assert_eq!(outcome.passed, passes);
    }
    let _ = (filters.flip(&source), filters.warnings());
}

fn clause(line: &str) -> ClauseText {
    let mut parts = line.split('\t');
    let mut next = || parts.next().unwrap_or_default().to_owned();
    let (attribute, operator) = (next(), next());
    ClauseText {
        attribute,
        operator,
        values: line.split('\t').skip(2).map(str::to_owned).collect(),
        ..ClauseText::default()
    }
}

/// A schema document is read; what can be read is written, and reads and writes the same again.
pub fn schema(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(schema) = Schema::from_json(text) else {
        return;
    };
    let written = schema.to_json();
    let again = Schema::from_json(&written);
    let again = again.unwrap_or_else(|problems| panic!("{problems:?}\n{written}"));
    assert_eq!(again.to_json(), written);
    assert_eq!(schema.diff(&again), []);
    let _ = (
        schema.check(),
        schema.warnings(),
        schema.source_attributes(),
    );
}
