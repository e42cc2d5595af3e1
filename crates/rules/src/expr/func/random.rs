//! Values that are new each time; the randomness comes from the caller.

use std::fmt::Write as _;

use crate::expr::eval::{Args, Stop};
use crate::expr::value::Val;

/// Characters of a random text at most.
const MAX_LENGTH: usize = 256;
const DIGITS: &str = "0123456789";
/// The special characters of the Windows rule for complex passwords.
const SPECIAL: &str = "~!@#$%^&*_-+=`|\\(){}[]:;\"'<>,.?/";
const CAPITALS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const SMALL: &str = "abcdefghijklmnopqrstuvwxyz";

/// Version 4, in lower case.
#[expect(
    clippy::unnecessary_wraps,
    reason = "all functions of the table have one signature"
)]
pub(super) fn guid<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let mut bytes = [0_u8; 16];
    (args.env.context.random)(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::with_capacity(36);
    for (index, byte) in bytes.into_iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text.into())
}

/// Exactly `Length` characters with at least so many of each kind, in random order.
pub(super) fn string<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let length = usize::try_from(args.required_int(0)?).unwrap_or(usize::MAX);
    if length > MAX_LENGTH {
        return Err(args.bad(0, "it is not between 0 and 256"));
    }
    let avoid = args.text(5)?.unwrap_or_default();
    let mut text = Vec::with_capacity(length);
    let mut any = Vec::new();
    for (index, kind) in [DIGITS, SPECIAL, CAPITALS, SMALL].into_iter().enumerate() {
        let allowed: Vec<char> = kind.chars().filter(|c| !avoid.contains(*c)).collect();
        let least = args.required_int(index + 1)?;
        let Some(least) = usize::try_from(least).ok().filter(|least| *least <= length) else {
            return Err(args.bad(index + 1, "it is below 0 or above the length"));
        };
        if least > 0 && allowed.is_empty() {
            return Err(args.bad(5, "it leaves no character of a kind that is asked for"));
        }
        for _ in 0..least {
            text.push(allowed[below(args, allowed.len())]);
        }
        any.extend(allowed);
    }
    if text.len() > length {
        return Err(args.bad(0, "it is less than the sum of the minimums"));
    }
    if any.is_empty() && text.len() < length {
        return Err(args.bad(5, "it leaves no character at all"));
    }
    while text.len() < length {
        text.push(any[below(args, any.len())]);
    }
    for last in (1..text.len()).rev() {
        text.swap(last, below(args, last + 1));
    }
    Ok(text.into_iter().collect::<String>().into())
}

/// A random number below a small limit; 64 bits make the bias of the remainder negligible.
fn below(args: &Args<'_>, limit: usize) -> usize {
    let mut bytes = [0_u8; 8];
    (args.env.context.random)(&mut bytes);
    let limit = u64::try_from(limit).unwrap_or(1).max(1);
    usize::try_from(u64::from_le_bytes(bytes) % limit).unwrap_or(0)
}
