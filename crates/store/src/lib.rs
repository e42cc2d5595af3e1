//! Where things are kept: SQLite and PostgreSQL behind one door.
//!
//! The seam is the driver, not the query. [`Store`] opens either database; [`Store::read`] and
//! [`Store::write`] hand out a [`Tx`] that speaks to both; every query above it is written once, in
//! the subset of SQL that both share. One file holds one noun: its row, its conversion to the model
//! type, and functions that take a `&mut Tx`.
//!
//! ```no_run
//! # async fn demo(store: muster_store::Store) -> Result<(), muster_store::StoreError> {
//! use muster_store::Val;
//! let name: Option<(String,)> = store
//!     .write(|tx| {
//!         Box::pin(async move {
//!             tx.one("SELECT display_name FROM groups WHERE tenant = $1 LIMIT 1", &[Val::Int(1)]).await
//!         })
//!     })
//!     .await?;
//! # Ok(()) }
//! ```

pub mod access;
pub mod administrators;
pub mod api_tokens;
pub mod applications;
pub mod assignments;
pub mod audit;
mod beliefs;
pub mod check;
pub mod clients;
pub mod cycles;
pub mod dialects;
mod error;
pub mod escrows;
pub mod events;
pub mod exchanges;
pub mod feed;
pub mod groups;
pub mod held_back;
pub mod integrations;
pub mod intents;
pub mod jobs;
mod json;
mod lanes;
pub mod links;
pub mod listing;
mod lists;
mod lookups;
pub mod memberships;
mod migrate;
pub mod notices;
pub mod plans;
mod postgres;
pub mod received;
pub mod references;
pub mod resources;
mod row;
pub mod schemas;
mod scratch;
mod seal;
pub mod secrets;
mod sqlite;
mod store;
mod tx;
pub mod users;
mod val;
pub mod webhooks;
pub mod withdrawn;

pub use error::StoreError;
pub use json::{attributes_from_json, attributes_to_json};
pub use row::{FromRow, Row};
pub use scratch::Scratch;
pub use seal::SealingKey;
pub use store::{Store, StoreUrl};
pub use tx::Tx;
pub use val::{FromVal, Val};
