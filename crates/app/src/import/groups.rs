//! Groups of a file.

use std::collections::HashMap;

use futures::future::BoxFuture;
use muster_model::directory::{Group, Kind, Shape, shape_of};
use muster_model::{GroupId, Value};
use muster_store::{StoreError, Tx, groups};

use super::batch::{Place, Row, Written};
use super::{BadLine, What};
use crate::directory::patch::GroupPatch;
use crate::directory::property::{Fault, names, shape};
use crate::directory::upsert::{Outcome, group_after, outcome, which};

/// A group of a file.
#[derive(Debug, Default)]
pub(super) struct GroupRow(GroupPatch);

impl Row for GroupRow {
    const WHAT: What = What::Groups;
    const REQUIRED: &'static [&'static str] = &["displayName"];
    type Memory = ();

    fn columns() -> impl Iterator<Item = &'static str> {
        names(Kind::Group)
    }

    fn knows(column: &str) -> bool {
        column == "id" || shape(Kind::Group, column).is_ok()
    }

    fn holds_several(column: &str) -> bool {
        shape_of(Kind::Group, column) == Some(Shape::Texts)
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
        (): (),
    ) -> BoxFuture<'a, Result<Written<()>, StoreError>> {
        Box::pin(async move {
            let ids: Vec<GroupId> = rows.iter().filter_map(|(_, row)| row.0.id).collect();
            let found = groups::by_ids(tx, place.tenant, &ids).await?;
            let mut by_id: HashMap<GroupId, Group> =
                found.into_iter().map(|group| (group.id, group)).collect();
            let mut written = Written::default();
            for (line, row) in rows {
                match put(tx, place, &row.0, &mut by_id).await? {
                    Ok(outcome) => written.report.count(outcome),
                    Err(fault) => written.report.fail(BadLine::new(*line, fault)),
                }
            }
            Ok(written)
        })
    }
}

async fn put(
    tx: &mut Tx<'_>,
    place: Place,
    patch: &GroupPatch,
    by_id: &mut HashMap<GroupId, Group>,
) -> Result<Result<Outcome, Fault>, StoreError> {
    let by_name = match (patch.id, &patch.name) {
        (None, Some(name)) => groups::find_by_name(tx, place.tenant, name).await?,
        _ => Vec::new(),
    };
    let known = patch.id.and_then(|id| by_id.get(&id).cloned());
    let old = match which(patch, known, by_name) {
        Ok(old) => old,
        Err(fault) => return Ok(Err(fault)),
    };
    let group = group_after(patch, old.as_ref());
    let outcome = outcome(old.as_ref(), &group);
    if outcome != Outcome::Unchanged {
        groups::put(tx, place.tenant, &group, place.at).await?;
        by_id.insert(group.id, group);
    }
    Ok(Ok(outcome))
}
