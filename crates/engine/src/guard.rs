//! The guard: what a cycle would take away is judged as a whole before the first write (6.5).
//!
//! To withdraw an object needs nothing of the target: [`decide`] says so from the source, the rules and
//! the link alone. So all objects that the cycle will look at are decided once before, and only what was
//! counted here is withdrawn in this cycle. Whatever leaves scope meanwhile stands in the feed behind the
//! place that was judged, and is the next cycle's.

use std::collections::{HashMap, HashSet};

use muster_model::directory::Kind;
use muster_model::event::{Action, Event, Status, Step, StepKind};
use muster_model::job::{TOO_MANY_DELETES, Withdrawal};
use muster_model::link::{Link, LinkState, SourceAnchor};
use muster_model::{EventId, Position};
use muster_store::jobs::Lease;
use muster_store::{StoreError, events, held_back, links};

use crate::changes::ChangeSet;
use crate::cycle::{FEED, PAGE, Run};
use crate::decide::{Cause, Decision, Seen, Verdict, decide};
use crate::error::EngineError;
use crate::matching::context;
use crate::port::Record;
use crate::record::under;
use crate::scope::judge;

/// What a cycle may withdraw.
#[derive(Debug, Default)]
pub(crate) enum Cleared {
    /// Anything: the job has no guard.
    #[default]
    Everything,
    /// What was judged.
    These(HashSet<SourceAnchor>),
}

impl Cleared {
    /// May this object be withdrawn?
    pub(crate) fn holds(&self, anchor: SourceAnchor) -> bool {
        match self {
            Self::Everything => true,
            Self::These(judged) => judged.contains(&anchor),
        }
    }
}

impl Run<'_> {
    /// Judges what an initial cycle would take away.
    pub(crate) async fn guard_everything(&mut self) -> Result<(), EngineError> {
        if self.guard.is_off() {
            return Ok(());
        }
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let page = self.links_page(after, None).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.anchor);
            for kind in [Kind::User, Kind::Group] {
                let links = page.iter().filter(|link| link.kind == kind).cloned();
                found.extend(self.withdrawals(kind, links.collect()).await?);
            }
            self.goes_on()?;
        }
        self.judge(found).await
    }

    /// Judges what an incremental cycle would take away; answers up to where it may read the feed.
    pub(crate) async fn guard_changes(
        &mut self,
        due: &[(Kind, SourceAnchor)],
        after: Position,
    ) -> Result<Option<Position>, EngineError> {
        if self.guard.is_off() {
            return Ok(None);
        }
        let mut changes = ChangeSet::default();
        for (kind, anchor) in due {
            changes.object(*kind, *anchor, Cause::Attributes);
        }
        let mut at = after;
        loop {
            let entries = self.source.changes(at, FEED).await?;
            let more = entries.len() as u32 == FEED;
            at = entries.last().map_or(at, |entry| entry.position);
            changes
                .note(&**self.source, &entries, Cause::Entitlement)
                .await?;
            self.goes_on()?;
            if !more {
                break;
            }
        }
        let mut found = Vec::new();
        for (kind, named) in [(Kind::User, changes.users), (Kind::Group, changes.groups)] {
            let anchors: Vec<SourceAnchor> = named.into_keys().collect();
            for part in anchors.chunks(PAGE as usize) {
                let links = self.links_of(part).await?;
                let links = links.into_values().filter(|link| link.kind == kind);
                found.extend(self.withdrawals(kind, links.collect()).await?);
            }
        }
        self.judge(found).await?;
        Ok(Some(at))
    }

    fn goes_on(&self) -> Result<(), EngineError> {
        if self.stop.is_cancelled() {
            return Err(EngineError::Interrupted);
        }
        Ok(())
    }

    /// What would be taken away from these objects.
    async fn withdrawals(
        &self,
        kind: Kind,
        links: Vec<Link>,
    ) -> Result<Vec<Withdrawal>, EngineError> {
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
            let action = match decide(&seen, &self.policy, mapping, &context(now)) {
                Verdict::Do(Decision::Disable { .. }) => Action::Disable,
                Verdict::Do(Decision::Delete(_)) => Action::Delete,
                _ => continue,
            };
            let reason = judged.as_ref().map_or_else(
                || "it is gone from the source".to_owned(),
                crate::scope::Judged::reason,
            );
            let name = record.map_or_else(|| link.anchor.to_string(), |record| record.name);
            found.push(Withdrawal {
                kind,
                anchor: link.anchor,
                name,
                target: link.target,
                action,
                reason,
                allowed: false,
            });
        }
        Ok(found)
    }

    /// Lets the cycle go on with what was found, or holds all of it back (EH-17, EH-20).
    async fn judge(&mut self, mut found: Vec<Withdrawal>) -> Result<(), EngineError> {
        let Lease { tenant, job, .. } = self.lease;
        let before = self.held_back().await?;
        for one in &mut found {
            // What was allowed stays allowed until it is done; what came since then is judged (EH-18).
            one.allowed = before.get(&one.anchor).is_some_and(|it| it.allowed);
        }
        let new = found.iter().filter(|it| !it.allowed).count() as u64;
        let managed = self.store.read::<_, StoreError, _>(|tx| {
            Box::pin(async move { links::counts(tx, tenant, job).await })
        });
        let managed: u64 = managed
            .await?
            .into_iter()
            .filter(|(_, state, _)| *state == LinkState::Managed)
            .map(|(_, _, count)| count)
            .sum();
        if !self.guard.holds_back(new, managed) {
            let anchors = found.into_iter().map(|it| it.anchor);
            self.cleared = Cleared::These(anchors.collect());
            return Ok(());
        }
        let told: Vec<Event> = found
            .iter()
            .filter(|it| !it.allowed && !before.contains_key(&it.anchor))
            .map(|it| self.staged(it))
            .collect();
        under(self.store, self.lease, move |tx| {
            Box::pin(async move {
                events::append(tx, tenant, &told).await?;
                held_back::replace(tx, tenant, job, found).await
            })
        })
        .await?;
        Err(EngineError::HeldBack { new, managed })
    }

    /// What an earlier cycle held back.
    async fn held_back(&self) -> Result<HashMap<SourceAnchor, Withdrawal>, StoreError> {
        let Lease { tenant, job, .. } = self.lease;
        let (mut all, mut after) = (HashMap::new(), None);
        loop {
            let page = self.store.read::<_, StoreError, _>(|tx| {
                Box::pin(async move { held_back::page(tx, tenant, job, after, PAGE).await })
            });
            let page = page.await?;
            let Some(last) = page.last() else {
                return Ok(all);
            };
            after = Some(last.anchor);
            all.extend(page.into_iter().map(|it| (it.anchor, it)));
        }
    }

    /// What the log says of something that is held back.
    fn staged(&self, it: &Withdrawal) -> Event {
        let what = match it.action {
            Action::Delete => "deleted",
            _ => "disabled",
        };
        let detail = format!(
            "held back by the guard of the job; it would be {what} at the target: {}",
            it.reason
        );
        Event {
            id: EventId::new(),
            job: self.lease.job,
            cycle: self.cycle.id,
            at: self.clock.now(),
            duration_ms: 0,
            action: Action::StagedDelete,
            status: Status::Skipped,
            code: TOO_MANY_DELETES.to_owned(),
            detail: detail.clone(),
            kind: it.kind,
            source: it.anchor,
            source_name: it.name.clone(),
            target: Some(it.target.clone()),
            steps: vec![Step {
                kind: StepKind::Export,
                status: Status::Skipped,
                description: detail,
                details: Vec::new(),
            }],
            modified: Vec::new(),
        }
    }
}
