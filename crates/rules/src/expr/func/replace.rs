//! `Replace`: five functions in one, told apart by the arguments that are given.

use std::borrow::Cow;
use std::sync::Arc;

use crate::expr::eval::{Args, Stop, bounded};
use crate::expr::value::Val;
use crate::expr::{EvalError, MAX_RESULT_BYTES};
use crate::pattern::{Pattern, TooCostly};

const SOURCE: usize = 0;
const OLD: usize = 1;
const PATTERN: usize = 2;
const GROUP: usize = 3;
const REPLACEMENT: usize = 4;
const ATTRIBUTE: usize = 5;
const TEMPLATE: usize = 6;

/// What a call of `Replace` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::expr) enum Mode {
    /// Literal text by text.
    Literal,
    /// The source put into a template.
    Template,
    /// What a pattern finds.
    Pattern,
    /// What a group of a pattern holds.
    Group,
    /// The source, or a group found in another attribute.
    Fallback,
}

impl Mode {
    /// The mode that follows from which places are filled; `None` when they make no sense together.
    pub(in crate::expr) fn of(given: impl Fn(usize) -> bool) -> Option<Self> {
        let given = [OLD, PATTERN, GROUP, REPLACEMENT, ATTRIBUTE, TEMPLATE].map(given);
        match given {
            [true, false, false, true, false, false] => Some(Self::Literal),
            [true, false, false, false, false, true] => Some(Self::Template),
            [false, true, false, true, false, false] => Some(Self::Pattern),
            [false, true, true, true, false, false] => Some(Self::Group),
            [false, true, true, false, true, false] => Some(Self::Fallback),
            _ => None,
        }
    }
}

pub(super) fn replace<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let Some(mode) = Mode::of(|index| args.given(index)) else {
        return Err(EvalError::BadCall {
            function: "Replace",
            reason: "the arguments given do not go together",
        }
        .into());
    };
    let source = args.text(SOURCE)?;
    if mode == Mode::Fallback {
        return fallback(args, source);
    }
    let Some(source) = source else {
        return Ok(Val::Null);
    };
    match mode {
        Mode::Literal => {
            let old = old(args)?;
            let new = args.text(REPLACEMENT)?.unwrap_or_default();
            literal(source, &old, &new)
        }
        Mode::Template => {
            let old = old(args)?;
            match args.text(TEMPLATE)? {
                Some(template) => literal(template, &old, &source),
                None => Ok(Val::Null),
            }
        }
        Mode::Pattern => {
            let new = args.text(REPLACEMENT)?.unwrap_or_default();
            let replaced = pattern(args)?.replace_all(&source, &new);
            Ok(bounded(replaced.map_err(costly)?)?.into())
        }
        Mode::Group | Mode::Fallback => {
            let new = args.text(REPLACEMENT)?.unwrap_or_default();
            let pattern = pattern(args)?;
            let group = group(args, &pattern)?;
            let replaced = pattern.replace_group(&source, &group, &new);
            Ok(bounded(replaced.map_err(costly)?)?.into())
        }
    }
}

/// The source if it has a value, otherwise what the group holds in the other attribute.
fn fallback<'a>(args: &Args<'a>, source: Option<Cow<'a, str>>) -> Result<Val<'a>, Stop> {
    if let Some(source) = source
        && !source.is_empty()
    {
        return Ok(Val::Text(source));
    }
    let pattern = pattern(args)?;
    let group = group(args, &pattern)?;
    let Some(other) = args.text(ATTRIBUTE)? else {
        return Ok(Val::Null);
    };
    let found = pattern.first_group(&other, &group).map_err(costly)?;
    Ok(found.map_or(Val::Null, |text| text.to_owned().into()))
}

fn old<'a>(args: &Args<'a>) -> Result<Cow<'a, str>, Stop> {
    match args.text(OLD)? {
        Some(old) if !old.is_empty() => Ok(old),
        _ => Err(args.bad(OLD, "it is empty")),
    }
}

/// The pattern that was compiled with the expression, or one that is computed.
fn pattern(args: &Args<'_>) -> Result<Arc<Pattern>, Stop> {
    if let Some(pattern) = &args.call.pattern {
        return Ok(Arc::clone(pattern));
    }
    let text = args.text(PATTERN)?.unwrap_or_default();
    Pattern::new(&text)
        .map(Arc::new)
        .map_err(|_| EvalError::BadPattern.into())
}

fn group<'a>(args: &Args<'a>, pattern: &Pattern) -> Result<Cow<'a, str>, Stop> {
    let group = args.text(GROUP)?.unwrap_or_default();
    if pattern.has_group(&group) {
        Ok(group)
    } else {
        Err(args.bad(GROUP, "the pattern has no such group"))
    }
}

fn costly(TooCostly: TooCostly) -> Stop {
    EvalError::PatternTooCostly.into()
}

/// Every literal occurrence replaced; a text without any is handed on as it is.
fn literal<'a>(text: Cow<'a, str>, old: &str, new: &str) -> Result<Val<'a>, Stop> {
    let count = text.matches(old).count();
    if count == 0 {
        return Ok(Val::Text(text));
    }
    let length = text.len() - count * old.len() + count.saturating_mul(new.len());
    if length > MAX_RESULT_BYTES {
        return Err(EvalError::TooLong.into());
    }
    Ok(text.replace(old, new).into())
}
