//! The binary as people run it.

mod bad_input;
mod command_line;
mod demo;
mod kill;
mod run;
