//! What cycles did, hour by hour.

use muster_app::jobs::{self, JobReport};
use muster_model::CycleId;
use muster_model::Timestamp;
use muster_model::cycle::Cycle;

use crate::failure::Failure;
use crate::who::Who;
use crate::words::{many, number};

/// Hours that are shown.
const HOURS: usize = 24;
/// Of the drawing: its height, what an hour takes of its width, and what its bar takes of that.
const HIGH: u64 = 60;
const STEP: u64 = 12;

/// A piece of a bar.
#[derive(Clone, Debug)]
pub(crate) struct Piece {
    pub(crate) class: &'static str,
    pub(crate) y: u64,
    pub(crate) high: u64,
}

/// An hour.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    pub(crate) x: u64,
    pub(crate) says: String,
    pub(crate) pieces: Vec<Piece>,
}

/// The last 24 hours.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) bars: Vec<Bar>,
    /// What it was, by which class it is drawn, how many.
    pub(crate) legend: Vec<(&'static str, &'static str, String)>,
    pub(crate) says: String,
    of: Key,
}

/// A chart is the same as long as these are.
type Key = (i64, Option<(CycleId, Option<Timestamp>)>);

/// What is told apart: name, class.
const KINDS: [(&str, &str); 4] = [
    ("created", "created"),
    ("updated", "updated"),
    ("disabled or deleted", "withdrawn"),
    ("failed", "failed"),
];

const fn counts(cycle: &Cycle) -> [u64; 4] {
    let it = &cycle.counts;
    [it.created, it.updated, it.disabled + it.deleted, it.failed]
}

const fn hour(at: Timestamp) -> i64 {
    at.as_micros().div_euclid(3_600_000_000)
}

impl Chart {
    /// The chart of an application; `before` when nothing has happened since.
    pub(crate) async fn of(
        who: &Who,
        report: &JobReport,
        before: Option<Self>,
    ) -> Result<Self, Failure> {
        let now = who.ctx.clock.now();
        let newest = report.cycles.first().map(|cycle| (cycle.id, cycle.ended));
        let key = (hour(now), newest);
        if let Some(before) = before.filter(|it| it.of == key) {
            return Ok(before);
        }
        let first = hour(now) - (HOURS as i64 - 1);
        let since = Timestamp::from_micros(first * 3_600_000_000);
        let cycles = jobs::cycles_since(&who.ctx, &report.application, since).await?;
        Ok(Self::drawn(&cycles, key))
    }

    fn drawn(cycles: &[Cycle], key: Key) -> Self {
        let first = key.0 - (HOURS as i64 - 1);
        let mut hours = vec![[0_u64; 4]; HOURS];
        let mut all = [0_u64; 4];
        for cycle in cycles {
            let at = hour(cycle.ended.unwrap_or(cycle.began)) - first;
            let Some(of) = usize::try_from(at).ok().and_then(|at| hours.get_mut(at)) else {
                continue;
            };
            for (at, count) in counts(cycle).into_iter().enumerate() {
                of[at] += count;
                all[at] += count;
            }
        }
        let most = hours.iter().map(|it| it.iter().sum::<u64>()).max();
        let most = most.unwrap_or_default().max(1);
        let told = |counts: &[u64; 4]| {
            let all = counts.iter().zip(KINDS);
            let all = all.filter(|(count, _)| **count > 0);
            let all: Vec<String> = all
                .map(|(count, (name, _))| format!("{} {name}", number(*count)))
                .collect();
            if all.is_empty() {
                "nothing".to_owned()
            } else {
                all.join(", ")
            }
        };
        let bars = hours.iter().enumerate().map(|(at, counts)| {
            let mut y = HIGH;
            let pieces = counts.iter().zip(KINDS).filter(|(count, _)| **count > 0);
            let pieces = pieces.map(|(count, (_, class))| {
                let high = (count * HIGH / most).max(2).min(y);
                y -= high;
                Piece { class, y, high }
            });
            let ago = HOURS - 1 - at;
            let when = if ago == 0 {
                "this hour".to_owned()
            } else {
                format!("{} ago", many(ago as u64, "hour"))
            };
            Bar {
                x: at as u64 * STEP,
                pieces: pieces.collect(),
                says: format!("{when}: {}", told(counts)),
            }
        });
        let legend = KINDS.iter().zip(all);
        Self {
            bars: bars.collect(),
            legend: legend
                .map(|((name, class), count)| (*name, *class, number(count)))
                .collect(),
            says: told(&all),
            of: key,
        }
    }
}

#[cfg(test)]
mod tests {
    use muster_model::JobId;
    use muster_model::cycle::{Counts, CycleKind, CycleState};

    use super::*;

    #[test]
    fn each_cycle_stands_in_the_hour_in_which_it_ended() {
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let cycle = |ended: &str, created, failed| Cycle {
            id: CycleId::new(),
            job: JobId::new(),
            kind: CycleKind::Incremental,
            state: CycleState::Succeeded,
            began: at("2026-03-01T00:00:00Z"),
            ended: Some(at(ended)),
            counts: Counts {
                created,
                failed,
                ..Counts::default()
            },
        };
        let cycles = [
            cycle("2026-03-01T12:59:59Z", 30, 10),
            cycle("2026-03-01T12:00:00Z", 20, 0),
            cycle("2026-03-01T11:59:59Z", 6, 0),
            // Longer ago than is shown.
            cycle("2026-02-28T12:59:59Z", 1000, 0),
        ];
        let chart = Chart::drawn(&cycles, (hour(at("2026-03-01T12:30:00Z")), None));
        let told: Vec<&str> = chart.bars.iter().map(|it| it.says.as_str()).collect();
        assert_eq!(told[23], "this hour: 50 created, 10 failed");
        assert_eq!(told[22], "1 hour ago: 6 created");
        assert_eq!(told[0], "23 hours ago: nothing");
        let pieces = &chart.bars[23].pieces;
        assert_eq!((pieces[0].y, pieces[0].high), (10, 50));
        assert_eq!((pieces[1].y, pieces[1].high), (0, 10));
        assert_eq!(chart.says, "56 created, 10 failed");
    }
}
