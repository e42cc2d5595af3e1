//! For tests only: a real database of either kind, a clock that stands still, a free port.

mod clock;
pub mod postgres;
pub mod stores;

pub use clock::FixedClock;
pub use stores::{TestStore, postgres_database, postgres_store, sqlite_store};
