//! A value that nobody at the target has yet.

use crate::expr::EvalError;
use crate::expr::eval::{Args, Stop};
use crate::expr::value::Val;

/// The first rule whose result is free; rules behind it are not evaluated. When all are taken the
/// object is held back.
pub(super) fn select<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let mut candidates = Vec::new();
    for index in 0..args.count() {
        let Some(candidate) = args.text(index)? else {
            continue;
        };
        if candidate.is_empty() {
            continue;
        }
        if !(args.env.context.taken)(args.env.target, &candidate) {
            return Ok(Val::Text(candidate));
        }
        candidates.push(candidate.into_owned());
    }
    if candidates.is_empty() {
        return Ok(Val::Null);
    }
    Err(EvalError::NoUniqueValue { candidates }.into())
}
