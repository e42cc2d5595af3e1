//! Several values: splitting, picking, counting.

use std::borrow::Cow;
use std::collections::HashSet;

use muster_model::Value;

use crate::expr::eval::{Args, Stop};
use crate::expr::value::{Val, owned};
use crate::expr::{EvalError, MAX_ITEMS};

/// White space around the parts goes, empty parts stay.
pub(super) fn split<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let Some(source) = args.text(0)? else {
        return Ok(Val::Null);
    };
    let delimiter = args.text(1)?.unwrap_or_default();
    let parts: Vec<Value> = if delimiter.is_empty() {
        vec![Value::from(source.trim())]
    } else {
        source
            .split(&*delimiter)
            .take(MAX_ITEMS + 1)
            .map(|part| Value::from(part.trim()))
            .collect()
    };
    if parts.len() > MAX_ITEMS {
        return Err(EvalError::TooLong.into());
    }
    Ok(parts.into())
}

pub(super) fn item<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let items = args.list(0)?;
    let index = args.required_int(1)?;
    if items.is_empty() {
        return Ok(Val::Null);
    }
    let place = usize::try_from(index)
        .ok()
        .and_then(|index| index.checked_sub(1))
        .filter(|place| *place < items.len());
    let Some(place) = place else {
        return Err(args.bad(1, "there are fewer values, or it is below 1"));
    };
    Ok(match items {
        Cow::Borrowed(items) => Val::from(&items[place]),
        Cow::Owned(mut items) => owned(items.swap_remove(place)),
    })
}

pub(super) fn count<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let items = args.list(0)?;
    Ok(Val::Int(i64::try_from(items.len()).unwrap_or(i64::MAX)))
}

/// First occurrences, in order; exact comparison.
pub(super) fn remove_duplicates<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let value = args.value(0)?;
    if let Val::Null = value {
        return Ok(Val::Null);
    }
    let items = value.list();
    if items.len() > MAX_ITEMS {
        return Err(EvalError::TooLong.into());
    }
    let mut texts = HashSet::new();
    let mut others: Vec<&Value> = Vec::new();
    let mut kept = Vec::new();
    for item in &*items {
        let new = match item {
            Value::Text(text) => texts.insert(text.as_str()),
            other if others.contains(&other) => false,
            other => {
                others.push(other);
                true
            }
        };
        if new {
            kept.push(item.clone());
        }
    }
    Ok(kept.into())
}
