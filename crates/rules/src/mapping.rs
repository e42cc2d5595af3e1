//! Object mappings and their attribute mappings: from a source object to the values that its target
//! object should have.

use muster_model::directory::Kind;
use muster_model::{Attributes, Value};

use crate::TargetType;
use crate::compare;
use crate::convert::{Unfit, to_target};
use crate::expr::eval::{self, Env, Stop};
use crate::expr::{Context, EvalError, Expression, Val};
use crate::scope::ScopingFilters;

/// How objects of one kind become objects at the target (3.3).
#[derive(Clone, Debug)]
pub struct ObjectMapping {
    /// Its name.
    pub name: String,
    /// The kind of source object.
    pub kind: Kind,
    /// What the target calls the kind of object.
    pub target_name: String,
    /// Is it used at all?
    pub enabled: bool,
    /// What may be done to target objects.
    pub actions: Actions,
    /// Who is in scope; leaving takes the account away (4.5).
    pub filters: ScopingFilters,
    /// Who is looked at in the first place; leaving has no effect (4.5).
    pub input_filters: ScopingFilters,
    /// Like `input_filters`; both must let an object through (4.5).
    pub category_filters: ScopingFilters,
    /// The attribute mappings, in order.
    pub attributes: Vec<AttributeMapping>,
}

/// What may be done to target objects (3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions {
    /// New accounts.
    pub create: bool,
    /// Changes, disabling among them.
    pub update: bool,
    /// Removal after a deletion in the source.
    pub delete: bool,
}

impl Actions {
    /// All three, the default.
    pub const ALL: Self = Self {
        create: true,
        update: true,
        delete: true,
    };
}

/// How one target attribute gets its value (3.2).
#[derive(Clone, Debug, PartialEq)]
pub struct AttributeMapping {
    /// The target attribute, as a SCIM path.
    pub target: String,
    /// Its type.
    pub target_type: TargetType,
    /// Where the value comes from.
    pub source: MappingSource,
    /// What takes the place of null when the target object is created.
    pub default: Option<String>,
    /// Takes part in matching, the lowest number first.
    pub matching: Option<u32>,
    /// When it applies.
    pub apply: Apply,
    /// Is it sent with every write of the object, changed or not (`FlowAlways`)?
    pub flow_always: bool,
    /// Does an empty source clear the target (`flowNullValues`)? Off by default (AM-1).
    pub clears: bool,
    /// Can the target not do without it (AM-3)?
    pub required: bool,
    /// Is a change of case a change?
    pub case_exact: bool,
    /// May it have several values?
    pub multi_valued: bool,
    /// The target sets it and nobody else writes it.
    pub read_only: bool,
    /// Written when created, never after.
    pub immutable: bool,
    /// For references: the kinds of objects it can point at, as the source calls them.
    pub referenced: Vec<String>,
}

/// Where a value comes from (3.1).
#[derive(Clone, Debug, PartialEq)]
pub enum MappingSource {
    /// The value of a source attribute.
    Attribute(String),
    /// A fixed text.
    Constant(String),
    /// The result of an expression.
    Expression(Expression),
    /// Nowhere: the target is left alone, and an empty target gets the default value.
    None,
}

/// When a mapping applies (3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Apply {
    /// When the object is created and when it is updated.
    #[default]
    Always,
    /// Only when the object is created.
    OnlyDuringCreation,
    /// Values are added to a multi-valued attribute and never removed.
    MultiValueAddOnly,
    /// Only while the target has no value.
    OnlyWhileEmpty,
}

/// What one mapping gives for one source object.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped<'m> {
    /// The mapping.
    pub mapping: &'m AttributeMapping,
    /// The value in the type of the target; `None` is null, which is not exported and clears nothing
    /// unless the mapping says so (AM-1).
    pub value: Option<Value>,
    /// The default value in the type of the target; only there when `value` is null.
    pub default: Option<Value>,
    /// Is the attribute left out of the flow (`IgnoreFlowIfNullOrEmpty`, `IgnoreAttributeFlow`)?
    /// Then neither value nor default is used.
    pub skip: bool,
}

impl Mapped<'_> {
    /// What a new target object gets (17.4).
    pub fn for_create(&self) -> Option<&Value> {
        if self.mapping.read_only {
            return None;
        }
        self.value.as_ref().or(self.default.as_ref())
    }

    /// What an existing target object should have, given whether the attribute is empty there
    /// (17.4); `None` leaves it alone, null clears it.
    pub fn for_update(&self, target_is_empty: bool) -> Option<&Value> {
        if self.mapping.read_only || self.mapping.immutable {
            return None;
        }
        match self.mapping.apply {
            Apply::OnlyDuringCreation => None,
            Apply::OnlyWhileEmpty if !target_is_empty => None,
            Apply::Always | Apply::MultiValueAddOnly | Apply::OnlyWhileEmpty => {
                // Without a source the default fills an empty target at any time; otherwise it is
                // for creation only.
                let default = (self.mapping.source == MappingSource::None && target_is_empty)
                    .then_some(self.default.as_ref())
                    .flatten();
                let cleared = (self.mapping.clears && !self.skip && !target_is_empty)
                    .then_some(const { &Value::Null });
                // An empty text says as little as none.
                let value = self.value.as_ref();
                let value = value.filter(|value| !(value.is_empty() && cleared.is_some()));
                value.or(default).or(cleared)
            }
        }
    }

    /// Does a creation fail because a required attribute has neither value nor default (AM-3)?
    pub fn missing_on_create(&self) -> bool {
        self.mapping.required && self.for_create().is_none_or(Value::is_empty)
    }
}

/// Why an object cannot be mapped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mapping to `{target}` fails: {error}")]
pub struct MappingProblem {
    /// The target attribute.
    pub target: String,
    /// What went wrong.
    #[source]
    pub error: MappingError,
}

/// What can go wrong in a mapping. Never holds a value of a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MappingError {
    /// The expression has no result for this object.
    #[error(transparent)]
    Expression(#[from] EvalError),
    /// The result is not what the target attribute holds.
    #[error("the result cannot be read as {0}")]
    NotConvertible(TargetType),
    /// The expression leaves the whole object out (`IgnoreObjectFlow`).
    #[error("the object is left out by an expression")]
    ObjectLeftOut,
}

impl MappingProblem {
    /// Is the object held back because every candidate for a unique value is taken?
    pub const fn no_unique_value(&self) -> bool {
        matches!(
            self.error,
            MappingError::Expression(EvalError::NoUniqueValue { .. })
        )
    }

    /// Did an expression ask for the object to be left out?
    pub const fn object_left_out(&self) -> bool {
        matches!(self.error, MappingError::ObjectLeftOut)
    }
}

impl ObjectMapping {
    /// Is the object looked at at all (`inputFilterGroups` and `categoryFilterGroups`)?
    pub fn reads(&self, source: &Attributes) -> Result<bool, EvalError> {
        Ok(self.input_filters.passes(source)? && self.category_filters.passes(source)?)
    }

    /// What each mapping gives for a source object, in the order of the mappings and without
    /// references, which need links and not values.
    pub fn evaluate(
        &self,
        source: &Attributes,
        context: &Context<'_>,
    ) -> Result<Vec<Mapped<'_>>, MappingProblem> {
        let mut mapped = Vec::with_capacity(self.attributes.len());
        for mapping in &self.attributes {
            if !mapping.is_reference() {
                mapped.push(mapping.evaluate(source, context)?);
            }
        }
        Ok(mapped)
    }

    /// Like [`ObjectMapping::evaluate`], for an object that is at the target already: without the mappings
    /// that are for its creation only.
    pub fn evaluate_update(
        &self,
        source: &Attributes,
        context: &Context<'_>,
    ) -> Result<Vec<Mapped<'_>>, MappingProblem> {
        let updated = self.attributes.iter().filter(|mapping| {
            let created = mapping.apply == Apply::OnlyDuringCreation;
            !(mapping.is_reference() || mapping.read_only || mapping.immutable || created)
        });
        updated
            .map(|mapping| mapping.evaluate(source, context))
            .collect()
    }

    /// The mappings that take part in matching, by precedence.
    pub fn matching(&self) -> Vec<&AttributeMapping> {
        let mut matching: Vec<&AttributeMapping> = self
            .attributes
            .iter()
            .filter(|mapping| mapping.matching.is_some())
            .collect();
        matching.sort_by_key(|mapping| mapping.matching);
        matching
    }

    /// The mappings to references, such as manager and members.
    pub fn references(&self) -> impl Iterator<Item = &AttributeMapping> {
        self.attributes
            .iter()
            .filter(|mapping| mapping.is_reference())
    }

    /// The mapping to a target attribute.
    pub fn find(&self, target: &str) -> Option<&AttributeMapping> {
        self.attributes
            .iter()
            .find(|mapping| mapping.target == target)
    }
}

impl AttributeMapping {
    /// A mapping with everything else at its default.
    pub fn new(target: impl Into<String>, source: MappingSource) -> Self {
        Self {
            target: target.into(),
            target_type: TargetType::String,
            source,
            default: None,
            matching: None,
            apply: Apply::Always,
            flow_always: false,
            clears: false,
            required: false,
            case_exact: true,
            multi_valued: false,
            read_only: false,
            immutable: false,
            referenced: Vec::new(),
        }
    }

    /// Does it map to another object?
    pub fn is_reference(&self) -> bool {
        self.target_type == TargetType::Reference
    }

    /// Must its value stay out of logs (AM-20)?
    pub fn redacted(&self) -> bool {
        matches!(&self.source, MappingSource::Expression(expression) if expression.redacts())
    }

    /// The source attributes that it reads.
    pub fn source_attributes(&self) -> Vec<&str> {
        match &self.source {
            MappingSource::Attribute(name) => vec![name],
            MappingSource::Expression(expression) => expression.attributes(),
            MappingSource::Constant(_) | MappingSource::None => Vec::new(),
        }
    }

    /// What it gives for a source object.
    pub fn evaluate(
        &self,
        source: &Attributes,
        context: &Context<'_>,
    ) -> Result<Mapped<'_>, MappingProblem> {
        let raw = match &self.source {
            MappingSource::Attribute(name) => Ok(source.get(name).map_or(Val::Null, Val::from)),
            MappingSource::Constant(text) => Ok(Val::borrowed(text)),
            MappingSource::Expression(expression) => {
                let env = Env::new(source, context, &self.target);
                eval::evaluate(expression.root(), env)
            }
            MappingSource::None => Ok(Val::Null),
        };
        let raw = match raw {
            Ok(raw) => raw,
            Err(Stop::Skip) => {
                return Ok(Mapped {
                    mapping: self,
                    value: None,
                    default: None,
                    skip: true,
                });
            }
            Err(Stop::SkipObject) => return Err(self.problem(MappingError::ObjectLeftOut)),
            Err(Stop::Error(error)) => return Err(self.problem(error.into())),
        };
        let value = self.convert(raw)?;
        let default = match (&value, &self.default) {
            (None, Some(default)) => self.convert(Val::borrowed(default))?,
            _ => None,
        };
        Ok(Mapped {
            mapping: self,
            value,
            default,
            skip: false,
        })
    }

    /// Does the target already hold the value? (15 #8)
    pub fn same(&self, old: Option<&Value>, new: &Value) -> bool {
        compare::same(self.target_type, self.case_exact, old, new)
    }

    /// The values that the target lacks: what a mapping that only adds sends.
    pub fn added(&self, old: Option<&Value>, new: &Value) -> Option<Value> {
        compare::added(self.target_type, self.case_exact, old, new)
    }

    fn convert(&self, value: Val<'_>) -> Result<Option<Value>, MappingProblem> {
        match to_target(value, self.target_type, self.multi_valued) {
            Ok(Value::Null) => Ok(None),
            Ok(value) => Ok(Some(value)),
            Err(Unfit) => Err(self.problem(MappingError::NotConvertible(self.target_type))),
        }
    }

    fn problem(&self, error: MappingError) -> MappingProblem {
        MappingProblem {
            target: self.target.clone(),
            error,
        }
    }
}

#[cfg(test)]
mod tests;
