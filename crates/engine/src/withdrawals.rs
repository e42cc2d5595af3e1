//! What would be taken away from linked objects.
//!
//! To withdraw an object needs nothing of the target: [`decide`] says so from the source, the rules and
//! the link alone.

use std::collections::HashMap;
use std::sync::Arc;

use muster_model::Clock;
use muster_model::directory::Kind;
use muster_model::event::Action;
use muster_model::job::Withdrawal;
use muster_model::link::{Link, LinkState, SourceAnchor};
use muster_rules::Context;
use muster_rules::schema::CompiledSchema;

use crate::basis::{Basis, free};
use crate::decide::{Cause, Decision, Seen, Verdict, decide};
use crate::port::{Record, Source, SourceError};
use crate::scope::{Judged, Policy, judge};

/// Looks at linked objects as they are in the source now.
#[derive(Clone, Copy)]
pub(crate) struct Onlooker<'a> {
    pub(crate) source: &'a Arc<dyn Source>,
    pub(crate) rules: &'a CompiledSchema,
    pub(crate) policy: Policy,
    pub(crate) basis: Basis,
    pub(crate) clock: &'a Arc<dyn Clock>,
}

impl Onlooker<'_> {
    /// What would be taken away from these objects.
    pub(crate) async fn withdrawals(
        &self,
        kind: Kind,
        links: Vec<Link>,
    ) -> Result<Vec<Withdrawal>, SourceError> {
        let mapping = match (kind, &self.rules.group) {
            (Kind::User, _) => &self.rules.user,
            (Kind::Group, Some(group)) => group,
            (Kind::Group, None) => return Ok(Vec::new()),
        };
        let held = links
            .into_iter()
            .filter(|link| link.state != LinkState::Released);
        let links: Vec<Link> = held.collect();
        let anchors: Vec<SourceAnchor> = links.iter().map(|link| link.anchor).collect();
        if anchors.is_empty() {
            return Ok(Vec::new());
        }
        let records = self.source.read(kind, &anchors).await?;
        let mut records: HashMap<SourceAnchor, Record> = records
            .into_iter()
            .map(|record| (record.anchor, record))
            .collect();
        let now = self.clock.now();
        let mut found = Vec::new();
        for link in links {
            let mut record = records.remove(&link.anchor);
            let left_out = record
                .as_ref()
                .is_some_and(|it| matches!(mapping.reads(&it.attributes), Ok(false)));
            if left_out {
                continue;
            }
            let judged = record.as_mut().map(|it| judge(it, &self.policy, mapping));
            let seen = Seen {
                record: record.as_ref().zip(judged.as_ref()),
                link: Some(&link),
                matched: None,
                current: None,
                cause: Cause::Attributes,
            };
            let decide = |context: &Context<'_>| decide(&seen, &self.policy, mapping, context);
            let verdict = self.basis.evaluate(link.anchor, now, &free, decide);
            let action = match verdict {
                Verdict::Do(Decision::Disable { .. }) => Action::Disable,
                Verdict::Do(Decision::Delete(_)) => Action::Delete,
                _ => continue,
            };
            let gone = || "it is gone from the source".to_owned();
            found.push(Withdrawal {
                kind,
                anchor: link.anchor,
                reason: judged.as_ref().map_or_else(gone, Judged::reason),
                name: record.map_or_else(|| link.anchor.to_string(), |record| record.name),
                target: link.target,
                action,
                members: Vec::new(),
                allowed: false,
            });
        }
        Ok(found)
    }
}
