//! Bulk requests (RFC 7644 section 3.7): reading them, the order in which their operations must run, and the answer.
//!
//! A `bulkId` stands for the id of a resource that the same request creates. Whoever runs the operations chooses
//! these ids before the first of them runs; so every reference can be put in its place, forward and circular ones too.

use std::collections::{HashMap, HashSet};

use serde::Serialize;
use serde_json::Value;

use crate::Map;
use crate::error::ScimError;
use crate::message::{BULK_REQUEST, BULK_RESPONSE, names_nothing_else};
use crate::text::{find_member, shown};

/// Operations of one request at most.
pub const MAX_OPERATIONS: usize = 1000;
/// What a reference begins with.
const PREFIX: &str = "bulkId:";

/// A bulk request.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkRequest {
    /// After how many failed operations to stop; none tries everything.
    pub fail_on_errors: Option<u64>,
    /// The operations, as sent.
    pub operations: Vec<BulkOperation>,
}

/// One operation of a bulk request.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkOperation {
    /// `POST`, `PUT`, `PATCH` or `DELETE`, in capitals; anything else is refused when it runs.
    pub method: String,
    /// The client's name for what a POST creates.
    pub bulk_id: Option<String>,
    /// Acts like `If-Match`.
    pub version: Option<String>,
    /// The path below the base URL.
    pub path: String,
    /// The body.
    pub data: Value,
    /// The `bulkId`s that path and body refer to.
    refers_to: Vec<String>,
}

impl BulkRequest {
    /// Reads the body; what is wrong with one operation alone is left for that operation's answer.
    pub fn parse(mut body: Map) -> Result<Self, ScimError> {
        names_nothing_else(&body, BULK_REQUEST)?;
        let fail_on_errors = match find_member(&body, "failOnErrors") {
            None | Some(Value::Null) => None,
            Some(value) => Some(value.as_u64().ok_or_else(|| {
                ScimError::invalid_value("failOnErrors must be a whole number that is not negative")
            })?),
        };
        let key = crate::text::find_key(&body, "Operations").map(str::to_owned);
        let Some(Value::Array(operations)) = key.and_then(|key| body.remove(&key)) else {
            return Err(ScimError::invalid_syntax("Operations must be a list"));
        };
        if operations.len() > MAX_OPERATIONS {
            return Err(ScimError::too_large(format!(
                "a bulk request holds {MAX_OPERATIONS} operations at most (maxOperations), this one {}",
                operations.len()
            )));
        }
        let operations = operations
            .into_iter()
            .map(BulkOperation::parse)
            .collect::<Result<Vec<_>, _>>()?;
        let mut seen = HashSet::with_capacity(operations.len());
        for bulk_id in operations.iter().filter_map(BulkOperation::created) {
            if !seen.insert(bulk_id) {
                return Err(ScimError::invalid_value(format!(
                    "two operations have the bulkId {:?}",
                    shown(bulk_id)
                )));
            }
        }
        Ok(Self {
            // Zero errors are reached before the first operation; nobody means that.
            fail_on_errors: fail_on_errors.filter(|most| *most > 0),
            operations,
        })
    }

    /// Does any operation refer to a `bulkId`?
    pub fn refers(&self) -> bool {
        let mut all = self.operations.iter();
        all.any(|operation| !operation.refers_to.is_empty())
    }

    /// The operations in groups that can run one after the other: what a group refers to was created in an earlier
    /// group or in itself, and then it stands or falls as a whole. Otherwise the order is that of the request.
    pub fn groups(&self) -> Vec<Vec<usize>> {
        if !self.refers() {
            return (0..self.operations.len()).map(|at| vec![at]).collect();
        }
        let mut creators: HashMap<&str, usize> = HashMap::with_capacity(self.operations.len());
        for (at, operation) in self.operations.iter().enumerate() {
            creators.extend(operation.created().map(|bulk_id| (bulk_id, at)));
        }
        let needs: Vec<Vec<usize>> = self
            .operations
            .iter()
            .map(|operation| {
                let creators = operation.references().filter_map(|id| creators.get(id));
                creators.copied().collect()
            })
            .collect();
        strong_components(&needs)
    }
}

impl BulkOperation {
    fn parse(operation: Value) -> Result<Self, ScimError> {
        let Value::Object(mut operation) = operation else {
            return Err(ScimError::invalid_syntax("an operation must be an object"));
        };
        let mut take = |name: &str| {
            let taken = operation.remove(name).or_else(|| {
                let key = crate::text::find_key(&operation, name)?.to_owned();
                operation.remove(&key)
            });
            taken.filter(|value| !value.is_null())
        };
        let text = |name: &str, value: Option<Value>| match value {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ScimError::invalid_syntax(format!(
                "{name} of an operation must be text"
            ))),
        };
        let method = text("method", take("method"))?.unwrap_or_default();
        let mut operation = Self {
            method: method.to_ascii_uppercase(),
            bulk_id: text("bulkId", take("bulkId"))?.filter(|id| !id.is_empty()),
            version: text("version", take("version"))?,
            path: text("path", take("path"))?.unwrap_or_default(),
            data: take("data").unwrap_or_default(),
            refers_to: Vec::new(),
        };
        operation.refers_to = operation.find_references();
        Ok(operation)
    }

    /// The `bulkId` that it defines.
    pub fn created(&self) -> Option<&str> {
        self.bulk_id.as_deref().filter(|_| self.method == "POST")
    }

    /// Puts ids in the place of references, in the path and in the body. A reference that nothing defines is an
    /// error: no request can mean a text that looks like one.
    pub fn resolve(&mut self, id_of: &dyn Fn(&str) -> Option<String>) -> Result<(), ScimError> {
        if self.refers_to.is_empty() {
            return Ok(());
        }
        if let Some((before, bulk_id)) = path_reference(&self.path) {
            self.path = format!("{before}{}", resolved(bulk_id, id_of)?);
        }
        resolve_in(&mut self.data, "", id_of)?;
        self.refers_to = self.find_references();
        Ok(())
    }

    /// The `bulkId`s that it refers to, each once.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.refers_to.iter().map(String::as_str)
    }

    fn find_references(&self) -> Vec<String> {
        let mut found: Vec<&str> = Vec::new();
        found.extend(path_reference(&self.path).map(|(_, bulk_id)| bulk_id));
        references_in(&self.data, "", &mut |bulk_id| found.push(bulk_id));
        let mut seen = HashSet::new();
        found.retain(|bulk_id| seen.insert(*bulk_id));
        found.into_iter().map(str::to_owned).collect()
    }
}

/// The part of a path in front of `bulkId:`, and the id behind it.
fn path_reference(path: &str) -> Option<(&str, &str)> {
    let at = path.find(PREFIX)?;
    Some((&path[..at], &path[at + PREFIX.len()..]))
}

fn resolved(bulk_id: &str, id_of: &dyn Fn(&str) -> Option<String>) -> Result<String, ScimError> {
    id_of(bulk_id).ok_or_else(|| {
        ScimError::invalid_value(format!(
            "no operation of the request creates bulkId {:?}",
            shown(bulk_id)
        ))
    })
}

/// Members that hold references: `value` and `$ref`, and what may be a bare id.
fn refers(name: &str) -> bool {
    let last = name.rsplit(':').next().unwrap_or(name);
    ["value", "$ref", "members", "manager"]
        .iter()
        .any(|known| last.eq_ignore_ascii_case(known))
}

/// Resolves what the member `name` holds.
fn resolve_in(
    value: &mut Value,
    name: &str,
    id_of: &dyn Fn(&str) -> Option<String>,
) -> Result<(), ScimError> {
    match value {
        Value::String(text) => {
            if let Some((before, bulk_id)) = reference(text).filter(|_| refers(name)) {
                *text = format!("{before}{}", resolved(bulk_id, id_of)?);
            }
            Ok(())
        }
        Value::Array(items) => items
            .iter_mut()
            .try_for_each(|item| resolve_in(item, name, id_of)),
        Value::Object(map) => map.iter_mut().try_for_each(|(name, value)| {
            if name.eq_ignore_ascii_case("path")
                && let Value::String(path) = value
            {
                return resolve_filter(path, id_of);
            }
            resolve_in(value, name, id_of)
        }),
        _ => Ok(()),
    }
}

/// What stands before a reference, and the id that it names; `$ref` may be an address that ends in one, such as
/// `../Users/bulkId:x`.
fn reference(text: &str) -> Option<(&str, &str)> {
    // Most texts are short, or hold no address.
    if text.len() < PREFIX.len() {
        return None;
    }
    if let Some(bulk_id) = text.strip_prefix(PREFIX) {
        return Some(("", bulk_id));
    }
    let at = text.rfind('/')? + 1;
    Some((&text[..at], text[at..].strip_prefix(PREFIX)?))
}

/// `members[value eq "bulkId:x"]`: the references in the texts of a filter.
fn resolve_filter(
    path: &mut String,
    id_of: &dyn Fn(&str) -> Option<String>,
) -> Result<(), ScimError> {
    let parts = path.split('"').enumerate().map(|(at, text)| {
        // Every second part is between quotes.
        let reference = text.strip_prefix(PREFIX).filter(|_| at % 2 == 1);
        reference.map_or_else(|| Ok(text.to_owned()), |bulk_id| resolved(bulk_id, id_of))
    });
    *path = parts.collect::<Result<Vec<_>, _>>()?.join("\"");
    Ok(())
}

fn filter_references<'a>(path: &'a str, found: &mut dyn FnMut(&'a str)) {
    let quoted = path.split('"').skip(1).step_by(2);
    quoted
        .filter_map(|text| text.strip_prefix(PREFIX))
        .for_each(found);
}

/// Finds what the member `name` holds. Texts are looked at before names: few look like a reference.
fn references_in<'a>(value: &'a Value, name: &str, found: &mut dyn FnMut(&'a str)) {
    match value {
        Value::String(text) => {
            if let Some((_, bulk_id)) = reference(text).filter(|_| refers(name)) {
                found(bulk_id);
            }
        }
        Value::Array(items) => {
            for item in items {
                references_in(item, name, found);
            }
        }
        Value::Object(map) => {
            for (name, value) in map {
                match value {
                    Value::String(path) if name.eq_ignore_ascii_case("path") => {
                        filter_references(path, found);
                    }
                    _ => references_in(value, name, found),
                }
            }
        }
        _ => {}
    }
}

/// The strongly connected components of a graph, each after those that it needs (Tarjan), members in order.
fn strong_components(needs: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let (mut seen, mut low) = (vec![UNSEEN; needs.len()], vec![0; needs.len()]);
    let (mut open, mut stack, mut count) = (vec![false; needs.len()], Vec::new(), 0);
    let mut components = Vec::new();
    for root in 0..needs.len() {
        if seen[root] != UNSEEN {
            continue;
        }
        // Each entry: a node, and which of its needs comes next.
        let mut walk = vec![(root, 0)];
        while let Some(&mut (node, ref mut next)) = walk.last_mut() {
            if *next == 0 {
                (seen[node], low[node]) = (count, count);
                count += 1;
                stack.push(node);
                open[node] = true;
            }
            if let Some(&need) = needs[node].get(*next) {
                *next += 1;
                if seen[need] == UNSEEN {
                    walk.push((need, 0));
                } else if open[need] {
                    low[node] = low[node].min(seen[need]);
                }
                continue;
            }
            walk.pop();
            if let Some(&(parent, _)) = walk.last() {
                low[parent] = low[parent].min(low[node]);
            }
            if low[node] == seen[node] {
                let from = stack.iter().rposition(|it| *it == node).unwrap_or(0);
                let mut component = stack.split_off(from);
                for member in &component {
                    open[*member] = false;
                }
                component.sort_unstable();
                components.push(component);
            }
        }
    }
    components
}

/// What became of one operation.
#[derive(Debug, Clone, PartialEq)]
pub struct BulkAnswer {
    /// The address of the resource, when there is one.
    pub location: Option<String>,
    /// Its entity tag.
    pub version: Option<String>,
    /// The HTTP status, or what went wrong.
    pub result: Result<u16, ScimError>,
}

/// An answer as it is written.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told<'o> {
    method: &'o str,
    #[serde(skip_serializing_if = "Option::is_none")]
    bulk_id: Option<&'o str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    response: Option<Value>,
}

#[derive(Serialize)]
struct Response<'o> {
    schemas: [&'static str; 1],
    #[serde(rename = "Operations")]
    operations: Vec<Told<'o>>,
}

/// The answer to a bulk request, as JSON text: each operation that was tried, with what became of it.
pub fn bulk_response<'o>(
    answers: impl IntoIterator<Item = (&'o BulkOperation, BulkAnswer)>,
) -> Result<String, ScimError> {
    let told = answers.into_iter().map(|(operation, answer)| {
        let (status, response) = match answer.result {
            Ok(status) => (status, None),
            Err(error) => (error.status, Some(error.to_json())),
        };
        Told {
            method: &operation.method,
            bulk_id: operation.bulk_id.as_deref(),
            location: answer.location,
            version: answer.version,
            status: status.to_string(),
            response,
        }
    });
    let response = Response {
        schemas: [BULK_RESPONSE],
        operations: told.collect(),
    };
    serde_json::to_string(&response)
        .map_err(|error| ScimError::internal(format!("an answer cannot be printed: {error}")))
}

#[cfg(test)]
mod tests;
