//! How many users a second the rules map, filters decide, and expressions compile: on one core, beside
//! what that core needs for the least that such a step could do.

use std::hint::black_box;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use muster_model::{Attributes, Timestamp};
use muster_rules::scope::{ClauseText, FilterText, ScopingFilters};
use muster_rules::{Context, Expression};

/// How long each step runs.
const LONG: Duration = Duration::from_secs(1);
/// Expressions as people write them.
const EXPRESSIONS: [&str; 4] = [
    r#"Switch([IsSoftDeleted], , "False", "True", "True", "False")"#,
    r#"Join(", ", [surname], [givenName])"#,
    r#"IIF(IsPresent([department]), ToUpper(Mid([department], 1, 8)), "NONE")"#,
    r#"Replace([telephoneNumber], , "\\+(?<isdCode>\\d* )(?<phoneNumber>\\d{10})", , "${phoneNumber}", , )"#,
];

pub(crate) fn run(rounds: usize) -> Result<()> {
    let gallery = muster_app::applications::gallery().map_err(|error| anyhow!("{error}"))?;
    let app = gallery
        .find("Symantec Web Security Service")
        .map_err(|missing| anyhow!("{missing}"))?;
    let schema = gallery
        .default_schema(app)
        .compile()
        .map_err(|problems| anyhow!("{problems:?}"))?;
    let people: Vec<Attributes> = (0..1000).map(person).collect();
    let filters = ScopingFilters::compile(&[FilterText {
        title: "five clauses".to_owned(),
        clauses: [
            ("department", "EQUALS", "Sales"),
            ("country", "NOT EQUALS", "Norway"),
            ("jobTitle", "IS NOT NULL", ""),
            ("mail", "Includes", "@example"),
            ("employeeId", "Greater_Than", "5"),
        ]
        .map(|(attribute, operator, value)| ClauseText {
            attribute: attribute.to_owned(),
            operator: operator.to_owned(),
            values: if value.is_empty() {
                Vec::new()
            } else {
                vec![value.to_owned()]
            },
            ..ClauseText::default()
        })
        .to_vec(),
        ..FilterText::default()
    }])
    .map_err(|problems| anyhow!("{problems:?}"))?;
    let context = Context::at(Timestamp::from_micros(0));
    println!(
        "{} mappings, 1,000 people, one core",
        schema.user.attributes.len()
    );
    for _ in 0..rounds {
        let mapped = rate(people.len(), || {
            for person in &people {
                let mapped = schema.user.evaluate(black_box(person), &context);
                assert!(black_box(mapped).is_ok());
            }
        });
        // The least that could be done: copy the values that are looked at.
        let copied = rate(people.len(), || {
            for person in &people {
                let values: Vec<_> = person.iter().map(|(_, value)| value.clone()).collect();
                black_box(values);
            }
        });
        let decided = rate(people.len(), || {
            for person in &people {
                assert!(black_box(filters.passes(black_box(person))).is_ok());
            }
        });
        let looked_up = rate(people.len(), || {
            for person in &people {
                for name in ["department", "country", "jobTitle", "mail", "employeeId"] {
                    black_box(black_box(person).get(name));
                }
            }
        });
        println!(
            "users mapped {mapped:>9.0}/s (copying their values {copied:>9.0}/s, {:.2}); \
             scope decided {decided:>10.0}/s (five look-ups {looked_up:>10.0}/s, {:.2})",
            mapped / copied,
            decided / looked_up,
        );
        for text in EXPRESSIONS {
            let compiled = rate(1, || {
                assert!(black_box(Expression::parse(black_box(text))).is_ok());
            });
            // A regular expression is built when it is used for the first time.
            let used = rate(1, || {
                let used = Expression::parse(text).map(|it| it.evaluate(&people[0], &context));
                assert!(black_box(used).is_ok_and(|outcome| outcome.is_ok()));
            });
            println!(
                "compiled in {:>6.1} µs, and used once in {:>6.1} µs: {text}",
                1e6 / compiled,
                1e6 / used
            );
        }
    }
    Ok(())
}

/// How often a second something is done that `step` does `each` times.
fn rate(each: usize, mut step: impl FnMut()) -> f64 {
    step();
    let (begun, mut times) = (Instant::now(), 0_usize);
    while begun.elapsed() < LONG {
        step();
        times += each;
    }
    times as f64 / begun.elapsed().as_secs_f64()
}

fn person(number: usize) -> Attributes {
    let mut person = Attributes::new();
    for (name, value) in [
        ("userPrincipalName", format!("user{number}@example.com")),
        ("displayName", format!("User Number {number}")),
        ("givenName", "Ana".to_owned()),
        ("surname", format!("Silva {number}")),
        ("mail", format!("user{number}@example.com")),
        ("mailNickname", format!("user{number}")),
        ("department", "Sales".to_owned()),
        ("jobTitle", "Clerk".to_owned()),
        ("employeeId", format!("{}", 10 + number)),
        ("city", "Lisbon".to_owned()),
        ("country", "Portugal".to_owned()),
        ("postalCode", "1000-001".to_owned()),
        ("streetAddress", "1 Main Street".to_owned()),
        ("state", "Lisbon".to_owned()),
        ("telephoneNumber", "+351 2112345678".to_owned()),
        ("mobile", "+351 912345678".to_owned()),
        ("preferredLanguage", "pt-PT".to_owned()),
        ("physicalDeliveryOfficeName", "B2".to_owned()),
    ] {
        person.set(name, value);
    }
    person.set("IsSoftDeleted", false);
    person
}
