//! Bringing a client's value into the shape that an attribute's schema asks for.

use serde_json::{Value, json};

use crate::Map;
use crate::error::ScimError;
use crate::path::is_primary;
use crate::schema::{Attribute, AttributeType};
use crate::text::{boolean, find_member};

/// The most elements that one multi-valued attribute may hold; it bounds the search for duplicates.
pub(crate) const MAX_ELEMENTS: usize = 2_000;

/// How much a value may depart from the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// In a resource.
    Document,
    /// In a PATCH operation: a single value may be wrapped in a list of one, as Entra has done (profile section 12.3).
    Patch,
}

/// The value in canonical shape, or `None` when it means unassigned: `null`, `[]`, nothing but such
/// (RFC 7643 section 2.5).
///
/// Names take the schema's spelling, unknown and read-only sub-attributes go, words become booleans; a value of
/// the wrong type is `invalidValue` (profile section 4.1).
pub(crate) fn shape(
    attribute: &Attribute,
    value: Value,
    form: Form,
) -> Result<Option<Value>, ScimError> {
    if attribute.multi_valued {
        let items = match value {
            Value::Null => return Ok(None),
            Value::Array(items) => items,
            // OneLogin sends a single object.
            single => vec![single],
        };
        let list = shape_list(attribute, items, form)?;
        return Ok((!list.is_empty()).then_some(Value::Array(list)));
    }
    match value {
        Value::Array(mut items) => match items.pop() {
            None => Ok(None),
            Some(only) if items.is_empty() && form == Form::Patch => {
                shape_one(attribute, unwrap(attribute, only), form)
            }
            Some(_) => Err(wrong(attribute, "a single value")),
        },
        value => shape_one(attribute, value, form),
    }
}

fn shape_list(
    attribute: &Attribute,
    items: Vec<Value>,
    form: Form,
) -> Result<Vec<Value>, ScimError> {
    if items.len() > MAX_ELEMENTS {
        return Err(ScimError::invalid_value(format!(
            "{} may hold {MAX_ELEMENTS} values at most",
            attribute.name
        )));
    }
    let mut list = Vec::with_capacity(items.len());
    for item in items {
        list.extend(shape_one(attribute, item, form)?);
    }
    if list.iter().filter(|item| is_primary(item)).nth(1).is_some() {
        return Err(ScimError::invalid_value(format!(
            "{} has more than one primary value",
            attribute.name
        )));
    }
    Ok(list)
}

/// Shapes one value: that of a single-valued attribute, or one element of a list.
pub(crate) fn shape_one(
    attribute: &Attribute,
    value: Value,
    form: Form,
) -> Result<Option<Value>, ScimError> {
    if value.is_null() {
        return Ok(None);
    }
    match attribute.kind {
        AttributeType::String
        | AttributeType::DateTime
        | AttributeType::Reference
        | AttributeType::Binary => match value {
            Value::String(_) => Ok(Some(value)),
            _ => Err(wrong(attribute, "text")),
        },
        AttributeType::Boolean => match boolean(&value) {
            Some(bool) => Ok(Some(Value::Bool(bool))),
            None => Err(wrong(attribute, "true or false")),
        },
        AttributeType::Decimal => match value {
            Value::Number(_) => Ok(Some(value)),
            _ => Err(wrong(attribute, "a number")),
        },
        AttributeType::Integer => match &value {
            Value::Number(number) if number.is_i64() || number.is_u64() => Ok(Some(value)),
            _ => Err(wrong(attribute, "a whole number")),
        },
        AttributeType::Complex => match value {
            Value::Object(parts) => shape_object(attribute, parts, form),
            Value::String(text) if attribute.is_reference_object() => {
                Ok((!text.is_empty()).then(|| json!({ "value": text })))
            }
            _ => Err(wrong(attribute, "an object")),
        },
    }
}

/// The name of an attribute in the schema's spelling, which most clients use as well.
pub(crate) fn in_spelling(name: String, attribute: &Attribute) -> String {
    if name == attribute.name {
        return name;
    }
    attribute.name.clone()
}

fn shape_object(attribute: &Attribute, parts: Map, form: Form) -> Result<Option<Value>, ScimError> {
    let mut object = Map::with_capacity(parts.len());
    for (name, value) in parts {
        if let Some(sub) = attribute.sub_attributes.find(&name)
            && !sub.is_read_only()
        {
            let shaped = shape(sub, value, form).map_err(|error| within(attribute, error))?;
            if let Some(value) = shaped {
                object.insert(in_spelling(name, sub), value);
            }
        }
    }
    let refers_to_nothing = attribute.is_reference_object()
        && object
            .get("value")
            .is_some_and(|value| value.as_str() == Some(""));
    Ok((!object.is_empty() && !refers_to_nothing).then_some(Value::Object(object)))
}

/// Takes the plain value out of `{"$ref": null, "value": "x"}`, the form before 2018 for single attributes.
fn unwrap(attribute: &Attribute, value: Value) -> Value {
    match value {
        Value::Object(map) if attribute.kind != AttributeType::Complex => {
            find_member(&map, "value")
                .cloned()
                .unwrap_or(Value::Object(map))
        }
        value => value,
    }
}

fn within(attribute: &Attribute, error: ScimError) -> ScimError {
    ScimError {
        detail: format!("{}.{}", attribute.name, error.detail),
        ..error
    }
}

pub(crate) fn wrong(attribute: &Attribute, wanted: &str) -> ScimError {
    ScimError::invalid_value(format!("{} must be {wanted}", attribute.name))
}

/// Refuses an empty required text, such as a `userName` of blanks (profile section 4.2).
pub(crate) fn check_required(attribute: &Attribute, value: &Value) -> Result<(), ScimError> {
    let blank = value.as_str().is_some_and(|text| text.trim().is_empty());
    if attribute.required && blank {
        return Err(ScimError::invalid_value(format!(
            "{} must not be empty",
            attribute.name
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{ENTERPRISE_USER, user};

    #[track_caller]
    fn check(name: &str, form: Form, value: Value, want: Result<Value, &str>) {
        let enterprise = user().extension(ENTERPRISE_USER).unwrap();
        let attribute = user()
            .attribute(name)
            .or_else(|| enterprise.attributes.find(name))
            .unwrap();
        let got = shape(attribute, value, form);
        match want {
            Ok(Value::Null) => assert_eq!(got, Ok(None)),
            Ok(want) => assert_eq!(got, Ok(Some(want))),
            Err(part) => {
                let error = got.unwrap_err();
                assert_eq!(error.scim_type, Some(crate::ScimType::InvalidValue));
                assert!(error.detail.contains(part), "{error}");
            }
        }
    }

    // Profile section 4.1: null, [] and absence mean the same.
    #[test]
    fn unassigned_values_vanish() {
        for name in ["title", "emails", "name", "active", "manager"] {
            check(name, Form::Document, json!(null), Ok(json!(null)));
            check(name, Form::Document, json!([]), Ok(json!(null)));
        }
        check("name", Form::Document, json!({}), Ok(json!(null)));
        check(
            "name",
            Form::Document,
            json!({"givenName": null}),
            Ok(json!(null)),
        );
        check("emails", Form::Document, json!([{}, null]), Ok(json!(null)));
        check("title", Form::Document, json!(""), Ok(json!("")));
    }

    // Profile section 4.1: a JSON value of the wrong shape is refused.
    #[test]
    fn wrong_types_are_refused() {
        check("title", Form::Document, json!(5), Err("title must be text"));
        check(
            "title",
            Form::Document,
            json!({}),
            Err("title must be text"),
        );
        check(
            "title",
            Form::Document,
            json!(["a"]),
            Err("title must be a single value"),
        );
        check(
            "name",
            Form::Document,
            json!("Bob"),
            Err("name must be an object"),
        );
        check(
            "name",
            Form::Document,
            json!({"givenName": 1}),
            Err("name.givenName must be text"),
        );
        check(
            "emails",
            Form::Document,
            json!("a@b"),
            Err("emails must be an object"),
        );
        check(
            "emails",
            Form::Document,
            json!(["a@b"]),
            Err("emails must be an object"),
        );
        check(
            "active",
            Form::Document,
            json!("yes"),
            Err("active must be true or false"),
        );
        check(
            "active",
            Form::Document,
            json!(1),
            Err("active must be true or false"),
        );
    }

    // Profile section 16: text booleans.
    #[test]
    fn words_become_booleans() {
        check("active", Form::Document, json!("True"), Ok(json!(true)));
        check("active", Form::Patch, json!("FALSE"), Ok(json!(false)));
        let role = json!([{"Primary": "True", "VALUE": "x"}]);
        check(
            "roles",
            Form::Document,
            role,
            Ok(json!([{"primary": true, "value": "x"}])),
        );
    }

    // Profile section 2.4 of RFC 7643: at most one primary.
    #[test]
    fn two_primaries_are_refused() {
        let two = json!([{"value": "a", "primary": true}, {"value": "b", "primary": "true"}]);
        check("emails", Form::Document, two, Err("more than one primary"));
    }

    // Profile sections 12.2 and 12.3: the manager in all its forms.
    #[test]
    fn a_manager_is_read_in_every_form() {
        for form in [Form::Document, Form::Patch] {
            check("manager", form, json!("m1"), Ok(json!({"value": "m1"})));
            check(
                "manager",
                form,
                json!({"Value": "m1"}),
                Ok(json!({"value": "m1"})),
            );
            check(
                "manager",
                form,
                json!({"value": "m1", "displayName": "M"}),
                Ok(json!({"value": "m1"})),
            );
            check(
                "manager",
                form,
                json!({"$ref": null, "value": "m1"}),
                Ok(json!({"value": "m1"})),
            );
            check("manager", form, json!(""), Ok(json!(null)));
            check("manager", form, json!({"value": ""}), Ok(json!(null)));
            check(
                "manager",
                form,
                json!({"displayName": "M"}),
                Ok(json!(null)),
            );
        }
        let list = json!([{"$ref": "../Users/m1", "value": "m1"}]);
        check(
            "manager",
            Form::Patch,
            list.clone(),
            Ok(json!({"$ref": "../Users/m1", "value": "m1"})),
        );
        check("manager", Form::Document, list, Err("single value"));
    }

    // Profile section 12.3: values before 2018.
    #[test]
    fn a_wrapped_single_value_is_unwrapped_in_patches_only() {
        let wrapped = json!([{"$ref": null, "value": "x"}]);
        check("title", Form::Patch, wrapped.clone(), Ok(json!("x")));
        check("title", Form::Document, wrapped, Err("single value"));
        check("title", Form::Patch, json!(["a", "b"]), Err("single value"));
    }

    #[test]
    fn a_single_object_becomes_a_list() {
        check(
            "emails",
            Form::Document,
            json!({"value": "a@b"}),
            Ok(json!([{"value": "a@b"}])),
        );
    }

    #[test]
    fn a_list_is_bounded() {
        let many = vec![json!({"value": "a"}); MAX_ELEMENTS + 1];
        check(
            "emails",
            Form::Document,
            Value::Array(many),
            Err("2000 values at most"),
        );
    }
}
