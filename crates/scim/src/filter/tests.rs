//! Rows for the filter language of profile section 6.2, and its laws.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::ScimType;
use crate::schema::{GROUP, USER, group, user};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn map(value: Value) -> Map {
    match value {
        Value::Object(map) => map,
        _ => panic!("a document is an object"),
    }
}

fn ana() -> Map {
    map(json!({
        "schemas": [USER, ENTERPRISE],
        "id": "Id-1",
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
        "x509Certificates": [{"value": "AbCd"}],
        "groups": [{"value": "g1", "display": "Crew"}],
        "meta": {
            "resourceType": "User",
            "created": "2026-03-01T09:00:00.1234567Z",
            "lastModified": "2026-03-02T00:00:00+02:00",
            "version": "W/\"a\""
        },
        ENTERPRISE: {"department": "Lab", "employeeNumber": "0042", "manager": {"value": "m1"}}
    }))
}

#[track_caller]
fn check(filter: &str, want: bool) {
    let filter = Filter::parse(filter).unwrap_or_else(|error| panic!("{filter}: {error}"));
    assert_eq!(filter.matches(&ana(), user()), Ok(want), "{filter}");
    assert_eq!(Filter::parse(&filter.to_string()).as_ref(), Ok(&filter));
}

#[track_caller]
fn check_refused(filter: &str) {
    let got = Filter::parse(filter).and_then(|filter| filter.matches(&ana(), user()));
    let error = got.expect_err(filter);
    assert_eq!(
        (error.status, error.scim_type),
        (400, Some(ScimType::InvalidFilter)),
        "{filter}"
    );
}

#[test]
fn each_operator_compares_text() {
    check(r#"title eq "Engineer""#, true);
    check(r#"title eq "Engine""#, false);
    check(r#"title ne "Engineer""#, false);
    check(r#"title ne "Cook""#, true);
    check(r#"title co "gine""#, true);
    check(r#"title co "x""#, false);
    check(r#"title sw "eng""#, true);
    check(r#"title sw "gine""#, false);
    check(r#"title ew "NEER""#, true);
    check(r#"title ew "Engi""#, false);
    check(r#"title gt "Clerk""#, true);
    check(r#"title gt "engineer""#, false);
    check(r#"title ge "engineer""#, true);
    check(r#"title lt "Farmer""#, true);
    check(r#"title le "ENGINEER""#, true);
    check(r#"title lt "engineer""#, false);
    check("title pr", true);
}

#[test]
fn operators_keywords_and_names_ignore_case() {
    check(r#"USERNAME Eq "ana@example.net""#, true); // PingOne, profile section 14
    check(r#"username EQ "ana@example.net" AND Title PR"#, true);
    check(r#"title eq "x" OR NOT (title EQ "x")"#, true);
    check(r"Name.GIVENNAME pr", true);
    check("active eq TRUE", true);
}

#[test]
fn precedence_is_not_then_and_then_or() {
    check(r#"title eq "x" and title eq "x" or title pr"#, true);
    check(r#"title pr or title eq "x" and title eq "x""#, true);
    check(r#"(title pr or title eq "x") and title eq "x""#, false);
    check(r#"not (title eq "x") and title eq "x""#, false);
    check(r#"not(title eq "x" and title eq "x")"#, true);
    check("((((title pr))))", true);
    check("not (not (title pr))", true);
}

#[test]
fn blanks_are_free_where_they_are_allowed() {
    check("  title   pr\tand\n( active eq true ) ", true);
    check("(title pr)and(active eq true)", true);
    check("emails[ type  eq \"work\" ]", true);
}

#[test]
fn paths_may_carry_the_schema_urn_in_any_case() {
    check(&format!(r#"{USER}:userName eq "ana@example.net""#), true);
    check(
        &format!(r#"{}:USERNAME eq "ana@example.net""#, USER.to_uppercase()),
        true,
    );
    check(&format!(r#"{ENTERPRISE}:department eq "lab""#), true);
    check(
        &format!(r#"{}:Department eq "lab""#, ENTERPRISE.to_lowercase()),
        true,
    );
    check(&format!(r#"{ENTERPRISE}:manager.value eq "m1""#), true);
    check(&format!(r#"{ENTERPRISE}:manager eq "m1""#), true);
    check(&format!(r#"{USER}:emails[type eq "work"]"#), true);
    check(r#"manager eq "m1" and id eq "Id-1""#, true); // profile section 12.1, step 5
}

#[test]
fn text_follows_the_case_rule_of_its_attribute() {
    check(r#"userName eq "ANA@example.net""#, true);
    check(r#"emails.value eq "ANA@EXAMPLE.NET""#, true);
    check(r#"displayName sw "ANA""#, true);
    check(r#"id eq "id-1""#, false);
    check(r#"id eq "Id-1""#, true);
    check(r#"externalId eq "ext""#, false);
    check(r#"externalId eq "Ext""#, true);
    check(r#"externalId sw "E""#, true);
    check(r#"meta.resourceType eq "user""#, false);
    check(r#"meta.resourceType eq "User""#, true);
    check(r#"meta.version eq "W/\"A\"""#, false);
    check(r#"x509Certificates.value eq "abcd""#, false);
    check(r#"x509Certificates.value eq "AbCd""#, true);
}

#[test]
fn parts_of_text_are_literal() {
    check(r#"displayName co "100%_\\""#, true);
    check(r#"displayName co "%""#, true);
    check(r#"title co "%""#, false);
    check(r#"title co "_""#, false);
    check(r#"title eq "Engin_er""#, false);
    check(r#"title sw "%""#, false);
    check(r#"displayName co "\"the\"""#, true);
    check(r#"displayName co "\u0052uiz""#, true);
}

#[test]
fn syntax_inside_text_is_data() {
    check(r#"title eq "a and b or (c) [d] pr""#, false);
    check(r#"title ne "] ) and title eq \"x""#, true);
    check(r#"emails[value eq "]"]"#, false);
}

#[test]
fn date_times_compare_as_instants() {
    check(r#"meta.created ge "2026-03-01T09:00:00Z""#, true);
    check(
        r#"meta.created eq "2026-03-01T11:00:00.1234567+02:00""#,
        true,
    );
    check(r#"meta.created lt "2026-03-01T09:00:00.1234568Z""#, true);
    check(r#"meta.lastModified eq "2026-03-01T22:00:00.000Z""#, true);
    check(r#"meta.lastModified gt "0001-01-01T00:00:00Z""#, true);
    check(r#"meta.lastModified le "2026-03-01T21:59:59Z""#, false);
    check(r#"meta.created sw "2026-03""#, true);
    // Profile section 12.5: a query for synchronisation.
    check(
        r#"active eq true and (meta.lastModified ge "2026-01-01T00:00:00.0000000+00:00" and meta.lastModified le "2026-12-31T00:00:00.0000000+00:00")"#,
        true,
    );
    check_refused(r#"meta.created gt "yesterday""#);
}

#[test]
fn booleans_are_compared_for_equality_only() {
    check("active eq true", true);
    check("active ne true", false);
    check("active eq false", false);
    check(r#"active eq "True""#, true); // profile section 16
    check(r#"active eq "FALSE""#, false);
    check_refused("active gt true");
    check_refused("active le false");
    check_refused(r#"active co "tr""#);
    check_refused(r#"active eq "yes""#);
    check_refused("active eq 1");
    check_refused(r#"x509Certificates.value gt "A""#);
}

#[test]
fn numbers_compare_by_value() {
    let filter =
        Filter::parse("level gt 2 and level le 10.5 and big eq 18446744073709551615").unwrap();
    let matcher = Matcher::compile(&filter, &Scope::Loose).unwrap();
    assert!(matcher.matches(&map(
        json!({"level": 10, "big": 18_446_744_073_709_551_615_u64})
    )));
    assert!(!matcher.matches(&map(
        json!({"level": 2, "big": 18_446_744_073_709_551_615_u64})
    )));
    assert!(!matcher.matches(&map(
        json!({"level": 10, "big": 18_446_744_073_709_551_614_u64})
    )));
    check("title eq 5", false);
    check("title ne 5", true);
}

#[test]
fn a_multi_valued_attribute_matches_when_any_value_matches() {
    check(r#"emails.type eq "home""#, true);
    check(r#"emails.type eq "other""#, false);
    check(r#"emails.type ne "work""#, true);
    check(r#"emails.value ew "home.example""#, true);
    check(&format!(r#"schemas eq "{ENTERPRISE}""#), true);
    check(&format!(r#"schemas eq "{GROUP}""#), false);
    // Different elements may meet the two parts, but not inside brackets.
    check(
        r#"emails.type eq "work" and emails.value eq "ana@home.example""#,
        true,
    );
    check(
        r#"emails[type eq "work" and value eq "ana@home.example"]"#,
        false,
    );
    check(
        r#"emails[type eq "home" and value eq "ana@home.example"]"#,
        true,
    );
    check(r#"emails[type eq "home" or type eq "other"]"#, true);
    check(r#"emails[not (type eq "home")]"#, true);
    check(r#"groups.value eq "g1""#, true);
    check(r#"groups[display eq "crew"]"#, true);
}

#[test]
fn a_missing_primary_counts_as_false() {
    check("emails[primary eq true]", true);
    check(r#"emails[type eq "home" and primary eq false]"#, true);
    check(r#"emails[type eq "home" and primary ne true]"#, true);
    check(r#"emails[type eq "home" and primary eq true]"#, false);
    check("emails.primary eq false", true);
    check("phoneNumbers.primary eq false", false);
    check(r#"emails[type eq "home" and primary pr]"#, false);
    check(r#"emails[primary eq "True"].value co "example.net""#, true);
}

#[test]
fn a_complex_attribute_stands_for_its_value() {
    check(r#"emails co "@example.net""#, true);
    check(r#"emails eq "ANA@HOME.EXAMPLE""#, true);
    check(r#"emails eq "x""#, false);
    check(r#"groups eq "g1""#, true);
    check_refused(r#"name eq "Ana""#);
    check_refused(r#"addresses co "x""#);
    let crew = map(json!({"displayName": "Crew", "members": [{"value": "u1", "type": "User"}]}));
    for (filter, want) in [
        (r#"members eq "u1""#, true),
        (r#"members.value eq "u1""#, true),
        (r#"members[value eq "u1"]"#, true),
        (r#"members[value eq "u1" and type eq "Group"]"#, false),
        (r#"displayName eq "crew" and members eq "u2""#, false),
    ] {
        assert_eq!(
            Filter::parse(filter).unwrap().matches(&crew, group()),
            Ok(want),
            "{filter}"
        );
    }
}

#[test]
fn a_value_path_may_be_followed_by_a_comparison() {
    check(r#"emails[type eq "work"].value eq "ana@example.net""#, true);
    check(r#"emails[type eq "work"].VALUE eq "ANA@example.net""#, true);
    check(
        r#"emails[type eq "home"].value eq "ana@example.net""#,
        false,
    );
    check(
        r#"emails[type eq "work"].value pr and active eq true"#,
        true,
    );
    check(r#"emails[type eq "home"].primary eq false"#, true);
    check(r#"emails[type eq "work"].nothing eq "x""#, false);
    check_refused(r#"emails[type eq "work"] eq "x""#);
    check_refused(r#"emails[type eq "work"]. eq "x""#);
}

#[test]
fn presence_is_false_for_empty_values() {
    check("userName pr", true);
    check("nickName pr", false);
    check("locale pr", false);
    check("emails pr", true);
    check("emails.value pr", true);
    check("emails.display pr", false);
    check("phoneNumbers pr", false);
    check("name pr", true);
    check("name.middleName pr", false);
    check("active pr", true);
    check(&format!("{ENTERPRISE}:manager pr"), true);
    check("not (locale pr)", true);
}

#[test]
fn null_means_unassigned() {
    check("locale eq null", true);
    check("title eq null", false);
    check("title ne null", true);
    check("locale ne null", false);
    check("name eq null", false);
    check("emails eq null", false);
    check("emails.display eq NULL", true);
    check("locale ne \"en\"", true);
    check("locale eq \"en\"", false);
    check("locale gt \"a\"", false);
    check_refused("title gt null");
    check_refused("title co null");
}

#[test]
fn unknown_attributes_match_nothing_even_negated() {
    check(r#"nothing eq "x""#, false);
    check(r#"nothing ne "x""#, false);
    check(r#"not (nothing eq "x")"#, false);
    check("nothing pr", false);
    check(r#"nothing eq "x" or title pr"#, true);
    check(r#"nothing eq "x" and title pr"#, false);
    check(r#"userName.nothing eq "x""#, false);
    check(r#"nothing[type eq "x"]"#, false);
    check(r#"emails[nothing eq "x"]"#, false);
    check(r#"urn:example:Other:nothing eq "x""#, false);
    check("members pr", false);
}

// Profile section 4.2: a filter must not help to guess the password.
#[test]
fn a_password_cannot_be_asked_about() {
    let mut document = ana();
    document.insert("password".into(), json!("secret"));
    for filter in [
        r#"password eq "secret""#,
        "password pr",
        r#"not (password eq "x")"#,
        r#"password sw "s""#,
    ] {
        let filter = Filter::parse(filter).unwrap();
        assert_eq!(filter.matches(&document, user()), Ok(false), "{filter}");
        assert!(filter.compile(user()).unwrap().is_never());
    }
}

#[test]
fn broken_filters_are_refused() {
    for filter in [
        "",
        "   ",
        "title",
        "title xx \"a\"",
        "title eq",
        "title eq ",
        "title eq Engineer", // text without quotes
        "title eq 'Engineer'",
        r#"title eq "Engineer"#,
        r#"title eq "Engineer" and"#,
        r#"and title eq "a""#,
        r#"title eq "a" title eq "b""#,
        r#"title eq "a" xor title eq "b""#,
        "(title pr",
        "title pr)",
        "((title pr)",
        "()",
        "not title pr",
        "not (title pr",
        "emails[type eq \"work\"",
        "emails[type eq \"work\")",
        "emails[]",
        "emails]",
        "emails[type eq \"work\"]]",
        "emails[phones[type eq \"work\"]]",
        "emails.value[type eq \"work\"]",
        "title pr pr",
        r#"title eq "a"and title pr"#,
        r#"title eq "\q""#,
        r#"title eq "\ud800""#,
        "title eq \"a\nb\"",
        "title eq 1e999",
        "title eq 01",
        "title eq -",
        "1title pr",
        "ti tle pr",
        ".title pr",
        "title. pr",
        "a.b.c pr",
        "title eq \"a\" \"b\"",
        "title eq tru",
        "urn:ietf:params:scim:schemas:core:2.0:User pr",
        r#"" eq "a""#,
        "title=\"a\"",
    ] {
        check_refused(filter);
    }
}

#[test]
fn errors_say_where() {
    let error = Filter::parse(r#"title eq "a" and x zz 1"#).unwrap_err();
    assert!(error.detail.contains("position 19"), "{error}");
}

// Profile section 17: bounds in place of an exhausted stack.
#[test]
fn length_and_depth_are_bounded() {
    let nested = |depth: usize| format!("{}title pr{}", "(".repeat(depth), ")".repeat(depth));
    check(&nested(MAX_DEPTH), true);
    check_refused(&nested(MAX_DEPTH + 1));
    check_refused(&nested(10_000));
    check_refused(&"not (".repeat(5_000));
    check_refused(&"(".repeat(30_000));
    check_refused(&format!("title eq \"{}\"", "a".repeat(MAX_LENGTH)));
    let long = vec!["title pr"; 2_000].join(" and ");
    check(&long, true);
    check(&vec!["nothing pr"; 2_000].join(" or "), false);
}

#[track_caller]
fn check_conjuncts(filter: &str, want: &[&str], only: bool) {
    let filter = Filter::parse(filter).unwrap();
    let got: Vec<String> = filter
        .conjuncts()
        .map(|conjunct| match conjunct {
            Conjunct::Equal { path, value } => format!("{path}={value}"),
            Conjunct::Typed {
                attribute,
                kind,
                value,
            } => format!("{attribute}/{kind}={value}"),
            Conjunct::Member(id) => format!("member={id}"),
        })
        .collect();
    assert_eq!(got, want, "{filter}");
    assert_eq!(filter.is_conjuncts_only(), only, "{filter}");
}

#[test]
fn an_index_can_answer_the_parts_joined_by_and() {
    check_conjuncts(r#"userName eq "a""#, &["userName=a"], true);
    check_conjuncts(
        r#"userName eq "a" and title eq "b""#,
        &["userName=a", "title=b"],
        true,
    );
    check_conjuncts(
        r#"userName eq "a" and active eq true"#,
        &["userName=a"],
        false,
    );
    check_conjuncts(r#"userName eq "a" or title eq "b""#, &[], false);
    check_conjuncts(
        r#"(userName eq "a") and (title eq "b" or title pr)"#,
        &["userName=a"],
        false,
    );
    check_conjuncts(r#"not (userName eq "a")"#, &[], false);
    check_conjuncts(r#"userName sw "a""#, &[], false);
    check_conjuncts(r#"emails.value eq "a""#, &["emails.value=a"], true);
    check_conjuncts(
        r#"emails[type eq "work"].value eq "a""#,
        &["emails/work=a"],
        true,
    );
    check_conjuncts(
        r#"emails[type eq "work" and value eq "a"]"#,
        &["emails/work=a"],
        true,
    );
    check_conjuncts(
        r#"emails[value eq "a" and type eq "work"]"#,
        &["emails/work=a"],
        true,
    );
    check_conjuncts(
        r#"emails[type eq "work" and primary eq true].value eq "a""#,
        &[],
        false,
    );
    check_conjuncts(r#"emails[type eq "work"].display eq "a""#, &[], false);
    check_conjuncts(
        r#"id eq "g" and members eq "u""#,
        &["id=g", "member=u"],
        true,
    );
    check_conjuncts(r#"Members.Value eq "u""#, &["member=u"], true);
    check_conjuncts(r#"members[value eq "u"]"#, &["member=u"], true);
    check_conjuncts(&format!(r#"{GROUP}:members eq "u""#), &["member=u"], true);
    check_conjuncts(
        r#"members[value eq "u" and type eq "User"]"#,
        &["members/User=u"],
        true,
    );
}

#[test]
fn a_filter_tells_what_it_looks_at() {
    let filter =
        Filter::parse(r#"title pr and (not (MEMBERS[value eq "u"]) or meta.created pr)"#).unwrap();
    assert!(filter.mentions("members") && filter.mentions("meta") && filter.mentions("title"));
    assert!(!filter.mentions("groups") && !filter.mentions("value"));
}

fn any_path() -> impl Strategy<Value = AttrPath> {
    let name = "[a-zA-Z][a-zA-Z0-9_-]{0,8}";
    let plain = (name, proptest::option::of(name)).prop_map(|(name, sub)| match sub {
        Some(sub) => format!("{name}.{sub}"),
        None => name,
    });
    let path = prop_oneof![
        4 => plain.clone(),
        1 => plain.prop_map(|path| format!("{ENTERPRISE}:{path}")),
    ];
    // `not` in front of a parenthesis is a keyword; here no parenthesis follows, but keep names apart anyway.
    path.prop_filter_map("a keyword", |text| {
        (!text.eq_ignore_ascii_case("not")).then(|| AttrPath::parse(&text).unwrap())
    })
}

fn any_predicate() -> impl Strategy<Value = Predicate> {
    let literal = prop_oneof![
        ".*".prop_map(Literal::Text),
        any::<i64>().prop_map(|number| Literal::Number(number.into())),
        any::<u64>().prop_map(|number| Literal::Number(number.into())),
        (-8_000_i32..8_000).prop_map(|eighths| {
            Literal::Number(Number::from_f64(f64::from(eighths) / 8.0).unwrap())
        }),
        any::<bool>().prop_map(Literal::Bool),
        Just(Literal::Null),
    ];
    let op = proptest::sample::select(CompareOp::ALL.map(|(op, _)| op).to_vec());
    prop_oneof![
        1 => Just(Predicate::Present),
        5 => (op, literal).prop_map(|(op, literal)| Predicate::Compare(op, literal)),
    ]
}

fn any_test() -> impl Strategy<Value = Filter> {
    (any_path(), any_predicate()).prop_map(|(path, predicate)| Filter::Test(path, predicate))
}

/// Joins that keep the tree flat, as the parser does.
fn joined(leaf: impl Strategy<Value = Filter> + 'static) -> impl Strategy<Value = Filter> {
    leaf.prop_recursive(4, 24, 4, |inner| {
        let list = proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            list.clone().prop_map(Filter::all),
            list.prop_map(Filter::any),
            inner.prop_map(|inner| Filter::Not(Box::new(inner))),
        ]
    })
}

pub(crate) fn any_filter() -> impl Strategy<Value = Filter> {
    let name = any_path().prop_map(|path| AttrPath::parse(path.name()).unwrap());
    let then = proptest::option::of(("[a-z$]{1,6}", any_predicate()));
    let element = (name, joined(any_test()), then).prop_map(|(attribute, filter, then)| {
        let then = then.map(|(sub, predicate)| (sub.into_boxed_str(), predicate));
        Filter::Element {
            attribute,
            filter: Box::new(filter),
            then,
        }
    });
    joined(prop_oneof![4 => any_test(), 1 => element])
}

proptest! {
    #[test]
    fn parsing_a_printed_filter_gives_it_back(filter in any_filter()) {
        prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _ = Filter::parse(&text);
    }

    #[test]
    fn no_text_of_filter_words_makes_anything_panic(
        words in proptest::collection::vec(
            proptest::sample::select(vec![
                "(", ")", "[", "]", "not", "and", "or", "eq", "pr", "gt", "co", "emails", "type", "active",
                "meta.created", "\"", "\"work\"", "\\", ".value", "null", "true", "5", "é", "urn:a:b", ":", " ",
            ]),
            0..12,
        ),
        blank in any::<bool>(),
    ) {
        let text = words.join(if blank { " " } else { "" });
        if let Ok(filter) = Filter::parse(&text) {
            let _ = filter.matches(&ana(), user());
            prop_assert_eq!(Filter::parse(&filter.to_string()), Ok(filter));
        }
    }

    #[test]
    fn a_filter_and_its_negation_exclude_each_other(filter in any_filter()) {
        let not = Filter::Not(Box::new(filter.clone()));
        if let (Ok(yes), Ok(no)) = (filter.matches(&ana(), user()), not.matches(&ana(), user())) {
            prop_assert!(!(yes && no));
        }
    }
}
