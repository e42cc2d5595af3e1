//! The engine's decisions, by the tables of the behaviour reference.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod decide;
mod scope;
mod seen;
