//! The operators of scoping filters (4.2).

use std::fmt;

use crate::TargetType;

/// An operator of scoping filters (4.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScopeOperator {
    /// The value is exactly the operand.
    Equals,
    /// The value is another.
    NotEquals,
    /// The value is true.
    IsTrue,
    /// The value is false.
    IsFalse,
    /// There is no value, or an empty one.
    IsNull,
    /// There is a value that is not empty.
    IsNotNull,
    /// The pattern covers the value.
    RegexMatch,
    /// The pattern does not cover the value.
    NotRegexMatch,
    /// The number is greater than the operand.
    GreaterThan,
    /// The number is greater than the operand or the same.
    GreaterThanOrEquals,
    /// The operand occurs in the value.
    Includes,
    /// The value ends with the operand.
    EndsWith,
    /// The value occurs in the operand.
    OccursIn,
    /// The value does not occur in the operand.
    NotOccursIn,
}

impl ScopeOperator {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 14] = [
        Self::Equals,
        Self::NotEquals,
        Self::IsTrue,
        Self::IsFalse,
        Self::IsNull,
        Self::IsNotNull,
        Self::RegexMatch,
        Self::NotRegexMatch,
        Self::GreaterThan,
        Self::GreaterThanOrEquals,
        Self::Includes,
        Self::EndsWith,
        Self::OccursIn,
        Self::NotOccursIn,
    ];

    /// Its published name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equals => "EQUALS",
            Self::NotEquals => "NOT EQUALS",
            Self::IsTrue => "IS TRUE",
            Self::IsFalse => "IS FALSE",
            Self::IsNull => "IS NULL",
            Self::IsNotNull => "IS NOT NULL",
            Self::RegexMatch => "REGEX MATCH",
            Self::NotRegexMatch => "NOT REGEX MATCH",
            Self::GreaterThan => "Greater_Than",
            Self::GreaterThanOrEquals => "Greater_Than_OR_EQUALS",
            Self::Includes => "Includes",
            Self::EndsWith => "ENDS_WITH",
            Self::OccursIn => "&",
            Self::NotOccursIn => "!&",
        }
    }

    /// The operator of that name, ignoring case.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|operator| operator.as_str().eq_ignore_ascii_case(name.trim()))
    }

    /// Does it take an operand?
    pub const fn is_binary(self) -> bool {
        !matches!(
            self,
            Self::IsTrue | Self::IsFalse | Self::IsNull | Self::IsNotNull
        )
    }

    /// The types of attributes that it is offered for.
    pub const fn types(self) -> &'static [TargetType] {
        use TargetType::{Binary, Boolean, DateTime, Integer, Reference, String};
        match self {
            Self::Equals | Self::NotEquals => &[String, Integer, Boolean, Reference],
            Self::IsTrue | Self::IsFalse => &[Boolean],
            Self::IsNull | Self::IsNotNull => {
                &[String, Integer, Boolean, Reference, Binary, DateTime]
            }
            Self::RegexMatch | Self::NotRegexMatch => &[String, Integer],
            Self::GreaterThan | Self::GreaterThanOrEquals => &[Integer],
            Self::Includes | Self::EndsWith | Self::OccursIn | Self::NotOccursIn => &[String],
        }
    }
}

impl fmt::Display for ScopeOperator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
