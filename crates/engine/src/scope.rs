//! Is an object in scope? Assignment, role, filters, and whether it is active in the source.

use muster_model::directory::Kind;
use muster_model::job::{DefaultAccess, JobSettings, Leaving, Scope};
use muster_model::{RoleId, Value};
use muster_rules::{ObjectMapping, ScopeOutcome};

use crate::port::{Life, Record};

/// What the job's settings mean for the scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Who is a candidate.
    pub scope: Scope,
    /// Do users who hold only Default Access stay out?
    pub exclude_default_access: bool,
    /// Leave accounts alone that fall out of scope (5.6).
    pub skip_out_of_scope_deletions: bool,
    /// What becomes of the accounts of those who leave.
    pub leaving: Leaving,
}

impl Policy {
    /// The policy of a job whose application has, or has not, roles of its own (1.4).
    pub fn new(settings: &JobSettings, has_roles: bool) -> Self {
        Self {
            scope: settings.scope,
            exclude_default_access: has_roles
                && settings.default_access == DefaultAccess::ExcludedIfRolesExist,
            skip_out_of_scope_deletions: settings.skip_out_of_scope_deletions,
            leaving: settings.leaving,
        }
    }
}

/// Each test of the scope with its answer (10.3).
#[derive(Clone, Debug, PartialEq)]
pub struct Judged {
    /// Active in the source system.
    pub active: bool,
    /// Assigned to the application; true for everyone under sync-all.
    pub assigned: bool,
    /// Holds a role that counts.
    pub role: bool,
    /// The scoping filters.
    pub filter: ScopeOutcome,
}

impl Judged {
    /// All tests passed.
    pub const fn in_scope(&self) -> bool {
        self.active && self.entitled() && self.filter.passed
    }

    /// In scope by assignment and role.
    pub const fn entitled(&self) -> bool {
        self.assigned && self.role
    }

    /// The tests by the names the log uses.
    pub fn flags(&self, kind: Kind) -> Vec<(String, String)> {
        let role = match kind {
            Kind::User => "User has the required role",
            Kind::Group => "Group has the required role",
        };
        let flag = |on: bool| if on { "True" } else { "False" }.to_owned();
        let clauses: Vec<String> = self
            .filter
            .clauses
            .iter()
            .map(|clause| format!("{:?}:{}", clause.label, clause.passed))
            .collect();
        vec![
            ("Active in the source system".to_owned(), flag(self.active)),
            (
                "Assigned to the application".to_owned(),
                flag(self.assigned),
            ),
            (role.to_owned(), flag(self.role)),
            (
                "Scoping filter evaluation passed".to_owned(),
                flag(self.filter.passed),
            ),
            (
                "ScopeEvaluationResult".to_owned(),
                format!("{{{}}}", clauses.join(",")),
            ),
        ]
    }

    /// Why the object is out of scope, and what would bring it in.
    pub fn reason(&self) -> String {
        let mut reasons = Vec::new();
        if !self.active {
            reasons.push("the account is disabled or deleted in the source".to_owned());
        }
        if !self.assigned {
            reasons.push("it is not assigned to the application".to_owned());
        } else if !self.role {
            reasons.push(
                "it holds only the Default Access role; assign one of the application's roles"
                    .to_owned(),
            );
        }
        if !self.filter.passed {
            let failing: Vec<&str> = self
                .filter
                .clauses
                .iter()
                .filter(|clause| clause.decided)
                .map(|clause| clause.label.as_str())
                .collect();
            let changes: Vec<String> = self.filter.flip.iter().map(ToString::to_string).collect();
            reasons.push(format!(
                "it does not pass the scoping filter: {}; to bring it in, {}",
                failing.join("; "),
                changes.join(" and ")
            ));
        }
        reasons.join(", and ")
    }
}

/// Judges a record, and gives it the computed attribute `IsSoftDeleted` (3.6).
pub fn judge(record: &mut Record, policy: &Policy, mapping: &ObjectMapping) -> Judged {
    let assigned = policy.scope == Scope::All || !record.grants.is_empty();
    let role = match (policy.scope, policy.exclude_default_access) {
        (Scope::All, _) | (_, false) => true,
        (Scope::AssignedOnly, true) => {
            record.grants.is_empty()
                || record
                    .grants
                    .iter()
                    .any(|grant| grant.role != RoleId::DEFAULT_ACCESS)
        }
    };
    let judged = Judged {
        active: record.life == Life::Active,
        assigned,
        role,
        filter: mapping.filters.evaluate(&record.attributes),
    };
    record
        .attributes
        .set("IsSoftDeleted", Value::Bool(!judged.in_scope()));
    judged
}
