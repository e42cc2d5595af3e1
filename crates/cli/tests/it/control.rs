//! The control API, and the pages, without a process around them: several tenants, every permission, a clock that can be turned.

mod api;
mod delta;
mod pages;
mod scopes;
mod tenants;
