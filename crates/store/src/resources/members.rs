//! Members of received groups, and the groups that hold a resource.

use std::collections::HashMap;
use std::fmt::Write as _;

use muster_model::ResourceId;
use muster_model::integration::ResourceKind;
use serde_json::json;

use crate::resources::kept::Roster;
use crate::resources::{Place, Resource, hex};
use crate::{FromRow, Row, StoreError, Tx, Val};

/// Ids that are looked up by one statement.
pub(super) const LOOKED_UP: usize = 32;

/// A member of a received group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The member's id as the sender gave it.
    pub value: String,
    /// User or group.
    pub kind: ResourceKind,
    /// The name that the sender gave with it.
    pub display: Option<String>,
}

impl FromRow for Member {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            value: row.take()?,
            kind: row.take()?,
            display: row.take()?,
        })
    }
}

/// A member that is about to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMember {
    /// The member's id as the sender gave it.
    pub value: String,
    /// User or group; when nobody said, it is a group if there is such a group.
    pub kind: Option<ResourceKind>,
    /// The name that the sender gave with it.
    pub display: Option<String>,
}

/// Adds members that are not there yet; answers which ones were new.
pub async fn add_members(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
    members: Vec<NewMember>,
) -> Result<Vec<String>, StoreError> {
    let recent = tx.recent.take();
    let added = add(tx, place, group, members).await;
    tx.recent = recent;
    added
}

async fn add(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
    members: Vec<NewMember>,
) -> Result<Vec<String>, StoreError> {
    let mut new = Vec::new();
    if tx.is_postgres() && members.len() > 1 && !Roster::is_of(tx, group) {
        // One statement for any number of them.
        let sql = format!("{} RETURNING member", NewMember::insert("true"));
        for some in members.chunks(AT_ONCE) {
            let params = place.params([group.into(), NewMember::rows(some).into()]);
            let added: Vec<(String,)> = tx.all(&sql, &params).await?;
            new.extend(added.into_iter().map(|(member,)| member));
        }
        tx.written += new.len() as u64;
        note_joined(tx, group, &new);
        return Ok(new);
    }
    // To say what was written would cost a copy of each page that is; to count costs nothing.
    let sql = "INSERT INTO resource_members \
               (tenant, integration, group_id, member, kind, display) \
               VALUES ($1, $2, $3, $4, coalesce($5, (SELECT r.kind FROM resources r \
               WHERE r.tenant = $1 AND r.integration = $2 AND r.kind = 2 AND r.id = $6), 1), \
               $7) ON CONFLICT DO NOTHING";
    for member in members {
        let came = if let Some(came) = Roster::comes(tx, group, &member).await? {
            came
        } else {
            let params = place.params([
                group.into(),
                (&member.value).into(),
                member.kind.map_or(Val::Null, Val::from),
                member.unknown_id().map_or(Val::Null, Val::from),
                member.display.into(),
            ]);
            tx.exec(sql, &params).await? > 0
        };
        if came {
            new.push(member.value);
        }
    }
    note_joined(tx, group, &new);
    Ok(new)
}

/// Who is about to be deleted takes leave of this group as well, which the transaction holds.
fn note_joined(tx: &mut Tx<'_>, group: ResourceId, new: &[String]) {
    let Some(holders) = tx
        .held
        .holders
        .as_mut()
        .filter(|holders| !holders.is_empty())
    else {
        return;
    };
    for member in new {
        let id = member.parse::<ResourceId>().ok();
        if let Some(groups) = id.and_then(|id| holders.get_mut(&id)) {
            groups.push(group);
        }
    }
}

/// Members that one statement adds at most.
const AT_ONCE: usize = 1000;

impl NewMember {
    /// Adds [`NewMember::rows`] to a group on PostgreSQL, as far as they are not there, if a condition holds.
    pub(super) fn insert(only: &str) -> String {
        format!(
            "INSERT INTO resource_members (tenant, integration, group_id, member, kind, display) \
             SELECT $1, $2, $3, m.value, coalesce(m.kind, (SELECT r.kind FROM resources r \
             WHERE r.tenant = $1 AND r.integration = $2 AND r.kind = 2 \
             AND r.id = decode(m.id, 'hex')), 1), m.display \
             FROM json_to_recordset($4::json) AS m(value text, kind bigint, id text, display text) \
             WHERE {only} ON CONFLICT DO NOTHING"
        )
    }

    /// Any number of them as one parameter.
    pub(super) fn rows(members: &[Self]) -> String {
        let rows = members.iter().map(|member| {
            let id = member.unknown_id().map(hex);
            let kind = member.kind.map(ResourceKind::number);
            json!({ "value": member.value, "kind": kind, "id": id, "display": member.display })
        });
        rows.collect::<serde_json::Value>().to_string()
    }

    /// The id of the group that it is, if there is such a group, and nobody said what it is.
    fn unknown_id(&self) -> Option<ResourceId> {
        match self.kind {
            None => self.value.parse().ok(),
            Some(_) => None,
        }
    }
}

/// Removes members; answers which ones were there.
pub async fn remove_members(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
    members: &[String],
) -> Result<Vec<String>, StoreError> {
    let recent = tx.recent.take();
    let removed = remove(tx, place, group, members).await;
    tx.recent = recent;
    removed
}

async fn remove(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
    members: &[String],
) -> Result<Vec<String>, StoreError> {
    let sql = "DELETE FROM resource_members \
               WHERE tenant = $1 AND integration = $2 AND group_id = $3 AND member = $4";
    let mut gone = Vec::new();
    for member in members {
        let removed = if let Some(went) = Roster::goes(tx, group, member).await? {
            went
        } else {
            let params = place.params([group.into(), member.into()]);
            tx.exec(sql, &params).await? > 0
        };
        if removed {
            gone.push(member.clone());
        }
    }
    Ok(gone)
}

/// Removes all members of a group; answers how many there were.
pub async fn clear_members(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
) -> Result<u64, StoreError> {
    let sql = "DELETE FROM resource_members \
               WHERE tenant = $1 AND integration = $2 AND group_id = $3";
    let gone = tx.exec(sql, &place.params([group.into()])).await?;
    tx.held.roster = None;
    Ok(gone)
}

/// Members of a group in the order of their values, after `after`.
pub async fn members(
    tx: &mut Tx<'_>,
    place: Place,
    group: ResourceId,
    after: Option<&str>,
    limit: u32,
) -> Result<Vec<Member>, StoreError> {
    let sql = "SELECT member, kind, display FROM resource_members \
               WHERE tenant = $1 AND integration = $2 AND group_id = $3 AND member > $4 \
               ORDER BY member LIMIT $5";
    let params = place.params([group.into(), after.unwrap_or("").into(), limit.into()]);
    tx.all(sql, &params).await
}

/// The groups that hold this member, in the order of their ids; at most `limit`.
pub async fn groups_holding(
    tx: &mut Tx<'_>,
    place: Place,
    member: &str,
    limit: u32,
) -> Result<Vec<Resource>, StoreError> {
    let sql = "SELECT r.id, r.kind, r.name_key, r.external_id, r.active, r.version, r.created, \
               r.modified, r.doc FROM resource_members m CROSS JOIN resources r \
               WHERE m.tenant = $1 AND m.integration = $2 AND m.member = $3 \
               AND r.tenant = m.tenant AND r.integration = m.integration \
               AND r.kind = 2 AND r.id = m.group_id ORDER BY m.group_id LIMIT $4";
    tx.all(sql, &place.params([member.into(), limit.into()]))
        .await
}

/// A group and its document.
pub type GroupDoc = (ResourceId, String);

const GROUPS_OF: &str = "SELECT r.id, r.doc FROM resource_members m CROSS JOIN resources r \
                         WHERE m.tenant = $1 AND m.integration = $2 AND m.member = $3 \
                         AND r.tenant = m.tenant AND r.integration = m.integration \
                         AND r.kind = 2 AND r.id = m.group_id ORDER BY m.group_id LIMIT $4";

/// The groups that a resource is a direct member of, with their documents; at most `limit`.
pub async fn groups_of(
    tx: &mut Tx<'_>,
    place: Place,
    member: &str,
    limit: u32,
) -> Result<Vec<GroupDoc>, StoreError> {
    tx.all(GROUPS_OF, &place.params([member.into(), limit.into()]))
        .await
}

/// The groups of each of these resources, as [`groups_of`] says them; who is in none is left out.
pub async fn groups_of_each(
    tx: &mut Tx<'_>,
    place: Place,
    members: &[String],
    limit: u32,
) -> Result<HashMap<String, Vec<GroupDoc>>, StoreError> {
    let mut all: HashMap<String, Vec<GroupDoc>> = HashMap::new();
    for part in members.chunks(LOOKED_UP) {
        let (list, mut params) = in_list(place.params([]), part);
        let most = limit.saturating_mul(LOOKED_UP as u32);
        let sql = format!(
            "SELECT m.member, r.id, r.doc FROM resource_members m CROSS JOIN resources r \
             WHERE m.tenant = $1 AND m.integration = $2 AND m.member IN {list} \
             AND r.tenant = m.tenant AND r.integration = m.integration \
             AND r.kind = 2 AND r.id = m.group_id ORDER BY m.member, m.group_id LIMIT ${}",
            params.len() + 1
        );
        params.push(most.into());
        let rows: Vec<(String, ResourceId, String)> = tx.all(&sql, &params).await?;
        if rows.len() as u64 == u64::from(most) {
            // Somebody is in so many that others may be missing.
            for member in part {
                let groups = groups_of(tx, place, member, limit).await?;
                all.insert(member.clone(), groups);
            }
            continue;
        }
        for (member, group, doc) in rows {
            let groups = all.entry(member).or_default();
            if groups.len() < limit as usize {
                groups.push((group, doc));
            }
        }
    }
    Ok(all)
}

/// A list of values for `IN`, and the parameters with them. It has one place or [`LOOKED_UP`], so that two
/// statements are prepared and not one for each length.
pub(super) fn in_list<T: Clone + Into<Val>>(
    mut params: Vec<Val>,
    values: &[T],
) -> (String, Vec<Val>) {
    let width = if values.len() == 1 { 1 } else { LOOKED_UP };
    let mut list = String::from("(");
    // What is too short is filled up with the first.
    let filled = values.iter().chain(values.iter().take(1).cycle());
    for (number, value) in filled.take(width).enumerate() {
        params.push(value.clone().into());
        let separator = if number == 0 { "" } else { ", " };
        let _ = write!(list, "{separator}${}", params.len());
    }
    list.push(')');
    (list, params)
}
