//! What the engine needs of the world: a source, a target, and somebody who opens both.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use muster_model::directory::Kind;
use muster_model::job::{Credentials, Dialect, Job};
use muster_model::link::{SourceAnchor, TargetId};
use muster_model::plan::Request;
use muster_model::{Attributes, Position, RoleId, Secret, TenantId, Timestamp, Value};

/// An object of the source, as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// User or group.
    pub kind: Kind,
    /// The source's id of it.
    pub anchor: SourceAnchor,
    /// The name to show for it.
    pub name: String,
    /// May it exist at the target at all?
    pub life: Life,
    /// Its attributes by the names that mappings use.
    pub attributes: Attributes,
    /// Its single-valued references, by the names that mappings use; `None` refers to nobody.
    pub references: Vec<(&'static str, Option<SourceAnchor>)>,
    /// What entitles it to the application.
    pub grants: Vec<Grant>,
}

/// A single-valued reference: owner, attribute, whom it refers to; `None` refers to nobody.
pub type SingleReference = (SourceAnchor, &'static str, Option<SourceAnchor>);

/// The state of an object in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// In use.
    Active,
    /// The account is disabled.
    Disabled,
    /// Deleted, but can still be restored.
    SoftDeleted,
}

/// An assignment that entitles an object, its own or that of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// The role.
    pub role: RoleId,
    /// The assigned group; `None` when the object itself is assigned.
    pub via: Option<SourceAnchor>,
}

/// Something that changed in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceChange {
    /// Its place in the feed.
    pub position: Position,
    /// What it was.
    pub what: Changed,
}

/// What changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    /// An object was created, changed, soft-deleted, restored or purged.
    Object(Kind, SourceAnchor),
    /// Somebody joined or left a group.
    Membership {
        /// The group.
        group: SourceAnchor,
        /// Who joined or left.
        member: SourceAnchor,
    },
    /// Somebody was assigned to or unassigned from this application.
    Assignment(SourceAnchor),
    /// Nothing that concerns this application.
    Elsewhere,
}

/// The source could not be read.
#[derive(Debug, thiserror::Error)]
#[error("the source cannot be read: {0}")]
pub struct SourceError(pub String);

/// Where users and groups come from.
#[async_trait]
pub trait Source: Send + Sync {
    /// A position with everything committed so far behind it.
    async fn end(&self) -> Result<Position, SourceError>;

    /// Changes after a position, oldest first.
    async fn changes(&self, after: Position, limit: u32) -> Result<Vec<SourceChange>, SourceError>;

    /// Objects in the order of their anchors, after `after`; soft-deleted ones included.
    async fn page(
        &self,
        kind: Kind,
        after: Option<SourceAnchor>,
        limit: u32,
    ) -> Result<Vec<Record>, SourceError>;

    /// These objects; those that are gone for good are left out.
    async fn read(&self, kind: Kind, anchors: &[SourceAnchor]) -> Result<Vec<Record>, SourceError>;

    /// The single-valued references of these objects, as in [`Record::references`]: owner, attribute,
    /// whom it refers to. Objects that are gone are left out.
    async fn references(
        &self,
        kind: Kind,
        anchors: &[SourceAnchor],
    ) -> Result<Vec<SingleReference>, SourceError>;

    /// Who refers to these objects: owner, attribute, referred object.
    async fn referrers(
        &self,
        anchors: &[SourceAnchor],
    ) -> Result<Vec<(SourceAnchor, &'static str, SourceAnchor)>, SourceError>;

    /// The names of these objects, for people to read; those that are gone are left out.
    async fn names(
        &self,
        kind: Kind,
        anchors: &[SourceAnchor],
    ) -> Result<Vec<(SourceAnchor, String)>, SourceError>;

    /// Members of a group in the order of their anchors, after `after`.
    async fn members(
        &self,
        group: SourceAnchor,
        after: Option<SourceAnchor>,
        limit: u32,
    ) -> Result<Vec<SourceAnchor>, SourceError>;

    /// The groups that are direct members of a group.
    async fn nested(&self, group: SourceAnchor) -> Result<Vec<SourceAnchor>, SourceError>;

    /// Is it a member of the group now?
    async fn is_member(
        &self,
        group: SourceAnchor,
        member: SourceAnchor,
    ) -> Result<bool, SourceError>;

    /// How many objects there are, about.
    async fn count(&self, kind: Kind) -> Result<u64, SourceError>;

    /// Does the application define roles of its own?
    async fn has_roles(&self) -> Result<bool, SourceError>;

    /// Do no two objects share a value of this attribute?
    fn is_unique(&self, kind: Kind, attribute: &str) -> bool;
}

/// An object of the target, as it answered.
#[derive(Clone, Debug, PartialEq)]
pub struct TargetObject {
    /// The target's id of it.
    pub id: TargetId,
    /// Its values by the paths that mappings use.
    pub values: Attributes,
    /// Paths whose surrounding element does not exist there yet, so that nothing in it can be
    /// changed: it must be added as a whole.
    pub absent: Vec<String>,
}

/// Does a path name an attribute as a whole, and not something in it? Then an object that has a value there has no
/// other one that a filter could mean.
pub fn is_plain(path: &str) -> bool {
    let name = path.rsplit(':').next().unwrap_or(path);
    !path.contains('[') && !name.contains('.')
}

/// Objects of the target, in an order of its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// How many there are in all.
    pub total: u64,
    /// Those of this page; as many as the target puts into one.
    pub objects: Vec<TargetObject>,
}

/// One attribute to be changed at the target.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The attribute's path at the target.
    pub path: String,
    /// Its value now; null when it has none.
    pub old: Value,
    /// Its value then.
    pub new: Value,
    /// The element around it does not exist yet.
    pub absent: bool,
    /// What is new is added to the values there, which stay.
    pub adds: bool,
}

/// Something to be written at the target. Of references at most [`Target::chunk`] go into one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Write<'a> {
    /// Creates an object with these values.
    Create(&'a [(&'a str, Value)]),
    /// Changes attributes of an object.
    Update(&'a TargetId, &'a [Change]),
    /// Removes an object.
    Delete(&'a TargetId),
    /// Adds references to an object.
    AddReferences(References<'a>),
    /// Removes references from an object.
    RemoveReferences(References<'a>),
}

/// References of one object by one attribute.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct References<'a> {
    /// Who refers.
    pub owner: &'a TargetId,
    /// The attribute's path at the target.
    pub path: &'a str,
    /// To whom.
    pub referred: &'a [TargetId],
}

/// The target could not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It does not accept our credentials.
    #[error("the target refused our credentials (HTTP {status}): {detail}")]
    Unauthorized {
        /// HTTP status.
        status: u16,
        /// What it said.
        detail: String,
    },
    /// It asks us to slow down.
    #[error("the target asks us to slow down{}", said.as_deref().unwrap_or_default())]
    Throttled {
        /// How long it asks us to wait.
        wait: Option<Duration>,
        /// What it said, where it may also mean that we are not allowed to (HTTP 403).
        said: Option<String>,
    },
    /// It cannot be reached.
    #[error("cannot reach {host}: {detail}")]
    Unreachable {
        /// Which host.
        host: String,
        /// Why.
        detail: String,
    },
    /// It did not answer in time.
    #[error("the target did not answer within {0:?}")]
    Timeout(Duration),
    /// A value must be unique there and is taken.
    #[error("a value that must be unique at the target is taken: {0}")]
    Conflict(String),
    /// There is no such object.
    #[error("the target has no such object")]
    NotFound,
    /// There is nothing to change where it was to be changed (RFC 7644, 3.5.2: `noTarget`).
    #[error("the target has nothing there to change: {0}")]
    NoTarget(String),
    /// It refused the request.
    #[error("the target refused the request (HTTP {status}): {detail}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// What over, as far as it can be told.
        over: Over,
        /// What it said.
        detail: String,
    },
    /// It failed.
    #[error("the target failed (HTTP {status}): {detail}")]
    Failed {
        /// HTTP status.
        status: u16,
        /// What it said.
        detail: String,
    },
    /// It answered something that is not of its protocol.
    #[error("the target's answer is not understood: {0}")]
    Incompatible(String),
    /// It answered with a list where one object was asked for.
    #[error("the target was asked for one object and answered with {0}")]
    Several(String),
    /// It does nothing but fail.
    #[error("the target does nothing but fail, and is left alone for a while; it said last: {0}")]
    OutOfOrder(String),
    /// The write is not in the plan that is followed.
    #[error(
        "this is not in the plan: the source or the target has changed since it was made; plan again"
    )]
    NotPlanned,
    /// The connection to it was refused by our own rules or settings.
    #[error("{0}")]
    NotAllowed(String),
}

/// What a target refuses a request over (10.6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// A value that it wants was not sent.
    MissingValue,
    /// It does not know an attribute.
    UnknownAttribute,
    /// It does not accept the domain of a value.
    Domain,
    /// It has no licence left.
    Licence,
    /// A value must be unique and is taken.
    Taken,
    /// Something else.
    Other,
}

/// Does an answer say that there is no licence left?
pub fn speaks_of_licences(said: &str) -> bool {
    let said = said.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| said.contains(word));
    says(&["seat limit", "no seats", "seats left"])
        || (says(&["license", "licence"])
            && says(&["limit", "no ", "exceed", "available", "left", "not enough"]))
}

impl Over {
    const fn code(self) -> &'static str {
        match self {
            Self::MissingValue => "MandatoryFieldsMissing",
            Self::UnknownAttribute => "SchemaAttributeNotFound",
            Self::Domain => "InvalidDomain",
            Self::Licence => "LicenseLimitExceeded",
            Self::Taken => "Conflict",
            Self::Other => "UnprocessableEntity",
        }
    }
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// The same request will fail again.
    No,
    /// Try again after this long, or after a pause of our own.
    After(Option<Duration>),
}

impl TargetError {
    /// May the same request succeed a little later?
    pub const fn retry(&self) -> Retry {
        match self {
            Self::Throttled { wait, .. } => Retry::After(*wait),
            Self::Unreachable { .. } | Self::Timeout(_) | Self::Failed { .. } => Retry::After(None),
            Self::Unauthorized { .. }
            | Self::Conflict(_)
            | Self::NotFound
            | Self::NoTarget(_)
            | Self::Refused { .. }
            | Self::Incompatible(_)
            | Self::Several(_)
            | Self::OutOfOrder(_)
            | Self::NotPlanned
            | Self::NotAllowed(_) => Retry::No,
        }
    }

    /// Is it a sign that something is wrong with the target, and not with what was asked?
    pub const fn is_the_targets(&self) -> bool {
        matches!(
            self,
            Self::Throttled { .. }
                | Self::Unreachable { .. }
                | Self::Timeout(_)
                | Self::Failed { .. }
                | Self::Incompatible(_)
                | Self::Several(_)
        )
    }

    /// Is the whole target out of order, so that going on with other objects is no use?
    pub const fn stops_the_cycle(&self) -> bool {
        match self {
            Self::Unauthorized { status, .. } => *status == 401,
            Self::Unreachable { .. } | Self::OutOfOrder(_) | Self::NotAllowed(_) => true,
            _ => false,
        }
    }

    /// May the request have been carried out all the same?
    pub const fn may_have_arrived(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout(_)
            | Self::Failed { .. }
            | Self::OutOfOrder(_)
            | Self::Incompatible(_)
            | Self::Several(_) => true,
            Self::Unauthorized { .. }
            | Self::Throttled { .. }
            | Self::Conflict(_)
            | Self::NotFound
            | Self::NoTarget(_)
            | Self::Refused { .. }
            | Self::NotPlanned
            | Self::NotAllowed(_) => false,
        }
    }

    /// The error code of 10.6.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unauthorized {
                status: 403,
                detail,
            } if speaks_of_licences(detail) => "LicenseLimitExceeded",
            Self::Unauthorized { status: 403, .. } => "InsufficientRights",
            Self::Unauthorized { .. } => "Unauthorized",
            Self::Throttled { .. } => "TooManyRequests",
            Self::OutOfOrder(_) => "ServiceUnavailable",
            Self::Unreachable { .. } => "WebExceptionProtocolError",
            Self::Timeout(_) => "Timeout",
            Self::Conflict(_) => "Conflict",
            Self::NotFound => "InvalidAnchor",
            Self::NoTarget(_) => "UnprocessableEntity",
            Self::Refused { status, over, .. } => match status {
                405 => "MethodNotAllowed",
                _ => over.code(),
            },
            Self::Failed { status, .. } => match status {
                501 => "NotImplemented",
                _ => "InternalServerError",
            },
            Self::Incompatible(_) => "SystemForCrossDomainIdentityManagementServiceIncompatible",
            Self::Several(_) => "SystemForCrossDomainIdentityManagementMultipleEntriesInResponse",
            Self::NotPlanned => "NotPlanned",
            Self::NotAllowed(_) => "NotPermitted",
        }
    }
}

/// Why a test connection failed (CR-10).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestFailure {
    /// The category, one word.
    pub category: &'static str,
    /// What happened and what to do.
    pub message: String,
}

impl fmt::Display for TestFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

/// Where users and groups go.
#[async_trait]
pub trait Target: Send + Sync {
    /// The objects whose attribute at `path` equals `value`; two suffice to tell that there are
    /// several.
    async fn find(
        &self,
        kind: Kind,
        path: &str,
        value: &Value,
    ) -> Result<Vec<TargetObject>, TargetError>;

    /// The objects from the `start`th on, counted from 1.
    async fn page(&self, kind: Kind, start: u64) -> Result<Page, TargetError>;

    /// The object with this id; members of groups are not read.
    async fn read(&self, kind: Kind, id: &TargetId) -> Result<TargetObject, TargetError>;

    /// A write as it goes over the wire; nothing is sent.
    fn request(&self, kind: Kind, write: &Write<'_>) -> Result<Request, TargetError>;

    /// Carries out a write, as [`Target::request`] puts it; answers the id of what it created. A
    /// reference that is to be removed and is not there any more is removed already.
    async fn write(&self, kind: Kind, write: &Write<'_>) -> Result<Option<TargetId>, TargetError>;

    /// Does the target say that it holds no object of this kind?
    async fn is_empty(&self, kind: Kind) -> Result<bool, TargetError>;

    /// Test connection (2.4): reads, never writes. Groups are asked for, too, when that is wanted and they are
    /// provisioned.
    async fn test(&self, groups: bool) -> Result<(), TestFailure>;

    /// Finds out what it can and cannot do, and how it wants to be spoken to. Reads, and writes only when it is
    /// given a name: then an object of that name is made, tried out, and removed again.
    async fn probe(&self, canary: Option<&str>) -> Result<Probe, TestFailure>;

    /// The schemas and the resource types that it says it has (2.5).
    async fn definitions(&self) -> Result<Definitions, TestFailure>;

    /// How many references go into one request.
    fn chunk(&self) -> usize;

    /// How many requests were sent so far.
    fn requests(&self) -> u64;
}

/// What a target says it has, as SCIM's discovery documents have it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Definitions {
    /// `/Schemas`
    pub schemas: Vec<serde_json::Value>,
    /// `/ResourceTypes`; none when it has no such thing.
    pub resource_types: Vec<serde_json::Value>,
}

/// What was found out about a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probe {
    /// What was tried, in order.
    pub findings: Vec<Finding>,
    /// How it should be spoken to.
    pub dialect: Dialect,
    /// What could not be removed again, and must be by hand.
    pub left_behind: Vec<String>,
}

/// What came of one thing that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was tried.
    pub what: &'static str,
    /// Does it do that?
    pub works: bool,
    /// What it answered, or what follows.
    pub said: String,
}

/// What a target must know of the mappings: which attributes to read, and how to match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Paths of the user mapping.
    pub user_paths: Vec<String>,
    /// Paths of the group mapping; empty when groups are not provisioned.
    pub group_paths: Vec<String>,
    /// The first matching attribute of users.
    pub user_match: String,
    /// The first matching attribute of groups.
    pub group_match: Option<String>,
    /// How it wants to be spoken to.
    pub dialect: Dialect,
    /// Paths whose values nobody is to see in the exchange log.
    pub hidden: Vec<String>,
}

/// Keeps a refresh token that an authorization server exchanges for another one with each use (RFC 6749, 6).
#[async_trait]
pub trait Keeper: Send + Sync + fmt::Debug {
    /// Held from when a token is read until the next one is kept: a token that is shown twice may cost both.
    fn door(&self) -> Arc<tokio::sync::Mutex<()>>;

    /// The token that is kept for what was allowed under this id; `None` when something else is. The error says
    /// why it cannot be read.
    async fn kept(&self, id: &str) -> Result<Option<Secret<String>>, String>;

    /// Keeps another one, unless something else was allowed meanwhile. The error says why not.
    async fn keep(&self, id: &str, refresh: &Secret<String>) -> Result<(), String>;
}

/// Opens the source and the target of a job.
#[async_trait]
pub trait Connector: Send + Sync + fmt::Debug {
    /// The source of a job.
    fn source(&self, tenant: TenantId, job: &Job) -> Box<dyn Source>;

    /// A target; nothing is sent yet.
    fn target(
        &self,
        credentials: &Credentials,
        shape: &Shape,
        keeper: Arc<dyn Keeper>,
    ) -> Result<Box<dyn Target>, TargetError>;
}

/// Brings messages to others: webhooks.
#[async_trait]
pub trait Courier: Send + Sync + fmt::Debug {
    /// May messages be brought to this address? The error says why not.
    fn check(&self, url: &str) -> Result<(), String>;

    /// Posts a JSON body. The error says why there was no answer.
    async fn post(
        &self,
        url: &str,
        headers: &[(&'static str, String)],
        body: String,
    ) -> Result<Receipt, String>;
}

/// Where people sign in elsewhere.
#[async_trait]
pub trait Issuer: Send + Sync + fmt::Debug {
    /// What pages call it.
    fn name(&self) -> &str;

    /// Begins: where somebody goes, to come back to `redirect`.
    async fn begin(&self, redirect: &str) -> Result<Begun, String>;

    /// Ends with the code that came back: by what name they are known there. The error says what is wrong.
    async fn finish(&self, begun: &Begun, code: &str) -> Result<String, String>;
}

/// What is remembered of somebody who signs in elsewhere, until they come back.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Where they go.
    pub url: String,
    /// Where they come back to.
    pub redirect: String,
    /// Comes back with them.
    pub state: String,
    /// Stands in what is said of them.
    pub nonce: String,
    /// Shows that it was us who began (RFC 7636).
    pub verifier: Secret<String>,
}

/// Sends mail.
#[async_trait]
pub trait Mailer: Send + Sync + fmt::Debug {
    /// Sends a mail.
    async fn send(&self, mail: &Mail) -> Result<(), MailFailure>;
}

/// A mail could not be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind}: {detail}")]
pub struct MailFailure {
    /// What went wrong, without anybody's name.
    pub kind: &'static str,
    /// What was said; it may name the recipient.
    pub detail: String,
}

/// A mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Names it, so that one that comes twice is known.
    pub id: String,
    /// The recipient's address.
    pub to: String,
    /// The subject.
    pub subject: String,
    /// The text.
    pub text: String,
}

/// What somebody answered to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The HTTP status.
    pub status: u16,
    /// How long it asks to wait.
    pub retry_after: Option<Duration>,
}

/// How long something took, from the clock that was handed in.
pub(crate) const fn took(began: Timestamp, ended: Timestamp) -> u64 {
    ended.millis_since(began)
}
