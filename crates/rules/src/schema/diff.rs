//! What is different between two schema documents, in terms of what they mean: mappings by their
//! target, filters by their clauses, definitions by their names. Order, spelling and ids say nothing.

use std::collections::BTreeMap;
use std::fmt;

use super::{
    AttributeDefinition, AttributeMappingText, Directory, ObjectDefinition, ObjectMappingText,
    Schema, ScopeText, Word as _,
};
use crate::expr::Expression;
use crate::scope::FilterText;

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaChange {
    /// What it is about: `User → User: mapping of title`.
    pub place: String,
    /// Which of its properties; empty when the thing as a whole came or went.
    pub property: &'static str,
    /// Before; `None` when it was not there.
    pub before: Option<String>,
    /// After; `None` when it is gone.
    pub after: Option<String>,
}

impl fmt::Display for SchemaChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place)?;
        if !self.property.is_empty() {
            write!(f, ": {}", self.property)?;
        }
        match (&self.before, &self.after) {
            (None, Some(after)) => write!(f, ": + {after}"),
            (Some(before), None) => write!(f, ": - {before}"),
            (Some(before), Some(after)) => write!(f, ": {before} → {after}"),
            (None, None) => Ok(()),
        }
    }
}

impl Schema {
    /// What must be done to this document so that it means the same as another.
    pub fn diff(&self, other: &Self) -> Vec<SchemaChange> {
        let mut changes = Changes::default();
        let mappings = |schema: &Self| -> BTreeMap<String, ObjectMappingText> {
            let all = schema.rules.iter().flat_map(|rule| &rule.object_mappings);
            all.map(|mapping| (place_of(mapping), mapping.clone()))
                .collect()
        };
        for (place, before, after) in both(mappings(self), mappings(other)) {
            let place = short(&place);
            match (before, after) {
                (Some(before), Some(after)) => changes.mapping(&place, &before, &after),
                (before, after) => {
                    let told = |mapping: ObjectMappingText| {
                        format!("{} attribute mappings", mapping.attribute_mappings.len())
                    };
                    changes.whole(place, before.map(told), after.map(told));
                }
            }
        }
        let directories = |schema: &Self| -> BTreeMap<String, Directory> {
            let all = schema.directories.iter();
            all.map(|directory| (directory.name.clone(), directory.clone()))
                .collect()
        };
        for (name, before, after) in both(directories(self), directories(other)) {
            let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
            changes.definitions(&name, &before, &after);
        }
        changes.0
    }
}

fn place_of(mapping: &ObjectMappingText) -> String {
    format!("{} → {}", mapping.source_object, mapping.target_object)
}

/// `User → User`: of a target object that is named by its URN, people know the end.
fn short(place: &str) -> String {
    let (source, target) = place.split_once(" → ").unwrap_or((place, ""));
    let target = target.rsplit(':').next().unwrap_or(target);
    format!("{source} → {target}")
}

/// The things of two maps side by side.
fn both<T>(
    before: BTreeMap<String, T>,
    mut after: BTreeMap<String, T>,
) -> Vec<(String, Option<T>, Option<T>)> {
    let mut pairs: Vec<_> = before
        .into_iter()
        .map(|(name, thing)| {
            let other = after.remove(&name);
            (name, Some(thing), other)
        })
        .collect();
    pairs.extend(
        after
            .into_iter()
            .map(|(name, thing)| (name, None, Some(thing))),
    );
    pairs.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    pairs
}

#[derive(Default)]
struct Changes(Vec<SchemaChange>);

impl Changes {
    fn whole(&mut self, place: String, before: Option<String>, after: Option<String>) {
        if before != after {
            self.0.push(SchemaChange {
                place,
                property: "",
                before,
                after,
            });
        }
    }

    fn property(&mut self, place: &str, property: &'static str, before: String, after: String) {
        if before != after {
            self.0.push(SchemaChange {
                place: place.to_owned(),
                property,
                before: Some(before),
                after: Some(after),
            });
        }
    }

    fn mapping(&mut self, place: &str, before: &ObjectMappingText, after: &ObjectMappingText) {
        let flag = |on: bool| if on { "on" } else { "off" }.to_owned();
        self.property(place, "enabled", flag(before.enabled), flag(after.enabled));
        let (one, other) = (before.actions, after.actions);
        self.property(place, "create", flag(one.create), flag(other.create));
        self.property(place, "update", flag(one.update), flag(other.update));
        self.property(place, "delete", flag(one.delete), flag(other.delete));
        let by_target = |mapping: &ObjectMappingText| -> BTreeMap<String, AttributeMappingText> {
            let all = mapping.attribute_mappings.iter();
            all.map(|it| (it.target.clone(), it.clone())).collect()
        };
        for (target, before, after) in both(by_target(before), by_target(after)) {
            let place = format!("{place}: mapping of {target}");
            match (before, after) {
                (Some(before), Some(after)) => self.attribute(&place, &before, &after),
                (before, after) => {
                    let told = |mapping: AttributeMappingText| source(&mapping);
                    self.whole(place, before.map(told), after.map(told));
                }
            }
        }
        let none = ScopeText::default();
        let (one, other) = (
            before.scope.as_ref().unwrap_or(&none),
            after.scope.as_ref().unwrap_or(&none),
        );
        for (what, before, after) in [
            ("scoping filter", &one.groups, &other.groups),
            ("input filter", &one.input_groups, &other.input_groups),
            (
                "category filter",
                &one.category_groups,
                &other.category_groups,
            ),
        ] {
            self.filters(&format!("{place}: {what}"), before, after);
        }
    }

    fn attribute(
        &mut self,
        place: &str,
        before: &AttributeMappingText,
        after: &AttributeMappingText,
    ) {
        self.property(place, "source", source(before), source(after));
        let default = |it: &AttributeMappingText| {
            let text = it.default.clone().filter(|text| !text.is_empty());
            text.map_or_else(|| "none".to_owned(), |text| format!("`{text}`"))
        };
        self.property(place, "default value", default(before), default(after));
        let precedence = |it: &AttributeMappingText| match it.matching_priority {
            0 => "none".to_owned(),
            number => number.to_string(),
        };
        self.property(
            place,
            "matching precedence",
            precedence(before),
            precedence(after),
        );
        let applies = |it: &AttributeMappingText| it.flow_type.word().to_owned();
        self.property(place, "applies", applies(before), applies(after));
        let flag = |on: bool| if on { "on" } else { "off" }.to_owned();
        self.property(
            place,
            "sent always",
            flag(before.flow_always),
            flag(after.flow_always),
        );
        let clears = |it: &AttributeMappingText| flag(it.flow_null_values == Some(true));
        self.property(place, "clears the target", clears(before), clears(after));
    }

    /// Filters are known by their title; the same title twice is told by its place among them.
    fn filters(&mut self, place: &str, before: &[FilterText], after: &[FilterText]) {
        let titled = |filters: &[FilterText]| -> BTreeMap<String, Vec<String>> {
            let mut known: BTreeMap<String, Vec<String>> = BTreeMap::new();
            for filter in filters {
                let clauses = filter.clauses.iter().map(|clause| {
                    let values = clause.values.join(", ");
                    format!("{} {} {values}", clause.attribute, clause.operator)
                        .trim()
                        .to_owned()
                });
                let mut title = filter.title.clone();
                while known.contains_key(&title) {
                    title.push('\'');
                }
                known.insert(title, clauses.collect());
            }
            known
        };
        for (title, before, after) in both(titled(before), titled(after)) {
            let told = |clauses: Vec<String>| {
                if clauses.is_empty() {
                    "no clauses".to_owned()
                } else {
                    clauses.join(" AND ")
                }
            };
            let place = format!("{place} `{title}`");
            self.whole(place, before.map(told), after.map(told));
        }
    }

    fn definitions(&mut self, name: &str, before: &Directory, after: &Directory) {
        let objects = |directory: &Directory| -> BTreeMap<String, ObjectDefinition> {
            let all = directory.objects.iter();
            all.map(|object| (object.name.clone(), object.clone()))
                .collect()
        };
        for (object, before, after) in both(objects(before), objects(after)) {
            let attributes = |object: Option<ObjectDefinition>| -> BTreeMap<String, String> {
                let all = object.unwrap_or_default().attributes.into_iter();
                all.map(|it| (it.name.clone(), definition(&it))).collect()
            };
            for (attribute, before, after) in both(attributes(before), attributes(after)) {
                self.whole(format!("{name}, {object}: {attribute}"), before, after);
            }
        }
    }
}

/// A source as it would be written; the spelling of an expression does not matter.
fn source(mapping: &AttributeMappingText) -> String {
    match &mapping.source {
        None => "none".to_owned(),
        Some(source) => source
            .to_expression()
            .as_ref()
            .map_or_else(|_| source.expression.clone(), Expression::to_string),
    }
}

fn definition(attribute: &AttributeDefinition) -> String {
    let mut told = attribute.kind.word().to_owned();
    for (is_set, word) in [
        (attribute.anchor, "primary key"),
        (attribute.required, "required"),
        (attribute.multi_valued, "multi-value"),
        (attribute.case_exact, "exact case"),
    ] {
        if is_set {
            told.push_str(", ");
            told.push_str(word);
        }
    }
    let mutability = attribute.mutability.word();
    if mutability != "ReadWrite" {
        told.push_str(", ");
        told.push_str(mutability);
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gallery::Gallery;
    use crate::schema::{FlowType, Source};
    use crate::scope::ClauseText;

    fn schema() -> Schema {
        let gallery = Gallery::parse(
            include_str!("../../../../gallery/apps.json"),
            include_str!("../../../../gallery/default-mappings.json"),
        )
        .unwrap();
        let app = gallery.find("symantec-web-security-service").unwrap();
        gallery.default_schema(app)
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut Schema), want: &[&str]) {
        let (before, mut after) = (schema(), schema());
        change(&mut after);
        let got: Vec<String> = before
            .diff(&after)
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(got, want);
    }

    fn mapping<'s>(schema: &'s mut Schema, target: &str) -> &'s mut AttributeMappingText {
        let user = schema.object_mapping_mut("User").unwrap();
        let mut all = user.attribute_mappings.iter_mut();
        all.find(|it| it.target == target).unwrap()
    }

    #[test]
    fn what_means_the_same_is_no_difference() {
        check(
            |schema| {
                let user = schema.object_mapping_mut("User").unwrap();
                user.attribute_mappings.reverse();
                "another".clone_into(&mut schema.version);
                let display = mapping(schema, "displayName");
                display.source = Some(Source::parse(" [displayName] ").unwrap());
                display.default = Some(String::new());
            },
            &[],
        );
    }

    #[test]
    fn changes_are_told_by_what_they_mean() {
        check(
            |schema| {
                let display = mapping(schema, "displayName");
                display.source = Some(Source::parse("ToUpper([displayName])").unwrap());
                display.flow_type = FlowType::ObjectAddOnly;
                display.flow_null_values = Some(true);
                let user = schema.object_mapping_mut("User").unwrap();
                user.actions.delete = false;
                user.attribute_mappings.retain(|it| it.target != "userName");
            },
            &[
                "User → User: delete: on → off",
                "User → User: mapping of displayName: source: [displayName] → ToUpper([displayName])",
                "User → User: mapping of displayName: applies: Always → ObjectAddOnly",
                "User → User: mapping of displayName: clears the target: off → on",
                "User → User: mapping of userName: - [userPrincipalName]",
            ],
        );
    }

    #[test]
    fn filters_and_definitions_are_compared_too() {
        check(
            |schema| {
                let user = schema.object_mapping_mut("User").unwrap();
                let clause = |attribute: &str, operator: &str, value: &str| ClauseText {
                    attribute: attribute.to_owned(),
                    operator: operator.to_owned(),
                    values: vec![value.to_owned()],
                    ..ClauseText::default()
                };
                user.scope.get_or_insert_default().groups.push(FilterText {
                    title: "Sales".to_owned(),
                    clauses: vec![
                        clause("department", "EQUALS", "Sales"),
                        clause("city", "EQUALS", "Oslo"),
                    ],
                    ..FilterText::default()
                });
                let target = schema.directories.last_mut().unwrap();
                let mut attributes = target.objects[0].attributes.iter_mut();
                let display = attributes.find(|it| it.name == "displayName").unwrap();
                display.required = true;
            },
            &[
                "User → User: scoping filter `Sales`: + department EQUALS Sales AND city EQUALS Oslo",
                "Symantec Web Security Service, urn:ietf:params:scim:schemas:core:2.0:User: \
                 displayName: String, exact case → String, required, exact case",
            ],
        );
    }
}
