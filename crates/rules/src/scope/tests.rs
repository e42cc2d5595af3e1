use muster_model::{Attributes, Value};

use super::{ClauseText, FilterText, ScopeOperator, ScopePart, ScopingFilters};
use crate::expr::EvalError;

fn clause(attribute: &str, operator: &str, value: &str) -> ClauseText {
    let binary = ScopeOperator::find(operator).is_none_or(ScopeOperator::is_binary);
    ClauseText {
        attribute: attribute.to_owned(),
        operator: operator.to_owned(),
        values: if binary {
            vec![value.to_owned()]
        } else {
            Vec::new()
        },
        ..ClauseText::default()
    }
}

fn filter(title: &str, clauses: Vec<ClauseText>) -> FilterText {
    FilterText {
        title: title.to_owned(),
        clauses,
        ..FilterText::default()
    }
}

fn source(value: impl Into<Value>) -> Attributes {
    let mut source = Attributes::new();
    source.set("x", value);
    source
}

#[track_caller]
fn check(value: impl Into<Value>, operator: &str, operand: &str, want: bool) {
    let filters =
        ScopingFilters::compile(&[filter("f", vec![clause("x", operator, operand)])]).unwrap();
    let source = source(value);
    assert_eq!(filters.passes(&source), Ok(want), "{operator} {operand}");
    let outcome = filters.evaluate(&source);
    assert_eq!((outcome.passed, outcome.clauses[0].passed), (want, want));
}

// 17.2
#[test]
fn the_published_table_holds() {
    check(Value::Null, "EQUALS", "x", false);
    check(Value::Null, "NOT EQUALS", "x", false);
    check(Value::Null, "NOT REGEX MATCH", ".*", false);
    check(Value::Null, "IS NULL", "", true);
    check("", "IS NOT NULL", "", false);
    check("Sales", "EQUALS", "sales", false);
    check("Sales", "Includes", "ale", true);
    check("a@b.com", "REGEX MATCH", r".*\@b.com", true);
    check("55", "REGEX MATCH", "([1-9][0-9])", true);
    check("155", "REGEX MATCH", "([1-9][0-9])", false);
    check(10, "Greater_Than", "10", false);
    check(10, "Greater_Than_OR_EQUALS", "10", true);
}

// SF-8, SF-9
#[test]
fn a_missing_value_makes_every_clause_false_but_one() {
    for operator in ScopeOperator::ALL {
        let operand = if operator == ScopeOperator::GreaterThan {
            "0"
        } else {
            "1"
        };
        check(
            Value::Null,
            operator.as_str(),
            operand,
            operator == ScopeOperator::IsNull,
        );
        check(
            "",
            operator.as_str(),
            operand,
            operator == ScopeOperator::IsNull,
        );
    }
}

#[test]
fn operators_compare_as_documented() {
    check("b", "&", "abc", true);
    check("d", "&", "abc", false);
    check("d", "!&", "abc", true);
    check("ab", "ENDS_WITH", "b", true);
    check("aB", "ENDS_WITH", "b", false);
    check("True", "IS TRUE", "", true);
    check(false, "EQUALS", "False", true);
    check("many", "Greater_Than", "1", false);
    check("-5", "Greater_Than", "1", false);
    check("a", "not equals", "b", true);
}

// SF-10: of several values each must hold
#[test]
fn several_values_must_all_hold() {
    let list = |items: &[&str]| Value::List(items.iter().map(|item| Value::from(*item)).collect());
    check(list(&["ab", "cb"]), "ENDS_WITH", "b", true);
    check(list(&["ab", "cd"]), "ENDS_WITH", "b", false);
    check(list(&[]), "IS NULL", "", true);
}

// SF-2, SF-3
#[test]
fn clauses_are_joined_by_and_filters_by_or() {
    let filters = ScopingFilters::compile(&[
        filter(
            "first",
            vec![clause("x", "EQUALS", "a"), clause("y", "IS NOT NULL", "")],
        ),
        filter("second", vec![clause("x", "EQUALS", "b")]),
    ])
    .unwrap();
    assert_eq!(filters.passes(&source("a")), Ok(false));
    assert_eq!(filters.passes(&source("b")), Ok(true));
    assert_eq!(ScopingFilters::default().passes(&source("a")), Ok(true));
    let empty = ScopingFilters::compile(&[filter("nothing", Vec::new())]).unwrap();
    assert!(empty.is_empty());
    assert_eq!(empty.passes(&source("a")), Ok(true));
}

// 4.4
#[test]
fn the_log_names_each_clause() {
    let filters = ScopingFilters::compile(&[
        filter("staff", vec![clause("x", "EQUALS", "a")]),
        filter("", vec![clause("y", "IS NULL", "")]),
    ])
    .unwrap();
    let outcome = filters.evaluate(&source("b"));
    assert_eq!(
        outcome.to_json(),
        r#"{"staff.x EQUALS a":false,".y IS NULL":true}"#
    );
    assert_eq!(outcome.clauses[0].seen, Value::from("b"));
    assert_eq!(
        ScopingFilters::default().evaluate(&source("b")).to_json(),
        "{}"
    );
}

#[test]
fn a_pattern_that_gives_up_decides_nothing() {
    let pattern = r"((a+)+)+\2b";
    let filters = |operator: &str| {
        ScopingFilters::compile(&[filter("f", vec![clause("x", operator, pattern)])]).unwrap()
    };
    let hostile = source("a".repeat(60));
    for operator in ["REGEX MATCH", "NOT REGEX MATCH"] {
        let outcome = filters(operator).evaluate(&hostile);
        assert_eq!(outcome.problem, Some(EvalError::PatternTooCostly));
        assert!(!outcome.passed);
    }
}

#[track_caller]
fn check_problem(text: &ClauseText, part: ScopePart, want: &str) {
    let problems = ScopingFilters::compile(&[filter("f", vec![text.clone()])]).unwrap_err();
    assert_eq!(problems[0].part, part);
    assert!(
        problems[0].message.contains(want),
        "{}",
        problems[0].message
    );
}

#[test]
fn clauses_that_cannot_be_used_are_refused() {
    check_problem(
        &clause("x", "EQUAL", "a"),
        ScopePart::Operator,
        "did you mean `EQUALS`",
    );
    check_problem(
        &clause("x", "IsMemberOf", "a"),
        ScopePart::Operator,
        "not supported",
    );
    check_problem(
        &clause("x", "REGEX MATCH", "("),
        ScopePart::Value,
        "regular expression",
    );
    check_problem(
        &clause("x", "Greater_Than", "1.5"),
        ScopePart::Value,
        "whole numbers",
    );
    check_problem(
        &clause("manager", "IS NULL", ""),
        ScopePart::Attribute,
        "manager",
    );
    check_problem(
        &clause("", "IS NULL", ""),
        ScopePart::Attribute,
        "no attribute",
    );
    let mut none = clause("x", "EQUALS", "a");
    none.values.clear();
    check_problem(&none, ScopePart::Value, "needs a value");
}

#[track_caller]
fn check_flip(clauses: &[(&str, &str, &str)], source: &[(&str, &str)], want: &[&str]) {
    let clauses = clauses
        .iter()
        .map(|(attribute, operator, value)| clause(attribute, operator, value));
    let filters = ScopingFilters::compile(&[filter("f", clauses.collect())]).unwrap();
    let source: Attributes = source
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Value::from(*value)))
        .collect();
    let got: Vec<String> = filters
        .flip(&source)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(got, want);
}

#[test]
fn the_smallest_change_that_would_turn_the_answer_around_is_told() {
    check_flip(
        &[
            ("department", "EQUALS", "Sales"),
            ("city", "IS NOT NULL", ""),
        ],
        &[("department", "sales"), ("city", "Oslo")],
        &["`department` must be exactly `Sales`; upper and lower case and blanks count"],
    );
    check_flip(
        &[
            ("department", "EQUALS", "Sales"),
            ("city", "IS NOT NULL", ""),
        ],
        &[],
        &["`department` must be `Sales`", "`city` must have a value"],
    );
    // SF-9
    check_flip(
        &[("department", "NOT EQUALS", "Sales")],
        &[],
        &["`department` must have a value other than `Sales`"],
    );
    // In scope: one clause less is enough to leave.
    check_flip(
        &[
            ("department", "EQUALS", "Sales"),
            ("city", "IS NOT NULL", ""),
        ],
        &[("department", "Sales"), ("city", "Oslo")],
        &["`department` must not be `Sales`"],
    );
    check_flip(
        &[("number", "Greater_Than", "10")],
        &[("number", "10")],
        &["`number` must be a whole number above 10"],
    );
    check_flip(&[], &[], &[]);
}

#[test]
fn clauses_of_one_attribute_must_hold_together() {
    check_flip(
        &[("id", "Greater_Than", "5"), ("id", "Greater_Than", "10")],
        &[("id", "3")],
        &["`id` must be a whole number above 10"],
    );
    check_flip(
        &[
            ("dept", "NOT EQUALS", "Sales"),
            ("dept", "Includes", "Sa"),
            ("dept", "ENDS_WITH", "es"),
        ],
        &[("dept", "es")],
        &["`dept` must contain `Sa` and must not be `Sales` and must end with `es`"],
    );
    // Nothing can be both, or empty and equal to that.
    check_flip(
        &[("dept", "EQUALS", "Sales"), ("dept", "NOT EQUALS", "Sales")],
        &[("dept", "Eng")],
        &[],
    );
    check_flip(&[("dept", "EQUALS", "")], &[], &[]);
}

#[test]
fn leaving_means_that_no_other_filter_opens() {
    let filters = ScopingFilters::compile(&[
        filter(
            "a",
            vec![
                clause("dept", "EQUALS", "Sales"),
                clause("city", "EQUALS", "Oslo"),
            ],
        ),
        filter("b", vec![clause("dept", "NOT EQUALS", "Sales")]),
    ])
    .unwrap();
    let mut source = Attributes::new();
    source.set("dept", "Sales");
    source.set("city", "Oslo");
    let flips: Vec<String> = filters
        .flip(&source)
        .iter()
        .map(ToString::to_string)
        .collect();
    // Another department would come in by the other filter; none at all, or another city, would not.
    assert_eq!(flips.len(), 1, "{flips:?}");
    assert!(!filters.evaluate(&source).clauses.is_empty());
}

proptest::proptest! {
    #[test]
    fn a_change_that_is_told_was_tried(
        clauses in proptest::collection::vec((0_usize..3, 0_usize..11, 0_usize..4, 0_usize..3), 1..7),
        values in proptest::collection::vec(0_usize..6, 3),
    ) {
        let operators = ["EQUALS", "NOT EQUALS", "IS TRUE", "IS FALSE", "IS NULL", "IS NOT NULL",
            "Greater_Than", "Greater_Than_OR_EQUALS", "Includes", "ENDS_WITH", "&"];
        let mut texts: Vec<Vec<ClauseText>> = vec![Vec::new(); 3];
        for (attribute, operator, operand, of) in clauses {
            let operator = operators[operator];
            let numeric = operator.starts_with("Greater");
            let operand = if numeric { ["5", "7", "0", "12"] } else { ["Sa", "es", "Sales", "x"] }[operand];
            texts[of].push(clause(["a", "b", "c"][attribute], operator, operand));
        }
        let texts: Vec<FilterText> = texts.into_iter().map(|clauses| filter("f", clauses)).collect();
        let filters = ScopingFilters::compile(&texts).unwrap();
        let mut source = Attributes::new();
        for (name, value) in ["a", "b", "c"].into_iter().zip(values) {
            source.set(name, ["", "Sales", "es", "6", "true", "false"][value]);
        }
        let before = filters.passes(&source).unwrap();
        if let Some(after) = filters.turned(&source).map(|changes| changes.object) {
            proptest::prop_assert_ne!(filters.passes(&after).unwrap(), before);
        }
    }
}

#[test]
fn the_filter_that_needs_the_fewest_changes_is_chosen_and_every_open_door_must_shut() {
    let two = |title| {
        vec![
            clause("department", "EQUALS", title),
            clause("city", "EQUALS", "Oslo"),
        ]
    };
    let one = vec![clause("title", "IS TRUE", "")];
    let filters = ScopingFilters::compile(&[filter("a", two("Sales")), filter("b", one)]).unwrap();
    let mut source = Attributes::new();
    assert_eq!(filters.flip(&source)[0].to_string(), "`title` must be true");
    let outcome = filters.evaluate(&source);
    assert!(outcome.clauses.iter().all(|clause| clause.decided));
    for (name, value) in [("department", "Sales"), ("city", "Oslo")] {
        source.set(name, value);
    }
    source.set("title", true);
    assert_eq!(filters.flip(&source).len(), 2);
    source.set("title", false);
    let outcome = filters.evaluate(&source);
    let decided: Vec<bool> = outcome
        .clauses
        .iter()
        .map(|clause| clause.decided)
        .collect();
    assert_eq!((outcome.passed, decided), (true, vec![true, true, false]));
}

#[test]
fn a_clause_that_is_false_for_a_missing_value_is_warned_of() {
    let clauses = vec![
        clause("department", "NOT EQUALS", "Sales"),
        clause("city", "EQUALS", "Oslo"),
    ];
    let filters = ScopingFilters::compile(&[filter("a", clauses), filter("b", vec![])]).unwrap();
    let warnings = filters.warnings();
    assert_eq!(warnings.len(), 2);
    assert_eq!((warnings[0].filter, warnings[0].clause), (0, Some(0)));
    assert!(
        warnings[0].message.contains("`department IS NULL`"),
        "{warnings:?}"
    );
    assert_eq!((warnings[1].filter, warnings[1].clause), (1, None));
}
