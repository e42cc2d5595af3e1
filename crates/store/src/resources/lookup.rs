//! Looking resources up by a value that an index knows.

use muster_model::ResourceId;
use muster_model::integration::ResourceKind;

use crate::resources::members::{GroupDoc, LOOKED_UP, groups_of, groups_of_each, in_list};
use crate::resources::{COLUMNS, Place, Resource};
use crate::{StoreError, Tx, Val};

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

/// The resources with these ids, as far as they are there.
pub(super) async fn find_each(
    tx: &mut Tx<'_>,
    place: Place,
    kind: ResourceKind,
    ids: &[ResourceId],
) -> Result<Vec<Resource>, StoreError> {
    let mut found = Vec::new();
    for part in ids.chunks(LOOKED_UP) {
        let (list, params) = in_list(place.params([kind.into()]), part);
        let sql = format!(
            "SELECT {COLUMNS} FROM resources WHERE tenant = $1 AND integration = $2 \
             AND kind = $3 AND id IN {list}"
        );
        found.extend(tx.all::<Resource>(&sql, &params).await?);
    }
    Ok(found)
}

/// The users that have a value, at most `limit`, each with the groups that it is a direct member of, at most
/// `most` of them.
pub(crate) async fn find_with_groups(
    tx: &mut Tx<'_>,
    place: Place,
    by: &By,
    limit: u32,
    most: u32,
) -> Result<Vec<(Resource, Vec<GroupDoc>)>, StoreError> {
    let found = find_by(tx, place, ResourceKind::USER, by, limit).await?;
    with_groups(tx, place, found, most).await
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
