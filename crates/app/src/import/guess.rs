//! What a file holds and how it is written, guessed from its name and its beginning.

use std::fmt;
use std::path::Path;

/// What is imported.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// Users.
    Users,
    /// Groups.
    Groups,
    /// Memberships.
    Memberships,
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Users => "users",
            Self::Groups => "groups",
            Self::Memberships => "memberships",
        })
    }
}

impl What {
    /// What a file of this name with this first line holds. The name decides when it is clear.
    pub fn guess(file_name: &str, first_line: &str) -> Option<Self> {
        let name = Path::new(file_name).file_name().unwrap_or_default();
        let name = name.to_string_lossy().to_lowercase();
        let says = |word: &str| name.contains(word);
        match (says("member"), says("group"), says("user")) {
            (true, _, _) => Some(Self::Memberships),
            (false, true, false) => Some(Self::Groups),
            (false, false, true) => Some(Self::Users),
            _ => Self::of_first_line(first_line),
        }
    }

    fn of_first_line(line: &str) -> Option<Self> {
        let named = |property: &str| {
            line.split(|letter: char| !letter.is_alphanumeric())
                .any(|word| word == property)
        };
        if named("groupId") && named("memberId") {
            Some(Self::Memberships)
        } else if named("userPrincipalName") {
            Some(Self::Users)
        } else if named("displayName") {
            Some(Self::Groups)
        } else {
            None
        }
    }
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Comma-separated values; the first line names the columns.
    Csv,
    /// One JSON object a line.
    JsonLines,
}

impl Format {
    /// How a file of this name that begins with these bytes is written.
    pub fn guess(file_name: &str, first_bytes: &[u8]) -> Self {
        let extension = Path::new(file_name).extension().unwrap_or_default();
        match extension.to_string_lossy().to_lowercase().as_str() {
            "csv" => Self::Csv,
            "jsonl" | "ndjson" | "json" => Self::JsonLines,
            _ => {
                let first = first_bytes
                    .strip_prefix(b"\xEF\xBB\xBF")
                    .unwrap_or(first_bytes);
                match first.iter().find(|byte| !byte.is_ascii_whitespace()) {
                    Some(b'{' | b'[') => Self::JsonLines,
                    _ => Self::Csv,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_decides_when_it_is_clear_and_the_first_line_otherwise() {
        for (name, first_line, want) in [
            ("/data/groups/users.csv", "", Some(What::Users)),
            ("Groups-2026.jsonl", "", Some(What::Groups)),
            ("group_members.csv", "", Some(What::Memberships)),
            (
                "users-of-group.csv",
                "id,userPrincipalName",
                Some(What::Users),
            ),
            (
                "export.csv",
                "groupId,memberId,memberType",
                Some(What::Memberships),
            ),
            (
                "export.csv",
                "id,displayName,securityEnabled",
                Some(What::Groups),
            ),
            (
                "-",
                r#"{"id":"1","userPrincipalName":"a","displayName":"A"}"#,
                Some(What::Users),
            ),
            ("export.csv", "a,b", None),
            ("", "userPrincipalName", Some(What::Users)),
        ] {
            assert_eq!(What::guess(name, first_line), want, "{name} {first_line}");
        }
    }

    #[test]
    fn the_extension_decides_before_the_first_byte() {
        for (name, first, want) in [
            ("users.CSV", "{", Format::Csv),
            ("users.jsonl", "id", Format::JsonLines),
            ("-", "\u{FEFF} {\"id\"", Format::JsonLines),
            ("-", "id,userPrincipalName", Format::Csv),
            ("users", "", Format::Csv),
        ] {
            assert_eq!(Format::guess(name, first.as_bytes()), want, "{name}");
        }
    }
}
