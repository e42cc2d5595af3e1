//! Memberships of a file.

use std::collections::HashMap;

use futures::future::BoxFuture;
use muster_model::directory::{Kind, Membership, Shape};
use muster_model::{GroupId, ObjectId, TenantId, UserId, Value};
use muster_store::{StoreError, Tx, groups, memberships, users};

use super::batch::{Place, Row, Written};
use super::{BadLine, What};
use crate::directory::nearest::nearest;
use crate::directory::property::{Fault, checked, quoted};
use crate::directory::upsert::{Outcome, ambiguous};

const COLUMNS: [&str; 3] = ["groupId", "memberId", "memberType"];

/// A membership of a file: names or ids as they are written there.
#[derive(Debug, Default)]
pub(super) struct MembershipRow {
    group: String,
    member: String,
    kind: Option<Kind>,
}

impl Row for MembershipRow {
    const WHAT: What = What::Memberships;
    const REQUIRED: &'static [&'static str] = &["groupId", "memberId"];
    type Memory = ();

    fn columns() -> impl Iterator<Item = &'static str> {
        COLUMNS.into_iter()
    }

    fn knows(column: &str) -> bool {
        COLUMNS.contains(&column)
    }

    fn holds_several(_: &str) -> bool {
        false
    }

    fn put(&mut self, column: &str, value: Value) -> Result<(), String> {
        let text = match checked(Shape::Text, value)? {
            Value::Text(text) => text.trim().to_owned(),
            _ => String::new(),
        };
        match column {
            "groupId" => self.group = text,
            "memberId" => self.member = text,
            "memberType" => self.kind = read_kind(&text)?,
            other => {
                let known = "is not a property of a membership";
                return Err(match nearest(other, COLUMNS) {
                    Some(near) => format!("{known}; did you mean `{near}`?"),
                    None => format!("{known}; known are {}", COLUMNS.join(", ")),
                });
            }
        }
        Ok(())
    }

    fn has(&self, column: &str) -> bool {
        !if column == "groupId" {
            &self.group
        } else {
            &self.member
        }
        .is_empty()
    }

    fn write<'a>(
        tx: &'a mut Tx<'static>,
        place: Place,
        rows: &'a [(u64, Self)],
        (): (),
    ) -> BoxFuture<'a, Result<Written<()>, StoreError>> {
        Box::pin(async move {
            let known = Known::read(tx, place.tenant, rows).await?;
            let mut written = Written::default();
            for (line, row) in rows {
                match known.membership(row) {
                    Ok(membership) => {
                        let new = memberships::add(tx, place.tenant, membership, place.at).await?;
                        let outcome = if new {
                            Outcome::Created
                        } else {
                            Outcome::Unchanged
                        };
                        written.report.count(outcome);
                    }
                    Err(fault) => written.report.fail(BadLine::new(*line, fault)),
                }
            }
            Ok(written)
        })
    }
}

fn read_kind(text: &str) -> Result<Option<Kind>, String> {
    match text.trim_start_matches("#microsoft.graph.") {
        "" => Ok(None),
        kind if kind.eq_ignore_ascii_case("user") => Ok(Some(Kind::User)),
        kind if kind.eq_ignore_ascii_case("group") => Ok(Some(Kind::Group)),
        other => Err(format!("must be user or group, not {}", quoted(other))),
    }
}

/// Everything that the rows of a batch name, looked up once.
#[derive(Debug, Default)]
struct Known {
    users: HashMap<String, UserId>,
    groups: HashMap<String, Result<GroupId, String>>,
}

impl Known {
    async fn read(
        tx: &mut Tx<'_>,
        tenant: TenantId,
        rows: &[(u64, MembershipRow)],
    ) -> Result<Self, StoreError> {
        let mut known = Self::default();
        let mut names: Vec<&str> = Vec::with_capacity(rows.len() * 2);
        for (_, row) in rows {
            names.extend([row.group.as_str(), row.member.as_str()]);
        }
        names.sort_unstable();
        names.dedup();
        known.read_ids(tx, tenant, &names).await?;
        known.read_names(tx, tenant, rows).await?;
        Ok(known)
    }

    async fn read_ids(
        &mut self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        names: &[&str],
    ) -> Result<(), StoreError> {
        // One id may be written in several ways; what is found is filed under each.
        let mut written: HashMap<ObjectId, Vec<&str>> = HashMap::new();
        for name in names {
            if let Ok(id) = name.parse() {
                written.entry(id).or_default().push(name);
            }
        }
        let ids: Vec<UserId> = written.keys().map(|id| id.user()).collect();
        for user in users::known(tx, tenant, &ids).await? {
            for name in written.remove(&user.into()).unwrap_or_default() {
                self.users.insert(name.to_owned(), user);
            }
        }
        let ids: Vec<GroupId> = written.keys().map(|id| id.group()).collect();
        for group in groups::known(tx, tenant, &ids).await? {
            for name in written.remove(&group.into()).unwrap_or_default() {
                self.groups.insert(name.to_owned(), Ok(group));
            }
        }
        Ok(())
    }

    async fn read_names(
        &mut self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        rows: &[(u64, MembershipRow)],
    ) -> Result<(), StoreError> {
        for (_, row) in rows {
            self.read_group_name(tx, tenant, &row.group).await?;
            // The other kind is looked for only to say so.
            if row.kind == Some(Kind::Group) {
                self.read_group_name(tx, tenant, &row.member).await?;
                if !self.groups.contains_key(&row.member) {
                    self.read_user_name(tx, tenant, &row.member).await?;
                }
            } else {
                self.read_user_name(tx, tenant, &row.member).await?;
                if !self.users.contains_key(&row.member) {
                    self.read_group_name(tx, tenant, &row.member).await?;
                }
            }
        }
        Ok(())
    }

    async fn read_user_name(
        &mut self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        name: &str,
    ) -> Result<(), StoreError> {
        let found_by_id = self.groups.contains_key(name) && name.parse::<ObjectId>().is_ok();
        if found_by_id || self.users.contains_key(name) {
            return Ok(());
        }
        if let Some(user) = users::find_by_name(tx, tenant, name).await? {
            self.users.insert(name.to_owned(), user.id);
        }
        Ok(())
    }

    async fn read_group_name(
        &mut self,
        tx: &mut Tx<'_>,
        tenant: TenantId,
        name: &str,
    ) -> Result<(), StoreError> {
        if self.groups.contains_key(name) {
            return Ok(());
        }
        let named = groups::find_by_name(tx, tenant, name).await?;
        let found = match named.as_slice() {
            [] => return Ok(()),
            [only] => Ok(only.id),
            several => Err(ambiguous(name, several.iter().map(|group| group.id))),
        };
        self.groups.insert(name.to_owned(), found);
        Ok(())
    }

    fn membership(&self, row: &MembershipRow) -> Result<Membership, Fault> {
        let unknown = || Err(format!("there is no group {}", quoted(&row.group)));
        let group = self.groups.get(&row.group).cloned().unwrap_or_else(unknown);
        let group = group.map_err(|reason| Fault::new("groupId", reason))?;
        let (member, kind) = self
            .member(row)
            .map_err(|reason| Fault::new("memberId", reason))?;
        if ObjectId::from(group) == member {
            return Err(Fault::new("memberId", "is the group itself"));
        }
        Ok(Membership {
            group,
            member,
            kind,
        })
    }

    fn member(&self, row: &MembershipRow) -> Result<(ObjectId, Kind), String> {
        let name = quoted(&row.member);
        let user = self.users.get(&row.member);
        let group = self.groups.get(&row.member);
        match (row.kind, user, group) {
            (None | Some(Kind::User), Some(id), _) => Ok(((*id).into(), Kind::User)),
            (None | Some(Kind::Group), _, Some(found)) => {
                found.clone().map(|id| (id.into(), Kind::Group))
            }
            (Some(Kind::User), None, Some(_)) => Err(format!("{name} is a group, not a user")),
            (Some(Kind::Group), Some(_), None) => Err(format!("{name} is a user, not a group")),
            (Some(Kind::User), None, None) => Err(format!("there is no user {name}")),
            (Some(Kind::Group), None, None) => Err(format!("there is no group {name}")),
            (None, None, None) => Err(format!("there is neither a user nor a group {name}")),
        }
    }
}
