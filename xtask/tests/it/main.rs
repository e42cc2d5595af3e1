//! The chores as scripts call them. With this test in place, a build of all tests builds the binary
//! too, so that `script/test` needs no second build of it.

use std::process::{Command, Output};

fn xtask(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(args)
        .output()
        .expect("the binary runs")
}

#[test]
fn a_command_gets_a_postgresql_and_its_exit_code_is_passed_on() {
    let script = r#"echo "$MUSTER_TEST_POSTGRES"; exit 7"#;
    let output = xtask(&["with-postgres", "--", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("postgresql://"), "{said}");
}

#[test]
fn a_chore_that_does_not_exist_is_refused_with_the_list_of_those_that_do() {
    let output = xtask(&["chekc"]);
    assert!(!output.status.success());
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("Commands:"), "{said}");
}
