//! The engine's decisions, by the tables of the behaviour reference.

mod decide;
mod scope;
mod seen;
