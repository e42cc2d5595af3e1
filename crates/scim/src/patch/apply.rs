//! Applying a PATCH request to a document in canonical form.

use serde_json::Value;

use super::target::{Budget, Target};
use super::{Applied, Op, Operation, PatchRequest};
use crate::Map;
use crate::attr_path::Located;
use crate::error::ScimError;
use crate::filter::{Filter, Matcher, Scope};
use crate::member::{Member, MemberChange, check_id, parse_members};
use crate::path::Path;
use crate::resource::write_schemas;
use crate::schema::{Attribute, ResourceType, Schema};
use crate::text::shown;
use crate::value::{Form, shape};

/// Applies a request to a document in canonical form, all of it or, on an error, nothing.
///
/// The work is done on a copy that takes the document's place at the end, so the caller needs none of its own.
/// `id` is the resource's own id, which path-less values may repeat (Okta does, profile section 13). Members of a
/// group are not in the document: what happens to them is in [`Applied::members`].
pub fn apply(
    document: &mut Map,
    id: &str,
    request: &PatchRequest,
    kind: &ResourceType,
) -> Result<Applied, ScimError> {
    let budget = Budget::new();
    let mut draft = Draft::new(&budget, document.clone(), id, kind);
    draft.operate_all(request)?;
    write_schemas(&mut draft.document, kind);
    let changed = draft.document != *document;
    *document = draft.document;
    Ok(Applied {
        changed,
        members: draft.members,
    })
}

/// What a request does to the members of a group, when it is about nothing else: then it does the same to any
/// document. `None` also when it cannot be done, which [`apply`] explains.
pub fn members_alone(request: &PatchRequest, kind: &ResourceType) -> Option<Vec<MemberChange>> {
    let is_alone = request.operations.iter().all(|operation| {
        let located = operation.path.as_ref().and_then(|path| path.locate(kind));
        matches!(located, Some(Located::Attribute { attribute, .. }) if kind.is_members(attribute))
    });
    if !is_alone {
        return None;
    }
    let budget = Budget::new();
    let mut draft = Draft::new(&budget, Map::new(), "", kind);
    draft.operate_all(request).ok().map(|()| draft.members)
}

struct Draft<'a> {
    budget: &'a Budget,
    document: Map,
    members: Vec<MemberChange>,
    id: &'a str,
    kind: &'a ResourceType,
}

pub(super) type Done = Result<(), ScimError>;

impl<'a> Draft<'a> {
    const fn new(budget: &'a Budget, document: Map, id: &'a str, kind: &'a ResourceType) -> Self {
        Self {
            budget,
            document,
            members: Vec::new(),
            id,
            kind,
        }
    }

    fn operate_all(&mut self, request: &PatchRequest) -> Done {
        request
            .operations
            .iter()
            .try_for_each(|operation| self.operate(operation))
    }

    fn operate(&mut self, operation: &Operation) -> Done {
        let value = operation.value.as_ref();
        match &operation.path {
            None => self.without_path(operation.op, value),
            Some(path) => self.at(operation.op, path, value),
        }
    }

    /// Each member of the value is treated as if it were a path, whatever its spelling (profile section 12.3).
    fn without_path(&mut self, op: Op, value: Option<&Value>) -> Done {
        if op == Op::Remove {
            return Err(ScimError::no_target("a remove needs a path"));
        }
        let Some(Value::Object(members)) = value else {
            return Err(ScimError::invalid_value(
                "without a path the value must be an object",
            ));
        };
        members
            .iter()
            .try_for_each(|(name, value)| self.member_of_value(op, name, value))
    }

    fn member_of_value(&mut self, op: Op, name: &str, value: &Value) -> Done {
        let path = Path::parse(name)?;
        match path.locate(self.kind) {
            // A client that repeats what it has read does not try to change it.
            Some(Located::Attribute { attribute, .. }) if attribute.is_read_only() => {
                let harmless = match attribute.name.as_str() {
                    "id" => value.as_str() == Some(self.id),
                    "meta" => true,
                    _ => crate::text::is_empty(value),
                };
                if harmless {
                    Ok(())
                } else {
                    Err(read_only(&attribute.name))
                }
            }
            // Only the attributes that are named change; the others of the extension stay.
            Some(Located::Extension(schema)) => self.extension(schema, op, Some(value), true),
            Some(Located::Resource) => Err(ScimError::invalid_path(format!(
                "{:?} is not an attribute",
                shown(name)
            ))),
            // A value path that matches nothing builds its element: the value must not be lost.
            _ if path.selector().is_some() && !value.is_null() => {
                self.at(Op::Add, &path, Some(value))
            }
            _ => self.at(op, &path, Some(value)),
        }
    }

    fn at(&mut self, op: Op, path: &Path, value: Option<&Value>) -> Done {
        if op != Op::Remove && value.is_none() {
            let detail = format!("the {} of {} needs a value", op.as_str(), path.attribute());
            return Err(ScimError::invalid_value(detail));
        }
        let located = path.locate(self.kind).ok_or_else(|| {
            let text = path.to_string();
            let detail = format!("{} has no attribute {:?}", self.kind.name, shown(&text));
            ScimError::invalid_path(detail)
        })?;
        match located {
            Located::Resource => self.without_path(op, value),
            Located::Extension(schema) => self.extension(schema, op, value, false),
            Located::Attribute {
                extension,
                attribute,
                sub,
            } => {
                if attribute.is_read_only() {
                    return Err(read_only(&attribute.name));
                }
                if let Some(sub) = sub.filter(|sub| sub.is_read_only()) {
                    return Err(read_only(&format!("{}.{}", attribute.name, sub.name)));
                }
                if attribute.name == "schemas" && extension.is_none() {
                    return Ok(()); // computed from what is there
                }
                if attribute.is_secret() {
                    return accept_secret(attribute, value);
                }
                let target = Target {
                    attribute,
                    sub,
                    selector: path.selector(),
                    budget: self.budget,
                };
                if self.kind.is_members(attribute) {
                    return self.change_members(op, &target, value);
                }
                match extension {
                    None => target.operate(&mut self.document, op, value),
                    Some(schema) => self.in_extension(schema, |map| target.operate(map, op, value)),
                }
            }
        }
    }

    /// Works inside the object of an extension, which is there only while it has values.
    fn in_extension(&mut self, schema: &Schema, work: impl FnOnce(&mut Map) -> Done) -> Done {
        let slot = self
            .document
            .entry(schema.id.clone())
            .or_insert_with(|| Value::Object(Map::new()));
        let Value::Object(map) = slot else {
            return Err(ScimError::invalid_value(format!(
                "{} is not an object",
                schema.id
            )));
        };
        work(map)?;
        if map.is_empty() {
            self.document.shift_remove(&schema.id);
        }
        Ok(())
    }

    /// The extension as a whole: add merges, replace replaces, remove drops (profile section 7).
    fn extension(&mut self, schema: &Schema, op: Op, value: Option<&Value>, merge: bool) -> Done {
        let clears = op == Op::Remove || value.is_none_or(Value::is_null);
        if clears {
            if op != Op::Add {
                self.document.shift_remove(&schema.id);
            }
            return Ok(());
        }
        let Some(Value::Object(values)) = value else {
            return Err(ScimError::invalid_value(format!(
                "the value of {} must be an object",
                schema.id
            )));
        };
        let budget = self.budget;
        self.in_extension(schema, |map| {
            if op == Op::Replace && !merge {
                map.clear();
            }
            for (name, value) in values {
                if let Some(attribute) = schema
                    .attributes
                    .find(name)
                    .filter(|one| !one.is_read_only())
                {
                    Target {
                        attribute,
                        sub: None,
                        selector: None,
                        budget,
                    }
                    .operate(map, op, Some(value))?;
                }
            }
            Ok(())
        })
    }

    /// Turns an operation on `members` into changes of rows (profile sections 7, 12.3 and 13).
    fn change_members(&mut self, op: Op, target: &Target<'_>, value: Option<&Value>) -> Done {
        let value = value.unwrap_or(&Value::Null);
        if target.sub.is_some() {
            return Err(ScimError::mutability(
                "a member can be added or removed, not changed",
            ));
        }
        let change = match (op, target.selector) {
            (Op::Add, None) => MemberChange::Add(parse_members(value)?),
            (Op::Replace, None) => MemberChange::ReplaceAll(parse_members(value)?),
            // Without a value all go, with a list only those: getting this wrong empties groups.
            (Op::Remove, None) if value.is_null() => MemberChange::RemoveAll,
            (Op::Remove, None) => MemberChange::Remove(ids(parse_members(value)?)),
            (Op::Remove, Some(filter)) => {
                if let Some(mut ids) = listed_ids(filter) {
                    // What cannot be a member is none.
                    ids.retain(|id| check_id(id).is_ok());
                    MemberChange::Remove(ids)
                } else {
                    Matcher::compile(filter, &Scope::Element(&target.attribute.sub_attributes))?;
                    MemberChange::RemoveMatching(filter.clone())
                }
            }
            (Op::Add, Some(filter)) => match listed_ids(filter).as_deref() {
                Some([id]) => {
                    check_id(id)?;
                    MemberChange::Add(vec![Member::new(id.as_str())])
                }
                _ => {
                    return Err(ScimError::no_target(
                        "the filter does not describe one member",
                    ));
                }
            },
            (Op::Replace, Some(_)) => {
                return Err(ScimError::mutability(
                    "a member can be added or removed, not changed",
                ));
            }
        };
        self.members.push(change);
        Ok(())
    }
}

fn ids(members: Vec<Member>) -> Vec<String> {
    members.into_iter().map(|member| member.value).collect()
}

/// The ids of `value eq "a"`, also several joined by `or`.
fn listed_ids(filter: &Filter) -> Option<Vec<String>> {
    let id = |part: &Filter| {
        let (path, id) = part.as_equal_text()?;
        path.is("value", None).then(|| id.to_owned())
    };
    match filter {
        Filter::Or(parts) => parts.iter().map(id).collect(),
        one => Some(vec![id(one)?]),
    }
}

fn read_only(name: &str) -> ScimError {
    ScimError::mutability(format!("{name} is read-only"))
}

/// A password is accepted and not kept; only its type is looked at.
fn accept_secret(attribute: &Attribute, value: Option<&Value>) -> Done {
    match value {
        Some(value) => shape(attribute, value.clone(), Form::Patch).map(drop),
        None => Ok(()),
    }
}
