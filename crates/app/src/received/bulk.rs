//! Bulk requests: each group of operations is a part of a transaction that stands or falls, and
//! several groups share the transaction (RFC 7644 section 3.7).

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::future::BoxFuture;
use muster_model::integration::ResourceKind;
use muster_model::{ResourceId, Timestamp};
use muster_scim::dialect::Findings;
use muster_scim::message::PATCH_OP;
use muster_scim::meta::tagged_version;
use muster_scim::{BulkOperation, BulkRequest, Map, ScimError};
use muster_store::resources::{self, Resource};
use muster_store::{StoreError, Tx};
use serde_json::{Value, json};

use crate::received::write::Step;
use crate::received::{Caller, Fault, Precondition, Profile, Provider, parse_id};

/// Operations of one transaction: enough for a commit to cost little, few enough not to hold up others.
const AT_ONCE: usize = 100;
/// The same when all of them only create, which is quicker and on PostgreSQL in nobody's way.
const NEW_AT_ONCE: usize = 250;

/// What became of one operation of a bulk request.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkDone {
    /// Its place in the request.
    pub at: usize,
    /// The resource that it was about, as far as there is one.
    pub target: Option<(ResourceKind, String)>,
    /// The version that the resource has now, or what went wrong.
    pub result: Result<i64, ScimError>,
}

impl Provider {
    /// Runs a bulk request; answers what was tried, in the order of the request. What is run loses its data.
    pub async fn bulk(
        &self,
        caller: &Caller,
        request: &mut BulkRequest,
    ) -> Result<Vec<BulkDone>, ScimError> {
        caller.may_write()?;
        let created = request.operations.iter().filter_map(BulkOperation::created);
        let mut ids = HashMap::with_capacity(request.operations.len());
        ids.extend(created.map(|bulk_id| (bulk_id.to_owned(), ResourceId::new())));
        let mut done: Vec<BulkDone> = Vec::with_capacity(request.operations.len());
        let mut so_far = SoFar {
            failed: HashSet::new(),
            left: request.fail_on_errors,
        };
        let posts = request.operations.iter().all(|it| it.method == "POST");
        let most = if posts && !request.refers() && is_unlimited(caller, request) {
            NEW_AT_ONCE
        } else {
            AT_ONCE
        };
        let mut groups = request.groups().into_iter().peekable();
        while groups.peek().is_some() && so_far.left != Some(0) {
            let (mut some, mut count) = (Vec::new(), 0);
            while let Some(group) =
                groups.next_if(|group| count == 0 || count + group.len() <= most)
            {
                count += group.len();
                some.push(group);
            }
            let tried = self
                .bulk_part(caller, request, &ids, &some, so_far.clone())
                .await;
            for one in &tried {
                so_far.note(one.result.is_ok(), request.operations[one.at].created());
            }
            done.extend(tried);
        }
        done.sort_by_key(|done| done.at);
        Ok(done)
    }

    /// Runs some groups in one transaction.
    async fn bulk_part(
        &self,
        caller: &Caller,
        request: &mut BulkRequest,
        ids: &HashMap<String, ResourceId>,
        groups: &[Vec<usize>],
        so_far: SoFar,
    ) -> Vec<BulkDone> {
        let (profile, now) = (Arc::clone(&caller.profile), self.clock.now());
        let mut seen = Findings::default();
        let mut prepare = |at: &usize| {
            let operation = &mut request.operations[*at];
            Prepared::new(&profile, *at, operation, ids, now, &mut seen)
        };
        let prepared: Vec<Vec<Prepared>> = groups
            .iter()
            .map(|group| group.iter().map(&mut prepare).collect())
            .collect();
        self.observe(caller, &seen);
        let is_new = is_unlimited(caller, request) && only_creates(&prepared);
        let part = Part {
            provider: self.clone(),
            profile,
            now,
            groups: prepared,
            is_new,
            so_far,
        };
        // What is new is refused, if at all, before it is written.
        let written = if is_new {
            self.store.write_at_once(|tx| part.write(tx)).await
        } else {
            self.store.write(|tx| part.write(tx)).await
        };
        written.unwrap_or_else(|fault| {
            let error = ScimError::from(fault);
            let told = groups.iter().flatten().map(|at| BulkDone {
                at: *at,
                target: None,
                result: Err(error.clone()),
            });
            told.collect()
        })
    }
}

/// Groups of operations that share a transaction.
struct Part {
    provider: Provider,
    profile: Arc<Profile>,
    now: Timestamp,
    groups: Vec<Vec<Prepared>>,
    /// Do they only create, so that each stands or falls alone?
    is_new: bool,
    so_far: SoFar,
}

impl Part {
    fn write<'a>(self, tx: &'a mut Tx<'static>) -> BoxFuture<'a, Result<Vec<BulkDone>, Fault>> {
        Box::pin(async move {
            let (profile, mut so_far) = (self.profile, self.so_far);
            if self.is_new {
                resources::foresee(tx, profile.place, &created(&self.groups)).await?;
            } else {
                resources::wait_for_everything(tx, profile.place).await?;
            }
            let mut done = Vec::new();
            for group in self.groups {
                let steps = group.iter().filter_map(|one| one.step.as_ref().ok());
                for (step, _) in steps {
                    step.forget_after(&self.provider, tx, profile.place);
                }
                if so_far.left == Some(0) {
                    break;
                }
                done.extend(run_group(tx, &profile, self.now, group, &mut so_far).await?);
            }
            Ok(done)
        })
    }
}

/// May any number be created, whatever else is refused?
fn is_unlimited(caller: &Caller, request: &BulkRequest) -> bool {
    request.fail_on_errors.is_none() && caller.profile.settings.max_resources.is_none()
}

/// Is nothing else done, and does nothing refer to anything? In whatever order, it comes to the same, and is in
/// nobody's way.
fn only_creates(groups: &[Vec<Prepared>]) -> bool {
    groups.iter().flatten().all(|one| match &one.step {
        Ok((Step::Create(..), _)) => one.about.needs.is_empty(),
        Ok(_) => false,
        Err(_) => true,
    })
}

/// What is created.
fn created(groups: &[Vec<Prepared>]) -> Vec<&Resource> {
    let steps = groups.iter().flatten().map(|one| &one.step);
    let created = steps.filter_map(|step| match step {
        Ok((Step::Create(resource, ..), _)) => Some(&**resource),
        _ => None,
    });
    created.collect()
}

/// What went wrong so far, as far as it matters for what comes.
#[derive(Clone, Debug)]
struct SoFar {
    /// What was not created.
    failed: HashSet<String>,
    /// How many errors may still happen.
    left: Option<u64>,
}

impl SoFar {
    fn note(&mut self, went_well: bool, bulk_id: Option<&str>) {
        if !went_well {
            self.left = self.left.map(|left| left.saturating_sub(1));
            self.failed.extend(bulk_id.map(str::to_owned));
        }
    }
}

/// An operation, as far as it can be prepared without the store.
struct Prepared {
    about: About,
    step: Result<(Step, Precondition), ScimError>,
}

/// Which operation it is, and what it is about.
struct About {
    at: usize,
    bulk_id: Option<String>,
    /// What it refers to.
    needs: Vec<String>,
    target: Option<(ResourceKind, String)>,
}

impl Prepared {
    fn new(
        profile: &Profile,
        at: usize,
        operation: &mut BulkOperation,
        ids: &HashMap<String, ResourceId>,
        now: Timestamp,
        seen: &mut Findings,
    ) -> Self {
        let mut target = None;
        let needs: Vec<String> = operation.references().map(str::to_owned).collect();
        let step = prepare(profile, operation, ids, now, (&mut target, seen));
        let bulk_id = operation.created().map(str::to_owned);
        let about = About {
            at,
            bulk_id,
            needs,
            target,
        };
        Self { about, step }
    }
}

impl About {
    fn done(self, result: Result<i64, ScimError>) -> BulkDone {
        // What was not created has no address.
        let created = self.bulk_id.is_some();
        BulkDone {
            at: self.at,
            target: self.target.filter(|_| result.is_ok() || !created),
            result,
        }
    }
}

fn prepare(
    profile: &Profile,
    operation: &mut BulkOperation,
    ids: &HashMap<String, ResourceId>,
    now: Timestamp,
    (target, seen): (&mut Option<(ResourceKind, String)>, &mut Findings),
) -> Result<(Step, Precondition), ScimError> {
    operation.resolve(&|bulk_id| ids.get(bulk_id).map(ToString::to_string))?;
    let (kind, id) = place_of(profile, &operation.path)?;
    *target = id.map(|id| (kind, id.to_owned()));
    let precondition = match &operation.version {
        Some(tag) => Precondition::Versions(tagged_version(tag).into_iter().collect()),
        None => Precondition::None,
    };
    let body = match std::mem::take(&mut operation.data) {
        Value::Object(body) => Ok(body),
        // The RFC's own example gives the operations of a PATCH alone (7644 section 3.7.3).
        Value::Array(operations) if operation.method == "PATCH" => Ok(Map::from_iter([(
            "Operations".to_owned(),
            Value::Array(operations),
        )])),
        _ => Err(ScimError::invalid_syntax("data must be a JSON object")),
    };
    let step = match (operation.method.as_str(), id) {
        ("POST", None) => {
            let id = operation.bulk_id.as_deref().and_then(|it| ids.get(it));
            let id = *id.ok_or_else(|| ScimError::invalid_value("a POST needs a bulkId"))?;
            *target = Some((kind, id.to_string()));
            Step::create(profile, kind, id, body?, now, seen)?
        }
        ("PUT", Some(id)) => {
            Step::replace(profile, kind, parse_id(profile, kind, id)?, body?, seen)?
        }
        ("PATCH", Some(id)) => {
            let mut body = body?;
            if !body.keys().any(|name| name.eq_ignore_ascii_case("schemas")) {
                body.insert("schemas".to_owned(), json!([PATCH_OP]));
            }
            Step::patch(profile, kind, parse_id(profile, kind, id)?, body, seen)?
        }
        ("DELETE", Some(id)) => Step::Delete(kind, parse_id(profile, kind, id)?),
        ("POST" | "PUT" | "PATCH" | "DELETE", _) => {
            return Err(ScimError::method_not_allowed(format!(
                "{} is not for the path {}",
                operation.method,
                shown(&operation.path)
            )));
        }
        (other, _) => {
            return Err(ScimError::invalid_value(format!(
                "method must be POST, PUT, PATCH or DELETE, not {:?}",
                shown(other)
            )));
        }
    };
    Ok((step, precondition))
}

/// The resource type and the id that a path names.
fn place_of<'p>(
    profile: &Profile,
    path: &'p str,
) -> Result<(ResourceKind, Option<&'p str>), ScimError> {
    let mut parts = path.trim_matches('/').splitn(2, '/');
    let (endpoint, id) = (parts.next().unwrap_or_default(), parts.next());
    match (profile.kind_at(endpoint), id) {
        (Some(kind), None) => Ok((kind, None)),
        (Some(kind), Some(id)) if !id.is_empty() && !id.contains('/') => Ok((kind, Some(id))),
        _ => Err(ScimError::not_found(format!(
            "there is no endpoint {:?}; a path is like /Users or /Users/{{id}}",
            shown(path)
        ))),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(100).collect()
}

/// Runs the operations of a group: all of them or, when one fails, none.
async fn run_group(
    tx: &mut Tx<'_>,
    profile: &Arc<Profile>,
    now: Timestamp,
    group: Vec<Prepared>,
    so_far: &mut SoFar,
) -> Result<Vec<BulkDone>, StoreError> {
    let missing = |one: &About| {
        let need = one.needs.iter().find(|need| so_far.failed.contains(*need));
        need.map(|need| ScimError::conflict(format!("bulkId {need:?} was not created")))
    };
    let (mut about, mut steps) = (Vec::new(), Vec::new());
    let mut wrong = None;
    for (number, one) in group.into_iter().enumerate() {
        match (missing(&one.about), one.step) {
            (None, Ok(step)) => steps.push(step),
            (Some(error), _) | (None, Err(error)) => wrong = wrong.or(Some((number, error))),
        }
        about.push(one.about);
    }
    let result = if let Some(wrong) = wrong {
        Err(wrong)
    } else {
        run_steps(tx, profile, now, steps).await?
    };
    let mut done = Vec::with_capacity(about.len());
    for (number, one) in about.into_iter().enumerate() {
        let result = match &result {
            Ok(versions) => Ok(versions[number]),
            Err((at, error)) if *at == number => Err(error.clone()),
            Err(_) => Err(ScimError::conflict(
                "it refers in a circle to an operation that failed",
            )),
        };
        so_far.note(result.is_ok(), one.bulk_id.as_deref());
        done.push(one.done(result));
    }
    Ok(done)
}

/// Runs steps as one part of the transaction; answers their versions, or which of them ended it. A
/// lone step refuses before it writes, so there is nothing to undo; but PostgreSQL gives up a transaction
/// in which a statement failed, and what changes a name fails by one.
async fn run_steps(
    tx: &mut Tx<'_>,
    profile: &Arc<Profile>,
    now: Timestamp,
    mut steps: Vec<(Step, Precondition)>,
) -> Result<Result<Vec<i64>, (usize, ScimError)>, StoreError> {
    let lone = steps.len() == 1 && (!tx.is_postgres() || steps[0].0.refuses());
    if lone {
        let (step, precondition) = steps.remove(0);
        return Ok(match step.run(tx, profile, now, &precondition).await {
            Ok(shown) => Ok(vec![shown.resource.version]),
            Err(fault) => Err((0, about_one(fault)?)),
        });
    }
    let profile = Arc::clone(profile);
    let part = tx.part::<_, Broken, _>(move |tx| {
        Box::pin(async move {
            let mut versions = Vec::with_capacity(steps.len());
            for (number, (step, precondition)) in steps.into_iter().enumerate() {
                let ran = step.run(tx, &profile, now, &precondition).await;
                let shown = ran.map_err(|fault| Broken::At(number, fault))?;
                versions.push(shown.resource.version);
            }
            Ok(versions)
        })
    });
    match part.await {
        Ok(versions) => Ok(Ok(versions)),
        Err(Broken::At(number, fault)) => Ok(Err((number, about_one(fault)?))),
        Err(Broken::Store(error)) => Err(error),
    }
}

/// What ended a group.
enum Broken {
    At(usize, Fault),
    Store(StoreError),
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Is it about this operation alone? Otherwise the whole transaction failed.
fn about_one(fault: Fault) -> Result<ScimError, StoreError> {
    match fault {
        Fault::Store(error @ StoreError::Duplicate(_)) => Ok(Fault::Store(error).into()),
        Fault::Store(error) => Err(error),
        Fault::Scim(error) => Ok(error),
    }
}
