//! A row read from the database, and what can be made of it.

use crate::{FromVal, StoreError, Val};

/// A row; columns are taken from left to right.
#[derive(Debug)]
pub struct Row {
    cells: std::vec::IntoIter<Val>,
    next: usize,
    place: String,
}

impl Row {
    pub(crate) fn new(cells: Vec<Val>, place: &str) -> Self {
        Self {
            cells: cells.into_iter(),
            next: 0,
            place: place.chars().take(60).collect(),
        }
    }

    /// The next column.
    pub fn take<T: FromVal>(&mut self) -> Result<T, StoreError> {
        let column = self.next;
        self.next += 1;
        let val = self.cells.next();
        let read = val.map_or_else(|| Err("there is no such column".to_owned()), T::from_val);
        read.map_err(|reason| self.corrupt_at(column, reason))
    }

    /// The columns that are left, as they are.
    pub(crate) fn rest(&mut self) -> Vec<Val> {
        self.cells.by_ref().collect()
    }

    /// The next column as text that is parsed further.
    pub fn parse<T: std::str::FromStr<Err: std::fmt::Display>>(&mut self) -> Result<T, StoreError> {
        let text: String = self.take()?;
        text.parse()
            .map_err(|error: T::Err| self.corrupt(error.to_string()))
    }

    /// The error for the column that was taken last.
    pub fn corrupt(&self, reason: impl Into<String>) -> StoreError {
        self.corrupt_at(self.next.saturating_sub(1), reason.into())
    }

    fn corrupt_at(&self, column: usize, reason: String) -> StoreError {
        StoreError::Corrupt {
            place: self.place.clone(),
            column,
            reason,
        }
    }
}

/// What can be made of a row.
pub trait FromRow: Sized {
    /// Reads a row.
    fn from_row(row: &mut Row) -> Result<Self, StoreError>;
}

macro_rules! tuple_row {
    ($($name:ident),+) => {
        impl<$($name: FromVal),+> FromRow for ($($name,)+) {
            fn from_row(row: &mut Row) -> Result<Self, StoreError> {
                Ok(($(row.take::<$name>()?,)+))
            }
        }
    };
}
tuple_row!(A);
tuple_row!(A, B);
tuple_row!(A, B, C);
tuple_row!(A, B, C, D);
tuple_row!(A, B, C, D, E);
tuple_row!(A, B, C, D, E, F);
tuple_row!(A, B, C, D, E, F, G);
