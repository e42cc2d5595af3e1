//! Who is in which group: a row a member, indexed in both directions.

use muster_model::directory::{Kind, Membership};
use muster_model::{GroupId, ObjectId, TenantId, Timestamp};

use crate::feed::{self, Change};
use crate::lists::{LIST, id_list};
use crate::{FromVal, StoreError, Tx, Val};

impl From<Kind> for Val {
    fn from(kind: Kind) -> Self {
        Self::Int(match kind {
            Kind::User => 1,
            Kind::Group => 2,
        })
    }
}

impl FromVal for Kind {
    fn from_val(val: Val) -> Result<Self, String> {
        match i64::from_val(val)? {
            1 => Ok(Self::User),
            2 => Ok(Self::Group),
            other => Err(format!("{other} is neither user nor group")),
        }
    }
}

/// Adds a member; answers whether it was new.
pub async fn add(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    membership: Membership,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO memberships (tenant, group_id, member, kind) \
               VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING";
    let Membership {
        group,
        member,
        kind,
    } = membership;
    let params = [tenant.into(), group.into(), member.into(), kind.into()];
    let new = tx.exec(sql, &params).await? > 0;
    if new {
        feed::append(
            tx,
            tenant,
            at,
            &[Change::Membership {
                group: group.into(),
                member,
            }],
        )
        .await?;
    }
    Ok(new)
}

/// Removes a member; answers whether it was there.
pub async fn remove(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    group: GroupId,
    member: ObjectId,
    at: Timestamp,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM memberships WHERE tenant = $1 AND group_id = $2 AND member = $3";
    let gone = tx
        .exec(sql, &[tenant.into(), group.into(), member.into()])
        .await?
        > 0;
    if gone {
        feed::append(
            tx,
            tenant,
            at,
            &[Change::Membership {
                group: group.into(),
                member,
            }],
        )
        .await?;
    }
    Ok(gone)
}

/// Removes a member from every group.
pub async fn remove_member(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    member: ObjectId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM memberships WHERE tenant = $1 AND member = $2 RETURNING group_id";
    let groups: Vec<(ObjectId,)> = tx.all(sql, &[tenant.into(), member.into()]).await?;
    let gone: Vec<Change> = groups
        .into_iter()
        .map(|(group,)| Change::Membership { group, member })
        .collect();
    feed::append(tx, tenant, at, &gone).await
}

/// Removes all members of a group.
pub async fn remove_group(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    group: GroupId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM memberships WHERE tenant = $1 AND group_id = $2 RETURNING member";
    let members: Vec<(ObjectId,)> = tx.all(sql, &[tenant.into(), group.into()]).await?;
    let group = group.into();
    let gone: Vec<Change> = members
        .into_iter()
        .map(|(member,)| Change::Membership { group, member })
        .collect();
    feed::append(tx, tenant, at, &gone).await
}

/// Says that the memberships of an object have another effect than before.
pub(crate) async fn touch_member(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    member: ObjectId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let groups = groups_of(tx, tenant, &[member]).await?;
    let touched: Vec<Change> = groups
        .into_iter()
        .map(|(group, member)| Change::Membership { group, member })
        .collect();
    feed::append(tx, tenant, at, &touched).await
}

/// The groups that are direct members of a group.
pub async fn nested(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    group: GroupId,
) -> Result<Vec<ObjectId>, StoreError> {
    let sql = "SELECT member FROM memberships \
               WHERE tenant = $1 AND group_id = $2 AND kind = 2 ORDER BY member";
    let rows: Vec<(ObjectId,)> = tx.all(sql, &[tenant.into(), group.into()]).await?;
    Ok(rows.into_iter().map(|(member,)| member).collect())
}

/// Members of a group in the order of their ids, after `after`.
pub async fn members(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    group: GroupId,
    after: Option<ObjectId>,
    limit: u32,
) -> Result<Vec<(ObjectId, Kind)>, StoreError> {
    let after = after.unwrap_or(ObjectId::from_bytes([0; 16]));
    let sql = "SELECT member, kind FROM memberships \
               WHERE tenant = $1 AND group_id = $2 AND member > $3 ORDER BY member LIMIT $4";
    tx.all(
        sql,
        &[tenant.into(), group.into(), after.into(), limit.into()],
    )
    .await
}

/// The groups that these objects are direct members of: group and member, in no order.
pub async fn groups_of(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    members: &[ObjectId],
) -> Result<Vec<(ObjectId, ObjectId)>, StoreError> {
    let mut groups = Vec::new();
    for ids in members.chunks(LIST) {
        let (list, mut params) = id_list(2, ids.iter().map(|id| (*id).into()));
        params.insert(0, tenant.into());
        let sql = format!(
            "SELECT group_id, member FROM memberships WHERE tenant = $1 AND member IN ({list})"
        );
        groups.extend(tx.all::<(ObjectId, ObjectId)>(&sql, &params).await?);
    }
    Ok(groups)
}

/// Is it a member right now?
pub async fn holds(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    group: GroupId,
    member: ObjectId,
) -> Result<bool, StoreError> {
    let sql = "SELECT kind FROM memberships WHERE tenant = $1 AND group_id = $2 AND member = $3";
    let row: Option<(i64,)> = tx
        .one(sql, &[tenant.into(), group.into(), member.into()])
        .await?;
    Ok(row.is_some())
}

/// How many memberships there are.
pub async fn count(tx: &mut Tx<'_>, tenant: TenantId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM memberships WHERE tenant = $1";
    Ok(tx
        .one(sql, &[tenant.into()])
        .await?
        .map_or(0, |(count,)| count))
}
