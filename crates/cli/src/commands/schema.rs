//! `muster schema …`

use std::io::Read;

use muster_app::AppError;
use muster_app::mappings::{self, Saved};
use muster_rules::schema::SchemaChange;
use serde_json::{Value as Json, json};

use crate::args::SchemaTask;
use crate::commands::Input;
use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;

/// Bytes of a document at most.
const LARGEST: u64 = 16 * 1024 * 1024;

pub(super) async fn perform(
    node: &Node,
    task: SchemaTask,
    input: Option<Input>,
    out: &Out,
) -> Result<Exit, AppError> {
    let ctx = &node.ctx;
    match task {
        SchemaTask::Export {
            app,
            version,
            defaults,
        } => {
            let document = if defaults {
                mappings::defaults(ctx, &app).await?
            } else {
                mappings::export(ctx, &app, version).await?
            };
            out.line(document).await;
        }
        SchemaTask::Import { app, note, .. } => {
            let saved = mappings::import(ctx, &app, &document(input).await?, &note).await?;
            tell_saved(&app, &saved, out).await;
        }
        SchemaTask::Discover { app } => {
            let found = mappings::discover(ctx, &app).await?;
            let added = found.map_err(|failure| AppError::Refused(failure.message))?;
            if out.json {
                out.line(json!({ "added": added }).to_string()).await;
                return Ok(Exit::Done);
            }
            for name in &added {
                out.line(format!("+ {name}")).await;
            }
            out.line(match added.len() {
                0 => format!("{app}: every attribute of the target is defined already"),
                1 => format!("{app}: 1 attribute added; no mapping was touched"),
                count => format!("{app}: {count} attributes added; no mapping was touched"),
            })
            .await;
        }
        SchemaTask::Restore { app } => {
            tell_saved(&app, &mappings::restore(ctx, &app).await?, out).await;
        }
        SchemaTask::Rollback { app, version } => {
            tell_saved(&app, &mappings::roll_back(ctx, &app, version).await?, out).await;
        }
        SchemaTask::Diff {
            app,
            file,
            from,
            to,
        } => {
            let changes = match file {
                Some(_) => mappings::diff_with(ctx, &app, &document(input).await?).await?,
                None => mappings::diff(ctx, &app, from, to).await?,
            };
            if out.json {
                out.line(changes_json(&changes).to_string()).await;
            } else if changes.is_empty() {
                out.line("no difference in meaning").await;
            } else {
                for change in changes {
                    out.line(change.to_string()).await;
                }
            }
        }
        SchemaTask::History { app } => history(node, &app, out).await?,
        SchemaTask::Check { .. } => {
            return Err(AppError::Invalid(
                "a document is checked where it is".to_owned(),
            ));
        }
    }
    Ok(Exit::Done)
}

/// The document that was handed in; reading may wait for whoever sends it.
pub(super) async fn document(input: Option<Input>) -> Result<String, AppError> {
    let wrong = |reason: String| AppError::Invalid(format!("the document: {reason}"));
    let input = input.ok_or_else(|| wrong("there is none".to_owned()))?;
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        input.take(LARGEST + 1).read_to_end(&mut bytes)?;
        Ok::<_, std::io::Error>(bytes)
    });
    let bytes = read
        .await
        .map_err(std::io::Error::other)
        .flatten()
        .map_err(|error| wrong(error.to_string()))?;
    if bytes.len() as u64 > LARGEST {
        return Err(wrong("it is larger than 16 MiB".to_owned()));
    }
    String::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8".to_owned()))
}

async fn tell_saved(app: &str, saved: &Saved, out: &Out) {
    let Saved {
        version,
        is_new,
        changes,
    } = saved;
    if out.json {
        let shown = json!({
            "version": version, "new": is_new, "changes": changes_json(changes)
        });
        out.line(shown.to_string()).await;
        return;
    }
    if !is_new {
        out.line(format!(
            "It is in force already: version {version} of the mappings of {app}"
        ))
        .await;
        return;
    }
    if changes.is_empty() {
        out.line("No difference in meaning").await;
    }
    for change in changes {
        out.line(change.to_string()).await;
    }
    out.line(format!(
        "Version {version} of the mappings of {app} is in force; the next cycle evaluates every object"
    ))
    .await;
}

fn changes_json(changes: &[SchemaChange]) -> Json {
    let one = |it: &SchemaChange| {
        json!({
            "place": it.place, "property": it.property, "before": it.before, "after": it.after
        })
    };
    changes.iter().map(one).collect()
}

async fn history(node: &Node, app: &str, out: &Out) -> Result<(), AppError> {
    let versions = mappings::history(&node.ctx, app).await?;
    if out.json {
        let shown: Json = versions
            .iter()
            .map(|it| {
                json!({
                    "version": it.number, "saved": it.saved.to_string(), "by": it.saved_by,
                    "note": it.note
                })
            })
            .collect();
        out.line(shown.to_string()).await;
        return Ok(());
    }
    for it in versions {
        let line = format!(
            "{:>4}  {}  {}  {}",
            it.number, it.saved, it.saved_by, it.note
        );
        out.line(line.trim_end()).await;
    }
    Ok(())
}
