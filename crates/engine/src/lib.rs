//! The provisioning cycle: what should happen to an object, and making it happen.
//!
//! ```text
//! Source ─change→ Record ─judge→ in scope? ─match→ link? ─decide→ Decision ─apply→ Target
//!                                                                   └─→ link, event, escrow, watermark
//! ```
//!
//! [`decide`] is an ordinary function: what was seen and the rules go in, a decision with its reasons
//! comes out. One path ([`object`]) carries an object from the source to the target, whichever cycle,
//! retry or request it comes from. What the engine needs of the world stands in [`port`]; links,
//! references, escrows, events and watermarks are written here and nowhere else.

mod basis;
mod changes;
mod claims;
mod compare;
mod conveyor;
mod credentials;
mod cycle;
pub mod decide;
pub mod demand;
mod engine;
mod entitled;
mod error;
pub mod explain;
mod gate;
mod guard;
mod hands;
mod intents;
mod known;
mod lane;
mod limit;
pub mod linking;
mod matching;
mod named;
mod object;
mod outcome;
mod pace;
mod plan;
pub mod port;
mod prefetch;
mod progress;
mod record;
mod references;
mod rehearsal;
mod removals;
mod restart;
pub mod scope;
mod status;
mod tidy;
pub mod trail;
mod turn;
pub mod turnover;
mod withdrawals;
mod worker;

pub use credentials::put_credentials;
pub use engine::{Engine, EngineOptions};
pub use entitled::Entitled;
pub use error::EngineError;
pub use matching::Attempt;
pub use prefetch::AFTER;
pub use progress::{Phase, Progress};
pub use status::set_status;
pub use worker::Worker;
