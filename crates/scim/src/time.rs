//! Reading and writing `xsd:dateTime` (RFC 7643 section 2.3.5).

use jiff::{Timestamp, civil, tz::TimeZone};

/// Reads a date and time in any zone and with any number of decimals; without a zone it is taken as UTC.
///
/// A date alone means its first instant, which some clients send in filters.
pub fn parse(text: &str) -> Option<Timestamp> {
    if let Ok(instant) = text.parse::<Timestamp>() {
        return Some(instant);
    }
    let local: civil::DateTime = text.parse().ok()?;
    TimeZone::UTC.to_timestamp(local).ok()
}

/// Writes an instant in UTC with three decimals, as in `2026-03-01T09:00:00.000Z`.
pub fn format(instant: Timestamp) -> String {
    format!("{instant:.3}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, want: Option<&str>) {
        assert_eq!(parse(text).map(format).as_deref(), want, "{text}");
    }

    // Profile section 6.2: whatever the zone and number of decimals; seven decimals and year 0001 occur.
    #[test]
    fn date_times_of_all_clients_are_read() {
        check("2026-03-01T09:00:00Z", Some("2026-03-01T09:00:00.000Z"));
        check(
            "2026-03-01T09:00:00.1234567Z",
            Some("2026-03-01T09:00:00.123Z"),
        );
        check(
            "2026-03-01T09:00:00.1234567+02:00",
            Some("2026-03-01T07:00:00.123Z"),
        );
        check("2026-03-01T09:00:00", Some("2026-03-01T09:00:00.000Z"));
        check("2026-03-01", Some("2026-03-01T00:00:00.000Z"));
        check("0001-01-01T00:00:00Z", Some("0001-01-01T00:00:00.000Z"));
        check(
            "0001-01-01T00:00:00+14:00",
            Some("0000-12-31T10:00:00.000Z"),
        );
        check("yesterday", None);
        check("", None);
        check("2026-13-01T00:00:00Z", None);
        check("99999-01-01T00:00:00Z", None);
    }
}
