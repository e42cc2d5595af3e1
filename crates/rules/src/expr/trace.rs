//! The trace of an evaluation: every sub-expression with its value, for explanations and for the
//! expression builder. What `Redact` hides from the log is hidden here, too.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};

use muster_model::{Attributes, Value};

use super::ast::Node;
use super::eval::{self, Env, Stop};
use super::value::Val;
use super::{Context, EvalError, Expression, Outcome};

/// What one sub-expression came to, with its own parts in the order of the text.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// The sub-expression in its canonical spelling.
    pub text: String,
    /// What it came to.
    pub result: Traced,
    /// The arguments of a call or the sides of a comparison; constants are left out.
    pub parts: Vec<Trace>,
}

/// What a sub-expression came to.
#[derive(Clone, Debug, PartialEq)]
pub enum Traced {
    /// A value; null is one.
    Value(Value),
    /// The attribute is left out of the flow.
    Skip,
    /// The object is left out of the flow.
    SkipObject,
    /// It failed.
    Failed(EvalError),
    /// It was not looked at, because another branch was taken or something before it failed.
    NotEvaluated,
    /// Its value is hidden by `Redact` (AM-20).
    Redacted,
}

/// Remembers what nodes came to while an expression is evaluated. Nodes are told apart by where they
/// are in memory, which does not change while the expression is borrowed.
#[derive(Default)]
pub(super) struct Recorder {
    seen: RefCell<HashMap<usize, Traced>>,
}

impl Recorder {
    pub(super) fn note(&self, node: &Node, result: &Result<Val<'_>, Stop>) {
        let traced = match result {
            Ok(value) => Traced::Value(value.clone().into_value()),
            Err(Stop::Skip) => Traced::Skip,
            Err(Stop::SkipObject) => Traced::SkipObject,
            Err(Stop::Error(error)) => Traced::Failed(error.clone()),
        };
        self.seen.borrow_mut().insert(place(node), traced);
    }
}

fn place(node: &Node) -> usize {
    std::ptr::from_ref(node).addr()
}

impl Expression {
    /// The result for one source object, as [`Expression::evaluate`] gives it, and how it came about.
    pub fn trace(
        &self,
        source: &Attributes,
        context: &Context<'_>,
    ) -> (Result<Outcome, EvalError>, Trace) {
        let recorder = Recorder::default();
        let env = Env {
            source,
            context,
            target: "",
            recorder: Some(&recorder),
        };
        let outcome = super::outcome(eval::evaluate(self.root(), env));
        let hidden = Hidden::by_redact(self.root());
        let trace = told(self.root(), &recorder.seen.borrow(), &hidden, false);
        (outcome, trace)
    }
}

/// What `Redact` hides: everything inside it, everything made of it, and the same attributes anywhere
/// else in the expression.
struct Hidden<'a> {
    attributes: HashSet<&'a str>,
    nodes: HashSet<usize>,
}

impl<'a> Hidden<'a> {
    fn by_redact(root: &'a Node) -> Self {
        let mut attributes = HashSet::new();
        root.walk(&mut |node| {
            if is_redact(node) {
                node.walk(&mut |inner| {
                    if let Node::Attribute(name) = inner {
                        attributes.insert(name.as_str());
                    }
                });
            }
        });
        let mut hidden = Self {
            attributes,
            nodes: HashSet::new(),
        };
        hidden.mark(root);
        hidden
    }

    /// Marks a node if it, or anything in it, is hidden; answers whether it is.
    fn mark(&mut self, node: &'a Node) -> bool {
        let own = match node {
            Node::Attribute(name) => self.attributes.contains(name.as_str()),
            other => is_redact(other),
        };
        let mut is_hidden = own;
        for part in parts(node) {
            is_hidden |= self.mark(part);
        }
        if is_hidden {
            self.nodes.insert(place(node));
        }
        is_hidden
    }
}

fn is_redact(node: &Node) -> bool {
    matches!(node, Node::Call(call) if call.function.name == "Redact")
}

fn parts(node: &Node) -> Vec<&Node> {
    match node {
        Node::Call(call) => call.arguments.iter().flatten().collect(),
        Node::Compare(comparison) => vec![&comparison.left, &comparison.right],
        Node::Attribute(_) | Node::Text(_) | Node::Number(_) | Node::Word(_) => Vec::new(),
    }
}

fn told(node: &Node, seen: &HashMap<usize, Traced>, hidden: &Hidden<'_>, inside: bool) -> Trace {
    let inside = inside || is_redact(node);
    let is_hidden = inside || hidden.nodes.contains(&place(node));
    let result = match seen.get(&place(node)) {
        None => Traced::NotEvaluated,
        // Errors never hold a value of a person.
        Some(Traced::Value(_)) if is_hidden => Traced::Redacted,
        Some(result) => result.clone(),
    };
    let parts = parts(node)
        .into_iter()
        .filter(|part| !matches!(part, Node::Text(_) | Node::Number(_) | Node::Word(_)))
        .map(|part| told(part, seen, hidden, inside))
        .collect();
    Trace {
        text: node.to_string(),
        result,
        parts,
    }
}

#[cfg(test)]
mod tests {
    use muster_model::{Attributes, Timestamp, Value};

    use super::*;

    fn trace(text: &str) -> Trace {
        let mut source = Attributes::new();
        source.set("givenName", "Ana");
        source.set("surname", "Silva");
        source.set("department", "Sales");
        let context = Context::at(Timestamp::from_micros(0));
        let (_, trace) = Expression::parse(text).unwrap().trace(&source, &context);
        trace
    }

    fn value(text: &str) -> Traced {
        Traced::Value(Value::from(text))
    }

    #[test]
    fn every_part_is_told_with_its_value() {
        let trace = trace(r#"ToUpper(Join(".", [givenName], [surname]))"#);
        assert_eq!(trace.result, value("ANA.SILVA"));
        let join = &trace.parts[0];
        assert_eq!(join.text, r#"Join(".", [givenName], [surname])"#);
        assert_eq!(join.result, value("Ana.Silva"));
        assert_eq!(join.parts.len(), 2);
        assert_eq!(join.parts[1].result, value("Silva"));
    }

    #[test]
    fn a_branch_that_was_not_taken_is_told_as_such() {
        let trace = trace(r#"IIF([department]="Sales", ToLower([givenName]), ToUpper([surname]))"#);
        assert_eq!(trace.result, value("ana"));
        assert_eq!(trace.parts[0].result, Traced::Value(Value::Bool(true)));
        assert_eq!(trace.parts[2].result, Traced::NotEvaluated);
        assert_eq!(trace.parts[2].parts[0].result, Traced::NotEvaluated);
    }

    #[test]
    fn a_failure_is_told_where_it_happened() {
        let trace = trace(r#"Append("x", CStr(CDate([surname])))"#);
        assert!(matches!(trace.result, Traced::Failed(_)));
        let inner = &trace.parts[0].parts[0];
        assert_eq!(inner.text, "CDate([surname])");
        assert!(matches!(inner.result, Traced::Failed(_)));
        assert_eq!(inner.parts[0].result, value("Silva"));
    }

    #[test]
    fn what_is_redacted_shows_nowhere() {
        // AM-20
        let trace = trace(r#"Join("-", Redact(ToLower([surname])), [surname], [givenName])"#);
        assert_eq!(trace.result, Traced::Redacted);
        assert_eq!(trace.parts[0].result, Traced::Redacted);
        assert_eq!(trace.parts[0].parts[0].result, Traced::Redacted);
        assert_eq!(trace.parts[1].result, Traced::Redacted);
        assert_eq!(trace.parts[2].result, value("Ana"));
        assert!(!format!("{trace:?}").to_lowercase().contains("silva\")"));
    }
}
