//! An expression with its result for somebody: the way to it, what is wrong in it and where, and the functions.

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Redirect, Response};
use http::{HeaderMap, Uri};
use muster_app::{AppError, explain, mappings};
use muster_model::Value;
use muster_model::administrator::Role;
use muster_model::id::fill_random;
use muster_rules::schema::Source;
use muster_rules::{Context, Expression, FUNCTIONS, Outcome, Problem, Schema, Trace, Traced};

use crate::Face;
use crate::application::{Tabs, find};
use crate::crowd::turn;
use crate::failure::{Failure, capital};
use crate::form::{Form, query};
use crate::mappings::{mapping_of, source_attributes};
use crate::shell::{Shell, page, refused_page};
use crate::who::Who;

/// Steps of a trace that are shown.
const STEPS: usize = 200;

/// A stretch of the text, and whether something is wrong in it.
struct Stretch {
    text: String,
    is_wrong: bool,
}

/// A step of the evaluation.
struct Step {
    depth: usize,
    text: String,
    result: String,
    tone: &'static str,
}

/// What an expression came to.
#[derive(Default)]
struct Told {
    /// The text in stretches, when something is wrong, or may not be meant.
    marked: Vec<Stretch>,
    problems: Vec<String>,
    remarks: Vec<String>,
    /// Whose result it is.
    name: String,
    result: Option<(String, &'static str)>,
    steps: Vec<Step>,
    /// Why there is no result.
    nobody: Option<String>,
}

#[derive(Template)]
#[template(path = "expression_partial.html")]
struct Partial {
    told: Told,
}

#[derive(Template)]
#[template(path = "expression.html")]
struct Page {
    shell: Shell,
    tabs: Tabs,
    object: String,
    mapping: String,
    target: String,
    expression: String,
    version: u32,
    who: String,
    told: Told,
    sources: Vec<String>,
    functions: Vec<(String, &'static str)>,
    problem: Option<String>,
    may_change: bool,
}

fn rendered(value: &Value) -> String {
    match value {
        Value::Null => "no value".to_owned(),
        Value::Text(text) => format!("“{text}”"),
        other => muster_app::told::value(other).to_string(),
    }
}

fn steps(trace: &Trace, depth: usize, into: &mut Vec<Step>) {
    if into.len() >= STEPS {
        return;
    }
    let (result, tone) = match &trace.result {
        Traced::Value(value) => (rendered(value), "success"),
        Traced::Skip => ("the attribute is left out".to_owned(), "secondary"),
        Traced::SkipObject => ("the object is left out".to_owned(), "secondary"),
        Traced::Failed(error) => (error.to_string(), "danger"),
        Traced::NotEvaluated => ("not looked at".to_owned(), "secondary"),
        Traced::Redacted => ("hidden by Redact".to_owned(), "secondary"),
    };
    into.push(Step {
        depth,
        text: trace.text.clone(),
        result,
        tone,
    });
    for part in &trace.parts {
        steps(part, depth + 1, into);
    }
}

/// The text with what is wrong in it set apart.
fn marked(text: &str, problems: &[Problem]) -> Vec<Stretch> {
    let mut wrong = vec![false; text.chars().count() + 1];
    for problem in problems {
        let until = problem.at + problem.length.max(1);
        let last = wrong.len();
        for it in wrong.iter_mut().take(until.min(last)).skip(problem.at) {
            *it = true;
        }
    }
    let mut all: Vec<Stretch> = Vec::new();
    // What is missing at the end is marked behind it.
    for (letter, is_wrong) in text.chars().chain([' ']).zip(wrong) {
        match all.last_mut() {
            Some(last) if last.is_wrong == is_wrong => last.text.push(letter),
            _ => all.push(Stretch {
                text: letter.to_string(),
                is_wrong,
            }),
        }
    }
    all
}

async fn told(
    who: &Who,
    id: &str,
    text: &str,
    (subject, far): (&str, bool),
    known: &[String],
) -> Told {
    let known: Vec<&str> = known.iter().map(|it| it.trim_matches(['[', ']'])).collect();
    let mut told = Told::default();
    if text.is_empty() {
        return told;
    }
    let mut remarks = Expression::remarks(text);
    remarks.extend(Expression::unknown_attributes(text, &known));
    told.remarks = remarks.iter().map(|it| capital(&it.to_string())).collect();
    let expression = match Expression::parse(text) {
        Ok(expression) => expression,
        Err(problems) => {
            told.marked = marked(text, &problems.0);
            told.problems = problems
                .0
                .iter()
                .map(|it| capital(&it.to_string()))
                .collect();
            return told;
        }
    };
    if !remarks.is_empty() {
        told.marked = marked(text, &remarks);
    }
    if subject.is_empty() {
        return told;
    }
    let record = match explain::record(&who.ctx, id, subject, far).await {
        Ok(Some(record)) => record,
        Ok(None) => {
            told.nobody = Some("They are gone from the directory.".to_owned());
            return told;
        }
        Err(error) => {
            told.nobody = Some(capital(&error.to_string()));
            return told;
        }
    };
    let context = Context {
        now: who.ctx.clock.now(),
        random: &|buffer: &mut [u8]| {
            fill_random(buffer);
        },
        taken: &|_, _| false,
    };
    let (outcome, trace) = expression.trace(&record.attributes, &context);
    told.name = record.name;
    told.result = Some(match outcome {
        Ok(Outcome::Value(value)) => (rendered(&value), "success"),
        Ok(Outcome::Skip) => ("the attribute is left out".to_owned(), "secondary"),
        Ok(Outcome::SkipObject) => ("the object is left out".to_owned(), "warning"),
        Err(error) => (capital(&error.to_string()), "danger"),
    });
    steps(&trace, 0, &mut told.steps);
    told
}

/// Everything of the page; what was typed stands in it.
async fn built(
    who: &Who,
    (id, object): (&str, String),
    (target, subject): (&str, &str),
    (typed, far): (Option<&str>, bool),
) -> Result<Page, Failure> {
    let of = find(who, id).await?;
    let version = mappings::version(&who.ctx, id).await?;
    let (schema, mapping) = mapping_of(&of, &object)?;
    let mut all = mapping.attribute_mappings.iter();
    let kept = all.find(|it| it.target == target);
    let kept = kept.ok_or_else(Failure::not_found)?;
    let expression = typed.map_or_else(
        || {
            let source = kept.source.as_ref();
            source.map_or_else(String::new, |it| it.expression.clone())
        },
        str::to_owned,
    );
    let sources = source_attributes(&schema, &object);
    let functions = FUNCTIONS.iter();
    Ok(Page {
        shell: Shell::new(format!("Expression of {target}"), "applications", who),
        tabs: Tabs::of(&of, "provisioning"),
        object,
        mapping: mapping.name.clone(),
        target: target.to_owned(),
        version,
        who: subject.to_owned(),
        told: told(who, id, &expression, (subject, far), &sources).await,
        expression,
        sources,
        functions: functions.map(|it| (it.signature(), it.summary)).collect(),
        problem: None,
        may_change: who.may(Role::Administrator),
    })
}

/// `GET /applications/{id}/mappings/{object}/expression?target=…&who=…`
pub(crate) async fn show(
    who: Who,
    Path((id, object)): Path<(String, String)>,
    uri: Uri,
) -> Result<Response, Failure> {
    let fields = query(&uri)?;
    let about = (fields.text("target"), fields.text("who"));
    let built = built(&who, (&id, object), about, (None, false)).await?;
    Ok(page(&built))
}

/// `POST /applications/{id}/mappings/{object}/expression`: tries it, which anybody may, or saves it and nothing else
/// of the mapping.
pub(crate) async fn act(
    State(face): State<Face>,
    Path((id, object)): Path<(String, String)>,
    headers: HeaderMap,
    Form(who, fields): Form,
) -> Result<Response, Failure> {
    let about = (fields.text("target"), fields.text("who"));
    let expression = fields.text("expression");
    // While somebody types, nobody is looked far for.
    let is_live = headers.contains_key("hx-request");
    let far = !is_live && fields.text("act") != "save";
    let _turn = if far {
        Some(turn(&face.looks).await?)
    } else {
        None
    };
    let typed = (Some(expression), far);
    let mut built = built(&who, (&id, object), about, typed).await?;
    if fields.text("act") != "save" {
        if is_live {
            let told = built.told;
            return Ok(page(&Partial { told }));
        }
        return Ok(page(&built));
    }
    who.needs(Role::Administrator)?;
    built.version = fields.text("version").parse().unwrap_or(0);
    match saved(&who, &id, &built).await {
        Ok(()) => {
            let to = format!("/applications/{id}/mappings/{}?done=saved", built.object);
            Ok(Redirect::to(&to).into_response())
        }
        Err(AppError::Invalid(said) | AppError::Refused(said)) => {
            built.problem = Some(capital(&said));
            Ok(refused_page(&built))
        }
        Err(error) => Err(error.into()),
    }
}

async fn saved(who: &Who, id: &str, of: &Page) -> Result<(), AppError> {
    let source = if of.expression.is_empty() {
        None
    } else {
        let parsed = Source::parse(&of.expression);
        Some(parsed.map_err(|problems| AppError::Invalid(problems.to_string()))?)
    };
    let text = mappings::export(&who.ctx, id, Some(of.version)).await?;
    let schema = Schema::from_json(&text);
    let mut schema =
        schema.map_err(|_| AppError::Refused("the schema cannot be read".to_owned()))?;
    let mapping = schema.object_mapping_mut(&of.object);
    let all = mapping
        .into_iter()
        .flat_map(|it| &mut it.attribute_mappings);
    for kept in all.filter(|it| it.target == of.target) {
        kept.source.clone_from(&source);
    }
    let (text, note) = (schema.to_json(), format!("expression of {}", of.target));
    mappings::import_over(&who.ctx, id, &text, &note, Some(of.version)).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_set_apart() {
        let problem = |at, length| Problem {
            at,
            length,
            message: String::new(),
            suggestion: None,
        };
        let told = |text: &str, problems: &[Problem]| -> Vec<String> {
            let all = marked(text, problems);
            let all = all.into_iter();
            all.map(|it| format!("{}{}", if it.is_wrong { "!" } else { "" }, it.text))
                .collect()
        };
        assert_eq!(told("Jion(1)", &[problem(0, 4)]), ["!Jion", "(1) "]);
        assert_eq!(told("Join(", &[problem(5, 0)]), ["Join(", "! "]);
        assert_eq!(
            told("ä[b]", &[problem(1, 3), problem(900, 3)]),
            ["ä", "![b]", " "]
        );
    }
}
