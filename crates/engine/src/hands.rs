//! Who has an object in hand: never are two requests about one object under way.
//!
//! A cycle reads objects ahead of carrying them, and writes down what came of them in batches. Whoever
//! looks at what changes meanwhile must not meet an object between these two, and what was read before
//! the change must not be carried after it.

use std::collections::HashSet;

use muster_model::link::SourceAnchor;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// Objects in hand.
#[derive(Debug, Default)]
pub(crate) struct Hands {
    state: Mutex<State>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct State {
    held: HashSet<SourceAnchor>,
    changed: HashSet<SourceAnchor>,
}

impl Hands {
    /// Takes an object in hand when nobody else has it. Whoever does not hold others meanwhile cannot
    /// wait for ever.
    pub(crate) async fn take(&self, anchor: SourceAnchor) {
        loop {
            let freed = self.freed.notified();
            if self.state.lock().held.insert(anchor) {
                return;
            }
            freed.await;
        }
    }

    /// Takes an object in hand for as long as what is answered lives.
    pub(crate) async fn hold(&self, anchor: SourceAnchor) -> Held<'_> {
        self.take(anchor).await;
        Held(self, anchor)
    }

    /// Gives objects back: what came of them is written down.
    pub(crate) fn give_back<'a>(&self, anchors: impl IntoIterator<Item = &'a SourceAnchor>) {
        let mut state = self.state.lock();
        for anchor in anchors {
            state.held.remove(anchor);
        }
        drop(state);
        self.freed.notify_waiters();
    }

    /// Says that objects have changed; answers which of them somebody has in hand.
    pub(crate) fn changed(&self, anchors: &[SourceAnchor]) -> Vec<SourceAnchor> {
        let mut state = self.state.lock();
        state.changed.extend(anchors);
        let held = anchors.iter().filter(|anchor| state.held.contains(anchor));
        held.copied().collect()
    }

    /// Has the object changed since the cycle began?
    pub(crate) fn has_changed(&self, anchor: SourceAnchor) -> bool {
        self.state.lock().changed.contains(&anchor)
    }
}

/// An object in hand.
#[derive(Debug)]
pub(crate) struct Held<'a>(&'a Hands, SourceAnchor);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.give_back(&[self.1]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_object_is_in_one_hand_only() {
        let (hands, one) = (Hands::default(), SourceAnchor::from_bytes([1; 16]));
        hands.take(one).await;
        assert_eq!(
            hands.changed(&[one, SourceAnchor::from_bytes([2; 16])]),
            [one]
        );
        let other = async {
            hands.take(one).await;
            "taken"
        };
        let first = async {
            tokio::task::yield_now().await;
            hands.give_back(&[one]);
        };
        assert_eq!(tokio::join!(other, first).0, "taken");
        assert!(hands.has_changed(one));
    }
}
