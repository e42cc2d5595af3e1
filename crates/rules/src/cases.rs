//! Tests of a mapping: source objects, and what they should become. They are kept in a file beside an
//! exported schema, so that a change of the mapping shows what it does before it does it.
//!
//! ```json
//! { "schema": "schema.json",
//!   "tests": [
//!     { "name": "a new employee",
//!       "source": { "userPrincipalName": "ana@example.com", "surname": "Silva" },
//!       "inScope": true,
//!       "expected": { "userName": "ana@example.com", "name.familyName": "Silva", "title": null } } ] }
//! ```
//!
//! `object` is `User` (or left out) or `Group`; `now` an instant; `taken` values that exist at the target.
//! Attributes that are not named are not looked at, unless `exact` is true.

use std::collections::BTreeMap;
use std::fmt;

use muster_model::directory::Kind;
use muster_model::{Attributes, Timestamp, Value};
use serde_json::{Map, Value as Json};

use crate::schema::CompiledSchema;
use crate::vectors::source;
use crate::{AttributeMapping, Context, ObjectMapping};

/// A file of tests.
#[derive(Clone, Debug, PartialEq)]
pub struct Cases {
    /// Where the schema document is, seen from the file.
    pub schema: String,
    /// The tests, in order.
    pub cases: Vec<Case>,
}

/// One test.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// What it is called.
    pub name: String,
    kind: Kind,
    source: Attributes,
    now: Timestamp,
    taken: Vec<String>,
    in_scope: Option<bool>,
    expected: BTreeMap<String, Json>,
    exact: bool,
}

/// Something that came out otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The target attribute, or `in scope`; empty when there is only one thing to compare.
    pub place: String,
    /// What the test expects.
    pub expected: String,
    /// What came out.
    pub actual: String,
}

/// The place, and below it what was expected and what came out.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            place,
            expected,
            actual,
        } = self;
        if !place.is_empty() {
            writeln!(f, "  {place}")?;
        }
        write!(f, "    - {expected}\n    + {actual}")
    }
}

/// Members of a test.
const MEMBERS: [&str; 8] = [
    "name", "object", "source", "now", "taken", "inScope", "expected", "exact",
];

impl Cases {
    /// Reads a file of tests.
    ///
    /// # Errors
    ///
    /// One line that says what is wrong, and with which test.
    pub fn parse(text: &str) -> Result<Self, String> {
        let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
        let schema = json["schema"]
            .as_str()
            .ok_or("`schema` names the file with the schema document")?;
        let tests = json["tests"].as_array().ok_or("`tests` is a list")?;
        if tests.is_empty() {
            return Err("`tests` is empty, so nothing would be tested".to_owned());
        }
        let cases = tests.iter().enumerate().map(|(index, test)| {
            let name = test["name"].as_str().map(str::to_owned);
            let name = name.unwrap_or_else(|| format!("test {}", index + 1));
            Case::read(name.clone(), test).map_err(|reason| format!("{name}: {reason}"))
        });
        Ok(Self {
            schema: schema.to_owned(),
            cases: cases.collect::<Result<_, _>>()?,
        })
    }
}

impl Case {
    fn read(name: String, json: &Json) -> Result<Self, String> {
        let test = json.as_object().ok_or("a test is an object")?;
        if let Some(unknown) = test.keys().find(|key| !MEMBERS.contains(&key.as_str())) {
            let known = MEMBERS.join(", ");
            return Err(format!("there is no member `{unknown}`; known are {known}"));
        }
        let members = |member: &str| -> Result<Map<String, Json>, String> {
            match test.get(member) {
                None => Ok(Map::new()),
                Some(Json::Object(members)) => Ok(members.clone()),
                Some(_) => Err(format!("`{member}` is an object")),
            }
        };
        let flag = |member: &str| match test.get(member) {
            None => Ok(None),
            Some(Json::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => Err(format!("`{member}` is true or false")),
        };
        let kind = match test.get("object").map(Json::as_str) {
            None | Some(Some("User")) => Kind::User,
            Some(Some("Group")) => Kind::Group,
            Some(_) => return Err("`object` is User or Group".to_owned()),
        };
        let now = match test.get("now") {
            None => Timestamp::from_micros(1_704_067_200_000_000),
            Some(now) => now
                .as_str()
                .and_then(|now| now.parse().ok())
                .ok_or("`now` is an RFC 3339 instant")?,
        };
        let taken = match test.get("taken") {
            None => Vec::new(),
            Some(Json::Array(taken)) => taken
                .iter()
                .map(|value| value.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or("`taken` is a list of texts")?,
            Some(_) => return Err("`taken` is a list of texts".to_owned()),
        };
        let mut source = source(&members("source")?);
        if source.get("IsSoftDeleted").is_none() {
            source.set("IsSoftDeleted", false);
        }
        if test.get("inScope").is_none() && test.get("expected").is_none() {
            return Err("it expects nothing; give `inScope` or `expected`".to_owned());
        }
        Ok(Self {
            name,
            kind,
            source,
            now,
            taken,
            in_scope: flag("inScope")?,
            expected: members("expected")?.into_iter().collect(),
            exact: flag("exact")?.unwrap_or(false),
        })
    }

    /// What comes out otherwise than expected; nothing when all is well.
    pub fn run(&self, schema: &CompiledSchema) -> Vec<Difference> {
        let mapping = match self.kind {
            Kind::User => Some(&schema.user),
            Kind::Group => schema.group.as_ref(),
        };
        let Some(mapping) = mapping else {
            return vec![Difference {
                place: "object".to_owned(),
                expected: "a mapping of groups".to_owned(),
                actual: "the schema maps no groups".to_owned(),
            }];
        };
        let mut differences = self.scope(mapping);
        differences.extend(self.unknown(mapping));
        match self.values(mapping) {
            Ok(values) => differences.extend(self.compare(&values, mapping)),
            Err(problem) => differences.push(Difference {
                place: "the mapping".to_owned(),
                expected: "a result".to_owned(),
                actual: problem,
            }),
        }
        differences
    }

    fn scope(&self, mapping: &ObjectMapping) -> Vec<Difference> {
        let Some(wanted) = self.in_scope else {
            return Vec::new();
        };
        let said = |inside| if inside { "yes" } else { "no" };
        let is_read = mapping.reads(&self.source);
        let outcome =
            is_read.and_then(|is_read| Ok(is_read && mapping.filters.passes(&self.source)?));
        let actual = match outcome {
            Ok(inside) if inside == wanted => return Vec::new(),
            Ok(inside) => {
                let flips = mapping.filters.flip(&self.source);
                let flips: Vec<String> = flips.iter().map(ToString::to_string).collect();
                match (flips.as_slice(), inside) {
                    ([], inside) => said(inside).to_owned(),
                    (flips, false) => format!("no; in scope when {}", flips.join(" and ")),
                    (flips, true) => format!("yes; out of scope when {}", flips.join(" and ")),
                }
            }
            Err(error) => format!("error: {error}"),
        };
        vec![Difference {
            place: "in scope".to_owned(),
            expected: said(wanted).to_owned(),
            actual,
        }]
    }

    /// What the test expects of attributes that nothing is mapped to, or that are no values.
    fn unknown(&self, mapping: &ObjectMapping) -> Vec<Difference> {
        let told = self.expected.keys().filter_map(|place| {
            let (expected, actual) = match mapping.find(place) {
                None => (
                    "a mapping to it",
                    "the schema maps nothing to it".to_owned(),
                ),
                Some(found) if found.is_reference() => (
                    "a value",
                    "it is a reference, which depends on what is linked; leave it out".to_owned(),
                ),
                Some(_) => return None,
            };
            Some(Difference {
                place: place.clone(),
                expected: expected.to_owned(),
                actual,
            })
        });
        told.collect()
    }

    /// What a new object at the target would get.
    fn values(&self, mapping: &ObjectMapping) -> Result<BTreeMap<String, Json>, String> {
        let context = Context {
            now: self.now,
            random: &|buffer| buffer.fill(0),
            taken: &|_, value| self.taken.iter().any(|taken| taken == value),
        };
        let mapped = mapping
            .evaluate(&self.source, &context)
            .map_err(|problem| problem.to_string())?;
        let values = mapped.iter().filter_map(|mapped| {
            let value: &Value = mapped.for_create()?;
            Some((mapped.mapping.target.clone(), crate::convert::json(value)))
        });
        Ok(values.collect())
    }

    fn compare(&self, values: &BTreeMap<String, Json>, mapping: &ObjectMapping) -> Vec<Difference> {
        let mut differences = Vec::new();
        let is_value = |place: &String| mapping.find(place).is_some_and(|it| !it.is_reference());
        let mut places: Vec<&String> = self.expected.keys().filter(|it| is_value(it)).collect();
        if self.exact {
            places.extend(values.keys().filter(|it| !self.expected.contains_key(*it)));
        }
        for place in places {
            let expected = self.expected.get(place).unwrap_or(&Json::Null);
            let actual = values.get(place).unwrap_or(&Json::Null);
            // Whoever writes a test need not know whether a number is sent as a text.
            let same = expected == actual || rendered_json(expected) == rendered_json(actual);
            let found = mapping.find(place);
            let shown = |value: &Json| match value {
                Json::Null => "nothing".to_owned(),
                // AM-20
                _ if found.is_some_and(AttributeMapping::redacted) => "[Redacted]".to_owned(),
                other => other.to_string(),
            };
            if !same {
                differences.push(Difference {
                    place: place.clone(),
                    expected: shown(expected),
                    actual: shown(actual),
                });
            } else if actual.is_null() && found.is_some_and(|it| it.required) {
                differences.push(Difference {
                    place: place.clone(),
                    expected: "a value, which the target requires (AM-3)".to_owned(),
                    actual: "nothing: the object could not be created".to_owned(),
                });
            }
        }
        differences
    }
}

fn rendered_json(json: &Json) -> Json {
    match json {
        Json::Number(number) => Json::from(number.to_string()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Gallery;

    fn schema() -> CompiledSchema {
        let gallery = Gallery::parse(
            include_str!("../../../gallery/apps.json"),
            include_str!("../../../gallery/default-mappings.json"),
        );
        let gallery = gallery.unwrap();
        gallery.custom_app_schema("App").compile().unwrap()
    }

    fn run(test: &str) -> Vec<String> {
        let text = format!(r#"{{"schema":"s.json","tests":[{test}]}}"#);
        let cases = Cases::parse(&text).unwrap();
        let differences = cases.cases[0].run(&schema());
        differences.iter().map(ToString::to_string).collect()
    }

    const ANA: &str = r#""source":{"userPrincipalName":"ana@example.com","surname":"Silva"}"#;

    #[test]
    fn a_test_holds_or_says_what_came_out_otherwise() {
        let test = |rest: &str| run(&format!("{{{ANA},{rest}}}"));
        let right = r#""inScope":true,"expected":{"userName":"ana@example.com","active":true,"title":null}"#;
        assert_eq!(test(right), [""; 0]);
        assert_eq!(
            test(r#""inScope":false,"expected":{"name.familyName":"Sousa"}"#),
            [
                "  in scope\n    - no\n    + yes",
                "  name.familyName\n    - \"Sousa\"\n    + \"Silva\"",
            ]
        );
    }

    #[test]
    fn what_cannot_be_expected_is_told() {
        let test = |rest: &str| run(&format!("{{{ANA},{rest}}}")).join("\n");
        assert!(test(r#""expected":{"titel":null}"#).contains("maps nothing to it"));
        let manager = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager";
        let manager = test(&format!(r#""expected":{{"{manager}":null}}"#));
        assert!(manager.contains("it is a reference"), "{manager}");
        let mut schema = schema();
        let name = schema.user.attributes.iter_mut();
        name.filter(|it| it.target == "userName")
            .for_each(|it| it.required = true);
        let text = r#"{"schema":"s","tests":[{"source":{},"expected":{"userName":null}}]}"#;
        let nobody = Cases::parse(text).unwrap().cases[0].run(&schema);
        assert!(nobody[0].expected.contains("AM-3"), "{nobody:?}");
    }

    #[test]
    fn an_exact_test_names_everything() {
        let test = format!(r#"{{{ANA},"exact":true,"expected":{{"userName":"ana@example.com"}}}}"#);
        let places = run(&test).join("\n");
        assert!(
            places.contains("name.familyName\n    - nothing"),
            "{places}"
        );
    }

    #[test]
    fn a_file_that_cannot_be_read_says_why() {
        for (text, why) in [
            ("{}", "`schema`"),
            (r#"{"schema":"s"}"#, "`tests`"),
            (r#"{"schema":"s","tests":[]}"#, "nothing would be tested"),
            (
                r#"{"schema":"s","tests":[{}]}"#,
                "test 1: it expects nothing",
            ),
            (
                r#"{"schema":"s","tests":[{"name":"a","expect":{}}]}"#,
                "a: there is no member `expect`",
            ),
            (
                r#"{"schema":"s","tests":[{"inScope":"yes"}]}"#,
                "test 1: `inScope`",
            ),
            (
                r#"{"schema":"s","tests":[{"object":"Device"}]}"#,
                "User or Group",
            ),
        ] {
            let said = Cases::parse(text).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }
}
