//! Taking texts apart and putting them together.

use std::borrow::Cow;

use crate::expr::eval::{Args, Stop, bounded};
use crate::expr::value::{Val, text_of};
use crate::expr::{EvalError, MAX_RESULT_BYTES};

pub(super) fn append<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let (Some(source), Some(suffix)) = (args.text(0)?, args.text(1)?) else {
        return Ok(Val::Null);
    };
    if suffix.is_empty() {
        return Ok(Val::Text(source));
    }
    let mut text = source.into_owned();
    text.push_str(&suffix);
    Ok(bounded(text)?.into())
}

/// Empty and null sources add neither text nor separator; a list adds each of its values.
pub(super) fn join<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let separator = args.text(0)?.unwrap_or_default();
    let mut joined = Cow::Borrowed("");
    for index in 1..args.count() {
        match args.value(index)? {
            Val::List(items) => {
                for item in &*items {
                    let text = text_of(item)
                        .ok_or_else(|| args.bad(index, "it holds values that are no texts"))?;
                    push(&mut joined, &separator, Cow::Owned(text.into_owned()))?;
                }
            }
            Val::Object(_) => return Err(args.bad(index, "it is a complex value")),
            simple => {
                if let Ok(Some(text)) = simple.text() {
                    push(&mut joined, &separator, text)?;
                }
            }
        }
    }
    Ok(Val::Text(joined))
}

fn push<'a>(joined: &mut Cow<'a, str>, separator: &str, text: Cow<'a, str>) -> Result<(), Stop> {
    if text.is_empty() {
        return Ok(());
    }
    if joined.is_empty() {
        *joined = text;
        return Ok(());
    }
    let length = joined.len() + separator.len() + text.len();
    if length > MAX_RESULT_BYTES {
        return Err(EvalError::TooLong.into());
    }
    if let Cow::Borrowed(first) = joined {
        let mut owned = String::with_capacity(length);
        owned.push_str(first);
        *joined = Cow::Owned(owned);
    }
    let owned = joined.to_mut();
    owned.push_str(separator);
    owned.push_str(&text);
    Ok(())
}

/// Zero gives an empty text, a negative number the whole, null an empty text.
pub(super) fn left<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let Some(source) = args.text(0)? else {
        return Ok(Val::borrowed(""));
    };
    Ok(Val::Text(match usize::try_from(args.required_int(1)?) {
        Ok(count) => slice(source, 0, count),
        Err(_) => source,
    }))
}

/// Characters from `start`, counting from 1; up to the end when there are fewer.
pub(super) fn mid<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let Some(source) = args.text(0)? else {
        return Ok(Val::Null);
    };
    let start = args.required_int(1)?;
    let length = args.required_int(2)?;
    if start < 1 {
        return Err(args.bad(1, "it is below 1"));
    }
    let Ok(length) = usize::try_from(length) else {
        return Err(args.bad(2, "it is below 0"));
    };
    let start = usize::try_from(start - 1).unwrap_or(usize::MAX);
    Ok(Val::Text(slice(source, start, length)))
}

/// So many characters from a place, without copying a borrowed text.
fn slice(source: Cow<'_, str>, skip: usize, take: usize) -> Cow<'_, str> {
    let byte_of = |text: &str, count: usize| {
        text.char_indices()
            .nth(count)
            .map_or(text.len(), |(at, _)| at)
    };
    match source {
        Cow::Borrowed(text) => {
            let rest = &text[byte_of(text, skip)..];
            Cow::Borrowed(&rest[..byte_of(rest, take)])
        }
        Cow::Owned(text) => {
            let rest = &text[byte_of(&text, skip)..];
            Cow::Owned(rest[..byte_of(rest, take)].to_owned())
        }
    }
}

pub(super) fn strip_spaces<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let Some(source) = args.text(0)? else {
        return Ok(Val::Null);
    };
    if source.contains(' ') {
        return Ok(source.replace(' ', "").into());
    }
    Ok(Val::Text(source))
}

/// Any of the delimiters separates; empty parts are no words.
pub(super) fn word<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let Some(source) = args.text(0)? else {
        return Ok(Val::borrowed(""));
    };
    let number = args.required_int(1)?;
    let delimiters = args.text(2)?.unwrap_or_default();
    let Some(index) = usize::try_from(number).ok().and_then(|n| n.checked_sub(1)) else {
        return Ok(Val::borrowed(""));
    };
    let word = source
        .split(|c| delimiters.contains(c))
        .filter(|part| !part.is_empty())
        .nth(index)
        .unwrap_or("");
    Ok(word.to_owned().into())
}

/// Counted from the beginning of value1, also when the search begins later.
pub(super) fn in_str<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let (Some(text), Some(wanted)) = (args.text(0)?, args.text(1)?) else {
        return Ok(Val::Null);
    };
    let start = args.int(2)?.unwrap_or(1);
    let ignore_case = match args.int(3)? {
        None | Some(0) => false,
        Some(1) => true,
        Some(_) => return Err(args.bad(3, "it is neither vbBinaryCompare nor vbTextCompare")),
    };
    if start < 1 {
        return Err(args.bad(2, "it is below 1"));
    }
    let skip = usize::try_from(start - 1).unwrap_or(usize::MAX);
    if text.is_empty() {
        return Ok(Val::Int(0));
    }
    let (text, wanted) = if ignore_case {
        (folded(&text), folded(&wanted))
    } else {
        (text.into_owned(), wanted.into_owned())
    };
    let Some((from, _)) = text.char_indices().nth(skip) else {
        return Ok(Val::Int(0));
    };
    let found = text[from..]
        .find(&wanted)
        .map_or(0, |at| text[..from + at].chars().count() + 1);
    Ok(Val::Int(i64::try_from(found).unwrap_or(i64::MAX)))
}

/// Lower case character by character, so that positions stay what they were.
fn folded(text: &str) -> String {
    text.chars().map(super::case::lower).collect()
}
