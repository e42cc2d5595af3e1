//! The receiving side's hot path: works on stored SCIM documents directly, without a detour over
//! directory types. It speaks the language of `scim` (documents, filters, patches, errors); how an
//! answer looks on the wire is the face's business.

mod bulk;
mod cursor;
mod document;
mod list;
mod token;
mod write;

use std::sync::Arc;

use muster_model::directory::Kind;
use muster_model::{Clock, IntegrationId, ResourceId};
use muster_scim::ScimError;
use muster_scim::schema::{self, ResourceType};
use muster_store::resources::{self, Member, Place, Resource};
use muster_store::{Store, StoreError};

pub use bulk::BulkDone;
pub use list::{MAX_PAGE, Page};
pub use write::Precondition;

use token::Tokens;

/// Groups that a user's document names at most.
const GROUPS: u32 = 1000;
/// Members that are read at once.
const MEMBERS: u32 = 5000;

/// The SCIM service provider, for every integration of a store. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Provider {
    store: Store,
    clock: Arc<dyn Clock>,
    tokens: Arc<Tokens>,
}

/// Who called, proven by its token: whose resources it may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The integration.
    pub integration: IntegrationId,
    pub(crate) place: Place,
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
            Fault::Store(error) => {
                tracing::error!(error = %error, "a request could not be answered");
                Self::internal("the server could not answer; its log says why")
            }
        }
    }
}

/// The resource type of a kind.
pub fn resource_type(kind: Kind) -> &'static ResourceType {
    match kind {
        Kind::User => schema::user(),
        Kind::Group => schema::group(),
    }
}

impl Provider {
    /// A provider on a store.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Self {
        Self {
            store,
            clock,
            tokens: Arc::new(Tokens::default()),
        }
    }

    /// Proves who calls. An unknown integration and a wrong token are told apart by nothing.
    pub async fn authenticate(
        &self,
        integration: IntegrationId,
        token: &str,
    ) -> Result<Caller, ScimError> {
        self.tokens
            .check(&self.store, &self.clock, integration, token)
            .await
    }

    /// The resource with this id.
    pub async fn get(
        &self,
        caller: &Caller,
        kind: Kind,
        id: &str,
        wanted: Wanted,
    ) -> Result<Shown, ScimError> {
        let place = caller.place;
        let id = parse_id(kind, id)?;
        self.store
            .read::<_, Fault, _>(|tx| {
                Box::pin(async move {
                    let found = resources::find(tx, place, kind, id).await?;
                    let resource = found.ok_or_else(|| not_found(kind, &id.to_string()))?;
                    Ok(show(tx, place, resource, wanted).await?)
                })
            })
            .await
            .map_err(Into::into)
    }
}

fn parse_id(kind: Kind, id: &str) -> Result<ResourceId, ScimError> {
    id.parse().map_err(|_| not_found(kind, id))
}

fn not_found(kind: Kind, id: &str) -> ScimError {
    let id: String = id.chars().take(100).collect();
    ScimError::not_found(format!("there is no {kind} {id}"))
}

/// Looks up what is wanted beside a document.
async fn show(
    tx: &mut muster_store::Tx<'_>,
    place: Place,
    resource: Resource,
    wanted: Wanted,
) -> Result<Shown, StoreError> {
    let (mut members, mut groups) = (None, Vec::new());
    match resource.kind {
        Kind::Group if wanted.members => {
            let mut all: Vec<Member> = Vec::new();
            loop {
                let after = all.last().map(|member| member.value.clone());
                let page =
                    resources::members(tx, place, resource.id, after.as_deref(), MEMBERS).await?;
                let more = page.len() == MEMBERS as usize;
                all.extend(page);
                if !more {
                    break;
                }
            }
            members = Some(all);
        }
        Kind::User if wanted.groups => {
            let id = resource.id.to_string();
            for (group, doc) in resources::groups_of(tx, place, &id, GROUPS).await? {
                groups.push((group, document::display_name(&doc)));
            }
        }
        Kind::User | Kind::Group => {}
    }
    Ok(Shown {
        resource,
        members,
        groups,
    })
}
