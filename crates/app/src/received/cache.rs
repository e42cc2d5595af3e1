//! Users that were read a moment ago, so that reading them again costs no look-up.
//!
//! Only where one process writes (SQLite). A write takes what it changes out of the cache after its commit and before
//! its answer, so whoever has an answer never reads what was before it. Whoever began to read earlier may
//! not put in what is old by now: each part of the cache has an epoch that grows with every change, and
//! what was read in an earlier epoch is not taken. The groups of a user are good as long as no group of the
//! integration has changed.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use muster_model::ResourceId;
use muster_store::resources::{Place, Resource};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

/// Bytes that are kept at most, roughly.
const KEPT: u64 = 48 * 1024 * 1024;
/// Users that fit in, for the size of the tables.
const USERS: usize = 20_000;
/// Parts with an epoch of their own.
const PARTS: usize = 4096;

/// A user with its groups: id and display name.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) resource: Resource,
    pub(super) groups: Vec<(ResourceId, String)>,
    /// The epoch of the integration's groups when they were read.
    epoch: u64,
}

/// When somebody began to read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Began {
    user: u64,
    groups: u64,
}

#[derive(Debug)]
pub(super) struct Users {
    kept: Cache<(i64, ResourceId), Arc<Kept>, Weight>,
    epochs: Box<[AtomicU64]>,
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<(i64, ResourceId), Arc<Kept>> for Weight {
    fn weight(&self, _: &(i64, ResourceId), kept: &Arc<Kept>) -> u64 {
        let groups: usize = kept.groups.iter().map(|(_, name)| name.len() + 48).sum();
        (kept.resource.doc.len() + groups + 300) as u64
    }
}

impl Users {
    pub(super) fn new() -> Self {
        Self {
            kept: Cache::with_weighter(USERS, KEPT, Weight),
            epochs: (0..PARTS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    fn epoch(&self, of: impl std::hash::Hash) -> &AtomicU64 {
        let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(of);
        &self.epochs[hash as usize % PARTS]
    }

    /// To be noted before reading.
    pub(super) fn began(&self, place: Place, id: ResourceId) -> Began {
        Began {
            user: self.epoch((place, id)).load(Ordering::Acquire),
            groups: self.epoch(place).load(Ordering::Acquire),
        }
    }

    /// A user as it is now, if it is known.
    pub(super) fn get(&self, place: Place, id: ResourceId) -> Option<Arc<Kept>> {
        let kept = self.kept.get(&(place.integration, id))?;
        let fresh = kept.epoch == self.epoch(place).load(Ordering::Acquire);
        fresh.then_some(kept)
    }

    /// Keeps what was read, unless it has changed since.
    pub(super) fn put(
        &self,
        place: Place,
        began: Began,
        resource: Resource,
        groups: Vec<(ResourceId, String)>,
    ) {
        let (key, part) = ((place.integration, resource.id), (place, resource.id));
        let kept = Arc::new(Kept {
            resource,
            groups,
            epoch: began.groups,
        });
        self.kept.insert(key, kept);
        // Asked behind the insertion: a change either sees it and takes it out, or is seen here.
        if self.epoch(part).load(Ordering::Acquire) != began.user {
            self.kept.remove(&key);
        }
    }

    /// Forgets a user, after it has changed.
    pub(super) fn forget(&self, place: Place, id: ResourceId) {
        self.epoch((place, id)).fetch_add(1, Ordering::AcqRel);
        self.kept.remove(&(place.integration, id));
    }

    /// Forgets all groups of an integration, after one has changed.
    pub(super) fn forget_groups(&self, place: Place) {
        self.epoch(place).fetch_add(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use muster_model::integration::ResourceKind;
    use muster_model::{TenantId, Timestamp};

    use super::*;

    const PLACE: Place = Place {
        tenant: TenantId::FIRST,
        integration: 1,
    };

    fn user() -> Resource {
        let at = Timestamp::from_micros(0);
        Resource {
            id: ResourceId::new(),
            kind: ResourceKind::USER,
            name_key: String::new(),
            external_id: None,
            active: true,
            version: 1,
            created: at,
            modified: at,
            doc: "{}".to_owned(),
        }
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let (users, user) = (Users::new(), user());
        let id = user.id;
        let began = users.began(PLACE, id);
        users.forget(PLACE, id);
        users.put(PLACE, began, user.clone(), Vec::new());
        assert!(users.get(PLACE, id).is_none());
        users.put(PLACE, users.began(PLACE, id), user, Vec::new());
        assert!(users.get(PLACE, id).is_some());
        users.forget(PLACE, id);
        assert!(users.get(PLACE, id).is_none());
    }

    #[test]
    fn a_change_of_any_group_outdates_the_groups_of_users() {
        let (users, user) = (Users::new(), user());
        let id = user.id;
        let began = users.began(PLACE, id);
        users.put(PLACE, began, user.clone(), Vec::new());
        users.forget_groups(PLACE);
        assert!(users.get(PLACE, id).is_none());
        users.put(PLACE, began, user, Vec::new());
        assert!(
            users.get(PLACE, id).is_none(),
            "its groups were read before"
        );
    }
}
