//! Bounds on what comes from outside.

use std::time::Duration;

/// Largest request body, in bytes.
pub const LARGEST_BODY: usize = 4 * 1024 * 1024;
/// Connections at a time; others wait to be accepted.
pub(crate) const CONNECTIONS: usize = 4096;
/// Longest head of a request, in bytes.
pub(crate) const LARGEST_HEAD: usize = 64 * 1024;
/// Time to send the head of a request.
pub(crate) const HEAD: Duration = Duration::from_secs(30);
/// Time to send the body of a request.
pub const BODY: Duration = Duration::from_secs(30);
/// Time for running requests when the server stops.
pub(crate) const GOODBYE: Duration = Duration::from_secs(10);
