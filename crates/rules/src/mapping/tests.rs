use muster_model::{Attributes, Timestamp, Value};

use super::{Apply, AttributeMapping, MappingError, MappingSource};
use crate::TargetType;
use crate::expr::{Context, EvalError, Expression};

fn source(value: impl Into<Value>) -> Attributes {
    let mut source = Attributes::new();
    source.set("x", value);
    source
}

fn direct() -> AttributeMapping {
    AttributeMapping::new("target", MappingSource::Attribute("x".to_owned()))
}

fn expression(text: &str) -> AttributeMapping {
    let expression = Expression::parse(text).unwrap();
    AttributeMapping::new("target", MappingSource::Expression(expression))
}

/// What goes out on create, on update of a filled and on update of an empty target attribute.
#[track_caller]
fn check_flow(
    mapping: &AttributeMapping,
    value: impl Into<Value>,
    create: Option<&str>,
    update: Option<&str>,
    update_empty: Option<&str>,
) {
    let context = Context::at(Timestamp::default());
    let mapped = mapping.evaluate(&source(value), &context).unwrap();
    let text = |value: Option<&Value>| value.and_then(Value::as_text).map(str::to_owned);
    assert_eq!(text(mapped.for_create()).as_deref(), create, "create");
    assert_eq!(text(mapped.for_update(false)).as_deref(), update, "update");
    assert_eq!(
        text(mapped.for_update(true)).as_deref(),
        update_empty,
        "update of empty"
    );
}

#[test]
fn an_empty_source_clears_the_target_only_where_the_mapping_says_so() {
    // AM-1, and its opt-in
    let context = Context::at(Timestamp::default());
    let cleared = |mapping: &AttributeMapping, value: Value, target_is_empty| {
        let source = source(value);
        let mapped = mapping.evaluate(&source, &context).unwrap();
        assert_eq!(mapped.for_create().is_some(), mapped.value.is_some());
        mapped.for_update(target_is_empty).cloned()
    };
    let clears = AttributeMapping {
        clears: true,
        ..direct()
    };
    assert_eq!(cleared(&direct(), Value::Null, false), None);
    assert_eq!(cleared(&clears, Value::Null, false), Some(Value::Null));
    assert_eq!(cleared(&clears, Value::Null, true), None);
    assert_eq!(cleared(&clears, "a".into(), false), Some("a".into()));
    // Left out of the flow is not empty: three states, not two.
    let skipping = AttributeMapping {
        clears: true,
        ..expression("IgnoreFlowIfNullOrEmpty([x])")
    };
    assert_eq!(cleared(&skipping, Value::Null, false), None);
    let creation = AttributeMapping {
        apply: Apply::OnlyDuringCreation,
        ..clears
    };
    assert_eq!(cleared(&creation, Value::Null, false), None);
}

// 17.4
#[test]
fn default_and_creation_only_follow_the_table() {
    let with_default = AttributeMapping {
        default: Some("X".to_owned()),
        ..direct()
    };
    check_flow(&with_default, Value::Null, Some("X"), None, None);
    check_flow(&with_default, "a", Some("a"), Some("a"), Some("a"));
    let creation = AttributeMapping {
        apply: Apply::OnlyDuringCreation,
        ..direct()
    };
    check_flow(&creation, "a", Some("a"), None, None);
    check_flow(&direct(), Value::Null, None, None, None);
    let none = AttributeMapping {
        source: MappingSource::None,
        ..with_default
    };
    check_flow(&none, "a", Some("X"), None, Some("X"));
    let empty_only = AttributeMapping {
        apply: Apply::OnlyWhileEmpty,
        ..direct()
    };
    check_flow(&empty_only, "a", Some("a"), None, Some("a"));
    let constant = MappingSource::Constant("c".to_owned());
    check_flow(
        &AttributeMapping::new("t", constant),
        "a",
        Some("c"),
        Some("c"),
        Some("c"),
    );
    let immutable = AttributeMapping {
        immutable: true,
        ..direct()
    };
    check_flow(&immutable, "a", Some("a"), None, None);
}

#[test]
fn a_skipped_attribute_uses_no_default_either() {
    let mapping = AttributeMapping {
        default: Some("X".to_owned()),
        required: true,
        ..expression("IgnoreFlowIfNullOrEmpty([x])")
    };
    let context = Context::at(Timestamp::default());
    let mapped = mapping.evaluate(&source(Value::Null), &context).unwrap();
    assert!(mapped.skip && mapped.for_create().is_none() && mapped.missing_on_create());
}

// AM-3
#[test]
fn a_required_attribute_needs_a_value_or_a_default() {
    let context = Context::at(Timestamp::default());
    let required = AttributeMapping {
        required: true,
        ..direct()
    };
    let missing = |mapping: &AttributeMapping, value: Value| {
        let source = source(value);
        mapping
            .evaluate(&source, &context)
            .unwrap()
            .missing_on_create()
    };
    assert!(missing(&required, Value::Null));
    assert!(!missing(&required, "a".into()));
    let with_default = AttributeMapping {
        default: Some("X".to_owned()),
        ..required
    };
    assert!(!missing(&with_default, Value::Null));
}

#[track_caller]
fn check_type(
    kind: TargetType,
    multi_valued: bool,
    value: impl Into<Value>,
    want: Result<Value, MappingError>,
) {
    let mapping = AttributeMapping {
        target_type: kind,
        multi_valued,
        ..direct()
    };
    let source = source(value);
    let mapped = mapping.evaluate(&source, &Context::at(Timestamp::default()));
    let got = mapped
        .map(|mapped| mapped.value.unwrap_or_default())
        .map_err(|problem| problem.error);
    assert_eq!(got, want);
}

#[test]
fn values_take_the_type_of_the_target() {
    use TargetType::{Boolean, DateTime, Integer, String};
    check_type(Boolean, false, "True", Ok(true.into()));
    check_type(Boolean, false, "false", Ok(false.into()));
    check_type(Boolean, false, "", Ok(Value::Null));
    check_type(
        Boolean,
        false,
        "yes",
        Err(MappingError::NotConvertible(Boolean)),
    );
    check_type(Integer, false, "42", Ok(42.into()));
    check_type(
        Integer,
        false,
        "x",
        Err(MappingError::NotConvertible(Integer)),
    );
    check_type(String, false, true, Ok("True".into()));
    check_type(String, false, 7, Ok("7".into()));
    check_type(String, false, "", Ok("".into()));
    check_type(
        DateTime,
        false,
        "3/16/2020 7:00:00 AM",
        Ok("2020-03-16T07:00:00Z".into()),
    );
    check_type(
        DateTime,
        false,
        "2020-03-16T07:00:00+01:00",
        Ok("2020-03-16T07:00:00+01:00".into()),
    );
    check_type(
        DateTime,
        false,
        "soon",
        Err(MappingError::NotConvertible(DateTime)),
    );
    let list = Value::List(vec!["a".into(), "b".into()]);
    check_type(String, true, list.clone(), Ok(list.clone()));
    check_type(String, false, list, Ok("a".into()));
    check_type(String, true, "a", Ok("a".into()));
}

#[test]
fn a_date_keeps_its_instant_on_the_way_to_a_date_attribute() {
    let mapping = AttributeMapping {
        target_type: TargetType::DateTime,
        ..expression("DateAdd(\"d\", 1, CDate([x]))")
    };
    let source = source("2024-02-28T10:00:00.25Z");
    let mapped = mapping
        .evaluate(&source, &Context::at(Timestamp::default()))
        .unwrap();
    assert_eq!(mapped.value, Some("2024-02-29T10:00:00.25Z".into()));
}

#[test]
fn problems_name_the_target_and_no_value() {
    let context = Context {
        taken: &|target, _| target == "target",
        ..Context::at(Timestamp::default())
    };
    let unique = expression("SelectUniqueValue([x], Append([x], \"1\"))");
    let problem = unique.evaluate(&source("ana"), &context).unwrap_err();
    assert!(problem.no_unique_value());
    assert!(!problem.to_string().contains("ana"), "{problem}");
    let object = expression("IIF([x] = \"a\", IgnoreObjectFlow, [x])");
    assert!(
        object
            .evaluate(&source("a"), &context)
            .unwrap_err()
            .object_left_out()
    );
    let roles = expression("Mid([x], 0, 1)");
    let problem = roles.evaluate(&source("a"), &context).unwrap_err();
    assert!(matches!(
        problem.error,
        MappingError::Expression(EvalError::BadArgument { .. })
    ));
    assert!(
        problem
            .to_string()
            .starts_with("the mapping to `target` fails: `Mid`")
    );
}

// AM-20
#[test]
fn a_redacted_mapping_says_so() {
    assert!(expression("Append(Redact([x]), \"\")").redacted());
    assert!(!direct().redacted());
}
