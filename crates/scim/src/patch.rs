//! PATCH requests: reading them in every known dialect, and writing them strictly (RFC 7644 section 3.5.2).

mod apply;
mod target;
#[cfg(test)]
mod tests;

use serde_json::{Value, json};

use crate::Map;
use crate::error::ScimError;
use crate::member::MemberChange;
use crate::message::{PATCH_OP, names_schema, patch_op};
use crate::path::Path;
use crate::text::shown;

pub use apply::{apply, members_alone};

/// The most operations in one request.
pub const MAX_OPERATIONS: usize = 20_000;

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Set, merge or append.
    Add,
    /// Set, merge, or put in place of a whole list.
    Replace,
    /// Take away.
    Remove,
}

impl Op {
    /// The word of the RFC.
    pub fn as_str(self) -> &'static str {
        match self {
            Op::Add => "add",
            Op::Replace => "replace",
            Op::Remove => "remove",
        }
    }

    /// Reads the word in any case: Entra capitalises it, others shout (profile section 14).
    pub fn parse(word: &str) -> Option<Self> {
        [Op::Add, Op::Replace, Op::Remove]
            .into_iter()
            .find(|op| word.eq_ignore_ascii_case(op.as_str()))
    }
}

/// One operation.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// What to do.
    pub op: Op,
    /// Where; without a path the value is an object whose members are paths.
    pub path: Option<Path>,
    /// With what; JSON `null` is a value of its own and clears.
    pub value: Option<Value>,
}

impl Operation {
    /// An operation at a path.
    pub fn new(op: Op, path: Path, value: Option<Value>) -> Self {
        Self {
            op,
            path: Some(path),
            value,
        }
    }

    /// The operation as the RFC writes it.
    pub fn to_json(&self) -> Value {
        let mut body = json!({"op": self.op.as_str()});
        if let Some(path) = &self.path {
            body["path"] = Value::from(path.to_string());
        }
        if let Some(value) = &self.value {
            body["value"] = value.clone();
        }
        body
    }

    fn parse(value: Value) -> Result<Self, ScimError> {
        let Value::Object(members) = value else {
            return Err(ScimError::invalid_syntax(
                "each operation must be an object",
            ));
        };
        let mut op = None;
        let mut path = None;
        let mut value = None;
        for (name, member) in members {
            if name.eq_ignore_ascii_case("op") {
                op = Some(parse_op(&member)?);
            } else if name.eq_ignore_ascii_case("path") {
                path = parse_path(&member)?;
            } else if name.eq_ignore_ascii_case("value") {
                value = Some(member);
            }
        }
        let op = op.ok_or_else(|| ScimError::invalid_syntax("an operation has no op"))?;
        Ok(Self { op, path, value })
    }
}

fn parse_op(value: &Value) -> Result<Op, ScimError> {
    let word = value.as_str().unwrap_or_default();
    Op::parse(word).ok_or_else(|| {
        ScimError::invalid_syntax(format!(
            "op must be add, replace or remove, not {:?}",
            shown(word)
        ))
    })
}

fn parse_path(value: &Value) -> Result<Option<Path>, ScimError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Path::parse(text).map(Some),
        _ => Err(ScimError::invalid_path("path must be text")),
    }
}

/// The body of a PATCH.
#[derive(Debug, Clone, PartialEq)]
pub struct PatchRequest {
    /// At least one, in the order they apply.
    pub operations: Vec<Operation>,
}

impl PatchRequest {
    /// Reads a body: `op` and member names in any case, unknown members ignored (profile sections 12.5 and 14).
    ///
    /// Members that are names of attributes are only looked up when the request is applied.
    pub fn parse(mut body: Map) -> Result<Self, ScimError> {
        if !names_schema(&body, PATCH_OP) {
            return Err(ScimError::invalid_syntax(format!(
                "schemas must name {PATCH_OP}"
            )));
        }
        let key = body
            .keys()
            .find(|key| key.eq_ignore_ascii_case("operations"))
            .cloned();
        let operations = key.and_then(|key| body.shift_remove(&key));
        let Some(Value::Array(operations)) = operations else {
            return Err(ScimError::invalid_syntax("Operations must be a list"));
        };
        if operations.is_empty() {
            return Err(ScimError::invalid_syntax("Operations must not be empty"));
        }
        if operations.len() > MAX_OPERATIONS {
            return Err(ScimError::too_large(format!(
                "a request may hold {MAX_OPERATIONS} operations at most"
            )));
        }
        let operations = operations
            .into_iter()
            .map(Operation::parse)
            .collect::<Result<_, _>>()?;
        Ok(Self { operations })
    }

    /// The body as the RFC writes it.
    pub fn to_json(&self) -> Value {
        patch_op(&self.operations)
    }
}

/// What a request did to a resource.
#[derive(Debug, Clone, PartialEq)]
pub struct Applied {
    /// Whether the document differs from before; when not, and no membership changes, the version stays.
    pub changed: bool,
    /// Changes of the members of a group, in order; the store decides whether they change anything.
    pub members: Vec<MemberChange>,
}
