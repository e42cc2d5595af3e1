//! What clients send that departs from the RFCs: found and named, so that it can be reported. What is made of it is
//! the business of the parsers, which accept all of it.

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::Map;
use crate::attr_path::Located;
use crate::filter::{Filter, Literal, Predicate};
use crate::patch::Op;
use crate::path::Path;
use crate::schema::{Attribute, AttributeType, Attributes, ResourceType};
use crate::text::find_member;

/// Members of a group that are looked at: there may be a hundred thousand, and clients do with all of them what they
/// do with the first.
const MEMBERS: usize = 100;

macro_rules! deviations {
    ($($name:ident $code:literal $clause:literal $says:literal),+ $(,)?) => {
        /// A way in which a client departs from the RFCs.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Deviation {
            $(#[doc = $says] $name,)+
        }

        impl Deviation {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),+];

            /// A short name that stays the same.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)+ }
            }

            /// The clause that says otherwise.
            pub const fn clause(self) -> &'static str {
                match self { $(Self::$name => $clause,)+ }
            }

            /// What the client does, in a sentence.
            pub const fn says(self) -> &'static str {
                match self { $(Self::$name => $says,)+ }
            }
        }
    };
}

deviations! {
    OpCase "op-case" "RFC 7644 section 3.5.2"
        "The op of a PATCH operation is not in lower case.",
    MessageNameCase "message-name-case" "RFC 7644 section 3.5.2"
        "A member of a message is spelt in another case than the RFC's, such as operations.",
    MessageMember "message-member" "RFC 7644 section 3.5.2"
        "A PATCH operation has members that the RFC does not know.",
    RemoveWithValue "remove-with-value" "RFC 7644 section 3.5.2.2"
        "A remove names what goes by a value, not by a value path.",
    PathsAsKeys "paths-as-keys" "RFC 7644 section 3.5.2.1"
        "The keys of a value without path are paths, not attributes.",
    AddByValuePath "add-by-value-path" "RFC 7644 section 3.5.2.1"
        "An add has a value path, whose element may not be there.",
    RepeatsReadOnly "repeats-read-only" "RFC 7644 section 3.5.2"
        "A PATCH repeats read-only attributes such as id.",
    TextBoolean "text-boolean" "RFC 7643 section 2.3.2"
        "A boolean is sent as text.",
    SingleForList "single-for-list" "RFC 7643 section 2.4"
        "A multi-valued attribute is sent as a single value.",
    ListForSingle "list-for-single" "RFC 7643 section 2.4"
        "A single-valued attribute is sent as a list.",
    ReferenceAsText "reference-as-text" "RFC 7643 section 4.3"
        "A complex attribute such as manager is sent as plain text.",
    EmptyReference "empty-reference" "RFC 7643 section 2.5"
        "A reference is cleared by an empty value instead of null or a remove.",
    MemberAsText "member-as-text" "RFC 7643 section 4.2"
        "A member is sent as plain text instead of an object with a value.",
    UnknownAttribute "unknown-attribute" "RFC 7643 section 3.1"
        "An attribute is sent that no schema of the resource type declares.",
    UnknownSchema "unknown-schema" "RFC 7643 section 3"
        "The schemas name a URN that the resource type does not declare.",
    SchemasMissing "schemas-missing" "RFC 7643 section 3"
        "The schemas are missing.",
    UndeclaredExtension "undeclared-extension" "RFC 7643 section 3"
        "An extension has values, but the schemas do not name it.",
    FilterBehindBrackets "filter-behind-brackets" "RFC 7644 section 3.4.2.2"
        "A filter goes on behind a value path, which the grammar does not allow.",
    FilterTextBoolean "filter-text-boolean" "RFC 7644 section 3.4.2.2"
        "A filter compares a boolean with text.",
}

/// What was found in one request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Findings {
    bits: u32,
    /// What no schema declares, in the structure in which it came.
    pub unknown: Map,
}

impl Findings {
    fn note(&mut self, deviation: Deviation) {
        self.bits |= 1 << deviation as u32;
    }

    /// Is there nothing to report?
    pub const fn is_empty(&self) -> bool {
        self.bits == 0
    }

    /// Everything that was found.
    pub fn deviations(&self) -> impl Iterator<Item = Deviation> {
        let all = Deviation::ALL.iter().copied();
        all.filter(|one| self.bits & (1 << *one as u32) != 0)
    }

    /// Adds what was found elsewhere in the request.
    pub fn join(&mut self, other: Self) {
        self.bits |= other.bits;
        self.unknown.extend(other.unknown);
    }

    /// The names that no schema declares, as paths.
    pub fn unknown_names(&self) -> Vec<String> {
        let mut names = Vec::new();
        for (name, value) in &self.unknown {
            match value {
                Value::Object(parts) if name.contains(':') => {
                    names.extend(parts.keys().map(|part| format!("{name}:{part}")));
                }
                _ => names.push(name.clone()),
            }
        }
        names
    }
}

/// Looks at the body of a POST or PUT.
pub fn document(body: &Map, kind: &ResourceType) -> Findings {
    let mut findings = Findings::default();
    for (name, value) in body {
        findings.attribute(name, value, kind);
    }
    findings.schemas(body, kind);
    if !findings.unknown.is_empty() {
        findings.note(Deviation::UnknownAttribute);
    }
    findings
}

/// Looks at the body of a PATCH.
pub fn patch(body: &Map, kind: &ResourceType) -> Findings {
    let mut findings = Findings::default();
    if !body.contains_key("Operations") {
        findings.note(Deviation::MessageNameCase);
    }
    if let Some(Value::Array(operations)) = find_member(body, "Operations") {
        let operations = operations.iter().filter_map(Value::as_object);
        for operation in operations {
            findings.operation(operation, kind);
        }
    }
    if !findings.unknown.is_empty() {
        findings.note(Deviation::UnknownAttribute);
    }
    findings
}

/// Looks at the filter of a query.
pub fn filter(filter: &Filter, kind: &ResourceType) -> Findings {
    let mut findings = Findings::default();
    findings.filter(filter, kind);
    findings
}

impl Findings {
    fn attribute(&mut self, name: &str, value: &Value, kind: &ResourceType) {
        if is_nothing(value) {
            return;
        }
        if let Some(core) = core_name(name, kind) {
            self.note(Deviation::PathsAsKeys);
            self.attribute(core, value, kind);
            return;
        }
        if name.contains(':') {
            match (kind.extension(name), value) {
                (Some(extension), Value::Object(values)) => {
                    let unknown = self.object(&extension.attributes, values);
                    if !unknown.is_empty() {
                        let urn = extension.id.clone();
                        self.unknown.insert(urn, Value::Object(unknown));
                    }
                }
                (Some(_), _) => {}
                (None, value) => {
                    self.unknown.insert(name.to_owned(), value.clone());
                }
            }
            return;
        }
        match kind.attribute(name) {
            Some(attribute) => {
                if let Some(unknown) = self.value(attribute, value) {
                    self.unknown.insert(attribute.name.clone(), unknown);
                }
            }
            None => {
                self.unknown.insert(name.to_owned(), value.clone());
            }
        }
    }

    /// Looks at the members of an object; answers those that are not declared.
    fn object(&mut self, attributes: &Attributes, values: &Map) -> Map {
        let mut unknown = Map::new();
        for (name, value) in values.iter().filter(|(_, value)| !is_nothing(value)) {
            let undeclared = match attributes.find(name) {
                Some(attribute) => self.value(attribute, value),
                None => Some(value.clone()),
            };
            if let Some(value) = undeclared {
                unknown.insert(name.clone(), value);
            }
        }
        unknown
    }

    /// Looks at a value; answers what of it is not declared.
    fn value(&mut self, attribute: &Attribute, value: &Value) -> Option<Value> {
        match value {
            Value::Array(items) if attribute.multi_valued => {
                let most = if attribute.name == "members" {
                    MEMBERS
                } else {
                    items.len()
                };
                let items = items.iter().take(most);
                let unknown: Vec<Value> = items
                    .filter_map(|item| self.one(attribute, item).map(|_| item.clone()))
                    .collect();
                (!unknown.is_empty()).then_some(Value::Array(unknown))
            }
            Value::Array(items) => {
                self.note(Deviation::ListForSingle);
                items.first().and_then(|item| self.one(attribute, item))
            }
            Value::Null => None,
            single => {
                if attribute.multi_valued {
                    self.note(Deviation::SingleForList);
                }
                self.one(attribute, single)
            }
        }
    }

    fn one(&mut self, attribute: &Attribute, value: &Value) -> Option<Value> {
        match (attribute.kind, value) {
            (AttributeType::Boolean, Value::String(_)) => self.note(Deviation::TextBoolean),
            (AttributeType::Complex, Value::String(text)) => {
                self.note(if attribute.multi_valued {
                    Deviation::MemberAsText
                } else if text.is_empty() {
                    Deviation::EmptyReference
                } else {
                    Deviation::ReferenceAsText
                });
            }
            (AttributeType::Complex, Value::Object(parts)) => {
                let refers = || find_member(parts, "value").and_then(Value::as_str);
                if attribute.is_reference_object() && refers() == Some("") {
                    self.note(Deviation::EmptyReference);
                }
                let unknown = self.object(&attribute.sub_attributes, parts);
                return (!unknown.is_empty()).then_some(Value::Object(unknown));
            }
            _ => {}
        }
        None
    }

    fn schemas(&mut self, body: &Map, kind: &ResourceType) {
        let Some(urns) = find_member(body, "schemas").and_then(Value::as_array) else {
            self.note(Deviation::SchemasMissing);
            return;
        };
        let named: Vec<&str> = urns.iter().filter_map(Value::as_str).collect();
        let known =
            |urn: &str| urn.eq_ignore_ascii_case(&kind.schema.id) || kind.extension(urn).is_some();
        if named.is_empty() {
            self.note(Deviation::SchemasMissing);
        }
        if named.iter().any(|urn| !known(urn)) {
            self.note(Deviation::UnknownSchema);
        }
        let extensions = kind.extensions.iter().map(|one| one.schema.id.as_str());
        for urn in extensions {
            let has_values = find_member(body, urn).is_some_and(|value| !is_nothing(value));
            if has_values && !named.iter().any(|one| one.eq_ignore_ascii_case(urn)) {
                self.note(Deviation::UndeclaredExtension);
            }
        }
    }

    fn operation(&mut self, operation: &Map, kind: &ResourceType) {
        for name in operation.keys() {
            let known = ["op", "path", "value"]
                .into_iter()
                .find(|known| name.eq_ignore_ascii_case(known));
            match known {
                Some(known) if known != name => self.note(Deviation::MessageNameCase),
                Some(_) => {}
                None => self.note(Deviation::MessageMember),
            }
        }
        let word = find_member(operation, "op").and_then(Value::as_str);
        let Some(op) = word.and_then(Op::parse) else {
            return;
        };
        if word != Some(op.as_str()) {
            self.note(Deviation::OpCase);
        }
        let value = find_member(operation, "value").filter(|value| !value.is_null());
        let path = find_member(operation, "path").and_then(Value::as_str);
        match (path, value) {
            (Some(path), value) => self.at_path(op, path, value, kind),
            (None, Some(Value::Object(values))) => {
                for (name, value) in values {
                    self.key(name, value, kind);
                }
            }
            (None, _) => {}
        }
    }

    /// A member of a value without path.
    fn key(&mut self, name: &str, value: &Value, kind: &ResourceType) {
        let is_extension = kind.extension(name).is_some();
        if !is_extension && kind.attribute(name).is_none() && Path::parse(name).is_ok() {
            self.note(Deviation::PathsAsKeys);
            self.at_path(Op::Replace, name, Some(value), kind);
            return;
        }
        if kind.attribute(name).is_some_and(Attribute::is_read_only) {
            self.note(Deviation::RepeatsReadOnly);
            return;
        }
        self.attribute(name, value, kind);
    }

    fn at_path(&mut self, op: Op, text: &str, value: Option<&Value>, kind: &ResourceType) {
        let Ok(path) = Path::parse(text) else {
            return;
        };
        if op == Op::Add && path.selector().is_some() {
            self.note(Deviation::AddByValuePath);
        }
        if op == Op::Remove && value.is_some() {
            self.note(Deviation::RemoveWithValue);
        }
        if let Some(filter) = path.selector()
            && let Some(Located::Attribute { attribute, .. }) = path.locate(kind)
        {
            self.words(filter, &attribute.sub_attributes);
        }
        match (path.locate(kind), value) {
            (Some(Located::Attribute { attribute, sub, .. }), Some(value)) => {
                // Behind brackets stands one element, otherwise what the attribute holds.
                let unknown = match sub {
                    Some(sub) => self.value(sub, value),
                    None if path.selector().is_some() => self.one(attribute, value),
                    None if op == Op::Add && !value.is_array() => self.one(attribute, value),
                    None => self.value(attribute, value),
                };
                if let Some(unknown) = unknown {
                    self.unknown.insert(attribute.name.clone(), unknown);
                }
            }
            (Some(Located::Extension(schema)), Some(Value::Object(values))) => {
                let unknown = self.object(&schema.attributes, values);
                if !unknown.is_empty() {
                    self.unknown
                        .insert(schema.id.clone(), Value::Object(unknown));
                }
            }
            (None, value) => {
                let value = value.cloned().unwrap_or_default();
                self.unknown.insert(text.to_owned(), value);
            }
            _ => {}
        }
    }

    fn filter(&mut self, filter: &Filter, kind: &ResourceType) {
        match filter {
            Filter::And(parts) | Filter::Or(parts) => {
                for part in parts {
                    self.filter(part, kind);
                }
            }
            Filter::Not(inner) => self.filter(inner, kind),
            Filter::Test(path, predicate) => {
                if let Some(Located::Attribute { attribute, sub, .. }) = path.locate(kind) {
                    self.word(sub.unwrap_or(attribute), predicate);
                }
            }
            Filter::Element {
                attribute,
                filter,
                then,
            } => {
                if then.is_some() {
                    self.note(Deviation::FilterBehindBrackets);
                }
                if let Some(Located::Attribute { attribute, .. }) = attribute.locate(kind) {
                    self.words(filter, &attribute.sub_attributes);
                }
            }
        }
    }

    /// The filter between brackets.
    fn words(&mut self, filter: &Filter, attributes: &Attributes) {
        match filter {
            Filter::And(parts) | Filter::Or(parts) => {
                for part in parts {
                    self.words(part, attributes);
                }
            }
            Filter::Not(inner) => self.words(inner, attributes),
            Filter::Test(path, predicate) => {
                if let Some(attribute) = attributes.find(path.name()) {
                    self.word(attribute, predicate);
                }
            }
            Filter::Element { .. } => {}
        }
    }

    fn word(&mut self, attribute: &Attribute, predicate: &Predicate) {
        let text = matches!(predicate, Predicate::Compare(_, Literal::Text(_)));
        if text && attribute.kind == AttributeType::Boolean {
            self.note(Deviation::FilterTextBoolean);
        }
    }
}

/// The attribute behind the URN of the core schema, in which nobody needs to write it.
fn core_name<'n>(name: &'n str, kind: &ResourceType) -> Option<&'n str> {
    let urn = name.get(..kind.schema.id.len())?;
    let rest = name[urn.len()..].strip_prefix(':')?;
    urn.eq_ignore_ascii_case(&kind.schema.id).then_some(rest)
}

/// `null` and `[]` say that there is no value (RFC 7643 section 2.5).
fn is_nothing(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}
