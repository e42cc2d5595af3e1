//! What is at a target: seen there, or worked out from the sample.

use std::collections::HashMap;
use std::fmt::Debug;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::Peer;

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// Differences that a failing test names at most.
const NAMED: usize = 5;

/// An account, as far as the tests compare it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Account {
    /// `userName`
    pub user_name: String,
    /// `active`
    pub active: bool,
    /// `displayName`
    pub display_name: Option<String>,
    /// `name.givenName`
    pub given_name: Option<String>,
    /// `name.familyName`
    pub family_name: Option<String>,
    /// `title`
    pub title: Option<String>,
    /// `emails[type eq "work"].value`
    pub work_mail: Option<String>,
    /// `phoneNumbers[type eq "mobile"].value`
    pub mobile: Option<String>,
    /// `addresses[type eq "work"].locality`
    pub city: Option<String>,
    /// `department` of the enterprise extension
    pub department: Option<String>,
    /// `manager.value` of the enterprise extension, by user name
    pub manager: Option<String>,
}

/// Accounts, groups by name, and members as pairs of names; each sorted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Accounts.
    pub users: Vec<Account>,
    /// Names of groups, as often as they occur.
    pub groups: Vec<String>,
    /// Group and member. A member that is a group itself is `group NAME`.
    pub members: Vec<(String, String)>,
}

impl Picture {
    /// What a peer has.
    pub async fn of(peer: &Peer) -> Result<Self> {
        let (users, groups) = (peer.all("Users").await?, peer.all("Groups").await?);
        let mut names = HashMap::new();
        for user in &users {
            names.insert(needed(user, "id")?, needed(user, "userName")?);
        }
        for group in &groups {
            names.insert(
                needed(group, "id")?,
                format!("group {}", needed(group, "displayName")?),
            );
        }
        let name = |id: &Value| {
            let id = id.as_str().unwrap_or_default();
            names
                .get(id)
                .cloned()
                .unwrap_or_else(|| format!("unknown {id}"))
        };
        let mut picture = Self::default();
        for user in &users {
            let person = &user[ENTERPRISE];
            picture.users.push(Account {
                user_name: needed(user, "userName")?,
                active: user["active"].as_bool().context("`active` is no boolean")?,
                display_name: text(&user["displayName"]),
                given_name: text(&user["name"]["givenName"]),
                family_name: text(&user["name"]["familyName"]),
                title: text(&user["title"]),
                work_mail: text(&of_type(user, "emails", "work")["value"]),
                mobile: text(&of_type(user, "phoneNumbers", "mobile")["value"]),
                city: text(&of_type(user, "addresses", "work")["locality"]),
                department: text(&person["department"]),
                manager: text(&person["manager"]["value"]).map(|id| name(&Value::from(id))),
            });
        }
        for group in &groups {
            let group_name = needed(group, "displayName")?;
            for member in group["members"].as_array().into_iter().flatten() {
                picture
                    .members
                    .push((group_name.clone(), name(&member["value"])));
            }
            picture.groups.push(group_name);
        }
        Ok(picture.sorted())
    }

    /// The same in the order that comparing needs.
    #[must_use]
    pub fn sorted(mut self) -> Self {
        self.users.sort();
        self.groups.sort();
        self.members.sort();
        self
    }

    /// An error that names what is missing and what is too much, if anything is.
    pub fn must_be(&self, expected: &Self) -> Result<()> {
        same("users", &self.users, &expected.users)?;
        same("groups", &self.groups, &expected.groups)?;
        same("memberships", &self.members, &expected.members)
    }
}

fn same<T: Ord + Debug>(what: &str, seen: &[T], expected: &[T]) -> Result<()> {
    let without = |these: &[T], those: &[T]| -> Vec<String> {
        let missing = these.iter().filter(|it| those.binary_search(it).is_err());
        missing
            .take(NAMED)
            .map(|it| format!("\n    {it:?}"))
            .collect()
    };
    ensure!(
        seen == expected,
        "{what}: {} at the target, {} expected\n  missing:{}\n  too much:{}",
        seen.len(),
        expected.len(),
        without(expected, seen).concat(),
        without(seen, expected).concat()
    );
    Ok(())
}

fn of_type<'a>(user: &'a Value, attribute: &str, kind: &str) -> &'a Value {
    let mut values = user[attribute].as_array().into_iter().flatten();
    values
        .find(|value| value["type"] == kind)
        .unwrap_or(&Value::Null)
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

fn needed(resource: &Value, attribute: &str) -> Result<String> {
    text(&resource[attribute]).with_context(|| format!("`{attribute}` is missing in {resource}"))
}

#[cfg(test)]
mod tests {
    use super::Picture;

    #[test]
    fn a_difference_is_named_from_both_sides() {
        let of = |groups: &[&str]| Picture {
            groups: groups.iter().map(|&name| name.to_owned()).collect(),
            ..Picture::default()
        };
        assert!(of(&["a", "b"]).must_be(&of(&["a", "b"])).is_ok());
        let difference = of(&["a", "b"])
            .must_be(&of(&["a", "c"]))
            .unwrap_err()
            .to_string();
        assert!(difference.contains("missing:\n    \"c\""), "{difference}");
        assert!(difference.contains("too much:\n    \"b\""), "{difference}");
        // Twice the same is a difference as well.
        assert!(of(&["a", "a"]).must_be(&of(&["a"])).is_err());
    }
}
