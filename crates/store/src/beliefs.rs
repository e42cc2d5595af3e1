//! Groups as they were after the last commit of a lane: what the next transaction may go on from without asking.

use std::collections::HashMap;
use std::sync::Arc;

use muster_model::ResourceId;
use parking_lot::Mutex;

use crate::resources::{About, Known, Place, Resource};

/// Groups that are remembered at most.
const GROUPS: usize = 1000;

/// A longer document, in bytes, is not remembered.
const SHORT: usize = 4096;

/// The groups whose last commit was about their members and nothing else. Each is the affair of one lane.
#[derive(Clone, Default)]
pub(crate) struct Beliefs(Arc<Mutex<HashMap<(Place, ResourceId), Last>>>);

/// A group after its last commit.
struct Last {
    group: Resource,
    /// Came who was no member, and went who was one?
    is_plain: bool,
    /// And the same in the commit before, and nobody else changed it in between? Then it is believed the next time.
    is_believed: bool,
}

impl Beliefs {
    /// The group whose members all of these writes change, if it is believed to be as it was. It is to be remembered
    /// again after the commit.
    pub(crate) fn take<'a>(
        &self,
        place: Place,
        mut writes: impl Iterator<Item = &'a About>,
    ) -> Option<Box<Resource>> {
        let Some(About::Members(id, _)) = writes.next() else {
            return None;
        };
        let mut groups = self.0.lock();
        let is_believed = groups.get(&(place, *id)).is_some_and(|it| it.is_believed);
        if !is_believed || !writes.all(|it| matches!(it, About::Members(of, _) if of == id)) {
            return None;
        }
        let last = groups.remove(&(place, *id));
        last.map(|last| Box::new(last.group))
    }

    /// After a commit in which nothing was done but to members of one group.
    pub(crate) fn remember(&self, place: Place, known: Known, was_believed: bool) {
        let key = (place, known.group.id);
        let mut groups = self.0.lock();
        let before = groups.remove(&key);
        let is_same = before.is_some_and(|it| it.is_plain && it.group.version == known.found);
        if known.group.doc.len() > SHORT {
            return;
        }
        if groups.len() >= GROUPS
            && let Some(some) = groups.keys().next().copied()
        {
            groups.remove(&some);
        }
        let last = Last {
            group: known.group,
            is_plain: known.is_plain,
            is_believed: known.is_plain && (was_believed || is_same),
        };
        groups.insert(key, last);
    }

    /// After another commit.
    pub(crate) fn forget<'a>(&self, place: Place, writes: impl Iterator<Item = &'a About>) {
        let mut groups = self.0.lock();
        for write in writes {
            if let About::Change(_, id) | About::Members(id, _) | About::Deletion(_, id) = write {
                groups.remove(&(place, *id));
            }
        }
    }
}
