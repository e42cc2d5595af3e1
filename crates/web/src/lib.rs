//! What the HTTP faces share: serving with limits, request ids, and an orderly end.

mod limits;
mod request_id;
mod serve;

pub use limits::LARGEST_BODY;
pub use request_id::RequestId;
pub use serve::{Peer, serve};
