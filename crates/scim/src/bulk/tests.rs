use proptest::prelude::*;
use serde_json::json;

use super::*;

fn request(operations: Value) -> BulkRequest {
    let Value::Object(body) = json!({ "schemas": [BULK_REQUEST], "Operations": operations }) else {
        unreachable!()
    };
    BulkRequest::parse(body).unwrap()
}

#[track_caller]
fn check_refused(body: Value, status: u16, want: &str) {
    let Value::Object(body) = body else {
        panic!("an object")
    };
    let error = BulkRequest::parse(body).unwrap_err();
    assert_eq!(error.status, status);
    assert!(error.detail.contains(want), "{}", error.detail);
}

// RFC 7644 section 3.7, profile section 9.
#[test]
fn a_request_of_the_wrong_structure_is_refused_as_a_whole() {
    check_refused(json!({}), 400, "Operations must be a list");
    check_refused(json!({"Operations": {}}), 400, "Operations must be a list");
    check_refused(json!({"Operations": [1]}), 400, "must be an object");
    check_refused(json!({"Operations": [{"method": 5}]}), 400, "method");
    check_refused(
        json!({"schemas": ["urn:x"], "Operations": []}),
        400,
        "schemas must name",
    );
    check_refused(
        json!({"failOnErrors": -1, "Operations": []}),
        400,
        "failOnErrors",
    );
    let twice = json!({"method": "POST", "path": "/Users", "bulkId": "a"});
    check_refused(json!({"Operations": [twice, twice]}), 400, "two operations");
    let many = vec![json!({"method": "DELETE", "path": "/Users/1"}); 1001];
    check_refused(json!({"Operations": many}), 413, "maxOperations");
}

#[test]
fn names_are_read_in_any_case() {
    let Value::Object(body) =
        json!({"operations": [{"Method": "post", "Path": "/Users", "bulkid": "a"}]})
    else {
        unreachable!()
    };
    let read = BulkRequest::parse(body).unwrap();
    assert_eq!(read.operations[0].created(), Some("a"));
}

#[track_caller]
fn check_groups(operations: Value, want: &[&[usize]]) {
    assert_eq!(request(operations).groups(), want);
}

// RFC 7644 sections 3.7.1 and 3.7.2.
#[test]
fn what_is_referred_to_comes_first_and_circles_stay_together() {
    let post = |id: &str, refers: &[&str]| {
        let members: Vec<Value> = refers
            .iter()
            .map(|to| json!({ "value": format!("bulkId:{to}") }))
            .collect();
        json!({"method": "POST", "path": "/Groups", "bulkId": id, "data": {"members": members}})
    };
    check_groups(json!([post("a", &[]), post("b", &[])]), &[&[0], &[1]]);
    check_groups(
        json!([post("a", &["c"]), post("b", &[]), post("c", &["b"])]),
        &[&[1], &[2], &[0]],
    );
    check_groups(
        json!([post("a", &["b"]), post("b", &["a"]), post("c", &["a"])]),
        &[&[0, 1], &[2]],
    );
    check_groups(json!([post("a", &["a"])]), &[&[0]]);
    check_groups(json!([post("a", &["nobody"])]), &[&[0]]);
    check_groups(
        json!([
            {"method": "PATCH", "path": "/Groups/bulkId:g", "data": {"Operations": [
                {"op": "remove", "path": "members[value eq \"bulkId:u\"]"},
                {"op": "add", "value": {"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager": "bulkId:m"}},
            ]}},
            post("m", &[]), post("u", &[]), post("g", &[]),
        ]),
        &[&[3], &[2], &[1], &[0]],
    );
}

#[test]
fn references_are_replaced_where_ids_stand() {
    let mut operation = request(json!([{
        "method": "PATCH", "path": "/Groups/bulkId:g", "data": {
            "displayName": "bulkId:g",
            "members": [{"value": "bulkId:u", "$ref": "https://x/Users/bulkId:u"}, "bulkId:g"],
            "Operations": [{"op": "remove", "path": "members[value eq \"bulkId:u\" or value eq \"7\"]"}],
        },
    }]))
    .operations
    .remove(0);
    let ids = |id: &str| (id != "none").then(|| format!("<{id}>"));
    assert_eq!(operation.references().collect::<Vec<_>>(), ["g", "u"]);
    operation.resolve(&ids).unwrap();
    assert_eq!(operation.references().count(), 0);
    assert_eq!(operation.path, "/Groups/<g>");
    assert_eq!(
        operation.data,
        json!({
            "displayName": "bulkId:g",
            "members": [{"value": "<u>", "$ref": "https://x/Users/<u>"}, "<g>"],
            "Operations": [{"op": "remove", "path": "members[value eq \"<u>\" or value eq \"7\"]"}],
        })
    );
    for broken in [
        json!({"path": "/Users/bulkId:none"}),
        json!({"data": {"manager": {"value": "bulkId:none"}}}),
        json!({"data": {"Operations": [{"path": "members[value eq \"bulkId:none\"]"}]}}),
    ] {
        let mut operation = request(json!([broken])).operations.remove(0);
        let error = operation.resolve(&ids).unwrap_err();
        assert!(error.detail.contains("\"none\""), "{}", error.detail);
    }
}

// What is found is what is replaced, in each place alone: an operation in which nothing is found is left as it is.
#[test]
fn each_place_of_a_reference_is_found_and_replaced() {
    for place in [
        json!({"path": "/Users/bulkId:a"}),
        json!({"data": {"members": ["bulkId:a"]}}),
        json!({"data": {"members": [{"value": "bulkId:a"}]}}),
        json!({"data": {"members": [{"$ref": "../Users/bulkId:a"}]}}),
        json!({"data": {"MANAGER": "bulkId:a"}}),
        json!({"data": {"Operations": [{"value": {"urn:x:User:manager": "bulkId:a"}}]}}),
        json!({"data": {"Operations": [{"value": "bulkId:a"}]}}),
        json!({"data": {"Operations": [{"Path": "members[value eq \"bulkId:a\"]"}]}}),
    ] {
        let mut operation = request(json!([place])).operations.remove(0);
        assert_eq!(operation.references().collect::<Vec<_>>(), ["a"], "{place}");
        operation.resolve(&|_| Some("<a>".to_owned())).unwrap();
        let resolved = format!("{} {}", operation.path, operation.data);
        assert!(!resolved.contains("bulkId:"), "{resolved}");
        assert!(resolved.contains("<a>"), "{resolved}");
        assert_eq!(operation.references().count(), 0);
    }
}

// As many as fit into a body: one pass over the text, or a request holds up the server for minutes.
#[test]
fn a_path_may_be_full_of_references() {
    let many = "\"bulkId:a\"".repeat(350_000);
    let unclosed = format!("{many} \"bulkId:a");
    let mut operation = request(json!([{"data": {"path": unclosed}}]))
        .operations
        .remove(0);
    let ids = |_: &str| Some("<a>".to_owned());
    operation.resolve(&ids).unwrap();
    let want = format!("{} \"<a>", "\"<a>\"".repeat(350_000));
    assert!(operation.data["path"] == want);
    assert_eq!(operation.references().count(), 0);
}

#[test]
fn the_answer_has_the_members_of_the_rfc() {
    let operations = request(json!([
        {"method": "POST", "path": "/Users", "bulkId": "a"},
        {"method": "DELETE", "path": "/Users/7"},
    ]))
    .operations;
    let answers = [
        BulkAnswer {
            location: Some("https://x/Users/1".to_owned()),
            version: Some("W/\"1\"".to_owned()),
            result: Ok(201),
        },
        BulkAnswer {
            location: Some("https://x/Users/7".to_owned()),
            version: None,
            result: Err(ScimError::not_found("there is no User 7")),
        },
    ];
    let told = bulk_response(operations.iter().zip(answers)).unwrap();
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!(
        told["Operations"][0],
        json!({"method": "POST", "bulkId": "a", "location": "https://x/Users/1", "version": "W/\"1\"", "status": "201"})
    );
    assert_eq!(told["Operations"][1]["status"], json!("404"));
    assert_eq!(told["Operations"][1]["response"]["status"], json!("404"));
}

proptest! {
    #[test]
    fn every_operation_is_in_one_group_and_after_what_it_needs(
        edges in proptest::collection::vec((0_usize..30, 0_usize..30), 0..80),
    ) {
        let mut needs = vec![Vec::new(); 30];
        for (from, to) in edges {
            needs[from].push(to);
        }
        let groups = strong_components(&needs);
        let mut place = vec![usize::MAX; 30];
        for (at, group) in groups.iter().enumerate() {
            for member in group {
                prop_assert_eq!(place[*member], usize::MAX);
                place[*member] = at;
            }
        }
        for (from, needs) in needs.iter().enumerate() {
            prop_assert!(place[from] != usize::MAX);
            for to in needs {
                prop_assert!(place[*to] <= place[from]);
            }
        }
    }
}
