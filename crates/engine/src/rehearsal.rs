//! A cycle that writes nothing: what it would write is noted, and later look-ups see it.

use std::collections::{HashMap, HashSet};

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use muster_model::Value;
use muster_model::directory::Kind;
use muster_model::job::Held;
use muster_model::link::{SourceAnchor, TargetId};
use muster_model::plan::Request;
use muster_rules::schema::CompiledSchema;
use muster_rules::{AttributeMapping, MappingSource, ObjectMapping};
use parking_lot::Mutex;
use sha2::Sha256;

use crate::decide::Decision;
use crate::gate::{Concerned, Permit, Written, marks};
use crate::port::{Change, Target, TargetError, TargetObject, Write};

/// What stands for a value that is kept out of sight.
pub(crate) const REDACTED: &str = "[redacted]";

/// Before the id of the source object stands this, as long as the target has given none.
const PLANNED: &str = "planned-";

/// What would be written so far.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    seed: [u8; 32],
    /// Attributes whose values are kept out of sight.
    redacted: HashSet<(Kind, String)>,
    /// Attributes by which objects are looked for.
    sought: HashSet<(Kind, String)>,
    noted: Mutex<Noted>,
}

#[derive(Debug, Default)]
struct Noted {
    permit: Permit,
    requests: u64,
    /// Source objects for which something would be written.
    written: HashSet<SourceAnchor>,
    /// Who would have a value at the target by which objects are looked for.
    holders: HashMap<Place, Vec<TargetId>>,
    /// Who would have it no more.
    left: HashSet<(Place, TargetId)>,
    deleted: HashSet<TargetId>,
    entries: i64,
    /// More would be withdrawn than the guard allows.
    held: Option<Held>,
}

/// An attribute and its value, as targets compare them.
type Place = (Kind, String, String);

fn place(kind: Kind, path: &str, value: &Value) -> Place {
    let value = value
        .as_text()
        .map_or_else(|| format!("{value:?}"), str::to_lowercase);
    (kind, path.to_owned(), value)
}

impl Rehearsal {
    pub(crate) fn new(rules: &CompiledSchema, seed: [u8; 32]) -> Self {
        let (mut redacted, mut sought) = (HashSet::new(), HashSet::new());
        let mappings = [
            (Kind::User, Some(&rules.user)),
            (Kind::Group, rules.group.as_ref()),
        ];
        for (kind, mapping) in mappings {
            let Some(mapping) = mapping else { continue };
            let hidden = mapping.attributes.iter().filter(|it| it.redacted());
            redacted.extend(hidden.map(|it| (kind, it.target.clone())));
            sought.extend(looked_for(mapping).map(|path| (kind, path.to_owned())));
        }
        Self {
            seed,
            redacted,
            sought,
            noted: Mutex::default(),
        }
    }

    /// Notes a write, and answers it.
    pub(crate) fn note(
        &self,
        target: &dyn Target,
        concerned: Concerned<'_>,
        write: &Write<'_>,
    ) -> Result<Written, TargetError> {
        let Concerned { kind, anchor, .. } = concerned;
        let request = target.request(kind, write)?;
        let mut noted = self.noted.lock();
        noted.permit.extend(marks(concerned, write, &request));
        noted.requests += 1;
        let mut created = None;
        match write {
            Write::Create(values) => {
                let id = TargetId(format!("{PLANNED}{anchor}"));
                for (path, value) in *values {
                    self.holds(&mut noted, kind, (path, value), &id);
                }
                created = Some(id);
            }
            Write::Update(id, changes) => {
                for Change { path, old, new, .. } in *changes {
                    if self.sought.contains(&(kind, path.clone())) {
                        let before = (place(kind, path, old), (*id).clone());
                        noted.left.insert(before);
                    }
                    self.holds(&mut noted, kind, (path, new), id);
                }
            }
            Write::Delete(id) => {
                noted.deleted.insert((*id).clone());
            }
            Write::AddReferences(_) | Write::RemoveReferences(_) => {}
        }
        if matches!(
            write,
            Write::Create(_) | Write::Update(..) | Write::Delete(_)
        ) {
            noted.written.insert(anchor);
        }
        drop(noted);
        Ok(Written {
            created,
            noted: Some(self.shown(target, kind, write, request)?),
        })
    }

    /// What is done to an account that was looked at, with what it has now. What it loses is free.
    pub(crate) fn leaving<'r>(
        &self,
        kind: Kind,
        object: TargetObject,
        mut decision: Decision<'r>,
    ) -> Decision<'r> {
        if let Decision::Disable { changes, .. } = &mut decision {
            for change in changes {
                change.old = object.values.get(&change.path).cloned().unwrap_or_default();
                let is_sought = self.sought.contains(&(kind, change.path.clone()));
                if is_sought && change.old != change.new {
                    let before = (place(kind, &change.path, &change.old), object.id.clone());
                    self.noted.lock().left.insert(before);
                }
            }
        }
        decision
    }

    fn holds(&self, noted: &mut Noted, kind: Kind, (path, value): (&str, &Value), id: &TargetId) {
        if self.sought.contains(&(kind, path.to_owned())) {
            let place = place(kind, path, value);
            noted.left.remove(&(place.clone(), id.clone()));
            noted.holders.entry(place).or_default().push(id.clone());
        }
    }

    /// A request without the values that nobody is to see.
    fn shown(
        &self,
        target: &dyn Target,
        kind: Kind,
        write: &Write<'_>,
        request: Request,
    ) -> Result<Request, TargetError> {
        let hidden = |path: &str| self.redacted.contains(&(kind, path.to_owned()));
        let mask = |path: &str, value: &Value| {
            if hidden(path) && !value.is_null() {
                Value::from(REDACTED)
            } else {
                value.clone()
            }
        };
        let shown = match *write {
            Write::Create(values) if values.iter().any(|(path, _)| hidden(path)) => {
                let masked: Vec<(&str, Value)> = values
                    .iter()
                    .map(|(path, value)| (*path, mask(path, value)))
                    .collect();
                target.request(kind, &Write::Create(&masked))?
            }
            Write::Update(id, changes) if changes.iter().any(|it| hidden(&it.path)) => {
                let mask = |it: &Change| Change {
                    new: mask(&it.path, &it.new),
                    ..it.clone()
                };
                let masked: Vec<Change> = changes.iter().map(mask).collect();
                target.request(kind, &Write::Update(id, &masked))?
            }
            _ => return Ok(request),
        };
        Ok(Request {
            digest: Some(self.digest(request.body.as_deref().unwrap_or_default())),
            ..shown
        })
    }

    /// A digest that says nothing to who does not know the seed.
    fn digest(&self, body: &str) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.seed) else {
            return String::new();
        };
        mac.update(body.as_bytes());
        HEXLOWER.encode(&mac.finalize().into_bytes())
    }

    /// Takes out of what the target found those that would not be found any more; answers who would be
    /// found besides.
    pub(crate) fn correct(
        &self,
        kind: Kind,
        path: &str,
        value: &Value,
        found: &mut Vec<TargetObject>,
    ) -> Vec<TargetId> {
        let (noted, place) = (self.noted.lock(), place(kind, path, value));
        found.retain(|it| {
            !noted.deleted.contains(&it.id) && !noted.left.contains(&(place.clone(), it.id.clone()))
        });
        let holders = noted.holders.get(&place).into_iter().flatten();
        let stays = |id: &&TargetId| {
            !noted.deleted.contains(*id)
                && !noted.left.contains(&(place.clone(), (*id).clone()))
                && !found.iter().any(|it| it.id == **id)
        };
        let mut besides: Vec<TargetId> = holders.filter(stays).cloned().collect();
        besides.dedup();
        besides
    }

    /// The object with this id, when it would be created. Nothing is known of it but that it is there.
    pub(crate) fn created(id: &TargetId) -> Option<TargetObject> {
        id.0.starts_with(PLANNED).then(|| TargetObject {
            id: id.clone(),
            values: muster_model::Attributes::new(),
            absent: Vec::new(),
        })
    }

    /// Would something be written for this object?
    pub(crate) fn has_written(&self, anchor: SourceAnchor) -> bool {
        self.noted.lock().written.contains(&anchor)
    }

    /// The next number of an operation.
    pub(crate) fn number(&self) -> i64 {
        let mut noted = self.noted.lock();
        noted.entries += 1;
        noted.entries
    }

    /// The guard would hold the job.
    pub(crate) fn held(&self, held: Held) {
        self.noted.lock().held = Some(held);
    }

    /// What was noted: the writes, how many requests they are, and whether the guard would hold the job.
    pub(crate) fn end(self) -> (Permit, u64, Option<Held>) {
        let noted = self.noted.into_inner();
        (noted.permit, noted.requests, noted.held)
    }
}

/// Target attributes by which objects are looked for: to match them, or to find out whether a value is
/// taken.
fn looked_for(mapping: &ObjectMapping) -> impl Iterator<Item = &str> {
    let matching = mapping.matching().into_iter();
    let unique = mapping
        .attributes
        .iter()
        .filter(|it| selects_unique_value(it));
    matching.chain(unique).map(|it| it.target.as_str())
}

/// Does a mapping ask the target whether a value is free?
pub(crate) fn selects_unique_value(attribute: &AttributeMapping) -> bool {
    match &attribute.source {
        MappingSource::Expression(expression) => expression.selects_unique_value(),
        MappingSource::Attribute(_) | MappingSource::Constant(_) | MappingSource::None => false,
    }
}
