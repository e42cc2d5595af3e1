//! From one notation to another.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::expr::eval::{Args, Stop, bounded};
use crate::expr::value::Val;

pub(super) fn cstr<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    Ok(args.text(0)?.map_or(Val::Null, Val::Text))
}

/// The value flows as it is; the mapping says that logs must not show it.
pub(super) fn redact<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    args.value(0)
}

pub(super) fn bit_and<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    Ok(Val::Int(args.required_int(0)? & args.required_int(1)?))
}

/// UTF-16 little-endian without a byte-order mark, padded.
pub(super) fn base64<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let Some(source) = args.text(0)? else {
        return Ok(Val::Null);
    };
    let bytes: Vec<u8> = source.encode_utf16().flat_map(u16::to_le_bytes).collect();
    Ok(bounded(STANDARD.encode(bytes))?.into())
}

pub(super) fn utf8_hex<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let Some(source) = args.text(0)? else {
        return Ok(Val::Null);
    };
    let mut text = String::with_capacity(source.len() * 2);
    for byte in source.bytes() {
        let _ = write!(text, "{byte:02X}");
    }
    Ok(bounded(text)?.into())
}
