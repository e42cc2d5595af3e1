//! One operation on one attribute of a document in canonical form.

use std::cell::Cell;

use serde_json::Value;

use super::Op;
use super::apply::Done;
use crate::Map;
use crate::error::ScimError;
use crate::filter::{Filter, Matcher, Scope};
use crate::path::{equalities, is_primary};
use crate::schema::{Attribute, AttributeType, Mutability};
use crate::text::{find_member, shown};
use crate::value::{Form, MAX_ELEMENTS, check_required, shape, shape_one, wrong};

/// An attribute, or a part of it, that an operation works on.
pub(super) struct Target<'a> {
    pub(super) attribute: &'a Attribute,
    pub(super) sub: Option<&'a Attribute>,
    pub(super) selector: Option<&'a Filter>,
    pub(super) budget: &'a Budget,
}

/// Comparisons of values that one request may cause: a fraction of a second, and far beyond what any sender
/// needs. Each single limit (operations, elements, tests of a filter) is high; their product is not bounded by them.
const MAX_WORK: usize = 4_000_000;

/// How much of it is left.
#[derive(Debug)]
pub(super) struct Budget(Cell<usize>);

impl Budget {
    pub(super) const fn new() -> Self {
        Self(Cell::new(MAX_WORK))
    }

    fn spend(&self, work: usize) -> Done {
        let left = self.0.get().checked_sub(work);
        self.0.set(left.unwrap_or_default());
        left.map(|_| ()).ok_or_else(|| {
            ScimError::too_large(
                "the operations look at too many values of one attribute; send fewer at a time",
            )
        })
    }
}

impl Target<'_> {
    pub(super) fn operate(&self, map: &mut Map, op: Op, value: Option<&Value>) -> Done {
        self.spend(map, value)?;
        let before = match self.attribute.mutability {
            Mutability::Immutable => map.get(&self.attribute.name).cloned(),
            _ => None,
        };
        match (self.selector, self.sub, op) {
            (Some(filter), ..) => self.elements(map, filter, op, value)?,
            (None, Some(sub), _) => self.part(map, sub, op, value)?,
            (None, None, Op::Remove) => self.remove(map, value)?,
            (None, None, _) => self.set(map, op, value.unwrap_or(&Value::Null))?,
        }
        if before.is_some() && map.get(&self.attribute.name) != before.as_ref() {
            return Err(ScimError::mutability(format!(
                "{} cannot be changed",
                self.attribute.name
            )));
        }
        Ok(())
    }

    /// Takes from the budget what the operation costs at most: each value that is there, compared with each
    /// that is given, by each test of the selector.
    fn spend(&self, map: &Map, value: Option<&Value>) -> Done {
        let held = map.get(self.name()).and_then(Value::as_array);
        let given = value.and_then(Value::as_array).map_or(1, Vec::len);
        let tests = self.selector.map_or(1, Filter::size);
        let held = held.map_or(1, Vec::len).max(1);
        self.budget
            .spend(held.saturating_mul(given.max(1)).saturating_mul(tests))
    }

    fn name(&self) -> &str {
        &self.attribute.name
    }

    /// Unassigns the attribute, unless a resource needs it.
    fn clear(&self, map: &mut Map) -> Done {
        if self.attribute.required {
            return Err(ScimError::mutability(format!(
                "{} is required",
                self.name()
            )));
        }
        map.shift_remove(self.name());
        Ok(())
    }

    fn remove(&self, map: &mut Map, value: Option<&Value>) -> Done {
        let unwanted = match value {
            Some(value) if self.attribute.multi_valued && !value.is_null() => {
                shape(self.attribute, value.clone(), Form::Patch)?
            }
            _ => return self.clear(map),
        };
        let Some(Value::Array(unwanted)) = unwanted else {
            return Ok(());
        };
        if let Some(Value::Array(list)) = map.get_mut(self.name()) {
            list.retain(|item| !unwanted.iter().any(|one| is_part_of(one, item)));
        }
        self.settle(map, &[])
    }

    fn set(&self, map: &mut Map, op: Op, value: &Value) -> Done {
        if self.attribute.multi_valued {
            return self.set_list(map, op, value);
        }
        let shaped = shape(self.attribute, value.clone(), Form::Patch)?;
        let is_merged =
            self.attribute.kind == AttributeType::Complex && !self.attribute.is_reference_object();
        match (shaped, value) {
            (_, Value::Object(parts)) if is_merged => merge_parts(map, self.attribute, parts),
            (Some(Value::Object(parts)), _) if is_merged => {
                merge_parts(map, self.attribute, &parts)
            }
            // An object without a reference, such as a name alone, adds nothing and takes nothing away.
            (None, Value::Object(parts))
                if op == Op::Add && find_member(parts, "value").is_none() =>
            {
                Ok(())
            }
            (Some(value), _) => {
                check_required(self.attribute, &value)?;
                map.insert(self.attribute.name.clone(), value);
                Ok(())
            }
            (None, _) => self.clear(map),
        }
    }

    fn set_list(&self, map: &mut Map, op: Op, value: &Value) -> Done {
        let shaped = shape(self.attribute, value.clone(), Form::Patch)?;
        match (shaped, op) {
            (None, Op::Replace) => self.clear(map),
            (Some(list), Op::Replace) => {
                map.insert(self.attribute.name.clone(), list);
                Ok(())
            }
            (Some(Value::Array(items)), _) => {
                let list = list_in(map, self.name());
                let mut touched = Vec::with_capacity(items.len());
                for item in items {
                    touched.push(append(list, item));
                }
                self.settle(map, &touched)
            }
            _ => Ok(()), // nothing to add
        }
    }

    /// A sub-attribute without brackets: of the one object, or of every element.
    fn part(&self, map: &mut Map, sub: &Attribute, op: Op, value: Option<&Value>) -> Done {
        let shaped = match (op, value) {
            (Op::Remove, _) | (_, None) => None,
            (_, Some(value)) => shape(sub, value.clone(), Form::Patch)?,
        };
        if self.attribute.multi_valued {
            let list = list_in(map, self.name());
            if list.is_empty() && shaped.is_some() {
                list.push(Value::Object(Map::new()));
            }
            let touched: Vec<usize> = (0..list.len()).collect();
            for item in list.iter_mut() {
                set_part(item, sub, shaped.clone());
            }
            return self.settle(map, &touched);
        }
        let is_link = self.attribute.is_reference_object() && sub.name == "value";
        if is_link
            && shaped
                .as_ref()
                .is_none_or(|value| value.as_str() == Some(""))
        {
            return self.clear(map);
        }
        let slot = map
            .entry(self.attribute.name.clone())
            .or_insert_with(|| Value::Object(Map::new()));
        if is_link && slot.get("value") != shaped.as_ref() {
            // The address of the former target would be wrong.
            *slot = Value::Object(Map::new());
        }
        set_part(slot, sub, shaped);
        if slot.as_object().is_some_and(Map::is_empty) {
            map.shift_remove(self.name());
        }
        Ok(())
    }

    /// A value path: the elements that match, or a sub-attribute of each.
    fn elements(&self, map: &mut Map, filter: &Filter, op: Op, value: Option<&Value>) -> Done {
        if self.attribute.kind != AttributeType::Complex || !self.attribute.multi_valued {
            return Err(ScimError::invalid_path(format!(
                "{} has no elements to select",
                self.name()
            )));
        }
        let matcher = Matcher::compile(filter, &Scope::Element(&self.attribute.sub_attributes))?;
        let list = list_in(map, self.name());
        let mut found: Vec<usize> = (0..list.len())
            .filter(|&at| {
                list[at]
                    .as_object()
                    .is_some_and(|element| matcher.matches(element))
            })
            .collect();
        let change = self.element_change(filter, op, value)?;
        if found.is_empty() {
            match (op, &change) {
                (Op::Replace, _) => {
                    let text = filter.to_string();
                    let detail = format!("no element of {} matches {}", self.name(), shown(&text));
                    return Err(ScimError::no_target(detail));
                }
                (Op::Add, ElementChange::Part(Some(_)) | ElementChange::Merge(_)) => {
                    list.push(Value::Object(self.described(filter)?));
                    found.push(list.len() - 1);
                }
                _ => return self.settle(map, &[]),
            }
        }
        for &at in &found {
            let item = &mut list[at];
            match (&change, self.sub) {
                (ElementChange::Part(value), Some(sub)) => set_part(item, sub, value.clone()),
                (ElementChange::Merge(parts), _) => {
                    if let Value::Object(element) = item {
                        element.extend(parts.clone());
                    }
                }
                (ElementChange::Replace(element), _) => *item = Value::Object(element.clone()),
                (ElementChange::Delete | ElementChange::Part(_), _) => *item = Value::Null,
                (ElementChange::Keep, _) => {}
            }
        }
        self.settle(map, &found)
    }

    fn element_change(
        &self,
        filter: &Filter,
        op: Op,
        value: Option<&Value>,
    ) -> Result<ElementChange, ScimError> {
        let value = match (op, value) {
            (Op::Remove, _) | (_, None) => {
                return Ok(if self.sub.is_some() {
                    ElementChange::Part(None)
                } else {
                    ElementChange::Delete
                });
            }
            (_, Some(value)) => value.clone(),
        };
        if let Some(sub) = self.sub {
            return Ok(ElementChange::Part(shape(sub, value, Form::Patch)?));
        }
        let value = match value {
            Value::Array(mut items) if items.len() == 1 => items.pop().unwrap_or_default(),
            Value::Array(items) if items.is_empty() => Value::Null,
            // A plain string stands for the element's value.
            Value::String(text) if self.attribute.sub_attributes.find("value").is_some() => {
                let mut element = Map::new();
                element.insert("value".into(), Value::String(text));
                Value::Object(element)
            }
            value => value,
        };
        Ok(match (shape_one(self.attribute, value, Form::Patch)?, op) {
            (Some(Value::Object(parts)), Op::Replace) => {
                // What selected the element stays true of it, so that a replaced work e-mail is one still.
                let mut element = self.described(filter).unwrap_or_default();
                element.extend(parts);
                ElementChange::Replace(element)
            }
            (Some(Value::Object(parts)), _) => ElementChange::Merge(parts),
            (Some(_), _) => return Err(wrong(self.attribute, "an object")),
            (None, Op::Replace) => ElementChange::Delete,
            (None, _) => ElementChange::Keep,
        })
    }

    /// The element that the filter describes, in canonical shape (profile section 16).
    fn described(&self, filter: &Filter) -> Result<Map, ScimError> {
        let parts = equalities(filter)?;
        let unknown = parts
            .keys()
            .find(|name| self.attribute.sub_attributes.find(name).is_none());
        if let Some(name) = unknown {
            let detail = format!("{} has no sub-attribute {:?}", self.name(), shown(name));
            return Err(ScimError::no_target(detail));
        }
        match shape_one(self.attribute, Value::Object(parts), Form::Patch)? {
            Some(Value::Object(element)) => Ok(element),
            _ => Ok(Map::new()),
        }
    }

    /// Leaves a list in order: no empty elements, one primary at most and then one that was touched, not too long.
    fn settle(&self, map: &mut Map, touched: &[usize]) -> Done {
        let list = list_in(map, self.name());
        let primary = touched
            .iter()
            .copied()
            .find(|&at| list.get(at).is_some_and(is_primary));
        if let Some(primary) = primary {
            for (at, item) in list.iter_mut().enumerate() {
                if at != primary && is_primary(item) {
                    item["primary"] = Value::Bool(false);
                }
            }
        }
        list.retain(|item| match item {
            Value::Null => false,
            Value::Object(element) => !element.is_empty(),
            _ => true,
        });
        if list.len() > MAX_ELEMENTS {
            return Err(ScimError::invalid_value(format!(
                "{} may hold {MAX_ELEMENTS} values at most",
                self.name()
            )));
        }
        if list.is_empty() {
            self.clear(map)
        } else {
            Ok(())
        }
    }
}

/// What happens to each element that a value path selects.
enum ElementChange {
    /// Set, or with `None` remove, the sub-attribute behind the brackets.
    Part(Option<Value>),
    Merge(Map),
    Replace(Map),
    Delete,
    Keep,
}

/// The list of an attribute, made when missing; [`Target::settle`] takes an empty one away again.
fn list_in<'m>(map: &'m mut Map, name: &str) -> &'m mut Vec<Value> {
    let slot = map.entry(name).or_insert_with(|| Value::Array(Vec::new()));
    if !slot.is_array() {
        *slot = Value::Array(vec![slot.take()]);
    }
    match slot {
        Value::Array(list) => list,
        _ => unreachable!("made an array above"),
    }
}

fn set_part(item: &mut Value, sub: &Attribute, value: Option<Value>) {
    let Value::Object(element) = item else { return };
    match value {
        Some(value) => {
            element.insert(sub.name.clone(), value);
        }
        None => {
            element.shift_remove(&sub.name);
        }
    }
}

/// Merges the given parts into a complex attribute; `null` takes a part away, parts not named stay.
fn merge_parts(map: &mut Map, attribute: &Attribute, parts: &Map) -> Done {
    let mut object = match map.get_mut(&attribute.name) {
        Some(Value::Object(object)) => std::mem::take(object),
        _ => Map::new(),
    };
    for (name, value) in parts {
        let Some(sub) = attribute
            .sub_attributes
            .find(name)
            .filter(|sub| !sub.is_read_only())
        else {
            continue;
        };
        match shape(sub, value.clone(), Form::Patch)? {
            Some(value) => {
                object.insert(sub.name.clone(), value);
            }
            None => {
                object.shift_remove(&sub.name);
            }
        }
    }
    if object.is_empty() {
        map.shift_remove(&attribute.name);
    } else {
        map.insert(attribute.name.clone(), Value::Object(object));
    }
    Ok(())
}

/// Appends an element that is not there yet, and tells where it is; the same value of the same type is the same
/// element, whose other parts are brought up to date (RFC 7643 section 2.4).
fn append(list: &mut Vec<Value>, item: Value) -> usize {
    if let Some(at) = list.iter().position(|old| is_same_element(old, &item)) {
        if let (Value::Object(old), Value::Object(new)) = (&mut list[at], item) {
            old.extend(new);
        }
        return at;
    }
    list.push(item);
    list.len() - 1
}

fn is_same_element(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Object(old_parts), Value::Object(new_parts)) if new_parts.contains_key("value") => {
            let same = |name| old_parts.get(name) == new_parts.get(name);
            same("value") && (same("type") || !new_parts.contains_key("type"))
        }
        _ => old == new,
    }
}

/// Whether an element to remove names this one: by its value alone when it has one, else by all its parts.
fn is_part_of(unwanted: &Value, item: &Value) -> bool {
    match (unwanted, item) {
        (Value::Object(unwanted), Value::Object(item)) => match unwanted.get("value") {
            Some(value) => {
                let same_type = unwanted
                    .get("type")
                    .is_none_or(|kind| item.get("type") == Some(kind));
                item.get("value") == Some(value) && same_type
            }
            None => unwanted
                .iter()
                .all(|(name, part)| find_member(item, name) == Some(part)),
        },
        _ => unwanted == item,
    }
}
