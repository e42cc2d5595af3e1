//! The tables of the sample: quotes only where needed, several values of a cell joined by `;`.

use std::io;

use serde_json::{Map, Value};

pub(super) const USER_COLUMNS: &[&str] = &[
    "id",
    "userPrincipalName",
    "displayName",
    "givenName",
    "surname",
    "mail",
    "mailNickname",
    "otherMails",
    "proxyAddresses",
    "jobTitle",
    "department",
    "companyName",
    "employeeId",
    "employeeType",
    "employeeHireDate",
    "accountEnabled",
    "userType",
    "manager",
    "mobilePhone",
    "businessPhones",
    "faxNumber",
    "officeLocation",
    "streetAddress",
    "city",
    "state",
    "postalCode",
    "country",
    "usageLocation",
    "preferredLanguage",
    "onPremisesSamAccountName",
    "extensionAttribute1",
    "createdDateTime",
];

pub(super) const GROUP_COLUMNS: &[&str] = &[
    "id",
    "displayName",
    "description",
    "mailNickname",
    "mail",
    "mailEnabled",
    "securityEnabled",
    "groupTypes",
    "membershipRule",
    "createdDateTime",
];

pub(super) const MEMBERSHIP_COLUMNS: &[&str] = &["groupId", "memberId", "memberType"];

/// A header, then a row for each object.
pub(super) fn objects(
    w: &mut impl io::Write,
    columns: &[&str],
    objects: impl Iterator<Item = Map<String, Value>>,
) -> io::Result<()> {
    row(w, columns)?;
    for object in objects {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| cell(object.get(*column)))
            .collect();
        row(w, &cells)?;
    }
    Ok(())
}

pub(super) fn row(w: &mut impl io::Write, cells: &[impl AsRef<str>]) -> io::Result<()> {
    let mut line = String::new();
    for (position, cell) in cells.iter().map(AsRef::as_ref).enumerate() {
        if position > 0 {
            line.push(',');
        }
        if cell.contains([',', '"', '\n', '\r']) {
            line.push('"');
            line.push_str(&cell.replace('"', "\"\""));
            line.push('"');
        } else {
            line.push_str(cell);
        }
    }
    line.push('\n');
    w.write_all(line.as_bytes())
}

fn cell(value: Option<&Value>) -> String {
    match value {
        None => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(values)) => values
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(";"),
        Some(other) => other.to_string(),
    }
}
