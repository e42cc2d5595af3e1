//! Why an object is provisioned as it is, step by step.
//!
//! The object goes the way of every cycle ([`crate::object`]), with its writes noted and not sent and
//! nothing written down; what is told besides is what was seen on that way.

use std::sync::Arc;

use muster_model::directory::Kind;
use muster_model::event::{Action, Status};
use muster_model::exchange::Keep;
use muster_model::job::{JobStatus, Scope, Withdrawal};
use muster_model::link::{Link, LinkState, SourceAnchor};
use muster_model::plan::Operation;
use muster_model::{CycleId, JobId, RoleId, TenantId, Value};
use muster_rules::{Apply, Context, MappingSource, ObjectMapping};
use muster_store::escrows::{self, Escrow};
use muster_store::references::{self, State};
use muster_store::{Store, StoreError, held_back, intents, links};

use crate::basis::{Basis, free};
use crate::claims::Claims;
use crate::decide::Cause;
use crate::engine::{Engine, Kept};
use crate::error::EngineError;
use crate::gate::{Gate, Mode};
use crate::guard::Cleared;
use crate::intents::intents as intent_channel;
use crate::limit::Rank;
use crate::object::{Path, Work};
use crate::outcome::Hidden;
use crate::port::{Grant, Record, Source};
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
    /// Is the job running at all?
    pub status: JobStatus,
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
        // What was about to be done comes to its end, whatever the input filters say.
        let reads = |it: &Record| matches!(mapping.reads(&it.attributes), Ok(false));
        let left_out = intent.is_none() && record.as_ref().is_some_and(reads);
        let now = self.options.clock.now();
        let basis = Basis {
            at: Some(now),
            ..Basis::fresh()
        };
        let mode = Mode::Rehearsed(Box::new(Rehearsal::new(&opened.rules, basis.seed)));
        let (claims, cleared) = (Claims::default(), Cleared::Everything);
        let (noted, _noting) = intent_channel();
        let path = Path {
            store,
            clock: &self.options.clock,
            gate: &Gate {
                target: &*opened.target,
                limiter: &opened.limiter,
                rank: Rank::Ordinary,
                mode: &mode,
                keep: Keep::None,
                prefetch: None,
            },
            policy,
            basis: &basis,
            tenant,
            job,
            cycle: CycleId::new(),
            no_users_yet: false,
            claims: &claims,
            cleared: &cleared,
            withdraws_only: false,
            is_asked_for: false,
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
        let mut judged = record.as_mut().map(|it| judge(it, &policy, mapping));
        let (operation, steps) = match outcome.event {
            Some(entry) => entry.told(),
            // What was judged says it all.
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
        let evaluate = |context: &Context<'_>| {
            let record = record.as_ref();
            record.map_or_else(Vec::new, |record| mapped(record, mapping, context))
        };
        let mut mapped = basis.evaluate(anchor, now, &free, evaluate);
        for it in &mut mapped {
            // What was chosen is chosen, because the target was asked.
            let chosen = operation.modified.iter().find(|set| set.name == it.target);
            if let (Some(chosen), Ok(value)) = (chosen, &mut it.value) {
                chosen.new.clone_into(value);
            }
        }
        let entitled_by = match &record {
            Some(record) if policy.scope == Scope::AssignedOnly => {
                entitled_by(&*source, record, policy).await?
            }
            _ => Vec::new(),
        };
        let flips = match (&record, &judged) {
            (Some(record), _) if left_out => brought_in(record, mapping),
            (Some(record), Some(judged)) => flips(record, judged, policy, mapping, &entitled_by),
            _ => Vec::new(),
        };
        let references = match &record {
            Some(record) if kind == Kind::User => {
                standings(store, (tenant, job), record, &outcome.references).await?
            }
            _ => references,
        };
        hide(mapping, record.as_mut(), judged.as_mut());
        let withdraws = matches!(operation.action, Action::Disable | Action::Delete);
        let held = held.filter(|it| withdraws && operation.target.as_ref() == Some(&it.target));
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
            status: loaded.job.status.clone(),
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
            format!("it left scope before, and is not managed any more: {scope}"),
        ),
        (_, Some(LinkState::Leaving)) => (
            "NotEffectivelyEntitled",
            format!("it left scope before, and is deleted when its grace is over: {scope}"),
        ),
        (_, Some(LinkState::Disabled)) => (
            "NotEffectivelyEntitled",
            format!("it left scope before; the log says what was sent then: {scope}"),
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
            Ok(mapped) if mapped.skip => Err("left out of the flow".to_owned()),
            Ok(mapped) => Ok(match mapped.value.or(mapped.default) {
                Some(value) if attribute.redacted() && !value.is_empty() => Value::from(REDACTED),
                value => value.unwrap_or_default(),
            }),
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
async fn entitled_by(
    source: &dyn Source,
    record: &Record,
    policy: Policy,
) -> Result<Vec<String>, EngineError> {
    let counts =
        |grant: &&Grant| !policy.exclude_default_access || grant.role != RoleId::DEFAULT_ACCESS;
    let mut grants: Vec<&Grant> = record.grants.iter().filter(counts).collect();
    if grants.is_empty() {
        // They are all there is.
        grants.extend(&record.grants);
    }
    let groups: Vec<SourceAnchor> = grants.iter().filter_map(|it| it.via).collect();
    let names = source.names(Kind::Group, &groups).await?;
    let mut said: Vec<String> = grants
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

/// What would make the input filters let an object through.
fn brought_in(record: &Record, mapping: &ObjectMapping) -> Vec<String> {
    let filters = [&mapping.input_filters, &mapping.category_filters];
    let shut = filters
        .into_iter()
        .filter(|it| !it.evaluate(&record.attributes).passed);
    let needed: Vec<String> = shut
        .flat_map(|it| it.flip(&record.attributes))
        .map(|flip| flip.to_string())
        .collect();
    if needed.is_empty() {
        return Vec::new();
    }
    vec![needed.join(" and ")]
}

/// Takes out what the log would not tell: attributes that redacted mappings read (AM-20).
fn hide(mapping: &ObjectMapping, record: Option<&mut Record>, judged: Option<&mut Judged>) {
    let Some(record) = record else { return };
    let hidden = Hidden::of(mapping, &record.attributes);
    let shown = record.attributes.iter();
    let names: Vec<String> = shown
        .filter(|(name, value)| !value.is_empty() && hidden.hides(name, value))
        .map(|(name, _)| name.clone())
        .collect();
    let clauses = judged.into_iter().flat_map(|it| &mut it.filter.clauses);
    for clause in clauses.filter(|it| hidden.hides(&it.attribute, &it.seen)) {
        if !clause.seen.is_empty() {
            clause.seen = Value::from(REDACTED);
        }
    }
    for name in names {
        record.attributes.set(&name, REDACTED);
    }
}

/// How the single references of an object stand, and how they should.
async fn standings(
    store: &Store,
    (tenant, job): (TenantId, JobId),
    record: &Record,
    wanted: &[(&'static str, Option<SourceAnchor>)],
) -> Result<Vec<(String, State, u64)>, StoreError> {
    let mut all = Vec::new();
    let owner = record.anchor;
    for (attribute, wanted) in wanted {
        let (known, linked) = store
            .read::<_, StoreError, _>(|tx| {
                Box::pin(async move {
                    let known =
                        references::of(tx, tenant, job, owner, attribute, None, 100).await?;
                    let wanted: Vec<SourceAnchor> = wanted.iter().copied().collect();
                    Ok((known, links::of(tx, tenant, job, &wanted).await?.pop()))
                })
            })
            .await?;
        let mut tell = |state| all.push(((*attribute).to_owned(), state, 1));
        if let Some(wanted) = wanted {
            let standing = known.iter().find(|(referred, _)| referred == wanted);
            let target = linked.as_ref().map(|link| &link.target);
            match standing {
                Some((_, standing)) if standing.is_at_target(target) => tell(State::Exported),
                Some((_, standing)) if standing.state == State::Refused => tell(State::Refused),
                _ if target.is_some() => tell(State::Add),
                _ => tell(State::Waiting),
            }
        }
        let gone = known
            .iter()
            .filter(|(referred, _)| Some(*referred) != *wanted);
        let held = [State::Exported, State::Remove, State::Sending];
        for _ in gone.filter(|(_, standing)| held.contains(&standing.state)) {
            tell(State::Remove);
        }
    }
    Ok(all)
}

/// The smallest changes that would turn the decision about the scope around; each suffices.
fn flips(
    record: &Record,
    judged: &Judged,
    policy: Policy,
    mapping: &ObjectMapping,
    entitled_by: &[String],
) -> Vec<String> {
    if judged.filter.problem.is_some() {
        // Nobody knows.
        return Vec::new();
    }
    let filters: Vec<String> = mapping
        .filters
        .flip(&record.attributes)
        .iter()
        .map(ToString::to_string)
        .collect();
    if judged.in_scope() {
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
    if !judged.entitled() {
        let role = if policy.exclude_default_access {
            ", with one of the application's own roles"
        } else {
            ""
        };
        needed.push(match record.kind {
            Kind::User => format!(
                "it, or a security-enabled group in which it is, is assigned to the application{role}"
            ),
            Kind::Group => {
                format!("it is security-enabled and assigned to the application{role}")
            }
        });
    }
    if !judged.filter.passed {
        if filters.is_empty() {
            // No change of the object does it.
            return Vec::new();
        }
        needed.extend(filters);
    }
    vec![needed.join(" and ")]
}
