//! The attribute mapping of one kind of object: each target attribute with the expression that fills it.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use muster_app::applications::Shown;
use muster_app::{AppError, mappings};
use muster_model::administrator::Role;
use muster_rules::schema::{
    AttributeDefinition, AttributeMappingText, FlowType, Mutability, ObjectMappingText, Source,
    SourceKind,
};
use muster_rules::{Schema, TargetType};

use crate::application::{Tabs, find};
use crate::ask::{Question, ask, is_sure};
use crate::failure::{Failure, capital};
use crate::form::{Fields, Form};
use crate::shell::{Shell, page, refused_page};
use crate::who::Who;

/// One attribute as the form has it.
struct Row {
    target: String,
    expression: String,
    default: String,
    kind: &'static str,
    matching: u32,
    apply: &'static str,
    is_removed: bool,
    problem: Option<String>,
}

impl Row {
    fn of(mapping: &AttributeMappingText) -> Self {
        let kind = match mapping.source.as_ref().map(|source| source.kind) {
            Some(SourceKind::Attribute) => "Direct",
            Some(SourceKind::Constant) => "Constant",
            Some(SourceKind::Function) => "Expression",
            None => "None",
        };
        Self {
            target: mapping.target.clone(),
            expression: mapping
                .source
                .as_ref()
                .map_or_else(String::new, |it| it.expression.clone()),
            default: mapping.default.clone().unwrap_or_default(),
            kind,
            matching: mapping.matching_priority,
            apply: word(mapping.flow_type),
            is_removed: false,
            problem: None,
        }
    }
}

/// When a mapping applies, as the form has it and as it reads.
const APPLY: [(&str, &str, FlowType); 4] = [
    ("always", "Always", FlowType::Always),
    (
        "create",
        "Only during object creation",
        FlowType::ObjectAddOnly,
    ),
    ("add", "Only add values", FlowType::MultiValueAddOnly),
    ("empty", "Only while empty", FlowType::AttributeAddOnly),
];

fn word(of: FlowType) -> &'static str {
    let known = APPLY.iter().find(|(.., flow)| *flow == of);
    known.map_or("add", |(word, ..)| *word)
}

#[derive(Template)]
#[template(path = "mappings.html")]
struct Mappings {
    shell: Shell,
    tabs: Tabs,
    object: String,
    name: String,
    enabled: bool,
    create: bool,
    update: bool,
    delete: bool,
    rows: Vec<Row>,
    sources: Vec<String>,
    targets: Vec<String>,
    apply: [(&'static str, &'static str, FlowType); 4],
    version: u32,
    /// Scoping filters, and their clauses.
    filters: (usize, usize),
    problem: Option<String>,
    may_change: bool,
}

/// The schema in force, and the mapping of a kind of object in it.
pub(crate) fn mapping_of(
    shown: &Shown,
    object: &str,
) -> Result<(Schema, ObjectMappingText), Failure> {
    let schema = Schema::from_json(&shown.schema).map_err(|problems| {
        let first = problems
            .first()
            .map(ToString::to_string)
            .unwrap_or_default();
        Failure::Said(
            StatusCode::CONFLICT,
            format!("The schema cannot be read: {first}"),
        )
    })?;
    let mapping = schema.object_mapping(object).cloned();
    let mapping = mapping.ok_or_else(Failure::not_found)?;
    Ok((schema, mapping))
}

/// What expressions and filters may name, as expressions write it.
pub(crate) fn source_attributes(schema: &Schema, object: &str) -> Vec<String> {
    let mut sources: Vec<String> = schema
        .directories
        .iter()
        .find_map(|directory| directory.object(object))
        .into_iter()
        .flat_map(|it| &it.attributes)
        .map(|it| format!("[{}]", it.name))
        .collect();
    sources.sort();
    sources
}

async fn built(who: &Who, shown: &Shown, object: &str) -> Result<Mappings, Failure> {
    let id = shown.application.id.to_string();
    let version = mappings::version(&who.ctx, &id).await?;
    let (schema, mapping) = mapping_of(shown, object)?;
    let target = schema
        .directories
        .iter()
        .find_map(|directory| directory.object(&mapping.target_object));
    let used: Vec<&str> = mapping
        .attribute_mappings
        .iter()
        .map(|it| it.target.as_str())
        .collect();
    let targets = target
        .into_iter()
        .flat_map(|it| &it.attributes)
        // Nobody sends those (AM-4).
        .filter(|it| it.name != "id" && it.mutability != Mutability::ReadOnly)
        .map(|it| it.name.clone())
        .filter(|name| !used.contains(&name.as_str()))
        .collect();
    let filters = mapping.scope.as_ref().map_or(&[][..], |it| &it.groups);
    let clauses = filters.iter().map(|it| it.clauses.len()).sum();
    Ok(Mappings {
        shell: Shell::new("Attribute Mapping", "applications", who),
        tabs: Tabs::of(shown, "provisioning"),
        object: object.to_owned(),
        name: mapping.name.clone(),
        enabled: mapping.enabled,
        create: mapping.actions.create,
        update: mapping.actions.update,
        delete: mapping.actions.delete,
        rows: mapping.attribute_mappings.iter().map(Row::of).collect(),
        sources: source_attributes(&schema, object),
        targets,
        apply: APPLY,
        version,
        filters: (filters.len(), clauses),
        problem: None,
        may_change: who.may(Role::Administrator),
    })
}

/// `GET /applications/{id}/mappings/{object}`
pub(crate) async fn show(
    who: Who,
    Path((id, object)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let shown = find(&who, &id).await?;
    Ok(page(&built(&who, &shown, &object).await?))
}

/// Attributes of a form at most.
const MOST: usize = 1000;

/// What a form says of one attribute, over what was there under its name: the row to show again, and the mapping, when
/// it is to stay and nothing is wrong in it.
fn read(
    fields: &Fields,
    at: usize,
    known: &[AttributeMappingText],
) -> Option<(Row, Option<AttributeMappingText>)> {
    let field = |name: &str| fields.text(&format!("{name}{at}")).to_owned();
    let target = field("target");
    if target.is_empty() {
        return None;
    }
    let before = known.iter().find(|it| it.target == target);
    let (expression, default) = (field("expression"), field("default"));
    let apply = field("apply");
    let flow = APPLY.iter().find(|(word, ..)| *word == apply);
    let matching = field("matching").parse().unwrap_or(0);
    let kept = before.and_then(|it| it.source.as_ref());
    let kept = kept.filter(|source| source.expression == expression);
    let source = match kept {
        Some(source) => Ok(Some(source.clone())),
        None if expression.is_empty() => Ok(None),
        None => Source::parse(&expression).map(Some),
    };
    let is_removed = fields.is_on(&format!("remove{at}"));
    let source = match source {
        Ok(source) => source,
        Err(problems) => {
            let row = Row {
                target,
                expression,
                default,
                kind: "Expression",
                matching,
                apply: flow.map_or("always", |(word, ..)| *word),
                is_removed,
                problem: (!is_removed).then(|| capital(&problems.to_string())),
            };
            return Some((row, None));
        }
    };
    let mapping = before.cloned();
    let mut mapping = mapping.unwrap_or_else(|| AttributeMappingText::new(target, None));
    mapping.source = source;
    mapping.matching_priority = matching;
    mapping.default = Some(default).filter(|text| !text.is_empty());
    if let Some((.., flow)) = flow
        && word(mapping.flow_type) != apply
    {
        mapping.flow_type = *flow;
    }
    let row = Row {
        is_removed,
        ..Row::of(&mapping)
    };
    Some((row, (!is_removed).then_some(mapping)))
}

/// Attributes that the target's schema did not define yet are, as texts.
fn define(schema: &mut Schema, object: &str, mappings: &[AttributeMappingText]) {
    let targets: Vec<String> = schema
        .rules
        .iter()
        .map(|rule| rule.target_directory.clone())
        .collect();
    let directories = schema.directories.iter_mut();
    let of_target = directories.filter(|it| targets.contains(&it.name));
    for definition in of_target.flat_map(|it| &mut it.objects) {
        if definition.name != object {
            continue;
        }
        for mapping in mappings {
            if definition.attribute(&mapping.target).is_none() {
                let attribute = AttributeDefinition::new(&mapping.target, TargetType::String);
                definition.attributes.push(attribute);
            }
        }
    }
}

/// `POST /applications/{id}/mappings/{object}`
pub(crate) async fn save(
    Path((id, object)): Path<(String, String)>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let shown = find(&who, &id).await?;
    let (mut schema, before) = mapping_of(&shown, &object)?;
    let version = fields.text("version").parse().unwrap_or(0);
    let (mut rows, mut kept) = (Vec::new(), Vec::new());
    for at in 0..MOST {
        if let Some((row, mapping)) = read(&fields, at, &before.attribute_mappings) {
            rows.push(row);
            kept.extend(mapping);
        }
    }
    let is_wrong = rows.iter().any(|row| row.problem.is_some());
    let mut problem = is_wrong.then(|| "Nothing was saved: see below.".to_owned());
    let removed = before.attribute_mappings.len().saturating_sub(
        kept.iter()
            .filter(|it| {
                before
                    .attribute_mappings
                    .iter()
                    .any(|old| old.target == it.target)
            })
            .count(),
    );
    let ends = before.enabled && !fields.is_on("enabled");
    if !is_wrong && (removed > 0 || ends) && !is_sure(&fields) {
        let mut says = Vec::new();
        if ends {
            says.push(
                "The mapping is switched off: nobody of its kind is looked after any more, and accounts stay as \
                 they are."
                    .to_owned(),
            );
        }
        if removed > 0 {
            says.push(format!(
                "{} no longer written; what stands at the target stays.",
                if removed == 1 {
                    "1 attribute is".to_owned()
                } else {
                    format!("{removed} attributes are")
                }
            ));
        }
        says.push("An initial cycle begins: everybody is looked at again.".to_owned());
        let question = Question {
            section: "applications",
            title: "Save the mapping?".to_owned(),
            says,
            crowd: None,
            button: "Save",
            action: &format!("/applications/{id}/mappings/{object}"),
            back: &format!("/applications/{id}/mappings/{object}"),
        };
        return Ok(ask(&who, &fields, question));
    }
    if !is_wrong {
        define(&mut schema, &before.target_object, &kept);
        if let Some(mapping) = schema.object_mapping_mut(&object) {
            mapping.enabled = fields.is_on("enabled");
            mapping.actions.create = fields.is_on("create");
            mapping.actions.update = fields.is_on("update");
            mapping.actions.delete = fields.is_on("delete");
            mapping.attribute_mappings = kept;
        }
        let (text, note) = (schema.to_json(), "on its page");
        match mappings::import_over(&who.ctx, &id, &text, note, Some(version)).await {
            Ok(_) => {
                let to = format!("/applications/{id}/provisioning?done=saved");
                return Ok(Redirect::to(&to).into_response());
            }
            Err(AppError::Invalid(said) | AppError::Refused(said)) => {
                problem = Some(capital(&said));
            }
            Err(error) => return Err(error.into()),
        }
    }
    let built = built(&who, &shown, &object).await?;
    let targets = built.targets.iter().cloned();
    Ok(refused_page(&Mappings {
        targets: targets
            .filter(|name| rows.iter().all(|row| row.target != *name))
            .collect(),
        enabled: fields.is_on("enabled"),
        create: fields.is_on("create"),
        update: fields.is_on("update"),
        delete: fields.is_on("delete"),
        rows,
        problem,
        version,
        ..built
    }))
}
