use muster_model::{Attributes, Timestamp, Value};
use proptest::prelude::*;

use super::ast::{Call, Comparison, Node, Word};
use super::func::{FUNCTIONS, Function};
use super::lexer::Operator;
use super::{Context, EvalError, Expression, MAX_CHARS, Problems};

#[track_caller]
fn check_problems(text: &str, want: &[&str]) {
    let Problems(problems) = Expression::parse(text).unwrap_err();
    let got: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(got, want, "{text}");
}

#[test]
fn problems_name_the_place_and_what_was_meant() {
    check_problems(
        "Apend([a], \"x\")",
        &["at 1: there is no function `Apend`; did you mean `Append`?"],
    );
    check_problems(
        "iif([a]=1, \"x\", \"y\")",
        &["at 1: there is no function `iif`; did you mean `IIF`?"],
    );
    check_problems(
        "Append([a])",
        &["at 1: `Append` needs at least 2 arguments and has 1: Append(source, suffix)"],
    );
    check_problems(
        "Left([a], 1, 2)",
        &["at 1: `Left` takes at most 2 arguments and has 3: Left(String, NumChars)"],
    );
    check_problems(
        "Append([a], )",
        &["at 1: `Append` cannot do without its argument `suffix`"],
    );
    check_problems("Append([a], \"x\"", &["at 7: `(` without its `)`"]);
    check_problems(
        "Append([a], \"x)",
        &["at 13: text without its closing `\"`"],
    );
    check_problems("[a", &["at 1: `[` without its `]`"]);
    check_problems("[a] [b]", &["at 5: the expression should end here"]);
    check_problems("", &["at 1: there is nothing"]);
    check_problems(
        "IIF([a]=true, \"x\", \"y\")",
        &["at 9: `true` is no word of the language; did you mean `\"True\"`?"],
    );
    check_problems(
        "mail",
        &["at 1: `mail` is no word of the language; did you mean `[mail]` or `\"mail\"`?"],
    );
    check_problems(
        "[a] & [b]",
        &["at 5: `&` joins no texts here; did you mean `Join` or `Append`?"],
    );
    check_problems(
        "Mid([a], \"x\", 1)",
        &["at 10: `Mid` needs a whole number as `start`"],
    );
    check_problems(
        "Append(SelectUniqueValue([a], [b]), \"x\")",
        &["at 8: `SelectUniqueValue` must be the outermost function"],
    );
    check_problems(
        "Append(vbTextCompare, [a])",
        &["at 8: `vbTextCompare` is only for the last argument of `InStr`"],
    );
    check_problems("[a]=[b]=[c]", &["at 8: comparisons do not chain"]);
    check_problems("1.5", &["at 1: only whole numbers are known"]);
}

#[test]
fn comparisons_of_other_languages_are_known() {
    check_problems(
        r#"IIF([a] == "b", "c", "d")"#,
        &["at 10: `==` compares nothing; did you mean `=`?"],
    );
}

#[test]
fn one_reading_finds_every_problem() {
    check_problems(
        "Join(\" \", ToLowr([a]), ToUper([b]), [c] [d])",
        &[
            "at 11: there is no function `ToLowr`; did you mean `ToLower`?",
            "at 24: there is no function `ToUper`; did you mean `ToUpper`?",
            "at 41: `,` or `)` is missing in front of this",
        ],
    );
}

#[test]
fn patterns_are_compiled_when_the_expression_is_read() {
    let Problems(problems) = Expression::parse("Replace([a], , \"(\", , \"\", , )").unwrap_err();
    assert_eq!((problems[0].at, problems[0].length), (15, 3));
    assert!(Expression::parse("Replace([a], , , , \"\", , )").is_err());
}

#[test]
fn what_no_object_can_make_good_is_told_at_once() {
    let check = |text: &str, want: &str| {
        assert!(Expression::parse(text).is_ok());
        let remarks = Problems(Expression::remarks(text)).to_string();
        assert!(remarks.contains(want), "{text}: {remarks}");
    };
    check(
        r#"DateAdd("q", 1, [a])"#,
        "at 9: `DateAdd` cannot use its argument `interval`",
    );
    check(
        r#"CDate("16/13/2020")"#,
        "at 1: this fails whenever it is evaluated",
    );
    check(
        r#"ToLower([a], "xx-XX")"#,
        "at 14: `ToLower` cannot use its argument `culture`",
    );
    check(
        r#"Mid("abc", IsNull("x"), 1)"#,
        "at 1: this fails whenever it is evaluated",
    );
    check("Item([a], 0)", "at 11");
    check(r#"Replace([m], , "(?<a>b)", "c", "x", , )"#, "no group `c`");
    check("RandomString(3, 3, 3, 3, 3)", "at 1");
    for fine in [
        "Item([a], 5)",
        "Mid([a], 1, 200)",
        "CDate([a])",
        r#"IIF([a] = "x", "y", "z")"#,
        r#"FormatDateTime([a], , "yyyy-MM-dd", "dd.MM.yyyy")"#,
        r#"Word([a], 3, " ")"#,
        r#"InStr([a], "b", 1, TextCompare)"#,
        r#"Switch([a], "0", "1", CDate([b]))"#,
    ] {
        assert_eq!(Expression::remarks(fine), [], "{fine}");
    }
}

#[test]
fn a_nested_call_is_evaluated_once() {
    let mut text = "[a]".to_owned();
    for _ in 0..90 {
        text = format!("RemoveDuplicates({text})");
    }
    let mut source = Attributes::new();
    source.set("a", Value::List(vec!["x".into(), "x".into(), "y".into()]));
    let expression = Expression::parse(&text).unwrap();
    let context = Context::at(Timestamp::from_micros(0));
    let outcome = expression.evaluate(&source, &context).unwrap();
    assert_eq!(outcome.rendered(), ["x", "y"]);
}

// AM-10
#[test]
fn an_expression_has_at_most_ten_thousand_characters() {
    let fits = format!("\"{}\"", "ä".repeat(MAX_CHARS - 2));
    assert!(Expression::parse(&fits).is_ok());
    assert!(Expression::parse(&format!("{fits} ")).is_err());
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}[a]{}", "Not(".repeat(depth), ")".repeat(depth));
    assert!(Expression::parse(&nested(100)).is_ok());
    assert!(Expression::parse(&nested(101)).is_err());
    assert!(Expression::parse(&"Not(".repeat(2_000)).is_err());
}

#[test]
fn names_in_any_case_print_in_their_own_spelling() {
    let expression = Expression::parse_any_case("iif([a]=1, tolower([b]), \"\")").unwrap();
    assert_eq!(expression.to_string(), "IIF([a] = 1, ToLower([b]), \"\")");
}

#[test]
fn an_expression_knows_what_it_reads_and_whether_it_is_secret() {
    let expression = Expression::parse("Join(\"\", [b], [a], [b])").unwrap();
    assert_eq!(expression.attributes(), ["b", "a"]);
    assert!(!expression.redacts() && !expression.is_volatile());
    let secret = Expression::parse("Redact(RandomString(8,1,1,1,1))").unwrap();
    assert!(secret.redacts() && secret.is_volatile());
}

#[test]
fn the_table_has_every_function_once_and_in_order() {
    let names: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
    let mut sorted = names.clone();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(names.len(), 44);
    assert_eq!(names, sorted);
    assert_eq!(
        Function::find("Mid").unwrap().signature(),
        "Mid(source, start, length)"
    );
}

#[test]
fn results_do_not_grow_without_bound() {
    let mut text = "[x]".to_owned();
    for _ in 0..60 {
        text = format!("Replace({text}, \"a\", , , \"aaaaaaaaaa\", , )");
    }
    let expression = Expression::parse(&text).unwrap();
    let source: Attributes = [("x".to_owned(), Value::from("a"))].into_iter().collect();
    let result = expression.evaluate(&source, &Context::at(Timestamp::default()));
    assert_eq!(result, Err(EvalError::TooLong));
}

#[test]
fn when_every_candidate_is_taken_the_error_names_them() {
    let source: Attributes = [("x".to_owned(), Value::from("ana"))].into_iter().collect();
    let expression = Expression::parse("SelectUniqueValue([x], Append([x], \"1\"))").unwrap();
    let context = Context {
        taken: &|_, _| true,
        ..Context::at(Timestamp::default())
    };
    assert_eq!(
        expression.evaluate(&source, &context),
        Err(EvalError::NoUniqueValue {
            candidates: vec!["ana".to_owned(), "ana1".to_owned()],
        })
    );
}

/// Trees that a person could have written.
fn nodes() -> impl Strategy<Value = Node> {
    let leaf = prop_oneof![
        "[a-zA-Z0-9_.:-]{1,12}".prop_map(Node::Attribute),
        any::<String>().prop_map(Node::Text),
        any::<i64>().prop_map(Node::Number),
        Just(Node::Word(Word::IgnoreAttributeFlow)),
        Just(Node::Word(Word::IgnoreObjectFlow)),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let call = |name: &str, arguments: Vec<Option<Node>>| {
            Node::Call(Box::new(Call {
                function: Function::find(name).unwrap(),
                arguments,
                pattern: None,
            }))
        };
        let operand = inner
            .clone()
            .prop_filter("comparisons do not chain", |node| {
                !matches!(node, Node::Compare(_))
            });
        prop_oneof![
            (
                inner.clone(),
                prop::collection::vec(prop::option::of(inner.clone()), 0..4)
            )
                .prop_map(move |(first, mut rest)| {
                    rest.insert(0, Some(first));
                    call("Coalesce", rest)
                }),
            inner
                .clone()
                .prop_map(move |node| call("ToLower", vec![Some(node), None])),
            (0..6_usize, operand.clone(), operand).prop_map(|(operator, left, right)| {
                Node::Compare(Box::new(Comparison {
                    operator: Operator::ALL[operator],
                    left,
                    right,
                }))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn printing_and_reading_give_the_same_tree(node in nodes()) {
        let printed = node.to_string();
        if printed.chars().count() <= MAX_CHARS {
            let read = Expression::parse(&printed).map_err(|problems| {
                TestCaseError::fail(format!("{printed}: {problems}"))
            })?;
            prop_assert_eq!(read.root(), &node);
            prop_assert_eq!(read.to_string(), printed);
        }
    }

    #[test]
    fn no_text_makes_reading_fall_over(text in any::<String>()) {
        let _ = Expression::parse(&text);
    }

    #[test]
    fn no_call_makes_evaluation_fall_over(
        function in prop::sample::select(FUNCTIONS),
        arguments in prop::collection::vec(argument(), 0..8),
        x in any::<String>(),
        number in any::<i64>(),
    ) {
        let text = format!("{}({})", function.name, arguments.join(","));
        if let Ok(expression) = Expression::parse(&text) {
            let source: Attributes = [
                ("x".to_owned(), Value::from(x)),
                ("n".to_owned(), Value::from(number)),
                ("l".to_owned(), Value::from(vec![Value::from("a"), Value::Bool(true)])),
            ].into_iter().collect();
            let _ = expression.evaluate(&source, &Context::at(Timestamp::from_micros(number)));
        }
    }
}

/// Arguments that come near the edges.
fn argument() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("[x]".to_owned()),
        Just("[n]".to_owned()),
        Just("[l]".to_owned()),
        Just("[nothing]".to_owned()),
        prop::sample::select(vec![
            "\"d\"",
            "\"yyyy\"",
            "\"m\"",
            "\"ww\"",
            "\"s\"",
            "\"9999-12-31\"",
            "\"0001-01-01\"",
            "\"(?<g>.*)\"",
            "\"g\"",
            "\"${g}\"",
            "\"yyyy-MM-dd\"",
            "\"\"",
            "\" \"",
            "\"12\"",
            "\"[a-z]*\"",
            "\"%\"",
            "\"dddd\"",
            "CDate(\"9999-12-31\")",
            "[x]=[n]",
            "vbTextCompare",
        ])
        .prop_map(str::to_owned),
        any::<i64>().prop_map(|number| number.to_string()),
        (-3..300_i64).prop_map(|number| number.to_string()),
    ]
}

#[test]
fn an_attribute_that_the_source_does_not_have_is_named_with_its_place() {
    let told = |text: &str| -> Vec<String> {
        let told = Expression::unknown_attributes(text, &["surname", "mail"]);
        told.iter().map(ToString::to_string).collect()
    };
    let at = |place: usize| {
        format!(
            "at {place}: the source has no attribute `surnam`, so it is null; did you mean `surname`?"
        )
    };
    assert_eq!(told("Append([surnam], [mail])"), [at(8)]);
    // Not in a text; each time; and whatever else is wrong.
    assert_eq!(told(r#"Append("[surnam]", [surnam])"#), [at(20)]);
    assert_eq!(told("Apend([surnam], Append([surnam]"), [at(7), at(24)]);
}
