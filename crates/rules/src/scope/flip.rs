//! The smallest change in the source that would turn a scope decision around.

use muster_model::{Attributes, Value};

use super::{Clause, Operand, ScopeOperator, ScopingFilter, ScopingFilters};
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

/// A clause, and whether it must hold.
type Demand<'c> = (&'c Clause, bool);

impl ScopingFilters {
    /// The fewest attributes that would have to change so that the answer turns around; all of them are
    /// needed. Nothing when no change can do that. The first filter counts among equals.
    ///
    /// Every change was tried on the object, but for patterns, which nobody can make a value for.
    pub fn flip(&self, source: &Attributes) -> Vec<Flip> {
        self.turned(source)
            .map_or_else(Vec::new, |changes| changes.flips)
    }

    /// The changes, and the object with them.
    pub(super) fn turned(&self, source: &Attributes) -> Option<Changes> {
        if self.passes(source).unwrap_or(false) {
            return self.shut_out(source);
        }
        self.filters
            .iter()
            .filter(|filter| !filter.clauses.is_empty())
            .filter_map(|filter| {
                let demands: Vec<Demand<'_>> =
                    filter.clauses.iter().map(|clause| (clause, true)).collect();
                changes(&demands, source)
            })
            .min_by_key(|changes| changes.flips.len())
    }

    /// What would make an object fail that passes: one attribute, or else one for each filter that lets it
    /// through.
    fn shut_out(&self, source: &Attributes) -> Option<Changes> {
        let passing: Vec<&ScopingFilter> = self
            .filters
            .iter()
            .filter(|filter| !filter.clauses.is_empty())
            .filter(|filter| filter.passes(source).unwrap_or(false))
            .collect();
        let shut = |demands: &[Demand<'_>]| {
            let changes = changes(demands, source)?;
            let out = !self.passes(&changes.object).unwrap_or(true);
            out.then_some(changes)
        };
        let one = passing
            .iter()
            .flat_map(|filter| &filter.clauses)
            .find_map(|clause| {
                // Every filter that looks at the same attribute is shut by it.
                let same = passing.iter().filter_map(|filter| {
                    let mut clauses = filter.clauses.iter();
                    clauses.find(|other| other.attribute == clause.attribute)
                });
                let demands: Vec<Demand<'_>> = same.map(|clause| (clause, false)).collect();
                shut(&demands)
            });
        one.or_else(|| {
            let first = passing.iter().filter_map(|filter| filter.clauses.first());
            let demands: Vec<Demand<'_>> = first.map(|clause| (clause, false)).collect();
            shut(&demands)
        })
    }
}

/// Changes of an object that meet demands, and the object with them.
pub(super) struct Changes {
    flips: Vec<Flip>,
    pub(super) object: Attributes,
}

/// What must change so that every demand is met; `None` when they cannot be met together.
fn changes(demands: &[Demand<'_>], source: &Attributes) -> Option<Changes> {
    let met = |demand: &Demand<'_>, value: Option<&Value>| {
        demand.0.holds(value).is_ok_and(|holds| holds == demand.1)
    };
    let (mut flips, mut object) = (Vec::<Flip>::new(), source.clone());
    for (clause, _) in demands {
        let name = clause.attribute.as_str();
        let seen = source.get(name);
        let same: Vec<Demand<'_>> = demands
            .iter()
            .filter(|(other, _)| other.attribute == name)
            .copied()
            .collect();
        let told = flips.iter().any(|flip| flip.attribute == name);
        if told || same.iter().all(|demand| met(demand, seen)) {
            continue;
        }
        let value = candidates(&same, seen)
            .into_iter()
            .find(|value| same.iter().all(|demand| met(demand, Some(value))));
        // Only a lone pattern is told without a value that was tried.
        let pattern = matches!(clause.operand, Operand::Pattern(_)) && same.len() == 1;
        match value {
            Some(value) => object.set(name, value),
            None if pattern => {}
            None => return None,
        }
        // What fails now comes first; what holds must go on holding.
        let (failing, holding): (Vec<Demand<'_>>, Vec<Demand<'_>>) =
            same.iter().partition(|demand| !met(demand, seen));
        let mut becomes: Vec<String> = Vec::new();
        for (clause, hold) in strongest(failing.into_iter().chain(holding).collect()) {
            let words = clause.becomes(seen, hold);
            if !becomes.contains(&words) {
                becomes.push(words);
            }
        }
        flips.push(Flip {
            attribute: name.to_owned(),
            seen: seen.cloned().unwrap_or_default(),
            becomes: becomes.join(" and "),
        });
    }
    Some(Changes { flips, object })
}

/// Without the numeric bounds that a stronger one includes.
fn strongest(demands: Vec<Demand<'_>>) -> Vec<Demand<'_>> {
    let least = |(clause, hold): &Demand<'_>| match (clause.operator, &clause.operand) {
        (ScopeOperator::GreaterThan, Operand::Number(number)) if *hold => {
            Some(number.saturating_add(1))
        }
        (ScopeOperator::GreaterThanOrEquals, Operand::Number(number)) if *hold => Some(*number),
        _ => None,
    };
    let most = demands.iter().filter_map(least).max();
    let mut kept = demands;
    kept.retain(|demand| least(demand).is_none_or(|number| Some(number) == most));
    kept
}

/// Values worth trying: what the operands say, alone and put together, and the ordinary ones.
fn candidates(demands: &[Demand<'_>], seen: Option<&Value>) -> Vec<Value> {
    /// Operands that are put together at most.
    const TOGETHER: usize = 8;
    let mut values = vec![
        Value::Null,
        Value::from(true),
        Value::from(false),
        Value::from("x"),
        Value::from("0"),
    ];
    let (mut contained, mut end) = (String::new(), "");
    for (clause, hold) in demands.iter().take(TOGETHER) {
        match &clause.operand {
            Operand::Text(text) => {
                values.push(Value::from(text.as_str()));
                match clause.operator {
                    ScopeOperator::Includes if *hold => contained.push_str(text),
                    ScopeOperator::EndsWith if *hold => end = text,
                    _ => {}
                }
            }
            Operand::Number(number) => {
                for near in [Some(*number), number.checked_add(1), number.checked_sub(1)] {
                    values.extend(near.map(|near| Value::from(near.to_string())));
                }
            }
            Operand::None | Operand::Pattern(_) => {}
        }
    }
    values.push(Value::from(format!("{contained}{end}")));
    if let Some(text) = seen.and_then(simple_text) {
        values.push(Value::from(format!("{contained}{text}{end}")));
        values.push(Value::from(format!("{text}{contained}{end}")));
    }
    values
}

impl Clause {
    /// What would make the clause hold, or not hold, in words that follow the attribute's name.
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
