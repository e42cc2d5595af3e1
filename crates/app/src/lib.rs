//! What a person may do: the use cases. Each takes a [`Ctx`] first, runs one transaction, and
//! answers in terms of the model; no use case knows of a status code or a page.

pub mod administrators;
pub mod api_tokens;
pub mod applications;
pub mod audit;
pub mod check;
mod ctx;
mod definitions;
pub mod directory;
mod error;
pub mod explain;
pub mod har;
pub mod import;
pub mod integrations;
pub mod jobs;
pub mod links;
pub mod log;
pub mod log_csv;
pub mod mappings;
pub mod metrics;
pub mod notices;
pub mod plans;
pub mod provision;
pub mod received;
pub mod surprises;
pub mod told;
pub mod turnover;
pub mod webhooks;

pub use ctx::Ctx;
pub use error::AppError;
