//! Where pages began a moment ago, so that a page far down a long list is found without walking to it.
//!
//! Lists are in the order of ids. A mark says: so many resources come up to this one. It is good until one of them
//! goes, or another comes between them. Only where one process writes (SQLite): a write tells after its commit and
//! before its answer. Whoever read what was before it may not put in a mark afterwards.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use muster_model::ResourceId;
use muster_model::integration::ResourceKind;
use muster_store::resources::Place;
use parking_lot::Mutex;

/// Resources that are passed over without a mark: nobody notices.
pub(super) const FAR: u64 = 1000;
/// Marks of one list at most.
const MARKS: usize = 4096;
/// Lists with marks at most.
const LISTS: usize = 1000;
/// Creations that a reader may meet before its mark is not taken any more.
const CREATED: usize = 64;

/// Where a page begins: after this resource, and so many further down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Start {
    pub(super) after: Option<ResourceId>,
    pub(super) skip: u64,
    epoch: u64,
    created: usize,
}

#[derive(Debug, Default)]
pub(super) struct Ranks {
    lists: Mutex<HashMap<(Place, ResourceKind), List>>,
    epochs: AtomicU64,
}

#[derive(Debug)]
struct List {
    /// Grows when something is gone; no two lists ever have the same.
    epoch: u64,
    marks: BTreeMap<u64, ResourceId>,
    /// How many were created, and which ones lately.
    created: usize,
    latest: [Option<ResourceId>; CREATED],
}

impl Ranks {
    fn next_epoch(&self) -> u64 {
        self.epochs.fetch_add(1, Ordering::Relaxed)
    }

    /// The nearest way to what comes after `skip` resources. To be asked before reading.
    pub(super) fn nearest(&self, place: Place, kind: ResourceKind, skip: u64) -> Start {
        let mut lists = self.lists.lock();
        if lists.len() >= LISTS && !lists.contains_key(&(place, kind)) {
            lists.clear();
        }
        let list = lists.entry((place, kind)).or_insert_with(|| List {
            epoch: self.next_epoch(),
            marks: BTreeMap::new(),
            created: 0,
            latest: [None; CREATED],
        });
        let mark = list.marks.range(..=skip).next_back();
        let (rank, after) = mark.map_or((0, None), |(rank, id)| (*rank, Some(*id)));
        Start {
            after,
            skip: skip - rank,
            epoch: list.epoch,
            created: list.created,
        }
    }

    /// Keeps that `rank` resources come up to this one, unless that may have changed since.
    pub(super) fn note(
        &self,
        (place, kind): (Place, ResourceKind),
        start: Start,
        rank: u64,
        id: ResourceId,
    ) {
        let mut lists = self.lists.lock();
        let Some(list) = lists.get_mut(&(place, kind)) else {
            return;
        };
        let meanwhile = list.created - start.created.min(list.created);
        if list.epoch != start.epoch || meanwhile > CREATED {
            return;
        }
        let mut new = (start.created..list.created).map(|number| list.latest[number % CREATED]);
        if new.any(|new| new.is_none_or(|new| new < id)) {
            return;
        }
        if list.marks.len() >= MARKS {
            let mut keep = false;
            list.marks.retain(|_, _| {
                keep = !keep;
                keep
            });
        }
        list.marks.insert(rank, id);
    }

    /// Something has come: usually at the end, where it moves nothing.
    pub(super) fn came(&self, place: Place, kind: ResourceKind, id: ResourceId) {
        if let Some(list) = self.lists.lock().get_mut(&(place, kind)) {
            list.latest[list.created % CREATED] = Some(id);
            list.created += 1;
            while let Some(last) = list.marks.last_entry().filter(|last| *last.get() > id) {
                last.remove();
            }
        }
    }

    /// Something is gone.
    pub(super) fn went(&self, place: Place, kind: ResourceKind) {
        if let Some(list) = self.lists.lock().get_mut(&(place, kind)) {
            list.epoch = self.next_epoch();
            list.marks.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_model::TenantId;

    use super::*;

    const LIST: (Place, ResourceKind) = (
        Place {
            tenant: TenantId::FIRST,
            integration: 1,
        },
        ResourceKind::USER,
    );

    fn id(number: u8) -> ResourceId {
        ResourceId::from_bytes([number; 16])
    }

    fn nearest(ranks: &Ranks, skip: u64) -> (Option<ResourceId>, u64) {
        let start = ranks.nearest(LIST.0, LIST.1, skip);
        (start.after, start.skip)
    }

    fn marked() -> Ranks {
        let ranks = Ranks::default();
        let start = ranks.nearest(LIST.0, LIST.1, 2000);
        ranks.note(LIST, start, 2000, id(20));
        ranks.note(LIST, start, 3000, id(30));
        ranks
    }

    #[test]
    fn the_nearest_mark_before_a_page_is_where_it_begins() {
        let ranks = marked();
        assert_eq!(nearest(&ranks, 1999), (None, 1999));
        assert_eq!(nearest(&ranks, 2000), (Some(id(20)), 0));
        assert_eq!(nearest(&ranks, 2999), (Some(id(20)), 999));
        assert_eq!(nearest(&ranks, 3100), (Some(id(30)), 100));
    }

    #[test]
    fn what_goes_outdates_all_marks_and_what_was_read_before() {
        let ranks = marked();
        let start = ranks.nearest(LIST.0, LIST.1, 2000);
        ranks.went(LIST.0, LIST.1);
        ranks.note(LIST, start, 2000, id(20));
        assert_eq!(nearest(&ranks, 3100), (None, 3100));
    }

    #[test]
    fn what_comes_outdates_the_marks_behind_it() {
        let ranks = marked();
        let start = ranks.nearest(LIST.0, LIST.1, 2000);
        ranks.came(LIST.0, LIST.1, id(40));
        assert_eq!(nearest(&ranks, 3100), (Some(id(30)), 100));
        ranks.came(LIST.0, LIST.1, id(25));
        assert_eq!(nearest(&ranks, 3100), (Some(id(20)), 1100));
        // Read before it came.
        ranks.note(LIST, start, 3000, id(30));
        assert_eq!(nearest(&ranks, 3100), (Some(id(20)), 1100));
        ranks.note(LIST, start, 2200, id(22));
        assert_eq!(nearest(&ranks, 3100), (Some(id(22)), 900));
        for _ in 0..=CREATED {
            ranks.came(LIST.0, LIST.1, id(50));
        }
        ranks.note(LIST, start, 2300, id(23));
        assert_eq!(nearest(&ranks, 3100), (Some(id(22)), 900), "too much came");
    }

    #[test]
    fn marks_are_bounded() {
        let ranks = Ranks::default();
        let start = ranks.nearest(LIST.0, LIST.1, 0);
        for rank in 1..20_000 {
            ranks.note(LIST, start, rank, id(9));
        }
        assert!(ranks.lists.lock()[&LIST].marks.len() <= MARKS);
    }
}
