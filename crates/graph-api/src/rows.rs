//! Lists that are read from the store portion by portion, in the order of ids or in another one (3.4, 4.1).

use muster_app::directory::read::{Key, Keys, Listing};
use muster_model::ObjectId;
use serde_json::{Map, Value as Json, json};

use crate::answer::Fault;
use crate::page::{Page, compare, open};
use crate::query::Query;

/// Objects that are read at once.
const PORTION: u32 = 1000;

/// Objects of one kind.
pub(crate) trait Rows {
    /// Some of them after a place, in their order, and the place after which there may be more.
    async fn after(
        &self,
        after: Option<Json>,
        portion: u32,
    ) -> Result<(Vec<Map<String, Json>>, Option<Json>), Fault>;

    /// The order in which they come, when it is not that of ids.
    fn by(&self) -> Option<&By>;

    /// The one with this id.
    async fn one(&self, id: &str) -> Result<Option<Map<String, Json>>, Fault>;

    /// How many there are, when that is known without a look at all of them.
    async fn total(&self) -> Result<Option<u64>, Fault>;
}

/// A part of a list, in an order that the store has at hand.
#[derive(Debug)]
pub(crate) struct By {
    name: &'static str,
    listing: Listing,
}

impl By {
    /// What answers a query without a look at everybody: the order or the beginning of a name that it asks for.
    pub(crate) fn of(query: &Query, known: &[(&'static str, Key)]) -> Option<Self> {
        let keys = |name| query.filter.as_ref()?.bounds(name);
        let order = match query.order.as_slice() {
            [(name, descending)] => known
                .iter()
                .find(|(it, key)| it == name && *key != Key::Mail)
                .map(|(name, key)| (*name, *key, *descending)),
            _ => None,
        };
        let listing = |key, keys, descending| Listing {
            keys,
            descending,
            ..Listing::by(key)
        };
        let bound = known.iter().find_map(|(name, key)| {
            let descending = order.is_some_and(|(it, _, descending)| it == *name && descending);
            Some(Self {
                name,
                listing: listing(*key, keys(name)?, descending),
            })
        });
        bound.or_else(|| {
            let (name, key, descending) = order?;
            Some(Self {
                name,
                listing: listing(key, Keys::All, descending),
            })
        })
    }

    /// What comes after a place.
    pub(crate) fn after(&self, place: Option<&Json>) -> Result<Listing, Fault> {
        let mut listing = self.listing.clone();
        if let Some(place) = place {
            let id = place["id"].as_str().and_then(|id| id.parse().ok());
            let id: Option<ObjectId> = id;
            let key = place["key"].as_str().map(str::to_owned);
            let place = key.zip(id).ok_or_else(|| {
                Fault::bad_request("The value of '$skiptoken' belongs to another list.")
            })?;
            listing.after = Some(place);
        }
        Ok(listing)
    }

    /// The place of an object.
    pub(crate) fn place(&self, object: &Map<String, Json>) -> Json {
        let key = object.get(self.name).and_then(Json::as_str);
        json!({ "id": object.get("id"), "key": key.unwrap_or_default() })
    }

    pub(crate) const fn is_narrow(&self) -> bool {
        !matches!(self.listing.keys, Keys::All)
    }

    fn is_order_of(&self, query: &Query) -> bool {
        match query.order.as_slice() {
            [] => true,
            [(name, descending)] => name == self.name && *descending == self.listing.descending,
            _ => false,
        }
    }
}

/// A page of them: whole objects that pass.
pub(crate) async fn page(rows: &impl Rows, query: &Query) -> Result<Page, Fault> {
    let comes_so = match rows.by() {
        Some(by) => by.is_order_of(query),
        None => query.order.is_empty(),
    };
    if comes_so {
        as_they_come(rows, query).await
    } else {
        ordered(rows, query).await
    }
}

fn passes(query: &Query, object: Map<String, Json>) -> Option<Map<String, Json>> {
    if query.filter.is_none() && query.search.is_none() {
        return Some(object);
    }
    let whole = Json::Object(object);
    let is_in = query
        .filter
        .as_ref()
        .is_none_or(|it| it.passes(&whole, false))
        && query.search.as_ref().is_none_or(|it| it.passes(&whole));
    match whole {
        Json::Object(object) if is_in => Some(object),
        _ => None,
    }
}

async fn as_they_come(rows: &impl Rows, query: &Query) -> Result<Page, Fault> {
    let mut after = match &query.skiptoken {
        Some(token) => Some(open(token, "skiptoken")?),
        None => None,
    };
    let counts = query.count && query.skiptoken.is_none();
    let is_narrowed = query.filter.is_some() || query.search.is_some();
    let total = if counts && !is_narrowed {
        rows.total().await?
    } else {
        None
    };
    let counts_all = counts && total.is_none();
    let portion = if is_narrowed || counts_all {
        PORTION
    } else {
        query.top + 1
    };
    let (mut found, mut passed, mut has_more) = (Vec::new(), 0, false);
    loop {
        let (objects, next) = rows.after(after, portion).await?;
        for object in objects {
            let Some(object) = passes(query, object) else {
                continue;
            };
            passed += 1;
            if found.len() < query.top as usize {
                found.push(Json::Object(object));
            } else {
                has_more = true;
            }
        }
        match next {
            Some(next) if counts_all || !has_more => after = Some(next),
            _ => break,
        }
    }
    let last = found.last().filter(|_| has_more).and_then(Json::as_object);
    Ok(Page {
        next: last.map(|last| match rows.by() {
            Some(by) => by.place(last),
            None => json!({ "id": last["id"] }),
        }),
        value: found,
        count: total.or(counts_all.then_some(passed)),
    })
}

/// Of everybody no more is kept than what the order needs, and the id.
async fn ordered(rows: &impl Rows, query: &Query) -> Result<Page, Fault> {
    let (mut keys, mut after): (Vec<Json>, Option<Json>) = (Vec::new(), None);
    loop {
        let (objects, next) = rows.after(after, PORTION).await?;
        for object in objects {
            if let Some(mut object) = passes(query, object) {
                object
                    .retain(|name, _| name == "id" || query.order.iter().any(|(it, _)| it == name));
                keys.push(Json::Object(object));
            }
        }
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    let by_id = [("id".to_owned(), false)];
    let order = |left: &Json, right: &Json| {
        compare(left, right, &query.order).then_with(|| compare(left, right, &by_id))
    };
    keys.sort_by(order);
    let count = (query.count && query.skiptoken.is_none()).then_some(keys.len() as u64);
    let begin = match &query.skiptoken {
        Some(token) => {
            let last = open(token, "skiptoken")?;
            keys.partition_point(|it| order(it, &last).is_le())
        }
        None => 0,
    };
    let rest = keys.len().saturating_sub(begin);
    let wanted: Vec<Json> = keys
        .into_iter()
        .skip(begin)
        .take(query.top as usize)
        .collect();
    let next = wanted.last().filter(|_| rest > wanted.len()).cloned();
    let mut found = Vec::with_capacity(wanted.len());
    for key in &wanted {
        let object = rows.one(key["id"].as_str().unwrap_or_default()).await?;
        found.extend(object.map(Json::Object));
    }
    Ok(Page {
        value: found,
        next,
        count,
    })
}
