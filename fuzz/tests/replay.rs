//! Everything that a fuzzer found worth keeping holds.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

fn replay(target: &str, run: fn(&[u8]), at_least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Shown when it fails.
        println!("{}", path.display());
        run(&std::fs::read(path).unwrap());
        count += 1;
    }
    assert!(
        count >= at_least,
        "the corpus of {target} has {count} files"
    );
}

#[test]
fn expressions_are_parsed() {
    replay("parse", muster_fuzz::parse, 100);
}

#[test]
fn expressions_are_evaluated() {
    replay("evaluate", muster_fuzz::evaluate, 100);
}

#[test]
fn scopes_are_evaluated() {
    replay("scope", muster_fuzz::scope, 30);
}

#[test]
fn schemas_are_read_and_written() {
    replay("schema", muster_fuzz::schema, 10);
}

#[test]
fn filters_are_parsed_and_matched() {
    replay("filter", muster_fuzz::filter, 30);
}

#[test]
fn paths_are_parsed_and_followed() {
    replay("path", muster_fuzz::path, 30);
}

#[test]
fn patches_are_applied() {
    replay("patch", muster_fuzz::patch, 30);
}

#[test]
fn bulk_requests_are_put_in_order() {
    replay("bulk", muster_fuzz::bulk, 20);
}

#[test]
fn requests_leave_everything_in_order() {
    replay("requests", muster_fuzz::requests, 30);
}
