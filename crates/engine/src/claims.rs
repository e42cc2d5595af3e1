//! Objects of the target that are being linked just now.
//!
//! Links are written in batches, so the store does not know yet whom a target object belongs to while
//! its link waits. Whoever creates or matches an object claims it first; only one can.

use std::collections::{HashMap, HashSet};

use muster_model::link::{SourceAnchor, TargetId};
use parking_lot::Mutex;

/// Claims of objects whose outcome is not written down yet; as few as objects are under way.
#[derive(Debug, Default)]
pub(crate) struct Claims(Mutex<HashMap<TargetId, SourceAnchor>>);

impl Claims {
    /// Claims an object; false when another source object holds it.
    pub(crate) fn claim(&self, target: &TargetId, anchor: SourceAnchor) -> bool {
        *self.0.lock().entry(target.clone()).or_insert(anchor) == anchor
    }

    /// Gives back the claims of source objects whose outcome is written: the store knows by now.
    pub(crate) fn give_back(&self, anchors: &HashSet<SourceAnchor>) {
        self.0.lock().retain(|_, holder| !anchors.contains(holder));
    }
}
