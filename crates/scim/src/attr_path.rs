//! Names of attributes as clients write them: `userName`, `name.givenName`, `urn:…:User:manager.value` (RFC 7644 section 3.10).

use std::fmt;

use crate::schema::{Attribute, ResourceType, Schema};

/// The longest name that is read.
pub const MAX_LENGTH: usize = 1_000;

/// An attribute name with optional URN and sub-attribute, spelt as the client spelt it.
///
/// Reading one needs no schema: a URN ends after the word that follows its version (`…:2.0:User`), or at the
/// last colon when it has no version. [`AttrPath::locate`] knows the URNs of a resource type and is exact.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AttrPath {
    text: Box<str>,
    urn_end: usize,
    name_start: usize,
    name_end: usize,
}

/// What an [`AttrPath`] means for a resource type.
#[derive(Debug, Clone, Copy)]
pub enum Located<'s> {
    /// The URN of the core schema alone: the resource itself.
    Resource,
    /// The URN of an extension alone: the extension as a whole.
    Extension(&'s Schema),
    /// An attribute or a part of one.
    Attribute {
        /// The extension that declares it; none for core and common attributes.
        extension: Option<&'s Schema>,
        /// The attribute.
        attribute: &'s Attribute,
        /// The sub-attribute, when one was named.
        sub: Option<&'s Attribute>,
    },
}

/// Why a name cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttrPathError {
    /// Nothing was given.
    #[error("an attribute name is missing")]
    Empty,
    /// Over [`MAX_LENGTH`].
    #[error("the attribute name is too long")]
    TooLong,
    /// A character or a dot in a wrong place.
    #[error("this is not an attribute name")]
    Malformed,
}

impl AttrPath {
    /// Reads a name; a URN alone is accepted and has an empty [`AttrPath::name`].
    pub fn parse(text: &str) -> Result<Self, AttrPathError> {
        if text.is_empty() {
            return Err(AttrPathError::Empty);
        }
        if text.len() > MAX_LENGTH {
            return Err(AttrPathError::TooLong);
        }
        let (urn_end, name_start) = if is_urn(text) {
            split_urn(text)
        } else {
            (0, 0)
        };
        let rest = &text[name_start..];
        let (name, sub) = rest
            .split_once('.')
            .map_or((rest, None), |(name, sub)| (name, Some(sub)));
        let whole_urn = urn_end == text.len() && !text.ends_with(':');
        if !whole_urn && !is_name(name) || !sub.is_none_or(is_name) {
            return Err(AttrPathError::Malformed);
        }
        if !text[..urn_end].bytes().all(is_urn_byte) {
            return Err(AttrPathError::Malformed);
        }
        let name_end = name_start + name.len();
        Ok(Self {
            text: text.into(),
            urn_end,
            name_start,
            name_end,
        })
    }

    /// The text as it was read.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The URN in front of the name.
    pub fn urn(&self) -> Option<&str> {
        (self.urn_end > 0).then(|| &self.text[..self.urn_end])
    }

    /// The attribute; empty when the text is a URN alone.
    pub fn name(&self) -> &str {
        &self.text[self.name_start..self.name_end]
    }

    /// The sub-attribute after the dot.
    pub fn sub(&self) -> Option<&str> {
        (self.name_end < self.text.len()).then(|| &self.text[self.name_end + 1..])
    }

    /// Whether the URN is that of a core schema, whose attributes sit at the top of a document.
    pub fn has_core_urn(&self) -> bool {
        self.urn().is_some_and(is_core_urn)
    }

    /// Whether this names `attribute` (and `sub`), in any case and with or without a core URN.
    pub fn is(&self, attribute: &str, sub: Option<&str>) -> bool {
        let same_sub = match (self.sub(), sub) {
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            (None, None) => true,
            _ => false,
        };
        same_sub
            && self.name().eq_ignore_ascii_case(attribute)
            && (self.urn_end == 0 || self.has_core_urn())
    }

    /// Finds the attribute in a resource type, whatever the case (RFC 7643 section 2.1).
    ///
    /// A bare name that only an extension has is found there, because Entra asks for `manager` (profile section
    /// 12.3); so is the old form with a dot after the URN.
    pub fn locate<'s>(&self, kind: &'s ResourceType) -> Option<Located<'s>> {
        if self.urn_end == 0 {
            return locate_name(kind, &self.text).or_else(|| {
                kind.extensions
                    .iter()
                    .find_map(|extension| locate_in_extension(&extension.schema, &self.text))
            });
        }
        if let Some(rest) = after_urn(&self.text, &kind.schema.id) {
            return if rest.is_empty() {
                Some(Located::Resource)
            } else {
                locate_name(kind, rest)
            };
        }
        kind.extensions
            .iter()
            .filter_map(|extension| {
                after_urn(&self.text, &extension.schema.id).map(|rest| (&*extension.schema, rest))
            })
            .min_by_key(|(_, rest)| rest.len())
            .and_then(|(schema, rest)| match rest {
                "" => Some(Located::Extension(schema)),
                _ => locate_in_extension(schema, rest),
            })
    }
}

impl fmt::Display for AttrPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Whether a text begins as a URN.
pub(crate) fn is_urn(text: &str) -> bool {
    text.get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case("urn:"))
}

pub(crate) fn is_core_urn(urn: &str) -> bool {
    const CORE: &str = "urn:ietf:params:scim:schemas:core:";
    urn.get(..CORE.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(CORE))
}

/// Whether a text can be a name of an attribute: a letter, `$` or `_`, then also digits and hyphens.
pub(crate) fn is_name(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'$' | b'_'))
        && bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'$' | b'_' | b'-'))
}

fn is_urn_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._:$%+/~@=!*'".contains(&byte)
}

/// Where the URN ends and where the name starts, without knowing the schema.
fn split_urn(text: &str) -> (usize, usize) {
    let mut start = 0;
    for segment in text.split(':') {
        let end = start + segment.len();
        if end < text.len() && is_version(segment) {
            let word = &text[end + 1..];
            let urn_end = end + 1 + word.find([':', '.']).unwrap_or(word.len());
            return (urn_end, (urn_end + 1).min(text.len()));
        }
        start = end + 1;
    }
    let last = text.rfind(':').unwrap_or(0);
    (last, last + 1)
}

fn is_version(segment: &str) -> bool {
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    segment
        .split_once('.')
        .is_some_and(|(major, minor)| digits(major) && digits(minor))
}

/// What follows a known URN: nothing, or the text after the separator.
fn after_urn<'t>(text: &'t str, urn: &str) -> Option<&'t str> {
    let start = text.get(..urn.len())?;
    if !start.eq_ignore_ascii_case(urn) {
        return None;
    }
    let rest = &text[urn.len()..];
    if rest.is_empty() {
        Some(rest)
    } else {
        rest.strip_prefix([':', '.'])
    }
}

fn locate_name<'s>(kind: &'s ResourceType, text: &str) -> Option<Located<'s>> {
    locate_in(None, text, |name| kind.attribute(name))
}

fn locate_in_extension<'s>(schema: &'s Schema, text: &str) -> Option<Located<'s>> {
    locate_in(Some(schema), text, |name| schema.attributes.find(name))
}

fn locate_in<'s>(
    extension: Option<&'s Schema>,
    text: &str,
    find: impl Fn(&str) -> Option<&'s Attribute>,
) -> Option<Located<'s>> {
    let (name, sub) = text
        .split_once('.')
        .map_or((text, None), |(name, sub)| (name, Some(sub)));
    let attribute = find(name)?;
    let sub = match sub {
        Some(sub) => Some(attribute.sub_attributes.find(sub)?),
        None => None,
    };
    Some(Located::Attribute {
        extension,
        attribute,
        sub,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::{group, user};

    const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

    #[track_caller]
    fn check_parts(text: &str, want: Option<(Option<&str>, &str, Option<&str>)>) {
        let path = AttrPath::parse(text);
        let got = path
            .as_ref()
            .ok()
            .map(|path| (path.urn(), path.name(), path.sub()));
        assert_eq!(got, want, "{text}");
        if let Ok(path) = path {
            assert_eq!(path.to_string(), text);
        }
    }

    #[test]
    fn names_are_split_without_a_schema() {
        check_parts("userName", Some((None, "userName", None)));
        check_parts("name.givenName", Some((None, "name", Some("givenName"))));
        check_parts("members.$ref", Some((None, "members", Some("$ref"))));
        check_parts(ENTERPRISE, Some((Some(ENTERPRISE), "", None)));
        let manager = format!("{ENTERPRISE}:manager.value");
        check_parts(&manager, Some((Some(ENTERPRISE), "manager", Some("value"))));
        let dotted = format!("{ENTERPRISE}.department");
        check_parts(&dotted, Some((Some(ENTERPRISE), "department", None)));
        let custom = "urn:ietf:params:scim:schemas:extension:Acme:2.0:User:badge";
        let urn = "urn:ietf:params:scim:schemas:extension:Acme:2.0:User";
        check_parts(custom, Some((Some(urn), "badge", None)));
        check_parts(
            "urn:example:ext:badge.color",
            Some((Some("urn:example:ext"), "badge", Some("color"))),
        );
    }

    #[test]
    fn malformed_names_are_refused() {
        for text in [
            "",
            ".",
            "a.",
            ".a",
            "a.b.c",
            "a b",
            "1a",
            "é",
            "a[b",
            "urn:",
            "urn:x:",
            "URN:x:1.0:",
            "a\u{0}",
        ] {
            assert!(AttrPath::parse(text).is_err(), "{text:?}");
        }
        assert!(AttrPath::parse(&"a".repeat(2_000)).is_err());
    }

    #[track_caller]
    fn check_located(text: &str, want: Option<&str>) {
        let got = AttrPath::parse(text)
            .unwrap()
            .locate(user())
            .map(|located| match located {
                Located::Resource => "the resource".to_owned(),
                Located::Extension(schema) => schema.name.clone(),
                Located::Attribute {
                    extension,
                    attribute,
                    sub,
                } => {
                    let mut text =
                        extension.map_or(String::new(), |schema| format!("{}/", schema.name));
                    text.push_str(&attribute.name);
                    if let Some(sub) = sub {
                        text.push('.');
                        text.push_str(&sub.name);
                    }
                    text
                }
            });
        assert_eq!(got.as_deref(), want, "{text}");
    }

    // Profile section 6.2: paths may carry the schema URN, in any case.
    #[test]
    fn names_are_located_in_a_resource_type() {
        check_located("USERNAME", Some("userName"));
        check_located("name.GIVENNAME", Some("name.givenName"));
        check_located("meta.lastmodified", Some("meta.lastModified"));
        check_located(
            "urn:ietf:params:scim:schemas:core:2.0:User:userName",
            Some("userName"),
        );
        check_located(
            "URN:IETF:params:scim:schemas:CORE:2.0:user:NAME.familyName",
            Some("name.familyName"),
        );
        check_located(
            "urn:ietf:params:scim:schemas:core:2.0:User",
            Some("the resource"),
        );
        check_located(ENTERPRISE, Some("EnterpriseUser"));
        check_located(
            &format!("{ENTERPRISE}:Department"),
            Some("EnterpriseUser/department"),
        );
        check_located(
            &format!("{ENTERPRISE}.department"),
            Some("EnterpriseUser/department"),
        );
        check_located(
            &format!("{ENTERPRISE}:manager.Value"),
            Some("EnterpriseUser/manager.value"),
        );
        check_located("manager", Some("EnterpriseUser/manager"));
        check_located("nothing", None);
        check_located("userName.sub", None);
        check_located("name.nothing", None);
        check_located(&format!("{ENTERPRISE}:nothing"), None);
        check_located(
            "urn:ietf:params:scim:schemas:extension:Other:2.0:User:a",
            None,
        );
        assert!(
            AttrPath::parse("userName")
                .unwrap()
                .locate(group())
                .is_none()
        );
    }

    #[test]
    fn a_core_urn_makes_no_difference_to_the_name() {
        assert!(AttrPath::parse("MEMBERS").unwrap().is("members", None));
        let urn =
            AttrPath::parse("urn:ietf:params:scim:schemas:core:2.0:Group:members.value").unwrap();
        assert!(urn.is("members", Some("value")) && !urn.is("members", None));
        assert!(
            !AttrPath::parse("urn:x:1.0:Y:members")
                .unwrap()
                .is("members", None)
        );
    }
}
