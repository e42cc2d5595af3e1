//! Objects of the target that are being linked just now.
//!
//! Links are written in batches, so the store does not know yet whom a target object belongs to while
//! its link waits. Whoever creates or matches an object claims it first; only one can.

use std::collections::{HashMap, HashSet};

use muster_model::link::{SourceAnchor, TargetId};
use parking_lot::Mutex;

/// Claims of objects whose outcome is not written down yet; as few as objects are under way.
#[derive(Debug, Default)]
pub(crate) struct Claims {
    objects: Mutex<HashMap<TargetId, SourceAnchor>>,
    /// Values that `SelectUniqueValue` found free: path and value.
    values: Mutex<HashMap<(String, String), SourceAnchor>>,
}

impl Claims {
    /// Claims an object; false when another source object holds it.
    pub(crate) fn claim(&self, target: &TargetId, anchor: SourceAnchor) -> bool {
        *self.objects.lock().entry(target.clone()).or_insert(anchor) == anchor
    }

    /// Claims a value that is to be unique at the target; false when another source object is about to
    /// use it.
    pub(crate) fn claim_value(&self, path: &str, value: &str, anchor: SourceAnchor) -> bool {
        let place = (path.to_owned(), value.to_lowercase());
        *self.values.lock().entry(place).or_insert(anchor) == anchor
    }

    /// Gives back the claims of source objects whose outcome is written: the store knows by now.
    pub(crate) fn give_back(&self, anchors: &HashSet<SourceAnchor>) {
        let keep = |holder: &SourceAnchor| !anchors.contains(holder);
        self.objects.lock().retain(|_, holder| keep(holder));
        self.values.lock().retain(|_, holder| keep(holder));
    }
}
