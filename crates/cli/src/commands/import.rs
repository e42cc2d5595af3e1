//! `muster import …`

use std::io::Read;

use muster_app::AppError;
use muster_app::import::{self, Format, What};
use serde_json::json;

use crate::args::{Import, ImportKind};
use crate::commands::Input;
use crate::exit::Exit;
use crate::node::Node;
use crate::output::Out;

/// Bad lines that are printed.
const PRINTED: usize = 20;

pub(super) async fn perform(
    node: &Node,
    task: Import,
    input: Option<Input>,
    out: &Out,
) -> Result<Exit, AppError> {
    let (Some(input), Some(path)) = (input, task.files.first()) else {
        return Err(AppError::Invalid("there is no file to import".to_owned()));
    };
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let (first, input) = look_ahead(input)?;
    let format = Format::guess(&name, &first);
    let told = String::from_utf8_lossy(&first);
    let what = match task.kind {
        Some(ImportKind::Users) => What::Users,
        Some(ImportKind::Groups) => What::Groups,
        Some(ImportKind::Memberships) => What::Memberships,
        None => What::guess(&name, told.lines().next().unwrap_or_default()).ok_or_else(|| {
            AppError::Invalid(format!(
                "cannot tell what {name} holds; say it with --kind users, groups or memberships"
            ))
        })?,
    };
    let told = out.clone();
    let label = name.clone();
    let report = import::import_for(&node.ctx, &name, (what, format), input, &move |progress| {
        told.progress(&label, progress.lines, 0);
    })
    .await?;
    out.progress_end().await;
    if out.json {
        let bad: Vec<_> = report
            .bad
            .iter()
            .map(|bad| json!({ "line": bad.line, "column": bad.column, "reason": bad.reason }))
            .collect();
        let shown = json!({
            "file": name, "created": report.created, "updated": report.updated,
            "unchanged": report.unchanged, "failed": report.failed, "bad": bad
        });
        out.line(shown.to_string()).await;
    } else {
        out.line(format!(
            "{name}: {} created, {} updated, {} unchanged, {} failed",
            report.created, report.updated, report.unchanged, report.failed
        ))
        .await;
        for bad in report.bad.iter().take(PRINTED) {
            let column = if bad.column.is_empty() {
                String::new()
            } else {
                format!(", {}", bad.column)
            };
            out.note(format!("{name}, line {}{column}: {}", bad.line, bad.reason))
                .await;
        }
        if report.failed > PRINTED as u64 {
            let more = report.failed - PRINTED as u64;
            out.note(format!("… and {more} more; see all with --json"))
                .await;
        }
    }
    Ok(if report.failed > 0 {
        Exit::PartlyFailed
    } else {
        Exit::Done
    })
}

/// Bytes that are looked at to tell what a file holds.
const AHEAD: u64 = 4096;

/// The beginning of a file, and the file with it.
fn look_ahead(mut input: Input) -> Result<(Vec<u8>, Input), AppError> {
    let mut first = Vec::new();
    tokio::task::block_in_place(|| input.by_ref().take(AHEAD).read_to_end(&mut first))
        .map_err(|error| AppError::Invalid(format!("the file cannot be read: {error}")))?;
    let whole = Box::new(std::io::Cursor::new(first.clone()).chain(input));
    Ok((first, whole))
}
