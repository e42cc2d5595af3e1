//! CSV: a header that names Graph properties, a row for each object.

use muster_model::Value;

use super::batch::{Row, Rows, unreadable};
use super::lines::Lines;
use super::record::{self, COLUMNS, Record};
use crate::AppError;
use crate::directory::json::keeps_its_value;
use crate::directory::nearest::nearest;
use crate::directory::property::{Fault, quoted};

/// Reads the header, then every row.
pub(super) fn read<R: Row>(lines: &mut Lines, rows: &mut Rows<R>) -> Result<(), AppError> {
    let Some(header) = next(lines)? else {
        return Err(AppError::Invalid(
            "the file is empty; its first line names columns".to_owned(),
        ));
    };
    let columns = header_columns::<R>(header)?;
    while let Some(record) = next(lines)? {
        rows.add(record.line, row(&columns, record), lines.progress());
        if !rows.pass_on_when_full() {
            break;
        }
    }
    Ok(())
}

fn next(lines: &mut Lines) -> Result<Option<Record>, AppError> {
    record::next(lines).map_err(|error| unreadable(lines, &error))
}

fn header_columns<R: Row>(header: Record) -> Result<Vec<String>, AppError> {
    let invalid = |reason: String| Err(AppError::Invalid(reason));
    let fields = match header.fields {
        Ok(fields) => fields,
        Err(broken) => {
            let number = broken
                .field
                .map_or_else(String::new, |field| format!(" {}", field + 1));
            return invalid(format!(
                "the header is not CSV: column{number} {}; the first line names the columns",
                broken.reason
            ));
        }
    };
    let mut columns: Vec<String> = Vec::with_capacity(fields.len());
    for field in fields {
        let Ok(name) = String::from_utf8(field) else {
            return invalid("the header is not UTF-8 text; save the file as CSV UTF-8".to_owned());
        };
        let name = name.trim().to_owned();
        if columns.contains(&name) {
            return invalid(format!("the header names column {} twice", quoted(&name)));
        }
        if name.is_empty() {
            let number = columns.len() + 1;
            return invalid(format!(
                "column {number} of the header has no name; remove it"
            ));
        }
        if !R::knows(&name) {
            return invalid(unknown::<R>(&name));
        }
        columns.push(name);
    }
    debug_assert!(columns.len() <= COLUMNS, "the reader bounds the columns");
    for needed in R::REQUIRED {
        if !columns.iter().any(|column| column == needed) {
            let what = R::WHAT;
            return invalid(format!(
                "a file of {what} needs the column `{needed}`; add it"
            ));
        }
    }
    Ok(columns)
}

fn unknown<R: Row>(name: &str) -> String {
    let (shown, what) = (quoted(name), R::WHAT);
    if name.contains([';', '\t', '|']) {
        return format!("column {shown} is not known for {what}; put commas between columns");
    }
    if let Some(near) = nearest(name, R::columns()) {
        return format!("column {shown} is not known for {what}; did you mean `{near}`?");
    }
    let known: Vec<&str> = R::columns().take(8).collect();
    format!(
        "column {shown} is not known for {what}; remove it or use one of {} …",
        known.join(", ")
    )
}

fn row<R: Row>(columns: &[String], record: Record) -> Result<R, Fault> {
    let name = |field: usize| columns.get(field).map_or("", String::as_str);
    let fields = record
        .fields
        .map_err(|broken| Fault::new(broken.field.map_or("", name), broken.reason))?;
    if fields.len() != columns.len() {
        // The first column that is missing tells best where to look.
        let first_missing = name(fields.len());
        let reason = format!(
            "the line has {} cells, the header {} columns",
            fields.len(),
            columns.len()
        );
        return Err(Fault::new(first_missing, reason));
    }
    let mut row = R::default();
    for (column, field) in columns.iter().zip(fields) {
        put(&mut row, column, field).map_err(|reason| Fault::new(column, reason))?;
    }
    Ok(row)
}

/// The value of a text: nothing clears, several are told apart by semicolons.
pub(crate) fn value_of(text: String, is_several: bool) -> Value {
    if text.is_empty() {
        Value::Null
    } else if is_several {
        Value::List(text.split(';').map(|one| one.trim().into()).collect())
    } else {
        text.into()
    }
}

fn put<R: Row>(row: &mut R, column: &str, field: Vec<u8>) -> Result<(), String> {
    let text = String::from_utf8(field)
        .map_err(|_| "is not UTF-8 text; save the file as CSV UTF-8".to_owned())?;
    if text.is_empty() && keeps_its_value(column) {
        return Ok(());
    }
    let value = value_of(text, R::holds_several(column));
    row.put(column, value)
}
