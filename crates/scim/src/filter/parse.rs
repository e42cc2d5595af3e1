//! Reading a filter from text, by recursive descent with a bound on the depth.

use super::{CompareOp, Filter, Literal, MAX_DEPTH, MAX_LENGTH, Predicate};
use crate::attr_path::{AttrPath, is_name};
use crate::error::ScimError;

/// Reads a whole filter.
pub(super) fn parse(text: &str) -> Result<Filter, ScimError> {
    if text.len() > MAX_LENGTH {
        return Err(ScimError::invalid_filter(format!(
            "the filter is longer than {MAX_LENGTH} bytes"
        )));
    }
    let mut parser = Parser {
        text,
        at: 0,
        depth: 0,
        in_brackets: false,
    };
    let filter = parser.any()?;
    parser.skip_blanks();
    if parser.at < text.len() {
        return Err(parser.error("does not continue a filter"));
    }
    Ok(filter)
}

/// Reads the filter of a value path, from behind `[` up to `]`; also tells where the bracket is.
pub(crate) fn parse_selector(text: &str, start: usize) -> Result<(Filter, usize), ScimError> {
    if text.len() > MAX_LENGTH {
        return Err(ScimError::invalid_filter(format!(
            "the path is longer than {MAX_LENGTH} bytes"
        )));
    }
    let mut parser = Parser {
        text,
        at: start,
        depth: 1,
        in_brackets: true,
    };
    let filter = parser.any()?;
    parser.skip_blanks();
    if parser.peek() == Some(b']') {
        Ok((filter, parser.at))
    } else {
        Err(parser.error("] is missing"))
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
    in_brackets: bool,
}

type Parsed<T> = Result<T, ScimError>;

impl<'t> Parser<'t> {
    fn any(&mut self) -> Parsed<Filter> {
        let mut parts = vec![self.all()?];
        while self.keyword("or") {
            parts.push(self.all()?);
        }
        Ok(Filter::any(parts))
    }

    fn all(&mut self) -> Parsed<Filter> {
        let mut parts = vec![self.one()?];
        while self.keyword("and") {
            parts.push(self.one()?);
        }
        Ok(Filter::all(parts))
    }

    fn one(&mut self) -> Parsed<Filter> {
        self.skip_blanks();
        if self.peek() == Some(b'(') {
            return self.parenthesis();
        }
        let start = self.at;
        let word = self.word();
        if word.eq_ignore_ascii_case("not") {
            self.skip_blanks();
            if self.peek() == Some(b'(') {
                return Ok(Filter::Not(Box::new(self.parenthesis()?)));
            }
        }
        let path =
            AttrPath::parse(word).map_err(|error| self.error_at(start, &error.to_string()))?;
        if path.name().is_empty() {
            return Err(self.error_at(start, "an attribute name is missing after the URN"));
        }
        if self.peek() == Some(b'[') {
            return self.element(path, start);
        }
        Ok(Filter::Test(path, self.predicate()?))
    }

    fn parenthesis(&mut self) -> Parsed<Filter> {
        self.at += 1;
        self.descend()?;
        let inner = self.any()?;
        self.skip_blanks();
        if self.peek() != Some(b')') {
            return Err(self.error(") is missing"));
        }
        self.at += 1;
        self.depth -= 1;
        Ok(inner)
    }

    fn element(&mut self, attribute: AttrPath, start: usize) -> Parsed<Filter> {
        if self.in_brackets {
            return Err(self.error("brackets do not nest"));
        }
        if attribute.sub().is_some() {
            return Err(self.error_at(start, "brackets follow an attribute, not a part of one"));
        }
        self.at += 1;
        self.descend()?;
        self.in_brackets = true;
        let filter = Box::new(self.any()?);
        self.in_brackets = false;
        self.depth -= 1;
        self.skip_blanks();
        if self.peek() != Some(b']') {
            return Err(self.error("] is missing"));
        }
        self.at += 1;
        let then = if self.peek() == Some(b'.') {
            self.at += 1;
            let start = self.at;
            let sub = self.word();
            if !is_name(sub) {
                return Err(self.error_at(start, "a sub-attribute is missing"));
            }
            Some((sub.into(), self.predicate()?))
        } else {
            self.end_of_term()?;
            None
        };
        Ok(Filter::Element {
            attribute,
            filter,
            then,
        })
    }

    fn predicate(&mut self) -> Parsed<Predicate> {
        self.skip_blanks();
        let start = self.at;
        let word = self.word();
        let predicate = if word.eq_ignore_ascii_case("pr") {
            Predicate::Present
        } else {
            let (op, _) = CompareOp::ALL
                .iter()
                .find(|(_, name)| word.eq_ignore_ascii_case(name))
                .ok_or_else(|| self.error_at(start, "an operator is missing or unknown"))?;
            Predicate::Compare(*op, self.literal()?)
        };
        self.end_of_term()?;
        Ok(predicate)
    }

    fn literal(&mut self) -> Parsed<Literal> {
        self.skip_blanks();
        if self.peek() == Some(b'"') {
            return self.quoted();
        }
        let start = self.at;
        let word = self.word();
        if word.is_empty() {
            return Err(self.error_at(start, "a value is missing"));
        }
        if word.eq_ignore_ascii_case("true") {
            Ok(Literal::Bool(true))
        } else if word.eq_ignore_ascii_case("false") {
            Ok(Literal::Bool(false))
        } else if word.eq_ignore_ascii_case("null") {
            Ok(Literal::Null)
        } else if word.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            serde_json::from_str(word)
                .map(Literal::Number)
                .map_err(|_| self.error_at(start, "this number cannot be read"))
        } else {
            Err(self.error_at(start, "text needs double quotes"))
        }
    }

    /// A JSON string; what looks like syntax inside it is data.
    fn quoted(&mut self) -> Parsed<Literal> {
        let start = self.at;
        let bytes = self.text.as_bytes();
        let mut end = start + 1;
        while let Some(&byte) = bytes.get(end) {
            match byte {
                b'"' => {
                    let text = serde_json::from_str(&self.text[start..=end])
                        .map_err(|_| self.error_at(start, "this text is not a JSON string"))?;
                    self.at = end + 1;
                    return Ok(Literal::Text(text));
                }
                b'\\' => end += 2,
                _ => end += 1,
            }
        }
        Err(self.error_at(start, "the closing quote is missing"))
    }

    /// A keyword between terms, eaten only when it is there.
    fn keyword(&mut self, keyword: &str) -> bool {
        let before = self.at;
        self.skip_blanks();
        let found = self.word().eq_ignore_ascii_case(keyword);
        if !found {
            self.at = before;
        }
        found
    }

    /// Characters up to a blank or a mark of syntax.
    fn word(&mut self) -> &'t str {
        let rest = &self.text[self.at..];
        let length = rest
            .find(|c: char| is_blank(c) || "()[]\"".contains(c))
            .unwrap_or(rest.len());
        self.at += length;
        &rest[..length]
    }

    fn skip_blanks(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches(is_blank).len();
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn descend(&mut self) -> Parsed<()> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.error("the filter nests too deeply"));
        }
        Ok(())
    }

    fn end_of_term(&self) -> Parsed<()> {
        match self.peek() {
            None | Some(b' ' | b'\t' | b'\n' | b'\r' | b')' | b']') => Ok(()),
            Some(_) => Err(self.error("a blank is missing")),
        }
    }

    fn error(&self, problem: &str) -> ScimError {
        self.error_at(self.at, problem)
    }

    #[expect(clippy::unused_self, reason = "reads better beside error()")]
    fn error_at(&self, position: usize, problem: &str) -> ScimError {
        ScimError::invalid_filter(format!("filter, position {position}: {problem}"))
    }
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}
