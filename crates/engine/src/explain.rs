//! Why an object is provisioned as it is, step by step.
//!
//! The object goes the way of every cycle ([`crate::object`]), with its writes noted and not sent and
//! nothing written down; what is told besides is what was seen on that way.

use std::sync::Arc;

use muster_model::directory::Kind;
use muster_model::event::{Action, Status};
use muster_model::job::{Scope, Withdrawal};
use muster_model::link::{Link, LinkState, SourceAnchor};
use muster_model::plan::Operation;
use muster_model::{CycleId, JobId, TenantId, Value};
use muster_rules::{Apply, Context, MappingSource, ObjectMapping};
use muster_store::escrows::{self, Escrow};
use muster_store::references::{self, State};
use muster_store::{StoreError, held_back, intents, links};

use crate::basis::{Basis, free};
use crate::claims::Claims;
use crate::decide::Cause;
use crate::engine::{Engine, Kept};
use crate::error::EngineError;
use crate::gate::{Gate, Mode};
use crate::guard::Cleared;
use crate::intents::intents as intent_channel;
use crate::object::{Path, Work};
use crate::port::{Record, Source};
use crate::rehearsal::{REDACTED, Rehearsal};
use crate::scope::{Judged, Policy, judge};

/// Why an object is provisioned as it is.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// User or group.
    pub kind: Kind,
    /// Import: the object in the source; `None` when it is gone for good.
    pub record: Option<Record>,
    /// What entitles it, in plain words; nothing when everybody is a candidate.
    pub entitled_by: Vec<String>,
    /// Scope: each test with its answer. `None` when it is gone.
    pub judged: Option<Judged>,
    /// The input filters of the mapping leave it out: nothing about it is looked at (4.5).
    pub left_out: bool,
    /// Match: its link.
    pub link: Option<Link>,
    /// What else was found out about the account, in order: the name of the step and what it says.
    pub steps: Vec<muster_model::event::Step>,
    /// Map: what each attribute mapping gives.
    pub mapped: Vec<MappedTo>,
    /// Decide: what the next cycle would do about it, and why.
    pub operation: Operation,
    /// Its references at the target: attribute, state, how many.
    pub references: Vec<(String, State, u64)>,
    /// A failure of before, and when it is tried again.
    pub escrow: Option<Escrow>,
    /// The guard holds back what would be done.
    pub held: Option<Withdrawal>,
    /// The smallest changes that would turn the decision about its scope around; each of them suffices.
    pub flips: Vec<String>,
}

/// What one attribute mapping gives.
#[derive(Clone, Debug)]
pub struct MappedTo {
    /// The attribute at the target.
    pub target: String,
    /// Where its value comes from, as it is written.
    pub source: String,
    /// Its value, or why there is none.
    pub value: Result<Value, String>,
    /// When it applies.
    pub apply: Apply,
    /// Takes part in matching.
    pub matching: Option<u32>,
}

impl Engine {
    /// Explains an object of the source, as the next cycle would see it now. Nothing is written, neither
    /// here nor at the target. `None` when nothing is known of it on either side.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::run`]; a failure of this one object is part of the explanation.
    pub async fn explain(
        &self,
        tenant: TenantId,
        job: JobId,
        kind: Kind,
        anchor: SourceAnchor,
    ) -> Result<Option<Explanation>, EngineError> {
        let loaded = self.load(tenant, job).await?;
        let mut kept = Kept::default();
        let opened = self.open(tenant, &loaded, &mut kept).await?;
        let source: Arc<dyn Source> = Arc::from(self.options.connector.source(tenant, &loaded.job));
        let policy = Policy::new(&loaded.job.settings, source.has_roles().await?);
        let mapping = match (kind, &opened.rules.group) {
            (Kind::User, _) => &opened.rules.user,
            (Kind::Group, Some(group)) => group,
            (Kind::Group, None) => {
                return Err(EngineError::Mappings(
                    "groups are not provisioned: their mapping is switched off".to_owned(),
                ));
            }
        };
        let store = &self.options.store;
        let (link, intent, references, escrow, held) = store
            .read::<_, StoreError, _>(|tx| {
                Box::pin(async move {
                    let one = [anchor];
                    let held = held_back::find(tx, tenant, job, anchor).await?;
                    Ok((
                        links::of(tx, tenant, job, &one).await?.pop(),
                        intents::of(tx, tenant, job, &one).await?.pop(),
                        references::tally(tx, tenant, job, anchor).await?,
                        escrows::find(tx, tenant, job, anchor).await?,
                        held.filter(|it| !it.allowed),
                    ))
                })
            })
            .await?;
        let link = link.filter(|it| it.kind == kind);
        let mut record = source.read(kind, &[anchor]).await?.pop();
        if record.is_none() && link.is_none() && intent.is_none() {
            return Ok(None);
        }
        let left_out = record
            .as_ref()
            .is_some_and(|it| matches!(mapping.reads(&it.attributes), Ok(false)));
        let basis = Basis::fresh();
        let mode = Mode::Rehearsed(Box::new(Rehearsal::new(&opened.rules, basis.seed)));
        let (claims, cleared) = (Claims::default(), Cleared::Everything);
        let (noted, _noting) = intent_channel();
        let path = Path {
            store,
            clock: &self.options.clock,
            gate: &Gate {
                target: &*opened.target,
                limiter: &opened.limiter,
                mode: &mode,
            },
            policy,
            basis: &basis,
            tenant,
            job,
            cycle: CycleId::new(),
            no_users_yet: false,
            claims: &claims,
            cleared: &cleared,
            intents: noted,
        };
        let work = Work {
            kind,
            anchor,
            record: record.clone(),
            link: link.clone(),
            cause: Cause::Attributes,
            intent: intent.filter(|it| it.kind == kind),
        };
        let outcome = Box::pin(path.carry(work, mapping)).await?;
        let judged = record.as_mut().map(|it| judge(it, &policy, mapping));
        let (operation, steps) = match outcome.event {
            Some(entry) => entry.told(),
            None => (
                silent(
                    kind,
                    anchor,
                    (record.as_ref(), judged.as_ref()),
                    link.as_ref(),
                    left_out,
                ),
                Vec::new(),
            ),
        };
        let now = self.options.clock.now();
        let evaluate = |context: &Context<'_>| {
            let record = record.as_ref();
            record.map_or_else(Vec::new, |record| mapped(record, mapping, context))
        };
        let mapped = basis.evaluate(anchor, now, &free, evaluate);
        let entitled_by = match &record {
            Some(record) if policy.scope == Scope::AssignedOnly => {
                entitled_by(&*source, record).await?
            }
            _ => Vec::new(),
        };
        let flips = match (&record, &judged) {
            (Some(record), Some(judged)) => flips(record, judged, policy, mapping, &entitled_by),
            _ => Vec::new(),
        };
        Ok(Some(Explanation {
            kind,
            record,
            entitled_by,
            judged,
            left_out,
            link,
            steps,
            mapped,
            operation,
            references,
            escrow,
            held,
            flips,
        }))
    }
}

/// What there is to say of an object of which a cycle says nothing.
fn silent(
    kind: Kind,
    anchor: SourceAnchor,
    (record, judged): (Option<&Record>, Option<&Judged>),
    link: Option<&Link>,
    left_out: bool,
) -> Operation {
    let state = link.map(|link| link.state);
    let scope = judged.map_or_else(String::new, Judged::reason);
    let (code, reason) = match (left_out, state) {
        (true, _) => (
            "EntrySynchronizationSkipped",
            "the input filters of the mapping leave it out: nothing about it is looked at"
                .to_owned(),
        ),
        (_, Some(LinkState::Released)) => (
            "NotEffectivelyEntitled",
            format!("it left scope before, and its account is not managed any more: {scope}"),
        ),
        (_, Some(LinkState::Disabled)) => (
            "NotEffectivelyEntitled",
            format!("its account is disabled already: {scope}"),
        ),
        (_, Some(LinkState::Managed)) => {
            ("RedundantExport", "both sides are equal already".to_owned())
        }
        (_, None) => (
            "NotEffectivelyEntitled",
            format!("not provisioned: {scope}"),
        ),
    };
    Operation {
        kind,
        source: anchor,
        name: record.map_or_else(|| anchor.to_string(), |record| record.name.clone()),
        target: link.map(|link| link.target.clone()),
        action: Action::Other,
        status: Status::Skipped,
        code: code.to_owned(),
        reason,
        modified: Vec::new(),
        requests: Vec::new(),
    }
}

/// What each attribute mapping gives for an object.
fn mapped(record: &Record, mapping: &ObjectMapping, context: &Context<'_>) -> Vec<MappedTo> {
    let one = |attribute: &muster_rules::AttributeMapping| {
        let source = match &attribute.source {
            MappingSource::Attribute(name) => format!("[{name}]"),
            MappingSource::Constant(text) => format!("{text:?}"),
            MappingSource::Expression(expression) => expression.to_string(),
            MappingSource::None => "nothing".to_owned(),
        };
        let value = match attribute.evaluate(&record.attributes, context) {
            Err(problem) => Err(problem.to_string()),
            Ok(_) if attribute.redacted() => Ok(Value::from(REDACTED)),
            Ok(mapped) if mapped.skip => Err("left out of the flow".to_owned()),
            Ok(mapped) => Ok(mapped.value.or(mapped.default).unwrap_or_default()),
        };
        MappedTo {
            target: attribute.target.clone(),
            source,
            value,
            apply: attribute.apply,
            matching: attribute.matching,
        }
    };
    let attributes = mapping.attributes.iter().filter(|it| !it.is_reference());
    attributes.map(one).collect()
}

/// What entitles an object, in plain words.
async fn entitled_by(source: &dyn Source, record: &Record) -> Result<Vec<String>, EngineError> {
    let groups: Vec<SourceAnchor> = record.grants.iter().filter_map(|it| it.via).collect();
    let names = source.names(Kind::Group, &groups).await?;
    let mut said: Vec<String> = record
        .grants
        .iter()
        .map(|grant| match grant.via {
            None => "its own assignment".to_owned(),
            Some(group) => {
                let named = names.iter().find(|(anchor, _)| *anchor == group);
                let name = named.map_or_else(|| group.to_string(), |(_, name)| name.clone());
                format!("the assignment of the group {name}")
            }
        })
        .collect();
    said.sort();
    said.dedup();
    Ok(said)
}

/// The smallest changes that would turn the decision about the scope around.
fn flips(
    record: &Record,
    judged: &Judged,
    policy: Policy,
    mapping: &ObjectMapping,
    entitled_by: &[String],
) -> Vec<String> {
    let filters: Vec<String> = mapping
        .filters
        .flip(&record.attributes)
        .iter()
        .map(ToString::to_string)
        .collect();
    if judged.in_scope() {
        // Each of these takes it out.
        let mut all = Vec::new();
        if policy.scope == Scope::AssignedOnly {
            all.push(format!("{} ends", entitled_by.join(" and ")));
        }
        if !filters.is_empty() {
            all.push(filters.join(" and "));
        }
        all.push("it is disabled or deleted in the directory".to_owned());
        return all;
    }
    // All of these are needed.
    let mut needed = Vec::new();
    if !judged.active {
        needed.push("it is enabled, or restored, in the directory".to_owned());
    }
    if !judged.assigned {
        let whom = match record.kind {
            Kind::User => "it, or a group in which it is,",
            Kind::Group => "it",
        };
        needed.push(format!("{whom} is assigned to the application"));
    } else if !judged.role {
        needed.push("it is assigned one of the application's own roles".to_owned());
    }
    if !judged.filter.passed {
        needed.extend(filters);
    }
    if needed.is_empty() {
        return needed;
    }
    vec![needed.join(" and ")]
}
