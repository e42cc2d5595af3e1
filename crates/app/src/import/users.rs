//! Users of a file.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::BoxFuture;
use muster_model::directory::{Kind, Shape, User, shape_of};
use muster_model::{TenantId, UserId, Value};
use muster_store::users::{self, name_key};
use muster_store::{StoreError, Tx};

use super::batch::{Awaited, Place, Row, Written};
use super::{BadLine, What};
use crate::directory::patch::{Manager, Named, UserPatch};
use crate::directory::property::{Fault, names, shape};
use crate::directory::upsert::{Outcome, outcome, user_after, whom};

/// Soft-deleted users that are remembered by name at most.
const DELETED: u32 = 100_000;

/// A user of a file.
#[derive(Debug, Default)]
pub(super) struct UserRow(UserPatch);

/// Who was soft-deleted when it was first asked for: sign-in name in the form of comparison, and id.
pub(super) type Deleted = Option<Arc<HashMap<String, UserId>>>;

impl Row for UserRow {
    const WHAT: What = What::Users;
    const REQUIRED: &'static [&'static str] = &["userPrincipalName"];
    type Memory = Deleted;

    fn columns() -> impl Iterator<Item = &'static str> {
        names(Kind::User)
    }

    fn knows(column: &str) -> bool {
        column == "id" || shape(Kind::User, column).is_ok()
    }

    fn holds_several(column: &str) -> bool {
        shape_of(Kind::User, column) == Some(Shape::Texts)
    }

    fn put(&mut self, column: &str, value: Value) -> Result<(), String> {
        self.0.put(column, value)
    }

    fn has(&self, _: &str) -> bool {
        self.0.name.is_some()
    }

    fn write<'a>(
        tx: &'a mut Tx<'static>,
        place: Place,
        rows: &'a [(u64, Self)],
        memory: Deleted,
    ) -> BoxFuture<'a, Result<Written<Deleted>, StoreError>> {
        Box::pin(async move {
            let mut batch = UserBatch::begin(tx, place, rows, memory).await?;
            for (line, row) in rows {
                if let Err(fault) = batch.put(*line, &row.0).await? {
                    batch.written.report.fail(BadLine::new(*line, fault));
                }
            }
            Ok(batch.written)
        })
    }
}

struct UserBatch<'a> {
    tx: &'a mut Tx<'static>,
    place: Place,
    /// The users whose ids the file gives, as they are by now.
    by_id: HashMap<UserId, User>,
    written: Written<Deleted>,
}

impl<'a> UserBatch<'a> {
    async fn begin(
        tx: &'a mut Tx<'static>,
        place: Place,
        rows: &[(u64, UserRow)],
        memory: Deleted,
    ) -> Result<Self, StoreError> {
        let ids: Vec<UserId> = rows.iter().filter_map(|(_, row)| row.0.id).collect();
        let found = users::by_ids(tx, place.tenant, &ids).await?;
        let by_id = found.into_iter().map(|user| (user.id, user)).collect();
        let written = Written {
            memory,
            ..Written::default()
        };
        Ok(Self {
            tx,
            place,
            by_id,
            written,
        })
    }

    async fn put(&mut self, line: u64, patch: &UserPatch) -> Result<Result<(), Fault>, StoreError> {
        let name = patch.name.as_deref().unwrap_or_default();
        let old = match self.find(patch, name).await? {
            Ok(old) => old,
            Err(fault) => return Ok(Err(fault)),
        };
        let mut awaited = None;
        let manager = match &patch.manager {
            Manager::Keep => Manager::Keep,
            Manager::Clear => Manager::Clear,
            Manager::Set(Named::Id(id)) => Manager::Set(*id),
            Manager::Set(Named::Name(manager)) => {
                let found = users::find_by_name(self.tx, self.place.tenant, manager).await?;
                found.map_or_else(
                    || {
                        awaited = Some(manager.clone());
                        Manager::Keep
                    },
                    |found| Manager::Set(found.id),
                )
            }
        };
        let user = user_after(patch, old.as_ref(), manager);
        let outcome = outcome(old.as_ref(), &user);
        self.written.report.count(outcome);
        if let Some(manager) = awaited {
            let unchanged = outcome == Outcome::Unchanged;
            self.written.awaited.push(Awaited {
                line,
                user: user.id,
                manager,
                unchanged,
            });
        }
        if outcome != Outcome::Unchanged {
            users::put(self.tx, self.place.tenant, &user, self.place.at).await?;
            self.by_id.insert(user.id, user);
        }
        Ok(Ok(()))
    }

    async fn find(
        &mut self,
        patch: &UserPatch,
        name: &str,
    ) -> Result<Result<Option<User>, Fault>, StoreError> {
        let by_id = patch.id.and_then(|id| self.by_id.get(&id).cloned());
        // Most lines of a file that was imported before need no second look.
        if let Some(user) = &by_id
            && user.deleted.is_none()
            && name_key(&user.user_principal_name) == name_key(name)
        {
            return Ok(Ok(by_id));
        }
        let mut by_name = users::find_by_name(self.tx, self.place.tenant, name).await?;
        if by_name.is_none() && patch.id.is_none() {
            by_name = self.find_deleted(name).await?;
        }
        Ok(whom(patch, by_id, by_name))
    }

    async fn find_deleted(&mut self, name: &str) -> Result<Option<User>, StoreError> {
        let tenant = self.place.tenant;
        if self.written.memory.is_none() {
            self.written.memory = Some(Arc::new(read_deleted(self.tx, tenant).await?));
        }
        let deleted = self.written.memory.as_deref();
        let Some(id) = deleted.and_then(|deleted| deleted.get(&name_key(name))) else {
            return Ok(None);
        };
        // It may have been restored, and even renamed, since.
        let user = users::find(self.tx, tenant, *id).await?;
        Ok(user.filter(|user| {
            user.deleted.is_some() && name_key(&user.user_principal_name) == name_key(name)
        }))
    }
}

/// Names are indexed for living users only, so the others are read once for the whole file. The
/// last one deleted has the name.
async fn read_deleted(
    tx: &mut Tx<'_>,
    tenant: TenantId,
) -> Result<HashMap<String, UserId>, StoreError> {
    let sql = "SELECT name_key, id FROM users WHERE tenant = $1 AND deleted IS NOT NULL \
               ORDER BY deleted DESC LIMIT $2";
    let mut rows: Vec<(String, UserId)> = tx.all(sql, &[tenant.into(), DELETED.into()]).await?;
    rows.reverse();
    Ok(rows.into_iter().collect())
}
