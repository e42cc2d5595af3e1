//! What the demo found, as a table and as JSON.

use muster_app::directory;
use muster_engine::Entitled;
use muster_model::cycle::{Cycle, CycleKind};
use serde_json::{Value, json};

use crate::commands::demo::target::Counted;
use crate::commands::job::cycle_json;
use crate::output::Out;

/// Prints cycles by kind, and both sides beside each other.
pub(super) async fn print(cycles: &[Cycle], entitled: Entitled, counted: Counted, out: &Out) {
    let header = format!(
        "    {:<22}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}",
        "cycles", "created", "updated", "disabled", "deleted", "skipped", "failed", "requests"
    );
    out.say(header).await;
    for kind in [CycleKind::Initial, CycleKind::Incremental] {
        let of_kind: Vec<&Cycle> = cycles.iter().filter(|cycle| cycle.kind == kind).collect();
        let mut sum = muster_model::cycle::Counts::default();
        for cycle in &of_kind {
            sum.add(&cycle.counts);
        }
        let name = format!("{} {}", of_kind.len(), kind.as_str());
        let row = format!(
            "    {name:<22}{:>9}{:>9}{:>9}{:>9}{:>9}{:>9}{:>10}",
            sum.created,
            sum.updated,
            sum.disabled,
            sum.deleted,
            sum.skipped,
            sum.failed,
            sum.requests
        );
        out.say(row).await;
    }
    out.say("").await;
    out.say(format!(
        "    {:<22}{:>12}{:>12}{:>14}",
        "", "users", "groups", "memberships"
    ))
    .await;
    let row = |name: &str, users: u64, groups: u64, memberships: u64| {
        format!("    {name:<22}{users:>12}{groups:>12}{memberships:>14}")
    };
    out.say(row(
        "entitled (directory)",
        entitled.users,
        entitled.groups,
        entitled.memberships,
    ))
    .await;
    out.say(row(
        "target (over HTTP)",
        counted.users,
        counted.groups,
        counted.memberships,
    ))
    .await;
}

/// The result in the shape that scripts read.
pub(super) fn json(
    scim_url: &str,
    token: &str,
    loaded: directory::Counts,
    entitled: Entitled,
    cycles: &[Cycle],
    counted: Counted,
) -> Value {
    let cycles: Vec<Value> = cycles.iter().map(cycle_json).collect();
    json!({
        "scimUrl": scim_url,
        "token": token,
        "directory": {
            "users": loaded.users, "groups": loaded.groups, "memberships": loaded.memberships
        },
        "entitled": {
            "users": entitled.users, "groups": entitled.groups,
            "memberships": entitled.memberships
        },
        "testConnection": { "ok": true },
        "cycles": cycles,
        "target": {
            "users": counted.users, "activeUsers": counted.active_users,
            "groups": counted.groups, "memberships": counted.memberships
        }
    })
}
