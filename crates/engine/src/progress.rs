//! How far a cycle has come: for people to watch, and to go on from after a crash.

use std::time::Duration;

use muster_model::cycle::{Counts, CycleKind};
use muster_model::link::SourceAnchor;
use muster_model::{CycleId, Position, Timestamp};
use serde_json::{Value as Json, json};
use tokio::sync::watch;
use tokio::time::Instant;

/// What a cycle is at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Users, one by one.
    Users,
    /// Groups, without their members.
    Groups,
    /// Objects that are gone from the source.
    Gone,
    /// Finding out who should be a member of what.
    Members,
    /// Managers and members at the target.
    References,
}

impl Phase {
    /// One word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::Groups => "groups",
            Self::Gone => "gone",
            Self::Members => "members",
            Self::References => "references",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [
            Self::Users,
            Self::Groups,
            Self::Gone,
            Self::Members,
            Self::References,
        ]
        .into_iter()
        .find(|phase| phase.as_str() == text)
    }
}

/// How far a running cycle has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Everything or changes.
    pub kind: CycleKind,
    /// What it is at.
    pub phase: Phase,
    /// Objects (or references) of this phase done so far.
    pub done: u64,
    /// Objects (or references) of this phase in all, about.
    pub total: u64,
    /// What was done so far.
    pub counts: Counts,
    /// When the cycle began.
    pub began: Timestamp,
    /// When it came into this phase, and what was done of it before.
    pub(crate) entered: Option<(Instant, u64)>,
}

/// Before so much is done, nobody knows how long the rest takes.
const KNOWN_AFTER: (u64, Duration) = (100, Duration::from_secs(2));

impl Progress {
    /// How long the rest of this phase takes, as fast as it has gone so far; `None` as long as that is a guess.
    pub fn left(&self) -> Option<Duration> {
        let (entered, before) = self.entered?;
        let (done, took) = (self.done.saturating_sub(before), entered.elapsed());
        let is_known = done >= KNOWN_AFTER.0 && took >= KNOWN_AFTER.1;
        let rest = self.total.saturating_sub(self.done);
        is_known.then(|| took.mul_f64(rest as f64 / done as f64))
    }

    /// Tells those who watch.
    pub(crate) fn publish(mut self, to: &watch::Sender<Option<Self>>) {
        to.send_modify(|known| {
            let same = |it: &&mut Self| it.phase == self.phase && it.began == self.began;
            let entered = known.as_mut().filter(same).and_then(|it| it.entered);
            self.entered = entered.or_else(|| Some((Instant::now(), self.done)));
            *known = Some(self);
        });
    }
}

/// The place from which an interrupted initial cycle goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) cycle: CycleId,
    pub(crate) watermark: Position,
    pub(crate) began: Timestamp,
    pub(crate) phase: Phase,
    pub(crate) after: Option<SourceAnchor>,
    pub(crate) done: u64,
    pub(crate) counts: Counts,
}

impl Checkpoint {
    pub(crate) fn to_json(&self) -> String {
        json!({
            "cycle": self.cycle.to_string(),
            "watermark": self.watermark.to_string(),
            "began": self.began.as_micros(),
            "phase": self.phase.as_str(),
            "after": self.after.map(|after| after.to_string()),
            "done": self.done,
            "counts": muster_store::cycles::counts_to_json(&self.counts),
        })
        .to_string()
    }

    /// Reads a checkpoint; one that cannot be understood is as good as none.
    pub(crate) fn from_json(text: &str) -> Option<Self> {
        let json: Json = serde_json::from_str(text).ok()?;
        Some(Self {
            cycle: json["cycle"].as_str()?.parse().ok()?,
            watermark: json["watermark"].as_str()?.parse().ok()?,
            began: Timestamp::from_micros(json["began"].as_i64()?),
            phase: Phase::parse(json["phase"].as_str()?)?,
            after: match json["after"].as_str() {
                Some(text) => Some(text.parse().ok()?),
                None => None,
            },
            done: json["done"].as_u64()?,
            counts: muster_store::cycles::counts_from_json(json["counts"].as_str()?)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_left_is_told_by_the_speed_of_this_phase() {
        let (progress, watch) = watch::channel(None);
        let at = |phase, done| Progress {
            kind: CycleKind::Initial,
            phase,
            done,
            total: 1000,
            counts: Counts::default(),
            began: Timestamp::from_micros(5),
            entered: None,
        };
        let left = || watch.borrow().and_then(|it: Progress| it.left());
        // It went on from a checkpoint: what was done before says nothing of the speed.
        at(Phase::Users, 500).publish(&progress);
        assert_eq!(left(), None);
        tokio::time::sleep(Duration::from_secs(10)).await;
        at(Phase::Users, 599).publish(&progress);
        assert_eq!(left(), None, "a guess");
        at(Phase::Users, 600).publish(&progress);
        assert_eq!(left(), Some(Duration::from_secs(40)));
        at(Phase::Groups, 0).publish(&progress);
        assert_eq!(left(), None);
    }

    #[test]
    fn a_checkpoint_reads_back() {
        let checkpoint = Checkpoint {
            cycle: CycleId::new(),
            watermark: Position {
                transaction: 4,
                number: 12,
            },
            began: Timestamp::from_micros(5),
            phase: Phase::Groups,
            after: Some(SourceAnchor::from_bytes([3; 16])),
            done: 9,
            counts: Counts {
                created: 7,
                ..Counts::default()
            },
        };
        assert_eq!(
            Checkpoint::from_json(&checkpoint.to_json()),
            Some(checkpoint)
        );
    }
}
