//! Pages, and the tokens that lead to the next one (4.1).

use data_encoding::BASE64URL_NOPAD;
use serde_json::{Map, Value as Json};
use sha2::{Digest, Sha256};

use crate::answer::Fault;
use crate::query::Query;
use crate::request::Call;

/// Bytes of a token that say whether the rest is as we made it.
const MARK: usize = 6;

/// A token for a link; whoever changes it is refused.
pub(crate) fn seal(what: &Json) -> String {
    let text = what.to_string();
    let mark = Sha256::digest(text.as_bytes());
    let mut bytes = mark[..MARK].to_vec();
    bytes.extend_from_slice(text.as_bytes());
    BASE64URL_NOPAD.encode(&bytes)
}

/// What a token of ours says.
pub(crate) fn open(token: &str, name: &str) -> Result<Json, Fault> {
    let read = || {
        let bytes = BASE64URL_NOPAD.decode(token.as_bytes()).ok()?;
        let (mark, text) = bytes.split_at_checked(MARK)?;
        let is_ours = Sha256::digest(text)[..MARK] == *mark;
        is_ours.then(|| serde_json::from_slice(text).ok())?
    };
    read().ok_or_else(|| {
        Fault::bad_request(format!(
            "The value of '${name}' is not one that was given out here."
        ))
    })
}

/// A page of a list.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) value: Vec<Json>,
    /// Where the next one begins.
    pub(crate) next: Option<Json>,
    /// How many there are in all, when that was asked for.
    pub(crate) count: Option<u64>,
}

impl Page {
    /// As an answer to a request about a collection of this name.
    pub(crate) fn answer(self, call: &Call, query: &Query, name: &str) -> Json {
        let mut answer = Map::new();
        let context = format!("{name}{}", query.selected());
        answer.insert("@odata.context".to_owned(), call.context(&context));
        if let Some(count) = self.count {
            answer.insert("@odata.count".to_owned(), count.into());
        }
        if let Some(next) = self.next {
            let link = call.link(&query.repeated, "skiptoken", &seal(&next));
            answer.insert("@odata.nextLink".to_owned(), link.into());
        }
        answer.insert("value".to_owned(), Json::Array(self.value));
        Json::Object(answer)
    }
}

/// A page of a list that is there as a whole: few enough to be read, filtered and ordered at once. Objects come in
/// an order that stays, and have an `id`.
pub(crate) fn of_all(mut all: Vec<Json>, query: &Query) -> Result<Page, Fault> {
    all.retain(|object| {
        query
            .filter
            .as_ref()
            .is_none_or(|filter| filter.passes(object, false))
            && query
                .search
                .as_ref()
                .is_none_or(|search| search.passes(object))
    });
    // By name, unless something else is asked for; the id decides between two.
    let mut order = query.order.clone();
    if order.is_empty() {
        order.push(("displayName".to_owned(), false));
    }
    order.push(("id".to_owned(), false));
    all.sort_by(|left, right| compare(left, right, &order));
    let count = (query.count && query.skiptoken.is_none()).then_some(all.len() as u64);
    let begin = match &query.skiptoken {
        Some(token) => {
            let last = open(token, "skiptoken")?;
            all.partition_point(|it| compare(it, &last, &order).is_le())
        }
        None => query.skip as usize,
    };
    let rest = all.len().saturating_sub(begin);
    let page: Vec<Json> = all
        .into_iter()
        .skip(begin)
        .take(query.top as usize)
        .collect();
    let next = page.last().filter(|_| rest > page.len()).map(|last| {
        let keys = order
            .iter()
            .map(|(name, _)| (name.clone(), last[name.as_str()].clone()));
        Json::Object(keys.collect())
    });
    Ok(Page {
        value: page,
        next,
        count,
    })
}

/// The order of two objects by some properties; texts without regard to case, what has no value first.
pub(crate) fn compare(left: &Json, right: &Json, order: &[(String, bool)]) -> std::cmp::Ordering {
    for (name, descending) in order {
        let by = key(&left[name.as_str()]).cmp(&key(&right[name.as_str()]));
        let by = if *descending { by.reverse() } else { by };
        if by.is_ne() {
            return by;
        }
    }
    std::cmp::Ordering::Equal
}

/// What a value is ordered by.
pub(crate) fn key(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.to_lowercase(),
        Json::Number(number) => format!("{:020}", number.as_i64().unwrap_or(0)),
        other => other.to_string(),
    }
}
