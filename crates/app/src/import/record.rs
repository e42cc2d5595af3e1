//! CSV records: fields between commas, quoted where they hold a comma, a quote or a line break.
//!
//! Hand-written because a broken file must cost no more than its broken lines: a quote that is
//! never closed is noticed, told by line and column, and reading goes on with the next line, which
//! a general CSV reader would have swallowed. Nothing grows beyond a bound.

use std::io;

use super::lines::{LINE_BYTES, Lines};
use crate::directory::property::TEXT_BYTES;

/// Fields of a record at most.
pub(super) const COLUMNS: usize = 200;

/// One record.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The number of the line on which it begins.
    pub(super) line: u64,
    /// Its fields, or why it cannot be read.
    pub(super) fields: Result<Vec<Vec<u8>>, Broken>,
}

/// Why a record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Broken {
    /// The field in question, from 0; `None` when it is the whole record.
    pub(super) field: Option<usize>,
    /// What is wrong.
    pub(super) reason: String,
}

impl Broken {
    fn whole(reason: String) -> Self {
        Self {
            field: None,
            reason,
        }
    }
}

/// The next record that is not an empty line.
pub(super) fn next(lines: &mut Lines) -> io::Result<Option<Record>> {
    while let Some(line) = lines.next()? {
        let Some(bytes) = line.bytes else {
            let reason = format!("is longer than {} KiB; it was skipped", LINE_BYTES / 1024);
            let fields = Err(Broken::whole(reason));
            return Ok(Some(Record {
                line: line.number,
                fields,
            }));
        };
        if bytes.is_empty() {
            continue;
        }
        let fields = read(lines, &bytes)?;
        return Ok(Some(Record {
            line: line.number,
            fields,
        }));
    }
    Ok(None)
}

/// Reads the record that begins with this line, and as many more lines as its quotes span.
fn read(lines: &mut Lines, first: &[u8]) -> io::Result<Result<Vec<Vec<u8>>, Broken>> {
    let mut splitter = Splitter::default();
    let mut more = Vec::new();
    let mut size = first.len();
    let mut step = splitter.line(first);
    let broken = loop {
        match step {
            Ok(true) => return Ok(splitter.end()),
            Err(broken) => break broken,
            Ok(false) => {}
        }
        let Some(line) = lines.next()? else {
            break splitter.unclosed();
        };
        let Some(bytes) = &line.bytes else {
            more.push(line);
            break splitter.unclosed();
        };
        size += bytes.len() + 1;
        if size > LINE_BYTES {
            more.push(line);
            break splitter.unclosed();
        }
        step = splitter.line(bytes);
        more.push(line);
    };
    // What was taken for the inside of a quoted field may be good lines.
    lines.read_again(more);
    Ok(Err(broken))
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing of the field was seen.
    #[default]
    Start,
    /// In a field without quotes.
    Plain,
    /// Between quotes.
    Quoted,
    /// Behind a quote that closes the field or is the first of a doubled one.
    Closing,
}

/// Takes records apart.
#[derive(Debug, Default)]
struct Splitter {
    fields: Vec<Vec<u8>>,
    field: Vec<u8>,
    state: State,
    too_long: Option<usize>,
}

impl Splitter {
    /// Takes one more line; answers whether the record is complete.
    fn line(&mut self, bytes: &[u8]) -> Result<bool, Broken> {
        for &byte in bytes {
            self.state = match (self.state, byte) {
                (State::Start | State::Plain | State::Closing, b',') => {
                    self.end_field()?;
                    State::Start
                }
                (State::Start, b'"') => State::Quoted,
                (State::Quoted, b'"') => State::Closing,
                (State::Closing, b'"') | (State::Quoted, _) => {
                    self.push(byte);
                    State::Quoted
                }
                (State::Closing, _) => {
                    return Err(Broken {
                        field: Some(self.fields.len()),
                        reason: "goes on behind its closing quote; write a quote inside a quoted \
                                 field twice"
                            .to_owned(),
                    });
                }
                (State::Start | State::Plain, _) => {
                    self.push(byte);
                    State::Plain
                }
            };
        }
        if self.state == State::Quoted {
            self.push(b'\n');
            return Ok(false);
        }
        self.end_field()?;
        Ok(true)
    }

    fn push(&mut self, byte: u8) {
        if self.field.len() < TEXT_BYTES {
            self.field.push(byte);
        } else {
            self.too_long.get_or_insert(self.fields.len());
        }
    }

    fn end_field(&mut self) -> Result<(), Broken> {
        if self.fields.len() == COLUMNS {
            return Err(Broken::whole(format!("has more than {COLUMNS} columns")));
        }
        self.fields.push(std::mem::take(&mut self.field));
        Ok(())
    }

    fn end(self) -> Result<Vec<Vec<u8>>, Broken> {
        match self.too_long {
            Some(field) => {
                let reason = format!("is longer than {} KiB", TEXT_BYTES / 1024);
                Err(Broken {
                    field: Some(field),
                    reason,
                })
            }
            None => Ok(self.fields),
        }
    }

    fn unclosed(&self) -> Broken {
        let reason = "begins with a quote that is never closed".to_owned();
        Broken {
            field: Some(self.fields.len()),
            reason,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `line:field|field`, or `line!field:reason`.
    fn records(input: &str) -> Vec<String> {
        let mut lines = Lines::new(Box::new(io::Cursor::new(input.to_owned().into_bytes())));
        let mut seen = Vec::new();
        while let Some(record) = next(&mut lines).unwrap() {
            seen.push(match record.fields {
                Ok(fields) => {
                    let fields: Vec<_> = fields
                        .iter()
                        .map(|field| String::from_utf8_lossy(field))
                        .collect();
                    format!("{}:{}", record.line, fields.join("|"))
                }
                Err(broken) => {
                    let reason: String = broken.reason.chars().take(12).collect();
                    format!("{}!{:?}:{reason}", record.line, broken.field)
                }
            });
        }
        seen
    }

    #[test]
    fn quotes_hold_commas_quotes_and_line_breaks() {
        assert_eq!(records("a,b\r\n\r\n1,\n"), ["1:a|b", "3:1|"]);
        assert_eq!(
            records("\"a,\"\"b\"\"\",\"c\r\nd\"\n5\" disk,\"\""),
            ["1:a,\"b\"|c\nd", "3:5\" disk|"]
        );
    }

    #[test]
    fn a_quote_that_is_never_closed_costs_its_own_line_only() {
        assert_eq!(
            records("a,b\n1,\"x\n2,y\n3,z\n"),
            ["1:a|b", "2!Some(1):begins with ", "3:2|y", "4:3|z"]
        );
        // Here another quote seems to close it.
        assert_eq!(
            records("1,\"x\n2,\"y, z\"\n"),
            ["1!Some(1):goes on behi", "2:2|y, z"]
        );
    }

    #[test]
    fn sizes_are_bounded() {
        let long = "x".repeat(TEXT_BYTES);
        assert_eq!(records(&format!("a,{long}\n")), [format!("1:a|{long}")]);
        assert_eq!(
            records(&format!("a,{long}y\nb\n")),
            ["1!Some(1):is longer th", "2:b"]
        );
        assert_eq!(
            records(&format!("a,\"{long}y\nz\"\nb\n")),
            ["1!Some(1):is longer th", "3:b"]
        );
        assert_eq!(records(&",".repeat(COLUMNS)), ["1!None:has more tha"]);
        assert_eq!(records(&",".repeat(COLUMNS - 1)).len(), 1);
        // Every line opens a quote again; the columns end it soon.
        let hostile = "a\",\"b\n".repeat(20_000);
        assert_eq!(records(&hostile).len(), 20_000);
    }
}
