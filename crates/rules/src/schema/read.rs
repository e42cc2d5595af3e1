//! From JSON to a schema, noting the place of everything that does not fit.

use std::cell::RefCell;

use serde_json::{Map, Value as Json};

use super::{
    AttributeDefinition, AttributeMappingText, Directory, FLOW_BEHAVIORS, MAX_MAPPINGS,
    ObjectDefinition, ObjectMappingText, Parameter, ReferencedObject, Rule, Schema, SchemaProblem,
    ScopeText, Source, SourceKind, Word,
};
use crate::mapping::Actions;
use crate::scope::{ClauseText, FilterText};

/// The schema of a document.
pub(super) fn document(json: Json) -> Result<Schema, Vec<SchemaProblem>> {
    let reader = Reader::default();
    let schema = reader.fields(json, String::new()).map(schema);
    let problems = reader.problems.into_inner();
    match schema {
        Some(schema) if problems.is_empty() => Ok(schema),
        Some(schema) => Err(with_what_follows(problems, &schema)),
        None => Err(problems),
    }
}

/// The problems, and those of the rest of the document; not what only follows from the problems, at the
/// same places, around them or in them.
fn with_what_follows(mut problems: Vec<SchemaProblem>, schema: &Schema) -> Vec<SchemaProblem> {
    let about = |one: &str, other: &str| {
        let rest = one.strip_prefix(other);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    let more: Vec<SchemaProblem> = schema
        .check()
        .into_iter()
        .filter(|more| {
            let mut known = problems.iter();
            !known.any(|known| {
                about(&more.pointer, &known.pointer) || about(&known.pointer, &more.pointer)
            })
        })
        .collect();
    problems.extend(more);
    problems
}

#[derive(Default)]
struct Reader {
    problems: RefCell<Vec<SchemaProblem>>,
}

impl Reader {
    fn problem(&self, pointer: String, message: impl Into<String>) {
        self.problems.borrow_mut().push(SchemaProblem {
            pointer,
            message: message.into(),
        });
    }

    fn fields(&self, json: Json, pointer: String) -> Option<Fields<'_>> {
        let Json::Object(members) = json else {
            self.problem(pointer, "an object is needed here");
            return None;
        };
        Some(Fields {
            reader: self,
            pointer,
            members,
        })
    }
}

/// The members of an object; what is left at the end is not known.
struct Fields<'r> {
    reader: &'r Reader,
    pointer: String,
    members: Map<String, Json>,
}

impl<'r> Fields<'r> {
    fn at(&self, name: &str) -> String {
        format!("{}/{name}", self.pointer)
    }

    /// The member; null counts as absent.
    fn take(&mut self, name: &str) -> Option<Json> {
        // `shift_remove` keeps the order of what stays.
        self.members
            .shift_remove(name)
            .filter(|json| !json.is_null())
    }

    fn wrong<T>(&self, name: &str, needed: &str) -> Option<T> {
        self.reader
            .problem(self.at(name), format!("{needed} is needed here"));
        None
    }

    fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Json::String(text) => Some(text),
            _ => self.wrong(name, "a text"),
        }
    }

    fn flag(&mut self, name: &str, default: bool) -> bool {
        match self.take(name) {
            None => default,
            Some(Json::Bool(flag)) => flag,
            Some(_) => self.wrong(name, "true or false").unwrap_or(default),
        }
    }

    fn number(&mut self, name: &str) -> i64 {
        match self.take(name) {
            None => 0,
            Some(json) => json
                .as_i64()
                .or_else(|| self.wrong(name, "a whole number"))
                .unwrap_or(0),
        }
    }

    fn list(&mut self, name: &str) -> Vec<Json> {
        match self.take(name) {
            None => Vec::new(),
            Some(Json::Array(items)) => items,
            Some(_) => self.wrong(name, "a list").unwrap_or_default(),
        }
    }

    /// The elements of a list, each read as an object.
    fn each<T>(&mut self, name: &str, read: impl Fn(Fields<'r>) -> T) -> Vec<T> {
        let pointer = self.at(name);
        self.list(name)
            .into_iter()
            .enumerate()
            .filter_map(|(index, item)| self.reader.fields(item, format!("{pointer}/{index}")))
            .map(read)
            .collect()
    }

    fn word<W: Word + Default>(&mut self, name: &str) -> W {
        match self.text(name) {
            None => W::default(),
            Some(text) => self.find(name, &text, W::ALL).unwrap_or_default(),
        }
    }

    fn find<T: Copy>(&self, name: &str, text: &str, known: &[(T, &str)]) -> Option<T> {
        let found = known
            .iter()
            .find(|(_, word)| word.eq_ignore_ascii_case(text))
            .map(|(value, _)| *value);
        if found.is_none() {
            let words: Vec<&str> = known.iter().map(|(_, word)| *word).collect();
            self.reader.problem(
                self.at(name),
                format!("`{text}` is none of {}", words.join(", ")),
            );
        }
        found
    }

    fn required(&mut self, name: &str) -> String {
        let there = self.members.contains_key(name);
        let text = self.text(name).unwrap_or_default();
        if text.is_empty() && !there {
            self.reader
                .problem(self.at(name), format!("`{name}` is missing"));
        }
        text
    }
}

fn schema(mut fields: Fields<'_>) -> Schema {
    Schema {
        id: fields.text("id").unwrap_or_default(),
        version: fields.text("version").unwrap_or_default(),
        directories: fields.each("directories", directory),
        rules: fields.each("synchronizationRules", rule),
        other: fields.members,
    }
}

fn directory(mut fields: Fields<'_>) -> Directory {
    Directory {
        id: fields.text("id").unwrap_or_default(),
        name: fields.required("name"),
        read_only: fields.flag("readOnly", false),
        discoverabilities: fields
            .text("discoverabilities")
            .unwrap_or_else(|| "None".to_owned()),
        discovered: fields.text("discoveryDateTime"),
        version: fields.text("version"),
        objects: fields.each("objects", object),
        other: fields.members,
    }
}

fn object(mut fields: Fields<'_>) -> ObjectDefinition {
    ObjectDefinition {
        name: fields.required("name"),
        metadata: fields.list("metadata"),
        supported_apis: fields.list("supportedApis"),
        attributes: fields.each("attributes", attribute),
        other: fields.members,
    }
}

fn attribute(mut fields: Fields<'_>) -> AttributeDefinition {
    AttributeDefinition {
        name: fields.required("name"),
        kind: fields.word("type"),
        anchor: fields.flag("anchor", false),
        case_exact: fields.flag("caseExact", false),
        default: fields.text("defaultValue"),
        flow_null_values: fields.flag("flowNullValues", false),
        metadata: fields.list("metadata"),
        multi_valued: fields.flag("multivalued", false),
        mutability: fields.word("mutability"),
        referenced: fields.each("referencedObjects", |mut fields| ReferencedObject {
            name: fields.required("referencedObjectName"),
            property: fields.text("referencedProperty"),
            other: fields.members,
        }),
        required: fields.flag("required", false),
        api_expressions: fields.list("apiExpressions"),
        other: fields.members,
    }
}

fn rule(mut fields: Fields<'_>) -> Rule {
    Rule {
        id: fields.text("id").unwrap_or_default(),
        name: fields.text("name").unwrap_or_default(),
        priority: fields.number("priority"),
        editable: fields.flag("editable", true),
        source_directory: fields.required("sourceDirectoryName"),
        target_directory: fields.required("targetDirectoryName"),
        container_filter: fields.take("containerFilter").unwrap_or_default(),
        group_filter: fields.take("groupFilter").unwrap_or_default(),
        metadata: fields.list("metadata"),
        object_mappings: fields.each("objectMappings", object_mapping),
        other: fields.members,
    }
}

fn object_mapping(mut fields: Fields<'_>) -> ObjectMappingText {
    let actions = match fields.text("flowTypes") {
        None => Actions::ALL,
        Some(text) => actions(&fields, &text),
    };
    let scope = fields.take("scope").and_then(|json| {
        let pointer = fields.at("scope");
        fields.reader.fields(json, pointer).map(scope)
    });
    let mappings = fields.each("attributeMappings", attribute_mapping);
    if mappings.len() > MAX_MAPPINGS {
        fields.reader.problem(
            fields.at("attributeMappings"),
            format!("an object mapping has at most {MAX_MAPPINGS} attribute mappings"),
        );
    }
    ObjectMappingText {
        name: fields.text("name").unwrap_or_default(),
        enabled: fields.flag("enabled", true),
        actions,
        source_object: fields.required("sourceObjectName"),
        target_object: fields.required("targetObjectName"),
        metadata: fields.list("metadata"),
        scope,
        attribute_mappings: mappings,
        other: fields.members,
    }
}

/// `Add, Update, Delete`: flags, in any order.
fn actions(fields: &Fields<'_>, text: &str) -> Actions {
    let mut actions = Actions {
        create: false,
        update: false,
        delete: false,
    };
    for flag in text
        .split(',')
        .map(str::trim)
        .filter(|flag| !flag.is_empty())
    {
        match flag.to_ascii_lowercase().as_str() {
            "add" => actions.create = true,
            "update" => actions.update = true,
            "delete" => actions.delete = true,
            "none" => {}
            _ => fields.reader.problem(
                fields.at("flowTypes"),
                format!("`{flag}` is none of None, Add, Update, Delete"),
            ),
        }
    }
    actions
}

fn scope(mut fields: Fields<'_>) -> ScopeText {
    ScopeText {
        groups: fields.each("groups", filter),
        input_groups: fields.each("inputFilterGroups", filter),
        category_groups: fields.each("categoryFilterGroups", filter),
        other: fields.members,
    }
}

fn filter(mut fields: Fields<'_>) -> FilterText {
    FilterText {
        title: fields.text("name").unwrap_or_default(),
        clauses: fields.each("clauses", clause),
        other: fields.members,
    }
}

fn clause(mut fields: Fields<'_>) -> ClauseText {
    let operand = fields.take("targetOperand").and_then(|json| {
        let pointer = fields.at("targetOperand");
        fields.reader.fields(json, pointer)
    });
    let (values, other_operand) = operand.map(operand_values).unwrap_or_default();
    ClauseText {
        attribute: fields.required("sourceOperandName"),
        operator: fields.required("operatorName"),
        values,
        other: fields.members,
        other_operand,
    }
}

fn operand_values(mut operand: Fields<'_>) -> (Vec<String>, Map<String, Json>) {
    let pointer = operand.at("values");
    let items = operand.list("values").into_iter().enumerate();
    let values = items
        .filter_map(|(index, item)| match item {
            Json::String(text) => Some(text),
            Json::Null => None,
            Json::Number(number) => Some(number.to_string()),
            Json::Bool(flag) => Some(crate::expr::truth(flag).to_owned()),
            _ => {
                let pointer = format!("{pointer}/{index}");
                operand.reader.problem(pointer, "a text is needed here");
                None
            }
        })
        .collect();
    (values, operand.members)
}

fn attribute_mapping(mut fields: Fields<'_>) -> AttributeMappingText {
    let priority = fields.number("matchingPriority");
    let matching_priority = u32::try_from(priority)
        .ok()
        .or_else(|| fields.wrong("matchingPriority", "a number from 0 on"))
        .unwrap_or(0);
    let flow_always = match fields.text("flowBehavior") {
        None => false,
        Some(text) => fields
            .find("flowBehavior", &text, &FLOW_BEHAVIORS)
            .unwrap_or(false),
    };
    let flow_null_values = match fields.take("flowNullValues") {
        None | Some(Json::Null) => None,
        Some(Json::Bool(flag)) => Some(flag),
        Some(_) => fields.wrong("flowNullValues", "true or false"),
    };
    let source = fields.take("source").and_then(|json| {
        let pointer = fields.at("source");
        fields.reader.fields(json, pointer).map(source)
    });
    AttributeMappingText {
        target: fields.required("targetAttributeName"),
        matching_priority,
        default: fields.text("defaultValue"),
        export_missing_references: fields.flag("exportMissingReferences", false),
        flow_always,
        flow_null_values,
        flow_type: fields.word("flowType"),
        source,
        other: fields.members,
    }
}

/// Text and tree of a source say the same; where they differ, the tree counts if it is complete and
/// understood, otherwise the text.
fn source(fields: Fields<'_>) -> Source {
    let (mut tree, complete) = node(fields);
    if !complete && !tree.expression.is_empty() {
        return Source {
            other: tree.other,
            ..Source::parse_or_keep(&tree.expression)
        };
    }
    let agrees = Source::parse(&tree.expression).is_ok_and(|parsed| parsed.same_tree(&tree));
    if !agrees && let Some(text) = tree.text() {
        tree.expression = text;
    }
    tree
}

/// A node as it is written, and whether its type and name are given.
fn node(mut fields: Fields<'_>) -> (Source, bool) {
    let given = |name: &str| fields.members.get(name).is_some_and(|json| !json.is_null());
    let complete = given("type") && given("name");
    let mut source = Source {
        kind: fields.word::<SourceKind>("type"),
        name: fields.text("name").unwrap_or_default(),
        expression: fields.text("expression").unwrap_or_default(),
        parameters: fields.each("parameters", |mut fields| {
            let value = fields.take("value").and_then(|json| {
                let pointer = fields.at("value");
                fields
                    .reader
                    .fields(json, pointer)
                    .map(|fields| node(fields).0)
            });
            Parameter {
                key: fields.required("key"),
                value: value.unwrap_or_else(|| Source::constant("")),
                other: fields.members,
            }
        }),
        other: fields.members,
    };
    if source.expression.is_empty()
        && !source.name.is_empty()
        && let Some(text) = source.text()
    {
        source.expression = text;
    }
    (source, complete)
}
