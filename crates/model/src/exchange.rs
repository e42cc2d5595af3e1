//! Requests to a target with their answers, as the exchange log keeps them.

use std::str::FromStr;

use crate::Timestamp;
use crate::event::UnknownWord;

/// Stands where something was left out.
pub const HIDDEN: &str = "[redacted]";

/// A request and what was answered. What must not be seen is left out of it already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// When the request was sent.
    pub at: Timestamp,
    /// How long the answer took, in milliseconds.
    pub millis: u64,
    /// `GET`, `POST`, …
    pub method: String,
    /// The whole address.
    pub url: String,
    /// Headers of the request that change what it does.
    pub asked_with: Vec<(String, String)>,
    /// What was sent.
    pub sent: Option<Body>,
    /// The HTTP status; `None` when nothing was answered.
    pub status: Option<u16>,
    /// Headers of the answer.
    pub headers: Vec<(String, String)>,
    /// What was answered.
    pub answered: Option<Body>,
    /// Why nothing, or not all of it, was answered.
    pub failure: Option<String>,
}

impl Exchange {
    /// Which attempt each of these is at the same request: 1 for the first one, and for one after the same has
    /// succeeded.
    pub fn attempts(exchanges: &[Self]) -> Vec<usize> {
        let is_same = |one: &Self, other: &Self| {
            one.method == other.method && one.url == other.url && one.sent == other.sent
        };
        let failed = |it: &&Self| !matches!(it.status, Some(200..=299));
        let before = |(at, it): (usize, &Self)| {
            let earlier = exchanges.iter().take(at).rev();
            let earlier = earlier.filter(|other| is_same(it, other));
            earlier.take_while(failed).count() + 1
        };
        exchanges.iter().enumerate().map(before).collect()
    }
}

/// A body, or its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The text, up to a limit.
    pub text: String,
    /// The size of the whole body as it was sent, in bytes.
    pub size: u64,
    /// Was it longer than the limit?
    pub is_cut: bool,
}

/// What of the exchanges a job keeps, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExchangeLog {
    /// Which ones.
    pub keep: Keep,
    /// For so many seconds.
    pub seconds: u32,
    /// And no more than so many bytes: the oldest go first.
    pub bytes: u64,
    /// Attributes at the target whose values are not kept, besides passwords and those that the mapping
    /// redacts.
    pub hidden: Vec<String>,
}

/// A week, and 256 MiB.
impl Default for ExchangeLog {
    fn default() -> Self {
        Self {
            keep: Keep::default(),
            seconds: 7 * 86_400,
            bytes: 256 * 1024 * 1024,
            hidden: Vec::new(),
        }
    }
}

/// Which exchanges are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keep {
    /// Those of every event.
    All,
    /// Those of failures and warnings; of what is provisioned on demand, all.
    #[default]
    Failures,
    /// None.
    None,
}

impl Keep {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Failures => "failures",
            Self::None => "none",
        }
    }
}

impl FromStr for Keep {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::All, Self::Failures, Self::None]
            .into_iter()
            .find(|keep| keep.as_str() == text)
            .ok_or_else(|| UnknownWord::of(text))
    }
}
