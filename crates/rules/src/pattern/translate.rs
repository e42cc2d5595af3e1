//! Rewrites a pattern of the .NET flavour for the engine that we use.
//!
//! The two differ where nobody expects it: `\<` is a plain character there and a word boundary here,
//! `[` inside a class is literal there and nests here, groups are numbered in another order, `$`
//! also matches in front of a final line feed. So every construct is read and written again; what
//! is not known is refused instead of being passed on with another meaning.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

use super::groups::{Flags, Groups, group_name, groups, options};
use super::{PatternProblem, problem};

/// How deep groups nest at most.
const MAX_DEPTH: usize = 50;
/// How often an atom may be asked for with `{n,m}`.
const MAX_REPEAT: usize = 1_000;

/// A pattern in the engine's flavour.
pub(super) struct Translated {
    pub(super) text: String,
    /// Where its author's groups are.
    pub(super) groups: Groups,
    /// How many atoms it has when every `{n,m}` is written out.
    pub(super) atoms: usize,
}

/// Reads a pattern and writes it for the engine.
pub(super) fn translate(pattern: &str) -> Result<Translated, PatternProblem> {
    let groups = groups(pattern)?;
    let mut translator = Translator {
        rest: pattern.chars().peekable(),
        written: String::with_capacity(pattern.len() + 16),
        groups: &groups,
        depth: 0,
        captures: 0,
        atoms: 0,
    };
    translator.alternatives(Flags::default())?;
    if translator.rest.next().is_some() {
        return Err(problem("`)` without its `(`"));
    }
    // Both looks at the pattern must have seen the same groups, or references would go astray.
    if translator.captures != groups.captures() {
        return Err(problem("its groups cannot be told apart"));
    }
    let (text, atoms) = (translator.written, translator.atoms);
    Ok(Translated {
        text,
        groups,
        atoms,
    })
}

struct Translator<'p> {
    rest: Peekable<Chars<'p>>,
    written: String,
    groups: &'p Groups,
    depth: usize,
    captures: usize,
    atoms: usize,
}

impl Translator<'_> {
    /// Everything up to the parenthesis that closes the present group, or the end.
    fn alternatives(&mut self, mut flags: Flags) -> Result<(), PatternProblem> {
        // Is there something in front that a quantifier can apply to, and how many atoms came before it?
        let mut atom = false;
        let mut before = self.atoms;
        while let Some(&c) = self.rest.peek() {
            if c == ')' {
                return Ok(());
            }
            self.rest.next();
            let (written, atoms) = (self.written.len(), self.atoms);
            match c {
                '|' => {
                    self.written.push('|');
                    atom = false;
                }
                '*' | '+' | '?' => {
                    self.quantifier(&c.to_string(), atom)?;
                    atom = false;
                }
                '{' => {
                    if let Some((repeat, copies)) = self.repeat()? {
                        self.quantifier(&repeat, atom)?;
                        let repeated = (atoms - before).saturating_mul(copies);
                        self.atoms = before.saturating_add(repeated);
                        atom = false;
                        continue;
                    }
                    self.written.push_str(r"\{");
                    atom = true;
                }
                '(' => atom = self.group(&mut flags)?,
                '[' => {
                    let class = self.class(0)?;
                    self.written.push_str(&class);
                    atom = true;
                }
                '\\' => {
                    self.escape()?;
                    atom = true;
                }
                '^' => {
                    self.written
                        .push_str(if flags.multi_line { "(?m:^)" } else { r"\A" });
                    atom = true;
                }
                '$' => {
                    self.written
                        .push_str(if flags.multi_line { "(?m:$)" } else { FINAL });
                    atom = true;
                }
                '.' => {
                    self.written.push('.');
                    atom = true;
                }
                '#' if flags.extended => while self.rest.next().is_some_and(|c| c != '\n') {},
                c if flags.extended && c.is_whitespace() => {}
                c => {
                    literal(c, &mut self.written);
                    atom = true;
                }
            }
            // A remark is nothing that a quantifier applies to.
            if self.written.len() > written && !matches!(c, '*' | '+' | '?') {
                self.atoms = self.atoms.saturating_add(1);
                before = atoms;
            }
        }
        Ok(())
    }

    fn quantifier(&mut self, quantifier: &str, atom: bool) -> Result<(), PatternProblem> {
        if !atom {
            return Err(problem(format!("`{quantifier}` has nothing to repeat")));
        }
        self.written.push_str(quantifier);
        if self.rest.next_if_eq(&'?').is_some() {
            self.written.push('?');
        }
        Ok(())
    }

    /// What follows `{`: a quantifier and how many copies it makes, or nothing when the brace is literal.
    fn repeat(&mut self) -> Result<Option<(String, usize)>, PatternProblem> {
        let ahead: String = self
            .rest
            .clone()
            .take_while(|c| *c != '}')
            .take(20)
            .collect();
        let closed = self.rest.clone().nth(ahead.chars().count()) == Some('}');
        let (least, most) = match ahead.split_once(',') {
            Some((least, most)) => (least, Some(most)),
            None => (ahead.as_str(), None),
        };
        let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !closed || least.is_empty() || !digits(least) || !most.is_none_or(digits) {
            return Ok(None);
        }
        let mut copies = 1;
        for number in [Some(least), most].into_iter().flatten() {
            // Open at the top is one copy more.
            let number = if number.is_empty() {
                Some(copies + 1)
            } else {
                number.parse().ok().filter(|number| *number <= MAX_REPEAT)
            };
            let Some(number) = number else {
                return Err(problem(format!("more than {MAX_REPEAT} repetitions")));
            };
            copies = copies.max(number);
        }
        for _ in 0..=ahead.len() {
            self.rest.next();
        }
        Ok(Some((format!("{{{ahead}}}"), copies)))
    }

    /// What follows `(`; says whether it can be repeated.
    fn group(&mut self, flags: &mut Flags) -> Result<bool, PatternProblem> {
        if self.rest.peek() != Some(&'?') {
            let open = if flags.explicit { "(?:" } else { "(" };
            return self.inside(open, *flags);
        }
        self.rest.next();
        let behind: String = self.rest.clone().take(120).collect();
        if behind.starts_with('#') {
            while self.rest.next().is_some_and(|c| c != ')') {}
            return Ok(true);
        }
        if let Some((_, length)) = group_name(&behind)? {
            self.skip_bytes(&behind[..length]);
            return self.inside("(", *flags);
        }
        for (start, open) in [
            ("<=", "(?<="),
            ("<!", "(?<!"),
            ("=", "(?="),
            ("!", "(?!"),
            (">", "(?>"),
        ] {
            if behind.starts_with(start) {
                self.skip_bytes(start);
                return self.inside(open, *flags);
            }
        }
        if let Some(condition) = behind.strip_prefix('(') {
            let name = condition.split(')').next().unwrap_or("");
            let Some([place]) = self.groups.find(name) else {
                return Err(problem(
                    "a condition must name one group of the pattern, as in `(?(name)…|…)`",
                ));
            };
            let open = format!("(?({place})");
            self.skip_bytes(name);
            self.rest.next();
            self.rest.next();
            return self.inside(&open, *flags);
        }
        if let Some((options, end)) = options(&behind) {
            let mut inner = *flags;
            let kept = inner.apply(options).unwrap_or_default();
            self.skip_bytes(options);
            self.rest.next();
            if end == ':' {
                return self.inside(&format!("(?{kept}:"), inner);
            }
            *flags = inner;
            if !kept.is_empty() {
                let _ = write!(self.written, "(?{kept})");
            }
            return Ok(false);
        }
        Err(problem(format!(
            "`(?{}` is not supported",
            behind.chars().take(2).collect::<String>()
        )))
    }

    fn inside(&mut self, open: &str, flags: Flags) -> Result<bool, PatternProblem> {
        if self.depth >= MAX_DEPTH {
            return Err(problem(format!("groups nest deeper than {MAX_DEPTH}")));
        }
        self.depth += 1;
        self.captures += usize::from(open == "(");
        self.written.push_str(open);
        self.alternatives(flags)?;
        if self.rest.next().is_none() {
            return Err(problem("`(` without its `)`"));
        }
        self.written.push(')');
        self.depth -= 1;
        Ok(true)
    }

    fn skip_bytes(&mut self, text: &str) {
        for _ in text.chars() {
            self.rest.next();
        }
    }

    /// What follows a backslash outside a class.
    fn escape(&mut self) -> Result<(), PatternProblem> {
        let Some(&c) = self.rest.peek() else {
            return Err(problem("a backslash at the end"));
        };
        match c {
            'A' | 'z' | 'b' | 'B' => {
                self.rest.next();
                self.written.push('\\');
                self.written.push(c);
            }
            'Z' => {
                self.rest.next();
                self.written.push_str(FINAL);
            }
            '1'..='9' => return self.numbered(),
            'k' => return self.named(),
            _ => match self.escaped()? {
                Escaped::Set(set) => self.written.push_str(&set),
                Escaped::Char(c) => literal(c, &mut self.written),
            },
        }
        Ok(())
    }

    /// `\1`, or an octal character when there is no such group.
    fn numbered(&mut self) -> Result<(), PatternProblem> {
        let digits: String = self
            .rest
            .clone()
            .take_while(char::is_ascii_digit)
            .take(3)
            .collect();
        for length in (1..=digits.len()).rev() {
            if let Some([place]) = self.groups.find(&digits[..length]) {
                let place = *place;
                self.skip_bytes(&digits[..length]);
                let _ = write!(self.written, r"(?:\{place})");
                return Ok(());
            }
        }
        if digits.len() > 1 && digits.bytes().all(|digit| digit < b'8') {
            let c = self.octal()?;
            literal(c, &mut self.written);
            return Ok(());
        }
        Err(problem(format!("`\\{digits}` refers to no group")))
    }

    /// `\k<name>` or `\k'name'`.
    fn named(&mut self) -> Result<(), PatternProblem> {
        self.rest.next();
        let end = match self.rest.next() {
            Some('<') => '>',
            Some('\'') => '\'',
            _ => return Err(problem("`\\k` needs the name of a group in `<` `>`")),
        };
        let name: String = self.rest.clone().take_while(|c| *c != end).collect();
        let Some([place]) = self.groups.find(&name) else {
            return Err(problem(format!(
                "`\\k<{name}>` refers to no group, or to several"
            )));
        };
        let place = *place;
        self.skip_bytes(&name);
        self.rest.next();
        let _ = write!(self.written, r"(?:\{place})");
        Ok(())
    }

    /// An escape that means the same inside and outside a class; the backslash is read already.
    fn escaped(&mut self) -> Result<Escaped, PatternProblem> {
        let Some(c) = self.rest.next() else {
            return Err(problem("a backslash at the end"));
        };
        Ok(match c {
            'd' | 'D' | 'w' | 'W' | 's' | 'S' => Escaped::Set(format!("\\{c}")),
            'p' | 'P' => Escaped::Set(self.category(c)?),
            't' => Escaped::Char('\t'),
            'n' => Escaped::Char('\n'),
            'r' => Escaped::Char('\r'),
            'f' => Escaped::Char('\u{c}'),
            'v' => Escaped::Char('\u{b}'),
            'a' => Escaped::Char('\u{7}'),
            'e' => Escaped::Char('\u{1b}'),
            'x' => Escaped::Char(self.hexadecimal(2)?),
            'u' => Escaped::Char(self.hexadecimal(4)?),
            'c' => match self.rest.next() {
                Some(letter) if letter.is_ascii_alphabetic() => {
                    Escaped::Char(char::from((letter.to_ascii_uppercase() as u8) & 0x1f))
                }
                _ => return Err(problem("`\\c` needs a letter")),
            },
            '0' => Escaped::Char(self.octal()?),
            c if c.is_alphanumeric() || c == '_' => {
                return Err(problem(format!("`\\{c}` is not supported")));
            }
            c => Escaped::Char(c),
        })
    }

    /// `{L}` behind `\p`.
    fn category(&mut self, letter: char) -> Result<String, PatternProblem> {
        if self.rest.next() != Some('{') {
            return Err(problem(format!("`\\{letter}` needs a category in braces")));
        }
        let name: String = self
            .rest
            .clone()
            .take_while(|c| *c != '}')
            .take(40)
            .collect();
        if name.is_empty() || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(problem(format!("`\\{letter}{{{name}}}` is not supported")));
        }
        self.skip_bytes(&name);
        self.rest.next();
        Ok(format!("\\{letter}{{{name}}}"))
    }

    fn hexadecimal(&mut self, digits: u32) -> Result<char, PatternProblem> {
        let mut number = 0;
        for _ in 0..digits {
            let digit = self.rest.next().and_then(|c| c.to_digit(16));
            number = number * 16 + digit.ok_or_else(|| problem("too few hexadecimal digits"))?;
        }
        char::from_u32(number).ok_or_else(|| problem("the escape names no character"))
    }

    fn octal(&mut self) -> Result<char, PatternProblem> {
        let mut number = 0;
        for _ in 0..3 {
            let Some(digit) = self.rest.peek().and_then(|c| c.to_digit(8)) else {
                break;
            };
            self.rest.next();
            number = number * 8 + digit;
        }
        char::from_u32(number & 0xff).ok_or_else(|| problem("the escape names no character"))
    }

    /// A class; its `[` is read already.
    fn class(&mut self, depth: usize) -> Result<String, PatternProblem> {
        if depth > 3 {
            return Err(problem("classes nest too deep"));
        }
        let mut class = String::from("[");
        if self.rest.next_if_eq(&'^').is_some() {
            class.push('^');
        }
        let mut first = true;
        loop {
            let Some(c) = self.rest.next() else {
                return Err(problem("`[` without its `]`"));
            };
            if c == ']' && !first {
                class.push(']');
                return Ok(class);
            }
            if c == '-' && !first && self.rest.peek() == Some(&'[') {
                self.rest.next();
                let without = self.class(depth + 1)?;
                if self.rest.next() != Some(']') {
                    return Err(problem("a subtraction must end its class"));
                }
                return Ok(format!("[{class}]--{without}]"));
            }
            first = false;
            let Some(from) = self.member(c, &mut class)? else {
                continue;
            };
            let mut ahead = self.rest.clone();
            let range = ahead.next() == Some('-')
                && ahead.next().is_some_and(|next| next != ']' && next != '[');
            literal(from, &mut class);
            if !range {
                continue;
            }
            self.rest.next();
            let Some(next) = self.rest.next() else {
                return Err(problem("`[` without its `]`"));
            };
            let mut set = String::new();
            let Some(to) = self.member(next, &mut set)? else {
                return Err(problem("a range ends in a set of characters"));
            };
            if to < from {
                return Err(problem(format!("the range `{from}-{to}` runs backwards")));
            }
            class.push('-');
            literal(to, &mut class);
        }
    }

    /// One member of a class: a character, or `None` when it was a set and is written already.
    fn member(&mut self, c: char, class: &mut String) -> Result<Option<char>, PatternProblem> {
        if c != '\\' {
            return Ok(Some(c));
        }
        if self.rest.next_if_eq(&'b').is_some() {
            return Ok(Some('\u{8}'));
        }
        if self.rest.peek().is_some_and(|c| matches!(c, '1'..='7')) {
            return self.octal().map(Some);
        }
        match self.escaped()? {
            Escaped::Char(c) => Ok(Some(c)),
            Escaped::Set(set) => {
                class.push_str(&set);
                Ok(None)
            }
        }
    }
}

/// The end of the text, or in front of a line feed that ends it.
pub(super) const FINAL: &str = r"(?=\n?\z)";

enum Escaped {
    Char(char),
    Set(String),
}

/// Writes a character so that it stands for itself, inside and outside a class.
fn literal(c: char, written: &mut String) {
    match c {
        '\n' => written.push_str(r"\n"),
        '\r' => written.push_str(r"\r"),
        '\t' => written.push_str(r"\t"),
        // These two mean something when escaped and nothing when not.
        '<' | '>' => written.push(c),
        c if c.is_ascii_punctuation() => {
            written.push('\\');
            written.push(c);
        }
        c if c.is_control() => {
            let _ = write!(written, r"\x{{{:x}}}", u32::from(c));
        }
        c => written.push(c),
    }
}
