//! Upper case, lower case, and a capital at the start of each word.

use std::sync::LazyLock;

use fancy_regex::Regex;

use crate::expr::eval::{Args, Stop, bounded};
use crate::expr::value::Val;

/// Whose letters `i` and `ı` are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Culture {
    Invariant,
    Turkic,
}

pub(super) fn to_lower<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    map(args, |culture, c| match (culture, c) {
        (Culture::Turkic, 'I') => 'ı',
        (Culture::Turkic, 'İ') => 'i',
        _ => lower(c),
    })
}

pub(super) fn to_upper<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    map(args, |culture, c| match (culture, c) {
        (Culture::Turkic, 'i') => 'İ',
        (Culture::Turkic, 'ı') => 'I',
        _ => upper(c),
    })
}

fn map<'a>(args: &Args<'a>, change: impl Fn(Culture, char) -> char) -> Result<Val<'a>, Stop> {
    let Some(source) = args.text(0)? else {
        return Ok(Val::Null);
    };
    let culture = culture(args)?;
    if source.chars().all(|c| change(culture, c) == c) {
        return Ok(Val::Text(source));
    }
    let changed: String = source.chars().map(|c| change(culture, c)).collect();
    Ok(bounded(changed)?.into())
}

/// One character for one, as .NET does: `İ` stays under the invariant culture.
pub(super) fn lower(c: char) -> char {
    let mut mapped = c.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// One character for one: `ß` stays, and so does `ı` under the invariant culture.
fn upper(c: char) -> char {
    if c == 'ı' {
        return c;
    }
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(one), None) => one,
        _ => c,
    }
}

/// The culture of the second argument, such as `tr-TR`; left out or empty is the invariant one.
fn culture(args: &Args<'_>) -> Result<Culture, Stop> {
    let Some(name) = args.text(1)? else {
        return Ok(Culture::Invariant);
    };
    if name.is_empty() {
        return Ok(Culture::Invariant);
    }
    let mut parts = name.split(['-', '_']);
    let language = parts.next().unwrap_or("").to_ascii_lowercase();
    let known = match language.len() {
        2 => LANGUAGES.split(' ').any(|known| known == language),
        3 => language.bytes().all(|byte| byte.is_ascii_lowercase()),
        _ => false,
    };
    let subtags = parts.all(|part| {
        (2..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    });
    if !known || !subtags {
        return Err(args.bad(1, "it is not the name of a culture, such as en-US"));
    }
    Ok(match language.as_str() {
        "tr" | "az" => Culture::Turkic,
        _ => Culture::Invariant,
    })
}

/// The two-letter language codes of ISO 639-1.
const LANGUAGES: &str = "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy \
da de dv dz ee el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io \
is it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms mt my na \
nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk sl sm sn so sq sr ss \
st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu";

/// Without separators the rules of .NET's title case hold, on the text in lower case; with
/// separators only those end a word.
pub(super) fn pcase<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let Some(source) = args.text(0)? else {
        return Ok(Val::Null);
    };
    let separators = args.text(1)?;
    let mut text = String::with_capacity(source.len());
    let mut start = true;
    for c in source.chars() {
        match &separators {
            Some(separators) => {
                text.push(if start { upper(c) } else { lower(c) });
                start = separators.contains(c);
            }
            None if start => {
                let capital = upper(lower(c));
                text.push(capital);
                // Only a letter begins a word, so `1st` becomes `1St`.
                start = !c.is_alphabetic();
            }
            None => {
                text.push(lower(c));
                // An apostrophe inside a word does not begin another.
                start = c != '\'' && separates(c);
            }
        }
    }
    Ok(bounded(text)?.into())
}

/// Spaces, controls, punctuation and symbols: what .NET takes for the end of a word.
fn separates(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_alphanumeric();
    }
    static SEPARATOR: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^[\p{Z}\p{Cc}\p{Cf}\p{P}\p{S}]").ok());
    let mut buffer = [0; 4];
    let text: &str = c.encode_utf8(&mut buffer);
    SEPARATOR
        .as_ref()
        .is_some_and(|separator| separator.is_match(text).unwrap_or(false))
}
