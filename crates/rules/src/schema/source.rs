//! The source of an attribute mapping, and expressions in the parsed form of the control API
//! (2.1 of the expression reference).

use serde_json::{Map, Value as Json};

use crate::expr::func::Function;
use crate::expr::{Expression, Node, Problems};

/// A node of a parsed expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// What it is.
    pub kind: SourceKind,
    /// The attribute, the constant itself, or the function.
    pub name: String,
    /// The same as text.
    pub expression: String,
    /// The arguments that are given.
    pub parameters: Vec<Parameter>,
    /// Members that we do not know.
    pub other: Map<String, Json>,
}

/// An argument by the name of its parameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// The name of the parameter.
    pub key: String,
    /// The argument.
    pub value: Source,
    /// Members that we do not know.
    pub other: Map<String, Json>,
}

/// What a node is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SourceKind {
    /// A source attribute.
    #[default]
    Attribute,
    /// A fixed text.
    Constant,
    /// A function. Comparisons are written as functions named by their operator.
    Function,
}

impl Source {
    /// A direct mapping.
    pub fn attribute(name: &str) -> Self {
        Self::of_node(&Node::Attribute(name.to_owned()))
    }

    /// A constant mapping.
    pub fn constant(text: &str) -> Self {
        Self::of_node(&Node::Text(text.to_owned()))
    }

    /// The parsed form of an expression.
    pub fn of(expression: &Expression) -> Self {
        Self::of_node(expression.root())
    }

    /// Reads an expression; its text is kept as it is written.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        let mut source = Self::of(&Expression::parse_any_case(text)?);
        text.clone_into(&mut source.expression);
        Ok(source)
    }

    /// Reads an expression; one that does not parse keeps its text, to be reported by the check.
    pub(crate) fn parse_or_keep(text: &str) -> Self {
        Self::parse(text).unwrap_or_else(|_| Self::unparsed(text.to_owned()))
    }

    /// A source of which nothing but the text is known, because it does not parse.
    pub(super) fn unparsed(text: String) -> Self {
        Self {
            kind: SourceKind::Function,
            name: String::new(),
            expression: text,
            parameters: Vec::new(),
            other: Map::new(),
        }
    }

    /// The expression that this source stands for.
    pub fn to_expression(&self) -> Result<Expression, Problems> {
        Expression::parse_any_case(&self.expression)
    }

    fn of_node(node: &Node) -> Self {
        let (kind, name, parameters) = match node {
            Node::Attribute(name) => (SourceKind::Attribute, name.clone(), Vec::new()),
            Node::Text(text) => (SourceKind::Constant, text.clone(), Vec::new()),
            Node::Number(number) => (SourceKind::Constant, number.to_string(), Vec::new()),
            Node::Word(word) => (SourceKind::Constant, word.as_str().to_owned(), Vec::new()),
            Node::Call(call) => {
                let count = call.arguments.len();
                let parameters = call.arguments.iter().enumerate();
                let parameters = parameters.filter_map(|(index, argument)| {
                    let key = call.function.parameter(index, count)?.name;
                    Some(parameter(key, argument.as_ref()?))
                });
                (
                    SourceKind::Function,
                    call.function.name.to_owned(),
                    parameters.collect(),
                )
            }
            Node::Compare(comparison) => (
                SourceKind::Function,
                comparison.operator.as_str().to_owned(),
                vec![
                    parameter(LEFT, &comparison.left),
                    parameter(RIGHT, &comparison.right),
                ],
            ),
        };
        // A number is stored like a text of digits.
        let expression = match node {
            Node::Number(number) => format!("\"{number}\""),
            node => node.to_string(),
        };
        Self {
            kind,
            name,
            expression,
            parameters,
            other: Map::new(),
        }
    }

    /// Is it the same tree, whatever the texts of its nodes?
    pub(super) fn same_tree(&self, other: &Self) -> bool {
        self.kind == other.kind
            && self.name == other.name
            && self.parameters.len() == other.parameters.len()
            && self
                .parameters
                .iter()
                .zip(&other.parameters)
                .all(|(one, two)| one.key == two.key && one.value.same_tree(&two.value))
    }

    /// The text of the tree; `None` when a function or a parameter is not known.
    pub(super) fn text(&self) -> Option<String> {
        match self.kind {
            SourceKind::Attribute => Some(Node::Attribute(self.name.clone()).to_string()),
            SourceKind::Constant if self.expression == self.name => {
                // A bare word stands without quotation marks.
                Some(match crate::expr::word(&self.name) {
                    Some(word) => Node::Word(word).to_string(),
                    None => Node::Text(self.name.clone()).to_string(),
                })
            }
            SourceKind::Constant => Some(Node::Text(self.name.clone()).to_string()),
            SourceKind::Function => self.call(),
        }
    }

    fn call(&self) -> Option<String> {
        if let [left, right] = self.parameters.as_slice()
            && left.key == LEFT
            && right.key == RIGHT
        {
            let (left, right) = (left.value.text()?, right.value.text()?);
            return Some(format!("{left} {} {right}", self.name));
        }
        let function = Function::find(&self.name)?;
        if self.parameters.len() > MAX_PARAMETERS {
            return None;
        }
        let mut places: Vec<Option<String>> = Vec::new();
        let most = function.parameters.len() + 2 * self.parameters.len();
        for parameter in &self.parameters {
            let place = (0..most).find(|place| {
                places.get(*place).is_none_or(Option::is_none)
                    && function
                        .parameter(*place, function.parameters.len())
                        .is_some_and(|known| names(function, known.name, &parameter.key))
            })?;
            if places.len() <= place {
                places.resize(place + 1, None);
            }
            places[place] = Some(parameter.value.text()?);
        }
        let least = function.parameters.len().min(function.least());
        if places.len() < least {
            places.resize(least, None);
        }
        // Always written with all its places.
        if function.name == "Replace" {
            places.resize(function.parameters.len(), None);
        }
        let places: Vec<String> = places.into_iter().map(Option::unwrap_or_default).collect();
        Some(format!("{}({})", function.name, places.join(", ")))
    }
}

/// Parameters of one node at most; an expression has no room for more.
const MAX_PARAMETERS: usize = 1_000;
const LEFT: &str = "left";
const RIGHT: &str = "right";

fn parameter(key: &str, value: &Node) -> Parameter {
    Parameter {
        key: key.to_owned(),
        value: Source::of_node(value),
        other: Map::new(),
    }
}

/// Does a key name the parameter? Repeated parameters may carry a number, and `Replace` is known
/// under two older names.
fn names(function: &Function, known: &str, key: &str) -> bool {
    let plain = key.trim_end_matches(|c: char| c.is_ascii_digit());
    let older = match (function.name, known) {
        ("Replace", "oldValue") => "Find",
        ("Replace", "replacementValue") => "Replacement",
        _ => known,
    };
    [known, older]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(key) || known.eq_ignore_ascii_case(plain))
}
