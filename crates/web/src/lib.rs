//! What the HTTP faces share: serving with limits, request ids, and an orderly end.

mod body;
mod limits;
mod peer;
mod request_id;
mod serve;

pub use body::{BodyError, read_body};
pub use limits::{BODY, LARGEST_BODY};
pub use peer::Peer;
pub use request_id::RequestId;
pub use serve::{Tls, TlsError, serve, text};
