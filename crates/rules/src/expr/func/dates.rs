//! Dates: reading, writing, moving and measuring.

use jiff::civil::{DateTime, datetime};
use jiff::{SignedDuration, Span};

use crate::date;
use crate::date::format::{self, FormatProblem};
use crate::expr::eval::{Args, Stop};
use crate::expr::value::Val;

/// Where Active Directory begins to count.
const EPOCH: DateTime = datetime(1601, 1, 1, 0, 0, 0, 0);
/// Active Directory counts in units of 100 ns.
const NANOS_PER_TICK: i128 = 100;
const TICKS_PER_SECOND: i64 = 10_000_000;

#[expect(
    clippy::unnecessary_wraps,
    reason = "all functions of the table have one signature"
)]
pub(super) fn now<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    Ok(date::from_timestamp(args.env.context.now).map_or(Val::Null, Val::Date))
}

pub(super) fn cdate<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    Ok(args.date(0)?.map_or(Val::Null, Val::Date))
}

/// Steps of months and years end on the last day of a month that is too short.
pub(super) fn add<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let interval = Interval::of(args)?;
    let Some(value) = args.int(1)? else {
        return Ok(Val::Null);
    };
    let Some(at) = args.date(2)? else {
        return Ok(Val::Null);
    };
    let seconds = |each: i64| value.checked_mul(each).map(SignedDuration::from_secs);
    let moved = match interval {
        Interval::Year => Span::new()
            .try_years(value)
            .ok()
            .and_then(|span| at.checked_add(span).ok()),
        Interval::Month => Span::new()
            .try_months(value)
            .ok()
            .and_then(|span| at.checked_add(span).ok()),
        Interval::Week => seconds(7 * 86_400).and_then(|step| at.checked_add(step).ok()),
        Interval::Day => seconds(86_400).and_then(|step| at.checked_add(step).ok()),
        Interval::Hour => seconds(3_600).and_then(|step| at.checked_add(step).ok()),
        Interval::Minute => seconds(60).and_then(|step| at.checked_add(step).ok()),
        Interval::Second => seconds(1).and_then(|step| at.checked_add(step).ok()),
    };
    match moved.and_then(date::in_range) {
        Some(moved) => Ok(Val::Date(moved)),
        None => Err(args.bad(1, "the date leaves the years 1 to 9999")),
    }
}

/// Positive when the second date is later. Months and years ignore what is smaller, weeks count
/// their Sundays.
pub(super) fn diff<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let interval = Interval::of(args)?;
    let (Some(one), Some(two)) = (args.date(1)?, args.date(2)?) else {
        return Ok(Val::Null);
    };
    let elapsed = |one: DateTime, two: DateTime| one.duration_until(two).as_secs();
    let years = i64::from(two.year()) - i64::from(one.year());
    Ok(Val::Int(match interval {
        Interval::Year => years,
        Interval::Month => years * 12 + i64::from(two.month()) - i64::from(one.month()),
        Interval::Week => elapsed(sunday(one), sunday(two)) / 86_400 / 7,
        Interval::Day => elapsed(one, two) / 86_400,
        Interval::Hour => elapsed(one, two) / 3_600,
        Interval::Minute => elapsed(one, two) / 60,
        Interval::Second => elapsed(one, two),
    }))
}

/// The same time on the Sunday of the week.
fn sunday(at: DateTime) -> DateTime {
    let behind = i64::from(at.weekday().to_sunday_zero_offset());
    at.checked_sub(SignedDuration::from_secs(behind * 86_400))
        .unwrap_or(at)
}

pub(super) fn from_num<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let Some(ticks) = args.int(0)? else {
        return Ok(Val::Null);
    };
    let nanos = i32::try_from(ticks % TICKS_PER_SECOND * 100).unwrap_or(0);
    let since = SignedDuration::new(ticks / TICKS_PER_SECOND, nanos);
    match EPOCH.checked_add(since).ok().and_then(date::in_range) {
        Some(at) if ticks >= 0 => Ok(Val::Date(at)),
        _ => Err(args.bad(0, "the date leaves the years 1601 to 9999")),
    }
}

pub(super) fn num_from_date<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let Some(at) = args.date(0)? else {
        return Ok(Val::Null);
    };
    let ticks = EPOCH.duration_until(at).as_nanos() / NANOS_PER_TICK;
    match i64::try_from(ticks) {
        Ok(ticks) if ticks >= 0 => Ok(Val::Int(ticks)),
        _ => Err(args.bad(0, "the date is before 1601")),
    }
}

/// `(source, styles, inputFormat, outputFormat)`, or without styles in the older form.
pub(super) fn format<'a>(args: &Args<'a>) -> Result<Val<'a>, Stop> {
    let (input_at, output_at) = if args.count() == 3 { (1, 2) } else { (2, 3) };
    let Some(source) = args.text(0)? else {
        return Ok(Val::Null);
    };
    let input = args.text(input_at)?.unwrap_or_default();
    let output = args.text(output_at)?.unwrap_or_default();
    let today = date::from_timestamp(args.env.context.now).unwrap_or(EPOCH);
    let at = format::read(&source, &input, today.date()).map_err(|problem| match problem {
        FormatProblem::Format => args.bad(input_at, "it is no date format"),
        FormatProblem::Text => args.bad(0, "it does not fit the input format"),
    })?;
    let text =
        format::write(at, &output).map_err(|_| args.bad(output_at, "it is no date format"))?;
    Ok(text.into())
}

/// The interval codes of AM-18.
#[derive(Clone, Copy)]
enum Interval {
    Year,
    Month,
    Day,
    Week,
    Hour,
    Minute,
    Second,
}

impl Interval {
    fn of(args: &Args<'_>) -> Result<Self, Stop> {
        let code = args.text(0)?.unwrap_or_default();
        Ok(match &*code {
            "yyyy" => Self::Year,
            "m" => Self::Month,
            "d" => Self::Day,
            "ww" => Self::Week,
            "h" => Self::Hour,
            "n" => Self::Minute,
            "s" => Self::Second,
            _ => return Err(args.bad(0, "it is none of yyyy, m, d, ww, h, n and s")),
        })
    }
}
