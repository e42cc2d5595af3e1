//! The attribute mapping of one kind of object: each target attribute with the expression that fills it.

use askama::Template;
use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use muster_app::applications::Shown;
use muster_app::{AppError, mappings};
use muster_model::administrator::Role;
use muster_rules::Schema;
use muster_rules::schema::{AttributeMappingText, FlowType, ObjectMappingText, Source, SourceKind};

use crate::application::{Tabs, find};
use crate::failure::{Failure, capital};
use crate::form::{Fields, Form};
use crate::shell::{Shell, page};
use crate::who::Who;

/// One attribute as the form has it.
struct Row {
    target: String,
    expression: String,
    default: String,
    kind: &'static str,
    matching: u32,
    apply: &'static str,
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
    problem: Option<String>,
    may_change: bool,
}

/// The schema in force, and the mapping of a kind of object in it.
fn mapping_of(shown: &Shown, object: &str) -> Result<(Schema, ObjectMappingText), Failure> {
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

fn built(who: &Who, shown: &Shown, object: &str) -> Result<Mappings, Failure> {
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
        .map(|it| it.name.clone())
        .filter(|name| !used.contains(&name.as_str()))
        .collect();
    let mut sources: Vec<String> = schema
        .directories
        .iter()
        .find_map(|directory| directory.object(object))
        .into_iter()
        .flat_map(|it| &it.attributes)
        .map(|it| format!("[{}]", it.name))
        .collect();
    sources.sort();
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
        sources,
        targets,
        apply: APPLY,
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
    Ok(page(&built(&who, &shown, &object)?))
}

/// What a form says of one attribute, over what was there.
fn read(
    fields: &Fields,
    at: usize,
    before: Option<&AttributeMappingText>,
) -> Result<Option<AttributeMappingText>, Box<Row>> {
    let field = |name: &str| fields.text(&format!("{name}{at}")).to_owned();
    let target = before.map_or_else(|| field("target"), |it| it.target.clone());
    if fields.is_on(&format!("remove{at}")) || target.is_empty() {
        return Ok(None);
    }
    let (expression, default) = (field("expression"), field("default"));
    let apply = field("apply");
    let flow = APPLY.iter().find(|(word, ..)| *word == apply);
    let matching = field("matching").parse().unwrap_or(0);
    let source = if expression.is_empty() {
        None
    } else {
        let same = before
            .and_then(|it| it.source.as_ref())
            .filter(|source| source.expression == expression);
        Some(match same {
            Some(source) => source.clone(),
            None => Source::parse(&expression).map_err(|problems| {
                Box::new(Row {
                    target: target.clone(),
                    expression: expression.clone(),
                    default: default.clone(),
                    kind: "Expression",
                    matching,
                    apply: flow.map_or("always", |(word, ..)| *word),
                    problem: Some(capital(&problems.to_string())),
                })
            })?,
        })
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
    Ok(Some(mapping))
}

/// `POST /applications/{id}/mappings/{object}`
pub(crate) async fn save(
    Path((id, object)): Path<(String, String)>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let shown = find(&who, &id).await?;
    let (mut schema, before) = mapping_of(&shown, &object)?;
    let (mut rows, mut kept, mut is_wrong) = (Vec::new(), Vec::new(), false);
    let known = before.attribute_mappings.len();
    for at in 0..=known {
        match read(&fields, at, before.attribute_mappings.get(at)) {
            Ok(Some(mapping)) => {
                rows.push(Row::of(&mapping));
                kept.push(mapping);
            }
            Ok(None) => {}
            Err(row) => {
                rows.push(*row);
                is_wrong = true;
            }
        }
    }
    let mut problem = is_wrong.then(|| "Nothing was saved: see below.".to_owned());
    if !is_wrong {
        if let Some(mapping) = schema.object_mapping_mut(&object) {
            mapping.enabled = fields.is_on("enabled");
            mapping.actions.create = fields.is_on("create");
            mapping.actions.update = fields.is_on("update");
            mapping.actions.delete = fields.is_on("delete");
            mapping.attribute_mappings = kept;
        }
        match mappings::import(&who.ctx, &id, &schema.to_json(), "on its page").await {
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
    let mut response = page(&Mappings {
        enabled: fields.is_on("enabled"),
        create: fields.is_on("create"),
        update: fields.is_on("update"),
        delete: fields.is_on("delete"),
        rows,
        problem,
        ..built(&who, &shown, &object)?
    });
    *response.status_mut() = StatusCode::BAD_REQUEST;
    Ok(response)
}
