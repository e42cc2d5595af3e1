//! Everything that a fuzzer found worth keeping holds.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

fn replay(target: &str, run: fn(&[u8]), at_least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(target);
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        run(&std::fs::read(entry.unwrap().path()).unwrap());
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
