//! Parameters of a list, from the query string or from a search body (RFC 7644 sections 3.4.2 and 3.4.3).

use serde_json::Value;

use crate::Map;
use crate::attr_path::AttrPath;
use crate::error::ScimError;
use crate::filter::Filter;
use crate::message::{SEARCH_REQUEST, names_nothing_else};
use crate::projection::MAX_NAMES;
use crate::sort::SortOrder;
use crate::text::shown;

/// What a client asks of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct ListQuery {
    /// Which resources.
    pub filter: Option<Filter>,
    /// `attributes`, as sent.
    pub attributes: Vec<String>,
    /// `excludedAttributes`, as sent.
    pub excluded_attributes: Vec<String>,
    /// By which attribute to sort.
    pub sort_by: Option<AttrPath>,
    /// In which order.
    pub sort_order: SortOrder,
    /// The first resource of the page, from 1.
    pub start_index: u64,
    /// How many at most; none leaves it to the server.
    pub count: Option<u64>,
    /// The cursor of RFC 9865; empty starts.
    pub cursor: Option<String>,
}

impl Default for ListQuery {
    fn default() -> Self {
        Self {
            filter: None,
            attributes: Vec::new(),
            excluded_attributes: Vec::new(),
            sort_by: None,
            sort_order: SortOrder::default(),
            start_index: 1,
            count: None,
            cursor: None,
        }
    }
}

impl ListQuery {
    /// Reads decoded query pairs; names in any case (profile section 12.5), unknown ones ignored.
    pub fn from_pairs<K, V>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self, ScimError>
    where
        K: AsRef<str>,
        V: AsRef<str>,
    {
        let mut query = Self::default();
        for (name, value) in pairs {
            let (name, value) = (name.as_ref(), value.as_ref());
            if let Some(parameter) = Parameter::find(name) {
                query.take(parameter, &Value::from(value), Source::Url)?;
            }
        }
        Ok(query)
    }

    /// Reads a search request; `schemas` may be missing but must not name something else (profile section 6.4).
    pub fn from_search(body: &Map) -> Result<Self, ScimError> {
        names_nothing_else(body, SEARCH_REQUEST)?;
        let mut query = Self::default();
        for (name, value) in body.iter().filter(|(_, value)| !value.is_null()) {
            if let Some(parameter) = Parameter::find(name) {
                query.take(parameter, value, Source::Body)?;
            }
        }
        Ok(query)
    }

    /// How many resources to skip.
    pub fn offset(&self) -> u64 {
        self.start_index - 1
    }

    /// How many resources the page holds at most, below the server's maximum.
    pub fn limit(&self, max_results: u64) -> u64 {
        self.count
            .map_or(max_results, |count| count.min(max_results))
    }

    fn take(
        &mut self,
        parameter: Parameter,
        value: &Value,
        source: Source,
    ) -> Result<(), ScimError> {
        let name = parameter.name();
        match parameter {
            Parameter::Filter => self.filter = Some(Filter::parse(text(name, value)?)?),
            Parameter::Attributes => self.attributes = names(name, value)?,
            Parameter::ExcludedAttributes => self.excluded_attributes = names(name, value)?,
            Parameter::SortBy => self.sort_by = sort_path(text(name, value)?)?,
            Parameter::SortOrder => self.sort_order = order(text(name, value)?)?,
            Parameter::StartIndex => {
                self.start_index = integer(name, value, source)?.max(1);
            }
            Parameter::Count => self.count = Some(integer(name, value, source)?),
            Parameter::Cursor => self.cursor = Some(text(name, value)?.to_owned()),
        }
        Ok(())
    }
}

#[derive(Debug, Clone, Copy)]
enum Parameter {
    Filter,
    Attributes,
    ExcludedAttributes,
    SortBy,
    SortOrder,
    StartIndex,
    Count,
    Cursor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Url,
    Body,
}

impl Parameter {
    const ALL: [(Parameter, &'static str); 8] = [
        (Parameter::Filter, "filter"),
        (Parameter::Attributes, "attributes"),
        (Parameter::ExcludedAttributes, "excludedAttributes"),
        (Parameter::SortBy, "sortBy"),
        (Parameter::SortOrder, "sortOrder"),
        (Parameter::StartIndex, "startIndex"),
        (Parameter::Count, "count"),
        (Parameter::Cursor, "cursor"),
    ];

    fn find(name: &str) -> Option<Self> {
        let found = Self::ALL
            .iter()
            .find(|(_, known)| name.eq_ignore_ascii_case(known));
        found.map(|(parameter, _)| *parameter)
    }

    fn name(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

fn text<'v>(name: &str, value: &'v Value) -> Result<&'v str, ScimError> {
    value
        .as_str()
        .ok_or_else(|| ScimError::invalid_value(format!("{name} must be text")))
}

/// A list of names, or names joined by commas; commas inside brackets belong to the name.
fn names(name: &str, value: &Value) -> Result<Vec<String>, ScimError> {
    let list = match value {
        Value::String(text) => split_names(text),
        Value::Array(items) => items
            .iter()
            .map(|item| text(name, item).map(str::to_owned))
            .collect::<Result<Vec<_>, _>>()?,
        _ => {
            return Err(ScimError::invalid_value(format!(
                "{name} must be a list of names"
            )));
        }
    };
    if list.len() > MAX_NAMES {
        return Err(ScimError::invalid_value(format!(
            "{name} may hold {MAX_NAMES} names at most"
        )));
    }
    Ok(list)
}

fn split_names(text: &str) -> Vec<String> {
    let mut inside = false;
    text.split(|c| {
        match c {
            '[' => inside = true,
            ']' => inside = false,
            _ => {}
        }
        c == ',' && !inside
    })
    .map(str::trim)
    .filter(|name| !name.is_empty())
    .take(MAX_NAMES + 1)
    .map(str::to_owned)
    .collect()
}

fn sort_path(text: &str) -> Result<Option<AttrPath>, ScimError> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    AttrPath::parse(text).map(Some).map_err(|_| {
        ScimError::invalid_path(format!(
            "sortBy: {:?} is not an attribute name",
            shown(text)
        ))
    })
}

fn order(text: &str) -> Result<SortOrder, ScimError> {
    match text.trim() {
        "" => Ok(SortOrder::Ascending),
        word if word.eq_ignore_ascii_case("ascending") => Ok(SortOrder::Ascending),
        word if word.eq_ignore_ascii_case("descending") => Ok(SortOrder::Descending),
        _ => Err(ScimError::invalid_value(
            "sortOrder must be ascending or descending",
        )),
    }
}

/// An integer, negative ones as 0 and ones too large for any type as the largest (profile section 6.3).
fn integer(name: &str, value: &Value, source: Source) -> Result<u64, ScimError> {
    let wrong = || ScimError::invalid_value(format!("{name} must be an integer"));
    match value {
        Value::String(text) if source == Source::Url => {
            let text = text.trim();
            let (negative, digits) = match text.strip_prefix('-') {
                Some(digits) => (true, digits),
                None => (false, text.strip_prefix('+').unwrap_or(text)),
            };
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(wrong());
            }
            Ok(if negative {
                0
            } else {
                digits.parse().unwrap_or(u64::MAX)
            })
        }
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), ..) => Ok(number),
            (_, Some(_), _) => Ok(0),
            // Too large for an integer type; the conversion saturates.
            (_, _, Some(float)) if float.fract() == 0.0 => Ok(float as u64),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ScimType;
    use serde_json::json;

    #[track_caller]
    fn check_page(query: &str, want: Option<(u64, Option<u64>)>) {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        let got = ListQuery::from_pairs(pairs).map(|query| (query.start_index, query.count));
        assert_eq!(got.as_ref().ok().copied(), want, "{query}");
        if let Err(error) = got {
            assert_eq!(
                (error.status, error.scim_type),
                (400, Some(ScimType::InvalidValue))
            );
        }
    }

    // Profile section 6.3.
    #[test]
    fn page_numbers_are_bounded_and_checked() {
        check_page("", Some((1, None)));
        check_page("startIndex=3&count=10", Some((3, Some(10))));
        check_page("startindex=3&COUNT=10", Some((3, Some(10))));
        check_page("startIndex=0", Some((1, None)));
        check_page("startIndex=-5", Some((1, None)));
        check_page("count=-5", Some((1, Some(0))));
        check_page("count=0", Some((1, Some(0))));
        check_page(
            "count=99999999999999999999999999",
            Some((1, Some(u64::MAX))),
        );
        check_page("startIndex=-99999999999999999999999999", Some((1, None)));
        check_page("count=ten", None);
        check_page("count=1.5", None);
        check_page("count=", None);
        check_page("startIndex=1e3", None);
        check_page("nothing=5&count=2", Some((1, Some(2))));
    }

    #[test]
    fn the_server_caps_the_page() {
        let query = |count| ListQuery {
            count,
            ..ListQuery::default()
        };
        assert_eq!(query(None).limit(200), 200);
        assert_eq!(query(Some(5)).limit(200), 5);
        assert_eq!(query(Some(u64::MAX)).limit(200), 200);
        assert_eq!(
            ListQuery {
                start_index: u64::MAX,
                ..query(None)
            }
            .offset(),
            u64::MAX - 1
        );
    }

    #[test]
    fn names_are_split_at_commas_outside_brackets() {
        let query = ListQuery::from_pairs([
            ("attributes", r#"userName, emails[type eq "a,b"].value,,"#),
            ("ExcludedAttributes", "members"),
        ])
        .unwrap();
        assert_eq!(
            query.attributes,
            ["userName", r#"emails[type eq "a,b"].value"#]
        );
        assert_eq!(query.excluded_attributes, ["members"]);
        let many = "a,".repeat(MAX_NAMES + 1);
        assert!(ListQuery::from_pairs([("attributes", many)]).is_err());
    }

    // Profile section 6.2: an empty filter is refused.
    #[test]
    fn bad_filters_and_sort_orders_are_refused() {
        for filter in ["", " ", "userName"] {
            let error = ListQuery::from_pairs([("filter", filter)]).unwrap_err();
            assert_eq!(error.scim_type, Some(ScimType::InvalidFilter));
        }
        assert!(ListQuery::from_pairs([("sortOrder", "sideways")]).is_err());
        assert!(ListQuery::from_pairs([("sortBy", "a b")]).is_err());
        let query =
            ListQuery::from_pairs([("sortBy", "userName"), ("sortorder", "Descending")]).unwrap();
        assert_eq!(query.sort_order, SortOrder::Descending);
    }

    #[track_caller]
    fn check_search(body: Value, want: bool) {
        let Value::Object(body) = body else {
            panic!("an object")
        };
        let got = ListQuery::from_search(&body);
        assert_eq!(got.is_ok(), want, "{got:?}");
    }

    // Profile section 6.4.
    #[test]
    fn search_bodies_are_checked() {
        check_search(
            json!({"schemas": [SEARCH_REQUEST], "filter": "userName pr", "attributes": ["userName"], "excludedAttributes": [], "sortBy": "userName", "sortOrder": "descending", "startIndex": 1, "count": 5}),
            true,
        );
        check_search(json!({}), true);
        check_search(json!({"count": null, "filter": null}), true);
        check_search(json!({"schemas": ["urn:other"]}), false);
        check_search(json!({"count": "5"}), false);
        check_search(json!({"count": 1.5}), false);
        check_search(json!({"count": 1e30}), true);
        check_search(json!({"count": -1e30}), true);
        check_search(json!({"count": true}), false);
        check_search(json!({"filter": 5}), false);
        check_search(json!({"filter": "userName zz"}), false);
        check_search(json!({"attributes": [5]}), false);
        check_search(json!({"attributes": "userName,title"}), true);
        check_search(json!({"sortBy": ["a"]}), false);
    }
}
