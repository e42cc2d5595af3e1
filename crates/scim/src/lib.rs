//! The SCIM 2.0 language: schemas, paths, filters, patches, projections and messages, without network, storage or clock.
//!
//! A service provider and a client speak it with the same words. Documents are `serde_json` maps; the provider
//! keeps them in *canonical* form, which [`resource::normalise`] makes: names spelt as in the schema, nothing
//! unassigned, booleans as booleans. Functions that say "canonical" rely on that form; paths on the client's side
//! ([`Path::get`], [`Path::set`]) rely on nothing.
//!
//! Everything is bounded: the length and the nesting of filters, the number of operations and of values. No input
//! panics.

pub mod attr_path;
pub mod bulk;
pub mod changes;
pub mod dialect;
pub mod diff;
pub mod discovery;
pub mod error;
pub mod filter;
pub mod member;
pub mod message;
pub mod meta;
pub mod patch;
pub mod path;
pub mod projection;
pub mod query;
pub mod resource;
pub mod schema;
pub mod sort;
pub mod text;
pub mod time;
mod value;

pub use attr_path::AttrPath;
pub use bulk::{BulkAnswer, BulkOperation, BulkRequest};
pub use changes::changed_paths;
pub use diff::diff;
pub use discovery::Capabilities;
pub use error::{ScimError, ScimType};
pub use filter::{Filter, Matcher};
pub use member::{Member, MemberChange};
pub use meta::Meta;
pub use patch::{Applied, Op, Operation, PatchRequest, apply, members_alone};
pub use path::Path;
pub use projection::Projection;
pub use query::ListQuery;
pub use resource::{Normalised, Purpose, normalise};
pub use schema::{Attribute, ResourceType, Schema, Schemas};
pub use sort::{SortKey, SortOrder, Sorter};

/// A JSON object, as documents and messages are held.
pub type Map = serde_json::Map<String, serde_json::Value>;
