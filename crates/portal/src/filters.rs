//! Source Object Scope: the scoping filters of a mapping, and who would enter and leave by them.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::StatusCode;
use muster_app::applications::Shown;
use muster_app::{AppError, mappings, turnover};
use muster_model::administrator::Role;
use muster_rules::schema::{ObjectMappingText, ScopeText};
use muster_rules::scope::{ClauseText, FilterText, ScopeOperator};

use crate::Face;
use crate::application::{Tabs, find};
use crate::crowd::{Crowd, turn};
use crate::failure::{Failure, capital};
use crate::form::{Fields, Form};
use crate::mappings::{mapping_of, source_attributes};
use crate::shell::{Shell, page};
use crate::who::Who;

/// A clause as the form has it.
#[derive(Default)]
struct Clause {
    attribute: String,
    operator: String,
    value: String,
    /// Its place in the filter that it is of, in the document.
    of: Option<usize>,
    problem: Option<String>,
}

struct Filter {
    title: String,
    /// Its place in the document.
    of: Option<usize>,
    clauses: Vec<Clause>,
}

#[derive(Template)]
#[template(path = "filters.html")]
struct Filters {
    shell: Shell,
    tabs: Tabs,
    object: String,
    name: String,
    version: u32,
    all: Vec<Filter>,
    sources: Vec<String>,
    operators: Vec<(&'static str, &'static str)>,
    /// Filters of the document that the page does not edit.
    others: usize,
    crowd: Option<Crowd>,
    problem: Option<String>,
    may_change: bool,
}

/// What an operator says.
const fn says(operator: ScopeOperator) -> &'static str {
    match operator {
        ScopeOperator::Equals => "is exactly",
        ScopeOperator::NotEquals => "is another than",
        ScopeOperator::IsTrue => "is true",
        ScopeOperator::IsFalse => "is false",
        ScopeOperator::IsNull => "has no value",
        ScopeOperator::IsNotNull => "has a value",
        ScopeOperator::RegexMatch => "is matched by the pattern",
        ScopeOperator::NotRegexMatch => "is not matched by the pattern",
        ScopeOperator::GreaterThan => "is greater than",
        ScopeOperator::GreaterThanOrEquals => "is at least",
        ScopeOperator::Includes => "contains",
        ScopeOperator::EndsWith => "ends with",
        ScopeOperator::OccursIn => "occurs in",
        ScopeOperator::NotOccursIn => "does not occur in",
    }
}

fn shown(of: Option<usize>, filter: &FilterText, places: &[Option<usize>]) -> Filter {
    let clauses = filter.clauses.iter().zip(places);
    Filter {
        title: filter.title.clone(),
        of,
        clauses: clauses
            .map(|(clause, of)| Clause {
                attribute: clause.attribute.clone(),
                operator: ScopeOperator::find(&clause.operator)
                    .map_or(clause.operator.clone(), |known| known.as_str().to_owned()),
                value: clause.values.first().cloned().unwrap_or_default(),
                of: *of,
                problem: None,
            })
            .collect(),
    }
}

/// Room for one more clause in each filter, and for one more filter.
fn with_room(mut filters: Vec<Filter>) -> Vec<Filter> {
    for filter in &mut filters {
        filter.clauses.push(Clause::default());
    }
    filters.push(Filter {
        title: String::new(),
        of: None,
        clauses: vec![Clause::default(), Clause::default()],
    });
    filters
}

async fn built(who: &Who, id: &str, of: &Shown, object: &str) -> Result<Filters, Failure> {
    let (schema, mapping) = mapping_of(of, object)?;
    let scope = mapping.scope.unwrap_or_default();
    Ok(Filters {
        shell: Shell::new("Source Object Scope", "applications", who),
        tabs: Tabs::of(of, "provisioning"),
        object: object.to_owned(),
        name: mapping.name,
        version: mappings::version(&who.ctx, id).await?,
        all: with_room(
            scope
                .groups
                .iter()
                .enumerate()
                .map(|(at, filter)| {
                    let places: Vec<_> = (0..filter.clauses.len()).map(Some).collect();
                    shown(Some(at), filter, &places)
                })
                .collect(),
        ),
        sources: source_attributes(&schema, object),
        operators: ScopeOperator::ALL
            .into_iter()
            .map(|it| (it.as_str(), says(it)))
            .collect(),
        others: scope.input_groups.len() + scope.category_groups.len(),
        crowd: None,
        problem: None,
        may_change: who.may(Role::Administrator),
    })
}

/// `GET /applications/{id}/mappings/{object}/scope`
pub(crate) async fn show(
    who: Who,
    Path((id, object)): Path<(String, String)>,
) -> Result<Response, Failure> {
    let of = find(&who, &id).await?;
    Ok(page(&built(&who, &id, &of, &object).await?))
}

/// A filter that a form says, its place in the document, and the places of its clauses.
type Said = (FilterText, Option<usize>, Vec<Option<usize>>);

/// What the form says, over what was there: what the page does not show of a filter stays with it.
fn read(fields: &Fields, before: &[FilterText]) -> Vec<Said> {
    let mut filters: Vec<Said> = Vec::new();
    for at in (0..).take_while(|at| fields.has(&format!("title{at}"))) {
        let of = fields.text(&format!("of{at}")).parse().ok();
        let old = of.and_then(|of: usize| before.get(of));
        let mut filter = old.cloned().unwrap_or_default();
        let title = fields.text(&format!("title{at}"));
        title.clone_into(&mut filter.title);
        filter.clauses.clear();
        let mut places = Vec::new();
        for place in (0..).take_while(|place| fields.has(&format!("attribute{at}.{place}"))) {
            let field = |name: &str| fields.text(&format!("{name}{at}.{place}")).to_owned();
            let attribute = field("attribute");
            // A value without an attribute is a mistake, and is told as one.
            if attribute.is_empty() && field("value").is_empty() {
                continue;
            }
            let of = field("of").parse().ok();
            let old = of.and_then(|of: usize| old.and_then(|it| it.clauses.get(of)));
            let mut clause: ClauseText = old.cloned().unwrap_or_default();
            let name = attribute.trim_matches(['[', ']']);
            name.clone_into(&mut clause.attribute);
            clause.operator = field("operator");
            let value = field("value");
            let is_binary =
                ScopeOperator::find(&clause.operator).is_none_or(ScopeOperator::is_binary);
            match clause.values.first_mut() {
                _ if !is_binary => clause.values.clear(),
                Some(first) => *first = value,
                None => clause.values.push(value),
            }
            filter.clauses.push(clause);
            places.push(of);
        }
        if !filter.clauses.is_empty() {
            if filter.title.is_empty() {
                filter.title = format!("Filter {}", filters.len() + 1);
            }
            filters.push((filter, of, places));
        }
    }
    filters
}

/// The mapping with these filters.
fn with(mapping: &ObjectMappingText, filters: Vec<FilterText>) -> Option<ScopeText> {
    let before = mapping.scope.clone();
    if before.is_none() && filters.is_empty() {
        return None;
    }
    Some(ScopeText {
        groups: filters,
        ..before.unwrap_or_default()
    })
}

/// `POST /applications/{id}/mappings/{object}/scope`: says who enters and leaves, or saves.
pub(crate) async fn act(
    State(face): State<Face>,
    Path((id, object)): Path<(String, String)>,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    who.needs(Role::Administrator)?;
    let of = find(&who, &id).await?;
    let (mut schema, before) = mapping_of(&of, &object)?;
    let version = fields.text("version").parse().unwrap_or(0);
    let now = mappings::version(&who.ctx, &id).await?;
    let old = before.scope.as_ref().filter(|_| version == now);
    let filters = read(&fields, old.map_or(&[], |it| &it.groups));
    let mut built = built(&who, &id, &of, &object).await?;
    built.version = version;
    let again = filters.iter();
    let mut shown: Vec<Filter> = again
        .map(|(filter, of, places)| shown(*of, filter, places))
        .collect();
    let filters: Vec<FilterText> = filters.into_iter().map(|(filter, ..)| filter).collect();
    if let Some(mapping) = schema.object_mapping_mut(&object) {
        mapping.scope = with(&before, filters);
    }
    let problem = if let Err(problems) = schema.compile() {
        let mut others = Vec::new();
        for it in problems {
            // `…/scope/groups/2/clauses/0/…`
            let mut parts = it
                .pointer
                .split('/')
                .skip_while(|part| *part != "groups")
                .skip(1);
            let mut number = || parts.next().and_then(|part| part.parse::<usize>().ok());
            let filter = number().and_then(|at| shown.get_mut(at));
            let clause = it.pointer.split("/clauses/").nth(1);
            let clause = clause.and_then(|rest| rest.split('/').next()?.parse::<usize>().ok());
            match filter
                .zip(clause)
                .and_then(|(filter, at)| filter.clauses.get_mut(at))
            {
                Some(clause) => clause.problem = Some(capital(&it.message)),
                None => others.push(it.to_string()),
            }
        }
        others.insert(0, "Nothing was saved: see below.".to_owned());
        Some(others.join(" "))
    } else {
        let text = schema.to_json();
        let done = if fields.text("act") == "save" {
            let note = "scoping filters, on their page";
            let saved = mappings::import_over(&who.ctx, &id, &text, note, Some(version));
            saved.await.map(|_| None)
        } else {
            let _turn = turn(&face.looks).await?;
            let turnover = turnover::of_schema(&who.ctx, &id, text).await;
            turnover.map(|it| Some(Crowd::of(it)))
        };
        match done {
            Ok(None) => {
                face.poke.notify_one();
                let to = format!("/applications/{id}/mappings/{object}?done=saved");
                return Ok(Redirect::to(&to).into_response());
            }
            Ok(crowd) => {
                built.crowd = crowd;
                None
            }
            Err(AppError::Invalid(said) | AppError::Refused(said)) => Some(capital(&said)),
            Err(error) => return Err(error.into()),
        }
    };
    let status = if problem.is_some() {
        StatusCode::BAD_REQUEST
    } else {
        StatusCode::OK
    };
    built.problem = problem;
    built.all = with_room(shown);
    let mut response = page(&built);
    *response.status_mut() = status;
    Ok(response)
}
