//! The control API without a process around it: several tenants, every permission, a clock that can be turned.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod api;
mod delta;
mod scopes;
mod tenants;
