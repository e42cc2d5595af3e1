//! .NET custom date formats, invariant culture: reading and writing (5.2 of the expression
//! reference).

use jiff::civil::{Date, DateTime};

use super::{Reader, date, half_day, in_range, offset_seconds, time, to_utc, twelve};

const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];
const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Two-digit years up to this one belong to the present century.
const LAST_SHORT_YEAR: u32 = 49;

/// A date that was read, and whether its text said that it is UTC or how far off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ReadDate {
    pub(crate) at: DateTime,
    pub(crate) utc: bool,
}

/// The format is none, or the text does not fit it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FormatProblem {
    /// The format itself is wrong.
    Format,
    /// The text does not fit the format.
    Text,
}

/// One piece of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    /// A specifier letter and how often it stands there.
    Field(char, usize),
    Literal(char),
}

/// Takes a format apart; a single letter is a standard format.
fn pieces(format: &str) -> Option<Vec<Piece>> {
    let mut chars = format.chars();
    let expanded = match (chars.next(), chars.next()) {
        (None, _) => return None,
        (Some(letter), None) => standard(letter)?,
        _ => format,
    };
    let mut pieces = Vec::new();
    let mut rest = expanded.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\'' | '"' => loop {
                match rest.next()? {
                    end if end == c => break,
                    '\\' => pieces.push(Piece::Literal(rest.next()?)),
                    other => pieces.push(Piece::Literal(other)),
                }
            },
            '\\' => pieces.push(Piece::Literal(rest.next()?)),
            '%' => match rest.peek() {
                None | Some('%') => return None,
                Some(_) => {}
            },
            'd' | 'M' | 'y' | 'f' | 'F' | 'h' | 'H' | 'm' | 's' | 't' | 'z' | 'K' | 'g' => {
                let mut count = 1;
                while c != 'K' && rest.next_if_eq(&c).is_some() {
                    count += 1;
                }
                if matches!(c, 'f' | 'F') && count > 7 {
                    return None;
                }
                pieces.push(Piece::Field(c, count));
            }
            other => pieces.push(Piece::Literal(other)),
        }
    }
    Some(pieces)
}

/// The custom form of a standard format.
const fn standard(letter: char) -> Option<&'static str> {
    Some(match letter {
        'd' => "MM/dd/yyyy",
        'D' => "dddd, dd MMMM yyyy",
        'f' => "dddd, dd MMMM yyyy HH:mm",
        'F' | 'U' => "dddd, dd MMMM yyyy HH:mm:ss",
        'g' => "MM/dd/yyyy HH:mm",
        'G' => "MM/dd/yyyy HH:mm:ss",
        'm' | 'M' => "MMMM dd",
        'o' | 'O' => "yyyy-MM-ddTHH:mm:ss.fffffffK",
        'r' | 'R' => "ddd, dd MMM yyyy HH:mm:ss 'GMT'",
        's' => "yyyy-MM-ddTHH:mm:ss",
        't' => "HH:mm",
        'T' => "HH:mm:ss",
        'u' => "yyyy-MM-dd HH:mm:ss'Z'",
        'y' | 'Y' => "yyyy MMMM",
        _ => return None,
    })
}

/// Writes a date.
pub(crate) fn write(from: ReadDate, format: &str) -> Result<String, FormatProblem> {
    let pieces = pieces(format).ok_or(FormatProblem::Format)?;
    let mut text = String::with_capacity(format.len() + 8);
    for piece in pieces {
        match piece {
            Piece::Literal(c) => text.push(c),
            Piece::Field(letter, count) => field(from, letter, count, &mut text),
        }
    }
    Ok(text)
}

fn field(from: ReadDate, letter: char, count: usize, text: &mut String) {
    use std::fmt::Write as _;
    let at = from.at;
    let mut number = |number: i32, width: usize| {
        let _ = write!(text, "{number:0width$}");
    };
    match (letter, count) {
        ('d', 1 | 2) => number(at.day().into(), count),
        ('M', 1 | 2) => number(at.month().into(), count),
        ('y', 1 | 2) => number(i32::from(at.year()) % 100, count),
        ('y', _) => number(at.year().into(), count),
        ('h', _) => number(twelve(at.hour()).0.into(), count.min(2)),
        ('H', _) => number(at.hour().into(), count.min(2)),
        ('m', _) => number(at.minute().into(), count.min(2)),
        ('s', _) => number(at.second().into(), count.min(2)),
        ('d', _) => {
            let day = DAYS[usize::from(at.weekday().to_monday_zero_offset().unsigned_abs()) % 7];
            text.push_str(if count == 3 { &day[..3] } else { day });
        }
        ('M', _) => {
            let month = MONTHS[usize::from(at.month().unsigned_abs()).saturating_sub(1) % 12];
            text.push_str(if count == 3 { &month[..3] } else { month });
        }
        ('t', _) => {
            let half = twelve(at.hour()).1;
            text.push_str(if count == 1 { &half[..1] } else { half });
        }
        ('f' | 'F', _) => {
            let digits = format!("{:09}", at.subsec_nanosecond());
            let digits = &digits[..count.min(7)];
            if letter == 'f' {
                text.push_str(digits);
            } else {
                let kept = digits.trim_end_matches('0');
                if kept.is_empty() && text.ends_with('.') {
                    text.pop();
                }
                text.push_str(kept);
            }
        }
        ('z', 1) => text.push_str("+0"),
        ('z', 2) => text.push_str("+00"),
        ('z', _) => text.push_str("+00:00"),
        ('K', _) => text.push_str(if from.utc { "Z" } else { "" }),
        ('g', _) => text.push_str("A.D."),
        _ => {}
    }
}

/// What a text has said so far.
#[derive(Default)]
struct Seen {
    year: Option<u32>,
    month: Option<u32>,
    day: Option<u32>,
    weekday: Option<usize>,
    hour: u32,
    twelve: bool,
    afternoon: Option<bool>,
    minute: u32,
    second: u32,
    nanos: u32,
    offset: Option<i64>,
    utc: bool,
}

/// Reads a text; `today` supplies a date that the format does not have.
pub(crate) fn read(text: &str, format: &str, today: Date) -> Result<ReadDate, FormatProblem> {
    let pieces = pieces(format).ok_or(FormatProblem::Format)?;
    let mut reader = Reader::new(text.trim());
    let mut seen = Seen::default();
    for piece in pieces {
        let fits = match piece {
            Piece::Literal('Z') => {
                seen.utc = true;
                reader.expect('Z')
            }
            Piece::Literal(c) => reader.expect(c),
            Piece::Field(letter, count) => seen.field(letter, count, &mut reader),
        };
        fits.ok_or(FormatProblem::Text)?;
    }
    if !reader.is_done() {
        return Err(FormatProblem::Text);
    }
    seen.finish(today).ok_or(FormatProblem::Text)
}

impl Seen {
    fn field(&mut self, letter: char, count: usize, reader: &mut Reader<'_>) -> Option<()> {
        // One letter takes one or two digits, two letters exactly two.
        let two =
            |reader: &mut Reader<'_>| reader.digits(count.min(2), 2).map(|(number, _)| number);
        match letter {
            'd' if count <= 2 => self.day = Some(two(reader)?),
            'M' if count <= 2 => self.month = Some(two(reader)?),
            'd' => self.weekday = Some(name(reader, &DAYS, count == 3)?),
            'M' => self.month = Some(name(reader, &MONTHS, count == 3)? as u32 + 1),
            'y' if count <= 2 => {
                let year = two(reader)?;
                let century = if year <= LAST_SHORT_YEAR { 2000 } else { 1900 };
                self.year = Some(century + year);
            }
            'y' => self.year = Some(reader.digits(count, count.max(4))?.0),
            'h' => {
                self.hour = two(reader)?;
                self.twelve = true;
            }
            'H' => self.hour = two(reader)?,
            'm' => self.minute = two(reader)?,
            's' => self.second = two(reader)?,
            't' => {
                let afternoon = match reader.next()? {
                    'A' | 'a' => false,
                    'P' | 'p' => true,
                    _ => return None,
                };
                if count > 1 && !reader.word("M") {
                    return None;
                }
                self.afternoon = Some(afternoon);
            }
            'f' | 'F' => {
                let least = if letter == 'f' { count } else { 0 };
                let (fraction, digits) = reader.digits(least, count)?;
                self.nanos = fraction * 10_u32.pow(u32::try_from(9 - digits).ok()?);
            }
            'z' => self.offset = Some(offset(reader, count)?),
            'K' => match reader.peek() {
                Some('Z') => {
                    reader.next();
                    self.utc = true;
                }
                Some('+' | '-') => self.offset = Some(offset(reader, 3)?),
                _ => {}
            },
            'g' => {
                if !reader.word("A.D.") && !reader.word("AD") {
                    return None;
                }
            }
            _ => return None,
        }
        Some(())
    }

    fn finish(self, today: Date) -> Option<ReadDate> {
        let day = match (self.year, self.month, self.day) {
            (None, None, None) => today,
            (year, month, day) => date(
                year.unwrap_or_else(|| u32::from(today.year().unsigned_abs())),
                month.unwrap_or(1),
                day.unwrap_or(1),
            )?,
        };
        let weekday = usize::from(day.weekday().to_monday_zero_offset().unsigned_abs());
        if self.weekday.is_some_and(|named| named != weekday) {
            return None;
        }
        if self.twelve && self.hour > 12 {
            return None;
        }
        let hour = match self.afternoon {
            Some(afternoon) if self.hour <= 12 => half_day(self.hour, afternoon)?,
            Some(false) => return None,
            Some(true) | None => self.hour,
        };
        let local = day.to_datetime(time(hour, self.minute, self.second, self.nanos)?);
        let at = match self.offset {
            Some(seconds) => to_utc(local, seconds)?,
            None => in_range(local)?,
        };
        Some(ReadDate {
            at,
            utc: self.utc || self.offset.is_some(),
        })
    }
}

/// Which of the names comes next; the short form is its first three letters.
fn name(reader: &mut Reader<'_>, names: &[&'static str], short: bool) -> Option<usize> {
    names
        .iter()
        .position(|name| reader.word(if short { &name[..3] } else { name }))
}

/// `+8`, `+08` or `+08:00`, in seconds.
fn offset(reader: &mut Reader<'_>, count: usize) -> Option<i64> {
    let sign = match reader.next()? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    let hours = reader.digits(count.min(2), 2)?.0;
    let minutes = if count >= 3 {
        if reader.peek() == Some(':') {
            reader.next();
        }
        reader.digits(2, 2)?.0
    } else {
        0
    };
    Some(sign * offset_seconds(hours, minutes)?)
}

#[cfg(test)]
mod tests {
    use super::{read, write};
    use jiff::civil::date;

    #[track_caller]
    fn check(text: &str, input: &str, output: &str, want: Option<&str>) {
        let got = read(text, input, date(2024, 2, 29))
            .ok()
            .and_then(|read| write(read, output).ok());
        assert_eq!(got.as_deref(), want, "{text} by {input} as {output}");
    }

    #[test]
    fn reading_is_exact() {
        check("2015-01-23", "yyyy-MM-dd", "dd/MM/yyyy", Some("23/01/2015"));
        check("2015-1-23", "yyyy-MM-dd", "d", None);
        check(" 1/2/2015 ", "M/d/yyyy", "yyyyMMdd", Some("20150102"));
        check("2015-01-23x", "yyyy-MM-dd", "d", None);
        check(
            "12:30 am",
            "h:mm tt",
            "yyyy-MM-dd HH:mm",
            Some("2024-02-29 00:30"),
        );
        check("13:30 PM", "h:mm tt", "HH:mm", None);
        check(
            "Mon, 1 Jan 2024",
            "ddd, d MMM yyyy",
            "d MMMM",
            Some("1 January"),
        );
        check("Tue, 1 Jan 2024", "ddd, d MMM yyyy", "d MMMM", None);
        check("1.5", "s.FFF", "ss.FFF", Some("01.5"));
    }

    #[test]
    fn offsets_move_to_utc_and_literals_are_copied() {
        check(
            "2020-12-31-08:00",
            "yyyy-MM-ddzzz",
            "yyyy-MM-dd HH:mm",
            Some("2020-12-31 08:00"),
        );
        check(
            "2020-12-31T23:00:00Z",
            "yyyy-MM-ddTHH:mm:ssK",
            "o",
            Some("2020-12-31T23:00:00.0000000Z"),
        );
        check(
            "2020-12-31",
            "yyyy-MM-dd",
            "o",
            Some("2020-12-31T00:00:00.0000000"),
        );
        check(
            "2020-12-31",
            "yyyy-MM-dd",
            "'day' d \\d %d",
            Some("day 31 d 31"),
        );
        check("31", "%d", "dddd, dd MMM yy", Some("Wednesday, 31 Jan 24"));
        check("x", "'x", "d", None);
        check("1", "fffffffff", "d", None);
    }
}
