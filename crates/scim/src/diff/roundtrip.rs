//! The law of the difference: applying it gives the other document.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::member::{Member, MemberChange, parse_members};
use crate::patch::{PatchRequest, apply};
use crate::resource::tests::any_json;
use crate::resource::{Purpose, normalise};
use crate::schema::{Attribute, AttributeType, Attributes, ResourceType, group, user};

/// A value in most of its attributes would leave nothing to add; one in few, nothing to keep.
const ASSIGNED: f64 = 0.4;

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => "[a-c]{0,2}",
        1 => proptest::sample::select(vec!["work", "True", "null", "\0", "\"]", "bulkId:a", "ΑΣ"])
            .prop_map(str::to_owned),
        2 => any::<String>(),
    ]
}

/// One value of an attribute: all of it, or an element of a list.
fn any_one(attribute: &Attribute) -> BoxedStrategy<Value> {
    match attribute.kind {
        AttributeType::Boolean => any::<bool>().prop_map(Value::from).boxed(),
        AttributeType::Integer => any::<i64>().prop_map(Value::from).boxed(),
        AttributeType::Decimal => any::<i32>()
            .prop_map(|it| json!(f64::from(it) / 8.0))
            .boxed(),
        AttributeType::Complex => any_parts(&attribute.sub_attributes)
            .prop_map(Value::Object)
            .boxed(),
        // What a resource needs must not be blank.
        _ if attribute.required => any_text()
            .prop_map(|text| json!(format!("n{text}")))
            .boxed(),
        _ => any_text().prop_map(Value::from).boxed(),
    }
}

fn any_value(attribute: &Attribute) -> BoxedStrategy<Value> {
    if !attribute.multi_valued {
        return any_one(attribute);
    }
    let elements = vec(any_one(attribute), 0..5);
    elements
        .prop_map(|elements| Value::Array(with_one_primary(elements)))
        .boxed()
}

/// Only the first that says so is primary.
fn with_one_primary(mut elements: Vec<Value>) -> Vec<Value> {
    let mut taken = false;
    for element in elements
        .iter_mut()
        .filter(|element| element["primary"] == true)
    {
        if std::mem::replace(&mut taken, true) {
            element["primary"] = json!(false);
        }
    }
    elements
}

/// Some of the attributes, and all that are required.
fn any_parts(attributes: &Attributes) -> BoxedStrategy<Map> {
    let parts: Vec<BoxedStrategy<Option<(String, Value)>>> = attributes
        .iter()
        .map(|attribute| {
            let name = attribute.name.clone();
            let named = any_value(attribute).prop_map(move |value| (name.clone(), value));
            if attribute.required {
                named.prop_map(Some).boxed()
            } else {
                option::weighted(ASSIGNED, named).boxed()
            }
        })
        .collect();
    parts
        .prop_map(|parts| parts.into_iter().flatten().collect())
        .boxed()
}

/// A body of this type, with its extensions.
fn any_body(kind: &ResourceType) -> BoxedStrategy<Map> {
    let external_id = option::weighted(ASSIGNED, any_text());
    let extensions: Vec<BoxedStrategy<Option<(String, Value)>>> = kind
        .extensions
        .iter()
        .map(|extension| {
            let urn = extension.schema.id.clone();
            let parts = any_parts(&extension.schema.attributes);
            option::of(parts.prop_map(move |parts| (urn.clone(), Value::Object(parts)))).boxed()
        })
        .collect();
    let bodies = (any_parts(&kind.schema.attributes), external_id, extensions);
    bodies
        .prop_map(|(mut body, external_id, extensions)| {
            body.extend(external_id.map(|id| ("externalId".to_owned(), Value::from(id))));
            body.extend(extensions.into_iter().flatten());
            body
        })
        .boxed()
}

/// Two documents in canonical form, with their members; the second has some attributes of the first.
fn any_pair(kind: &'static ResourceType) -> impl Strategy<Value = (Map, Map)> {
    let kept = vec(any::<bool>(), 40);
    (any_body(kind), any_body(kind), kept).prop_map(|(before, mut after, kept)| {
        for ((name, value), kept) in before.iter().zip(kept) {
            if kept {
                after.insert(name.clone(), value.clone());
            }
        }
        (canonical(before, kind), canonical(after, kind))
    })
}

fn canonical(body: Map, kind: &ResourceType) -> Map {
    let members = body.get("members").map(usable);
    let body = body
        .into_iter()
        .filter(|(name, _)| name != "members")
        .collect();
    let mut document = normalise(body, kind, Purpose::Create).unwrap().document;
    document.extend(members.map(|members| ("members".to_owned(), members)));
    document
}

/// The members that can be kept, each once.
fn usable(members: &Value) -> Value {
    let mut seen = BTreeSet::new();
    let usable = members.as_array().into_iter().flatten().filter(|member| {
        let id = member["value"].as_str().unwrap_or_default();
        let nul = ["value", "display", "type"].map(|part| {
            let text = member[part].as_str();
            text.is_some_and(|text| text.contains('\0'))
        });
        !id.is_empty() && !nul.contains(&true) && seen.insert(id.to_owned())
    });
    Value::Array(usable.cloned().collect())
}

fn check_law(before: &Map, after: &Map, kind: &ResourceType) -> Result<(), TestCaseError> {
    let operations = diff(before, after);
    let (mut document, mut members) = apart(before, kind);
    if !operations.is_empty() {
        // Through the wire form, so that printing is part of the law.
        let Value::Object(body) = (PatchRequest { operations }).to_json() else {
            panic!("a request is an object");
        };
        let request = PatchRequest::parse(body).unwrap();
        let applied = apply(&mut document, "1", &request, kind).unwrap();
        applied
            .members
            .into_iter()
            .for_each(|change| make(&mut members, change));
    }
    prop_assert_eq!((document, members), apart(after, kind));
    Ok(())
}

/// The document without its members, and their ids.
fn apart(document: &Map, kind: &ResourceType) -> (Map, BTreeSet<String>) {
    let mut document = document.clone();
    let members = if kind.members_apart {
        document.remove("members")
    } else {
        None
    };
    let members = parse_members(&members.unwrap_or_default()).unwrap();
    (document, members.into_iter().map(id).collect())
}

fn make(members: &mut BTreeSet<String>, change: MemberChange) {
    match change {
        MemberChange::Add(more) => members.extend(more.into_iter().map(id)),
        MemberChange::Remove(gone) => members.retain(|one| !gone.contains(one)),
        MemberChange::RemoveAll => members.clear(),
        MemberChange::ReplaceAll(all) => *members = all.into_iter().map(id).collect(),
        MemberChange::RemoveMatching(filter) => panic!("{filter} names no member"),
    }
}

fn id(member: Member) -> String {
    member.value
}

proptest! {
    #[test]
    fn applying_the_difference_gives_the_other_user((before, after) in any_pair(user())) {
        prop_assert_eq!(diff(&before, &after).is_empty(), before == after);
        check_law(&before, &after, user())?;
    }

    #[test]
    fn applying_the_difference_gives_the_other_group((before, after) in any_pair(group())) {
        check_law(&before, &after, group())?;
    }

    #[test]
    fn the_law_holds_for_whatever_clients_send(before in any_json(), after in any_json()) {
        let canonical = |value: Value| {
            let Value::Object(mut body) = value else { return None };
            body.entry("userName").or_insert(json!("ana"));
            normalise(body, user(), Purpose::Create).ok().map(|normalised| normalised.document)
        };
        if let (Some(before), Some(after)) = (canonical(before), canonical(after)) {
            prop_assert_eq!(diff(&before, &after).is_empty(), before == after);
            check_law(&before, &after, user())?;
        }
    }
}
