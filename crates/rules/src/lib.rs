//! The rules of provisioning as pure functions: mapping expressions, scoping filters, attribute
//! mappings, the schema document that holds them, and the gallery that supplies defaults.
//!
//! Nothing here does I/O or reads a clock; time, randomness and what the target already holds come
//! in through [`Context`]. Everything is compiled once and evaluated many times, and every input is
//! bounded, so that no expression, pattern or document can make a caller wait or fall over.

pub mod cases;
mod compare;
mod convert;
mod date;
pub mod expr;
pub mod gallery;

pub mod mapping;
mod pattern;
pub mod schema;

pub mod scope;
mod suggest;
mod types;
pub mod vectors;

pub use compare::same;
pub use expr::{
    Arity, Context, EvalError, Expression, FUNCTIONS, Function, Outcome, Parameter, Problem,
    Problems, Trace, Traced,
};

pub use gallery::{Gallery, GalleryApp};
pub use mapping::{
    Actions, Apply, AttributeMapping, Mapped, MappingProblem, MappingSource, ObjectMapping,
};

pub use schema::{CompiledSchema, Schema, SchemaProblem};
pub use scope::{ClauseResult, Flip, ScopeOutcome, ScopingFilter, ScopingFilters};
pub use types::TargetType;
