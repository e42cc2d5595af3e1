//! The functions of the language (AM-19). One table names them all; checking, evaluation, the
//! control API and the reference page are made from it.

mod case;
mod convert;
mod dates;
mod diacritics;
mod lists;
mod logic;
mod random;
pub(super) mod replace;
mod roles;
mod table;
mod text;
mod unique;

use super::eval::{Args, Stop};
use super::value::Val;
use crate::types::TargetType;

pub use table::FUNCTIONS;

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
