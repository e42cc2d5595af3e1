//! Who is in scope of a job, counted in the source alone.

use std::collections::HashSet;

use muster_model::directory::Kind;
use muster_model::{JobId, TenantId};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::scope::{Policy, judge};

/// Who is in scope of a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entitled {
    /// Users.
    pub users: u64,
    /// Groups.
    pub groups: u64,
    /// Memberships of which both ends are in scope.
    pub memberships: u64,
}

impl Engine {
    /// Counts who is in scope of a job right now, without asking the target.
    pub async fn entitled(&self, tenant: TenantId, id: JobId) -> Result<Entitled, EngineError> {
        let (job, rules) = self.rules_of(tenant, id).await?;
        let source = self.options.connector.source(tenant, &job);
        let policy = Policy::new(&job.settings, source.has_roles().await?);
        let mut entitled = Entitled::default();
        let mut all = HashSet::new();
        let mut groups = Vec::new();
        let kinds = [
            (Kind::User, Some(&rules.user)),
            (Kind::Group, rules.group.as_ref()),
        ];
        for (kind, mapping) in kinds {
            let Some(mapping) = mapping else { continue };
            let mut after = None;
            loop {
                let page = source.page(kind, after, 500).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.anchor);
                for mut record in page {
                    if judge(&mut record, &policy, mapping).in_scope() {
                        all.insert(record.anchor);
                        match kind {
                            Kind::User => entitled.users += 1,
                            Kind::Group => groups.push(record.anchor),
                        }
                    }
                }
            }
        }
        entitled.groups = groups.len() as u64;
        for group in groups {
            let mut after = None;
            loop {
                let members = source.members(group, after, 1000).await?;
                let Some(last) = members.last() else { break };
                after = Some(*last);
                entitled.memberships +=
                    members.iter().filter(|member| all.contains(member)).count() as u64;
            }
        }
        Ok(entitled)
    }
}
