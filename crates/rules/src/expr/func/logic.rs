//! Choosing between values and asking about them. Only what is chosen is evaluated (3.6).

use crate::expr::eval::{Args, Stop, truthy};
use crate::expr::value::{NotSingle, Val};

pub(super) fn iif<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let condition = truthy(&args.value(0)?);
    args.value(if condition { 1 } else { 2 })
}

/// Null and empty sources match the key `""`; the first matching key counts.
pub(super) fn switch<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let source = args.text(0)?.unwrap_or_default();
    let mut place = 2;
    while place < args.count() {
        if args.given(place) && args.text(place)?.unwrap_or_default() == source {
            return args.value(place + 1);
        }
        place += 2;
    }
    args.value(1)
}

/// The first argument that is not null; an empty text counts as a value.
pub(super) fn coalesce<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    for index in 0..args.count() {
        match args.value(index)? {
            Val::Null => {}
            Val::List(items) if items.is_empty() => {}
            value => return Ok(value),
        }
    }
    Ok(Val::Null)
}

pub(super) fn is_null<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let value = args.value(0)?;
    let empty_list = matches!(&value, Val::List(items) if items.is_empty());
    Ok(Val::Bool(empty_list || value == Val::Null))
}

pub(super) fn is_null_or_empty<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    Ok(Val::Bool(args.value(0)?.is_null_or_empty()))
}

pub(super) fn is_present<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    Ok(Val::Bool(!args.value(0)?.is_null_or_empty()))
}

pub(super) fn is_string<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    Ok(Val::Bool(matches!(args.value(0)?, Val::Text(_))))
}

pub(super) fn not<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let value = args.value(0)?;
    Ok(Val::Bool(!truthy(&value)))
}

/// A comparison is returned as it is, a number is true when it is not zero.
pub(super) fn cbool<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let value = args
        .value(0)?
        .single()
        .map_err(|NotSingle| args.bad(0, "it has several values or parts"))?;
    let flag = match value {
        Val::Bool(flag) => flag,
        Val::Int(number) => number != 0,
        Val::Text(text) => match text.trim() {
            "" => false,
            text if text.eq_ignore_ascii_case("True") => true,
            text if text.eq_ignore_ascii_case("False") => false,
            text => match text.parse::<i64>() {
                Ok(number) => number != 0,
                Err(_) => return Err(args.bad(0, "it is neither a number nor True or False")),
            },
        },
        Val::Null => false,
        Val::Date(_) | Val::List(_) | Val::Object(_) => {
            return Err(args.bad(0, "it is neither a number nor True or False"));
        }
    };
    Ok(Val::Bool(flag))
}

pub(super) fn ignore_flow<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let value = args.value(0)?;
    if value.is_null_or_empty() {
        return Err(Stop::Skip);
    }
    Ok(value)
}
