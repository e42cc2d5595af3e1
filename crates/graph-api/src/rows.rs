//! Lists that are read from the store portion by portion, in the order of ids or in another one (3.4, 4.1).

use serde_json::{Map, Value as Json, json};

use crate::answer::Fault;
use crate::page::{Page, compare, open};
use crate::query::Query;

/// Objects that are read at once.
const PORTION: u32 = 1000;

/// Objects of one kind.
pub(crate) trait Rows {
    /// Some of them after an id, in the order of ids, and the id after which there may be more.
    async fn after(
        &self,
        after: Option<String>,
        portion: u32,
    ) -> Result<(Vec<Map<String, Json>>, Option<String>), Fault>;

    /// The one with this id.
    async fn one(&self, id: &str) -> Result<Option<Map<String, Json>>, Fault>;

    /// How many there are, when that is known without a look at all of them.
    async fn total(&self) -> Result<Option<u64>, Fault>;
}

/// A page of them: whole objects that pass.
pub(crate) async fn page(rows: &impl Rows, query: &Query) -> Result<Page, Fault> {
    if query.order.is_empty() {
        in_order_of_ids(rows, query).await
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

async fn in_order_of_ids(rows: &impl Rows, query: &Query) -> Result<Page, Fault> {
    let mut after = match &query.skiptoken {
        Some(token) => open(token, "skiptoken")?["id"].as_str().map(str::to_owned),
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
    let last = found.last().filter(|_| has_more);
    Ok(Page {
        next: last.map(|last| json!({ "id": last["id"] })),
        value: found,
        count: total.or(counts_all.then_some(passed)),
    })
}

/// Of everybody no more is kept than what the order needs, and the id.
async fn ordered(rows: &impl Rows, query: &Query) -> Result<Page, Fault> {
    let (mut keys, mut after): (Vec<Json>, Option<String>) = (Vec::new(), None);
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
