//! The sample directory, read here once more, and what of it belongs at a target.
//!
//! Nothing of Muster is used for it: it is the second opinion.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::{Account, Picture, project};

/// A line of a table by column; empty cells are left out.
pub type Row = HashMap<String, String>;

/// The sample directory by id.
#[derive(Clone, Debug)]
pub struct Sample {
    /// People.
    pub users: BTreeMap<String, Row>,
    /// Groups.
    pub groups: BTreeMap<String, Row>,
    /// Group and member.
    pub memberships: BTreeSet<(String, String)>,
    user_columns: Vec<String>,
}

impl Sample {
    /// The three tables, in the order in which they are imported.
    pub fn files() -> [PathBuf; 3] {
        ["users", "groups", "memberships"]
            .map(|name| project("crates/cli/sample").join(format!("{name}.csv")))
    }

    /// Reads the three tables.
    pub fn read() -> Result<Self> {
        let [users, groups, memberships] = Self::files();
        let (user_columns, users) = table(&users)?;
        let (_, groups) = table(&groups)?;
        let (_, memberships) = table(&memberships)?;
        let pair = |row: Row| Ok((cell(&row, "groupId")?, cell(&row, "memberId")?));
        Ok(Self {
            users: by_id(users)?,
            groups: by_id(groups)?,
            memberships: memberships.into_iter().map(pair).collect::<Result<_>>()?,
            user_columns,
        })
    }

    /// Ids of the groups that may be assigned (OM-3).
    pub fn security_groups(&self) -> BTreeSet<String> {
        let secured = self
            .groups
            .iter()
            .filter(|(_, group)| flag(group, "securityEnabled"));
        secured.map(|(id, _)| id.clone()).collect()
    }

    /// The id of the group of this name.
    pub fn group(&self, name: &str) -> Result<&String> {
        let mut groups = self.groups.iter();
        let found = groups.find(|(_, group)| group.get("displayName").is_some_and(|it| it == name));
        found
            .map(|(id, _)| id)
            .with_context(|| format!("there is no group {name}"))
    }

    /// The person of this sign-in name.
    pub fn user(&self, name: &str) -> Result<&String> {
        let mut users = self.users.iter();
        let found =
            users.find(|(_, user)| user.get("userPrincipalName").is_some_and(|it| it == name));
        found
            .map(|(id, _)| id)
            .with_context(|| format!("there is no user {name}"))
    }

    /// Ids of the people who get an account when these groups are assigned: immediate members
    /// (OM-2) who are not disabled (OM-15).
    pub fn in_scope(&self, assigned: &BTreeSet<String>) -> BTreeSet<String> {
        let members = self
            .memberships
            .iter()
            .filter(|(group, _)| assigned.contains(group));
        let users = members.filter_map(|(_, member)| self.users.get_key_value(member));
        let active = users.filter(|(_, user)| flag(user, "accountEnabled"));
        active.map(|(id, _)| id.clone()).collect()
    }

    /// What is at the target when these groups are assigned and these people got an account.
    pub fn picture(
        &self,
        assigned: &BTreeSet<String>,
        accounts: &BTreeSet<String>,
    ) -> Result<Picture> {
        let user_name = |id: &str| -> Result<String> {
            let user = self.users.get(id).context("an account belongs to a user")?;
            Ok(home_name(&cell(user, "userPrincipalName")?))
        };
        let group_name = |id: &str| -> Result<String> {
            cell(
                self.groups.get(id).context("there is such a group")?,
                "displayName",
            )
        };
        let mut picture = Picture::default();
        for id in accounts {
            let user = self.users.get(id).context("an account belongs to a user")?;
            let manager = user
                .get("manager")
                .filter(|manager| accounts.contains(*manager));
            picture.users.push(Account {
                user_name: user_name(id)?,
                active: flag(user, "accountEnabled"),
                display_name: user.get("displayName").cloned(),
                given_name: user.get("givenName").cloned(),
                family_name: user.get("surname").cloned(),
                title: user.get("jobTitle").cloned(),
                work_mail: user.get("mail").cloned(),
                mobile: user.get("mobilePhone").cloned(),
                city: user.get("city").cloned(),
                department: user.get("department").cloned(),
                manager: manager.map(|manager| user_name(manager)).transpose()?,
            });
        }
        for id in assigned {
            picture.groups.push(group_name(id)?);
        }
        for (group, member) in &self.memberships {
            if !assigned.contains(group) {
                continue;
            }
            if accounts.contains(member) {
                picture
                    .members
                    .push((group_name(group)?, user_name(member)?));
            } else if assigned.contains(member) {
                picture
                    .members
                    .push((group_name(group)?, format!("group {}", group_name(member)?)));
            }
        }
        Ok(picture.sorted())
    }

    /// Sets a property of a person.
    pub fn set(&mut self, user: &str, column: &str, value: &str) -> Result<()> {
        let row = self.users.get_mut(user).context("there is such a user")?;
        row.insert(column.to_owned(), value.to_owned());
        Ok(())
    }

    /// Writes some people to a table that can be imported.
    pub fn write_users(&self, path: &Path, ids: &[&str]) -> Result<()> {
        let mut table = csv::Writer::from_path(path)?;
        table.write_record(&self.user_columns)?;
        for id in ids {
            let user = self.users.get(*id).context("there is such a user")?;
            let cell = |column| user.get(column).map_or("", String::as_str);
            table.write_record(self.user_columns.iter().map(cell))?;
        }
        Ok(table.flush()?)
    }
}

/// A guest goes by the name at home (OM-16).
fn home_name(name: &str) -> String {
    match name
        .split_once("#EXT#")
        .and_then(|(home, _)| home.rsplit_once('_'))
    {
        Some((person, domain)) => format!("{person}@{domain}"),
        None => name.to_owned(),
    }
}

fn table(path: &Path) -> Result<(Vec<String>, Vec<Row>)> {
    let mut reader =
        csv::Reader::from_path(path).with_context(|| format!("{} is needed", path.display()))?;
    let columns: Vec<String> = reader.headers()?.iter().map(str::to_owned).collect();
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record?;
        let cells = columns
            .iter()
            .cloned()
            .zip(record.iter().map(str::to_owned));
        rows.push(cells.filter(|(_, cell)| !cell.is_empty()).collect());
    }
    Ok((columns, rows))
}

fn by_id(rows: Vec<Row>) -> Result<BTreeMap<String, Row>> {
    rows.into_iter()
        .map(|row| Ok((cell(&row, "id")?, row)))
        .collect()
}

fn cell(row: &Row, column: &str) -> Result<String> {
    row.get(column)
        .cloned()
        .with_context(|| format!("`{column}` is empty in {row:?}"))
}

fn flag(row: &Row, column: &str) -> bool {
    row.get(column).is_some_and(|text| text == "true")
}
