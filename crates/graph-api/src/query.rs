//! Query options (chapter 3): read once, with the bounds and refusals of the resource.

use serde_json::{Map, Value as Json};

use crate::answer::Fault;
use crate::filter::Filter;
use crate::search::Search;
use crate::shape::Shape;

/// Objects of a page, unless something else is asked for.
const USUAL: u32 = 100;

/// The options of a request.
#[derive(Debug, Default)]
pub(crate) struct Query {
    pub(crate) select: Option<Vec<String>>,
    pub(crate) filter: Option<Filter>,
    pub(crate) search: Option<Search>,
    /// By which properties, each with whether it is descending.
    pub(crate) order: Vec<(String, bool)>,
    pub(crate) top: u32,
    pub(crate) skip: u32,
    pub(crate) count: bool,
    pub(crate) expand: Vec<Expand>,
    pub(crate) skiptoken: Option<String>,
    pub(crate) deltatoken: Option<String>,
    /// The options that a link to the next page repeats, as they came.
    pub(crate) repeated: Vec<(String, String)>,
}

/// Something that is to come along.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Expand {
    pub(crate) name: String,
    pub(crate) select: Option<Vec<String>>,
}

/// What a list takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Takes {
    /// Objects of a page at most.
    pub(crate) most: u32,
    /// Needs `ConsistencyLevel: eventual` for what is advanced (3.3).
    pub(crate) is_directory: bool,
    pub(crate) skip: bool,
    pub(crate) search: bool,
    pub(crate) expand: &'static [&'static str],
}

/// Users, groups and what belongs to them.
pub(crate) const DIRECTORY: Takes = Takes {
    most: 999,
    is_directory: true,
    skip: false,
    search: true,
    expand: &[],
};

/// Everything else.
pub(crate) const PLAIN: Takes = Takes {
    most: 999,
    is_directory: false,
    skip: true,
    search: false,
    expand: &[],
};

/// The options as they came: names without `$` and in lower case.
pub(crate) fn pairs(query: &str) -> Result<Vec<(String, String)>, Fault> {
    let mut pairs = Vec::new();
    for part in query.split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let decode = |text: &str| {
            let spaced = text.replace('+', " ");
            percent_encoding::percent_decode_str(&spaced)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
                .map_err(|_| Fault::bad_request("The query is not UTF-8."))
        };
        let (name, value) = (decode(name)?, decode(value)?);
        if value.contains('\0') {
            return Err(Fault::bad_request("The query holds a NUL."));
        }
        let is_option = name.starts_with('$');
        let name = name.trim_start_matches('$').to_ascii_lowercase();
        if is_option && !OPTIONS.contains(&name.as_str()) {
            return Err(Fault::bad_request(format!(
                "The query parameter '${}' is not supported.",
                name.chars().take(40).collect::<String>()
            )));
        }
        pairs.push((name, value));
    }
    Ok(pairs)
}

/// The options of OData.
pub(crate) const OPTIONS: &[&str] = &[
    "select",
    "filter",
    "top",
    "orderby",
    "count",
    "search",
    "expand",
    "skip",
    "skiptoken",
    "deltatoken",
    "format",
];

impl Query {
    /// Reads the options of a list of such objects.
    pub(crate) fn read(
        pairs: &[(String, String)],
        shape: &Shape,
        takes: &Takes,
        is_eventual: bool,
    ) -> Result<Self, Fault> {
        let mut query = Self {
            top: USUAL,
            ..Self::default()
        };
        for (name, value) in pairs {
            let value = value.trim();
            let mut is_repeated = true;
            match name.as_str() {
                "select" => query.select = select(value, shape)?,
                "filter" => query.filter = Some(Filter::parse(value, shape)?),
                "top" => {
                    let top = value
                        .parse()
                        .ok()
                        .filter(|top| (1..=takes.most).contains(top));
                    query.top = top.ok_or_else(|| {
                        Fault::bad_request(format!(
                            "Invalid page size specified: '{}'. Must be between 1 and {} inclusive.",
                            value.chars().take(20).collect::<String>(),
                            takes.most
                        ))
                    })?;
                }
                "skip" if !takes.skip => {
                    return Err(Fault::bad_request(
                        "'$skip' is not supported here; follow @odata.nextLink.",
                    ));
                }
                "skip" => {
                    is_repeated = false;
                    query.skip = value
                        .parse()
                        .map_err(|_| Fault::bad_request("'$skip' takes a number."))?;
                }
                "orderby" => query.order = order(value, shape)?,
                "count" => {
                    is_repeated = false;
                    query.count = match value.to_ascii_lowercase().as_str() {
                        "true" => !takes.is_directory || is_eventual,
                        "false" => false,
                        _ => return Err(Fault::bad_request("'$count' is true or false.")),
                    };
                }
                "search" if !takes.search => {
                    return Err(Fault::unsupported("'$search' is not supported here."));
                }
                "search" if !is_eventual => {
                    return Err(Fault::unsupported(
                        "Request with $search query parameter only works through MSGraph with a special request \
                         header: 'ConsistencyLevel: eventual'",
                    ));
                }
                "search" => query.search = Some(Search::parse(value, shape)?),
                "expand" => query.expand = expand(value, takes.expand)?,
                "skiptoken" => {
                    is_repeated = false;
                    query.skiptoken = Some(value.to_owned());
                }
                "deltatoken" => {
                    is_repeated = false;
                    query.deltatoken = Some(value.to_owned());
                }
                _ => is_repeated = false,
            }
            if is_repeated {
                query.repeated.push((name.clone(), value.to_owned()));
            }
        }
        query.check_advanced(takes, is_eventual)?;
        Ok(query)
    }

    /// What is advanced needs the header and `$count=true`; a page that follows needs neither (3.3, 4.1).
    fn check_advanced(&self, takes: &Takes, is_eventual: bool) -> Result<(), Fault> {
        if !takes.is_directory || self.skiptoken.is_some() || (is_eventual && self.count) {
            return Ok(());
        }
        let is_usual = |(name, _): &(String, bool)| {
            ["displayName", "userPrincipalName"].contains(&name.as_str())
        };
        let advanced = self.filter.as_ref().is_some_and(Filter::is_advanced)
            || (self.filter.is_some() && !self.order.is_empty())
            || !self.order.iter().all(is_usual);
        if advanced {
            return Err(Fault::unsupported(
                "The specified filter or order is an advanced query: it needs the header \
                 'ConsistencyLevel: eventual' and '$count=true'.",
            ));
        }
        Ok(())
    }

    /// The object with what was asked for of it: the usual properties, or those that were named.
    pub(crate) fn shown(&self, object: Map<String, Json>, shape: &Shape) -> Json {
        let names: Vec<&str> = self.expand.iter().map(|it| it.name.as_str()).collect();
        shown(object, self.select.as_deref(), &names, shape)
    }

    /// What stands in `@odata.context` after the name of the collection.
    pub(crate) fn selected(&self) -> String {
        self.select
            .as_ref()
            .map_or_else(String::new, |names| format!("({})", names.join(",")))
    }
}

/// The object with the usual properties, or with those that were named; `id` is always there.
pub(crate) fn shown(
    object: Map<String, Json>,
    select: Option<&[String]>,
    besides: &[&str],
    shape: &Shape,
) -> Json {
    let is_wanted = |name: &str| {
        name == "id"
            || name.starts_with('@')
            || besides.contains(&name)
            || match select {
                Some(names) => names.iter().any(|it| it == name),
                None => shape.usual.is_empty() || shape.usual.contains(&name),
            }
    };
    let mut shown: Map<String, Json> = object
        .into_iter()
        .filter(|(name, _)| is_wanted(name))
        .collect();
    let named = match select {
        Some(names) => names.iter().map(String::as_str).collect(),
        None => shape.usual.to_vec(),
    };
    for name in named {
        if !shown.contains_key(name) {
            let none = if shape.find(&[name]).is_some_and(|(_, kind)| {
                matches!(
                    kind,
                    crate::shape::Kind::Texts | crate::shape::Kind::Objects
                )
            }) {
                Json::Array(Vec::new())
            } else {
                Json::Null
            };
            shown.insert(name.to_owned(), none);
        }
    }
    Json::Object(shown)
}

/// The names of `$select`; all of them for `*`.
pub(crate) fn select(text: &str, shape: &Shape) -> Result<Option<Vec<String>>, Fault> {
    if text.is_empty() {
        return Ok(None);
    }
    let mut names: Vec<String> = Vec::new();
    for name in text.split(',').map(str::trim) {
        if name == "*" {
            let all = shape.properties.iter().map(|(name, _)| (*name).to_owned());
            return Ok(Some(all.filter(|name| !name.contains('/')).collect()));
        }
        let Some(name) = shape.top(name) else {
            return Err(unknown(name, shape));
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(Some(names))
}

fn unknown(name: &str, shape: &Shape) -> Fault {
    Fault::bad_request(format!(
        "Parsing OData Select and Expand failed: Could not find a property named '{}' on type \
         'microsoft.graph.{}'.",
        name.chars().take(60).collect::<String>(),
        shape.type_name
    ))
}

/// Properties of an order at most.
const KEYS: usize = 5;

fn order(text: &str, shape: &Shape) -> Result<Vec<(String, bool)>, Fault> {
    if text.split(',').count() > KEYS {
        return Err(Fault::bad_request(format!(
            "'$orderby' takes at most {KEYS} properties."
        )));
    }
    text.split(',')
        .map(|key| {
            let mut words = key.split_whitespace();
            let name = words.next().unwrap_or_default();
            let descending = match words.next().map(str::to_ascii_lowercase).as_deref() {
                None | Some("asc") => false,
                Some("desc") => true,
                Some(other) => {
                    return Err(Fault::bad_request(format!(
                        "'{other}' is no direction of '$orderby'; write asc or desc."
                    )));
                }
            };
            let name = shape.top(name).ok_or_else(|| unknown(name, shape))?;
            Ok((name, descending))
        })
        .collect()
}

fn expand(text: &str, takes: &[&str]) -> Result<Vec<Expand>, Fault> {
    let mut expands = Vec::new();
    // Commas within parentheses are those of a nested `$select`.
    let mut depth = 0;
    let parts = text.split(|letter| {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        letter == ',' && depth == 0
    });
    for part in parts.map(str::trim).filter(|part| !part.is_empty()) {
        let (name, inner) = match part.split_once('(') {
            Some((name, inner)) => (name.trim(), inner.strip_suffix(')')),
            None => (part, Some("")),
        };
        let known = takes.iter().find(|it| it.eq_ignore_ascii_case(name));
        let (Some(name), Some(inner)) = (known, inner) else {
            return Err(Fault::bad_request(format!(
                "'$expand={}' is not supported here{}.",
                name.chars().take(60).collect::<String>(),
                if takes.is_empty() {
                    String::new()
                } else {
                    format!("; choose from {}", takes.join(", "))
                }
            )));
        };
        let mut select = None;
        for option in inner.split(';').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some((name, names)) if name.trim().trim_start_matches('$') == "select" => {
                    select = Some(names.split(',').map(|it| it.trim().to_owned()).collect());
                }
                Some((name, _))
                    if ["top", "levels"].contains(&name.trim().trim_start_matches('$')) => {}
                _ => {
                    return Err(Fault::bad_request(
                        "Within '$expand' only '$select' is supported.",
                    ));
                }
            }
        }
        if expands.iter().any(|it: &Expand| it.name == *name) {
            return Err(Fault::bad_request(format!("'$expand' names {name} twice.")));
        }
        expands.push(Expand {
            name: (*name).to_owned(),
            select,
        });
    }
    Ok(expands)
}

/// A text within a link.
pub(crate) fn encode(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, LINK).to_string()
}

const LINK: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b',')
    .remove(b'(')
    .remove(b')')
    .remove(b'\'')
    .remove(b'/');
