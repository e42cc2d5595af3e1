//! Looking resources up by a value that an index knows.

use std::collections::HashMap;

use muster_model::ResourceId;
use muster_model::integration::ResourceKind;

use crate::resources::members::{GroupDoc, groups_of, groups_of_each};
use crate::resources::{COLUMNS, Place, Resource};
use crate::{FromRow, Row, StoreError, Tx, Val};

/// What resources are looked up by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// The id.
    Id(ResourceId),
    /// The [`name_key`](crate::resources::name_key).
    Name(String),
    /// The `externalId`, which several may share.
    ExternalId(String),
}

impl By {
    /// The look-up as a query of four parameters and, at most so many rows being asked for, a fifth.
    fn query(&self, tx: &Tx<'_>) -> String {
        // What is unique is not sorted: PostgreSQL, without statistics, would rather walk along the ids.
        let (index, column, order) = match self {
            Self::Id(_) => (String::new(), "id", ""),
            Self::Name(_) => (String::new(), "name_key", ""),
            Self::ExternalId(_) => {
                let index = tx.indexed_by("resources_external");
                (index, "external_id", "ORDER BY id")
            }
        };
        format!(
            "SELECT {COLUMNS} FROM resources {index} WHERE tenant = $1 AND integration = $2 \
             AND kind = $3 AND {column} = $4 {order} LIMIT $5"
        )
    }

    fn value(&self) -> Val {
        match self {
            Self::Id(id) => (*id).into(),
            Self::Name(text) | Self::ExternalId(text) => text.into(),
        }
    }
}

/// The resources of a kind that have a value, at most `limit`, in the order of their ids.
pub async fn find_by(
    tx: &mut Tx<'_>,
    place: Place,
    kind: ResourceKind,
    by: &By,
    limit: u32,
) -> Result<Vec<Resource>, StoreError> {
    let sql = by.query(tx);
    let params = place.params([kind.into(), by.value(), limit.into()]);
    tx.all(&sql, &params).await
}

/// The users that have a value, at most `limit`, each with the groups that it is a direct member of, at most
/// `most` of them.
pub async fn find_with_groups(
    tx: &mut Tx<'_>,
    place: Place,
    by: &By,
    limit: u32,
    most: u32,
) -> Result<Vec<(Resource, Vec<GroupDoc>)>, StoreError> {
    let kind = ResourceKind::USER;
    if !tx.is_postgres() {
        let found = find_by(tx, place, kind, by, limit).await?;
        return with_groups(tx, place, found, most).await;
    }
    // One way there and back, and one statement, which costs less than two.
    let sql = format!(
        "WITH found AS MATERIALIZED ({}) SELECT id AS of, {COLUMNS} FROM found UNION ALL \
         SELECT f.id, g.* FROM found f CROSS JOIN LATERAL (SELECT r.id, r.kind, r.name_key, \
         r.external_id, r.active, r.version, r.created, r.modified, r.doc \
         FROM resource_members m CROSS JOIN resources r WHERE m.tenant = $1 AND m.integration = $2 \
         AND m.member = encode(f.id, 'hex')::uuid::text AND r.tenant = m.tenant \
         AND r.integration = m.integration AND r.kind = $6 AND r.id = m.group_id \
         ORDER BY m.group_id LIMIT $7) g",
        by.query(tx)
    );
    let params = place.params([
        kind.into(),
        by.value(),
        limit.into(),
        ResourceKind::GROUP.into(),
        most.into(),
    ]);
    let rows: Vec<Of> = tx.all(&sql, &params).await?;
    let mut users = Vec::new();
    let mut groups: HashMap<ResourceId, Vec<GroupDoc>> = HashMap::new();
    for Of(of, resource) in rows {
        if resource.id == of {
            users.push(resource);
        } else {
            groups
                .entry(of)
                .or_default()
                .push((resource.id, resource.doc));
        }
    }
    let users = users.into_iter().map(|user| {
        let groups = groups.remove(&user.id).unwrap_or_default();
        (user, groups)
    });
    Ok(users.collect())
}

/// A user's row or that of one of its groups, and the user's id.
struct Of(ResourceId, Resource);

impl FromRow for Of {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self(row.take()?, Resource::from_row(row)?))
    }
}

async fn with_groups(
    tx: &mut Tx<'_>,
    place: Place,
    users: Vec<Resource>,
    most: u32,
) -> Result<Vec<(Resource, Vec<GroupDoc>)>, StoreError> {
    let ids: Vec<String> = users.iter().map(|user| user.id.to_string()).collect();
    if let [id] = ids.as_slice() {
        let groups = groups_of(tx, place, id, most).await?;
        return Ok(users
            .into_iter()
            .map(|user| (user, groups.clone()))
            .collect());
    }
    let mut groups = groups_of_each(tx, place, &ids, most).await?;
    let users = users.into_iter().zip(ids).map(|(user, id)| {
        let groups = groups.remove(&id).unwrap_or_default();
        (user, groups)
    });
    Ok(users.collect())
}
