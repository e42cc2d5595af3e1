//! What somebody should know of a job without having to ask (section 12).

use crate::event::UnknownWord;
use crate::{JobId, Timestamp};

/// What a notice is about. A job has at most one of each at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// The whole job is held: quarantine, by whatever cause.
    Quarantine,
    /// Objects fail, again and again.
    Failures,
    /// What gives access to the target expires soon, or has.
    Expiry,
}

impl Topic {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Quarantine => "quarantine",
            Self::Failures => "failures",
            Self::Expiry => "expiry",
        }
    }
}

impl std::str::FromStr for Topic {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        [Self::Quarantine, Self::Failures, Self::Expiry]
            .into_iter()
            .find(|topic| topic.as_str() == text)
            .ok_or_else(|| UnknownWord::of(text))
    }
}

/// How a notice is told. Each way has its own time: what one has brought, the other one may still have to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// By mail.
    Mail,
    /// By a signed message to a webhook.
    Webhook,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Mail, Self::Webhook];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mail => "mail",
            Self::Webhook => "webhook",
        }
    }
}

impl std::str::FromStr for Channel {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        Self::ALL
            .into_iter()
            .find(|channel| channel.as_str() == text)
            .ok_or_else(|| UnknownWord::of(text))
    }
}

/// A notice, as it is told by one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The job.
    pub job: JobId,
    /// What about.
    pub topic: Topic,
    /// How this is told.
    pub channel: Channel,
    /// The reason code; another one is another notice (NT-2).
    pub reason: String,
    /// In plain words: what happened and what to do.
    pub detail: String,
    /// How many objects it concerned when it was raised; 0 when it is no number of objects.
    pub size: u64,
    /// Since when.
    pub since: Timestamp,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// Somebody knows, and wants to hear no more of it.
    pub acknowledged: bool,
    /// How often it was told lately.
    pub told: u32,
    /// When it is told next; never, when it is not given.
    pub due: Option<Timestamp>,
    /// Why it could not be told.
    pub problem: Option<String>,
}

impl Notice {
    /// What comes within so many seconds is told together, and what is over within them not at all.
    pub const TOGETHER: i64 = 10;
    /// Objects that fail often get well by themselves: so many seconds are left to them.
    pub const PATIENCE: i64 = 600;
    /// What is not over and not acknowledged is told again after so many seconds (NT-4).
    pub const AGAIN: i64 = 86_400;
    /// Told so often on one day, it is told more slowly.
    pub const OFTEN: u32 = 6;
    /// How slowly, in seconds.
    pub const SLOWLY: i64 = 3600;
    /// After so many seconds of quarantine also those are told again who know: a week later the job is
    /// switched off.
    pub const WARNING: i64 = 21 * 86_400;
}
