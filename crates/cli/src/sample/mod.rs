//! A made-up organisation of any size: people in many languages, a manager tree, groups.
//!
//! The same seed and numbers give the same bytes on every machine. Everything streams, so that a
//! hundred thousand people need no more memory than a thousand, but for the names already taken.

mod ascii;
mod csv;
mod groups;
mod memberships;
mod names;
mod organisation;
mod random;
mod users;

use std::io;

use serde_json::{Map, Value};

/// What to make up. Objects have the shape of Microsoft Graph, and what is empty is absent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    pub(crate) seed: u64,
    pub(crate) users: u32,
    pub(crate) groups: u32,
    /// On average, with everyone's group and the department's.
    pub(crate) memberships_per_user: f64,
    /// The domain of sign-in names and mail addresses.
    pub(crate) domain: String,
}

impl Sample {
    /// As many users, and groups in proportion.
    pub(crate) fn new(users: u32) -> Self {
        Self {
            seed: 20_260_101,
            users,
            groups: 50 + users / 50,
            memberships_per_user: 6.0,
            domain: "fjordlight.example".to_owned(),
        }
    }

    /// The users. The first is the head of the organisation, and `manager` is an id.
    pub(crate) fn users(&self) -> impl Iterator<Item = Map<String, Value>> + '_ {
        users::Users::new(self)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = Map<String, Value>> + '_ {
        (0..self.groups).map(|index| groups::group(self, index))
    }

    /// The id of the group, the id of the member, and its kind: `user` or `group`.
    pub(crate) fn memberships(&self) -> impl Iterator<Item = (String, String, &'static str)> + '_ {
        memberships::memberships(self)
    }

    /// The users as a table. Writes often and little: buffer the writer.
    pub(crate) fn users_csv(&self, w: &mut impl io::Write) -> io::Result<()> {
        csv::objects(w, csv::USER_COLUMNS, self.users())
    }

    pub(crate) fn groups_csv(&self, w: &mut impl io::Write) -> io::Result<()> {
        csv::objects(w, csv::GROUP_COLUMNS, self.groups())
    }

    pub(crate) fn memberships_csv(&self, w: &mut impl io::Write) -> io::Result<()> {
        csv::row(w, csv::MEMBERSHIP_COLUMNS)?;
        for (group, member, kind) in self.memberships() {
            csv::row(w, &[&group, &member, kind])?;
        }
        Ok(())
    }
}

/// An object under construction, in the order of its columns. What is empty is left out.
#[derive(Default)]
struct Record(Map<String, Value>);

impl Record {
    fn text(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() {
            self.0.insert(name.to_owned(), Value::String(value));
        }
    }

    fn list(&mut self, name: &str, values: Vec<String>) {
        self.0.insert(name.to_owned(), Value::from(values));
    }

    fn flag(&mut self, name: &str, value: bool) {
        self.0.insert(name.to_owned(), Value::Bool(value));
    }
}

#[cfg(test)]
mod tests;
