//! What expressions may ask for besides the object: the present, and randomness.
//!
//! Both are fixed by an instant and a seed, so that what a plan says and what is sent later are the same
//! values. They are also the same however often one object is evaluated on its way.

use std::cell::Cell;

use muster_model::Timestamp;
use muster_model::id::fill_random;
use muster_model::link::SourceAnchor;
use muster_rules::Context;
use sha2::{Digest, Sha256};

/// What the expressions of a cycle are evaluated on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Basis {
    /// What is the present; the moment at which an object is looked at, when it is not given.
    pub(crate) at: Option<Timestamp>,
    pub(crate) seed: [u8; 32],
}

impl Basis {
    /// The present, and randomness that nobody knows.
    pub(crate) fn fresh() -> Self {
        let mut seed = [0; 32];
        fill_random(&mut seed);
        Self { at: None, seed }
    }

    /// The present, as far as decisions go.
    pub(crate) fn present(&self, now: Timestamp) -> Timestamp {
        self.at.unwrap_or(now)
    }

    /// Evaluates something about an object. `taken` says whether a value is taken at the target.
    pub(crate) fn evaluate<T>(
        &self,
        anchor: SourceAnchor,
        now: Timestamp,
        taken: &dyn Fn(&str, &str) -> bool,
        evaluation: impl FnOnce(&Context<'_>) -> T,
    ) -> T {
        let blocks = Cell::new(0_u64);
        let random = |buffer: &mut [u8]| {
            for part in buffer.chunks_mut(32) {
                let block = Sha256::new()
                    .chain_update(self.seed)
                    .chain_update(anchor.as_bytes())
                    .chain_update(blocks.replace(blocks.get() + 1).to_be_bytes())
                    .finalize();
                part.copy_from_slice(&block[..part.len()]);
            }
        };
        evaluation(&Context {
            now: self.present(now),
            random: &random,
            taken,
        })
    }
}

/// Every value is free at the target.
pub(crate) const fn free(_: &str, _: &str) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn randomness_is_the_same_for_one_object_and_no_other() {
        let draw = |basis: &Basis, anchor: u8| {
            let anchor = SourceAnchor::from_bytes([anchor; 16]);
            basis.evaluate(anchor, Timestamp::from_micros(0), &free, |context| {
                let (mut first, mut second) = ([0; 40], [0; 40]);
                (context.random)(&mut first);
                (context.random)(&mut second);
                assert_ne!(first, second);
                (first, second)
            })
        };
        let (basis, other) = (Basis::fresh(), Basis::fresh());
        assert_eq!(draw(&basis, 1), draw(&basis, 1));
        assert_ne!(draw(&basis, 1), draw(&basis, 2));
        assert_ne!(draw(&basis, 1), draw(&other, 1));
    }
}
