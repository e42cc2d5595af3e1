//! What an incremental cycle must look at, found out from the feed of the source.

use std::collections::{BTreeMap, BTreeSet};

use muster_model::directory::Kind;
use muster_model::link::SourceAnchor;

use crate::decide::Cause;
use crate::error::EngineError;
use crate::port::{Changed, Source, SourceChange};

/// Members that are read from the source at once.
const PAGE: u32 = 500;

/// What an incremental cycle must look at, and why.
#[derive(Debug, Default)]
pub(crate) struct ChangeSet {
    pub(crate) users: BTreeMap<SourceAnchor, Cause>,
    pub(crate) groups: BTreeMap<SourceAnchor, Cause>,
    /// Group and member.
    pub(crate) memberships: BTreeSet<(SourceAnchor, SourceAnchor)>,
}

impl ChangeSet {
    /// Names an object; the weightier cause stays.
    pub(crate) fn object(&mut self, kind: Kind, anchor: SourceAnchor, cause: Cause) {
        let named = match kind {
            Kind::User => &mut self.users,
            Kind::Group => &mut self.groups,
        };
        let known = named.entry(anchor).or_insert(cause);
        *known = (*known).max(cause);
    }

    /// Sorts feed entries into what must be looked at. An assignment of a group concerns its members,
    /// too, and those of the groups in it: it may reach, or have reached, so far. So does the membership of a
    /// group in another one. `assigned` is why they are looked at after an assignment.
    pub(crate) async fn note(
        &mut self,
        source: &dyn Source,
        entries: &[SourceChange],
        assigned: Cause,
    ) -> Result<(), EngineError> {
        let (mut principals, mut members) = (BTreeSet::new(), BTreeSet::new());
        for entry in entries {
            match entry.what {
                Changed::Object(kind, anchor) => self.object(kind, anchor, Cause::Attributes),
                Changed::Membership { group, member } => {
                    self.memberships.insert((group, member));
                    // The membership may have brought or cost an assignment.
                    self.object(Kind::User, member, assigned);
                    members.insert(member);
                }
                Changed::Assignment(principal) => {
                    principals.insert(principal);
                }
                Changed::Elsewhere => {}
            }
        }
        for principal in &principals {
            self.object(Kind::User, *principal, assigned);
            self.object(Kind::Group, *principal, assigned);
        }
        self.below(source, principals.into_iter().collect(), assigned)
            .await?;
        let members: Vec<SourceAnchor> = members.into_iter().collect();
        let mut groups = Vec::new();
        for part in members.chunks(PAGE as usize) {
            let names = source.names(Kind::Group, part).await?;
            groups.extend(names.into_iter().map(|(group, _)| group));
        }
        groups.sort_unstable();
        self.below(source, groups, assigned).await
    }

    /// Names the members of groups, and of the groups in them; groups may contain each other.
    async fn below(
        &mut self,
        source: &dyn Source,
        mut groups: Vec<SourceAnchor>,
        cause: Cause,
    ) -> Result<(), EngineError> {
        let mut seen: BTreeSet<SourceAnchor> = groups.iter().copied().collect();
        while let Some(group) = groups.pop() {
            let mut after = None;
            loop {
                let members = source.members(group, after, PAGE).await?;
                let Some(last) = members.last() else { break };
                after = Some(*last);
                for member in members {
                    self.object(Kind::User, member, cause);
                }
            }
            let nested = source.nested(group).await?;
            groups.extend(nested.into_iter().filter(|group| seen.insert(*group)));
        }
        Ok(())
    }
}
