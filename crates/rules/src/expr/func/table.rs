//! The table of functions: what each is called, takes and does.

use super::{
    Arity, Function, Parameter, case, convert, dates, diacritics, lists, logic, random, replace,
    roles, text as texts, unique,
};
use crate::types::TargetType;

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
        texts::append,
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
        texts::in_str,
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
        texts::join,
    ),
    Function::new(
        "Left",
        &[text("String"), integer("NumChars")],
        "The first characters of a text.",
        texts::left,
    ),
    Function::new(
        "Mid",
        &[text("source"), integer("start"), integer("length")],
        "Characters from the middle of a text, counting from 1.",
        texts::mid,
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
        texts::strip_spaces,
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
        texts::word,
    ),
];

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
