//! Queries: by index where the filter lets us, otherwise page by page over the stored documents.

use muster_model::ResourceId;
use muster_model::directory::Kind;
use muster_scim::filter::{Conjunct, Filter};
use muster_scim::{ListQuery, Map, Matcher, ScimError, SortKey, Sorter};
use muster_store::Tx;
use muster_store::resources::{self, Place, Resource};
use serde_json::Value;

use crate::received::write::to_scim;
use crate::received::{Caller, Fault, Provider, Shown, Wanted, document, resource_type, show};

/// Resources of one page at most.
pub const MAX_PAGE: u64 = 500;
/// Documents that are read at once while scanning.
const SCAN: u32 = 500;
/// Resources that are sorted at most.
const SORTED: usize = 200_000;
/// Resources that an index may select for closer matching.
const SELECTED: u32 = 1000;

/// A page of resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many match in all.
    pub total: u64,
    /// Those of this page.
    pub resources: Vec<Shown>,
}

impl Provider {
    /// The resources that a query asks for.
    pub async fn list(
        &self,
        caller: &Caller,
        kind: Kind,
        query: &ListQuery,
        wanted: Wanted,
    ) -> Result<Page, ScimError> {
        let (place, offset, limit) = (caller.place, query.offset(), query.limit(MAX_PAGE));
        let (total, found) = match (&query.filter, &query.sort_by) {
            (None, None) => self.unfiltered(place, kind, offset, limit).await?,
            (filter, sort) => {
                let matcher = filter
                    .as_ref()
                    .map(|it| it.compile(resource_type(kind)))
                    .transpose()?;
                let look = Look {
                    place,
                    kind,
                    filter: filter.as_ref(),
                    matcher,
                };
                match sort {
                    None => self.filtered(&look, offset, limit).await?,
                    Some(path) => {
                        let order = query.sort_order;
                        let sorter = Sorter::new(path, order, resource_type(kind));
                        self.sorted(&look, &sorter, offset, limit).await?
                    }
                }
            }
        };
        let resources = self.show_all(place, found, wanted).await?;
        Ok(Page { total, resources })
    }

    async fn show_all(
        &self,
        place: Place,
        found: Vec<Resource>,
        wanted: Wanted,
    ) -> Result<Vec<Shown>, ScimError> {
        self.store
            .read::<_, Fault, _>(|tx| {
                Box::pin(async move {
                    let mut all = Vec::with_capacity(found.len());
                    for resource in found {
                        all.push(show(tx, place, resource, wanted).await?);
                    }
                    Ok(all)
                })
            })
            .await
            .map_err(Into::into)
    }

    async fn unfiltered(
        &self,
        place: Place,
        kind: Kind,
        offset: u64,
        limit: u64,
    ) -> Result<(u64, Vec<Resource>), ScimError> {
        self.store
            .read::<_, Fault, _>(|tx| {
                Box::pin(async move {
                    let total = resources::total(tx, place, kind).await?;
                    if limit == 0 || offset >= total {
                        return Ok((total, Vec::new()));
                    }
                    let limit = limit as u32;
                    Ok((
                        total,
                        resources::page(tx, place, kind, None, offset, limit).await?,
                    ))
                })
            })
            .await
            .map_err(Into::into)
    }

    async fn filtered(
        &self,
        look: &Look<'_>,
        offset: u64,
        limit: u64,
    ) -> Result<(u64, Vec<Resource>), ScimError> {
        let (mut total, mut page) = (0_u64, Vec::new());
        self.each(look, |resource, _| {
            if total >= offset && (page.len() as u64) < limit {
                page.push(resource);
            }
            total += 1;
            Ok(())
        })
        .await?;
        Ok((total, page))
    }

    async fn sorted(
        &self,
        look: &Look<'_>,
        sorter: &Sorter<'_>,
        offset: u64,
        limit: u64,
    ) -> Result<(u64, Vec<Resource>), ScimError> {
        let mut keys: Vec<(SortKey, ResourceId)> = Vec::new();
        self.each(look, |resource, document| {
            if keys.len() == SORTED {
                return Err(ScimError::too_many(format!(
                    "more than {SORTED} resources would have to be sorted; narrow the filter"
                )));
            }
            keys.push((sorter.key(document), resource.id));
            Ok(())
        })
        .await?;
        keys.sort_by(|(a, left), (b, right)| sorter.compare(a, b).then(left.cmp(right)));
        let total = keys.len() as u64;
        let ids: Vec<ResourceId> = keys
            .into_iter()
            .skip(usize::try_from(offset).unwrap_or(usize::MAX))
            .take(limit as usize)
            .map(|(_, id)| id)
            .collect();
        let (place, kind) = (look.place, look.kind);
        let page = self
            .store
            .read::<_, Fault, _>(|tx| {
                Box::pin(async move {
                    let mut page = Vec::with_capacity(ids.len());
                    for id in ids {
                        page.extend(resources::find(tx, place, kind, id).await?);
                    }
                    Ok(page)
                })
            })
            .await?;
        Ok((total, page))
    }

    /// Hands out every resource that matches, in the order of ids.
    async fn each(
        &self,
        look: &Look<'_>,
        mut found: impl FnMut(Resource, &Map) -> Result<(), ScimError> + Send,
    ) -> Result<(), ScimError> {
        if look.matcher.as_ref().is_some_and(Matcher::is_never) {
            return Ok(());
        }
        if let Some(selected) = self.selected(look).await? {
            // Whoever holds the member that alone is asked for, matches: its members need no reading.
            let known = look.asks_only_for_a_member();
            for (resource, document) in selected {
                if known || look.matches(&document) {
                    found(resource, &document)?;
                }
            }
            return Ok(());
        }
        let mut after = None;
        loop {
            let page = self.scan(look, after).await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(last.id);
            for (resource, document) in page {
                if look.matches(&document) {
                    found(resource, &document)?;
                }
            }
            // A long scan lets others have their turn.
            tokio::task::yield_now().await;
        }
    }

    /// What an index selects, when the filter names something indexed.
    async fn selected(&self, look: &Look<'_>) -> Result<Option<Vec<(Resource, Map)>>, ScimError> {
        let Some(selection) = look.selection() else {
            return Ok(None);
        };
        let (place, kind) = (look.place, look.kind);
        let beside = if look.asks_only_for_a_member() {
            Wanted::NOTHING
        } else {
            look.beside()
        };
        self.store
            .read::<_, Fault, _>(|tx| {
                Box::pin(async move {
                    let found: Vec<Resource> = match selection {
                        Selection::Member(id) => {
                            resources::groups_holding(tx, place, id, SELECTED).await?
                        }
                        Selection::Name(name) => resources::find_by_name(tx, place, kind, name)
                            .await?
                            .into_iter()
                            .collect(),
                        Selection::ExternalId(id) => {
                            resources::find_by_external_id(tx, place, kind, id, SELECTED).await?
                        }
                        Selection::Id(id) => match id.parse() {
                            Ok(id) => resources::find(tx, place, kind, id)
                                .await?
                                .into_iter()
                                .collect(),
                            Err(_) => Vec::new(),
                        },
                    };
                    if found.len() as u32 == SELECTED {
                        // There may be more: only a scan finds them all.
                        return Ok(None);
                    }
                    Ok(Some(complete_all(tx, place, found, beside).await?))
                })
            })
            .await
            .map_err(Into::into)
    }

    async fn scan(
        &self,
        look: &Look<'_>,
        after: Option<ResourceId>,
    ) -> Result<Vec<(Resource, Map)>, ScimError> {
        let (place, kind, beside) = (look.place, look.kind, look.beside());
        self.store
            .read::<_, Fault, _>(|tx| {
                Box::pin(async move {
                    let page = resources::page(tx, place, kind, after, 0, SCAN).await?;
                    complete_all(tx, place, page, beside).await
                })
            })
            .await
            .map_err(Into::into)
    }
}

/// What is looked for.
struct Look<'a> {
    place: Place,
    kind: Kind,
    filter: Option<&'a Filter>,
    matcher: Option<Matcher<'a>>,
}

enum Selection<'a> {
    Name(&'a str),
    ExternalId(&'a str),
    Id(&'a str),
    Member(&'a str),
}

impl<'a> Look<'a> {
    fn matches(&self, document: &Map) -> bool {
        self.matcher
            .as_ref()
            .is_none_or(|matcher| matcher.matches(document))
    }

    /// The first part of the filter that an index answers.
    fn selection(&self) -> Option<Selection<'a>> {
        let name = match self.kind {
            Kind::User => "userName",
            Kind::Group => "displayName",
        };
        self.filter?
            .conjuncts()
            .find_map(|conjunct| match conjunct {
                Conjunct::Equal { path, value } if path.is(name, None) => {
                    Some(Selection::Name(value))
                }
                Conjunct::Equal { path, value } if path.is("externalId", None) => {
                    Some(Selection::ExternalId(value))
                }
                Conjunct::Equal { path, value } if path.is("id", None) => {
                    Some(Selection::Id(value))
                }
                Conjunct::Member(id) if self.kind == Kind::Group => Some(Selection::Member(id)),
                Conjunct::Equal { .. } | Conjunct::Typed { .. } | Conjunct::Member(_) => None,
            })
    }

    /// Is the whole filter `members eq "…"`, in any of its forms?
    fn asks_only_for_a_member(&self) -> bool {
        let Some(filter) = self.filter.filter(|_| self.kind == Kind::Group) else {
            return false;
        };
        let mut conjuncts = filter.conjuncts();
        let first = conjuncts.next();
        matches!(first, Some(Conjunct::Member(_)))
            && conjuncts.next().is_none()
            && filter.is_conjuncts_only()
    }

    /// What the filter looks at that is not in the document.
    fn beside(&self) -> Wanted {
        let mentions = |name| self.filter.is_some_and(|filter| filter.mentions(name));
        Wanted {
            members: mentions("members"),
            groups: mentions("groups"),
        }
    }
}

async fn complete_all(
    tx: &mut Tx<'_>,
    place: Place,
    found: Vec<Resource>,
    beside: Wanted,
) -> Result<Vec<(Resource, Map)>, Fault> {
    let mut all = Vec::with_capacity(found.len());
    for resource in found {
        let mut document = document::complete(&resource)?;
        if beside != Wanted::NOTHING {
            let shown = show(tx, place, resource.clone(), beside).await?;
            let members: Vec<Value> = shown
                .members
                .into_iter()
                .flatten()
                .map(|member| to_scim(member).to_json(None))
                .collect();
            if !members.is_empty() {
                document.insert("members".to_owned(), Value::Array(members));
            }
            let groups: Vec<Value> = shown
                .groups
                .into_iter()
                .map(|(id, name)| serde_json::json!({ "value": id.to_string(), "display": name }))
                .collect();
            if !groups.is_empty() {
                document.insert("groups".to_owned(), Value::Array(groups));
            }
        }
        all.push((resource, document));
    }
    Ok(all)
}
