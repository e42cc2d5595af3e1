//! The functions of the language: one table, from which checking, evaluation, the control API and
//! the reference page are made (AM-19).

mod case;
mod convert;
mod dates;
mod diacritics;
mod lists;
mod logic;
mod random;
pub(super) mod replace;
mod roles;
mod text;
mod unique;

use super::eval::{Args, Stop};
use super::value::Val;
use crate::types::TargetType;

type Evaluate = for<'a> fn(&Args<'a>) -> Result<Val<'a>, Stop>;

/// A function of the language.
#[derive(Clone, Copy)]
pub struct Function {
    /// Its name, exactly as it is written.
    pub name: &'static str,
    /// Its parameters, in order.
    pub parameters: &'static [Parameter],
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// How arguments find their parameters.
    pub arity: Arity,
    /// Which argument is a regular expression, to be compiled once.
    pub(crate) pattern: Option<usize>,
    pub(crate) evaluate: Evaluate,
}

/// A parameter of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: TargetType,
    /// May it not be left out?
    pub required: bool,
    /// May it occur several times?
    pub repeats: bool,
}

/// How arguments find their parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arity {
    /// One place a parameter; the last one may repeat.
    Listed,
    /// Keys and values in pairs behind the first two places (`Switch`).
    Pairs,
    /// With one argument less, the second parameter is the one that is missing (`FormatDateTime`).
    OptionalSecond,
}

impl std::fmt::Debug for Function {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.signature())
    }
}

impl Function {
    /// The function of exactly that name.
    pub fn find(name: &str) -> Option<&'static Self> {
        FUNCTIONS.iter().find(|function| function.name == name)
    }

    /// How many places a call has at least.
    pub fn least(&self) -> usize {
        match self.arity {
            Arity::OptionalSecond => self.parameters.len() - 1,
            Arity::Listed | Arity::Pairs => self
                .parameters
                .iter()
                .rposition(|parameter| parameter.required)
                .map_or(0, |last| last + 1),
        }
    }

    /// How many places a call has at most.
    pub fn most(&self) -> Option<usize> {
        let repeats = self.parameters.iter().any(|parameter| parameter.repeats);
        (!repeats).then_some(self.parameters.len())
    }

    /// The parameter of a place in a call with so many places.
    pub fn parameter(&self, index: usize, count: usize) -> Option<&'static Parameter> {
        let parameters = self.parameters;
        let index = match self.arity {
            Arity::OptionalSecond if count + 1 == parameters.len() && index > 0 => index + 1,
            Arity::Pairs if index >= parameters.len() => {
                parameters.len() - 2 + (index - parameters.len()) % 2
            }
            _ => index,
        };
        parameters.get(index).or_else(|| {
            parameters
                .last()
                .filter(|parameter| parameter.repeats && self.arity == Arity::Listed)
        })
    }

    /// `Mid(source, start, length)`, with `?` behind what may be left out and `…` behind what may
    /// be repeated.
    pub fn signature(&self) -> String {
        let mut text = format!("{}(", self.name);
        for (index, parameter) in self.parameters.iter().enumerate() {
            if index > 0 {
                text.push_str(", ");
            }
            text.push_str(parameter.name);
            if parameter.repeats {
                text.push('…');
            } else if !parameter.required {
                text.push('?');
            }
        }
        text.push(')');
        text
    }

    const fn new(
        name: &'static str,
        parameters: &'static [Parameter],
        summary: &'static str,
        evaluate: Evaluate,
    ) -> Self {
        Self {
            name,
            parameters,
            summary,
            arity: Arity::Listed,
            pattern: None,
            evaluate,
        }
    }

    const fn with_arity(mut self, arity: Arity) -> Self {
        self.arity = arity;
        self
    }

    const fn with_pattern(mut self, index: usize) -> Self {
        self.pattern = Some(index);
        self
    }
}

const fn parameter(name: &'static str, kind: TargetType) -> Parameter {
    Parameter {
        name,
        kind,
        required: true,
        repeats: false,
    }
}

const fn text(name: &'static str) -> Parameter {
    parameter(name, TargetType::String)
}

const fn integer(name: &'static str) -> Parameter {
    parameter(name, TargetType::Integer)
}

const fn boolean(name: &'static str) -> Parameter {
    parameter(name, TargetType::Boolean)
}

const fn date(name: &'static str) -> Parameter {
    parameter(name, TargetType::DateTime)
}

impl Parameter {
    const fn optional(mut self) -> Self {
        self.required = false;
        self
    }

    const fn repeating(mut self) -> Self {
        self.required = false;
        self.repeats = true;
        self
    }
}

/// All functions, by name.
pub static FUNCTIONS: &[Function] = &[
    Function::new(
        "AppRoleAssignmentsComplex",
        &[text("source")],
        "All assigned app roles as complex values; roles at the target are only added.",
        roles::complex,
    ),
    Function::new(
        "Append",
        &[text("source"), text("suffix")],
        "The source with the suffix behind it.",
        text::append,
    ),
    Function::new(
        "AssertiveAppRoleAssignmentsComplex",
        &[text("source")],
        "All assigned app roles as complex values; they replace the roles at the target.",
        roles::complex,
    ),
    Function::new(
        "BitAnd",
        &[integer("value1"), integer("value2")],
        "The bits that are set in both numbers.",
        convert::bit_and,
    ),
    Function::new(
        "CBool",
        &[text("expression")],
        "True if the expression gives something other than zero.",
        logic::cbool,
    ),
    Function::new(
        "CDate",
        &[text("expression")],
        "The date and time that a text names, in UTC.",
        dates::cdate,
    ),
    Function::new(
        "CStr",
        &[text("value")],
        "The value as text.",
        convert::cstr,
    ),
    Function::new(
        "Coalesce",
        &[text("source1"), text("source").repeating()],
        "The first argument that is not null; the last one serves as default.",
        logic::coalesce,
    ),
    Function::new(
        "ConvertToBase64",
        &[text("source")],
        "The UTF-16 bytes of the text in Base64.",
        convert::base64,
    ),
    Function::new(
        "ConvertToUTF8Hex",
        &[text("source")],
        "The UTF-8 bytes of the text in hexadecimal.",
        convert::utf8_hex,
    ),
    Function::new(
        "Count",
        &[text("attribute")],
        "How many values there are.",
        lists::count,
    ),
    Function::new(
        "DateAdd",
        &[text("interval"), integer("value"), date("dateTime")],
        "The date moved by a number of intervals: yyyy, m, d, ww, h, n or s.",
        dates::add,
    ),
    Function::new(
        "DateDiff",
        &[text("interval"), date("date1"), date("date2")],
        "How many intervals date2 is behind date1: yyyy, m, d, ww, h, n or s.",
        dates::diff,
    ),
    Function::new(
        "DateFromNum",
        &[integer("value")],
        "The date of an Active Directory time stamp (100 ns since 1601).",
        dates::from_num,
    ),
    Function::new(
        "FormatDateTime",
        &[
            text("source"),
            text("dateTimeStyles").optional(),
            text("inputFormat"),
            text("outputFormat"),
        ],
        "Reads a date by one format and writes it by another.",
        dates::format,
    )
    .with_arity(Arity::OptionalSecond),
    Function::new("Guid", &[], "A new random GUID.", random::guid),
    Function::new(
        "IIF",
        &[
            boolean("condition"),
            text("valueIfTrue"),
            text("valueIfFalse"),
        ],
        "One of two values, as the condition says.",
        logic::iif,
    ),
    Function::new(
        "IgnoreFlowIfNullOrEmpty",
        &[text("expression")],
        "The value; without one, the attribute is left out.",
        logic::ignore_flow,
    ),
    Function::new(
        "InStr",
        &[
            text("value1"),
            text("value2"),
            integer("start").optional(),
            integer("compareType").optional(),
        ],
        "Where value2 begins in value1, counting from 1; 0 if it does not occur.",
        text::in_str,
    ),
    Function::new(
        "IsNull",
        &[text("expression")],
        "True if there is no value.",
        logic::is_null,
    ),
    Function::new(
        "IsNullOrEmpty",
        &[text("expression")],
        "True if there is no value or an empty text.",
        logic::is_null_or_empty,
    ),
    Function::new(
        "IsPresent",
        &[text("expression")],
        "True if there is a value other than an empty text.",
        logic::is_present,
    ),
    Function::new(
        "IsString",
        &[text("expression")],
        "True if the value is a text.",
        logic::is_string,
    ),
    Function::new(
        "Item",
        &[text("attribute"), integer("index")],
        "One of several values, counting from 1.",
        lists::item,
    ),
    Function::new(
        "Join",
        &[
            text("separator"),
            text("source1"),
            text("source").repeating(),
        ],
        "The sources that are not empty, with the separator between them.",
        text::join,
    ),
    Function::new(
        "Left",
        &[text("String"), integer("NumChars")],
        "The first characters of a text.",
        text::left,
    ),
    Function::new(
        "Mid",
        &[text("source"), integer("start"), integer("length")],
        "Characters from the middle of a text, counting from 1.",
        text::mid,
    ),
    Function::new(
        "NormalizeDiacritics",
        &[text("source")],
        "The text with plain letters in place of those with diacritics.",
        diacritics::normalize,
    ),
    Function::new(
        "Not",
        &[boolean("source")],
        "False if the source is True, otherwise True.",
        logic::not,
    ),
    Function::new("Now", &[], "The present date and time, in UTC.", dates::now),
    Function::new(
        "NumFromDate",
        &[text("value")],
        "The Active Directory time stamp of a date (100 ns since 1601).",
        dates::num_from_date,
    ),
    Function::new(
        "PCase",
        &[text("source"), text("wordSeparators").optional()],
        "The text with a capital at the start of each word.",
        case::pcase,
    ),
    Function::new(
        "RandomString",
        &[
            integer("Length"),
            integer("MinimumNumbers"),
            integer("MinimumSpecialCharacters"),
            integer("MinimumCapital"),
            integer("MinimumLowerCase"),
            text("CharactersToAvoid").optional(),
        ],
        "A random text with at least so many characters of each kind.",
        random::string,
    ),
    Function::new(
        "Redact",
        &[text("value")],
        "The value, which logs show as [Redact].",
        convert::redact,
    ),
    Function::new(
        "RemoveDuplicates",
        &[text("attribute")],
        "Each of several values once.",
        lists::remove_duplicates,
    ),
    Function::new(
        "Replace",
        &[
            text("source"),
            text("oldValue").optional(),
            text("regexPattern").optional(),
            text("regexGroupName").optional(),
            text("replacementValue").optional(),
            text("replacementAttributeName").optional(),
            text("template").optional(),
        ],
        "Replaces a text or what a regular expression finds; which of it follows from the arguments given.",
        replace::replace,
    )
    .with_pattern(2),
    Function::new(
        "SelectUniqueValue",
        &[text("rule1"), text("rule2"), text("rule").repeating()],
        "The first of several values that no object at the target holds.",
        unique::select,
    ),
    Function::new(
        "SingleAppRoleAssignment",
        &[text("source")],
        "The one app role that is assigned.",
        roles::single,
    ),
    Function::new(
        "Split",
        &[text("source"), text("delimiter")],
        "The parts of a text between the delimiters.",
        lists::split,
    ),
    Function::new(
        "StripSpaces",
        &[text("source")],
        "The text without its spaces.",
        text::strip_spaces,
    ),
    Function::new(
        "Switch",
        &[
            text("source"),
            text("defaultValue").optional(),
            text("key1"),
            text("value1"),
            text("key").repeating(),
            text("value").repeating(),
        ],
        "The value whose key equals the source, otherwise the default.",
        logic::switch,
    )
    .with_arity(Arity::Pairs),
    Function::new(
        "ToLower",
        &[text("source"), text("culture").optional()],
        "The text in lower case.",
        case::to_lower,
    ),
    Function::new(
        "ToUpper",
        &[text("source"), text("culture").optional()],
        "The text in upper case.",
        case::to_upper,
    ),
    Function::new(
        "Word",
        &[
            text("String"),
            integer("WordNumber"),
            text("Delimiters"),
        ],
        "One of the words of a text, counting from 1.",
        text::word,
    ),
];
