//! What an integration holds, for whoever runs it: users and groups as they were received.

use muster_model::ResourceId;
use muster_model::integration::ResourceKind;
use muster_store::resources::{self, By, Member, Resource};

use crate::received::document;
use crate::{AppError, Ctx};

/// Groups of a user, and members of a group, that are told at most.
const BESIDE: u32 = 100;

/// The name to show for a resource.
pub fn name_of(resource: &Resource) -> String {
    let doc: serde_json::Value = serde_json::from_str(&resource.doc).unwrap_or_default();
    let name = |member: &str| doc[member].as_str().filter(|it| !it.is_empty());
    let name = name("userName").or_else(|| name("displayName"));
    name.map_or_else(|| resource.id.to_string(), str::to_owned)
}

/// Resources of a kind in the order of their ids, after one of them.
pub async fn held(
    ctx: &Ctx,
    integration: &str,
    kind: ResourceKind,
    after: Option<ResourceId>,
    limit: u32,
) -> Result<Vec<Resource>, AppError> {
    let place = super::place(ctx, integration).await?;
    let read = ctx.store.read(|tx| {
        Box::pin(async move { Ok(resources::page(tx, place, kind, after, 0, limit).await?) })
    });
    read.await
}

/// The resources of a kind that have this name, id or `externalId`.
pub async fn held_by_name(
    ctx: &Ctx,
    integration: &str,
    kind: ResourceKind,
    text: &str,
) -> Result<Vec<Resource>, AppError> {
    let place = super::place(ctx, integration).await?;
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move {
            let id = text.parse().ok().map(By::Id);
            let names = [
                By::Name(resources::name_key(text)),
                By::Name(resources::exact_name_key(text)),
                By::ExternalId(text.to_owned()),
            ];
            let mut found: Vec<Resource> = Vec::new();
            for by in id.into_iter().chain(names) {
                for it in resources::find_by(tx, place, kind, &by, BESIDE).await? {
                    if found.iter().all(|known| known.id != it.id) {
                        found.push(it);
                    }
                }
            }
            Ok(found)
        })
    });
    read.await
}

/// A resource with what it belongs to.
#[derive(Clone, Debug)]
pub struct Whole {
    /// The resource.
    pub resource: Resource,
    /// Of a user: the groups that it is a direct member of, by id and name; the first hundred.
    pub groups: Vec<(ResourceId, String)>,
    /// Of a group: its members, each with the name to show; the first hundred.
    pub members: Vec<(Member, String)>,
    /// What the sender sent besides that no schema declares, as JSON text.
    pub extras: Option<String>,
}

/// A resource of an integration; `None` when it holds none of this id.
pub async fn held_one(
    ctx: &Ctx,
    integration: &str,
    kind: ResourceKind,
    id: ResourceId,
) -> Result<Option<Whole>, AppError> {
    let place = super::place(ctx, integration).await?;
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move {
            let Some(resource) = resources::find(tx, place, kind, id).await? else {
                return Ok(None);
            };
            let groups = resources::groups_of(tx, place, &id.to_string(), BESIDE).await?;
            let named = groups.into_iter();
            let named = named.map(|(id, doc)| (id, document::display_name(&doc)));
            let found = if kind == ResourceKind::GROUP {
                resources::members(tx, place, id, None, BESIDE).await?
            } else {
                Vec::new()
            };
            let mut members = Vec::with_capacity(found.len());
            for member in found {
                let held = match member.value.parse() {
                    Ok(id) => resources::find(tx, place, member.kind, id).await?,
                    Err(_) => None,
                };
                let name = held
                    .as_ref()
                    .map(name_of)
                    .or_else(|| member.display.clone());
                let name = name.unwrap_or_else(|| member.value.clone());
                members.push((member, name));
            }
            Ok(Some(Whole {
                resource,
                groups: named.collect(),
                members,
                extras: resources::extras(tx, place, (kind, id)).await?,
            }))
        })
    });
    read.await
}
