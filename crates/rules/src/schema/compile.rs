//! From the document to what the engine runs, with every problem at its place.

use std::collections::HashSet;

use muster_model::directory::Kind;

use super::{
    AttributeMappingText, CompiledSchema, Directory, Mutability, ObjectDefinition,
    ObjectMappingText, Rule, Schema, SchemaProblem, ScopeText, Source, SourceKind, target_path,
};
use crate::TargetType;
use crate::convert::to_target;
use crate::expr::func::{FUNCTIONS, Function};
use crate::expr::{Expression, Node, Val};
use crate::mapping::{Apply, AttributeMapping, MappingSource, ObjectMapping};
use crate::scope::{FilterText, MAX_CLAUSES, ScopePart, ScopingFilters};
use crate::suggest::closest;

/// The compiled schema, or everything that is wrong with the document.
pub(super) fn compile(schema: &Schema) -> Result<CompiledSchema, Vec<SchemaProblem>> {
    let mut compiler = Compiler {
        schema,
        problems: Vec::new(),
    };
    let (user, group) = compiler.rules();
    if user.is_none() && compiler.problems.is_empty() {
        compiler.problem("/synchronizationRules", "there is no mapping of users");
    }
    match user {
        Some(user) if compiler.problems.is_empty() => Ok(CompiledSchema { user, group }),
        _ => Err(compiler.problems),
    }
}

/// Problems that come with a suggestion at most.
const MAX_SUGGESTIONS: usize = 100;
/// Names that are compared for a suggestion at most.
const MAX_CANDIDATES: usize = 2_000;

struct Compiler<'s> {
    schema: &'s Schema,
    problems: Vec<SchemaProblem>,
}

impl<'s> Compiler<'s> {
    fn problem(&mut self, pointer: impl Into<String>, message: impl Into<String>) {
        self.problems.push(SchemaProblem {
            pointer: pointer.into(),
            message: message.into(),
        });
    }

    /// What to say about a name that nobody knows. Looking for what was meant costs time, so a
    /// document full of mistakes gets no more suggestions.
    fn unknown<'k>(&self, what: &str, name: &str, known: impl Iterator<Item = &'k str>) -> String {
        let near = (self.problems.len() < MAX_SUGGESTIONS)
            .then(|| closest(name, known.take(MAX_CANDIDATES)))
            .flatten();
        match near {
            Some(near) => format!("there is no {what} `{name}`; did you mean `{near}`?"),
            None => format!("there is no {what} `{name}`"),
        }
    }

    fn rules(&mut self) -> (Option<ObjectMapping>, Option<ObjectMapping>) {
        self.names();
        let (mut user, mut group) = (None, None);
        let mut rules: Vec<(usize, &Rule)> = self.schema.rules.iter().enumerate().collect();
        rules.sort_by_key(|(_, rule)| rule.priority);
        for (index, rule) in rules {
            let at = format!("/synchronizationRules/{index}");
            let source =
                self.directory(&rule.source_directory, format!("{at}/sourceDirectoryName"));
            let target =
                self.directory(&rule.target_directory, format!("{at}/targetDirectoryName"));
            let (Some(source), Some(target)) = (source, target) else {
                continue;
            };
            for (index, mapping) in rule.object_mappings.iter().enumerate() {
                let at = format!("{at}/objectMappings/{index}");
                let Some(compiled) = self.object(mapping, source, target, &at) else {
                    continue;
                };
                let place = match compiled.kind {
                    Kind::User => &mut user,
                    Kind::Group => &mut group,
                };
                if place.is_some() {
                    self.problem(
                        format!("{at}/sourceObjectName"),
                        format!("there is another mapping of `{}`", mapping.source_object),
                    );
                } else {
                    *place = Some(compiled);
                }
            }
        }
        (user, group)
    }

    /// Names are unique where others refer to them.
    fn names(&mut self) {
        let mut seen = HashSet::new();
        for (index, directory) in self.schema.directories.iter().enumerate() {
            let at = format!("/directories/{index}");
            if !seen.insert(directory.name.as_str()) {
                self.problem(format!("{at}/name"), "the name is used twice");
            }
            let mut objects = HashSet::new();
            for (index, object) in directory.objects.iter().enumerate() {
                let at = format!("{at}/objects/{index}");
                if !objects.insert(object.name.as_str()) {
                    self.problem(format!("{at}/name"), "the name is used twice");
                }
                let mut attributes = HashSet::new();
                for (index, attribute) in object.attributes.iter().enumerate() {
                    if !attributes.insert(attribute.name.as_str()) {
                        self.problem(
                            format!("{at}/attributes/{index}/name"),
                            format!("the attribute `{}` is defined twice", attribute.name),
                        );
                    }
                }
            }
        }
    }

    fn directory(&mut self, name: &str, at: String) -> Option<&'s Directory> {
        let found = self.schema.directory(name);
        if found.is_none() {
            let known = self.schema.directories.iter().map(|known| &*known.name);
            let message = self.unknown("directory", name, known);
            self.problem(at, message);
        }
        found
    }

    fn kind(&mut self, mapping: &ObjectMappingText, at: &str) -> Option<Kind> {
        match mapping.source_object.as_str() {
            "User" => Some(Kind::User),
            "Group" => Some(Kind::Group),
            other => {
                self.problem(
                    format!("{at}/sourceObjectName"),
                    format!("only `User` and `Group` can be mapped, not `{other}`"),
                );
                None
            }
        }
    }

    fn object(
        &mut self,
        mapping: &ObjectMappingText,
        source: &'s Directory,
        target: &'s Directory,
        at: &str,
    ) -> Option<ObjectMapping> {
        let kind = self.kind(mapping, at);
        let mut definition = |directory: &'s Directory, name: &str, member: &str| {
            let found = directory.object(name);
            if found.is_none() {
                let known = directory.objects.iter().map(|known| &*known.name);
                let message = self.unknown("object", name, known);
                self.problem(format!("{at}/{member}"), message);
            }
            found
        };
        let from = definition(source, &mapping.source_object, "sourceObjectName");
        let to = definition(target, &mapping.target_object, "targetObjectName");
        let (kind, from, to) = (kind?, from?, to?);
        if kind == Kind::User && !mapping.enabled {
            self.problem(
                format!("{at}/enabled"),
                "the mapping of users cannot be switched off",
            );
        }
        let mut targets = HashSet::new();
        let mut attributes = Vec::with_capacity(mapping.attribute_mappings.len());
        for (index, attribute) in mapping.attribute_mappings.iter().enumerate() {
            let at = format!("{at}/attributeMappings/{index}");
            if !targets.insert(attribute.target.to_lowercase()) {
                self.problem(
                    format!("{at}/targetAttributeName"),
                    format!("`{}` is mapped twice", attribute.target),
                );
            }
            attributes.extend(self.attribute(attribute, from, to, &at));
        }
        if mapping.enabled
            && !mapping
                .attribute_mappings
                .iter()
                .any(|attribute| attribute.matching_priority > 0)
        {
            self.problem(
                format!("{at}/attributeMappings"),
                "no attribute is used for matching; set a matching priority of 1 on one of them",
            );
        }
        let none = ScopeText::default();
        let scope = mapping.scope.as_ref().unwrap_or(&none);
        let mut filters = |groups: &[FilterText], name: &str| {
            self.filters(groups, from, &format!("{at}/scope/{name}"))
        };
        Some(ObjectMapping {
            name: mapping.name.clone(),
            kind,
            target_name: mapping.target_object.clone(),
            enabled: mapping.enabled,
            actions: mapping.actions,
            filters: filters(&scope.groups, "groups"),
            input_filters: filters(&scope.input_groups, "inputFilterGroups"),
            category_filters: filters(&scope.category_groups, "categoryFilterGroups"),
            attributes,
        })
    }

    fn attribute(
        &mut self,
        mapping: &AttributeMappingText,
        from: &ObjectDefinition,
        to: &ObjectDefinition,
        at: &str,
    ) -> Option<AttributeMapping> {
        let target_at = format!("{at}/targetAttributeName");
        let Some(definition) = to.attribute(&mapping.target) else {
            let known = to.attributes.iter().map(|known| &*known.name);
            let message = self.unknown("target attribute", &mapping.target, known);
            self.problem(target_at, message);
            return None;
        };
        if definition.anchor || definition.name == "id" {
            self.problem(
                target_at,
                format!("`{}` is the target's own key (AM-4)", definition.name),
            );
        } else if let Err(reason) = target_path::check(&definition.name) {
            self.problem(
                target_at,
                format!("`{}` is no SCIM path: {reason}", definition.name),
            );
        }
        let source = match &mapping.source {
            None => MappingSource::None,
            Some(source) => self.source(source, from, &format!("{at}/source"))?,
        };
        let apply = match (mapping.flow_type.apply(), &source) {
            (Apply::Always, MappingSource::Expression(expression)) if expression.only_adds() => {
                Apply::MultiValueAddOnly
            }
            (apply, _) => apply,
        };
        let compiled = AttributeMapping {
            target: mapping.target.clone(),
            target_type: definition.kind,
            source,
            default: mapping.default.clone().filter(|text| !text.is_empty()),
            matching: (mapping.matching_priority > 0).then_some(mapping.matching_priority),
            apply,
            flow_always: mapping.flow_always,
            clears: mapping.flow_null_values == Some(true),
            required: definition.required,
            case_exact: definition.case_exact,
            multi_valued: definition.multi_valued,
            read_only: definition.mutability == Mutability::ReadOnly,
            immutable: definition.mutability == Mutability::Immutable,
            referenced: definition
                .referenced
                .iter()
                .map(|object| object.name.clone())
                .collect(),
        };
        self.fits(&compiled, at);
        Some(compiled)
    }

    /// Does everything that can be known before there is an object fit the target?
    fn fits(&mut self, mapping: &AttributeMapping, at: &str) {
        let kind = mapping.target_type;
        if mapping.apply == Apply::MultiValueAddOnly && !mapping.multi_valued {
            self.problem(
                format!("{at}/flowType"),
                format!(
                    "`{}` has one value, so nothing can be added to it",
                    mapping.target
                ),
            );
        }
        let uncleared = if mapping.matching.is_some() {
            Some("it is used for matching")
        } else if mapping.required {
            Some("the target requires it")
        } else if mapping.multi_valued {
            Some("it has several values")
        } else if kind == TargetType::Reference {
            Some("it is a reference, which is removed with its source anyway")
        } else {
            None
        };
        if let (true, Some(reason)) = (mapping.clears, uncleared) {
            self.problem(
                format!("{at}/flowNullValues"),
                format!(
                    "`{}` cannot be cleared when the source is empty: {reason}",
                    mapping.target
                ),
            );
        }
        let mut constant = |text: &str, member: &str| {
            if to_target(Val::borrowed(text), kind, mapping.multi_valued).is_err() {
                self.problem(
                    format!("{at}/{member}"),
                    format!("the text cannot be read as {kind}"),
                );
            }
        };
        if let Some(default) = &mapping.default {
            constant(default, "defaultValue");
        }
        match &mapping.source {
            MappingSource::Constant(text) => constant(text, "source"),
            MappingSource::Expression(expression) => {
                if kind == TargetType::Reference {
                    self.problem(
                        format!("{at}/source"),
                        "a reference is mapped directly, not by an expression",
                    );
                }
                if mapping.matching.is_some() && expression.selects_unique_value() {
                    self.problem(
                        format!("{at}/matchingPriority"),
                        "`SelectUniqueValue` cannot give the value for matching",
                    );
                }
            }
            MappingSource::Attribute(_) | MappingSource::None => {}
        }
    }

    fn source(
        &mut self,
        source: &Source,
        from: &ObjectDefinition,
        at: &str,
    ) -> Option<MappingSource> {
        if source.expression.is_empty() {
            let message = match source.kind {
                SourceKind::Function if Function::find(&source.name).is_none() => {
                    let known = FUNCTIONS.iter().map(|function| function.name);
                    self.unknown("function", &source.name, known)
                }
                SourceKind::Function => format!(
                    "the parameters of `{}` are not understood; give its `expression`",
                    source.name
                ),
                SourceKind::Attribute | SourceKind::Constant => {
                    "the source says neither `expression` nor `type` and `name`".to_owned()
                }
            };
            self.problem(at, message);
            return None;
        }
        let expression = match source.to_expression() {
            Ok(expression) => expression,
            Err(problems) => {
                for problem in problems.0 {
                    self.problem(format!("{at}/expression"), problem.to_string());
                }
                self.source_attributes(&source.expression, from, at);
                return None;
            }
        };
        self.source_attributes(&source.expression, from, at);
        Some(simplest(expression))
    }

    /// Every attribute that a text names must be there, each told at its place.
    fn source_attributes(&mut self, text: &str, from: &ObjectDefinition, at: &str) {
        for (name, place) in Expression::named_attributes(text) {
            if !is_source_attribute(from, &name) {
                let known = from.attributes.iter().map(|known| &*known.name);
                let message = self.unknown("source attribute", &name, known);
                self.problem(
                    format!("{at}/expression"),
                    format!("at {}: {message}", place + 1),
                );
            }
        }
    }

    /// Why a filter cannot look at an attribute (SF-10, SF-11).
    fn unfilterable(&self, from: &ObjectDefinition, name: &str) -> Option<String> {
        let Some(definition) = from.attribute(name) else {
            let known = from.attributes.iter().map(|known| &*known.name);
            return (!is_source_attribute(from, name) && !name.is_empty())
                .then(|| self.unknown("source attribute", name, known));
        };
        if definition.multi_valued && definition.kind != TargetType::Reference {
            return Some(format!(
                "filters cannot look at `{name}`, which has several values"
            ));
        }
        (definition.kind == TargetType::DateTime)
            .then(|| format!("filters cannot look at `{name}`, which is a date"))
    }

    fn filters(
        &mut self,
        groups: &[FilterText],
        from: &ObjectDefinition,
        at: &str,
    ) -> ScopingFilters {
        let clauses = groups.iter().enumerate().flat_map(|(group_at, group)| {
            let clauses = group.clauses.iter().enumerate();
            clauses.map(move |(clause_at, clause)| (group_at, clause_at, clause))
        });
        for (group_at, clause_at, clause) in clauses.take(MAX_CLAUSES) {
            if let Some(message) = self.unfilterable(from, clause.attribute.trim()) {
                let at = format!("{at}/{group_at}/clauses/{clause_at}/sourceOperandName");
                self.problem(at, message);
            }
        }
        match ScopingFilters::compile(groups) {
            Ok(filters) => filters,
            Err(problems) => {
                for problem in problems {
                    let member = match problem.part {
                        ScopePart::Attribute => "sourceOperandName",
                        ScopePart::Operator => "operatorName",
                        ScopePart::Value => "targetOperand",
                    };
                    let (filter, clause) = (problem.filter, problem.clause);
                    self.problem(
                        format!("{at}/{filter}/clauses/{clause}/{member}"),
                        problem.message,
                    );
                }
                ScopingFilters::default()
            }
        }
    }
}

/// A lone attribute or constant needs no evaluation.
fn simplest(expression: Expression) -> MappingSource {
    match expression.root() {
        Node::Attribute(name) => MappingSource::Attribute(name.clone()),
        Node::Text(text) => MappingSource::Constant(text.clone()),
        _ => MappingSource::Expression(expression),
    }
}

/// Directory extensions need no definition (AM-13).
fn is_source_attribute(from: &ObjectDefinition, name: &str) -> bool {
    from.attribute(name).is_some() || name.starts_with("extension_")
}
