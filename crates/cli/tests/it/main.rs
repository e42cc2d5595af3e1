//! The binary as people run it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_input;
mod command_line;
mod demo;
mod kill;
mod run;
