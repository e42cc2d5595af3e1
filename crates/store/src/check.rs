//! Looks for what must never be: rows that refer to nothing, counts that are wrong, pages of the file that
//! are damaged.

use muster_model::integration::ResourceKind;
use muster_model::{JobId, Position, ResourceId, Secret, TenantId, WebhookId};

use crate::resources::Place;
use crate::{FromRow, Row, SealingKey, StoreError, Tx};

/// Something that must not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What is wrong, in a sentence.
    pub what: String,
    /// How often.
    pub count: u64,
}

/// Rows that belong to something: what they are, their table, and the column that names their owner; then the
/// owner's table and column.
const OWNED: &[(&str, [&str; 4])] = &[
    ("memberships", ["memberships", "group_id", "groups", "id"]),
    (
        "app roles",
        ["app_roles", "application", "applications", "id"],
    ),
    (
        "assignments",
        ["assignments", "application", "applications", "id"],
    ),
    ("jobs", ["jobs", "application", "applications", "id"]),
    ("schema documents", ["job_schemas", "job", "jobs", "id"]),
    ("links", ["links", "job", "jobs", "id"]),
    ("references", ["reference_links", "job", "jobs", "id"]),
    ("intents", ["intents", "job", "jobs", "id"]),
    ("escrows", ["escrows", "job", "jobs", "id"]),
    ("cycles", ["cycles", "job", "jobs", "id"]),
    ("what guards hold back", ["held_back", "job", "jobs", "id"]),
    ("withdrawals", ["withdrawn", "job", "jobs", "id"]),
    (
        "removed members",
        ["withdrawn_members", "job", "jobs", "id"],
    ),
    ("notices", ["notices", "job", "jobs", "id"]),
    ("plans", ["plans", "job", "jobs", "id"]),
    ("operations", ["plan_operations", "plan", "plans", "id"]),
    (
        "received resources",
        ["resources", "integration", "integrations", "number"],
    ),
    (
        "tokens",
        [
            "integration_tokens",
            "integration",
            "integrations",
            "number",
        ],
    ),
    (
        "OAuth clients",
        [
            "integration_clients",
            "integration",
            "integrations",
            "number",
        ],
    ),
    (
        "setup links",
        ["setup_links", "integration", "integrations", "number"],
    ),
    (
        "webhooks",
        ["webhooks", "integration", "integrations", "number"],
    ),
    (
        "dialects",
        ["dialects", "integration", "integrations", "number"],
    ),
];

/// What else must not be, and how it is counted.
const OTHERS: &[(&str, &str)] = &[
    (
        "memberships are of users that are not there",
        "SELECT count(*) FROM memberships m WHERE m.kind = 1 AND NOT EXISTS (SELECT 1 FROM users u \
         WHERE u.tenant = m.tenant AND u.id = m.member)",
    ),
    (
        "memberships are of member groups that are not there",
        "SELECT count(*) FROM memberships m WHERE m.kind = 2 AND NOT EXISTS (SELECT 1 FROM groups g \
         WHERE g.tenant = m.tenant AND g.id = m.member)",
    ),
    (
        "exchanges are of events that are not there",
        "SELECT count(*) FROM exchanges x WHERE NOT EXISTS (SELECT 1 FROM events e \
         WHERE e.tenant = x.tenant AND e.job = x.job AND e.id = x.event)",
    ),
    (
        "events are of cycles that are not there",
        "SELECT count(*) FROM events e WHERE NOT EXISTS (SELECT 1 FROM cycles c \
         WHERE c.tenant = e.tenant AND c.job = e.job AND c.id = e.cycle)",
    ),
    (
        "applications have no job",
        "SELECT count(*) FROM applications a WHERE NOT EXISTS (SELECT 1 FROM jobs j \
         WHERE j.tenant = a.tenant AND j.id = a.job AND j.application = a.id)",
    ),
    (
        "jobs have no schema document",
        "SELECT count(*) FROM jobs j WHERE NOT EXISTS (SELECT 1 FROM job_schemas s \
         WHERE s.tenant = j.tenant AND s.job = j.id)",
    ),
    (
        "members are of received groups that are not there",
        "SELECT count(*) FROM resource_members m WHERE NOT EXISTS (SELECT 1 FROM resources r \
         WHERE r.tenant = m.tenant AND r.integration = m.integration AND r.kind = 2 \
         AND r.id = m.group_id)",
    ),
];

/// Counts rows that refer to nothing.
pub async fn orphans(tx: &mut Tx<'_>) -> Result<Vec<Problem>, StoreError> {
    let owned = OWNED.iter().map(|(what, [table, column, owner, key])| {
        let sql = format!(
            "SELECT count(*) FROM {table} c WHERE NOT EXISTS (SELECT 1 FROM {owner} o \
             WHERE o.tenant = c.tenant AND o.{key} = c.{column})"
        );
        (format!("{what} are of {owner} that are not there"), sql)
    });
    let others = OTHERS
        .iter()
        .map(|(what, sql)| ((*what).to_owned(), (*sql).to_owned()));
    let mut problems = Vec::new();
    for (what, sql) in owned.chain(others) {
        let (count,): (u64,) = tx.one(&sql, &[]).await?.unwrap_or((0,));
        if count > 0 {
            problems.push(Problem { what, count });
        }
    }
    Ok(problems)
}

/// Lets the database look at itself; only SQLite can.
pub async fn file(tx: &mut Tx<'_>) -> Result<Vec<Problem>, StoreError> {
    if tx.is_postgres() {
        return Ok(Vec::new());
    }
    let said: Vec<(String,)> = tx.all("PRAGMA integrity_check(20)", &[]).await?;
    let bad = said.into_iter().filter(|(line,)| line != "ok");
    Ok(bad
        .map(|(line,)| Problem {
            what: format!("the database file is damaged: {line}"),
            count: 1,
        })
        .collect())
}

/// Sees one state of the database from here on, until [`settle`]. SQLite's reads do so anyway.
pub async fn hold(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    if tx.is_postgres() {
        let sql = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        tx.exec(sql, &[]).await?;
    }
    Ok(())
}

/// The end of [`hold`].
pub async fn settle(tx: &mut Tx<'_>) -> Result<(), StoreError> {
    if tx.is_postgres() {
        tx.exec("COMMIT", &[]).await?;
    }
    Ok(())
}

/// The places of all integrations.
pub async fn places(tx: &mut Tx<'_>) -> Result<Vec<Place>, StoreError> {
    let sql = "SELECT tenant, number FROM integrations ORDER BY tenant, number";
    let rows: Vec<(i64, i64)> = tx.all(sql, &[]).await?;
    Ok(rows
        .into_iter()
        .map(|(tenant, integration)| Place {
            tenant: TenantId(tenant),
            integration,
        })
        .collect())
}

/// The totals of an integration as they are kept, and as they are counted.
pub async fn totals(
    tx: &mut Tx<'_>,
    place: Place,
) -> Result<Vec<(ResourceKind, u64, u64)>, StoreError> {
    let sql = "SELECT kind, sum(kept), sum(there) FROM ( \
               SELECT kind, total AS kept, 0 AS there FROM resource_totals \
               WHERE tenant = $1 AND integration = $2 UNION ALL \
               SELECT kind, 0, 1 FROM resources WHERE tenant = $3 AND integration = $4) counted \
               GROUP BY kind";
    let sql = if tx.is_postgres() {
        sql.replace(
            "sum(kept), sum(there)",
            "sum(kept)::BIGINT, sum(there)::BIGINT",
        )
    } else {
        sql.to_owned()
    };
    let mut params = place.params([]);
    params.extend(place.params([]));
    tx.all(&sql, &params).await
}

/// Every member of an integration's groups, in the order of groups and ids, after one of them.
pub async fn members(
    tx: &mut Tx<'_>,
    place: Place,
    after: (ResourceId, &str),
    limit: u32,
) -> Result<Vec<(ResourceId, String)>, StoreError> {
    let sql = "SELECT group_id, member FROM resource_members \
               WHERE tenant = $1 AND integration = $2 AND (group_id, member) > ($3, $4) \
               ORDER BY group_id, member LIMIT $5";
    let params = place.params([after.0.into(), after.1.into(), limit.into()]);
    tx.all(sql, &params).await
}

/// How many secrets cannot be opened with this key.
pub async fn secrets(tx: &mut Tx<'_>, key: &SealingKey) -> Result<Vec<Problem>, StoreError> {
    struct Sealed(TenantId, JobId, String, Vec<u8>);
    impl FromRow for Sealed {
        fn from_row(row: &mut Row) -> Result<Self, StoreError> {
            Ok(Self(
                TenantId(row.take()?),
                row.take()?,
                row.take()?,
                row.take()?,
            ))
        }
    }
    struct Hook(TenantId, WebhookId, Vec<u8>);
    impl FromRow for Hook {
        fn from_row(row: &mut Row) -> Result<Self, StoreError> {
            Ok(Self(TenantId(row.take()?), row.take()?, row.take()?))
        }
    }
    let secrets: Vec<Sealed> = tx
        .all("SELECT tenant, owner, name, sealed FROM secrets", &[])
        .await?;
    let hooks: Vec<Hook> = tx
        .all("SELECT tenant, id, sealed FROM webhooks", &[])
        .await?;
    let opens = |place: Vec<u8>, sealed: &[u8]| -> bool {
        let opened: Result<Secret<String>, StoreError> = key.open(&place, sealed);
        opened.is_ok()
    };
    let bad = secrets
        .iter()
        .filter(|Sealed(tenant, owner, name, sealed)| {
            !opens(crate::secrets::place(*tenant, *owner, name), sealed)
        })
        .count();
    let bad_hooks = hooks
        .iter()
        .filter(|Hook(tenant, id, sealed)| {
            !opens(crate::webhooks::sealed_for(*tenant, *id), sealed)
        })
        .count();
    let problem = |count: usize, what: &str| {
        (count > 0).then(|| Problem {
            what: format!("{what} cannot be opened with the sealing key"),
            count: count as u64,
        })
    };
    let both = [
        problem(bad, "credentials of targets"),
        problem(bad_hooks, "secrets of webhooks"),
    ];
    Ok(both.into_iter().flatten().collect())
}

/// Webhooks of an integration that stand behind the end of its feed.
pub async fn beyond(tx: &mut Tx<'_>, place: Place, end: Position) -> Result<u64, StoreError> {
    let all = crate::webhooks::list(tx, place).await?;
    let ahead = all.iter().filter(|webhook| webhook.position > end);
    Ok(ahead.count() as u64)
}
