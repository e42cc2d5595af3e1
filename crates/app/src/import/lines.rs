//! The lines of a file, none longer than its bound, however long the file makes them.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, Read};

use super::Progress;

/// Longest line, and longest CSV record over several lines.
pub(super) const LINE_BYTES: usize = 1024 * 1024;

/// One line without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its number; the first is 1.
    pub(super) number: u64,
    /// Its bytes; `None` when there are more than [`LINE_BYTES`].
    pub(super) bytes: Option<Vec<u8>>,
}

/// Reads lines.
pub(super) struct Lines {
    input: BufReader<Box<dyn Read + Send>>,
    read: Progress,
    /// The rest of the last line is still to be skipped.
    cut: bool,
    again: VecDeque<Line>,
}

impl Lines {
    pub(super) fn new(input: Box<dyn Read + Send>) -> Self {
        Self {
            input: BufReader::with_capacity(64 * 1024, input),
            read: Progress::default(),
            cut: false,
            again: VecDeque::new(),
        }
    }

    /// How much was read so far.
    pub(super) const fn progress(&self) -> Progress {
        self.read
    }

    /// Lets lines be read once more, in this order.
    pub(super) fn read_again(&mut self, lines: Vec<Line>) {
        for line in lines.into_iter().rev() {
            self.again.push_front(line);
        }
    }

    /// The next line. What exceeds the bound is skipped by the following call only, so that a
    /// caller who gives up on a long line does not read it to its end.
    pub(super) fn next(&mut self) -> io::Result<Option<Line>> {
        if let Some(line) = self.again.pop_front() {
            return Ok(Some(line));
        }
        if self.cut {
            self.read.bytes += self.input.skip_until(b'\n')? as u64;
            self.cut = false;
        }
        let mut bytes = Vec::new();
        let bound = LINE_BYTES as u64 + 2;
        let read = self
            .input
            .by_ref()
            .take(bound)
            .read_until(b'\n', &mut bytes)? as u64;
        if read == 0 {
            return Ok(None);
        }
        let ended = bytes.last() == Some(&b'\n');
        if ended {
            bytes.pop();
        }
        if bytes.last() == Some(&b'\r') {
            bytes.pop();
        }
        if self.read.lines == 0 && bytes.starts_with(b"\xEF\xBB\xBF") {
            bytes.drain(..3);
        }
        self.read.lines += 1;
        self.read.bytes += read;
        let fits = bytes.len() <= LINE_BYTES;
        self.cut = !fits && !ended;
        Ok(Some(Line {
            number: self.read.lines,
            bytes: fits.then_some(bytes),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(input: impl Into<Vec<u8>>) -> Vec<(u64, Option<usize>)> {
        let mut lines = Lines::new(Box::new(io::Cursor::new(input.into())));
        let mut seen = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            seen.push((line.number, line.bytes.map(|bytes| bytes.len())));
        }
        seen
    }

    #[test]
    fn line_ends_and_the_byte_order_mark_belong_to_no_line() {
        let seen = lines("\u{FEFF}ab\r\n\nc");
        assert_eq!(seen, [(1, Some(2)), (2, Some(0)), (3, Some(1))]);
        assert_eq!(lines(""), []);
    }

    #[test]
    fn a_line_over_the_bound_is_skipped_and_the_next_one_read() {
        for (over, want) in [
            (0, Some(LINE_BYTES)),
            (1, None),
            (2, None),
            (3, None),
            (9000, None),
        ] {
            for end in ["\n", "\r\n"] {
                let long = "x".repeat(LINE_BYTES + over);
                assert_eq!(
                    lines(format!("{long}{end}b\n")),
                    [(1, want), (2, Some(1))],
                    "{over}"
                );
            }
        }
    }

    #[test]
    fn a_long_line_is_not_read_to_its_end_before_somebody_goes_on() {
        let mut lines = Lines::new(Box::new(io::repeat(b'x')));
        assert_eq!(
            lines.next().unwrap(),
            Some(Line {
                number: 1,
                bytes: None
            })
        );
        assert!(lines.progress().bytes < 2 * LINE_BYTES as u64);
    }
}
