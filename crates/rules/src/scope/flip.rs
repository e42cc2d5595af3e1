//! The smallest change in the source that would turn a scope decision around.

use muster_model::{Attributes, Value};

use super::{Clause, Operand, ScopeOperator, ScopingFilters};
use crate::convert::simple_text;

/// One attribute that would have to change.
#[derive(Clone, Debug, PartialEq)]
pub struct Flip {
    /// The source attribute.
    pub attribute: String,
    /// What it is now.
    pub seen: Value,
    /// What it would have to become, in plain words that follow its name.
    pub becomes: String,
}

impl std::fmt::Display for Flip {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}", self.attribute, self.becomes)
    }
}

impl ScopingFilters {
    /// The fewest changes of the object that would turn the answer around; all of them are needed.
    /// Nothing when no change can, because there are no clauses. The first filter counts among equals.
    pub fn flip(&self, source: &Attributes) -> Vec<Flip> {
        let filters = self
            .filters
            .iter()
            .filter(|filter| !filter.clauses.is_empty());
        let holds = |clause: &Clause| clause.holds(source.get(&clause.attribute)).unwrap_or(false);
        if self.passes(source).unwrap_or(false) {
            // Every filter that lets it through must fail, by one of its clauses.
            return filters
                .filter(|filter| filter.passes(source).unwrap_or(false))
                .filter_map(|filter| filter.clauses.first())
                .map(|clause| clause.flip(source, false))
                .collect();
        }
        filters
            .map(|filter| filter.clauses.iter().filter(|clause| !holds(clause)))
            .map(|failing| failing.map(|clause| clause.flip(source, true)).collect())
            .min_by_key(|changes: &Vec<Flip>| changes.len())
            .unwrap_or_default()
    }
}

impl Clause {
    /// What would make the clause hold, or not hold.
    fn flip(&self, source: &Attributes, hold: bool) -> Flip {
        let seen = source.get(&self.attribute);
        Flip {
            attribute: self.attribute.clone(),
            seen: seen.cloned().unwrap_or_default(),
            becomes: self.becomes(seen, hold),
        }
    }

    fn becomes(&self, seen: Option<&Value>, hold: bool) -> String {
        use ScopeOperator as Op;
        let text = match &self.operand {
            Operand::None => "",
            Operand::Text(text) => text,
            Operand::Number(_) | Operand::Pattern(_) => &self.value,
        };
        let empty = seen.is_none_or(Value::is_empty);
        match (self.operator, hold) {
            (Op::Equals, true) => {
                let seen = seen.and_then(simple_text).unwrap_or_default();
                if seen.trim().eq_ignore_ascii_case(text.trim()) && !empty {
                    format!("must be exactly `{text}`; upper and lower case and blanks count")
                } else {
                    format!("must be `{text}`")
                }
            }
            // SF-9: a value that is missing does not differ from anything.
            (Op::NotEquals, true) if empty => format!("must have a value other than `{text}`"),
            (Op::Equals, false) | (Op::NotEquals, true) => format!("must not be `{text}`"),
            (Op::NotEquals, false) => format!("must be `{text}`, or empty"),
            (Op::IsTrue, true) => "must be true".to_owned(),
            (Op::IsTrue, false) => "must not be true".to_owned(),
            (Op::IsFalse, true) if empty => {
                "must be false, which is not the same as empty".to_owned()
            }
            (Op::IsFalse, true) => "must be false".to_owned(),
            (Op::IsFalse, false) => "must not be false".to_owned(),
            (Op::IsNull, true) | (Op::IsNotNull, false) => "must be empty".to_owned(),
            (Op::IsNull, false) | (Op::IsNotNull, true) => "must have a value".to_owned(),
            (Op::RegexMatch, true) => format!("must match `{text}` as a whole"),
            (Op::NotRegexMatch, true) if empty => {
                format!("must have a value that does not match `{text}`")
            }
            (Op::RegexMatch, false) | (Op::NotRegexMatch, true) => {
                format!("must not match `{text}`")
            }
            (Op::NotRegexMatch, false) => format!("must match `{text}` as a whole, or be empty"),
            (Op::GreaterThan, true) => format!("must be a whole number above {text}"),
            (Op::GreaterThan, false) => format!("must be at most {text}"),
            (Op::GreaterThanOrEquals, true) => format!("must be a whole number, {text} or more"),
            (Op::GreaterThanOrEquals, false) => format!("must be below {text}"),
            (Op::Includes, true) => format!("must contain `{text}`"),
            (Op::Includes, false) => format!("must not contain `{text}`"),
            (Op::EndsWith, true) => format!("must end with `{text}`"),
            (Op::EndsWith, false) => format!("must not end with `{text}`"),
            (Op::OccursIn, true) => format!("must occur in `{text}`"),
            (Op::NotOccursIn, true) if empty => {
                format!("must have a value that does not occur in `{text}`")
            }
            (Op::OccursIn, false) | (Op::NotOccursIn, true) => {
                format!("must not occur in `{text}`")
            }
            (Op::NotOccursIn, false) => format!("must occur in `{text}`, or be empty"),
        }
    }
}
