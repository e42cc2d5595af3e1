//! The binary as people run it.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod access;
mod another_id;
mod bad_input;
mod command_line;
mod control;
mod demo;
mod dialects;
mod exchanges;
mod explain;
mod faces;
mod graph;
mod guard;
mod kill;
mod kill_provider;
mod lifecycle;
mod links;
mod lost_answer;
mod plan;
mod portal;
mod products;
mod provision;
mod races;
mod relay;
mod run;
mod schema;
mod security_group;
mod simulation;
mod takeover;
mod troubled;
mod unique;
mod watching;
