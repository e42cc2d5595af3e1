//! A place in the change feed: watermark, delta token and event cursor alike.

use std::fmt;
use std::str::FromStr;

/// A place in the change feed. Feed entries are ordered by the transaction that wrote them, then by
/// their number; a reader that stands at a position has seen everything up to and including it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The writing transaction; always zero where one writer numbers the entries itself.
    pub transaction: i64,
    /// The number of the entry.
    pub number: i64,
}

impl Position {
    /// Before everything.
    pub const START: Self = Self {
        transaction: 0,
        number: 0,
    };
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.transaction, self.number)
    }
}

/// The text is not a position.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a position in the change feed")]
pub struct BadPosition(String);

impl FromStr for Position {
    type Err = BadPosition;

    fn from_str(text: &str) -> Result<Self, BadPosition> {
        text.split_once('.')
            .and_then(|(transaction, number)| {
                Some(Self {
                    transaction: transaction.parse().ok()?,
                    number: number.parse().ok()?,
                })
            })
            .ok_or_else(|| BadPosition(text.chars().take(60).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::Position;

    #[test]
    fn positions_order_by_transaction_then_number_and_read_back() {
        let (early, late) = (
            Position {
                transaction: 7,
                number: 9,
            },
            Position {
                transaction: 8,
                number: 2,
            },
        );
        assert!(early < late);
        assert_eq!(late.to_string().parse::<Position>().unwrap(), late);
        assert!("8".parse::<Position>().is_err());
    }
}
