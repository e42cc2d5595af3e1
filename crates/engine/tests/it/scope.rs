//! Who is in scope (1.3 to 1.5).

use muster_engine::port::{Grant, Life};
use muster_engine::scope::{Policy, judge};
use muster_model::RoleId;
use muster_model::job::{DefaultAccess, JobSettings, Scope};

use crate::seen::{POLICY, ana, rules};

const DEFAULT: Grant = Grant {
    role: RoleId::DEFAULT_ACCESS,
    via: None,
};

#[track_caller]
fn check(policy: Policy, change: impl FnOnce(&mut muster_engine::port::Record), in_scope: bool) {
    let mut record = ana();
    change(&mut record);
    let judged = judge(&mut record, &policy, &rules().user);
    assert_eq!(judged.in_scope(), in_scope, "{judged:?}");
    let soft_deleted = record
        .attributes
        .get("IsSoftDeleted")
        .and_then(muster_model::Value::as_bool);
    assert_eq!(soft_deleted, Some(!in_scope));
}

#[test]
fn assigned_and_active_is_in_scope() {
    check(POLICY, |_| (), true);
    check(POLICY, |record| record.grants.clear(), false);
    check(POLICY, |record| record.life = Life::Disabled, false); // OM-15
    check(POLICY, |record| record.life = Life::SoftDeleted, false);
}

#[test]
fn default_access_alone_is_excluded_once_the_application_has_roles() {
    // 1.4
    check(POLICY, |record| record.grants = vec![DEFAULT], false);
    check(POLICY, |record| record.grants.push(DEFAULT), true);
    let settings = JobSettings::default();
    check(
        Policy::new(&settings, false),
        |record| record.grants = vec![DEFAULT],
        true,
    );
    let included = JobSettings {
        default_access: DefaultAccess::Included,
        ..settings
    };
    check(
        Policy::new(&included, true),
        |record| record.grants = vec![DEFAULT],
        true,
    );
}

#[test]
fn sync_all_needs_no_assignment() {
    let all = Policy {
        scope: Scope::All,
        ..POLICY
    };
    check(all, |record| record.grants.clear(), true);
    check(all, |record| record.life = Life::Disabled, false);
}

#[test]
fn a_reason_names_what_is_missing() {
    let mut record = ana();
    record.grants = vec![DEFAULT];
    record.life = Life::Disabled;
    let judged = judge(&mut record, &POLICY, &rules().user);
    let reason = judged.reason();
    assert!(
        reason.contains("disabled") && reason.contains("Default Access"),
        "{reason}"
    );
}
