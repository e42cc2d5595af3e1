//! Scoping filters: which objects a mapping applies to (section 4 of the behaviour reference).

mod flip;
mod operator;

use std::borrow::Cow;
use std::sync::Arc;

use muster_model::{Attributes, Value};
use serde_json::{Map, Value as Json};

use crate::convert::{simple_text, truth_of};
use crate::expr::EvalError;
use crate::pattern::{Pattern, TooCostly};
use crate::suggest::closest;

pub use flip::Flip;
pub use operator::ScopeOperator;

/// Clauses in all filters of one mapping at most.
pub(crate) const MAX_CLAUSES: usize = 1_000;

/// The scoping filters of one object mapping; none means that everything passes (SF-3).
#[derive(Clone, Debug, Default)]
pub struct ScopingFilters {
    filters: Vec<ScopingFilter>,
}

/// One filter: all its clauses must hold (SF-2).
#[derive(Clone, Debug)]
pub struct ScopingFilter {
    title: String,
    clauses: Vec<Clause>,
}

/// A filter as it is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FilterText {
    /// Its title.
    pub title: String,
    /// Its clauses.
    pub clauses: Vec<ClauseText>,
    /// Members of its document that we do not know.
    pub other: Map<String, Json>,
}

/// A clause as it is written (SF-5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClauseText {
    /// The source attribute.
    pub attribute: String,
    /// The name of the operator.
    pub operator: String,
    /// The operands; the first one counts.
    pub values: Vec<String>,
    /// Members of its document that we do not know.
    pub other: Map<String, Json>,
    /// The same of its operand.
    pub other_operand: Map<String, Json>,
}

/// A clause that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeProblem {
    /// Which filter, counting from zero.
    pub filter: usize,
    /// Which clause, counting from zero.
    pub clause: usize,
    /// Which part of it.
    pub part: ScopePart,
    /// What is wrong, in plain words.
    pub message: String,
}

/// A part of a clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScopePart {
    /// The source attribute.
    Attribute,
    /// The operator.
    Operator,
    /// The operand.
    Value,
}

/// Source attributes that filters cannot look at (SF-11).
const UNSUPPORTED: [&str; 5] = [
    "appRoleAssignments",
    "manager",
    "memberOf",
    "members",
    "userType",
];

#[derive(Clone, Debug)]
struct Clause {
    attribute: String,
    operator: ScopeOperator,
    operand: Operand,
    /// The operand as it is written.
    value: String,
    label: String,
}

/// The operand, ready for its operator.
#[derive(Clone, Debug)]
enum Operand {
    None,
    Text(String),
    Number(u64),
    Pattern(Arc<Pattern>),
}

/// What the filters say about an object (4.4).
#[derive(Clone, Debug, PartialEq)]
pub struct ScopeOutcome {
    /// Does the object pass?
    pub passed: bool,
    /// Every clause of every filter, in order.
    pub clauses: Vec<ClauseResult>,
    /// When it does not pass: the fewest changes of the object that would bring it in.
    pub flip: Vec<Flip>,
    /// A clause could not be decided: `passed` must not be acted on, above all not by taking
    /// accounts away.
    pub problem: Option<EvalError>,
}

/// What one clause says about an object.
#[derive(Clone, Debug, PartialEq)]
pub struct ClauseResult {
    /// The source attribute that it looks at.
    pub attribute: String,
    /// `{filter title}.{attribute} {operator} {value}`
    pub label: String,
    /// Does it hold?
    pub passed: bool,
    /// Did it decide: is it of a filter that lets the object through, or one of those that keep it
    /// out?
    pub decided: bool,
    /// What the attribute was.
    pub seen: Value,
}

impl ScopeOutcome {
    /// The log's `ScopeEvaluationResult`: a JSON object from label to boolean, `{}` without
    /// filters.
    pub fn to_json(&self) -> String {
        let members: serde_json::Map<String, serde_json::Value> = self
            .clauses
            .iter()
            .map(|clause| (clause.label.clone(), clause.passed.into()))
            .collect();
        serde_json::Value::Object(members).to_string()
    }
}

impl ScopingFilters {
    /// Looks up operators and compiles patterns.
    pub fn compile(filters: &[FilterText]) -> Result<Self, Vec<ScopeProblem>> {
        let mut problems = Vec::new();
        let mut count = 0;
        let mut compiled = Vec::with_capacity(filters.len());
        for (filter_at, filter) in filters.iter().enumerate() {
            let mut clauses = Vec::with_capacity(filter.clauses.len());
            for (clause_at, clause) in filter.clauses.iter().enumerate() {
                count += 1;
                let result = if count > MAX_CLAUSES {
                    Err((
                        ScopePart::Operator,
                        format!("a mapping has at most {MAX_CLAUSES} clauses"),
                    ))
                } else {
                    Clause::compile(&filter.title, clause)
                };
                match result {
                    Ok(clause) => clauses.push(clause),
                    Err((part, message)) => problems.push(ScopeProblem {
                        filter: filter_at,
                        clause: clause_at,
                        part,
                        message,
                    }),
                }
                if count > MAX_CLAUSES {
                    return Err(problems);
                }
            }
            compiled.push(ScopingFilter {
                title: filter.title.clone(),
                clauses,
            });
        }
        if problems.is_empty() {
            Ok(Self { filters: compiled })
        } else {
            Err(problems)
        }
    }

    /// Is there no clause, so that everything passes?
    pub fn is_empty(&self) -> bool {
        self.filters.iter().all(|filter| filter.clauses.is_empty())
    }

    /// The filters.
    pub fn filters(&self) -> &[ScopingFilter] {
        &self.filters
    }

    /// Does the object pass? Stops at the first filter that lets it through. A filter without
    /// clauses says nothing.
    pub fn passes(&self, source: &Attributes) -> Result<bool, EvalError> {
        let mut filters = self
            .filters
            .iter()
            .filter(|filter| !filter.clauses.is_empty())
            .peekable();
        if filters.peek().is_none() {
            return Ok(true);
        }
        // An undecided filter matters only when no other one lets the object through.
        let mut undecided = false;
        for filter in filters {
            match filter.passes(source) {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(TooCostly) => undecided = true,
            }
        }
        if undecided {
            return Err(EvalError::PatternTooCostly);
        }
        Ok(false)
    }

    /// Evaluates every clause, for logs and explanations.
    pub fn evaluate(&self, source: &Attributes) -> ScopeOutcome {
        let (passed, problem) = match self.passes(source) {
            Ok(passed) => (passed, None),
            Err(problem) => (false, Some(problem)),
        };
        let mut clauses = Vec::new();
        for filter in &self.filters {
            let lets_through = passed && filter.passes(source).unwrap_or(false);
            clauses.extend(filter.clauses.iter().map(|clause| {
                let seen = source.get(&clause.attribute);
                let holds = clause.holds(seen).unwrap_or(false);
                ClauseResult {
                    attribute: clause.attribute.clone(),
                    label: clause.label.clone(),
                    passed: holds,
                    decided: if passed { lets_through } else { !holds },
                    seen: seen.cloned().unwrap_or_default(),
                }
            }));
        }
        let flip = if passed {
            Vec::new()
        } else {
            self.flip(source)
        };
        ScopeOutcome {
            passed,
            clauses,
            flip,
            problem,
        }
    }

    /// What is allowed and yet hardly meant, for whoever edits the filters.
    pub fn warnings(&self) -> Vec<ScopeWarning> {
        let mut warnings = Vec::new();
        for (filter_at, filter) in self.filters.iter().enumerate() {
            let mut warn = |clause, message| {
                warnings.push(ScopeWarning {
                    filter: filter_at,
                    clause,
                    message,
                });
            };
            if filter.clauses.is_empty() {
                warn(
                    None,
                    "the filter has no clauses and says nothing".to_owned(),
                );
            }
            for (clause_at, clause) in filter.clauses.iter().enumerate() {
                let Clause {
                    attribute,
                    operator,
                    ..
                } = clause;
                if *operator == ScopeOperator::Equals && clause.value.is_empty() {
                    warn(
                        Some(clause_at),
                        format!(
                            "`{operator}` with an empty value is never true (SF-8); for whoever has \
                             no `{attribute}` write `{attribute} IS NULL`"
                        ),
                    );
                }
                if matches!(
                    operator,
                    ScopeOperator::NotEquals
                        | ScopeOperator::NotRegexMatch
                        | ScopeOperator::NotOccursIn
                ) {
                    warn(
                        Some(clause_at),
                        format!(
                            "`{operator}` is false for whoever has no `{attribute}` (SF-9); to let \
                             them in, add a filter with `{attribute} IS NULL`"
                        ),
                    );
                }
            }
        }
        warnings
    }
}

/// A filter that does what it says, which may not be what was meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeWarning {
    /// Which filter, counting from zero.
    pub filter: usize,
    /// Which clause, counting from zero; `None` is the filter as a whole.
    pub clause: Option<usize>,
    /// What to know, in plain words.
    pub message: String,
}

impl ScopingFilter {
    /// Its title.
    pub fn title(&self) -> &str {
        &self.title
    }

    fn passes(&self, source: &Attributes) -> Result<bool, TooCostly> {
        // A clause that fails decides, also behind one that could not be decided.
        let mut undecided = false;
        for clause in &self.clauses {
            match clause.holds(source.get(&clause.attribute)) {
                Ok(true) => {}
                Ok(false) => return Ok(false),
                Err(TooCostly) => undecided = true,
            }
        }
        if undecided { Err(TooCostly) } else { Ok(true) }
    }
}

impl Clause {
    fn compile(title: &str, text: &ClauseText) -> Result<Self, (ScopePart, String)> {
        let attribute = text.attribute.trim();
        if attribute.is_empty() {
            return Err((
                ScopePart::Attribute,
                "the clause names no attribute".to_owned(),
            ));
        }
        if UNSUPPORTED.contains(&attribute) {
            return Err((
                ScopePart::Attribute,
                format!("filters cannot look at `{attribute}`"),
            ));
        }
        let operator = ScopeOperator::find(&text.operator)
            .ok_or_else(|| (ScopePart::Operator, unknown_operator(&text.operator)))?;
        let value = text.values.first().map_or("", String::as_str);
        let operand =
            Operand::of(operator, value, text).map_err(|message| (ScopePart::Value, message))?;
        let mut label = format!("{title}.{attribute} {operator}");
        if operator.is_binary() {
            label.push(' ');
            label.push_str(value);
        }
        Ok(Self {
            attribute: attribute.to_owned(),
            operator,
            operand,
            value: value.to_owned(),
            label,
        })
    }

    /// Null and empty make every clause false, except `IS NULL` (SF-8, SF-9). Of several values
    /// each must hold (SF-10).
    fn holds(&self, seen: Option<&Value>) -> Result<bool, TooCostly> {
        let seen = seen.filter(|value| !value.is_empty());
        match (self.operator, seen) {
            (ScopeOperator::IsNull, seen) => Ok(seen.is_none()),
            (_, None) => Ok(false),
            (ScopeOperator::IsNotNull, Some(_)) => Ok(true),
            (_, Some(Value::List(items))) => {
                for item in items {
                    if !self.holds(Some(item))? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            (_, Some(value)) => self.single(value),
        }
    }

    fn single(&self, value: &Value) -> Result<bool, TooCostly> {
        let Some(text) = simple_text(value) else {
            return Ok(false);
        };
        Ok(match (self.operator, &self.operand) {
            (ScopeOperator::IsTrue, _) => truth_of(&text) == Some(true),
            (ScopeOperator::IsFalse, _) => truth_of(&text) == Some(false),
            (ScopeOperator::RegexMatch, Operand::Pattern(pattern)) => pattern.is_match(&text)?,
            (ScopeOperator::NotRegexMatch, Operand::Pattern(pattern)) => {
                !pattern.is_match(&text)?
            }
            (ScopeOperator::GreaterThan, Operand::Number(least)) => {
                whole(&text).is_some_and(|number| number > *least)
            }
            (ScopeOperator::GreaterThanOrEquals, Operand::Number(least)) => {
                whole(&text).is_some_and(|number| number >= *least)
            }
            (operator, Operand::Text(operand)) => match operator {
                ScopeOperator::Equals => text == *operand,
                ScopeOperator::NotEquals => text != *operand,
                ScopeOperator::Includes => text.contains(operand.as_str()),
                ScopeOperator::EndsWith => text.ends_with(operand.as_str()),
                ScopeOperator::OccursIn => operand.contains(&*text),
                ScopeOperator::NotOccursIn => !operand.contains(&*text),
                _ => false,
            },
            _ => false,
        })
    }
}

impl Operand {
    fn of(operator: ScopeOperator, value: &str, text: &ClauseText) -> Result<Self, String> {
        if !operator.is_binary() {
            return if text.values.iter().all(String::is_empty) {
                Ok(Self::None)
            } else {
                Err(format!("`{operator}` takes no value"))
            };
        }
        match operator {
            _ if text.values.is_empty() => Err(format!("`{operator}` needs a value")),
            ScopeOperator::GreaterThan | ScopeOperator::GreaterThanOrEquals => whole(value)
                .map(Self::Number)
                .ok_or_else(|| format!("`{operator}` compares whole numbers from 0 on (SF-12)")),
            ScopeOperator::RegexMatch | ScopeOperator::NotRegexMatch => Pattern::whole(value)
                .map(|pattern| Self::Pattern(Arc::new(pattern)))
                .map_err(|problem| format!("the regular expression cannot be used: {problem}")),
            _ => Ok(Self::Text(value.to_owned())),
        }
    }
}

fn whole(text: &str) -> Option<u64> {
    let text: Cow<'_, str> = text.trim().into();
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())
        .flatten()
}

fn unknown_operator(name: &str) -> String {
    let near = closest(name, ScopeOperator::ALL.map(ScopeOperator::as_str));
    match near {
        Some(near) => format!("there is no operator `{name}`; did you mean `{near}`?"),
        None => format!("the operator `{name}` is not supported"),
    }
}

#[cfg(test)]
mod tests;
