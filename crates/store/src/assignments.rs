//! Who is assigned to which application, and who is entitled by it.

use muster_model::application::Assignment;
use muster_model::{ApplicationId, AssignmentId, GroupId, ObjectId, RoleId, TenantId, Timestamp};

use crate::feed::{self, Change};
use crate::lists::{LIST, id_list};
use crate::{FromRow, Row, StoreError, Tx};

const COLUMNS: &str = "id, application, principal, kind, role, transitive, created";

impl FromRow for Assignment {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.take()?,
            application: row.take()?,
            principal: row.take()?,
            kind: row.take()?,
            role: row.take()?,
            transitive: row.take()?,
            created: row.take()?,
        })
    }
}

/// What entitles an object: an assignment of its own, or of a group it is a member of (OM-2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Who is entitled.
    pub object: ObjectId,
    /// With which role.
    pub role: RoleId,
    /// The assigned group; `None` when the object itself is assigned.
    pub via: Option<GroupId>,
}

impl FromRow for Grant {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        Ok(Self {
            object: row.take()?,
            role: row.take()?,
            via: row.take()?,
        })
    }
}

/// Makes an assignment, or changes how far it reaches; answers whether it is new, or reaches elsewhere than
/// before.
pub async fn create(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    assignment: &Assignment,
) -> Result<bool, StoreError> {
    let sql = "INSERT INTO assignments \
               (tenant, id, application, principal, kind, role, transitive, created) \
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
               ON CONFLICT (tenant, application, principal, role) DO UPDATE \
               SET transitive = excluded.transitive \
               WHERE assignments.transitive <> excluded.transitive";
    let params = [
        tenant.into(),
        assignment.id.into(),
        assignment.application.into(),
        assignment.principal.into(),
        assignment.kind.into(),
        assignment.role.into(),
        assignment.transitive.into(),
        assignment.created.into(),
    ];
    let new = tx.exec(sql, &params).await? > 0;
    if new {
        let change = change(assignment.application, assignment.principal);
        feed::append(tx, tenant, assignment.created, &[change]).await?;
    }
    Ok(new)
}

/// Removes the assignments of a principal to an application; answers how many there were.
pub async fn remove(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    application: ApplicationId,
    principal: ObjectId,
    role: Option<RoleId>,
    at: Timestamp,
) -> Result<u64, StoreError> {
    let mut sql = "DELETE FROM assignments \
                   WHERE tenant = $1 AND application = $2 AND principal = $3"
        .to_owned();
    let mut params = vec![tenant.into(), application.into(), principal.into()];
    if let Some(role) = role {
        sql.push_str(" AND role = $4");
        params.push(role.into());
    }
    let gone = tx.exec(&sql, &params).await?;
    if gone > 0 {
        feed::append(tx, tenant, at, &[change(application, principal)]).await?;
    }
    Ok(gone)
}

/// The assignment with this id.
pub async fn find(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    application: ApplicationId,
    id: AssignmentId,
) -> Result<Option<Assignment>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM assignments WHERE tenant = $1 AND application = $2 AND id = $3"
    );
    tx.one(&sql, &[tenant.into(), application.into(), id.into()])
        .await
}

/// The assignments of a principal, in the order of their ids.
pub async fn of_principal(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    principal: ObjectId,
) -> Result<Vec<Assignment>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM assignments WHERE tenant = $1 AND principal = $2 ORDER BY id"
    );
    tx.all(&sql, &[tenant.into(), principal.into()]).await
}

/// How many assignments an application has.
pub async fn count(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    application: ApplicationId,
) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM assignments WHERE tenant = $1 AND application = $2";
    let params = [tenant.into(), application.into()];
    Ok(tx.one(sql, &params).await?.map_or(0, |(count,)| count))
}

/// How many assignments have a role.
pub async fn count_of_role(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    application: ApplicationId,
    role: RoleId,
) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM assignments \
               WHERE tenant = $1 AND application = $2 AND role = $3";
    let params = [tenant.into(), application.into(), role.into()];
    Ok(tx.one(sql, &params).await?.map_or(0, |(count,)| count))
}

/// Removes every assignment of a principal.
pub(crate) async fn remove_principal(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    principal: ObjectId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let applications: Vec<(ApplicationId,)> = tx
        .all(
            "SELECT id FROM applications WHERE tenant = $1",
            &[tenant.into()],
        )
        .await?;
    for (application,) in applications {
        remove(tx, tenant, application, principal, None, at).await?;
    }
    Ok(())
}

/// Says that the assignments of a principal have another effect than before.
pub(crate) async fn touch_principal(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    principal: ObjectId,
    at: Timestamp,
) -> Result<(), StoreError> {
    let sql = "SELECT DISTINCT application FROM assignments WHERE tenant = $1 AND principal = $2";
    let applications: Vec<(ApplicationId,)> =
        tx.all(sql, &[tenant.into(), principal.into()]).await?;
    let touched: Vec<Change> = applications
        .into_iter()
        .map(|(application,)| change(application, principal))
        .collect();
    feed::append(tx, tenant, at, &touched).await
}

fn change(application: ApplicationId, principal: ObjectId) -> Change {
    Change::Assignment {
        application: feed::application_object(application),
        principal,
    }
}

/// Assignments of an application in the order of their ids, after `after`.
pub async fn list(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    application: ApplicationId,
    after: Option<AssignmentId>,
    limit: u32,
) -> Result<Vec<Assignment>, StoreError> {
    let after = after.unwrap_or(AssignmentId::from_bytes([0; 16]));
    let sql = format!(
        "SELECT {COLUMNS} FROM assignments \
         WHERE tenant = $1 AND id > $2 AND application = $3 ORDER BY id LIMIT $4"
    );
    tx.all(
        &sql,
        &[
            tenant.into(),
            after.into(),
            application.into(),
            limit.into(),
        ],
    )
    .await
}

/// What entitles these objects to the application. A group grants to its direct members (OM-2), and to those
/// of nested groups that are not deleted when the assignment reaches so far; and only while it is
/// security-enabled and not deleted (OM-3).
pub async fn grants(
    tx: &mut Tx<'_>,
    tenant: TenantId,
    application: ApplicationId,
    objects: &[ObjectId],
) -> Result<Vec<Grant>, StoreError> {
    let mut grants = Vec::new();
    let sql = "SELECT 1 FROM assignments \
               WHERE tenant = $1 AND application = $2 AND transitive = TRUE LIMIT 1";
    let reaching: Option<(i64,)> = tx.one(sql, &[tenant.into(), application.into()]).await?;
    for objects in objects.chunks(LIST) {
        let (list, mut params) = id_list(3, objects.iter().map(|id| (*id).into()));
        params.splice(0..0, [tenant.into(), application.into()]);
        let direct = format!(
            "SELECT principal, role, NULL FROM assignments \
             WHERE tenant = $1 AND application = $2 AND principal IN ({list}) ORDER BY created, id"
        );
        grants.extend(tx.all::<Grant>(&direct, &params).await?);
        // CROSS JOIN keeps SQLite to this order: members first, they are the few.
        let through = format!(
            "SELECT m.member, a.role, a.principal \
             FROM memberships m CROSS JOIN assignments a CROSS JOIN groups g \
             WHERE m.tenant = $1 AND a.application = $2 AND m.member IN ({list}) \
             AND a.tenant = m.tenant AND a.principal = m.group_id AND a.kind = 2 \
             AND a.transitive = FALSE AND g.tenant = m.tenant AND g.id = m.group_id \
             AND g.security_enabled = TRUE AND g.deleted IS NULL ORDER BY a.created, a.id"
        );
        grants.extend(tx.all::<Grant>(&through, &params).await?);
        if reaching.is_none() {
            continue;
        }
        // UNION knows each pair once, so that groups which contain each other come to an end.
        let nested = format!(
            "WITH RECURSIVE reaching AS (\
             SELECT id, principal, role, created FROM assignments \
             WHERE tenant = $1 AND application = $2 AND kind = 2 AND transitive = TRUE), \
             up(member, group_id) AS (\
             SELECT member, group_id FROM memberships WHERE tenant = $1 AND member IN ({list}) \
             UNION SELECT up.member, m.group_id \
             FROM up CROSS JOIN groups h CROSS JOIN memberships m \
             WHERE h.tenant = $1 AND h.id = up.group_id AND h.deleted IS NULL \
             AND m.tenant = $1 AND m.member = up.group_id) \
             SELECT up.member, a.role, a.principal \
             FROM up CROSS JOIN reaching a CROSS JOIN groups g \
             WHERE a.principal = up.group_id AND g.tenant = $1 AND g.id = up.group_id \
             AND g.security_enabled = TRUE AND g.deleted IS NULL ORDER BY a.created, a.id"
        );
        grants.extend(tx.all::<Grant>(&nested, &params).await?);
    }
    Ok(grants)
}
