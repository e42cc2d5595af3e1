//! The receiving side: integrations, what they accept, and what is known of their senders.

mod clients;
mod feed;
mod held;
mod setup;
mod tokens;

use std::sync::Arc;

use muster_model::audit::{Audited, activity};
use muster_model::integration::{Integration, Purpose, ResourceKind, Settings, Token};
use muster_model::{IntegrationId, Secret};
use muster_scim::dialect::Deviation;
use muster_store::dialects::{self, Seen};
use muster_store::resources::{self, Place};
use muster_store::{StoreError, Tx, audit as audit_log, integrations};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::definitions::{self, Definitions};
use crate::received::{Profile, unique_name};
use crate::{AppError, Ctx, audit};

pub(crate) use clients::exchange;
pub use clients::{Client, IssuedClient, add_client, clients, remove_client};
pub use feed::{events, last_event, newest_event, newest_events};
pub use held::{Whole, held, held_by_name, held_one, name_of};
pub use setup::{Setup, open_setup, setup_link, take_setup};
pub use tokens::{revoke, rotate};

use tokens::issue;
pub(crate) use tokens::new_secret;

/// Fewest bytes to which bodies may be limited.
const SMALLEST_BODY: u64 = 1024;
/// Networks that an allow-list holds at most.
const NETWORKS: usize = 100;

/// Longest name of anything that a person names.
pub(crate) const LONGEST_NAME: usize = 200;

/// An integration with the token that is shown this once.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The integration.
    pub integration: Integration,
    /// Its new token.
    pub token: Secret<String>,
}

/// The path of an integration's SCIM service below the server's address.
pub fn scim_path(id: IntegrationId) -> String {
    format!("/scim/{id}/v2")
}

/// A name without blanks around it, neither empty nor endless.
pub(crate) fn valid_name(what: &str, name: &str) -> Result<String, AppError> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control)
    {
        return Err(AppError::Invalid(format!(
            "the name of the {what} must have 1 to {LONGEST_NAME} characters, none of them a \
             control character"
        )));
    }
    Ok(name.to_owned())
}

/// SHA-256 of a token: the only form in which it is kept.
pub(crate) fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// An entry of the audit log about an integration.
pub(crate) fn audited(ctx: &Ctx, name: &str, what: &str) -> Audited {
    audit::general(ctx, activity::INTEGRATION, format!("{name}: {what}"))
}

/// A new integration of the kind "Third-party Users & Groups Sync", with its first token.
pub async fn create(ctx: &Ctx, name: &str) -> Result<Issued, AppError> {
    let name = valid_name("integration", name)?;
    let integration = Integration {
        id: IntegrationId::new(),
        name,
        created: ctx.clock.now(),
        settings: Settings::default(),
    };
    let (token, secret) = issue(
        integration.created,
        integration.id,
        Purpose::Provision,
        None,
    )?;
    let (tenant, kept, hash) = (ctx.tenant, integration.clone(), token_hash(secret.expose()));
    let entry = audited(ctx, &kept.name, "created, with a token");
    ctx.store
        .write(move |tx| {
            Box::pin(async move {
                integrations::create(tx, tenant, &kept).await.map_err(|error| match error {
                    StoreError::Duplicate(_) => AppError::Taken(format!(
                        "there is an integration named {} already; choose another name, or get a \
                         new token for it with: muster integration rotate",
                        kept.name
                    )),
                    other => other.into(),
                })?;
                integrations::add_token(tx, tenant, &token, &hash).await?;
                Ok::<_, AppError>(audit_log::append(tx, tenant, &entry).await?)
            })
        })
        .await?;
    Ok(Issued {
        integration,
        token: secret,
    })
}

/// All integrations with their tokens (never the secrets).
pub async fn list(ctx: &Ctx) -> Result<Vec<(Integration, Vec<Token>)>, AppError> {
    let tenant = ctx.tenant;
    ctx.store
        .read(|tx| {
            Box::pin(async move {
                let mut all = Vec::new();
                for integration in integrations::list(tx, tenant).await? {
                    let tokens = integrations::tokens(tx, tenant, integration.id).await?;
                    all.push((
                        integration,
                        tokens.into_iter().map(|(token, _)| token).collect(),
                    ));
                }
                Ok(all)
            })
        })
        .await
}

/// The integration with this name.
pub async fn find(ctx: &Ctx, name: &str) -> Result<Integration, AppError> {
    let (tenant, wanted) = (ctx.tenant, name.trim().to_owned());
    let found: Option<Integration> = ctx
        .store
        .read(|tx| {
            Box::pin(async move {
                Ok::<_, AppError>(integrations::find_by_name(tx, tenant, &wanted).await?)
            })
        })
        .await?;
    found.ok_or_else(|| {
        AppError::NotFound(format!(
            "there is no integration named {name}; see: muster integration list"
        ))
    })
}

/// Changes what an integration accepts.
pub async fn set_settings(
    ctx: &Ctx,
    name: &str,
    change: impl FnOnce(&mut Settings) + Send,
) -> Result<Integration, AppError> {
    let mut integration = find(ctx, name).await?;
    change(&mut integration.settings);
    check(&mut integration.settings)?;
    let (tenant, id, settings) = (ctx.tenant, integration.id, integration.settings.clone());
    let entry = audited(ctx, &integration.name, &in_words(&settings));
    ctx.store
        .write::<_, AppError, _>(move |tx| {
            Box::pin(async move {
                integrations::set_settings(tx, tenant, id, &settings).await?;
                Ok(audit_log::append(tx, tenant, &entry).await?)
            })
        })
        .await?;
    Ok(integration)
}

/// Settings as the audit log says them.
fn in_words(settings: &Settings) -> String {
    let limit = |number: Option<u64>| number.map_or_else(|| "none".to_owned(), |it| it.to_string());
    let networks = if settings.allowed_networks.is_empty() {
        "everywhere".to_owned()
    } else {
        settings.allowed_networks.join(", ")
    };
    format!(
        "settings: {}; at most {} requests a second, {} resources, {} bytes of a body; from {networks}",
        if settings.strict {
            "strict"
        } else {
            "not strict"
        },
        limit(settings.requests_per_second.map(u64::from)),
        limit(settings.max_resources),
        limit(settings.max_body)
    )
}

/// Refuses settings that nobody can want; writes networks in their shortest form.
fn check(settings: &mut Settings) -> Result<(), AppError> {
    let refuse = |reason: String| Err(AppError::Invalid(reason));
    if settings.requests_per_second == Some(0) {
        return refuse("a rate of 0 refuses everything; revoke the tokens instead".to_owned());
    }
    if settings.max_body.is_some_and(|most| most < SMALLEST_BODY) {
        return refuse(format!("bodies need {SMALLEST_BODY} bytes at least"));
    }
    let most = [settings.max_body, settings.max_resources];
    if most
        .into_iter()
        .flatten()
        .any(|most| i64::try_from(most).is_err())
    {
        return refuse(format!("a limit beyond {} is none; use none", i64::MAX));
    }
    if settings.allowed_networks.len() > NETWORKS {
        return refuse(format!("an allow-list holds {NETWORKS} networks at most"));
    }
    for network in &mut settings.allowed_networks {
        let read = network.parse::<ipnet::IpNet>();
        let read = read.or_else(|_| network.parse().map(|alone: std::net::IpAddr| alone.into()));
        let Ok(read) = read else {
            return refuse(format!(
                "{network:?} is no network; write it as 203.0.113.0/24 or 2001:db8::/32, or give one \
                 address"
            ));
        };
        *network = read.trunc().to_string();
    }
    Ok(())
}

/// The schemas and resource types that an integration brought, as they were written.
pub async fn definitions(ctx: &Ctx, name: &str) -> Result<Option<Value>, AppError> {
    let kept = basics(ctx, name).await?.definitions;
    match kept.as_deref() {
        Some(kept) if !definitions::are_empty(kept)? => definitions::written(kept).map(Some),
        _ => Ok(None),
    }
}

/// Gives an integration schemas and resource types of its own, or takes them away. A type that still has
/// resources cannot go, nor can the attribute change by which they are found; resources that are there stay
/// as they are.
pub async fn set_definitions(ctx: &Ctx, name: &str, text: Option<&str>) -> Result<(), AppError> {
    let before = basics(ctx, name).await?;
    let kept = match (text, &before.definitions) {
        (Some(text), before) => Some(definitions::accept(text, before.as_deref())?),
        (None, Some(before)) => Some(definitions::cleared(before)?),
        (None, None) => None,
    };
    let (tenant, id) = (ctx.tenant, find(ctx, name).await?.id);
    let place = Place {
        tenant,
        integration: before.number,
    };
    let changed = match (&before.definitions, &kept) {
        (Some(before), Some(kept)) => {
            lost_types(&definitions::read(before)?, &definitions::read(kept)?)
        }
        _ => Vec::new(),
    };
    let entry = audited(ctx, name, "schemas and resource types");
    ctx.store
        .write(move |tx| {
            Box::pin(async move {
                for (name, kind, what) in changed {
                    let there = resources::total(tx, place, kind).await?;
                    if there > 0 {
                        return Err(AppError::Refused(format!(
                            "{there} resources of the type {name} are there; {what}, or delete them first"
                        )));
                    }
                }
                integrations::set_definitions(tx, tenant, id, kept).await?;
                Ok(audit_log::append(tx, tenant, &entry).await?)
            })
        })
        .await
}

/// The types that go, and those whose resources would be found by something else.
fn lost_types(
    before: &Definitions,
    after: &Definitions,
) -> Vec<(String, ResourceKind, &'static str)> {
    let types = before.schemas.resource_types().iter().zip(&before.kinds);
    let mut lost = Vec::new();
    for (of, kind) in types {
        let same = after.kinds.iter().position(|one| one == kind);
        let same = same.map(|at| &after.schemas.resource_types()[at]);
        let found_by = |of| unique_name(of).map(|one| (one.name.clone(), one.case_exact));
        match same {
            None => lost.push((of.name.clone(), *kind, "keep the type")),
            Some(same) if found_by(of) != found_by(same) => {
                lost.push((of.name.clone(), *kind, "keep its unique attribute as it is"));
            }
            Some(_) => {}
        }
    }
    lost
}

async fn basics(ctx: &Ctx, name: &str) -> Result<integrations::Basics, AppError> {
    let (tenant, id) = (ctx.tenant, find(ctx, name).await?.id);
    let found = ctx
        .store
        .read::<_, AppError, _>(|tx| {
            Box::pin(async move { Ok(integrations::basics(tx, tenant, id).await?) })
        })
        .await?;
    found.ok_or_else(|| AppError::NotFound(format!("the integration {name} is gone")))
}

/// An integration as its requests see it.
pub(crate) async fn profile(ctx: &Ctx, name: &str) -> Result<Profile, AppError> {
    let basics = basics(ctx, name).await?;
    let own = basics.definitions.as_deref().map(definitions::read);
    let own = own.transpose()?.map(Arc::new);
    let place = Place {
        tenant: ctx.tenant,
        integration: basics.number,
    };
    Ok(Profile::new(place, basics.settings, own))
}

/// The integration with a number, as its requests see it.
pub(crate) async fn profile_at(
    tx: &mut Tx<'_>,
    place: Place,
) -> Result<Option<Profile>, StoreError> {
    let Some(basics) = integrations::basics_at(tx, place).await? else {
        return Ok(None);
    };
    let own = basics.definitions.as_deref().map(definitions::read);
    let own = own
        .transpose()
        .map_err(|error| StoreError::Sql(error.to_string()))?;
    Ok(Some(Profile::new(
        place,
        basics.settings,
        own.map(Arc::new),
    )))
}

/// The place of an integration's resources.
pub(crate) async fn place(ctx: &Ctx, name: &str) -> Result<Place, AppError> {
    Ok(profile(ctx, name).await?.place)
}

/// How many users and groups an integration holds.
pub async fn received(ctx: &Ctx, name: &str) -> Result<(u64, u64), AppError> {
    let place = place(ctx, name).await?;
    let read = ctx.store.read::<_, AppError, _>(|tx| {
        Box::pin(async move {
            Ok((
                resources::total(tx, place, ResourceKind::USER).await?,
                resources::total(tx, place, ResourceKind::GROUP).await?,
            ))
        })
    });
    read.await
}

/// In which ways the senders of an integration depart from the RFCs, as far as they were seen a second ago.
pub async fn dialect(ctx: &Ctx, name: &str) -> Result<Vec<(Deviation, Seen)>, AppError> {
    let place = place(ctx, name).await?;
    let seen: Vec<Seen> = ctx
        .store
        .read::<_, AppError, _>(|tx| Box::pin(async move { Ok(dialects::list(tx, place).await?) }))
        .await?;
    let known = |seen: Seen| {
        let mut all = Deviation::ALL.iter();
        let deviation = all.find(|one| one.code() == seen.deviation)?;
        Some((*deviation, seen))
    };
    Ok(seen.into_iter().filter_map(known).collect())
}
