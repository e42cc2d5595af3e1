//! The schema document of a job: directories, rules and mappings in the JSON shape of Microsoft
//! Graph's `synchronizationSchema` (3.9).
//!
//! The types here hold the document as it is written; [`Schema::compile`] makes of it what the
//! engine runs. Members that we do not know are kept, so that a document survives import and export.

mod compile;
mod diff;
mod discovered;
mod merge;
mod read;
mod source;
mod target_path;
mod write;

use serde_json::{Map, Value as Json};

use crate::mapping::{Actions, Apply, ObjectMapping};
use crate::scope::{FilterText, ScopeOperator};
use crate::{Expression, TargetType};

pub use diff::SchemaChange;
pub use source::{Parameter, Source, SourceKind};

/// Bytes of a document at most.
pub const MAX_BYTES: usize = 4 * 1024 * 1024;
/// Attribute mappings of one object mapping at most.
pub const MAX_MAPPINGS: usize = 1_000;

/// The name of the source directory in every schema.
pub const SOURCE_DIRECTORY: &str = "Azure Active Directory";

/// A schema document.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schema {
    /// Its id.
    pub id: String,
    /// Changes with every save.
    pub version: String,
    /// The definitions of source and target.
    pub directories: Vec<Directory>,
    /// The rules between them.
    pub rules: Vec<Rule>,
    /// Members that we do not know.
    pub other: Map<String, Json>,
}

/// A directory: what objects it has.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Directory {
    /// Its id; empty when the document has none.
    pub id: String,
    /// Its name, unique in the schema.
    pub name: String,
    /// May its definition not be changed?
    pub read_only: bool,
    /// What the connector can find out, as written: flags with commas.
    pub discoverabilities: String,
    /// When it was last found out.
    pub discovered: Option<String>,
    /// Changes with every discovery.
    pub version: Option<String>,
    /// The kinds of objects.
    pub objects: Vec<ObjectDefinition>,
    /// Members that we do not know.
    pub other: Map<String, Json>,
}

/// A kind of object in a directory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObjectDefinition {
    /// Its name, unique in the directory.
    pub name: String,
    /// Named details, kept as they are.
    pub metadata: Vec<Json>,
    /// Kept as it is.
    pub supported_apis: Vec<Json>,
    /// Its attributes.
    pub attributes: Vec<AttributeDefinition>,
    /// Members that we do not know.
    pub other: Map<String, Json>,
}

/// An attribute of an object (3.4).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttributeDefinition {
    /// Its name; at the target a path.
    pub name: String,
    /// Its type.
    pub kind: TargetType,
    /// Is it the primary key?
    pub anchor: bool,
    /// Is a change of case a change?
    pub case_exact: bool,
    /// The default of the attribute.
    pub default: Option<String>,
    /// Is null exported as removal?
    pub flow_null_values: bool,
    /// Named details, kept as they are.
    pub metadata: Vec<Json>,
    /// May it have several values?
    pub multi_valued: bool,
    /// Who may write it.
    pub mutability: Mutability,
    /// For references: what it can point at.
    pub referenced: Vec<ReferencedObject>,
    /// Can an object not do without it?
    pub required: bool,
    /// Kept as they are.
    pub api_expressions: Vec<Json>,
    /// Members that we do not know.
    pub other: Map<String, Json>,
}

/// What a reference can point at.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReferencedObject {
    /// The kind of object.
    pub name: String,
    /// The attribute by which it is named; `None` is its anchor.
    pub property: Option<String>,
    /// Members that we do not know.
    pub other: Map<String, Json>,
}

/// Who may write an attribute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mutability {
    /// Everybody.
    #[default]
    ReadWrite,
    /// Only the directory itself.
    ReadOnly,
    /// Whoever creates the object.
    Immutable,
    /// It can be written and not be read.
    WriteOnly,
}

/// How objects of one directory become objects of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Rule {
    /// Its id, as in the template.
    pub id: String,
    /// Its name.
    pub name: String,
    /// The lowest is first.
    pub priority: i64,
    /// May it be changed?
    pub editable: bool,
    /// The name of the source directory.
    pub source_directory: String,
    /// The name of the target directory.
    pub target_directory: String,
    /// Kept as it is.
    pub container_filter: Json,
    /// Kept as it is.
    pub group_filter: Json,
    /// Named details, kept as they are.
    pub metadata: Vec<Json>,
    /// Its object mappings.
    pub object_mappings: Vec<ObjectMappingText>,
    /// Members that we do not know.
    pub other: Map<String, Json>,
}

/// An object mapping as it is written (3.3).
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectMappingText {
    /// Its name.
    pub name: String,
    /// Is it used at all?
    pub enabled: bool,
    /// What may be done to target objects.
    pub actions: Actions,
    /// The kind of source object.
    pub source_object: String,
    /// The kind of target object.
    pub target_object: String,
    /// Named details, kept as they are.
    pub metadata: Vec<Json>,
    /// Scoping filters; `None` when the document says null.
    pub scope: Option<ScopeText>,
    /// Its attribute mappings.
    pub attribute_mappings: Vec<AttributeMappingText>,
    /// Members that we do not know.
    pub other: Map<String, Json>,
}

/// The filter sets of an object mapping as they are written (4.5).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScopeText {
    /// Who is in scope.
    pub groups: Vec<FilterText>,
    /// Who is looked at in the first place.
    pub input_groups: Vec<FilterText>,
    /// Like `input_groups`.
    pub category_groups: Vec<FilterText>,
    /// Members that we do not know.
    pub other: Map<String, Json>,
}

/// An attribute mapping as it is written (3.2).
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeMappingText {
    /// The target attribute.
    pub target: String,
    /// Its place in matching; 0 takes no part.
    pub matching_priority: u32,
    /// Takes the place of null.
    pub default: Option<String>,
    /// Stored only.
    pub export_missing_references: bool,
    /// Is it sent with every write of the object?
    pub flow_always: bool,
    /// Does an empty source clear the target? Off when the document does not say.
    pub flow_null_values: Option<bool>,
    /// When it applies.
    pub flow_type: FlowType,
    /// Where the value comes from.
    pub source: Option<Source>,
    /// Members that we do not know.
    pub other: Map<String, Json>,
}

/// When an attribute flows, in the words of the document.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlowType {
    /// Create and update.
    #[default]
    Always,
    /// Create only.
    ObjectAddOnly,
    /// Values are added only.
    MultiValueAddOnly,
    /// Like `MultiValueAddOnly`.
    ValueAddOnly,
    /// Only while the target has no value.
    AttributeAddOnly,
}

impl FlowType {
    /// What it means for the engine.
    pub const fn apply(self) -> Apply {
        match self {
            Self::Always => Apply::Always,
            Self::ObjectAddOnly => Apply::OnlyDuringCreation,
            Self::MultiValueAddOnly | Self::ValueAddOnly => Apply::MultiValueAddOnly,
            Self::AttributeAddOnly => Apply::OnlyWhileEmpty,
        }
    }
}

/// An enumeration of the document.
trait Word: Copy + Sized + 'static {
    const ALL: &'static [(Self, &'static str)];

    fn word(self) -> &'static str
    where
        Self: PartialEq,
    {
        Self::ALL
            .iter()
            .find(|(value, _)| *value == self)
            .map_or("", |(_, word)| word)
    }
}

impl Word for FlowType {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Always, "Always"),
        (Self::ObjectAddOnly, "ObjectAddOnly"),
        (Self::MultiValueAddOnly, "MultiValueAddOnly"),
        (Self::ValueAddOnly, "ValueAddOnly"),
        (Self::AttributeAddOnly, "AttributeAddOnly"),
    ];
}

impl Word for Mutability {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::ReadWrite, "ReadWrite"),
        (Self::ReadOnly, "ReadOnly"),
        (Self::Immutable, "Immutable"),
        (Self::WriteOnly, "WriteOnly"),
    ];
}

impl Word for TargetType {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::String, "String"),
        (Self::Boolean, "Boolean"),
        (Self::Integer, "Integer"),
        (Self::Reference, "Reference"),
        (Self::DateTime, "DateTime"),
        (Self::Binary, "Binary"),
    ];
}

impl Word for SourceKind {
    const ALL: &'static [(Self, &'static str)] = &[
        (Self::Attribute, "Attribute"),
        (Self::Constant, "Constant"),
        (Self::Function, "Function"),
    ];
}

/// `FlowWhenChanged` is false, `FlowAlways` is true.
const FLOW_BEHAVIORS: [(bool, &str); 2] = [(false, "FlowWhenChanged"), (true, "FlowAlways")];

/// One thing wrong with a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}: {message}")]
pub struct SchemaProblem {
    /// Where, as a JSON pointer; empty for the whole document.
    pub pointer: String,
    /// What is wrong, in plain words.
    pub message: String,
}

/// What the engine runs.
#[derive(Clone, Debug)]
pub struct CompiledSchema {
    /// The mapping of users.
    pub user: ObjectMapping,
    /// The mapping of groups, where the application takes groups.
    pub group: Option<ObjectMapping>,
}

impl Schema {
    /// Reads a document. Unknown members are kept; problems name their place.
    pub fn from_json(text: &str) -> Result<Self, Vec<SchemaProblem>> {
        read::document(parse(text)?)
    }

    /// Reads a document that replaces a stored one. Clients leave out flags, nulls and members that
    /// they do not know; what must not be lost by that is taken from the stored document.
    pub fn from_json_over(text: &str, stored: &Self) -> Result<Self, Vec<SchemaProblem>> {
        let mut json = parse(text)?;
        merge::fill_in(&mut json, &stored.to_value());
        read::document(json)
    }

    /// The document, indented. Reading it and writing it again gives the same bytes.
    pub fn to_json(&self) -> String {
        format!("{:#}", self.to_value())
    }

    /// The document as JSON.
    pub fn to_value(&self) -> Json {
        write::document(self)
    }

    /// Everything that keeps the document from being run.
    pub fn check(&self) -> Vec<SchemaProblem> {
        self.compile().err().unwrap_or_default()
    }

    /// Checks names, expressions, filters and types, and makes what the engine runs.
    pub fn compile(&self) -> Result<CompiledSchema, Vec<SchemaProblem>> {
        compile::compile(self)
    }

    /// The directory of that name.
    pub fn directory(&self, name: &str) -> Option<&Directory> {
        self.directories
            .iter()
            .find(|directory| directory.name == name)
    }

    /// The attributes of the source's objects that are mapped, each once.
    pub fn source_attributes(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .rules
            .iter()
            .filter_map(|rule| self.directory(&rule.source_directory))
            .flat_map(|directory| &directory.objects)
            .flat_map(|object| &object.attributes)
            .map(|attribute| attribute.name.as_str())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What may not be meant although it can be run: filters that do not do what they seem to (SF-8),
    /// expressions that fail whenever they are evaluated, required attributes that nothing is mapped to
    /// (AM-2).
    pub fn warnings(&self) -> Vec<SchemaProblem> {
        let mut warnings = self.mapping_warnings();
        let Ok(compiled) = self.compile() else {
            return warnings;
        };
        for mapping in std::iter::once(&compiled.user).chain(&compiled.group) {
            for warning in mapping.filters.warnings() {
                let clause = warning
                    .clause
                    .map_or(String::new(), |it| format!("/clauses/{it}"));
                warnings.push(SchemaProblem {
                    pointer: format!("{}: scope/groups/{}{clause}", mapping.name, warning.filter),
                    message: warning.message,
                });
            }
        }
        warnings
    }

    fn mapping_warnings(&self) -> Vec<SchemaProblem> {
        let mut warnings = Vec::new();
        for (rule_at, rule) in self.rules.iter().enumerate() {
            for (mapping_at, mapping) in rule.object_mappings.iter().enumerate() {
                let at = format!("/synchronizationRules/{rule_at}/objectMappings/{mapping_at}");
                for (index, attribute) in mapping.attribute_mappings.iter().enumerate() {
                    let Some(source) = &attribute.source else {
                        continue;
                    };
                    let remarks = Expression::remarks(&source.expression).into_iter();
                    warnings.extend(remarks.map(|remark| SchemaProblem {
                        pointer: format!("{at}/attributeMappings/{index}/source/expression"),
                        message: remark.to_string(),
                    }));
                }
                warnings.extend(same_precedence(mapping, &at));
                let source = self
                    .directory(&rule.source_directory)
                    .and_then(|directory| directory.object(&mapping.source_object));
                if let (Some(source), Some(scope)) = (source, &mapping.scope) {
                    warnings.extend(unusual_operators(scope, source, &at));
                }
                let mapped = |name: &str| {
                    let mut all = mapping.attribute_mappings.iter();
                    all.any(|it| it.target.eq_ignore_ascii_case(name))
                };
                let target = self
                    .directory(&rule.target_directory)
                    .and_then(|directory| directory.object(&mapping.target_object));
                let attributes = target.map_or(&[][..], |object| &object.attributes);
                let missing = attributes
                    .iter()
                    .filter(|it| it.required && !it.anchor && !mapped(&it.name));
                warnings.extend(missing.map(|attribute| SchemaProblem {
                    pointer: format!("{at}/attributeMappings"),
                    message: format!(
                        "nothing is mapped to `{}`, which the target requires (AM-2)",
                        attribute.name
                    ),
                }));
            }
        }
        warnings
    }

    /// The object mapping for a kind of source object (`User` or `Group`), first by priority.
    pub fn object_mapping(&self, source_object: &str) -> Option<&ObjectMappingText> {
        let mut rules: Vec<&Rule> = self.rules.iter().collect();
        rules.sort_by_key(|rule| rule.priority);
        rules
            .into_iter()
            .flat_map(|rule| &rule.object_mappings)
            .find(|mapping| mapping.source_object == source_object)
    }

    /// The object mapping for a kind of source object, to be changed.
    pub fn object_mapping_mut(&mut self, source_object: &str) -> Option<&mut ObjectMappingText> {
        let mut rules: Vec<&mut Rule> = self.rules.iter_mut().collect();
        rules.sort_by_key(|rule| rule.priority);
        rules
            .into_iter()
            .flat_map(|rule| &mut rule.object_mappings)
            .find(|mapping| mapping.source_object == source_object)
    }
}

impl Directory {
    /// The kind of object of that name.
    pub fn object(&self, name: &str) -> Option<&ObjectDefinition> {
        self.objects.iter().find(|object| object.name == name)
    }
}

impl ObjectDefinition {
    /// The attribute of that name.
    pub fn attribute(&self, name: &str) -> Option<&AttributeDefinition> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }
}

impl AttributeDefinition {
    /// A definition with everything else at its default.
    pub fn new(name: impl Into<String>, kind: TargetType) -> Self {
        Self {
            name: name.into(),
            kind,
            ..Self::default()
        }
    }
}

impl AttributeMappingText {
    /// A mapping with everything else at its default.
    pub fn new(target: impl Into<String>, source: Option<Source>) -> Self {
        Self {
            target: target.into(),
            matching_priority: 0,
            default: None,
            export_missing_references: false,
            flow_always: false,
            flow_null_values: None,
            flow_type: FlowType::Always,
            source,
            other: Map::new(),
        }
    }
}

/// Attributes that are matched at the same precedence, so that their order is left to chance.
fn same_precedence(mapping: &ObjectMappingText, at: &str) -> Vec<SchemaProblem> {
    let mut seen = Vec::new();
    let mut told = Vec::new();
    for (index, attribute) in mapping.attribute_mappings.iter().enumerate() {
        let priority = attribute.matching_priority;
        if priority > 0 && seen.contains(&priority) {
            told.push(SchemaProblem {
                pointer: format!("{at}/attributeMappings/{index}/matchingPriority"),
                message: format!("another attribute is matched at precedence {priority}, too"),
            });
        }
        seen.push(priority);
    }
    told
}

/// Operators that are not meant for the type of their attribute (4.2).
fn unusual_operators(scope: &ScopeText, source: &ObjectDefinition, at: &str) -> Vec<SchemaProblem> {
    let clauses = scope.groups.iter().enumerate().flat_map(|(group, filter)| {
        let clauses = filter.clauses.iter().enumerate();
        clauses.map(move |(index, clause)| (group, index, clause))
    });
    let told = clauses.filter_map(|(group, index, clause)| {
        let operator = ScopeOperator::find(&clause.operator)?;
        let kind = source.attribute(clause.attribute.trim())?.kind;
        (!operator.types().contains(&kind)).then(|| SchemaProblem {
            pointer: format!("{at}/scope/groups/{group}/clauses/{index}/operatorName"),
            message: format!("`{operator}` is not meant for an attribute of type {kind}"),
        })
    });
    told.collect()
}

fn parse(text: &str) -> Result<Json, Vec<SchemaProblem>> {
    let problem = |message: String| {
        vec![SchemaProblem {
            pointer: String::new(),
            message,
        }]
    };
    if text.len() > MAX_BYTES {
        return Err(problem(format!("a schema has at most {MAX_BYTES} bytes")));
    }
    // Editors of Windows put a mark in front.
    serde_json::from_str(text.trim_start_matches('\u{feff}'))
        .map_err(|error| problem(format!("this is no JSON: {error}")))
}

#[cfg(test)]
mod tests;
