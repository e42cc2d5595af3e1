//! Regular expressions in the flavour of the original service (.NET; 5.1 of the expression
//! reference), on a backtracking engine with a bound on its steps.

mod groups;
mod machine;
mod replacement;
mod translate;

use std::ops::Range;

use fancy_regex::Captures;

use groups::Groups;
use machine::Machine;
use replacement::Replacement;

/// Characters of a pattern at most.
const MAX_PATTERN_CHARS: usize = 2_000;
/// Matches in one value at most: together with the steps this bounds the work to well under a few
/// seconds, whatever pattern and value are.
const MAX_MATCHES: usize = 4_000;
/// Bytes of a value that a pattern is applied to at most.
const MAX_TEXT_BYTES: usize = 16 * 1024;
/// A pattern that can be used.
#[derive(Debug)]
pub(crate) struct Pattern {
    machine: Machine,
    groups: Groups,
}

/// A pattern that cannot be used, and why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct PatternProblem(pub(crate) String);

/// The value needs more steps than are allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the regular expression takes too many steps on this value")]
pub(crate) struct TooCostly;

impl Pattern {
    /// Compiles a pattern that may match anywhere.
    pub(crate) fn new(pattern: &str) -> Result<Self, PatternProblem> {
        Self::build(pattern, |translated| translated)
    }

    /// Compiles a pattern that must cover the whole value (SF-13).
    pub(crate) fn whole(pattern: &str) -> Result<Self, PatternProblem> {
        Self::build(pattern, |translated| format!(r"\A(?:{translated})\z"))
    }

    fn build(pattern: &str, frame: impl Fn(String) -> String) -> Result<Self, PatternProblem> {
        if pattern.chars().nth(MAX_PATTERN_CHARS).is_some() {
            return Err(PatternProblem(format!(
                "it has more than {MAX_PATTERN_CHARS} characters"
            )));
        }
        let translated = translate::translate(pattern)?;
        Ok(Self {
            machine: Machine::new(frame(translated.text), translated.atoms)?,
            groups: translated.groups,
        })
    }

    /// Is there a group of that name or number?
    pub(crate) fn has_group(&self, name: &str) -> bool {
        self.groups.find(name).is_some()
    }

    /// Does it match?
    pub(crate) fn is_match(&self, text: &str) -> Result<bool, TooCostly> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(TooCostly);
        }
        self.machine.regex()?.is_match(text).map_err(|_| TooCostly)
    }

    /// What the group holds in the first match; `None` without a match or when the group took no
    /// part.
    pub(crate) fn first_group<'t>(
        &self,
        text: &'t str,
        group: &str,
    ) -> Result<Option<&'t str>, TooCostly> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(TooCostly);
        }
        let captures = self.machine.regex()?.captures(text);
        let captures = captures.map_err(|_| TooCostly)?;
        Ok(captures
            .and_then(|captures| self.range_of(&captures, group))
            .map(|range| &text[range]))
    }

    /// Every match replaced; the replacement may refer to groups.
    pub(crate) fn replace_all(&self, text: &str, replacement: &str) -> Result<String, TooCostly> {
        let replacement = Replacement::parse(replacement, &self.groups);
        self.rewrite(text, |captures, range, written| {
            replacement.write(text, range, captures, written);
        })
    }

    /// In every match, what the group holds replaced by a literal text; the rest of the match
    /// stays.
    pub(crate) fn replace_group(
        &self,
        text: &str,
        group: &str,
        replacement: &str,
    ) -> Result<String, TooCostly> {
        self.rewrite(text, |captures, range, written| {
            match self.range_of(captures, group) {
                // A group inside a look-around may lie outside the match.
                Some(inner) if inner.start >= range.start && inner.end <= range.end => {
                    written.push_str(&text[range.start..inner.start]);
                    written.push_str(replacement);
                    written.push_str(&text[inner.end..range.end]);
                }
                _ => written.push_str(&text[range]),
            }
        })
    }

    /// Walks over all matches as .NET does: an empty match directly behind a non-empty one counts.
    fn rewrite(
        &self,
        text: &str,
        mut replace: impl FnMut(&Captures<'_, str>, Range<usize>, &mut String),
    ) -> Result<String, TooCostly> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(TooCostly);
        }
        let mut written = String::with_capacity(text.len());
        let regex = self.machine.regex()?;
        let (mut copied, mut from, mut count) = (0, 0, 0_usize);
        while let Some(captures) = regex.captures_from_pos(text, from).map_err(|_| TooCostly)? {
            let Some(found) = captures.get(0) else { break };
            let range = found.start()..found.end();
            count += 1;
            if count > MAX_MATCHES || written.len() > super::expr::MAX_RESULT_BYTES {
                return Err(TooCostly);
            }
            written.push_str(&text[copied..range.start]);
            copied = range.end;
            from = if range.is_empty() {
                match text[range.end..].chars().next() {
                    Some(next) => range.end + next.len_utf8(),
                    None => text.len() + 1,
                }
            } else {
                range.end
            };
            replace(&captures, range, &mut written);
            if from > text.len() {
                break;
            }
        }
        written.push_str(&text[copied..]);
        Ok(written)
    }

    fn range_of(&self, captures: &Captures<'_, str>, group: &str) -> Option<Range<usize>> {
        let places = self.groups.find(group)?;
        places
            .iter()
            .rev()
            .find_map(|place| captures.get(*place))
            .map(|found| found.start()..found.end())
    }
}

fn problem(message: impl Into<String>) -> PatternProblem {
    PatternProblem(message.into())
}

#[cfg(test)]
mod tests;
