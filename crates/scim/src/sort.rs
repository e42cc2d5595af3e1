//! The order of the resources in a list (RFC 7644 section 3.4.2.3).

use std::cmp::Ordering;

use jiff::Timestamp;
use serde_json::Value;

use crate::Map;
use crate::attr_path::{AttrPath, Located};
use crate::path::is_primary;
use crate::schema::{AttributeType, ResourceType};
use crate::text::{boolean, fold};
use crate::time;

/// The order of a sorted list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SortOrder {
    /// Smallest first, missing values last.
    #[default]
    Ascending,
    /// Largest first, missing values first.
    Descending,
}

/// Sorts resources of one type by an attribute (RFC 7644 section 3.4.2.3).
#[derive(Debug, Clone, Copy)]
pub struct Sorter<'s> {
    place: Option<Place<'s>>,
    order: SortOrder,
}

#[derive(Debug, Clone, Copy)]
struct Place<'s> {
    extension: Option<&'s str>,
    name: &'s str,
    sub: Option<&'s str>,
    kind: AttributeType,
    case_exact: bool,
}

/// What one resource is sorted by. Missing is the largest, hence last ascending and first descending.
#[derive(Debug, Clone, PartialEq)]
pub enum SortKey {
    /// A boolean; false comes first.
    Bool(bool),
    /// A number.
    Number(f64),
    /// An instant, whatever the zone it was written in.
    Time(Timestamp),
    /// Text, folded unless case matters.
    Text(String),
    /// No value.
    Missing,
}

impl<'s> Sorter<'s> {
    /// Prepares sorting; an attribute that the type does not have is missing in all its resources.
    pub fn new(path: &AttrPath, order: SortOrder, kind: &'s ResourceType) -> Self {
        let place = match path.locate(kind) {
            Some(Located::Attribute {
                extension,
                attribute,
                sub,
            }) if !attribute.is_secret() => {
                let value = attribute.sub_attributes.find("value");
                let leaf = sub.or(value).unwrap_or(attribute);
                Some(Place {
                    extension: extension.map(|schema| schema.id.as_str()),
                    name: &attribute.name,
                    sub: sub.or(value).map(|sub| sub.name.as_str()),
                    kind: leaf.kind,
                    case_exact: leaf.case_exact,
                })
            }
            _ => None,
        };
        Self { place, order }
    }

    /// The key of a document: of a list, the primary or else the first value counts.
    pub fn key(&self, document: &Map) -> SortKey {
        self.place
            .and_then(|place| place.key(document))
            .unwrap_or(SortKey::Missing)
    }

    /// Orders two keys as asked.
    pub fn compare(&self, a: &SortKey, b: &SortKey) -> Ordering {
        self.order.compare(a, b)
    }
}

impl SortOrder {
    /// Orders two keys, which may come from resources of different types.
    pub fn compare(self, a: &SortKey, b: &SortKey) -> Ordering {
        match self {
            Self::Ascending => a.order(b),
            Self::Descending => b.order(a),
        }
    }
}

impl Place<'_> {
    fn key(&self, document: &Map) -> Option<SortKey> {
        let map = match self.extension {
            Some(urn) => document.get(urn)?.as_object()?,
            None => document,
        };
        let value = match map.get(self.name)? {
            Value::Array(items) => items
                .iter()
                .find(|item| is_primary(item))
                .or_else(|| items.first())?,
            single => single,
        };
        let value = match (self.sub, value) {
            (Some(sub), Value::Object(parts)) => parts.get(sub)?,
            (_, value) => value,
        };
        match self.kind {
            AttributeType::Boolean => boolean(value).map(SortKey::Bool),
            AttributeType::Integer | AttributeType::Decimal => value.as_f64().map(SortKey::Number),
            AttributeType::DateTime => value.as_str().and_then(time::parse).map(SortKey::Time),
            AttributeType::Complex => None,
            AttributeType::String | AttributeType::Reference | AttributeType::Binary => {
                let text = value.as_str()?;
                Some(SortKey::Text(if self.case_exact {
                    text.to_owned()
                } else {
                    fold(text).into_owned()
                }))
            }
        }
    }
}

impl SortKey {
    fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (SortKey::Bool(a), SortKey::Bool(b)) => a.cmp(b),
            (SortKey::Number(a), SortKey::Number(b)) => a.total_cmp(b),
            (SortKey::Time(a), SortKey::Time(b)) => a.cmp(b),
            (SortKey::Text(a), SortKey::Text(b)) => a.cmp(b),
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            SortKey::Bool(_) => 0,
            SortKey::Number(_) => 1,
            SortKey::Time(_) => 2,
            SortKey::Text(_) => 3,
            SortKey::Missing => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::user;
    use serde_json::json;

    #[track_caller]
    fn check_order(sort_by: &str, order: SortOrder, documents: &[Value], want: &[usize]) {
        let sorter = Sorter::new(&AttrPath::parse(sort_by).unwrap(), order, user());
        let keys: Vec<SortKey> = documents
            .iter()
            .map(|document| sorter.key(document.as_object().unwrap()))
            .collect();
        let mut positions: Vec<usize> = (0..keys.len()).collect();
        positions.sort_by(|&a, &b| sorter.compare(&keys[a], &keys[b]));
        assert_eq!(positions, want, "{sort_by}");
    }

    // Profile section 6.3: case rule of the attribute, missing last ascending and first descending, primary or first value.
    #[test]
    fn resources_are_sorted_by_any_attribute() {
        use SortOrder::{Ascending, Descending};
        let names = [
            json!({"userName": "bob"}),
            json!({}),
            json!({"userName": "Ana"}),
        ];
        check_order("userName", Ascending, &names, &[2, 0, 1]);
        check_order("USERNAME", Descending, &names, &[1, 0, 2]);
        check_order(
            "urn:ietf:params:scim:schemas:core:2.0:User:userName",
            Ascending,
            &names,
            &[2, 0, 1],
        );
        check_order("password", Ascending, &names, &[0, 1, 2]);
        check_order("nothing", Descending, &names, &[0, 1, 2]);
        let ids = [json!({"externalId": "b"}), json!({"externalId": "B"})];
        check_order("externalId", Ascending, &ids, &[1, 0]);
        let mails = [
            json!({"emails": [{"value": "z"}, {"value": "a", "primary": true}]}),
            json!({"emails": [{"value": "b"}]}),
        ];
        check_order("emails", Ascending, &mails, &[0, 1]);
        check_order("emails.value", Descending, &mails, &[1, 0]);
        let times = [
            json!({"meta": {"created": "2026-01-01T10:00:00Z"}}),
            json!({"meta": {"created": "2026-01-01T10:30:00+02:00"}}),
        ];
        check_order("meta.created", Ascending, &times, &[1, 0]);
        let flags = [json!({"active": true}), json!({"active": false}), json!({})];
        check_order("active", Ascending, &flags, &[1, 0, 2]);
    }
}
