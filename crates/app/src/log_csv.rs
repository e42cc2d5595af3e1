//! The provisioning log as CSV: three tables, joined on the id of the change (10.5).

use muster_model::event::Event;

use crate::told::value as value_json;

/// A table of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// A line for each event.
    Events,
    /// A line for each step.
    Steps,
    /// A line for each property that was changed.
    Properties,
}

const EVENTS: &[&str] = &[
    "changeId",
    "activityDateTime",
    "jobId",
    "cycleId",
    "provisioningAction",
    "status",
    "errorCode",
    "reason",
    "durationInMilliseconds",
    "type",
    "sourceId",
    "sourceDisplayName",
    "targetId",
];
const STEPS: &[&str] = &[
    "changeId",
    "number",
    "name",
    "provisioningStepType",
    "status",
    "description",
    "details",
];
const PROPERTIES: &[&str] = &["changeId", "displayName", "oldValue", "newValue"];

/// The names of a table's columns.
pub fn head(table: Table) -> String {
    let columns = match table {
        Table::Events => EVENTS,
        Table::Steps => STEPS,
        Table::Properties => PROPERTIES,
    };
    line(columns.iter().copied())
}

/// What a table says of an event.
pub fn lines(table: Table, event: &Event) -> Vec<String> {
    let id = event.id.to_string();
    match table {
        Table::Events => vec![line([
            id.as_str(),
            &event.at.to_string(),
            &event.job.to_string(),
            &event.cycle.to_string(),
            event.action.as_str(),
            event.status.as_str(),
            &event.code,
            &event.detail,
            &event.duration_ms.to_string(),
            event.kind.as_str(),
            &event.source.to_string(),
            &event.source_name,
            event.target.as_ref().map_or("", |target| &target.0),
        ])],
        Table::Steps => (1..)
            .zip(&event.steps)
            .map(|(number, step)| {
                let details = event.details(step).into_iter();
                let details: Vec<String> = details
                    .map(|(name, text)| format!("{name}={text}"))
                    .collect();
                line([
                    id.as_str(),
                    &number.to_string(),
                    step.name.shown(),
                    step.kind().as_str(),
                    step.status.as_str(),
                    &step.description,
                    &details.join("; "),
                ])
            })
            .collect(),
        Table::Properties => event
            .modified
            .iter()
            .map(|it| line([id.as_str(), &it.name, &text(&it.old), &text(&it.new)]))
            .collect(),
    }
}

fn text(value: &muster_model::Value) -> String {
    match value_json(value) {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => text,
        other => other.to_string(),
    }
}

/// A line without its end. A spreadsheet computes what begins like a formula, and the names in a directory
/// are other people's.
fn line<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let mut writer = csv::WriterBuilder::new()
        .terminator(csv::Terminator::Any(b'\n'))
        .from_writer(Vec::new());
    let safe = |cell: &str| {
        let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
        let mark = if is_formula { "'" } else { "" };
        format!("{mark}{cell}")
    };
    // Writing to memory does not fail.
    let _ = writer.write_record(cells.into_iter().map(safe));
    let bytes = writer.into_inner().unwrap_or_default();
    String::from_utf8_lossy(&bytes)
        .trim_end_matches('\n')
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        assert_eq!(line(["a", "b,c", "d\"e"]), "a,\"b,c\",\"d\"\"e\"");
        assert_eq!(line(["=1+1", "-2", "x=1"]), "'=1+1,'-2,x=1");
        assert_eq!(line(["two\nlines", ""]), "\"two\nlines\",");
    }
}
