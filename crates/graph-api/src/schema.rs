//! The schema of a job: templates, mappings, operators, functions, expressions (9.2, 9.6, 9.7).

use http::StatusCode;
use muster_app::applications::Shown;
use muster_app::{AppError, mappings};
use muster_model::{Attributes, Value};
use muster_rules::schema::Source;
use muster_rules::{Context, Expression, FUNCTIONS, Outcome, Problem, Schema, TargetType};
use serde_json::{Map, Value as Json, json};

use crate::answer::{Answer, Fault};
use crate::applications::service_principal;
use crate::ids;
use crate::request::{Call, bad_json};
use crate::synchronization::{place, template_of, with_job};

/// The document in force, as its job has it.
pub(crate) async fn document(call: &Call, found: &Shown, id: &str) -> Result<Json, Fault> {
    let application = found.application.id.to_string();
    let text = mappings::export(&call.ctx, &application, None).await?;
    let version = mappings::history(&call.ctx, &application).await?;
    let version = version.first().map_or(1, |version| version.number);
    shown(&text, id, version)
}

fn shown(text: &str, id: &str, version: u32) -> Result<Json, Fault> {
    let mut document: Map<String, Json> = serde_json::from_str(text)
        .map_err(|error| Fault::from(AppError::Refused(error.to_string())))?;
    document.insert("id".to_owned(), id.into());
    document.insert("version".to_owned(), format!("{version}.0").into());
    Ok(document.into())
}

/// `GET S/templates`
pub(crate) async fn templates(call: Call) -> Result<Answer, Fault> {
    let found = service_principal(&call, call.arg(0)).await?;
    let template = template(&call, &found).await?;
    Ok(Answer::ok(
        call.list(&place(&found, "templates"), vec![template]),
    ))
}

async fn template(call: &Call, found: &Shown) -> Result<Json, Fault> {
    let id = template_of(found);
    let slug = found.application.template.as_deref();
    let gallery = slug.map_or_else(|| ids::CUSTOM.to_owned(), ids::template);
    let defaults = mappings::defaults(&call.ctx, &found.application.id.to_string()).await?;
    let fields = json!([{ "name": "baseaddress" }, { "name": "secrettoken", "secret": true }]);
    Ok(json!({
        "id": id, "applicationId": gallery, "default": true, "description": null,
        "discoverable": true, "factoryTag": id,
        "metadata": [
            { "key": "GalleryApplicationIdentifier", "value": gallery },
            { "key": "GalleryApplicationKey", "value": slug.unwrap_or("scim") },
            { "key": "IsOAuthEnabled", "value": "false" },
            { "key": "IsSynchronizationInPreview", "value": "false" },
            { "key": "ConfigurationFields", "value": fields.to_string() }
        ],
        "schema": shown(&defaults, &format!("{id}.{}", "0".repeat(32)), 1)?
    }))
}

async fn one_template(call: &Call) -> Result<(Shown, Json), Fault> {
    let found = service_principal(call, call.arg(0)).await?;
    if call.arg(1) != template_of(&found) {
        return Err(Fault::missing(format!(
            "The synchronization template '{}' does not exist.",
            call.arg(1).chars().take(100).collect::<String>()
        )));
    }
    let template = template(call, &found).await?;
    Ok((found, template))
}

/// `GET S/templates/{id}`
pub(crate) async fn get_template(call: Call) -> Result<Answer, Fault> {
    let (found, template) = one_template(&call).await?;
    Ok(Answer::ok(
        call.entity(&place(&found, "templates/$entity"), template),
    ))
}

/// `GET S/templates/{id}/schema`
pub(crate) async fn template_schema(call: Call) -> Result<Answer, Fault> {
    let (found, mut template) = one_template(&call).await?;
    let of = place(
        &found,
        &format!("templates('{}')/schema/$entity", template_of(&found)),
    );
    Ok(Answer::ok(call.entity(&of, template["schema"].take())))
}

fn of_job(found: &Shown, id: &str, rest: &str) -> String {
    place(found, &format!("jobs('{id}')/schema{rest}"))
}

/// `GET S/jobs/{id}/schema`
pub(crate) async fn get(call: Call) -> Result<Answer, Fault> {
    let (found, id) = with_job(&call).await?;
    let document = document(&call, &found, &id).await?;
    Ok(Answer::ok(
        call.entity(&of_job(&found, &id, "/$entity"), document),
    ))
}

/// `PUT S/jobs/{id}/schema`
pub(crate) async fn replace(call: Call) -> Result<Answer, Fault> {
    let (found, _) = with_job(&call).await?;
    save(&call, &found, call.object()?.clone()).await
}

/// `PATCH S/jobs/{id}/schema`: what is not there stays.
pub(crate) async fn update(call: Call) -> Result<Answer, Fault> {
    let (found, id) = with_job(&call).await?;
    let Json::Object(mut whole) = document(&call, &found, &id).await? else {
        return Err(bad_json(""));
    };
    for name in ["directories", "synchronizationRules"] {
        if let Some(given) = call.object()?.get(name) {
            whole.insert(name.to_owned(), given.clone());
        }
    }
    save(&call, &found, whole).await
}

async fn save(
    call: &Call,
    found: &Shown,
    mut document: Map<String, Json>,
) -> Result<Answer, Fault> {
    // They are ours to give.
    document.remove("id");
    document.remove("version");
    document.retain(|name, _| !name.contains("@odata"));
    let text = Json::Object(document).to_string();
    let id = found.application.id.to_string();
    let stored = mappings::export(&call.ctx, &id, None).await?;
    let problems = match Schema::from_json(&stored) {
        Ok(stored) => match Schema::from_json_over(&text, &stored) {
            Ok(schema) => schema.check(),
            Err(problems) => problems,
        },
        Err(problems) => problems,
    };
    if !problems.is_empty() {
        let mut fault = Fault::new(
            StatusCode::BAD_REQUEST,
            "InvalidSchema",
            format!("The schema is not valid: {}", problems[0]),
        );
        for problem in problems.into_iter().take(50) {
            fault
                .details
                .push(("InvalidSchema".to_owned(), problem.pointer, problem.message));
        }
        return Err(fault);
    }
    mappings::import(&call.ctx, &id, &text, "by the control API").await?;
    Ok(Answer::done())
}

/// `DELETE S/jobs/{id}/schema`
pub(crate) async fn restore(call: Call) -> Result<Answer, Fault> {
    let (found, _) = with_job(&call).await?;
    mappings::restore(&call.ctx, &found.application.id.to_string()).await?;
    Ok(Answer::done())
}

/// `GET S/jobs/{id}/schema/directories`
pub(crate) async fn directories(call: Call) -> Result<Answer, Fault> {
    let (found, id) = with_job(&call).await?;
    let mut document = document(&call, &found, &id).await?;
    let value = match document["directories"].take() {
        Json::Array(value) => value,
        _ => Vec::new(),
    };
    Ok(Answer::ok(
        call.list(&of_job(&found, &id, "/directories"), value),
    ))
}

async fn named_directory(call: &Call) -> Result<(Shown, String, Json), Fault> {
    let (found, id) = with_job(call).await?;
    let document = document(call, &found, &id).await?;
    let wanted = call.arg(2);
    let all = document["directories"].as_array().into_iter().flatten();
    let mut named = all.filter(|it| it["id"] == wanted || it["name"] == wanted);
    let one = named.next().cloned();
    let one = one.ok_or_else(|| {
        Fault::missing(format!(
            "The directory '{}' does not exist.",
            wanted.chars().take(100).collect::<String>()
        ))
    })?;
    Ok((found, id, one))
}

/// `GET S/jobs/{id}/schema/directories/{directory}`
pub(crate) async fn directory(call: Call) -> Result<Answer, Fault> {
    let (found, id, one) = named_directory(&call).await?;
    Ok(Answer::ok(
        call.entity(&of_job(&found, &id, "/directories/$entity"), one),
    ))
}

/// `POST S/jobs/{id}/schema/directories/{directory}/discover` (9.8)
pub(crate) async fn discover(call: Call) -> Result<Answer, Fault> {
    let (found, _, one) = named_directory(&call).await?;
    if one["discoverabilities"] != "None" {
        let discovered = mappings::discover(&call.ctx, &found.application.id.to_string()).await?;
        discovered.map_err(|failure| crate::secrets::failed(&failure))?;
    }
    directory(call).await
}

/// Operators of scoping filters, with whether they take a value, and the types that they compare (9.7).
const OPERATORS: &[(&str, bool, &[&str])] = &[
    (
        "EQUALS",
        true,
        &["String", "Integer", "Boolean", "Reference"],
    ),
    (
        "NOT EQUALS",
        true,
        &["String", "Integer", "Boolean", "Reference"],
    ),
    ("IS TRUE", false, &["Boolean"]),
    ("IS FALSE", false, &["Boolean"]),
    (
        "IS NULL",
        false,
        &[
            "String",
            "Integer",
            "Boolean",
            "Reference",
            "Binary",
            "DateTime",
        ],
    ),
    (
        "IS NOT NULL",
        false,
        &[
            "String",
            "Integer",
            "Boolean",
            "Reference",
            "Binary",
            "DateTime",
        ],
    ),
    ("REGEX MATCH", true, &["String", "Integer"]),
    ("NOT REGEX MATCH", true, &["String", "Integer"]),
    ("Greater_Than", true, &["Integer"]),
    ("Greater_Than_OR_EQUALS", true, &["Integer"]),
    ("Includes", true, &["String"]),
    ("ENDS_WITH", true, &["String"]),
    ("&", true, &["String"]),
    ("!&", true, &["String"]),
];

/// `GET S/jobs/{id}/schema/filterOperators`
pub(crate) async fn operators(call: Call) -> Result<Answer, Fault> {
    let (found, id) = with_job(&call).await?;
    let value = OPERATORS.iter().map(|(name, is_binary, types)| {
        json!({
            "id": name, "name": name, "arity": if *is_binary { "Binary" } else { "Unary" },
            "multivaluedComparisonType": "All", "supportedAttributeTypes": types
        })
    });
    Ok(Answer::ok(call.list(
        &of_job(&found, &id, "/filterOperators"),
        value.collect(),
    )))
}

const fn type_name(kind: TargetType) -> &'static str {
    match kind {
        TargetType::String => "String",
        TargetType::Integer => "Integer",
        TargetType::Boolean => "Boolean",
        TargetType::DateTime => "DateTime",
        TargetType::Binary => "Binary",
        TargetType::Reference => "Reference",
    }
}

/// `GET S/jobs/{id}/schema/functions`
pub(crate) async fn functions(call: Call) -> Result<Answer, Fault> {
    let (found, id) = with_job(&call).await?;
    let value = FUNCTIONS.iter().map(|function| {
        let parameters: Vec<Json> = function
            .parameters
            .iter()
            .map(|it| {
                json!({
                    "name": it.name, "required": it.required,
                    "allowMultipleOccurrences": it.repeats, "type": type_name(it.kind)
                })
            })
            .collect();
        json!({ "id": function.name, "name": function.name, "parameters": parameters })
    });
    Ok(Answer::ok(
        call.list(&of_job(&found, &id, "/functions"), value.collect()),
    ))
}

/// `POST S/jobs/{id}/schema/parseExpression`
pub(crate) async fn parse(call: Call) -> Result<Answer, Fault> {
    with_job(&call).await?;
    let body = call.object()?;
    let text = body.get("expression").and_then(Json::as_str);
    let text = text.ok_or_else(|| Fault::invalid("expression", "a value is required for it"))?;
    let answer = match Expression::parse_any_case(text) {
        Err(problems) => wrong(&problems.0),
        Ok(expression) => parsed(&call, &expression, body.get("testInputObject"))?,
    };
    Ok(Answer::ok(
        call.entity("microsoft.graph.parseExpressionResponse", answer),
    ))
}

fn wrong(problems: &[Problem]) -> Json {
    let told = |problem: &Problem| problem.to_string();
    let details: Vec<Json> = problems
        .iter()
        .map(|it| json!({ "code": "InvalidExpression", "message": told(it), "target": null }))
        .collect();
    let message = problems.first().map_or_else(String::new, told);
    json!({
        "parsingSucceeded": false, "evaluationSucceeded": false, "evaluationResult": [],
        "parsedExpression": null,
        "error": {
            "code": "InvalidExpression", "message": message, "target": null, "details": details,
            "innerError": null
        }
    })
}

fn parsed(call: &Call, expression: &Expression, input: Option<&Json>) -> Result<Json, Fault> {
    let mut answer = json!({
        "parsingSucceeded": true, "evaluationSucceeded": false, "evaluationResult": [],
        "error": null, "parsedExpression": Source::of(expression).to_value()
    });
    let Some(input) = input.filter(|input| !input.is_null()) else {
        return Ok(answer);
    };
    let mut source = Attributes::new();
    for property in input["properties"].as_array().into_iter().flatten() {
        let name = property["key"].as_str();
        let name =
            name.ok_or_else(|| Fault::invalid("testInputObject", "each property has a key"))?;
        source.set(name, value_of(&property["value"], 0)?);
    }
    match expression.evaluate(&source, &Context::at(call.ctx.clock.now())) {
        Ok(outcome @ (Outcome::Value(_) | Outcome::Skip | Outcome::SkipObject)) => {
            answer["evaluationSucceeded"] = true.into();
            answer["evaluationResult"] = outcome.rendered().into();
        }
        Err(error) => {
            answer["error"] = json!({
                "code": "EvaluationFailed", "message": error.to_string(), "target": null,
                "details": [], "innerError": null
            });
        }
    }
    Ok(answer)
}

fn value_of(json: &Json, depth: usize) -> Result<Value, Fault> {
    Ok(match json {
        Json::Null => Value::Null,
        Json::Bool(flag) => (*flag).into(),
        Json::Number(number) => match number.as_i64() {
            Some(number) => number.into(),
            None => number.to_string().into(),
        },
        Json::String(text) => text.as_str().into(),
        Json::Array(items) if depth < 3 => {
            let items: Result<Vec<Value>, Fault> =
                items.iter().map(|it| value_of(it, depth + 1)).collect();
            Value::List(items?)
        }
        Json::Array(_) | Json::Object(_) => {
            return Err(Fault::invalid(
                "testInputObject",
                "values are texts, numbers, Booleans or lists of them",
            ));
        }
    })
}
