//! Verifies a whole store: that what is kept twice agrees, and that nothing refers to what is not there.

use std::collections::{HashMap, HashSet};

use muster_model::integration::{Happening, ResourceKind};
use muster_model::{Position, ResourceId};
use muster_scim::{Map, Purpose, normalise};
use muster_store::check::{self, Problem};
use muster_store::resources::{self, Place, Resource};
use muster_store::{StoreError, Tx, received};

use crate::integrations::profile_at;
use crate::received::Profile;
use crate::{AppError, Ctx};

/// Rows that are read at once.
const PAGE: u32 = 1000;

/// What was looked at, and what is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Integrations.
    pub integrations: u64,
    /// Received resources.
    pub resources: u64,
    /// Members of received groups.
    pub members: u64,
    /// Events of the feeds of integrations.
    pub events: u64,
    /// What must not be; a sound store has none.
    pub problems: Vec<Problem>,
}

/// Verifies the store. It sees one state, whatever is written meanwhile.
pub async fn run(ctx: &Ctx) -> Result<Report, AppError> {
    let store = ctx.store.clone();
    let runtime = tokio::runtime::Handle::current();
    // A look at everything takes its time; on SQLite it is the thread's that asks.
    let looked = tokio::task::spawn_blocking(move || {
        runtime.block_on(store.read::<_, StoreError, _>(|tx| {
            let store = &store;
            Box::pin(async move {
                check::hold(tx).await?;
                let mut report = Report::default();
                let done = look(tx, &mut report).await;
                let sealed = check::secrets(tx, store.key()).await;
                check::settle(tx).await?;
                done?;
                report.problems.extend(sealed?);
                Ok(report)
            })
        }))
    });
    let report = looked
        .await
        .map_err(|error| AppError::Refused(format!("the check broke off: {error}")))?;
    Ok(report?)
}

async fn look(tx: &mut Tx<'_>, report: &mut Report) -> Result<(), StoreError> {
    report.problems.extend(check::file(tx).await?);
    report.problems.extend(check::orphans(tx).await?);
    for place in check::places(tx).await? {
        report.integrations += 1;
        let Some(profile) = profile_at(tx, place).await? else {
            continue;
        };
        let mut found = Found::default();
        for kind in profile.kinds() {
            documents(tx, &profile, *kind, report, &mut found).await?;
        }
        totals(tx, place, &mut found).await?;
        feed(tx, place, report, &mut found).await?;
        let named = format!("integration {}", place.integration);
        let told = found.problems.into_iter().map(|(what, count)| Problem {
            what: format!("{named}: {what}"),
            count,
        });
        report.problems.extend(told);
    }
    Ok(())
}

/// What an integration holds, and what is wrong with it.
#[derive(Default)]
struct Found {
    /// The resources with their versions.
    there: HashMap<ResourceId, i64>,
    problems: HashMap<&'static str, u64>,
}

impl Found {
    fn note(&mut self, what: &'static str) {
        *self.problems.entry(what).or_default() += 1;
    }
}

/// Documents can be read, are in canonical form, and agree with what is kept beside them.
async fn documents(
    tx: &mut Tx<'_>,
    profile: &Profile,
    kind: ResourceKind,
    report: &mut Report,
    found: &mut Found,
) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let page = resources::page(tx, profile.place, kind, after, 0, PAGE).await?;
        let Some(last) = page.last() else {
            return Ok(());
        };
        after = Some(last.id);
        for resource in page {
            report.resources += 1;
            found.there.insert(resource.id, resource.version);
            if let Some(wrong) = wrong_with(profile, &resource) {
                found.note(wrong);
            }
        }
    }
}

fn wrong_with(profile: &Profile, resource: &Resource) -> Option<&'static str> {
    let Ok(document) = serde_json::from_str::<Map>(&resource.doc) else {
        return Some("documents cannot be read");
    };
    let id = resource.id.to_string();
    if resource.name_key != profile.name_key(resource.kind, &document, &id) {
        return Some("names differ from those they are found by");
    }
    let external_id = document.get("externalId").and_then(|it| it.as_str());
    if resource.external_id.as_deref() != external_id {
        return Some("external ids differ from those they are found by");
    }
    if resource.active == (document.get("active") == Some(&false.into())) {
        return Some("resources are not as active as their documents say");
    }
    if resource.version < 1 || resource.modified < resource.created {
        return Some("versions or times run backwards");
    }
    let of = profile.of(resource.kind);
    match normalise(document.clone(), of, Purpose::Replace(&document)) {
        // What a changed schema no longer knows may stay in old documents.
        Ok(normalised) if normalised.document.len() <= document.len() => None,
        _ => Some("documents are not in canonical form"),
    }
}

async fn totals(tx: &mut Tx<'_>, place: Place, found: &mut Found) -> Result<(), StoreError> {
    for (_, kept, counted) in check::totals(tx, place).await? {
        if kept != counted {
            found.note("totals differ from what is there");
        }
    }
    Ok(())
}

/// The feed, told from its beginning, leads to what is there.
async fn feed(
    tx: &mut Tx<'_>,
    place: Place,
    report: &mut Report,
    found: &mut Found,
) -> Result<(), StoreError> {
    let mut told: HashMap<ResourceId, i64> = HashMap::new();
    let mut members: HashMap<ResourceId, HashSet<String>> = HashMap::new();
    let mut after = Position::START;
    loop {
        let page = received::read_all(tx, place, after, PAGE).await?;
        let Some(last) = page.last() else {
            break;
        };
        after = last.position;
        for event in page {
            report.events += 1;
            let of = event.resource;
            let fits = match event.what {
                Happening::Created => told.insert(of, event.version).is_none(),
                Happening::Deleted => {
                    members.remove(&of);
                    told.remove(&of).is_some()
                }
                Happening::MembersAdded => {
                    let there = members.entry(of).or_default();
                    let mut new = event.details.into_iter();
                    grown(&mut told, of, event.version) && new.all(|one| there.insert(one))
                }
                Happening::MembersRemoved => {
                    let there = members.entry(of).or_default();
                    grown(&mut told, of, event.version)
                        && event.details.iter().all(|one| there.remove(one))
                }
                Happening::Updated | Happening::Disabled | Happening::Enabled => {
                    grown(&mut told, of, event.version)
                }
            };
            if !fits {
                found.note("events contradict those before them");
            }
        }
    }
    if told != found.there {
        found.note("the events lead to other resources or versions than are there");
    }
    if check::beyond(tx, place, after).await? > 0 {
        found.note("webhooks stand behind the last event");
    }
    compare_members(tx, place, members, report, found).await
}

/// Takes the next version of a resource; it never falls.
fn grown(told: &mut HashMap<ResourceId, i64>, of: ResourceId, version: i64) -> bool {
    told.get_mut(&of).is_some_and(|known| {
        let fits = version >= *known;
        *known = version;
        fits
    })
}

async fn compare_members(
    tx: &mut Tx<'_>,
    place: Place,
    mut told: HashMap<ResourceId, HashSet<String>>,
    report: &mut Report,
    found: &mut Found,
) -> Result<(), StoreError> {
    let mut after = (ResourceId::from_bytes([0; 16]), String::new());
    loop {
        let page = check::members(tx, place, (after.0, &after.1), PAGE).await?;
        let Some(last) = page.last() else {
            break;
        };
        after = last.clone();
        for (group, member) in page {
            report.members += 1;
            if !told.get_mut(&group).is_some_and(|all| all.remove(&member)) {
                found.note("members are there of whom no event tells");
            }
        }
    }
    if told.values().any(|left| !left.is_empty()) {
        found.note("members are missing of whom events tell");
    }
    Ok(())
}
