//! Dates and times of expressions: civil, in UTC, from year 1 to 9999.

pub(crate) mod format;

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time};
use muster_model::Timestamp;

/// The text of a date (AM-18): `M/d/yyyy h:mm:ss tt`, invariant culture.
pub(crate) fn render(at: DateTime) -> String {
    let (hour, half) = twelve(at.hour());
    format!(
        "{}/{}/{:04} {hour}:{:02}:{:02} {half}",
        at.month(),
        at.day(),
        at.year(),
        at.minute(),
        at.second()
    )
}

/// The hour on a clock of twelve, and its half of the day.
pub(crate) const fn twelve(hour: i8) -> (i8, &'static str) {
    let half = if hour < 12 { "AM" } else { "PM" };
    match hour % 12 {
        0 => (12, half),
        hour => (hour, half),
    }
}

/// The instant as a date.
pub(crate) fn from_timestamp(at: Timestamp) -> Option<DateTime> {
    let at = jiff::Timestamp::from_microsecond(at.as_micros()).ok()?;
    in_range(jiff::tz::Offset::UTC.to_datetime(at))
}

/// RFC 3339 in UTC, the fraction only where there is one.
pub(crate) fn rfc3339(at: DateTime) -> String {
    format!("{at}Z")
}

/// Moves a local time at an offset to UTC.
pub(crate) fn to_utc(local: DateTime, offset_seconds: i64) -> Option<DateTime> {
    let moved = local
        .checked_sub(SignedDuration::from_secs(offset_seconds))
        .ok()?;
    in_range(moved)
}

/// Only the years that the original service knows.
pub(crate) fn in_range(at: DateTime) -> Option<DateTime> {
    (at.year() >= 1).then_some(at)
}

/// Reads the shapes that occur: ISO dates with or without time and offset, and
/// `M/d/yyyy h:mm:ss tt`. Without an offset the text is UTC.
pub(crate) fn read(text: &str) -> Option<DateTime> {
    let mut reader = Reader::new(text.trim());
    let first = reader.digits(1, 4)?;
    let date = match reader.next()? {
        '-' if first.1 == 4 => {
            let month = reader.digits(1, 2)?.0;
            reader.expect('-')?;
            date(first.0, month, reader.digits(1, 2)?.0)?
        }
        '/' if first.1 == 4 => {
            let month = reader.digits(1, 2)?.0;
            reader.expect('/')?;
            date(first.0, month, reader.digits(1, 2)?.0)?
        }
        '/' => {
            let day = reader.digits(1, 2)?.0;
            reader.expect('/')?;
            date(reader.digits(4, 4)?.0, first.0, day)?
        }
        _ => return None,
    };
    let at_time = match reader.peek() {
        Some('T' | 't') => true,
        Some(' ') => reader.peek_second().is_some_and(|c| c.is_ascii_digit()),
        _ => false,
    };
    let time = if at_time {
        reader.next();
        reader.time()?
    } else {
        Time::midnight()
    };
    let local = date.to_datetime(time);
    to_utc(local, reader.offset()?)
}

pub(crate) fn date(year: u32, month: u32, day: u32) -> Option<Date> {
    let date = Date::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
    );
    date.ok().filter(|date| date.year() >= 1)
}

/// Steps through a text.
pub(crate) struct Reader<'t> {
    rest: &'t str,
}

impl<'t> Reader<'t> {
    pub(crate) const fn new(text: &'t str) -> Self {
        Self { rest: text }
    }

    pub(crate) fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn peek_second(&self) -> Option<char> {
        self.rest.chars().nth(1)
    }

    pub(crate) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    pub(crate) fn expect(&mut self, wanted: char) -> Option<()> {
        (self.next()? == wanted).then_some(())
    }

    pub(crate) const fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes `text`, ignoring ASCII case.
    pub(crate) fn word(&mut self, text: &str) -> bool {
        match self.rest.get(..text.len()) {
            Some(start) if start.eq_ignore_ascii_case(text) => {
                self.rest = &self.rest[text.len()..];
                true
            }
            _ => false,
        }
    }

    /// A number of `least` to `most` digits, and how many there were.
    pub(crate) fn digits(&mut self, least: usize, most: usize) -> Option<(u32, usize)> {
        let count = self
            .rest
            .bytes()
            .take(most)
            .take_while(u8::is_ascii_digit)
            .count();
        if count < least {
            return None;
        }
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        Some((digits.parse().unwrap_or(0), count))
    }

    /// `HH:mm[:ss[.fffffff]]`, optionally with `AM` or `PM`.
    fn time(&mut self) -> Option<Time> {
        let hour = self.digits(1, 2)?.0;
        self.expect(':')?;
        let minute = self.digits(2, 2)?.0;
        let (mut second, mut nanos) = (0, 0);
        if self.peek() == Some(':') {
            self.next();
            second = self.digits(2, 2)?.0;
            if self.peek() == Some('.') {
                self.next();
                let (fraction, count) = self.digits(1, 9)?;
                nanos = fraction * 10_u32.pow(u32::try_from(9 - count).ok()?);
            }
        }
        let before = self.rest;
        if self.peek() == Some(' ') {
            self.next();
        }
        let hour = if self.word("AM") {
            half_day(hour, false)?
        } else if self.word("PM") {
            half_day(hour, true)?
        } else {
            self.rest = before;
            hour
        };
        time(hour, minute, second, nanos)
    }

    /// Seconds of `Z`, `±HH:mm`, `±HHmm` or `±HH` up to the end of the text; none is UTC.
    fn offset(&mut self) -> Option<i64> {
        if self.peek() == Some(' ') {
            self.next();
        }
        let sign = match self.next() {
            None => return Some(0),
            Some('Z' | 'z') => return self.is_done().then_some(0),
            Some('+') => 1,
            Some('-') => -1,
            Some(_) => return None,
        };
        let hours = self.digits(2, 2)?.0;
        if self.peek() == Some(':') {
            self.next();
        }
        let minutes = if self.is_done() {
            0
        } else {
            self.digits(2, 2)?.0
        };
        if !self.is_done() {
            return None;
        }
        Some(sign * offset_seconds(hours, minutes)?)
    }
}

/// Seconds of an offset; .NET allows up to fourteen hours.
pub(crate) fn offset_seconds(hours: u32, minutes: u32) -> Option<i64> {
    let seconds = hours * 3600 + minutes * 60;
    (minutes < 60 && seconds <= 14 * 3600).then_some(i64::from(seconds))
}

/// The hour of the day from an hour of the half day: 12 AM is 0, 12 PM is 12.
pub(crate) fn half_day(hour: u32, afternoon: bool) -> Option<u32> {
    match (hour, afternoon) {
        (0 | 12, false) => Some(0),
        (1..=11, false) => Some(hour),
        (12, true) => Some(12),
        (0..=11, true) => Some(hour + 12),
        _ => None,
    }
}

pub(crate) fn time(hour: u32, minute: u32, second: u32, nanos: u32) -> Option<Time> {
    Time::new(
        i8::try_from(hour).ok()?,
        i8::try_from(minute).ok()?,
        i8::try_from(second).ok()?,
        i32::try_from(nanos).ok()?,
    )
    .ok()
}

#[cfg(test)]
mod tests {
    use super::{read, render};

    #[track_caller]
    fn check(text: &str, want: Option<&str>) {
        assert_eq!(read(text).map(render).as_deref(), want, "{text}");
    }

    #[test]
    fn the_shapes_that_occur_are_read() {
        check("2020-03-16-07:00", Some("3/16/2020 7:00:00 AM"));
        check("2020-03-16", Some("3/16/2020 12:00:00 AM"));
        check("2009-06-15T01:45:30-07:00", Some("6/15/2009 8:45:30 AM"));
        check("2012-01-01 23:00:00", Some("1/1/2012 11:00:00 PM"));
        check("2020-12-31 23:59:59-08:00", Some("1/1/2021 7:59:59 AM"));
        check("2023-07-04T12:00:00.1234567Z", Some("7/4/2023 12:00:00 PM"));
        check("3/16/2020 7:00:00 PM", Some("3/16/2020 7:00:00 PM"));
        check("12/31/9999 12:00:00 AM", Some("12/31/9999 12:00:00 AM"));
        check("12/31/2020 14:05", Some("12/31/2020 2:05:00 PM"));
        check("2020-02-30", None);
        check("0000-01-01", None);
        check("9999-12-31T23:59:59-14:00", None);
        check("soon", None);
        check("2020-01-01T", None);
        check("2020-01-01+99:00", None);
        check("", None);
    }
}
