//! Look-ups of users on PostgreSQL, several by one statement.
//!
//! The way there and back costs more than finding a row. So what is asked while others are looked up waits for
//! their answer, and goes together; who asks alone is answered at once.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures::FutureExt;
use muster_model::ResourceId;
use muster_model::integration::ResourceKind;
use parking_lot::Mutex;
use serde_json::json;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::postgres::Postgres;
use crate::resources::{By, COLUMNS, GroupDoc, Place, Resource, hex};
use crate::{FromRow, Row, StoreError, Tx, Val};

/// Statements of one shape that are under way at most.
const UNDER_WAY: usize = 2;

/// Look-ups of one statement at most.
const TOGETHER: usize = 32;

/// Users, each with the groups that it is a direct member of.
pub(crate) type Found = Vec<(Resource, Vec<GroupDoc>)>;

/// What goes into one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    column: &'static str,
    /// What is compared with it.
    value: &'static str,
    /// Users at most.
    limit: u32,
    /// Groups of each at most.
    most: u32,
}

struct Asked {
    place: Place,
    value: String,
    told: oneshot::Sender<Result<Found, StoreError>>,
}

#[derive(Default)]
struct Queue {
    under_way: usize,
    waiting: Vec<Asked>,
}

/// What waits.
#[derive(Clone, Default)]
pub(crate) struct Lookups(Arc<Mutex<HashMap<Shape, Queue>>>);

impl std::fmt::Debug for Lookups {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Lookups")
    }
}

impl Lookups {
    /// The users that have a value, at most `limit`, in the order of their ids, each with at most `most` groups.
    pub(crate) async fn find(
        &self,
        postgres: &Postgres,
        place: Place,
        by: &By,
        (limit, most): (u32, u32),
    ) -> Result<Found, StoreError> {
        let (column, value, text) = match by {
            By::Id(id) => ("id", "decode(a.value, 'hex')", hex(*id)),
            By::Name(name) => ("name_key", "a.value", name.clone()),
            By::ExternalId(id) => ("external_id", "a.value", id.clone()),
        };
        let shape = Shape {
            column,
            value,
            limit,
            most,
        };
        let Some(answer) = self.wait_for(shape, (place, &text)) else {
            let _turn = Turn(self, postgres, shape);
            let found = look_up(postgres, shape, &[(place, text)]).await?;
            return Ok(found.into_iter().next().unwrap_or_default());
        };
        let gone = || StoreError::Sql("a look-up panicked".to_owned());
        answer.await.map_err(|_| gone())?
    }

    /// Waits, if enough are under way.
    fn wait_for(
        &self,
        shape: Shape,
        (place, value): (Place, &str),
    ) -> Option<oneshot::Receiver<Result<Found, StoreError>>> {
        let mut queues = self.0.lock();
        let queue = queues.entry(shape).or_default();
        if queue.under_way < UNDER_WAY {
            queue.under_way += 1;
            return None;
        }
        let (told, answer) = oneshot::channel();
        let value = value.to_owned();
        queue.waiting.push(Asked { place, value, told });
        Some(answer)
    }

    /// What is looked up next; `None` when nothing waits, and then one less is under way.
    fn next(&self, shape: Shape) -> Option<Vec<Asked>> {
        let mut queues = self.0.lock();
        let queue = queues.get_mut(&shape)?;
        queue.waiting.retain(|asked| !asked.told.is_closed());
        if queue.waiting.is_empty() {
            queue.under_way -= 1;
            return None;
        }
        let rest = queue.waiting.split_off(queue.waiting.len().min(TOGETHER));
        Some(std::mem::replace(&mut queue.waiting, rest))
    }
}

/// Somebody looks up. What waits at the end, whatever end, is looked up by a task of its own.
struct Turn<'a>(&'a Lookups, &'a Postgres, Shape);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Self(lookups, postgres, shape) = self;
        let Some(first) = lookups.next(*shape) else {
            return;
        };
        let Ok(runtime) = Handle::try_current() else {
            // The end of the process: who waits hears that nobody is left.
            while lookups.next(*shape).is_some() {}
            return;
        };
        let (lookups, postgres, shape) = (lookups.clone(), postgres.clone(), *shape);
        runtime.spawn(async move {
            let mut next = Some(first);
            while let Some(asked) = next {
                // Whatever happens, the others are looked up; who is not told hears that nobody is left to tell.
                let run = AssertUnwindSafe(answer(&postgres, shape, asked));
                let _ = run.catch_unwind().await;
                next = lookups.next(shape);
            }
        });
    }
}

/// Looks up, and tells. When that fails, each is looked up alone: what is wrong with one is not the others' affair.
async fn answer(postgres: &Postgres, shape: Shape, asked: Vec<Asked>) {
    let of = |asked: &Asked| (asked.place, asked.value.clone());
    let all: Vec<_> = asked.iter().map(of).collect();
    match look_up(postgres, shape, &all).await {
        Ok(found) => {
            for (asked, found) in asked.into_iter().zip(found) {
                let _ = asked.told.send(Ok(found));
            }
            return;
        }
        // It would be so for each of them.
        Err(error @ StoreError::Unavailable(_)) => {
            for asked in asked {
                let _ = asked.told.send(Err(error.clone()));
            }
            return;
        }
        Err(_) => {}
    }
    for asked in asked.into_iter().filter(|asked| !asked.told.is_closed()) {
        let found = look_up(postgres, shape, &[of(&asked)]).await;
        let found = found.map(|mut found| found.pop().unwrap_or_default());
        let _ = asked.told.send(found);
    }
}

async fn look_up(
    postgres: &Postgres,
    shape: Shape,
    asked: &[(Place, String)],
) -> Result<Vec<Found>, StoreError> {
    let places = asked.iter().map(|(place, value)| {
        json!({ "tenant": place.tenant.0, "integration": place.integration, "value": value })
    });
    let places: serde_json::Value = places.collect();
    let params: [Val; 1] = [places.to_string().into()];
    let mut rows: Vec<Of> = postgres
        .read(|tx: &mut Tx<'_>| Box::pin(async move { tx.all(&shape.sql(), &params).await }))
        .await?;
    // Users and groups in the order of their ids.
    rows.sort_by_key(|row| row.resource.id);
    let mut found: Vec<Found> = vec![Vec::new(); asked.len()];
    let (users, groups): (Vec<Of>, Vec<Of>) = rows
        .into_iter()
        .partition(|row| row.resource.id == row.user);
    for Of { at, resource, .. } in users {
        if let Some(found) = found.get_mut(at) {
            found.push((resource, Vec::new()));
        }
    }
    for Of { at, user, resource } in groups {
        let users = found.get_mut(at).into_iter().flatten();
        for (_, groups) in users.filter(|(of, _)| of.id == user) {
            groups.push((resource.id, resource.doc.clone()));
        }
    }
    Ok(found)
}

impl Shape {
    /// One statement for any number of look-ups. What limits it is written out, so that a plan is made once.
    fn sql(self) -> String {
        let Self {
            column,
            value,
            limit,
            most,
        } = self;
        let (user, group) = (ResourceKind::USER.number(), ResourceKind::GROUP.number());
        let mut of_group = String::new();
        for name in COLUMNS.split(", ") {
            // Writing to a string cannot fail.
            let _ = write!(of_group, ", r.{name}");
        }
        format!(
            "WITH asked AS (SELECT * FROM ROWS FROM (json_to_recordset($1::json) AS \
             (tenant bigint, integration bigint, value text)) WITH ORDINALITY \
             AS a (tenant, integration, value, at)), \
             found AS MATERIALIZED (SELECT a.at, a.tenant, a.integration, u.* FROM asked a \
             CROSS JOIN LATERAL (SELECT {COLUMNS} FROM resources r WHERE r.tenant = a.tenant \
             AND r.integration = a.integration AND r.kind = {user} AND r.{column} = {value} \
             LIMIT {limit}) u) \
             SELECT at, id AS of, {COLUMNS} FROM found \
             UNION ALL SELECT f.at, f.id, g.* FROM found f CROSS JOIN LATERAL \
             (SELECT {} FROM resource_members m CROSS JOIN resources r \
             WHERE m.tenant = f.tenant AND m.integration = f.integration \
             AND m.member = encode(f.id, 'hex')::uuid::text AND r.tenant = m.tenant \
             AND r.integration = m.integration AND r.kind = {group} AND r.id = m.group_id \
             ORDER BY m.group_id LIMIT {most}) g",
            &of_group[2..]
        )
    }
}

/// A user's row or that of one of its groups.
struct Of {
    /// Whose answer it belongs to, counted from zero.
    at: usize,
    /// The id of the user.
    user: ResourceId,
    resource: Resource,
}

impl FromRow for Of {
    fn from_row(row: &mut Row) -> Result<Self, StoreError> {
        let at: i64 = row.take()?;
        Ok(Self {
            at: usize::try_from(at - 1).unwrap_or(usize::MAX),
            user: row.take()?,
            resource: Resource::from_row(row)?,
        })
    }
}
