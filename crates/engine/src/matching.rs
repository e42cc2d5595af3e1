//! Which object at the target is it? Matching by precedence, and reading what is linked.

use std::cell::RefCell;
use std::collections::HashMap;

use muster_model::directory::Kind;
use muster_model::link::{Link, SourceAnchor};
use muster_model::{Timestamp, Value};
use muster_rules::schema::CompiledSchema;
use muster_rules::{Context, MappingSource, ObjectMapping};

use crate::basis::free;
use crate::decide::{Current, Matched, Reason};
use crate::error::EngineError;
use crate::gate::Gate;
use crate::object::Path;
use crate::port::{Record, Source, TargetError, TargetObject};
use crate::rehearsal::REDACTED;

/// What was asked of the target to find an object, and how many there are (two stand for several).
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The matching attribute.
    pub path: String,
    /// Its value.
    pub value: Value,
    /// How many objects have it.
    pub found: usize,
}

impl Attempt {
    /// The attribute, and what was found by it.
    pub(crate) fn told(&self) -> (String, String) {
        let found = match self.found {
            0 => "nobody",
            1 => "one",
            _ => "several",
        };
        (self.path.clone(), format!("{}: {found}", self.value))
    }
}

/// What matching found, and the way there.
pub(crate) type Asked = (Matched, Vec<Attempt>);

/// Why nothing was found.
pub(crate) enum NotFound {
    Skip(Reason),
    Error(TargetError),
    Store(muster_store::StoreError),
}

impl Path<'_> {
    pub(crate) async fn find(
        &self,
        record: &Record,
        mapping: &ObjectMapping,
        at: Timestamp,
        anchor: SourceAnchor,
    ) -> Result<Asked, NotFound> {
        if self.no_users_yet && record.kind == Kind::User {
            return Ok((Matched::Nobody, Vec::new()));
        }
        self.look_up(record, mapping, at, anchor, true).await
    }

    /// Asks the target now, whatever was known of it.
    pub(crate) async fn ask(
        &self,
        record: &Record,
        mapping: &ObjectMapping,
        at: Timestamp,
        anchor: SourceAnchor,
    ) -> Result<Asked, NotFound> {
        self.look_up(record, mapping, at, anchor, false).await
    }

    /// Looks by each matching attribute in the order of precedence (5.4).
    async fn look_up(
        &self,
        record: &Record,
        mapping: &ObjectMapping,
        at: Timestamp,
        anchor: SourceAnchor,
        known_will_do: bool,
    ) -> Result<Asked, NotFound> {
        let mut attempts = Vec::new();
        for attribute in mapping.matching() {
            let evaluate = |context: &Context<'_>| attribute.evaluate(&record.attributes, context);
            let value = self
                .basis
                .evaluate(anchor, at, &free, evaluate)
                .map_err(|problem| NotFound::Skip((&problem).into()))?
                .value
                .filter(|value| !value.is_empty());
            let Some(value) = value else { continue };
            let (gate, kind, path) = (self.gate, record.kind, &attribute.target);
            let found = if known_will_do {
                gate.find_known(kind, path, &value).await
            } else {
                gate.find(kind, path, &value).await
            };
            let mut found = found.map_err(NotFound::Error)?;
            attempts.push(Attempt {
                path: attribute.target.clone(),
                value: if attribute.redacted() {
                    Value::from(REDACTED)
                } else {
                    value
                },
                found: found.len(),
            });
            match found.len() {
                0 => {}
                1 => {
                    let object = found.remove(0);
                    return Ok((self.unless_taken(object, anchor).await?, attempts));
                }
                _ => return Ok((Matched::Several, attempts)),
            }
        }
        if attempts.is_empty() {
            let matching = mapping.matching();
            let attributes: Vec<&str> = matching
                .iter()
                .map(|attribute| attribute.target.as_str())
                .collect();
            let detail = format!(
                "the object has no value for any matching attribute ({}); fill it in the source or \
                 match by another attribute",
                attributes.join(", ")
            );
            Err(NotFound::Skip(Reason::new("ImportSkipped", detail)))
        } else {
            Ok((Matched::Nobody, attempts))
        }
    }

    pub(crate) async fn unless_taken(
        &self,
        object: TargetObject,
        anchor: SourceAnchor,
    ) -> Result<Matched, NotFound> {
        // Claimed before the store is asked: whoever held it until now has written its link.
        if !self.claims.claim(&object.id, anchor) {
            return Ok(Matched::Taken(object.id));
        }
        let (tenant, job, id) = (self.tenant, self.job, object.id.clone());
        let holder: Option<Link> = self
            .store
            .read(|tx| {
                Box::pin(
                    async move { muster_store::links::find_by_target(tx, tenant, job, &id).await },
                )
            })
            .await
            .map_err(NotFound::Store)?;
        Ok(match holder {
            Some(link) if link.anchor != anchor => Matched::Taken(object.id),
            _ => Matched::One(object),
        })
    }

    pub(crate) async fn read(&self, kind: Kind, link: &Link) -> Result<Current, NotFound> {
        match self.gate.read(kind, &link.target).await {
            Ok(object) => Ok(Current::There(object)),
            Err(TargetError::NotFound) => Ok(Current::Missing),
            Err(error) => Err(NotFound::Error(error)),
        }
    }
}

/// What was found out for `SelectUniqueValue`. An expression cannot wait for the target: it takes what
/// nobody asked about yet for free, and is evaluated again when the target has answered.
#[derive(Debug, Default)]
pub(crate) struct Uniqueness {
    known: RefCell<HashMap<(String, String), bool>>,
    open: RefCell<Option<(String, String)>>,
}

impl Uniqueness {
    /// Does the target hold this value at this path, as far as is known?
    pub(crate) fn is_taken(&self, path: &str, value: &str) -> bool {
        let asked = (path.to_owned(), value.to_owned());
        let known = self.known.borrow().get(&asked).copied();
        if known.is_none() {
            *self.open.borrow_mut() = Some(asked);
        }
        known.unwrap_or(false)
    }

    /// What the target must be asked before the last evaluation counts: a path and a value.
    pub(crate) fn open(&self) -> Option<(String, String)> {
        self.open.borrow_mut().take()
    }

    pub(crate) fn answered(&self, asked: (String, String), taken: bool) {
        self.known.borrow_mut().insert(asked, taken);
    }
}

/// Does a mapping take its matching value straight from an attribute that is unique in the source?
pub(crate) fn matches_uniquely(mapping: &ObjectMapping, is_unique: impl Fn(&str) -> bool) -> bool {
    match mapping.matching().as_slice() {
        [only] => {
            matches!(&only.source, MappingSource::Attribute(name) if is_unique(name))
        }
        _ => false,
    }
}

/// Is matching superfluous in this cycle, because the target says that it holds no users and no two
/// source users share their matching value? A target that learns of a user meanwhile answers a
/// create with a conflict, and then it is matched after all.
pub(crate) async fn no_users_yet(
    source: &dyn Source,
    gate: &Gate<'_>,
    rules: &CompiledSchema,
) -> Result<bool, EngineError> {
    let unique = matches_uniquely(&rules.user, |name| source.is_unique(Kind::User, name));
    Ok(unique && gate.is_empty(Kind::User).await?)
}
