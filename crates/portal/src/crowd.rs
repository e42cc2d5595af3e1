//! Who would come into scope and who would leave it, as a page shows it before somebody saves.

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;

use muster_app::turnover::{Side, Turnover};
use muster_model::directory::Kind;
use muster_model::job::Departure;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::failure::Failure;
use crate::words::{many, number};

/// Objects that come or go, and the first of them by name.
pub(crate) struct Group {
    pub(crate) users: String,
    pub(crate) groups: String,
    pub(crate) is_empty: bool,
    /// Name, and the page of it.
    pub(crate) first: Vec<(String, String)>,
    pub(crate) more: Option<String>,
}

impl Group {
    fn of(side: Side) -> Self {
        let named = side.first.len() as u64;
        let (users, groups, all) = (side.users, side.groups, side.count());
        let page = |kind, id| match kind {
            Kind::User => format!("/directory/users/{id}"),
            Kind::Group => format!("/directory/groups/{id}"),
        };
        Self {
            users: many(users, "user"),
            groups: many(groups, "group"),
            is_empty: all == 0,
            first: side
                .first
                .into_iter()
                .map(|(kind, id, name)| (name, page(kind, id)))
                .collect(),
            more: (all > named).then(|| number(all - named)),
        }
    }
}

/// Who would come and go.
pub(crate) struct Crowd {
    pub(crate) enter: Group,
    pub(crate) leave: Group,
    pub(crate) stay: String,
    pub(crate) undecided: Option<String>,
    pub(crate) released: Option<String>,
    /// What becomes of those who leave.
    pub(crate) fate: &'static str,
}

impl Crowd {
    pub(crate) fn of(turnover: Turnover) -> Self {
        Self {
            enter: Group::of(turnover.enter),
            leave: Group::of(turnover.leave),
            stay: number(turnover.stay),
            undecided: (turnover.undecided > 0).then(|| number(turnover.undecided)),
            released: (turnover.released > 0).then(|| number(turnover.released)),
            fate: fate(turnover.fate),
        }
    }
}

/// Looking at the whole directory takes time: so many at once.
pub(crate) fn looks() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(1))
}

/// How long somebody waits for their turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// One's turn to look.
pub(crate) async fn turn(looks: &Semaphore) -> Result<SemaphorePermit<'_>, Failure> {
    let permit = tokio::time::timeout(PATIENCE, looks.acquire()).await;
    permit.ok().and_then(Result::ok).ok_or_else(|| {
        let said =
            "Somebody else looks through the whole directory just now. Try again in a moment.";
        Failure::Said(StatusCode::SERVICE_UNAVAILABLE, said.to_owned())
    })
}

/// What becomes of the accounts of those who leave, as a page says it.
pub(crate) const fn fate(of: Departure) -> &'static str {
    match of {
        Departure::Disable => "is disabled at the target",
        Departure::Delete => "is deleted at the target",
        Departure::Leave => "keeps the account at the target as it is",
    }
}
