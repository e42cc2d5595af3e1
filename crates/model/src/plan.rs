//! What a cycle would do, worked out beforehand.

/// A write to the target as its protocol puts it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The path below the tenant URL.
    pub path: String,
    /// The body.
    pub body: Option<String>,
}
