//! The receiving side's hot path: works on stored SCIM documents directly, without a detour over
//! directory types. It speaks the language of `scim` (documents, filters, patches, errors); how an
//! answer looks on the wire is the face's business.

mod bulk;
mod cache;
mod cursor;
mod dialect;
pub(crate) mod document;
mod list;
mod members;
mod profile;
mod ranks;
mod rate;
mod reader;
mod token;
mod write;

use std::sync::Arc;

use std::net::IpAddr;

use muster_model::integration::{Purpose, ResourceKind};
use muster_model::{Clock, IntegrationId, ResourceId, Secret};
use muster_scim::ScimError;
use muster_store::resources::{self, By, Member, Place, Resource};
use muster_store::{Store, StoreError};
use tokio::sync::Notify;

pub use bulk::BulkDone;
pub use list::{MAX_PAGE, Page};
pub use members::member_type;
pub use profile::Profile;
pub(crate) use profile::unique_name;
pub use reader::{LONGEST_WAIT, MAX_EVENTS, State, event_json};
pub use write::Precondition;

use crate::{AppError, integrations};

use cache::Users;
use dialect::Dialects;
use ranks::Ranks;
use token::Tokens;

/// Groups that a user's document names at most.
const GROUPS: u32 = 1000;
/// Members that are read at once.
const MEMBERS: u32 = 5000;

/// The SCIM service provider, for every integration of a store. Cheap to clone: each request has one.
#[derive(Clone, Debug)]
pub struct Provider(Arc<Shared>);

/// What all clones of a provider share.
#[derive(Debug)]
pub struct Shared {
    store: Store,
    clock: Arc<dyn Clock>,
    tokens: Tokens,
    dialects: Arc<Dialects>,
    /// Where only this process writes.
    users: Option<Arc<Users>>,
    ranks: Option<Arc<Ranks>>,
    closing: Notify,
}

impl std::ops::Deref for Provider {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// Who called, proven by its token: whose resources it may see.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The integration.
    pub integration: IntegrationId,
    /// What the integration is like.
    pub profile: Arc<Profile>,
    purpose: Purpose,
    /// What it calls itself.
    client: Box<str>,
}

/// Where a request comes from, as far as that is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// The address at the other end.
    pub address: Option<IpAddr>,
    /// What the client calls itself.
    pub client: &'a str,
}

impl Caller {
    pub(crate) fn place(&self) -> Place {
        self.profile.place
    }

    /// Refuses a caller that may only read.
    fn may_write(&self) -> Result<(), ScimError> {
        match self.purpose {
            Purpose::Provision => Ok(()),
            Purpose::Read => Err(ScimError::forbidden(
                "this token is for reading; write with the token of the integration's sender",
            )),
        }
    }

    /// Bytes of a body at most, as far as the integration limits them.
    pub fn max_body(&self) -> Option<u64> {
        self.profile.max_body()
    }
}

/// A resource as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The stored document and what is kept beside it.
    pub resource: Resource,
    /// The members of a group; `None` when they were not asked for.
    pub members: Option<Vec<Member>>,
    /// The groups of a user: id and display name.
    pub groups: Vec<(ResourceId, String)>,
}

/// What of a resource is looked up beside its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The members of a group.
    pub members: bool,
    /// The groups of a user.
    pub groups: bool,
}

impl Wanted {
    /// Only the document.
    pub const NOTHING: Self = Self {
        members: false,
        groups: false,
    };
}

/// An error on the way: of the language, or of the store.
#[derive(Debug)]
pub(crate) enum Fault {
    Scim(ScimError),
    Store(StoreError),
}

impl From<ScimError> for Fault {
    fn from(error: ScimError) -> Self {
        Self::Scim(error)
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<Fault> for ScimError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Scim(error) => error,
            Fault::Store(StoreError::Duplicate(_)) => {
                Self::uniqueness("another resource has this userName or displayName already")
            }
            Fault::Store(error @ StoreError::Full) => Self::new(507, None, error.to_string()),
            Fault::Store(error @ (StoreError::Deadlock | StoreError::Unavailable(_))) => {
                tracing::error!(error = %error, "a request could not be answered now");
                Self::new(503, None, "the server could not answer now; try again")
            }
            Fault::Store(error) => {
                tracing::error!(error = %error, "a request could not be answered");
                Self::internal("the server could not answer; its log says why")
            }
        }
    }
}

impl Provider {
    /// A provider on a store.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        let alone = !store.is_postgres();
        let users = alone.then(|| Arc::new(Users::new()));
        let ranks = alone.then(Arc::default);
        Self(Arc::new(Shared {
            store,
            clock,
            users,
            ranks,
            closing: Notify::new(),
            tokens: Tokens::default(),
            dialects: Arc::default(),
        }))
    }

    /// Proves who calls. An unknown integration and a wrong token are told
    /// apart by nothing.
    pub async fn authenticate(
        &self,
        integration: IntegrationId,
        token: &str,
        origin: Origin<'_>,
    ) -> Result<Caller, ScimError> {
        self.tokens
            .check(&self.store, &self.clock, integration, token, origin)
            .await
    }

    /// Gives an OAuth client an access token for its credentials, and the seconds that it is good for; `None`
    /// when they are wrong. What is not there and what does not fit are told apart by nothing.
    pub async fn access_token(
        &self,
        integration: IntegrationId,
        from: Option<IpAddr>,
        credentials: (&str, &str),
    ) -> Result<Option<(Secret<String>, i64)>, AppError> {
        if !self
            .tokens
            .lets_in(&self.store, &self.clock, integration, from)
            .await?
        {
            return Ok(None);
        }
        let now = self.clock.now();
        let given = integrations::exchange(&self.store, now, integration, credentials).await;
        // The new token is good at once.
        self.tokens.forget(integration);
        given
    }

    /// The resource with this id.
    pub async fn get(
        &self,
        caller: &Caller,
        kind: ResourceKind,
        id: &str,
        wanted: Wanted,
    ) -> Result<Shown, ScimError> {
        let (place, profile) = (caller.place(), &caller.profile);
        let id = parse_id(profile, kind, id)?;
        let users = self.users.as_ref().filter(|_| kind == ResourceKind::USER);
        if let Some(kept) = users.and_then(|users| users.get(place, id)) {
            return Ok(Shown {
                resource: kept.resource.clone(),
                members: None,
                groups: if wanted.groups {
                    kept.groups.clone()
                } else {
                    Vec::new()
                },
            });
        }
        let began = users.map(|users| users.began(place, id));
        let missing = || not_found(profile, kind, &id.to_string());
        let shown = if kind == ResourceKind::USER && wanted.groups {
            let found = self.store.find_users(place, &By::Id(id), 1, GROUPS).await;
            let found = found.map_err(Fault::from)?;
            with_groups(found.into_iter().next().ok_or_else(missing)?)
        } else {
            let read: Result<Shown, Fault> = self
                .store
                .read(|tx| {
                    Box::pin(async move {
                        let found = resources::find(tx, place, kind, id).await?;
                        let resource = found.ok_or_else(missing)?;
                        Ok(show(tx, place, resource, wanted).await?)
                    })
                })
                .await;
            read?
        };
        if let (Some(users), Some(began), true) = (users, began, wanted.groups) {
            users.put(place, began, shown.resource.clone(), shown.groups.clone());
        }
        Ok(shown)
    }

    /// Takes out of the cache what a write changes, after its commit.
    fn forget_after(
        &self,
        tx: &mut muster_store::Tx<'_>,
        place: Place,
        kind: ResourceKind,
        id: ResourceId,
    ) {
        let Some(users) = self.users.clone() else {
            return;
        };
        tx.after_commit(move || match kind {
            ResourceKind::USER => users.forget(place, id),
            _ => users.forget_groups(place),
        });
    }

    /// Lets those who wait for events go, at the end of the process.
    pub fn stop_waiting(&self) {
        self.closing.notify_waiters();
    }
}

fn parse_id(profile: &Profile, kind: ResourceKind, id: &str) -> Result<ResourceId, ScimError> {
    id.parse().map_err(|_| not_found(profile, kind, id))
}

fn not_found(profile: &Profile, kind: ResourceKind, id: &str) -> ScimError {
    let id: String = id.chars().take(100).collect();
    ScimError::not_found(format!("there is no {} {id}", profile.of(kind).name))
}

/// Looks up what is wanted beside a document.
async fn show(
    tx: &mut muster_store::Tx<'_>,
    place: Place,
    resource: Resource,
    wanted: Wanted,
) -> Result<Shown, StoreError> {
    let mut members = None;
    match resource.kind {
        ResourceKind::GROUP if wanted.members => {
            members = Some(members::all_members(tx, place, resource.id).await?);
        }
        ResourceKind::USER if wanted.groups => {
            let id = resource.id.to_string();
            let groups = resources::groups_of(tx, place, &id, GROUPS).await?;
            return Ok(with_groups((resource, groups)));
        }
        _ => {}
    }
    Ok(Shown {
        resource,
        members,
        groups: Vec::new(),
    })
}

/// A user with its groups.
fn with_groups((resource, groups): (Resource, Vec<resources::GroupDoc>)) -> Shown {
    let named = |(group, doc): resources::GroupDoc| (group, document::display_name(&doc));
    Shown {
        resource,
        members: None,
        groups: groups.into_iter().map(named).collect(),
    }
}

/// Looks up what is wanted beside several documents; the groups of all users at once.
async fn show_each(
    tx: &mut muster_store::Tx<'_>,
    place: Place,
    mut found: Vec<(Resource, Wanted)>,
) -> Result<Vec<Shown>, StoreError> {
    if found.len() == 1 {
        let (resource, wanted) = found.remove(0);
        return Ok(vec![show(tx, place, resource, wanted).await?]);
    }
    let grouped = |(resource, wanted): &&(Resource, Wanted)| {
        resource.kind == ResourceKind::USER && wanted.groups
    };
    let users = found.iter().filter(grouped);
    let users: Vec<String> = users.map(|(user, _)| user.id.to_string()).collect();
    let mut groups = resources::groups_of_each(tx, place, &users, GROUPS).await?;
    let mut all = Vec::with_capacity(found.len());
    for one in found {
        let groups = grouped(&&one).then(|| groups.remove(&one.0.id.to_string()));
        let (resource, wanted) = one;
        all.push(match groups {
            Some(groups) => with_groups((resource, groups.unwrap_or_default())),
            None => show(tx, place, resource, wanted).await?,
        });
    }
    Ok(all)
}
