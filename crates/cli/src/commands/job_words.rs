//! The settings of a job, and what its guard holds back, in JSON and in words.

use muster_model::exchange::{ExchangeLog, Keep};
use muster_model::job::{Dialect, Guard, PatchStyle, Withdrawal};
use muster_store::exchanges::Held;
use serde_json::{Value, json};

/// Bytes that are shown as one.
pub(super) const MIB: u64 = 1024 * 1024;

pub(super) fn exchanges_text(log: &ExchangeLog, held: Held) -> String {
    let which = match log.keep {
        Keep::All => "requests of all events are kept",
        Keep::Failures => {
            "requests of failures and warnings, and of what is provisioned on demand, are kept"
        }
        Keep::None => "no requests are kept",
    };
    let hidden = match log.hidden.as_slice() {
        [] => String::new(),
        hidden => format!(", without the values of {}", hidden.join(", ")),
    };
    format!(
        "{which} for {}, {} MiB at most{hidden}; now {:.1} MiB of {} events",
        every_text(log.seconds),
        log.bytes / MIB,
        held.bytes as f64 / MIB as f64,
        held.events
    )
}

pub(super) fn dialect_json(dialect: Dialect) -> Value {
    json!({
        "patch": dialect.patch.map(PatchStyle::as_str),
        "write": if dialect.puts { "put" } else { "patch" },
        "members": dialect.members, "bulk": dialect.bulk, "groupFilter": dialect.filters_groups,
        "atOnce": dialect.at_once, "perSecond": dialect.per_second,
        "timeoutSeconds": dialect.timeout_seconds
    })
}

/// How a target is spoken to, in a sentence.
pub(super) fn dialect_text(dialect: Dialect) -> String {
    let write = match (dialect.puts, dialect.patch) {
        (true, _) => "changes are sent as the whole resource with PUT",
        (false, None) => "PATCH as the flag in the Tenant URL says, by the RFC without one",
        (false, Some(PatchStyle::Rfc)) => "PATCH by the RFC",
        (false, Some(PatchStyle::Aad2017)) => "PATCH as AzureAdScimPatch2017",
        (false, Some(PatchStyle::Aad062020)) => "PATCH as aadOptscim062020",
    };
    let groups = if dialect.filters_groups {
        "groups are found by a filter"
    } else {
        "all groups are listed to find one"
    };
    let bulk = match dialect.bulk {
        0 | 1 => String::new(),
        many => format!("; up to {many} writes in a bulk request"),
    };
    let rate = match dialect.per_second {
        0 => String::new(),
        many => format!(", {many} in a second"),
    };
    format!(
        "{write}; {} members in a request{bulk}; {groups}; up to {} requests at once{rate}; an \
         answer is waited for {} seconds",
        dialect.members, dialect.at_once, dialect.timeout_seconds
    )
}

pub(super) fn guard_json(guard: Guard) -> Value {
    json!({
        "most": guard.most, "share": guard.share, "memberships": guard.memberships,
        "membersShare": guard.members_share, "withinSeconds": guard.within_seconds
    })
}

/// What a guard does, in a sentence.
pub(super) fn guard_text(guard: Guard) -> String {
    let share = guard.share.map(|share| {
        format!(
            "more than {share} % of the managed objects (and more than {})",
            Guard::FEW
        )
    });
    let most = guard.most.map(|most| format!("more than {most} objects"));
    let within = match guard.within_seconds {
        0 => "each cycle for itself".to_owned(),
        seconds => format!("within {}", time_text(seconds)),
    };
    let memberships = guard
        .memberships
        .map(|most| format!("more than {most} members"));
    let members = guard.members_share.map(|share| {
        format!(
            "more than {share} % of one group's members (and more than {})",
            Guard::FEW_MEMBERS
        )
    });
    let either = |what: &str, limits: [Option<String>; 2]| {
        let limits: Vec<String> = limits.into_iter().flatten().collect();
        (!limits.is_empty()).then(|| format!("{what} {}", limits.join(", or ")))
    };
    let would: Vec<String> = [
        either("disable or delete", [most, share]),
        either("remove", [memberships, members]),
    ]
    .into_iter()
    .flatten()
    .collect();
    if would.is_empty() {
        return "no guard: a cycle may disable, delete and remove as much as it likes".to_owned();
    }
    format!(
        "a cycle that would {} is held, counted {within}",
        would.join("; or ")
    )
}

pub(super) fn held_line(held: &Withdrawal) -> String {
    let (what, kind) = (held.action.as_str(), held.kind.as_str());
    let allowed = if held.allowed { " (allowed)" } else { "" };
    format!("{what} {kind} {}: {}{allowed}", held.name, held.reason)
}

/// A time, in the largest unit that fits.
pub(super) fn time_text(seconds: u32) -> String {
    match every_text(seconds) {
        one if one.starts_with(char::is_alphabetic) => format!("one {one}"),
        several => several,
    }
}

/// Seconds in the largest unit that fits.
pub(super) fn every_text(seconds: u32) -> String {
    let units = [
        (86_400, "day"),
        (3600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let fits = units
        .into_iter()
        .find(|(unit, _)| seconds.is_multiple_of(*unit));
    let (unit, name) = fits.unwrap_or((1, "second"));
    match seconds / unit {
        1 => name.to_owned(),
        number => format!("{number} {name}s"),
    }
}

/// A time that need not be exact.
pub(super) fn about(time: std::time::Duration) -> String {
    match time.as_secs() {
        0..=1 => "a second".to_owned(),
        seconds @ 2..100 => format!("{seconds} seconds"),
        seconds @ 100..5400 => format!("{} minutes", seconds.div_ceil(60)),
        seconds => format!("{} hours", seconds.div_ceil(3600)),
    }
}
