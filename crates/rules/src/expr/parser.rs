//! From tokens to a tree (section 2 of the expression reference), keeping on after a mistake.

use super::MAX_DEPTH;
use super::lexer::{Operator, Token, TokenKind};
use super::problem::{Problem, Span};

/// A tree whose names have not been looked up.
#[derive(Clone, Debug)]
pub(super) struct Raw {
    pub(super) span: Span,
    pub(super) kind: RawKind,
}

/// What a node of the tree is.
#[derive(Clone, Debug)]
pub(super) enum RawKind {
    Attribute(String),
    Text(String),
    Number(i64),
    Word(String),
    Call {
        name: String,
        name_span: Span,
        arguments: Vec<Option<Raw>>,
    },
    Compare(Operator, Box<Raw>, Box<Raw>),
    /// Reported already.
    Broken,
}

/// The tree of the tokens; `length` is the length of the text.
pub(super) fn tree(tokens: Vec<Token>, length: usize, problems: &mut Vec<Problem>) -> Raw {
    let mut parser = Parser {
        tokens,
        at: 0,
        depth: 0,
        end: Span {
            start: length,
            end: length,
        },
        problems,
    };
    if parser.tokens.is_empty() {
        if parser.problems.is_empty() {
            parser.problems.push(parser.end.problem("there is nothing"));
        }
        return broken(parser.end);
    }
    let root = parser.expression();
    // What is broken was reported when it was read.
    if let Some(token) = parser.tokens.get(parser.at)
        && token.kind != TokenKind::Broken
    {
        let problem = match token.kind {
            TokenKind::Close => token.span.problem("`)` without its `(`"),
            TokenKind::Operator(_) => token.span.problem("comparisons do not chain"),
            _ => token.span.problem("the expression should end here"),
        };
        parser.problems.push(problem);
    }
    root
}

const fn broken(span: Span) -> Raw {
    Raw {
        span,
        kind: RawKind::Broken,
    }
}

struct Parser<'p> {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    end: Span,
    problems: &'p mut Vec<Problem>,
}

impl Parser<'_> {
    fn expression(&mut self) -> Raw {
        let left = self.operand();
        let Some(TokenKind::Operator(operator)) = self.peek() else {
            return left;
        };
        let operator = *operator;
        self.at += 1;
        if let Some((again, span)) = self.second_operator() {
            // `==` and the like, from other languages.
            let problem = span
                .problem(format!(
                    "`{}{}` compares nothing",
                    operator.as_str(),
                    again.as_str()
                ))
                .suggest(Some(format!("`{}`", operator.as_str())));
            self.problems.push(problem);
            self.at += 1;
        }
        let right = self.operand();
        Raw {
            span: left.span.to(right.span),
            kind: RawKind::Compare(operator, Box::new(left), Box::new(right)),
        }
    }

    fn second_operator(&self) -> Option<(Operator, Span)> {
        let token = self.tokens.get(self.at)?;
        match token.kind {
            TokenKind::Operator(again) => Some((again, token.span)),
            _ => None,
        }
    }

    fn operand(&mut self) -> Raw {
        let Some(token) = self.tokens.get_mut(self.at) else {
            let problem = self.end.problem("something is missing at the end");
            self.problems.push(problem);
            return broken(self.end);
        };
        let span = token.span;
        // The text of a token is needed once: it moves into the tree.
        let kind = match &mut token.kind {
            TokenKind::Attribute(name) => RawKind::Attribute(std::mem::take(name)),
            TokenKind::Text(text) => RawKind::Text(std::mem::take(text)),
            TokenKind::Number(number) => RawKind::Number(*number),
            TokenKind::Name(name) => {
                let name = std::mem::take(name);
                self.at += 1;
                return self.named(name, span);
            }
            TokenKind::Broken => RawKind::Broken,
            TokenKind::Open => {
                let problem = span.problem("`(` belongs behind the name of a function");
                self.problems.push(problem);
                RawKind::Broken
            }
            TokenKind::Operator(_) | TokenKind::Close | TokenKind::Comma => {
                let problem = span.problem("an attribute, a text or a function is missing here");
                self.problems.push(problem);
                return broken(span);
            }
        };
        self.at += 1;
        Raw { span, kind }
    }

    fn named(&mut self, name: String, name_span: Span) -> Raw {
        if !matches!(self.peek(), Some(TokenKind::Open)) {
            return Raw {
                span: name_span,
                kind: RawKind::Word(name),
            };
        }
        let open = self.tokens[self.at].span;
        self.at += 1;
        if self.depth >= MAX_DEPTH {
            let problem = name_span.problem(format!("functions nest deeper than {MAX_DEPTH}"));
            self.problems.push(problem);
            self.at = self.tokens.len();
            return broken(name_span);
        }
        self.depth += 1;
        let (arguments, close) = self.arguments(open);
        self.depth -= 1;
        Raw {
            span: name_span.to(close),
            kind: RawKind::Call {
                name,
                name_span,
                arguments,
            },
        }
    }

    /// The arguments behind an opening parenthesis, and where the closing one stands.
    fn arguments(&mut self, open: Span) -> (Vec<Option<Raw>>, Span) {
        let mut arguments = Vec::new();
        if let Some(TokenKind::Close) = self.peek() {
            self.at += 1;
            return (arguments, self.tokens[self.at - 1].span);
        }
        loop {
            let argument = match self.peek() {
                Some(TokenKind::Comma | TokenKind::Close) => None,
                Some(_) => Some(self.expression()),
                None => {
                    self.unclosed(open);
                    return (arguments, self.end);
                }
            };
            arguments.push(argument);
            if !matches!(
                self.peek(),
                Some(TokenKind::Comma | TokenKind::Close) | None
            ) {
                let token = &self.tokens[self.at];
                if token.kind != TokenKind::Broken {
                    let problem = token.span.problem("`,` or `)` is missing in front of this");
                    self.problems.push(problem);
                }
                self.recover();
            }
            match self.peek() {
                Some(TokenKind::Close) => {
                    self.at += 1;
                    return (arguments, self.tokens[self.at - 1].span);
                }
                Some(_) => self.at += 1,
                None => {
                    self.unclosed(open);
                    return (arguments, self.end);
                }
            }
        }
    }

    /// Steps to the comma or parenthesis that ends the present argument.
    fn recover(&mut self) {
        let mut open = 0_usize;
        while let Some(kind) = self.peek() {
            match kind {
                TokenKind::Open => open += 1,
                TokenKind::Close if open > 0 => open -= 1,
                TokenKind::Close => return,
                TokenKind::Comma if open == 0 => return,
                _ => {}
            }
            self.at += 1;
        }
    }

    fn unclosed(&mut self, open: Span) {
        // An unterminated text or bracket swallows what would have closed the call.
        let swallowed = matches!(
            self.tokens.last(),
            Some(Token {
                kind: TokenKind::Broken,
                ..
            })
        );
        if !swallowed {
            self.problems.push(open.problem("`(` without its `)`"));
        }
    }

    fn peek(&self) -> Option<&TokenKind> {
        self.tokens.get(self.at).map(|token| &token.kind)
    }
}
