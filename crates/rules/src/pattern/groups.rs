//! A first look at a pattern: which groups it has, and what its author calls them.

use std::collections::HashMap;

use super::{PatternProblem, problem};

/// The groups of a pattern as its author counts and names them, and their places in the engine.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// Index = number in the pattern (0 is the whole match): unnamed groups first, then named ones.
    pub(super) numbers: Vec<usize>,
    /// A name may be used for several groups.
    pub(super) names: HashMap<String, Vec<usize>>,
}

impl Groups {
    /// How many capturing groups there are.
    pub(super) fn captures(&self) -> usize {
        let unnamed = self.numbers.len() - 1 - self.names.len();
        unnamed + self.names.values().map(Vec::len).sum::<usize>()
    }

    /// The engine's places of a group, given by name or number; `None` when there is no such group.
    pub(super) fn find(&self, name: &str) -> Option<&[usize]> {
        if let Some(places) = self.names.get(name) {
            return Some(places);
        }
        let number: usize = name.parse().ok()?;
        self.numbers.get(number).map(std::slice::from_ref)
    }
}

/// Options that change how the pattern is read; `i` and `s` are left to the engine.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub(super) multi_line: bool,
    pub(super) explicit: bool,
    pub(super) extended: bool,
}

impl Flags {
    /// Reads `imnsx-imnsx`; gives what the engine should get of it.
    pub(super) fn apply(&mut self, options: &str) -> Option<String> {
        let (mut on, mut kept, mut minus) = (true, String::new(), false);
        for option in options.chars() {
            match option {
                '-' => on = false,
                'm' => self.multi_line = on,
                'n' => self.explicit = on,
                'x' => self.extended = on,
                'i' | 's' => {
                    if !on && !minus {
                        kept.push('-');
                        minus = true;
                    }
                    kept.push(option);
                }
                _ => return None,
            }
        }
        Some(kept)
    }
}

/// Numbers and names of the groups: unnamed ones are numbered first, then named ones.
pub(super) fn groups(pattern: &str) -> Result<Groups, PatternProblem> {
    let mut scan = Scan::default();
    scan.run(pattern)?;
    let mut groups = Groups {
        numbers: vec![0],
        ..Groups::default()
    };
    groups.numbers.extend(
        scan.found
            .iter()
            .enumerate()
            .filter_map(|(index, name)| name.is_none().then_some(index + 1)),
    );
    for (index, name) in scan.found.into_iter().enumerate() {
        if let Some(name) = name {
            let places = groups.names.entry(name).or_default();
            if places.is_empty() {
                groups.numbers.push(index + 1);
            }
            places.push(index + 1);
        }
    }
    Ok(groups)
}

/// A first look at the pattern, only for its groups.
#[derive(Default)]
struct Scan {
    /// One entry a capturing group in the order of the text; the name, if it has one.
    found: Vec<Option<String>>,
}

impl Scan {
    fn run(&mut self, pattern: &str) -> Result<(), PatternProblem> {
        let mut rest = pattern;
        let mut flags = vec![Flags::default()];
        while let Some(c) = rest.chars().next() {
            let mut length = c.len_utf8();
            let current = flags.last().copied().unwrap_or_default();
            match c {
                '\\' => length += rest[length..].chars().next().map_or(0, char::len_utf8),
                '[' => length = class_length(rest),
                '#' if current.extended => length = rest.find('\n').unwrap_or(rest.len()),
                ')' if flags.len() > 1 => {
                    flags.pop();
                }
                '(' if rest.starts_with("(?#") => {
                    length = rest.find(')').map_or(rest.len(), |end| end + 1);
                }
                '(' => {
                    let mut inner = current;
                    if let Some(behind) = rest.strip_prefix("(?") {
                        match group_name(behind)? {
                            Some((name, _)) => self.found.push(Some(name)),
                            None => {
                                if let Some((options, end)) = options(behind) {
                                    inner.apply(options);
                                    if end == ')' {
                                        // Holds for the rest of the enclosing group.
                                        if let Some(last) = flags.last_mut() {
                                            *last = inner;
                                        }
                                        rest = &rest[2 + options.len() + 1..];
                                        continue;
                                    }
                                }
                            }
                        }
                    } else if !current.explicit {
                        self.found.push(None);
                    }
                    flags.push(inner);
                    if let Some(condition) = rest.strip_prefix("(?(") {
                        // The parenthesis of a condition is no group.
                        length = 3 + condition.find(')').map_or(condition.len(), |end| end + 1);
                    }
                }
                _ => {}
            }
            rest = rest.get(length..).unwrap_or("");
        }
        Ok(())
    }
}

/// How long the class at the start of `text` is, subtraction included.
fn class_length(text: &str) -> usize {
    let (mut depth, mut first, mut dash) = (0_usize, false, false);
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next();
                (first, dash) = (false, false);
            }
            '[' if depth == 0 || dash => {
                depth += 1;
                if chars.peek().is_some_and(|(_, next)| *next == '^') {
                    chars.next();
                }
                (first, dash) = (true, false);
            }
            ']' if !first => {
                depth -= 1;
                dash = false;
                if depth == 0 {
                    return at + 1;
                }
            }
            _ => (first, dash) = (false, c == '-'),
        }
    }
    text.len()
}

/// The name behind `(?` in `(?<name>` or `(?'name'`, and its length with the delimiters.
pub(super) fn group_name(behind: &str) -> Result<Option<(String, usize)>, PatternProblem> {
    let end = match behind.chars().next() {
        Some('<') if !behind.starts_with("<=") && !behind.starts_with("<!") => '>',
        Some('\'') => '\'',
        _ => return Ok(None),
    };
    let Some(length) = behind[1..].find(end) else {
        return Err(problem("the name of a group does not end"));
    };
    let name = &behind[1..=length];
    if name.contains('-') {
        return Err(problem("balancing groups are not supported"));
    }
    if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_') {
        return Err(problem(format!("`{name}` cannot be the name of a group")));
    }
    Ok(Some((name.to_owned(), length + 2)))
}

/// Options behind `(?` and the character that ends them.
pub(super) fn options(behind: &str) -> Option<(&str, char)> {
    let end = behind.find([':', ')'])?;
    let options = &behind[..end];
    let known = options
        .chars()
        .all(|c| matches!(c, 'i' | 'm' | 'n' | 's' | 'x' | '-'));
    (known && (!options.is_empty() || behind.starts_with(':'))).then(|| {
        (
            options,
            if behind[end..].starts_with(':') {
                ':'
            } else {
                ')'
            },
        )
    })
}
