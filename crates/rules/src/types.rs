//! The attribute types of a schema.

use std::fmt;

/// The type of a target attribute, or of a parameter of a function (3.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum TargetType {
    /// Text; also the type of whatever has none of the others.
    #[default]
    String,
    /// `True` or `False`.
    Boolean,
    /// A whole number.
    Integer,
    /// Another object.
    Reference,
    /// An instant.
    DateTime,
    /// Bytes, as Base64.
    Binary,
}

impl TargetType {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 6] = [
        Self::String,
        Self::Boolean,
        Self::Integer,
        Self::Reference,
        Self::DateTime,
        Self::Binary,
    ];

    /// The word of the schema document.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::Boolean => "Boolean",
            Self::Integer => "Integer",
            Self::Reference => "Reference",
            Self::DateTime => "DateTime",
            Self::Binary => "Binary",
        }
    }

    /// The type of that name, ignoring case.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for TargetType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
