//! Numbers and times as people read them.

use muster_model::Timestamp;

/// `12,345`
pub(crate) fn number(of: u64) -> String {
    let digits = of.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 user`, `2 users`
pub(crate) fn many(count: u64, of: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{} {of}{ending}", number(count))
}

/// How long ago, in the largest unit that fits.
pub(crate) fn ago(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.millis_since(at) / 1000;
    match seconds {
        // A page that looks by itself would change with every second.
        0..=59 => "just now".to_owned(),
        60..=119 => "a minute ago".to_owned(),
        120..=7199 => format!("{} minutes ago", seconds / 60),
        7200..=172_799 => format!("{} hours ago", seconds / 3600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// How long something took.
pub(crate) fn took(from: Timestamp, to: Timestamp) -> String {
    let millis = to.millis_since(from);
    match millis {
        0..=999 => format!("{millis} ms"),
        1000..=119_999 => format!("{:.1} s", millis as f64 / 1000.0),
        _ => format!("{} min", millis / 60_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_thousands_apart() {
        assert_eq!(number(0), "0");
        assert_eq!(number(999), "999");
        assert_eq!(number(1000), "1,000");
        assert_eq!(number(1_234_567), "1,234,567");
        assert_eq!(many(1, "user"), "1 user");
        assert_eq!(many(2000, "user"), "2,000 users");
    }
}
