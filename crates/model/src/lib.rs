//! The nouns of Muster: what every other crate talks about.
//!
//! Nothing here does I/O, reads a clock on its own, or knows a wire or a row format.

pub mod administrator;
pub mod api_token;
pub mod application;
pub mod audit;
pub mod clock;
pub mod code;
pub mod cycle;
pub mod directory;
pub mod event;
pub mod exchange;
pub mod id;
pub mod integration;
pub mod job;
pub mod link;
pub mod notice;
pub mod plan;
pub mod position;
pub mod secret;
pub mod value;

pub use clock::{Clock, SystemClock, Timestamp};
pub use id::{
    AdministratorId, ApplicationId, AssignmentId, CycleId, EventId, GroupId, IntegrationId, JobId,
    ObjectId, ResourceId, RoleId, SessionId, TenantId, TokenId, UserId, WebhookId,
};
pub use position::Position;
pub use secret::Secret;
pub use value::{Attributes, Value};
