//! `muster expression …` and `muster mapping …`: no data folder, only files.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow, bail};
use muster_model::id::fill_random;
use muster_model::{Attributes, Clock, SystemClock, Timestamp, Value};
use muster_rules::cases::{Cases, Difference};
use muster_rules::vectors::{self, Verdict, shown};
use muster_rules::{
    Context, Expression as Compiled, FUNCTIONS, Outcome, Problem, Schema, Trace, Traced,
};
use serde_json::{Value as Json, json};

use crate::args::{Expression, Mapping};
use crate::exit::{BadUsage, Exit};
use crate::output::{Frame, Printer};

/// Bytes of a file at most.
const LARGEST: u64 = 64 * 1024 * 1024;

/// What is said at once: these commands do nothing that takes time.
struct Say {
    printer: Printer,
    json: bool,
}

impl Say {
    const fn new(json: bool) -> Self {
        Self {
            printer: Printer::new(),
            json,
        }
    }

    fn line(&mut self, text: impl Into<String>) {
        self.printer.print(Frame::Line(text.into()));
    }

    fn note(&mut self, text: impl Into<String>) {
        self.printer.print(Frame::Note(text.into()));
    }
}

/// The text of a file; `-` is standard input.
pub(crate) fn read(path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let cannot = || format!("cannot read {}", path.display());
    if path.as_os_str() == "-" {
        std::io::stdin().take(LARGEST + 1).read_to_end(&mut bytes)
    } else {
        let file = File::open(path).with_context(cannot)?;
        file.take(LARGEST + 1).read_to_end(&mut bytes)
    }
    .with_context(cannot)?;
    if bytes.len() as u64 > LARGEST {
        bail!("{} is larger than 64 MiB", path.display());
    }
    String::from_utf8(bytes).map_err(|_| anyhow!("{} is not UTF-8", path.display()))
}

pub(super) fn perform(task: Expression, json: bool) -> Result<Exit> {
    let say = &mut Say::new(json);
    match task {
        Expression::Eval {
            expression,
            source,
            trace,
            now,
            taken,
        } => {
            let source = match source {
                Some(path) => source_object(&path)?,
                None => Attributes::new(),
            };
            let now = match now {
                Some(text) => text.parse().map_err(|_| {
                    let wrong = anyhow!("`{text}` is not an instant like 2026-01-31T12:00:00Z");
                    BadUsage(wrong)
                })?,
                None => SystemClock.now(),
            };
            Ok(evaluate(&expression, &source, trace, now, &taken, say))
        }
        Expression::Check { expression, schema } => {
            let known = match schema {
                Some(path) => schema_of(&path)?,
                None => muster_app::applications::gallery()
                    .map_err(|error| anyhow!("{error}"))?
                    .custom_app_schema("any"),
            };
            Ok(check(&expression, &known.source_attributes(), say))
        }
        Expression::Functions { search } => {
            functions(search.as_deref().unwrap_or_default(), say);
            Ok(Exit::Done)
        }
        Expression::Test { files } => {
            let mut passed = 0;
            let mut failed = 0;
            for path in files {
                test_vectors(&path, say, &mut passed, &mut failed)?;
            }
            Ok(ended(passed, failed, say))
        }
    }
}

pub(super) fn mappings(task: Mapping, json: bool) -> Result<Exit> {
    let say = &mut Say::new(json);
    let Mapping::Test { files } = task;
    let (mut passed, mut failed) = (0, 0);
    for path in files {
        test_mapping(&path, say, &mut passed, &mut failed)?;
    }
    Ok(ended(passed, failed, say))
}

/// `muster schema check`.
pub(super) fn check_schema(path: &Path, json: bool) -> Result<Exit> {
    let say = &mut Say::new(json);
    let text = read(path)?;
    let (problems, warnings) = match Schema::from_json(&text) {
        Ok(schema) => (schema.check(), schema.warnings()),
        Err(problems) => (problems, Vec::new()),
    };
    if say.json {
        let told = |them: &[muster_rules::SchemaProblem]| -> Json {
            let one = |it: &muster_rules::SchemaProblem| json!({ "pointer": it.pointer, "message": it.message });
            them.iter().map(one).collect()
        };
        let shown = json!({
            "valid": problems.is_empty(), "problems": told(&problems),
            "warnings": told(&warnings)
        });
        say.line(shown.to_string());
    } else {
        for problem in &problems {
            say.line(problem.to_string());
        }
        for warning in &warnings {
            say.line(format!("note: {warning}"));
        }
        if problems.is_empty() {
            say.line("valid");
        }
    }
    Ok(if problems.is_empty() {
        Exit::Done
    } else {
        Exit::Failed
    })
}

fn schema_of(path: &Path) -> Result<Schema> {
    Schema::from_json(&read(path)?).map_err(|problems| {
        let first = problems.first().map(ToString::to_string);
        anyhow!("{}: {}", path.display(), first.unwrap_or_default())
    })
}

fn source_object(path: &Path) -> Result<Attributes> {
    let json: Json = serde_json::from_str(&read(path)?)
        .with_context(|| format!("{} is not JSON", path.display()))?;
    let members = json.as_object();
    let members = members.ok_or_else(|| {
        anyhow!(
            "{} must hold one JSON object with the attributes",
            path.display()
        )
    })?;
    Ok(vectors::source(members))
}

fn evaluate(
    text: &str,
    source: &Attributes,
    trace: bool,
    now: Timestamp,
    taken: &[String],
    say: &mut Say,
) -> Exit {
    let compiled = match Compiled::parse(text) {
        Ok(compiled) => compiled,
        Err(problems) => {
            tell_problems(text, &problems.0, say);
            return Exit::Failed;
        }
    };
    let context = Context {
        now,
        random: &fill_random,
        taken: &|_, value| taken.iter().any(|taken| taken == value),
    };
    let (outcome, traced) = compiled.trace(source, &context);
    if say.json {
        let mut shown = match &outcome {
            Ok(Outcome::Value(value)) => json!({ "value": vectors::rendered(value) }),
            Ok(Outcome::Skip) => json!({ "skip": "attribute" }),
            Ok(Outcome::SkipObject) => json!({ "skip": "object" }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        if trace {
            shown["trace"] = trace_json(&traced);
        }
        say.line(shown.to_string());
    } else {
        if trace {
            tell_trace(&traced, 0, say);
        }
        match &outcome {
            Ok(Outcome::Value(Value::Null)) => say.line("null"),
            Ok(Outcome::Value(Value::List(items))) => {
                for item in items {
                    say.line(shown(item));
                }
            }
            Ok(Outcome::Value(value)) => say.line(shown(value)),
            Ok(Outcome::Skip) => say.line("the attribute is left out"),
            Ok(Outcome::SkipObject) => say.line("the object is left out"),
            Err(error) => say.note(format!("muster: {error}")),
        }
    }
    if outcome.is_ok() {
        Exit::Done
    } else {
        Exit::Failed
    }
}

fn check(text: &str, known: &[&str], say: &mut Say) -> Exit {
    let mut remarks = Compiled::unknown_attributes(text, known);
    remarks.extend(Compiled::remarks(text));
    match Compiled::parse(text) {
        Ok(compiled) => {
            if say.json {
                let shown = json!({
                    "valid": true, "canonical": compiled.to_string(),
                    "attributes": compiled.attributes(), "problems": [],
                    "warnings": problems_json(&remarks)
                });
                say.line(shown.to_string());
            } else {
                for remark in &remarks {
                    tell_problem(text, remark, say);
                }
                say.line("valid");
            }
            Exit::Done
        }
        Err(problems) => {
            let mut all = problems.0;
            all.extend(remarks);
            all.sort_by_key(|problem| problem.at);
            tell_problems(text, &all, say);
            Exit::Failed
        }
    }
}

fn problems_json(problems: &[Problem]) -> Json {
    let one = |it: &Problem| {
        json!({
            "at": it.at, "length": it.length, "message": it.message, "suggestion": it.suggestion
        })
    };
    problems.iter().map(one).collect()
}

fn tell_problems(text: &str, problems: &[Problem], say: &mut Say) {
    if say.json {
        let shown = json!({ "valid": false, "problems": problems_json(problems) });
        say.line(shown.to_string());
        return;
    }
    for problem in problems {
        tell_problem(text, problem, say);
    }
}

/// The line it is on, marked below, and what is wrong.
fn tell_problem(text: &str, problem: &Problem, say: &mut Say) {
    /// Characters that are shown around a problem.
    const AROUND: usize = 60;
    let chars: Vec<char> = text.chars().collect();
    let at = problem.at.min(chars.len());
    let is_end = |c: &char| matches!(c, '\n' | '\r');
    let begin = chars[..at].iter().rposition(is_end).map_or(0, |it| it + 1);
    let begin = begin.max(at.saturating_sub(AROUND));
    let end = chars[at..]
        .iter()
        .position(is_end)
        .map_or(chars.len(), |it| at + it);
    let end = end.min(at + AROUND);
    let line: String = chars[begin..end].iter().collect();
    let marks = "^".repeat(problem.length.clamp(1, (end - at).max(1)));
    say.line(line.replace('\t', " "));
    say.line(format!("{}{marks}", " ".repeat(at - begin)));
    say.line(problem.to_string());
}

fn tell_trace(trace: &Trace, depth: usize, say: &mut Say) {
    let indent = "  ".repeat(depth);
    say.line(format!(
        "{indent}{} → {}",
        trace.text,
        traced(&trace.result)
    ));
    for part in &trace.parts {
        tell_trace(part, depth + 1, say);
    }
}

fn traced(result: &Traced) -> String {
    match result {
        Traced::Value(Value::Null) => "null".to_owned(),
        Traced::Value(value @ Value::Text(_)) => vectors::rendered(value).to_string(),
        Traced::Value(value) => shown(value),
        Traced::Skip => "the attribute is left out".to_owned(),
        Traced::SkipObject => "the object is left out".to_owned(),
        Traced::Failed(error) => format!("error: {error}"),
        Traced::NotEvaluated => "not evaluated".to_owned(),
        Traced::Redacted => "[redacted]".to_owned(),
    }
}

fn trace_json(trace: &Trace) -> Json {
    let parts: Vec<Json> = trace.parts.iter().map(trace_json).collect();
    let mut shown = match &trace.result {
        Traced::Value(value) => json!({ "value": vectors::rendered(value) }),
        Traced::Skip => json!({ "skip": "attribute" }),
        Traced::SkipObject => json!({ "skip": "object" }),
        Traced::Failed(error) => json!({ "error": error.to_string() }),
        Traced::NotEvaluated => json!({ "evaluated": false }),
        Traced::Redacted => json!({ "redacted": true }),
    };
    shown["expression"] = trace.text.as_str().into();
    shown["parts"] = parts.into();
    shown
}

fn functions(search: &str, say: &mut Say) {
    let search = search.to_lowercase();
    let found = FUNCTIONS
        .iter()
        .filter(|function| function.name.to_lowercase().contains(&search));
    if say.json {
        let shown: Vec<Json> = found
            .map(|function| {
                let parameters = function.parameters.iter();
                let parameters: Vec<Json> = parameters
                    .map(|it| {
                        json!({
                            "name": it.name, "type": it.kind.to_string(),
                            "required": it.required, "repeats": it.repeats
                        })
                    })
                    .collect();
                json!({
                    "name": function.name, "signature": function.signature(),
                    "summary": function.summary, "parameters": parameters
                })
            })
            .collect();
        say.line(Json::from(shown).to_string());
        return;
    }
    for function in found {
        say.line(function.signature());
        say.line(format!("    {}", function.summary));
    }
}

fn test_vectors(path: &Path, say: &mut Say, passed: &mut u64, failed: &mut u64) -> Result<()> {
    let text = read(path)?;
    for (index, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        // A row that cannot be read fails as well, and the rest is tested.
        let (id, verdict) = vectors::run(line).unwrap_or_else(|error| {
            let verdict = Verdict::Failed {
                expected: "a row of the format".to_owned(),
                actual: error.to_string(),
            };
            (format!("line {}", index + 1), verdict)
        });
        match verdict {
            Verdict::Passed => *passed += 1,
            Verdict::Failed { expected, actual } => {
                *failed += 1;
                let place = String::new();
                let difference = Difference {
                    place,
                    expected,
                    actual,
                };
                tell_failure(&id, &[difference], say);
            }
        }
    }
    Ok(())
}

fn test_mapping(path: &Path, say: &mut Say, passed: &mut u64, failed: &mut u64) -> Result<()> {
    let told = |reason: String| anyhow!("{}: {reason}", path.display());
    let cases = Cases::parse(&read(path)?).map_err(told)?;
    let beside = path.parent().unwrap_or(Path::new("")).join(&cases.schema);
    let schema = schema_of(&beside)?.compile().map_err(|problems| {
        let first = problems.first().map(ToString::to_string);
        anyhow!("{}: {}", beside.display(), first.unwrap_or_default())
    })?;
    for case in &cases.cases {
        let differences = case.run(&schema);
        if differences.is_empty() {
            *passed += 1;
            continue;
        }
        *failed += 1;
        tell_failure(&case.name, &differences, say);
    }
    Ok(())
}

/// What failed, and each part of it.
fn tell_failure(name: &str, differences: &[Difference], say: &mut Say) {
    if say.json {
        let differences: Vec<Json> = differences
            .iter()
            .map(|it| json!({ "place": it.place, "expected": it.expected, "actual": it.actual }))
            .collect();
        say.line(json!({ "failed": name, "differences": differences }).to_string());
        return;
    }
    say.line(format!("FAILED {name}"));
    for difference in differences {
        say.line(difference.to_string());
    }
}

fn ended(passed: u64, failed: u64, say: &mut Say) -> Exit {
    if say.json {
        say.line(json!({ "passed": passed, "failed": failed }).to_string());
    } else {
        say.line(format!("{passed} passed, {failed} failed"));
    }
    if failed == 0 {
        Exit::Done
    } else {
        Exit::Failed
    }
}
