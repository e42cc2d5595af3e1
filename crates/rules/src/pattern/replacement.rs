//! Replacement texts with references to groups, as .NET reads them.

use std::ops::Range;

use fancy_regex::Captures;

use super::groups::Groups;

/// A replacement text, taken apart.
#[derive(Debug)]
pub(super) struct Replacement<'r> {
    parts: Vec<Part<'r>>,
}

#[derive(Debug)]
enum Part<'r> {
    Literal(&'r str),
    /// The first of these places that took part; none of them: nothing.
    Group(Vec<usize>),
    /// `` $` ``
    Before,
    /// `$'`
    After,
    /// `$_`
    Everything,
}

impl<'r> Replacement<'r> {
    /// A reference to a group that does not exist is literal text.
    pub(super) fn parse(text: &'r str, groups: &Groups) -> Self {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            if at > 0 {
                parts.push(Part::Literal(&rest[..at]));
            }
            rest = &rest[at..];
            let (part, length) = reference(rest, groups).unwrap_or((Part::Literal(&rest[..1]), 1));
            parts.push(part);
            rest = &rest[length..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest));
        }
        Self { parts }
    }

    /// Writes the replacement of one match.
    pub(super) fn write(
        &self,
        text: &str,
        range: Range<usize>,
        captures: &Captures<'_, str>,
        written: &mut String,
    ) {
        for part in &self.parts {
            match part {
                Part::Literal(literal) => written.push_str(literal),
                Part::Group(places) => {
                    if let Some(found) = places.iter().rev().find_map(|at| captures.get(*at)) {
                        written.push_str(&text[found.start()..found.end()]);
                    }
                }
                Part::Before => written.push_str(&text[..range.start]),
                Part::After => written.push_str(&text[range.end..]),
                Part::Everything => written.push_str(text),
            }
        }
    }
}

/// The reference at the start of `text`, which begins with `$`, and its length.
fn reference<'r>(text: &'r str, groups: &Groups) -> Option<(Part<'r>, usize)> {
    let behind = &text[1..];
    match behind.chars().next()? {
        '$' => Some((Part::Literal(&text[..1]), 2)),
        '&' => Some((Part::Group(vec![0]), 2)),
        '`' => Some((Part::Before, 2)),
        '\'' => Some((Part::After, 2)),
        '_' => Some((Part::Everything, 2)),
        '+' => {
            // The last group that the pattern knows.
            let last = groups.numbers.last().copied()?;
            Some((Part::Group(vec![last]), 2))
        }
        '{' => {
            let end = behind.find('}')?;
            let places = groups.find(&behind[1..end])?;
            Some((Part::Group(places.to_vec()), end + 2))
        }
        c if c.is_ascii_digit() => {
            // All digits are one number: `$10` is never group 1 and a zero.
            let digits = behind.bytes().take_while(u8::is_ascii_digit).count();
            let places = groups.find(&behind[..digits])?;
            Some((Part::Group(places.to_vec()), digits + 1))
        }
        _ => None,
    }
}
