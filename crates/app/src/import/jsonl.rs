//! JSON Lines: an object in the shape of Microsoft Graph on each line.

use serde_json::{Map, Value as Json};

use super::batch::{Row, Rows, unreadable};
use super::lines::{LINE_BYTES, Lines};
use super::record::COLUMNS;
use crate::AppError;
use crate::directory::json::properties;
use crate::directory::property::Fault;

/// Reads every line.
pub(super) fn read<R: Row>(lines: &mut Lines, rows: &mut Rows<R>) -> Result<(), AppError> {
    let mut first = true;
    while let Some(line) = lines.next().map_err(|error| unreadable(lines, &error))? {
        if first {
            refuse_what_is_no_json_lines(line.bytes.as_deref())?;
            first = false;
        }
        let row = match line.bytes {
            Some(bytes) if bytes.trim_ascii().is_empty() => continue,
            Some(bytes) => row(&bytes),
            None => {
                let reason = format!("is longer than {} KiB; it was skipped", LINE_BYTES / 1024);
                Err(Fault::new("", reason))
            }
        };
        rows.add(line.number, row, lines.progress());
        if !rows.pass_on_when_full() {
            break;
        }
    }
    Ok(())
}

/// Some files are seen by their first line to be something else, before anything is written.
fn refuse_what_is_no_json_lines(first: Option<&[u8]>) -> Result<(), AppError> {
    let reason = match first.map(<[u8]>::trim_ascii_start) {
        None => format!(
            "the first line is longer than {} KiB; write one JSON object a line",
            LINE_BYTES / 1024
        ),
        Some([b'[', ..]) => {
            "the file is a JSON array; write one JSON object a line (jq -c '.[]')".to_owned()
        }
        Some(_) => return Ok(()),
    };
    Err(AppError::Invalid(reason))
}

fn row<R: Row>(bytes: &[u8]) -> Result<R, Fault> {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return Err(Fault::new("", "is not UTF-8 text"));
    };
    let members: Map<String, Json> = serde_json::from_str(text).map_err(|error| {
        let reason = error.to_string();
        let reason = reason.split(" at line ").next().unwrap_or_default();
        Fault::new(
            "",
            format!(
                "is not a JSON object: {reason} at character {}",
                error.column()
            ),
        )
    })?;
    if members.len() > COLUMNS {
        return Err(Fault::new("", format!("has more than {COLUMNS} members")));
    }
    let mut row = R::default();
    for (name, value) in properties(members) {
        row.put(&name, value)
            .map_err(|reason| Fault::new(shortened(&name), reason))?;
    }
    Ok(row)
}

/// A member's name may be anything; a report stays readable.
fn shortened(name: &str) -> String {
    name.chars().take(60).collect()
}
