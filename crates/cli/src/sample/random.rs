//! The random numbers of the sample: splitmix64, the same on every machine.

/// What a stream of random numbers decides about one object.
#[derive(Clone, Copy)]
pub(super) enum Topic {
    UserId = 1,
    User = 2,
    Group = 3,
    GroupId = 4,
    Members = 5,
    Guest = 7,
    Manager = 8,
}

/// One stream of random numbers. Each object has its own, so objects do not depend on each other.
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64, topic: Topic, index: u32) -> Self {
        let keys = [seed, topic as u64, u64::from(index)];
        Self(keys.into_iter().fold(0x5C1A, |state, key| mix(state ^ key)))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number from 0 to `limit - 1`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// Whether the case that happens once in `times` has happened.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.below(items.len() as u64) as usize]
    }

    /// One word of a text in which single spaces separate the words.
    pub(super) fn pick_word<'a>(&mut self, words: &'a str) -> &'a str {
        let index = self.below(words.split(' ').count() as u64) as usize;
        words.split(' ').nth(index).unwrap_or_default()
    }

    /// The position of one of the weights, the greater the likelier.
    pub(super) fn pick_weighted(&mut self, weights: impl Iterator<Item = u64> + Clone) -> usize {
        let drawn = self.below(weights.clone().sum());
        let mut total = 0;
        weights
            .take_while(|weight| {
                total += weight;
                total <= drawn
            })
            .count()
    }

    pub(super) fn guid(&mut self) -> String {
        let (a, b) = (self.next(), self.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            a >> 32,
            (a >> 16) & 0xFFFF,
            a & 0xFFF,
            0x8000 | ((b >> 48) & 0x3FFF),
            b & 0xFFFF_FFFF_FFFF,
        )
    }

    /// A day of the years from `first` to `last`, as in `2024-02-28`.
    pub(super) fn date(&mut self, first: u64, last: u64) -> String {
        let year = first + self.below(last - first + 1);
        let month = 1 + self.below(12);
        let day = 1 + self.below(28);
        format!("{year:04}-{month:02}-{day:02}")
    }

    /// The pattern with a digit in place of each `#`.
    pub(super) fn digits(&mut self, pattern: &str) -> String {
        let digit = |c| match c {
            '#' => char::from(b'0' + self.below(10) as u8),
            other => other,
        };
        pattern.chars().map(digit).collect()
    }
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(GOLDEN);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
