//! Queries: by index where the filter lets us, otherwise page by page over the stored documents.

use std::ops::ControlFlow;

use muster_model::ResourceId;
use muster_model::integration::ResourceKind;
use muster_scim::dialect;
use muster_scim::filter::{Conjunct, Filter};
use muster_scim::{AttrPath, ListQuery, Map, Matcher, ScimError, SortKey, SortOrder, Sorter};
use muster_store::resources::{self, By, Place, Resource};
use muster_store::{StoreError, Tx};
use serde_json::Value;

use crate::received::cursor::{Cursor, Position};
use crate::received::members::to_scim;
use crate::received::profile::key_of;
use crate::received::ranks::FAR;
use crate::received::{
    Caller, Fault, GROUPS, Profile, Provider, Shown, Wanted, document, show, show_each, with_groups,
};

/// Resources of one page at most.
pub const MAX_PAGE: u64 = 500;
/// Documents that are read at once while scanning.
const SCAN: u32 = 500;
/// Resources that are sorted at most.
const SORTED: usize = 200_000;
/// Resources that an index may select for closer matching.
const SELECTED: u32 = 1000;
/// Users that are looked up together with their groups.
const FEW: u32 = 10;

/// A page of resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// How many match in all; not always known to a page by cursor.
    pub total: Option<u64>,
    /// Those of this page.
    pub resources: Vec<Shown>,
    /// Where the next page begins, if there is one and this is a page by cursor (RFC 9865).
    pub next: Option<String>,
}

/// A page before its resources are completed.
struct Found {
    total: Option<u64>,
    resources: Vec<Resource>,
    next: Option<Position>,
}

impl Provider {
    /// The resources of these types that a query asks for, type after type unless they are sorted.
    pub async fn list(
        &self,
        caller: &Caller,
        kinds: &[ResourceKind],
        query: &ListQuery,
        wanted: impl Fn(ResourceKind) -> Wanted + Send,
    ) -> Result<Page, ScimError> {
        let place = caller.place();
        if let (Some(filter), Some(kind)) = (&query.filter, kinds.first()) {
            self.observe(caller, &dialect::filter(filter, caller.profile.of(*kind)));
        }
        let looks = kinds
            .iter()
            .map(|kind| Look::new(&caller.profile, *kind, query.filter.as_ref()))
            .collect::<Result<Vec<_>, _>>()?;
        let limit = query.limit(MAX_PAGE) as usize;
        if let ([look], None, None) = (looks.as_slice(), &query.sort_by, &query.cursor)
            && let Some(selection) = look.answered_by_index()
        {
            let shape = (query.offset(), limit, wanted(look.kind));
            if let Some(page) = self.at_once(look, &selection, shape).await? {
                return Ok(page);
            }
        }
        let cursor = query
            .cursor
            .as_deref()
            .map(|text| Cursor::read(text, caller.integration, kinds, query))
            .transpose()?;
        let found = match (&query.sort_by, &cursor) {
            (Some(path), _) => {
                let offset = match &cursor {
                    Some(cursor) => cursor.offset()?,
                    None => query.offset(),
                };
                let order = (path, query.sort_order);
                self.sorted(place, &looks, order, offset, limit).await?
            }
            (None, None) => self.by_index(&looks, query.offset(), limit).await?,
            (None, Some(cursor)) => self.by_cursor(&looks, cursor.after()?, limit).await?,
        };
        let next = found
            .next
            .filter(|_| cursor.is_some())
            .map(|position| Cursor::write(position, caller.integration, kinds, query));
        let resources = self.show_all(place, found.resources, wanted).await?;
        Ok(Page {
            total: found.total,
            resources,
            next,
        })
    }

    /// A page of what an index selects, when that is all that the filter asks for: nothing is parsed, and
    /// everything is read at once. `None` when there are too many to be sure.
    async fn at_once(
        &self,
        look: &Look<'_>,
        selection: &Selection<'_>,
        (offset, limit, wanted): (u64, usize, Wanted),
    ) -> Result<Option<Page>, ScimError> {
        let (place, kind) = (look.profile.place, look.kind);
        let skip = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Selection::By(by) = selection
            && kind == ResourceKind::USER
            && wanted.groups
        {
            let found = self.store.find_users(place, by, FEW, GROUPS).await;
            let found = found.map_err(Fault::from)?;
            if found.len() < FEW as usize {
                let shown = found.into_iter().map(with_groups);
                return Ok(Some(Page {
                    total: Some(shown.len() as u64),
                    resources: shown.skip(skip).take(limit).collect(),
                    next: None,
                }));
            }
        }
        self.store
            .read::<_, Fault, _>(|tx| {
                Box::pin(async move {
                    let found = select(tx, place, kind, selection).await?;
                    if found.len() as u32 == SELECTED {
                        return Ok(None);
                    }
                    let total = found.len() as u64;
                    let page = found.into_iter().skip(skip).take(limit);
                    let page = page.map(|resource| (resource, wanted)).collect();
                    Ok(Some(Page {
                        total: Some(total),
                        resources: show_each(tx, place, page).await?,
                        next: None,
                    }))
                })
            })
            .await
            .map_err(Into::into)
    }

    async fn show_all(
        &self,
        place: Place,
        found: Vec<Resource>,
        wanted: impl Fn(ResourceKind) -> Wanted + Send,
    ) -> Result<Vec<Shown>, ScimError> {
        let found = found.into_iter().map(|resource| {
            let wanted = wanted(resource.kind);
            (resource, wanted)
        });
        let found = found.collect();
        self.store
            .read::<_, Fault, _>(|tx| {
                Box::pin(async move { Ok(show_each(tx, place, found).await?) })
            })
            .await
            .map_err(Into::into)
    }

    /// The page after so many resources.
    async fn by_index(
        &self,
        looks: &[Look<'_>],
        offset: u64,
        limit: usize,
    ) -> Result<Found, ScimError> {
        let (mut total, mut page) = (0_u64, Vec::new());
        for look in looks {
            let (skip, rest) = (offset.saturating_sub(total), limit - page.len());
            if look.filter.is_none() {
                let count = self.total(look).await?;
                if rest > 0 && skip < count {
                    page.extend(self.page_at(look, skip, rest as u32).await?);
                }
                total += count;
                continue;
            }
            let mut count = 0;
            self.each(look, None, |resource, _| {
                if count >= skip && page.len() < limit {
                    page.push(resource);
                }
                count += 1;
                Ok(ControlFlow::Continue(()))
            })
            .await?;
            total += count;
        }
        Ok(Found {
            total: Some(total),
            resources: page,
            next: None,
        })
    }

    /// The page after so many resources, by the nearest way.
    async fn page_at(
        &self,
        look: &Look<'_>,
        skip: u64,
        limit: u32,
    ) -> Result<Vec<Resource>, ScimError> {
        let Some(ranks) = self.ranks.as_ref().filter(|_| skip >= FAR) else {
            return self.page(look, None, skip, limit).await;
        };
        let (place, kind) = (look.profile.place, look.kind);
        let start = ranks.nearest(place, kind, skip);
        let page = self.page(look, start.after, start.skip, limit).await?;
        if let Some(last) = page.last() {
            ranks.note((place, kind), start, skip + page.len() as u64, last.id);
        }
        Ok(page)
    }

    async fn page(
        &self,
        look: &Look<'_>,
        after: Option<ResourceId>,
        skip: u64,
        limit: u32,
    ) -> Result<Vec<Resource>, ScimError> {
        let (place, kind) = (look.profile.place, look.kind);
        self.store
            .read::<_, Fault, _>(|tx| {
                Box::pin(
                    async move { Ok(resources::page(tx, place, kind, after, skip, limit).await?) },
                )
            })
            .await
            .map_err(Into::into)
    }

    async fn total(&self, look: &Look<'_>) -> Result<u64, ScimError> {
        let (place, kind) = (look.profile.place, look.kind);
        self.store
            .read::<_, Fault, _>(|tx| {
                Box::pin(async move { Ok(resources::total(tx, place, kind).await?) })
            })
            .await
            .map_err(Into::into)
    }

    /// The page after a resource.
    async fn by_cursor(
        &self,
        looks: &[Look<'_>],
        after: Option<(ResourceKind, ResourceId)>,
        limit: usize,
    ) -> Result<Found, ScimError> {
        // One more than asked for tells whether there is another page.
        let mut page: Vec<Resource> = Vec::new();
        for look in looks {
            let begin = match after {
                Some((kind, _)) if look.kind < kind => continue,
                Some((kind, id)) if look.kind == kind => Some(id),
                _ => None,
            };
            if look.filter.is_none() {
                let rest = (limit + 1 - page.len()) as u32;
                page.extend(self.page(look, begin, 0, rest).await?);
            } else {
                self.each(look, begin, |resource, _| {
                    page.push(resource);
                    Ok(if page.len() > limit {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    })
                })
                .await?;
            }
            if page.len() > limit {
                break;
            }
        }
        let more = page.len() > limit;
        page.truncate(limit);
        let last = page.last().map(|last| (last.kind, last.id)).or(after);
        let total = match looks {
            looks if looks.iter().any(|look| look.filter.is_some()) => None,
            looks => Some(self.by_index(looks, 0, 0).await?.total.unwrap_or_default()),
        };
        Ok(Found {
            total,
            resources: page,
            next: more.then_some(Position::After(last)),
        })
    }

    async fn sorted(
        &self,
        place: Place,
        looks: &[Look<'_>],
        (path, order): (&AttrPath, SortOrder),
        offset: u64,
        limit: usize,
    ) -> Result<Found, ScimError> {
        let mut keys: Vec<(SortKey, ResourceKind, ResourceId)> = Vec::new();
        for look in looks {
            let sorter = Sorter::new(path, order, look.profile.of(look.kind));
            self.each(look, None, |resource, document| {
                if keys.len() == SORTED {
                    return Err(ScimError::too_many(format!(
                        "more than {SORTED} resources would have to be sorted; narrow the filter"
                    )));
                }
                keys.push((sorter.key(document), look.kind, resource.id));
                Ok(ControlFlow::Continue(()))
            })
            .await?;
        }
        keys.sort_by(|(a, kind, left), (b, other, right)| {
            let by_key = order.compare(a, b);
            by_key.then(kind.cmp(other)).then(left.cmp(right))
        });
        let total = keys.len() as u64;
        let ids: Vec<(ResourceKind, ResourceId)> = keys
            .into_iter()
            .skip(usize::try_from(offset).unwrap_or(usize::MAX))
            .take(limit)
            .map(|(_, kind, id)| (kind, id))
            .collect();
        let end = offset.saturating_add(ids.len() as u64);
        let resources = self
            .store
            .read::<_, Fault, _>(|tx| {
                Box::pin(async move {
                    let mut page = Vec::with_capacity(ids.len());
                    for (kind, id) in ids {
                        page.extend(resources::find(tx, place, kind, id).await?);
                    }
                    Ok(page)
                })
            })
            .await?;
        Ok(Found {
            total: Some(total),
            resources,
            next: (end < total).then_some(Position::Offset(end)),
        })
    }

    /// Hands out every resource that matches, in the order of ids, after one of them.
    async fn each(
        &self,
        look: &Look<'_>,
        mut after: Option<ResourceId>,
        mut found: impl FnMut(Resource, &Map) -> Result<ControlFlow<()>, ScimError> + Send,
    ) -> Result<(), ScimError> {
        if look.matcher.as_ref().is_some_and(Matcher::is_never) {
            return Ok(());
        }
        if let Some(selected) = self.selected(look).await? {
            // Whoever holds the member that alone is asked for, matches: its members need no reading.
            let known = look.asks_only_for_a_member();
            for (resource, document) in selected {
                let counts = after.is_none_or(|after| resource.id > after);
                if counts
                    && (known || look.matches(&document))
                    && found(resource, &document)?.is_break()
                {
                    break;
                }
            }
            return Ok(());
        }
        loop {
            let page = self.scan(look, after).await?;
            let Some((last, _)) = page.last() else {
                return Ok(());
            };
            after = Some(last.id);
            for (resource, document) in page {
                if look.matches(&document) && found(resource, &document)?.is_break() {
                    return Ok(());
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
        let (place, kind) = (look.profile.place, look.kind);
        let profile = look.profile;
        let beside = if look.asks_only_for_a_member() {
            Wanted::NOTHING
        } else {
            look.beside()
        };
        self.store
            .read::<_, Fault, _>(|tx| {
                Box::pin(async move {
                    let found = select(tx, place, kind, &selection).await?;
                    if found.len() as u32 == SELECTED {
                        // There may be more: only a scan finds them all.
                        return Ok(None);
                    }
                    Ok(Some(complete_all(tx, profile, found, beside).await?))
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
        let (place, kind, beside) = (look.profile.place, look.kind, look.beside());
        let profile = look.profile;
        self.store
            .read::<_, Fault, _>(|tx| {
                Box::pin(async move {
                    let page = resources::page(tx, place, kind, after, 0, SCAN).await?;
                    complete_all(tx, profile, page, beside).await
                })
            })
            .await
            .map_err(Into::into)
    }
}

/// What is looked for.
struct Look<'a> {
    profile: &'a Profile,
    kind: ResourceKind,
    filter: Option<&'a Filter>,
    matcher: Option<Matcher<'a>>,
}

/// What an index selects.
enum Selection<'a> {
    By(By),
    /// The groups that hold this member.
    Member(&'a str),
    /// Nobody: there can be no such value.
    Nothing,
}

/// The resources that an index selects, at most [`SELECTED`].
async fn select(
    tx: &mut Tx<'_>,
    place: Place,
    kind: ResourceKind,
    selection: &Selection<'_>,
) -> Result<Vec<Resource>, StoreError> {
    match selection {
        Selection::Member(id) => resources::groups_holding(tx, place, id, SELECTED).await,
        Selection::By(by) => resources::find_by(tx, place, kind, by, SELECTED).await,
        Selection::Nothing => Ok(Vec::new()),
    }
}

impl<'a> Look<'a> {
    fn new(
        profile: &'a Profile,
        kind: ResourceKind,
        filter: Option<&'a Filter>,
    ) -> Result<Self, ScimError> {
        let matcher = filter
            .map(|filter| filter.compile(profile.of(kind)))
            .transpose()?;
        Ok(Self {
            profile,
            kind,
            filter,
            matcher,
        })
    }

    fn matches(&self, document: &Map) -> bool {
        self.matcher
            .as_ref()
            .is_none_or(|matcher| matcher.matches(document))
    }

    /// The first part of the filter that an index answers.
    fn selection(&self) -> Option<Selection<'a>> {
        let unique = self.profile.name_of(self.kind);
        // Nothing that is looked up by holds U+0000.
        let by = |text: &str, by: By| {
            if text.contains('\0') {
                Selection::Nothing
            } else {
                Selection::By(by)
            }
        };
        self.filter?
            .conjuncts()
            .find_map(|conjunct| match conjunct {
                Conjunct::Equal { path, value } if path.is("externalId", None) => {
                    Some(by(value, By::ExternalId(value.to_owned())))
                }
                Conjunct::Equal { path, value } if path.is("id", None) => {
                    // Ids mind case: another spelling of the same number is another id.
                    let id = value.parse::<ResourceId>().ok();
                    let id = id.filter(|id| id.to_string() == value);
                    Some(id.map_or(Selection::Nothing, |id| Selection::By(By::Id(id))))
                }
                Conjunct::Equal { path, value } => {
                    let unique = unique.filter(|one| path.is(&one.name, None))?;
                    Some(by(value, By::Name(key_of(unique, value))))
                }
                Conjunct::Member(id) if self.kind == ResourceKind::GROUP => {
                    Some(if id.contains('\0') {
                        Selection::Nothing
                    } else {
                        Selection::Member(id)
                    })
                }
                Conjunct::Typed { .. } | Conjunct::Member(_) => None,
            })
    }

    /// What an index answers, if the whole filter asks for nothing else.
    fn answered_by_index(&self) -> Option<Selection<'a>> {
        let filter = self.filter.filter(|filter| filter.is_conjuncts_only())?;
        let mut conjuncts = filter.conjuncts();
        match (conjuncts.next(), conjuncts.next()) {
            (Some(Conjunct::Equal { .. }), None) => self.selection(),
            _ => None,
        }
    }

    /// Is the whole filter `members eq "…"`, in any of its forms?
    fn asks_only_for_a_member(&self) -> bool {
        let Some(filter) = self.filter.filter(|_| self.kind == ResourceKind::GROUP) else {
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
    profile: &Profile,
    found: Vec<Resource>,
    beside: Wanted,
) -> Result<Vec<(Resource, Map)>, Fault> {
    let mut all = Vec::with_capacity(found.len());
    for resource in found {
        let mut document = document::complete(profile, &resource)?;
        if beside != Wanted::NOTHING {
            let shown = show(tx, profile.place, resource.clone(), beside).await?;
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
