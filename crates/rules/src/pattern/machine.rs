//! The engine's form of a pattern: hundreds of microseconds to build where a class holds half of
//! Unicode, so it is built when it is first needed, if it is certain now that it can be.

use std::sync::OnceLock;

use fancy_regex::{Expr, Regex, RegexBuilder};

use super::translate::FINAL;
use super::{PatternProblem, TooCostly};

/// Backtracking steps of one search at most.
const MAX_STEPS: usize = 50_000;
/// Bytes of a compiled pattern at most.
const MAX_COMPILED_BYTES: usize = 4 * 1024 * 1024;
/// Instructions of a compiled pattern at most.
const MAX_INSTRUCTIONS: usize = 50_000;
/// With so many atoms a pattern stays below these two bounds, whatever its atoms are.
const LIGHT: usize = 40;

#[derive(Debug)]
pub(super) struct Machine {
    pattern: String,
    regex: OnceLock<Option<Regex>>,
}

impl Machine {
    /// A pattern in the engine's flavour, with so many atoms. Everything that is wrong with it is told
    /// here, and not when it is used.
    pub(super) fn new(pattern: String, atoms: usize) -> Result<Self, PatternProblem> {
        let regex = if atoms <= LIGHT && is_plain(&pattern) {
            OnceLock::new()
        } else {
            OnceLock::from(Some(build(&pattern)?))
        };
        Ok(Self { pattern, regex })
    }

    pub(super) fn regex(&self) -> Result<&Regex, TooCostly> {
        let regex = self.regex.get_or_init(|| build(&self.pattern).ok());
        // Never `None`: what could not be certain to build was built at once.
        regex.as_ref().ok_or(TooCostly)
    }
}

/// Is nothing in it but what a regular language has, and is its syntax right?
fn is_plain(pattern: &str) -> bool {
    let regular = pattern.replace(FINAL, r"\z");
    regex_syntax::parse(&regular).is_ok() && Expr::parse_tree(pattern).is_ok()
}

fn build(pattern: &str) -> Result<Regex, PatternProblem> {
    RegexBuilder::new(pattern)
        .backtrack_limit(MAX_STEPS)
        .delegate_size_limit(MAX_COMPILED_BYTES)
        .delegate_dfa_size_limit(MAX_COMPILED_BYTES)
        .max_prog_size(MAX_INSTRUCTIONS)
        .build()
        .map_err(|error| PatternProblem(shortened(&error.to_string())))
}

/// The first line of a library's message, not longer than people read.
fn shortened(message: &str) -> String {
    message
        .lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or("it does not compile")
        .chars()
        .take(200)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Pattern, translate};
    use super::{LIGHT, Machine, build};

    fn atoms(pattern: &str) -> usize {
        translate::translate(pattern).unwrap().atoms
    }

    #[test]
    fn atoms_are_counted_with_their_copies() {
        assert_eq!(atoms(r"\+(?<isdCode>\d* )(?<phoneNumber>\d{10})"), 15);
        assert_eq!(atoms("(ab){3}c"), 10);
        assert_eq!(atoms("a{2,5}b{3,}"), 9);
        assert_eq!(atoms("(((a{100}){100}){100}){100}"), 101_010_100);
        assert_eq!(atoms("[a-z]+x{"), 3);
        assert_eq!(atoms("(?x)a {4}(?#remark){4} # remark"), 16);
    }

    #[test]
    fn what_is_heavy_or_unusual_is_built_at_once() {
        let waits = |pattern: &str| {
            let translated = translate::translate(pattern).unwrap();
            let machine = Machine::new(translated.text, translated.atoms).unwrap();
            machine.regex.get().is_none()
        };
        assert!(waits(r"^\+(?<isdCode>\d* )(?<phoneNumber>\d{10})$"));
        assert!(!waits(r"\w{41}"));
        assert!(!waits("(?<=a)b"));
        assert!(!waits(r"(a)\1"));
    }

    #[test]
    fn the_heaviest_atoms_are_light_together() {
        for atom in [
            r"\w",
            r"\W",
            r"[^\w\d]",
            r"\p{L}",
            r"\P{L}",
            ".",
            r"[\w-[a]]",
            "a?",
        ] {
            for flags in ["", "(?i)", "(?s)"] {
                let pattern = format!("{flags}{}$", atom.repeat(LIGHT - 1 - flags.len().min(1)));
                Pattern::whole(&pattern).unwrap().is_match("a").unwrap();
                let pattern = format!("{flags}(?:(?:{atom}){{{}}})*$", (LIGHT - 4) / 2);
                Pattern::whole(&pattern).unwrap().is_match("a").unwrap();
            }
        }
    }

    proptest! {
        #[test]
        fn what_waits_can_be_built(
            pieces in proptest::collection::vec(
                prop::sample::select(vec![
                    "a", "Z", ".", "^", "$", "|", "(", ")", "(?:", "(?i)", "(?i:", "(?m)", "(?x)", "(?n)",
                    "(?<n>", "[", "]", "[^", "-", r"\d", r"\W", r"\b", r"\Z", r"\z", r"\p{L}", r"\p{Nope}",
                    r"[\w-[a-f]]", "*", "+", "?", "*?", "{2}", "{3,}", "{0}", "{0,4}", "{9,2}", "#", " ", "ß",
                ]),
                0..14,
            ),
        ) {
            let pattern = pieces.concat();
            if let Ok(translated) = translate::translate(&pattern)
                && let Ok(machine) = Machine::new(translated.text, translated.atoms)
            {
                prop_assert!(machine.regex().is_ok(), "{pattern}: {:?}", build(&machine.pattern).err());
            }
        }
    }
}
