//! `$filter`: its grammar, what it may name, and whether an object passes (graph-api 3.2, 3.3).

use muster_app::directory::read::Keys;
use muster_model::Timestamp;
use serde_json::Value as Json;

use crate::answer::Fault;
use crate::shape::{Kind, Shape};

/// Longest filter, in bytes.
const LONGEST: usize = 8 * 1024;
/// Deepest nesting.
const DEEPEST: usize = 32;
/// Comparisons of a filter at most.
const MOST: usize = 200;

/// A filter that was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Filter {
    And(Vec<Filter>),
    Or(Vec<Filter>),
    Not(Box<Filter>),
    /// A property, an operator, and what it is compared with.
    Compare(Operand, Op, Literal),
    In(Operand, Vec<Literal>),
    /// `startswith`, `endswith`, `contains`.
    Text(TextOp, Operand, String),
    /// Some element of a collection passes.
    Any(String, Box<Filter>),
    /// How many elements a collection has.
    Count(String, Op, i64),
    /// A property that is true or false by itself.
    Holds(Operand),
}

/// A property, perhaps in lower or upper case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operand {
    /// Its path; empty for the element of a collection itself.
    pub(crate) path: Vec<String>,
    pub(crate) kind: Kind,
    pub(crate) case: Option<Case>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    Lower,
    Upper,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Op {
    Eq,
    Ne,
    Gt,
    Ge,
    Lt,
    Le,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextOp {
    Starts,
    Ends,
    Contains,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Literal {
    Null,
    Bool(bool),
    Int(i64),
    Text(String),
    Time(Timestamp),
}

impl Filter {
    /// Reads a filter about objects of this shape.
    pub(crate) fn parse(text: &str, shape: &Shape) -> Result<Self, Fault> {
        if text.len() > LONGEST {
            return Err(invalid("it is too long"));
        }
        let tokens = tokens(text)?;
        let mut parser = Parser {
            tokens,
            at: 0,
            shape,
            variable: None,
            depth: 0,
            comparisons: 0,
        };
        let filter = parser.any_of()?;
        match parser.peek() {
            None => Ok(filter),
            Some(token) => Err(invalid(&format!(
                "`{}` is not expected there",
                token.shown()
            ))),
        }
    }

    /// Does it need the advanced query parameters (3.3)?
    pub(crate) fn is_advanced(&self) -> bool {
        match self {
            Self::And(all) | Self::Or(all) => all.iter().any(Self::is_advanced),
            Self::Not(_) | Self::Count(..) | Self::Text(TextOp::Ends, ..) => true,
            Self::Compare(_, op, literal) => *op == Op::Ne || *literal == Literal::Null,
            Self::Any(_, inner) => inner.is_advanced(),
            Self::In(..) | Self::Text(..) | Self::Holds(_) => false,
        }
    }

    /// The value that a property must have for anything to pass, when the filter says so.
    pub(crate) fn demands(&self, name: &str) -> Option<&str> {
        match self {
            Self::And(all) => all.iter().find_map(|it| it.demands(name)),
            Self::Compare(operand, Op::Eq, Literal::Text(text))
                if operand.path == [name] && operand.case.is_none() =>
            {
                Some(text)
            }
            _ => None,
        }
    }

    /// What the values of a property begin with, or are, for anything to pass, when the filter says so.
    pub(crate) fn bounds(&self, name: &str) -> Option<Keys> {
        match self {
            Self::And(all) => all.iter().find_map(|it| it.bounds(name)),
            Self::Compare(operand, Op::Eq, Literal::Text(text)) if operand.path == [name] => {
                Some(Keys::Exactly(text.clone()))
            }
            Self::Text(TextOp::Starts, operand, text) if operand.path == [name] => {
                Some(Keys::Beginning(text.clone()))
            }
            _ => None,
        }
    }

    /// The values of which a property must have one, when the filter says no more than that.
    pub(crate) fn one_of(&self, name: &str) -> Option<Vec<&str>> {
        let is_it = |operand: &Operand| operand.path == [name] && operand.case.is_none();
        match self {
            Self::Or(all) => {
                let parts: Option<Vec<Vec<&str>>> = all.iter().map(|it| it.one_of(name)).collect();
                Some(parts?.concat())
            }
            Self::Compare(operand, Op::Eq, Literal::Text(text)) if is_it(operand) => {
                Some(vec![text])
            }
            Self::In(operand, list) if is_it(operand) => list
                .iter()
                .map(|literal| match literal {
                    Literal::Text(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect(),
            _ => None,
        }
    }

    /// Does an object pass? Texts are compared without regard to case unless `exact`.
    pub(crate) fn passes(&self, object: &Json, exact: bool) -> bool {
        match self {
            Self::And(all) => all.iter().all(|it| it.passes(object, exact)),
            Self::Or(all) => all.iter().any(|it| it.passes(object, exact)),
            Self::Not(inner) => !inner.passes(object, exact),
            Self::Compare(operand, op, literal) => {
                operand.some(object, |value| compare(operand, value, *op, literal, exact))
            }
            Self::In(operand, list) => list.iter().any(|literal| {
                operand.some(object, |value| {
                    compare(operand, value, Op::Eq, literal, exact)
                })
            }),
            Self::Text(op, operand, wanted) => operand.some(object, |value| {
                let Some(text) = value.as_str() else {
                    return false;
                };
                let (text, wanted) = if operand.case.is_some() || exact {
                    (operand.cased(text), wanted.clone())
                } else {
                    (text.to_lowercase(), wanted.to_lowercase())
                };
                match op {
                    TextOp::Starts => text.starts_with(&wanted),
                    TextOp::Ends => text.ends_with(&wanted),
                    TextOp::Contains => text.contains(&wanted),
                }
            }),
            Self::Any(name, inner) => {
                let items = object[name].as_array();
                items.is_some_and(|items| items.iter().any(|it| inner.passes(it, exact)))
            }
            Self::Count(name, op, number) => {
                let items = object[name].as_array().map_or(0, Vec::len);
                let items = i64::try_from(items).unwrap_or(i64::MAX);
                op.holds(items.cmp(number))
            }
            Self::Holds(operand) => operand.some(object, |value| value == &Json::Bool(true)),
        }
    }
}

impl Op {
    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Self::Eq => order.is_eq(),
            Self::Ne => order.is_ne(),
            Self::Gt => order.is_gt(),
            Self::Ge => order.is_ge(),
            Self::Lt => order.is_lt(),
            Self::Le => order.is_le(),
        }
    }
}

impl Operand {
    fn value<'o>(&self, object: &'o Json) -> &'o Json {
        self.path.iter().fold(object, |at, name| &at[name.as_str()])
    }

    /// Does the value, or any of the values, pass?
    fn some(&self, object: &Json, passes: impl Fn(&Json) -> bool) -> bool {
        match self.value(object) {
            Json::Array(items) => items.iter().any(passes),
            value => passes(value),
        }
    }

    fn cased(&self, text: &str) -> String {
        match self.case {
            Some(Case::Lower) => text.to_lowercase(),
            Some(Case::Upper) => text.to_uppercase(),
            None => text.to_owned(),
        }
    }
}

fn compare(operand: &Operand, value: &Json, op: Op, literal: &Literal, exact: bool) -> bool {
    use std::cmp::Ordering;
    let order = match (value, literal) {
        (Json::Null, Literal::Null) => Some(Ordering::Equal),
        (Json::Bool(value), Literal::Bool(literal)) => Some(value.cmp(literal)),
        (Json::Number(value), Literal::Int(literal)) => value.as_i64().map(|it| it.cmp(literal)),
        (Json::String(value), Literal::Time(literal)) => {
            value.parse::<Timestamp>().ok().map(|it| it.cmp(literal))
        }
        (Json::String(value), Literal::Text(literal)) => Some(
            if operand.kind == Kind::Guid || !(exact || operand.case.is_some()) {
                value.to_lowercase().cmp(&literal.to_lowercase())
            } else {
                operand.cased(value).cmp(literal)
            },
        ),
        _ => None,
    };
    // What has no value is neither before nor after anything, and differs from everything.
    order.map_or(op == Op::Ne, |order| op.holds(order))
}

fn invalid(what: &str) -> Fault {
    Fault::bad_request(format!("Invalid filter clause: {what}."))
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    Comma,
    Colon,
    Slash,
    Word(String),
    Text(String),
}

impl Token {
    fn shown(&self) -> &str {
        match self {
            Self::Open => "(",
            Self::Close => ")",
            Self::Comma => ",",
            Self::Colon => ":",
            Self::Slash => "/",
            Self::Word(text) | Self::Text(text) => text,
        }
    }
}

fn tokens(text: &str) -> Result<Vec<Token>, Fault> {
    let mut tokens = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(&letter) = letters.peek() {
        match letter {
            ' ' | '\t' => {}
            '(' => tokens.push(Token::Open),
            ')' => tokens.push(Token::Close),
            ',' => tokens.push(Token::Comma),
            ':' => tokens.push(Token::Colon),
            '/' => tokens.push(Token::Slash),
            '\'' => {
                letters.next();
                let mut quoted = String::new();
                loop {
                    match letters.next() {
                        None => return Err(invalid("a text has no end; write ' after it")),
                        Some('\'') if letters.peek() == Some(&'\'') => {
                            letters.next();
                            quoted.push('\'');
                        }
                        Some('\'') => break,
                        Some(other) => quoted.push(other),
                    }
                }
                tokens.push(Token::Text(quoted));
                continue;
            }
            _ => {
                let mut word = String::new();
                // An instant has colons, which nothing else that is a word has.
                while let Some(&letter) = letters.peek() {
                    let ends = match letter {
                        ':' => !word.starts_with(|first: char| first.is_ascii_digit()),
                        other => " \t(),/'".contains(other),
                    };
                    if ends {
                        break;
                    }
                    word.push(letter);
                    letters.next();
                }
                tokens.push(Token::Word(word));
                continue;
            }
        }
        letters.next();
    }
    Ok(tokens)
}

struct Parser<'s> {
    tokens: Vec<Token>,
    at: usize,
    shape: &'s Shape,
    /// The variable of the collection that is looked into, and the collection.
    variable: Option<(String, String)>,
    depth: usize,
    comparisons: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn expect(&mut self, wanted: &Token) -> Result<(), Fault> {
        match self.next() {
            Some(token) if token == *wanted => Ok(()),
            Some(token) => Err(invalid(&format!(
                "`{}` is expected before `{}`",
                wanted.shown(),
                token.shown()
            ))),
            None => Err(invalid(&format!(
                "`{}` is missing at its end",
                wanted.shown()
            ))),
        }
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_it = matches!(self.peek(), Some(Token::Word(it)) if it.eq_ignore_ascii_case(word));
        self.at += usize::from(is_it);
        is_it
    }

    fn any_of(&mut self) -> Result<Filter, Fault> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(invalid("it is nested too deeply"));
        }
        let mut all = vec![self.all_of()?];
        while self.takes("or") {
            all.push(self.all_of()?);
        }
        self.depth -= 1;
        Ok(one_or(all, Filter::Or))
    }

    fn all_of(&mut self) -> Result<Filter, Fault> {
        let mut all = vec![self.factor()?];
        while self.takes("and") {
            all.push(self.factor()?);
        }
        Ok(one_or(all, Filter::And))
    }

    fn factor(&mut self) -> Result<Filter, Fault> {
        self.comparisons += 1;
        if self.comparisons > MOST {
            return Err(invalid("it has too many comparisons"));
        }
        if self.takes("not") {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(invalid("it is nested too deeply"));
            }
            let inner = self.factor()?;
            self.depth -= 1;
            return Ok(Filter::Not(Box::new(inner)));
        }
        if self.peek() == Some(&Token::Open) {
            self.at += 1;
            let inner = self.any_of()?;
            self.expect(&Token::Close)?;
            return Ok(inner);
        }
        let is_call = self.tokens.get(self.at + 1) == Some(&Token::Open);
        if let (Some(Token::Word(word)), true) = (self.peek(), is_call) {
            let op = match word.to_ascii_lowercase().as_str() {
                "startswith" => Some(TextOp::Starts),
                "endswith" => Some(TextOp::Ends),
                "contains" => Some(TextOp::Contains),
                _ => None,
            };
            if let Some(op) = op {
                return self.text(op);
            }
        }
        // A literal may stand on either side.
        if let Some(literal) = self.literal() {
            let op = self.op()?;
            let operand = self.operand()?;
            let literal = fit(&operand, literal)?;
            return Ok(Filter::Compare(operand, op.turned(), literal));
        }
        let path = self.path()?;
        if let [name, last] = path.as_slice() {
            if last.eq_ignore_ascii_case("any") && self.peek() == Some(&Token::Open) {
                return self.any(name.clone());
            }
            if last.eq_ignore_ascii_case("$count") {
                let name = self.collection(name)?;
                let op = self.op()?;
                return match self.literal() {
                    Some(Literal::Int(number)) => Ok(Filter::Count(name, op, number)),
                    _ => Err(invalid("$count is compared with a number")),
                };
            }
        }
        let operand = self.resolve(path)?;
        self.compared(operand)
    }

    fn compared(&mut self, operand: Operand) -> Result<Filter, Fault> {
        if self.takes("in") {
            self.expect(&Token::Open)?;
            let mut list = Vec::new();
            loop {
                let literal = self.literal();
                let literal = literal.ok_or_else(|| invalid("`in` takes a list of values"))?;
                list.push(fit(&operand, literal)?);
                self.comparisons += 1;
                if self.comparisons > MOST {
                    return Err(invalid("it has too many comparisons"));
                }
                match self.next() {
                    Some(Token::Comma) => {}
                    Some(Token::Close) => return Ok(Filter::In(operand, list)),
                    _ => return Err(invalid("the list of `in` has no end")),
                }
            }
        }
        let ends = match self.peek() {
            None | Some(Token::Close) => true,
            Some(Token::Word(word)) => ["and", "or"].iter().any(|it| word.eq_ignore_ascii_case(it)),
            Some(_) => false,
        };
        if ends && operand.kind == Kind::Bool {
            return Ok(Filter::Holds(operand));
        }
        let op = self.op()?;
        let literal = self.literal().ok_or_else(|| {
            invalid("a property is compared with a value: a text in ', a number, true, false, null or a date")
        })?;
        let literal = fit(&operand, literal)?;
        Ok(Filter::Compare(operand, op, literal))
    }

    fn text(&mut self, op: TextOp) -> Result<Filter, Fault> {
        self.at += 2;
        let operand = self.operand()?;
        if !matches!(operand.kind, Kind::Text | Kind::Guid | Kind::Texts) {
            return Err(invalid(&format!("`{}` is no text", operand.path.join("/"))));
        }
        self.expect(&Token::Comma)?;
        let Some(Token::Text(text)) = self.next() else {
            return Err(invalid("a function of a text takes a text in '"));
        };
        self.expect(&Token::Close)?;
        // `startswith(…) eq true`, as some write it.
        if self.takes("eq") {
            let on = self.literal();
            let filter = Filter::Text(op, operand, text);
            return match on {
                Some(Literal::Bool(true)) => Ok(filter),
                Some(Literal::Bool(false)) => Ok(Filter::Not(Box::new(filter))),
                _ => Err(invalid("a function is compared with true or false")),
            };
        }
        Ok(Filter::Text(op, operand, text))
    }

    fn any(&mut self, name: String) -> Result<Filter, Fault> {
        if self.variable.is_some() {
            return Err(invalid("`any` within `any` is not supported"));
        }
        let name = self.collection(&name)?;
        self.expect(&Token::Open)?;
        let Some(Token::Word(variable)) = self.next() else {
            return Err(invalid("`any` begins with a variable and `:`"));
        };
        self.expect(&Token::Colon)?;
        self.variable = Some((variable, name.clone()));
        let inner = self.any_of()?;
        self.variable = None;
        self.expect(&Token::Close)?;
        Ok(Filter::Any(name, Box::new(inner)))
    }

    fn op(&mut self) -> Result<Op, Fault> {
        for (word, op) in [
            ("eq", Op::Eq),
            ("ne", Op::Ne),
            ("gt", Op::Gt),
            ("ge", Op::Ge),
            ("lt", Op::Lt),
            ("le", Op::Le),
        ] {
            if self.takes(word) {
                return Ok(op);
            }
        }
        Err(match self.peek() {
            Some(token) => invalid(&format!("`{}` is no operator", token.shown())),
            None => invalid("an operator is missing at its end"),
        })
    }

    /// A property, perhaps within `tolower()` or `toupper()`.
    fn operand(&mut self) -> Result<Operand, Fault> {
        let is_call = self.tokens.get(self.at + 1) == Some(&Token::Open);
        let case = match self.peek() {
            Some(Token::Word(word)) if is_call && word.eq_ignore_ascii_case("tolower") => {
                Some(Case::Lower)
            }
            Some(Token::Word(word)) if is_call && word.eq_ignore_ascii_case("toupper") => {
                Some(Case::Upper)
            }
            _ => None,
        };
        if case.is_none() {
            let path = self.path()?;
            return self.resolve(path);
        }
        self.at += 2;
        let path = self.path()?;
        if path.is_empty() {
            return Err(invalid("tolower and toupper take a property"));
        }
        let operand = self.resolve(path)?;
        self.expect(&Token::Close)?;
        if !matches!(operand.kind, Kind::Text | Kind::Texts) {
            return Err(invalid(&format!("`{}` is no text", operand.path.join("/"))));
        }
        Ok(Operand { case, ..operand })
    }

    fn path(&mut self) -> Result<Vec<String>, Fault> {
        let is_call = self.tokens.get(self.at + 1) == Some(&Token::Open);
        if let (Some(Token::Word(word)), true) = (self.peek(), is_call)
            && (word.eq_ignore_ascii_case("tolower") || word.eq_ignore_ascii_case("toupper"))
        {
            return Ok(Vec::new());
        }
        let mut path = Vec::new();
        loop {
            match self.next() {
                Some(Token::Word(word)) => path.push(word),
                Some(token) => return Err(invalid(&format!("`{}` is no property", token.shown()))),
                None => return Err(invalid("something is missing at its end")),
            }
            if self.peek() != Some(&Token::Slash) {
                return Ok(path);
            }
            self.at += 1;
        }
    }

    /// A property of the object, or of the element of the collection that is looked into.
    fn resolve(&mut self, path: Vec<String>) -> Result<Operand, Fault> {
        if path.is_empty() {
            // `tolower(…)` at the beginning of a comparison.
            return self.operand();
        }
        if let Some((variable, collection)) = &self.variable
            && path[0] == *variable
        {
            let rest: Vec<&str> = path[1..].iter().map(String::as_str).collect();
            return match self.shape.element(collection, &rest) {
                Some((path, kind)) => Ok(Operand {
                    path,
                    kind,
                    case: None,
                }),
                None => Err(invalid(&format!("`{}` is no property", path.join("/")))),
            };
        }
        let named: Vec<&str> = path.iter().map(String::as_str).collect();
        match self.shape.find(&named) {
            Some((path, kind)) => Ok(Operand {
                path,
                kind,
                case: None,
            }),
            None => Err(invalid(&format!(
                "Could not find a property named '{}' on type '{}'",
                path.join("/"),
                self.shape.type_name
            ))),
        }
    }

    fn collection(&self, name: &str) -> Result<String, Fault> {
        match self.shape.find(&[name]) {
            Some((path, Kind::Texts | Kind::Objects)) => Ok(path.concat()),
            Some(_) => Err(invalid(&format!("`{name}` is no collection"))),
            None => Err(invalid(&format!(
                "Could not find a property named '{name}' on type '{}'",
                self.shape.type_name
            ))),
        }
    }

    fn literal(&mut self) -> Option<Literal> {
        let literal = match self.peek() {
            Some(Token::Text(text)) => Literal::Text(text.clone()),
            Some(Token::Word(word)) => {
                let lower = word.to_ascii_lowercase();
                match lower.as_str() {
                    "true" => Literal::Bool(true),
                    "false" => Literal::Bool(false),
                    "null" => Literal::Null,
                    _ => bare(word)?,
                }
            }
            _ => return None,
        };
        self.at += 1;
        Some(literal)
    }
}

impl Op {
    const fn turned(self) -> Self {
        match self {
            Self::Gt => Self::Lt,
            Self::Ge => Self::Le,
            Self::Lt => Self::Gt,
            Self::Le => Self::Ge,
            other => other,
        }
    }
}

/// A number, a GUID, a date or an instant.
fn bare(word: &str) -> Option<Literal> {
    if let Ok(number) = word.parse() {
        return Some(Literal::Int(number));
    }
    if is_guid(word) {
        return Some(Literal::Text(word.to_owned()));
    }
    instant(word).map(Literal::Time)
}

pub(crate) fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

fn instant(text: &str) -> Option<Timestamp> {
    text.parse()
        .ok()
        .or_else(|| format!("{text}T00:00:00Z").parse().ok())
}

/// The literal as the property has it.
fn fit(operand: &Operand, literal: Literal) -> Result<Literal, Fault> {
    let name = operand.path.join("/");
    let wrong = |wanted: &str| {
        Err(invalid(&format!(
            "A binary operator with incompatible types was detected: '{name}' is {wanted}"
        )))
    };
    match (operand.kind, literal) {
        (_, Literal::Null) => Ok(Literal::Null),
        (Kind::Bool, Literal::Bool(flag)) => Ok(Literal::Bool(flag)),
        (Kind::Bool, _) => wrong("true or false"),
        (Kind::Int, Literal::Int(number)) => Ok(Literal::Int(number)),
        (Kind::Int, _) => wrong("a number"),
        (Kind::Time, Literal::Time(at)) => Ok(Literal::Time(at)),
        (Kind::Time, Literal::Text(text)) => match instant(&text) {
            Some(at) => Ok(Literal::Time(at)),
            None => wrong("a date"),
        },
        (Kind::Time, _) => wrong("a date"),
        (Kind::Guid | Kind::Text | Kind::Texts, Literal::Text(text)) => Ok(Literal::Text(text)),
        (Kind::Guid, _) => wrong("an id"),
        (Kind::Text | Kind::Texts, _) => wrong("a text"),
        (Kind::Object | Kind::Objects, _) => Err(invalid(&format!("`{name}` is complex"))),
    }
}

fn one_or(mut all: Vec<Filter>, many: fn(Vec<Filter>) -> Filter) -> Filter {
    if all.len() == 1 {
        all.remove(0)
    } else {
        many(all)
    }
}
