//! Lists of the directory in the order of a key: a name or an address in lower case, and the id where two are the same.

use std::fmt::Write as _;

use muster_model::{ObjectId, TenantId};

use crate::Val;
use crate::users::{list_key, name_key};

/// What a list is in the order of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// `displayName`; who has none comes first.
    DisplayName,
    /// `userPrincipalName`
    SignInName,
    /// `mail`; who has none is not in the list.
    Mail,
}

/// Which keys are asked for; letters of either case are the same. Names and addresses of more than 200 characters are
/// told apart by the first 200: whoever asks for one looks again at what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Keys {
    /// All of them.
    All,
    /// This one.
    Exactly(String),
    /// Those that begin so.
    Beginning(String),
}

/// Part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// What it is in the order of.
    pub key: Key,
    /// Which keys are asked for.
    pub keys: Keys,
    /// From the last one on, and to the first.
    pub descending: bool,
    /// After the object with this key and id.
    pub after: Option<(String, ObjectId)>,
}

impl Listing {
    /// Everything, in the order of a key.
    pub const fn by(key: Key) -> Self {
        Self {
            key,
            keys: Keys::All,
            descending: false,
            after: None,
        }
    }

    /// What follows `FROM table`, and its parameters.
    pub(crate) fn sql(&self, tenant: TenantId, column: &str, limit: u32) -> (String, Vec<Val>) {
        // Sign-in names are indexed as a whole, because no two may be the same.
        let key_of = |text: &str| match self.key {
            Key::SignInName => name_key(text),
            Key::DisplayName | Key::Mail => list_key(text),
        };
        let mut params: Vec<Val> = vec![tenant.into()];
        let mut sql = "WHERE tenant = $1 AND deleted IS NULL".to_owned();
        if self.key == Key::Mail {
            sql.push_str(" AND mail_key IS NOT NULL");
        }
        let mut bound = |how: &str, value: Val| {
            params.push(value);
            let _ = write!(sql, " AND {column} {how} ${}", params.len());
        };
        match &self.keys {
            Keys::All => {}
            Keys::Exactly(key) => bound("=", key_of(key).into()),
            Keys::Beginning(key) => {
                let from = key_of(key);
                bound("<", format!("{from}\u{10ffff}").into());
                bound(">=", from.into());
            }
        }
        let (beyond, direction) = if self.descending {
            ("<", "DESC")
        } else {
            (">", "ASC")
        };
        if let Some((key, id)) = &self.after {
            params.push(key_of(key).into());
            params.push((*id).into());
            let (of_key, of_id) = (params.len() - 1, params.len());
            let _ = write!(sql, " AND ({column}, id) {beyond} (${of_key}, ${of_id})");
        }
        params.push(limit.into());
        let _ = write!(
            sql,
            " ORDER BY {column} {direction}, id {direction} LIMIT ${}",
            params.len()
        );
        (sql, params)
    }
}
