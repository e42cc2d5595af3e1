//! `$search` (3.5): clauses of a property and a text, with AND, OR and parentheses.

use serde_json::Value as Json;

use crate::answer::Fault;
use crate::shape::Shape;

/// Longest search, in bytes, and clauses at most.
const LONGEST: usize = 2 * 1024;
const MOST: usize = 50;
const DEEPEST: usize = 16;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Search {
    And(Vec<Search>),
    Or(Vec<Search>),
    /// A property and a text.
    Has(String, String),
}

impl Search {
    pub(crate) fn parse(text: &str, shape: &Shape) -> Result<Self, Fault> {
        if text.len() > LONGEST {
            return Err(wrong("it is too long"));
        }
        let mut parser = Parser {
            text,
            shape,
            clauses: 0,
            depth: 0,
        };
        let search = parser.any_of()?;
        if parser.text.trim().is_empty() {
            Ok(search)
        } else {
            Err(wrong(
                "write each clause as \"property:text\", with AND or OR between two",
            ))
        }
    }

    pub(crate) fn passes(&self, object: &Json) -> bool {
        match self {
            Self::And(all) => all.iter().all(|it| it.passes(object)),
            Self::Or(all) => all.iter().any(|it| it.passes(object)),
            Self::Has(name, wanted) => {
                let by_words = matches!(name.as_str(), "displayName" | "description");
                let has = |value: &Json| {
                    let Some(text) = value.as_str() else {
                        return false;
                    };
                    if by_words {
                        let words = words(text);
                        let begins =
                            |wanted: &String| words.iter().any(|it| it.starts_with(wanted));
                        self::words(wanted).iter().all(begins)
                    } else {
                        text.to_lowercase().starts_with(&wanted.to_lowercase())
                    }
                };
                match &object[name.as_str()] {
                    Json::Array(items) => items.iter().any(has),
                    value => has(value),
                }
            }
        }
    }
}

/// The words of a text, in lower case: split where letters, digits and the rest meet, and where an upper-case letter
/// follows a lower-case one.
fn words(text: &str) -> Vec<String> {
    #[derive(PartialEq, Clone, Copy)]
    enum Of {
        Lower,
        Upper,
        Digit,
        Rest,
    }
    let of = |letter: char| {
        if letter.is_numeric() {
            Of::Digit
        } else if letter.is_uppercase() {
            Of::Upper
        } else if letter.is_alphabetic() {
            Of::Lower
        } else {
            Of::Rest
        }
    };
    let (mut words, mut word, mut before) = (Vec::new(), String::new(), Of::Rest);
    for letter in text.chars() {
        let now = of(letter);
        let splits = match (before, now) {
            (Of::Lower, Of::Upper) => true,
            (Of::Upper, Of::Lower) => false,
            (before, now) => before != now,
        };
        if splits && !word.is_empty() {
            words.push(std::mem::take(&mut word));
        }
        if now != Of::Rest {
            word.extend(letter.to_lowercase());
        }
        before = now;
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

fn wrong(what: &str) -> Fault {
    Fault::bad_request(format!("Invalid '$search': {what}."))
}

struct Parser<'t> {
    text: &'t str,
    shape: &'t Shape,
    clauses: usize,
    depth: usize,
}

impl Parser<'_> {
    fn takes(&mut self, word: &str) -> bool {
        self.text = self.text.trim_start();
        match self.text.strip_prefix(word) {
            Some(rest) => {
                self.text = rest;
                true
            }
            None => false,
        }
    }

    fn any_of(&mut self) -> Result<Search, Fault> {
        let mut all = vec![self.all_of()?];
        while self.takes("OR") {
            all.push(self.all_of()?);
        }
        Ok(if all.len() == 1 {
            all.remove(0)
        } else {
            Search::Or(all)
        })
    }

    fn all_of(&mut self) -> Result<Search, Fault> {
        let mut all = vec![self.clause()?];
        while self.takes("AND") {
            all.push(self.clause()?);
        }
        Ok(if all.len() == 1 {
            all.remove(0)
        } else {
            Search::And(all)
        })
    }

    fn clause(&mut self) -> Result<Search, Fault> {
        self.clauses += 1;
        if self.clauses > MOST {
            return Err(wrong("it has too many clauses"));
        }
        if self.takes("(") {
            self.depth += 1;
            if self.depth > DEEPEST {
                return Err(wrong("it is nested too deeply"));
            }
            let inner = self.any_of()?;
            self.depth -= 1;
            return if self.takes(")") {
                Ok(inner)
            } else {
                Err(wrong("a parenthesis is not closed"))
            };
        }
        if !self.takes("\"") {
            return Err(wrong(
                "write each clause in double quotes, as \"property:text\"",
            ));
        }
        let (mut clause, mut letters) = (String::new(), self.text.char_indices());
        let end = loop {
            match letters.next() {
                None => return Err(wrong("a double quote is missing")),
                Some((at, '"')) => break at,
                Some((_, '\\')) => match letters.next() {
                    Some((_, letter @ ('"' | '\\'))) => clause.push(letter),
                    _ => return Err(wrong("after \\ comes \" or \\")),
                },
                Some((_, letter)) => clause.push(letter),
            }
        };
        self.text = &self.text[end + 1..];
        let Some((name, wanted)) = clause.split_once(':') else {
            return Err(wrong("a clause is a property, `:` and a text"));
        };
        let known = self.shape.top(name.trim());
        let name =
            known.ok_or_else(|| wrong(&format!("there is no property '{}'", name.trim())))?;
        Ok(Search::Has(name, wanted.trim().to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_are_what_stands_apart() {
        let split = |text: &str| words(text).join(" ");
        assert_eq!(split("Mona Vale"), "mona vale");
        assert_eq!(split("proxyUsers-EU42"), "proxy users eu 42");
        assert_eq!(split(" …"), "");
    }
}
