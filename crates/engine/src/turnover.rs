//! Who would come into scope of a job, and who would leave it, if something were different: worked out in the
//! source alone, by the same judgement as in a cycle.

use std::collections::{HashMap, HashSet};

use muster_model::directory::Kind;
use muster_model::job::{Departure, Job, Scope};
use muster_model::link::SourceAnchor;
use muster_model::{JobId, TenantId};
use muster_rules::ObjectMapping;
use muster_rules::schema::CompiledSchema;
use muster_store::{jobs, schemas};

use crate::engine::{Engine, compile};
use crate::error::EngineError;
use crate::port::{Grant, Record};
use crate::scope::{Policy, judge};

/// Objects that are read at once.
const PORTION: u32 = 500;
/// Those that are named, of each kind of change.
const NAMED: usize = 50;

/// What is to be different. Nothing is, by default.
#[derive(Clone, Debug, Default)]
pub struct Proposed {
    /// The schema document, as JSON text.
    pub schema: Option<String>,
    /// Who is a candidate.
    pub scope: Option<Scope>,
    /// Further assignments, of objects of the source.
    pub grants: HashMap<(Kind, SourceAnchor), Vec<Grant>>,
    /// Assignments that they have no more.
    pub lost: HashMap<(Kind, SourceAnchor), Vec<Grant>>,
}

/// Objects that come or go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// How many users.
    pub users: u64,
    /// How many groups.
    pub groups: u64,
    /// The first of them: kind, id, name.
    pub first: Vec<(Kind, SourceAnchor, String)>,
}

impl Side {
    fn take(&mut self, record: Record) {
        match record.kind {
            Kind::User => self.users += 1,
            Kind::Group => self.groups += 1,
        }
        if self.first.len() < NAMED {
            self.first.push((record.kind, record.anchor, record.name));
        }
    }

    /// How many they are.
    pub const fn count(&self) -> u64 {
        self.users + self.groups
    }
}

/// Who would come and go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Turnover {
    /// Into scope.
    pub enter: Side,
    /// Out of it.
    pub leave: Side,
    /// How many stay in scope.
    pub stay: u64,
    /// How many there are of whom a filter cannot tell: they stay as they are.
    pub undecided: u64,
    /// How many nobody looks after any more, because their mapping is switched off or its input filters leave them
    /// out (4.5): their accounts stay as they are.
    pub released: u64,
    /// What becomes of the accounts of those who leave (5.5, 5.6).
    pub fate: Departure,
}

/// How somebody stands to a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    In,
    Out,
    /// Not looked at.
    Apart,
    Undecided,
}

fn standing((policy, mapping): Look<'_>, mut record: Record) -> Standing {
    let Some(mapping) = mapping else {
        return Standing::Apart;
    };
    match mapping.reads(&record.attributes) {
        Ok(true) => {}
        Ok(false) => return Standing::Apart,
        Err(_) => return Standing::Undecided,
    }
    let judged = judge(&mut record, policy, mapping);
    match judged.in_scope() {
        _ if judged.filter.problem.is_some() => Standing::Undecided,
        true => Standing::In,
        false => Standing::Out,
    }
}

impl Turnover {
    /// Looks at one object as it is judged now, and as it would be.
    fn look(&mut self, record: Record, now: Look<'_>, then: Look<'_>, proposed: &Proposed) {
        let was = standing(now, record.clone());
        let mut changed = record.clone();
        let of = (record.kind, record.anchor);
        if let Some(lost) = proposed.lost.get(&of) {
            changed.grants.retain(|grant| !lost.contains(grant));
        }
        changed
            .grants
            .extend(proposed.grants.get(&of).into_iter().flatten());
        match (was, standing(then, changed)) {
            (_, Standing::Undecided) => self.undecided += 1,
            (Standing::In, Standing::In) => self.stay += 1,
            (_, Standing::In) => self.enter.take(record),
            (Standing::In, Standing::Out) => self.leave.take(record),
            (Standing::In, Standing::Apart) => self.released += 1,
            _ => {}
        }
    }
}

/// By what an object is judged; without a mapping nobody of its kind is in scope.
type Look<'a> = (&'a Policy, Option<&'a ObjectMapping>);

fn mapping_of(rules: &CompiledSchema, kind: Kind) -> Option<&ObjectMapping> {
    match kind {
        Kind::User => Some(&rules.user).filter(|it| it.enabled),
        Kind::Group => rules.group.as_ref(),
    }
}

impl Engine {
    /// Who would come into scope of a job and who would leave it. Neither the target is asked, nor is anything
    /// written. Of assignments only those are looked at who get or lose one; of anything else, everybody.
    ///
    /// # Errors
    ///
    /// [`EngineError::Mappings`] when the proposed document does not compile.
    pub async fn turnover(
        &self,
        tenant: TenantId,
        id: JobId,
        proposed: Proposed,
    ) -> Result<Turnover, EngineError> {
        let (job, rules) = self.rules_of(tenant, id).await?;
        let source = self.options.connector.source(tenant, &job);
        let policy = Policy::new(&job.settings, source.has_roles().await?);
        let then_policy = Policy {
            scope: proposed.scope.unwrap_or(policy.scope),
            ..policy
        };
        let then_rules = proposed.schema.as_deref().map(compile).transpose()?;
        let is_of_everybody = then_rules.is_some() || proposed.scope.is_some();
        let mut turnover = Turnover {
            fate: if policy.skip_out_of_scope_deletions {
                Departure::Leave
            } else {
                policy.leaving.unassigned
            },
            ..Turnover::default()
        };
        for kind in [Kind::User, Kind::Group] {
            let now = (&policy, mapping_of(&rules, kind));
            let then_rules = then_rules.as_ref().unwrap_or(&rules);
            let then = (&then_policy, mapping_of(then_rules, kind));
            if is_of_everybody {
                let mut after = None;
                loop {
                    let page = source.page(kind, after, PORTION).await?;
                    let Some(last) = page.last() else { break };
                    after = Some(last.anchor);
                    for record in page {
                        turnover.look(record, now, then, &proposed);
                    }
                }
                continue;
            }
            let all = proposed.grants.keys().chain(proposed.lost.keys());
            let all: HashSet<SourceAnchor> = all
                .filter(|(of, _)| *of == kind)
                .map(|(_, anchor)| *anchor)
                .collect();
            let all = Vec::from_iter(all);
            for portion in all.chunks(PORTION as usize) {
                for record in source.read(kind, portion).await? {
                    turnover.look(record, now, then, &proposed);
                }
            }
        }
        Ok(turnover)
    }

    /// An object of the source as mappings see it, with the computed attribute `IsSoftDeleted` (3.6); `None` when
    /// it is gone for good. The target is not asked.
    pub async fn record(
        &self,
        tenant: TenantId,
        id: JobId,
        (kind, anchor): (Kind, SourceAnchor),
    ) -> Result<Option<Record>, EngineError> {
        let (job, rules) = self.rules_of(tenant, id).await?;
        let source = self.options.connector.source(tenant, &job);
        let policy = Policy::new(&job.settings, source.has_roles().await?);
        let mut found = source.read(kind, &[anchor]).await?.pop();
        if let (Some(record), Some(mapping)) = (&mut found, mapping_of(&rules, kind)) {
            judge(record, &policy, mapping);
        }
        Ok(found)
    }

    /// A job with the mappings that are in force.
    pub(crate) async fn rules_of(
        &self,
        tenant: TenantId,
        id: JobId,
    ) -> Result<(Job, CompiledSchema), EngineError> {
        let store = &self.options.store;
        let read = store.read::<_, EngineError, _>(|tx| {
            Box::pin(async move {
                let job = jobs::find(tx, tenant, id).await?;
                let job = job.ok_or(EngineError::NoSuchJob)?;
                Ok((job, schemas::current(tx, tenant, id).await?))
            })
        });
        let (job, schema) = read.await?;
        Ok((job, compile(&schema)?))
    }
}
