//! Plain letters in place of letters with diacritics (section 6 of the expression reference).

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::expr::eval::{Args, Stop, bounded};
use crate::expr::value::Val;

pub(super) fn normalize<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let Some(source) = args.text(0)? else {
        return Ok(Val::Null);
    };
    if source.is_ascii() {
        return Ok(Val::Text(source));
    }
    Ok(bounded(plain(&source))?.into())
}

/// Marks are dropped behind Latin letters only: in other scripts they are part of the letter.
fn plain(source: &str) -> String {
    let mut latin = false;
    let kept = source.nfd().filter(move |c| {
        if is_combining_mark(*c) {
            return !latin;
        }
        latin = is_latin(*c);
        true
    });
    let mut text = String::with_capacity(source.len());
    for c in kept.nfc() {
        match c {
            'æ' => text.push_str("ae"),
            'Æ' => text.push_str("AE"),
            'ø' | 'œ' => text.push_str("oe"),
            'Ø' | 'Œ' => text.push_str("OE"),
            'ß' => text.push_str("ss"),
            'ẞ' => text.push_str("SS"),
            'ł' => text.push('l'),
            'Ł' => text.push('L'),
            'ı' => text.push('i'),
            other => text.push(other),
        }
    }
    text
}

const fn is_latin(c: char) -> bool {
    c.is_ascii_alphabetic() || matches!(c, '\u{c0}'..='\u{24f}' | '\u{1e00}'..='\u{1eff}')
}
