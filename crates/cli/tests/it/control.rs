//! The control API without a process around it: several tenants, every permission, a clock that can be turned.

mod api;
mod delta;
mod scopes;
mod tenants;
