//! The language of SCIM: filters, paths, patches and bulk requests.

use std::collections::HashSet;

use muster_scim::attr_path::Located;
use muster_scim::filter::Conjunct;
use muster_scim::message::{PATCH_OP, parse_body};
use muster_scim::schema::{self, ENTERPRISE_USER};
use muster_scim::{
    AttrPath, BulkRequest, Filter, Map, PatchRequest, Path, Projection, Purpose, ResourceType,
    ScimError, SortOrder, Sorter, apply, diff, normalise,
};
use serde_json::{Value, json};

/// The id that documents have.
const ID: &str = "Id-1";

/// A filter is parsed; what parses is printed and parses to the same again, matches documents of both
/// types, and implies its conjuncts.
pub fn filter(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let filter = match Filter::parse(text) {
        Ok(filter) => filter,
        Err(error) => return check_error(&error),
    };
    let printed = filter.to_string();
    assert_eq!(Filter::parse(&printed).as_ref(), Ok(&filter), "{printed}");
    for (kind, document) in [(schema::user(), ana()), (schema::group(), crew())] {
        match filter.matches(&document, kind) {
            Ok(matches) => check_conjuncts(&filter, matches, &document, kind),
            Err(error) => check_error(&error),
        }
    }
    let _ = filter.mentions("members");
}

/// A filter that matches implies its conjuncts; they imply the filter when they are all of it.
fn check_conjuncts(filter: &Filter, matches: bool, document: &Map, kind: &ResourceType) {
    let mut all = true;
    for conjunct in filter.conjuncts() {
        let holds = as_filter(conjunct)
            .matches(document, kind)
            .unwrap_or_else(|error| panic!("{error} in {conjunct:?} of {filter}"));
        assert!(holds || !matches, "{conjunct:?} of {filter}");
        all &= holds;
    }
    assert!(
        !filter.is_conjuncts_only() || all == matches,
        "{filter} is more than its conjuncts"
    );
}

fn as_filter(conjunct: Conjunct<'_>) -> Filter {
    match conjunct {
        Conjunct::Equal { path, value } => Filter::equals(path.clone(), value),
        Conjunct::Member(id) => Filter::equals(name("members"), id),
        Conjunct::Typed {
            attribute,
            kind,
            value,
        } => Filter::Element {
            attribute: attribute.clone(),
            filter: Box::new(Filter::all(vec![
                Filter::equals(name("type"), kind),
                Filter::equals(name("value"), value),
            ])),
            then: None,
        },
    }
}

fn name(text: &str) -> AttrPath {
    AttrPath::parse(text).expect("a name of the standard schemas")
}

/// A path is parsed; what parses is printed and parses to the same again, means the same in its canonical
/// spelling, and reads what it wrote. The same text as the name of an attribute shapes and sorts documents.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    for (kind, document) in [(schema::user(), ana()), (schema::group(), crew())] {
        shape(text, &document, kind);
        match Path::parse(text) {
            Ok(path) => check_path(&path, document, kind),
            Err(error) => check_error(&error),
        }
    }
}

fn shape(text: &str, document: &Map, kind: &ResourceType) {
    for (only, except) in [([text], [""]), ([""], [text])] {
        let projection = Projection::new(&only, &except, kind);
        let mut once = document.clone();
        projection.apply(&mut once);
        assert_eq!(once.get("id"), document.get("id"));
        let mut twice = once.clone();
        projection.apply(&mut twice);
        assert_eq!(once, twice);
    }
    if let Ok(by) = AttrPath::parse(text) {
        assert_eq!(by.as_str(), text);
        let _ = Sorter::new(&by, SortOrder::Ascending, kind).key(document);
    }
}

fn check_path(path: &Path, mut document: Map, kind: &ResourceType) {
    let printed = path.to_string();
    assert_eq!(Path::parse(&printed).as_ref(), Ok(path), "{printed}");
    let canonical = path.canonical(kind);
    if let Some(canonical) = &canonical {
        assert_eq!(meaning(canonical, kind), meaning(path, kind), "{printed}");
        assert_eq!(canonical.canonical(kind).as_ref(), Some(canonical));
    }
    let _ = path.get(&document);
    let value = json!("v");
    let was_set = path.set(&mut document, value.clone());
    // A value filter may be about the value, and what is primary decides which element is read.
    let is_plain = path.selector().is_none()
        && !path
            .sub()
            .is_some_and(|sub| sub.eq_ignore_ascii_case("primary"));
    match was_set {
        Ok(()) if is_plain => assert_eq!(path.get(&document), Some(&value), "{printed}"),
        Ok(()) => {}
        Err(error) => check_error(&error),
    }
}

/// What a path names: the extension, the attribute and its part.
fn meaning<'s>(path: &Path, kind: &'s ResourceType) -> Option<[Option<&'s str>; 3]> {
    Some(match path.locate(kind)? {
        Located::Resource => [None; 3],
        Located::Extension(schema) => [Some(schema.id.as_str()), None, None],
        Located::Attribute {
            extension,
            attribute,
            sub,
        } => [
            extension.map(|schema| schema.id.as_str()),
            Some(attribute.name.as_str()),
            sub.map(|sub| sub.name.as_str()),
        ],
    })
}

/// The first line is a body to create a resource with, or nothing for one of ours; the rest is a PATCH,
/// or the list of its operations.
pub fn patch(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (body, request) = text.split_once('\n').unwrap_or((text, ""));
    let Some(request) = request_of(request) else {
        return;
    };
    let printed = match request.to_json() {
        Value::Object(printed) => PatchRequest::parse(printed),
        other => panic!("{other}"),
    };
    assert_eq!(printed.as_ref(), Ok(&request));
    for (kind, ours) in [(schema::user(), ana()), (schema::group(), crew())] {
        let body = match parse_body(body.as_bytes()) {
            Ok(body) => body,
            Err(_) => ours,
        };
        match normalise(body, kind, Purpose::Create) {
            Ok(normalised) => check_patch(&normalised.document, &request, kind),
            Err(error) => check_error(&error),
        }
    }
}

fn request_of(text: &str) -> Option<PatchRequest> {
    let body = match serde_json::from_str(text).ok()? {
        Value::Object(body) => body,
        operations => Map::from_iter([
            ("schemas".into(), json!([PATCH_OP])),
            ("Operations".into(), operations),
        ]),
    };
    PatchRequest::parse(body).inspect_err(check_error).ok()
}

fn check_patch(before: &Map, request: &PatchRequest, kind: &ResourceType) {
    let mut after = before.clone();
    match apply(&mut after, ID, request, kind) {
        Err(error) => {
            check_error(&error);
            assert_eq!(&after, before, "a refused PATCH changed something");
        }
        Ok(applied) => {
            assert_eq!(applied.changed, &after != before);
            check_canonical(&after, kind);
            check_difference(before, &after, kind);
        }
    }
}

/// What a document became can be printed and read, and put in its own place without a change.
fn check_canonical(document: &Map, kind: &ResourceType) {
    let printed = Value::Object(document.clone()).to_string();
    let read = parse_body(printed.as_bytes());
    assert_eq!(read.as_ref(), Ok(document));
    let again = normalise(document.clone(), kind, Purpose::Replace(document));
    let again = again.map(|normalised| normalised.document);
    assert_eq!(again.as_ref(), Ok(document));
}

/// The law of the difference, through the wire form: `apply(diff(a, b), a) = b`.
fn check_difference(before: &Map, after: &Map, kind: &ResourceType) {
    let operations = diff(before, after);
    if operations.is_empty() {
        return assert_eq!(before, after);
    }
    let request = PatchRequest { operations };
    let Value::Object(printed) = request.to_json() else {
        panic!("{request:?}");
    };
    let mut document = before.clone();
    let applied =
        PatchRequest::parse(printed).and_then(|request| apply(&mut document, ID, &request, kind));
    assert!(applied.is_ok(), "{applied:?} of {request:?}");
    assert_eq!(&document, after, "{request:?}");
}

/// A bulk request is read and put in order: each operation is in one group, none before what it refers to,
/// and every reference can be resolved or is refused.
pub fn bulk(data: &[u8]) {
    let request = match parse_body(data).and_then(BulkRequest::parse) {
        Ok(request) => request,
        Err(error) => return check_error(&error),
    };
    let created: HashSet<&str> = request
        .operations
        .iter()
        .filter_map(|one| one.created())
        .collect();
    let mut seen = vec![false; request.operations.len()];
    let mut made: HashSet<&str> = HashSet::new();
    for group in request.groups() {
        assert!(group.is_sorted());
        for &at in &group {
            assert!(
                !std::mem::replace(&mut seen[at], true),
                "{at} is in two groups"
            );
            made.extend(request.operations[at].created());
        }
        let needs = group
            .iter()
            .flat_map(|&at| request.operations[at].references());
        for need in needs.filter(|need| created.contains(need)) {
            assert!(made.contains(need), "{need} is created too late");
        }
    }
    assert!(seen.iter().all(|seen| *seen));
    for operation in &request.operations {
        let mut resolved = operation.clone();
        let id_of = |bulk_id: &str| created.contains(bulk_id).then(|| ID.to_owned());
        match resolved.resolve(&id_of) {
            Ok(()) => assert_eq!(resolved.references().count(), 0, "{resolved:?}"),
            Err(error) => check_error(&error),
        }
    }
}

/// An error of the sender, told as SCIM does.
fn check_error(error: &ScimError) {
    assert!((400..500).contains(&error.status), "{error:?}");
    assert!(!error.detail.is_empty(), "{error:?}");
    assert!(error.detail.len() < 4096, "{error:?}");
}

/// A user with something of everything.
fn ana() -> Map {
    map(json!({
        "schemas": [schema::USER, ENTERPRISE_USER],
        "id": ID,
        "externalId": "Ext",
        "userName": "Ana@Example.NET",
        "displayName": "Ana \"the\" 100%_\\ Ruiz",
        "title": "Engineer",
        "nickName": "",
        "active": true,
        "name": {"givenName": "Ana", "familyName": "Ruiz"},
        "emails": [
            {"value": "ana@example.net", "type": "work", "primary": true},
            {"value": "ana@home.example", "type": "home"}
        ],
        "addresses": [{"locality": "Lagos", "type": "work"}, {"locality": "Lima"}],
        "x509Certificates": [{"value": "AbCd"}],
        "groups": [{"value": "g1", "display": "Crew"}],
        "meta": {
            "resourceType": "User",
            "created": "2026-03-01T09:00:00.1234567Z",
            "lastModified": "2026-03-02T00:00:00+02:00",
            "version": "W/\"1\""
        },
        ENTERPRISE_USER: {"department": "Lab", "employeeNumber": "0042", "manager": {"value": "m1"}}
    }))
}

/// A group with members of both types.
fn crew() -> Map {
    map(json!({
        "schemas": [schema::GROUP],
        "id": ID,
        "externalId": "Ext",
        "displayName": "Crew",
        "members": [
            {"value": "u1", "type": "User", "display": "Ana"},
            {"value": "g1", "type": "Group"}
        ],
        "meta": {"resourceType": "Group", "version": "W/\"1\""}
    }))
}

fn map(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no document"),
    }
}
