//! From text to tokens (section 1 of the expression reference).

use super::problem::{Problem, Span};

/// A token and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) span: Span,
    pub(super) kind: TokenKind,
}

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    Attribute(String),
    Text(String),
    Number(i64),
    Name(String),
    Operator(Operator),
    Open,
    Close,
    Comma,
    /// Reported already; stands for an operand.
    Broken,
}

/// A comparison operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl Operator {
    /// All of them; the longer spelling before its prefix.
    pub(super) const ALL: [Self; 6] = [
        Self::NotEqual,
        Self::LessOrEqual,
        Self::GreaterOrEqual,
        Self::Equal,
        Self::Less,
        Self::Greater,
    ];

    /// How it is written.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }
}

/// The tokens of a text. What is no token is reported and stepped over.
pub(super) fn tokens(text: &str, problems: &mut Vec<Problem>) -> Vec<Token> {
    let mut lexer = Lexer {
        chars: text.chars().collect(),
        at: 0,
        problems,
    };
    let mut tokens = Vec::new();
    while let Some(token) = lexer.next() {
        tokens.push(token);
    }
    tokens
}

struct Lexer<'p> {
    chars: Vec<char>,
    at: usize,
    problems: &'p mut Vec<Problem>,
}

impl Lexer<'_> {
    fn next(&mut self) -> Option<Token> {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
            let start = self.at;
            let first = self.peek(0)?;
            let kind = match first {
                '(' => self.single(TokenKind::Open),
                ')' => self.single(TokenKind::Close),
                ',' => self.single(TokenKind::Comma),
                '[' => self.attribute(),
                '"' => self.text(),
                '&' => self.hexadecimal(),
                '0'..='9' => self.number(),
                '+' | '-' if self.peek(1).is_some_and(|c| c.is_ascii_digit()) => self.number(),
                '=' | '<' | '>' => self.operator(),
                c if c.is_alphabetic() => TokenKind::Name(self.name()),
                _ => {
                    self.at += 1;
                    let problem = self
                        .span(start)
                        .problem(format!("`{first}` has no meaning here"))
                        .suggest(suggestion_for(first));
                    self.problems.push(problem);
                    continue;
                }
            };
            return Some(Token {
                span: self.span(start),
                kind,
            });
        }
    }

    fn single(&mut self, kind: TokenKind) -> TokenKind {
        self.at += 1;
        kind
    }

    /// `[name]`; brackets inside the name are balanced, as in `[emails[type eq "work"].value]`.
    fn attribute(&mut self) -> TokenKind {
        let start = self.at;
        let mut open = 0_usize;
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match c {
                '[' => open += 1,
                ']' => open -= 1,
                _ => {}
            }
            if open == 0 {
                let name: String = self.chars[start + 1..self.at - 1].iter().collect();
                if name.trim().is_empty() {
                    let problem = self.span(start).problem("the brackets name no attribute");
                    self.problems.push(problem);
                    return TokenKind::Broken;
                }
                return TokenKind::Attribute(name);
            }
        }
        let problem = self.span(start).problem("`[` without its `]`");
        self.problems.push(problem);
        TokenKind::Broken
    }

    /// A text constant; only `\"` and `\\` are escapes, any other backslash stands for itself.
    fn text(&mut self) -> TokenKind {
        let start = self.at;
        self.at += 1;
        let mut value = String::new();
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match (c, self.peek(0)) {
                ('"', _) => return TokenKind::Text(value),
                ('\\', Some(next @ ('"' | '\\'))) => {
                    value.push(next);
                    self.at += 1;
                }
                _ => value.push(c),
            }
        }
        let problem = self.span(start).problem("text without its closing `\"`");
        self.problems.push(problem);
        TokenKind::Broken
    }

    fn number(&mut self) -> TokenKind {
        let start = self.at;
        self.at += 1;
        self.take_while(|c| c.is_ascii_digit());
        let digits: String = self.chars[start..self.at].iter().collect();
        if self.peek(0) == Some('.') && self.peek(1).is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
            self.take_while(|c| c.is_ascii_digit());
            let problem = self.span(start).problem("only whole numbers are known");
            self.problems.push(problem);
            return TokenKind::Broken;
        }
        let parsed = digits.parse().ok();
        self.fits(start, parsed)
    }

    fn hexadecimal(&mut self) -> TokenKind {
        let start = self.at;
        self.at += 1;
        if !matches!(self.peek(0), Some('H' | 'h')) {
            let problem = self
                .span(start)
                .problem("`&` joins no texts here")
                .suggest(Some("`Join` or `Append`".to_owned()));
            self.problems.push(problem);
            return TokenKind::Broken;
        }
        self.at += 1;
        let digits_at = self.at;
        self.take_while(|c| c.is_ascii_hexdigit());
        let digits: String = self.chars[digits_at..self.at].iter().collect();
        let parsed = i64::from_str_radix(&digits, 16).ok();
        self.fits(start, parsed)
    }

    fn fits(&mut self, start: usize, number: Option<i64>) -> TokenKind {
        if let Some(number) = number {
            return TokenKind::Number(number);
        }
        let problem = self
            .span(start)
            .problem("the number is missing or does not fit into 64 bits");
        self.problems.push(problem);
        TokenKind::Broken
    }

    fn operator(&mut self) -> TokenKind {
        let found = Operator::ALL.into_iter().find(|operator| {
            operator
                .as_str()
                .chars()
                .enumerate()
                .all(|(index, c)| self.peek(index) == Some(c))
        });
        let operator = found.unwrap_or(Operator::Equal);
        self.at += operator.as_str().len();
        TokenKind::Operator(operator)
    }

    fn name(&mut self) -> String {
        let start = self.at;
        self.take_while(|c| c.is_alphanumeric() || c == '_');
        self.chars[start..self.at].iter().collect()
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) {
        while self.peek(0).is_some_and(&wanted) {
            self.at += 1;
        }
    }

    const fn span(&self, start: usize) -> Span {
        Span {
            start,
            end: self.at,
        }
    }
}

fn suggestion_for(character: char) -> Option<String> {
    match character {
        '\'' | '“' | '”' | '‘' | '’' | '„' => Some("`\"`".to_owned()),
        ';' => Some("`,`".to_owned()),
        '{' | '}' => Some("`[` … `]`".to_owned()),
        '!' => Some("`<>` or `Not`".to_owned()),
        _ => None,
    }
}
